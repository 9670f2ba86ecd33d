"""What is examined against its rivals at equal false alarms a year, on the exam's own streams.

A rival's thresholds are moved together until it raises no more false alarms a year than the
examinee does at its own thresholds. Nuisances and quiet life set that; fires are scored.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saafe import recipes
from saafe.detector import ENSEMBLE, TRANSFORMER, decide
from saafe.errors import InputError
from saafe.exam import misses, outcomes
from saafe.exam.fires import EARLY_FROM_S, REFERENCES, FireResult, alone
from saafe.exam.judging import Judged, judged_rival, judged_run
from saafe.exam.kept import KeptParts, digest
from saafe.exam.nuisances import SCORED_BEFORE_S, NuisanceResult
from saafe.exam.session import OnProgress
from saafe.metrics import Bounds, finite_or_none
from saafe.recipes import Recipe
from saafe.recordings import Recording
from saafe.rivals import Trained, TrainingSet, registry
from saafe.simulator import ANYTHING, SENSITIVITIES, devices, sources
from saafe.training import Run, run_for

WIN, TIE, LOSS = "win", "tie", "loss"  # the examinee's
NOT_COMPARED = Bounds(math.nan, math.nan, math.nan)
SIMPLE = (registry.LOGISTIC, registry.BOOSTING)  # in every full exam, where they are installed
CURVE_SHIFTS = np.linspace(-8.0, 8.0, 33)  # of all thresholds together. [log-odds]
STREAMS_A_YEAR = 365.25 * 24.0 / 3.0  # quiet streams of three hours
RIVAL_RESAMPLES = 1000


@dataclass(frozen=True)
class ExamStreams:
    """What an exam let its detector see, with what came of it."""

    fires: list[FireResult]
    nuisances: dict[str, list[NuisanceResult]]
    quiet: list[tuple[Recording, float]]  # with its margin


@dataclass(frozen=True)
class Margins:
    """How far a detector's thresholds could rise until it no longer alarmed. [log-odds]"""

    fires: NDArray[np.float64]  # in time. (fire,)
    nuisances: dict[str, NDArray[np.float64]]  # at all, by kind. (event,)
    quiet: NDArray[np.float64]  # at all. (stream,)

    def in_time(self, shift: float) -> NDArray[np.bool_]:
        """Which fires are found in time with thresholds moved. (fire,)"""
        return self.fires >= shift

    def false_alarms_per_year(self, shift: float) -> float:
        """In a dwelling with all nuisances as often as dwellings see them, an alarm an event."""
        nuisances = sum(
            sources.SOURCES[name].per_year * float((margins >= shift).mean())
            for name, margins in self.nuisances.items()
            if len(margins)
        )
        quiet = float((self.quiet >= shift).mean()) if len(self.quiet) else 0.0
        return nuisances + STREAMS_A_YEAR * quiet

    def strata(self) -> list[tuple[float, NDArray[np.float64]]]:
        """What a year holds: how often an event or a stream comes, and those that were drawn."""
        kinds = [(sources.SOURCES[name].per_year, one) for name, one in self.nuisances.items()]
        return [*kinds, (STREAMS_A_YEAR, self.quiet)]


@dataclass(frozen=True)
class ComparisonRow:
    """A contestant at the examinee's false alarms a year: what it finds, and what it took.

    `own_...` are at its own thresholds. The difference in fires found in time is ours minus
    theirs, with the limits of `equal_alarms_difference`; the verdict is ours.
    """

    name: str
    threshold_shift: float | None  # how far its thresholds were moved. [log-odds]
    false_alarms_per_year: float
    fires: int
    in_time: int
    own_false_alarms_per_year: float
    own_in_time: int
    in_time_difference: Bounds = NOT_COMPARED
    verdict: str | None = None
    windows: int | None = None
    train_s: float | None = None
    compile_s: float | None = None
    thresholds_s: float | None = None
    about: str | None = None


def our_margins(streams: ExamStreams) -> Margins:
    """The examinee's, from its results."""
    return Margins(
        np.array([result.margin for result in alone(streams.fires)]),
        {name: np.array([r.margin for r in rows]) for name, rows in streams.nuisances.items()},
        np.array([margin for _, margin in streams.quiet]),
    )


