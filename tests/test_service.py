"""What a service has taken it keeps: over stops, kills and a full disk."""

import errno
import gc
import queue
import re
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from serving_fixtures import looks_often  # noqa: F401

from saafe.detector import AlarmSettings, Scorer
from saafe.errors import InputError
from saafe.serving import service as service_module
from saafe.serving import views
from saafe.serving.day_files import DayFiles
from saafe.serving.fleet import Arrival, Fleet
from saafe.serving.notes import Notes
from saafe.serving.quiet import QuietDays
from saafe.serving.service import Service
from saafe.serving.store import INDEXES, WATCHED_TABLE, Store

CALM = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())


NOW_S = 1.7e9


class Time:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def made(path: Path | str = ":memory:", model: Scorer = CALM, lines: list[str] | None = None):
    notes = Notes(([] if lines is None else lines).append)
    return Service(Fleet(model), Store(path), notes, Time())


def fed(service: Service, readings: list[Arrival]) -> None:
    """Give readings to a service that runs, each at its time and as the one before is safe."""
    said: queue.Queue[str] = queue.Queue()
    for one in readings:
        service.clock_s.now_s = max(one.arrived_s, service.clock_s.now_s)
        assert service.offer(one, said.put, wait_s=5.0)
        assert said.get(timeout=10.0) == ""


def wait(service: Service, seconds: float) -> None:
    """Let the service's clock go on, and the service notice it: the turn it is in, and two more."""
    turns, gather = threading.Semaphore(0), service._gather

    def counted() -> list[Any]:
        turns.release()
        return gather()

    service.clock_s.now_s += seconds
    service._gather = counted  # type: ignore[method-assign]
    assert all(turns.acquire(timeout=10.0) for _ in range(3))
    service._gather = gather  # type: ignore[method-assign]


def rows(temperatures: list[float], start_s: float, space: str = "den") -> list[Arrival]:
    return [
        Arrival(space, "A", {"temperature_c": f"{t}"}, start_s + 10 * k)
        for k, t in enumerate(temperatures)
    ]


def kinds(service: Service) -> list[str]:
    return [event["event"] for event in service.store.events()]


def kill(service: Service) -> None:
    """End its thread, and leave its file as a kill does."""
    service.store.save_states = lambda states: None  # type: ignore[method-assign]
    service.is_stopping.set()
    service.thread.join()
    service.store.base.close()


def stop(service: Service) -> None:
    """End it as SIGTERM does: states are kept."""
    service.stop()


ENDS = pytest.mark.parametrize("end", [kill, stop])


def restarted(
    path: Path, pause_s: float, model: Scorer = CALM, lines: list[str] | None = None
) -> Service:
    one = made(path, model, lines)
    one.clock_s.now_s = NOW_S + pause_s
    one.restore()
    one.start()
    return one


BURNT = [21.0] * 30 + [70.0] * 5


@ENDS
def test_an_alarm_outlives_the_process_and_is_not_said_again(tmp_path: Path, end: Any) -> None:
    first = made(tmp_path / "s.sqlite")
    first.start()
    fed(first, rows(BURNT, NOW_S))
    assert kinds(first) == ["alarm"]
    end(first)
    second = restarted(tmp_path / "s.sqlite", 400.0)
    said: list[dict] = []
    second.listeners.append(said.extend)
    assert second.fleet.spaces["den"].detector.space.incident == "A"
    fed(second, rows([71.0] * 5, NOW_S + 400.0))
    assert not said
    fed(second, rows([21.0] * 20, NOW_S + 450.0))
    assert [event["event"] for event in said] == ["clear"]
    assert kinds(second) == ["alarm", "clear"]
    second.stop()


