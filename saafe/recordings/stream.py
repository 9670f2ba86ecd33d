"""A stream of recording rows, line by line: a bad row is reported, never fatal.

The format is the one of `recordings`; only a wrong header stops a stream.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from saafe.errors import InputError
from saafe.recordings.cells import (
    DEFAULT_SENSOR,
    NO_SENTINELS,
    SAYS_NOTHING,
    CellError,
    Sentinels,
    check_sensor,
    counts_milliseconds,
    held_sentinels,
    read_cell,
    to_microseconds,
    to_number,
    to_seconds,
    to_stamp,
)
from saafe.recordings.columns import refuse_columns
from saafe.recordings.lines import (
    LINES_BEFORE_HEADER,
    header_names,
    no_header,
    other_header,
    row_cells,
    strip_line,
)
from saafe.recordings.stream_clock import StreamClock
from saafe.recordings.tables import LONGEST_LINE, too_long
from saafe.recordings.units import Conversion
from saafe.sensors import CHANNELS

ACKNOWLEDGE = "acknowledge"  # a line that says that a person has seen to the alarm
SAME_MOMENT_S = 0.5  # Chosen: rows of one reading may come so far apart
UNREAD = np.full(len(CHANNELS), np.nan)
REPEATED_LINES = 32  # Chosen: so far back a line that comes twice is dropped
# Chosen: and so long after its sensor's last new one. From then on one that says nothing but what
# it has said is no gateway that sends twice: its counter starts over
REPEATED_S = 60.0


class Problem(NamedTuple):
    """What is wrong with a row: a channel's name, "time", "sensor" or "row"; why; which row."""

    channel: str
    reason: str
    row: int


class Row(NamedTuple):
    """One row of a stream."""

    time_s: float  # stream time; the latest where the row has none that can be used
    sensor: str  # "" where it names none that can be used
    readings: np.ndarray  # float64 `(channel,)`, NaN = missing, masked or unusable
    problems: tuple[Problem, ...] = ()  # what is wrong with it
    is_acknowledgement: bool = False  # whether a person has seen to the alarm
    now_s: float = -math.inf  # stream time as it came

    @property
    def refused(self) -> dict[str, str]:
        """Why cells cannot be used, by channel, as `Detector.update` takes it."""
        return {problem.channel: problem.reason for problem in self.problems}


def read_rows(lines: Iterable[str], *, name: str = "-") -> Iterator[Row]:
    """Parse CSV text line by line into rows; the first line with known columns is the header.

    `name` is what to call the stream where it has no header, no time or no known channel.
    """
    reader = RowReader(name)
    for line in lines:
        row = reader.read(line)
        if row is not None:
            yield row
    reader.close()


class _Said(NamedTuple):
    """What a sensor has said at the time of its last row."""

    stamp: float
    readings: np.ndarray  # NaN = none yet. (channel,)
    arrival_s: float | None  # of the first row of that time
    stands: bool = False  # whether its clock stands still


