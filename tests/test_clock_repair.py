"""Clocks of recordings: odd rows, clocks set anew, shuffled and scattered rows."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from saafe.errors import InputError
from saafe.recordings import Recording, Table, parse_recording
from saafe.recordings.clock_repair import DISORDER, FAR_PERIODS, mend_clock

T = 10.0 * np.arange(200)  # [s]
DAY = 86400.0
NOW = 1_796_000_000.0
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def table_of(times_s: np.ndarray, sensor: str | list[str] = "A") -> Table:
    """A CSV's table whose temperature counts the rows."""
    values = 20 + 0.01 * np.arange(len(times_s))
    frame = pl.DataFrame({"time_s": times_s, "temperature_c": values}).with_columns(
        pl.lit(sensor).alias("sensor") if isinstance(sensor, str) else pl.Series("sensor", sensor)
    )
    return Table(Path("home.csv"), frame.cast(pl.String), np.arange(2, len(times_s) + 2))


def mended(times_s: np.ndarray) -> tuple[Recording, tuple[str, ...]]:
    recording, check = parse_recording(table_of(times_s), repair=True)
    return recording, check.repairs


def refusal_of(times_s: np.ndarray, *, repair: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        parse_recording(table_of(times_s), repair=repair)
    return str(caught.value)


def with_rows(rows: slice | int | list[int], times_s: object, base: np.ndarray = T) -> np.ndarray:
    times = base.copy()
    times[rows] = times_s
    return times


ODD = {  # name: (times, row that is odd)
    "first row in 1970": (with_rows(0, 12.0, NOW + T), 2),
    "first row in the future": (with_rows(0, NOW + 3650 * DAY, NOW + T), 2),
    "row in 2036": (with_rows(100, NOW + 3650 * DAY, NOW + T), 102),
    "row in 1970": (with_rows(100, 0.0, NOW + T), 102),
    "row a day ahead": (with_rows(50, 500 + DAY), 52),
    "row an hour back onto another": (with_rows(150, 500.0), 152),
    "second row": (with_rows(1, 1e9), 3),
    "last row in 2036": (with_rows(-1, 1e9), 201),
    "last row in 1970": (with_rows(-1, 0.0, NOW + T), 201),
}


@pytest.mark.parametrize("case", ODD)
def test_a_lone_odd_row_is_named_and_dropped(case: str):
    times, row = ODD[case]
    message = refusal_of(times)
    assert f"home.csv, row {row}, column time_s: time " in message
    assert "is odd: far from the rows beside it, which agree; allowed: rows of a sensor" in message
    assert message.endswith("`saafe data check --repair` drops it")
    recording, repairs = mended(times)
    assert repairs == (f"dropped 1 row of an odd time ({row})",)
    kept = np.delete(T, row - 2)
    np.testing.assert_array_equal(recording.times_s, kept - kept[0])


def test_rows_of_one_moment_have_one_fate():
    cells = [(time_s, column) for time_s in T for column in range(4)]  # one cell a row
    frame = pl.DataFrame({
        "time_s": [500 + DAY if time_s == 500 else time_s for time_s, _ in cells],
        "temperature_c": [20 if column == 0 else None for _, column in cells],
        "pm25_ug_m3": [8 if column == 1 else None for _, column in cells],
        "co2_ppm": [500 if column == 2 else None for _, column in cells],
        "humidity_pct": [50 if column == 3 else None for _, column in cells],
    })  # fmt: skip
    table = Table(Path("home.csv"), frame, np.arange(2, len(cells) + 2))
    with pytest.raises(InputError, match=r"row 202, .* is odd.* drops such rows \(4\)"):
        parse_recording(table)
    recording, check = parse_recording(table, repair=True)
    assert check.repairs == ("dropped 4 rows of an odd time (202, 203, 204, 205)",)
    np.testing.assert_array_equal(recording.times_s, np.delete(T, 50))
    assert np.isfinite(recording.readings).sum() == 4 * 199


def test_too_many_odd_rows_are_not_dropped():
    times = with_rows([20, 40, 60, 80, 100], 1e9)
    for repair in (False, True):
        message = refusal_of(times, repair=repair)
        assert "row 22, column time_s" in message
        assert "correct the times" in message
        assert "--repair" not in message


def test_the_last_rows_of_a_channel_are_not_dropped():
    table = table_of(with_rows(100, 1e9))
    co = [None] * len(T)
    co[100] = "3"  # type: ignore[call-overload]
    frame = table.frame.with_columns(pl.Series("co_ppm", co))
    with pytest.raises(InputError, match="no whole channel"):
        parse_recording(Table(table.path, frame, table.row_numbers), repair=True)


SET = {  # name: (times, row, said, moved)
    "hour repeated": (
        with_rows(slice(120, None), T[120:] - 600.0),
        "row 122, column time_s: clock set back 600 s",
        "rows 122 to 201 by +600 s",
    ),
    "hour repeated out of step": (
        with_rows(slice(120, None), T[120:] - 596.0),
        "row 122, column time_s: clock set back 596 s",
        "rows 122 to 201 by +596 s",
    ),
    "counter restarts": (
        with_rows(slice(90, None), T[:110]),
        "row 92, column time_s: clock set back 900 s",
        "rows 92 to 201 by +900 s",
    ),
    "counter restarts after a late start": (
        np.append(50_000 + T[:100], T[:100]),
        "row 102, column time_s: clock set back 51,000 s",
        "rows 102 to 201 by +51,000 s",
    ),
    "clock lost its day": (
        np.append(NOW + T[:100], 5 + T[:100]),
        "row 102, column time_s: clock set back 1,796,000,995 s",
        "rows 102 to 201 by +1,796,000,995 s",
    ),
    "clock set far ahead": (
        np.append(T[:120], NOW + T[:80]),
        "row 122, column time_s: clock set forward 1,795,998,800 s",
        "rows 122 to 201 by -1,795,998,800 s",
    ),
    "some rows before NTP": (
        with_rows([0, 1, 2], [3.0, 13.0, 23.0], NOW + T),
        "row 5, column time_s: clock set forward 1,795,999,997 s",
        "rows 2 to 4 by +1,795,999,997 s",
    ),
    "some rows in 2036": (
        with_rows(slice(100, 104), 1e9 + T[100:104]),
        "row 102, column time_s: clock set forward 1,000,000,000 s",
        "rows 102 to 105 by -1,000,000,000 s",
    ),
}


@pytest.mark.parametrize("case", SET)
def test_a_set_clock_is_named_and_no_row_is_lost(case: str):
    times, said, moved = SET[case]
    message = refusal_of(times)
    assert f"home.csv, {said}; allowed: one clock all through" in message
    assert f"`saafe data check --repair` shifts {moved}" in message
    recording, repairs = mended(times)
    assert len(repairs) == 1
    assert repairs[0].startswith(f"shifted {moved} at sensor 'A': clock set")
    np.testing.assert_array_equal(recording.times_s, T)
    assert (np.diff(recording.readings[:, 0, 0]) > 0).all()  # in the order in which they came


def test_two_restarts_follow_each_other():
    recording, repairs = mended(np.concatenate([T[:80], T[:60], T[:60]]))
    assert [repair.split(" at ")[0] for repair in repairs] == [
        "shifted rows 82 to 141 by +800 s",
        "shifted rows 142 to 201 by +1,400 s",
    ]
    np.testing.assert_array_equal(recording.times_s, T)


def test_a_repeated_hour_newest_first():
    times = with_rows(slice(120, None), T[120:] - 600.0)[::-1]
    assert "row 81, column time_s: clock set back 600 s" in refusal_of(times)
    recording, repairs = mended(times)
    assert repairs[0].startswith("shifted rows 2 to 81 by +600 s")
    assert repairs[1].startswith("sorted by time")
    np.testing.assert_array_equal(recording.times_s, T)
    assert (np.diff(recording.readings[:, 0, 0]) < 0).all()


def test_no_repair_is_offered_that_would_be_refused():
    """Two sensors under one name, and their rows out of order besides."""
    times = np.random.default_rng(0).permutation(np.repeat(T, 2))
    message = refusal_of(times)
    assert "came twice" in message
    assert "--repair" not in message
    assert message == refusal_of(times, repair=True)


def test_each_sensor_has_its_own_clock():
    both = np.repeat(T, 2)
    both[1::2] = with_rows(slice(100, None), T[100:] - 500.0)
    table = table_of(both, ["A", "B"] * len(T))
    with pytest.raises(InputError, match=r"row 203, .*set back 500 s.* rows 203 to 401 by \+500 s"):
        parse_recording(table)
    recording, check = parse_recording(table, repair=True)
    assert len(check.repairs) == 1
    assert np.isfinite(recording.readings[:, :, 0]).all()


SHUFFLED = {
    "two rows changed places": with_rows([50, 51], T[[51, 50]]),
    "newest first": T[::-1],
    "halves changed places": np.roll(T, 100),
    "halves from zero": np.roll(T, 77),
    "a batch that came late": np.concatenate([T[:50], T[60:120], T[50:60], T[120:]]),
    "a row that came late": np.concatenate([T[:50], T[51:150], T[50:51], T[150:]]),
    "days in the wrong order": np.append(NOW + 3 * DAY + T, NOW + T),
    "at random": np.random.default_rng(0).permutation(T),
}


@pytest.mark.parametrize("case", SHUFFLED)
def test_shuffled_rows_are_sorted(case: str):
    times = SHUFFLED[case]
    assert "time goes backwards, from " in (message := refusal_of(times))
    assert message.endswith("`saafe data check --repair` sorts them")
    recording, repairs = mended(times)
    assert len(repairs) == 1
    assert repairs[0].startswith("sorted by time (")
    np.testing.assert_array_equal(recording.times_s, np.sort(times) - times.min())


def test_sensors_may_interleave_anyhow():
    rng = np.random.default_rng(0)
    times = np.concatenate([T + 3.0, T + 1.0])
    sensors = np.repeat(["hall", "kitchen"], len(T))
    order = np.argsort(np.concatenate([T, T + rng.uniform(-500, 500)]), kind="stable")
    recording, check = parse_recording(table_of(times[order], sensors[order].tolist()))
    assert check.repairs == ()
    assert check.rows == 2 * len(T)
    assert recording.times_s.tolist() == sorted((times - 1.0).tolist())


def test_a_pause_of_weeks_is_a_gap():
    _, check = parse_recording(table_of(np.append(T, T + 29 * DAY)))
    assert len(check.gaps) == 1


# --- one time and sensor, several rows

MERGED = {  # name: (rows of time, sensor, temperature, pm25, label; notes)
    "one cell a row": (
        ["0,A,20,,", "0,A,,8,", "0,A,,,fire", "10,A,,9,", "10,A,21,,normal"],
        ("3 rows of one time and sensor with another: merged",),
    ),
    "the same row twice": (
        ["0,A,20,8,fire", "0,A,20,8,fire", "10,A,21,9,normal", "10,A,21,9,normal"],
        ("2 rows came twice, cell for cell: dropped",),
    ),
    "some of the same": (
        ["0,A,20,8,fire", "0,A,20,,", "10,A,21,,normal", "10,A,21,9,normal"],
        ("2 rows of one time and sensor with another: merged",),
    ),
    "apart": (
        ["0,A,20,,", "0,B,30,3,", "0,A,,8,fire", "10,A,21,9,normal"],
        ("1 row of one time and sensor with another: merged",),
    ),
    "a word and a reading": (
        ["0,A,unavailable,8,fire", "0,A,20,,", "10,A,21,9,normal"],
        ("1 row of one time and sensor with another: merged",),
    ),
}


def parse_lines(lines: list[str], *, repair: bool = False):
    cells = [line.split(",") for line in lines]
    names = ["time_s", "sensor", "temperature_c", "pm25_ug_m3", "label"]
    frame = pl.DataFrame(cells, schema=names, orient="row")
    return parse_recording(Table(Path("h.csv"), frame, np.arange(2, len(cells) + 2)), repair=repair)


@pytest.mark.parametrize("case", MERGED)
def test_rows_that_do_not_conflict_are_one(case: str):
    lines, notes = MERGED[case]
    recording, check = parse_lines(lines)
    assert check.notes == notes
    assert check.repairs == recording.refused == ()
    assert recording.times_s.tolist() == [0, 10]
    assert recording.readings[:, 0, :2].tolist() == [[20, 8], [21, 9]]
    assert recording.labels is not None
    assert recording.labels[:, 0].tolist() == [2, 0]
    assert check.channels["pm25"].missing == 0


def test_conflicts_are_refused_and_the_first_kept():
    lines = [f"{t},A,20,8,normal" for t in range(0, 1000, 10)]
    for other in ("500,A,21,8,normal", "500,A,20,8,fire"):
        with pytest.raises(
            InputError, match=r"row 53, .*came twice with different .* keeps the fi"
        ):
            parse_lines([*lines[:51], other, *lines[51:]])
    recording, check = parse_lines([*lines[:51], "500,A,21,9,", *lines[51:]], repair=True)
    assert check.repairs == ("kept the first of 1 duplicate row",)
    assert recording.readings[50, 0, :2].tolist() == [20, 8]


def test_two_sensors_under_one_name_are_not_repaired():
    lines = [f"{t},A,{k},8,normal" for t in range(0, 1000, 10) for k in (20, 21)]
    with pytest.raises(InputError, match="name the sensors") as caught:
        parse_lines(lines)
    assert "--repair" not in str(caught.value)
    with pytest.raises(InputError, match="as 100 rows do: more than the 4 that a repair drops"):
        parse_lines(lines, repair=True)


def may_restart(lines: list[str], sensor: str) -> bool:
    """Whether a sensor's rows are nearly in order and go back to about zero: a clock set anew."""
    times = np.array([float(line.split(",")[0]) for line in lines if line.split(",")[1] == sensor])
    steps = np.diff(times)
    back = steps < 0
    forward = steps[steps > 0]
    if not back.any() or not len(forward) or back.sum() > max(1, DISORDER * len(steps)):
        return False
    return times[1:][back].min() <= FAR_PERIODS * np.median(forward)


@FUZZ
@given(
    steps=st.lists(st.sampled_from([5.0, 10.0, 10.0, 10.0, 15.0, 60.0]), min_size=1, max_size=30),
    data=st.data(),
)
def test_shuffled_and_scattered_rows_read_as_the_clean_table(
    steps: list[float], data: st.DataObject
):
    times = np.append(0.0, np.cumsum(steps))
    clean = [[f"{t}", s, f"{20 + k}", f"{8 + k}", "fire"]
             for k, t in enumerate(times) for s in "AB"]  # fmt: skip
    expected, _ = parse_lines([",".join(row) for row in clean])
    scattered = []
    for row in clean:
        kept = data.draw(st.sampled_from([[[2, 3, 4]], [[2], [3, 4]], [[3], [2], [4]]]))
        for some in kept:
            scattered.append(",".join(c if k < 2 or k in some else "" for k, c in enumerate(row)))
    lines = data.draw(st.permutations(scattered))
    assume(not any(may_restart(lines, sensor) for sensor in "AB"))
    found, check = parse_lines(lines, repair=True)
    order = [found.sensors.index(name) for name in expected.sensors]
    np.testing.assert_array_equal(found.times_s, expected.times_s)
    np.testing.assert_array_equal(found.readings[:, order], expected.readings)
    np.testing.assert_array_equal(found.labels[:, order], expected.labels)  # type: ignore[index]
    assert all(repair.startswith("sorted") for repair in check.repairs)


@pytest.mark.parametrize("pairs", [range(0, 100, 8), range(0, 100, 2), range(1, 98, 3)])
def test_of_shuffled_rows_a_clock_set_forward_is_mended(pairs: range) -> None:
    wanted = np.arange(100.0) * 10.0
    times = wanted + np.where(np.arange(100) >= 50, 1e7, 0.0)
    order = np.arange(100)
    for at in pairs:
        order[[at, at + 1]] = order[[at + 1, at]]
    mended = mend_clock(times[order])
    assert not mended.is_odd.any()
    np.testing.assert_allclose(np.sort(mended.times_s) - mended.times_s.min(), wanted)
    assert np.array_equal(np.argsort(mended.times_s), np.argsort(order))
    (move,) = mended.moves
    assert abs(move.shift_s) == pytest.approx(1e7)
    shuffled = mend_clock(wanted[order])
    assert np.array_equal(shuffled.times_s, wanted[order])
