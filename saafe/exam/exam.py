"""The examination of a run: quick, or in full.

The quick level is what `saafe train` ends with. The full one lets continuous streams through the
detector that users run; its seeds are apart from every training's.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from saafe import metrics, readers, recipes
from saafe.errors import InputError
from saafe.exam import calibration, faults, identity, model_card, monotonicity, report
from saafe.exam.fires import by_notice, examine_fires
from saafe.exam.gate import (
    as_bounds,
    calibration_line,
    full_lines,
    limits_of,
    quick_lines,
    real_lines,
)
from saafe.exam.nuisances import examine_nuisances, examine_quiet, per_100_cookings, year
from saafe.exam.recordings import HOMES
from saafe.exam.results import plain_values
from saafe.exam.rivals import examine_rivals
from saafe.exam.session import Case, OnProgress, Session
from saafe.exam.shifts import examine_shifts, judge_simulated
from saafe.exam.windows import TRAINING_ROOMS, judge_real, judge_windows, judged_run, latency_ms
from saafe.files import write_json
from saafe.metrics import Bounds
from saafe.recordings import Home
from saafe.training import Purpose, Run, runs

EXAM_FILE = "exam.json"
VERSION = "quick-1"
FULL_VERSION = "full-1"
QUICK_TRIALS = 28
MOST_WINDOWS = 1_500_000  # that a full exam may score
DENSE_DAYS = 0.25  # of each recorded home at 10 s on six sensors, to stay under that
APART = ("superposed_fires", "identity")  # what recordings give that stands apart in exam.json


@dataclass(frozen=True)
class ExamOptions:
    """What a full exam does beside the simulated streams."""

    seed: int = 0  # of the exam; training's seeds are apart whatever it is
    real: Path | None = None  # folder of published recordings or sets to score, or None
    rivals: bool = False  # whether simpler detectors are trained and compared
    on_progress: OnProgress = lambda line: None  # takes a line of progress


def examine(
    run: Run,
    *,
    level: Literal["quick", "full"] = "full",
    seed: int | None = None,
    real: Path | str | None = None,
    rivals: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> dict[str, Any]:
    """Examine a run and write its exam.json, report and model card.

    Args:
        run: a loaded run folder.
        level: "quick" takes under a minute, "full" a quarter of an hour.
        seed: of the full exam, 0 by default; apart from training's seeds.
        real: folder of published recordings or annotated sets that a full exam scores too.
        rivals: whether a full exam trains simpler detectors and compares them.
        on_progress: takes a line of progress.

    Returns:
        What exam.json holds; `gate` says whether the run passed. A quick result is returned but
        not written where the folder holds the full exam of the same model.

    Raises:
        InputError: the recordings or a package are missing, the folder cannot be written, or a
            quick exam was asked for what only a full one does.

    Example:
        >>> import saafe
        >>> run = saafe.load("runs/RUN")
        >>> saafe.examine(run, level="quick")["gate"]["level"]
        'quick'
    """
    cases: list[Case] = []
    if level not in ("quick", "full"):
        raise InputError(f"level = {level!r}: choose from quick, full")
    asked = {"real": real is not None, "rivals": rivals, "seed": seed is not None}
    if level == "quick" and any(asked.values()):
        name = next(name for name, is_asked in asked.items() if is_asked)
        raise InputError(f"{name} is of the full exam: leave it out, or leave out quick")
    if not os.access(run.folder, os.W_OK):  # not after a quarter of an hour
        raise InputError(f"{run.folder}: {EXAM_FILE} cannot be written there; copy the run first")
    if level == "quick":
        result = examine_quick(run, on_progress=on_progress)
    else:
        real = None if real is None else Path(real)
        result, cases = examine_full(run, ExamOptions(seed or 0, real, rivals, on_progress))
    written = write_exam(run, result, cases)
    for path in written:
        on_progress(f"wrote {path}")
    if not written:
        on_progress(f"{run.folder}: keeps the full exam that it has")
    return result


def examine_quick(run: Run, *, on_progress: OnProgress = lambda _: None) -> dict:
    """Examine a run on simulated scenarios in under a minute: what exam.json holds."""
    figures = judge_simulated(
        judged_run(run), seed=run.recipe.seed, trials=QUICK_TRIALS, on_progress=on_progress
    )
    size, latency = cost_of(run)
    lines = quick_lines(figures["same rooms"]["windows"], size, latency, limits_of(run.recipe.tier))
    result = {
        "version": VERSION,
        "gate": gate_of("quick", lines),
        "figures": {**figures, "model_bytes": size, "latency_p99_ms": round(latency, 3)},
    }
    return plain_values(result)


def cost_of(run: Run) -> tuple[int, float]:
    """Size of the model's file [B] and the 99th percentile of a window's time [ms]."""
    return (run.folder / runs.MODEL).stat().st_size, latency_ms(run)


def gate_of(level: str, lines: list[dict]) -> dict:
    """The gate: passed only where every line passes."""
    passed = all(line["status"] == metrics.PASS for line in lines)
    return {"level": level, "passed": passed, "lines": lines}


def examine_full(run: Run, plan: ExamOptions) -> tuple[dict[str, Any], list[Case]]:
    """Examine a run in full: what exam.json holds, and the worst cases with their readings.

    Raises:
        InputError: the folder of recordings holds none, or a rival's package is missing.
    """
    session = Session(judged_run(run), plan.seed, on_progress=plan.on_progress)
    share = 0.85 if plan.real else 1.0
    real = real_part(session, plan)  # what a user's folder can break comes first
    parts = simulated_parts(session, run, share)
    size, latency = cost_of(run)
    limits = limits_of(run.recipe.tier)
    lines = [
        *quick_lines(parts["windows"], size, latency, limits),
        *full_lines(gate_figures(parts)),
        calibration_line(parts["calibration"]),
    ]
    if "scored" in real.get("sources", {}).values():  # annotated sets are shown, never gated
        lines += real_lines(real)
    result = {
        "version": FULL_VERSION,
        "level": "full",
        "seed": plan.seed,
        "gate": gate_of("full", lines),
        "windows_scored": session.windows,
        "windows_limit": MOST_WINDOWS,
        "seconds": round(session.seconds, 1),
        "provenance": provenance(run),
        **parts,
        "model_bytes": size,
        "latency_p99_ms": round(latency, 3),
        "recordings": {key: part for key, part in real.items() if key not in APART},
        **{key: real.get(key, {}) for key in APART},
        "rivals": [],
    }
    if plan.rivals:  # extra: their windows do not count as the exam's
        result["rivals"] = examine_rivals(
            session.one, run.recipe, real=plan.real, on_progress=plan.on_progress
        )
    cases = session.cases()
    return plain_values(result | {"cases": [case.named() for case in cases]}), cases


def simulated_parts(session: Session, run: Run, share: float) -> dict[str, Any]:
    """Every part on simulated streams; `share` of the whole exam's time is theirs."""
    session.begin(0.22 * share)
    fires, results = examine_fires(session)
    session.begin(0.26 * share)
    nuisances = examine_nuisances(session)
    session.begin(0.06 * share)
    quiet = examine_quiet(session)
    session.begin(0.18 * share)
    points = faults.examine_points(session, results)
    session.begin(0.14 * share)
    watch = faults.examine_watch(session)
    session.begin(0.1 * share)
    shift = examine_shifts(session)
    session.begin(0.04 * share)
    one, seed = session.judged(), run.recipe.seed
    windows = judge_windows(one, TRAINING_ROOMS, seed, Purpose.JUDGE)
    calibrated = calibration.examine_calibration(one, seed)
    ramped = monotonicity.examine_monotonicity(one, seed)
    session.on_progress("windows, calibration, ramps")
    return {
        "fires": fires,
        "notice": by_notice(results),
        "nuisances": nuisances,
        "life": year(quiet, nuisances),
        "faults": points,
        "fault_watch": watch,
        "shift": shift,
        "windows": windows,
        "calibration": calibrated,
        "ramps": ramped,
    }


