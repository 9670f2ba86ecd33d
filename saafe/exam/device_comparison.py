"""What devices can find: the same fires and cookings through each, by a detector trained for it.

Under one seed all devices hang at the same places in the same air, so that their figures differ by
the device and not by luck with the fires.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from saafe import metrics
from saafe.exam.fire_matrix import not_later_than_best, outcome_counts
from saafe.exam.fires import FireResult, draw_fires, fire_kinds, try_fire
from saafe.exam.nuisances import draw_nuisances, nuisance_row, per_100_cookings, try_nuisance
from saafe.exam.session import OnProgress, Session
from saafe.exam.windows import Judged
from saafe.files import write_atomically
from saafe.metrics import Bounds
from saafe.recipes import Recipe
from saafe.simulator import devices, sources
from saafe.training import Run, fit_detector, for_device, score_with

PART, PARTS_EACH = 8000, 8  # seeds apart from those of the other levels


@dataclass(frozen=True)
class ComparisonPlan:
    """How devices are compared.

    Attributes:
        recipe: what a detector is trained by for each device; its seed is that of the fires too.
        run: one detector for all devices in place of that.
        fires: of each kind.
        cookings: of each kind.
    """

    recipe: Recipe
    run: Run | None = None
    fires: int = 8
    cookings: int = 20


def compare_devices(
    names: Sequence[str], plan: ComparisonPlan, *, on_progress: OnProgress = lambda _: None
) -> list[dict[str, Any]]:
    """Train for each device, let the same fires and cookings through it, and say what was found.

    Args:
        names: of the catalogue, or paths of device files.
        plan: how.
        on_progress: takes a line of progress.

    Returns:
        A row a device in the order of `names`: fires in time, late, early, missed, with 95 %
        bounds of the share in time, by kind too; alarms no later than the best reference alarm;
        nuisance alarms per 100 cookings with 95 % bounds.

    Raises:
        InputError: a name or a file is no device.
    """
    known = [devices.load_device(name) for name in names]  # before the first is trained for
    rows = []
    for device in known:
        on_progress(f"{device.name}: {'taking the run' if plan.run else 'training for it'}")
        rows.append(examine_device(device, judged_for(device, plan), plan, on_progress))
    return rows


def judged_for(device: devices.Device, plan: ComparisonPlan) -> Judged:
    """The detector of a device: one trained for it, or the plan's run, told how it reports."""
    if plan.run is not None:
        told = replace(plan.run.settings, longest_interval_s=device.longest_interval_s)
        return Judged(device.name, plan.run.score, told)
    model, settings = fit_detector(for_device(plan.recipe, device))
    return Judged(device.name, score_with(model.eval()), settings)


def examine_device(
    device: devices.Device, one: Judged, plan: ComparisonPlan, on_progress: OnProgress
) -> dict[str, Any]:
    """The row of one device."""
    session = Session(one, plan.recipe.seed, device=device, on_progress=on_progress)
    session.begin(0.6)
    results: dict[str, list[FireResult]] = {}
    kinds = fire_kinds()[:-1]  # without oil while something fries
    for k, (name, mix) in enumerate(kinds):
        part = PART + PARTS_EACH * k
        drawn = draw_fires(session, name, plan.fires, part=part, mix=mix, batch=2 * plan.fires)
        results[name] = [try_fire(session, trial)[0] for trial in drawn.trials]
        session.on_progress(f"{device.name}: {name}", (k + 1) / len(kinds))
    session.begin(0.4)
    cooking = [source for source in sources.NUISANCES if source.cooking]
    nuisances = []
    for k, source in enumerate(cooking):
        part = PART + PARTS_EACH * k
        events = draw_nuisances(
            session, (source.name,), plan.cookings, part=part, batch=2 * plan.cookings
        ).trials
        nuisances.append(
            nuisance_row(source, [try_nuisance(session, source.name, event) for event in events])
        )
        session.on_progress(f"{device.name}: {source.name}", (k + 1) / len(cooking))
    found = [result for kind in results.values() for result in kind]
    before = not_later_than_best(found)
    cookings, sessions = per_100_cookings(nuisances)
    return {
        "device": device.name,
        "title": device.title,
        "channels": list(device.channels),
        "longest_interval_s": device.longest_interval_s,
        "fires": len(found),
        **outcome_counts(found),
        "not_shown": sum(not result.trial.is_shown for result in found),
        "not_later_than_best": _named(metrics.proportion_bounds(sum(before), len(before)), before),
        "alarms_per_100_cookings": _named(cookings, range(sessions)),
        "by_kind": {name: outcome_counts(kind) for name, kind in results.items()},
    }


def _named(bounds: Bounds, counted: Sequence[object]) -> dict[str, Any]:
    """A figure with its bounds and of how many it is."""
    finite = {name: metrics.finite_or_none(value) for name, value in bounds._asdict().items()}
    return {"n": len(counted)} | finite


def draw_comparison(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw fires in time and alarms per 100 cookings, a bar a device, with their 95 % bounds.

    The suffix of the path says in which format: .png, .svg or .pdf.
    """
    figure = Figure(figsize=(9.0, 1.2 + 0.4 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = range(len(rows))
    shares = [
        (100 * (r["in_time_share"] or 0.0), 100 * r["in_time_lower"], 100 * r["in_time_upper"])
        for r in rows
    ]
    alarms = [
        tuple(r["alarms_per_100_cookings"][key] or 0.0 for key in ("value", "lower", "upper"))
        for r in rows
    ]
    for axis, each, title in (
        (left, shares, "fires found in time [%]"),
        (right, alarms, "nuisance alarms per 100 cookings"),
    ):
        values = [value for value, _, _ in each]
        below = [max(value - low, 0.0) for value, low, _ in each]
        above = [max(high - value, 0.0) for value, _, high in each]
        axis.barh(places, values, xerr=[below, above], color="0.7", ecolor="0.2", capsize=2)
        axis.set_xlabel(title)
        axis.set_xlim(left=0.0)
    left.set_xlim(0.0, 100.0)
    left.set_yticks(list(places), [row["device"] for row in rows])
    left.invert_yaxis()
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], dpi=150)
    write_atomically(path, drawn.getvalue())
