"""The web application: who may ask, what is answered, and what is not told to clients."""

import http.client
import json
import re
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from serving_fixtures import (
    CALM,
    Mosquitto,
    Process,
    eventually,
    looks_often,  # noqa: F401
    needs_mosquitto,
    processes,
    save_run,
)

from saafe.cli import saafe as saafe_group
from saafe.cli.output import run
from saafe.detector import AlarmSettings, Scorer
from saafe.serving import (
    DayFiles,
    Fleet,
    MqttLink,
    MqttOptions,
    Notes,
    QuietDays,
    Service,
    Store,
    Topics,
    find_broker,
    guard,
    listen,
    machine_address,
    run_application,
    server,
    web,
)  # fmt: skip
from saafe.serving import service as service_module

SMOKE = Scorer(
    lambda windows: np.where(windows[:, -1, 0, 1] > 100.0, 99.99, 0.5).astype(np.float64),
    AlarmSettings(warm_s=0.0),
)


class Served:
    """A service and its web server on threads of their own."""

    def __init__(
        self, model: Scorer = CALM, *, token: str | None = None, state: Path | str = ":memory:",
        keep: Path | None = None, port: int = 0,
    ) -> None:  # fmt: skip
        self.lines: list[str] = []
        store, notes = Store(state), Notes(self.lines.append)
        quiet = None if keep is None else QuietDays(DayFiles(keep, 30), store, notes)
        self.service = Service(Fleet(model), store, notes, quiet=quiet)
        self.service.restore()
        self.service.start()
        self.token, self.socket = token, listen("127.0.0.1", port)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(
            target=run_application, args=(self.service, self.socket),
            kwargs={"token": token, "units": {}}, daemon=True,
        )  # fmt: skip
        self.thread.start()
        eventually(lambda: self.ask("GET", "/health")[0] == 200)

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        if (given := self.token if token is None else token) is not None:
            headers.setdefault("Authorization", f"Bearer {given}")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        self.headers = dict(answer.getheaders())
        is_json = answer.getheader("content-type", "").startswith("application/json")
        return answer.status, json.loads(text) if is_json else text

    def post(self, *readings: dict) -> tuple[int, Any]:
        return self.ask("POST", "/readings", list(readings))

    def burn(self, space: str = "kitchen") -> None:
        rows = [
            {"space": space, "temperature": 21 if k < 3 else 70 + k, "time_s": 10.0 * k}
            for k in range(6)
        ]
        assert self.post(*rows)[0] == 202

    def wait(self, seconds: float) -> None:
        """Let the service's clock be so much later."""
        clock_s = self.service.clock_s
        self.service.clock_s = lambda: clock_s() + seconds

    def close(self) -> None:
        self.service.is_stopping.set()
        self.thread.join(20.0)
        self.socket.close()
        self.service.stop()


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served()
    yield one
    one.close()


@contextmanager
def serving(**more: Any) -> Iterator[Served]:
    one = Served(**more)
    try:
        yield one
    finally:
        one.close()


def test_readings_in_and_state_events_and_history_out(served: Served) -> None:
    served.burn()
    status, space = served.ask("GET", "/spaces/kitchen")
    assert (status, space["state"], space["alarm"]) == (200, "alarm", "A")
    (reading,) = space["readings"]
    assert 0.0 <= reading.pop("ago_s") < 60.0
    assert reading == {"sensor": "A", "channel": "temperature", "value": 75.0, "unit": "degC"}
    _, events = served.ask("GET", "/events")
    assert [(e["event"], e["space"], e["cause"]) for e in events] == [("alarm", "kitchen", "heat")]
    assert served.ask("GET", f"/events?after={events[0]['id']}")[1] == []
    _, past = served.ask("GET", "/spaces/kitchen/history")
    (curve,) = past["channels"]
    assert len(curve["values"]) == len(past["times_s"]) == len(past["risk"])
    assert max(v for v in curve["values"] if v is not None) == 75.0
    status, space = served.ask("POST", "/spaces/kitchen/acknowledge")
    assert (status, space["state"], space["acknowledged"]) == (200, "calm", True)
    until = space["hushed_until_s"]
    assert until == served.ask("GET", "/spaces/kitchen")[1]["hushed_until_s"]
    said = datetime.fromisoformat(space["acknowledged_until"]).timestamp()
    assert said == pytest.approx(until, abs=0.2), "one moment under both names"
    again = served.ask("POST", "/spaces/kitchen/acknowledge")[1]
    assert (again["acknowledged"], again["hushed_until_s"]) == (False, until)
    assert [e["event"] for e in served.ask("GET", "/events?newest=true")[1]] == ["clear", "alarm"]
    _, found = served.ask("GET", "/spaces?like=KIT")
    assert (found["total"], found["counts"]["calm"]) == (1, 1)
    text = served.ask("GET", "/metrics")[1].decode()
    assert "saafe_readings_total 6.0" in text
    assert 'saafe_events_total{event="alarm"} 1.0' in text
    for word in [1, "unavailable"] * 5:
        served.post({"space": "den", "temperature": 21, "co": word})
    each = served.ask("GET", "/events?newest=true&each_kind=true&limit=1")[1]
    assert [e["event"] for e in each] == ["fault", "restored", "clear", "alarm"]


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.5", "localhost", "::1", "a.b.invalid"])
def test_only_one_that_listens_everywhere_has_another_address(host: str) -> None:
    """A phone cannot open http://0.0.0.0, which a browser is told nothing of."""
    assert machine_address(host) == ""
    for everywhere in ("0.0.0.0", "::"):
        assert machine_address(everywhere) not in ("0.0.0.0", "::")


