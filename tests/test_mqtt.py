"""MQTT with a real broker: killed, restarted, fuzzed, shared by two workers, over TLS."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from serving_fixtures import (
    CALM,
    Client,
    Mosquitto,
    Process,
    eventually,
    looks_often,  # noqa: F401
    needs_mosquitto,
    processes,
    save_run,
)

from saafe import __version__
from saafe.cli.serving import print_where_possible
from saafe.errors import InputError
from saafe.serving import (
    Arrival,
    Fleet,
    MqttLink,
    MqttOptions,
    Notes,
    Service,
    Store,
    Topics,
    find_broker,
    mqtt,
)
from saafe.serving.home_assistant import discovery_messages, slug
from saafe.serving.views import acknowledged_until, faults_of

pytestmark = needs_mosquitto
PRESETS = ("zigbee2mqtt", "esphome", "tasmota", "json")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path / "broker")
    yield one
    if one.process and one.process.poll() is None:
        one.kill()


class Watching:
    """A service and its link in this process."""

    def __init__(self, port: int, state: Path | str = ":memory:", **more) -> None:
        self.lines: list[str] = []
        self.acknowledgements = 0  # that were sent
        self.service = Service(Fleet(CALM), Store(state, delivers=True), Notes(self.lines.append))
        self.service.restore()
        options = MqttOptions(topics=Topics((), PRESETS), **more)
        self.link = MqttLink(self.service, find_broker(f"mqtt://127.0.0.1:{port}"), options)
        self.link.start()
        self.service.start()

    def refused(self, reason: str) -> float:
        return self.service.counters.refusals.labels(reason)._value.get()

    def close(self) -> None:
        self.service.is_stopping.set()
        self.service.thread.join()
        self.link.stop()
        self.service.store.close()


@pytest.fixture
def watching(broker: Mosquitto) -> Iterator[Watching]:
    one = Watching(broker.port)
    yield one
    if not one.link.is_closing:
        one.close()


def burn(client: Client, topic: str, *, start_s: float = 0.0, key: str = "temperature") -> None:
    """Calm rows, then hot ones, at the pace of their own times."""
    for k, temperature in enumerate([21, 21, 21, 70, 71, 72]):
        client.send(topic, {key: temperature, "humidity": 40, "time_s": start_s + 10 * k})


def test_a_link_that_has_started_is_listened_to(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said so before the broker had taken its wish: readings sent at once were lost."""
    took: list[int] = []
    real = MqttLink._on_subscribe

    def slowly(self, client, data, number, *more) -> None:
        time.sleep(0.3)
        took.append(number)
        real(self, client, data, number, *more)

    monkeypatch.setattr(MqttLink, "_on_subscribe", slowly)
    watching = Watching(broker.port)
    assert len(took) == 1
    assert "connected; listens to" in watching.lines[-1]
    watching.close()


def test_topics_that_the_broker_keeps_closed_are_named(watching: Watching) -> None:
    wanted = watching.link.options.filters()
    reasons = [ReasonCode(PacketTypes.SUBACK, "Granted QoS 1") for _ in [*wanted, "status"]]
    reasons[1] = ReasonCode(PacketTypes.SUBACK, "Not authorized")
    watching.link._on_subscribe(None, None, 1, reasons)
    (line,) = [line for line in watching.lines if "does not let us listen" in line]
    assert f"listen to {wanted[1]};" in line


def test_readings_become_alarms_states_and_a_device(broker: Mosquitto, watching: Watching) -> None:
    client = Client(broker.port, "other", ("saafe/#", "homeassistant/#"))
    burn(client, "zigbee2mqtt/Küche oben")
    (event,) = eventually(client.events)
    assert (event["event"], event["space"], event["cause"]) == ("alarm", "Küche oben", "heat")
    assert isinstance(event["id"], int)
    name = slug("Küche oben")
    state = f"saafe/spaces/{name}/state"
    eventually(lambda: json.loads(client.last(state) or b"{}").get("smoke") == "ON")
    config = json.loads(client.last(f"homeassistant/binary_sensor/saafe_{name}/smoke/config") or "")
    assert (config["device_class"], config["state_topic"]) == ("smoke", state)
    assert config["availability_topic"] == "saafe/status"
    assert client.last("saafe/status") == b"online"
    kinds = {t.split("/")[1] + "/" + t.split("/")[3] for t, _, _ in client.came if "/config" in t}
    assert kinds == {
        "binary_sensor/smoke", "binary_sensor/warning", "binary_sensor/fault", "sensor/risk",
        "button/acknowledge",
    }  # fmt: skip

    late = Client(broker.port, "late", (state, "homeassistant/#"))  # comes after all that
    eventually(lambda: len(late.came) >= 6)
    assert all(retained for _, _, retained in late.came)
    assert json.loads(late.last(state) or b"{}")["smoke"] == "ON"

    assert json.loads(client.last(state) or b"{}")["acknowledged_until"] is None
    client.send(config["state_topic"].replace("state", "acknowledge"), "PRESS")
    eventually(lambda: [e["event"] for e in client.events()] == ["alarm", "clear"])
    eventually(lambda: json.loads(client.last(state) or b"{}")["smoke"] == "OFF")
    until = eventually(lambda: json.loads(client.last(state) or b"{}")["acknowledged_until"])
    (space,) = watching.service.fleet.spaces.values()
    assert until == acknowledged_until(space, time.time()), "HTTP says the same"
    assert not any("nothing is raised" in line for line in watching.lines)
    client.send(config["state_topic"].replace("state", "acknowledge"), "PRESS")  # nothing to see to
    eventually(lambda: any("nothing is raised" in line for line in watching.lines))
    eventually(lambda: watching.service.store.undelivered() == [])
    watching.close()
    eventually(lambda: client.last("saafe/status") == b"offline")
    for one in (client, late):
        one.close()


