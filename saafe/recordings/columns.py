"""Columns of a recording's table: cells in, typed arrays out.

Each function raises one `InputError` for the first cell it cannot use.
"""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl

from saafe.recordings.tables import Table, quoted, refusal
from saafe.sensors import CHANNELS, COLUMNS, LABELS, MAX_SENSORS, UNKNOWN

DEFAULT_SENSOR = "A"
LARGEST_TIME_S = 1e12  # Chosen: milliseconds since 1970 are more, seconds never
LONGEST_SPAN_S = 10 * 366 * 86400.0  # Chosen: ten years, because a typo in a time is longer
_KNOWN = ("time_s", "time", "sensor", *COLUMNS, "label", "source")
ISO_PATTERN = (
    r"^([1-9]\d{3}-\d{2}-\d{2})[T ]((?:[01]\d|2[0-3]):[0-5]\d)(:[0-5]\d)?(\.\d{1,9})?"
    r" ?([Zz]|[+-](?:[01]\d|2[0-3]):?(?:[0-5]\d)?)?$"
)
ISO_ALLOWED = "ISO 8601 such as 2026-01-31T12:00:00+01:00"


def refuse_columns(path: Path | str, names: list[str]) -> None:
    """Refuse a header without a time or a channel, or with one of its columns twice."""
    allowed = f"time_s or time, and any of {', '.join(COLUMNS)}"
    came = f"columns {quoted(', '.join(names))}"
    mend = "rename the columns"
    if "time_s" not in names and "time" not in names:
        raise refusal(path, f"no time in {came}", allowed=allowed, mend=mend, row=1)
    if not any(column in names for column in COLUMNS):
        raise refusal(path, f"no known channel in {came}", allowed=allowed, mend=mend, row=1)
    for name in _KNOWN:
        if f"{name} #2" in names:
            mend = "delete one of them"
            allowed = "each column once"
            raise refusal(path, "came twice", allowed=allowed, mend=mend, row=1, column=name)


def ignored_columns(names: list[str]) -> list[str]:
    """Columns that are not read; `time` is one where there is a `time_s`."""
    known = set(_KNOWN) - ({"time"} if "time_s" in names else set())
    return [name for name in names if name not in known]


def time_column(table: Table) -> str:
    """The column that times are read from."""
    return "time_s" if "time_s" in table.frame.columns else "time"


def _refuse_cell(table: Table, column: str, index: int, *, allowed: str, mend: str) -> None:
    cell = table.frame[column][index]
    came = "empty" if cell is None or cell == "" else f"came {quoted(cell)}"
    row = int(table.row_numbers[index])
    raise refusal(table.path, came, allowed=allowed, mend=mend, row=row, column=column)


def to_text(table: Table, column: str) -> pl.Series:
    """A column as stripped text, "" where empty."""
    try:
        return table.frame[column].cast(pl.String).fill_null("").str.strip_chars()
    except pl.exceptions.PolarsError:
        came, mend = f"type {table.frame[column].dtype}", "store it as text"
        raise refusal(table.path, came, allowed="text", mend=mend, column=column) from None


def to_numbers(table: Table, column: str) -> np.ndarray:
    """A column as float64 `(row,)`, NaN where empty."""
    series = table.frame[column]
    if series.dtype.is_numeric():
        return series.cast(pl.Float64).fill_null(np.nan).to_numpy()
    text = to_text(table, column)
    numbers = text.cast(pl.Float64, strict=False)
    wrong = (numbers.is_null() & (text != "")).arg_true()
    if len(wrong):
        mend = "leave a missing reading empty, and write decimals with a point"
        _refuse_cell(table, column, wrong[0], allowed="a number", mend=mend)
    return numbers.fill_null(np.nan).to_numpy()


def read_times(table: Table, notes: list[str]) -> tuple[np.ndarray, datetime | None]:
    """Seconds of each row from the first row of the file, and when that row was."""
    if "time_s" in table.frame.columns:
        times = to_numbers(table, "time_s")
        wrong = np.flatnonzero(~(np.abs(times) <= LARGEST_TIME_S))
        if len(wrong):
            mend = "give every row its time, and not in milliseconds"
            _refuse_cell(table, "time_s", int(wrong[0]), allowed="a number of seconds", mend=mend)
        return times - times[0], None
    microseconds, start = _read_stamps(table)
    if start.tzinfo is None:
        notes.append("times have no offset: taken as local time without a change of clocks")
    return (microseconds - microseconds[0]) / 1e6, start


