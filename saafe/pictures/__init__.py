"""Pictures of recordings, runs and devices: what `saafe plot` draws.

Names are imported when they are used, so that recordings can be drawn without torch.
"""

from typing import TYPE_CHECKING

from saafe.errors import imported_late

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
__getattr__ = imported_late(__name__, __all__, _MADE)
