"""Checkpoints: a fit's state in one safetensors file, replaced atomically.

Tensors lie in the file, plain values in its metadata as JSON; nothing is ever unpickled.
"""

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saafe import recipes
from saafe.errors import InputError, as_given
from saafe.files import json_text, write_atomically
from saafe.recipes import Recipe
from saafe.training.weights import damage, read_sealed, sealed

CHECKPOINT_FILE = "fit.safetensors"
CHECKPOINT_FORMAT = "saafe-checkpoint-1"
START_AFRESH = "delete it to start afresh"


def save_checkpoint(folder: Path, state: dict[str, Any], recipe: Recipe) -> None:
    """Write a checkpoint over the last one; a crash leaves the last one whole."""
    tensors: dict[str, Tensor] = {}
    tree = _strip(state, "", tensors)
    metadata = {
        "format": CHECKPOINT_FORMAT,
        "state": json_text(tree),
        "recipe": json_text(recipes.to_dict(recipe), sort_keys=True),
    }
    partial = folder / f".{CHECKPOINT_FILE}.partial"  # one name: what a kill left is overwritten
    with suppress(OSError):  # what is wrong, writing says
        folder.mkdir(exist_ok=True)
    mend = f"free some space, then {as_given('--resume', 'resume=True')}"
    data = sealed(tensors, metadata)
    write_atomically(folder / CHECKPOINT_FILE, data, partial=partial, mend=mend)


def load_checkpoint(folder: Path, recipe: Recipe) -> dict[str, Any] | None:
    """Read the checkpoint of a run; None where it has none yet, refused where it is another's."""
    file = folder / CHECKPOINT_FILE
    try:
        metadata, tensors = read_sealed(file, mend=START_AFRESH)
    except FileNotFoundError:
        return None
    if metadata.get("format") != CHECKPOINT_FORMAT:
        raise InputError(f"{file}: is no saafe checkpoint; {START_AFRESH}")
    try:
        if recipes.from_text(metadata["recipe"]) != recipe:
            raise InputError(
                f"{file}: belongs to another recipe; resume with the same tier and "
                + as_given("--set, or give another --name", "settings, or give another name")
            )
        return _restore(json.loads(metadata["state"]), tensors)
    except (KeyError, json.JSONDecodeError, RecursionError) as error:
        raise damage(file, type(error).__name__, START_AFRESH) from None


def _strip(value: object, name: str, tensors: dict[str, Tensor]) -> object:
    """The value with its tensors moved to `tensors` and named in their place."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):
        # JSON has no integer keys, so pairs
        return {"pairs": [[k, _strip(v, f"{name}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list": [_strip(v, f"{name}/{k}", tensors) for k, v in enumerate(value)]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}  # JSON has no infinity
    return {"value": value}


def _restore(tree: dict, tensors: dict[str, Tensor]) -> Any:
    """The value that `_strip` took apart."""
    if "tensor" in tree:
        return tensors[tree["tensor"]]
    if "pairs" in tree:
        return {k: _restore(v, tensors) for k, v in tree["pairs"]}
    if "list" in tree:
        return [_restore(v, tensors) for v in tree["list"]]
    return float(tree["number"]) if "number" in tree else tree["value"]
