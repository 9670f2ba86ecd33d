"""Recordings: readings of one space over time, read with every doubt reported.

What is structurally wrong gives one `InputError`; a reading outside its channel's physical range
is masked and counted. docs/recordings.md describes the format.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from saafe.errors import InputError, check_type
from saafe.recordings.cells import (
    NO_SENTINELS,
    Sentinels,
    are_sentinels,
    held_in,
    held_sentinels,
    is_outside,
    is_overshoot,
    is_wrong,
    read_cell,
    to_reading,
)
from saafe.recordings.check import (
    GAP_S,
    Check,
    Counts,
    counted,
    doubt_readings,
)
from saafe.recordings.columns import (
    cells_at,
    ignored_columns,
    missed_channels,
    read_labels,
    read_numbers,
    read_sensors,
    read_times,
    refuse_columns,
    with_known_names,
)
from saafe.recordings.lines import parse_lines
from saafe.recordings.parts import checked_parts
from saafe.recordings.periods import find_gaps, shortest_period
from saafe.recordings.rows import (
    TableRows,
    merge_rows,
    order_rows,
    read_sources,
    refuse_too_large,
    turns_of,
    word_notes,
)
from saafe.recordings.tables import Table, read_table, write_table
from saafe.sensors import CHANNEL_NAMES, CHANNELS, LABELS, UNKNOWN


class RefusedCell(NamedTuple):
    """A cell that came and gave no reading.

    Of rows of a sensor in which the same cells did so, and that hold a reading or none alike, only
    those of the first are kept: the others tell nothing new. The first row of a file with too few
    or too many cells stands as channel "row" of sensor "".
    """

    time_s: float  # from the first row
    sensor: str
    channel: str  # its name
    reason: str  # as a stream says it
    is_alone: bool = False  # whether its row of the file held no other cell of a channel


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
        refused: what came and gave no reading, in the order of rows and channels; not written.
        turns: int8 `(time, sensor)`, the turn of each sensor's row among those of its time; None:
            in the order of `sensors`.
    """

    name: str
    times_s: np.ndarray
    sensors: tuple[str, ...]
    readings: np.ndarray
    labels: np.ndarray | None = None
    sources: tuple[str, ...] | None = None
    start: datetime | None = None
    refused: tuple[RefusedCell, ...] = ()
    turns: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check what may have been made by hand; see `parts.checked_parts` for what is refused."""
        for name, value in checked_parts(vars(self)).items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """What it is, not all that it holds: a source a time alone would fill a screen."""
        times, last_s = f"{len(self.times_s):,} times", max(self.times_s[-1:], default=0.0)
        return f"Recording({self.name!r}, {times} to {last_s:,g} s, {', '.join(self.sensors)})"


def read_recording(
    path: Path | str, *, repair: bool = False, longest_interval_s: float | None = None,
    sentinels: Iterable[tuple[str, float]] = (),
) -> tuple[Recording, Check]:  # fmt: skip
    r"""Read one recording and say what was found in it.

    Args:
        path: a CSV, CSV.gz or Parquet file; its content says which.
        repair: sort shuffled rows, shift rows after a clock was set, drop lone rows of an odd
            time, keep the first of rows that conflict; at most 2 % of the rows are lost.
        longest_interval_s: how long a healthy sensor may pause: rows over an hour apart are
            refused where it is not told to, as milliseconds taken for seconds. [s]
        sentinels: what the device sends in place of readings: a channel and a value in its own
            unit each, as `settings.sentinels` of a model has them.

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
    check_type(path, str | Path, "read_recording: takes a path")
    table = read_table(Path(path), parse_lines)
    return parse_recording(
        table, repair=repair, longest_interval_s=longest_interval_s, sentinels=sentinels
    )


