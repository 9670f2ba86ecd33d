"""Devices: the catalogue, users' files, units for simulations, and devices fitted to recordings."""

from saafe.simulator.devices.catalogue import ANYTHING, GENERAL, device_names, load_device
from saafe.simulator.devices.device import (
    Device, DeviceChannel, Reporting, device_from_text, device_table, to_toml,
)  # fmt: skip
from saafe.simulator.devices.drawing import draw_device
from saafe.simulator.devices.fitting import fit_device

__all__ = [
    "ANYTHING",
    "GENERAL",
    "Device",
    "DeviceChannel",
    "Reporting",
    "device_from_text",
    "device_names",
    "device_table",
    "draw_device",
    "fit_device",
    "load_device",
    "to_toml",
]  # fmt: skip
