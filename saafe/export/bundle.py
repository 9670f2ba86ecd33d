"""`saafe export`: a run as files that need no torch, and how near they are to it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from saafe import __version__
from saafe.detector import Model, detect, load_exported
from saafe.errors import InputError, as_given, check_type
from saafe.exam import judge_simulated, judging, plain_values
from saafe.export import boosting, c_files, onnx_files, parity
from saafe.files import scratch_folder, writable_folder, write_atomically, write_json
from saafe.simulator import devices
from saafe.training import Run, device_of, run_for, runs

TO_BOOSTING, TO_ENSEMBLE = "boosting", "ensemble"
WITH_TREES = (TO_BOOSTING, TO_ENSEMBLE)  # other models than the run's
ONNX_NAMES = {
    "onnx": "saafe.onnx", "int8": "saafe-int8.onnx", TO_BOOSTING: "saafe-boosting.onnx",
    TO_ENSEMBLE: "saafe-ensemble.onnx",
}  # fmt: skip
EXPORTS = (*ONNX_NAMES, "c")
# largest difference in risk, as a share, with which a file is written
PARITY_LIMITS = {
    "onnx": 1e-4, "c": 1e-4, TO_BOOSTING: 1e-4, TO_ENSEMBLE: 1e-4,
    "int8": 0.05,  # chosen: 0.01 has been seen
}  # fmt: skip
GO_WITH_IT = ("MODEL_CARD.md", "exam.json")  # of the run, and so not with another model
Say = Callable[[str], None]


def export_run(
    run: Run, to: str, out: Path | str | None = None, *, device_names: Sequence[str] = (),
    exam: bool = False, on_progress: Say = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Write a run as self-contained files, compare them with it, and report.

    "boosting" and "ensemble" fit trees on the run's windows, write them, and compare the file with
    what was fitted.

    Args:
        run: to export.
        to: "onnx" (single precision), "int8" (its encoder in eight bits), "c" (C99), "boosting"
            (gradient boosting) or "ensemble" (the run and boosting); the last two take minutes.
        out: folder to write into; `export` in the run's folder by default.
        device_names: devices of the catalogue whose thresholds the files hold as well; "all".
            A C file holds one device's thresholds: the run's, or those of the one that is named.
        exam: also judge an exported ONNX file and the run on simulated streams, side by side.
        on_progress: takes lines of progress.

    Returns:
        The report, which lies beside the files as `export-TO.json`: their sizes, the largest
        difference in risk of each case, how many recordings gave the same events, and the time
        of one window.

    Raises:
        InputError: `to` is unknown, the folder cannot be written, scikit-learn is missing for
            trees, or the risk differs from the run's by more than `PARITY_LIMITS`; then
            nothing is written.
    """
    check_type(run, Run, 'export_run: takes a run, as saafe.load("runs/RUN") gives it')
    if isinstance(device_names, str):
        raise InputError(f'device_names: takes names, such as ["{device_names}"], got str')
    if to not in EXPORTS:
        raise InputError(
            f"{as_given('--to', 'to')} {to}: unknown; choose from {', '.join(EXPORTS)}"
        )
    if exam and to not in ONNX_NAMES:
        given = as_given("--exam", "exam")
        raise InputError(f"{given} judges ONNX files; the C of {to} is compared window by window")
    asked = devices.device_names() if "all" in device_names else device_names
    if to == "c" and len(asked) > 1:
        once = as_given("--device once", "one name in device_names")
        raise InputError(f"C files hold the thresholds of one device: give {once}")
    if to in WITH_TREES:
        boosting.check_boosting(run, asked)
    for number, name in enumerate(() if to in WITH_TREES else asked, start=1):
        on_device = run_for(run, name)
        on_progress(f"thresholds for {name} ({number} of {len(asked)})")
        run = on_device if to == "c" else run
    out = writable_folder(run.folder / "export" if out is None else Path(out))
    report = {
        "to": to,
        "run": run.folder.resolve().name,
        "tier": run.recipe.tier,
        "saafe": __version__,
        "model_sha256": runs.sha256(run.folder / runs.MODEL),
        "limit": PARITY_LIMITS[to],
    }
    if to in WITH_TREES:
        report |= export_trees(run, to, asked, out, exam=exam, on_progress=on_progress)
    elif to in ONNX_NAMES:
        report |= export_onnx(run, to, out, exam=exam, on_progress=on_progress)
    else:
        report |= c_files.export_c(run, out, PARITY_LIMITS[to], on_progress=on_progress)
    for name in GO_WITH_IT:
        is_its = to not in WITH_TREES and (run.folder / name).is_file()
        if is_its and out.resolve() != run.folder.resolve():
            write_atomically(out / name, (run.folder / name).read_bytes())
    write_json(out / f"export-{to}.json", report)
    return report


