"""What came of a detection: alarms counted, fires found, homes disturbed, margins.

The scoring rules, used alike for recorded, composed and simulated streams. Pure functions of a
recording and of the events that a detector printed for it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saafe.detector import AlarmSettings, Decisions, Detection, Event
from saafe.exam.references import co_dose_intervals
from saafe.metrics import rate_bounds
from saafe.recordings import (
    AFTER_COOKING_S,
    Interval,
    Recording,
    exposure_s,
    longest_hold_s,
    times_with_readings,
)
from saafe.sensors import FIRE
from saafe.windows import DAY_S

RECOUNT_S = 1800.0  # an alarm that stays is counted again this often
EARLY_S = 10.0  # an alarm this long before anything can be seen in a recording is false
LONGEST_GRACE_S = 60.0

IN_TIME, LATE, EARLY, MISSED = "in time", "late", "early", "missed"
OUTCOMES = (IN_TIME, LATE, EARLY, MISSED)


@dataclass(frozen=True)
class AlarmCount:
    """Alarms of one space, by the counting rule."""

    times_s: tuple[float, ...]  # when each counted alarm was counted
    hours: float  # time in alarm, any sensor's. [h]
    days: float  # the time that was watched. [d]


# figures of homes that add up
SUMMED = ("days", "alarms", "nuisance_alarms", "sessions", "sessions_with_alarm", "co_alarms")


@dataclass(frozen=True)
class HomeRow:
    """What a detector did in a home where nothing burnt: every alarm there is false.

    But for alarms while carbon monoxide stands at a dose that asks for one: `co_alarms` counts
    them, `alarms` does not. Nuisance alarms are between a cooking session's start and 30 minutes
    after its end.
    """

    home: str
    days: float
    alarms: int
    alarm_times_s: list[float]
    nuisance_alarms: int
    sessions: int
    sessions_with_alarm: int
    hours_in_alarm: float
    co_alarms: int = 0


def alarm_intervals(events: Iterable[Event], duration_s: float) -> list[Interval]:
    """Times in which at least one sensor is in alarm, merged; an open alarm lasts to the end."""
    opened: dict[Any, float] = {}
    intervals: list[Interval] = []
    for event in events:
        sensor, time = event.get("sensor"), float(event["time_s"])
        if event["event"] == "alarm":
            opened.setdefault(sensor, time)
        elif event["event"] == "clear" and sensor in opened:
            intervals.append((opened.pop(sensor), time))
    intervals += [(start, max(start, duration_s)) for start in opened.values()]
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def count_alarms(
    events: Iterable[Event], duration_s: float, *, watched_s: float | None = None
) -> AlarmCount:
    """Count a space's alarms: at the start, then every 30 minutes while not cleared.

    None counts within 30 minutes of the last counted one; an alarm that begins sooner counts
    once those have passed, if it still stands. An alarm not cleared lasts until `duration_s`;
    `watched_s` is the exposure where gaps make it shorter. [s]
    """
    intervals = alarm_intervals(events, duration_s)
    counted: list[float] = []
    free_at = -math.inf
    for start, end in intervals:
        time = max(start, free_at)
        while time < end or time == start:  # an alarm at the very end counts, though it lasts 0 s
            counted.append(time)
            time = free_at = time + RECOUNT_S
    hours = sum(end - start for start, end in intervals) / 3600.0
    days = (duration_s if watched_s is None else watched_s) / DAY_S  # which may be none
    return AlarmCount(tuple(counted), hours, days)


def first_alarm(events: Iterable[Event]) -> Event | None:
    """Return the first alarm event, or None."""
    return next((e for e in events if e["event"] == "alarm"), None)


def fire_outcome(
    alarm_s: float | None,
    *,
    signal_s: float | None,
    limit_s: float | None,
    recorded_s: float | None = None,
    grace_s: float = 0.0,
    early_s: float = EARLY_S,
    by_rule: bool = False,
) -> str:
    """Say whether a fire's first alarm came in time, late, early (which is false) or never. [s]

    Early is more than `early_s` before anything can be seen: none of a simulated fire, whose
    ignition is known to the second.

    Where there is no first signal, only a recorded commercial alarm excuses ours; without a limit
    no reference was reached, and an alarm is in time. It may be later than the limit by the grace,
    one report of the device and at most `LONGEST_GRACE_S`. An alarm by a fixed rule, whose
    condition holds, is never early.
    """
    if alarm_s is None:
        return MISSED
    visible = [time for time in (signal_s, recorded_s) if time is not None]
    if not by_rule and alarm_s < min(visible, default=math.inf) - early_s:
        return EARLY
    return IN_TIME if limit_s is None or alarm_s <= limit_s + grace_s else LATE


def grace(recording: Recording) -> float:
    """How much later than its limit a fire's alarm may be: one report, at most a minute. [s]

    A report of one sensor, of the quickest where there are several.
    """
    reads = np.asarray(np.isfinite(recording.readings).any(axis=2))  # (time, sensor)
    own = [recording.times_s[one] for one in reads.T]
    usual_s = [float(np.median(np.diff(times))) for times in own if len(times) > 1]
    return min([*usual_s, LONGEST_GRACE_S]) if usual_s else 0.0


def counts_of(results: Sequence[Any]) -> dict[str, int]:
    """How many results there are, `n`, and how many came out how."""
    counts = Counter(result.outcome for result in results)
    return {"n": len(results)} | {name.replace(" ", "_"): counts[name] for name in OUTCOMES}


def first_visible(recording: Recording) -> float | None:
    """When a fire is first labelled as visible, at any sensor; None for never. [s]"""
    if recording.labels is None:
        return None
    seen = np.flatnonzero((recording.labels == FIRE).any(axis=1))
    return float(recording.times_s[seen[0]]) if seen.size else None


def watched_sessions(recording: Recording, sessions: Sequence[Interval]) -> list[Interval]:
    """Those in which an alarm could have come: a reading was known then or half an hour after."""
    spoken = times_with_readings(recording)
    hold_s = longest_hold_s(spoken)
    return [
        (start, end)
        for start, end in sessions
        if ((spoken >= start - hold_s) & (spoken <= end + AFTER_COOKING_S)).any()
    ]


def score_home(
    events: Sequence[Event],
    recording: Recording,
    sessions: Sequence[Interval],
    *,
    days: float | None = None,
) -> HomeRow:
    """Count what a detector did in a home where nothing burnt; the stove was on in its sessions.

    `days` are those that were watched, where that is known better than the recording shows. [d]
    A session in a silence was not watched, and is not counted.
    """
    sessions = watched_sessions(recording, sessions)
    watched_s = exposure_s(recording) if days is None else days * DAY_S
    count = count_alarms(events, float(recording.times_s[-1]), watched_s=watched_s)
    doses = co_dose_intervals(recording)
    is_right = [any(start <= time <= end for start, end in doses) for time in count.times_s]
    times_s = [t for t, right in zip(count.times_s, is_right, strict=True) if not right]
    is_nuisance = in_sessions(np.asarray(times_s), sessions)
    disturbed = sum(
        any(start <= time <= end + AFTER_COOKING_S for time in times_s) for start, end in sessions
    )
    return HomeRow(
        home=recording.name,
        days=count.days,
        alarms=len(times_s),
        alarm_times_s=times_s,
        nuisance_alarms=int(is_nuisance.sum()),
        sessions=len(sessions),
        sessions_with_alarm=disturbed,
        hours_in_alarm=count.hours,
        co_alarms=sum(is_right),
    )


def in_sessions(times_s: NDArray, sessions: Sequence[Interval]) -> NDArray[np.bool_]:
    """Say of each time whether a session is on or ended less than 30 minutes before."""
    is_in = np.zeros(len(times_s), dtype=bool)
    for start, end in sessions:
        is_in |= (times_s >= start) & (times_s <= end + AFTER_COOKING_S)
    return is_in


def sum_homes(homes: Sequence[HomeRow]) -> dict[str, Any]:
    """Add homes up and bound their rates exactly (Poisson, 95 %, two-sided)."""
    total: dict[str, Any] = {key: sum(getattr(home, key) for home in homes) for key in SUMMED}
    days = total["days"]
    hours = sum(home.hours_in_alarm for home in homes)
    total["false_alarms_per_day"] = rate_bounds(total["alarms"], days)._asdict()
    total["false_alarms_per_year"] = rate_bounds(total["alarms"], days / 365.25)._asdict()
    total["nuisance_per_100_sessions"] = rate_bounds(
        total["nuisance_alarms"], total["sessions"] / 100.0
    )._asdict()
    total["hours_in_alarm_per_day"] = hours / days if days else math.nan
    return total


def persisted_score(
    detection: Detection | Decisions, persistence_s: float
) -> tuple[NDArray, NDArray]:
    """Largest log-odds that stood for the persistence time, of any one sensor: times and scores.

    An alarm rule with that persistence and a threshold on the risk fires where this passes the
    threshold's log-odds. Sorted (decision,); -inf before the persistence time has passed.
    """
    all_times, all_scores = [np.empty(0)], [np.empty(0)]
    order = np.argsort(detection.times_s, kind="stable")
    for sensor in np.unique(detection.sensors):
        mine = order[detection.sensors[order] == sensor]
        times = np.asarray(detection.times_s, dtype=np.float64)[mine]
        share = np.clip(np.asarray(detection.risk[mine], np.float64) / 100.0, 1e-15, 1 - 1e-15)
        odds = np.log(share / (1.0 - share))  # as `detector.log_odds`
        lowest = _rolling_minimum(times, odds, persistence_s)
        all_times.append(times)
        all_scores.append(lowest)
    times, scores = np.concatenate(all_times), np.concatenate(all_scores)
    order = np.argsort(times, kind="stable")
    return times[order], scores[order]


def _rolling_minimum(times: NDArray, values: NDArray, span_s: float) -> NDArray[np.float64]:
    """Lowest value of [t - span, t] for each t; -inf where less than the span was seen."""
    lowest = np.where(np.isfinite(values), values, -np.inf)
    source = lowest.copy()
    for lag in range(1, len(times)):
        is_within = times[lag:] - times[:-lag] <= span_s
        if not is_within.any():
            break
        earlier = np.where(is_within, source[:-lag], np.inf)
        lowest[lag:] = np.minimum(lowest[lag:], earlier)
    if len(times):
        lowest[times - times[0] < span_s] = -np.inf
    return lowest


def highest_between(times: NDArray, scores: NDArray, start_s: float, end_s: float) -> float:
    """Highest score of a time, or -inf where no decision was taken in it."""
    inside = scores[(times >= start_s) & (times <= end_s)]
    return float(inside.max()) if inside.size else -math.inf


def hourly_scores(times: NDArray, scores: NDArray) -> tuple[NDArray, NDArray]:
    """Highest score of each hour that has one: the hours' starts [s] and their scores."""
    hours, place = np.unique(np.floor(times / 3600.0), return_inverse=True)
    highest = np.full(len(hours), -np.inf)
    np.maximum.at(highest, place, scores)
    is_there = np.isfinite(highest)
    return hours[is_there] * 3600.0, highest[is_there]


