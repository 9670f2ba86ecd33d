"""Checkpoints: a fit's state in one safetensors file, replaced atomically.

Tensors lie in the file, plain values in its metadata as JSON; nothing is ever unpickled.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from saafe import recipes
from saafe.errors import InputError
from saafe.files import write_atomically
from saafe.recipes import Recipe

CHECKPOINT_FILE = "fit.safetensors"
CHECKPOINT_FORMAT = "saafe-checkpoint-1"


def save_checkpoint(folder: Path, state: dict, recipe: Recipe) -> None:
    """Write a checkpoint over the last one; a crash leaves the last one whole."""
    tensors: dict[str, Tensor] = {}
    tree = _strip(state, "", tensors)
    metadata = {
        "format": CHECKPOINT_FORMAT,
        "state": json.dumps(tree),
        "recipe": json.dumps(recipes.to_dict(recipe), sort_keys=True),
    }
    partial = folder / f".{CHECKPOINT_FILE}.partial"  # one name: what a kill left is overwritten
    with suppress(OSError):  # what is wrong, writing says
        folder.mkdir(exist_ok=True)
    data, mend = save(tensors, metadata), "free some space, then --resume"
    write_atomically(folder / CHECKPOINT_FILE, data, partial=partial, mend=mend)


def load_checkpoint(folder: Path, recipe: Recipe) -> dict | None:
    """Read the checkpoint of a run; None where it has none yet, refused where it is another's."""
    file = folder / CHECKPOINT_FILE
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if metadata.get("format") != CHECKPOINT_FORMAT:
            raise InputError(f"{file}: is no saafe checkpoint; delete it to start afresh")
        if recipes.from_dict(json.loads(metadata["recipe"])) != recipe:
            raise InputError(
                f"{file}: belongs to another recipe; resume with the same tier and --set, "
                "or give another --name"
            )
        return _restore(json.loads(metadata["state"]), tensors)
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise InputError(
            f"{file}: is damaged ({type(error).__name__}); delete it to start afresh"
        ) from None


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
    return {"value": value}


def _restore(tree: dict, tensors: dict[str, Tensor]) -> Any:
    """The value that `_strip` took apart."""
    if "tensor" in tree:
        return tensors[tree["tensor"]]
    if "pairs" in tree:
        return {k: _restore(v, tensors) for k, v in tree["pairs"]}
    if "list" in tree:
        return [_restore(v, tensors) for v in tree["list"]]
    return tree["value"]
