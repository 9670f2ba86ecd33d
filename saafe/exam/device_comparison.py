"""What devices can find: the same fires and nuisances through each, by a detector for it.

Under one seed all devices hang at the same places in the same air, so that their figures differ by
the device and not by luck with the fires. The reference alarms beside them are in that air too.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from saafe import metrics
from saafe.detector import Exported, Model
from saafe.exam.fire_matrix import delays_after, not_later_than_best, outcome_counts
from saafe.exam.fires import AS_MADE, REFERENCES, FireResult, draw_fires, fire_kinds, try_fire
from saafe.exam.judging import Judged
from saafe.exam.nuisances import (
    NuisanceResult,
    NuisanceRow,
    QuietRow,
    draw_nuisances,
    nuisance_row,
    nuisance_strata,
    per_100_cookings,
    quiet_strata,
    try_nuisance,
    watch_quiet,
    year_bounds,
)  # fmt: skip
from saafe.exam.session import OnProgress, Session
from saafe.formats import clock
from saafe.metrics import Bounds
from saafe.recipes import Recipe
from saafe.simulator import Mix, Rooms, devices, emissions, sources
from saafe.training import Run, exported_for, fit_detector, run_for, score_with, to_train_for

PART, PARTS_EACH = 8000, 8  # seeds apart from those of the other levels
WAYS_TO_BEGIN = ("smouldering", "flaming", "cooking oil")  # how fires begin
PLACES_OF_A_YEAR = ("kitchen", "elsewhere")
NEVER_SEEN = Bounds(math.nan, 0.0, math.inf)


@dataclass(frozen=True)
class ComparisonPlan:
    """How devices are compared.

    Attributes:
        model: a run, an exported model, or anything that `detect` takes: the one detector for all
            devices. Of a run or an exported model each device has thresholds of its own.
        recipe: what a detector is trained by for each device, in place of the model.
        seed: of the fires, nuisances and rooms.
        rooms: where the sensors hang, see `simulator.Rooms`.
        fires: of each kind.
        nuisances: of each kind; 0 counts no false alarms.
        quiet: streams of three hours in which nothing happens, where false alarms are counted.
    """

    model: Model | None = None
    recipe: Recipe | None = None
    seed: int = 0
    rooms: Rooms = field(default_factory=Rooms)
    fires: int = 8
    nuisances: int = 20
    quiet: int = 64


@dataclass
class Tried:
    """A device under comparison: its session, and what came of each kind so far."""

    session: Session
    fires: dict[str, list[FireResult]] = field(default_factory=dict)
    nuisances: dict[str, list[NuisanceResult]] = field(default_factory=dict)
    quiet: QuietRow | None = None

    def nuisance_rows(self) -> list[NuisanceRow]:
        """A row a kind of nuisance."""
        return [nuisance_row(sources.SOURCES[name], each) for name, each in self.nuisances.items()]


def compare_devices(
    names: Sequence[str], plan: ComparisonPlan, *, on_progress: OnProgress = lambda _: None
) -> dict[str, Any]:
    """Let the same fires and nuisances through each device, and say what was found.

    Args:
        names: of the catalogue, or paths of device files.
        plan: how.
        on_progress: takes a line of progress.

    Returns:
        `devices`, a row each in the order of `names`: fires in time, late, early, missed, with
        95 % bounds of the share in time, by mode and by kind too; alarms no later than the best
        and than each reference alarm; false alarms per 100 cookings and a year with 95 % bounds.
        `reference_alarms`, a row each: the same of those alarms themselves, in the same air.

    Raises:
        InputError: a name or a file is no device, or no fire shows on one that is trained for.
    """
    loaded = [devices.load_device(name) for name in names]  # before the first is examined
    known = told_apart(loaded, names)
    if plan.recipe is not None:
        for one in known:
            to_train_for(plan.recipe, one)
    tried = [
        Tried(Session(judged_for(one, plan, on_progress), plan.seed, device=one)) for one in known
    ]
    began = time.perf_counter()  # what thresholds took says nothing of what is left
    kinds = fire_kinds()[:-1]  # without oil while something fries
    others = sources.NUISANCES if plan.nuisances else ()
    done, whole = 0, len(kinds) + len(others)

    def note(name: str) -> None:
        nonlocal done
        done += 1
        spent = time.perf_counter() - began
        left = spent * (whole - done) / done
        on_progress(f"{name}: {done} of {whole} in {clock(spent)}, about {clock(left)} left")

    for k, (name, mix) in enumerate(kinds):
        for one in tried:
            one.fires[name] = try_fires(one.session, name, mix, PART + PARTS_EACH * k, plan)
        note(name)
    for k, source in enumerate(others):
        for one in tried:
            one.nuisances[source.name] = try_nuisances(
                one.session, source, PART + PARTS_EACH * k, plan
            )
        note(source.name)
    for one in tried if others else ():
        one.quiet, _ = watch_quiet(one.session, plan.quiet, part=PART, rooms=plan.rooms)
    return {
        "devices": [device_row(one) for one in tried],
        "reference_alarms": [alarm_row(name, tried[0]) for name in REFERENCES],
    }


def told_apart(known: Sequence[devices.Device], names: Sequence[str]) -> list[devices.Device]:
    """The devices; those of one name are called after their files, or by their whole paths."""
    told = [one.name for one in known]
    for longer in ([Path(name).stem for name in names], names):
        pairs = list(zip(told, longer, strict=True))
        told = [long if told.count(short) > 1 else short for short, long in pairs]
    return [replace(one, name=name) for one, name in zip(known, told, strict=True)]


def judged_for(device: devices.Device, plan: ComparisonPlan, say: OnProgress) -> Judged:
    """The detector of a device: one that is trained for it, or the plan's with its thresholds."""
    if plan.recipe is not None:
        say(f"{device.name}: training for it")
        model, settings = fit_detector(to_train_for(plan.recipe, device))
        told = replace(settings, longest_interval_s=device.longest_interval_s)
        return Judged(device.name, score_with(model.eval()), told)
    one = plan.model
    assert one is not None, "a plan has a model or a recipe"
    if isinstance(one, Run):
        one = run_for(one, device, say=say)
    elif isinstance(one, Exported):
        one = exported_for(one, device, say=say)
    told = replace(one.settings, longest_interval_s=device.longest_interval_s)
    return Judged(device.name, one.score, told)


