"""What a recording shows by itself: first signal, limits of a fire, fixed thresholds.

No model comes in here: an alarm is measured against these times.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from saafe.detector import CO_DOSES, HEAT_C, RISE_K_PER_MIN
from saafe.recordings import Interval, Recording, cut_recording
from saafe.sensors import CHANNELS, CO, PM25, TEMPERATURE
from saafe.simulator import physics

FLAMING, SMOULDERING, COOKING_OIL = "flaming", "smouldering", "cooking oil"
FLAMING_GRACE_S = 30.0  # after +20 K at the ceiling
SMOULDERING_GRACE_S = 1800.0  # after OD 0.05/m, where neither OD 0.14/m nor +5 K is reached

SIGNAL_RISES = {
    k: channel.visibility.first_signal
    for k, channel in enumerate(CHANNELS)
    if channel.visibility is not None
}
SIGNAL_HOLD_S = 30.0
SIGNAL_BASE_S = 10.0

RISE_S = 60.0  # a rate of rise is over so long
# Chosen: sensitivities as commonly marked on detectors; UL 217 and 268 allow 0.5 to 4 %/ft.
PHOTO_PCT_FT, ION_PCT_FT = 2.1, 1.2
CLEAN_PM25_UG_M3 = 8.0  # what the conversion of smoke meters adds, see readers
CO_STEPS = {50.0: 5400.0, 100.0: 2400.0, 300.0: 180.0}  # ppm: latest alarm [s], EN 50291-1


def first_signal(recording: Recording) -> float | None:
    """Return when any sensor first shows a fire for 30 s: the start of those 30 s, or None [s].

    A sensor shows one where a channel stands above the median of its own first ten seconds by
    2 K, 300 ug/m3 PM2.5, 150 ppm CO2 or 25 ppm CO, in every reading that is not missing.
    """
    starts = []
    for channel, rise in SIGNAL_RISES.items():
        for times, values in channel_readings(recording, channel):
            base = np.median(values[times <= times[0] + SIGNAL_BASE_S])
            starts.append(first_held(times, values - base >= rise, SIGNAL_HOLD_S))
    return _earliest(starts)


def first_signal_from(recording: Recording, ignition_s: float) -> float | None:
    """First signal of a fire whose ignition is known, over ten seconds before it; or None. [s]

    Never before the ignition: what drifted until then is no fire. Where nothing was read so long
    before, there is no level to rise from, and the fire is taken to show from its ignition on.
    """
    before = np.flatnonzero(recording.times_s <= ignition_s - SIGNAL_BASE_S)
    if not before.size:
        return ignition_s
    begin_s = float(recording.times_s[before[-1]])
    signal_s = first_signal(cut_recording(recording, begin_s, float(recording.times_s[-1])))
    return None if signal_s is None else max(ignition_s, begin_s + signal_s)


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
    )


def only_rows(recording: Recording, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Recording:
    """Some rows of a recording, without the names of their sources."""
    return replace(
        recording,
        times_s=recording.times_s[rows],
        readings=recording.readings[rows],
        labels=None if recording.labels is None else recording.labels[rows],
        sources=None,
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
        strong = [at[name] for name in ("t_OD14", "t_dT5") if name in at]
        if strong:
            return min(strong)
        return at["t_OD05"] + SMOULDERING_GRACE_S if "t_OD05" in at else None
    return at["t_dT20"] + FLAMING_GRACE_S if "t_dT20" in at else None


def reference_alarms(
    recording: Recording, optical_density: NDArray | None = None
) -> dict[str, float | None]:
    """Return when fixed thresholds would have alarmed on the same stream, None = never [s].

    `heat` is 57 degC and `rate_of_rise` 8.3 K within a minute, both of the reading as it is: the
    sensor's own lag is in it, a heat detector's is not added. `photo` and `ionisation` are
    obscurations of 2.1 and 1.2 % a foot, both of the light that smoke takes away: how an
    ionisation chamber prefers flaming smoke is not modelled. `co` follows EN 50291-1's latest
    times: 90 min over 50 ppm, 40 min over 100 ppm, 3 min over 300 ppm, without a break.

    Args:
        recording: the stream.
        optical_density: decadic, per metre, `(time, sensor)`, where it was measured or is known.
            Otherwise it is taken from PM2.5, which reaches 1.2 % a foot at about 4,600 ug/m3: a
            sensor that saturates lower never shows a smoke threshold.

    Source:
        UL 521 (57 degC and 8.3 K/min heat detectors), UL 217 (obscuration), EN 50291-1:2018,
        table of alarm conditions; specific extinction of smoke from G. W. Mulholland and
        C. Croarkin, Fire and Materials, vol. 24, pp. 227-230, 2000.
    """
    smoke = list(_density_series(recording, optical_density))
    temperature = list(channel_readings(recording, TEMPERATURE))
    return {
        "heat": _earliest([_first(t, v >= HEAT_C) for t, v in temperature]),
        "rate_of_rise": _earliest(
            [_first(t, _rise(t, v) >= RISE_K_PER_MIN) for t, v in temperature]
        ),
        "photo": _earliest([_first(t, v >= density_of(PHOTO_PCT_FT)) for t, v in smoke]),
        "ionisation": _earliest([_first(t, v >= density_of(ION_PCT_FT)) for t, v in smoke]),
        "co": _earliest([_co_alarm(t, v) for t, v in channel_readings(recording, CO)]),
    }


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


def density_of(obscuration_pct_ft: float) -> float:
    """Decadic optical density per metre of an obscuration in percent a foot."""
    return -math.log10(1.0 - obscuration_pct_ft / 100.0) / 0.3048


def density_of_smoke(smoke_g_m3: NDArray) -> NDArray:
    """Decadic optical density per metre, as the simulator has it."""
    return physics.optical_density(torch.from_numpy(smoke_g_m3)).numpy()


def channel_readings(recording: Recording, channel: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield each sensor's times and values of a channel, without what is missing."""
    for sensor in range(len(recording.sensors)):
        values = recording.readings[:, sensor, channel].astype(np.float64)
        is_there = np.isfinite(values)
        if is_there.any():
            yield recording.times_s[is_there], values[is_there]


