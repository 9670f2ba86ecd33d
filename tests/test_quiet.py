"""Days that teach: what was posted is kept, what could be a fire is not, and nothing stops it."""

import json
import queue
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from serving_fixtures import looks_often  # noqa: F401

from saafe.detector import AlarmSettings, Scorer
from saafe.errors import InputError
from saafe.own_rooms import read_rooms
from saafe.recordings import read_recording
from saafe.serving import Arrival, DayFiles, Fleet, Notes, QuietDays, Service, Store
from saafe.serving import quiet as quiet_module

NOW_S = datetime(2026, 11, 28, 0, 30, tzinfo=UTC).timestamp()
HOUR = 3600.0
CALM = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
# alarms on smoke over 100, warns over 50
JUMPY = Scorer(
    lambda windows: np.select(
        [windows[:, -1, 0, 1] > 100.0, windows[:, -1, 0, 1] > 50.0], [99.99, 85.0], 0.0
    ).astype(float),
    AlarmSettings(fast=6.0, slow=4.0, steady=3.0, warn=1.0),
)


class Kept:
    """A service that keeps days, by a clock that stands where it is put."""

    def __init__(self, folder: Path, model: Scorer = CALM, days: int = 30) -> None:
        self.now_s = NOW_S
        self.lines: list[str] = []
        self.folder = folder / "quiet"
        store, notes = Store(folder / "s.sqlite"), Notes(self.lines.append)
        self.quiet = QuietDays(DayFiles(self.folder, days), store, notes)
        self.service = Service(Fleet(model), store, notes, lambda: self.now_s, self.quiet)

    def start(self) -> "Kept":
        self.service.restore()
        self.service.start()
        return self

    def feed(self, readings: Sequence[Arrival]) -> "Kept":
        """Give readings, each at its time and as the one before is safe."""
        said: queue.SimpleQueue[str] = queue.SimpleQueue()
        for one in readings:
            self.now_s = max(self.now_s, one.arrived_s)
            assert self.service.offer(one, said.put, wait_s=10.0)
            assert said.get(timeout=20.0) == ""
        return self

    def kill(self) -> None:
        """End it as a kill does: nothing more is written."""
        self.service.store.save_states = lambda states: None  # type: ignore[method-assign]
        self.service.is_stopping.set()
        self.service.thread.join()
        self.quiet.sort = lambda: None  # type: ignore[method-assign]
        self.quiet.stop()
        self.service.store.base.close()

    def stop(self) -> None:
        self.service.stop()

    def rows(self, space: str = "den", suffix: str = ".csv.gz") -> dict[tuple, list[float]]:
        """What its files hold: (time, sensor) to readings; no row stands twice."""
        found: dict[tuple, list[float]] = {}
        for path in sorted((self.folder / space).glob("*.csv.gz")):
            if path.name.endswith("-alarm.csv.gz") != suffix.startswith("-alarm"):
                continue
            recording, check = read_recording(path)
            assert not check.repairs
            assert recording.start is not None
            for t, at in zip(recording.times_s, recording.readings, strict=True):
                for sensor, cells in zip(recording.sensors, at, strict=True):
                    if not np.isnan(cells).all():
                        when = round(recording.start.timestamp() + float(t), 3)
                        assert (when, sensor) not in found
                        found[when, sensor] = [round(float(c), 2) for c in cells]
        return found


def stream(
    hours: float, *, start_s: float = NOW_S, period_s: float = 300.0, smoke: dict | None = None,
    sensor: str = "A", space: str = "den",
) -> list[Arrival]:  # fmt: skip
    """A calm stream; `smoke` maps hours from the start to PM2.5."""
    found = []
    air = np.random.default_rng([int(start_s), *space.encode()])
    for k in range(int(hours * HOUR / period_s)):
        at_h = k * period_s / HOUR
        calm = round(7.0 + 5.0 * air.random(), 1)
        pm = next((v for (a, b), v in (smoke or {}).items() if a <= at_h < b), calm)
        cells = {"temperature_c": f"{21 + air.random():.2f}", "pm25_ug_m3": f"{pm}"}
        found.append(Arrival(space, sensor, cells, start_s + k * period_s))
    return found


