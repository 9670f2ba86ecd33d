"""A live stream: lines and our own clock in, events out; and a drill over it."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from saafe.detector.detector import Detector, Model
from saafe.detector.silences import Silences, pause_given
from saafe.detector.space import Event
from saafe.recordings import MILLISECONDS, Rise, Row, RowReader, doubt
from saafe.sensors import CHANNELS, LONGEST_PERIOD_S
from saafe.windows import HOLD_S, LEARNT_PERIOD_S

DOUBTED_S = 600.0  # Chosen: the first minutes, in which units may be doubted
DRILL_AFTER_S = 120.0  # Chosen: of live readings, before a drill's fire begins


class Live:
    """Events of one space from lines as they come; nothing is said later than it is due.

    `clock_s` of the methods is any clock that only goes on, in seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        model: Model,
        reader: RowReader,
        *,
        longest_interval_s: float | None = None,
        drill: "Drill | None" = None,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Take a model and a reader of lines.

        Args:
            model: as `Detector` takes it.
            reader: of the stream's lines.
            longest_interval_s: see `Detector`.
            drill: a simulated fire to play over the readings.
            note: takes what a person should know and no event says.
        """
        self.detector = Detector(model, longest_interval_s=longest_interval_s)
        self.reader, self.drill, self.note = reader, drill, note
        self.first: dict[tuple[str, int], list[float]] = defaultdict(list)
        self.noted: set[object] = set()
        self.silences = Silences()

    def line(self, text: str, clock_s: float) -> list[Event]:
        """Take one line that came at a time."""
        row = self.reader.read(text, clock_s)
        if row is None:
            return []
        if row.is_acknowledgement:
            events, is_raised = self._tick(row.time_s), self.detector.space.is_raised
            return events + (self.detector.acknowledge() if is_raised else [])
        self._doubt(row)
        watched = self.detector.space.sensors.get(row.sensor)
        last_s = watched.test.intervals.last_s if watched else row.time_s
        events = take_row(self.detector, row, row.readings)
        self._note_silences(events, last_s)
        return events + (self.drill.update(row) if self.drill else [])

    def tick(self, clock_s: float) -> list[Event]:
        """Let time go on with no line."""
        return self._tick(self.reader.clock.now_s(clock_s))

    def wait_s(self, clock_s: float) -> float:
        """How long nothing becomes true with no line, inf for ever. [s]"""
        due = min(one.next_due() for one in self._detectors())
        return max(due - self.reader.clock.now_s(clock_s), 0.0)

    def close(self) -> list[Event]:
        """The stream has ended: the last events; an InputError where it had no header."""
        self.reader.close()
        return self.detector.finish() + (self.drill.finish() if self.drill else [])

    def _detectors(self) -> list[Detector]:
        is_on = self.drill is not None and not self.drill.is_over
        return [self.detector, *([self.drill.detector] if self.drill and is_on else [])]

    def _tick(self, now_s: float) -> list[Event]:
        events = self.detector.tick(now_s)
        self._note_silences(events, now_s)
        return events + (self.drill.tick(now_s) if self.drill else [])

    def _note_silences(self, events: list[Event], last_s: float) -> None:
        for sensor in self.silences.take(events, last_s):
            test = self.detector.space.sensors[sensor].test
            watched_s = self.detector.now_s - test.first_s
            self.note(self.silences.note(sensor, watched_s, list(test.intervals.recent)))

    def _doubt(self, row: Row) -> None:
        """Note what is odd about a sensor's first rows: units, and a period too long."""
        if self.reader.counts_milliseconds:
            self._note(MILLISECONDS, MILLISECONDS)
        for index in map(int, np.flatnonzero(~np.isnan(row.readings))):
            values = self.first[row.sensor, index]
            if row.time_s < DOUBTED_S:
                values.append(float(row.readings[index]))
                text = doubt(CHANNELS[index], float(np.median(values))) if len(values) > 1 else None
                if text:
                    self._note((row.sensor, index), f"sensor {row.sensor}: {text}")
        watched = self.detector.space.sensors.get(row.sensor)
        period_s = watched.test.period_s if watched else 0.0
        if period_s > max(LONGEST_PERIOD_S, self.detector.longest_interval_s or 0.0):
            pauses = f"{pause_given(period_s)} where it pauses so long"
            text = f"its times are {period_s:g} apart: are they milliseconds? {pauses}"
            self._note(row.sensor, f"sensor {row.sensor}: {text}")
        elif period_s > HOLD_S:
            text = (
                f"sensor {row.sensor} reports every {period_s:g} s; the model has learnt periods "
            )
            self._note(row.sensor, f"{text}up to {LEARNT_PERIOD_S:g} s and may find fires later")

    def _note(self, key: object, text: str) -> None:
        if key not in self.noted:
            self.noted.add(key)
            self.note(text)


