"""From a recipe to a finished run folder: train, save, examine."""

import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from saafe.errors import InputError, as_given, check_type
from saafe.exam import exam
from saafe.files import (
    json_text,
    plain_name,
    read_file,
    sole_use,
    write_atomically,
    write_json,
)  # fmt: skip
from saafe.recipes import Recipe, changed, find_tier
from saafe.simulator import devices
from saafe.training import (
    Fit,
    OnShare,
    Progress,
    attempt,
    leads,
    load_checkpoint,
    loop,
    runs,
    save_checkpoint,
    to_train_for,
    unheard,
)


def open_folder(recipe: Recipe, out: Path, name: str | None, *, resume: bool) -> Path:
    """The folder of a run: a new one, or the one to resume.

    A job that torchrun has started again after a rank died resumes by itself.
    """
    if name is not None and plain_name(name) != name:
        given, out_given = as_given("--name", "name"), as_given("--out", "out")
        raise InputError(f"{given} {name}: allowed is a folder's name; {out_given} says where")
    begun = attempt() > 0 and (name is None or (out / name).exists())
    if not resume and not begun:
        folder = out / (name or runs.run_name(recipe))
        return runs.new_folder(out, folder.name, recipe) if leads() else folder
    start_one = f"leave {as_given('--resume', 'resume')} out to start one"
    found = [path.parent for path in out.glob(f"[!.]*/{runs.RECIPE}")]  # hidden: half made
    if not (name or found):
        raise InputError(f"{out}: holds no run to resume; {start_one}")
    folder = out / name if name else max(found, key=lambda folder: folder.stat().st_mtime)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run to resume; {start_one}")
    if runs.read_recipe(folder) != recipe:
        raise InputError(
            f"{folder}: was started with another recipe; resume with the same tier, "
            + as_given(
                "--set and --seed, or give another --name",
                "settings and device, or give another name",
            )
        )
    return folder


def train(
    tier: str = "ultra-fast",
    *,
    settings: Mapping[str, object] | None = None,
    out: Path | str = "runs",
    name: str | None = None,
    resume: bool = False,
    device: str | devices.Device | None = None,
    on_epoch: Callable[[Progress], None] = lambda _: None,
) -> runs.Run:
    """Train a detector on this machine, examine it quickly, and leave its run folder.

    Args:
        tier: its name.
        settings: fields of the recipe to change, as `saafe train --set` takes them.
        out: folder for the run's folder.
        name: of the run's folder; made of tier and time by default.
        resume: go on from the checkpoint of that run.
        device: to train for: a name of the catalogue, the path of a device file, or a Device;
            instruments of any kind by default.
        on_epoch: called after every epoch.

    Returns:
        The run, loaded; its exam.json holds the quick gate.

    Raises:
        InputError: the tier, a setting, the device or the folder cannot be used.

    Example:
        >>> import saafe
        >>> tiny = {"epochs": 1, "windows": 256, "batch": 64, "streams": 32, "width": 16}
        >>> run = saafe.train("tiny", settings=tiny)
        >>> run.recipe.epochs
        1
    """
    check_type(tier, str, "tier: takes the name of a tier")
    check_type(settings, Mapping | None, 'settings: takes {"epochs": 2}')
    check_type(out, str | Path, "out: takes the path of a folder")
    check_type(name, str | None, "name: takes the name of a folder")
    changes = tuple(f"{field}={value}" for field, value in (settings or {}).items())
    recipe = to_train_for(changed(find_tier(tier), changes), device)
    folder = open_folder(recipe, Path(out), name, resume=resume)
    train_and_examine(recipe, folder, on_epoch=on_epoch, resume=resume)
    return runs.load(folder)


def train_and_examine(
    recipe: Recipe,
    folder: Path,
    *,
    on_epoch: Callable[[Progress], None],
    on_thresholds: OnShare = unheard,
    on_progress: Callable[[str], None] = lambda _: None,
    resume: bool = False,
) -> dict[str, Any] | None:
    """Train in a folder from `open_folder` and examine what came out.

    Returns what `saafe train --json` prints; None on ranks that do not lead.
    """
    trained = train_in(
        recipe, folder, on_epoch=on_epoch, on_thresholds=on_thresholds, resume=resume
    )
    if trained is None:
        return None
    written = runs.load(folder)  # examine what was written, not what is in memory
    result = exam.examine(written, level="quick", on_progress=on_progress)
    return {**trained, "gate": result["gate"], "figures": result["figures"]}