@ENDS
def test_an_alarm_that_is_older_than_the_kept_readings_stands(tmp_path: Path, end: Any) -> None:
    first = made(tmp_path / "s.sqlite")
    first.start()
    fed(first, rows(BURNT, NOW_S))
    first.store.forget(NOW_S + 36_000.0)
    end(first)
    second = restarted(tmp_path / "s.sqlite", 36_000.0)
    assert second.fleet.spaces["den"].detector.space.incident == "A"
    fed(second, rows([21.0] * 20, NOW_S + 36_000.0))
    assert kinds(second) == ["alarm", "clear"]
    second.stop()


@ENDS
def test_what_a_killed_process_had_taken_is_known_to_the_next(tmp_path: Path, end: Any) -> None:
    """Two hours of readings are in the windows of the next one, as if nothing had been."""
    seen: list[np.ndarray] = []

    def score(windows: np.ndarray) -> np.ndarray:
        seen.append(windows)
        return np.zeros(len(windows))

    model = Scorer(score, AlarmSettings())
    readings = rows([21.0 + 0.01 * k for k in range(700)], NOW_S)
    whole = made(model=model)
    whole.start()
    fed(whole, readings)
    whole.stop()
    undisturbed = seen[-1]
    first = made(tmp_path / "s.sqlite", model)
    first.start()
    fed(first, readings[:400])
    end(first)
    second = restarted(tmp_path / "s.sqlite", 4000.0, model)
    fed(second, readings[400:])
    assert np.array_equal(seen[-1], undisturbed, equal_nan=True)
    second.stop()


class Named(NamedTuple):
    """A model that its weights' hash tells from others, as runs and exported files are."""

    score: Any
    settings: AlarmSettings
    identity: str


def test_states_of_spaces_that_were_made_anew_can_be_used_again(tmp_path: Path) -> None:
    """A space whose readings were read again had been saved as another model's, for ever."""
    model: Any = Named(lambda windows: np.zeros(len(windows)), AlarmSettings(), "of these weights")
    first = made(tmp_path / "s.sqlite", model)
    first.start()
    fed(first, rows([21.0] * 10, NOW_S))
    kill(first)  # before any state was saved
    lines: list[str] = []
    second = restarted(tmp_path / "s.sqlite", 200.0, model, lines)
    stop(second)
    third = restarted(tmp_path / "s.sqlite", 300.0, model, lines)
    stop(third)
    assert not [line for line in lines if "cannot be used" in line]


@ENDS
def test_faults_stand_over_a_restart_and_end_once(tmp_path: Path, end: Any) -> None:
    first = made(tmp_path / "s.sqlite")
    first.start()
    fed(first, rows([21.0] * 10, NOW_S))
    wait(first, 6000.0)
    assert kinds(first) == ["fault"]
    first.store.forget(NOW_S + 36_000.0)
    end(first)
    second = restarted(tmp_path / "s.sqlite", 36_000.0)
    test = second.fleet.spaces["den"].detector.space.sensors["A"].test
    assert test.faulty == {"all": "silent"}
    wait(second, 6000.0)
    assert kinds(second) == ["fault"]  # said once
    fed(second, rows([21.0] * 3, second.clock_s.now_s + 1.0))
    assert kinds(second) == ["fault", "restored"]
    assert second.store.standing() == []
    second.stop()


@ENDS
def test_the_pause_of_the_process_is_no_silence_of_its_sensors(tmp_path: Path, end: Any) -> None:
    first = made(tmp_path / "s.sqlite")
    first.start()
    fed(first, rows([21.0] * 30, NOW_S))
    end(first)
    second = restarted(tmp_path / "s.sqlite", 1500.0)
    wait(second, 0.0)
    assert kinds(second) == []
    wait(second, 200.0)
    assert kinds(second) == ["fault"]  # but silence from now on is
    second.stop()


