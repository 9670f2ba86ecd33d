"""What is wrong with a sensor's channels, by its own readings alone.

A fault is said once it can be known, not once it begins: `KNOWABLE` says when that is. What no
single sensor can know of itself (a slow cell, a warm shelf, a drift of temperature) is not guessed.
Numbers only; what a fault does to the alarm is nobody's business here.
"""

import math
from collections import deque

import numpy as np

from saafe.sensors import CHANNEL_NAMES, CHANNELS
from saafe.windows import DAY_S

SILENT_S = 180.0  # Chosen: three times the longest usual period, a minute
STUCK_S, STUCK_HOLDS = 3600.0, 10.0  # Chosen: an hour, and ten times the longest hold seen
USUAL_RUNS = 20  # Chosen: changes of the reading before its usual hold counts as known
SATURATED_S = 12 * 3600.0  # Chosen: longer than any simulated nuisance lasts (8 h)
SPIKE_COUNT, SPIKE_SPAN_S = 10, 3600.0  # Chosen: lone spikes within an hour; spray cans make six
DRIFT_DAYS = 3  # of clean air; a channel spikes until a day without
KNOWABLE = {
    "silent": "180 s after the sensor's last row, at the next row of the space",
    "missing": "180 s after the channel's last reading, at the sensor's next row",
    "stuck": "after 1 h and ten times the longest hold seen before, where 20 holds were seen and "
    "the reading is neither clean air's (PM2.5, CO2, CO at their lowest) nor the highest so far",
    "saturated": "after 12 h and ten times the longest hold at the highest reading so far",
    "spiking": "at the tenth lone spike within an hour; never for sound",
    "drift": "after three whole days whose lowest PM2.5, CO2 or CO stands 50 ug/m3, 400 ppm or "
    "10 ppm over the lowest day's; never for temperature, sound, humidity",
}  # fmt: skip


def self_test_limits(name: str, otherwise: float) -> np.ndarray:
    """One of the channels' `sensors.SelfTestLimits`, a value where it is None. (channel,)"""
    values = [getattr(channel.self_test, name) for channel in CHANNELS]
    return np.array([otherwise if value is None else value for value in values])


RESTS_FROM = self_test_limits("rests_from", math.inf)
SPIKE_RISE = self_test_limits("spike_rise", math.inf)
SPIKE_SHARE = self_test_limits("spike_share", 0.0)
DRIFT_RISE = self_test_limits("drift_rise", math.inf)


class Holds:
    """How long each channel has shown one and the same reading, and usually does."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.value = np.full(len(CHANNELS), np.nan)
        self.since_s = np.full(len(CHANNELS), np.nan)
        self.seen_s = np.full(len(CHANNELS), -np.inf)
        self.longest_s = np.zeros(len(CHANNELS))
        self.runs = np.zeros(len(CHANNELS), np.int64)
        self.lowest = np.full(len(CHANNELS), np.nan)
        self.highest = np.full(len(CHANNELS), np.nan)

    def read(self, time_s: float, readings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether each channel is stuck, and is saturated, on this row. bool (channel,)"""
        present = ~np.isnan(readings)
        after_gap = present & (time_s - self.seen_s > SILENT_S)
        moved = present & (readings != self.value)
        ended = moved & ~after_gap  # a run that a gap broke tells nothing of the usual hold
        held_s = time_s - self.since_s
        self.longest_s = np.where(ended, np.maximum(self.longest_s, held_s), self.longest_s)
        self.runs += ended
        self.since_s = np.where(moved | after_gap, time_s, self.since_s)
        self.value = np.where(present, readings, self.value)
        self.seen_s = np.where(present, time_s, self.seen_s)
        self.lowest = np.fmin(self.lowest, readings)
        self.highest = np.fmax(self.highest, readings)
        held_s = time_s - self.since_s
        unusual = present & (self.runs >= USUAL_RUNS) & (held_s >= STUCK_HOLDS * self.longest_s)
        if not unusual.any():
            return unusual, unusual
        rests = (self.value == self.lowest) & (self.value >= RESTS_FROM)
        is_top = self.value == self.highest
        stuck = unusual & ~rests & ~is_top & (held_s >= STUCK_S)
        return stuck, unusual & is_top & (held_s >= SATURATED_S)


