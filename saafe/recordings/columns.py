"""Columns of a recording's table: cells in, typed arrays out.

`cells` says what a cell means. Each function raises one `InputError` for the first that means
nothing.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from saafe.recordings.cells import (
    COMPACT_ISO,
    DEFAULT_SENSOR,
    EPOCH,
    ISO_PATTERN,
    LARGEST_TIME_MS,
    SEPARATED,
    CellError,
    check_sensor,
    counts_milliseconds,
    to_microseconds,
    to_number,
    to_seconds,
    to_stamp,
    without_milliseconds,
)
from saafe.recordings.tables import Table, quoted, refusal, unique_names
from saafe.sensors import CHANNELS, COLUMNS, LABELS, UNKNOWN

MILLISECONDS = "time_s holds milliseconds since 1970: read as such; better give seconds"
# what people call a channel, besides its name: how a column may begin
_ALSO = {
    "temperature": "temp|t",
    "pm25": "pm ?2 ?5|pm02",
    "sound": "noise|spl|dba?",
    "humidity": "rel ?hum|relative ?humidity|hum|rh",
}
_KNOWN = ("time_s", "time", "sensor", *COLUMNS, "label", "source")


def refuse_columns(path: Path | str, names: list[str], *, row: int = 1) -> None:
    """Refuse a header without a time or a channel, or with one of its columns twice.

    `row` is the header's number.
    """
    allowed = f"time_s or time, and any of {', '.join(COLUMNS)}"
    came = f"columns {quoted(', '.join(names))}"
    mend = (
        "rename the columns, or say what they are: saafe data import FILE OUT --map COLUMN=CHANNEL"
    )
    if "time_s" not in names and "time" not in names:
        raise refusal(path, f"no time in {came}", allowed=allowed, mend=mend, row=row)
    if not any(column in names for column in COLUMNS):
        raise refusal(path, f"no known channel in {came}", allowed=allowed, mend=mend, row=row)
    for name in _KNOWN:
        if f"{name} #2" in names:
            allowed, mend = "each column once", "delete one of them"
            raise refusal(path, "came twice", allowed=allowed, mend=mend, row=row, column=name)


def known_name(name: str) -> str:
    """A column's name, in lower case where that is one of a time, sensor or channel."""
    name = name.strip()
    low = name.casefold()
    return low if low in ("time", "time_s", "sensor", *COLUMNS) else name


def with_known_names(table: Table) -> Table:
    """The table with the names of columns as we know them; the same one twice is told apart."""
    names = [known_name(name) for name in table.frame.columns]
    if names == table.frame.columns:
        return table
    frame = table.frame.clone()
    frame.columns = unique_names(names)
    return replace(table, frame=frame)


def ignored_columns(names: list[str]) -> list[str]:
    """Columns that are not read; `time` is one where there is a `time_s`."""
    known = set(_KNOWN) - ({"time"} if "time_s" in names else set())
    return [name for name in names if name not in known]


def missed_channels(names: list[str]) -> list[str]:
    """What to say of ignored columns that begin like a channel which the table lacks."""
    return [
        f"column {name} is ignored; if it is {channel.name}, saafe data import reads it"
        for name in ignored_columns(names)
        for channel in CHANNELS
        if channel.column not in names and _begins_like(name, channel.name)
    ]


def _begins_like(name: str, channel: str) -> bool:
    """Whether a column's first word is a channel's name, or one that people give it."""
    words = re.sub(r"[^a-z0-9]+", " ", name.casefold()).strip()
    called = "|".join(filter(None, [channel, _ALSO.get(channel)]))
    return re.match(rf"(?:{called})(?![a-z0-9])", words) is not None


def time_column(table: Table) -> str:
    """The column that times are read from."""
    return "time_s" if "time_s" in table.frame.columns else "time"