def _density_series(
    recording: Recording, optical_density: NDArray | None
) -> Iterator[tuple[NDArray, NDArray]]:
    if optical_density is None:
        for times, pm25 in channel_readings(recording, PM25):
            yield times, density_of_smoke((pm25 - CLEAN_PM25_UG_M3) * 1e-6)
        return
    for values in np.asarray(optical_density).T:
        is_there = np.isfinite(values)
        yield recording.times_s[is_there], values[is_there]


def _rise(times: NDArray, values: NDArray) -> NDArray:
    """Rise over the last minute, 0 where less than one was seen."""
    rise = values - np.interp(times - RISE_S, times, values)
    return np.where(times - times[0] >= RISE_S, rise, 0.0) if times.size else rise


def _co_alarm(times: NDArray, ppm: NDArray) -> float | None:
    alarms = []
    for level, hold_s in CO_STEPS.items():
        start = first_held(times, ppm >= level, hold_s)
        alarms.append(None if start is None else start + hold_s)
    return _earliest(alarms)


def _first(times: NDArray, is_above: NDArray) -> float | None:
    index = np.flatnonzero(is_above)
    return float(times[index[0]]) if index.size else None


def first_held(times: NDArray, is_above: NDArray, hold_s: float) -> float | None:
    """Start of the first unbroken run of True that spans the hold, or None."""
    edges = np.diff(np.concatenate([[0], is_above.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    held = np.flatnonzero(times[ends] - times[starts] >= hold_s)
    return float(times[starts[held[0]]]) if held.size else None


def _earliest(times: list[float | None]) -> float | None:
    return min((time for time in times if time is not None), default=None)