def margins_of(one: Judged, streams: ExamStreams) -> Margins:
    """Another detector's, on the same streams; the fixed rules stand behind every detector."""

    def highest(recording: Recording, since_s: float, start_s: float, end_s: float) -> float:
        decided = decide(one, recording, since_s=since_s)
        return outcomes.highest_margin(decided, one.settings, start_s, end_s)

    fires = []
    for trial, floor_s in ((r.trial, r.floor_s) for r in alone(streams.fires)):
        by_rule = floor_s is not None and trial.burning_s <= floor_s <= trial.latest_s
        # the last decision before it counts too: a risk may have stood since
        begin_s = trial.burning_s - one.settings.steady_s - min(trial.period_s, EARLY_FROM_S)
        found = highest(trial.recording, begin_s, trial.burning_s, trial.latest_s)
        fires.append(math.inf if by_rule else found)
    nuisances = {}
    for name, results in streams.nuisances.items():
        found = []
        for result in results:
            trial = result.trial
            since_s = trial.start_s - SCORED_BEFORE_S
            end_s = float(trial.recording.times_s[-1])
            found.append(
                math.inf if result.by_rule else highest(trial.recording, since_s, since_s, end_s)
            )
        nuisances[name] = np.array(found)
    quiet = [highest(one, -math.inf, 0.0, float(one.times_s[-1])) for one, _ in streams.quiet]
    return Margins(np.array(fires), nuisances, np.array(quiet))


def lowest_shift(margins: Margins, per_year: float) -> float:
    """The lowest shift of all thresholds with at most so many false alarms a year; inf for none."""
    every = np.concatenate([margins.quiet, *margins.nuisances.values()])
    candidates = np.unique(every[np.isfinite(every)])
    if not candidates.size:
        return 0.0 if margins.false_alarms_per_year(0.0) <= per_year else math.inf
    if margins.false_alarms_per_year(candidates[0]) <= per_year:
        return float(candidates[0])
    low, high = 0, len(candidates) - 1
    if margins.false_alarms_per_year(np.nextafter(candidates[high], math.inf)) > per_year:
        return math.inf  # the fixed rules alone raise more
    while low < high:  # a step function that falls: just above each of its steps
        middle = (low + high) // 2
        above = np.nextafter(candidates[middle], math.inf)
        if margins.false_alarms_per_year(above) <= per_year:
            high = middle
        else:
            low = middle + 1
    return float(np.nextafter(candidates[low], math.inf))


def compare(
    ours: Margins, theirs: Mapping[str, Margins], *, name: str, seed: int
) -> list[ComparisonRow]:
    """Rows of the examinee and its rivals, at its own false alarms a year."""
    per_year = ours.false_alarms_per_year(0.0)
    rows = [row_of(name, ours, 0.0)]
    for rival, margins in theirs.items():
        shift = lowest_shift(margins, per_year)
        difference = equal_alarms_difference(ours, margins, shift, seed=seed)
        rows.append(row_of(rival, margins, shift, difference))
    return rows


def equal_alarms_difference(ours: Margins, theirs: Margins, shift: float, *, seed: int) -> Bounds:
    """Share of fires found in time, ours minus theirs, at our false alarms a year.

    With 95 % limits of a paired bootstrap over fires, over the events of each kind of nuisance and
    over quiet streams: in each draw their thresholds are moved anew. An event of a frequent kind
    may be worth several false alarms a year, so where equal lies is itself uncertain.

    Args:
        ours: of the examinee, at its own thresholds.
        theirs: of a rival on the same streams, in the same order.
        shift: of `lowest_shift`, which the value itself is taken at.
        seed: of the draws.

    Source:
        B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap," 1993, ch. 8 (several
        samples, each drawn anew) and 13 (percentile interval).
    """
    random = np.random.default_rng(seed)
    worth = np.hstack(
        [
            per_year / max(len(one), 1) * draw_counts(len(one), random)
            for per_year, one in theirs.strata()
        ]
    )  # alarms a year that an event stands for. (resample, event)
    mine, other = (np.concatenate([one for _, one in m.strata()]) for m in (ours, theirs))
    per_year = worth @ (mine >= 0.0)
    order = np.argsort(-other, kind="stable")  # the loudest first
    order = order[other[order] > -math.inf]  # no shift makes the others alarm
    if order.size:
        too_many = np.cumsum(worth[:, order], axis=1) > per_year[:, None] * (1.0 + 1e-9)
        first = other[order][too_many.argmax(axis=1)]  # that is one too many
    else:
        too_many, first = np.zeros((RIVAL_RESAMPLES, 1), dtype=bool), np.zeros(1)
    every = other[np.isfinite(other)]
    lowest = every.min() if every.size else 0.0  # where all of them are few enough
    moved = np.where(too_many.any(axis=1), np.nextafter(first, math.inf), lowest)
    fires = draw_counts(len(ours.fires), random)
    gained = ours.in_time(0.0).astype(float) - (theirs.fires >= moved[:, None])
    lower, upper = np.quantile((fires * gained).mean(axis=1), [0.025, 0.975])
    value = ours.in_time(0.0).mean() - theirs.in_time(shift).mean()
    return Bounds(float(value), float(lower), float(upper))