class Spikes:
    """Lone readings far above both their neighbours."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.before = np.full(len(CHANNELS), np.nan)
        self.last = np.full(len(CHANNELS), np.nan)
        self.times = [deque(maxlen=SPIKE_COUNT) for _ in CHANNELS]
        self.spiking = np.zeros(len(CHANNELS), bool)

    def read(self, time_s: float, readings: np.ndarray) -> np.ndarray:
        """Whether each spikes: from the tenth in an hour to a day without. bool (channel,)"""
        beside = np.maximum(self.before, readings)  # NaN where either is missing: no spike
        lone = self.last - beside > SPIKE_RISE + SPIKE_SHARE * np.abs(beside)
        present = ~np.isnan(readings)
        self.before = np.where(present, self.last, self.before)
        self.last = np.where(present, readings, self.last)
        for channel in np.flatnonzero(lone | self.spiking):
            times = self.times[channel]
            if lone[channel]:
                times.append(time_s)
            if len(times) == SPIKE_COUNT and times[0] >= time_s - SPIKE_SPAN_S:
                self.spiking[channel] = True
            elif times[-1] < time_s - DAY_S:
                self.spiking[channel] = False
        return self.spiking


class Floors:
    """The lowest reading of each day, where clean air brings a channel back."""

    def __init__(self) -> None:
        """Start before the first day."""
        self.first_s: float | None = None
        self.day = 0
        self.floor = np.full(len(CHANNELS), np.nan)  # of the day that is on
        self.lowest = np.full(len(CHANNELS), np.nan)  # of the days that are over
        self.days = np.zeros(len(CHANNELS), np.int64)  # in a row that stood too high
        self.drifting = np.zeros(len(CHANNELS), bool)

    def read(self, time_s: float, readings: np.ndarray) -> np.ndarray:
        """Whether each channel has drifted, by the days that are over. bool (channel,)"""
        if self.first_s is None:
            self.first_s = time_s
        day = int((time_s - self.first_s) // DAY_S)
        if day > self.day:
            self.lowest = np.fmin(self.lowest, self.floor)
            self.days = np.where(self.floor > self.lowest + DRIFT_RISE, self.days + 1, 0)
            self.drifting = self.days >= DRIFT_DAYS
            self.day = day
            self.floor = np.full(len(CHANNELS), np.nan)
        self.floor = np.fmin(self.floor, readings)
        return self.drifting


class SelfTest:
    """Notices the channels of one sensor that fall silent, come back, or stop telling the truth.

    A channel is expected once it has been read. It has one fault at a time: what else may be
    wrong with it is not said before that one ends.
    """

    def __init__(self) -> None:
        """Expect nothing yet."""
        self.last_s = np.full(len(CHANNELS), np.nan)
        self.faulty: dict[int, str] = {}
        self.silent = False
        self.back_s = -math.inf  # end of the last silence
        self.holds, self.spikes, self.floors = Holds(), Spikes(), Floors()

    def lapse(self, time_s: float) -> list[tuple[float, str, str]]:
        """Faults that have become true by a time: (since, channel, reason)."""
        if not (time_s - np.fmin.reduce(self.last_s) > SILENT_S):
            return []
        out = []
        if not self.silent and time_s - np.fmax.reduce(self.last_s) > SILENT_S:
            self.silent = True
            out.append((float(np.fmax.reduce(self.last_s)) + SILENT_S, "all", "silent"))
        if not self.silent:
            for channel in np.flatnonzero(time_s - self.last_s > SILENT_S):
                if channel not in self.faulty:
                    self.faulty[int(channel)] = "missing"
                    since = max(float(self.last_s[channel]) + SILENT_S, self.back_s)
                    out.append((since, CHANNEL_NAMES[channel], "missing"))
        return out

    def read(self, time_s: float, readings: np.ndarray) -> list[tuple[str, str, str]]:
        """What a row changes: ("fault" or "restored", channel, reason), the restored first."""
        present = ~np.isnan(readings)
        if not present.any():
            return []
        out = []
        if self.silent:
            self.silent = False
            self.back_s = time_s
            out.append(("restored", "all", "silent"))
        self.last_s[present] = time_s
        stuck, saturated = self.holds.read(time_s, readings)
        wrong = {
            "stuck": stuck,
            "saturated": saturated,
            "spiking": self.spikes.read(time_s, readings),
            "drift": self.floors.read(time_s, readings),
        }
        for channel in [c for c in self.faulty if present[c]]:
            reason = self.faulty[channel]
            if reason not in wrong or not wrong[reason][channel]:
                out.append(("restored", CHANNEL_NAMES[channel], self.faulty.pop(channel)))
        for reason, channels in wrong.items():
            if channels.any():
                for channel in np.flatnonzero(channels & present):
                    if channel not in self.faulty:
                        self.faulty[int(channel)] = reason
                        out.append(("fault", CHANNEL_NAMES[channel], reason))
        return out
