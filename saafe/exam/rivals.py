"""The transformer against its rivals at equal detection, on scenarios that neither knows.

A rival's thresholds are moved together until it finds as many fires as the transformer does at
its own thresholds. The fires that set this are not the fires that are counted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saafe.detector.alarms import AlarmSettings
from saafe.detector.detector import Detection, Score, detect
from saafe.exam.outcomes import IN_TIME, first_visible
from saafe.exam.recordings import SuperposedFires, read_superposed, score_superposed
from saafe.exam.session import OnProgress
from saafe.exam.windows import SHIFTED_ROOMS, TRAINING_ROOMS, Judged, judge_windows
from saafe.metrics import Bounds, finite_or_none, paired_bootstrap, proportion_bounds
from saafe.recipes import Recipe
from saafe.recordings.recording import Recording
from saafe.recordings.superpose import cut_recording
from saafe.rivals import registry
from saafe.rivals.registry import Trained, TrainingSet
from saafe.simulator import simulation
from saafe.simulator.scenarios import Mix
from saafe.simulator.streams import to_recordings
from saafe.training.data import JUDGE, SHIFTED, seeded_generator
from saafe.training.runs import score_with

GROUPS = 300  # scenarios of each kind, each one a group
WITHIN_S = 600.0  # Chosen: a fire is found within ten minutes of becoming visible, or too late
PERIOD_STEPS = 6  # Chosen: a reading a minute, as the recorded homes have it
THRESHOLD_SHIFTS = range(8, -13, -1)  # log-odds that thresholds are moved by, highest first
HALVINGS = 4  # of the last step: to 0.06
SETTING_PART, FIRES_PART, NUISANCES_PART = 11, 12, 13  # parts of the judging seed
WIN, TIE, LOSS = "win", "tie", "loss"  # the transformer's

ComparisonRow = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """Simulated streams, one sensor and one scenario each.

    Attributes:
        setting: fires that set the rivals' thresholds.
        fires: other fires, that are counted.
        nuisances: streams without a fire, with one or two nuisances.
    """

    setting: list[Recording]
    fires: list[Recording]
    nuisances: list[Recording]


@dataclass(frozen=True)
class BenchmarkResult:
    """What a contestant said of an arena.

    Attributes:
        found: whether each counted fire was found. float (fire,)
        delay_s: alarm after first sign, NaN where not found. (fire,)
        false: whether each nuisance stream alarmed. float (stream,)
        shift: how far its thresholds were moved. [log-odds]
    """

    found: np.ndarray
    delay_s: np.ndarray
    false: np.ndarray
    shift: float


def draw_benchmark(seed: int, *, groups: int = GROUPS) -> Benchmark:
    """Scenarios of seeds that nothing was trained, calibrated or set on.

    Args:
        seed: of the run.
        groups: nuisance streams; of each kind of fires as many as become visible among so many.
    """
    alone = Mix(fire_share=1.0, nuisance_counts=(1.0, 0.0, 0.0))
    dense = Mix(fire_share=0.0, nuisance_counts=(0.0, 0.5, 0.5), balance=1.0)
    drawn = []
    for part, mix in ((SETTING_PART, alone), (FIRES_PART, alone), (NUISANCES_PART, dense)):
        generator = seeded_generator(seed, JUDGE, part, torch.device("cpu"))
        # a third of the fires never shows at the sensor: draw until enough do
        found: list[Recording] = []
        while len(found) < groups:
            streams = simulation.simulate(groups, generator=generator, sensors=1, mix=mix)
            made = [thinned(one) for one in to_recordings(streams)]
            if mix is not dense:
                made = [judged_part(one) for one in made if first_visible(one) is not None]
            found += made
        drawn.append(found[:groups])
    return Benchmark(*drawn)


def thinned(recording: Recording) -> Recording:
    """The same recording with at most a reading a minute of each sensor."""
    spoken = np.flatnonzero(~np.isnan(recording.readings).all(axis=(1, 2)))
    minutes = np.ceil(recording.times_s[spoken] / (10.0 * PERIOD_STEPS))
    rows = spoken[np.unique(minutes, return_index=True)[1]]
    return replace(
        recording,
        times_s=recording.times_s[rows],
        readings=recording.readings[rows],
        labels=None if recording.labels is None else recording.labels[rows],
        sources=None,
    )


def judged_part(recording: Recording) -> Recording:
    """A fire's stream up to where an alarm would come too late."""
    return cut_recording(recording, 0.0, (first_visible(recording) or 0.0) + WITHIN_S)


def score_streams(recordings: Sequence[Recording], score: Score) -> list[Detection]:
    """Score every stream once; thresholds can be moved afterwards at no cost."""
    return [detect(one, score, AlarmSettings()) for one in recordings]


