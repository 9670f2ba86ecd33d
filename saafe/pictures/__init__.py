"""Pictures of recordings, runs and devices: what `saafe plot` draws.

Names are imported when they are used, so that recordings can be drawn without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saafe.pictures.device_picture import picture_of_device
    from saafe.pictures.recording_picture import picture_of_recording
    from saafe.pictures.run_picture import is_run_folder, picture_of_run
    from saafe.pictures.saving import PICTURE_SUFFIXES, Picture, check_picture_path, save_picture
    from saafe.pictures.terminal import picture_lines

__all__ = [
    "PICTURE_SUFFIXES", "Picture", "check_picture_path", "is_run_folder", "picture_lines",
    "picture_of_device", "picture_of_recording", "picture_of_run", "save_picture",
]  # fmt: skip
_MADE = {
    "device_picture": ("picture_of_device",),
    "recording_picture": ("picture_of_recording",),
    "run_picture": ("is_run_folder", "picture_of_run"),
    "saving": ("PICTURE_SUFFIXES", "Picture", "check_picture_path", "save_picture"),
    "terminal": ("picture_lines",),
}
_HOMES = {name: module for module, names in _MADE.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name of `__all__`."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
