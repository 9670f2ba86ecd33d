"""The transformer against its rivals at equal detection, on scenarios that neither knows.

A rival's thresholds are moved together until it finds as many fires as the transformer does at
its own thresholds. The fires that set this are not the fires that are counted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from saafe.detector import detect
from saafe.exam.equal_detection import GROUPS, BenchmarkResult, draw_benchmark, run_benchmark
from saafe.exam.outcomes import IN_TIME
from saafe.exam.recordings import SuperposedFires, read_superposed, score_superposed
from saafe.exam.results import Figures
from saafe.exam.session import OnProgress
from saafe.exam.windows import SHIFTED_ROOMS, TRAINING_ROOMS, Judged, judge_windows, judged_rival
from saafe.metrics import Bounds, paired_bootstrap, proportion_bounds
from saafe.recipes import Recipe
from saafe.rivals import Trained, TrainingSet, registry
from saafe.training import Purpose

WIN, TIE, LOSS = "win", "tie", "loss"  # the transformer's
NOT_COMPARED = Bounds(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class ComparisonRow:
    """A contestant: what it found, what it took, and how the transformer differs from it.

    Differences are ours minus theirs with 95 % limits; they and the verdicts, which are the
    transformer's, are None in its own row. `found` of `fires` are those that are counted;
    `false_alarms` are of so many `nuisance_streams` without a fire; the delay is from the first
    sign to the alarm. `superposed_X` is the same on recorded fires in recorded homes; the figures
    of windows come as X and, in rooms outside training's ranges, as X_shifted.
    """

    name: str
    groups: int
    threshold_shift: float  # how far its thresholds were moved. [log-odds]
    found_when_set: float  # share of the fires that set the thresholds
    found: int
    fires: int
    false_alarms: int
    nuisance_streams: int
    false_alarm_share_lower: float
    false_alarm_share_upper: float
    delay_s_median: float | None
    detection_difference: Bounds = NOT_COMPARED
    false_alarms_difference: Bounds = NOT_COMPARED
    delay_s_difference: Bounds = NOT_COMPARED
    verdict: str | None = None
    superposed_fires: int | None = None
    superposed_in_time: int | None = None
    superposed_ours_in_time: int | None = None
    superposed_difference: Bounds = NOT_COMPARED
    superposed_verdict: str | None = None
    windows: int | None = None
    train_s: float | None = None
    compile_s: float | None = None
    thresholds_s: float | None = None
    about: str | None = None
    window_figures: Figures = field(default_factory=Figures)


def compare_at_equal_detection(
    ours: Judged, theirs: Sequence[Judged], *, seed: int, groups: int = GROUPS,
    on_progress: OnProgress = lambda line: None,
) -> list[ComparisonRow]:  # fmt: skip
    """The transformer and its rivals on the same scenarios, at equal detection: ours is first.

    Differences are ours minus theirs with 95 % limits of a paired bootstrap over scenarios;
    `verdict` is the transformer's: a win is better in one of detection, false alarms and delay and
    worse in none, a loss the reverse. The fixed rule stays at its own thresholds.
    """
    benchmark = draw_benchmark(seed, groups=groups)
    on_progress(f"{ours.name}: {3 * groups} streams")
    mine, target = run_benchmark(ours, benchmark, target=None)
    rows = [_figures(ours.name, mine, target)]
    for one in theirs:
        on_progress(f"{one.name}: {3 * groups} streams")
        his, reached = run_benchmark(one, benchmark, target=target)
        both = np.isfinite(mine.delay_s) & np.isfinite(his.delay_s)
        places = np.arange(groups)
        differences = {
            "detection": paired_bootstrap(mine.found, his.found, places, seed=seed),
            "false_alarms": paired_bootstrap(mine.false, his.false, places, seed=seed),
        }
        if both.any():
            differences["delay_s"] = paired_bootstrap(
                mine.delay_s[both], his.delay_s[both], places[both], seed=seed
            )
        changes: dict[str, Any] = {f"{name}_difference": b for name, b in differences.items()}
        row = _figures(one.name, his, reached)
        rows.append(replace(row, verdict=verdict(differences), **changes))
    return rows


def verdict(differences: Mapping[str, Bounds]) -> str:
    """Say who is better where intervals leave out zero; better here and worse there is a tie."""
    better = worse = False
    for name, bounds in differences.items():
        sign = 1.0 if name in ("detection", "in_time") else -1.0
        better |= min(sign * bounds.lower, sign * bounds.upper) > 0.0
        worse |= max(sign * bounds.lower, sign * bounds.upper) < 0.0
    return TIE if better == worse else WIN if better else LOSS


def _figures(name: str, result: BenchmarkResult, reached: float) -> ComparisonRow:
    found, false = int(result.found.sum()), int(result.false.sum())
    bounds = proportion_bounds(false, len(result.false))
    median = float(np.nanmedian(result.delay_s)) if found else None
    return ComparisonRow(
        name=name,
        groups=len(result.found),
        threshold_shift=result.shift,
        found_when_set=reached,
        found=found,
        fires=len(result.found),
        false_alarms=false,
        nuisance_streams=len(result.false),
        false_alarm_share_lower=bounds.lower,
        false_alarm_share_upper=bounds.upper,
        delay_s_median=median,
    )


def compare_superposed(
    ours: Mapping[str, bool], theirs: Mapping[str, bool], *, seed: int
) -> dict[str, Any]:
    """Fields of a rival's row: superposed fires in time, bootstrapped over the recorded fires."""
    assert ours.keys() == theirs.keys(), "both were scored on the same superposed fires"
    names = sorted(ours)
    fires = [name.split(" on ")[0] for name in names]
    difference = paired_bootstrap(
        [ours[name] for name in names], [theirs[name] for name in names], fires, seed=seed
    )
    return {
        "superposed_fires": len(names),
        "superposed_in_time": sum(theirs.values()),
        "superposed_ours_in_time": sum(ours.values()),
        "superposed_difference": difference,
        "superposed_verdict": verdict({"in_time": difference}),
    }