def posted(readings: Sequence[Arrival], before_s: float) -> dict[tuple, list[float]]:
    """What the files should hold of readings until a time."""
    return {
        (round(one.arrived_s, 3), one.sensor):
            [float(one.cells["temperature_c"]), float(one.cells["pm25_ug_m3"])]
        for one in readings
        if one.arrived_s < before_s
    }  # fmt: skip


def killed(*_: object, **__: object) -> None:
    raise sqlite3.OperationalError("killed")


def short(rows: dict[tuple, list[float]]) -> dict[tuple, list[float]]:
    return {key: cells[:2] for key, cells in rows.items()}


def test_what_was_posted_is_kept_a_file_a_day(tmp_path: Path) -> None:
    """All but the last three hours, over a change of day."""
    readings = stream(30.0)
    one = Kept(tmp_path).start().feed(readings)
    one.quiet.sort()
    newest_s = readings[-1].arrived_s
    assert short(one.rows()) == posted(readings, newest_s - 3 * HOUR)
    assert sorted(p.name for p in (one.folder / "den").iterdir()) == [
        "2026-11-28.csv.gz", "2026-11-29.csv.gz", "set.json",
    ]  # fmt: skip
    one.stop()


def test_several_sensors_gaps_units_and_reports_on_change(tmp_path: Path) -> None:
    """A sensor every minute with an outage; one that tells a channel when it changes."""
    steady = [
        r for r in stream(10.0, period_s=60.0) if not 3 * HOUR <= r.arrived_s - NOW_S < 5 * HOUR
    ]
    changes = [
        Arrival("den", "door", {"humidity_pct" if k % 3 else "co2_ppm": f"{440 + k}"[-3:]
                                if k % 3 == 0 else f"{40 + k % 7}"}, NOW_S + 17.0 + 700.0 * k)
        for k in range(50)
    ]  # fmt: skip
    readings = sorted([*steady, *changes], key=lambda r: r.arrived_s)
    one = Kept(tmp_path).start().feed(readings)
    one.quiet.sort()
    limit_s = readings[-1].arrived_s - 3 * HOUR
    kept = one.rows()
    assert short({k: v for k, v in kept.items() if k[1] == "A"}) == posted(steady, limit_s)
    told = {(round(r.arrived_s, 3), "door"): r.cells for r in changes if r.arrived_s < limit_s}
    assert {k for k in kept if k[1] == "door"} == set(told)
    for key, cells in told.items():
        index = 2 if "co2_ppm" in cells else 5
        assert kept[key][index] == float(next(iter(cells.values())))
        assert sum(np.isfinite(kept[key])) == 1
    one.stop()


def test_messages_of_one_moment_are_one_row(tmp_path: Path) -> None:
    readings = []
    for k in range(5 * 60):
        at = NOW_S + 60.0 * k
        readings.append(Arrival("den", "A", {"temperature_c": "21.5"}, at))
        readings.append(Arrival("den", "A", {"co2_ppm": "600"}, at + 0.2))
    one = Kept(tmp_path).start().feed(readings)
    one.quiet.sort()
    rows = list(one.rows().values())
    assert len(rows) == pytest.approx(120, abs=2)
    assert all(row[0] == 21.5 and row[2] == 600.0 for row in rows)
    one.stop()


def test_days_of_the_past_are_kept_under_their_own_dates(tmp_path: Path) -> None:
    """An upload of four days ago; a clock that counts from its start is not believed."""
    start_s = NOW_S - 4 * 86_400.0
    readings = [
        r._replace(cells={**r.cells, "time_s": repr(r.arrived_s)}, arrived_s=NOW_S)
        for r in stream(50.0, start_s=start_s)
    ]
    odd = [
        r._replace(cells={**r.cells, "time_s": repr(r.arrived_s - NOW_S)}, arrived_s=NOW_S)
        for r in stream(30.0, space="hut")
    ]
    one = Kept(tmp_path).start().feed(readings).feed(odd)
    one.quiet.sort()
    assert short(one.rows()) == posted(stream(50.0, start_s=start_s), start_s + 47 * HOUR - 300)
    assert (one.folder / "den" / "2026-11-24.csv.gz").exists()
    assert sorted(p.name for p in (one.folder / "hut").glob("2*")) == [
        "2026-11-28.csv.gz", "2026-11-29.csv.gz",
    ]  # fmt: skip
    one.stop()


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.parametrize("model", [CALM, JUMPY])
def test_a_kill_neither_doubles_nor_loses_a_reading(
    tmp_path: Path, end: str, model: Scorer
) -> None:
    """At any moment, also between a file and the note of it, and with another model after."""
    readings = stream(30.0)
    one = Kept(tmp_path).start().feed(readings[:100])
    one.quiet.sort()
    one.feed(readings[100:180])
    real = one.quiet._forget
    one.quiet._forget = killed  # type: ignore[method-assign]
    one.quiet.sort()  # the files have it, the store does not know
    one.quiet._forget = real  # type: ignore[method-assign]
    getattr(one, end)()
    two = Kept(tmp_path, model)
    two.now_s = one.now_s
    two.start().feed(readings[180:])
    two.quiet.sort()
    assert short(two.rows()) == posted(readings, readings[-1].arrived_s - 3 * HOUR)
    two.stop()