class RowReader:
    """Reads a stream's lines as they come."""

    def __init__(
        self, name: str = "-", units: Mapping[str, Conversion] | None = None,
        sentinels: Iterable[tuple[str, float]] = (),
    ) -> None:  # fmt: skip
        """Wait for a header.

        Args:
            name: what to call the stream in an error.
            units: channel -> the conversion of its readings, as `parse_units` gives them.
            sentinels: what the device sends in place of readings: a channel and a value in its
                own unit each.
        """
        self.name, self.units, self.sentinels = name, units or {}, held_sentinels(sentinels)
        self.names: list[str] = []  # the header's
        self.former: list[str] = []  # the one's before, until a row has come under it
        self.refused: InputError | None = None  # the first line's, as no header
        self.line = 0
        self.first: float | None = None  # of the first row: seconds, or microseconds of a `time`
        self.start: datetime | None = None  # of the first row, where rows have dates
        self.has_offset = False
        self.counts_milliseconds = False  # whether a `time_s` did
        self.clock = StreamClock()
        self.said: dict[str, _Said] = {}  # by sensor
        self.recent: deque[str] = deque(maxlen=REPEATED_LINES)

    def read(self, line: str, arrival_s: float | None = None) -> Row | None:
        """Read one line; None where it is no row: a header, empty, or a repetition.

        Args:
            line: text, with or without its end.
            arrival_s: when it came, by a clock that only goes on; None for lines of a file. [s]

        Raises:
            InputError: there is no header, or one without a time or a known channel.
        """
        self.line += 1
        text = strip_line(line)
        if not text:
            return None
        if not self.names:
            self._read_header(text)
            return None
        if text.casefold() == ACKNOWLEDGE:
            return Row(self.clock.now_s(arrival_s), "", unread(), is_acknowledgement=True)
        cells, wrong = row_cells(text, self.names)
        if not cells or self._take_header(text):
            return None
        if wrong and len(cells) == len(self.former):  # what came last was a header cut short
            self._change_names(self.former)
            wrong = ""
        if wrong:
            problem = Problem("row", wrong, self.line)
            return Row(self.clock.now_s(arrival_s), "", unread(), (problem,))
        self.former = []
        row = dict(zip(self.names, cells, strict=True))
        if text in self.recent and self._is_repetition(row, arrival_s):
            return None
        self.recent.append(text)
        return self._read_row(row, arrival_s)

    def take(self, sensor: str, cells: Mapping[str, str], arrival_s: float) -> Row:
        """Take one row of a sensor that came as cells by their columns, as from a broker.

        One without `time_s` and `time` counts from its arrival, and nothing is wrong with that.
        """
        self.line += 1
        self.recent.append("")  # `_stands_still` takes it out again
        row = {**cells, "sensor": sensor}
        if "time_s" not in row and "time" not in row:
            row["time_s"] = repr(arrival_s)
        return self._read_row(row, arrival_s)

    def close(self) -> None:
        """The stream has ended: an InputError where no header came."""
        if not self.line:
            raise InputError(f"{self.name}: no line came: pipe readings into it, or name a file")
        if not self.names:
            raise self.refused or no_header(self.name, "")

    def _read_header(self, text: str) -> None:
        """Take a line as the header, or pass it over where it is none."""
        if len(text) > LONGEST_LINE:  # the next ones would be the same, for gigabytes
            raise too_long(self.name, self.line)
        if names := header_names(text):
            self.names = names
            refuse_columns(self.name, self.names)
            return
        self.refused = self.refused or no_header(self.name, text)
        if self.line >= LINES_BEFORE_HEADER:
            raise self.refused

    def _take_header(self, text: str) -> bool:
        """Whether a line is another header, as of a logger that starts again with other columns."""
        if names := other_header(text):
            self._change_names(names)
        return bool(names)

    def _change_names(self, names: list[str]) -> None:
        """Read what follows under another header."""
        if ("time" in names) != ("time" in self.names):
            self.first = None  # one counts seconds, the other microseconds
        self.names, self.former = names, self.names

    def _read_row(self, row: dict[str, str], arrival_s: float | None) -> Row:
        reasons = {}
        sensor = row.get("sensor", DEFAULT_SENSOR)
        try:
            known = self.clock.sensors
            check_sensor(sensor, 0 if sensor in known else len(known))
        except CellError as error:
            sensor, reasons["sensor"] = "", str(error)
        readings, wrong = _read_cells(row, self.units, self.sentinels)
        reasons |= wrong
        try:
            stamp = self._read_stamp(row)
        except ValueError as error:
            stamp, reasons["time"] = None, str(error)
        if stamp is None or not sensor:
            time_s = self.clock.arrive(arrival_s, sensor)
        elif self._stands_still(sensor, stamp, readings, arrival_s):
            time_s = self.clock.arrive(arrival_s, sensor)
            reasons["time"] = f"clock stands still at {self._moment(stamp)}"
        else:
            time_s, odd = self.clock.place(sensor, stamp, arrival_s)
            reasons |= {"time": odd} if odd else {}
            self._collisions(sensor, stamp, readings, reasons, arrival_s)
        problems = tuple(Problem(*item, self.line) for item in reasons.items())
        readings = readings if sensor else unread()
        return Row(time_s, sensor, readings, problems, now_s=self.clock.newest_s)

    def _is_repetition(self, row: dict[str, str], arrival_s: float | None) -> bool:
        """Whether a row that came before says nothing new: by its time, and while others come."""
        try:
            self._read_stamp(row)
        except ValueError:  # the time is its arrival: it says that the reading still stands
            return False
        said = self.said.get(row.get("sensor", DEFAULT_SENSOR))
        if said is None or said.arrival_s is None or arrival_s is None:
            return True
        return arrival_s - said.arrival_s <= REPEATED_S

    def _read_stamp(self, row: dict[str, str]) -> float:
        """Seconds from the stream's first row by a row's own clock; a ValueError says why none."""
        if "time_s" in row:
            moment, units, has_offset = to_seconds(row["time_s"]), 1.0, False
            if not self.counts_milliseconds:
                self.counts_milliseconds = counts_milliseconds(float(row["time_s"]))
        else:
            stamp = to_stamp(row["time"])
            self.start = self.start or stamp
            moment, units, has_offset = to_microseconds(stamp), 1e6, stamp.tzinfo is not None
        if self.first is None:
            self.first, self.has_offset = moment, has_offset
        if has_offset != self.has_offset:
            raise ValueError("times with and without an offset are mixed")
        return round((moment - self.first) / units * 1e6) / 1e6  # to 1 us, as np.round does

    def _moment(self, stamp: float) -> str:
        """A row's own time as it came: its date, or its seconds."""
        if self.start is None:
            return f"{stamp:g} s"
        return (self.start + timedelta(seconds=stamp)).isoformat()

    def _stands_still(
        self, sensor: str, stamp: float, readings: np.ndarray, arrival_s: float | None
    ) -> bool:
        """Whether a sensor says something else at one and the same time, a while later."""
        said = self.said.get(sensor)
        if said is None or said.stamp != stamp or arrival_s is None or said.arrival_s is None:
            return False
        if said.stands:
            self.recent.pop()  # its rows may well be the same, and are none that came twice
            return True
        if (
            not _differs(readings, said.readings).any()
            or arrival_s - said.arrival_s <= SAME_MOMENT_S
        ):
            return False
        self.said[sensor] = said._replace(stands=True)
        return True

    def _collisions(
        self, sensor: str, stamp: float, readings: np.ndarray, reasons: dict[str, str],
        arrival_s: float | None,
    ) -> None:  # fmt: skip
        """Leave out of readings, and of reasons, what the sensor has said at this time already.

        A cell that gave no reading said nothing: a number may follow it.
        """
        said = self.said.get(sensor)
        if said is None or said.stamp != stamp:
            said = self.said[sensor] = _Said(stamp, unread(), arrival_s)
        is_again = ~np.isnan(said.readings)
        for index in np.flatnonzero(is_again):
            if reasons.get(CHANNELS[index].name, "").endswith(SAYS_NOTHING):
                del reasons[CHANNELS[index].name]
        for index in np.flatnonzero(_differs(readings, said.readings)):
            reasons[CHANNELS[index].name] = f"came twice at {self._moment(stamp)}"
        said.readings[~is_again] = readings[~is_again]
        readings[is_again] = np.nan


