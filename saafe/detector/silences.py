"""What a person must know of a sensor that falls silent again and again."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saafe.detector.self_test import IRREGULAR
from saafe.detector.space import Event
from saafe.errors import as_given
from saafe.recordings import Recording, whole_minutes
from saafe.windows import DAY_S

RARE = 0.05  # Chosen: of the intervals, so many may be accidents of one that reports regularly
RETURNS = 3  # Chosen: once or twice is an accident, three times is how it reports


class Silence(NamedTuple):
    """One that is over. [s]"""

    last_s: float  # the row before it
    said_s: float  # when it was said
    back_s: float  # the row after it


class Silences:
    """Silences of a space's sensors, by its events as they come."""

    def __init__(self) -> None:
        """Start with none."""
        self.said_s: dict[str, float] = {}
        self.over: dict[str, list[Silence]] = defaultdict(list)

    def take(self, events: Sequence[Event], last_s: float) -> list[str]:
        """Note events; the sensors that have just come back for the third time.

        `last_s` is the time of the row before the one that the events came with, of its sensor.
        """
        again: list[str] = []
        for event in events:
            if event.get("reason") != "silent":
                continue
            sensor, time_s = event["sensor"], event["time_s"]
            if event["event"] == "fault":
                self.said_s[sensor] = time_s
            elif sensor in self.said_s:
                self.over[sensor].append(Silence(last_s, self.said_s.pop(sensor), time_s))
                again += [sensor] if len(self.over[sensor]) == RETURNS else []
        return again

    def note(self, sensor: str, watched_s: float, intervals_s: ArrayLike) -> str:
        """How much of a time nobody watched, and what mends it where that may be healthy.

        Args:
            sensor: which.
            watched_s: since its first row. [s]
            intervals_s: between its rows, by which it is told how it reports. (interval,)
        """
        over = self.over[sensor]
        silent_s = sum(one.back_s - one.said_s for one in over)
        pause_s = float(np.median([one.back_s - one.last_s for one in over]))
        hours = f"{silent_s / 3600.0:.1f} of {watched_s / 3600.0:.1f} h"
        text = (
            f"sensor {sensor}: silent for {hours}, in which nothing is known of its air, and back "
            f"{len(over)} times"
        )
        if pause_s > DAY_S or not may_be_healthy(pause_s, np.asarray(intervals_s)):
            return text
        return f"{text}; where such pauses are healthy: {pause_given(pause_s)}"


def may_be_healthy(pause_s: float, intervals_s: NDArray[np.float64]) -> bool:
    """Whether a sensor may pause so long by design: always, or as one that reports on change.

    What reports regularly but for an accident now and then has no such pauses of its own.
    """
    if not len(intervals_s):
        return False
    long_s = IRREGULAR * float(np.median(intervals_s))
    return pause_s <= long_s or float(np.mean(intervals_s > long_s)) > RARE


def pause_given(pause_s: float) -> str:
    """How whoever reads a note says that a sensor may pause so long. [s]"""
    longest_s = whole_minutes(pause_s)
    return as_given(f"--longest-interval {longest_s}", f"longest_interval_s={longest_s}")


def silence_notes(events: Sequence[Event], recording: Recording) -> list[str]:
    """What `Silences` notes of a recording, of each sensor that came back three times."""
    notes: list[str] = []
    is_row = np.any(~np.isnan(recording.readings), axis=2)
    for index, sensor in enumerate(recording.sensors):
        own = [event for event in events if event["sensor"] == sensor]
        silences, spoken = Silences(), recording.times_s[is_row[:, index]]
        for event in own:
            before = spoken[spoken < event["time_s"] - 0.1]  # events are rounded to 0.1 s
            silences.take([event], float(before[-1]) if len(before) else 0.0)
        if len(silences.over[sensor]) >= RETURNS:
            notes.append(
                silences.note(sensor, float(recording.times_s[-1] - spoken[0]), np.diff(spoken))
            )
    return notes
