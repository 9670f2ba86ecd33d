"""What a live stream says of rows that come twice, in pieces, or under a clock of no use."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saafe.detector.alarms import AlarmSettings
from saafe.detector.detector import Detector, Scorer
from saafe.detector.live import Live
from saafe.detector.recorded import detect
from saafe.errors import InputError
from saafe.recordings import cut_recording, write_recording
from saafe.recordings.lines import parse_lines
from saafe.recordings.recording import parse_recording
from saafe.recordings.stream import RowReader, read_rows
from saafe.recordings.tables import parse_csv
from saafe.recordings.units import CHANNEL_UNITS, parse_units
from saafe.sensors import CHANNEL_NAMES, CHANNELS, PM25

HEADER = "time_s,sensor,temperature_c"
RULES = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())  # the fixed rules alone


def watched(rows: list[tuple[float, str]], until_s: float, header: str = HEADER) -> list[dict]:
    """Events of lines that come at moments of our clock, which goes on until a time."""
    live, clock_s, events = Live(RULES, RowReader()), 0.0, []
    live.line(header, 0.0)
    for came_s, line in [*rows, (until_s, "")]:
        while clock_s + live.wait_s(clock_s) < came_s:
            clock_s += max(live.wait_s(clock_s), 1e-6)
            events += live.tick(clock_s)
        clock_s = came_s
        events += live.line(line, clock_s)
    return events


def brief(events: list[dict]) -> list[tuple]:
    return [(e["event"], e["time_s"], e.get("cause", e.get("channel"))) for e in events]


def streamed(lines: list[str], header: str = HEADER, model: Scorer = RULES) -> list[dict]:
    detector, events = Detector(model), []
    for row in read_rows([header, *lines]):
        events += detector.update(row.time_s, row.sensor, row.readings, row.refused)
    return events + detector.finish()


def filed(lines: list[str], header: str = HEADER, model: Scorer = RULES) -> list[dict]:
    text = "\n".join([header, *lines])
    table = parse_csv(Path("r.csv"), text)
    return detect(model, parse_recording(table, longest_interval_s=86_400.0)[0]).events


@pytest.mark.parametrize("stamp", ["", "noon", "nan", "1e300"])
def test_rows_of_no_usable_time_are_no_repetitions(stamp: str) -> None:
    """Each counts from its arrival: a hot reading that stays the same alarms as any other."""
    rows = [(10.0 * k, f"{stamp},A,{21.5 if k < 50 else 80}") for k in range(100)]
    assert brief(watched(rows, 995.0)) == [("fault", 0.0, "time"), ("alarm", 510.0, "heat")]


@pytest.mark.parametrize("period_s", [10.0, 30.0, 60.0])
def test_a_counter_that_starts_over_with_the_same_rows_talks(period_s: float) -> None:
    rows = [(period_s * k, f"{period_s * (k % 3)},A,21.5") for k in range(int(3000 / period_s))]
    found = brief(watched(rows, 3000.0))
    assert {channel for _, _, channel in found} == {"time"}


def test_an_upload_that_comes_again_is_dropped() -> None:
    """A gateway that missed the answer sends its rows again: they are not of another clock."""
    rows = [
        (60.0 * k + late_s, f"{60 * k - 10 * back},A,{21 + 0.01 * k}")
        for k in range(1, 30)
        for late_s in (0.0, 20.0)
        for back in range(5, -1, -1)
    ]
    assert watched(rows, 1750.0) == []


@pytest.mark.parametrize("word", ["unavailable", "nan", "hot", "5000"])
def test_a_cell_that_is_no_reading_does_not_swallow_the_number_of_its_time(word: str) -> None:
    lines = ["0,A,21", "10,A,21", *(f"{s},A,{cell}" for s in (20, 30) for cell in (word, "101"))]
    alarm = ("alarm", 30.0, "heat")
    assert [one for one in brief(streamed(lines)) if one[0] == "alarm"] == [alarm]
    if word not in ("hot", "5000"):  # with one of these in place of a word a file is refused
        assert brief(filed(lines)) == [alarm]


OTHER_HEADERS = {
    "other order": ("time_s,sensor,humidity_pct,temperature_c", "{s},A,72,21"),
    "a column more": ("time_s,sensor,temperature_c,humidity_pct,battery", "{s},A,21,72,3"),
    "a column less": ("time_s,temperature_c,humidity_pct", "{s},21,72"),
    "another clock": ("time,humidity_pct,temperature_c", "2026-01-31T12:{m:02}:{t:02}Z,72,21"),
    "upper case": ("TIME_S,Humidity_pct,Temperature_C,sensor", "{s},72,21,A"),
}


@pytest.mark.parametrize("case", OTHER_HEADERS)
def test_a_logger_that_starts_again_with_another_header_is_read_by_it(case: str) -> None:
    """Once humidity was read as temperature, which alarmed, or no later row was read at all."""
    header, line = OTHER_HEADERS[case]
    first = [(10.0 * k, f"{10 * k},A,21,72") for k in range(30)]
    later = [(10.0 * k, line.format(s=10 * k, m=k // 6, t=10 * (k % 6))) for k in range(30, 80)]
    hot = [(at, text.replace(",21", ",101")) for at, text in later[-3:]]
    rows = [*first, (299.0, header), *later[:-3], *hot]
    events = watched(rows, 795.0, "time_s,sensor,temperature_c,humidity_pct")
    alarms = [one for one in brief(events) if one[0] == "alarm"]
    assert alarms == [("alarm", 780.0, "heat")]
    wrong = {e["channel"] for e in events if e["event"] == "fault"}
    assert wrong <= ({"time"} if case == "another clock" else set())


@pytest.mark.parametrize("case", OTHER_HEADERS)
@pytest.mark.parametrize("rows", [1, 50])
def test_a_file_with_another_header_is_refused_at_its_row(case: str, rows: int) -> None:
    header, line = OTHER_HEADERS[case]
    lines = ["time_s,sensor,temperature_c,humidity_pct", *(f"{k},A,21,72" for k in range(200))]
    lines += [header, *(line.format(s=k, m=k // 60, t=k % 60) for k in range(200, 200 + rows))]
    with pytest.raises(InputError, match=r"row 202(: another header|.*'TIME_S')") as refused:
        parse_recording(parse_lines(Path("r.csv"), "\n".join(lines).encode()))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("end", range(len("time_s,sensor,temp"), 40))
def test_a_header_that_is_cut_short_changes_nothing(end: int) -> None:
    header = "time_s,sensor,temperature_c,humidity_pct,co2_ppm"
    rows = [(10.0 * k, f"{10 * k},A,{21 if k < 30 else 101},45,600") for k in range(32)]
    rows.insert(20, (195.0, header[:end]))
    events = [one for one in brief(watched(rows, 315.0, header)) if one[2] != "row"]
    assert events == [("alarm", 310.0, "heat")]


@pytest.mark.parametrize("ends", [(4, 10), (10, 4), (10, 10), (4, 4)])
def test_of_two_sensors_that_alarm_in_one_bin_both_ways_name_the_same(ends: tuple) -> None:
    """The one whose row ends the bin, which is decided on at once, before the first one seen."""
    names = ("kitchen", "hall")
    rows = sorted(zip(ends, names, strict=True), key=lambda row: row[0])
    lines = [*(f"0,{name},101" for name in names), *(f"{end},{name},101" for end, name in rows)]
    first = next((name for end, name in zip(ends, names, strict=True) if end == 10), "kitchen")
    assert [e["sensor"] for e in streamed(lines) if e["event"] == "alarm"] == [first]
    assert streamed(lines) == filed(lines)


SMOKY_HEADER = "time_s,sensor,temperature_c,pm25_ug_m3,co_ppm"
SMOKY = Scorer(
    lambda windows: np.nan_to_num(windows[:, -1, 0, PM25].astype(np.float64)).clip(0.0, 100.0),
    AlarmSettings(warm_s=0.0, warn=-1.0, leave=-2.0, fast_s=20.0, slow_s=60.0, clear_s=120.0),
)
CELLS = {  # of a row, by what happens to its sensor
    "calm": "21,1,0", "hot": "70,1,0", "smoke": "21,95,0", "co": "21,1,400", "no co": "21,1,",
    "words": "unavailable,1,", "empty": ",,", "twice": "21,1,0",
}  # fmt: skip


@st.composite
def rows_in_any_order(draw: st.DrawFn) -> list[str]:
    """Lines of sensors that begin, burn, fall silent and come back together, in any order."""
    names = draw(st.permutations("ABC"))
    state, time_s, lines = dict.fromkeys(names[1:], "empty"), 0.0, [f"0,{names[0]},21,1,0"]
    for _ in range(draw(st.integers(5, 40))):
        time_s += draw(st.sampled_from([10.0, 10.0, 10.0, 5.0, 7.0, 60.0, 200.0, 2000.0]))
        for name in draw(st.permutations(names))[: draw(st.integers(1, 3))]:
            if draw(st.integers(0, 4)) == 0:
                state[name] = draw(st.sampled_from(list(CELLS)))
            word = state.get(name, "calm")
            lines += [f"{time_s:g},{name},{CELLS[word]}"] * (2 if word == "twice" else 1)
    return lines


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(rows_in_any_order())
def test_events_of_one_moment_come_in_the_order_of_its_rows_from_a_file_too(
    lines: list[str],
) -> None:
    """A file took them in the order of its sensors: it named another sensor, or missed a clear."""
    assert filed(lines, SMOKY_HEADER, SMOKY) == streamed(lines, SMOKY_HEADER, SMOKY)


def test_the_order_of_rows_outlives_writing_and_cutting(tmp_path: Path) -> None:
    lines = ["0,A,21", "0,B,21", "10,B,21", "10,A,21", "10,C,21", "20,C,21", "20,A,21"]
    text = "\n".join([HEADER, *lines])
    read = parse_recording(parse_csv(Path("r.csv"), text))[0]
    assert read.turns is not None
    assert read.turns.tolist() == [[0, 1, 3], [1, 0, 2], [1, 3, 0]]
    write_recording(read, tmp_path / "r.csv")
    written = (tmp_path / "r.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in written[1:]] == list("ABBACCA")
    part = cut_recording(read, 10.0, 20.0)
    assert part.turns is not None
    assert part.turns.tolist() == read.turns[1:].tolist()
    in_order = "\n".join([HEADER, *lines[:2], "10,A,21", "10,B,21", "20,B,21"])
    assert parse_recording(parse_csv(Path("r.csv"), in_order))[0].turns is None


@pytest.mark.parametrize("again", ["50", "50.00", "5e1", "unavailable", ""])
def test_a_number_that_is_written_otherwise_came_once(again: str) -> None:
    lines = ["0,A,50", f"0,A,{again}", "10,A,50", f"10,A,{again}"]
    assert streamed(lines) == filed(lines) == []


@pytest.mark.parametrize(
    ("channel", "unit"),
    [(channel, one.unit) for channel, units in CHANNEL_UNITS.items() for one in units[1:]],
)
def test_what_is_no_reading_is_said_in_the_unit_in_which_it_came(channel: str, unit: str) -> None:
    """Of 4,000 degF it said "2204.44 is outside", which stands nowhere."""
    one = CHANNELS[CHANNEL_NAMES.index(channel)]
    reader = RowReader(units=parse_units([f"{channel}={unit}"]))
    reader.read(f"time_s,{one.column}")
    row = reader.read("0,1e9")
    assert row is not None
    said = row.refused[channel]
    assert said.startswith(f"came 1e9 {unit}: ")
    assert said.endswith(f" is outside {one.lowest:g} to {one.highest:g} {one.unit}")
    for number, (cell, why) in enumerate(
        {"unavailable": "unavailable: no reading", "hot": "came 'hot', no number", "": ""}.items()
    ):
        row = reader.read(f"{10 * number + 10},{cell}")
        assert row is not None
        assert row.refused.get(channel, "") == why


def test_what_is_no_reading_of_the_channels_own_unit_is_said_as_ever() -> None:
    reader = RowReader(units=parse_units(["temperature=C"]))
    reader.read("time_s,temperature_c")
    row = reader.read("0,5e3")
    assert row is not None
    assert row.refused == {"temperature": "5000 is outside -40 to 1200 degC"}
