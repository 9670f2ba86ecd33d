"""Run folders: what one training leaves behind, written so that nothing is half there."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from saafe import __version__, recipes
from saafe.detector import AlarmSettings
from saafe.errors import InputError, as_given
from saafe.files import json_text, read_file, write_atomically, write_json
from saafe.recipes import Recipe
from saafe.sensors import CHANNEL_NAMES
from saafe.simulator import devices
from saafe.training.model import FireTransformer, RiskModel
from saafe.training.weights import CHECKSUM, COPY_AGAIN, damage, read_sealed, sealed

RUN_FORMAT = "saafe-1"
FIRST_CHANNELS = "temperature,pm25,co2,sound,co,humidity"  # runs of version 0.1.0 do not say
MODEL, RECIPE, METRICS = "model.safetensors", "recipe.json", "metrics.jsonl"
ASKED_FILE = "on.json"  # of a run that recordings tune: what it was started with, to go on with
SCORED_TOGETHER = 384  # windows; more would not fit a core's cache
ENVIRONMENT, CHECKPOINT = "environment.json", "checkpoint"
PARTIAL_S = 3600.0  # Chosen: an older folder that is half made was left by a kill


@dataclass(frozen=True)
class Run:
    """A trained detector, loaded: its calibrated model is in evaluation mode."""

    folder: Path
    recipe: Recipe
    model: FireTransformer
    settings: AlarmSettings
    has_checksum: bool = True  # which was compared; damage of one without may go unseen

    @cached_property
    def identity(self) -> str:
        """The hash of its weights' file, which exported files name as well."""
        return sha256(self.folder / MODEL)

    def score(self, windows: np.ndarray) -> np.ndarray:
        """Risk of windows. (batch, 60, 1, channel) to float64 percent (batch,)"""
        return score_with(self.model)(windows)


def score_with(model: RiskModel) -> Callable[[np.ndarray], np.ndarray]:
    """What turns windows (batch, 60, 1, channel) into risk percent (batch,)."""
    device = model.risk_scale.device

    def score(windows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            inputs = torch.from_numpy(np.ascontiguousarray(windows)).to(device)
            parts = inputs.split(SCORED_TOGETHER) if device.type == "cpu" else (inputs,)
            odds = torch.cat([model.risk_logit(model(part)).amax(dim=1) for part in parts])
        return 100.0 / (1.0 + np.exp(-odds.double().cpu().numpy()))

    return score


def new_folder(out: Path, name: str, recipe: Recipe) -> Path:
    """Make the folder of a new run, whole at once: with its recipe and its environment."""
    folder = out / name
    if folder.exists():
        mend = as_given("another --name, or continue it with --resume",
                        "another name, or continue it with resume=True")  # fmt: skip
        raise InputError(f"{folder} exists; give {mend}")
    partial = out / f".{name}.{os.getpid()}"
    try:
        (partial / CHECKPOINT).mkdir(parents=True)
        write_json(partial / RECIPE, recipes.to_dict(recipe))
        write_json(partial / ENVIRONMENT, environment())
        partial.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); choose another "
            + as_given("--out", "out")
        ) from None
    finally:
        for left in (partial, *partial_folders(out)):
            shutil.rmtree(left, ignore_errors=True)
    return folder


def partial_folders(out: Path) -> list[Path]:
    """What `new_folder` had begun as its process was killed, hours ago: it takes moments."""
    parts, now_s = {CHECKPOINT, RECIPE, ENVIRONMENT}, time.time()
    try:
        return [
            path
            for path in out.glob(".*")
            if path.suffix[1:].isdigit() and path.is_dir()
            and parts >= {one.name for one in path.iterdir() if not one.name.startswith(".")}
            and now_s - path.stat().st_mtime > PARTIAL_S
        ]  # fmt: skip
    except OSError:  # closed, or just gone
        return []


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run folder, finished or not."""
    try:
        text = read_file(folder / RECIPE)
    except FileNotFoundError:
        text = b""
    try:
        return recipes.from_text(text)
    except InputError:
        raise InputError(
            f"{folder}: holds no readable {RECIPE}, so it is no run of saafe; left alone"
        ) from None


def run_name(recipe: Recipe) -> str:
    """A name that sorts by time, such as ultra-fast-20261122-193000."""
    return f"{recipe.tier}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def environment() -> dict[str, object]:
    """Where and with what a run was made; no user, host or account names."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        "saafe": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": platform.system(),
        "device": device,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["saafe", *map(without_home, sys.argv[1:])]),
    }