@ENDS
@pytest.mark.parametrize("back_s", [30.0, 3600.0, 86_400.0 * 400])
@pytest.mark.parametrize("is_timed", [False, True])
def test_time_goes_on_after_a_restart_with_a_clock_that_was_set_back(
    is_timed: bool, back_s: float, end: Any, tmp_path: Path
) -> None:
    def dated(readings: list[Arrival]) -> list[Arrival]:
        if not is_timed:
            return readings
        return [r._replace(cells={**r.cells, "time_s": repr(r.arrived_s)}) for r in readings]

    first = made(tmp_path / "s.sqlite")
    first.start()
    fed(first, dated(rows([21.0] * 30, NOW_S)))
    end(first)
    second = restarted(tmp_path / "s.sqlite", -back_s)
    wait(second, 0.0)
    assert kinds(second) == []
    wait(second, 200.0)
    assert kinds(second) == ["fault"]  # of silence
    clock_s = second.clock_s.now_s
    assert second.store.events()[-1]["time_s"] == pytest.approx(clock_s, abs=30.0)
    said: list[dict] = []
    second.listeners.append(said.extend)
    fed(second, dated(rows(BURNT, clock_s)))
    (alarm,) = [event for event in said if event["event"] == "alarm"]
    assert alarm["time_s"] == pytest.approx(clock_s + 310.0, abs=20.0)
    wait(second, 200.0)
    assert said[-1]["reason"] == "silent"
    second.stop()


@ENDS
def test_an_acknowledgement_holds_over_a_restart(tmp_path: Path, end: Any) -> None:
    hot = Scorer(
        lambda windows: np.where(windows[:, -1, 0, 1] > 100.0, 99.999, 0.0).astype(float),
        AlarmSettings(),
    )
    smoke = [Arrival("den", "A", {"pm25_ug_m3": "7" if k < 20 else "500"}, NOW_S + 10 * k)
             for k in range(60)]  # fmt: skip
    first = made(tmp_path / "s.sqlite", hot)
    first.start()
    fed(first, smoke[:25])
    fed(first, [Arrival("den", "-", {}, NOW_S + 245.0, is_acknowledgement=True)])
    assert kinds(first) == ["alarm", "clear"]
    end(first)
    second = restarted(tmp_path / "s.sqlite", 250.0, hot)
    fed(second, smoke[25:])
    assert kinds(second) == ["alarm", "clear", "warning"]  # no second alarm for ten minutes
    second.stop()


def test_a_state_is_gone_on_from_and_another_models_is_not(tmp_path: Path) -> None:
    first = made(tmp_path / "s.sqlite")
    first.start()
    fed(first, rows([21.0] * 100, NOW_S))
    first.stop()
    lines: list[str] = []
    second = made(tmp_path / "s.sqlite", lines=lines)
    second.clock_s.now_s = NOW_S + 1000.0
    second.restore()
    assert "goes on with 1 space; read 0 readings again" in lines[-1]
    kept = second.fleet.spaces["den"].detector.streams["A"].history
    second.store.close()
    third = made(tmp_path / "s.sqlite", Scorer(CALM.score, AlarmSettings(fast=7.0)), lines)
    third.clock_s.now_s = NOW_S + 1000.0
    third.restore()
    assert "its last two hours are read again" in lines[-2]
    assert "read 100 readings again" in lines[-1]
    again = third.fleet.spaces["den"].detector.streams["A"].history
    assert np.array_equal(kept, again, equal_nan=True)
    third.store.close()


def smoke_model(**settings: float) -> Scorer:
    return Scorer(
        lambda windows: np.where(windows[:, -1, 0, 1] > 100.0, 99.999, 0.0).astype(float),
        AlarmSettings(**settings),
    )


@ENDS
@pytest.mark.parametrize("at", [*range(40, 57, 4), 60, 70])
def test_no_alarm_clears_over_a_restart_while_the_channel_that_it_came_with_is_gone(
    tmp_path: Path, at: int, end: Any
) -> None:
    """A restart counted as a reading of every channel, so the others' calm was the space's."""
    story = [
        {"temperature_c": "21"} | ({"pm25_ug_m3": "7" if k < 20 else "500"} if k < 40 else {})
        for k in range(110)
    ]
    readings = [Arrival("den", "A", cells, NOW_S + 10 * k) for k, cells in enumerate(story)]
    first = made(tmp_path / "s.sqlite", smoke_model())
    first.start()
    fed(first, readings[:at])
    end(first)
    second = restarted(tmp_path / "s.sqlite", 10.0 * at - 5.0, smoke_model())
    fed(second, readings[at:])
    told = [(event["event"], event.get("reason")) for event in second.store.events()]
    assert told == [("alarm", None), ("fault", "missing")]
    second.stop()


