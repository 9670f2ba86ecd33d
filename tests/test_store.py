"""What outlives the process: whole transactions, what stands, what is told, what is forgotten."""

import sqlite3
from pathlib import Path

import pytest

from saafe.errors import InputError
from saafe.serving import store as stores
from saafe.serving.fleet import Arrival
from saafe.serving.store import KEPT_S, Store


def event(kind: str, number: float, sensor: str = "A", **more: object) -> dict:
    return {"event": kind, "time_s": number, "space": "home", "sensor": sensor, **more}


def arrival(arrived_s: float, **cells: str) -> Arrival:
    return Arrival("home", "A", cells, arrived_s)


def test_what_is_not_told_waits_also_over_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "state", delivers=True)
    first, second = store.commit([], [event("alarm", 1.0, risk=99.0), event("clear", 2.0)])
    assert [one["id"] for one in store.undelivered()] == [first["id"], second["id"]]
    store.delivered(first["id"])
    store.close()
    again = Store(tmp_path / "state", delivers=True)
    assert again.undelivered() == [second]
    assert again.events() == [first, second]
    again.close()


def test_what_was_told_while_nothing_could_be_written_is_noted_later(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite", delivers=True)
    events = store.commit([], [event("alarm", 1.0), event("clear", 2.0), event("fault", 3.0)])
    store.base.execute("PRAGMA query_only = 1")  # as a full disk
    with pytest.raises(sqlite3.Error):
        store.delivered(events[0]["id"])
    store.base.execute("PRAGMA query_only = 0")
    store.delivered(events[2]["id"])
    assert store.undelivered() == [events[1]]


def test_without_anybody_to_tell_nothing_waits() -> None:
    store = Store(":memory:")
    store.commit([], [event("alarm", 1.0, risk=99.0)])
    assert store.undelivered() == []


def test_what_has_begun_stands_until_it_ends() -> None:
    store = Store(":memory:")
    begun = [
        event("alarm", 1.0, risk=99.0), event("fault", 2.0, channel="co", reason="stuck"),
        event("fault", 3.0, channel="all", reason="silent"), event("warning", 4.0, risk=60.0),
    ]  # fmt: skip
    store.commit([], begun)
    assert sorted(one["time_s"] for one in store.standing()) == [1.0, 2.0, 3.0]
    store.commit([], [event("restored", 5.0, channel="co", reason="stuck")])
    assert sorted(one["time_s"] for one in store.standing()) == [1.0, 3.0]
    store.commit([], [event("clear", 6.0, risk=1.0)])
    assert [one["time_s"] for one in store.standing()] == [3.0]


@pytest.mark.parametrize("name", ["home", "den"])
def test_a_space_is_forgotten_and_numbers_go_on(name: str, tmp_path: Path) -> None:
    """A number that came again would hide a reading from the state of another space."""
    store = Store(tmp_path / "state", delivers=True)
    begun = event("fault", 2.0, channel="co", reason="stuck")
    for space in ("den", "home"):  # whose readings are the newest
        told = store.commit(
            [arrival(1.0, temperature_c="20")._replace(space=space)],
            [event("alarm", 1.0, risk=99.0) | {"space": space}, begun | {"space": space}],
        )
        store.save_states([(space, {})])
    store.forget_space(name)
    other = {"home": "den", "den": "home"}[name]
    store.close()
    store = Store(tmp_path / "state", delivers=True)
    for known in (store.events(), store.standing(), store.undelivered()):
        assert {one["space"] for one in known} == {other}
    assert [one.space for _, one in store.readings(0.0)] == [other]
    assert [space for space, *_ in store.states()] == [other]
    assert store.last == 2
    (new,) = store.commit([arrival(3.0, temperature_c="20")], [event("alarm", 3.0, risk=99.0)])
    assert new["id"] == told[-1]["id"] + 1
    assert store.last == 3
    store.close()


def test_all_is_written_or_nothing() -> None:
    store = Store(":memory:")

    def fails(_base: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError):
        store.commit([arrival(1.0, co="2")], [event("alarm", 1.0, risk=99.0)], fails)
    assert store.events() == store.standing() == list(store.readings(0.0)) == []
    assert store.last == 0


def test_readings_that_no_window_sees_are_forgotten_and_numbers_go_on() -> None:
    store = Store(":memory:")
    store.commit([arrival(at, co=f"{at:g}") for at in (0.0, 10.0, 20.0)], [])
    store.forget(KEPT_S + 10.0)
    assert [one.arrived_s for _, one in store.readings(0.0)] == [10.0, 20.0]
    store.forget(1e9)  # the newest one stays
    assert [(number, one.arrived_s) for number, one in store.readings(0.0)] == [(3, 20.0)]
    store.commit([arrival(30.0, co="1")], [])
    assert store.last == 4


def test_the_oldest_of_too_many_events_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "KEPT_EVENTS", 3)
    store = Store(":memory:")
    store.commit([], [event("warning", float(k), risk=50.0) for k in range(5)])
    store.forget(0.0)
    assert [one["time_s"] for one in store.events()] == [2.0, 3.0, 4.0]
    assert [one["time_s"] for one in store.events(newest=True, limit=2)] == [4.0, 3.0]
    assert [one["time_s"] for one in store.events(after=4)] == [4.0]
    assert store.events(space="elsewhere") == []


