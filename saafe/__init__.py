"""Train, examine and run fire detectors for cheap indoor sensors.

Names are imported when they are used, so that `import saafe` needs neither torch nor boto3.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from saafe.errors import InputError, missing_extra

if TYPE_CHECKING:
    from saafe.detector.detector import Detector
    from saafe.detector.recorded import detect
    from saafe.exam.exam import examine
    from saafe.launching import launch
    from saafe.loading import load_model as load
    from saafe.own_rooms.tuned_run import tune
    from saafe.recordings.recording import read_recording, write_recording
    from saafe.simulator.recordings import simulate
    from saafe.training_run import train

__version__ = "0.1.0"
__all__ = [
    "Detector", "InputError", "__version__", "detect", "examine", "launch", "load",
    "read_recording", "simulate", "train", "tune", "write_recording",
]  # fmt: skip
_HOMES = {  # where each is made, and by which name
    "Detector": ("saafe.detector.detector", "Detector"),
    "detect": ("saafe.detector.recorded", "detect"),
    "examine": ("saafe.exam.exam", "examine"),
    "launch": ("saafe.launching", "launch"),
    "load": ("saafe.loading", "load_model"),
    "read_recording": ("saafe.recordings.recording", "read_recording"),
    "simulate": ("saafe.simulator.recordings", "simulate"),
    "train": ("saafe.training_run", "train"),
    "tune": ("saafe.own_rooms.tuned_run", "tune"),
    "write_recording": ("saafe.recordings.recording", "write_recording"),
}


def __getattr__(name: str) -> Any:
    """Import a name of `__all__`."""
    if name not in _HOMES:
        raise AttributeError(f"module 'saafe' has no attribute {name!r}")
    module, made = _HOMES[name]
    try:
        return getattr(import_module(module), made)
    except ModuleNotFoundError as error:
        raise (missing_extra(error) or error) from None


def __dir__() -> list[str]:
    """What `dir(saafe)` and completion show."""
    return __all__
