"""Rows of a recording's table: in the order of time, and one a time and sensor."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from saafe.recordings.cells import LONGEST_SPAN_S, without_milliseconds
from saafe.recordings.check import counted, words_note
from saafe.recordings.clock_repair import Mended, Move, mend_clock
from saafe.recordings.columns import cells_at, time_column
from saafe.recordings.tables import Table, quoted
from saafe.sensors import CHANNELS, UNKNOWN

LARGEST_LOSS = 0.02  # a repair drops no more of the rows, one at least; nor does reading
REPAIR = "`saafe data check --repair`"
MOST_CELLS = 150_000_000  # Chosen: times x sensors that take 3.6 GB


@dataclass(frozen=True)
class TableRows:
    """What the rows of a table hold."""

    times_s: np.ndarray  # from any origin. (row,)
    sensor: np.ndarray  # index of its name. (row,)
    readings: np.ndarray  # float64, NaN = missing. (row, channel)
    is_word: np.ndarray  # cells that say in words that they are. (row, channel)
    labels: np.ndarray | None  # (row,)
    cells: np.ndarray  # the table's row that each cell stands in. (row, channel)

    def take(self, rows: np.ndarray) -> "TableRows":
        """Some of the rows, or all of them in another order."""
        return TableRows(
            self.times_s[rows],
            self.sensor[rows],
            self.readings[rows],
            self.is_word[rows],
            None if self.labels is None else self.labels[rows],
            self.cells[rows],
        )


def order_rows(
    table: Table, rows: TableRows, sensors: tuple[str, ...], *, repair: bool
) -> tuple[TableRows, list[str]]:
    """Rows in time order, and what had to be repaired for that.

    Each sensor's own rows must come in order; those of several sensors may interleave anyhow.

    Raises:
        InputError: where they do not and `repair` is not given, or would lose too much.
    """
    repairs: list[str] = []
    times = rows.times_s.copy()
    is_odd, backwards = np.zeros(len(times), dtype=bool), []
    for index, name in enumerate(sensors):
        own = np.flatnonzero(rows.sensor == index) if len(sensors) > 1 else np.arange(len(times))
        mended = mend_clock(times[own], zero_s=_counter_start(table))
        if not repair:
            _refuse_clock(table, own, mended)
        repairs += _describe_moves(table, own, mended, name)
        times[own], is_odd[own] = mended.times_s, mended.is_odd
        stay = own[~mended.is_odd]
        backwards += stay[1:][np.diff(times[stay]) < 0].tolist()
    if is_odd.any():
        _refuse_loss(table, is_odd, rows)
        numbers = ", ".join(map(str, table.row_numbers[is_odd][:5]))
        repairs.append(f"dropped {counted(int(is_odd.sum()), 'row')} of an odd time ({numbers})")
        rows, times = rows.take(~is_odd), times[~is_odd]
    if backwards and not repair:
        _refuse_backwards(table, rows, min(backwards))
    if backwards:
        repairs.append(f"sorted by time ({counted(len(backwards), 'step')} backwards)")
    rows = replace(rows, times_s=times)
    if (np.diff(times) < 0).any():
        rows = rows.take(np.argsort(times, kind="stable"))
    span_s = rows.times_s[-1] - rows.times_s[0]
    if not span_s <= LONGEST_SPAN_S:
        came = f"{span_s:g} s from the first to the last time"
        allowed = f"at most {LONGEST_SPAN_S:g} s (ten years)"
        mend = "give the times in seconds and look for a mistyped one"
        raise table.refusal(came, allowed=allowed, mend=mend, column=time_column(table))
    return rows, repairs


def merge_rows(
    table: Table,
    rows: TableRows,
    sensors: tuple[str, ...],
    repairs: list[str] | None,
    notes: list[str],
) -> TableRows:
    """One row a time and sensor; adds to the notes what was merged for that.

    Rows whose cells do not conflict are one row. Of those that do the first is kept, and the
    repairs say so.

    Raises:
        InputError: where cells conflict and there is no list of repairs, or too much is lost.
    """
    key = np.cumsum(np.diff(rows.times_s, prepend=0.0) > 0) * len(sensors) + rows.sensor
    if (np.diff(key) > 0).all() or len(np.unique(key)) == len(key):
        return rows
    order = np.argsort(key, kind="stable")
    rows, key = rows.take(order), key[order]
    is_first = np.diff(key, prepend=-1) > 0
    group, first = np.cumsum(is_first) - 1, np.flatnonzero(is_first)
    labels = np.full(len(key), UNKNOWN) if rows.labels is None else rows.labels
    values = np.column_stack([rows.readings, np.where(labels == UNKNOWN, np.nan, labels)])
    is_given = ~np.isnan(values)
    at = np.repeat(first[:, None], values.shape[1], axis=1)  # the row that gives each cell
    for column in range(values.shape[1]):
        given = [np.flatnonzero(is_given[:, column])[::-1]]  # the first one is written last
        if column < rows.is_word.shape[1]:
            given.insert(0, np.flatnonzero(rows.is_word[:, column])[::-1])
        for some in given:
            at[group[some], column] = some
    merged = np.take_along_axis(values, at, axis=0)
    conflicts = (is_given & (values != merged[group])).any(axis=1)
    same = ((values == values[first][group]) | ~(is_given | is_given[first][group])).all(axis=1)
    if conflicts.any():
        _refuse_conflict(table, rows, sensors, conflicts, repair=repairs is not None)
    if repairs is not None and conflicts.any():
        repairs.append(f"kept the first of {counted(int(conflicts.sum()), 'duplicate row')}")
    if twice := int((same & ~is_first).sum()):
        notes.append(f"{counted(twice, 'row')} came twice, cell for cell: dropped")
    if joined := int((~same & ~is_first & ~conflicts).sum()):
        notes.append(f"{counted(joined, 'row')} of one time and sensor with another: merged")
    cells = at[:, :-1]
    found = TableRows(
        rows.times_s[first],
        rows.sensor[first],
        merged[:, :-1],
        np.take_along_axis(rows.is_word, cells, axis=0),
        None if rows.labels is None else rows.labels[at[:, -1]],
        np.take_along_axis(rows.cells, cells, axis=0),
    )
    return found.take(np.argsort(order[first], kind="stable"))  # in the order of the table again


def word_notes(table: Table, rows: TableRows) -> list[str]:
    """Which words stood for missing readings, and how often."""
    words = Counter[str]()
    for index in map(int, np.flatnonzero(rows.is_word.any(axis=0))):
        at = rows.cells[rows.is_word[:, index], index]
        words.update(cells_at(table, CHANNELS[index].column, at).str.to_lowercase())
    return words_note(words)


def read_sources(table: Table, rows: TableRows, notes: list[str]) -> tuple[str, ...] | None:
    """The first source named at each time; None without such a column."""
    if "source" not in table.frame.columns:
        return None
    row_time = np.cumsum(np.diff(rows.times_s, prepend=-1.0) > 0) - 1
    text = cells_at(table, "source", rows.cells[:, 0])
    named = (
        pl.DataFrame({"time": row_time, "source": text})
        .filter(pl.col("source") != "")
        .group_by("time", maintain_order=True)
        .agg(pl.col("source").first(), pl.col("source").n_unique().alias("names"))
    )
    several = int((named["names"] > 1).sum())
    if several:
        notes.append(f"{counted(several, 'time')} with several sources; the first is kept")
    sources = np.full(int(row_time[-1]) + 1, "", dtype=object)
    sources[named["time"].to_numpy()] = named["source"].to_list()
    return tuple(sources)


def turns_of(row_time: np.ndarray, sensor: np.ndarray, shape: tuple[int, int]) -> np.ndarray | None:
    """The turn of each sensor's row among those of its time; None where all stand as sensors do.

    Args:
        row_time: index of each row's time, in order. (row,)
        sensor: index of its sensor. (row,)
        shape: how many times and sensors there are.

    Returns:
        int8 (time, sensor); where a sensor has no row, their number.
    """
    if (np.diff(row_time * shape[1] + sensor) > 0).all():
        return None
    turns = np.full(shape, shape[1], dtype=np.int8)
    turns[row_time, sensor] = np.arange(len(row_time)) - np.searchsorted(row_time, row_time)
    return turns


def refuse_too_large(table: Table, times: int, sensors: int) -> None:
    """Refuse what would fill the memory: a recording has a cell for each sensor at every time."""
    if times * sensors > MOST_CELLS:
        came = f"{times:,} times of {sensors} sensors, {times * sensors:,} cells a channel"
        mend = "give each sensor a recording: saafe data import FILE FOLDER --split sensor"
        raise table.refusal(came, allowed=f"{MOST_CELLS:,}", mend=mend)


def _counter_start(table: Table) -> float:
    """Where the clock of `time_s` shows zero, from the first row; NaN for calendar times. [s]"""
    is_counter = "time_s" in table.frame.columns
    return -float(without_milliseconds(float(table.frame["time_s"][0]))) if is_counter else np.nan


def _most_lost(rows: int) -> int:
    """How many rows a repair may drop."""
    return max(1, int(LARGEST_LOSS * rows))


def _refuse_clock(table: Table, own: np.ndarray, mended: Mended) -> None:
    """Refuse the first row of a sensor whose time is odd, or at which its clock was set."""
    odd = own[mended.is_odd]
    sets = [move.at for move in mended.moves]
    column = time_column(table)
    if len(odd) and (not sets or odd[0] < own[min(sets)]):
        cell = quoted(table.frame[column][int(odd[0])])
        mend = f"{REPAIR} drops it" if len(odd) == 1 else f"{REPAIR} drops such rows ({len(odd)})"
        came = f"time {cell} is odd: far from the rows beside it, which agree"
        allowed = "rows of a sensor in time order"
        raise table.refusal(came, allowed=allowed, mend=mend, index=int(odd[0]), column=column)
    if sets:
        move = min(mended.moves, key=lambda move: move.at)
        mend = f"{REPAIR} shifts {_moved(table, own, move)}"
        allowed, index = "one clock all through", int(own[move.at])
        raise table.refusal(_set(move), allowed=allowed, mend=mend, index=index, column=column)


def _set(move: Move) -> str:
    return f"clock set {'back' if move.set_s < 0 else 'forward'} {abs(move.set_s):,.10g} s"


def _moved(table: Table, own: np.ndarray, move: Move) -> str:
    first, last = (table.row_numbers[own[row]] for row in (move.first, move.last))
    return f"rows {first} to {last} by {move.shift_s:+,.10g} s"


def _describe_moves(table: Table, own: np.ndarray, mended: Mended, sensor: str) -> list[str]:
    """What was shifted, a line each."""
    return [
        f"shifted {_moved(table, own, move)} at sensor {quoted(sensor)}: {_set(move)} "
        f"at row {table.row_numbers[own[move.at]]}"
        for move in mended.moves
    ]


def _refuse_loss(table: Table, is_odd: np.ndarray, rows: TableRows) -> None:
    """Refuse to drop more rows than a repair may, or all that a channel or a sensor has."""
    lost, most = int(is_odd.sum()), _most_lost(len(is_odd))
    had, keeps = (np.isfinite(part).any(axis=0) for part in (rows.readings, rows.readings[~is_odd]))
    if lost > most or (had & ~keeps).any():
        came = f"{counted(lost, 'row')} of an odd time"
        allowed = f"a repair that drops at most {counted(most, 'row')} and no whole channel"
        index = int(np.flatnonzero(is_odd)[0])
        mend, column = "correct the times", time_column(table)
        raise table.refusal(came, allowed=allowed, mend=mend, index=index, column=column)


def _refuse_backwards(table: Table, rows: TableRows, index: int) -> None:
    column = time_column(table)
    cells = table.frame[column]
    before = np.flatnonzero(rows.sensor[:index] == rows.sensor[index])[-1]
    came = f"time goes backwards, from {quoted(cells[int(before)])} to {quoted(cells[index])}"
    allowed, mend = "rows of a sensor in time order", f"{REPAIR} sorts them"
    raise table.refusal(came, allowed=allowed, mend=mend, index=index, column=column)


def _refuse_conflict(
    table: Table, rows: TableRows, sensors: tuple[str, ...], conflicts: np.ndarray, *, repair: bool
) -> None:
    """Refuse rows of one time and sensor that say different things, where not to be repaired."""
    lost, most = int(conflicts.sum()), _most_lost(len(conflicts))
    if repair and lost <= most:
        return
    row = np.flatnonzero(conflicts)[np.argmin(rows.cells[conflicts, 0])]
    index, column = int(rows.cells[row, 0]), time_column(table)
    name, cell = quoted(sensors[rows.sensor[row]]), quoted(table.frame[column][index])
    came = f"time {cell} of sensor {name} came twice with different cells"
    mend = "name the sensors if there are several"
    if repair:
        came += f", as {lost:,} rows do: more than the {most:,} that a repair drops"
    else:
        mend = f"{REPAIR} keeps the first; {mend}"
    allowed = "one row a time and sensor"
    raise table.refusal(came, allowed=allowed, mend=mend, index=index, column=column)
