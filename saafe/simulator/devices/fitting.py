"""A device from recordings of ordinary days: what its readings show, the rest from the catalogue.

Channels, step, noise, period, reporting on change, clip and floor leave traces in a recording.
Response time, spread between units and what no reading reached leave none: they are taken from the
catalogue's most similar channel, and the device's notes say so.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saafe.errors import InputError
from saafe.recordings import Recording, watched_s
from saafe.sensors import CHANNEL_NAMES, CHANNELS
from saafe.simulator.devices.catalogue import device_names, load_device
from saafe.simulator.devices.device import ON_CHANGE, PERIODIC, Device, DeviceChannel, Reporting
from saafe.simulator.devices.traces import (
    FEWEST_VALUES,
    Ends,
    Noise,
    find_ends,
    find_noise,
    find_reporting,
    find_step,
)
from saafe.windows import DAY_S

WITHOUT = 2.0  # Chosen: how unlike devices are where one of them lacks a channel, in e-folds
NO_DEVICE = "what saafe reads at most, as no device of the catalogue goes so far"
FITTED = "fitted"  # a name for a device that has none yet
TAKEN = {  # fields that no reading shows, so that the most similar channel's stand; for people
    "response_s": "response time",
    "offset_spread": "spread between units",
    "gain_spread": "spread between units",
    "vapours": "what it shows of vapours",
    "hydrogen": "what it shows of hydrogen",
    "kappa": "how damp swells particles (kappa)",
    "aerosols": "what it shows of each aerosol",
    "warm_up_s": "warm-up time",
}
NOTHING = (0.0, (0.0, 0.0), {})  # values of such fields, of which there is nothing to say
FEWEST = 50  # Chosen: readings of a channel that tell anything


@dataclass(frozen=True)
class Traces:
    """What the readings of one channel show."""

    channel: str
    step: float  # NaN where too few readings differ; then neither noise nor ends are seen
    noise: Noise
    reporting: Reporting
    longest_is_seen: bool  # whether the longest interval of a channel on change was reached
    ends: Ends
    lost_share: float


def fit_device(
    recording: Recording | Sequence[Recording],
    *,
    sensor: str | Sequence[str] | None = None,
    name: str = FITTED,
) -> Device:
    """Estimate the device that made recordings of ordinary days.

    Args:
        recording: some days of a space without a fire, or of several spaces with one product; a
            day tells most of it.
        sensor: which of their sensors, all of one product; the first of each where it is not given.
        name: of the device.

    Returns:
        A device of kind "fitted", as `draw_device` and `saafe train --device` take it. `notes` say
        what was seen, and what could not be seen and was taken from which device.

    Raises:
        InputError: a sensor is unknown, or no channel has enough readings.

    Example:
        >>> import saafe
        >>> from saafe.simulator import devices
        >>> (recording,) = saafe.simulate(1, hours=6.0, sensors=1, device="netatmo-indoor")
        >>> devices.fit_device(recording).channels["co2"].reporting.every_s
        300.0
    """
    units = find_units([recording] if isinstance(recording, Recording) else recording, sensor)
    who = "; ".join(f"{one.name}, sensor {one.sensors[place]}" for one, place in units)
    found, notes = {}, []
    for index, channel in enumerate(CHANNELS):
        times_s, values = pooled(units, index)
        if len(values) >= FEWEST and np.median(np.diff(times_s)) > DAY_S:
            notes.append(f"{channel.name}: left out, it reports less than once a day")
        elif len(values) >= FEWEST:
            found[channel.name] = trace(channel.name, times_s, values)
        elif len(values):
            notes.append(f"{channel.name}: left out, {len(values)} readings; {FEWEST} are needed")
    if not found:
        raise InputError(
            f"{who}: no channel has {FEWEST} readings, one a day or more; give a longer recording"
        )
    channels = {}
    for channel, seen in found.items():
        channels[channel], said = complete(seen, found)
        notes += said
    hours = sum(watched_s(spoken(one, place)) for one, place in units) / 3600.0
    return Device(
        name=name,
        title=f"fitted to {who}",
        kind="fitted",
        source=f"{hours:.1f} h of readings; what no reading shows is from the catalogue",
        channels=channels,
        notes=tuple(notes),
        lost_share=min(0.9, min(seen.lost_share for seen in found.values())),
    )


def find_units(
    recordings: Sequence[Recording], sensor: str | Sequence[str] | None
) -> list[tuple[Recording, int]]:
    """Each unit of the product: a recording and the place of its sensor there."""
    if sensor is None:
        return [(one, 0) for one in recordings]
    asked = (sensor,) if isinstance(sensor, str) else sensor
    every = [(one, k) for one in recordings for k in range(len(one.sensors))]
    known = list(dict.fromkeys(one.sensors[k] for one, k in every))
    for name in asked:
        if name not in known:
            where = ", ".join(one.name for one in recordings)
            raise InputError(f"sensor {name!r} is not in {where}; its sensors: {', '.join(known)}")
    return [(one, k) for one, k in every if one.sensors[k] in asked]


def spoken(recording: Recording, place: int) -> NDArray:
    """When a sensor said anything. [s]"""
    return recording.times_s[np.isfinite(recording.readings[:, place]).any(axis=1)]


def pooled(units: Sequence[tuple[Recording, int]], channel: int) -> tuple[NDArray, NDArray]:
    """The readings of a channel of all units, one unit after the other: times and values."""
    times_s, values, end_s = [np.empty(0)], [np.empty(0)], -math.inf
    for one, place in units:
        mine = one.readings[:, place, channel].astype(np.float64)
        there = np.isfinite(mine)
        if there.any():
            own_s = one.times_s[there]
            # so far apart that no interval is counted between two units
            times_s.append(own_s + max(0.0, end_s + 2.0 * DAY_S - own_s[0]))
            values.append(mine[there])
            end_s = float(times_s[-1][-1])
    return np.concatenate(times_s), np.concatenate(values)


def trace(channel: str, times_s: NDArray, values: NDArray) -> Traces:
    """What one channel's readings show; times and values are (reading,)."""
    row = CHANNELS[CHANNEL_NAMES.index(channel)]
    written = 10.0**-row.decimals
    step = find_step(values, written)
    if math.isnan(step):  # a channel that rests, such as CO at 0
        unseen = Noise(math.nan, math.nan)
        reporting, is_seen, lost = find_reporting(times_s, values, written, math.nan)
        ends = Ends(float(values.min()), float(values.max()), math.nan, math.nan, math.nan)
        return Traces(channel, step, unseen, reporting, is_seen, ends, lost)
    noise = find_noise(times_s, values, step, grows=channel != "temperature")
    reporting, longest_is_seen, lost = find_reporting(times_s, values, step, noise.value)
    if reporting.mode == ON_CHANGE and reporting.delta > 2.0 * noise.value:
        noise = Noise(math.nan, 0.0)
    # a thermometer's range holds every room; others end in it: a DHT11 at 20 %, CO2 at 400 ppm
    within = row.indoors if channel == "temperature" else (math.inf, -math.inf)
    ends = find_ends(times_s, values, step, noise, within=within)
    return Traces(channel, step, noise, reporting, longest_is_seen, ends, lost)