def without_home(word: str) -> str:
    """A word of a command without an absolute path, which may hold a user's name.

    A path in the working folder becomes relative to it; of another its last name is left, after
    `...`; also in `--out=PATH`.
    """
    option, equals, value = word.rpartition("=")
    path, here = Path(value), Path.cwd()
    if not path.is_absolute():
        return word
    shorter = path.relative_to(here) if path.is_relative_to(here) else Path("...", path.name)
    return f"{option}{equals}{shorter}"


def _commit() -> str | None:
    """Commit of the source tree that is running, None outside a checkout."""
    here = Path(__file__).parent
    try:
        out = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return out.stdout.strip() or None if out.returncode == 0 else None


def save_model(
    folder: Path, recipe: Recipe, model: FireTransformer, settings: AlarmSettings
) -> Path:
    """Write model.safetensors, with the recipe and the alarm settings in its metadata."""
    path = folder / MODEL
    metadata = {
        "format": RUN_FORMAT,
        "recipe": json_text(recipes.to_dict(recipe)),
        "alarms": json_text(settings.to_dict()),
        "channels": ",".join(CHANNEL_NAMES),
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    write_atomically(path, sealed(tensors, metadata))
    return path


def load(path: Path | str) -> Run:
    """Load a run folder.

    Returns:
        The run, which `Detector`, `detect` and `examine` take.

    Raises:
        InputError: it is no run folder, not finished, unreadable, damaged, or of other channels.

    Example:
        >>> import saafe
        >>> saafe.load("runs/RUN").recipe.tier
        'tiny'
    """
    folder = Path(path)
    file = folder / MODEL
    try:
        metadata, tensors = read_sealed(file, mend=COPY_AGAIN)
    except (FileNotFoundError, NotADirectoryError):
        raise no_model(folder) from None
    if metadata.get("format") != RUN_FORMAT:
        raise InputError(f"{file}: was not written by this saafe (format {metadata.get('format')})")
    channels = metadata.get("channels", FIRST_CHANNELS)
    if channels != ",".join(CHANNEL_NAMES):
        raise InputError(f"{file}: was trained for the channels {channels}; train again")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise damage(file, "weights that are no numbers")
    try:
        settings = AlarmSettings.from_dict(json.loads(metadata["alarms"]))
        recipe = recipes.from_text(metadata["recipe"])
        if recipe.device_file:
            own = devices.device_from_text(recipe.device_file)
            settings = replace(settings, **devices.sends_of(own))
    except InputError as error:
        raise InputError(f"{file}: {error}; train again, or run it with its own saafe") from None
    except (KeyError, ValueError, RecursionError):
        raise damage(file, "its recipe or its alarm settings") from None
    model = FireTransformer(recipe)
    try:
        model.load_state_dict(tensors)
    except RuntimeError:
        raise InputError(
            f"{file}: its weights are none of this version's model; train again, or run it with "
            "the saafe that made it (environment.json says which); exported files still work"
        ) from None
    return Run(folder, recipe, model.eval(), settings, CHECKSUM in metadata)


def no_model(folder: Path) -> InputError:
    """What to say where there is no model to load."""
    if folder.is_file():
        return InputError(f"{folder}: is a file; give a run folder, which holds the weights")
    if not folder.is_dir():
        return InputError(f"{folder}: no such run folder; `saafe train` makes one under runs/")
    if files := sorted(folder.glob("*.onnx")):
        return InputError(f"{folder}: is a folder of exported files; load {files[0]} to detect")
    resumed = f"continue it with {as_given('--resume', 'resume=True')}"
    hint = resumed if (folder / RECIPE).is_file() else "give a run folder"
    return InputError(f"{folder}: has no {MODEL}; {hint}")


def sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