def parse_recording(
    table: Table, *, repair: bool = False, longest_interval_s: float | None = None,
    sentinels: Iterable[tuple[str, float]] = (),
) -> tuple[Recording, Check]:  # fmt: skip
    """Turn a table, one row a time and sensor, into a recording; see `read_recording`."""
    table = with_known_names(table)
    refuse_columns(table.path, table.frame.columns, row=table.header_row)
    notes = list(table.notes)
    times, start = read_times(table, notes)
    sensors, sensor = read_sensors(table)
    readings, is_word = read_numbers(table)
    cells = np.broadcast_to(np.arange(len(times))[:, None], readings.shape)
    rows = TableRows(np.round(times, 6), sensor, readings, is_word, read_labels(table), cells)
    try:
        rows, repairs = order_rows(table, rows, sensors, repair=repair)
        first_s = float(rows.times_s[0])  # < 0 where it was not the first
        # to 1 us, so that sums of large times come back
        rows = replace(rows, times_s=np.round(rows.times_s - first_s, 6))
        sources, lost = read_sources(table, rows, notes), _lost_rows(table, rows)
        rows = merge_rows(table, rows, sensors, repairs if repair else None, notes)
    except InputError:
        if not repair:
            parse_recording(table, repair=True)  # says why where a repair would not help
        raise
    start = start and start + timedelta(seconds=first_s)
    period = shortest_period(table, rows, sensors, notes, longest_interval_s)
    tells = np.any(rows.is_word | ~np.isnan(rows.readings), axis=1)  # others hold times alone
    if not tells.all():
        notes.append(f"{counted(int((~tells).sum()), 'row')} with a time and no cell of a channel")
    held = held_sentinels(sentinels)
    readings, is_refused, channels = _mask(table, rows, tells, held, notes)
    found = _refused_cells(table, rows, sensors, held, readings, is_refused)
    rows = replace(rows, readings=readings)  # lets go of those of twice the size

    is_new = np.diff(rows.times_s, prepend=-1.0) > 0
    row_time = np.cumsum(is_new) - 1  # row -> index into the distinct times
    shape, at = (int(row_time[-1]) + 1, len(sensors)), (row_time, rows.sensor)
    refuse_too_large(table, *shape)
    dense = np.full((*shape, len(CHANNELS)), np.nan, dtype=np.float32)
    dense[at] = readings
    labels = None
    if rows.labels is not None:
        labels = np.full(shape, UNKNOWN, dtype=np.int8)
        labels[at] = rows.labels
    recording = Recording(
        name=re.sub(r"\.(csv|csv\.gz|gz|parquet)$", "", table.path.name),
        times_s=rows.times_s[is_new],
        sensors=sensors,
        readings=dense,
        labels=labels,
        sources=sources,
        start=start,
        refused=tuple(sorted([*lost, *found], key=lambda cell: cell.time_s)),
        turns=turns_of(row_time, rows.sensor, shape),
    )
    pause_s = max(GAP_S, longest_interval_s or 0.0)
    check = Check(
        path=str(table.path),
        rows=int(tells.sum()),
        sensors=sensors,
        duration_s=float(rows.times_s[-1]),
        period_s=period,
        channels=channels,
        gaps=find_gaps(recording.times_s, sensors, dense, longest_pause_s=pause_s),
        ignored=tuple(ignored_columns(table.frame.columns)),
        repairs=tuple(repairs),
        notes=(*notes, *missed_channels(table.frame.columns)),
        longest_pause_s=pause_s,
    )
    return recording, check


def without_sentinels(recording: Recording, sentinels: Iterable[tuple[str, float]]) -> Recording:
    """A recording that was read without a device's sentinels, as if it had been read with them."""
    readings, found = recording.readings, list[RefusedCell]()
    for name, held in held_sentinels(sentinels).items():
        index = CHANNEL_NAMES.index(name)
        at = are_sentinels(readings[..., index], held)
        for row, sensor in zip(*np.nonzero(at), strict=True):
            reason = to_reading(float(readings[row, sensor, index]), CHANNELS[index], held)[1]
            time_s = float(recording.times_s[row])
            found.append(RefusedCell(time_s, recording.sensors[sensor], name, reason))
        if at.any():
            readings = readings.copy()
            readings[at, index] = np.nan
    if not found:
        return recording
    refused = sorted([*recording.refused, *found], key=lambda cell: cell.time_s)
    return replace(recording, readings=readings, refused=tuple(refused))