def test_the_log_ends_with_what_is_true_of_the_connection(
    broker: Mosquitto, watching: Watching
) -> None:
    """After a short outage it ended with "Connection refused; trying again"."""
    for _ in range(3):  # all within a minute
        before = watching.link.connection
        broker.kill(signal.SIGTERM)
        eventually(lambda: not watching.link.is_up.is_set())
        time.sleep(1.5)  # until it has been tried
        broker.start()
        eventually(lambda before=before: watching.link.connection > before, 30.0)
        eventually(lambda: "connected; listens to" in watching.lines[-1])
    is_up = ["connected; listens" in line for line in watching.lines]
    assert any("Connection refused; trying again" in line for line in watching.lines)
    assert (True, True) not in pairwise(is_up), "once for each loss"


def test_acknowledgements_of_two_unknown_spaces_are_both_answered(watching: Watching) -> None:
    for name in (b"attic", b"cellar", b"attic"):
        message = paho.MQTTMessage(mid=0, topic=b"saafe/spaces/%s/acknowledge" % name)
        watching.link._on_message(watching.link.client, None, message)
    said = [line for line in watching.lines if "no such space is watched" in line]
    assert [line.split(": ")[1] for line in said] == ["attic", "cellar"]


def test_events_of_an_outage_wait_in_the_store_and_are_told_once(
    broker: Mosquitto, watching: Watching
) -> None:
    """The client's queue held them all: days of faults without a broker filled the memory."""
    service = watching.service
    # what is told before it is there again, the broker keeps for it
    client = Client(broker.port, "other", ("saafe/#",))
    broker.kill(signal.SIGTERM)
    eventually(lambda: not watching.link.is_up.is_set())
    waiting = len(watching.link.sending)
    for k in range(200):
        for t, temperature in ((0, "21"), (10, "70"), (20, "71")):
            cells = {"temperature_c": temperature, "time_s": str(float(t))}
            assert service.offer(
                Arrival(f"hall {k}", "A", cells, service.clock_s()), lambda _: None, wait_s=5.0
            )
    eventually(lambda: len(service.store.undelivered()) == 200)
    assert len(watching.link.sending) == waiting
    broker.start()
    eventually(lambda: service.store.undelivered() == [], 60.0)
    eventually(lambda: len(client.events()) == 200, 60.0)
    numbers = [event["id"] for event in client.events()]
    assert numbers == sorted(set(numbers)), "each once, and in their order"
    eventually(lambda: not watching.link.sending.events)
    client.close()


