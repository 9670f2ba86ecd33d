"""What is wrong with a sensor's channels, by its own readings alone.

A fault is said once it can be known, not once it begins: `KNOWABLE` says when that is. What no
single sensor can know of itself (a slow cell, a warm shelf, a drift of temperature) is not guessed.
Numbers only; what a fault does to the alarm is nobody's business here.
"""

import math
from collections import deque
from collections.abc import Mapping
from operator import eq

import numpy as np
from numpy.typing import NDArray

from saafe.detector.recent_median import KEPT_INTERVALS, RecentMedian
from saafe.sensors import CHANNEL_NAMES, CHANNELS, LONGEST_PERIOD_S
from saafe.windows import BIN_S, DAY_S

SILENT_S = 180.0  # Chosen: three times the longest usual period, a minute
SILENT_INTERVALS = 1.5  # Chosen: or so many of the longest usual interval
LONG_INTERVAL_S = SILENT_S / SILENT_INTERVALS
RECENT_INTERVALS = 20
LONGEST_RANK = 2  # the third longest of the last twenty is the longest usual one
IRREGULAR = 3.0  # Chosen: over so many medians it is one of a channel that reports on change
# Chosen: so many tell whether a channel reports on change: fewer than half of them lie this near to
# their median. Of a period they do, also where a tenth of its reports are lost
TELLING_INTERVALS, NEAR_SHARE = 8, 0.1
REGULAR = 1.5  # Chosen: while fewer are known, they are of a period if none is so much longer
UNKNOWN_PERIOD_S = 60.0  # Chosen: what most devices report at
STUCK_S, STUCK_HOLDS = 3600.0, 10.0  # Chosen: an hour, and ten times the longest hold seen
# Chosen: what a broker has kept comes within a minute of a restart. A pause loses a reading of a
# sensor that may be silent for ten times as long in one case of seven at most; so long it waits
LEAST_GRACE_S, GRACE_PAUSES = 60.0, 10.0
UPLOAD_SHARE = 0.3  # Chosen: of the interval of their times that rows of one upload come within
USUAL_RUNS = 20  # Chosen: changes of the reading before its usual hold counts as known
SATURATED_S = 12 * 3600.0  # Chosen: longer than any simulated nuisance lasts (8 h)
SPIKE_COUNT, SPIKE_SPAN_S = 10, 3600.0  # Chosen: lone spikes within an hour; spray cans make six
LINE_FAULTS = ("row", "sensor", "time")  # of a row as a whole; over after 180 s without
Said = tuple[str, str, str]  # "fault" or "restored", channel or "all", reason
REASONS = ("stuck", "saturated", "spiking", "drift", "missing")  # in the order said
STILL_TELLS = ("spiking", "drift", "jump")  # what a channel reads with these is a reading
DRIFT_DAYS = 3  # of clean air; a channel spikes until a day without
KNOWABLE = {
    "silent": "180 s after the sensor's last row, or 1.5 times its longest usual interval; "
    "after 90 min at least where it reports on change",
    "missing": "the same after the channel's last reading, at the sensor's next row",
    "stuck": "after 1 h and ten times the longest hold seen before, where 20 holds were seen and "
    "the reading is neither clean air's (PM2.5, CO2, CO at their lowest) nor the highest so far",
    "saturated": "after 12 h and ten times the longest hold at the highest reading so far",
    "spiking": "at the tenth lone spike within an hour; never for sound",
    "jump": "at the next reading, where a lone one would have alarmed had it stood",
    "drift": "after three whole days whose lowest PM2.5, CO2 or CO stands 50 ug/m3, 400 ppm or "
    "10 ppm over the lowest day's; never for temperature, sound, humidity",
}  # fmt: skip


def self_test_limits(name: str, otherwise: float) -> list[float]:
    """One of the channels' `sensors.SelfTestLimits`, a value where it is None. (channel,)"""
    values = [getattr(channel.self_test, name) for channel in CHANNELS]
    return [otherwise if value is None else value for value in values]


