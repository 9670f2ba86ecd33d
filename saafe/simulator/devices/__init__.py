"""Devices: the catalogue, users' files, units for simulations, and devices fitted to recordings.

All but units for simulations, which need torch, is there without it.
"""

from typing import TYPE_CHECKING, Any

from saafe.simulator.devices.catalogue import ANYTHING, GENERAL, device_names, load_device
from saafe.simulator.devices.device import (
    Device, DeviceChannel, Reporting, device_digest, device_from_text, device_table, to_toml,
)  # fmt: skip
from saafe.simulator.devices.fitting import fit_device
from saafe.simulator.devices.sending import sends_of

if TYPE_CHECKING:
    from saafe.simulator.devices.drawing import draw_device

__all__ = [
    "ANYTHING",
    "GENERAL",
    "Device",
    "DeviceChannel",
    "Reporting",
    "device_digest",
    "device_from_text",
    "device_names",
    "device_table",
    "draw_device",
    "fit_device",
    "load_device",
    "sends_of",
    "to_toml",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import `draw_device` when it is used."""
    if name != "draw_device":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from saafe.simulator.devices import drawing

    return drawing.draw_device