def complete(seen: Traces, all_seen: Mapping[str, Traces]) -> tuple[DeviceChannel, list[str]]:
    """A channel with what its readings do not show taken from the most similar one, and notes."""
    found = nearest(seen, all_seen)
    assert found is not None, "the devices of reference have every channel"
    name, like = found
    ends, noise, step = seen.ends, seen.noise, seen.step
    has = {said: None for each, said in TAKEN.items() if getattr(like, each) not in NOTHING}
    taken = list(has)
    notes, origins = [], {name: taken}  # what is taken from whom
    lowest, clip = ends.lowest, ends.clip
    for end, value, number in (
        ("lowest reading", lowest, ends.at_lowest),
        ("clip", clip, ends.at_clip),
    ):
        if not math.isnan(value):
            notes.append(f"{seen.channel}: {end} {value:g}, where {number:,} readings stand")
    if math.isnan(lowest):
        lowest, origin = unseen_end(seen, all_seen, is_top=False)
        said = f"lowest reading (none stood at one; the least was {ends.least:g})"
        origins.setdefault(origin, []).append(said)
    if math.isnan(clip):
        clip, origin = unseen_end(seen, all_seen, is_top=True)
        origins.setdefault(origin, []).append(f"clip (never reached; the most was {ends.most:g})")
    value = noise.value
    if math.isnan(step):
        taken.append(f"step and noise (not seen: fewer than {FEWEST_VALUES} readings differ)")
        step, value = like.step, like.noise
    elif math.isnan(value):
        taken.append("noise (reports on change hide it)")
        value = like.noise
    elif value <= 0.0:
        value = min(like.noise, step / 4.0)
        notes.append(f"{seen.channel}: its noise is under its step; {value:g} is assumed")
    if math.isnan(noise.relative) and like.relative_noise:
        taken.append("noise as a share of the reading (none stood high enough to show it)")
    reporting = seen.reporting
    if reporting.mode == ON_CHANGE and not seen.longest_is_seen:
        longest = max(reporting.longest_s, like.reporting.longest_interval_s)
        taken.append(f"longest interval (the longest seen was {reporting.longest_s:g} s)")
        reporting = replace(reporting, longest_s=longest)
    if reporting.mode == PERIODIC and reporting.every_s > 10.0:
        notes.append(f"{seen.channel}: whether a report is a mean or a moment's cannot be seen")
    notes += [f"{seen.channel}: from {each}: {', '.join(said)}" for each, said in origins.items()]
    usual = CHANNELS[CHANNEL_NAMES.index(seen.channel)]
    lowest = min(max(lowest, usual.lowest), usual.highest - step)
    made = replace(
        like,
        lowest=lowest,
        highest=max(clip, lowest + step),
        clip=max(clip, lowest + step),
        floor=0.0 if math.isnan(ends.floor) else ends.floor,
        step=step,
        noise=value,
        relative_noise=like.relative_noise if math.isnan(noise.relative) else noise.relative,
        # what stands in place of a reading is each maker's own, and readings are in our units
        unit="",
        sentinels=(),
        reporting=reporting,
    )
    return made, notes