def _differs(readings: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Where both have a reading, and not the same: bool (channel,)."""
    return (readings != others) & ~np.isnan(readings) & ~np.isnan(others)


def unread() -> np.ndarray:
    """No reading of any channel. (channel,)"""
    return UNREAD.copy()


def _read_cells(
    row: dict[str, str], units: Mapping[str, Conversion], sentinels: Mapping[str, Sentinels]
) -> tuple[np.ndarray, dict[str, str]]:
    """Readings, and channel -> what is wrong with its cell."""
    readings, wrong = unread(), {}
    for index, channel in enumerate(CHANNELS):
        came = row.get(channel.column, "")
        unit = units.get(channel.name)
        cell = came if unit is None else _in_own_unit(came, unit)
        own = sentinels.get(channel.name, NO_SENTINELS)
        readings[index], why = read_cell(cell, channel, own)
        if why:
            if unit is not None and cell != came:
                why = f"came {came} {unit.unit}: {why}"
            wrong[channel.name] = why
    return readings, wrong


def _in_own_unit(cell: str, unit: Conversion) -> str:
    """A cell of a unit as its channel's own; one that holds no number as it is."""
    with suppress(CellError):
        number = to_number(cell)
        if not math.isnan(number) and (value := unit.apply(number)) != number:
            return repr(value)
    return cell
