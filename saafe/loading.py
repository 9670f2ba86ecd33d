"""Any model that detects: a run folder, an exported file, or the one in the package."""

from pathlib import Path
from typing import TYPE_CHECKING, Union

from saafe.detector import PACKAGED_MODEL, Exported, load_exported
from saafe.errors import InputError

if TYPE_CHECKING:
    from saafe.training import Run

ONNX_SUFFIX = ".onnx"


def load_model(
    path: Path | str | None = None, *, device: str | None = None
) -> Union["Run", Exported]:
    """Load a model: a run folder, an exported `.onnx` file, or without a path saafe's own.

    Only a run folder needs torch. The model in the package was trained on simulation alone.

    Args:
        path: of a run folder or of an exported file; None for the model in the package.
        device: whose readings it will see: its thresholds are taken. A name of the catalogue, or
            with a run also the path of a device file; instruments of any kind, or those that it
            was trained for, by default.

    Returns:
        What `Detector`, `detect` and, if it is a run, `examine` take.

    Raises:
        InputError: it is neither, not finished, unreadable, damaged, or of other channels; or it
            has no thresholds for the device.

    Example:
        >>> import saafe
        >>> saafe.load().metadata["precision"]
        'int8'
        >>> saafe.load("runs/RUN").recipe.tier
        'tiny'
    """
    if path is None:
        return load_exported(PACKAGED_MODEL).for_device(device)
    try:
        path = Path(path)
    except TypeError:
        raise InputError(
            f"load: takes the path of a run or of an .onnx file, got {type(path).__name__}"
        ) from None
    if path.suffix == ONNX_SUFFIX and not path.is_dir():
        return load_exported(path).for_device(device)
    if path.is_file():
        raise InputError(f"{path}: no such run folder; give one, or an exported .onnx file")
    if not path.exists():
        raise InputError(f"{path}: no such run folder; `saafe train` makes one under runs/")
    from saafe.training import load, run_for  # imports torch, which takes seconds

    return run_for(load(path), device)
