"""When faults can be known, from a whole series at once: the reference for `self_test`."""

import numpy as np
from numpy.typing import NDArray

from saafe.detector import self_test
from saafe.recordings.recording import Recording
from saafe.windows import DAY_S


def knowable_time(recording: Recording, channel: int, at_s: float) -> float | None:
    """When a fault can first be known by `self_test.KNOWABLE`, from the whole series at once.

    Written apart from `self_test`, which sees a row at a time, so that each checks the other.

    Args:
        recording: of one sensor, with the fault.
        channel: of the fault.
        at_s: when it begins; what could be known before is not meant. [s]

    Returns:
        The first such time [s], None where nothing can be known by the end.
    """
    values = recording.readings[:, 0, channel].astype(np.float64)
    is_there = np.isfinite(values)
    times, values = recording.times_s[is_there], values[is_there]
    rows = recording.times_s[np.isfinite(recording.readings[:, 0]).any(axis=1)]
    known = [
        silent_time(times, rows),
        *held_times(times, values, channel),
        spiking_time(times, values, channel),
        drift_time(times, values, channel),
    ]
    return min((time for time in known if time is not None and time >= at_s), default=None)


def silent_time(times_s: NDArray, rows_s: NDArray) -> float | None:
    """At the sensor's first row more than 180 s after the channel's last reading."""
    after = rows_s[rows_s > float(times_s[-1]) + self_test.SILENT_S]
    return float(after[0]) if after.size else None


def held_times(times_s: NDArray, values: NDArray, channel: int) -> list[float]:
    """When each run of equal readings becomes unusually long: stuck, or saturated."""
    gap = np.diff(times_s) > self_test.SILENT_S
    starts = np.concatenate([[0], np.flatnonzero(gap | (np.diff(values) != 0.0)) + 1])
    is_whole = np.concatenate([~gap[starts[1:] - 1], [False]])  # ended by another reading
    until = np.concatenate([times_s[starts[1:]], [times_s[-1]]])
    spans = until - times_s[starts]
    runs, longest = 0, 0.0
    lowest, highest = (op.accumulate(values) for op in (np.minimum, np.maximum))
    out = []
    for start, end_s, span, whole in zip(starts, until, spans, is_whole, strict=True):
        value, usual = values[start], self_test.STUCK_HOLDS * longest
        if runs >= self_test.USUAL_RUNS:
            is_top = value == highest[start]
            rests = value == lowest[start] and value >= self_test.RESTS_FROM[channel]
            least = self_test.SATURATED_S if is_top else self_test.STUCK_S
            at_s = float(times_s[start]) + max(least, usual)
            if at_s < end_s and (is_top or not rests):
                out.append(at_s)
        if whole:
            runs, longest = runs + 1, max(longest, float(span))
    return out


def spiking_time(times_s: NDArray, values: NDArray, channel: int) -> float | None:
    """When the tenth lone spike within an hour is over."""
    rise = self_test.SPIKE_RISE[channel]
    if np.isinf(rise) or len(values) < 3:
        return None
    beside = np.maximum(values[:-2], values[2:])
    share = self_test.SPIKE_SHARE[channel]
    at = times_s[2:][values[1:-1] - beside > rise + share * np.abs(beside)]
    if len(at) < self_test.SPIKE_COUNT:
        return None
    tenth, first = at[self_test.SPIKE_COUNT - 1 :], at[: len(at) - self_test.SPIKE_COUNT + 1]
    near = np.flatnonzero(tenth - first <= self_test.SPIKE_SPAN_S)
    return float(tenth[near[0]]) if near.size else None


def drift_time(times_s: NDArray, values: NDArray, channel: int) -> float | None:
    """When the third day in a row is over whose lowest reading stands too high."""
    rise = self_test.DRIFT_RISE[channel]
    if np.isinf(rise):
        return None
    day = (times_s // DAY_S).astype(np.int64)
    floors = [float(values[day == k].min()) for k in range(day[-1]) if (day == k).any()]
    if len(floors) < int(day[-1]):
        return None  # a day without readings: nothing is claimed
    high = np.array(floors) > np.minimum.accumulate(floors) + rise
    for k in range(self_test.DRIFT_DAYS, len(high) + 1):
        if high[k - self_test.DRIFT_DAYS : k].all():
            return k * DAY_S
    return None
