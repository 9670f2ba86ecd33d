"""What a device sends: in which units, and what stands in the place of a reading."""

import math
from typing import Any

from saafe.errors import InputError
from saafe.recordings import CHANNEL_UNITS, find_unit, without_unusable
from saafe.sensors import CHANNEL_NAMES, CHANNELS
from saafe.simulator.devices.device import Device, DeviceChannel


def sends_of(device: Device) -> dict[str, Any]:
    """What a detector is told of a device's readings, as `AlarmSettings` takes it.

    Its `sentinels` in the channels' own units, without those that every detector knows and those
    that are readings too; and its `units`.
    """
    units = tuple((name, one.unit) for name, one in device.channels.items() if one.unit)
    sentinels = (
        (name, value)
        for name, one in device.channels.items()
        for value in own_sentinels(name, one)
        if not end_at(one, value)
    )
    return {"sentinels": tuple(sentinels), "units": units}


def own_sentinels(name: str, one: DeviceChannel) -> list[float]:
    """A channel's sentinels in its own unit, without those that no detector takes for a reading."""
    unit = find_unit(name, one.unit) or CHANNEL_UNITS[name][0]
    found = []
    for value in map(unit.apply, one.sentinels):
        row = [value if each == name else math.nan for each in CHANNEL_NAMES]
        found += [value] if not without_unusable(row)[1] else []
    return found


def refuse_ends(device: Device, where: str) -> None:
    """Refuse a sentinel at an end of a channel's readings: a fire's would be taken for none."""
    for name, one in device.channels.items():
        for value in own_sentinels(name, one):
            if end := end_at(one, value):
                unit = CHANNELS[CHANNEL_NAMES.index(name)].unit
                raise InputError(
                    f"{where}: channels.{name}: sentinels: {value:g} {unit} is its {end} too; "
                    f"allowed are values that no reading has: give the {end} that readings reach, "
                    "or leave it out"
                )


def end_at(one: DeviceChannel, value: float) -> str:
    """Which end of a channel's readings a value cannot be told from; "" for none."""
    ends = {"lowest": one.lowest, "clip": one.clip}
    return next((end for end, at in ends.items() if abs(value - at) < 0.5 * one.step), "")
