"""Nuisance alarms by kind, quiet life, and what both make in a year.

A year is a sum of strata: quiet hours, and each nuisance as often as a dwelling is assumed to see
it. Events are watched one by one, so that rare ones cost as much as frequent ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from saafe import metrics
from saafe.exam import outcomes
from saafe.exam.gate import LIFE_LIMITS
from saafe.exam.references import only_rows
from saafe.exam.session import Case, Session, Stage
from saafe.metrics import Bounds
from saafe.recordings import Recording
from saafe.sensors import NORMAL
from saafe.simulator import Mix, Rooms, Streams, emissions, simulation, sources, to_recordings

NUISANCE_EVENTS, COOKING_EVENTS = 30, 90  # events of each kind
QUIET_STREAMS = 192
NUISANCE_BATCHES = 8
SCORED_BEFORE_S, SCORED_AFTER_S = 60.0, 1800.0  # decisions before an event and after it
YEAR_S = 365.25 * 86_400.0


@dataclass(frozen=True)
class NuisanceTrial:
    """One nuisance, seen from just before it starts to half an hour after it ends."""

    recording: Recording
    start_s: float
    end_s: float


@dataclass(frozen=True)
class NuisanceRow:
    """A kind of nuisance: how often it happens, and its alarms per 100 events with exact bounds."""

    nuisance: str
    kitchen: bool
    per_year: float
    rate_source: str
    events: int
    alarms: int
    events_with_alarm: int
    alarms_per_100: float | None
    lower: float
    upper: float | None


@dataclass(frozen=True)
class QuietRow:
    """Alarms in rooms where people live and nothing else happens."""

    streams: int
    alarms: int
    detector_years: float
    alarms_per_year: float | None
    lower: float | None
    upper: float | None
    limit: float
    status: str


@dataclass(frozen=True)
class Stratum:
    """What a year holds of quiet life or of one nuisance, and the alarms that it brings."""

    stratum: str
    unit: str  # of the exposure: "year" or "event"
    per_year: float  # how many units a year has
    rate_source: str
    alarms: int
    exposure: float
    room: str  # "kitchen", "other" or "both"
    alarms_per_year: float | None  # None without exposure


@dataclass(frozen=True)
class YearRow:
    """False alarms a detector-year in rooms of one sort, summed over strata."""

    alarms_per_year: float | None
    lower: float | None
    upper: float | None
    limit: float
    status: str
    bonferroni_upper: float | None
    effective_exposure_years: float
    events_per_year: float
    alarms: int


def nuisance_trial(streams: Streams, k: int, recording: Recording) -> NuisanceTrial | None:
    """A simulated stream as a trial; None where nothing starts within it."""
    assert recording.labels is not None, "simulated recordings have labels"
    acting = np.flatnonzero(recording.labels[:, 0] != NORMAL)
    if not acting.size or acting[0] == 0:
        return None
    start_s, end_s = (float(recording.times_s[acting[i]]) for i in (0, -1))
    part = only_rows(recording, recording.times_s <= end_s + SCORED_AFTER_S)
    return NuisanceTrial(part, start_s, end_s)


def draw_nuisances(
    session: Session, names: tuple[str, ...], wanted: int, *, part: int, rooms: Rooms | None = None
) -> list[NuisanceTrial]:
    """Simulate nuisances, as often as dwellings see them, until enough start in their streams."""
    mix = Mix(0.0, (), names, (0.0, 1.0, 0.0), balance=1.0, fault_share=0.0)
    trials: list[NuisanceTrial] = []
    for batch in range(NUISANCE_BATCHES):
        streams = session.simulate((Stage.NUISANCES, part + batch), mix=mix, rooms=rooms)
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
    counted = outcomes.count_alarms(detection.events, end_s)
    if counted.times_s:
        alarm = outcomes.first_alarm(detection.events) or {}
        title = f"{name} ({trial.recording.name}), {alarm['cause']}, at {alarm['risk']:g} %"
        case = Case("false alarm", title, trial.recording, detection, counted.times_s[0])
        session.keep(case, counted.hours)
    return counted.times_s


def examine_nuisances(session: Session) -> list[NuisanceRow]:
    """The nuisance matrix: a row a kind, alarms per 100 events with exact Poisson bounds."""
    rows = []
    for number, source in enumerate(sources.NUISANCES):
        wanted = COOKING_EVENTS if source.cooking else NUISANCE_EVENTS
        trials = draw_nuisances(session, (source.name,), wanted, part=100 * number)
        alarms = [try_nuisance(session, source.name, trial) for trial in trials]
        rows.append(nuisance_row(source, alarms))
        session.on_progress(f"nuisances, {source.name}", (number + 1) / len(sources.NUISANCES))
    return rows


def nuisance_row(source: emissions.Source, alarms: Sequence[Sequence[float]]) -> NuisanceRow:
    """The row of a kind, from the times of the alarms of each of its events."""
    count = sum(map(len, alarms))
    bounds = metrics.rate_bounds(count, len(alarms) / 100.0)
    return NuisanceRow(
        nuisance=source.name,
        kitchen=source.kitchen,
        per_year=source.per_year,
        rate_source=source.rate_source,
        events=len(alarms),
        alarms=count,
        events_with_alarm=sum(map(bool, alarms)),
        alarms_per_100=metrics.finite_or_none(bounds.value),
        lower=bounds.lower,
        upper=metrics.finite_or_none(bounds.upper),
    )


def examine_quiet(session: Session) -> QuietRow:
    """False alarms in rooms where people live and nothing else happens."""
    row = watch_quiet(session, QUIET_STREAMS)
    session.on_progress("quiet life")
    return row


def watch_quiet(
    session: Session, streams: int, *, part: int = 0, rooms: Rooms | None = None
) -> QuietRow:
    """Let so many streams of quiet life through the detector."""
    mix = Mix(0.0, nuisance_counts=(1.0, 0.0, 0.0), fault_share=0.0)
    alarms, watched_s = 0, 0.0
    for batch, first in enumerate(range(0, streams, simulation.SIMULATION_CHUNK), start=part):
        count = min(simulation.SIMULATION_CHUNK, streams - first)
        drawn = session.simulate((Stage.QUIET, batch), mix=mix, rooms=rooms, count=count)
        for k, stream in enumerate(to_recordings(drawn)):
            recording = replace(stream, name=f"{batch}-{k}")
            detection = session.detect(recording)
            counted = outcomes.count_alarms(detection.events, float(recording.times_s[-1]))
            alarms += len(counted.times_s)
            watched_s += outcomes.exposure_s(recording)
            if counted.times_s:
                title = f"quiet life ({recording.name})"
                case = Case("false alarm", title, recording, detection, counted.times_s[0])
                session.keep(case, counted.hours)
    bounds = metrics.rate_bounds(alarms, watched_s / YEAR_S)
    return QuietRow(streams, alarms, watched_s / YEAR_S, **claim(bounds, LIFE_LIMITS["quiet"]))


def claim(bounds: Bounds, limit: float) -> dict[str, Any]:
    """A yearly rate with its bounds, its limit, and whether it is shown to keep it."""
    return {
        "alarms_per_year": metrics.finite_or_none(bounds.value),
        "lower": metrics.finite_or_none(bounds.lower),
        "upper": metrics.finite_or_none(bounds.upper),
        "limit": limit,
        "status": metrics.line_status(bounds.value, bounds.upper, limit),
    }


def year(quiet: QuietRow, nuisances: Sequence[NuisanceRow]) -> dict[str, Any]:
    """False alarms a detector-year in kitchens and elsewhere, summed over strata.

    A kitchen's year holds quiet life and every nuisance of kitchens at its stated yearly rate;
    another room's the others. Each stratum says where its rate is from (`sources`).
    """
    years = quiet.detector_years
    life = yearly(quiet.alarms, years, 1.0)
    strata = [Stratum("quiet", "year", 1.0, "by definition", quiet.alarms, years, "both", life)]
    for row in nuisances:
        room, events = "kitchen" if row.kitchen else "other", float(row.events)
        rate = yearly(row.alarms, events, row.per_year)
        strata.append(
            Stratum(
                row.nuisance, "event", row.per_year, row.rate_source, row.alarms, events, room, rate
            )
        )
    rooms = {
        name: year_row([one for one in strata if one.room in ("both", name)], LIFE_LIMITS[name])
        for name in ("kitchen", "other")
    }
    return {"quiet": quiet, **rooms, "measured_rates": [stove_rate()], "strata": strata}


def yearly(alarms: int, exposure: float, per_year: float) -> float | None:
    """Alarms a year at so many units of exposure a year; None without exposure."""
    return alarms / exposure * per_year if exposure else None


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


def year_row(strata: Sequence[Stratum], limit: float) -> YearRow:
    """The weighted sum of some strata: Fay and Feuer's bounds, and Bonferroni's as the check."""
    counts = [one.alarms for one in strata]
    exposures = [one.exposure for one in strata]
    weights = [one.per_year for one in strata]
    bounds = metrics.weighted_rate_bounds(counts, exposures, weights)
    proven = metrics.bonferroni_rate_bounds(counts, exposures, weights)
    return YearRow(
        **claim(bounds, limit),
        bonferroni_upper=metrics.finite_or_none(proven.upper),
        effective_exposure_years=metrics.effective_exposure(exposures, weights),
        events_per_year=sum(weights[1:]),
        alarms=sum(counts),
    )


def per_100_cookings(nuisances: Sequence[NuisanceRow]) -> tuple[Bounds, int]:
    """Nuisance alarms per 100 cooking sessions with Fay and Feuer's bounds, and sessions watched.

    Each kind counts as often as it is stated to happen.
    """
    rows = [row for row in nuisances if sources.SOURCES[row.nuisance].cooking]
    whole = sum(row.per_year for row in rows)
    bounds = metrics.weighted_rate_bounds(
        [row.alarms for row in rows],
        [row.events for row in rows],
        [100.0 * row.per_year / whole for row in rows],
    )
    return bounds, sum(row.events for row in rows)
