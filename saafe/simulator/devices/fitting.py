"""A device from a recording of ordinary days: what its readings show, the rest from the catalogue.

Channels, step, noise, period, reporting on change, clip and floor leave traces in a recording.
Response time, spread between units and what no reading reached leave none: they are taken from the
catalogue's most similar channel, and the device's notes say so.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saafe.errors import InputError
from saafe.recordings import Recording
from saafe.sensors import CHANNEL_NAMES, CHANNELS
from saafe.simulator.devices.catalogue import device_names, load_device
from saafe.simulator.devices.device import ON_CHANGE, PERIODIC, Device, DeviceChannel, Reporting
from saafe.simulator.devices.traces import (
    Ends,
    Noise,
    find_ends,
    find_noise,
    find_reporting,
    find_step,
)
from saafe.windows import DAY_S

WITHOUT = 2.0  # Chosen: how unlike devices are where one of them lacks a channel, in e-folds
FEWEST = 50  # Chosen: readings of a channel that tell anything


@dataclass(frozen=True)
class Traces:
    """What the readings of one channel show."""

    channel: str
    step: float
    noise: Noise
    reporting: Reporting
    longest_is_seen: bool  # whether the longest interval of a channel on change was reached
    ends: Ends
    lost_share: float


def fit_device(recording: Recording, *, sensor: str | None = None) -> Device:
    """Estimate the device that made a recording of ordinary days.

    Args:
        recording: some days of one space without a fire; a day tells most of it.
        sensor: which of its sensors; the first where it is not given.

    Returns:
        A device of kind "fitted", as `draw_device` and `saafe train --device` take it. `notes` say
        what was seen, and what could not be seen and was taken from which device.

    Raises:
        InputError: the sensor is unknown, or no channel has enough readings.

    Example:
        >>> import saafe
        >>> from saafe.simulator import devices
        >>> (recording,) = saafe.simulate(1, hours=6.0, sensors=1, device="netatmo-indoor")
        >>> devices.fit_device(recording).channels["co2"].reporting.every_s
        300.0
    """
    if sensor is not None and sensor not in recording.sensors:
        raise InputError(
            f"sensor {sensor!r} is not in {recording.name}; its sensors: "
            f"{', '.join(recording.sensors)}"
        )
    place = 0 if sensor is None else recording.sensors.index(sensor)
    found, notes = {}, []
    for index, channel in enumerate(CHANNELS):
        values = recording.readings[:, place, index].astype(np.float64)
        there = np.isfinite(values)
        if there.sum() >= FEWEST and np.median(np.diff(recording.times_s[there])) > DAY_S:
            notes.append(f"{channel.name}: left out, it reports less than once a day")
        elif there.sum() >= FEWEST:
            found[channel.name] = trace(channel.name, recording.times_s[there], values[there])
        elif there.any():
            notes.append(f"{channel.name}: left out, {there.sum()} readings; {FEWEST} are needed")
    if not found:
        raise InputError(
            f"{recording.name}, sensor {recording.sensors[place]}: no channel has {FEWEST} "
            "readings, one a day or more; give a longer recording"
        )
    channels = {}
    for name, seen in found.items():
        channels[name], said = complete(seen, found)
        notes += said
    title = f"fitted to {recording.name}, sensor {recording.sensors[place]}"
    hours = float(np.ptp(recording.times_s)) / 3600.0
    return Device(
        name="fitted",
        title=title,
        kind="fitted",
        source=f"{hours:.1f} h of readings; what no reading shows is from the catalogue",
        channels=channels,
        notes=tuple(notes),
        lost_share=min(0.9, min(seen.lost_share for seen in found.values())),
    )


def trace(channel: str, times_s: NDArray, values: NDArray) -> Traces:
    """What one channel's readings show; times and values are (reading,)."""
    row = CHANNELS[CHANNEL_NAMES.index(channel)]
    step = find_step(values, 10.0**-row.decimals)
    noise = find_noise(times_s, values, step, grows=channel != "temperature")
    reporting, longest_is_seen, lost = find_reporting(times_s, values, step, noise.value)
    if reporting.mode == ON_CHANGE and reporting.delta > 2.0 * noise.value:
        noise = Noise(math.nan, 0.0)
    ends = find_ends(values, step, noise)
    return Traces(channel, step, noise, reporting, longest_is_seen, ends, lost)