def test_a_stop_leaves_the_days_as_far_as_they_are_known(tmp_path: Path) -> None:
    readings = stream(30.0)
    one = Kept(tmp_path).start().feed(readings)
    one.stop()
    assert short(one.rows()) == posted(readings, readings[-1].arrived_s - 3 * HOUR)


def test_an_alarm_and_the_hours_around_it_are_left_out(tmp_path: Path) -> None:
    readings = stream(36.0, smoke={(5.0, 5.2): 400.0}, period_s=120.0)
    one = Kept(tmp_path, JUMPY).start().feed(readings)
    one.quiet.sort()
    alarm_s = next(e for e in one.service.store.events() if e["event"] == "alarm")["time_s"]
    clear_s = next(e for e in one.service.store.events() if e["event"] == "clear")["time_s"]
    limit_s = readings[-1].arrived_s - 3 * HOUR
    quiet, aside = one.rows(), one.rows(suffix="-alarm")
    assert short(quiet | aside) == posted(readings, limit_s)
    assert not quiet.keys() & aside.keys()
    times = [t for t, _ in aside]
    assert min(times) == pytest.approx(alarm_s - 3 * HOUR, abs=121)
    assert max(times) == pytest.approx(clear_s + 21 * HOUR, abs=121)
    found = read_rooms(one.folder)
    assert len(found.groups) == 1
    assert all("does not list it" in left.reason for left in found.left_out)
    held = np.concatenate([room.recording.readings[:, 0, 1] for room in found.rooms])
    assert np.nanmax(held) < 100.0
    one.stop()


def test_a_warning_leaves_out_three_hours_on_both_sides(tmp_path: Path) -> None:
    readings = stream(16.0, smoke={(8.0, 8.5): 70.0}, period_s=120.0)
    one = Kept(tmp_path, JUMPY).start().feed(readings)
    one.quiet.sort()
    assert [e["event"] for e in one.service.store.events()] == ["warning"]
    times = [(t - NOW_S) / HOUR for t, _ in one.rows(suffix="-alarm")]
    assert min(times) == pytest.approx(5.0, abs=0.1)
    assert max(times) == pytest.approx(11.5, abs=0.2)
    one.stop()


def test_a_person_says_that_an_alarm_was_harmless_and_it_teaches(tmp_path: Path) -> None:
    readings = stream(36.0, smoke={(5.0, 5.5): 400.0})
    one = Kept(tmp_path, JUMPY).start().feed(readings)
    one.quiet.sort()
    (mark,) = [m for m in one.quiet.marks() if m["event"] == "alarm"]
    for other in one.quiet.marks():
        one.quiet.say(other["id"], "harmless")
    one.quiet.sort()
    everything = posted(readings, readings[-1].arrived_s - 3 * HOUR)
    assert short(one.rows()) == everything
    assert not one.rows(suffix="-alarm")
    one.kill()
    two = Kept(tmp_path, JUMPY)
    two.now_s = one.now_s
    two.start()
    assert {m["was"] for m in two.quiet.marks()} == {"harmless"}
    two.quiet.say(mark["id"], "fire")  # and of what was a fire nothing stays
    two.quiet.sort()
    assert short(two.rows() | two.rows(suffix="-alarm")) == everything
    assert max(cells[1] for cells in two.rows().values()) < 100.0
    assert two.quiet.say(999, "fire") is None
    two.stop()


