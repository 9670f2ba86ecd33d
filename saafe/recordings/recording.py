"""Recordings: readings of one space over time, read with every doubt reported.

What is structurally wrong gives one `InputError`; a reading outside its channel's physical range
is masked and counted. docs/recordings.md describes the format.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from saafe.recordings.cells import LONGEST_SPAN_S, is_outside
from saafe.recordings.check import GAP_S, Check, Counts, Gap, counted
from saafe.recordings.columns import (
    ignored_columns,
    read_labels,
    read_numbers,
    read_sensors,
    read_times,
    refuse_columns,
    time_column,
    to_text,
)
from saafe.recordings.tables import Table, quoted, read_table, write_table
from saafe.sensors import CHANNELS, LABELS, LONGEST_PERIOD_S, SHORTEST_PERIOD_S, UNKNOWN


class RefusedCell(NamedTuple):
    """A cell that came and could not be used."""

    time_s: float
    sensor: str
    channel: str
    reason: str


@dataclass(frozen=True)
class Recording:
    """One space over time.

    Attributes:
        name: file stem or scenario name.
        times_s: float64 `(time,)`, strictly increasing, from the first row (0.0).
        sensors: one to 64 names.
        readings: float32 `(time, sensor, channel)`, NaN = missing, out of range already masked.
        labels: int8 `(time, sensor)` or None, index into `sensors.LABELS`, -1 = not labelled.
        sources: `(time,)` name of the active source, "" = none; or None.
        start: absolute time of the first row where the input had ISO times.
    """

    name: str
    times_s: np.ndarray
    sensors: tuple[str, ...]
    readings: np.ndarray
    labels: np.ndarray | None = None
    sources: tuple[str, ...] | None = None
    start: datetime | None = None
    refused: tuple[RefusedCell, ...] = ()

    def __post_init__(self) -> None:
        """Catch our own mistakes; what a user gives is checked by `read_recording`."""
        shape = (len(self.times_s), len(self.sensors))
        assert self.readings.shape == (*shape, len(CHANNELS)), "readings: (time, sensor, channel)"
        assert self.labels is None or self.labels.shape == shape, "labels: (time, sensor)"
        assert self.sources is None or len(self.sources) == shape[0], "sources: (time,)"


def read_recording(path: Path | str, *, repair: bool = False) -> tuple[Recording, Check]:
    r"""Read one recording and say what was found in it.

    Args:
        path: a CSV, CSV.gz or Parquet file; its content says which.
        repair: sort rows whose time goes backwards and keep the first of duplicate rows.

    Returns:
        The recording, readings float32 `(time, sensor, channel)` in the channels' units with NaN
        where a cell is empty or physically impossible, and a check that counts both.

    Raises:
        InputError: for what is structurally wrong, with the row, the column and what mends it.

    Example:
        >>> import saafe
        >>> lines = ["time_s,temperature_c,pm25_ug_m3", "0,20.5,8", "10,20.6,-4", "20,,9"]
        >>> with open("kitchen.csv", "w") as file:
        ...     _ = file.write("\n".join(lines))
        >>> recording, check = saafe.read_recording("kitchen.csv")
        >>> recording.name, recording.sensors, recording.readings.shape
        ('kitchen', ('A',), (3, 1, 6))
        >>> recording.readings[:, 0, 1].tolist()  # PM2.5 [ug/m3]
        [8.0, nan, 9.0]
        >>> check.channels["pm25"].first_masked
        'first: -4 in row 3'
    """
    return parse_recording(read_table(Path(path)), repair=repair)


def parse_recording(table: Table, *, repair: bool = False) -> tuple[Recording, Check]:
    """Turn a table, one row a time and sensor, into a recording; see `read_recording`."""
    refuse_columns(table.path, table.frame.columns)
    notes = list(table.notes)
    times, start = read_times(table, notes)
    sensors, sensor = read_sensors(table)
    readings = read_numbers(table)
    labels = read_labels(table)
    start = start and start + timedelta(seconds=float(times.min()))  # < 0 where it goes backwards
    times = np.round(times - times.min(), 6)  # to 1 us, so that sums of large times come back
    kept, repairs = _order_rows(table, times, sensors=sensors, sensor=sensor, repair=repair)
    times, sensor = times[kept], sensor[kept]
    period = _median_period(table, times, sensors, sensor)
    if period is not None and period < SHORTEST_PERIOD_S:
        notes.append(f"median period {period:g} s is under {SHORTEST_PERIOD_S:g} s")
    readings, channels = _mask(table, readings[kept], table.row_numbers[kept])

    is_new = np.diff(times, prepend=-1.0) > 0
    row_time = np.cumsum(is_new) - 1  # row -> index into the distinct times
    shape, at = (int(row_time[-1]) + 1, len(sensors)), (row_time, sensor)
    dense = np.full((*shape, len(CHANNELS)), np.nan, dtype=np.float32)
    dense[at] = readings
    if labels is not None:
        labels, given = np.full(shape, UNKNOWN, dtype=np.int8), labels[kept]
        labels[at] = given
    recording = Recording(
        name=re.sub(r"\.(csv|csv\.gz|gz|parquet)$", "", table.path.name),
        times_s=times[is_new],
        sensors=sensors,
        readings=dense,
        labels=labels,
        sources=_read_sources(table, kept, row_time, notes),
        start=start,
    )
    check = Check(
        path=str(table.path),
        rows=len(times),
        sensors=sensors,
        duration_s=float(times[-1]),
        period_s=period,
        channels=channels,
        gaps=find_gaps(recording),
        ignored=tuple(ignored_columns(table.frame.columns)),
        repairs=tuple(repairs),
        notes=tuple(notes),
    )
    return recording, check


def find_gaps(recording: Recording) -> tuple[Gap, ...]:
    """Times longer than 90 s in which a sensor gave no reading on any channel."""
    gaps = []
    end = float(recording.times_s[-1])
    has_reading = np.any(np.isfinite(recording.readings), axis=2)
    for index, sensor in enumerate(recording.sensors):
        times = np.concatenate([[0.0], recording.times_s[has_reading[:, index]], [end]])
        lengths = np.diff(times)
        for k in np.flatnonzero(lengths > GAP_S):
            gaps.append(Gap(sensor, float(times[k]), round(float(lengths[k]), 6)))
    return tuple(sorted(gaps, key=lambda gap: gap.start_s))


def write_recording(recording: Recording, path: Path | str) -> None:
    """Write a recording, by the suffix as `.csv`, `.csv.gz` or `.parquet`, wholly or not at all.

    Readings are rounded to their channel's decimals. A row is written where a sensor has a reading
    or a label; the first time has a row for each sensor, so that their order is kept.

    Args:
        recording: readings `(time, sensor, channel)` in the channels' units. Times are written as
            ISO 8601 where it has a `start`, else as seconds.
        path: a name that ends in one of the suffixes, in a folder that exists.

    Raises:
        InputError: for another suffix, or where the file cannot be written.

    Example:
        >>> import saafe
        >>> (recording,) = saafe.simulate(1, hours=0.5)
        >>> saafe.write_recording(recording, "simulated.csv.gz")
        >>> saafe.read_recording("simulated.csv.gz")[0].sensors
        ('A', 'B')
    """
    is_row = np.any(np.isfinite(recording.readings), axis=2)
    if recording.labels is not None:
        is_row |= recording.labels != UNKNOWN
    is_row[~np.any(is_row, axis=1), 0] = True  # else the time itself would be lost
    is_row[0] = True
    time, sensor = np.nonzero(is_row)
    columns: dict[str, pl.Series] = dict([_time_series(recording, time)])
    columns["sensor"] = pl.Series(recording.sensors, dtype=pl.String).gather(sensor)
    for index, channel in enumerate(CHANNELS):
        values = recording.readings[:, :, index][time, sensor].astype(np.float64)
        if np.isfinite(values).any():
            rounded = np.round(values, channel.decimals) + 0.0  # + 0.0: never "-0.0"
            columns[channel.column] = pl.Series(rounded).fill_nan(None)
    if recording.labels is not None:
        words = pl.Series([*LABELS, None], dtype=pl.String)
        index = recording.labels[time, sensor] % len(words)  # UNKNOWN, -1, is the last one
        columns["label"] = words.gather(index)
    if recording.sources is not None:
        sources = [source or None for source in recording.sources]  # "" would be written as quotes
        columns["source"] = pl.Series(sources, dtype=pl.String).gather(time)
    write_table(pl.DataFrame(columns), Path(path))


def _time_series(recording: Recording, time: np.ndarray) -> tuple[str, pl.Series]:
    """The name and the values of the time column: absolute where the start is known."""
    times_s = recording.times_s[time]
    if recording.start is None:
        return "time_s", pl.Series(times_s)
    local = recording.start.replace(tzinfo=None)
    microseconds = (local - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    stamps = pl.Series(microseconds + np.round(times_s * 1e6).astype(np.int64))
    offset = recording.start.isoformat()[len(local.isoformat()) :]
    return "time", stamps.cast(pl.Datetime("us")).dt.to_string("%Y-%m-%dT%H:%M:%S%.f") + offset


def _mask(
    table: Table, readings: np.ndarray, row_numbers: np.ndarray
) -> tuple[np.ndarray, dict[str, Counts]]:
    """Leave out what is physically impossible, and count."""
    readings = readings.copy()
    channels = {}
    for index, channel in enumerate(CHANNELS):
        if channel.column not in table.frame.columns:
            continue
        values = readings[:, index]
        is_missing = np.isnan(values)
        is_masked = is_outside(values, channel)
        masked = np.flatnonzero(is_masked)
        first = (
            f"first: {values[masked[0]]:g} in row {row_numbers[masked[0]]}" if len(masked) else ""
        )
        present = int(len(values) - is_missing.sum() - len(masked))
        channels[channel.name] = Counts(present, len(masked), int(is_missing.sum()), first)
        values[is_masked] = np.nan
    if not any(counts.present for counts in channels.values()):
        masked = sum(counts.masked for counts in channels.values())
        missing = sum(counts.missing for counts in channels.values())
        came = f"no reading: {missing} cells empty, {masked} outside their channel's range"
        raise table.refusal(
            came,
            allowed="at least one reading",
            mend="check the units and that values stand under their column",
            column=", ".join(c.column for c in CHANNELS if c.name in channels),
        )
    return readings, channels


def _read_sources(
    table: Table, kept: np.ndarray, row_time: np.ndarray, notes: list[str]
) -> tuple[str, ...] | None:
    """The first source named at each time; None without such a column."""
    if "source" not in table.frame.columns:
        return None
    text = to_text(table, "source").gather(kept)
    rows = pl.DataFrame({"time": row_time, "source": text}).filter(pl.col("source") != "")
    named = rows.group_by("time", maintain_order=True).agg(
        pl.col("source").first(), pl.col("source").n_unique().alias("names")
    )
    several = int((named["names"] > 1).sum())
    if several:
        notes.append(f"{counted(several, 'time')} with several sources; the first is kept")
    sources = np.full(int(row_time[-1]) + 1, "", dtype=object)
    sources[named["time"].to_numpy()] = named["source"].to_list()
    return tuple(sources)


def _order_rows(
    table: Table,
    times: np.ndarray,
    *,
    sensors: tuple[str, ...],
    sensor: np.ndarray,
    repair: bool,
) -> tuple[np.ndarray, list[str]]:
    """Indices of the rows to keep, in time order, and what had to be repaired for that."""
    repairs = []
    order = np.arange(len(times))
    backwards = np.flatnonzero(np.diff(times) < 0) + 1
    if len(backwards) and not repair:
        _refuse_backwards(table, int(backwards[0]))
    if len(backwards):
        order = np.argsort(times, kind="stable")
        repairs.append(f"sorted by time ({counted(len(backwards), 'step')} backwards)")
    span_s = times[order][-1]
    if not span_s <= LONGEST_SPAN_S:
        came = f"{span_s:g} s from the first to the last time"
        allowed = f"at most {LONGEST_SPAN_S:g} s (ten years)"
        mend = "give the times in seconds and look for a mistyped one"
        raise table.refusal(came, allowed=allowed, mend=mend, column=time_column(table))
    key = np.cumsum(np.diff(times[order], prepend=0.0) > 0) * len(sensors) + sensor[order]
    _, first = np.unique(key, return_index=True)
    if len(first) < len(key):
        is_first = np.zeros(len(key), dtype=bool)
        is_first[first] = True
        second = int(order[~is_first].min())
        if not repair:
            _refuse_duplicate(table, second, sensors[sensor[second]])
        repairs.append(f"kept the first of {counted(len(key) - len(first), 'duplicate row')}")
        order = order[is_first]
    return order, repairs


def _refuse_backwards(table: Table, index: int) -> None:
    column = time_column(table)
    cells = table.frame[column]
    came = f"time goes backwards, from {quoted(cells[index - 1])} to {quoted(cells[index])}"
    mend = "`saafe data check --repair` sorts them"
    raise table.refusal(came, allowed="rows in time order", mend=mend, index=index, column=column)


def _refuse_duplicate(table: Table, index: int, sensor: str) -> None:
    column = time_column(table)
    came = f"time {quoted(table.frame[column][index])} of sensor {quoted(sensor)} came twice"
    mend = "`saafe data check --repair` keeps the first; name the sensors if there are several"
    allowed = "one row a time and sensor"
    raise table.refusal(came, allowed=allowed, mend=mend, index=index, column=column)


def _median_period(
    table: Table, times: np.ndarray, sensors: tuple[str, ...], sensor: np.ndarray
) -> float | None:
    """The shortest of the sensors' median periods; None where no sensor has two rows."""
    periods = []
    for index, name in enumerate(sensors):
        own = times[sensor == index]
        if len(own) < 2:
            continue
        periods.append(float(np.round(np.median(np.diff(own)), 6)))
        if periods[-1] > LONGEST_PERIOD_S:
            came = f"sensor {quoted(name)} has a median period of {periods[-1]:g} s"
            allowed = f"at most {LONGEST_PERIOD_S:g} s"
            mend = "record more often, or give the times in seconds"
            raise table.refusal(came, allowed=allowed, mend=mend, column=time_column(table))
    return min(periods, default=None)