def gate_figures(parts: dict[str, Any]) -> dict[str, tuple[Bounds, int]]:
    """What the full gate holds to its limits, and how many each figure is of."""
    fires, quiet = parts["fires"][-1], parts["life"]["quiet"]
    false = parts["fault_watch"]["false_faults"]
    early, n = float(fires.early), fires.n
    return {
        "fires_in_time_lower95": (metrics.proportion_bounds(fires.in_time, n, sides=1), n),
        "early_alarms": (Bounds(early, early, early), n),
        "quiet_false_alarms_per_year": (as_bounds(vars(quiet), "alarms_per_year"), quiet.streams),
        "nuisance_per_100_cookings": per_100_cookings(parts["nuisances"]),
        "false_faults_per_month": (as_bounds(false, "per_month"), round(false["detector_months"])),
        "faults_said_within_60s": faults.said_share(parts["fault_watch"]["faults_said_within_60s"]),
        "lost_channel_points": faults.worst_lost_channel(parts["faults"]),
    }


def real_part(session: Session, plan: ExamOptions) -> dict[str, Any]:
    """Recorded fires, homes and superposed fires, the homes' false faults and their identity.

    Annotated sets too, whose windows count in their own parts and not as the exam's.
    """
    if plan.real is None:
        return {}
    session.begin(0.15)
    out = judge_real(
        session.judged(),
        plan.real,
        dense_days=DENSE_DAYS,
        elsewhere=False,
        on_progress=plan.on_progress,
    )
    # a user's sets may be of any size, and the exam promises its own
    session.windows -= sum(part["windows"] for part in out["sets"])
    homes = plan.real / HOMES
    if homes.is_dir():
        lived_in = [
            Home(item.recording, item.stove) for item in readers.read_published(HOMES, homes)
        ]
        recordings = [home.recording for home in lived_in]
        out["false_faults_in_homes"] = faults.sum_false_faults(recordings)
        out["identity"] = identity_part(session, lived_in)
    session.on_progress("recordings")
    return out


