"""From a recipe to a finished run folder: train, save, judge. Layer 5."""

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

from saafe import exam, recipes, runs, training
from saafe.checkpoints import load_checkpoint, save_checkpoint
from saafe.distributed import leads
from saafe.errors import InputError
from saafe.recipes import Recipe
from saafe.training import Fit, Progress


def open_folder(recipe: Recipe, out: Path, name: str | None, *, resume: bool) -> Path:
    """The folder of a run: a new one, or the one to resume.

    Raises:
        InputError: a new one exists already, or there is none to resume.
    """
    if not resume:
        folder = out / (name or runs.run_name(recipe))
        if leads():
            runs.new_folder(out, folder.name)
            runs.write_json(folder / runs.RECIPE, recipes.to_dict(recipe))
            runs.write_json(folder / runs.ENVIRONMENT, runs.environment())
        return folder
    folder = out / name if name else latest(out)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run to resume; leave --resume out to start one")
    if not (folder / runs.RECIPE).is_file():
        raise InputError(f"{folder}: holds no {runs.RECIPE}, so it is no run of saafe; left alone")
    return folder


def latest(out: Path) -> Path:
    """The run folder changed last.

    Raises:
        InputError: there is none.
    """
    found = [path.parent for path in out.glob(f"*/{runs.RECIPE}")]
    if not found:
        raise InputError(f"{out}: holds no run to resume; leave --resume out to start one")
    return max(found, key=lambda folder: folder.stat().st_mtime)


def run(
    recipe: Recipe, folder: Path, *, tell: Callable[[Progress], None], resume: bool = False
) -> dict | None:
    """Train in a folder and judge what came out.

    Args:
        recipe: what to train.
        folder: from `open_folder`.
        tell: is told after every epoch.
        resume: go on from the folder's checkpoint.

    Returns:
        What `saafe train --json` prints; None on ranks that do not lead.
    """
    plain = recipes.to_dict(recipe)
    state = load_checkpoint(folder / runs.CHECKPOINT, plain) if resume else None
    last: list[Progress] = []

    def note(progress: Progress) -> None:
        last[:] = [progress]
        with (folder / runs.METRICS).open("a") as file:
            file.write(json.dumps(vars(progress)) + "\n")
        tell(progress)

    def keep(fit: Fit) -> None:
        save_checkpoint(folder / runs.CHECKPOINT, training.state_of(fit), plain)

    began = time.perf_counter()
    model, settings = training.train(recipe, tell=note, keep=keep, resumed=state)
    train_s = time.perf_counter() - began
    if not leads():
        return None
    runs.save_model(folder, recipe, model, settings)
    trained = runs.load_run(folder)  # judge what was written, not what is in memory
    result = exam.quick(trained)
    runs.write_json(folder / exam.FILE, result)
    return {
        "run": str(folder),
        "tier": recipe.tier,
        "train_s": round(train_s, 2),
        "epochs": last[0].epoch if last else recipe.epochs,
        "loss": last[0].loss if last else None,
        "samples_per_s": last[0].samples_per_s if last else None,
        "device": str(next(model.parameters()).device),
        "parameters": sum(p.numel() for p in model.parameters()),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "model_sha256": runs.sha256(folder / runs.MODEL),
        "gate": result["gate"],
        "figures": result["figures"],
    }