def try_fires(
    session: Session, name: str, mix: Mix, part: int, plan: ComparisonPlan
) -> list[FireResult]:
    """One kind of fire through a device, by the exam's rules."""
    drawn = draw_fires(
        session, name, plan.fires, part=part, mix=mix, rooms=plan.rooms, batch=2 * plan.fires
    )
    return [try_fire(session, trial)[0] for trial in drawn.trials]


def try_nuisances(
    session: Session, source: emissions.Source, part: int, plan: ComparisonPlan
) -> list[NuisanceResult]:
    """One kind of nuisance through a device."""
    drawn = draw_nuisances(
        session, (source.name,), plan.nuisances, part=part, rooms=plan.rooms,
        batch=2 * plan.nuisances,
    )  # fmt: skip
    return [try_nuisance(session, source.name, trial) for trial in drawn.trials]


def device_row(one: Tried) -> dict[str, Any]:
    """The row of one device, of its fires by kind and of its nuisances and quiet life."""
    device = devices.load_device(one.session.device)
    found = [result for kind in one.fires.values() for result in kind]
    before = not_later_than_best(found)
    nuisances = one.nuisance_rows()
    return {
        "device": device.name,
        "title": device.title,
        "channels": list(device.channels),
        "longest_interval_s": device.longest_interval_s,
        "alarms": one.session.settings.to_dict(),
        "fires": len(found),
        **outcome_counts(found),
        "not_shown": sum(not result.trial.is_shown for result in found),
        "not_later_than_best": found_share(before),
        "not_later_than": {name: not_later(found, name) for name in REFERENCES},
        "alarms_per_100_cookings": cookings_of(nuisances),
        "alarms_per_year": {room: a_year(nuisances, one.quiet, room) for room in PLACES_OF_A_YEAR},
        "nuisances": {
            row.nuisance: {"events": row.events, "alarms": row.alarms} for row in nuisances
        },
        "quiet_alarms": one.quiet.alarms if one.quiet else None,
        "by_mode": {mode: outcome_counts(of_mode(one.fires, mode)) for mode in WAYS_TO_BEGIN},
        "by_room": {
            word: outcome_counts([r for r in found if r.trial.beside_fire == there])
            for word, there in (("same", True), ("other", False))
        },
        "by_kind": {name: outcome_counts(kind) for name, kind in one.fires.items()},
    }