def first_alarms(
    recordings: Sequence[Recording], known: Sequence[Detection], settings: AlarmSettings
) -> np.ndarray:
    """First alarm of each stream from the very detector, on remembered risks; inf for none."""
    out = []
    for recording, detection in zip(recordings, known, strict=True):
        given = 0

        def recall(windows: np.ndarray, risk: np.ndarray = detection.risk) -> np.ndarray:
            nonlocal given
            given += len(windows)
            return risk[given - len(windows) : given]

        events = detect(recording, recall, settings).events
        out.append(next((e["time_s"] for e in events if e["event"] == "alarm"), np.inf))
    return np.array(out)


def alarm_delays(recordings: Sequence[Recording], alarms: np.ndarray) -> np.ndarray:
    """Alarm after the first sign, NaN where not within the limits. [s] (fire,)

    An alarm up to a minute before the first sign counts as found at it, since readings come
    once a minute; an earlier one is false, and the fire not found.
    """
    signs = np.array([first_visible(one) for one in recordings], dtype=np.float64)
    late = alarms - signs
    good = (late >= -60.0) & (late <= WITHIN_S)
    return np.where(good, np.maximum(late, 0.0), np.nan)


def run_benchmark(
    one: Judged, arena: Benchmark, *, target: float | None
) -> tuple[BenchmarkResult, float]:
    """Run one contestant over an arena.

    Args:
        one: the contestant.
        arena: the streams.
        target: share of the setting fires to find by moving the thresholds; None leaves them.

    Returns:
        What it said, and the share of the setting fires that it found.
    """
    known = score_streams(arena.setting, one.score)

    def reached(shift: float) -> float:
        alarms = first_alarms(arena.setting, known, one.settings.moved(shift))
        return float(np.isfinite(alarm_delays(arena.setting, alarms)).mean())

    shift = 0.0
    if target is not None and one.name != registry.FIXED_RULE:  # nothing to move there
        shift = highest_shift(reached, target)
    moved = one.settings.moved(shift)
    alarms = first_alarms(arena.fires, score_streams(arena.fires, one.score), moved)
    delay = alarm_delays(arena.fires, alarms)
    noise = first_alarms(arena.nuisances, score_streams(arena.nuisances, one.score), moved)
    found = np.isfinite(delay).astype(float)
    return BenchmarkResult(found, delay, np.isfinite(noise).astype(float), shift), reached(shift)


def highest_shift(reached: Callable[[float], float], target: float) -> float:
    """The highest shift of thresholds that still reaches a target.

    Whole steps from above, then halvings: far below, alarms before the fire hide the fire, so
    that the share does not rise for ever.

    Args:
        reached: share found at a shift.
        target: share to reach; where no shift reaches it, the one that comes nearest is taken.
    """
    tried = {}
    for step in THRESHOLD_SHIFTS:
        tried[float(step)] = reached(float(step))
        if tried[float(step)] >= target:
            break
    else:
        return max(tried, key=lambda shift: tried[shift])
    low, high = float(step), float(step) + 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if reached(middle) >= target else (low, middle)
    return low


def compare_at_equal_detection(
    ours: Judged, theirs: Sequence[Judged], *, seed: int, groups: int = GROUPS,
    on_progress: OnProgress = lambda line: None,
) -> list[ComparisonRow]:  # fmt: skip
    """The transformer and its rivals on the same scenarios, at equal detection.

    Args:
        ours: the transformer, at its own thresholds.
        theirs: the rivals; the fixed rule stays at its own.
        seed: of the run, for the scenarios, and of the bootstrap.
        groups: scenarios of each kind.
        on_progress: takes a line of progress.

    Returns:
        A row a contestant, ours first. Differences are ours minus theirs with 95 % limits of a
        paired bootstrap over scenarios; `verdict` is the transformer's: a win is better in one
        of detection, false alarms and delay and worse in none, a loss the reverse.
    """
    arena = draw_benchmark(seed, groups=groups)
    on_progress(f"{ours.name}: {3 * groups} streams")
    mine, target = run_benchmark(ours, arena, target=None)
    rows = [_figures(ours.name, mine, target)]
    for one in theirs:
        on_progress(f"{one.name}: {3 * groups} streams")
        his, reached = run_benchmark(one, arena, target=target)
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
        row = _figures(one.name, his, reached)
        for name, bounds in differences.items():
            for key, value in bounds._asdict().items():
                row[f"{name}_difference_{key}"] = finite_or_none(value)
        rows.append(row | {"verdict": verdict(differences)})
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
    return {
        "name": name,
        "groups": len(result.found),
        "threshold_shift": result.shift,
        "found_when_set": reached,
        "found": found,
        "fires": len(result.found),
        "false_alarms": false,
        "nuisance_streams": len(result.false),
        "false_alarm_share_lower": bounds.lower,
        "false_alarm_share_upper": bounds.upper,
        "delay_s_median": median,
    }