def names(one: Served, **query: Any) -> list[str]:
    words = "&".join(f"{key}={value}" for key, value in query.items())
    return [space["space"] for space in one.ask("GET", f"/spaces?{words}")[1]["spaces"]]


def test_the_most_urgent_come_first_by_state_then_by_risk() -> None:
    risky = Scorer(
        lambda windows: np.nan_to_num(windows[:, -1, 0, 1]).astype(np.float64),
        AlarmSettings(warm_s=0.0, fast=99.0, slow=99.0, steady=99.0, warn=99.0),
    )
    with serving(model=risky) as one:
        pm25 = {"a": 2, "b": 41, "c": 38, "d": 3, "e": 88}
        for name, value in pm25.items():
            one.post(*({"space": name, "pm25": value, "time_s": 10.0 * k} for k in range(4)))
        one.burn("y")
        one.burn("z")
        assert one.ask("GET", "/spaces")[1]["counts"]["alarm"] == 2
        # by tens of percent, so that no card changes its place for a tenth
        assert names(one) == ["y", "z", "e", "b", "c", "a", "d"]
        one.ask("POST", "/spaces/z/acknowledge")
        assert names(one) == ["y", "z", "e", "b", "c", "a", "d"]  # not the last of all


def test_a_space_says_when_it_alarmed_by_what_and_until_when_it_is_quiet(tmp_path: Path) -> None:
    state = tmp_path / "s.sqlite"
    for _ in range(2):  # also after a restart
        with serving(state=state) as one:
            if not names(one):
                one.burn()
            (event,) = one.ask("GET", "/events")[1]
            _, space = one.ask("GET", "/spaces/kitchen")
            assert (space["alarm_time_s"], space["alarm_cause"]) == (event["time_s"], "heat")
            assert space["hushed_until_s"] is space["acknowledged_until"] is None
    with serving(state=state) as one:
        said_s = time.time()
        one.ask("POST", "/spaces/kitchen/acknowledge")
    for later_s, is_quiet in ((0.0, True), (400.0, True), (620.0, False)):  # slow machines lag
        with serving(state=state) as one:
            one.wait(later_s)
            _, space = one.ask("GET", "/spaces/kitchen")
            assert (space["alarm_time_s"], space["alarm_cause"]) == (None, None)
            if later_s == 0.0:  # later its silence is a fault, and it is calm no more
                assert one.ask("GET", "/spaces")[1]["acknowledged"] == 1
            if is_quiet:
                assert space["hushed_until_s"] == pytest.approx(said_s + 600.0, abs=25.0)
            else:
                assert space["hushed_until_s"] is None


def test_each_reading_says_how_old_it_is(tmp_path: Path) -> None:
    for _ in range(2):  # also after a restart, by a clock that was set back meanwhile
        with serving(state=tmp_path / "s.sqlite") as one:
            if not names(one):
                one.post({"space": "hall", "sensor": "door", "temperature": 20})
                one.wait(780.0)
                one.post({"space": "hall", "sensor": "shelf", "temperature": 23})
            one.wait(60.0)
            _, space = one.ask("GET", "/spaces/hall")
            ages = {reading["sensor"]: reading["ago_s"] for reading in space["readings"]}
            assert ages["door"] == pytest.approx(840.0, abs=10.0)
            assert ages["shelf"] == space["heard_ago_s"] == pytest.approx(60.0, abs=10.0)