def complete(seen: Traces, all_seen: Mapping[str, Traces]) -> tuple[DeviceChannel, list[str]]:
    """A channel with what its readings do not show taken from the most similar one, and notes."""
    name, like = nearest(seen, all_seen)
    ends, noise = seen.ends, seen.noise
    notes, taken = [], ["response time", "spread between units"]
    usual = CHANNELS[CHANNEL_NAMES.index(seen.channel)]
    lowest = like.lowest if math.isnan(ends.lowest) else ends.lowest
    if math.isnan(ends.lowest):
        taken.append(f"lowest reading (none stood at one; the least was {ends.least:g})")
    lowest = min(lowest, ends.least)
    clip = like.clip if math.isnan(ends.clip) else ends.clip
    if math.isnan(ends.clip):
        taken.append(f"clip (never reached; the most was {ends.most:g})")
        clip = max(clip, ends.most)
    value = noise.value
    if math.isnan(value):
        taken.append("noise (reports on change hide it)")
        value = like.noise
    elif value <= 0.0:
        value = min(like.noise, seen.step / 4.0)
        notes.append(f"{seen.channel}: its noise is under its step; {value:g} is assumed")
    reporting = seen.reporting
    if reporting.mode == ON_CHANGE and not seen.longest_is_seen:
        longest = max(reporting.longest_s, like.reporting.longest_interval_s)
        taken.append(f"longest interval (the longest seen was {reporting.longest_s:g} s)")
        reporting = replace(reporting, longest_s=longest)
    if reporting.mode == PERIODIC and reporting.every_s > 10.0:
        notes.append(f"{seen.channel}: whether a report is a mean or a moment's cannot be seen")
    notes.append(f"{seen.channel}: from {name}: {', '.join(taken)}")
    lowest = min(max(lowest, usual.lowest), usual.highest - seen.step)
    made = replace(
        like,
        lowest=lowest,
        highest=max(clip, lowest + seen.step),
        clip=max(clip, lowest + seen.step),
        floor=0.0 if math.isnan(ends.floor) else ends.floor,
        step=seen.step,
        noise=value,
        relative_noise=like.relative_noise if math.isnan(noise.relative) else noise.relative,
        reporting=reporting,
    )
    return made, notes


def nearest(seen: Traces, all_seen: Mapping[str, Traces]) -> tuple[str, DeviceChannel]:
    """The catalogue's channel that is most like one, and its device's name.

    As much as the channel itself counts what stands beside it: a product is recognised by all of
    its channels, where what its meter cannot show tells nothing.
    """
    best = (math.inf, "", None)
    for name in device_names():
        device = load_device(name)
        if seen.channel in device.channels:
            far = distance(seen, device.channels[seen.channel])
            names = all_seen.keys() | device.channels.keys()
            far += sum(
                distance(all_seen[each], device.channels[each])
                if each in all_seen and each in device.channels
                else WITHOUT
                for each in names
            ) / len(names)
            best = min(best, (far, name, device.channels[seen.channel]), key=lambda one: one[0])
    assert best[2] is not None, "the devices of reference have every channel"
    return best[1], best[2]


def distance(seen: Traces, one: DeviceChannel) -> float:
    """How unlike a channel's traces and a catalogue's channel are; Chosen: e-folds, weighted."""

    def folds(a: float, b: float) -> float:
        known = a > 0.0 and b > 0.0  # NaN is not known
        return min(abs(math.log(a / b)), 4.0) if known else 0.0

    far = 0.5 * folds(seen.step, one.step) + 0.5 * folds(seen.noise.value, one.noise)
    far += 0.25 * folds(seen.reporting.every_s, one.reporting.every_s)
    far += 3.0 * (seen.reporting.mode == ON_CHANGE) * (one.reporting.mode != ON_CHANGE)
    far += 2.0 * folds(seen.ends.clip, one.clip)
    far += 3.0 * (seen.ends.most > one.clip) + 1.0 * (seen.ends.least < one.lowest)
    return far
