"""Alarm thresholds of one model for several devices, set on simulations; a run keeps them."""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saafe.detector import AlarmSettings, Exported, cached_settings, is_cached, settings_file
from saafe.files import write_json
from saafe.formats import clock
from saafe.recipes import Recipe
from saafe.sensors import FIRE, LABELS
from saafe.simulator import devices
from saafe.training.data import device_of, for_device, longest_pause_of
from saafe.training.model import RiskModel
from saafe.training.runs import Run
from saafe.training.thresholds import OnShare, set_thresholds, unheard

THRESHOLDS = "thresholds.json"
TOLD_AT = (0.1, 0.25, 0.5, 0.75)  # shares at which it is said how long thresholds still take


def run_for(
    run: Run,
    device: str | Path | devices.Device | None,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Run:
    """The run with the thresholds of a device, as its folder keeps them or set now.

    They are set as training sets them, on streams that come through the device; that takes some
    twenty seconds. The folder keeps them in thresholds.json.

    Args:
        run: a loaded run folder.
        device: a name of the catalogue, the path of a device file, a Device, or "anything".
        say: takes a line where thresholds have to be set.

    Returns:
        The run itself for None, for the device that it was trained for, and for "anything".

    Raises:
        InputError: the name or the file is no device.
    """
    if device is None or device == devices.ANYTHING:
        return run
    asked = devices.load_device(device)
    if is_same_device(asked, device_of(run.recipe)):
        return run
    settings = kept_thresholds(run, asked)
    if settings is None:
        say(f"setting thresholds for {asked.name}")
        settings = settings_for(run.model, run.recipe, asked, on_share=telling(asked, say))
        keep_thresholds(run, asked, settings)
    return replace(run, settings=replace(settings, **devices.sends_of(asked)))


def settings_for(
    model: RiskModel, recipe: Recipe, device: str | devices.Device | None,
    *, on_share: OnShare = unheard,
) -> AlarmSettings:  # fmt: skip
    """A model's alarm settings for a device, as training would set them; the recipe's for None."""
    told = for_device(recipe, device)
    settings = set_thresholds(model, told, on_share=on_share)
    return replace(settings, longest_interval_s=longest_pause_of(told))


def telling(device: devices.Device, say: Callable[[str], None]) -> OnShare:
    """Says now and then how long the thresholds of a device still take; see `TOLD_AT`."""
    began_s, due = time.monotonic(), [*TOLD_AT]

    def on_share(share: float) -> None:
        if due and share >= due[0]:
            due[:] = [later for later in due if later > share]
            left_s = (time.monotonic() - began_s) * (1.0 / share - 1.0)
            say(f"setting thresholds for {device.name}: about {clock(left_s)} left")

    return on_share


def exported_for(
    exported: Exported, device: devices.Device, *, say: Callable[[str], None] = lambda _: None
) -> Exported:
    """An exported model with its thresholds for a device: its file's, kept ones, or set now.

    It knows what the device sends, as a run does. Those that are set are kept in the user's cache
    folder; `saafe export --device` writes them into the file.

    Args:
        exported: of `load_exported`.
        device: of the catalogue or of a file.
        say: takes a line where thresholds have to be set, which takes some twenty seconds.
    """
    is_catalogues = device.name in devices.device_names() and device == devices.load_device(
        device.name
    )
    if is_catalogues and device.name in exported.devices:
        settings = exported.for_device(device.name).settings
    elif is_same_device(device, device_of(exported.recipe)):
        settings = exported.settings
    else:
        file = settings_file(exported, devices.device_digest(device))
        kept = cached_settings(file)
        if kept is not None:
            say(f"thresholds for {device.name}: those kept in {file}")
        settings = kept or newly_set(exported, device, file, say)
    return replace(exported, settings=replace(settings, **devices.sends_of(device)))


def newly_set(
    exported: Exported, device: devices.Device, file: Path, say: Callable[[str], None]
) -> AlarmSettings:
    """An exported model's thresholds for a device, set now and kept in a file."""
    say(f"setting thresholds for {device.name}")
    model, on_share = ExportedRisk(exported), telling(device, say)
    settings = settings_for(model, exported.recipe, device, on_share=on_share)
    if is_cached(file, settings):
        say(f"thresholds for {device.name} are kept in {file.parent}; `saafe export --device` "
            "writes them into a model's file")  # fmt: skip
    return settings


class ExportedRisk(RiskModel):
    """An exported model in the place of the run's own: its log-odds of fire are the file's."""

    def __init__(self, exported: Exported) -> None:
        """Take the model."""
        super().__init__()
        self.exported = exported

    def forward(self, windows: Tensor) -> Tensor:
        """Logits whose risk is the exported model's. (B, T, 1, C) to (B, 1, class)"""
        odds = torch.from_numpy(self.exported.log_odds(windows.numpy())).unsqueeze(1)
        logits = odds.new_full((*odds.shape, len(LABELS)), -math.log(len(LABELS) - 1.0))
        logits[..., FIRE] = odds
        return logits


def kept_thresholds(run: Run, device: devices.Device) -> AlarmSettings | None:
    """The thresholds for a device that a run's folder keeps; None where it keeps none."""
    row = kept_table(run).get(device.name)
    is_its = row is not None and row["digest"] == devices.device_digest(device)
    return AlarmSettings.from_dict(row["alarms"]) if row and is_its else None


def keep_thresholds(run: Run, device: devices.Device, settings: AlarmSettings) -> None:
    """Keep a device's thresholds beside the weights, where the folder can be written."""
    row = {"digest": devices.device_digest(device), "alarms": settings.to_dict()}
    table = {**kept_table(run), device.name: row}
    if os.access(run.folder, os.W_OK):
        write_json(run.folder / THRESHOLDS, {"model_sha256": run.identity, "devices": table})


def kept_table(run: Run) -> dict[str, dict[str, Any]]:
    """What a run's folder keeps, by device; nothing where it is unreadable or of other weights."""
    try:
        table: dict[str, Any] = json.loads((run.folder / THRESHOLDS).read_text())
        rows = table["devices"].items() if table["model_sha256"] == run.identity else ()
        return {name: row for name, row in rows if _is_row(row)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def is_same_device(one: devices.Device, other: devices.Device | str | None) -> bool:
    """Whether two devices differ in nothing but their names."""
    return isinstance(other, devices.Device) and one == replace(other, name=one.name)


def _is_row(row: Any) -> bool:
    """Whether it says what `keep_thresholds` wrote of a device."""
    try:
        AlarmSettings.from_dict(row["alarms"])
        return isinstance(row["digest"], str)
    except (ValueError, KeyError, TypeError):
        return False