def test_a_disk_that_fills_after_an_event_was_kept_silences_no_later_one(
    broker: Mosquitto, watching: Watching
) -> None:
    """That an event was delivered could not be written: the thread of the broker died of it."""
    base, client = watching.service.store.base, Client(broker.port, "other", ("saafe/#",))
    watching.service.listeners.insert(0, lambda _: base.execute("PRAGMA query_only = 1"))
    burn(client, "zigbee2mqtt/kitchen")
    eventually(lambda: "cannot be written" in watching.service.trouble)
    burn(client, "zigbee2mqtt/hall")
    eventually(lambda: {event["space"] for event in client.events()} == {"kitchen", "hall"})
    watching.service.listeners.pop(0)
    base.execute("PRAGMA query_only = 0")
    (event,) = watching.service.store.undelivered()
    assert event["space"] == "kitchen"
    watching.service.store.forget(time.time())  # as once a minute
    assert watching.service.store.undelivered() == []
    client.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_stdout_silences_no_alarm(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker still has the events; where nobody reads stdout, the command ends as others do."""
    full = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    monkeypatch.setattr("sys.stdout", full)
    print_where_possible([{"event": "alarm"}], watching.service)
    assert any("stdout: cannot be written (No space left" in line for line in watching.lines)
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr("sys.stdout", os.fdopen(writing, "w"))
    with pytest.raises(BrokenPipeError):
        print_where_possible([{"event": "alarm"}], watching.service)
    for one in (full, sys.stdout):
        with suppress(OSError):
            one.close()


def test_a_second_process_on_one_base_does_not_leave_the_first_one_offline(
    broker: Mosquitto, watching: Watching
) -> None:
    client = Client(broker.port, "other", ("saafe/status",))
    second = Watching(broker.port, name="second")
    (line,) = eventually(lambda: [one for one in watching.lines if "--base of its own" in one])
    assert 'another process says "online" there' in line, "as people write it, not as Python does"
    second.close()
    eventually(lambda: b"offline" in [payload for _, payload, _ in client.came])
    eventually(lambda: client.last("saafe/status") == b"online")
    time.sleep(0.3)
    late = Client(broker.port, "late", ("saafe/status",))
    eventually(lambda: late.last("saafe/status") == b"online")
    assert sum("--base of its own" in line for line in watching.lines) == 1
    before = len(client.came)
    watching.close()  # its own "offline" stands
    eventually(lambda: len(client.came) > before)
    time.sleep(0.3)
    assert client.last("saafe/status") == b"offline"
    for one in (client, late):
        one.close()


def test_a_lost_connection_is_not_taken_for_another_process(
    broker: Mosquitto, watching: Watching
) -> None:
    client = Client(broker.port, "other", ("saafe/status",))
    watching.link.client.socket().shutdown(2)  # type: ignore[union-attr]
    eventually(lambda: b"offline" in [payload for _, payload, _ in client.came], 30.0)  # the will
    eventually(lambda: client.last("saafe/status") == b"online", 30.0)
    time.sleep(0.3)
    assert not any("--base" in line for line in watching.lines)
    client.close()


def test_two_bases_on_one_home_assistant_name_their_devices_apart() -> None:
    """The same topic of discovery: the second took the first one's smoke sensor away."""
    bases = ("saafe", "saafe-vind", "saafe_vind", "saafe/vind", "a")
    spaces = ("kitchen", "vind_kitchen", "Küche oben")
    found = [
        (topic, config["unique_id"], *config["device"]["identifiers"])
        for base in bases for space in spaces
        for topic, config in discovery_messages(base, "homeassistant", f"{base}/status", space)
    ]  # fmt: skip
    count = 5 * len(bases) * len(spaces)
    assert len({topic for topic, *_ in found}) == len({one[1] for one in found}) == count
    assert len({one[2] for one in found}) == count // 5
    assert found[0] == (
        "homeassistant/binary_sensor/saafe_kitchen/smoke/config", "saafe_kitchen_smoke",
        "saafe_kitchen",
    )  # fmt: skip
    assert all(re.fullmatch(r"[\w/-]+", topic) for topic, *_ in found)


def test_home_assistant_is_told_where_a_device_comes_from_and_what_is_of_its_upkeep() -> None:
    """It logs and shows the origin; a sensor's fault stood among what a room is asked for."""
    said = discovery_messages("saafe", "homeassistant", "saafe/status", "kitchen")
    assert len(said) == 5
    for topic, config in said:
        assert config["origin"] == {"name": "saafe", "sw_version": __version__}
        is_fault = topic.endswith("/fault/config")
        assert config.get("entity_category") == ("diagnostic" if is_fault else None), topic


@pytest.mark.parametrize("is_read", [False, True])
def test_where_nothing_is_read_it_is_said_once(
    broker: Mosquitto, watching: Watching, is_read: bool
) -> None:
    client = Client(broker.port, "other")
    client.send("esp/sensor/wifi_signal/state", "-70")
    client.send("zigbee2mqtt/lamp", {"brightness": 200})
    if is_read:
        client.send("zigbee2mqtt/den", {"temperature": 21})
    eventually(lambda: watching.refused("no channel") == 2)
    if is_read:
        eventually(lambda: watching.service.fleet.spaces)
        assert watching.link.doubt_s == float("inf")
    else:
        watching.link.doubt_s = watching.service.clock_s()  # the minute is over
        eventually(lambda: any("no reading within a minute" in one for one in watching.lines))
    time.sleep(2.5)
    said = [line for line in watching.lines if "no reading within a minute" in line]
    assert len(said) == (0 if is_read else 1)
    assert all("2 topics passed over, such as esp/sensor/wifi_signal/state" in one for one in said)
    client.close()


@pytest.mark.slow
def test_detect_listens_to_the_topics_of_every_preset_and_says_so(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """Only those of the last one were watched."""
    url = f"mqtt://127.0.0.1:{broker.port}"
    presets = ("--preset", "zigbee2mqtt", "--preset", "esphome")
    with processes() as running:
        running.append(Process("detect", url, *presets, cwd=tmp_path))
        running[-1].said("connected; listens to zigbee2mqtt/+, zigbee2mqtt/+/+, +/sensor/+/state")


MESSAGES = [
    ("zigbee2mqtt/den", '{"temperature": 21.5, "co2": 600, "battery": 90}', {"temperature", "co2"}),
    ("zigbee2mqtt/home/den", '{"humidity": 40}', {"humidity"}),
    ("esp/sensor/den_temperature/state", "21.5", {"temperature"}),
    ("esp/sensor/pm_2_5um/state", "7", {"pm25"}),
    ("tele/den/SENSOR", '{"BME280": {"Temperature": 70, "Humidity": 40}, "TempUnit": "F"}',
     {"temperature", "humidity"}),
    ("readings/den", '{"temperature": 70, "unit": "°F"}', {"temperature"}),
    ("readings/den", '{"co2": 600, "temperature": {"value": 70, "unit_of_measurement": "F"}}',
     {"temperature", "co2"}),
    ("readings/den", '{"tempinf": 70, "humidityin": 40}', {"temperature", "humidity"}),
    ("readings/den", '{"temperature": 21, "co2": 600, "unit": "F"}', {"temperature", "co2"}),
    ("readings/den", '{"temperature": 21, "temperature_unit": "fahrenheit"}', {"temperature"}),
    ("readings/den", '{"temperature": 21, "unit": "metric"}', {"temperature"}),
    ("readings/home/den", '{"co_ppm": 3, "sound_db": 40}', {"co", "sound"}),
    # a radiator: the room, not what it was set to
    ("zigbee2mqtt/den", '{"max_temperature": 30, "eco_temperature": 17, "local_temperature": 21}',
     {"temperature"}),
    # the plain name is the room, whatever else the device measures
    ("zigbee2mqtt/den", '{"temperature_probe": 80, "temperature": 21.5}', {"temperature"}),
]  # fmt: skip
NOTHING = [
    ("zigbee2mqtt/bridge/state", '{"temperature": 21}', "topic"),
    ("zigbee2mqtt/den/set", '{"temperature": 21}', "topic"),
    ("zigbee2mqtt/den/availability", '{"state": "online"}', "availability"),
    ("zigbee2mqtt/den/availability", "offline", "availability"),  # that nobody has heard
    ("zigbee2mqtt/home/den/availability", '{"state": "offline"}', "availability"),
    ("zigbee2mqtt/den/availability", '{"state"', "payload"),
    ("zigbee2mqtt/lamp", '{"brightness": 200, "state": "ON"}', "no channel"),
    ("zigbee2mqtt/lamp", '{"color_mode": "color_temp", "color_temp": 370}', "no channel"),  # mired
    ("zigbee2mqtt/den", '{"max_temperature": 60, "battery": 90}', "no channel"),
    ("zigbee2mqtt/plug", '{"device_temperature": 61, "power": 3.1}', "no channel"),
    ("esp/sensor/wifi_signal/state", "-70", "no channel"),
    ("zigbee2mqtt/den", "21.5", "payload"),
    ("zigbee2mqtt/den", "", "payload"),
    ("zigbee2mqtt/den", "[1, 2]", "payload"),
    ("readings/den", '{"temperature": ' + "[" * 2000, "payload"),
    ("readings/den", b"\xff\xfe\x00", "payload"),
]


@pytest.mark.parametrize(("topic", "payload", "channels"), MESSAGES)
def test_messages_of_every_kind_are_read(
    broker: Mosquitto, watching: Watching, topic: str, payload: str, channels: set[str]
) -> None:
    client = Client(broker.port, "other")
    client.send(topic, payload)
    (space,) = eventually(lambda: list(watching.service.fleet.spaces.values()))
    from saafe.serving.views import readings_of

    found = {one["channel"]: one["value"] for one in eventually(lambda: readings_of(space, 0.0))}
    assert set(found) == channels
    assert 20.0 < found.get("temperature", 21.0) < 22.0  # degF were turned into degC
    client.close()


def test_messages_that_say_nothing_are_counted_and_make_no_space(
    broker: Mosquitto, watching: Watching
) -> None:
    client = Client(broker.port, "other")
    for topic, payload, _ in NOTHING:
        client.send(topic, payload)
    for reason in {reason for _, _, reason in NOTHING}:
        count = sum(one[2] == reason for one in NOTHING)
        eventually(lambda r=reason, n=count: watching.refused(r) == n)
    assert not watching.service.fleet.spaces
    said = [line for line in watching.lines if "payload" in line]  # of six; a topic once a minute
    topics = ["zigbee2mqtt/den/availability", "zigbee2mqtt/den", "readings/den"]
    assert [line.split(": ")[1] for line in said] == topics
    client.close()


def test_what_was_retained_is_no_reading_of_now(broker: Mosquitto) -> None:
    client = Client(broker.port, "other")
    client.send("zigbee2mqtt/den", {"temperature": 80}, retain=True).wait_for_publish(5.0)
    watching = Watching(broker.port)

    def hears() -> bool:  # again, for it may not have subscribed at the first time
        client.send("zigbee2mqtt/hall", {"temperature": 21}).wait_for_publish(5.0)
        return "hall" in watching.service.fleet.spaces

    eventually(hears)
    assert "den" not in watching.service.fleet.spaces
    watching.close()
    client.close()


@pytest.mark.parametrize("is_away", [False, True])
def test_a_space_that_is_taken_away_leaves_nothing_with_the_broker(
    is_away: bool, broker: Mosquitto, watching: Watching
) -> None:
    client = Client(broker.port, "other", ("saafe/#", "homeassistant/#"))
    burn(client, "zigbee2mqtt/Küche oben")
    client.send("zigbee2mqtt/hall", {"temperature": 21})
    gone, stays = slug("Küche oben"), slug("hall")

    def kept(name: str) -> set[str]:
        late = Client(broker.port, f"late {time.monotonic_ns()}", ("saafe/#", "homeassistant/#"))
        time.sleep(0.5)
        late.close()
        return {t for t, payload, retained in late.came if name in t and retained and payload}

    eventually(lambda: len(kept(gone)) == len(kept(stays)) == 6)
    done: list[str] = []
    if is_away:
        broker.kill(signal.SIGTERM)
    watching.service.forget("Küche oben", done.append)
    eventually(lambda: done)
    assert done == [""]
    if is_away:
        broker.start()
    eventually(lambda: not kept(gone))
    assert len(kept(stays)) == 6
    client.send("zigbee2mqtt/Küche oben", {"temperature": 21})  # a sensor that sends brings it back
    eventually(lambda: len(kept(gone)) == 6)
    client.close()


def test_an_old_reading_that_is_sent_again_is_no_fire_of_now(
    broker: Mosquitto, watching: Watching
) -> None:
    """Two of them alarmed, after the fault that the clock was set back by two hours."""
    client = Client(broker.port, "other")
    client.send("zigbee2mqtt/den", {"temperature": 21})
    for _ in range(2):
        client.send("zigbee2mqtt/den", {"temperature": 70, "last_seen": time.time() - 7200})
        time.sleep(0.6)
    eventually(lambda: watching.refused("late") == 2)
    assert any("7,200 s before the newest of 'den'" in line for line in watching.lines)
    assert watching.service.store.events(limit=9) == []
    client.close()


def test_two_topics_do_not_mix_in_one_channel(broker: Mosquitto, watching: Watching) -> None:
    client = Client(broker.port, "other")
    for k in range(5):
        client.send("esp/sensor/dallas_1_temperature/state", "21")
        client.send("esp/sensor/dallas_2_temperature/state", f"{60 + k}")
    eventually(lambda: watching.refused("second") == 5)
    assert any("name sensors apart" in line for line in watching.lines)
    client.close()


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_a_broker_that_is_killed_again_and_again_loses_no_alarm(
    broker: Mosquitto, watching: Watching, kills: int
) -> None:
    """Sensors go on sending, some while the broker is away; each alarm is told, and once."""
    client = Client(broker.port, "other", ("saafe/spaces/+/event", "saafe/spaces/+/state"))
    names = [f"space{k}" for k in range(12)]
    for round_, number in enumerate([signal.SIGKILL, signal.SIGTERM] * (kills // 2)):
        for name in names:
            hot = names.index(name) < 3 * (round_ + 1)
            for k in range(4):
                temperature = 70 + k if hot and k else 21
                client.send(f"readings/{name}", {"temperature": temperature,
                                                 "time_s": 40 * round_ + 10 * k})  # fmt: skip
            if name == names[6]:
                broker.kill(number)  # in the middle of a round
        broker.start()
        up = watching.link.connection
        eventually(lambda: watching.link.is_up.is_set() and client.client.is_connected(), 30.0)
        assert watching.link.connection >= up
        time.sleep(0.5)
    fleet = watching.service.fleet

    def alarmed() -> bool:
        states = [client.last(f"saafe/spaces/{name}/state") for name in names]
        return all(state and json.loads(state)["smoke"] == "ON" for state in states)

    # the last rounds once more: what the broker itself lost, a sensor says again
    for name in names:
        for k in range(3):
            client.send(f"readings/{name}", {"temperature": 75 + k, "time_s": 1000 + 10 * k})
    eventually(alarmed, 30.0)
    assert all(fleet.spaces[name].detector.space.incident for name in names)
    kept = watching.service.store.events(limit=1000)
    alarms = [event["space"] for event in kept if event["event"] == "alarm"]
    assert sorted(alarms) == sorted(names)  # each space alarmed once
    eventually(lambda: watching.service.store.undelivered() == [], 30.0)
    told = {event["id"] for event in client.events() if event["event"] == "alarm"}
    assert told == {event["id"] for event in kept if event["event"] == "alarm"}
    client.close()


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [False, True], ids=["once it is marked", "at once"])
def test_a_killed_process_neither_loses_nor_doubles_an_alarm(
    broker: Mosquitto, tmp_path: Path, at_once: bool
) -> None:
    """A kill between the broker's word and the mark repeats an event under its own `id`."""
    run = save_run(tmp_path)
    words = ["detect", run, f"mqtt://127.0.0.1:{broker.port}", "--preset", "json"]
    client = Client(broker.port, "other", ("saafe/#",))

    def spaces() -> list[str]:
        told = {event["id"]: event["space"] for event in client.events()}
        return [told[number] for number in sorted(told)]

    with processes() as running:
        running.append(Process(*words, cwd=tmp_path))
        running[-1].said("connected")
        burn(client, "readings/first")
        eventually(lambda: spaces() == ["first"])
        if not at_once:
            time.sleep(3.0)  # its file is its own: nobody else can see the mark
        running[-1].end(signal.SIGKILL)
        eventually(lambda: client.last("saafe/status") == b"offline")  # the will
        burn(client, "readings/second")  # while nobody watches: the broker keeps it
        running.append(Process(*words, cwd=tmp_path))
        running[-1].said("connected")
        eventually(lambda: len(spaces()) == 2)
        for k in range(5):  # the first space burns on
            client.send("readings/first", {"temperature": 75, "time_s": 100 + 10 * k})
        time.sleep(1.0)
        assert spaces() == ["first", "second"]
        if not at_once:
            assert len(client.events()) == 2
        assert [event["space"] for event in running[-1].events()] == ["second"]
        assert running[-1].end() == 0
    client.close()


@pytest.mark.slow
def test_two_workers_share_a_fleet(broker: Mosquitto, tmp_path: Path) -> None:
    """Each message goes to one of them; each space is watched by one and the same."""
    run = save_run(tmp_path)
    client = Client(broker.port, "other", ("saafe/#",))
    names = [f"flat{k}" for k in range(20)]
    with processes() as running:
        for k in (1, 2):
            running.append(
                Process("detect", run, f"mqtt://127.0.0.1:{broker.port}", "--preset", "json",
                        "--worker", f"{k}/2", "--state", f"w{k}.sqlite", cwd=tmp_path)
            )  # fmt: skip
        for one in running:
            one.said("connected")
        eventually(lambda: client.last("saafe/status/2") == b"online")
        for k, temperature in enumerate([21, 21, 21, 70, 71, 72]):
            for name in names:
                client.send(f"readings/{name}", {"temperature": temperature, "time_s": 10 * k})
        eventually(lambda: len(client.events()) == len(names), 40.0)
        time.sleep(1.0)
        assert sorted(event["space"] for event in client.events()) == sorted(names)
        parts = [{event["space"] for event in one.events()} for one in running]
        assert all(len(part) >= 4 for part in parts)
        assert parts[0].isdisjoint(parts[1])
        # a dead worker's readings wait for it
        running[0].end(signal.SIGKILL)
        for name in names:
            client.send(f"readings/{name}", {"temperature": 21, "time_s": 100})
        for name in names:
            for k in range(20):
                client.send(f"readings/{name}", {"temperature": 21, "time_s": 110 + 10 * k})
        running.append(
            Process("detect", run, f"mqtt://127.0.0.1:{broker.port}", "--preset", "json",
                    "--worker", "1/2", "--state", "w1.sqlite", cwd=tmp_path)
        )  # fmt: skip
        clears = lambda: [e["space"] for e in client.events() if e["event"] == "clear"]  # noqa: E731
        eventually(lambda: len(clears()) == len(names), 60.0)
        assert sorted(clears()) == sorted(names)
    client.close()


def test_acknowledgements_while_sensors_come_are_taken(
    broker: Mosquitto, watching: Watching
) -> None:
    """The connection's thread looks at a space that the watching thread changes."""
    client = Client(broker.port, "other")
    client.send("readings/den", {"temperature": 21, "time_s": 0})
    eventually(lambda: "den" in watching.service.fleet.spaces)
    fleet, stopped = watching.service.fleet, threading.Event()
    watched = fleet.spaces["den"].detector.space

    def come_and_go() -> None:
        while not stopped.is_set():
            with watching.service.lock:
                for k in range(200):
                    watched.sensor(f"made-up-{k}")
                for k in range(200):
                    del watched.sensors[f"made-up-{k}"]
            time.sleep(1e-4)  # locks are not fair: under a tracer nobody else ever got it

    thread, before_s = threading.Thread(target=come_and_go), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        message = paho.MQTTMessage(mid=0, topic=b"saafe/spaces/den/acknowledge")
        for _ in range(200):
            watching.link._on_message(watching.link.client, None, message)
    finally:
        sys.setswitchinterval(before_s)
        stopped.set()
        thread.join()
    assert watching.refused("internal") == 0
    client.close()


def test_an_acknowledgement_that_finds_no_room_is_said_and_done_with(
    broker: Mosquitto, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker kept it, and brought it on a later connection, where it ended another alarm."""
    client, link, done = Client(broker.port, "other"), watching.link, []
    client.send("readings/den", {"temperature": 21, "time_s": 0})
    eventually(lambda: "den" in watching.service.fleet.spaces)
    monkeypatch.setattr(watching.service, "offer", lambda *_words, **_more: False)
    monkeypatch.setattr(link.client, "ack", lambda mid, qos: done.append((mid, qos)))
    message = paho.MQTTMessage(mid=7, topic=b"saafe/spaces/den/acknowledge")
    message.qos = 1
    link._on_message(link.client, None, message)
    assert done == [(7, 1)]
    assert any("den: too much waits: acknowledge it again" in line for line in watching.lines)
    client.close()


def test_topics_that_tell_nothing_fill_no_memory(broker: Mosquitto, watching: Watching) -> None:
    for k in range(3):
        message = paho.MQTTMessage(mid=0, topic=b"%d" % k + 60_000 * b"x")
        watching.link._on_message(watching.link.client, None, message)
    assert [len(topic) for topic in watching.link.passed] == 3 * [500]


def test_an_acknowledgement_that_the_broker_kept_meanwhile_is_taken(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """It came before the first state was published, and was passed over without a word."""
    client = Client(broker.port, "other", ("saafe/#",))
    names = [f"den {k}" for k in range(30)]

    def spaces(kind: str) -> set[str]:
        return {event["space"] for event in client.events() if event["event"] == kind}

    first = Watching(broker.port, tmp_path / "s.sqlite")
    for name in names:
        burn(client, f"readings/{name}")
    eventually(lambda: spaces("alarm") == set(names))
    first.close()
    for name in names:
        client.send(f"saafe/spaces/{slug(name)}/acknowledge", "PRESS").wait_for_publish(10.0)
    client.send("saafe/spaces/attic/acknowledge", "PRESS")  # nobody's
    second = Watching(broker.port, tmp_path / "s.sqlite")
    eventually(lambda: spaces("clear") == set(names))
    eventually(lambda: any("attic: no such space" in line for line in second.lines))
    second.close()
    client.close()


def test_the_retained_state_says_that_it_is_quiet_no_more(
    broker: Mosquitto, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went on to name a moment in the past, where HTTP says null."""
    monkeypatch.setattr(mqtt, "REFRESH_S", 0.1)
    client = Client(broker.port, "other", ("saafe/#",))
    burn(client, "readings/den")
    eventually(client.events)
    client.send("saafe/spaces/den/acknowledge", "PRESS")

    def until() -> str | None:
        return json.loads(client.last("saafe/spaces/den/state") or b"{}").get("acknowledged_until")

    eventually(until)
    with watching.service.lock:
        for one in watching.service.fleet.spaces["den"].detector.space.sensors.values():
            one.alarm.hushed_until_s -= 600.0  # the ten minutes are over
    eventually(lambda: until() is None)
    client.close()


def test_an_offline_that_the_broker_sends_again_is_none(broker: Mosquitto, tmp_path: Path) -> None:
    """As after a lost acknowledgement: the reading that had come since is dropped as repeated."""
    watching = Watching(broker.port, tmp_path / "s.sqlite")
    said = [("availability", b"offline"), ("", b'{"temperature": 21}')]

    def send(*, dup: bool) -> None:
        for last, payload in said:
            topic = "/".join(["zigbee2mqtt/den", *([last] if last else [])])
            message = SimpleNamespace(topic=topic, payload=payload, retain=False, dup=dup)
            watching.link._take(message, topic, lambda _: None)

    def events() -> list[str]:
        return [event["event"] for event in watching.service.store.events()]

    watching.link._take(
        SimpleNamespace(topic="zigbee2mqtt/den", payload=b'{"temperature": 20}', retain=False,
                        dup=False), "zigbee2mqtt/den", lambda _: None,
    )  # fmt: skip
    send(dup=False)
    eventually(lambda: events() == ["fault", "restored"])
    send(dup=True)
    time.sleep(1.0)
    assert events() == ["fault", "restored"]
    watching.close()


@pytest.mark.parametrize("payload", ["offline", '{"state": "offline"}'])
def test_a_sensor_of_which_its_bridge_says_that_it_is_offline_is_silent(
    broker: Mosquitto, tmp_path: Path, payload: str
) -> None:
    """It stayed calm for as long as the device may pause. Only a reading says that it is back."""
    client, state = Client(broker.port, "other", ("saafe/#",)), tmp_path / "s.sqlite"
    names = ("den", "home/den")
    # of some time ago: the sensor has sent since
    client.send("zigbee2mqtt/den/availability", payload, retain=True).wait_for_publish(5.0)
    watching = Watching(broker.port, state)

    def faults(one: Watching) -> dict[str, list[dict]]:
        with one.service.lock:
            spaces = one.service.fleet.spaces
            return {name: faults_of(space) for name, space in spaces.items()}

    def offline(one: Watching) -> float:
        return one.service.counters.offline._value.get()

    def send(text: str) -> None:
        for name in names:
            client.send(f"zigbee2mqtt/{name}/availability", text, retain=True)

    def read() -> None:
        for name in names:
            client.send(f"zigbee2mqtt/{name}", {"temperature": 21})

    silent = {"den": "den", "home": "den"}
    is_away = {
        space: [{"sensor": sensor, "channel": "all", "reason": "silent"}]
        for space, sensor in silent.items()
    }
    read()
    eventually(lambda: faults(watching) == {"den": [], "home": []})
    send(payload)
    eventually(lambda: faults(watching) == is_away)
    eventually(lambda: offline(watching) == 2)
    assert watching.refused("availability") == 0
    eventually(
        lambda: json.loads(client.last("saafe/spaces/den/state") or b"{}").get("fault") == "ON"
    )
    watching.close()
    watching = Watching(broker.port, state)  # it stands
    assert faults(watching) == is_away
    send("online")
    eventually(lambda: watching.refused("availability") == 2)
    send(payload)
    eventually(lambda: offline(watching) == 2)
    assert watching.refused("availability") == 2, "what was taken was not refused"
    assert faults(watching) == is_away
    read()
    eventually(lambda: faults(watching) == {"den": [], "home": []})
    events = watching.service.store.events()
    assert [event["event"] for event in events] == 2 * ["fault"] + 2 * ["restored"]
    watching.close()
    client.close()


# --- fuzzing


FUZZED_TOPICS = [
    "zigbee2mqtt/a", "readings/a/availability", "readings/a/b", "e/sensor/temperature/state",
    "tele/x/SENSOR", "saafe/spaces/a/acknowledge", "readings/" + "x" * 300, "readings/\x7f",
]  # fmt: skip
FUZZED_PAYLOADS = [
    '{"temperature": 21}', '{"temperature": "21,5"}', '{"temperature": 1e999}', "NaN", "1e400",
    '{"temperature": {"temperature": {"temperature": 21}}}', '{"co2": -99, "time_s": "x"}',
    '{"time_s": 1e15, "co": 1}', '{"time": "9999-12-31T23:59:60Z", "co": 1}', "null", '"',
    '{"temperature": ' + "9" * 5000 + "}", '{"pm25": [1, 2]}', '{"pm25": true}', '{"": 1}',
    '{"temperature": null}', '{"state": "offline"}', "offline",
    "{" * 500, '{"co": "' + "x" * 1000 + '"}',
]  # fmt: skip


def fuzzed(rng: random.Random) -> tuple[bytes, bytes]:
    """A topic and a payload that somebody might send."""
    topic, data = (
        rng.choice(FUZZED_TOPICS).encode(),
        bytearray(rng.choice(FUZZED_PAYLOADS).encode()),
    )
    for _ in range(rng.choice([0, 0, 1, 3])):
        at = rng.randrange(len(data) + 1)
        data[at:at] = bytes([rng.randrange(256)])
    if rng.random() < 0.1:
        data = bytearray(rng.randbytes(rng.randrange(200)))
    return (topic + rng.randbytes(2) if rng.random() < 0.05 else topic), bytes(data)


def fuzz(watching: Watching, count: int) -> None:
    rng = random.Random(0)
    for _ in range(count):
        topic, payload = fuzzed(rng)
        message = paho.MQTTMessage(mid=0, topic=topic)
        message.payload = payload
        watching.acknowledgements += topic == b"saafe/spaces/a/acknowledge"
        watching.link._on_message(watching.link.client, None, message)
    reasons = (
        "payload", "no channel", "topic", "reading", "second", "internal", "repeated", "own topic",
        "late", "availability",
    )  # fmt: skip

    def counted() -> dict[str, float]:
        by_reason = {r: watching.refused(r) for r in reasons}
        counters = watching.service.counters
        taken = {"taken": counters.readings, "offline": counters.offline}
        by_reason |= {name: counter._value.get() for name, counter in taken.items()}
        return by_reason | {"acknowledgements": watching.acknowledgements}

    with suppress(AssertionError):
        eventually(lambda: sum(counted().values()) >= count, 120.0)
    assert sum(counted().values()) == count, f"each once: {counted()}"
    assert watching.refused("internal") == 0
    assert watching.service.thread.is_alive()
    assert len(watching.lines) <= 30  # five a kind and minute, whatever comes


def test_fuzzed_payloads_are_counted_and_nothing_breaks(
    broker: Mosquitto, watching: Watching
) -> None:
    fuzz(watching, 3000)
    client = Client(broker.port, "other", ("saafe/spaces/+/event",))
    for k in range(200):  # and through the broker
        client.send("readings/a/b", fuzzed(random.Random(k))[1])
    burn(client, "zigbee2mqtt/healthy")
    eventually(lambda: any(event["space"] == "healthy" for event in client.events()))
    client.close()


@pytest.mark.slow
def test_a_hundred_thousand_fuzzed_payloads(watching: Watching) -> None:
    fuzz(watching, 100_000)


# --- getting in


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho's socket
def test_certificates_and_passwords(tmp_path: Path) -> None:
    if not shutil.which("openssl") or not shutil.which("mosquitto_passwd"):
        pytest.skip("needs openssl and mosquitto_passwd")
    folder = tmp_path / "broker"
    folder.mkdir()

    def openssl(words: str) -> None:
        subprocess.run(["openssl", *words.split()], check=True, capture_output=True, cwd=folder)

    openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-CA"
    )
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl(f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
        openssl(f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial"
                f" -out {name}.crt -days 2 -extfile ext")  # fmt: skip
    for path in folder.iterdir():
        path.chmod(0o644)
    subprocess.run(["mosquitto_passwd", "-b", "-c", folder / "users", "saafe", "s3cret"],
                   check=True, capture_output=True)  # fmt: skip
    (folder / "users").chmod(0o644)
    broker = Mosquitto(
        folder, "allow_anonymous false", f"password_file {folder}/users", f"cafile {folder}/ca.crt",
        f"certfile {folder}/server.crt", f"keyfile {folder}/server.key", "require_certificate true",
    )  # fmt: skip
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "wrong").write_text("other\n")
    files = {"ca": folder / "ca.crt", "cert": folder / "client.crt", "key": folder / "client.key"}

    def link(url: str, **more) -> MqttLink:
        service = Service(Fleet(CALM), Store(":memory:"), Notes(lambda _line: None))
        topics = Topics((), ("json",))
        return MqttLink(service, find_broker(url, **more), MqttOptions(topics=topics))

    url = f"mqtts://saafe@127.0.0.1:{broker.port}"
    good = link(url, password_file=tmp_path / "password", **files)
    good.start()
    assert good.is_up.is_set()
    good.stop()
    with pytest.raises(InputError, match="does not let us in"):
        link(url, password_file=tmp_path / "wrong", **files).start()
    with pytest.raises(InputError, match="TLS failed"):
        link(url, password_file=tmp_path / "password").start()
    broker.kill()


def test_a_broker_that_is_away_at_first_is_waited_for(broker: Mosquitto) -> None:
    broker.kill()
    watching = Watching(broker.port)
    assert any("trying again" in line for line in watching.lines)
    broker.start()
    eventually(watching.link.is_up.is_set, 30.0)
    client = Client(broker.port, "other", ("saafe/#",))
    burn(client, "readings/den")
    eventually(client.events)
    watching.close()
    client.close()