def take_row(detector: Detector, row: Row, readings: NDArray[np.float64]) -> list[Event]:
    """Let a detector take a row of a stream, with its readings or others."""
    return detector.update(row.time_s, row.sensor, readings, row.refused, now_s=row.now_s)


class Drill:
    """A simulated fire played over live readings of the first sensor, to a detector of its own."""

    def __init__(
        self, model: Model, fire: str, rise: Rise, longest_interval_s: float | None = None
    ) -> None:
        """Take the fire's name and what it adds to readings from its ignition on.

        `model` and `longest_interval_s` are as `Detector` takes them.
        """
        self.detector = Detector(model, longest_interval_s=longest_interval_s)
        self.fire, self.rise = fire, rise
        self.sensor = ""
        self.start_s: float | None = None
        self.is_over = False

    def update(self, row: Row) -> list[Event]:
        """Take one live row; the drill's events, marked."""
        if self.is_over or not row.sensor:
            return []
        if self.start_s is None:
            self.sensor, self.start_s = row.sensor, row.time_s + DRILL_AFTER_S
        readings = row.readings
        since_s = row.time_s - self.start_s
        if row.sensor == self.sensor and since_s >= 0.0:
            at = int(np.searchsorted(self.rise.times_s, since_s, side="right")) - 1
            readings = readings + self.rise.values[max(at, 0)]
            readings = np.clip(readings, LOWEST, HIGHEST)
        events = take_row(self.detector, row, readings)
        return self._marked(events) + self._ended(row.time_s)

    def tick(self, now_s: float) -> list[Event]:
        """Let time go on with no row."""
        return [] if self.is_over else self._marked(self.detector.tick(now_s)) + self._ended(now_s)

    def finish(self) -> list[Event]:
        """The stream has ended: say that the drill has found no alarm, if it has not."""
        return [] if self.is_over else self._marked(self.detector.finish()) + self._result(None)

    def _marked(self, events: list[Event]) -> list[Event]:
        """Events of the drill; its first alarm after ignition is its result."""
        out: list[Event] = []
        for event in events:
            out.append({**event, "drill": True})
            begun = self.start_s is not None and event["time_s"] >= self.start_s
            if event["event"] == "alarm" and begun:
                return out + self._result(event)
        return out

    def _ended(self, now_s: float) -> list[Event]:
        """The result without an alarm, once the fire is over."""
        is_on = self.start_s is None or now_s < self.start_s + float(self.rise.times_s[-1])
        return [] if self.is_over or is_on else self._result(None)

    def _result(self, alarm: Event | None) -> list[Event]:
        if self.is_over:
            return []
        self.is_over = True
        at_s = alarm["time_s"] if alarm else max(self.detector.now_s, 0.0)
        start_s = at_s if self.start_s is None else self.start_s
        return [
            {
                "event": "drill",
                "time_s": round(at_s, 1),
                "sensor": self.sensor,
                "fire": self.fire,
                "alarmed": alarm is not None,
                "after_s": round(at_s - start_s, 1),  # from ignition
                "cause": alarm["cause"] if alarm else "none",
                "drill": True,
            }
        ]


LOWEST = np.array([channel.lowest for channel in CHANNELS])
HIGHEST = np.array([channel.highest for channel in CHANNELS])
