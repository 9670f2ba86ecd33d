"""Recordings with everything that can go wrong: gaps, faults, uploads, heat, several sensors."""

import numpy as np

from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, PM25, TEMPERATURE

PERIODS_S = (1.0, 7.0, 10.0, 30.0, 60.0, 300.0)


def odd_recording(seed: int, rows: int = 600) -> Recording:
    """One of a seed; float32, NaN where missing, times not always regular."""
    random = np.random.default_rng(seed)
    period_s = float(random.choice(PERIODS_S))
    sensors = int(random.integers(1, 4))
    steps = np.full(rows, period_s)
    irregular = random.random(rows) < random.choice([0.0, 0.0, 0.3])
    steps[irregular] *= random.choice([0.1, 2.0, 5.0], irregular.sum())
    steps[random.random(rows) < 0.005] += random.choice([200.0, 1_000.0, 8_000.0, 90_000.0])
    times = np.round(np.cumsum(steps), 3)
    readings = np.full((rows, sensors, len(CHANNELS)), np.nan, np.float32)
    for sensor in range(sensors):
        for channel, spec in enumerate(CHANNELS):
            if random.random() < 0.75:
                noise = {TEMPERATURE: 0.1, PM25: 1.0, CO2: 8.0, CO: 0.3, HUMIDITY: 0.3}
                walk = np.cumsum(random.normal(0, noise.get(channel, 1.0), rows))
                readings[:, sensor, channel] = np.clip(
                    spec.rest + 5.0 + walk, spec.lowest, min(spec.highest, 60_000.0)
                )
        for _ in range(int(random.integers(0, 4))):
            happen(readings[:, sensor], random)
    readings[random.random(readings.shape) < random.choice([0.0, 0.02, 0.3])] = np.nan
    is_away = random.random((rows, sensors)) < random.choice([0.0, 0.3])
    readings[is_away] = np.nan
    keep = ~np.isnan(readings).all(axis=(1, 2))
    if not keep.any():
        readings[0, 0, TEMPERATURE], keep[0] = 20.0, True
    times, readings = times[keep], readings[keep]
    names = tuple("ABC"[:sensors])
    return Recording(f"odd-{seed}", times - times[0], names, readings)


def happen(readings: np.ndarray, random: np.random.Generator) -> None:
    """Let something happen to one sensor (time, channel): a fire, a fault, silence."""
    rows = len(readings)
    start = int(random.integers(0, rows))
    end = min(rows, start + int(random.integers(1, max(rows // 3, 2))))
    length, span = end - start, slice(start, end)
    what = random.integers(0, 8)
    if what == 0:  # a fire
        growth = np.linspace(0.0, 1.0, length) ** 2
        for channel, rise in ((TEMPERATURE, 80.0), (PM25, 900.0), (CO2, 4_000.0), (CO, 400.0)):
            readings[span, channel] += (rise * growth).astype(np.float32)
    elif what == 1:  # silence
        readings[span] = np.nan
    elif what == 2:  # a channel is away
        readings[span, random.integers(0, len(CHANNELS))] = np.nan
    elif what == 3:  # a loose contact
        at = start + np.flatnonzero(random.random(length) < 0.2)
        readings[at, random.choice([TEMPERATURE, PM25, CO])] += 300.0
    elif what == 4:  # a reading that stays
        channel = int(random.integers(0, len(CHANNELS)))
        readings[start:, channel] = readings[start, channel]
    elif what == 5:  # hot
        readings[span, TEMPERATURE] = 58.0 + random.random(length).astype(np.float32)
    elif what == 6:  # carbon monoxide for long
        readings[span, CO] = 120.0
    else:  # one wrong reading
        readings[start, TEMPERATURE] = 300.0
