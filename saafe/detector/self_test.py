"""What is wrong with a sensor's channels, by its own readings alone.

A fault is said once it can be known, not once it begins: `KNOWABLE` says when that is. What no
single sensor can know of itself (a slow cell, a warm shelf, a drift of temperature) is not guessed.
Numbers only; what a fault does to the alarm is nobody's business here.
"""

import math
from collections import deque
from collections.abc import Mapping

import numpy as np

from saafe.sensors import CHANNEL_NAMES, CHANNELS, LONGEST_PERIOD_S
from saafe.windows import DAY_S

SILENT_S = 180.0  # Chosen: three times the longest usual period, a minute
SILENT_INTERVALS = 1.5  # Chosen: or so many of the longest usual interval
KEPT_INTERVALS, RECENT_INTERVALS = 100, 20
LONGEST_RANK = 2  # the third longest of the last twenty is the longest usual one
IRREGULAR = 3.0  # Chosen: over so many medians it is one of a channel that reports on change
UNKNOWN_PERIOD_S = 60.0  # Chosen: what most devices report at
STUCK_S, STUCK_HOLDS = 3600.0, 10.0  # Chosen: an hour, and ten times the longest hold seen
USUAL_RUNS = 20  # Chosen: changes of the reading before its usual hold counts as known
SATURATED_S = 12 * 3600.0  # Chosen: longer than any simulated nuisance lasts (8 h)
SPIKE_COUNT, SPIKE_SPAN_S = 10, 3600.0  # Chosen: lone spikes within an hour; spray cans make six
LINE_FAULTS = ("row", "sensor", "time")  # of a row as a whole; over after 180 s without
Said = tuple[str, str, str]  # "fault" or "restored", channel or "all", reason
DRIFT_DAYS = 3  # of clean air; a channel spikes until a day without
KNOWABLE = {
    "silent": "180 s after the sensor's last row, or 1.5 times its longest usual interval",
    "missing": "the same after the channel's last reading, at the sensor's next row",
    "stuck": "after 1 h and ten times the longest hold seen before, where 20 holds were seen and "
    "the reading is neither clean air's (PM2.5, CO2, CO at their lowest) nor the highest so far",
    "saturated": "after 12 h and ten times the longest hold at the highest reading so far",
    "spiking": "at the tenth lone spike within an hour; never for sound",
    "jump": "at the next reading, where a lone one would have alarmed had it stood",
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


class Intervals:
    """How often a sensor and each of its channels report. The sensor stands last."""

    def __init__(self, longest_s: float | None = None) -> None:
        """Start with nothing seen; `longest_s` is how long a healthy one may pause, if known."""
        self.longest_s = longest_s
        self.last_s = np.full(len(CHANNELS) + 1, np.nan)
        self.recent = np.full((KEPT_INTERVALS, len(CHANNELS) + 1), np.nan)
        self.at = np.zeros(len(CHANNELS) + 1, np.int64)  # where each one's next interval goes
        self.is_irregular = np.zeros(len(CHANNELS) + 1, bool)  # reports on change
        self.any_long = True
        self.limits_s = self._limits()

    def read(self, time_s: float, present: np.ndarray) -> None:
        """Note a row. `present`: bool (channel,)"""
        came = np.append(present, True)
        interval = time_s - self.last_s
        new = came & (interval > 0.0)
        self.last_s[came] = time_s
        columns = np.flatnonzero(new)
        self.recent[self.at[columns], columns] = interval[columns]
        self.at[columns] = (self.at[columns] + 1) % KEPT_INTERVALS
        is_new = np.isnan(interval[came]).any()
        if is_new or self.any_long or (interval[columns] > SILENT_S / SILENT_INTERVALS).any():
            self.limits_s = self._limits()

    @property
    def period_s(self) -> float:
        """The sensor's median interval; a minute while none is known. [s]"""
        known = self.recent[:, -1][~np.isnan(self.recent[:, -1])]
        return float(np.median(known)) if known.size else UNKNOWN_PERIOD_S

    def _limits(self) -> np.ndarray:
        """After how long the channels and the sensor are silent. [s] (channel + 1,)"""
        if self.longest_s is not None:
            longest = np.full(len(CHANNELS) + 1, self.longest_s)
        else:
            last = (self.at - 1 - np.arange(RECENT_INTERVALS)[:, None]) % KEPT_INTERVALS
            recent = np.take_along_axis(self.recent, last, axis=0)
            ordered = -np.sort(-np.nan_to_num(recent, nan=-np.inf), axis=0)
            count = np.isfinite(ordered).sum(axis=0)
            rank = np.clip(count - 1, 0, LONGEST_RANK)
            usual = np.take_along_axis(ordered, rank[None], axis=0)[0]
            is_full = count == RECENT_INTERVALS
            self.is_irregular |= is_full & (usual > IRREGULAR * ordered[RECENT_INTERVALS // 2])
            usual = np.where(self.is_irregular, np.fmax.reduce(self.recent), usual)
            unknown = (count == 0) & ~np.isnan(self.last_s)  # it may well come once an hour
            longest = np.where(unknown, LONGEST_PERIOD_S, usual)
        limits = np.maximum(SILENT_S, SILENT_INTERVALS * longest)
        self.any_long = bool((limits > SILENT_S).any())
        return limits


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
        self.jumped = np.zeros(len(CHANNELS), bool)  # up before the last reading, and back with it

    def read(self, time_s: float, readings: np.ndarray) -> np.ndarray:
        """Whether each spikes: from the tenth in an hour to a day without. bool (channel,)"""
        beside = np.maximum(self.before, readings)  # NaN where either is missing: no spike
        limit = SPIKE_RISE + SPIKE_SHARE * np.abs(beside)
        lone = self.last - beside > limit
        # at the very beginning there is nothing before
        self.jumped = lone | (np.isnan(self.before) & (self.last - readings > SPIKE_RISE))
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

    def __init__(self, longest_interval_s: float | None = None) -> None:
        """Expect nothing yet; `longest_interval_s` is how long a healthy sensor may pause. [s]"""
        self.intervals = Intervals(longest_interval_s)
        self.faulty: dict[str, str] = {}  # channel -> reason; "all" is the sensor
        self.back_s = -math.inf  # end of the last silence
        self.began_s = math.inf  # first row of all, or after the last outage
        self.bad_line_s = -math.inf  # last row that could not be read as it stands
        self.holds, self.spikes, self.floors = Holds(), Spikes(), Floors()

    @property
    def outage_s(self) -> float:
        """A longer pause of the sensor is an outage. [s]"""
        return float(self.intervals.limits_s[-1])

    def silent_due(self) -> float:
        """When the sensor will count as silent, inf where it is down already. [s]"""
        if "all" in self.faulty or math.isinf(self.began_s):
            return math.inf
        return float(self.intervals.last_s[-1]) + self.outage_s

    def lapse(self) -> tuple[str, str]:
        """The sensor has become silent: (channel, reason)."""
        self.faulty["all"] = "silent"
        return "all", "silent"

    def refuse(self, time_s: float, reasons: Mapping[str, str], *, is_empty: bool) -> list[Said]:
        """What cells that cannot be used change, of a row that holds nothing else where `is_empty`.

        `reasons` are by channel, or by "row", "sensor" or "time".
        """
        lines = [channel for channel in reasons if channel in LINE_FAULTS]
        if lines:
            self.bad_line_s = time_s
        elif is_empty and len(reasons) > 1:  # a sensor that is away is one fault
            reasons = {"all": next(iter(reasons.values()))}
        new = [
            (c, r) for c, r in reasons.items() if c not in self.faulty and "all" not in self.faulty
        ]
        self.faulty.update(new)
        return [("fault", channel, reason) for channel, reason in new]

    def read(self, time_s: float, readings: np.ndarray) -> list[Said]:
        """What a row changes: ("fault" or "restored", channel, reason), the restored first."""
        present = ~np.isnan(readings)
        if not present.any():
            return []
        out: list[Said] = []
        if "all" in self.faulty:
            self.back_s = time_s
            out.append(("restored", "all", self.faulty.pop("all")))
        known = self.intervals
        if math.isinf(self.began_s) or time_s - known.last_s[-1] > self.outage_s:
            self.began_s = time_s
        known.read(time_s, present)
        stuck, saturated = self.holds.read(time_s, readings)
        wrong = {
            "stuck": stuck,
            "saturated": saturated,
            "spiking": self.spikes.read(time_s, readings),
            "drift": self.floors.read(time_s, readings),
            "missing": self._missing(time_s),
        }
        for channel in self._mended(time_s, present, wrong):
            out.append(("restored", channel, self.faulty.pop(channel)))
        for reason, channels in wrong.items():
            if channels.any():
                for channel in np.flatnonzero(channels & (present | (reason == "missing"))):
                    out += self._fault(CHANNEL_NAMES[channel], reason)
        return out

    def jump(self) -> list[Said]:
        """A fault of each channel whose reading before the last one was a lone jump."""
        return [
            said
            for channel in np.flatnonzero(self.spikes.jumped)
            for said in self._fault(CHANNEL_NAMES[channel], "jump")
        ]

    def _fault(self, channel: str, reason: str) -> list[Said]:
        """The fault of a channel that has none yet."""
        if channel in self.faulty:
            return []
        self.faulty[channel] = reason
        return [("fault", channel, reason)]

    def _missing(self, time_s: float) -> np.ndarray:
        """Whether each channel was read once and is silent, while the sensor speaks. (channel,)"""
        since = np.fmax(self.intervals.last_s[:-1], self.back_s)
        limits = self.intervals.limits_s[:-1]
        return ~np.isnan(self.intervals.last_s[:-1]) & (time_s - since > limits)

    def _mended(self, time_s: float, present: np.ndarray, wrong: dict) -> list[str]:
        """Channels whose fault this row ends."""
        out = []
        for name, reason in self.faulty.items():
            if name in LINE_FAULTS:
                is_over = time_s - self.bad_line_s >= SILENT_S
            else:
                channel = CHANNEL_NAMES.index(name)
                is_over = present[channel] and not (reason in wrong and wrong[reason][channel])
            if is_over:
                out.append(name)
        return out