def unseen_end(seen: Traces, all_seen: Mapping[str, Traces], *, is_top: bool) -> tuple[float, str]:
    """An end that no reading reached, and whose it is: the most similar channel's that goes so far.

    Where none does, as far as saafe reads that channel.
    """
    ends, usual = seen.ends, CHANNELS[CHANNEL_NAMES.index(seen.channel)]
    if is_top:
        near = nearest(seen, all_seen, lambda row: row.clip >= ends.most)
        return (near[1].clip, near[0]) if near else (max(usual.highest, ends.most), NO_DEVICE)
    near = nearest(seen, all_seen, lambda row: row.lowest <= ends.least)
    return (near[1].lowest, near[0]) if near else (min(usual.lowest, ends.least), NO_DEVICE)


def nearest(
    seen: Traces,
    all_seen: Mapping[str, Traces],
    is_allowed: Callable[[DeviceChannel], bool] = lambda _: True,
) -> tuple[str, DeviceChannel] | None:
    """The catalogue's channel that is most like one, and its device's name; None without any.

    As much as the channel itself counts what stands beside it: a product is recognised by all of
    its channels, where what its meter cannot show tells nothing.
    """
    best = (math.inf, "", None)
    for name in device_names():
        device = load_device(name)
        if seen.channel in device.channels and is_allowed(device.channels[seen.channel]):
            far = distance(seen, device.channels[seen.channel])
            names = all_seen.keys() | device.channels.keys()
            far += sum(
                distance(all_seen[each], device.channels[each])
                if each in all_seen and each in device.channels
                else WITHOUT
                for each in names
            ) / len(names)
            best = min(best, (far, name, device.channels[seen.channel]), key=lambda one: one[0])
    return None if best[2] is None else (best[1], best[2])


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
