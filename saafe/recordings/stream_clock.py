"""Stream time of rows by the clocks of their sensors, which are wrong now and then.

A sensor's clock is believed as long as its rows are in order, however late they come: a gateway
may send a minute's rows at once. A row that is not in order counts from now on; a few that agree
with each other set the clock anew.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LATE_S = 5.0  # Chosen: rows of one sensor may overtake each other by so much
LATEST_S = 180.0  # Chosen: later than that it is the clock that was set
FAR_S = 30 * 86_400.0  # Chosen: no outage is longer; the clock was set
CLOCK_STEP_S = 60.0  # Chosen: a live clock that gains more than this on ours was set
AGREEING_ROWS = 3  # Chosen: so many rows in order set a clock
BEHIND_S = 900.0  # Chosen: the first rows of a sensor may be so old, as uploads are
LIVE_SHARE = 0.3  # Chosen: of their own interval that live rows are apart


@dataclass
class _SensorClock:
    """One sensor's clock."""

    last: float  # its latest time. [s]
    last_s: float  # the stream's then. [s]
    shift_s: float  # from its time to the stream's. [s]
    arrival_s: float | None  # of that row, by our own clock. [s]
    intervals: deque[float] = field(default_factory=lambda: deque(maxlen=20))
    odd_rows: int = 0  # in order with each other, and out of order with the others
    odd_last: float = 0.0
    late_s: float = 0.0  # of its last row in order. [s]
    # of the last rows before the last pauses: the newest row of an upload is late by nothing [s]
    newest_late_s: deque[float] = field(default_factory=lambda: deque(maxlen=AGREEING_ROWS))

    @property
    def period_s(self) -> float:
        ordered = sorted(self.intervals)  # np.median takes forty times as long
        count = len(ordered)
        return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2.0 if count else 0.0