def of_mode(fires: Mapping[str, Sequence[FireResult]], mode: str) -> list[FireResult]:
    """The fires that begin in a mode."""
    return [r for name, kind in fires.items() if sources.SOURCES[name].mode == mode for r in kind]


def not_later(results: Sequence[FireResult], name: str) -> dict[str, Any]:
    """Of the fires in which a reference alarm sounds, those in which ours was no later than it.

    By one report at most; with the median of how much later ours came, negative where before.
    """
    sounded = [r for r in results if r.trial.references_s[name][AS_MADE] < math.inf]
    after = delays_after(name, sounded)
    in_order = sorted(after)
    median = in_order[len(in_order) // 2] if in_order else math.nan
    share = found_share([late <= r.trial.grace_s for late, r in zip(after, sounded, strict=True)])
    return share | {"median_delay_s": metrics.finite_or_none(median)}


def cookings_of(nuisances: Sequence[NuisanceRow]) -> dict[str, Any]:
    """False alarms per 100 cookings, each kind as often as dwellings see it."""
    return named(*per_100_cookings(nuisances)) if nuisances else named(NEVER_SEEN, 0)


def a_year(nuisances: Iterable[NuisanceRow], quiet: QuietRow | None, room: str) -> dict[str, Any]:
    """False alarms of a year in a kitchen, or elsewhere in a dwelling; as the exam's years.

    Without quiet life, of the nuisances alone.
    """
    rows = [row for row in nuisances if row.kitchen == (room == "kitchen")]
    if not rows:
        return named(NEVER_SEEN, 0)
    strata = [*(quiet_strata(quiet) if quiet else ()), *nuisance_strata(rows)]
    bounds = year_bounds(strata, sides=2)
    return named(bounds, sum(row.events for row in rows))


def alarm_row(name: str, one: Tried) -> dict[str, Any]:
    """The row of a reference alarm beside the sensors: fires in time, and alarms in cookings.

    It has no quiet year: in rooms where nothing happens it is silent.
    """

    def in_time(kind: Iterable[FireResult]) -> dict[str, Any]:
        trials = [result.trial for result in kind]
        at = [trial.references_s[name][AS_MADE] for trial in trials]
        return found_share(
            [t.burning_s <= time <= t.limit_s for t, time in zip(trials, at, strict=True)]
        )

    sounding = [
        replace(row, alarms=sum(r.trial.sounds[name][AS_MADE] for r in one.nuisances[row.nuisance]))
        for row in one.nuisance_rows()
    ]
    return {
        "alarm": name,
        "in_time": in_time(result for kind in one.fires.values() for result in kind),
        "by_mode": {mode: in_time(of_mode(one.fires, mode)) for mode in WAYS_TO_BEGIN},
        "alarms_per_100_cookings": cookings_of(sounding),
        "alarms_per_year": {room: a_year(sounding, None, room) for room in PLACES_OF_A_YEAR},
    }


def found_share(found: Sequence[bool]) -> dict[str, Any]:
    """The share that is true with exact 95 % bounds, and of how many."""
    return named(metrics.proportion_bounds(sum(found), len(found)), len(found))


def named(bounds: Bounds, n: int) -> dict[str, Any]:
    """A figure with its bounds and of how many it is."""
    finite = {name: metrics.finite_or_none(value) for name, value in bounds._asdict().items()}
    return {"n": n} | finite