def export_onnx(run: Run, to: str, out: Path, *, exam: bool, on_progress: Say) -> dict[str, Any]:
    """Write an ONNX file and compare it."""
    on_progress("writing the graph" if to == "onnx" else "calibrating on simulated windows")
    data = onnx_files.single_precision(run) if to == "onnx" else onnx_files.eight_bits(run)
    return write_onnx(data, to, out, run, run, exam=exam, on_progress=on_progress)


def export_trees(
    run: Run, to: str, device_names: Sequence[str], out: Path, *, exam: bool, on_progress: Say
) -> dict[str, Any]:
    """Fit gradient boosting, write it as an ONNX file, alone or with the run, and compare that."""
    boosted = boosting.boosted_on(run, device_names, on_progress, with_run=to == TO_ENSEMBLE)
    on_progress("writing the graph")
    data = boosting.boosting_file(run, boosted)
    report = write_onnx(data, to, out, run, boosted, exam=exam, on_progress=on_progress)
    facts = {"windows": boosted.windows, "fit_s": round(boosted.fit_s, 1)}
    file, theirs = out / ONNX_NAMES[to], [n for n in GO_WITH_IT if (out / n).is_file()]
    if theirs:
        report["notes"] = [
            f"{' and '.join(theirs)} in {out} are of the run; `saafe exam {file}` examines this one"
        ]
    return boosting.identity_of(run, boosted) | facts | report


def write_onnx(
    data: bytes, to: str, out: Path, run: Run, reference: Model, *, exam: bool, on_progress: Say
) -> dict[str, Any]:
    """Compare an ONNX file with what it was made of, the run or another, and write it."""
    path = out / ONNX_NAMES[to]
    with scratch_folder(len(data)) as folder:
        trial = folder / path.name
        trial.write_bytes(data)
        model = load_exported(trial)
    on_progress("comparing with the run" if reference is run else "comparing with what was fitted")
    recordings = parity.parity_recordings(run.recipe)
    rows = parity.compare_risk(reference, model.score, parity.parity_cases(recordings))
    parity.check_limit(rows, PARITY_LIMITS[to], is_run=reference is run)
    events = parity.compare_events(reference, lambda r: detect(model, r).events, recordings)
    judged = {}
    if exam:
        judged = {"exam": {"run": judge(run, run, on_progress),
                           to: judge(run, model, on_progress)}}  # fmt: skip
    write_atomically(path, data)
    return {
        "files": {path.name: len(data)},
        "parity": [row._asdict() for row in rows],
        "events": events,
        **judged,
        **judging.window_times(model.score),
    }


def judge(run: Run, model: Any, on_progress: Say) -> dict[str, Any]:
    """Figures on simulated streams, as `saafe evaluate` gives them."""
    one = judging.Judged("exported", model.score, model.settings)
    return plain_values(
        judge_simulated(
            one, seed=run.recipe.seed, device=device_of(run.recipe), on_progress=on_progress
        )
    )
