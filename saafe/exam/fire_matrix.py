"""Every kind of fire in many rooms: found before its limit, late, early or missed.

And how long after the reference alarms, and before people could no longer stay.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from saafe import metrics
from saafe.detector import Detection
from saafe.exam import outcomes
from saafe.exam.fires import (
    AS_MADE,
    REFERENCES,
    DrawnFires,
    FireResult,
    FireTrial,
    alone,
    try_fire,
)
from saafe.exam.results import Figures
from saafe.exam.session import Case, Session
from saafe.metrics import Bounds
from saafe.sensors import CHANNEL_NAMES, PM25
from saafe.simulator import SENSITIVITIES

# time from the first reading that shows a fire to its limit, by which results are told apart [s]
NOTICE_S = (0.0, 30.0, 60.0, 120.0, 300.0, 900.0, math.inf)
SLOW_KIND_S = 240.0  # a kind whose fires are untenable later leaves time for an alarm
FAST_KIND_GRACE_S = 10.0  # after the best reference alarm, in the other kinds
EGRESS_RESAMPLES = 400


@dataclass(frozen=True)
class FireRow:
    """A kind of fire: how many were drawn and counted, outcomes with exact bounds, and times.

    `not_shown` are those of `n` that no reading shows while an alarm would still be in time.
    `not_later` of `sounded` alarms came no later than the best reference alarm, where one sounded.
    `floor_suppressed`: the fixed rules alone would have alarmed before the detector did.
    `delays`: X_n, after_X_median_s and after_X_p90_s from the first reading that shows the fire
    and from each reference alarm to the alarm. `egress`: PLACE_untenable_n times the air there
    became untenable, PLACE_alarm_too_late times before an alarm; PLACE_egress_median_s and
    PLACE_egress_p10_s are the time between.
    """

    fire: str
    simulated: int
    limit_unreached: int
    n: int
    in_time: int
    late: int
    early: int
    missed: int
    in_time_share: float | None
    in_time_lower: float
    in_time_upper: float
    not_shown: int
    sounded: int
    not_later: int
    floor_suppressed: int
    delays: Figures
    egress: Figures


@dataclass(frozen=True)
class NoticeRow:
    """Fires that could be seen for so long before their limit, and what came of them."""

    notice_from_s: float | None
    notice_below_s: float | None
    n: int
    in_time: int
    late: int
    early: int
    missed: int
    in_time_share: float | None
    in_time_lower: float
    in_time_upper: float


def examine_fires(
    session: Session, drawn: Sequence[DrawnFires]
) -> tuple[list[FireRow], list[FireResult]]:
    """The fire matrix: a row a kind, one for all but the last kind, and every result."""
    rows, results = [], []
    for number, kind in enumerate(drawn):
        found = []
        tried = session.each(lambda trial: try_fire(session, trial, floor=True), kind.trials)
        for result, detection in tried:
            found.append(result)
            keep_case(session, result, detection)
        rows.append(fire_row(kind, found))
        results += found
        session.on_progress(f"fires, {kind.name}", (number + 1) / len(drawn))
    return [*rows, all_row(rows[:-1], results)], results


def all_row(rows: Sequence[FireRow], results: Sequence[FireResult]) -> FireRow:
    """The row of all fires together; those while frying are a question of their own."""
    drawn = DrawnFires(
        "all",
        [],
        simulated=sum(row.simulated for row in rows),
        unreached=sum(row.limit_unreached for row in rows),
    )
    return fire_row(drawn, alone(results))


def by_notice(results: Sequence[FireResult]) -> list[NoticeRow]:
    """Outcomes by how long before its limit a reading first showed the fire.

    Where that is a moment, no detector has time; the last row's fires show after it, or never.
    """
    whole = alone(results)
    rows = []
    for least, most in itertools.pairwise(NOTICE_S):
        here = [r for r in whole if least <= r.trial.limit_s - r.trial.shown_s < most]
        rows.append(NoticeRow(least, metrics.finite_or_none(most), **outcome_counts(here)))
    unseen = [r for r in whole if r.trial.shown_s > r.trial.limit_s]
    return [*rows, NoticeRow(None, 0.0, **outcome_counts(unseen))]


def outcome_counts(results: Sequence[FireResult]) -> dict[str, Any]:
    """How many fires came out how, and the share found in time with its exact bounds."""
    counts = outcomes.counts_of(results)
    bounds = metrics.proportion_bounds(counts["in_time"], len(results))
    return counts | {
        "in_time_share": metrics.finite_or_none(bounds.value),
        "in_time_lower": bounds.lower,
        "in_time_upper": bounds.upper,
    }


def fire_row(drawn: DrawnFires, results: Sequence[FireResult]) -> FireRow:
    """Outcomes with exact bounds, and times against references and untenable air."""
    not_later = not_later_than_best(results)
    return FireRow(
        fire=drawn.name,
        simulated=drawn.simulated,
        limit_unreached=drawn.unreached,
        **outcome_counts(results),
        not_shown=sum(not result.trial.is_shown for result in results),
        sounded=len(not_later),
        not_later=sum(not_later),
        floor_suppressed=sum(map(is_suppressed, results)),
        delays=Figures(delays(results)),
        egress=Figures(egress(results)),
    )


def not_later_than_best(results: Sequence[FireResult], sensitivity: int = AS_MADE) -> list[bool]:
    """Whether each alarm came no later than the best reference alarm, where one sounded.

    By one report at most, since a reading comes only once a period.
    """
    best = [(r, r.trial.best_reference_s(sensitivity)) for r in results]
    return [late_by(r, time) <= r.trial.grace_s for r, time in best if time < math.inf]


def against_references(results: Sequence[FireResult]) -> dict[str, Any]:
    """How often our alarm comes no later than the best reference alarm, and each one's own score.

    At each of `SENSITIVITIES`: `not_later_than_best`, of the fires in which one sounds;
    `in_time_share`, of all fires, by alarm.
    """
    whole = alone(results)
    not_later, in_time = {}, {}
    for k, sensitivity in enumerate(SENSITIVITIES):
        found = not_later_than_best(whole, k)
        bounds = metrics.proportion_bounds(sum(found), len(found))
        not_later[f"at_{sensitivity:g}"] = {"n": len(found)} | bounds._asdict()
        in_time[f"at_{sensitivity:g}"] = {
            name: float(np.mean([
                r.trial.burning_s <= r.trial.references_s[name][k] <= r.trial.limit_s
                for r in whole
            ]))
            for name in REFERENCES
            if whole
        }  # fmt: skip
    return {"not_later_than_best": not_later, "in_time_share": in_time}


def delays(results: Sequence[FireResult]) -> dict[str, Any]:
    """Times to the alarm: from the first reading that shows a fire, from each reference alarm."""
    shown = [late_by(r, r.trial.shown_s) for r in results if r.trial.shown_s < math.inf]
    row: dict[str, Any] = delay_quantiles("after_shown", shown)
    for name in REFERENCES:
        times = delays_after(name, results)
        row |= {f"{name}_n": len(times)} | delay_quantiles(f"after_{name}", times)
    smoke = [r for r in results if r.trial.present[PM25]]
    return row | delay_quantiles("with_pm25_after_photo", delays_after("photo", smoke))


def delays_after(reference: str, results: Sequence[FireResult]) -> list[float]:
    """Times from a reference alarm to the detector's, where that alarm went off. [s]"""
    at = [(r, r.trial.references_s[reference][AS_MADE]) for r in results]
    return [late_by(result, time_s) for result, time_s in at if time_s < math.inf]