RESTS_FROM = self_test_limits("rests_from", math.inf)
SPIKE_RISE = self_test_limits("spike_rise", math.inf)
SPIKE_SHARE = self_test_limits("spike_share", 0.0)
DRIFT_RISE = self_test_limits("drift_rise", math.inf)


class Intervals:
    """How often a sensor, or one of its channels, reports."""

    def __init__(self, longest_s: float | None = None) -> None:
        """Start with nothing seen; `longest_s` is how long a healthy one may pause, if known."""
        self.longest_s = longest_s
        self.last_s = math.nan  # before the first
        self.recent: deque[float] = deque(maxlen=KEPT_INTERVALS)
        self.is_irregular = False  # often late
        self.is_on_change = False  # reports so: it may say nothing while nothing changes
        self.limit_s = max(SILENT_S, SILENT_INTERVALS * (longest_s or 0.0))  # silent after so long

    def read(self, time_s: float, *, is_upload: bool = False) -> bool:
        """Note a reading, of an upload of several rows or not: whether the first, or after long."""
        interval_s = time_s - self.last_s
        self.last_s = time_s
        if interval_s > 0.0 and not is_upload:
            self.recent.append(interval_s)
        return not interval_s <= LONG_INTERVAL_S  # nor is one that is NaN, of a first reading

    def is_silent(self, time_s: float, back_s: float, excused_s: float, grace_s: float) -> bool:
        """Whether one that was read once has been silent for long; `SelfTest` has the others."""
        is_long = min(time_s - self.last_s, time_s - back_s) > self.limit_s
        return is_long and time_s - excused_s > min(self.limit_s, grace_s)

    def renew_limit(self) -> None:
        """Take the usual interval from the latest ones."""
        if self.longest_s is not None:
            return
        recent = sorted(list(self.recent)[-RECENT_INTERVALS:], reverse=True)
        usual_s = LONGEST_PERIOD_S  # of a first reading: the next may well come in an hour
        if recent:
            usual_s = recent[min(len(recent) - 1, LONGEST_RANK)]
        elif math.isnan(self.last_s):
            usual_s = 0.0
        if len(recent) == RECENT_INTERVALS:
            self.is_irregular |= usual_s > IRREGULAR * recent[RECENT_INTERVALS // 2]
        may_be = False  # on change
        if len(recent) >= TELLING_INTERVALS:
            median = recent[len(recent) // 2]
            near = max(BIN_S, NEAR_SHARE * median)
            self.is_on_change |= 2 * sum(abs(s - median) <= near for s in recent) < len(recent)
        elif recent:
            may_be = len(recent) == 1 or recent[0] > REGULAR * recent[-1]
        if self.is_irregular:
            usual_s = max(self.recent)
        if self.is_on_change or may_be:
            usual_s = max(LONGEST_PERIOD_S, *self.recent)
        self.limit_s = max(SILENT_S, SILENT_INTERVALS * usual_s)


class Holds:
    """How long a channel has shown one and the same reading, and usually does."""

    def __init__(self, rests_from: float) -> None:
        """Start with nothing seen; from `rests_from` on the lowest reading may be clean air's."""
        self.rests_from = rests_from
        self.value = math.nan
        self.since_s = math.nan
        self.seen_s = -math.inf
        self.longest_s = 0.0
        self.runs = 0
        self.lowest, self.highest = math.inf, -math.inf

    def read(self, time_s: float, value: float) -> str:
        """Whether the channel is "stuck" or "saturated" with a reading, else ""."""
        after_gap = time_s - self.seen_s > SILENT_S
        self.seen_s = time_s
        if value != self.value:
            if not after_gap:  # a run that a gap broke tells nothing of the usual hold
                if (held_s := time_s - self.since_s) > self.longest_s:
                    self.longest_s = held_s
                self.runs += 1
            self.value, self.since_s = value, time_s
            if value < self.lowest:
                self.lowest = value
            if value > self.highest:
                self.highest = value
            return ""
        if after_gap:
            self.since_s = time_s
        held_s = time_s - self.since_s
        if held_s < STUCK_S or self.runs < USUAL_RUNS or held_s < STUCK_HOLDS * self.longest_s:
            return ""
        if value == self.highest:
            return "saturated" if held_s >= SATURATED_S else ""
        rests = value == self.lowest and value >= self.rests_from
        return "" if rests else "stuck"


class Spikes:
    """Lone readings of a channel far above both their neighbours."""

    def __init__(self, rise: float, share: float) -> None:
        """Start with nothing seen; a spike stands out by a rise and a share of its neighbours."""
        self.rise, self.share = rise, share
        self.before = self.last = math.nan
        self.times: deque[float] = deque(maxlen=SPIKE_COUNT)
        self.spiking = False
        self.jumped = False  # up before the last reading, and back with it

    def read(self, time_s: float, value: float) -> bool:
        """Whether it spikes: from the tenth lone reading in an hour to a day without.

        A row without the channel, NaN, goes by.
        """
        is_lone = self.jumped = False
        if self.last - value > self.rise:  # never where either is missing
            is_first = math.isnan(self.before)
            is_lone = not is_first and self._is_above(max(self.before, value))
            self.jumped = is_lone or is_first
        if value == value:
            self.before, self.last = self.last, value
        if is_lone or self.spiking:
            self._count(time_s, is_lone)
        return self.spiking

    def _is_above(self, beside: float) -> bool:
        """Whether the last reading stands far above the higher one beside it."""
        return self.last - beside > self.rise + self.share * abs(beside)

    def _count(self, time_s: float, is_lone: bool) -> None:
        if is_lone:
            self.times.append(time_s)
        if len(self.times) == SPIKE_COUNT and self.times[0] >= time_s - SPIKE_SPAN_S:
            self.spiking = True
        elif self.times[-1] < time_s - DAY_S:
            self.spiking = False


class Floors:
    """A channel's lowest reading of each day, where clean air brings it back."""

    def __init__(self, rise: float) -> None:
        """Start before the first day; `rise` is how much a healthy one's may rise."""
        self.rise = rise
        self.floor = math.inf  # of the day that is on; inf before its first reading
        self.lowest = math.inf  # of the days that are over
        self.days = 0  # in a row that stood too high
        self.drifting = False

    def end_day(self) -> None:
        """Compare the day that is over with those before."""
        self.lowest = min(self.lowest, self.floor)
        is_high = self.lowest + self.rise < self.floor < math.inf
        self.days = self.days + 1 if is_high else 0
        self.drifting = self.days >= DRIFT_DAYS
        self.floor = math.inf


class ChannelTest:
    """What is wrong with one channel of a sensor, by its own readings."""

    def __init__(self, index: int, longest_interval_s: float | None) -> None:
        """Expect nothing yet; `index` is the channel's."""
        self.intervals = Intervals(longest_interval_s)
        self.holds = Holds(RESTS_FROM[index])
        self.spikes = Spikes(SPIKE_RISE[index], SPIKE_SHARE[index])
        self.floors = Floors(DRIFT_RISE[index])

    def read(
        self, time_s: float, value: float, since: tuple[float, float, float]
    ) -> tuple[str, ...]:
        """The reasons, of `REASONS`, why a row finds it wrong.

        `value` is NaN where the row is without the channel; `since` as `Intervals.is_silent` does.
        """
        spikes, floors = self.spikes, self.floors
        spiking = False
        if spikes.spiking or spikes.jumped or spikes.last - value > spikes.rise:
            spiking = spikes.read(time_s, value)
        elif value == value:  # as nearly always
            spikes.before, spikes.last = spikes.last, value
        if value != value:
            return ("missing",) if self.intervals.is_silent(time_s, *since) else ()
        held = self.holds.read(time_s, value)
        if value < floors.floor:
            floors.floor = value
        drifting = floors.drifting  # by the days that are over
        if not (held or spiking or drifting):  # as nearly always
            return ()
        return held, "spiking" if spiking else "", "drift" if drifting else ""


class SelfTest:
    """Notices the channels of one sensor that fall silent, come back, or stop telling the truth.

    A channel is expected once it has been read. It has one fault at a time: what else may be
    wrong with it is not said before that one ends.

    Rows are looked at in plain floats: for six channels numpy takes several times as long.
    """

    def __init__(self, longest_interval_s: float | None = None) -> None:
        """Expect nothing yet; `longest_interval_s` is how long a healthy sensor may pause. [s]"""
        self.intervals = Intervals(longest_interval_s)
        self.median = RecentMedian()
        self.channels = [ChannelTest(k, longest_interval_s) for k in range(len(CHANNELS))]
        self.own_s = math.inf  # its last row's own time
        self.any_long = False  # whether a limit is over the least one
        self.faulty: dict[str, str] = {}  # channel -> reason; "all" is the sensor
        self.back_s = -math.inf  # end of the last silence
        self.began_s = math.inf  # first row of all, or after the last outage
        self.excused_s = -math.inf  # end of the last pause in which nobody listened
        self.grace_s = math.inf  # no silence is said for so long after that, or its whole patience
        self.bad_line_s = -math.inf  # last row that could not be read as it stands
        self.first_s, self.days = math.nan, 0  # first row of all, days that are over since

    @property
    def outage_s(self) -> float:
        """A longer pause of the sensor is an outage. [s]"""
        return self.intervals.limit_s

    @property
    def period_s(self) -> float:
        """The sensor's median interval; a minute while none is known. [s]"""
        return self.median.value_s(UNKNOWN_PERIOD_S)

    def is_untold(self, channel: str) -> bool:
        """Whether a channel has a fault with which it tells nothing of the air."""
        reason = self.faulty.get(channel)
        return reason is not None and reason not in STILL_TELLS

    def silent_due(self) -> float:
        """When the sensor will count as silent, inf where it is down already. [s]"""
        if "all" in self.faulty or self.began_s == math.inf:
            return math.inf
        limit_s = self.intervals.limit_s
        return max(self.intervals.last_s + limit_s, self.excused_s + min(limit_s, self.grace_s))

    def excuse(self, now_s: float, pause_s: float = math.inf) -> None:
        """Nobody listened until now: that was no silence, but claims do not bridge it if long.

        After a pause that is short beside its patience, its silence goes on to count. [s]
        """
        if now_s - self.intervals.last_s > self.outage_s:
            self.began_s = now_s
        self.excused_s, self.grace_s = now_s, max(LEAST_GRACE_S, GRACE_PAUSES * pause_s)

    def lapse(self) -> tuple[str, str]:
        """The sensor has become silent: (channel, reason)."""
        self.faulty["all"] = "silent"
        return "all", "silent"

    def lines_due(self) -> float:
        """When its faults of lines are over, if no other is bad: inf for none, or while silent."""
        is_one = "all" not in self.faulty and not self.faulty.keys().isdisjoint(LINE_FAULTS)
        return self.bad_line_s + SILENT_S if is_one else math.inf

    def end_lines(self) -> list[Said]:
        """The faults of lines are over."""
        over = [channel for channel in self.faulty if channel in LINE_FAULTS]
        return [("restored", channel, self.faulty.pop(channel)) for channel in over]

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

    def read(
        self, time_s: float, readings: NDArray[np.float64], *, own_s: float = math.inf
    ) -> list[Said]:
        """What a row changes: ("fault" or "restored", channel, reason), the restored first.

        `own_s` is the row's own time, where it came later, as rows of an upload do. [s]
        """
        values = readings.tolist()
        present = list(map(eq, values, values))  # a number that is not itself is NaN
        if True not in present:
            return []
        out: list[Said] = []
        if "all" in self.faulty:
            self.back_s = time_s
            out.append(("restored", "all", self.faulty.pop("all")))
        if self.began_s == math.inf or time_s - self.intervals.last_s > self.outage_s:
            self.began_s = time_s
        self._note_intervals(time_s, present, own_s if own_s < time_s else time_s)
        self._end_day(time_s)
        wrong: dict[str, tuple[str, ...]] = {}
        since = self.back_s, self.excused_s, self.grace_s
        for channel, value in zip(self.channels, values, strict=True):
            if reasons := channel.read(time_s, value, since):
                wrong[CHANNEL_NAMES[self.channels.index(channel)]] = reasons
        if self.faulty:
            out += self.end_lines() if self.lines_due() <= time_s else []
            for channel in self._mended(present, wrong):
                out.append(("restored", channel, self.faulty.pop(channel)))
        if wrong:
            for reason in REASONS:
                for channel, reasons in wrong.items():
                    if reason in reasons:
                        out += self._fault(channel, reason)
        return out

    def jump(self) -> list[Said]:
        """A fault of each channel whose reading before the last one was a lone jump."""
        return [
            said
            for name, channel in zip(CHANNEL_NAMES, self.channels, strict=True)
            if channel.spikes.jumped
            for said in self._fault(name, "jump")
        ]

    def _note_intervals(self, time_s: float, present: list[bool], own_s: float) -> None:
        """Note when the sensor and its channels came, and how long they may now be silent.

        Between the rows of one upload there is no interval: the next one may well take its time.
        Nor is there between rows of one time, which are one reading however they came, nor over a
        pause in which nobody listened, where it is longer than a usual one.
        """
        interval_s = time_s - self.intervals.last_s
        is_upload = interval_s < UPLOAD_SHARE * (own_s - self.own_s) or own_s == self.own_s
        is_upload |= interval_s > self.outage_s and self._is_missed(self.intervals)
        self.own_s = own_s
        if interval_s > 0.0 and not is_upload:
            self.median.add(interval_s)
        is_due = self.intervals.read(time_s, is_upload=is_upload) or self.any_long
        is_new = not is_upload
        for channel, came in zip(self.channels, present, strict=True):
            if came:  # `Intervals.read`, without a call
                one = channel.intervals
                gap_s = time_s - one.last_s
                if gap_s > 0.0 and is_new and not (gap_s > one.limit_s and self._is_missed(one)):
                    one.recent.append(gap_s)
                one.last_s = time_s
                if not gap_s <= LONG_INTERVAL_S:
                    is_due = True
        if is_due:
            every = [self.intervals, *(channel.intervals for channel in self.channels)]
            for one in every:
                one.renew_limit()
            self.any_long = any(one.limit_s > SILENT_S for one in every)

    def _is_missed(self, one: Intervals) -> bool:
        """Whether nobody listened for a while since its last reading that long beside its limit."""
        return one.last_s <= self.excused_s and self.grace_s >= one.limit_s

    def _end_day(self, time_s: float) -> None:
        """End the day where a row is the first of another; days count from the first row."""
        if math.isnan(self.first_s):
            self.first_s = time_s
        if time_s - self.first_s >= (self.days + 1) * DAY_S:
            self.days = int((time_s - self.first_s) // DAY_S)
            for channel in self.channels:
                channel.floors.end_day()

    def _fault(self, channel: str, reason: str) -> list[Said]:
        """The fault of a channel that has none yet."""
        if channel in self.faulty:
            return []
        self.faulty[channel] = reason
        return [("fault", channel, reason)]

    def _mended(self, present: list[bool], wrong: Mapping[str, tuple[str, ...]]) -> list[str]:
        """Channels whose fault this row ends."""
        is_present = dict(zip(CHANNEL_NAMES, present, strict=True))
        return [
            name
            for name, reason in self.faulty.items()
            if is_present.get(name) and reason not in wrong.get(name, ())
        ]
