"""The examination of a run: quick, or in full.

The quick level is what `saafe train` ends with. The full one lets continuous streams through the
detector that users run; its seeds are apart from every training's.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import torch

from saafe import metrics, readers
from saafe.errors import InputError
from saafe.exam import (
    calibration,
    faults,
    identity,
    long,
    model_card,
    monotonicity,
    outcomes,
)
from saafe.exam.amounts import FULL
from saafe.exam.classes import ClassFigures, draw_normal, examine_classes
from saafe.exam.examinee import Examinee, check_end, files_of, judged_on, weights_file
from saafe.exam.fire_matrix import (
    FireRow,
    NoticeRow,
    against_references,
    by_notice,
    egress_part,
    examine_fires,
)
from saafe.exam.fires import DrawnFires, alone, draw_fires, fire_kinds
from saafe.exam.gate import (
    CALIBRATION_LIMITS,
    GATE_LIMITS,
    LIFE_LIMITS,
    as_bounds,
    exact,
    gate_lines,
    gate_of,
    limits_of,
    quick_limits,
)
from saafe.exam.judging import check_real, judge_real
from saafe.exam.kept import KEPT_PARTS, KeptParts, basis
from saafe.exam.nuisances import (
    DrawnNuisances,
    NuisanceRow,
    YearRow,
    draw_nuisances,
    examine_nuisances,
    examine_quiet,
    nuisance_ratio,
    per_100_cookings,
    year,
)
from saafe.exam.quick import (
    VERSION,
    ExamDevice,
    cost_of,
    exam_device,
    examine_quick,
    provenance,
    quick_figures,
)
from saafe.exam.recordings import HOMES, SUPERPOSED
from saafe.exam.results import plain_values
from saafe.exam.rivals import SIMPLE, ExamStreams, examine_rivals, installed
from saafe.exam.session import Case, OnProgress, Session
from saafe.exam.shifts import ShiftRow, examine_shifts
from saafe.exam.written import is_full, write_exam
from saafe.files import plain_name, write_json
from saafe.metrics import Bounds
from saafe.recordings import Home
from saafe.rivals import registry
from saafe.simulator import sources
from saafe.threads import Workers
from saafe.training import SEEDS, Run

EXAM_FILE = "exam.json"
MOST_WINDOWS = 3_500_000  # that a full exam may score
DENSE_DAYS = 0.25  # of each recorded home at 10 s on six sensors, to stay under that
APART = (*SUPERPOSED, "identity")  # what recordings give that stands apart in exam.json


@dataclass(frozen=True)
class ExamOptions:
    """What a full exam does beside the simulated streams."""

    seed: int = 0  # of the exam; training's seeds are apart whatever it is
    device: ExamDevice | None = None  # the run's own by default
    real: Path | None = None  # folder of published recordings or sets to score, or None
    rivals: bool = False  # whether all rivals are compared, else the simple ones
    beside: Sequence[Run] = ()  # other runs that are compared
    on_progress: OnProgress = lambda line: None  # takes a line of progress
    kept: KeptParts | None = None  # what is done already; nothing, and nothing is kept, by default


@dataclass(frozen=True)
class SimulatedParts:
    """What simulated streams give, under the names that exam.json has for it."""

    fires: list[FireRow]  # the last one of all kinds together
    notice: list[NoticeRow]
    against_reference_alarms: dict[str, Any]
    egress: dict[str, Any]
    nuisances: list[NuisanceRow]
    nuisance_ratio: dict[str, Any]
    life: dict[str, Any]
    faults: list[faults.FaultRow]
    fault_watch: dict[str, Any]
    shift: list[ShiftRow]
    windows: ClassFigures
    calibration: dict[str, Any]
    ramps: dict[str, Any]


def examine(
    run: Examinee,
    *,
    level: Literal["quick", "full"] = "full",
    device: str | None = None,
    seed: int | None = None,
    real: Path | str | None = None,
    rivals: bool = False,
    beside: Sequence[Run] = (),
    on_progress: OnProgress = lambda _: None,
) -> dict[str, Any]:
    """Examine a run and write its exam.json, report and model card.

    Of an exported file FILE.onnx, FILE-exam.json and FILE-report.html beside it, and no card.
    A full exam that is broken off goes on where it was when it is asked for again.

    Args:
        run: a loaded run folder, or an exported file.
        level: "quick" takes about a minute, "full" a quarter of an hour.
        device: whose sensors are simulated: a name of the catalogue, the path of a device file,
            or "anything"; the one that the run was trained for by default, else saafe-6.
        seed: of the full exam, 0 by default; apart from training's seeds. 0 to 2^31 - 1.
        real: folder of published recordings or annotated sets that a full exam scores too.
        rivals: whether a full exam trains all rivals and compares them, else the simple ones.
        beside: other runs that a full exam compares too, such as one that was trained longer.
        on_progress: takes a line of progress.

    Returns:
        What exam.json holds; `gate` says whether the run passed. A quick result is returned but
        not written where the folder holds the full exam of the same model and device.

    Raises:
        InputError: the device is unknown, the recordings or a package are missing, the folder
            cannot be written, the seed is none, or a quick exam was asked for what only a full
            one does.

    Example:
        >>> import saafe
        >>> run = saafe.load("runs/RUN")
        >>> saafe.examine(run, level="quick")["gate"]["level"]
        'quick'
    """
    cases: list[Case] = []
    kept: KeptParts | None = None
    asked_of = [(run, "settings"), *((one, "model") for one in beside)]  # a file stands beside none
    if odd := [one for one, part in asked_of if not hasattr(one, part)]:
        raise InputError(  # a path
            f'examine: takes a run, as saafe.load("runs/RUN") gives it, got {type(odd[0]).__name__}'
        )
    if level not in ("quick", "full"):
        raise InputError(f"level = {level!r}: choose from quick, full")
    if seed is not None and not (isinstance(seed, Integral) and 0 <= seed < SEEDS):
        raise InputError(f"seed: came {seed!r}; allowed: a whole number from 0 to {SEEDS - 1}")
    on_device = exam_device(run, device)
    asked = {
        "real": real is not None,
        "rivals": rivals,
        "beside": bool(beside),
        "seed": seed is not None,
    }
    if level == "quick" and any(asked.values()):
        name = next(name for name, is_asked in asked.items() if is_asked)
        raise InputError(f"{name} is of the full exam: leave it out, or leave out quick")
    check_end(run, on_device.called, is_own=on_device.is_own)
    if level == "quick":
        result = examine_quick(run, device=on_device, on_progress=on_progress)
    else:
        real = None if real is None else Path(real)
        file = files_of(run, on_device.called, is_own=on_device.is_own)[0].with_suffix(KEPT_PARTS)
        kept = KeptParts(file, of=basis(run), say=on_progress)
        plan = ExamOptions(seed or 0, on_device, real, rivals, tuple(beside), on_progress, kept)
        result, cases = examine_full(run, plan)
    written = write_exam(run, result, cases, is_own=on_device.is_own, called=on_device.called)
    if kept is not None:
        kept.drop()
    for path in written:
        on_progress(f"wrote {path}")
    if not written:
        on_progress(f"{weights_file(run).parent}: keeps the full exam that it has")
    return result


def examine_long(
    run: Run, *, device: str | None = None, folder: Path | str | None = None, count: int = 1,
    shards: Sequence[int] = (), work: long.ShardWork = long.shards_here,
    on_progress: OnProgress = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Examine shards of the long level, add up those that are there, write exam.json and the card.

    The report stays the full exam's: the readings of its worst cases are not kept.

    Args:
        run: a loaded run folder, with a full exam of the device.
        device: as of `examine`.
        folder: of the shards' files; RUN/long-DEVICE by default.
        count: how many shards that the folder lacks to examine; 0 only adds up.
        shards: their numbers, instead.
        work: has them examined; in this process by default.
        on_progress: takes a line of progress.

    Returns:
        What exam.json holds: the full exam's, with the long level's lines and a part `long`.

    Raises:
        InputError: there is no full exam to go on from, or a shard is of another model.
    """
    on_device = exam_device(run, device)
    figures, _ = files_of(run, on_device.called, is_own=on_device.is_own)
    if not is_full(figures, run):
        raise InputError(f"{figures}: is no full exam of this model; run the full level first")
    place = Path(folder) if folder else run.folder / f"long-{plain_name(on_device.called)}"
    numbers = list(shards) or long.missing_shards(place, count)
    long.write_shards(run, on_device, place, numbers, work=work, on_progress=on_progress)
    merged = long.merge_shards(long.read_shards(place, run, on_device))
    result = long.with_long(json.loads(figures.read_text()), merged)
    write_json(figures, result)
    card = [model_card.write_model_card(run, result)] if on_device.is_own else []
    for path in [figures, *card]:
        on_progress(f"wrote {path}")
    return result