def write_recording(recording: Recording, path: Path | str) -> None:
    """Write a recording, by the suffix as `.csv`, `.csv.gz` or `.parquet`, wholly or not at all.

    Readings are rounded to their channel's decimals. A row is written where a sensor has a reading
    or a label. Where the sensors would come in another order than theirs, the first time has a row
    for each, so that it is kept.

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
    check_type(recording, Recording, "write_recording: takes a Recording and a path")
    if not len(recording.times_s):
        raise InputError(f"{recording.name}: has no rows to write")
    is_row = np.any(np.isfinite(recording.readings), axis=2)
    if recording.labels is not None:
        is_row |= recording.labels != UNKNOWN
    is_row[~np.any(is_row, axis=1), 0] = True  # else the time itself would be lost
    first = np.where(is_row.any(axis=0), is_row.argmax(axis=0), len(is_row))
    if (np.diff(first) < 0).any() or first[-1] == len(is_row):
        is_row[0] = True
    time, sensor = np.nonzero(is_row)
    if recording.turns is not None:
        order = np.lexsort((recording.turns[time, sensor], time))
        time, sensor = time[order], sensor[order]
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
    table: Table,
    rows: TableRows,
    tells: np.ndarray,
    sentinels: Mapping[str, Sentinels],
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray, dict[str, Counts]]:
    """Readings without what can be none, which cells gave none though they came, and counts.

    Readings are float32 (row, channel). Counted are the rows that `tells` is of, bool (row,).
    """
    readings = np.full(rows.readings.shape, np.nan, dtype=np.float32)
    is_refused = rows.is_word.copy()
    channels: dict[str, Counts] = {}
    for index, channel in enumerate(CHANNELS):
        if channel.column not in table.frame.columns:
            continue
        values, own = rows.readings[:, index], sentinels.get(channel.name, NO_SENTINELS)
        is_own = are_sentinels(values, own)
        over = values[is_overshoot(values, channel) & ~is_own]
        if len(over):
            notes.append(
                f"{counted(len(over), f'{channel.name} reading')} over {channel.highest:g} "
                f"{channel.unit}, up to {over.max():g}, taken as {channel.highest:g}"
            )
        values = np.where(is_own, values, held_in(values, channel))
        missing = int(np.isnan(values[tells]).sum())
        is_unusable = is_wrong(values, channel) | is_own
        wrong = zip(*np.unique(values[is_unusable], return_counts=True), strict=True)
        causes = Counter[str]()
        for value, n in wrong:
            causes[to_reading(value, channel, own)[1]] += int(n)
        outside = np.flatnonzero(is_outside(values, channel) & ~is_unusable)
        first = ""
        if len(outside):
            row = table.row_numbers[rows.cells[outside[0], index]]
            first = f"first: {values[outside[0]]:g} in row {row}"
        is_unusable[outside] = True
        values[is_unusable] = np.nan
        readings[:, index] = values
        is_refused[:, index] |= is_unusable
        masked = int(is_unusable.sum())
        present, doubted = int(tells.sum()) - missing - masked, None
        if present:
            doubted = doubt_readings(channel, values[np.isfinite(values)])
            notes += filter(None, [doubted])
        counts = Counts(present, masked, missing, first, causes, doubted or "")
        channels[channel.name] = counts
    if not any(counts.present for counts in channels.values()):
        masked = sum(counts.masked for counts in channels.values())
        missing = len(rows.times_s) * len(channels) - masked
        raise table.refusal(
            f"no reading: {missing} cells empty or words for that, {masked} masked",
            allowed="at least one reading",
            mend="check the units and that values stand under their column",
            column=", ".join(c.column for c in CHANNELS if c.name in channels),
        )
    notes += word_notes(table, rows)
    return readings, is_refused, channels


def _lost_rows(table: Table, rows: TableRows) -> list[RefusedCell]:
    """Rows that the table lost, at the newest time before each, where a stream says so."""
    if not table.lost:
        return []
    said: dict[float, str] = {}  # of those of one time the first
    order = np.argsort(rows.cells[:, 0], kind="stable")  # as they stood in the table
    stood, newest_s = rows.cells[order, 0], np.maximum.accumulate(rows.times_s[order])
    for one in table.lost:
        before = int(np.searchsorted(stood, one.before))
        said.setdefault(max(float(newest_s[before - 1]), 0.0) if before else 0.0, one.reason)
    return [RefusedCell(time_s, "", "row", reason) for time_s, reason in said.items()]


def _refused_cells(
    table: Table,
    rows: TableRows,
    sensors: tuple[str, ...],
    sentinels: Mapping[str, Sentinels],
    readings: np.ndarray,
    is_refused: np.ndarray,
) -> list[RefusedCell]:
    """What came and gave no reading, of the rows that differ in it from their sensor's last one."""
    is_empty, is_told = np.isnan(readings).all(axis=1), is_refused | ~np.isnan(readings)
    tells = np.flatnonzero(is_refused.any(axis=1) | ~is_empty)
    tells = tells[np.argsort(rows.sensor[tells], kind="stable")]
    what = np.column_stack([rows.sensor, is_empty, is_refused])[tells]
    is_new = np.append(True, (what[1:] != what[:-1]).any(axis=1))[: len(tells)]
    kept = np.sort(tells[is_new])
    found: list[tuple[int, RefusedCell]] = []
    for index in map(int, np.flatnonzero(is_refused[kept].any(axis=0))):
        channel, at = CHANNELS[index], kept[is_refused[kept, index]]
        cells = cells_at(table, channel.column, rows.cells[at, index])
        own = sentinels.get(channel.name, NO_SENTINELS)
        reasons = {cell: read_cell(cell, channel, own)[1] for cell in cells.unique()}
        beside = (rows.cells[at] == rows.cells[at, index, None]) & is_told[at]
        found += [
            (row, RefusedCell(time_s, sensors[sensor], channel.name, reasons[cell], is_alone))
            for row, time_s, sensor, cell, is_alone in zip(
                at.tolist(), rows.times_s[at].tolist(), rows.sensor[at].tolist(), cells,
                (beside.sum(axis=1) == 1).tolist(), strict=True,
            )
        ]  # fmt: skip
    return [cell for _, cell in sorted(found, key=lambda one: one[0])]
