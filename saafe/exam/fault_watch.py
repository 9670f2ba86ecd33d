"""How often a fault is said of a sound sensor, and how long one stays unsaid.

The watch for faults runs on days of readings without the model, which has no say in it.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from saafe import metrics
from saafe.detector import self_test
from saafe.detector.alarms import AlarmSettings
from saafe.detector.detector import Space
from saafe.exam import injection, outcomes
from saafe.exam.session import LASTING, Session
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNEL_NAMES
from saafe.simulator.scenarios import Mix
from saafe.simulator.streams import to_recordings

DAYS, DETECTORS = 5, 32  # watched for false faults
FAULTY = 2  # detectors for each fault and channel
MONTH_S = 30.4375 * 86_400.0
TIME_TOLERANCE_S = 1e-6


def examine_watch(session: Session) -> dict:
    """False faults a detector-month, and how long a fault stays unsaid once it can be known.

    Returns:
        `false_faults` with its bounds and rows by reason, and `silence` with a row for each
        fault and channel.
    """
    mix = Mix(0.0, nuisance_counts=(0.0, 0.5, 0.5), balance=1.0, fault_share=0.0)
    streams = session.simulate((LASTING, 0), mix=mix, count=DETECTORS, hours=24.0 * DAYS + 1.0)
    sound = to_recordings(streams)
    del streams
    false = sum_false_faults(sound)
    session.on_progress("false faults", 0.4)
    rows = []
    for number, fault in enumerate(injection.INJECTED_FAULTS, start=1):
        rows += [
            silence_row(session, sound, fault, channel) for channel in range(self_test.CHANNELS)
        ]
        session.on_progress(
            f"silence, {fault}", 0.4 + 0.6 * number / len(injection.INJECTED_FAULTS)
        )
    return {"false_faults": false, "silence": rows, "knowable": self_test.KNOWABLE}


def sum_false_faults(recordings: Sequence[Recording]) -> dict:
    """False faults a detector-month in sound recordings of one sensor, with Poisson bounds."""
    said: dict[str, int] = {}
    for recording in recordings:
        for reason in false_faults(recording):
            said[reason] = said.get(reason, 0) + 1
    months = sum(outcomes.exposure_s(recording) for recording in recordings) / MONTH_S
    bounds = metrics.rate_bounds(sum(said.values()), months)
    return {
        "detector_months": months,
        "per_month": metrics.finite_or_none(bounds.value),
        "lower": bounds.lower,
        "upper": metrics.finite_or_none(bounds.upper),
        "by_reason": said,
    }


def watched(recording: Recording) -> Iterator[tuple[float, dict]]:
    """Fault events of one sensor, each with the time of the row at which it was said. [s]"""
    space = Space(AlarmSettings())  # nothing is decided, so any settings do
    for time_s, row in zip(recording.times_s, recording.readings[:, 0], strict=True):
        if np.isnan(row).all():
            events = space.settle(float(time_s))
        else:
            events = space.read(float(time_s), recording.sensors[0], row)
        for event in events:
            yield float(time_s), event


def false_faults(recording: Recording) -> list[str]:
    """Reasons of the faults said of a sound sensor, less silences that there were."""
    out = []
    for _, event in watched(recording):
        if event["event"] != "fault":
            continue
        silent = event["reason"] in ("silent", "missing")
        if not (silent and is_silent(recording, event)):
            out.append(event["reason"])
    return out


def is_silent(recording: Recording, event: dict) -> bool:
    """Whether a channel, or all of them, said nothing in the three minutes before an event."""
    rows = recording.times_s > event["time_s"] - self_test.SILENT_S + TIME_TOLERANCE_S
    rows &= recording.times_s < event["time_s"]
    part = recording.readings[rows, 0]
    if event["channel"] != "all":
        part = part[:, [CHANNEL_NAMES.index(event["channel"])]]
    return not np.isfinite(part).any()


def silence_row(session: Session, sound: Sequence[Recording], fault: str, channel: int) -> dict:
    """How long one fault of one channel stays unsaid, on a few detectors that have it."""
    random = np.random.default_rng([session.seed, LASTING, channel, *fault.encode()])
    whole = [r for r in sound if np.isfinite(r.readings[:, 0, channel]).mean() > 0.1]
    knowable, said, silences = 0, 0, []
    for recording in whole[:FAULTY]:
        at_s = self_test.DAY_S * random.uniform(0.9, 1.0)
        faulty = injection.with_fault(recording, fault, channel, at_s=at_s, random=random)
        known_s = knowable_time(faulty, channel, at_s)
        if known_s is None:
            continue
        knowable += 1
        told_s = first_told(faulty, channel, at_s)
        said += told_s is not None
        end_s = float(faulty.times_s[-1])
        silences.append((end_s if told_s is None else told_s) - known_s)
    return {
        "fault": fault,
        "channel": CHANNEL_NAMES[channel],
        "detectors": min(FAULTY, len(whole)),
        "knowable": knowable,
        "said": said,
        "longest_silence_s": max(silences, default=None),
    }


def first_told(recording: Recording, channel: int, at_s: float) -> float | None:
    """When a fault of a channel is first said after a time; None where it never is. [s]"""
    for time_s, event in watched(recording):
        is_it = event["event"] == "fault" and event["channel"] == CHANNEL_NAMES[channel]
        if is_it and time_s >= at_s:
            return time_s
    return None


def knowable_time(recording: Recording, channel: int, at_s: float) -> float | None:
    """When a fault can first be known by `channels.KNOWABLE`, from the whole series at once.

    Written apart from `channels`, which sees a row at a time, so that each checks the other.

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
    """180 s after the channel's last reading, if the sensor still speaks then."""
    at_s = float(times_s[-1]) + self_test.SILENT_S
    return at_s if rows_s[-1] > at_s else None


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
            rests = value == lowest[start] and value >= self_test.REST_FROM.get(channel, math.inf)
            least = self_test.SATURATED_S if is_top else self_test.STUCK_S
            at_s = float(times_s[start]) + max(least, usual)
            if at_s < end_s and (is_top or not rests):
                out.append(at_s)
        if whole:
            runs, longest = runs + 1, max(longest, float(span))
    return out


