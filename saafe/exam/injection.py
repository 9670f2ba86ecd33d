"""Puts faults into recordings of one sensor, so that a detector can be tried with them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saafe.exam.references import only_rows
from saafe.recordings import Recording
from saafe.sensors import CHANNELS, COLUMNS

SPIKING_SHARE = 0.05  # of the readings
SLOW_S = 900.0  # first-order lag of a blocked inlet
LATE_SHARE = TWICE_SHARE = 0.1  # of the rows


@dataclass(frozen=True)
class ChannelReadings:
    """One channel of one sensor, readings only."""

    times_s: NDArray[np.float64]  # (reading,)
    values: NDArray[np.float64]  # (reading,)
    channel: int  # which
    at_s: float  # when the fault begins; may lie before the first reading. [s]

    @property
    def is_on(self) -> NDArray[np.bool_]:
        """Readings from the fault on. (reading,)"""
        return np.asarray(self.times_s >= self.at_s)


# (reading,) of what is read instead
ChannelFault = Callable[[ChannelReadings, np.random.Generator], NDArray]


def missing(series: ChannelReadings, _random: np.random.Generator) -> NDArray:
    """Nothing more comes."""
    return np.where(series.is_on, np.nan, series.values)


def dead(series: ChannelReadings, _random: np.random.Generator) -> NDArray:
    """The lowest reading that the channel's format allows, which is zero for most."""
    return np.where(series.is_on, CHANNELS[series.channel].lowest, series.values)


def stuck(series: ChannelReadings, _random: np.random.Generator) -> NDArray:
    """The last reading before, for ever."""
    before = series.values[~series.is_on]
    last = before[-1] if before.size else series.values[0]
    return np.where(series.is_on, last, series.values)


def drifting(series: ChannelReadings, _random: np.random.Generator) -> NDArray:
    """Further up every day."""
    days = np.maximum(series.times_s - series.at_s, 0.0) / 86_400.0
    return series.values + CHANNELS[series.channel].instruments.drift_a_day * days


def saturated(series: ChannelReadings, _random: np.random.Generator) -> NDArray:
    """The top of the range, or the highest reading where that was higher."""
    top = max(CHANNELS[series.channel].instruments.top, float(series.values.max()))
    return np.where(series.is_on, top, series.values)


def spiking(series: ChannelReadings, random: np.random.Generator) -> NDArray:
    """One reading in twenty far too high."""
    is_spike = series.is_on & (random.random(series.values.size) < SPIKING_SHARE)
    return series.values + CHANNELS[series.channel].instruments.spike * is_spike


def slow(series: ChannelReadings, _random: np.random.Generator) -> NDArray:
    """A first-order lag of a quarter of an hour."""
    out = series.values.copy()
    share = 1.0 - np.exp(-np.diff(series.times_s, prepend=series.times_s[0]) / SLOW_S)
    for k in np.flatnonzero(series.is_on)[1:]:
        out[k] = out[k - 1] + share[k] * (series.values[k] - out[k - 1])
    return out


INJECTED_FAULTS: dict[str, ChannelFault] = {
    "missing": missing,
    "dead": dead,
    "stuck": stuck,
    "drifting": drifting,
    "saturated": saturated,
    "spiking": spiking,
    "slow": slow,
}


def with_fault(
    recording: Recording, fault: str, channel: int, *, at_s: float, random: np.random.Generator
) -> Recording:
    """A copy of a recording whose first sensor has a faulty channel from `at_s` on. [s]"""
    readings = recording.readings.copy()
    column = readings[:, 0, channel]
    is_there = np.isfinite(column)
    if is_there.any():
        series = ChannelReadings(
            recording.times_s[is_there], column[is_there].astype(np.float64), channel, at_s
        )
        limits = CHANNELS[channel].lowest, CHANNELS[channel].highest
        column[is_there] = np.clip(INJECTED_FAULTS[fault](series, random), *limits)
    return replace(recording, readings=readings)


def with_gap(recording: Recording, start_s: float, end_s: float) -> Recording:
    """A recording without the rows of a stretch of time."""
    kept = (recording.times_s < start_s) | (recording.times_s >= end_s)
    kept[0] = True
    return only_rows(recording, kept)


def csv_lines(recording: Recording) -> list[str]:
    """The first sensor's rows as CSV text, the header first."""
    lines = [",".join(("time_s", "sensor", *COLUMNS))]
    for time_s, row in zip(recording.times_s, recording.readings[:, 0], strict=True):
        if np.isfinite(row).any():
            cells = ["" if np.isnan(value) else repr(float(value)) for value in row]
            lines.append(",".join((repr(float(time_s)), recording.sensors[0], *cells)))
    return lines


def with_rows_twice(lines: list[str], random: np.random.Generator) -> list[str]:
    """Some of the rows come twice; the header stays."""
    out = lines[:1]
    for line in lines[1:]:
        out += [line, line] if random.random() < TWICE_SHARE else [line]
    return out


def with_late_rows(lines: list[str], random: np.random.Generator) -> list[str]:
    """Some of the rows come after the next one; the header and the first row stay."""
    out = list(lines)
    k = 2
    while k + 1 < len(out):
        if random.random() < LATE_SHARE:
            out[k], out[k + 1] = out[k + 1], out[k]
            k += 1
        k += 1
    return out