def draw_counts(n: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How often each of n items is drawn, where n are drawn with replacement. (resample, n)"""
    if not n:
        return np.zeros((RIVAL_RESAMPLES, 0), dtype=np.int64)
    return random.multinomial(n, np.full(n, 1.0 / n), size=RIVAL_RESAMPLES)


def row_of(
    name: str, margins: Margins, shift: float, difference: Bounds = NOT_COMPARED
) -> ComparisonRow:
    """A contestant's row with its thresholds moved."""
    return ComparisonRow(
        name=name,
        threshold_shift=finite_or_none(shift),
        false_alarms_per_year=margins.false_alarms_per_year(shift),
        fires=len(margins.fires),
        in_time=int(margins.in_time(shift).sum()),
        own_false_alarms_per_year=margins.false_alarms_per_year(0.0),
        own_in_time=int(margins.in_time(0.0).sum()),
        in_time_difference=difference,
        verdict=None if difference is NOT_COMPARED else verdict(difference),
    )


def verdict(difference: Bounds) -> str:
    """What a difference in fires found, ours minus theirs, comes to."""
    if difference.lower > 0.0:
        return WIN
    return LOSS if difference.upper < 0.0 else TIE


def reference_points(streams: ExamStreams) -> list[dict[str, Any]]:
    """Fires in time and false alarms a year of the reference alarms, at each sensitivity."""
    fires = [result.trial for result in alone(streams.fires)]
    points = []
    for name in REFERENCES:
        for k, sensitivity in enumerate(SENSITIVITIES):
            found = [t.burning_s <= t.references_s[name][k] <= t.limit_s for t in fires]
            per_year = sum(
                sources.SOURCES[kind].per_year * np.mean([r.trial.sounds[name][k] for r in rows])
                for kind, rows in streams.nuisances.items()
                if rows
            )
            points.append({
                "name": name,
                "sensitivity": sensitivity,
                "in_time_share": float(np.mean(found)) if found else None,
                "false_alarms_per_year": float(per_year),
            })  # fmt: skip
    return points


def curve(margins: Margins) -> list[dict[str, float]]:
    """Fires in time against false alarms a year as all thresholds move together."""
    return [
        {
            "shift": float(shift),
            "in_time_share": float(margins.in_time(shift).mean()),
            "false_alarms_per_year": margins.false_alarms_per_year(shift),
        }
        for shift in CURVE_SHIFTS
        if len(margins.fires)
    ]


def installed(names: Sequence[str]) -> list[str]:
    """Those rivals whose packages are there."""
    found = []
    for name in names:
        try:
            registry.check_installed([name])
        except InputError:
            continue
        found.append(name)
    return found


def examine_rivals(
    ours: Judged, streams: ExamStreams, recipe: Recipe, *, device: str | devices.Device = ANYTHING,
    names: Sequence[str] = SIMPLE, beside: Sequence[Run] = (), seed: int,
    on_progress: OnProgress = lambda line: None, kept: KeptParts | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train the rivals of a run and compare them with it on an exam's streams.

    Args:
        ours: the run, ready to be judged.
        streams: what it was examined on, with its results.
        recipe: of the run; rivals learn from the windows that it draws.
        device: whose streams they are, and for which their thresholds are set.
        names: which rivals; one that is the examinee's own kind is left out.
        beside: other runs, such as one that was trained longer; with thresholds for the device.
        seed: of the bootstrap.
        on_progress: takes a line of progress.
        kept: what an exam that was broken off has done; nothing by default.

    Returns:
        `rows`, ours first; `curves` of each contestant; `reference_alarms`, a point a
        sensitivity; `missed`, our missed fires and who finds them, of `misses.missed_fires`.

    Raises:
        InputError: a package of the extra is missing.
    """
    if ours.name in names:
        on_progress(f"{ours.name} is what is examined, and no rival of itself")
        names = [name for name in names if name != ours.name]
    registry.check_installed(list(names))
    contest = Contest(streams, recipe, device, tuple(names), on_progress, kept or KeptParts())
    mine, theirs, costs = our_margins(streams), {}, {}
    for name in names:
        theirs[name], costs[name] = contest.of(name)
    for run in beside:
        name = run.folder.resolve().name
        on_progress(f"{name}: scoring the same streams")
        theirs[name] = margins_of(judged_run(run_for(run, device, say=on_progress)), streams)
        costs[name] = {"windows": trained_windows(run.recipe)}
    rows = compare(mine, theirs, name=ours.name, seed=seed)
    own: dict[str, Any] = {"windows": trained_windows(recipe)}
    everybody = {ours.name: mine} | theirs
    return {
        "rows": [ComparisonRow(**(vars(row) | costs.get(row.name, own))) for row in rows],
        "curves": {name: curve(margins) for name, margins in everybody.items()},
        "reference_alarms": reference_points(streams),
        "missed": misses.missed_fires(
            [result.trial for result in alone(streams.fires)],
            mine.in_time(0.0),
            {row.name: theirs[row.name].in_time(_shift_of(row)) for row in rows[1:]},
        ),
    }


class Contest:
    """Rivals of a run, each fitted and let see an exam's streams."""

    def __init__(
        self, streams: ExamStreams, recipe: Recipe, device: str | devices.Device,
        names: Sequence[str], on_progress: OnProgress, kept: KeptParts,
    ) -> None:  # fmt: skip
        """Take what they see, what they learn from, their device and who they are."""
        self.streams, self.recipe, self.device, self.names = streams, recipe, device, names
        self.say, self.kept = on_progress, kept

    @cached_property
    def training_set(self) -> TrainingSet:
        """The windows that all learn from."""
        self.say("drawing the training windows for simpler detectors")
        most = max(registry.RIVALS[name].most for name in self.names)
        return registry.draw_training_set(self.recipe, most=most)

    @cached_property
    def given(self) -> str:
        """A digest of all that they are given."""
        return digest(self.streams, recipes.to_dict(self.recipe), self.device, self.names)

    def of(self, name: str) -> tuple[Margins, dict[str, Any]]:
        """A rival's margins, and what it took."""

        def found() -> list[dict[str, Any]]:
            trained = _trained(name, self.training_set, self.device, self.say)
            self.say(f"{name}: scoring the same streams")
            return [vars(margins_of(judged_rival(trained), self.streams)), _costs(trained)]

        margins, costs = self.kept.once("rival", found, name, self.given)
        return Margins(**margins), costs


def trained_windows(recipe: Recipe) -> int:
    """How many windows a run of a recipe learns from, where nothing stops it early."""
    return recipe.windows * recipe.new_epochs


def _shift_of(row: ComparisonRow) -> float:
    return math.inf if row.threshold_shift is None else row.threshold_shift


def _trained(
    name: str, training_set: TrainingSet, device: str | devices.Device, on_progress: OnProgress
) -> Trained:
    on_progress(f"fitting {name}")
    one = registry.train_rival(name, training_set, device=device)
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


def who(found: Mapping[str, Any]) -> str:
    """What was compared with others, as a sentence names it."""
    rows = found.get("rows") or [{"name": TRANSFORMER}]
    name = str(rows[0]["name"])
    return f"the {name}" if name in (TRANSFORMER, ENSEMBLE) else name


def headline(found: Mapping[str, Any]) -> str | None:
    """One sentence: the verdict against the photoelectric alarm and against simpler detectors."""
    rows = found.get("rows") or []
    if not rows:
        return None
    mine = rows[0]
    photo = next((p for p in found.get("reference_alarms", []) if p["name"] == "photo"
                  and p["sensitivity"] == 1.0), None)  # fmt: skip
    said = []
    if photo is not None and mine["fires"]:
        share = mine["own_in_time"] / mine["fires"]
        said.append(
            f"Finds {share:.1%} of {mine['fires']:,} simulated fires in time, with "
            f"{mine['own_false_alarms_per_year']:.3g} false alarms a year; a photoelectric alarm "
            f"in the same air {photo['in_time_share']:.1%} and "
            f"{photo['false_alarms_per_year']:.3g}."
        )
    words = {WIN: "beats", LOSS: "loses to", TIE: "is not shown to beat"}
    for kind, word in words.items():
        names = [str(row["name"]) for row in rows[1:] if row.get("verdict") == kind]
        if names:
            said.append(f"At equal false alarms {who(found)} {word} {', '.join(names)}.")
    return " ".join(said) or None