def spiking_time(times_s: NDArray, values: NDArray, channel: int) -> float | None:
    """When the tenth lone spike within an hour is over."""
    rise = self_test.SPIKE_RISE.get(channel)
    if rise is None or len(values) < 3:
        return None
    beside = np.maximum(values[:-2], values[2:])
    share = self_test.SPIKE_SHARE.get(channel, 0.0)
    at = times_s[2:][values[1:-1] - beside > rise + share * np.abs(beside)]
    if len(at) < self_test.SPIKE_COUNT:
        return None
    tenth, first = at[self_test.SPIKE_COUNT - 1 :], at[: len(at) - self_test.SPIKE_COUNT + 1]
    near = np.flatnonzero(tenth - first <= self_test.SPIKE_SPAN_S)
    return float(tenth[near[0]]) if near.size else None


def drift_time(times_s: NDArray, values: NDArray, channel: int) -> float | None:
    """When the third day in a row is over whose lowest reading stands too high."""
    rise = self_test.DRIFT_RISE.get(channel)
    if rise is None:
        return None
    day = (times_s // self_test.DAY_S).astype(np.int64)
    floors = [float(values[day == k].min()) for k in range(day[-1]) if (day == k).any()]
    if len(floors) < int(day[-1]):
        return None  # a day without readings: nothing is claimed
    high = np.array(floors) > np.minimum.accumulate(floors) + rise
    for k in range(self_test.DRIFT_DAYS, len(high) + 1):
        if high[k - self_test.DRIFT_DAYS : k].all():
            return k * self_test.DAY_S
    return None


def longest_silence(rows: Sequence[dict]) -> tuple[float, int]:
    """The longest time that a knowable fault stayed unsaid [s], and how many were knowable."""
    silences = [row["longest_silence_s"] for row in rows if row["knowable"]]
    return max(silences, default=math.nan), sum(row["knowable"] for row in rows)
