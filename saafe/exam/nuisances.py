"""Nuisance alarms by kind, quiet life, and what both make in a year.

A year is a sum of strata: quiet hours, and each nuisance as often as a dwelling is assumed to see
it. Events are watched one by one, so that rare ones cost as much as frequent ones.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from saafe import metrics
from saafe.exam import outcomes
from saafe.exam.classes import Scenario, scenario_of
from saafe.exam.fires import AS_MADE, REFERENCES
from saafe.exam.gate import LIFE_LIMITS
from saafe.exam.references import only_rows
from saafe.exam.results import Figures
from saafe.exam.session import Case, Session, Stage
from saafe.metrics import Bounds
from saafe.recordings import Recording, exposure_s
from saafe.sensors import NUISANCE
from saafe.simulator import (
    SENSITIVITIES,
    Mix,
    Rooms,
    Streams,
    emissions,
    simulation,
    sources,
    to_recordings,
)

QUIET_STREAMS = 192
NUISANCE_BATCHES = 8
SCORED_BEFORE_S, SCORED_AFTER_S = 60.0, 1800.0  # decisions before an event and after it
YEAR_S = 365.25 * 86_400.0
RATIO_RESAMPLES = 1000


@dataclass(frozen=True)
class NuisanceTrial:
    """One nuisance, seen from just before it starts to half an hour after it ends."""

    recording: Recording
    start_s: float
    end_s: float
    # whether each reference alarm sounds in that time, at each of `SENSITIVITIES`
    sounds: dict[str, tuple[bool, ...]]


@dataclass(frozen=True)
class NuisanceResult:
    """What a detector did with a nuisance."""

    trial: NuisanceTrial
    alarms_s: tuple[float, ...]  # by the counting rule
    hours: float  # in alarm. [h]
    margin: float  # how far thresholds could rise until it does not alarm. [log-odds]
    by_rule: bool = False  # whether the fixed rules alone would have alarmed


@dataclass(frozen=True)
class NuisanceRow:
    """A kind of nuisance: how often it happens, and its alarms per 100 events with exact bounds.

    `references` says in how many of its events each reference alarm sounds.
    """

    nuisance: str
    kitchen: bool
    per_year: float
    rate_source: str
    events: int
    alarms: int
    events_with_alarm: int
    hours_in_alarm: float
    alarms_per_100: float | None
    lower: float
    upper: float | None
    references: Figures


@dataclass(frozen=True)
class QuietRow:
    """Alarms in rooms where people live and nothing else happens."""

    streams: int
    alarms: int
    hours_in_alarm: float
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
    hours_per_year: float | None  # in alarm


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
    hours_in_alarm_per_year: float


def nuisance_trial(streams: Streams, k: int, recording: Recording) -> NuisanceTrial | None:
    """A simulated stream as a trial; None where nothing starts within it.

    From when it acts to the last reading that shows it, or its end.
    """
    acts = streams.acting[k].numpy()
    happens = np.flatnonzero(acts | streams.nuisance_shown[k, :, 0].any(dim=-1).numpy())
    if not happens.size or happens[0] == 0:
        return None
    start_s, end_s = (float(recording.times_s[happens[i]]) for i in (0, -1))
    until_s = end_s + SCORED_AFTER_S
    at_s = streams.alarms_at_s[k, 0].T.tolist()  # (alarm, sensitivity)
    sounds = {
        name: tuple(start_s <= time <= until_s for time in times)
        for name, times in zip(REFERENCES, at_s, strict=True)
    }
    part = only_rows(recording, recording.times_s <= until_s)
    return NuisanceTrial(part, start_s, end_s, sounds)


@dataclass
class DrawnNuisances:
    """Nuisances of a kind, and moments of them for single windows."""

    trials: list[NuisanceTrial]
    scenarios: list[Scenario]


def draw_nuisances(
    session: Session, names: tuple[str, ...], wanted: int, *, part: int, rooms: Rooms | None = None,
    batch: int | None = None, moments: int = 0,
) -> DrawnNuisances:  # fmt: skip
    """Simulate nuisances, as often as dwellings see them, until enough start in their streams.

    And until enough give a moment at which they act and show; at most 8 batches.
    """
    mix = Mix(0.0, (), names, (0.0, 1.0, 0.0), balance=1.0, fault_share=0.0)
    drawn = DrawnNuisances([], [])
    for number in range(NUISANCE_BATCHES):
        streams = session.simulate(
            (Stage.NUISANCES, part + number), mix=mix, rooms=rooms, count=batch
        )
        for k, recording in enumerate(to_recordings(streams)):
            shown = sum(bool(len(one.moments_s)) for one in drawn.scenarios)
            if len(drawn.trials) == wanted and shown >= moments:
                return drawn
            named = replace(recording, name=f"{part + number}-{k}")
            trial = nuisance_trial(streams, k, named)
            if trial is not None and len(drawn.trials) < wanted:
                drawn.trials.append(trial)
            if shown < moments:
                acts = streams.acting[k].numpy()
                shows = streams.nuisance_shown[k, :, 0].any(dim=-1).numpy()
                drawn.scenarios += scenario_of(names[0], NUISANCE, named, acts & shows, acts)
    return drawn


def try_nuisance(
    session: Session, name: str, trial: NuisanceTrial, *, floor: bool = False
) -> NuisanceResult:
    """Let one event through the detector; with `floor`, the fixed rules alone too."""
    since_s, end_s = trial.start_s - SCORED_BEFORE_S, float(trial.recording.times_s[-1])
    detection = session.detect(trial.recording, since_s=since_s)
    counted = outcomes.count_alarms(detection.events, end_s)
    if counted.times_s:
        alarm = outcomes.first_alarm(detection.events) or {}
        silent = [one for one, sounds in trial.sounds.items() if not sounds[AS_MADE]]
        title = f"{name} ({trial.recording.name}), {alarm['cause']}, at {alarm['risk']:g} %"
        title += f"; silent: {', '.join(silent)}" if silent else "; every reference alarm sounds"
        case = Case("false alarm", title, trial.recording, detection, counted.times_s[0])
        session.keep(case, counted.hours)
    margin = outcomes.highest_margin(detection, session.settings, since_s, end_s)
    by_rule = False
    if floor:
        by_rule = session.rule_alarm_s(trial.recording, since_s=since_s) is not None
    return NuisanceResult(
        trial, counted.times_s, counted.hours, math.inf if by_rule else margin, by_rule
    )


def examine_nuisances(
    session: Session, drawn: Mapping[str, DrawnNuisances]
) -> tuple[list[NuisanceRow], dict[str, list[NuisanceResult]]]:
    """The nuisance matrix: a row a kind, alarms per 100 events with exact bounds; every result."""
    rows, results = [], {}
    for number, (name, kind) in enumerate(drawn.items(), start=1):
        tried = partial(try_nuisance, session, name, floor=True)
        results[name] = list(session.each(tried, kind.trials))
        rows.append(nuisance_row(sources.SOURCES[name], results[name]))
        session.on_progress(f"nuisances, {name}", number / len(drawn))
    return rows, results


def nuisance_row(source: emissions.Source, results: Sequence[NuisanceResult]) -> NuisanceRow:
    """The row of a kind."""
    count = sum(len(result.alarms_s) for result in results)
    bounds = metrics.rate_bounds(count, len(results) / 100.0)
    return NuisanceRow(
        nuisance=source.name,
        kitchen=source.kitchen,
        per_year=source.per_year,
        rate_source=source.rate_source,
        events=len(results),
        alarms=count,
        events_with_alarm=sum(bool(result.alarms_s) for result in results),
        hours_in_alarm=sum(result.hours for result in results),
        alarms_per_100=metrics.finite_or_none(bounds.value),
        lower=bounds.lower,
        upper=metrics.finite_or_none(bounds.upper),
        references=Figures(
            {f"{name}_sounds": sum(r.trial.sounds[name][AS_MADE] for r in results)
             for name in REFERENCES}
        ),
    )  # fmt: skip


def nuisance_ratio(results: Mapping[str, Sequence[NuisanceResult]], seed: int) -> dict[str, Any]:
    """Our alarms over the photoelectric alarm's, on the same events as often as dwellings see them.

    At each of `SENSITIVITIES`; an alarm that stands counts once, as the other does. With 95 %
    limits of a bootstrap over the events of each kind.
    """
    random = np.random.default_rng([seed, len(results)])
    ours, theirs = (
        np.zeros(RATIO_RESAMPLES + 1),
        np.zeros((len(SENSITIVITIES), RATIO_RESAMPLES + 1)),
    )
    for name, mine in results.items():
        if not mine:
            continue
        per_year, n = sources.SOURCES[name].per_year, len(mine)
        times = np.vstack(
            [np.ones(n), random.multinomial(n, np.full(n, 1 / n), size=RATIO_RESAMPLES)]
        )
        ours += per_year * times @ np.array([bool(r.alarms_s) for r in mine]) / n
        sounds = np.array([r.trial.sounds["photo"] for r in mine], dtype=float)
        theirs += per_year * (times @ sounds).T / n
    out = {}
    for sensitivity, those in zip(SENSITIVITIES, theirs, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = ours / those
        known = ratio[1:][np.isfinite(ratio[1:])]
        low, high = np.quantile(known, [0.025, 0.975]) if known.size else (math.nan, math.nan)
        bounds = metrics.Bounds(float(ratio[0]), float(low), float(high))
        out[f"at_{sensitivity:g}"] = {"n": sum(map(len, results.values()))} | bounds._asdict()
    return out


def examine_quiet(session: Session) -> tuple[QuietRow, list[tuple[Recording, float]]]:
    """False alarms where people live and nothing else happens; every stream with its margin."""
    row, seen = watch_quiet(session, QUIET_STREAMS)
    session.on_progress("quiet life")
    return row, seen


def watch_quiet(
    session: Session, streams: int, *, part: int = 0, rooms: Rooms | None = None
) -> tuple[QuietRow, list[tuple[Recording, float]]]:
    """Let so many streams of quiet life through the detector."""
    mix = Mix(0.0, nuisance_counts=(1.0, 0.0, 0.0), fault_share=0.0)
    alarms, hours, watched_s = 0, 0.0, 0.0
    seen: list[tuple[Recording, float]] = []
    for batch, first in enumerate(range(0, streams, simulation.SIMULATION_CHUNK), start=part):
        count = min(simulation.SIMULATION_CHUNK, streams - first)
        drawn = session.simulate((Stage.QUIET, batch), mix=mix, rooms=rooms, count=count)
        recordings = [
            replace(stream, name=f"{batch}-{k}") for k, stream in enumerate(to_recordings(drawn))
        ]
        for recording, detection in zip(
            recordings, session.each(session.detect, recordings), strict=True
        ):
            counted = outcomes.count_alarms(detection.events, float(recording.times_s[-1]))
            alarms += len(counted.times_s)
            hours += counted.hours
            watched_s += exposure_s(recording)
            end_s = float(recording.times_s[-1])
            highest = outcomes.highest_margin(detection, session.settings, 0.0, end_s)
            seen.append((recording, highest))
            if counted.times_s:
                title = f"quiet life ({recording.name})"
                case = Case("false alarm", title, recording, detection, counted.times_s[0])
                session.keep(case, counted.hours)
    bounds = metrics.rate_bounds(alarms, watched_s / YEAR_S, sides=1)
    row = QuietRow(
        streams, alarms, hours, watched_s / YEAR_S, **claim(bounds, LIFE_LIMITS["quiet"])
    )
    return row, seen


def claim(bounds: Bounds, limit: float) -> dict[str, Any]:
    """A yearly rate with its one-sided bounds, its limit, and whether it is shown to keep it."""
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
    strata = [*quiet_strata(quiet), *nuisance_strata(nuisances)]
    rooms = {
        name: year_row([one for one in strata if one.room in ("both", name)], LIFE_LIMITS[name])
        for name in ("kitchen", "other")
    }
    return {"quiet": quiet, **rooms, "measured_rates": [stove_rate()], "strata": strata}


def quiet_strata(quiet: QuietRow) -> list[Stratum]:
    """The stratum of quiet life, of any room's year."""
    years = quiet.detector_years
    life, hours = yearly(quiet.alarms, years, 1.0), yearly(quiet.hours_in_alarm, years, 1.0)
    return [
        Stratum("quiet", "year", 1.0, "by definition", quiet.alarms, years, "both", life, hours)
    ]