def compare_superposed(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], *, seed: int
) -> ComparisonRow:
    """Superposed fires in time, ours minus theirs, by a paired bootstrap over the recorded fires.

    Args:
        ours: the `superposed` part of `scoring.score_real` for the transformer.
        theirs: the same of a rival.
        seed: of the bootstrap.

    Returns:
        Counts, the difference with its limits, and the transformer's verdict.
    """
    mine = {row["name"]: row["outcome"] == IN_TIME for row in ours["rows"]}
    his = {row["name"]: row["outcome"] == IN_TIME for row in theirs["rows"]}
    assert mine.keys() == his.keys(), "both were scored on the same superposed fires"
    names = sorted(mine)
    fires = [name.split(" on ")[0] for name in names]
    difference = paired_bootstrap(
        [mine[name] for name in names], [his[name] for name in names], fires, seed=seed
    )
    return {
        "superposed_fires": len(names),
        "ours_in_time": sum(mine.values()),
        "theirs_in_time": sum(his.values()),
        **{f"difference_{k}": finite_or_none(v) for k, v in difference._asdict().items()},
        "verdict": verdict({"in_time": difference}),
    }


def superposed_rows(
    composed: SuperposedFires, contestants: Sequence[Judged], shifts: Sequence[float], *, seed: int,
    on_progress: OnProgress = lambda line: None,
) -> list[ComparisonRow]:  # fmt: skip
    """What every contestant finds on recorded superposed fires, at thresholds of equal detection.

    Args:
        composed: the superposed fires, made once for all.
        contestants: the transformer first.
        shifts: how far each one's thresholds were moved on simulated fires. [log-odds]
        seed: of the bootstrap.
        on_progress: takes a line of progress.

    Returns:
        A row a contestant: `superposed` and how many it found in time; for a rival also how
        many ours found, the difference of shares, ours minus theirs, and the verdict.
    """
    parts = []
    for one, shift in zip(contestants, shifts, strict=True):
        on_progress(f"{one.name}: {len(composed.made)} superposed fires")
        parts.append(_superposed_of(one, shift, composed))
    rows: list[ComparisonRow] = [
        {"superposed_fires": parts[0]["n"], "superposed_in_time": parts[0]["in_time"]}
    ]
    for part in parts[1:]:
        row = compare_superposed(parts[0], part, seed=seed)
        counts = {
            "superposed_fires": row.pop("superposed_fires"),
            "superposed_in_time": part["in_time"],
        }
        row.pop("theirs_in_time")  # which is that
        rows.append(counts | {f"superposed_{key}": value for key, value in row.items()})
    return rows


def _superposed_of(one: Judged, shift: float, composed: SuperposedFires) -> dict[str, Any]:
    settings = one.settings.moved(shift)
    return score_superposed(lambda r: detect(r, one.score, settings), composed)


def contestant_of(trained: Trained) -> Judged:
    """A rival, ready to be judged."""
    return Judged(trained.name, score_with(trained.model), trained.settings)


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
    taught = registry.draw_training_set(
        recipe, most=max(registry.RIVALS[name].most for name in names)
    )
    trained = [_trained(name, taught, on_progress) for name in names]
    contestants = [ours, *(contestant_of(one) for one in trained)]
    rows = compare_at_equal_detection(
        ours, contestants[1:], seed=recipe.seed, groups=groups, on_progress=on_progress
    )
    if composed is not None:
        shifts = [row["threshold_shift"] for row in rows]
        found = superposed_rows(
            composed, contestants, shifts, seed=recipe.seed, on_progress=on_progress
        )
        rows = [row | more for row, more in zip(rows, found, strict=True)]
    own = {"windows": recipe.windows * (recipe.epochs if recipe.fresh else 1)}
    costs = [own, *(_costs(one) for one in trained)]
    return [
        row | cost | _window_figures(one, recipe.seed)
        for row, cost, one in zip(rows, costs, contestants, strict=True)
    ]


def _trained(name: str, taught: TrainingSet, on_progress: OnProgress) -> Trained:
    on_progress(f"fitting {name}")
    one = registry.train_rival(name, taught)
    on_progress(f"{name}: {one.fit_s:.1f} s, thresholds {one.thresholds_s:.1f} s")
    return one


def _costs(one: Trained) -> ComparisonRow:
    return {
        "windows": one.windows,
        "train_s": round(one.fit_s, 2),
        "compile_s": round(one.compile_s, 2),
        "thresholds_s": round(one.thresholds_s, 2),
        "about": registry.RIVALS[one.name].about,
    }


def _window_figures(one: Judged, seed: int) -> ComparisonRow:
    rooms = (("", TRAINING_ROOMS, JUDGE), ("_shifted", SHIFTED_ROOMS, SHIFTED))
    out: ComparisonRow = {}
    for suffix, ranges, purpose in rooms:
        figures = judge_windows(one, ranges, seed, purpose)
        for name in ("roc_auc", "detection_rate", "false_alarm_rate", "calibration_error"):
            out[name + suffix] = figures[name]
    return out


def headline(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The report's first line where the transformer does not beat every rival, else None.

    Simulated scenarios and superposed fires, where they were compared, are told apart.
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
    told = {kind: [str(row["name"]) for row in rows if row.get(key) == kind] for kind in words}
    return " and ".join(
        f"{words[kind]} {', '.join(names)}" for kind, names in told.items() if names
    )