def _refuse_cell(table: Table, column: str, index: int, *, allowed: str, mend: str) -> None:
    cell = table.frame[column][index]
    came = "empty" if cell is None or cell == "" else f"came {quoted(cell)}"
    raise table.refusal(came, allowed=allowed, mend=mend, index=index, column=column)


def to_text(table: Table, column: str) -> pl.Series:
    """A column as stripped text, "" where empty."""
    try:
        return table.frame[column].cast(pl.String).fill_null("").str.strip_chars()
    except pl.exceptions.PolarsError:
        came, mend = f"type {table.frame[column].dtype}", "store it as text"
        raise table.refusal(came, allowed="text", mend=mend, column=column) from None


def cells_at(table: Table, column: str, rows: np.ndarray) -> pl.Series:
    """The cells of some rows `(row,)` of a column, as `to_text` gives them."""
    return to_text(replace(table, frame=table.frame.select(pl.col(column).gather(rows))), column)


def to_numbers(table: Table, column: str) -> np.ndarray:
    """A column as float64 `(row,)`, NaN where a cell is empty or a word for that."""
    return _numbers_and_words(table, column)[0]


def _numbers_and_words(table: Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A column as float64 `(row,)`, NaN where missing, and where words say so."""
    series = table.frame[column]
    if series.dtype.is_numeric():
        numbers = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return numbers, np.zeros(len(numbers), dtype=bool)
    text = to_text(table, column)
    numbers = text.cast(pl.Float64, strict=False)
    is_left = (numbers.is_null() & (text != "")).to_numpy()
    is_word = is_left | numbers.is_nan().fill_null(False).to_numpy()
    numbers = _read_left(table, column, numbers.fill_null(np.nan).to_numpy(), is_left, to_number)
    return numbers, is_word  # what is left and is no word was refused


def _read_left(
    table: Table,
    column: str,
    values: np.ndarray,
    is_left: np.ndarray,
    read: Callable[[str], float],
) -> np.ndarray:
    """Values, with those of the cells that polars did not take read one by one, or refused."""
    left = np.flatnonzero(is_left)
    if not len(left):
        return values
    cells = cells_at(table, column, left)
    meaning = {}
    for cell in cells.unique(maintain_order=True):
        try:
            meaning[cell] = read(cell)
        except CellError as error:
            index = int(left[(cells == cell).arg_true()[0]])
            _refuse_cell(table, column, index, allowed=error.allowed, mend=error.mend)
    values = values.copy()
    values[left] = [meaning[cell] for cell in cells]
    return values


def read_times(table: Table, notes: list[str]) -> tuple[np.ndarray, datetime | None]:
    """Seconds of each row from the first row of the file, and when that row was."""
    if "time_s" in table.frame.columns:
        series = table.frame["time_s"]
        cells = series if series.dtype.is_numeric() else to_text(table, "time_s")
        times = cells.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
        is_left = ~(np.abs(times) <= LARGEST_TIME_MS)
        if counts_milliseconds(times).any():
            notes.append(MILLISECONDS)
        times = _read_left(table, "time_s", without_milliseconds(times), is_left, to_seconds)
        return times - times[0], None
    dtype = table.frame["time"].dtype
    if isinstance(dtype, pl.Datetime):
        microseconds, start = _typed_stamps(table, has_offset=dtype.time_zone is not None)
    else:
        microseconds, start = _read_stamps(table)
    if start.tzinfo is None:
        notes.append("times have no offset: taken as local time without a change of clocks")
    return (microseconds - microseconds[0]) / 1e6, start


def _typed_stamps(table: Table, *, has_offset: bool) -> tuple[np.ndarray, datetime]:
    """Microseconds since 1970 of a Parquet file's times, and the first row's time."""
    series = table.frame["time"]
    if series.null_count():
        index = int(series.is_null().arg_true()[0])
        _refuse_cell(table, "time", index, allowed="a time", mend="give every row its time")
    wrong = (~series.dt.year().is_between(1000, 9998)).arg_true()
    if len(wrong):  # Parquet holds years that Python's datetime does not
        came, mend = f"year {series.dt.year()[wrong[0]]}", "check the unit of the time column"
        raise table.refusal(
            came, allowed="years 1000 to 9998", mend=mend, index=wrong[0], column="time"
        )
    microseconds = series.dt.epoch("us").to_numpy()
    start = EPOCH + timedelta(microseconds=int(microseconds[0]))
    return microseconds, start if has_offset else start.replace(tzinfo=None)


def _read_stamps(table: Table) -> tuple[np.ndarray, datetime]:
    """Microseconds since 1970, UTC where times have an offset, and the first row's time."""
    text = to_text(table, "time").str.replace(COMPACT_ISO, SEPARATED[1])
    groups = text.str.extract_groups(ISO_PATTERN).struct.unnest()
    date, minute, second, offset = groups.get_columns()
    stamps = (date + "T" + minute + second.fill_null(":00")).str
    naive = stamps.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    epochs = naive.dt.epoch("us").fill_null(0).to_numpy()
    epochs = _read_left(
        table, "time", epochs, naive.is_null().to_numpy(), lambda c: to_microseconds(to_stamp(c))
    )
    mixed = (offset.is_null() != (offset[0] is None)).arg_true()
    if len(mixed):
        allowed = f"an offset on every time or on none (the first row's is {quoted(text[0])})"
        mend = "add the offset, such as +01:00, to all of them"
        _refuse_cell(table, "time", int(mixed[0]), allowed=allowed, mend=mend)
    return epochs - _offset_microseconds(offset), to_stamp(text[0])


def _offset_microseconds(offset: pl.Series) -> np.ndarray:
    """Microseconds east of Greenwich of texts such as +01:00, -0530, +02 and Z; 0 for null."""
    names = offset.unique()
    midnights = [to_stamp(f"1970-01-01T00:00{name or ''}") for name in names]
    east = pl.Series([-to_microseconds(midnight) for midnight in midnights])
    return offset.replace_strict(names, east, return_dtype=pl.Int64).to_numpy()


def read_sensors(table: Table) -> tuple[tuple[str, ...], np.ndarray]:
    """Names in the order of their first row, and each row's index into them."""
    if "sensor" not in table.frame.columns:
        return (DEFAULT_SENSOR,), np.zeros(table.frame.height, dtype=np.int64)
    text = to_text(table, "sensor")
    names = text.unique(maintain_order=True)
    for others, name in enumerate(names):
        try:
            check_sensor(name, others)
        except CellError as error:
            first = int((text == name).arg_true()[0])
            _refuse_cell(table, "sensor", first, allowed=error.allowed, mend=error.mend)
    index = text.replace_strict(names, pl.Series(range(len(names)), dtype=pl.Int64))
    return tuple(names), index.to_numpy()


def read_numbers(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Float64 `(row, channel)`, NaN where missing or no such column, and where words say so."""
    readings = np.full((table.frame.height, len(CHANNELS)), np.nan)
    is_word = np.zeros(readings.shape, dtype=bool)
    for index, column in enumerate(COLUMNS):
        if column in table.frame.columns:
            readings[:, index], is_word[:, index] = _numbers_and_words(table, column)
    return readings, is_word


def read_labels(table: Table) -> np.ndarray | None:
    """Int8 `(row,)` index into LABELS, -1 where empty; None without such a column."""
    if "label" not in table.frame.columns:
        return None
    text = to_text(table, "label").str.to_lowercase()
    wrong = (~text.is_in([*LABELS, ""])).arg_true()
    if len(wrong):
        mend = "rename the label, or leave it empty where nothing is known"
        _refuse_cell(table, "label", int(wrong[0]), allowed=", ".join(LABELS), mend=mend)
    indices = pl.Series([*range(len(LABELS)), UNKNOWN], dtype=pl.Int8)
    return text.replace_strict([*LABELS, ""], indices, return_dtype=pl.Int8).to_numpy()