def test_an_alarm_that_came_while_nothing_was_kept_is_left_out(tmp_path: Path) -> None:
    """It was raised without --keep, stands over a restart, and is marked as it is heard again."""
    readings = stream(8.0, smoke={(4.0, 5.0): 400.0}, period_s=60.0)
    store, notes = Store(tmp_path / "s.sqlite"), Notes(lambda _line: None)
    one = Kept.__new__(Kept)
    one.now_s = NOW_S
    one.service = Service(Fleet(JUMPY), store, notes, lambda: one.now_s)
    one.service.start()
    one.feed(readings[: int(4.5 * 60)])
    one.service.stop()
    two = Kept(tmp_path, JUMPY)
    two.now_s = one.now_s
    two.start().feed(readings[int(4.5 * 60) :])
    two.quiet.sort()
    assert not two.rows()
    assert len([m for m in two.quiet.marks() if m["event"] == "alarm"]) == 1
    two.stop()


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.parametrize(("pm", "kind"), [(400.0, "alarm"), (70.0, "warning")])
@pytest.mark.parametrize("earlier_h", [None, 1.0])
def test_what_stands_over_restarts_is_raised_once(
    end: str, pm: float, kind: str, earlier_h: float | None, tmp_path: Path
) -> None:
    """Each restart during an alarm added one that never was, also after one that has ended."""
    smoke = {(4.0, 6.0): pm} | ({} if earlier_h is None else {(earlier_h, earlier_h + 0.5): pm})
    readings = stream(8.0, smoke=smoke, period_s=60.0)
    at, now_s = 0, NOW_S
    for until_h in (4.3, 4.6, 5.0, 8.0):
        one = Kept(tmp_path, JUMPY)
        one.now_s = now_s
        one.start().feed(readings[at : (at := int(until_h * 60))])
        now_s = one.now_s
        marks = [m for m in one.quiet.marks() if m["event"] == kind]
        said = [e["event"] for e in one.service.store.events()].count(kind)
        assert len(marks) == said == (1 if earlier_h is None else 2)
        getattr(one, end)()
    hours = {"alarm": 21.0, "warning": 3.0}[kind]
    last_s = datetime.fromisoformat(marks[0]["until"]).timestamp() - NOW_S
    assert last_s / HOUR == pytest.approx(6.0 + hours, abs=0.1)  # it goes on where it was


def test_a_clock_that_is_set_back_by_days_does_not_end_it(tmp_path: Path) -> None:
    """As where a machine has started without a network, with a year that is to come."""
    ahead = stream(8.0, start_s=NOW_S + 400 * 86_400.0)
    one = Kept(tmp_path).start().feed(ahead)
    one.quiet.sort()
    one.kill()
    two = Kept(tmp_path, JUMPY)  # no state that it can use: times begin anew
    for table in ("readings", "states"):
        two.service.store.base.execute(f"DELETE FROM {table}")
    two.start().feed(readings := stream(20.0))
    two.quiet.sort()
    limit_s = readings[-1].arrived_s - 3 * HOUR
    assert max(t for t, _ in two.rows()) > NOW_S + 86_400.0
    kept = short({key: cells for key, cells in two.rows().items() if key[0] < NOW_S + 86_400.0})
    assert kept == posted(readings, limit_s)
    two.stop()


def test_the_oldest_days_go(tmp_path: Path) -> None:
    one = Kept(tmp_path, days=3).start()
    for day in range(6):
        one.feed(stream(24.0, start_s=NOW_S + day * 86_400.0, period_s=300.0))
        one.quiet.sort()
    names = sorted(p.name for p in (one.folder / "den").glob("2*"))
    assert names == [f"2026-{d}.csv.gz" for d in ("12-01", "12-02", "12-03")]
    listed = json.loads((one.folder / "den" / "set.json").read_text())["recordings"]
    assert [entry["file"] for entry in listed] == names
    assert len(read_rooms(one.folder).rooms) == 3
    one.stop()


def test_what_a_user_says_in_the_set_stays(tmp_path: Path) -> None:
    one = Kept(tmp_path).start().feed(stream(12.0))
    one.quiet.sort()
    path = one.folder / "den" / "set.json"
    said = json.loads(path.read_text())
    said["origin"] = "my flat"
    said["recordings"][0]["cooking_s"] = [[60, 600]]
    path.write_text(json.dumps(said))
    one.feed(stream(30.0, start_s=NOW_S + 12 * HOUR))
    one.quiet.sort()
    said = json.loads(path.read_text())
    assert said["origin"] == "my flat"
    assert said["recordings"][0]["cooking_s"] == [[60, 600]]
    assert len(said["recordings"]) == 2
    path.write_text("{")  # and what is no set is put by
    one.feed(stream(24.0, start_s=NOW_S + 42 * HOUR))
    one.quiet.sort()
    assert len(json.loads(path.read_text())["recordings"]) == 3
    assert (path.parent / "set.json.damaged").read_text() == "{"
    one.stop()


