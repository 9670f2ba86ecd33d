"""A live stream against our own clock, disturbed in every way that the field disturbs it."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saafe.detector.alarms import AlarmSettings
from saafe.detector.detector import Detector, Scorer
from saafe.detector.live import DRILL_AFTER_S, Drill, Live
from saafe.detector.recorded import detect
from saafe.recordings.recording import parse_recording
from saafe.recordings.stream import RowReader, read_rows
from saafe.recordings.superpose import Rise
from saafe.recordings.tables import parse_csv
from saafe.sensors import CHANNELS, PM25, TEMPERATURE

HEADER = "time_s,sensor,temperature_c,pm25_ug_m3,co2_ppm,co_ppm,humidity_pct"
NO_RISK = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())  # the fixed rules alone
EXAMPLES = int(os.environ.get("SAAFE_EXAMPLES", "300"))  # 10,000 were run once, see records/LOG.md
PROPERTY = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def fire_row(time_s: float, fire_s: float, noise: random.Random, sensor: str = "kitchen") -> str:
    """A row of a calm room in which a flaming fire begins at a time."""
    since = max(time_s - fire_s, 0.0) ** 2
    cells = (
        21.0 + noise.gauss(0, 0.02) + min(150.0, 0.004 * since),
        abs(7.0 + noise.gauss(0, 0.4)) + min(4000.0, 0.2 * since),
        560.0 + noise.gauss(0, 2.5) + min(6000.0, 0.3 * since),
        min(500.0, 0.02 * since),
        45.0 + noise.gauss(0, 0.1),
    )
    return f"{time_s},{sensor}," + ",".join(f"{cell:.2f}" for cell in cells)


def fire_lines(period_s: float, rows: int, fire_s: float) -> list[str]:
    noise = random.Random(1)
    return [fire_row(period_s * k, fire_s, noise) for k in range(rows)]


def streamed(lines: list[str]) -> list[dict]:
    detector = Detector(NO_RISK)
    events = []
    for row in read_rows([HEADER, *lines]):
        events += detector.update(row.time_s, row.sensor, row.readings, row.refused)
    return events + detector.finish()


def filed(lines: list[str]) -> list[dict]:
    recording, _ = parse_recording(parse_csv(Path("r.csv"), "\n".join([HEADER, *lines])))
    return detect(NO_RISK, recording).events


def both_ways(lines: list[str], model: Scorer = NO_RISK) -> list[dict]:
    """The events, which must be the same of a stream and of a file."""
    text = "\n".join([HEADER, *lines])
    detector = Detector(model)
    streamed = []
    for row in read_rows(text.splitlines()):
        streamed += detector.update(row.time_s, row.sensor, row.readings, row.refused)
    streamed += detector.finish()
    assert streamed == detect(model, parse_recording(parse_csv(Path("r.csv"), text))[0]).events
    return streamed


def first_alarm_s(events: list[dict]) -> float | None:
    return next((e["time_s"] for e in events if e["event"] == "alarm"), None)


# --- the clock


def played(
    lines: list[str], period_s: float, wait_s: float, **more: Any
) -> list[tuple[float, dict]]:
    """Events of lines that come at the pace of their times, each with the clock at its printing."""
    live = Live(NO_RISK, RowReader(), **more)
    said: list[tuple[float, dict]] = []
    live.line(HEADER, 0.0)
    for k, line in enumerate(lines):
        came_s = 1000.0 + k * period_s
        while (clock_s := tick_at(live, said)) < came_s:
            said += [(clock_s, event) for event in live.tick(clock_s)]
        said += [(came_s, event) for event in live.line(line, came_s)]
    end_s = 1000.0 + (len(lines) - 1) * period_s + wait_s
    while (clock_s := tick_at(live, said)) < end_s:
        said += [(clock_s, event) for event in live.tick(clock_s)]
    return said


def tick_at(live: Live, said: list) -> float:
    """When the loop of `saafe detect` wakes next."""
    now_s = max([1000.0, *(at for at, _ in said), 1000.0 + max(live.detector.now_s, 0.0)])
    return now_s + live.wait_s(now_s)


@pytest.mark.parametrize("period_s", [1.0, 7.0, 10.0, 60.0, 300.0])
def test_what_is_said_live_is_said_when_it_is_due_and_as_in_a_file(period_s: float) -> None:
    rows = max(30, int(900.0 / period_s))
    lines = fire_lines(period_s, rows, period_s * (rows - 1) - max(3.0 * period_s, 90.0))
    said = played(lines, period_s, wait_s=2000.0)
    assert [event["event"] for _, event in said] == ["alarm", "fault"]
    for at, event in said:
        assert at - 1000.0 == pytest.approx(event["time_s"], abs=0.06)
    assert first_alarm_s(filed(lines)) == said[0][1]["time_s"]
    last_s = period_s * (rows - 1)
    assert said[1][1]["time_s"] == last_s + max(180.0, 1.5 * period_s)


def test_a_last_hot_row_is_acted_on() -> None:
    lines = [*fire_lines(60.0, 30, 1000000000.0), "1800,kitchen,60,7,560,0,45"]
    ((at, alarm), *_) = played(lines, 60.0, wait_s=100.0)
    assert (alarm["event"], alarm["cause"], at - 1000.0) == ("alarm", "heat", 1865.0)


def test_a_line_acknowledges() -> None:
    live = Live(NO_RISK, RowReader())
    lines = [HEADER, *fire_lines(10.0, 40, 200.0), "acknowledge"]
    events = [e for k, line in enumerate(lines) for e in live.line(line, 10.0 * k)]
    assert [(e["event"], e["cause"]) for e in events] == [
        ("alarm", "rate_of_rise"), ("clear", "acknowledged"),
    ]  # fmt: skip


def test_units_and_slow_sensors_are_doubted_before_the_first_alarm() -> None:
    notes: list[str] = []
    live = Live(NO_RISK, RowReader(), note=notes.append)
    live.line(HEADER, 0.0)
    for k in range(3):
        events = live.line(f"{300 * k},kitchen,70,7,560,0,45", 300.0 * k)
        if events:
            assert "degF" in notes[0]
    assert [note.split(":")[0] for note in notes] == [
        "sensor kitchen", "sensor kitchen reports every 300 s; the model has learnt periods up to "
        "60 s and may find fires later",
    ]  # fmt: skip


# --- channels that die in a fire


def risk_of_particles(windows: np.ndarray) -> np.ndarray:
    return np.nan_to_num(windows[:, -1, 0, PM25].astype(np.float64) / 10.0).clip(0.0, 100.0)


PARTICLES = Scorer(risk_of_particles, AlarmSettings(fast=2.0, leave=-2.0))
FIRES = {  # column: readings in the fire, what alarms, what the channel sends once it is dead
    "temperature_c": ("80.5", "heat", ["85.0", "-127"]),
    "pm25_ug_m3": ("980", "model", ["65535"]),
    "co_ppm": ("400", "co_dose", ["65535", "-4"]),
}
DEATHS = [
    (column, word)
    for column, (_, _, values) in FIRES.items()
    for word in ["", "unavailable", "NaN", *values]
]


@pytest.mark.parametrize(("column", "word"), DEATHS)
@pytest.mark.parametrize("period_s", [10.0, 60.0, 300.0])
def test_an_alarm_is_not_over_because_its_channel_died(
    column: str, word: str, period_s: float
) -> None:
    """It clears two minutes after the channel is back and calm, and not before."""
    high, cause, _ = FIRES[column]
    names = HEADER.split(",")
    dies, back, rows = 40 if period_s < 60.0 else 20, 110, 140

    def row(k: int) -> str:
        cells = dict(
            zip(names, f"{period_s * k:g},k,21.{k % 3},7,560,0,45".split(","), strict=True)
        )
        if 10 <= k < dies:
            cells[column] = high
        elif dies <= k < back:
            cells[column] = word
        return ",".join(cells.values())

    said = both_ways([row(k) for k in range(rows)], PARTICLES)
    (alarm,) = [event for event in said if event["event"] == "alarm"]
    assert alarm["cause"] == cause
    (clear,) = [event for event in said if event["event"] == "clear"]
    assert period_s * back + 120.0 <= clear["time_s"] <= period_s * (back + 1) + 121.0 + period_s
    channel = {"temperature_c": "temperature", "pm25_ug_m3": "pm25", "co_ppm": "co"}[column]
    faults = [event["channel"] for event in said if event["event"] == "fault"]
    assert channel in faults


def test_an_alarm_clears_by_the_channels_it_came_with_alone() -> None:
    """One that had failed before it, and never told anything of it, need not come back."""
    cells = [(21, "unavailable")] * 15 + [(80, "unavailable")] * 5 + [(21, "unavailable")] * 20
    lines = [f"{10 * k},k,{t},7,560,{co},45" for k, (t, co) in enumerate([(21, 0), *cells])]
    assert [event["event"] for event in both_ways(lines)] == ["fault", "alarm", "clear"]


# --- words and wrong values in any cell


ANY_CELLS = {  # channels that no rule alarms on, too
    "temperature_c": ["21", "21.5", "80", "85", "999", "unavailable", ""],
    "pm25_ug_m3": ["7", "900", "65535", "-1", "unknown", ""],
    "co2_ppm": ["560", "0", "none", ""],
    "co_ppm": ["0", "400", "nan", ""],
    "humidity_pct": ["45", "-", ""],
}


@st.composite
def wordy(draw: st.DrawFn) -> list[str]:
    """Rows of one to three sensors; each channel keeps a cell for a while."""
    names = draw(st.sampled_from([("k",), ("b", "k"), ("k", "b", "c")]))
    period_s, rows = draw(st.sampled_from([10, 60, 200])), draw(st.integers(3, 40))
    columns = []
    for choices in ANY_CELLS.values():
        for _ in names:
            runs = draw(st.lists(st.tuples(st.sampled_from(choices), st.integers(1, 12)),
                                 min_size=1, max_size=6))  # fmt: skip
            cells = [cell for cell, length in runs for _ in range(length)]
            columns.append((cells * rows)[:rows])
    lines = [f"0,{name},21,7,560,0,45" for name in names]
    for k in range(rows):
        for at, name in enumerate(names):
            cells = [columns[c * len(names) + at][k] for c in range(len(ANY_CELLS))]
            lines.append(f"{period_s * (k + 1)},{name}," + ",".join(cells))
    return lines


@PROPERTY
@given(wordy())
def test_files_and_streams_say_the_same_of_cells_that_cannot_be_used(lines: list[str]) -> None:
    both_ways(lines, PARTICLES)


def test_a_row_of_two_words_is_one_fault_in_files_and_streams() -> None:
    words = ["unavailable,unavailable,unavailable", "21,unavailable,unavailable"]
    lines = [f"{10 * k},k,{words[k > 2]},," for k in range(1, 5)]
    events = both_ways(["0,k,21,7,560,0,45", *lines])
    assert [(e["event"], e["time_s"], e["channel"]) for e in events] == [
        ("fault", 10.0, "all"), ("restored", 30.0, "all"),
        ("fault", 30.0, "pm25"), ("fault", 30.0, "co2"),
    ]  # fmt: skip


# --- rows whose own time cannot be used


TIMELESS = {
    "empty": lambda _s: "",
    "a word": lambda _s: "unavailable",
    "microseconds since 1970": lambda s: f"{1.79e15 + 1e6 * s:.0f}",
    "ISO 8601 in its place": lambda s: f"2026-01-31T12:{s // 60:02.0f}:{s % 60:02.0f}",
    "milliseconds since 1970": lambda s: f"{1.79e12 + 1e3 * s:.0f}",
}


@pytest.mark.parametrize("case", TIMELESS)
def test_rows_without_a_time_count_from_their_arrival(case: str) -> None:
    """The alarm comes as with good times, and so does silence; the cause is said once."""
    clean = fire_lines(10.0, 40, 250.0)
    lines = [TIMELESS[case](10.0 * k) + "," + line.split(",", 1)[1] for k, line in enumerate(clean)]
    notes: list[str] = []
    said = played(lines, 10.0, wait_s=400.0, note=notes.append)
    is_read = case.startswith("milliseconds")
    assert any("milliseconds" in note for note in notes) == is_read
    kinds = [(event["event"], event.get("channel", "alarm")) for _, event in said]
    faults = [] if is_read else [("fault", "time")]
    assert kinds == [*faults, ("alarm", "alarm"), ("fault", "all")]
    (alarm_s,) = [at - 1000.0 for at, event in said if event["event"] == "alarm"]
    undisturbed = first_alarm_s(filed(clean))
    assert undisturbed is not None
    assert abs(alarm_s - undisturbed) <= 10.0
    assert said[-1][0] - 1000.0 == pytest.approx(390.0 + 180.0, abs=0.06)


# --- uploads of many rows at once


@pytest.mark.parametrize(("period_s", "rows"), [(10.0, 6), (1.0, 15), (10.0, 12)])
@pytest.mark.parametrize("apart_s", [0.0, 0.02])
def test_rows_that_come_many_at_once_alarm_with_their_upload(
    period_s: float, rows: int, apart_s: float
) -> None:
    """Time does not run ahead of our own clock: no false silence, and the alarm is not stale."""
    batch_s = period_s * rows
    lines = fire_lines(period_s, rows * int(7200.0 / batch_s), 5000.0)
    live = Live(NO_RISK, RowReader())
    live.line(HEADER, 0.0)
    said, clock_s = [], 0.0
    for k, line in enumerate(lines):
        came_s = batch_s * (k // rows + 1) + apart_s * (k % rows)
        while clock_s + live.wait_s(clock_s) < came_s:
            clock_s += live.wait_s(clock_s)
            said += [(clock_s, event) for event in live.tick(clock_s)]
        clock_s = came_s
        said += [(clock_s, event) for event in live.line(line, clock_s)]
    assert [event["event"] for _, event in said] == ["alarm"]
    (at, alarm), undisturbed = said[0], first_alarm_s(filed(lines))
    assert undisturbed is not None
    assert abs(at - undisturbed) <= 2.0 * batch_s
    assert abs(at - alarm["time_s"]) <= batch_s
    last_s = period_s * (len(lines) - 1)
    assert abs(live.tick(last_s + 600.0)[0]["time_s"] - last_s - 180.0) <= batch_s


# --- clocks that stand still


STANDING = {
    "from a row on": lambda s, at_s: min(s, at_s),
    "all along": lambda s, at_s: 5.0,
    "in whole minutes": lambda s, at_s: s // 60.0 * 60.0,
    "in whole hours": lambda s, at_s: s // 3600.0 * 3600.0,
    "for a time": lambda s, at_s: s if s < at_s or s > at_s + 900.0 else at_s,
    "for a time, and behind from then on": lambda s, at_s: s if s < at_s else max(at_s, s - 300.0),
}


@pytest.mark.parametrize("case", STANDING)
@pytest.mark.parametrize("period_s", [1.0, 10.0, 30.0])
def test_a_clock_that_stands_still_does_not_hide_a_fire(case: str, period_s: float) -> None:
    fire_s = 600.0 + 10.0 * period_s
    clean = fire_lines(period_s, int(600.0 / period_s) + 120, fire_s)
    lines = []
    for line in clean:
        stamp, rest = line.split(",", 1)
        lines.append(f"{STANDING[case](float(stamp), 400.0)},{rest}")
    said = played(lines, period_s, wait_s=300.0)
    (alarm_s,) = [at - 1000.0 for at, event in said if event["event"] == "alarm"]
    undisturbed = first_alarm_s(filed(clean))
    assert undisturbed is not None
    assert abs(alarm_s - undisturbed) <= 2.0 * period_s
    faults = [event["channel"] for _, event in said if event["event"] == "fault"]
    assert faults == ["time", "all"]
    assert said[-1][1]["reason"] == "silent"


# --- sensors that report on change


def changes(burning: bool) -> list[str]:
    """A row a change, on a channel each; pauses of up to two hours. It burns from 5,000 s on."""
    rows = ["0,kitchen,21,7,560,0,45", "400,kitchen,21.5,,,,", "900,kitchen,,9,,,"]
    rows += ["4400,kitchen,,,600,,", "4990,kitchen,21.9,,,,"]
    if burning:
        rows += ["5020,kitchen,44,,,,", "5030,kitchen,,900,,,", "5040,kitchen,71,,,,"]
        return [*rows, "5050,kitchen,,,,90,", "5060,kitchen,90,,,,", "8000,kitchen,,3000,,,"]
    return [*rows, "8400,kitchen,21,,,,", "9000,kitchen,,8,,,"]


@pytest.mark.parametrize("burning", [False, True])
def test_a_sensor_that_reports_on_change_is_not_silent_and_its_fire_not_over(burning: bool) -> None:
    live = Live(NO_RISK, RowReader(), longest_interval_s=7200.0)
    events = []
    for line in [HEADER, *changes(burning)]:
        events += live.line(line, 0.0)
    events += live.close()
    recording, _ = parse_recording(parse_csv(Path("r.csv"), "\n".join([HEADER, *changes(burning)])))
    assert events == detect(NO_RISK, recording, longest_interval_s=7200.0).events
    assert [event["event"] for event in events] == (["alarm"] if burning else [])


# --- a drill


@pytest.mark.parametrize(("kelvin", "alarmed"), [(60.0, True), (1.0, False)])
def test_a_drill_says_whether_the_alarm_would_have_come(kelvin: float, alarmed: bool) -> None:
    values = np.zeros((31, len(CHANNELS)))
    values[:, TEMPERATURE] = np.linspace(0.0, kelvin, 31)
    rise = Rise(10.0 * np.arange(31), values)
    live = Live(NO_RISK, RowReader(), drill=Drill(NO_RISK, "trial", rise))
    said = []
    for k, line in enumerate([HEADER, *fire_lines(10.0, 60, 1e9)]):
        said += live.line(line, 10.0 * k)
    assert all(event["drill"] for event in said)  # the true readings are calm
    (result,) = [event for event in said if event["event"] == "drill"]
    assert (result["alarmed"], result["fire"]) == (alarmed, "trial")
    assert 10.0 <= result["after_s"] <= 300.0
    assert result["time_s"] == DRILL_AFTER_S + result["after_s"]
    assert live.wait_s(610.0) > 0.0  # nothing waits for a drill that is over
    assert live.wait_s(660.0) > 0.0
    assert live.close() == []


def test_a_drill_over_a_silent_stream_ends_by_the_clock() -> None:
    rise = Rise(10.0 * np.arange(31), np.zeros((31, len(CHANNELS))))  # 300 s that show nothing
    live = Live(NO_RISK, RowReader(), drill=Drill(NO_RISK, "trial", rise))
    assert live.line(HEADER, 0.0) == live.line(fire_lines(10.0, 1, 1e9)[0], 0.0) == []
    begun = DRILL_AFTER_S + live.detector.now_s
    said = [event for clock in (1.0, begun + 299.0, begun + 301.0) for event in live.tick(clock)]
    (result,) = [event for event in said if event["event"] == "drill"]
    assert (result["alarmed"], result["cause"]) == (False, "none")
    assert [event for event in live.close() if event["event"] == "drill"] == []


# --- disturbed recordings of a fire


@st.composite
def disturbed(draw: st.DrawFn) -> tuple[float, list[str], list[str]]:
    """A period, the fire's rows, and rows of them: lost, twice, among another sensor's."""
    period_s = draw(st.sampled_from([10.0, 30.0, 60.0]))
    rows = 60
    clean = fire_lines(period_s, rows, period_s * draw(st.integers(25, 45)) + 0.5)
    lost = draw(st.sets(st.integers(1, rows - 1), max_size=int(0.3 * rows)))
    kept = [k for k in range(rows) if not (k in lost and (k - 1 not in lost))]  # never two in a row
    lines = [clean[k] for k in kept]
    for at in draw(st.sets(st.integers(0, len(lines) - 1), max_size=8)):
        lines.insert(at, lines[at])
    if draw(st.booleans()):
        noise, offset = random.Random(2), draw(st.sampled_from([0.0, 1.0, 3.5]))
        others = [fire_row(period_s * k + offset, 1e9, noise, "hall") for k in range(rows)]
        lines = sorted(lines + others, key=lambda line: float(line.split(",")[0]))
    return period_s, clean, lines


@PROPERTY
@given(disturbed())
def test_a_disturbed_fire_is_found_within_two_periods(case: tuple) -> None:
    period_s, clean, lines = case
    undisturbed = first_alarm_s(filed(clean))
    assert undisturbed is not None
    events = streamed(lines)
    found = first_alarm_s(events)
    assert found is not None
    assert abs(found - undisturbed) <= 2.0 * period_s
    assert events == filed(lines)


@PROPERTY
@given(
    st.sampled_from([10.0, 60.0]),
    st.integers(5, 55),
    st.sampled_from([-3600.0, -86_400.0, -600.0, 9 * 365 * 86_400.0, -55 * 365 * 86_400.0]),
    st.booleans(),
)
def test_a_set_clock_does_not_hide_a_fire(
    period_s: float, at: int, step_s: float, stays: bool
) -> None:
    """The clock is set at a row, for good or for that row alone."""
    clean = fire_lines(period_s, 60, 30.5 * period_s)
    lines = []
    for k, line in enumerate(clean):
        stamp, rest = line.split(",", 1)
        odd = k == at or (stays and k > at)
        lines.append(f"{float(stamp) + step_s * odd},{rest}")
    undisturbed, events = first_alarm_s(filed(clean)), streamed(lines)
    found = first_alarm_s(events)
    assert found is not None
    assert undisturbed is not None
    assert abs(found - undisturbed) <= 2.0 * period_s
    faults = [e for e in events if e["event"] == "fault"]
    assert [e["channel"] for e in faults] == ["time"]


def garbage(noise: random.Random) -> str:
    """A line as a loose wire, a reboot or a stranger sends it."""
    kind = noise.randrange(8)
    if kind < 3:
        line = fire_row(noise.uniform(-1e4, 1e7), noise.uniform(0, 1e7), noise)
        at = noise.randrange(len(line))
        return line[:at] + chr(noise.randrange(1, 0x3000)) + line[at + noise.randrange(3) :]
    if kind == 3:
        cells = ["1e999", "-inf", "nan", "unavailable", "", "0x10", "1,5", '"', "acknowledge", "\0"]
        return ",".join(noise.choice(cells) for _ in range(noise.randrange(12)))
    if kind == 4:
        return HEADER[: noise.randrange(len(HEADER))]
    if kind == 5:
        return "".join(chr(noise.randrange(0x250)) for _ in range(noise.randrange(60)))
    return fire_row(float(noise.randrange(100_000)), 1e9, noise, noise.choice("abc"))


def fuzzed(lines: int) -> None:
    noise = random.Random(3)
    live = Live(NO_RISK, RowReader())
    live.line(HEADER, 0.0)
    clock_s, last_s = 0.0, -np.inf
    for _ in range(lines):
        clock_s += noise.expovariate(0.2)
        events = live.tick(clock_s) if noise.random() < 0.1 else live.line(garbage(noise), clock_s)
        for event in events:
            json.dumps(event, allow_nan=False)
            assert event["time_s"] >= last_s
            last_s = event["time_s"]
    live.close()


def test_nothing_that_comes_stops_a_stream() -> None:
    fuzzed(5_000)


@pytest.mark.slow
def test_a_hundred_thousand_lines_do_not_stop_a_stream() -> None:
    fuzzed(100_000)


# --- a process


def detecting(**env: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "saafe", "detect", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, **env},
    )  # fmt: skip


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_bytes_of_any_kind_do_not_stop_a_process_and_events_come_at_once(locale: str) -> None:
    with detecting(LC_ALL=locale) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        noise = [b"\xff\xfe\x00kit\x80chen,\xc3\n", b'3000.0,"kitchen,21\n', b"\0\0\0\n", b"\r\n"]
        rows = [fire_row(10.0 * k, 100.0, random.Random(k)).encode() + b"\r\n" for k in range(40)]
        for line in [HEADER.encode() + b"\n", *noise, *rows]:
            process.stdin.write(line)
        process.stdin.flush()  # and the pipe stays open
        kinds = [json.loads(process.stdout.readline())["event"] for _ in range(2)]
        assert kinds == ["fault", "alarm"]
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_process_whose_input_is_closed_says_so() -> None:
    done = subprocess.run(
        f"{sys.executable} -m saafe detect - <&-", shell=True, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("saafe: -: no line came")
    assert done.stderr.count("\n") == 1
