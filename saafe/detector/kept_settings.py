"""Alarm settings of exported models for devices, kept in the user's cache folder."""

import hashlib
import json
from functools import cache
from pathlib import Path

from saafe.detector.alarms import AlarmSettings
from saafe.detector.exported import Exported
from saafe.errors import InputError
from saafe.files import cache_folder, write_json

THRESHOLDS_FOLLOW = ("simulator", "training", "detector")  # rooms of the package


@cache
def code_digest() -> str:
    """What thresholds follow from beside a model and a device: the simulator, and how they are set.

    Of kept thresholds none is taken that another version of these has set.
    """
    digest, root = hashlib.sha256(), Path(__file__).parents[1]
    for room in THRESHOLDS_FOLLOW:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def settings_file(exported: Exported, digest: str) -> Path:
    """Where the settings of a model for a device are kept; `digest` is that of the device."""
    precision = exported.metadata.get("precision")
    name = f"thresholds-{exported.identity[:16]}-{precision}-{digest}-{code_digest()}.json"
    return cache_folder() / name


def cached_settings(file: Path) -> AlarmSettings | None:
    """The settings in a file of the cache; None where there are none, or not such."""
    try:
        found = json.loads(file.read_bytes())["alarms"]
        if found.keys() == AlarmSettings().to_dict().keys():
            return AlarmSettings.from_dict(found)  # NaN would never alarm
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def is_cached(file: Path, settings: AlarmSettings) -> bool:
    """Keep settings in the cache; say whether that could be done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"alarms": settings.to_dict()})
    except (OSError, InputError):
        return False
    return True
