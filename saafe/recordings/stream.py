"""A stream of recording rows, line by line: a bad row is reported, never fatal.

The format is the one of `recordings`; only a wrong header stops a stream.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from saafe.recordings.cells import (
    DEFAULT_SENSOR,
    LONGEST_SPAN_S,
    WHITESPACE,
    CellError,
    check_sensor,
    read_cell,
    to_microseconds,
    to_seconds,
    to_stamp,
)
from saafe.recordings.columns import refuse_columns
from saafe.recordings.tables import parse_header, split_line, unique_names
from saafe.sensors import CHANNELS


class Problem(NamedTuple):
    """What is wrong with a row: a channel's name, "time", "sensor" or "row"; why; which row."""

    channel: str
    reason: str
    row: int


class Row(NamedTuple):
    """One row of a stream."""

    time_s: float  # from the stream's first row; the latest time where the row's is unusable
    sensor: str  # "" where it names none that can be used: only its problems count
    readings: np.ndarray  # float64 `(channel,)`, NaN = missing, masked or unusable
    problems: tuple[Problem, ...]  # what is wrong with it


def read_rows(lines: Iterable[str], *, name: str = "-") -> Iterator[Row]:
    """Parse CSV text line by line into rows, of lines that are not empty; the first is the header.

    `name` is what to call the stream where it has no header, no time or no known channel.
    """
    lines = iter(lines)
    header = next(lines, "").strip().removeprefix("\ufeff")
    names = unique_names(parse_header(name, header))
    refuse_columns(name, names)
    stream = _Stream(names)
    for number, line in enumerate(lines, 2):
        if line.strip():
            yield stream.parse(line, number)


@dataclass
class _Stream:
    """What must be remembered from row to row."""

    names: list[str]
    first: float | None = None  # of the first row with a time, as `_read_moment` gives it
    latest_s: float = 0.0
    has_offset: bool = False
    sensors: set[str] = field(default_factory=set)
    sensors_now: set[str] = field(default_factory=set)  # that gave a row at the latest time

    def parse(self, line: str, number: int) -> Row:
        """Read one line."""
        cells = [cell.strip(WHITESPACE) for cell in split_line(line.rstrip("\r\n"))]
        if len(cells) != len(self.names):
            reason = f"{len(cells)} cells where the header has {len(self.names)}"
            return self._unusable("", [Problem("row", reason, number)])
        row = dict(zip(self.names, cells, strict=True))
        reasons = {}
        sensor = row.get("sensor", DEFAULT_SENSOR)
        try:
            check_sensor(sensor, 0 if sensor in self.sensors else len(self.sensors))
        except CellError as error:
            sensor, reasons["sensor"] = "", str(error)
        try:
            time_s = self._read_time(row)
        except ValueError as error:
            reasons["time"] = str(error)
            return self._unusable(sensor, [Problem(*item, number) for item in reasons.items()])
        if time_s > self.latest_s:
            self.latest_s = time_s
            self.sensors_now.clear()
        if sensor in self.sensors_now:
            reason = f"{time_s:g} s came twice"
            return self._unusable(sensor, [Problem("time", reason, number)])
        if sensor:
            self.sensors.add(sensor)
            self.sensors_now.add(sensor)
        readings, wrong = _read_cells(row)
        problems = [Problem(*item, number) for item in (reasons | wrong).items()]
        return Row(time_s, sensor, readings, tuple(problems))

    def _unusable(self, sensor: str, problems: list[Problem]) -> Row:
        return Row(self.latest_s, sensor, np.full(len(CHANNELS), np.nan), tuple(problems))

    def _read_time(self, row: dict[str, str]) -> float:
        """Seconds from the first row; a ValueError says why there are none."""
        moment, units, has_offset = _read_moment(row)
        if self.first is None:
            self.first, self.has_offset = moment, has_offset
        if has_offset != self.has_offset:
            raise ValueError("times with and without an offset are mixed")
        time_s = round((moment - self.first) / units * 1e6) / 1e6  # to 1 us, as np.round does
        if time_s < self.latest_s:
            raise ValueError(f"goes backwards, from {self.latest_s:g} s to {time_s:g} s")
        if time_s > LONGEST_SPAN_S:
            raise ValueError(f"{time_s:g} s is more than ten years from the first row")
        return time_s


def _read_moment(row: dict[str, str]) -> tuple[float, float, bool]:
    """A row's absolute time, in how many units a second, and whether it has an offset."""
    if "time_s" in row:
        return to_seconds(row["time_s"]), 1.0, False
    stamp = to_stamp(row["time"])
    return to_microseconds(stamp), 1e6, stamp.tzinfo is not None


def _read_cells(row: dict[str, str]) -> tuple[np.ndarray, dict[str, str]]:
    """Readings, and channel -> what is wrong with its cell."""
    cells = [read_cell(row.get(channel.column, ""), channel) for channel in CHANNELS]
    wrong = {c.name: why for c, (_, why) in zip(CHANNELS, cells, strict=True) if why}
    return np.array([value for value, _ in cells]), wrong
