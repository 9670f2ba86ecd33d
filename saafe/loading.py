"""Any model that detects: a run folder, an exported file, or the one in the package."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Union

from saafe.detector import (
    PACKAGED_MODEL,
    Exported,
    cached_settings,
    load_exported,
    settings_file,
)
from saafe.errors import InputError, as_given, missing_extra
from saafe.simulator import devices

if TYPE_CHECKING:
    from saafe.training import Run

ONNX_SUFFIX = ".onnx"


def load_model(
    path: Path | str | None = None,
    *,
    device: str | Path | devices.Device | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Union["Run", Exported]:
    """Load a model: a run folder, an exported `.onnx` file, or without a path saafe's own.

    Only a run folder needs torch, and thresholds that are set now. The model in the package was
    trained on simulation alone.

    Args:
        path: of a run folder or of an exported file; None for the model in the package.
        device: whose readings it will see: its thresholds are taken, or set where the model has
            none for it. A name of the catalogue, the path of a device file, or a Device;
            instruments of any kind, or those that it was trained for, by default.
        say: takes a line where thresholds have to be set, which takes some twenty seconds.

    Returns:
        What `Detector`, `detect` and, if it is a run, `examine` take.

    Raises:
        InputError: it is neither, not finished, unreadable, damaged, or of other channels; there
            is no such device; or thresholds for it cannot be set without torch.

    Example:
        >>> import saafe
        >>> saafe.load().metadata["precision"]
        'int8'
        >>> saafe.load("runs/RUN").recipe.tier
        'tiny'
    """
    if path is None:
        return exported_with(load_exported(PACKAGED_MODEL), device, say)
    try:
        path = Path(path)
    except TypeError:
        raise InputError(
            f"load: takes the path of a run or of an .onnx file, got {type(path).__name__}"
        ) from None
    if path.suffix.lower() == ONNX_SUFFIX and not path.is_dir():
        return exported_with(load_exported(path), device, say)
    if path.is_file():
        raise InputError(f"{path}: is a file, but no exported .onnx; give one, or a run folder")
    if not path.exists():
        raise InputError(f"{path}: no such run folder; `saafe train` makes one under runs/")
    from saafe.training import load, run_for  # imports torch, which takes seconds

    return run_for(load(path), device, say=say)


def exported_with(
    exported: Exported,
    device: str | Path | devices.Device | None,
    say: Callable[[str], None],
) -> Exported:
    """An exported model with the thresholds of a device: its file's, kept ones, or set now.

    Kept ones need no torch.
    """
    if device is None or device == devices.ANYTHING:
        return aware_of(exported, trained_for(exported))
    asked = devices.load_device(device)
    held = asked.name if isinstance(device, devices.Device) else str(device)
    if held in exported.devices and asked == devices.load_device(held):
        return aware_of(exported.for_device(held), asked)
    settings = cached_settings(settings_file(exported, devices.device_digest(asked)))
    if settings is None:
        try:
            from saafe.training import exported_for  # imports torch, which takes seconds
        except ModuleNotFoundError as error:
            raise (
                without_torch(exported, asked, held) if missing_extra(error) else error
            ) from None
        settings = exported_for(exported, asked, say=say).settings
    return aware_of(replace(exported, settings=settings), asked)


def aware_of(exported: Exported, device: devices.Device | None) -> Exported:
    """The model, told what a device sends."""
    sends = {} if device is None else devices.sends_of(device)
    return replace(exported, settings=replace(exported.settings, **sends))


def trained_for(exported: Exported) -> devices.Device | None:
    """The device that an exported model was trained for, None for any or where it tells none."""
    try:
        text = exported.recipe.device_file
        return devices.device_from_text(text) if text else None
    except InputError:
        return None


def without_torch(exported: Exported, asked: devices.Device, device: str) -> InputError:
    """What to do where thresholds cannot be set: the most similar device that has some."""

    def unlike(name: str) -> tuple[int, float]:
        one = devices.load_device(name)
        slower = math.log(one.longest_interval_s / asked.longest_interval_s)
        return len(one.channels.keys() ^ asked.channels.keys()), abs(slower)

    near = min((n for n in exported.devices if n in devices.device_names()), key=unlike, default="")
    words = as_given(f"--device {near}", f'device="{near}"')
    if near and devices.load_device(near).longest_interval_s < asked.longest_interval_s:
        pause = f"{asked.longest_interval_s:g}"  # without it would be silent too soon
        words += as_given(f" --longest-interval {pause}", f" and longest_interval_s={pause}")
    return InputError(
        f"{exported.path} has no thresholds for device {device}; "
        + (f"take those of the most similar one, {words}, or " if near else "")
        + 'have them set: pip install "saafe[train]"'
    )