def examine_full(run: Examinee, plan: ExamOptions) -> tuple[dict[str, Any], list[Case]]:
    """Examine a run in full: what exam.json holds, and the worst cases with their readings.

    Raises:
        InputError: the folder of recordings holds none, or a rival's package is missing.
    """
    device = plan.device or exam_device(run, None)
    own = judged_on(run, None, say=plan.on_progress)
    session = Session(
        own, plan.seed, device=device.sensors, on_progress=plan.on_progress, kept=plan.kept
    )
    share = 0.7 if plan.real else 0.8
    # at the run's own thresholds, and first: it is what a user's folder can break
    real = real_part(session, plan)
    one = session.one = judged_on(run, device.sensors, say=plan.on_progress)
    parts, streams = simulated_parts(session, run, share)
    found = outcomes.counts_of(alone(streams.fires))["in_time"]
    limits = quick_limits(limits_of(run.recipe.tier)) | GATE_LIMITS
    figures = quick_figures(parts.windows, found, len(alone(streams.fires)), cost_of(run))
    lines = gate_lines(figures | gate_figures(parts), limits)
    names = tuple(registry.RIVALS) if plan.rivals else tuple(installed(SIMPLE))
    rivals = examine_rivals(
        one,
        streams,
        run.recipe,
        device=device.sensors,
        names=names,
        beside=plan.beside,
        seed=plan.seed,
        on_progress=plan.on_progress,
        kept=session.kept,
    )
    result = {
        "version": VERSION,
        "level": "full",
        "device": device.name,
        "seed": plan.seed,
        "gate": gate_of("full", device.name, lines),
        "windows_scored": session.windows,
        "windows_limit": MOST_WINDOWS,
        "seconds": round(session.seconds, 1),
        "provenance": provenance(run, session.settings),
        **vars(parts),
        "recordings": {key: part for key, part in real.items() if key not in APART},
        **{key: real.get(key, {}) for key in APART},
        "rivals": rivals,
    }
    cases = session.cases()
    return plain_values(result | {"cases": [case.named() for case in cases]}), cases