def is_suppressed(result: FireResult) -> bool:
    """Whether the fixed rules alone would have alarmed before the detector did."""
    if result.floor_s is None:
        return False
    return result.alarm_s is None or bool(result.alarm_s > result.floor_s)


def late_by(result: FireResult, since_s: float) -> float:
    """Time from a moment to the alarm, infinite where none came. [s]"""
    return math.inf if result.alarm_s is None else result.alarm_s - since_s


def delay_quantiles(name: str, times: Sequence[float]) -> dict[str, Any]:
    """Median and 90 % of times of which some are infinite; None where the quantile is."""
    at = {f"{name}_median_s": 0.5, f"{name}_p90_s": 0.9}
    return {key: quantile_or_none(times, q, method="higher") for key, q in at.items()}


def quantile_or_none(
    times: Sequence[float], q: float, *, method: Literal["lower", "higher"]
) -> float | None:
    """One of the times, since interpolating between a number and infinity would give NaN."""
    if not len(times):
        return None
    return metrics.finite_or_none(float(np.quantile(np.sort(times), q, method=method)))


def egress(results: Sequence[FireResult]) -> dict[str, Any]:
    """Time from the alarm to the first untenable condition, in the fire's room and in others."""
    row: dict[str, Any] = {}
    for place, is_beside in (("fire_room", True), ("other_rooms", False)):
        left = egress_times([r for r in results if r.trial.beside_fire == is_beside])
        row[f"{place}_untenable_n"] = len(left)
        row[f"{place}_alarm_too_late"] = sum(time < 0.0 for time in left)
        at = {f"{place}_egress_median_s": 0.5, f"{place}_egress_p10_s": 0.1}
        row |= {key: quantile_or_none(left, q, method="lower") for key, q in at.items()}
    return row