def test_a_pause_of_the_process_is_no_interval_of_its_sensors(tmp_path: Path) -> None:
    """One that ends within the usual interval is; else the limit of silence would follow it."""
    first = made(tmp_path / "s.sqlite")
    first.start()
    fed(first, rows([21.0, 21.1] * 10, NOW_S))
    stop(first)
    second = restarted(tmp_path / "s.sqlite", 195.0)
    fed(second, rows([21.0, 21.1] * 5, NOW_S + 200.0))
    stop(second)
    third = restarted(tmp_path / "s.sqlite", 36_000.0)
    fed(third, rows([21.0, 21.1] * 5, NOW_S + 36_005.0))
    test = third.fleet.spaces["den"].detector.space.sensors["A"].test
    for one in (test.intervals, test.channels[0].intervals):
        assert list(one.recent) == pytest.approx([10.0] * 38)
    third.stop()


@ENDS
@pytest.mark.parametrize("at", [15, 22, 30, 55, 60, 95])
def test_a_model_is_swapped_and_no_alarm_is_lost_or_doubled(
    tmp_path: Path, at: int, end: Any
) -> None:
    """Whenever it is: before a fire, as an alarm is near, while it stands, as it is clearing."""
    smoke = [Arrival("den", "A", {"pm25_ug_m3": "500" if 20 <= k < 50 or 90 <= k < 110 else "7"},
                     NOW_S + 10 * k) for k in range(150)]  # fmt: skip
    first = made(tmp_path / "s.sqlite", smoke_model())
    first.start()
    fed(first, smoke[:at])
    end(first)
    second = restarted(tmp_path / "s.sqlite", 10.0 * at - 5.0, smoke_model(fast=7.0))
    fed(second, smoke[at:])
    assert kinds(second) == ["alarm", "clear", "alarm", "clear"]
    begun = [e["time_s"] - NOW_S for e in second.store.events() if e["event"] == "alarm"]
    assert 200.0 <= begun[0] <= 240.0
    assert 900.0 <= begun[1] <= 940.0
    second.stop()


@ENDS
@pytest.mark.parametrize("models", ["LLL", "LLd", "Ldd", "LdL", "ddd", "ddL"])
def test_an_acknowledgement_counts_as_it_did_whatever_a_model_makes_of_that_time(
    tmp_path: Path, models: str, end: Any
) -> None:
    """Of a loud model's alarm it hushes a deaf one too; of a deaf one's calm, no loud one."""
    deaf = smoke_model(fast=99.0, slow=99.0, steady=99.0, warn=99.0)
    in_smoke, at_it, later = (smoke_model() if kind == "L" else deaf for kind in models)
    smoke = [Arrival("den", "A", {"pm25_ug_m3": "7" if k < 20 else "500"}, NOW_S + 10 * k)
             for k in range(25)]  # fmt: skip
    first = made(tmp_path / "s.sqlite", in_smoke)
    first.start()
    fed(first, smoke)
    end(first)
    second = restarted(tmp_path / "s.sqlite", 242.0, at_it)
    for later_s in (245.0, 246.0):
        fed(second, [Arrival("den", "-", {}, NOW_S + later_s, is_acknowledgement=True)])
    end(second)
    third = restarted(tmp_path / "s.sqlite", 250.0, later)
    until_s = third.fleet.spaces["den"].hushed_until_s
    assert until_s == (pytest.approx(NOW_S + 845.0, abs=2.0) if "L" in models[:2] else -np.inf)
    third.stop()


