"""Recordings that are made by hand, as in a notebook: taken, or refused in one line."""

import re
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import saafe
from saafe.recordings import Recording
from saafe.sensors import CHANNELS

TIMES = np.arange(0.0, 600.0, 10.0)
READINGS = np.full((60, 1, len(CHANNELS)), np.nan, np.float32)
READINGS[..., 0], READINGS[..., 1] = 21.0, 8.0
PLAIN = Recording("made", TIMES, ("A",), READINGS)
LABELS = np.zeros((60, 1), np.int8)


def test_what_it_is_stands_on_one_line() -> None:
    assert repr(PLAIN) == "Recording('made', 60 times to 590 s, A)"
    assert repr(replace(PLAIN, sources=60 * ("toast",))) == repr(PLAIN)


@pytest.mark.parametrize(
    "parts",
    [
        {"times_s": TIMES.tolist()},
        {"times_s": TIMES.astype(int)},
        {"times_s": pl.Series(TIMES)},
        {"sensors": ["A"]},
        {"sensors": np.array(["A"])},
        {"readings": READINGS.tolist()},
        {"readings": READINGS.astype(np.float64)},
        {"readings": READINGS.astype(object)},
        {"readings": READINGS.astype(str)},
        {"readings": np.ma.masked_invalid(READINGS)},
        {"labels": LABELS.tolist()},
    ],
    ids=str,
)
def test_lists_and_columns_are_taken(parts: dict) -> None:
    made = replace(PLAIN, **parts)
    assert made.sensors == ("A",)
    assert made.times_s.tolist() == TIMES.tolist()
    np.testing.assert_array_equal(made.readings, READINGS)
    assert saafe.detect(saafe.load(), made).events == saafe.detect(saafe.load(), PLAIN).events


def test_what_is_an_array_already_is_not_copied() -> None:
    made = Recording("made", TIMES, ("A",), READINGS, LABELS)
    assert made.times_s is TIMES
    assert made.readings is READINGS
    assert made.labels is LABELS


DATES = TIMES.astype("datetime64[ms]")
REFUSED = {
    "rows": ({"readings": READINGS[:-1]}, r"readings: came shape \(59, 1, 6\)"),
    "no sensor axis": ({"readings": READINGS[:, 0]}, r"here \(60, 1, 6\)"),
    "words": ({"readings": np.full(READINGS.shape, "warm")}, "readings: came type <U4"),
    "times and sensors": ({"times_s": TIMES[:, None]}, r"times_s: came shape \(60, 1\)"),
    "a row a sensor": ({"times_s": np.repeat(TIMES[:30], 2)}, "times_s: came 0 after 0"),
    "newest first": ({"times_s": TIMES[::-1]}, "times_s: came 580 after 590"),
    "a gap in time": ({"times_s": np.where(TIMES == 90.0, np.nan, TIMES)}, "came no number"),
    "dates": ({"times_s": DATES}, "times_s: came dates; .* date of that row as start"),
    "a column of dates": ({"times_s": pl.Series(DATES)}, "times_s: came dates"),
    "one name": ({"sensors": "A"}, r"sensors: came 'A'; allowed: names, such as \["),
    "numbers": ({"sensors": [1]}, "sensors: came 1, int"),
    "twice": ({"sensors": "AA", "readings": READINGS.repeat(2, 1)}, "sensors: came 'AA'"),
    "alike": ({"sensors": ["A", "A"], "readings": READINGS.repeat(2, 1)}, "each once"),
    "none": ({"sensors": (), "readings": READINGS[:, :0]}, "sensors: came none"),
    "flat labels": ({"labels": LABELS[:, 0]}, r"labels: came shape \(60,\)"),
    "an unknown label": ({"labels": LABELS + 7}, "labels: came 7 to 7; .* 0 normal, 1 nuisance"),
    "labels as words": ({"labels": np.full((60, 1), "fire")}, "labels: came type <U4"),
    "sources": ({"sources": ("toast",)}, "sources: came 1; allowed: one a time, here 60"),
    "a day": ({"start": date(2026, 1, 1)}, "start: came datetime.date"),
    "a text": ({"start": "2026-01-01"}, "start: came '2026-01-01'; allowed: a datetime"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_parts_are_refused_in_one_line(case: str) -> None:
    """They ended in an AssertionError, in an error of numpy's, or in a label of another kind."""
    parts, says = REFUSED[case]
    with pytest.raises(saafe.InputError, match=says) as refused:
        replace(PLAIN, **parts)
    assert str(refused.value).startswith("Recording: ")
    assert "\n" not in str(refused.value)


def test_without_rows_there_is_nothing_to_do(tmp_path: Path) -> None:
    empty = replace(PLAIN, times_s=[], readings=READINGS[:0])
    assert repr(empty) == "Recording('made', 0 times to 0 s, A)"
    with pytest.raises(saafe.InputError, match="has no rows to detect in"):
        saafe.detect(saafe.load(), empty)
    with pytest.raises(saafe.InputError, match="has no rows to write"):
        saafe.write_recording(empty, tmp_path / "made.csv")


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture) -> None:
    page = Path(__file__).parents[1] / "docs" / "recordings.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    exec(compile(code, "docs/recordings.md", "exec"), {})
    assert capsys.readouterr().out == "Recording('kitchen', 360 times to 3,590 s, shelf) []\n"


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_a_frame_with_dates_is_read_from_its_file(zone: str | None, tmp_path: Path) -> None:
    dates = pl.Series("time", TIMES * 1000).cast(pl.Datetime("ms")).dt.replace_time_zone(zone)
    frame = pl.DataFrame([dates, pl.Series("temperature_c", READINGS[:, 0, 0])])
    frame.write_parquet(tmp_path / "made.parquet")
    recording, _ = saafe.read_recording(tmp_path / "made.parquet")
    assert recording.times_s.tolist() == TIMES.tolist()
    assert recording.start is not None
    assert (recording.start.tzinfo is None) == (zone is None)


def test_a_start_is_a_datetime() -> None:
    assert replace(PLAIN, start=datetime(2026, 1, 1)).start == datetime(2026, 1, 1)