@pytest.mark.parametrize("name", ["kitchen", "Küche/oben 1", "history"])
def test_a_space_is_taken_away_with_all_that_is_kept_of_it(name: str, tmp_path: Path) -> None:
    state, keep, token = tmp_path / "s.sqlite", tmp_path / "quiet", "a long and secret token"
    path = f"/spaces/{quote(name, safe='')}"
    with serving(state=state, keep=keep, token=token, model=SMOKE) as one:
        assert one.ask("DELETE", path)[0] == 404
        one.burn("hall")
        one.burn(name)  # its readings are the newest, from which numbers go on
        last = one.ask("GET", "/events")[1][-1]["id"]
        assert one.ask("DELETE", path, token="")[0] == 401
        assert one.ask("DELETE", path) == (200, {"forgotten": name})
        assert one.ask("DELETE", path)[0] == 404
        assert names(one) == ["hall"]
        assert [event["space"] for event in one.ask("GET", "/events")[1]] == ["hall"]
        assert [mark["space"] for mark in one.ask("GET", "/raised")[1]] == ["hall"]
        assert one.ask("GET", "/health")[0] == 200
        one.service.quiet.sort()  # type: ignore[union-attr]
    with serving(state=state, keep=keep, model=SMOKE) as one:
        assert names(one) == ["hall"]
        one.burn(name)  # which brings it back, as one that nobody knew
        assert names(one) == ["hall", name] or names(one) == sorted(["hall", name])
        newest = one.ask("GET", "/events?newest=true")[1][0]
        assert (newest["space"], newest["event"]) == (name, "alarm")
        assert newest["id"] > last
    with serving(state=state, keep=keep, model=SMOKE) as one:  # and its new readings are kept
        assert len(one.ask("GET", f"{path}")[1]["readings"]) == 1
        assert one.service.quiet is not None
        assert one.service.quiet.trouble == ""


def test_a_space_stays_where_it_cannot_be_taken_away(served: Served) -> None:
    served.burn()
    served.service.store.base.execute("PRAGMA query_only = 1")  # as a full disk
    status, said = served.ask("DELETE", "/spaces/kitchen")
    assert status == 503
    assert "cannot be written" in said["error"]
    assert "'kitchen' stays" in said["error"]
    assert names(served) == ["kitchen"]


def test_a_space_that_is_taken_away_while_it_waits_for_time_to_go_on(served: Served) -> None:
    """What was due of it is due no more, and the others go on."""
    for name in ("a", "b", "c"):
        served.post({"space": name, "temperature": 21})
    assert served.ask("DELETE", "/spaces/b")[0] == 200
    served.wait(86_400.0)
    eventually(lambda: len(served.ask("GET", "/events")[1]) == 2)
    assert {event["space"] for event in served.ask("GET", "/events")[1]} == {"a", "c"}
    assert served.service.failed is None


def test_acknowledging_a_calm_space_says_that_nothing_was_raised(served: Served) -> None:
    served.ask("POST", "/readings", {"space": "hall", "temperature": 21})
    status, space = served.ask("POST", "/spaces/hall/acknowledge")
    assert (status, space["acknowledged"], space["hushed_until_s"]) == (200, False, None)


def link_to(one: Served, port: int) -> MqttLink:
    """A link of a service to a broker on this machine, which may be away."""
    options = MqttOptions(topics=Topics((), ("json",)))
    link = MqttLink(one.service, find_broker(f"mqtt://127.0.0.1:{port}"), options)
    link.start()
    return link


@needs_mosquitto
def test_a_broker_that_stays_away_is_a_trouble(served: Served, tmp_path: Path) -> None:
    """Health and the page said that all was well, with no sensor heard and no alarm told."""

    def is_connected() -> float | None:
        text = served.ask("GET", "/metrics")[1].decode()
        found = re.search(r"^saafe_broker_connected (\S+)$", text, re.M)
        return float(found[1]) if found else None

    def since_s() -> float:
        status, said = served.ask("GET", "/health")
        (trouble,) = said["troubles"]
        assert (status, said["status"]) == (503, "trouble")
        assert trouble.startswith("no connection to the broker since ")
        return datetime.fromisoformat(trouble.split()[-1]).timestamp()

    assert is_connected() is None, "no broker is used"
    broker = Mosquitto(tmp_path / "broker")
    broker.kill()
    begun_s = served.service.clock_s()
    link = link_to(served, broker.port)
    try:
        assert is_connected() == 0.0
        assert served.ask("GET", "/health")[0] == 200, "a while is none"
        served.wait(16.0)
        assert since_s() == pytest.approx(begun_s, abs=2.0)
        broker.start()
        eventually(lambda: is_connected() == 1.0)
        assert served.ask("GET", "/health")[0] == 200
        served.wait(3600.0)
        lost_s = served.service.clock_s()
        broker.kill()
        eventually(lambda: is_connected() == 0.0)
        assert served.ask("GET", "/health")[0] == 200
        served.wait(16.0)
        assert since_s() == pytest.approx(lost_s, abs=5.0), "the outage before is over"
        link._on_disconnect(None, None, None, "refused")  # as an attempt that fails ends
        assert since_s() == pytest.approx(lost_s, abs=5.0), "it goes on"
    finally:
        link.stop()
        if broker.process and broker.process.poll() is None:
            broker.kill()