@ENDS
def test_an_alarm_of_which_no_reading_is_known_any_more_is_acknowledged(
    tmp_path: Path, end: Any
) -> None:
    """It ended the process, at every start anew: the space had no place in time."""
    first = made(tmp_path / "s.sqlite")
    first.start()
    fed(first, rows(BURNT, NOW_S))
    first.store.forget(NOW_S + 36_000.0)
    first.store.write(lambda base: base.execute("DELETE FROM readings"))
    end(first)
    second = restarted(tmp_path / "s.sqlite", 36_000.0, Scorer(CALM.score, AlarmSettings(fast=7.0)))
    space = second.fleet.spaces["den"]
    assert space.detector.space.incident == "A"
    assert views.summary(space, NOW_S + 36_005.0)["heard_s"] is None
    fed(second, [Arrival("den", "-", {}, NOW_S + 36_010.0, is_acknowledgement=True)])
    assert kinds(second) == ["alarm", "clear"]
    assert second.store.events()[-1]["time_s"] == NOW_S + 36_010.0
    assert space.hushed_until_s == pytest.approx(NOW_S + 36_610.0, abs=1.0)
    fed(second, rows(BURNT, NOW_S + 36_020.0))  # and is watched from now on
    assert kinds(second) == ["alarm", "clear", "alarm"]
    assert second.store.events()[-1]["time_s"] == pytest.approx(NOW_S + 36_340.0, abs=20.0)
    second.stop()


def test_two_processes_do_not_share_a_file(tmp_path: Path) -> None:
    first = made(tmp_path / "s.sqlite")
    with pytest.raises(InputError, match="another saafe uses it"):
        Store(tmp_path / "s.sqlite")
    first.store.close()
    (tmp_path / "no").write_text("no database, and long enough to be looked at as one " * 20)
    with pytest.raises(InputError, match="cannot be used"):
        Store(tmp_path / "no")