def margin(superposed: ArrayLike, homes: ArrayLike, quiet: ArrayLike) -> float:
    """Distance of the weakest fire from the loudest home hour, in deviations of quiet home hours.

    No scale of the log-odds changes it; NaN where one of them is missing.
    """
    fire, home, still = (np.asarray(scores, np.float64) for scores in (superposed, homes, quiet))
    spread = float(still.std()) if still.size > 1 else math.nan
    if not fire.size or not home.size or not spread > 0.0:
        return math.nan
    return float(fire.min() - home.max()) / spread


def highest_margin(
    detection: Detection | Decisions, settings: AlarmSettings, start_s: float, end_s: float
) -> float:
    """How far all thresholds could rise until the risk no longer alarmed in a span. [log-odds]

    Negative where they would have to fall; -inf where no decision was taken. [s] It is taken from
    the risk alone. That a lone channel waits for its next reading is left out, so the point at
    the detector's own thresholds lies a little beside what it really does.
    """
    tiers = (
        (settings.fast, settings.fast_s), (settings.slow, settings.slow_s),
        (settings.steady, settings.steady_s),
    )  # fmt: skip
    best = -math.inf
    for threshold, persistence_s in tiers:
        times, scores = persisted_score(detection, persistence_s)
        best = max(best, highest_between(times, scores, start_s, end_s) - threshold)
    return best