def simulated_parts(
    session: Session, run: Examinee, share: float
) -> tuple[SimulatedParts, ExamStreams]:
    """Every part on simulated streams, and the streams; `share` of all the time is theirs."""
    drawn, nuisances = draw_streams(session)
    session.begin(0.3 * share)
    fires, results = examine_fires(session, drawn)
    session.begin(0.3 * share)
    rows, disturbed = examine_nuisances(session, nuisances)
    session.begin(0.06 * share)
    quiet, still = examine_quiet(session)
    session.begin(0.14 * share)
    points = faults.examine_points(session, results)
    session.begin(0.1 * share)
    watch = faults.examine_watch(session)
    session.begin(0.1 * share)
    shift = examine_shifts(session)
    session.begin(0.06 * share)
    scenarios = [one for kind in drawn[:-1] for one in kind.scenarios]
    scenarios += [one for kind in nuisances.values() for one in kind.scenarios]
    scenarios += draw_normal(session, FULL.normal_moments, part=0)
    one, seed, device = session.judged(), run.recipe.seed, session.device
    classes = examine_classes(session, scenarios)
    calibrated = calibration.examine_calibration(one, seed, device=device)
    ramped = monotonicity.examine_monotonicity(one, seed, device=device)
    session.on_progress("windows, calibration, ramps")
    parts = SimulatedParts(
        fires=fires,
        notice=by_notice(results),
        against_reference_alarms=against_references(results),
        egress=egress_part(results, session.seed),
        nuisances=rows,
        nuisance_ratio=nuisance_ratio(disturbed, session.seed),
        life=year(quiet, rows),
        faults=points,
        fault_watch=watch,
        shift=shift,
        windows=classes,
        calibration=calibrated,
        ramps=ramped,
    )
    return parts, ExamStreams(results, disturbed, still)