DAMAGE = {
    "a state cut short": "UPDATE states SET body = substr(body, 1, 10)",
    "a state of no JSON": "UPDATE states SET body = x'789c4b040000620062'",  # "a"
    "a state of null": "UPDATE states SET body = NULL",
    "a state of text": "UPDATE states SET body = 'text'",
    "a state's number": "UPDATE states SET last = 'x'",
    "a state's name": "UPDATE states SET space = x'ff'",
    "readings of no JSON": "UPDATE readings SET body = '{'",
    "readings of a list": "UPDATE readings SET body = '[1]'",
    "readings of a number": "UPDATE readings SET body = '{\"temperature_c\": 5}'",
    "readings without a time": "UPDATE readings SET arrived_s = NULL WHERE rowid % 2",
    "readings of no text": "UPDATE readings SET sensor = CAST(x'ff41' AS TEXT)",
    "events of no JSON": "UPDATE events SET body = x'00', delivered = 0",
    "events of a list": "UPDATE events SET body = '[]', delivered = 0",
    "what stands": 'UPDATE standing SET body = \'{"event": "alarm"}\'',
    "an alarm without a risk": "UPDATE standing SET body = json_remove(body, '$.risk')",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_row_of_the_file_does_not_keep_it_from_watching(
    what: str, tmp_path: Path
) -> None:
    first = made(tmp_path / "s.sqlite")
    first.start()
    fed(first, rows(BURNT, NOW_S))
    first.stop()
    base = sqlite3.connect(tmp_path / "s.sqlite")
    assert base.execute(DAMAGE[what]).rowcount > 0
    base.commit()
    base.close()
    second = restarted(tmp_path / "s.sqlite", 400.0)
    said: list[dict] = []
    second.listeners.append(said.extend)
    second.store.undelivered()
    fed(second, rows([21.0] * 40, NOW_S + 400.0) + rows(BURNT, NOW_S + 1000.0))
    assert [event["event"] for event in said][-1] == "alarm"
    assert second.failed is None
    second.stop()


def test_a_file_that_is_damaged_as_a_whole_is_named_in_one_line(tmp_path: Path) -> None:
    first = made(tmp_path / "s.sqlite")
    first.start()
    done: queue.Queue[str] = queue.Queue()
    readings = rows([21.0] * 3000, NOW_S)
    first.clock_s.now_s = readings[-1].arrived_s
    assert all(first.offer(one, done.put) for one in readings)
    assert {done.get(timeout=60.0) for _ in readings} == {""}
    first.stop()
    data = bytearray((tmp_path / "s.sqlite").read_bytes())
    for at in range(3 * 4096, len(data), 97):
        data[at] ^= 0x5A
    (tmp_path / "s.sqlite").write_bytes(bytes(data))
    with pytest.raises(InputError, match="another --state"):
        made(tmp_path / "s.sqlite").restore()


def test_where_nothing_can_be_written_the_alarm_is_said_all_the_same(tmp_path: Path) -> None:
    lines: list[str] = []
    one = made(tmp_path / "s.sqlite", lines=lines)
    said: list[dict] = []
    one.listeners.append(said.extend)
    one.start()
    one.store.base.execute("PRAGMA max_page_count = 1")  # as a full disk
    one.store.base.execute("PRAGMA query_only = 1")
    fed(one, rows(BURNT, NOW_S))
    assert [event["event"] for event in said] == ["alarm"]
    assert "cannot be written" in one.trouble
    assert sum("cannot be written" in line for line in lines) == 1
    one.stop()


@pytest.mark.parametrize("delivers", [False, True])
@pytest.mark.parametrize("frees", ["a reading", "the end", "nothing"])
def test_what_was_said_while_nothing_could_be_written_is_kept_later(
    frees: str, delivers: bool, tmp_path: Path
) -> None:
    """A restart forgot the alarm, or said it again; one that had cleared stood again."""
    path = tmp_path / "s.sqlite"
    one = Service(Fleet(CALM), Store(path, delivers=delivers), Notes([].append), Time())
    one.start()
    began = [*rows(BURNT, NOW_S, "hall"), *rows([21.0] * 35, NOW_S, "den")]
    after = [*rows([21.0] * 21, NOW_S + 350.0, "hall"), *rows([70.0] * 21, NOW_S + 350.0, "den")]
    fed(one, sorted(began, key=lambda reading: reading.arrived_s))
    one.store.base.execute("PRAGMA query_only = 1")  # as a full disk
    fed(one, sorted(after, key=lambda reading: reading.arrived_s))
    assert kinds(one) == ["alarm"]
    if frees != "nothing":
        one.store.base.execute("PRAGMA query_only = 0")
    if frees == "a reading":
        fed(one, rows([50.0], NOW_S + 560.0, "den"))
        kill(one)
    else:
        one.stop()
    store = Store(path, delivers=delivers)
    told = [(event["space"], event["event"]) for event in store.events()]
    assert told == [("hall", "alarm"), ("den", "alarm"), ("hall", "clear")]
    assert [event["space"] for event in store.standing()] == ["den"]
    untold = ["hall", "den", "hall"]  # nobody has told any
    assert [event["space"] for event in store.undelivered()] == untold * delivers
    store.close()


@contextmanager
def full_disk() -> Iterator[None]:
    """A limit on the size of files stands for a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


PARTS = r"(INDEX|TABLE) IF NOT EXISTS (\w+)"


@pytest.mark.parametrize(
    "lost", ["", *map(" ".join, re.findall(PARTS, f"{INDEXES}{WATCHED_TABLE}"))]
)
def test_what_was_kept_is_gone_on_from_on_a_full_disk_and_alarms_are_said(
    lost: str, tmp_path: Path
) -> None:
    """It did not start: after a power cut nobody watched until somebody had made room.

    A part may not be there, as in a file that an earlier saafe wrote.
    """
    first = made(tmp_path / "s.sqlite")
    QuietDays(DayFiles(tmp_path / "days", 3), first.store, first.notes).files.close()
    first.start()
    fed(first, rows([21.0] * 3, NOW_S))
    first.stop()
    if lost:
        base = sqlite3.connect(tmp_path / "s.sqlite")
        base.execute(f"DROP {lost}")
        base.close()
    said: list[dict] = []
    with full_disk():
        one = made(tmp_path / "s.sqlite")
        QuietDays(DayFiles(tmp_path / "days", 3), one.store, one.notes).files.close()
        one.restore()
        assert list(one.fleet.spaces) == ["den"]
        one.listeners.append(said.extend)
        one.start()
        fed(one, rows(BURNT, NOW_S + 30.0))
        assert "cannot be written" in one.trouble
        one.stop()
    assert [event["event"] for event in said] == ["alarm"]


def test_more_readings_than_can_be_judged_are_held_back_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_module, "MOST_WAITING", 10)
    go_on = threading.Event()

    def score(windows: np.ndarray) -> np.ndarray:
        go_on.wait(10.0)
        return np.zeros(len(windows))

    lines: list[str] = []
    one = made(model=Scorer(score, AlarmSettings()), lines=lines)
    one.start()
    done: list[str] = []
    taken = [one.offer(row, done.append) for row in rows([21.0] * 200, NOW_S)]
    assert not all(taken)
    assert one.is_behind
    assert sum("behind" in line for line in lines) == 1  # at most once a minute
    assert b'saafe_refused_total{reason="behind"}' in one.counters.text()
    go_on.set()
    one.stop()
    assert done == [""] * sum(taken)  # nothing that was taken is lost


def test_notes_are_said_once_a_minute_and_counted() -> None:
    lines, now = [], [0.0]
    notes = Notes(lines.append, lambda: now[0])
    for k in range(121):
        now[0] = float(k)
        notes.say("payload", f"wrong\x1b[31m {k}")
    assert lines == [
        "saafe: wrong?[31m 0",
        "saafe: wrong?[31m 60 (and 59 more since the last such line)",
        "saafe: wrong?[31m 120 (and 59 more since the last such line)",
    ]


def test_notes_of_one_kind_say_what_differs_and_no_flood_of_names() -> None:
    """An order of an unknown space was not said behind one of another space."""
    lines, now = [], [0.0]
    notes = Notes(lines.append, lambda: now[0])
    for name in ("den", "attic", "den", "attic"):
        notes.say("acknowledge", f"{name}: no such space", name)
    assert lines == ["saafe: den: no such space", "saafe: attic: no such space"]
    for k in range(6000):  # ten minutes
        now[0] = 0.1 * k
        notes.say("payload", f"made up {k}", f"made up {k}")
    assert 5 * 10 <= len(lines) - 2 <= 5 * 11
    assert "more since the last such line" in lines[7]
    assert sum(map(len, notes.said.values())) <= 7, "nor do they fill the memory"


def test_a_note_that_cannot_be_written_is_kept_for_the_page() -> None:
    """As on a full disk: once it ended the thread that watches, or the link to the broker."""

    def write(_line: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    notes = Notes(write)
    notes.say("store", "no space left")
    assert [text for _, text in notes.last] == ["no space left"]


def test_a_broken_model_ends_the_service() -> None:
    one = made(model=Scorer(lambda windows: np.full(len(windows), np.nan), AlarmSettings()))
    threading.excepthook, kept = (lambda _args: None), threading.excepthook
    try:
        one.start()
        one.offer(rows([21.0], NOW_S)[0], lambda _why: None)
        one.thread.join(10.0)
    finally:
        threading.excepthook = kept
    assert isinstance(one.failed, InputError)


def test_a_running_fleet_is_not_searched_for_circles() -> None:
    """A million objects that live on took half a second each time, with no alarm told in it."""
    before = gc.get_threshold()
    service = made()
    service.start()
    try:
        assert gc.get_threshold() == service_module.GARBAGE_AFTER
    finally:
        service.stop()
    assert gc.get_threshold() == before
