"""What a recording shows by itself: first signal, limits of a fire, reference alarms.

No model comes in here: an alarm is measured against these times.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from saafe.detector import CO_DOSES
from saafe.recordings import Interval, Recording
from saafe.sensors import CHANNELS, CO, PM25, TEMPERATURE
from saafe.simulator import (
    AEROSOLS,
    REFERENCE_ALARMS,
    AerosolKind,
    rate_of_rise_times,
    sounding_times,
)
from saafe.windows import BIN_S

FLAMING, SMOULDERING, COOKING_OIL = "flaming", "smouldering", "cooking oil"
FLAMING_GRACE_S = 30.0  # after +20 K at the ceiling
SMOULDERING_GRACE_S = 1800.0  # after OD 0.05/m, where OD 0.14/m or +5 K is not reached sooner

SIGNAL_RISES = {
    k: channel.visibility.first_signal
    for k, channel in enumerate(CHANNELS)
    if channel.visibility is not None
}
SIGNAL_HOLD_S = 30.0
SIGNAL_BASE_S = 10.0
LEVEL_S = 60.0  # before an ignition; a median over it is what rises are counted from
RISES_K = {"t_dT5": 5.0, "t_dT20": 20.0}
DENSITIES_1_M = {"t_OD05": 0.05, "t_OD14": 0.14}

CLEAN_PM25_UG_M3 = 8.0  # what the conversion of smoke meters adds, see readers
# Assumed of recordings, where nobody measured it: the speed at which UL 217 measures the
# sensitivity of smoke alarms, 32 ft/min (from memory). Calm rooms have 0.05 to 0.3 m/s; under the
# ceiling of a flaming fire air is faster, and real alarms sound sooner: smoke alarms by their lag
# of some 15 s, heat alarms by more.
AIR_SPEED_M_S = 0.16


def first_signal(recording: Recording) -> float | None:
    """Return when any sensor first shows a fire for 30 s: the start of those 30 s, or None [s].

    A sensor shows one where a channel stands above the median of its own first ten seconds by
    2 K, 300 ug/m3 PM2.5, 150 ppm CO2 or 25 ppm CO, in every reading that is not missing.
    """
    return _earliest([
        rise_begins(times, values, rise)
        for channel, rise in SIGNAL_RISES.items()
        for times, values in channel_readings(recording, channel)
    ])  # fmt: skip


def rise_begins(times: NDArray, values: NDArray, rise: float) -> float | None:
    """When values first stand so far above their first ten seconds for 30 s, None for never. [s]"""
    base = np.median(values[times <= times[0] + SIGNAL_BASE_S])
    return first_held(times, values - base >= rise, SIGNAL_HOLD_S)


def first_signal_from(recording: Recording, ignition_s: float) -> float | None:
    """First signal of a fire whose ignition is known, or None. [s]

    Over ten seconds from each channel's own last reading that lies so long before it, of one that
    begins later from its first. Never before the ignition: what drifted until then is no fire.
    Where nothing was read so long before, there is no level to rise from, and the fire is taken to
    show from its ignition on.
    """
    starts, has_level = [], False
    for channel, rise in SIGNAL_RISES.items():
        for times, values in channel_readings(recording, channel):
            before = np.flatnonzero(times <= ignition_s - SIGNAL_BASE_S)
            has_level |= before.size > 0
            begin = before[-1] if before.size else 0
            starts.append(rise_begins(times[begin:], values[begin:], rise))
    if not has_level:
        return ignition_s
    signal_s = _earliest(starts)
    return None if signal_s is None else max(ignition_s, signal_s)


def seeing_sensor(recording: Recording, limit_s: float | None) -> Recording:
    """Return the one sensor of a fire that sees it first, as a recording of its own.

    First among the sensors with temperature and PM2.5 that see it before its limit; where there
    is none, among those with two channels or more; else the first sensor. A station that the
    fire reaches only after its limit would measure where it hangs, not who listens to it.
    """
    alone = [only_sensor(recording, index) for index in range(len(recording.sensors))]
    has = np.asarray(np.isfinite(recording.readings).any(axis=0))  # (sensor, channel)
    signals = [first_signal(one) for one in alone]
    seen = [math.inf if signal is None else signal for signal in signals]
    smoke = np.flatnonzero(has[:, TEMPERATURE] & has[:, PM25])
    smoke = [i for i in smoke if limit_s is None or seen[i] <= limit_s]
    several = [i for i in np.flatnonzero(has.sum(axis=1) > 1) if seen[i] < math.inf]
    return alone[min(smoke or several or [0], key=lambda i: seen[i])]


def only_sensor(recording: Recording, index: int) -> Recording:
    """One sensor of a recording, as a recording."""
    labels = recording.labels
    return replace(
        recording,
        sensors=recording.sensors[index : index + 1],
        readings=recording.readings[:, index : index + 1],
        labels=None if labels is None else labels[:, index : index + 1],
        turns=None,
    )


def only_rows(recording: Recording, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Recording:
    """Some rows of a recording, without the names of their sources."""
    return replace(
        recording,
        times_s=recording.times_s[rows],
        readings=recording.readings[rows],
        labels=None if recording.labels is None else recording.labels[rows],
        sources=None,
        turns=None if recording.turns is None else recording.turns[rows],
    )


def fire_limit(kind: str, references: Mapping[str, float | None]) -> float | None:
    """Return the latest time at which an alarm finds a fire in time, None without a reference [s].

    The references are when the ceiling or a smoke meter first reached `t_dT5` (+5 K), `t_dT20`,
    `t_OD05` (0.05/m) and `t_OD14`. A pan of oil is measured against +20 K as a flaming fire is.
    The limit that an annotated set gives, `t_limit`, comes before all of them.
    """
    at = {name: time for name, time in references.items() if time is not None}
    if "t_limit" in at:
        return at["t_limit"]
    if kind == SMOULDERING:
        limits = [at[name] for name in ("t_OD14", "t_dT5") if name in at]
        limits += [at["t_OD05"] + SMOULDERING_GRACE_S] if "t_OD05" in at else []
        return min(limits, default=None)
    return at["t_dT20"] + FLAMING_GRACE_S if "t_dT20" in at else None


def shown_limit(
    recording: Recording, kind: str, *, ignition_s: float, end_s: float
) -> float | None:
    """The limit of a fire by what its own sensors show from its ignition on, None for none. [s]

    Any sensor's rise counts, over its median in the last minute that it reports before the
    ignition; its first reading is the level where there is none before. Optical density is taken
    from PM2.5 as in `reference_alarms`, so it shows where a meter goes up to tens of mg/m3 alone.
    """
    extinction = AEROSOLS[aerosol_of(kind)].extinction_m2_g / math.log(10.0)
    asked = [(name, TEMPERATURE, rise) for name, rise in RISES_K.items()]
    asked += [(name, PM25, 1e6 * od / extinction) for name, od in DENSITIES_1_M.items()]
    at = {
        name: _earliest([
            first_risen(times, values, rise, ignition_s=ignition_s, end_s=end_s)
            for times, values in channel_readings(recording, channel)
        ])
        for name, channel, rise in asked
    }  # fmt: skip
    return fire_limit(kind, at)


def first_risen(
    times: NDArray, values: NDArray, rise: float, *, ignition_s: float, end_s: float
) -> float | None:
    """When values first stand so much over their level before the ignition, by the end. [s]"""
    before = times < ignition_s
    if before.any():
        level = np.median(values[before & (times > times[before][-1] - LEVEL_S)])
    else:
        level = values[0]
    risen = times[~before & (times <= end_s) & (values - level >= rise)]
    return float(risen[0]) if risen.size else None


def reference_alarms(recording: Recording, aerosol: AerosolKind) -> dict[str, float | None]:
    """Return when commercial alarms beside the sensors would first have sounded, None = never [s].

    They are those of `simulator.reference_alarms`, in air that changes evenly from one reading of
    a channel to its next and passes them at 0.16 m/s (assumed). Temperature is the reading as it
    is: the sensor's own lag comes before the alarm's. `rate_of_rise` is the heat alarm by that
    alone; `heat` has both.

    Args:
        recording: readings of any period.
        aerosol: what its smoke is; see `aerosol_of`. Optical density is taken from PM2.5 as its
            mass: a flaming fire reaches the ionisation alarm's level at about 4,800 ug/m3, and a
            sensor that saturates lower never shows a smoke alarm's.
    """
    start_s, end_s = recording.times_s[[0, -1]].tolist()
    at = start_s + BIN_S * np.arange(int((end_s - start_s) // BIN_S) + 1)
    pm25 = recording.readings[:, :, PM25].astype(np.float64)
    extinction = AEROSOLS[aerosol].extinction_m2_g / math.log(10.0)
    temperature, co, smoke = (
        _on_grid(recording.times_s, values, at)
        for values in (
            recording.readings[:, :, TEMPERATURE],
            recording.readings[:, :, CO],
            (pm25 - CLEAN_PM25_UG_M3) * 1e-6 * extinction,
        )
    )
    density = torch.zeros((*smoke.shape, len(AEROSOLS)), dtype=smoke.dtype)
    density[..., aerosol] = smoke
    speed = torch.full((1, 1, len(recording.sensors)), AIR_SPEED_M_S, dtype=smoke.dtype)
    sounding = sounding_times(density, temperature, co, air_speed=speed).amin(dim=(0, 1))
    first = dict(zip((alarm.name for alarm in REFERENCE_ALARMS), sounding.tolist(), strict=True))
    first["rate_of_rise"] = float(rate_of_rise_times(temperature, air_speed=speed).min())
    return {name: start_s + time if time < math.inf else None for name, time in first.items()}


def aerosol_of(kind: str | None) -> AerosolKind:
    """What the smoke of a recording is, by its kind: homes and pans of oil cook."""
    if kind == SMOULDERING:
        return AerosolKind.SMOULDERING
    is_cooking = kind in (COOKING_OIL, "home", "office")
    return AerosolKind.COOKING if is_cooking else AerosolKind.FLAMING


def co_dose_intervals(recording: Recording) -> list[Interval]:
    """When carbon monoxide stands at a dose that asks for an alarm, at any sensor. [s]

    From the moment at which one of the doses of the detector's fixed rule is complete to the next
    reading below its level, or to the last reading.
    """
    found = []
    for times, ppm in channel_readings(recording, CO):
        for level, hold_s in CO_DOSES:
            edges = np.diff(np.concatenate([[0], (ppm >= level).astype(np.int8), [0]]))
            starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
            for start, end in zip(starts, ends, strict=True):
                complete_s = float(times[start]) + hold_s
                if complete_s <= times[end - 1]:
                    found.append((complete_s, float(times[end]) if end < len(times) else math.inf))
    return found


def channel_readings(recording: Recording, channel: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield each sensor's times and values of a channel, without what is missing."""
    for sensor in range(len(recording.sensors)):
        values = recording.readings[:, sensor, channel].astype(np.float64)
        is_there = np.isfinite(values)
        if is_there.any():
            yield recording.times_s[is_there], values[is_there]


def _on_grid(times: NDArray, values: NDArray, at: NDArray) -> torch.Tensor:
    """Readings (time, sensor) at other times, between those that are not missing.

    NaN before a sensor's first reading and after its last. float64 (1, time, sensor)
    """
    out = np.full((len(at), values.shape[1]), np.nan)
    for sensor, column in enumerate(values.T):
        is_there = np.isfinite(column)
        if is_there.any():
            known = times[is_there]
            out[:, sensor] = np.interp(at, known, column[is_there], left=np.nan, right=np.nan)
    return torch.from_numpy(out)[None]


def first_held(times: NDArray, is_above: NDArray, hold_s: float) -> float | None:
    """Start of the first unbroken run of True that spans the hold, or None."""
    edges = np.diff(np.concatenate([[0], is_above.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    held = np.flatnonzero(times[ends] - times[starts] >= hold_s)
    return float(times[starts[held[0]]]) if held.size else None


def _earliest(times: list[float | None]) -> float | None:
    return min((time for time in times if time is not None), default=None)
