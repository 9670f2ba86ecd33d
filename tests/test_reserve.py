"""Events that a full disk refuses outlive a kill, each once, with a real broker too."""

import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from serving_fixtures import CALM, Client, Mosquitto, eventually, looks_often, needs_mosquitto  # noqa: F401
from test_mqtt import Watching
from test_service import NOW_S, fed, kill, made, rows

from saafe.serving import reserve
from saafe.serving.day_files import DayFiles
from saafe.serving.fleet import Arrival, Fleet
from saafe.serving.notes import Notes
from saafe.serving.quiet import QuietDays
from saafe.serving.reserve import Reserve
from saafe.serving.service import Service
from saafe.serving.store import Store


def event(space: str, kind: str = "alarm") -> dict:
    return {"event": kind, "space": space, "sensor": "A", "time_s": 1.0, "risk": 9.0}


def spaces(left: list[tuple[dict, bool]]) -> list[tuple[str, bool]]:
    return [(one["space"], is_told) for one, is_told in left]


def test_what_is_put_in_is_there_after_a_kill(tmp_path: Path) -> None:
    first, some = Reserve(tmp_path / "r"), [event("kitchen"), event("K\u00fcche \n"), event("den")]
    first.add(some)
    first.add(some[1:])  # are in it
    first.told(some[1])
    first.told(event("den"))  # another one
    assert (tmp_path / "r").stat().st_size == reserve.RESERVED
    second = Reserve(tmp_path / "r")
    assert [one for one, _ in second.left()] == some
    assert spaces(second.left())[1:] == [("K\u00fcche \n", True), ("den", False)]
    second.clear()
    second.add([event("bath")])
    assert spaces(Reserve(tmp_path / "r").left()) == [("bath", False)]
    assert os.stat(tmp_path / "r").st_blocks * 512 >= reserve.RESERVED, "its room is taken"
    for one in (first, second):
        one.close()


def test_what_has_no_room_is_counted_and_damage_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "RESERVED", 500)
    one = Reserve(tmp_path / "r")
    one.add([event(f"s{k}") for k in range(10)])
    assert 0 < one.lost == 10 - len(one.left())
    data = bytearray((tmp_path / "r").read_bytes())
    data[5] ^= 0xFF
    (tmp_path / "r").write_bytes(bytes(data))
    assert [name for name, _ in spaces(one.left())] == [f"s{k}" for k in range(1, 10 - one.lost)]
    one.close()
    for path in (None, tmp_path / "absent" / "r"):
        without = Reserve(path)
        without.add([event("den")])
        assert (without.lost, without.left()) == (1, [])
        without.clear()


@pytest.mark.parametrize("delivers", [False, True])
def test_a_store_goes_on_with_what_its_disk_refused(delivers: bool, tmp_path: Path) -> None:
    """A kill between the two files makes nothing double; numbers go on."""
    path = tmp_path / "s.sqlite"
    first, some = Store(path, delivers=delivers), [event("den"), event("hall"), event("bath")]
    first.base.execute("PRAGMA query_only = 1")  # as a full disk
    for one in some:
        with pytest.raises(sqlite3.OperationalError):
            first.commit([], [one])
    first.reserve.told(some[1])
    kept = (tmp_path / "s.sqlite-reserve").read_bytes()
    first.base.close()  # as a kill
    for _ in range(2):
        second = Store(path, delivers=delivers)
        assert [(one["id"], one["space"]) for one in second.events()] == [
            (1, "den"), (2, "hall"), (3, "bath"),
        ]  # fmt: skip
        assert [one["space"] for one in second.standing()] == ["bath", "den", "hall"]
        assert [one["space"] for one in second.undelivered()] == ["den", "bath"] * delivers
        assert second.reserve.left() == second.left == []
        second.close()
        (tmp_path / "s.sqlite-reserve").write_bytes(kept)


def opened_on_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as context:
        context.setattr(Store, "_keep", full)
        store = Store(path, delivers=True)
    store.base.execute("PRAGMA query_only = 1")
    return store


def test_a_restart_on_a_disk_that_is_still_full_tells_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, some = tmp_path / "s.sqlite", [event("den"), event("hall"), event("hall", "clear")]
    first = Store(path, delivers=True)
    first.base.execute("PRAGMA query_only = 1")
    with pytest.raises(sqlite3.OperationalError):
        first.commit([], some)
    first.reserve.told(some[0])
    first.base.close()  # as a kill
    for _ in range(2):
        again = opened_on_a_full_disk(path, monkeypatch)
        assert again.left == some[1:]
        assert again.standing() == some[:1]
        with pytest.raises(sqlite3.OperationalError):
            again.commit([], again.left)
        assert [one for one, _ in again.reserve.left()] == some, "each is in it once"
        again.base.close()
    again = opened_on_a_full_disk(path, monkeypatch)
    again.reserve.told(again.left[0])
    again.base.close()
    last = Store(path, delivers=True)
    assert [one["event"] for one in last.events()] == ["alarm", "alarm", "clear"]
    assert [(one["space"], one["event"]) for one in last.undelivered()] == [("hall", "clear")]
    last.close()


