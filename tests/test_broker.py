"""Brokers: what a URL and its files say, and what is refused before anything is sent."""

import errno
import os
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from serving_fixtures import CALM, eventually

from saafe.errors import InputError
from saafe.serving import Fleet, MqttLink, MqttOptions, Notes, Service, Store, Topics, broker
from saafe.serving.broker import (
    Broker,
    Partings,
    client_name,
    find_broker,
    read_secret,
    why_unreached,
)


def test_a_url_says_where_and_as_whom(tmp_path: Path) -> None:
    assert find_broker("mqtt://broker.lan") == Broker("broker.lan", 1883, None, None, None)
    (tmp_path / "secret").write_text(" hush \nmore\n")
    found = find_broker("mqtts://a%20b@[::1]:1234", password_file=tmp_path / "secret")
    assert (found.host, found.port, found.user, found.password) == ("::1", 1234, "a b", "hush")
    assert found.tls is not None
    assert found.tls.verify_mode == ssl.CERT_REQUIRED
    assert found.tls.check_hostname
    assert find_broker("mqtts://broker.lan").port == 8883


@pytest.mark.parametrize(
    ("url", "files", "says"),
    [
        ("http://broker.lan", {}, "is no broker; allowed: mqtt://HOST"),
        ("mqtt://", {}, "is no broker"),
        ("mqtt://broker.lan/topic", {}, "is no broker"),
        ("mqtt://broker.lan?qos=1", {}, "is no broker"),
        ("mqtt://broker.lan:port", {}, "allowed: mqtt://HOST"),
        *(
            (url, {}, "a password in a URL is seen by everybody")
            for url in (
                "mqtt://a:hush@broker.lan",
                "mqtt://a:hush@broker.lan:99999",
                "http://a:hush@lan",
                "mqtt://a:hush@broker.lan:port",
                "mqtt://a:hush@broker.lan/topic",
                "a:hush@lan",
                "mqtt://a:hush@",
                "mqtt://a:hu/hush@broker.lan",
                "mqtt://:hush@broker.lan",
            )
        ),
        ("mqtt://broker.lan", {"password_file": "secret"}, "--password-file: whose?"),
        ("mqtt://a@broker.lan", {"password_file": "empty"}, "empty: is empty"),
        ("mqtt://a@broker.lan", {"password_file": "absent"}, "absent: cannot be read"),
        ("mqtt://a@broker.lan", {"password_file": "bytes"}, "bytes: cannot be read"),
        ("mqtt://broker.lan", {"ca": "secret"}, "are for mqtts://HOST"),
        ("mqtts://broker.lan", {"key": "secret"}, "--key: give its certificate too"),
        ("mqtts://broker.lan", {"ca": "absent"}, "--ca"),
        ("mqtts://broker.lan", {"ca": "secret"}, "cannot be used"),
        ("mqtts://broker.lan", {"cert": "secret"}, "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    url: str, files: dict[str, str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("hush\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xff")
    with pytest.raises(InputError) as error:
        find_broker(url, **{name: tmp_path / file for name, file in files.items()})
    assert says in str(error.value)
    assert "hush" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [ssl.SSLEOFError, ssl.SSLZeroReturnError])
def test_a_greeting_that_is_just_ended_is_no_tls_on_any_python(kind: type[ssl.SSLError]) -> None:
    """Python 3.11.2 says the second, of which "see --ca and --cert" was said."""
    error = kind(8, "EOF")
    error.reason = ""  # as OpenSSL leaves it
    assert why_unreached(error, never_tls=True).startswith("speaks no TLS there (")
    assert why_unreached(error, never_tls=False).startswith("TLS failed (")


@pytest.mark.parametrize("kind", ["resets", "closes", "answers in words"])
def test_a_port_without_tls_is_said(kind: str) -> None:
    """A broker's plain port said "reset by peer", which tells nobody what is wrong."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        found = find_broker(f"mqtts://127.0.0.1:{server.getsockname()[1]}")

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1 if kind == "resets" else 4096)  # what is left unread resets it
                if kind == "answers in words":
                    client.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        lines: list[str] = []
        service = Service(Fleet(CALM), Store(":memory:"), Notes(lines.append))
        link = MqttLink(service, found, MqttOptions(topics=Topics((), ("json",))))
        try:
            link.start()
            link.stop()
        except InputError as error:
            lines.append(str(error))
        thread.join()
        service.stop()
    (line,) = lines
    assert f"{found}: speaks no TLS there (" in line
    assert "name its TLS port, usually 8883, or mqtt:// for none" in line


@pytest.mark.parametrize("kind", ["is of TLS", "resets", "closes", "closes late", "lets us in"])
def test_a_port_of_tls_alone_is_asked_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It said "Unspecified error" alone; of one that has answered TLS is not to be asked."""
    if kind == "closes late":
        monkeypatch.setattr(broker, "BRIEF_S", 0.05)
    says = {
        "is of TLS": bytes.fromhex("15030100020246"),  # OpenSSL's alert to what is no greeting
        "lets us in": bytes.fromhex("2003000000"),
    }
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        lines: list[str] = []
        service = Service(Fleet(CALM), Store(":memory:"), Notes(lines.append))
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        link = MqttLink(service, find_broker(url), MqttOptions(topics=Topics((), ("json",))))

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1 if kind == "resets" else 4096)
                client.send(says.get(kind, b""))
                time.sleep(0.2 if kind == "closes late" else 0.0)

        link.is_answered.set()  # nobody waits for the broker
        thread = threading.Thread(target=answer)
        thread.start()
        link.start()
        thread.join()
        (line,) = eventually(lambda: [line for line in lines if "connection lost" in line])
        link.stop()
        service.stop()
    is_mute = kind in ("is of TLS", "resets", "closes")
    assert ("lost before any answer" in line) == line.endswith("mqtts://?") == is_mute, line


def test_a_broker_that_has_spoken_tls_is_not_said_to_speak_none() -> None:
    """As a container's broker starts anew: its proxy takes connections, and resets them."""
    lines: list[str] = []
    service = Service(Fleet(CALM), Store(":memory:"), Notes(lines.append))
    options = MqttOptions(topics=Topics((), ("json",)))
    link = MqttLink(service, find_broker("mqtts://broker.lan"), options)
    reset = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    link._on_connect_fail(None, reset)
    link.connection = 1
    service.notes = Notes(lines.append)
    link._on_connect_fail(None, reset)
    first, second = lines
    assert "speaks no TLS there" in first
    assert second.endswith("mqtts://broker.lan:8883: Connection reset by peer; trying again")
    service.stop()


def test_a_secret_is_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\nsecond\n")
    assert read_secret(tmp_path / "token", "--token-file") == "first"


def test_the_broker_knows_a_process_again(tmp_path: Path) -> None:
    name = client_name(str(tmp_path / "state"), 0)
    assert name == client_name(str(tmp_path / "state"), 0)
    others = {client_name(str(tmp_path / "state"), 1), client_name(str(tmp_path / "other"), 0)}
    assert len({name, *others}) == 3
    assert len(name) <= 23  # what every broker takes


def test_two_machines_of_one_image_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each drove the other from the broker: two Pis are both called raspberrypi."""
    names = set()
    for text in ("one\n", "another\n", None):
        file = tmp_path / f"machine-id-{text}"
        if text is not None:
            file.write_text(text)
        monkeypatch.setattr(broker, "MACHINE_ID", file)
        names.add(client_name("saafe.sqlite", 0))
    assert len(names) == 3


@pytest.mark.parametrize(
    ("lasted_s", "kinds"),
    [
        ([1.0, 1.0, 1.0, 1.0], ["lost", "lost", "taken", "taken"]),
        ([3600.0, 1.0, 1.0, 600.0, 1.0, 1.0, 1.0], ["lost"] * 6 + ["taken"]),
        ([60.0] * 5, ["lost"] * 5),
    ],
)
def test_another_client_of_our_name_is_suspected_where_no_connection_lasts(
    lasted_s: list[float], kinds: list[str]
) -> None:
    partings, now_s, said = Partings("saafe-1234"), 0.0, []
    for each_s in lasted_s:
        partings.begin(now_s)
        now_s += each_s
        said.append(partings.end(now_s, "gone"))
        now_s += 1.0
    assert [kind for kind, _ in said] == kinds
    assert all(("saafe-1234" in text) == (kind == "taken") for kind, text in said)