def train_in(
    recipe: Recipe, folder: Path, *, on_epoch: Callable[[Progress], None],
    on_thresholds: OnShare = unheard, resume: bool,
) -> dict[str, Any] | None:  # fmt: skip
    """Train in a folder, with a checkpoint an epoch, and save the model.

    Returns what the training took; None on ranks that do not lead.
    """
    busy = f"{folder}: another process trains there; wait for it, or give another name"
    with sole_use(folder, busy) if leads() else nullcontext():
        return fit_in(recipe, folder, on_epoch=on_epoch, on_thresholds=on_thresholds, resume=resume)


def fit_in(
    recipe: Recipe, folder: Path, *, on_epoch: Callable[[Progress], None],
    on_thresholds: OnShare, resume: bool,
) -> dict[str, Any] | None:  # fmt: skip
    """As `train_in`, in a folder that is this process's."""
    resume = resume or attempt() > 0
    state = load_checkpoint(folder / runs.CHECKPOINT, recipe) if resume else None
    last: list[Progress] = []

    def note(progress: Progress) -> None:
        last[:] = [progress]
        append(folder / runs.METRICS, json_text(vars(progress)) + "\n")
        on_epoch(progress)

    def on_checkpoint(fit: Fit) -> None:
        save_checkpoint(folder / runs.CHECKPOINT, loop.state_of(fit), recipe)

    if leads():
        sweep(folder)
        keep_epochs(folder / runs.METRICS, state["epoch"] if state else 0)
    began = time.perf_counter()
    model, settings = loop.fit_detector(
        recipe,
        on_epoch=note,
        on_checkpoint=on_checkpoint,
        on_thresholds=on_thresholds,
        resumed=state,
    )
    train_s = time.perf_counter() - began
    if not leads():
        return None
    runs.save_model(folder, recipe, model, settings)
    device = next(model.parameters()).device
    timing = {
        "train_s": round(train_s, 2),
        "cold_start_to_artefact_s": None if resume else process_age_s(),
        "epochs": last[0].epoch if last else recipe.epochs,
        "samples_per_s": round(last[0].samples_per_s, 1) if last else None,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "ranks": int(os.environ.get("WORLD_SIZE", "1")),
        "peak_mb": peak_mb(device),
    }
    write_json(folder / runs.ENVIRONMENT, {**read_environment(folder), "timing": timing})
    return {
        "run": str(folder),
        "tier": recipe.tier,
        **timing,
        "loss": last[0].loss if last else None,
        "parameters": sum(p.numel() for p in model.parameters()),
        "model_sha256": runs.sha256(folder / runs.MODEL),
    }


def read_environment(folder: Path) -> dict[str, Any]:
    """What a run's folder says of where it was made; this machine's where it cannot be read.

    A training that has ended does not fail for it.
    """
    try:
        found: dict[str, Any] = json.loads(read_file(folder / runs.ENVIRONMENT))
        return {**found}
    except (FileNotFoundError, ValueError, TypeError):  # no object, or an InputError (a ValueError)
        return runs.environment()


def append(file: Path, text: str) -> None:
    """Add a line to a file."""
    try:
        with file.open("a") as opened:
            opened.write(text)
    except OSError as error:
        raise InputError(
            f"{file}: cannot be written ({error.strerror}); free some space, then "
            + as_given("--resume", "resume=True")
        ) from None


def keep_epochs(file: Path, epochs: int) -> None:
    """Drop the lines of epochs that no checkpoint holds: they will be written again."""
    if file.exists():
        lines = file.read_bytes().splitlines(keepends=True)[:epochs]  # damaged text too
        write_atomically(file, b"".join(lines))


def sweep(folder: Path) -> None:
    """Remove what killed writers left half written: hidden, with a process number at the end."""
    for path in folder.glob(".*"):
        if path.suffix[1:].isdigit():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def process_age_s() -> float | None:
    """Time since this process started, imports included; None where the system does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # since boot; field 22 of proc(5)
    return round(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 2)


def peak_mb(device: torch.device) -> float:
    """Most memory that was in use: on the GPU there, else of this process. [MB]"""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    try:  # getrusage's peak is no less than that of the process which started this one
        status = Path("/proc/self/status").read_text()
    except OSError:
        unit = 1.0 if sys.platform == "darwin" else 1024.0  # bytes there, else kB
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**2, 1)
    kilobytes = int(status.partition("VmHWM:")[2].split()[0])  # proc(5)
    return round(kilobytes / 1024, 1)
