"""What people and programs see of spaces: plain values for JSON."""

import math
from collections.abc import Iterable

import numpy as np

from saafe.sensors import CHANNELS
from saafe.serving.fleet import WatchedSpace, iso_time
from saafe.windows import BIN_S, SPAN

URGENCIES = ("alarm", "warning", "fault", "calm")  # the most urgent first
POINTS = 370  # of a curve of two hours, 20 s apart
SMALL_POINTS = 74
ORDER_STEP = 10.0  # percent: by less of risk no card changes its place


def urgency_of(space: WatchedSpace) -> str:
    """The most urgent of `URGENCIES` that is true of a space."""
    watched = space.detector.space
    if watched.incident is not None:
        return "alarm"
    if any(one.alarm.warned for one in watched.sensors.values()):
        return "warning"
    return "fault" if any(one.test.faulty for one in watched.sensors.values()) else "calm"


def risk_of(space: WatchedSpace) -> float:
    """The highest risk of its sensors now, percent."""
    return max((one.risk for one in space.detector.space.sensors.values()), default=0.0)


def is_hushed(space: WatchedSpace, clock_s: float) -> bool:
    """Whether a person has seen to its alarm, and the model raises no other yet."""
    return space.now_s(clock_s) < space.detector.space.hushed_until_s


def faults_of(space: WatchedSpace) -> list[dict]:
    """Faults that stand."""
    return [
        {"sensor": name, "channel": channel, "reason": reason}
        for name, one in space.detector.space.sensors.items()
        for channel, reason in one.test.faulty.items()
    ]


def acknowledged_until(space: WatchedSpace, clock_s: float) -> str | None:
    """Until when the model raises no alarm because a person has seen to one; None: it may."""
    return iso_time(space.hushed_until_s) if is_hushed(space, clock_s) else None


def summary(space: WatchedSpace, clock_s: float) -> dict:
    """One space in a list, at a moment of our clock."""
    alarm = space.alarm_event or {}
    is_heard = math.isfinite(space.heard_s)
    return {
        "space": space.name,
        "state": urgency_of(space),
        "risk": round(risk_of(space), 1),
        "alarm": space.detector.space.incident,
        "alarm_time_s": alarm.get("time_s"),
        "alarm_cause": alarm.get("cause"),
        "acknowledged_until": acknowledged_until(space, clock_s),
        "hushed_until_s": round(space.hushed_until_s, 1) if is_hushed(space, clock_s) else None,
        "faults": faults_of(space),
        "heard_s": round(space.heard_s, 1) if is_heard else None,
        "heard_ago_s": round(max(clock_s - space.heard_s, 0.0), 1) if is_heard else None,
        "readings": readings_of(space, clock_s),
        "risk_curve": risk_curve(space, SMALL_POINTS),
    }


def risk_curve(space: WatchedSpace, points: int) -> list[float | None]:
    """The highest risk of each of so many parts of the last two hours, percent."""
    step = SPAN // points
    ends = space.risk_bin - step * np.arange(points)[::-1]
    return rounded(at_bins(space.risk[:, None], space.risk_bin, ends, step)[:, 0], 1)


def readings_of(space: WatchedSpace, clock_s: float) -> list[dict]:
    """The last readings of each sensor, those of a channel that it has given, and their age."""
    out = []
    for name, stream in space.detector.streams.items():
        latest = np.where(stream.counts > 0, stream.sums / np.maximum(stream.counts, 1), np.nan)
        latest = np.where(np.isnan(latest), stream.last, latest)
        ago_s = max(clock_s - space.sensors_heard_s.get(name, space.heard_s), 0.0)
        out += [
            {
                "sensor": name,
                "channel": channel.name,
                "value": round(float(value), channel.decimals),
                "unit": channel.unit,
                "ago_s": round(ago_s, 1),
            }
            for channel, value in zip(CHANNELS, latest, strict=True)
            if math.isfinite(value)
        ]
    return out


def ordered(spaces: Iterable[WatchedSpace], clock_s: float) -> list[WatchedSpace]:
    """Spaces, the most urgent first, then by tens of percent of risk, then by name.

    One whose alarm was acknowledged stands with those that warn.
    """

    def place(one: WatchedSpace) -> tuple[int, int, str]:
        urgency = URGENCIES.index(urgency_of(one))
        if is_hushed(one, clock_s):
            urgency = min(urgency, URGENCIES.index("warning"))
        return urgency, -round(risk_of(one) / ORDER_STEP), one.name

    return sorted(spaces, key=place)


def history(space: WatchedSpace, clock_s: float) -> dict:
    """The last two hours: the time of each point, and of each channel what it read then.

    Returns:
        `times_s`, seconds since 1970; `risk`, percent; `channels`, each with `sensor`, `channel`,
        `unit` and `values`. All lists are as long; None where nothing was known.
    """
    step = SPAN // POINTS
    newest = int(space.now_s(clock_s) // BIN_S)
    if not math.isfinite(space.origin_s):
        return {"times_s": [], "risk": [], "channels": []}
    ends = newest - step * np.arange(POINTS)[::-1]
    channels = []
    for name, stream in space.detector.streams.items():
        values = at_bins(stream.history, stream.bin - 1, ends, step)
        channels += [
            {
                "sensor": name,
                "channel": channel.name,
                "unit": channel.unit,
                "values": rounded(values[:, k], channel.decimals),
            }
            for k, channel in enumerate(CHANNELS)
            if np.isfinite(values[:, k]).any()
        ]
    risk = at_bins(space.risk[:, None], space.risk_bin, ends, step)[:, 0]
    times = np.round(space.origin_s + BIN_S * ends, 1)
    return {"times_s": times.tolist(), "risk": rounded(risk, 1), "channels": channels}


def at_bins(values: np.ndarray, newest: int, ends: np.ndarray, step: int) -> np.ndarray:
    """The highest value of the `step` bins that end with each. (bin, channel) to (end, channel)"""
    out = np.full((len(ends), values.shape[1]), np.nan)
    for back in range(step):
        index = len(values) - 1 - newest + ends - back
        is_known = (index >= 0) & (index < len(values))
        found = np.full_like(out, np.nan)
        found[is_known] = values[index[is_known]]
        out = np.fmax(out, found)
    return out


def rounded(values: np.ndarray, decimals: int) -> list[float | None]:
    """Values for JSON, None where there is none."""
    return [round(float(v), decimals) if math.isfinite(v) else None for v in values]