def nuisance_strata(nuisances: Iterable[NuisanceRow]) -> list[Stratum]:
    """A stratum a kind of nuisance, of the year of its room."""
    return [
        Stratum(
            row.nuisance, "event", row.per_year, row.rate_source, row.alarms, float(row.events),
            "kitchen" if row.kitchen else "other",
            yearly(row.alarms, row.events, row.per_year),
            yearly(row.hours_in_alarm, row.events, row.per_year),
        )
        for row in nuisances
    ]  # fmt: skip


def year_bounds(strata: Sequence[Stratum], *, sides: int) -> Bounds:
    """False alarms of a year that holds some strata, with Fay and Feuer's bounds.

    This is "false alarms a year" of the exam and of `saafe devices compare`; docs/scoring.md says
    what it means.

    Args:
        strata: of quiet life and of nuisances.
        sides: 1 for the upper bound that a gate takes, 2 for both of a table.
    """
    counts, exposures = [one.alarms for one in strata], [one.exposure for one in strata]
    weights = [one.per_year for one in strata]
    return metrics.weighted_rate_bounds(counts, exposures, weights, sides=sides)


def yearly(count: float, exposure: float, per_year: float) -> float | None:
    """Alarms or hours a year at so many units of exposure a year; None without exposure."""
    return count / exposure * per_year if exposure else None


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
    bounds = year_bounds(strata, sides=1)
    proven = metrics.bonferroni_rate_bounds(counts, exposures, weights, sides=1)
    return YearRow(
        **claim(bounds, limit),
        bonferroni_upper=metrics.finite_or_none(proven.upper),
        effective_exposure_years=metrics.effective_exposure(exposures, weights),
        events_per_year=sum(weights[1:]),
        alarms=sum(counts),
        hours_in_alarm_per_year=sum(one.hours_per_year or 0.0 for one in strata),
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