def identity_part(session: Session, homes: Sequence[Home]) -> dict[str, Any] | str:
    """Whether quiet minutes tell their home; why not, where that could not be asked."""
    try:
        found = identity.examine_identity(homes, session.seed)
    except InputError as error:  # an extra that is not installed must not end an exam
        return f"not examined: {error}"
    session.windows += found["windows"]
    return found


def provenance(run: Run) -> dict[str, Any]:
    """What was examined, and with what."""
    names = ("commit", "saafe", "python", "torch", "numpy", "system", "device", "cores", "threads")
    now = runs.environment()
    return {
        "examined": now["started"],
        "recipe": recipes.to_dict(run.recipe),
        "model_sha256": runs.sha256(run.folder / runs.MODEL),
        "alarms": run.settings.to_dict(),
        **{name: now[name] for name in names},
    }


def write_exam(run: Run, result: dict[str, Any], cases: Sequence[Case]) -> list[Path]:
    """Write exam.json, the report and the model card, each whole or not at all; say which.

    A quick result never replaces a full one of the same model.
    """
    path = run.folder / EXAM_FILE
    if result["gate"]["level"] == "quick" and is_full(path, run):
        return []
    write_json(path, result)
    drawn = [case.drawn() for case in cases]
    return [
        path,
        report.write_report(run.folder, result, drawn),
        model_card.write_model_card(run, result),
    ]


def is_full(path: Path, run: Run) -> bool:
    """Whether a file is the full exam of this very model."""
    if not path.is_file():
        return False
    try:
        old = json.loads(path.read_text())
        level, sha = old["gate"]["level"], old["provenance"]["model_sha256"]
    except (ValueError, KeyError, TypeError):  # a quick exam, or no exam at all
        return False
    return level == "full" and sha == runs.sha256(run.folder / runs.MODEL)