def test_the_description_of_the_interface_is_whole(served: Served) -> None:
    _, described = served.ask("GET", "/openapi.json")
    paths = set(described["paths"])
    assert paths == {
        "/readings", "/spaces", "/spaces/{name}", "/spaces/{name}/history",
        "/spaces/{name}/acknowledge", "/events", "/events/stream", "/health", "/metrics", "/notes",
        "/raised", "/raised/{number}",
    }  # fmt: skip
    assert set(described["paths"]["/spaces/{name}"]) == {"get", "delete"}
    assert served.ask("GET", "/docs")[0] == 404  # its page would load scripts from elsewhere


def read_stream(port: int, last: int | None, count: int, then: Any) -> list[dict]:
    """So many events of the stream, after something is done that causes them."""
    head = f"Last-Event-ID: {last}\r\n" if last is not None else ""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(f"GET /events/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
        text = b""
        while b": saafe" not in text:
            text += one.recv(65536)
        then()
        while text.count(b"data: ") < count:
            text += one.recv(65536)
        time.sleep(0.2)
        one.setblocking(False)
        with suppress(BlockingIOError):
            text += one.recv(65536)
    return [json.loads(line[6:]) for line in text.decode().splitlines() if line[:6] == "data: "]


def test_events_come_as_they_are_and_none_is_missed(served: Served) -> None:
    found = read_stream(served.port, None, 1, served.burn)
    assert [event["event"] for event in found] == ["alarm"]
    again = read_stream(served.port, 0, 2, lambda: served.burn("hall"))
    assert [(event["id"], event["space"]) for event in again] == [(1, "kitchen"), (2, "hall")]
    after = read_stream(served.port, 1, 1, lambda: None)
    assert [event["id"] for event in after] == [2]


def test_more_events_at_once_than_a_listener_takes_end_its_stream_and_none_is_missed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a gateway fails and a thousand sensors with it: what did not fit was passed over."""
    monkeypatch.setattr(web, "WAITING_EVENTS", 5)
    place = {"event": "fault", "time_s": 1.0, "sensor": "A", "channel": "co", "reason": "silent"}
    kept = served.service.store.commit([], [place | {"space": str(k)} for k in range(17)])

    def read(last: int | None, then: Any) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        connection.request(
            "GET", "/events/stream", headers={} if last is None else {"Last-Event-ID": str(last)}
        )
        answer = connection.getresponse()
        text = answer.read1()
        then()
        while text.count(b"data: ") < 17 and (part := answer.read1()):
            text += part
        connection.close()
        return [int(line[4:]) for line in text.decode().splitlines() if line[:4] == "id: "]

    tell = served.service.listeners[0]
    first = read(None, lambda: tell(kept))
    assert first == [1, 2, 3, 4, 5], "the stream ended"
    again = read_stream(served.port, first[-1], 12, lambda: None)
    assert [event["id"] for event in again] == list(range(6, 18))


WRONG = [
    (b"{", 422, "body"),
    (b"[" * 100_000, 4, ""),
    (b"[]", 202, ""),
    (b"null", 422, ""),
    (b'"x"', 422, ""),
    (b'{"space": ""}', 422, "space"),
    (b'{"space": 1}', 422, "space"),
    (b'{"space": "a", "sensor": "a\\n", "co2": 1}', 422, "sensor"),
    (b'{"space": "a"}', 422, "no channel"),
    (b'{"space": "a", "nothing": 1}', 422, "no channel"),
    (b'{"space": "' + b"x" * 200 + b'", "co2": 1}', 422, "space"),
    (b'{"space": "a", "co2": 1, "time_s": "soon"}', 422, "time_s"),
    (b'[{"space": "a", "co2": 1}, 5]', 422, "1: "),
    (b'[{"space": ""}]', 422, "space: String"),
    (b'[{"space": "a", "co2": 1, "time_s": "soon"}]', 422, "time_s: Input"),
    (b"\xff\xfe", 4, ""),
    (b'{"space": "a", "co2": ' + b"9" * 5000 + b"}", 4, ""),
]


@pytest.mark.parametrize(("body", "status", "word"), WRONG)
def test_bodies_that_cannot_be_used_are_refused_in_one_line(
    served: Served, body: bytes, status: int, word: str
) -> None:
    came, answer = served.ask("POST", "/readings", body)
    assert came == status or came // 100 == status
    if came != 202:
        assert word in answer["error"]
        assert "Traceback" not in json.dumps(answer)
        assert "\n" not in answer["error"]
    assert served.ask("GET", "/health")[0] == 200


def test_one_wrong_reading_does_not_lose_the_others(served: Served) -> None:
    status, answer = served.post(
        {"space": "a", "co2": 500}, {"space": "a", "x": 1}, {"space": "b\n", "co2": 500},
        {"space": "c", "temperature_f": 70, "time_s": 5.0}, {"space": "", "co2": 500},
        {"co2": 500}, {"space": "c", "co2": 500, "time_s": "soon"},
    )  # fmt: skip
    assert (status, answer["taken"]) == (202, 2)
    assert [one["index"] for one in answer["refused"]] == [1, 2, 4, 5, 6]
    assert "space: Field required" in answer["refused"][3]["error"]
    assert set(served.service.fleet.spaces) == {"a", "c"}


def test_what_does_not_say_that_it_is_json_is_told_how(served: Served) -> None:
    status, answer = served.ask("POST", "/readings", b'{"space": "a"}', Content_Type="text/plain")
    assert (status, "Content-Type: application/json" in answer["error"]) == (422, True)


@pytest.mark.parametrize(
    "path",
    ["/events?after=X", "/events?limit=X", "/events?space=X", "/events?newest=X", "/spaces?like=X",
     "/spaces?offset=X", "/spaces?limit=X", "/spaces/X", "/spaces/X/history", "/page/X", "/X"],
)  # fmt: skip
def test_no_address_is_an_internal_error(served: Served, path: str) -> None:
    for odd in ("-1", "9223372036854775807", "9223372036854775808", "9" * 400, "%00", "%ff", "x",
                "%F0%9F%94%A5", "", "..%2f..", "%0a", "1e5", "nan"):  # fmt: skip
        assert served.ask("GET", path.replace("X", odd))[0] < 500, odd
    status, _ = served.ask("GET", "/events/stream", Last_Event_ID="9" * 30)
    assert status == 422


def test_what_is_too_large_is_refused(served: Served) -> None:
    status, answer = served.ask("POST", "/readings", b" " * (guard.LARGEST_BODY + 1))
    assert (status, "too large" in answer["error"]) == (413, True)
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as one:
        one.sendall(
            b"POST /readings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with suppress(OSError):
            for _ in range(40):
                one.sendall(chunk)
        with suppress(ConnectionError):
            assert b" 413 " in one.recv(4096)
    assert served.post(*[{"space": "a", "co2": 1}] * 1001)[0] == 413
    assert served.ask("GET", "/spaces?limit=501")[0] == 422


def test_no_more_requests_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saafe.serving.guard.REQUESTS_PER_S", 1.0)  # however slow the machine
    monkeypatch.setattr("saafe.serving.guard.REQUESTS_AT_ONCE", 20.0)
    with serving() as served:
        codes = [served.ask("GET", "/health")[0] for _ in range(40)]
        assert codes[0] == 200
        assert 429 in codes
        assert served.headers["retry-after"] == "1"
        eventually(lambda: served.ask("GET", "/health")[0] == 200)


# --- who may ask


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /health HT",
        b"POST /readings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99\r\n\r\n[",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea",
    ],
)
def test_a_connection_that_asks_nothing_is_closed(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_WITHIN_S", 1.0)
    with serving() as one:
        with socket.create_connection(("127.0.0.1", one.port), timeout=20.0) as idle:
            idle.sendall(sent)
            with suppress(ConnectionResetError):
                while idle.recv(4096):
                    pass  # what was asked whole is answered first
        assert one.ask("GET", "/health")[0] == 200


def test_many_that_ask_nothing_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_SILENT", 5)
    with serving() as one, ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", one.port), timeout=20.0))
            for _ in range(20)
        ]
        eventually(lambda: len(select.select(idle, [], [], 0.0)[0]) == 15)  # closed
        one.burn()
        assert len(select.select(idle, [], [], 1.0)[0]) == 15


def test_many_that_ask_now_and_then_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their connections idle after an answer; to lose one as it asks loses readings."""
    monkeypatch.setattr(server, "MOST_SILENT", 5)
    with serving() as one, ExitStack() as stack:
        kept = [
            stack.enter_context(
                closing(http.client.HTTPConnection("127.0.0.1", one.port, timeout=20.0))
            )
            for _ in range(20)
        ]
        for _ in range(3):
            for client in kept:
                client.request("GET", "/health")
                assert client.getresponse().read()
            time.sleep(0.5)


def test_a_connection_that_asks_on_and_a_stream_of_events_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "REQUEST_WITHIN_S", 1.0)
    with serving() as one, ExitStack() as stack:
        asking, stream = (
            stack.enter_context(
                closing(http.client.HTTPConnection("127.0.0.1", one.port, timeout=20.0))
            )
            for _ in range(2)
        )
        stream.request("GET", "/events/stream")
        events = stack.enter_context(stream.getresponse())
        asking.request("GET", "/health")
        first = asking.sock
        for _ in range(8):
            asking.getresponse().read()
            time.sleep(0.4)
            asking.request("GET", "/health")
            assert asking.sock is first  # else it was opened anew
        one.burn()
        assert any(line.startswith(b"data") for line in iter(events.readline, b""))