@pytest.mark.parametrize("is_told", [True, False])
def test_an_alarm_stands_after_a_restart_on_a_disk_that_is_still_full(
    is_told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was said again, never cleared, and with `--keep` nobody watched any more."""
    first = made(tmp_path / "s.sqlite")
    first.start()
    first.store.base.execute("PRAGMA query_only = 1")
    fed(first, rows([21.0, 70.0, 71.0], NOW_S))
    if is_told:
        first.store.reserve.told(first.store.late[0])
    kill(first)
    store, notes, said = opened_on_a_full_disk(tmp_path / "s.sqlite", monkeypatch), [], []
    second = Service(Fleet(CALM), store, Notes(notes.append), first.clock_s)
    store.base.execute("PRAGMA query_only = 0")
    second.quiet = QuietDays(DayFiles(tmp_path / "days", 3), store, second.notes)
    store.base.execute("PRAGMA query_only = 1")
    second.restore()
    second.listeners.append(said.extend)
    second.start()
    fed(second, rows([21.0] * 40, NOW_S + 30.0))
    second.stop()
    assert second.failed is None
    assert [one["event"] for one in said] == ["alarm"] * (not is_told) + ["clear"]


def test_many_events_that_were_left_are_kept_at_once(tmp_path: Path) -> None:
    """Each was looked for in all events of its space: a restart took minutes."""
    store = Store(tmp_path / "s.sqlite", delivers=True)
    store.commit([], [{**event("den", "fault"), "time_s": float(k)} for k in range(20_000)])
    store.reserve.add([{**event("den", "fault"), "time_s": -float(k)} for k in range(1, 3000)])
    store.base.close()
    began_s = time.perf_counter()
    store = Store(tmp_path / "s.sqlite", delivers=True)
    assert time.perf_counter() - began_s < 3.0, "it took 6 s"
    assert len(store.undelivered()) == 22_999
    store.close()


HEATING = ((0.0, "21"), (10.0, "70"), (20.0, "71"))  # to an alarm by the fixed rule


def offer(service: Service, space: str, time_s: float, temperature: str) -> None:
    cells = {"temperature_c": temperature, "time_s": str(time_s)}
    arrival = Arrival(space, "A", cells, service.clock_s())
    assert service.offer(arrival, lambda _: None, wait_s=5.0)


@needs_mosquitto
@pytest.mark.parametrize("is_away", [True, False])
def test_a_full_disk_a_broker_that_is_away_and_a_kill_lose_no_alarm(
    is_away: bool, tmp_path: Path
) -> None:
    """Six of six were lost: the queue was in memory. What the broker has is not told again."""
    broker = Mosquitto(tmp_path / "broker")
    client = Client(broker.port, "other", ("saafe/#",))
    first = Watching(broker.port, tmp_path / "s.sqlite")
    if is_away:
        broker.kill(signal.SIGTERM)
        eventually(lambda: not first.link.is_up.is_set())
    service = first.service
    service.store.base.execute("PRAGMA query_only = 1")  # as a full disk
    names = [f"hall {k}" for k in range(6)]
    for name in names:
        for time_s, temperature in HEATING:
            offer(service, name, time_s, temperature)
    eventually(lambda: len(service.store.reserve.events) == 6)
    assert "cannot be written" in service.trouble
    if not is_away:
        eventually(lambda: all(told for _, told in service.store.reserve.left()))
    first.link.stop()
    service.is_stopping.set()
    service.thread.join()
    service.store.base.close()  # as a kill
    if is_away:
        broker.start()
    second = Watching(broker.port, tmp_path / "s.sqlite")
    eventually(lambda: len(client.events()) >= 6)
    time.sleep(1.0)
    assert sorted(one["space"] for one in client.events()) == names, "each once"
    stands = {one["space"] for one in second.service.store.standing()}
    assert stands == set(second.service.fleet.spaces) == set(names)
    assert second.service.store.undelivered() == []
    second.close()
    client.close()
    broker.kill()


@needs_mosquitto
@pytest.mark.parametrize("is_killed", [True, False])
def test_room_that_is_made_while_the_broker_is_away_costs_no_alarm(
    is_killed: bool, tmp_path: Path
) -> None:
    """Once there was room it was kept as told, which it was not: a kill lost it."""
    broker = Mosquitto(tmp_path / "broker")
    client = Client(broker.port, "other", ("saafe/#",))
    one = Watching(broker.port, tmp_path / "s.sqlite")
    broker.kill(signal.SIGTERM)
    eventually(lambda: not one.link.is_up.is_set())
    service, base = one.service, one.service.store.base
    base.execute("PRAGMA query_only = 1")  # as a full disk
    for time_s, temperature in HEATING:
        offer(service, "hall", time_s, temperature)
    eventually(lambda: service.store.late)
    base.execute("PRAGMA query_only = 0")
    offer(service, "hall", 30.0, "71")
    eventually(lambda: not service.store.late)
    if is_killed:
        one.link.stop()
        service.is_stopping.set()
        service.thread.join()
        base.close()
        broker.start()
        one = Watching(broker.port, tmp_path / "s.sqlite")
    else:
        broker.start()
    eventually(client.events)
    time.sleep(1.0)
    assert [event["event"] for event in client.events()] == ["alarm"], "once"
    assert one.service.store.undelivered() == []
    one.close()
    client.close()
    broker.kill()