def superposed_rows(
    composed: SuperposedFires, contestants: Sequence[Judged], shifts: Sequence[float], *, seed: int,
    on_progress: OnProgress = lambda line: None,
) -> list[dict[str, Any]]:  # fmt: skip
    """What every contestant finds on superposed fires, at thresholds moved to equal detection."""
    found = []
    for one, shift in zip(contestants, shifts, strict=True):
        on_progress(f"{one.name}: {len(composed.made)} superposed fires")
        found.append(_superposed_in_time(one, shift, composed))
    ours = found[0]
    own = {"superposed_fires": len(ours), "superposed_in_time": sum(ours.values())}
    return [own, *(compare_superposed(ours, theirs, seed=seed) for theirs in found[1:])]


def _superposed_in_time(one: Judged, shift: float, composed: SuperposedFires) -> dict[str, bool]:
    moved = replace(one, settings=one.settings.moved(shift))
    part = score_superposed(lambda r: detect(moved, r), composed)
    return {row.name: row.outcome == IN_TIME for row in part["rows"]}


def examine_rivals(
    ours: Judged, recipe: Recipe, *, names: Sequence[str] = tuple(registry.RIVALS),
    groups: int = GROUPS, real: Path | None = None, on_progress: OnProgress = lambda line: None,
) -> list[ComparisonRow]:  # fmt: skip
    """Train the rivals of a run and compare them with it: the `rivals` part of exam.json.

    Args:
        ours: the run, ready to be judged.
        recipe: of the run; rivals learn from the windows that it draws.
        names: which rivals.
        groups: scenarios of each kind.
        real: published recordings, whose superposed fires are compared too; None for none.
            Annotated sets in it are left to the exam.
        on_progress: takes a line of progress.

    Returns:
        A row a contestant, ours first: what the comparison gives, training and compile time,
        window figures in training's rooms and in others, and those of `superposed_rows`.

    Raises:
        InputError: a package of the extra is missing, or the folder holds no recordings.
    """
    registry.check_installed(list(names))
    composed = None if real is None else read_superposed(real)  # refused before the work
    if real is not None and composed is None:
        on_progress(f"{real}: no superposed fires to compare on; house fires or homes are absent")
    on_progress("drawing the training windows")
    training_set = registry.draw_training_set(
        recipe, most=max(registry.RIVALS[name].most for name in names)
    )
    trained = [_trained(name, training_set, on_progress) for name in names]
    contestants = [ours, *(judged_rival(one) for one in trained)]
    rows = compare_at_equal_detection(
        ours, contestants[1:], seed=recipe.seed, groups=groups, on_progress=on_progress
    )
    if composed is not None:
        shifts = [row.threshold_shift for row in rows]
        found = superposed_rows(
            composed, contestants, shifts, seed=recipe.seed, on_progress=on_progress
        )
        rows = [replace(row, **more) for row, more in zip(rows, found, strict=True)]
    own: dict[str, Any] = {"windows": recipe.windows * (recipe.epochs if recipe.fresh else 1)}
    costs = [own, *(_costs(one) for one in trained)]
    return [
        replace(row, **cost, window_figures=_window_figures(one, recipe.seed))
        for row, cost, one in zip(rows, costs, contestants, strict=True)
    ]


def _trained(name: str, training_set: TrainingSet, on_progress: OnProgress) -> Trained:
    on_progress(f"fitting {name}")
    one = registry.train_rival(name, training_set)
    on_progress(f"{name}: {one.fit_s:.1f} s, thresholds {one.thresholds_s:.1f} s")
    return one


def _costs(one: Trained) -> dict[str, Any]:
    return {
        "windows": one.windows,
        "train_s": round(one.fit_s, 2),
        "compile_s": round(one.compile_s, 2),
        "thresholds_s": round(one.thresholds_s, 2),
        "about": registry.RIVALS[one.name].about,
    }


def _window_figures(one: Judged, seed: int) -> Figures:
    rooms = (("", TRAINING_ROOMS, Purpose.JUDGE), ("_shifted", SHIFTED_ROOMS, Purpose.SHIFTED))
    out = Figures()
    for suffix, ranges, purpose in rooms:
        figures = judge_windows(one, ranges, seed, purpose)
        for name in ("roc_auc", "detection_rate", "false_alarm_rate", "calibration_error"):
            out[name + suffix] = figures[name]
    return out


def headline(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The report's first line where the transformer does not beat every rival, else None.

    Simulated scenarios and superposed fires, where they were compared, stand apart.
    """
    simulated = _not_beaten(rows, "verdict")
    recorded = _not_beaten(rows, "superposed_verdict")
    said = []
    if simulated:
        said.append(f"At equal detection the transformer {simulated}.")
    if recorded:
        said.append(f"On recorded fires in recorded homes the transformer {recorded}.")
    return " ".join(said) or None


def _not_beaten(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    """Which rivals a verdict names as better or as good; empty for none."""
    words = {LOSS: "loses to", TIE: "is not shown to be better than"}
    found = {kind: [str(row["name"]) for row in rows if row.get(key) == kind] for kind in words}
    return " and ".join(
        f"{words[kind]} {', '.join(names)}" for kind, names in found.items() if names
    )