def test_a_token_is_needed_where_there_is_one() -> None:
    with serving(token="a long and secret token") as one:
        assert one.ask("GET", "/spaces")[0] == 200
        for path in ("/spaces", "/events", "/events/stream", "/metrics", "/openapi.json", "/notes"):
            assert one.ask("GET", path, token="")[0] == 401
        assert one.ask("POST", "/readings", {"space": "a", "co2": 1}, token="x")[0] == 401
        assert one.headers["www-authenticate"] == "Bearer"
        assert not one.service.fleet.spaces
        # the page itself holds nothing of a home, and asks for the token
        for path in ("/", "/page/page.js", "/page/page.css", "/health"):
            assert one.ask("GET", path, token="")[0] == 200
        codes = [one.ask("GET", "/spaces", token="guess")[0] for _ in range(20)]
        assert codes[-1] == 429  # who guesses, waits


FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "evil.example:8080"},
    {"Host": "evil.example@127.0.0.1"},
    {"Host": "evil.example\\@127.0.0.1"},
    {"Host": "127.0.0.1#.evil.example"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_other_sites_in_a_browser_cannot_ask_without_a_token(
    served: Served, headers: dict[str, str]
) -> None:
    served.burn()
    assert served.ask("POST", "/spaces/kitchen/acknowledge", **headers)[0] == 403
    assert served.ask("GET", "/spaces", **headers)[0] == 403
    origin = {"Origin": f"http://127.0.0.1:{served.port}"}
    assert served.ask("GET", "/spaces", **origin)[0] == 200


def test_answers_say_how_a_browser_treats_them(served: Served) -> None:
    for path in ("/", "/spaces", "/nothing"):
        served.ask("GET", path)
        assert "default-src 'self'" in served.headers["content-security-policy"]
        assert served.headers["x-content-type-options"] == "nosniff"
        assert "server" not in {name.lower() for name in served.headers}


@pytest.mark.parametrize(
    "path", ["/page/../web.py", "/page/%2e%2e%2fweb.py", "/page/page.html", "/page/", "/etc/passwd"]
)
def test_no_other_file_is_served(served: Served, path: str) -> None:
    assert served.ask("GET", path)[0] == 404


def test_a_bug_of_ours_is_no_news_for_clients(
    served: Served, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(served.service.store, "events", broken)
    status, answer = served.ask("GET", "/events")
    assert (status, answer) == (500, {"error": "an internal error; see the server's log"})


def test_a_service_that_cannot_keep_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "MOST_WAITING", 20)
    scores, go_on = threading.Event(), threading.Event()

    def score(windows: np.ndarray) -> np.ndarray:
        scores.set()
        go_on.wait(60.0)
        return np.zeros(len(windows))

    with serving(model=Scorer(score, AlarmSettings())) as one:
        rows = [{"space": f"s{k}", "co2": 500} for k in range(500)]
        answers: list[tuple[int, Any]] = []
        senders = [
            threading.Thread(target=lambda: answers.append(one.post(*rows))) for _ in range(2)
        ]
        senders[0].start()
        eventually(scores.is_set)  # until then all that waits may be taken, and the queue empty
        senders[1].start()
        eventually(one.service.waiting.full)
        status, health = one.ask("GET", "/health")
        assert status == 503
        assert "behind" in health["troubles"][0]
        assert one.post({"space": "x", "co2": 500})[0] == 503
        assert one.headers["retry-after"] == "5"
        go_on.set()
        for sender in senders:
            sender.join()
        assert any(status == 202 and 0 < said["taken"] < 500 for status, said in answers)


# --- the command


@pytest.mark.slow
def test_serve_from_the_command_line(tmp_path: Path) -> None:
    made = save_run(tmp_path)
    with processes() as running:
        running.append(Process("serve", made, "--port", 0, "--host", "0.0.0.0", cwd=tmp_path))
        said = running[0].said("#token=")
        assert "put a TLS proxy before it" in running[0].said("TLS")
        own = re.search(r"from another device open http://([0-9.]+):(\d+)/#token=", said)
        if own is None:  # a machine without a network
            assert machine_address("0.0.0.0") == ""
        else:
            assert own[1] != "0.0.0.0"
        address = next(word for word in said.split() if "#token=" in word)
        port, token = int(address.split(":")[2].split("/")[0]), address.split("#token=")[1]
        one = Served.__new__(Served)
        one.port, one.token = port, token
        one.burn()
        assert one.ask("GET", "/spaces/kitchen")[1]["state"] == "alarm"
        assert one.ask("GET", "/spaces/kitchen", token="")[0] == 401
        assert running[0].end() == 0
        running.append(Process("serve", made, "--port", 0, cwd=tmp_path))
        said = running[1].said("open http://127.0.0.1:")
        assert "token" not in said
        one.port, one.token = int(said.split("127.0.0.1:")[1].split("/")[0]), None
        assert one.ask("GET", "/spaces/kitchen")[1]["state"] == "alarm"  # it stands
        assert len(one.ask("GET", "/events")[1]) == 1
        other = Process("serve", made, "--port", 0, cwd=tmp_path)
        assert other.process.wait(60) == 1
        assert "another saafe uses it" in other.err.read_text()
        other = Process("serve", made, "--port", one.port, "--state", "b", cwd=tmp_path)
        assert other.process.wait(60) == 1
        assert "cannot be listened at" in other.err.read_text()


def test_a_token_of_a_file_is_in_no_log(tmp_path: Path) -> None:
    """Each start wrote it to stderr, which a service's journal keeps for years."""
    (tmp_path / "token").write_text("a long and secret token\n")
    with processes() as running:
        words = ("serve", save_run(tmp_path), "--port", "0", "--token-file", "token")
        running.append(Process(*words, cwd=tmp_path))
        said = running[0].said("open http://127.0.0.1:")
        running[0].said("the page asks for the token of token")
        one = Served.__new__(Served)
        one.port = int(said.split("127.0.0.1:")[1].split("/")[0])
        one.token = "a long and secret token"
        assert one.ask("GET", "/spaces")[0] == 200
        assert one.ask("GET", "/spaces", token="")[0] == 401
        assert running[0].end() == 0
        assert "secret" not in running[0].err.read_text() + running[0].out.read_text()


def test_an_open_page_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """It waited three seconds for the page's stream, and then said a traceback."""
    with processes() as running:
        words = ("serve", save_run(tmp_path), "--port", "0", "--json")
        one = Process(*words, cwd=tmp_path)
        running.append(one)
        one.said("open http")
        port = eventually(one.events)[0]["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as page:
            page.sendall(b"GET /events/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            text = b""
            while b": saafe" not in text:
                text += page.recv(65536)
            assert one.end() == 0
            rest = page.recv(65536)
    assert rest.endswith(b"0\r\n\r\n"), "the stream ended in order"
    assert len(one.err.read_text().splitlines()) == 1, "what it is opened with"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_alarm_that_stands_is_raised_once_over_restarts(number: int, tmp_path: Path) -> None:
    one = Served.__new__(Served)
    one.token = None
    with processes() as running:
        for start in range(3):
            words = ("serve", save_run(tmp_path / f"{start}"), "--port", 0, "--keep", "quiet")
            running.append(Process(*words, cwd=tmp_path))
            said = running[-1].said("open http://127.0.0.1:")
            one.port = int(said.split("127.0.0.1:")[1].split("/")[0])
            if start == 0:
                one.burn()
            for _ in range(3):
                assert one.post({"space": "kitchen", "temperature": 80})[0] == 202
            (raised,) = one.ask("GET", "/raised")[1]
            assert (raised["event"], raised["id"]) == ("alarm", 1)
            running[-1].end(number)


USAGE = [
    (["serve", "--topic", "a/{space}"], "give --mqtt URL"),
    (["serve", "--mqtt", "mqtt://localhost"], "no topics"),
    (["serve", "--mqtt", "mqtt://nobody.invalid", "--preset", "json"], "no such host"),
    (["serve", "--token-file", "nowhere"], "cannot be read"),
    (["serve", "--host", "not.here.invalid"], "cannot be listened at"),
    (["serve", "--longest-interval", "0.1"], "longest interval"),
    (["serve", "--state", "no/such/folder"], "choose another --state"),
    (["serve", "--keep", "run/recipe.json/in"], "choose another --keep"),
    (["detect", "kitchen.csv", "--keep", "quiet"], "are for a broker"),
    (["detect", "mqtt://localhost"], "no topics"),
    (["detect", "mqtt://localhost", "--preset", "awair"], "no such preset of topics"),
    (["detect", "mqtt://localhost", "--topic", "a/{room}"], "no part {room}"),
    (["detect", "mqtt://a:b@localhost", "--preset", "json"], "--password-file"),
    (["detect", "mqtt://localhost:x", "--preset", "json"], "allowed: mqtt://HOST"),
    (["detect", "mqtt://localhost", "--preset", "json", "--ca", "x"], "are for mqtts"),
    (["detect", "mqtts://localhost", "--preset", "json", "--ca", "x"], "no such file"),
    (["detect", "mqtt://localhost", "--preset", "json", "--worker", "3/2"], "K/N"),
    (["detect", "mqtt://localhost", "--preset", "json", "--base", "a/#"], "without + and #"),
    (["detect", "mqtt://localhost", "--preset", "json", "--drill"], "detect - --drill"),
    (["detect", "mqtt://localhost", "--preset", "json", "--repair"], "come as they are"),
    (["detect", "mqtt://localhost", "--preset", "json", "--unit", "co2=F"], "no unit"),
    (["detect", "kitchen.csv", "--topic", "a"], "are for a broker"),
]


@pytest.mark.parametrize(("words", "text"), USAGE)
def test_wrong_use_is_one_line(
    words: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(saafe_group, [*words[:1], str(save_run(tmp_path)), *words[1:]]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line


# --- days that teach


def test_what_was_raised_is_listed_and_judged(tmp_path: Path) -> None:
    with serving(model=SMOKE) as one:
        assert one.ask("GET", "/raised")[0] == 404
        assert one.ask("GET", "/health")[1]["keeps_days"] is False
        assert "--keep FOLDER" in one.ask("POST", "/raised/1", {"was": "fire"})[1]["error"]
    with serving(model=SMOKE, keep=tmp_path / "quiet") as one:
        assert one.ask("GET", "/raised") == (200, [])
        assert one.ask("GET", "/health")[1]["keeps_days"] is True
        one.burn()
        (raised,) = one.ask("GET", "/raised")[1]
        assert (raised["space"], raised["event"], raised["was"]) == ("kitchen", "alarm", "")
        assert one.ask("POST", "/raised/1", {"was": "harmless"})[1] == raised | {"was": "harmless"}
        assert one.ask("GET", "/raised")[1][0]["was"] == "harmless"
        for number in ("7", "1_0", "0_1", "%201", "1%20", "1%0A", "+1", "-1", "1.0", "1e0", "0x1",
                       "%D9%A1", "%EF%BC%91", "9" * 19, "9" * 5000, "abc", "None"):  # fmt: skip
            status, answer = one.ask("POST", f"/raised/{number}", {"was": "fire"})
            assert (status, list(answer)) == (404, ["error"]), number
        assert one.ask("GET", "/raised")[1][0]["was"] == "harmless", "none of them is number 1"
        for body in ({"was": "toast"}, {}, [], {"was": None}):
            status, answer = one.ask("POST", "/raised/1", body)
            assert (status, list(answer)) == (422, ["error"])
        assert one.service.quiet is not None
        one.service.quiet.trouble = "quiet days are not kept: the disk is full"
        status, health = one.ask("GET", "/health")
        assert status == 503
        assert health["troubles"] == ["quiet days are not kept: the disk is full"]