class StreamClock:
    """Puts rows on one axis, stream time: the newest row's time + the time since it arrived."""

    def __init__(self) -> None:
        """Start with the first row, at 0 s."""
        self.newest_s = 0.0
        self.arrival_s: float | None = None
        self.sensors: dict[str, _SensorClock] = {}
        self.is_live = False  # whether rows come at the pace of their times

    def state(self) -> dict[str, Any]:
        """All that it knows, as JSON values: for `set_state`, after a restart."""
        sensors = {
            name: {k: list(v) if isinstance(v, deque) else v for k, v in vars(one).items()}
            for name, one in self.sensors.items()
        }
        return {**vars(self), "sensors": sensors}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.newest_s, self.arrival_s = state["newest_s"], state["arrival_s"]
        self.is_live, self.sensors = state["is_live"], {}
        for name, saved in state["sensors"].items():
            one = self.sensors[name] = _SensorClock(0.0, 0.0, 0.0, None)
            for key, value in saved.items():
                if isinstance(value, list):
                    value = deque(value, maxlen=getattr(one, key).maxlen)
                setattr(one, key, value)

    def set_back(self, by_s: float) -> None:
        """Our own clock, by which rows arrive, has been set back. [s]"""
        for one in (self, *self.sensors.values()):
            one.arrival_s = None if one.arrival_s is None else one.arrival_s - by_s

    def now_s(self, arrival_s: float | None) -> float:
        """Stream time at a moment of our own clock; None: as the newest row came. [s]"""
        if arrival_s is None or self.arrival_s is None:
            return self.newest_s
        return self.newest_s + max(arrival_s - self.arrival_s, 0.0)

    def arrive(self, arrival_s: float | None, sensor: str = "") -> float:
        """Stream time of a row that has no time of its own: it counts from now on. [s]

        Time goes on by our own clock from such a row too, though no row's clock can be read.
        """
        self._go_on(self.now_s(arrival_s), arrival_s)
        if sensor in self.sensors:
            self.sensors[sensor].last_s = self.newest_s
        return self.newest_s

    def _go_on(self, newest_s: float, arrival_s: float | None) -> None:
        """Note the newest row's time and its arrival, which is never before another's."""
        self.newest_s = newest_s
        if arrival_s is not None and self.arrival_s is not None:
            arrival_s = max(arrival_s, self.arrival_s)
        self.arrival_s = arrival_s

    def place(self, sensor: str, stamp: float, arrival_s: float | None = None) -> tuple[float, str]:
        """Stream time of a row, and what is wrong with its own, "" for nothing.

        Args:
            sensor: name.
            stamp: the row's time by the sensor's clock, from the stream's first row. [s]
            arrival_s: when it came by our own clock; None for rows of a file. [s]
        """
        now_s = self.now_s(arrival_s)
        one = self.sensors.get(sensor)
        if one is None:
            one = self.sensors[sensor] = self._first_row(stamp, now_s, arrival_s)
        wrong = self._wrong(one, stamp, arrival_s)
        if wrong:
            time_s = self._odd_row(one, stamp, now_s)
        else:
            time_s = self._row_in_order(one, stamp, now_s, arrival_s)
        one.last_s = max(one.last_s, time_s)
        self._go_on(max(now_s, time_s), arrival_s)
        return round(time_s * 1e6) / 1e6, wrong

    def _first_row(self, stamp: float, now_s: float, arrival_s: float | None) -> _SensorClock:
        """A sensor's clock by its first row: the stream's, or else what makes the row count now."""
        ahead_s = CLOCK_STEP_S if self.is_live else FAR_S
        late_s = BEHIND_S if self.is_live else LATE_S
        shift_s = 0.0 if now_s - late_s <= stamp <= now_s + ahead_s else now_s - stamp
        return _SensorClock(stamp, stamp + shift_s, shift_s, arrival_s)

    def _wrong(self, one: _SensorClock, stamp: float, arrival_s: float | None) -> str:
        """How far a row is out of order with its sensor's others; "" where it is in order."""
        ahead_s = stamp - one.last
        if ahead_s < -LATE_S:
            if -ahead_s <= LATEST_S:
                return f"came {-ahead_s:g} s late"
            return f"clock set back {one.period_s - ahead_s:,.0f} s"
        allowed_s = FAR_S
        if self.is_live and arrival_s is not None and one.arrival_s is not None:
            allowed_s = arrival_s - one.arrival_s + max(CLOCK_STEP_S, 3.0 * one.period_s)
        if ahead_s > min(allowed_s, FAR_S):
            return f"clock set ahead {ahead_s - one.period_s:,.0f} s"
        return ""

    def _odd_row(self, one: _SensorClock, stamp: float, now_s: float) -> float:
        """Let a row count from now on; a few that agree set the clock."""
        ahead_s = stamp - one.odd_last
        agrees = one.odd_rows > 0 and -LATE_S <= ahead_s <= FAR_S
        pace_s = max(ahead_s, 0.0) if agrees else 0.0
        one.odd_rows = one.odd_rows + 1 if agrees else 1
        one.odd_last = stamp
        time_s = max(now_s, one.last_s + pace_s)
        if one.odd_rows == AGREEING_ROWS:
            one.last, one.shift_s, one.odd_rows, one.arrival_s = stamp, time_s - stamp, 0, None
        return time_s

    def _correct(self, one: _SensorClock) -> None:
        """Shift a clock that is behind: the newest rows of its last uploads were all late."""
        one.newest_late_s.append(one.late_s)
        behind_s = min(one.newest_late_s)
        if len(one.newest_late_s) == AGREEING_ROWS and behind_s > LATE_S:
            one.shift_s += behind_s
            one.newest_late_s.clear()

    def _row_in_order(
        self, one: _SensorClock, stamp: float, now_s: float, arrival_s: float | None
    ) -> float:
        """The row's own time, or from now on where its sensor's rows have come further."""
        interval_s = stamp - one.last
        if interval_s > 0.0 and arrival_s is not None and one.arrival_s is not None:
            if arrival_s - one.arrival_s > LIVE_SHARE * interval_s:
                self.is_live = True
                self._correct(one)
            elif stamp + one.shift_s > now_s + LATE_S:  # faster than our clock: a file's
                self.is_live = False
        time_s = stamp + one.shift_s
        one.late_s = now_s - time_s
        if time_s < min(now_s, one.last_s) - LATE_S:
            time_s = now_s if self.is_live else max(now_s, one.last_s + interval_s)
        if interval_s > 0.0:
            one.intervals.append(interval_s)
        if interval_s >= 0.0:
            one.last, one.arrival_s = stamp, arrival_s
        one.odd_rows = 0
        return time_s
