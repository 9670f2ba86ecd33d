"""A stream of recording rows, line by line: a bad row is reported, never fatal.

The format is the one of `recordings`; only a wrong header stops a stream.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from saafe.recordings.columns import (
    DEFAULT_SENSOR,
    ISO_PATTERN,
    LARGEST_TIME_S,
    LONGEST_SPAN_S,
    refuse_columns,
)
from saafe.recordings.tables import parse_header, quoted, split_line, unique_names
from saafe.sensors import CHANNELS, MAX_SENSORS

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?(?:inf|infinity|nan)",
    re.IGNORECASE | re.ASCII,
)


class Problem(NamedTuple):
    """What is wrong with a row: a channel's name, "time", "sensor" or "row"; why; which row."""

    channel: str
    reason: str
    row: int


class Row(NamedTuple):
    """One row of a stream.

    Attributes:
        time_s: seconds from the stream's first row; the latest time where the row's is unusable.
        sensor: its name; "" where the row names none that can be used, so that only its problems
            count.
        readings: float64 `(channel,)`, NaN = missing, masked or unusable.
        problems: what is wrong with it.
    """

    time_s: float
    sensor: str
    readings: np.ndarray
    problems: tuple[Problem, ...]


def read_rows(lines: Iterable[str], *, name: str = "-") -> Iterator[Row]:
    """Parse CSV text line by line; the first line is the header.

    Args:
        lines: lines of text, with or without line ends.
        name: what to call the stream in an error.

    Yields:
        A row for each line that is not empty.

    Raises:
        InputError: where there is no header, or it has no time or no known channel.
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
    first: float | None = None  # absolute seconds of the first row with a time
    latest_s: float = 0.0
    has_offset: bool = False
    sensors: set[str] = field(default_factory=set)
    sensors_now: set[str] = field(default_factory=set)  # that gave a row at the latest time

    def parse(self, line: str, number: int) -> Row:
        """Read one line."""
        cells = [cell.strip() for cell in split_line(line.rstrip("\r\n"))]
        if len(cells) != len(self.names):
            reason = f"{len(cells)} cells where the header has {len(self.names)}"
            return self._unusable("", [Problem("row", reason, number)])
        row = dict(zip(self.names, cells, strict=True))
        reasons = {}
        sensor = row.get("sensor", DEFAULT_SENSOR)
        if reason := self._refuse_sensor(sensor):
            sensor, reasons["sensor"] = "", reason
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

    def _refuse_sensor(self, sensor: str) -> str:
        """Why a sensor's name cannot be used, "" where it can."""
        if not sensor or any(ord(c) < 32 or ord(c) == 127 for c in sensor):
            return f"came {quoted(sensor)}, no name"
        if sensor not in self.sensors and len(self.sensors) >= MAX_SENSORS:
            return f"{quoted(sensor)} is one more than {MAX_SENSORS} sensors"
        return ""

    def _read_time(self, row: dict[str, str]) -> float:
        """Seconds from the first row; a ValueError says why there are none."""
        if "time_s" in row:
            seconds, has_offset = to_number(row["time_s"]), False
            if seconds is None or not abs(seconds) <= LARGEST_TIME_S:
                raise ValueError(f"came {quoted(row['time_s'])}, no number of seconds")
        else:
            seconds, has_offset = to_stamp(row["time"])
        if self.first is None:
            self.first, self.has_offset = seconds, has_offset
        if has_offset != self.has_offset:
            raise ValueError("times with and without an offset are mixed")
        time_s = round(seconds - self.first, 6)
        if time_s < self.latest_s:
            raise ValueError(f"goes backwards, from {self.latest_s:g} s to {time_s:g} s")
        if time_s > LONGEST_SPAN_S:
            raise ValueError(f"{time_s:g} s is more than ten years from the first row")
        return time_s


def to_number(cell: str) -> float | None:
    """The number in a cell, NaN where it is empty, None where it holds something else."""
    if not cell:
        return math.nan
    return float(cell) if _NUMBER.fullmatch(cell) else None


def to_stamp(cell: str) -> tuple[float, bool]:
    """Seconds since 1970 of an ISO 8601 time, and whether it has an offset.

    Raises:
        ValueError: where it is none.
    """
    match = re.match(ISO_PATTERN, cell, re.ASCII)
    if not match:
        raise ValueError(f"came {quoted(cell)}, no ISO 8601 time")
    date, minute, second, fraction, offset = match.groups(default="")
    try:
        stamp = datetime.fromisoformat(
            f"{date}T{minute}{second or ':00'}{fraction}{offset.upper()}"
        )
    except ValueError:  # the 31st of June
        raise ValueError(f"came {quoted(cell)}, no such day") from None
    return (stamp if offset else stamp.replace(tzinfo=UTC)).timestamp(), bool(offset)


def _read_cells(row: dict[str, str]) -> tuple[np.ndarray, dict[str, str]]:
    """Readings, and channel -> what is wrong with its cell."""
    readings = np.full(len(CHANNELS), np.nan)
    wrong = {}
    for index, channel in enumerate(CHANNELS):
        cell = row.get(channel.column, "")
        value = to_number(cell)
        if value is None:
            wrong[channel.name] = f"came {quoted(cell)}, no number"
        elif value < channel.lowest or value > channel.highest:
            limits = f"{channel.lowest:g} to {channel.highest:g} {channel.unit}"
            wrong[channel.name] = f"{value:g} is outside {limits}"
        else:
            readings[index] = value
    return readings, wrong