def test_where_no_file_can_be_written_alarms_are_said_and_nothing_is_lost(tmp_path: Path) -> None:
    readings = stream(30.0, smoke={(9.0, 9.5): 400.0})
    one = Kept(tmp_path, JUMPY).start().feed(readings[:80])
    (one.folder / "den").write_text("in the way")
    one.quiet.sort()
    assert "quiet days are not kept" in one.quiet.trouble
    assert sum("quiet days" in line for line in one.lines) == 1
    one.feed(readings[80:160])
    assert "alarm" in [e["event"] for e in one.service.store.events()]
    (one.folder / "den").unlink()
    one.feed(readings[160:])
    one.quiet.sort()
    assert one.quiet.trouble == ""
    whole = one.rows() | one.rows(suffix="-alarm")
    assert short(whole) == posted(readings, readings[-1].arrived_s - 3 * HOUR)
    one.stop()


def test_a_full_disk_does_not_stop_an_alarm(tmp_path: Path) -> None:
    one = Kept(tmp_path, JUMPY).start()
    said: list[dict] = []
    one.service.listeners.append(said.extend)
    one.service.store.base.execute("PRAGMA query_only = 1")
    one.feed(stream(2.0, smoke={(1.0, 1.5): 400.0}, period_s=60.0))
    assert "alarm" in [event["event"] for event in said]
    assert one.service.trouble
    one.service.store.base.execute("PRAGMA query_only = 0")
    one.feed(stream(5.0, start_s=NOW_S + 2 * HOUR))  # what was held in memory is written
    one.quiet.sort()
    first = posted(stream(2.0, smoke={(1.0, 1.5): 400.0}, period_s=60.0), NOW_S + 2 * HOUR)
    assert first.items() <= short(one.rows(suffix="-alarm")).items()
    one.stop()


def test_what_waits_for_a_disk_for_days_is_dropped_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet_module, "LONGEST_WAIT_MS", 6 * quiet_module.HOUR_MS)
    one = Kept(tmp_path).start()
    (one.folder / "den").write_text("in the way")
    one.feed(stream(20.0))
    one.quiet.sort()
    count = one.service.store.base.execute("SELECT count(*) FROM quiet_rows").fetchone()[0]
    assert count == pytest.approx(6 * 12, abs=2)
    assert any("are dropped" in line for line in one.lines)
    one.stop()


def test_a_damaged_file_is_put_by(tmp_path: Path) -> None:
    one = Kept(tmp_path).start().feed(stream(6.0))
    one.quiet.sort()
    path = one.folder / "den" / "2026-11-28.csv.gz"
    path.write_bytes(b"no gzip")
    one.feed(stream(6.0, start_s=NOW_S + 6 * HOUR))
    one.quiet.sort()
    assert (path.parent / "2026-11-28.csv.gz.damaged").read_bytes() == b"no gzip"
    assert min(t for t, _ in one.rows()) == pytest.approx(NOW_S + 3 * HOUR, abs=301)
    one.stop()


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    first = DayFiles(tmp_path / "quiet", 30)
    with pytest.raises(InputError, match="another saafe keeps its days there"):
        DayFiles(tmp_path / "quiet", 30)
    first.close()
    DayFiles(tmp_path / "quiet", 30).close()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        DayFiles(tmp_path / "file" / "in", 30)


def test_names_of_spaces_stay_in_the_folder(tmp_path: Path) -> None:
    one = Kept(tmp_path).start()
    for name in ("../out", "flat 1/Küche"):
        one.feed(stream(30.0, space=name, period_s=300.0))
    one.quiet.sort()
    assert {p.name for p in tmp_path.iterdir()} >= {"quiet"}
    assert not (tmp_path / "out").exists()
    found = read_rooms(one.folder)
    assert set(found.groups) == {"quiet: ../out/days", "quiet: flat 1/Küche/days"}
    one.stop()