def draw_streams(session: Session) -> tuple[list[DrawnFires], dict[str, DrawnNuisances]]:
    """The fires and the nuisances of a full exam, drawn on all cores."""
    with Workers(torch.get_num_threads()) as workers:
        fires = [
            workers.later(draw_fires, session, name, FULL.fires, part=100 * k, mix=mix,
                          batch=FULL.batch, moments=FULL.fire_moments)
            for k, (name, mix) in enumerate(fire_kinds())
        ]  # fmt: skip
        nuisances = {
            source.name: workers.later(
                draw_nuisances, session, (source.name,),
                FULL.events_of(source), part=100 * k, batch=FULL.batch,
                moments=FULL.nuisance_moments,
            )
            for k, source in enumerate(sources.NUISANCES)
        }  # fmt: skip
        return [kind() for kind in fires], {name: kind() for name, kind in nuisances.items()}


def gate_figures(parts: SimulatedParts) -> dict[str, tuple[Bounds, int]]:
    """What the full gate holds to its limits, and how many each figure is of."""
    fires, egress = parts.fires[-1], parts.egress
    years: dict[str, YearRow] = {room: parts.life[room] for room in LIFE_LIMITS}
    false, ramps = parts.fault_watch["false_faults"], parts.ramps
    best = parts.against_reference_alarms["not_later_than_best"]["at_1"]
    ratio = parts.nuisance_ratio["at_1"]
    tenths = {"egress_s": "fire_room", "egress_exit_path_s": "other_rooms",
              "egress_fast_kinds_s": "fast"}  # fmt: skip
    calibrated = {
        f"calibration_error_{name.partition('_')[0]}": parts.calibration[name]
        for name in CALIBRATION_LIMITS
    }
    return {
        "in_time": (metrics.proportion_bounds(fires.in_time, fires.n, sides=1), fires.n),
        "not_later_than_best_reference_alarm": (as_bounds(best), best["n"]),
        "nuisance_ratio": (as_bounds(ratio), ratio["n"]),
        "nuisance_per_100_cookings": per_100_cookings(parts.nuisances),
        "early_alarms": exact(float(fires.early), fires.n),
        **{name: (as_bounds(egress[key]), egress[key]["n"]) for name, key in tenths.items()},
        "faults_said": faults.said_share(parts.fault_watch["faults_said_within_60s"]),
        "false_faults_per_month": (
            as_bounds(false, "per_month"), round(false["detector_months"])),
        "lost_channel_points": faults.worst_lost_channel(parts.faults),
        **{name: (as_bounds(part, "ece", prefix="ece_"), part["windows"])
           for name, part in calibrated.items()},
        "risk_falls": (as_bounds(ramps, "share", prefix="share_"), ramps["pairs"]),
        **{f"{room}_false_alarms_per_year": (
            as_bounds(vars(row), "alarms_per_year"), row.alarms)
           for room, row in years.items()},
    }  # fmt: skip


def real_part(session: Session, plan: ExamOptions) -> dict[str, Any]:
    """Recorded fires, homes and superposed fires, the homes' false faults and their identity.

    Annotated sets too, whose windows count in their own parts and not as the exam's.
    """
    if plan.real is None:
        return {}
    session.begin(0.15)
    check_real(plan.real, plan.on_progress)
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