def egress_times(results: Sequence[FireResult]) -> list[float]:
    """Time from each alarm to untenable air, where the air becomes it; -inf without an alarm."""
    at = [(result, result.trial.first_untenable_s()) for result in results]
    return [-late_by(result, time) for result, time in at if time < math.inf]


def egress_part(results: Sequence[FireResult], seed: int) -> dict[str, Any]:
    """The tenth percentile of the time to get out, where there is time for an alarm.

    Of kinds whose fires are untenable later than 240 s after their ignition, by the kind's median:
    in the fire's room and in other rooms. Of the faster kinds: how much sooner the alarm came
    than 10 s after the best reference alarm. With 95 % limits of a bootstrap over fires.
    """
    slow: list[FireResult] = []
    fast: list[FireResult] = []
    whole = sorted(alone(results), key=lambda r: r.trial.name)
    for _, group in itertools.groupby(whole, key=lambda r: r.trial.name):
        kind = list(group)
        after = [r.trial.first_untenable_s() - r.trial.burning_s for r in kind]
        (slow if np.median(after) > SLOW_KIND_S else fast).extend(kind)
    sounded = [(r, r.trial.best_reference_s()) for r in fast]
    ahead = [FAST_KIND_GRACE_S - late_by(r, time) for r, time in sounded if time < math.inf]
    return {
        "slow_kinds": sorted({r.trial.name for r in slow}),
        "fast_kinds": sorted({r.trial.name for r in fast}),
        "fire_room": tenth([r for r in slow if r.trial.beside_fire], seed),
        "other_rooms": tenth([r for r in slow if not r.trial.beside_fire], seed),
        "fast": tenth_of(ahead, seed),
    }


def tenth(results: Sequence[FireResult], seed: int) -> dict[str, Any]:
    """The tenth percentile of the times to get out."""
    return tenth_of(egress_times(results), seed)


def tenth_of(times: Sequence[float], seed: int) -> dict[str, Any]:
    """The tenth percentile of times, some of them -inf, with limits of a bootstrap. [s]"""
    if not times:
        return {"n": 0} | Bounds(math.nan, math.nan, math.nan)._asdict()
    values = np.sort(np.asarray(times))
    random = np.random.default_rng([seed, len(times)])
    drawn = np.sort(
        values[random.integers(len(values), size=(EGRESS_RESAMPLES, len(values)))], axis=1
    )
    tenths = np.sort(drawn[:, int(0.1 * (len(values) - 1))])
    lower, upper = tenths[int(0.025 * EGRESS_RESAMPLES)], tenths[int(0.975 * EGRESS_RESAMPLES)]
    value = float(values[int(0.1 * (len(values) - 1))])
    return {"n": len(times)} | Bounds(value, float(lower), float(upper))._asdict()


def keep_case(session: Session, result: FireResult, detection: Detection) -> None:
    """Remember a fire that was not found in time."""
    if result.is_in_time:
        return
    trial = result.trial
    kinds = {outcomes.MISSED: "miss", outcomes.LATE: "late", outcomes.EARLY: "early"}
    late = late_by(result, trial.limit_s)
    lacking = [name for name, there in zip(CHANNEL_NAMES, trial.present, strict=True) if not there]
    title = f"{trial.name} ({trial.recording.name}), {kinds[result.outcome]}"
    title += f" {late:.0f} s after its limit" if result.outcome == outcomes.LATE else ""
    title += f"; no {', '.join(lacking)}" if lacking else ""
    title += "" if trial.is_shown else "; no reading shows it by its limit"
    title += f"; {said_by_references(trial)}"
    seen_for = float(trial.recording.times_s[-1]) - min(trial.shown_s, trial.limit_s)
    badness = {outcomes.MISSED: 1e6 + seen_for, outcomes.LATE: late, outcomes.EARLY: -late}
    session.keep(
        Case(
            kinds[result.outcome], title, trial.recording, detection, result.alarm_s,
            trial.limit_s, metrics.finite_or_none(trial.shown_s),
        ),
        badness[result.outcome],
    )  # fmt: skip


def said_by_references(trial: FireTrial) -> str:
    """What the reference alarms did, against the limit."""
    said = []
    for name, times in trial.references_s.items():
        after = times[AS_MADE] - trial.limit_s
        said.append(f"{name} {after:+.0f} s" if after < math.inf else f"{name} silent")
    return f"reference alarms against the limit: {', '.join(said)}"
