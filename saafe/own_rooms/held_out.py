"""What a detector does on days that taught and set nothing: false alarms, and fires put on them."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from saafe import metrics
from saafe.detector import Model, detect
from saafe.exam import fires, outcomes
from saafe.formats import clock
from saafe.own_rooms.rooms import Room
from saafe.recordings import Recording, cut_recording, merge_runs
from saafe.simulator import (
    REFERENCE_ALARMS,
    Background,
    Mix,
    simulate_events,
    simulate_over,
    simulation,
    sources,
    to_recordings,
)
from saafe.training import Purpose, seeded_generator

FIRES_A_KIND = 8  # simulated in all, over every fold
FIRE_HOURS = 3.0
BEFORE_FIRE_S = 1800.0  # decisions before the fire, in which an alarm is early
AFTER_LIMIT_S = 60.0
YEAR_DAYS = 365.25
SMOKE_AND_HEAT = ("photo", "ionisation", "heat")
TUNED, GENERAL_MODEL = "tuned", "general"
TRADE, NO_DIFFERENCE = "trade", "no difference"
CHANCE = 0.05  # Chosen: what chance alone gives more often shows no difference
TOLD_EVERY_S = 10.0
One = TypeVar("One")
SHOWN_PER_YEAR = (36.0, 12.0, 3.0, 1.0)  # what more days without an alarm could show


@dataclass(frozen=True)
class FireOnDay:
    """A simulated fire on a held-out day, whose limit is reached at the sensor."""

    name: str  # of its source
    group: str  # number of the fold
    recording: Recording  # up to a minute after its limit
    burning_s: float  # when it begins to burn
    visible_s: float | None  # first reading that shows it
    limit_s: float
    references_s: dict[str, float]  # when reference alarms in the same air sound, inf for never


def told(parts: Sequence[One], what: str, say: Callable[[str], None]) -> Iterator[One]:
    """The parts one by one; every ten seconds how many are done, and how long the others take."""
    began = said = time.perf_counter()
    for done, one in enumerate(parts):
        now = time.perf_counter()
        if done and now - said >= TOLD_EVERY_S:
            left = clock((len(parts) - done) * (now - began) / done)
            say(f"{what}: {done} of {len(parts)}, about {left} left")
            said = now
        yield one


def score_rooms(model: Model, rooms: Iterable[Room]) -> list[outcomes.HomeRow]:
    """Count what a detector does on days without a fire: every alarm is false."""
    return [
        outcomes.score_home(
            detect(model, room.recording).events,
            room.recording,
            merge_runs(room.sessions),
            days=room.days,
        )
        for room in rooms
    ]


def sum_rows(rows: Sequence[outcomes.HomeRow]) -> dict[str, Any]:
    """Their sums and rates with exact bounds, and what a year may hold at most (one-sided)."""
    total = outcomes.sum_homes(rows)
    years = total["days"] / YEAR_DAYS
    total["shown_under_per_year"] = metrics.rate_bounds(total["alarms"], years, sides=1).upper
    return total


def fires_on_days(days: Sequence[Background], count: int, seed: int, fold: int) -> list[FireOnDay]:
    """Simulate fires over days; those count whose limit the air at the sensor reaches.

    Every kind is drawn alike. The seeds are apart from all that trains or sets a threshold.
    """
    generator = seeded_generator(seed, Purpose.HELD_DAYS, fold, torch.device("cpu"))
    mix = Mix(fire_share=1.0, nuisance_counts=(0.6, 0.4, 0.0), balance=1.0)
    plan = simulation.StreamSettings(FIRE_HOURS, 1, mix, alarms=True)
    names = [alarm.name for alarm in REFERENCE_ALARMS]
    streams = simulate_over(days, simulate_events(count, plan, generator), generator)
    found = []
    for k, recording in enumerate(to_recordings(streams)):
        limit_s = fires.sensed_limit(streams, k, recording.times_s)
        if limit_s is None or limit_s > recording.times_s[-1]:
            continue
        burns = fires.is_burning(streams, k)
        alarms_s = dict(zip(names, streams.alarms_s[k, 0].tolist(), strict=True))
        fire = sources.FIRES[int(streams.fire[k])].name
        found.append(
            FireOnDay(
                name=fire,
                group=str(fold),
                recording=cut_recording(recording, 0.0, limit_s + AFTER_LIMIT_S),
                burning_s=float(recording.times_s[burns.argmax()]),
                visible_s=outcomes.first_visible(recording),
                limit_s=limit_s,
                references_s=alarms_s,
            )
        )
    return found


def score_fires(model: Model, trials: Iterable[FireOnDay]) -> list[str]:
    """What came of each fire: in time, late, early or missed."""
    results = []
    for trial in trials:
        since_s = max(trial.burning_s - BEFORE_FIRE_S, 0.0)
        alarm = outcomes.first_alarm(detect(model, trial.recording, since_s=since_s).events) or {}
        results.append(
            outcomes.fire_outcome(
                alarm.get("time_s"),
                signal_s=trial.burning_s,
                limit_s=trial.limit_s,
                grace_s=outcomes.grace(trial.recording),
                early_s=0.0,
                by_rule=alarm.get("cause", "model") != "model",
            )
        )
    return results


def sum_fires_by_kind(trials: Sequence[FireOnDay], results: dict[str, list[str]]) -> dict[str, Any]:
    """Fires in time by kind and in all, of each detector and of the reference alarms.

    `results` are of `score_fires`, by the detector's name.
    """
    in_time = {name: [one == outcomes.IN_TIME for one in found] for name, found in results.items()}
    early = {name: [one == outcomes.EARLY for one in found] for name, found in results.items()}
    for alarm in SMOKE_AND_HEAT:
        in_time[alarm] = [
            trial.burning_s <= trial.references_s[alarm] <= trial.limit_s for trial in trials
        ]
    names = [source.name for source in sources.FIRES]
    kinds = []
    for name in names:
        of = [k for k, trial in enumerate(trials) if trial.name == name]
        if of:
            found = {who: sum(times[k] for k in of) for who, times in in_time.items()}
            kinds.append({"fire": name, "n": len(of), **found})
    unseen = sum(t.visible_s is None or t.visible_s > t.limit_s for t in trials)
    return {
        "n": len(trials),
        "not_shown_by_their_limit": unseen,
        "in_time": {
            who: {"fires": sum(times)} | metrics.proportion_bounds(sum(times), len(times))._asdict()
            for who, times in in_time.items()
        },
        "early": {who: sum(times) for who, times in early.items()},
        "kinds": kinds,
    }


def compare_models(
    rows: Mapping[str, Sequence[outcomes.HomeRow]], results: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Whether the tuned model differs from the general one beyond chance, on the same days.

    Args:
        rows: of `score_rooms`, by the model's name.
        results: of `score_fires`, by the model's name, fires in the same order.

    Returns:
        `false_alarms` and `fires_that_one_alone_finds` of each model, each with `chance` of so
        uneven a split, and the `verdict`: "tuned", "general", "trade" or "no difference".
    """
    in_time = [[one == outcomes.IN_TIME for one in results[who]] for who in (TUNED, GENERAL_MODEL)]
    pairs = list(zip(*in_time, strict=True))
    alarms = [sum(row.alarms for row in rows[who]) for who in (TUNED, GENERAL_MODEL)]
    alone = [pairs.count((True, False)), pairs.count((False, True))]
    better = {who for found, worse in ((alarms, True), (alone, False))
              if (who := better_shown(*found, fewer_is_better=worse))}  # fmt: skip
    verdict = TRADE if len(better) > 1 else next(iter(better), NO_DIFFERENCE)
    return {
        "false_alarms": paired(alarms),
        "fires_that_one_alone_finds": paired(alone),
        "verdict": verdict,
    }


def paired(counts: Sequence[int]) -> dict[str, float]:
    """A count of each model, and how often chance alone splits them so."""
    tuned, general = counts
    chance = metrics.even_split_chance(tuned, general)
    return {TUNED: tuned, GENERAL_MODEL: general, "chance": chance}


def better_shown(tuned: int, general: int, *, fewer_is_better: bool) -> str:
    """The model that is better beyond chance; "" where no difference is shown."""
    if metrics.even_split_chance(tuned, general) >= CHANCE:
        return ""
    return TUNED if (tuned < general) == fewer_is_better else GENERAL_MODEL


def more_days(days: float) -> list[dict[str, float]]:
    """How many days without an alarm would show what, with 95 % confidence, and how many more."""
    rows = []
    for rate in SHOWN_PER_YEAR:
        needed = metrics.rate_bounds(0, 1.0, sides=1).upper / rate * YEAR_DAYS
        rows.append({
            "shown_under_per_year": rate,
            "days_without_an_alarm": math.ceil(needed),
            "more_days": max(math.ceil(needed - days), 0),
        })  # fmt: skip
    return rows