KINDS = ("alarm", "clear", "warning", "fault", "restored", "of a later version")


@pytest.mark.parametrize("many", KINDS)
@pytest.mark.parametrize("delivers", [False, True])
def test_no_kind_of_event_takes_the_place_of_another(
    many: str, delivers: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Faults come by the thousand in a day, and alarms once a year."""
    monkeypatch.setattr(stores, "KEPT_EVENTS", 3)
    store = Store(tmp_path / "state", delivers=delivers)
    store.commit([], [event(kind, float(k)) for k, kind in enumerate(KINDS)])
    store.commit([], [event(many, 100.0 + k) for k in range(9)])
    store.forget(0.0)
    store.close()
    store = Store(tmp_path / "state", delivers=delivers)
    store.forget(0.0)
    kept = [(one["event"], one["time_s"]) for one in store.events()]
    rare = [(kind, float(k)) for k, kind in enumerate(KINDS) if kind != many]
    assert kept == [*rare, *((many, 100.0 + k) for k in (6, 7, 8))]
    assert [one["id"] for one in store.undelivered()] == (
        [one["id"] for one in store.events()] if delivers else []
    )
    store.close()


def test_a_flapping_sensor_hides_no_alarm_among_the_newest() -> None:
    store = Store(":memory:")
    place = {"space": "den", "sensor": "A", "time_s": 1.0}
    alarms = [{"event": kind, **place} for kind in ("alarm", "clear")]
    flaps = [{"event": kind, **place} for kind in ("fault", "restored")]
    store.commit([], [*alarms, {"event": "alarm", **place, "space": "hall"}])
    for _ in range(300):
        store.commit([], flaps)
    found = store.newest_of_each_kind(limit=10)
    assert [one["event"] for one in found] == ["restored", "fault"] * 10 + [
        "alarm", "clear", "alarm",
    ]  # fmt: skip
    assert [one["id"] for one in found] == sorted((one["id"] for one in found), reverse=True)
    of_den = store.newest_of_each_kind(limit=1, space="den")
    assert [one["event"] for one in of_den] == ["restored", "fault", "clear", "alarm"]
    later = store.newest_of_each_kind(after=2, limit=1)
    assert [one["event"] for one in later] == ["restored", "fault", "alarm"]
    assert [one["id"] for one in store.events(kind="alarm")] == [1, 3]
    assert len(store.events(limit=1000)) == 603, "all are kept"
    store.close()


def test_a_file_of_another_saafe_is_left_alone(tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "state")
    base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(InputError, match="was written by another saafe; choose another --state"):
        Store(tmp_path / "state")
