"""Train, examine and run fire detectors for cheap indoor sensors.

Names are imported when they are used, so that `import saafe` needs neither torch nor boto3.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from saafe.errors import InputError

if TYPE_CHECKING:
    from saafe.detector.detector import Detector
    from saafe.detector.recorded import detect
    from saafe.exam.exam import examine
    from saafe.launching import launch
    from saafe.recordings.recording import read_recording, write_recording
    from saafe.simulator.recordings import simulate
    from saafe.training.runs import load
    from saafe.training_run import train

__version__ = "0.1.0"
__all__ = [
    "Detector", "InputError", "__version__", "detect", "examine", "launch", "load",
    "read_recording", "simulate", "train", "write_recording",
]  # fmt: skip
_HOMES = {
    "Detector": "saafe.detector.detector",
    "detect": "saafe.detector.recorded",
    "examine": "saafe.exam.exam",
    "launch": "saafe.launching",
    "load": "saafe.training.runs",
    "read_recording": "saafe.recordings.recording",
    "simulate": "saafe.simulator.recordings",
    "train": "saafe.training_run",
    "write_recording": "saafe.recordings.recording",
}


def __getattr__(name: str) -> Any:
    """Import a name of `__all__`."""
    if name not in _HOMES:
        raise AttributeError(f"module 'saafe' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """What `dir(saafe)` and completion show."""
    return __all__
