"""Nuisance alarms by kind, quiet life, and what both make in a year.

A year is a sum of strata: quiet hours, and each nuisance as often as a dwelling is assumed to see
it. Events are watched one by one, so that rare ones cost as much as frequent ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from saafe import metrics
from saafe.exam import outcomes
from saafe.exam.gate import LIFE_LIMITS
from saafe.exam.session import NUISANCES, QUIET, Case, Session
from saafe.metrics import Bounds
from saafe.recordings.recording import Recording
from saafe.sensors import NORMAL
from saafe.simulator import simulation, sources
from saafe.simulator.buildings import Rooms
from saafe.simulator.scenarios import Mix
from saafe.simulator.streams import Streams, to_recordings

NUISANCE_EVENTS, COOKING_EVENTS = 36, 90  # events of each kind
QUIET_STREAMS = 192
NUISANCE_BATCHES = 8
SCORED_BEFORE_S, SCORED_AFTER_S = 60.0, 1800.0  # decisions before an event and after it
YEAR_S = 365.25 * 86_400.0
NO_COOKING = ("kettle",)  # happens in kitchens and is no cooking session


@dataclass(frozen=True)
class NuisanceTrial:
    """One nuisance, seen from just before it starts to half an hour after it ends.

    Attributes:
        recording: one sensor's, cut where the watching ends.
        start_s, end_s: when the source begins and stops to act. [s]
    """

    recording: Recording
    start_s: float
    end_s: float


def nuisance_trial(streams: Streams, k: int, recording: Recording) -> NuisanceTrial | None:
    """A simulated stream as a trial; None where nothing starts within it."""
    assert recording.labels is not None, "simulated recordings have labels"
    acting = np.flatnonzero(recording.labels[:, 0] != NORMAL)
    if not acting.size or acting[0] == 0:
        return None
    start_s, end_s = (float(recording.times_s[acting[i]]) for i in (0, -1))
    rows = recording.times_s <= end_s + SCORED_AFTER_S
    labels = recording.labels[rows]
    part = replace(
        recording, times_s=recording.times_s[rows], readings=recording.readings[rows],
        labels=labels, sources=None,
    )  # fmt: skip
    return NuisanceTrial(part, start_s, end_s)


def draw_nuisances(
    session: Session, names: tuple[str, ...], wanted: int, *, part: int, rooms: Rooms | None = None
) -> list[NuisanceTrial]:
    """Simulate nuisances, as often as dwellings see them, until enough start in their streams."""
    mix = Mix(0.0, (), names, (0.0, 1.0, 0.0), balance=1.0, fault_share=0.0)
    trials: list[NuisanceTrial] = []
    for batch in range(NUISANCE_BATCHES):
        streams = session.simulate((NUISANCES, part + batch), mix=mix, rooms=rooms)
        for k, recording in enumerate(to_recordings(streams)):
            named = replace(recording, name=f"{part + batch}-{k}")
            trial = nuisance_trial(streams, k, named)
            if trial is not None:
                trials.append(trial)
            if len(trials) == wanted:
                return trials
    return trials


def try_nuisance(session: Session, name: str, trial: NuisanceTrial) -> tuple[float, ...]:
    """Times of the alarms that one event caused, by the counting rule. [s]"""
    detection = session.detect(trial.recording, since_s=trial.start_s - SCORED_BEFORE_S)
    end_s = float(trial.recording.times_s[-1])
    times = outcomes.count_alarms(detection.events, end_s).times_s
    if times:
        alarm = outcomes.first_alarm(detection.events) or {}
        title = f"{name} ({trial.recording.name}), {alarm['cause']}, at {alarm['risk']:g} %"
        case = Case("false alarm", title, trial.recording, detection, times[0])
        session.keep(case, alarm_hours(detection.events, end_s))
    return times


def alarm_hours(events: Sequence[outcomes.Event], end_s: float) -> float:
    """Hours in alarm: how bad a false alarm is."""
    return outcomes.count_alarms(events, end_s).hours


def examine_nuisances(session: Session) -> list[dict]:
    """The nuisance matrix: a row a kind, alarms per 100 events with exact Poisson bounds."""
    rows = []
    for number, source in enumerate(sources.NUISANCES):
        wanted = COOKING_EVENTS if is_cooking(source.name) else NUISANCE_EVENTS
        trials = draw_nuisances(session, (source.name,), wanted, part=100 * number)
        alarms = [try_nuisance(session, source.name, trial) for trial in trials]
        count = sum(len(times) for times in alarms)
        bounds = metrics.rate_bounds(count, len(trials) / 100.0)
        rows.append(
            {
                "nuisance": source.name,
                "kitchen": source.kitchen,
                "per_year": source.per_year,
                "rate_source": source.rate_source,
                "events": len(trials),
                "alarms": count,
                "events_with_alarm": sum(bool(times) for times in alarms),
                "alarms_per_100": metrics.finite_or_none(bounds.value),
                "lower": bounds.lower,
                "upper": metrics.finite_or_none(bounds.upper),
            }
        )
        session.on_progress(f"nuisances, {source.name}", (number + 1) / len(sources.NUISANCES))
    return rows


def is_cooking(name: str) -> bool:
    """Whether a nuisance is a cooking session."""
    return sources.SOURCES[name].kitchen and name not in NO_COOKING


def examine_quiet(session: Session) -> dict:
    """False alarms in rooms where people live and nothing else happens."""
    mix = Mix(0.0, nuisance_counts=(1.0, 0.0, 0.0), fault_share=0.0)
    alarms, watched_s = 0, 0.0
    for batch, first in enumerate(range(0, QUIET_STREAMS, simulation.SIMULATION_CHUNK)):
        count = min(simulation.SIMULATION_CHUNK, QUIET_STREAMS - first)
        streams = session.simulate((QUIET, batch), mix=mix, count=count)
        for k, stream in enumerate(to_recordings(streams)):
            recording = replace(stream, name=f"{batch}-{k}")
            detection = session.detect(recording)
            end_s = float(recording.times_s[-1])
            times = outcomes.count_alarms(detection.events, end_s).times_s
            alarms += len(times)
            watched_s += outcomes.exposure_s(recording)
            if times:
                title = f"quiet life ({recording.name})"
                hours = alarm_hours(detection.events, end_s)
                session.keep(Case("false alarm", title, recording, detection, times[0]), hours)
    session.on_progress("quiet life")
    bounds = metrics.rate_bounds(alarms, watched_s / YEAR_S)
    return {
        "streams": QUIET_STREAMS,
        "alarms": alarms,
        "detector_years": watched_s / YEAR_S,
        **claim(bounds, LIFE_LIMITS["quiet"]),
    }


def claim(bounds: Bounds, limit: float) -> dict:
    """A yearly rate with its bounds, its limit, and whether it is shown to keep it."""
    return {
        "alarms_per_year": metrics.finite_or_none(bounds.value),
        "lower": metrics.finite_or_none(bounds.lower),
        "upper": metrics.finite_or_none(bounds.upper),
        "limit": limit,
        "status": metrics.line_status(bounds.value, bounds.upper, limit),
    }


def year(quiet: dict, nuisances: Sequence[dict]) -> dict:
    """False alarms a detector-year in kitchens and elsewhere, summed over strata.

    A kitchen's year holds quiet life and every nuisance of kitchens at its stated yearly rate;
    another room's the others. Each stratum says where its rate is from (`sources`).

    Args:
        quiet: from `examine_quiet`.
        nuisances: rows of `examine_nuisances`.
    """
    strata = [
        {"stratum": "quiet", "unit": "year", "per_year": 1.0, "rate_source": "by definition",
         "alarms": quiet["alarms"], "exposure": quiet["detector_years"]}
    ]  # fmt: skip
    strata += [
        {"stratum": row["nuisance"], "unit": "event", "per_year": row["per_year"],
         "rate_source": row["rate_source"], "alarms": row["alarms"],
         "exposure": float(row["events"])}
        for row in nuisances
    ]  # fmt: skip
    is_kitchen = [row["kitchen"] for row in nuisances]
    rooms = {
        "kitchen": [True, *is_kitchen],
        "other": [True, *(not kitchen for kitchen in is_kitchen)],
    }
    out: dict = {"quiet": quiet}
    for name, held in rooms.items():
        mine = [stratum for stratum, is_in in zip(strata, held, strict=True) if is_in]
        out[name] = summed(mine, LIFE_LIMITS[name])
    for stratum, kitchen in zip(strata, [None, *is_kitchen], strict=True):
        stratum["room"] = "both" if kitchen is None else "kitchen" if kitchen else "other"
        rate = stratum["alarms"] / stratum["exposure"] if stratum["exposure"] else None
        stratum["alarms_per_year"] = None if rate is None else rate * stratum["per_year"]
    return out | {"measured_rates": [stove_rate()], "strata": strata}


def stove_rate() -> dict:
    """The one yearly rate that was measured, beside what the exam assumes of its kinds."""
    kinds = [source for source in sources.NUISANCES if source.rate_source == sources.STOVE_RATE]
    measured = metrics.rate_bounds(sources.STOVE_SESSIONS, sources.STOVE_DAYS * 86_400.0 / YEAR_S)
    return {
        "events": "uses of the stove",
        "kinds": [source.name for source in kinds],
        "assumed_per_year": sum(source.per_year for source in kinds),
        "measured_per_year": measured.value,
        "measured_lower": measured.lower,
        "measured_upper": measured.upper,
        "source": sources.STOVE_SOURCE,
    }


def summed(strata: Sequence[dict], limit: float) -> dict:
    """The weighted sum of some strata: Fay and Feuer's bounds, and Bonferroni's as the check."""
    counts, exposures, weights = (
        [stratum[key] for stratum in strata] for key in ("alarms", "exposure", "per_year")
    )
    bounds = metrics.weighted_rate_bounds(counts, exposures, weights)
    proven = metrics.bonferroni_rate_bounds(counts, exposures, weights)
    row = claim(bounds, limit)
    return {
        **row,
        "bonferroni_upper": metrics.finite_or_none(proven.upper),
        "effective_exposure_years": metrics.effective_exposure(exposures, weights),
        "events_per_year": sum(weights[1:]),
        "alarms": sum(counts),
    }


def per_100_cookings(nuisances: Sequence[dict]) -> tuple[Bounds, int]:
    """Nuisance alarms per 100 cooking sessions, each kind as often as it is stated to happen.

    Returns:
        The rate with Fay and Feuer's bounds, and how many sessions were watched.
    """
    rows = [row for row in nuisances if is_cooking(row["nuisance"])]
    whole = sum(row["per_year"] for row in rows)
    bounds = metrics.weighted_rate_bounds(
        [row["alarms"] for row in rows],
        [row["events"] for row in rows],
        [100.0 * row["per_year"] / whole for row in rows],
    )
    return bounds, sum(row["events"] for row in rows)