def _read_stamps(table: Table) -> tuple[np.ndarray, datetime]:
    """Microseconds since 1970, UTC where times have an offset, and the first row's time."""
    series = table.frame["time"]
    if isinstance(series.dtype, pl.Datetime):
        if series.null_count():
            index = series.is_null().arg_true()[0]
            mend = "give every row its time"
            _refuse_cell(table, "time", index, allowed="a time", mend=mend)
        _refuse_years(table, series)
        zone = UTC if series.dtype.time_zone else None
        microseconds = series.dt.epoch("us").to_numpy()
        naive = datetime(1970, 1, 1) + timedelta(microseconds=int(microseconds[0]))
        return microseconds, naive.replace(tzinfo=zone)
    text = to_text(table, "time")
    groups = text.str.extract_groups(ISO_PATTERN).struct.unnest()
    date, minute, second, fraction, offset = groups.get_columns()
    stamps = (date + "T" + minute + second.fill_null(":00") + fraction.fill_null("")).str
    naive = stamps.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    wrong = naive.is_null().arg_true()
    if len(wrong):
        mend = "write every time so, or seconds in a column time_s"
        _refuse_cell(table, "time", wrong[0], allowed=ISO_ALLOWED, mend=mend)
    mixed = (offset.is_null() != (offset[0] is None)).arg_true()
    if len(mixed):
        allowed = f"an offset on every time or on none (the first row's is {quoted(text[0])})"
        mend = "add the offset, such as +01:00, to all of them"
        _refuse_cell(table, "time", mixed[0], allowed=allowed, mend=mend)
    minutes = _offset_minutes(offset)
    start = naive[0]
    if offset[0] is not None:
        start = start.replace(tzinfo=timezone(timedelta(minutes=int(minutes[0]))))
    return naive.dt.epoch("us").to_numpy() - minutes * 60_000_000, start


def _refuse_years(table: Table, series: pl.Series) -> None:
    """Parquet holds years that Python's datetime does not."""
    wrong = (~series.dt.year().is_between(1000, 9998)).arg_true()
    if len(wrong):
        came, mend = f"year {series.dt.year()[wrong[0]]}", "check the unit of the time column"
        row = int(table.row_numbers[wrong[0]])
        raise refusal(
            table.path, came, allowed="years 1000 to 9998", mend=mend, row=row, column="time"
        )


def _offset_minutes(offset: pl.Series) -> np.ndarray:
    """Minutes east of Greenwich of texts such as +01:00, -0530, +02, Z and null."""
    digits = offset.str.replace(":", "")
    hours = digits.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0)
    minutes = digits.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    sign = np.where(offset.str.starts_with("-").fill_null(False).to_numpy(), -1, 1)
    return sign * (hours * 60 + minutes).to_numpy()


def read_sensors(table: Table) -> tuple[tuple[str, ...], np.ndarray]:
    """Names in the order of their first row, and each row's index into them."""
    rows = table.frame.height
    if "sensor" not in table.frame.columns:
        return (DEFAULT_SENSOR,), np.zeros(rows, dtype=np.int64)
    text = to_text(table, "sensor")
    wrong = ((text == "") | text.str.contains(r"[\x00-\x1f\x7f]")).arg_true()
    if len(wrong):
        mend = "name the sensor in every row, or delete the column if there is one only"
        _refuse_cell(table, "sensor", wrong[0], allowed="a name", mend=mend)
    names = text.unique(maintain_order=True)
    if len(names) > MAX_SENSORS:
        first = int((text == names[MAX_SENSORS]).arg_true()[0])
        mend = "write one recording a space"
        raise refusal(
            table.path,
            f"{len(names)} sensors",
            allowed=f"at most {MAX_SENSORS} in a space",
            mend=mend,
            row=int(table.row_numbers[first]),
            column="sensor",
        )
    index = text.replace_strict(names, pl.Series(range(len(names)), dtype=pl.Int64))
    return tuple(names), index.to_numpy()


def read_numbers(table: Table) -> np.ndarray:
    """Float64 `(row, channel)`, NaN where a cell is empty or its column absent."""
    readings = np.full((table.frame.height, len(CHANNELS)), np.nan)
    for index, column in enumerate(COLUMNS):
        if column in table.frame.columns:
            readings[:, index] = to_numbers(table, column)
    return readings


def read_labels(table: Table) -> np.ndarray | None:
    """Int8 `(row,)` index into LABELS, -1 where empty; None without such a column."""
    if "label" not in table.frame.columns:
        return None
    text = to_text(table, "label").str.to_lowercase()
    wrong = (~text.is_in([*LABELS, ""])).arg_true()
    if len(wrong):
        mend = "rename the label, or leave it empty where nothing is known"
        _refuse_cell(table, "label", wrong[0], allowed=", ".join(LABELS), mend=mend)
    indices = pl.Series([*range(len(LABELS)), UNKNOWN], dtype=pl.Int8)
    return text.replace_strict([*LABELS, ""], indices, return_dtype=pl.Int8).to_numpy()
