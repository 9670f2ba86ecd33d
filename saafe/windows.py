"""From readings to what the model sees: a grid of 10 s bins, and windows of means.

Indexing and means only; logarithms, quantiles and masks belong to the model. `cut_windows` is
numpy, for the detector, which runs without torch; `simulator.streams.gather` gives the same on
tensors.
"""

import math

import numpy as np
from numpy.typing import NDArray

BIN_S = 10.0
HOLD_S = 90.0  # an empty bin shows the last reading for so long
HOLD_BINS = int(HOLD_S / BIN_S)
LEARNT_PERIOD_S = 60.0  # no instrument of the general mix reports less often
DAY_S = 86_400.0
# (how many, bins in each), oldest first: 20 means of 5 min, 20 of 1 min, 20 of 10 s
SEGMENTS = ((20, 30), (20, 6), (20, 1))
STEPS = sum(count for count, _ in SEGMENTS)  # 60
SPAN = sum(count * width for count, width in SEGMENTS)  # 740 bins, 7,400 s


def bin_of(times_s: NDArray[np.floating]) -> NDArray[np.int64]:
    """Index of the bin that holds each time; bin k covers (10 (k-1), 10 k] s. int64 (time,)"""
    return np.ceil(np.asarray(times_s, dtype=np.float64) / BIN_S - 1e-9).astype(np.int64)


def bin_at(time_s: float) -> int:
    """Index of the bin that holds a time; see `bin_of`. [s]"""
    return math.ceil(time_s / BIN_S - 1e-9)


def to_grid(
    times_s: NDArray[np.floating], readings: NDArray[np.floating], *, hold_bins: int = HOLD_BINS
) -> tuple[NDArray[np.float32], NDArray[np.bool_], int]:
    """Put one sensor's readings on the 10 s grid.

    Args:
        times_s: strictly increasing. [s] (time,)
        readings: NaN where missing. (time, channel)
        hold_bins: how many empty bins show the last reading.

    Returns:
        grid: float32 (bin, channel): the mean of a bin's readings, else the last reading where
            it is held, else NaN.
        fresh: bool (bin,): whether the bin has a reading of its own.
        first: index of the first bin.
    """
    bins = bin_of(times_s)
    first = int(bins[0])
    index = bins - first
    count = int(index[-1]) + 1
    valid = ~np.isnan(readings)
    sums = np.zeros((count, readings.shape[1]))
    counts = np.zeros_like(sums)
    if len(index) == 1 or np.diff(index).all():  # a row a bin, as of most sensors
        sums[index], counts[index] = np.where(valid, readings, 0.0), valid
    else:
        np.add.at(sums, index, np.where(valid, readings, 0.0))
        np.add.at(counts, index, valid)
    with np.errstate(invalid="ignore"):
        grid = (sums / counts).astype(np.float32)  # 0/0 is NaN: nothing was read
    fresh = counts.sum(axis=1) > 0
    return hold(grid, hold_bins), fresh, first


def hold(grid: NDArray[np.float32], limit: int = HOLD_BINS) -> NDArray[np.float32]:
    """Fill up to `limit` empty bins with the channel's last reading. (bin, channel)"""
    rows = np.arange(len(grid))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(grid), -1, rows), axis=0)
    held = np.take_along_axis(grid, np.maximum(last, 0), axis=0)
    return np.where((last >= 0) & (rows - last <= limit), held, np.float32(np.nan))


def cut_windows(grid: NDArray[np.float32], ends: NDArray[np.int64]) -> NDArray[np.float32]:
    """Windows that end with given bins.

    Args:
        grid: (bin, channel)
        ends: index of each window's newest bin. int64 (window,)

    Returns:
        float32 (window, 60, 1, channel); NaN where nothing was known, also before the start.
    """
    ends = np.asarray(ends)
    # only what these windows see: a batch takes as long in a long recording as in a short one
    first, last = (max(int(ends.min()) + 1 - SPAN, 0), int(ends.max()) + 1) if ends.size else (0, 0)
    blank = np.full((SPAN, grid.shape[1]), np.nan, np.float32)
    padded = np.concatenate([blank, grid[first:last]])
    newest = (ends - first)[:, None] + SPAN
    parts: list[NDArray[np.float32]] = []
    left = SPAN
    for count, width in SEGMENTS:
        # neighbouring windows share their bins: each mean is taken once, then looked up
        last = newest - left + width * np.arange(1, count + 1)
        parts.append(rolling_means(padded, width)[last])
        left -= count * width
    return np.concatenate(parts, axis=1)[:, :, None, :]


def rolling_means(grid: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Mean of the `width` bins that end with each, of its known values. (bin, channel)

    Adds the bins in the order of `means`, so that both agree to the last bit; rows before the
    first whole one are NaN.
    """
    valid = ~np.isnan(grid)
    known = np.where(valid, grid, np.float32(0.0))
    rows = len(grid) - width + 1
    total, number = known[:rows].copy(), valid[:rows].astype(np.float32)
    for k in range(1, width):
        total += known[k : k + rows]
        number += valid[k : k + rows]
    out = np.full(grid.shape, np.nan, np.float32)
    np.divide(total, number, out=out[width - 1 :], where=number > 0)
    return out


def means(history: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average a history of 740 bins into the 60 steps of a window. (..., 60, channel)"""
    parts: list[NDArray[np.float32]] = []
    at = 0
    for count, width in SEGMENTS:
        part = history[..., at : at + count * width, :]
        at += count * width
        part = part.reshape(*part.shape[:-2], count, width, part.shape[-1])
        valid = ~np.isnan(part)
        number = valid.sum(axis=-2, dtype=np.float32)
        total = np.where(valid, part, np.float32(0.0)).sum(axis=-2, dtype=np.float32)
        parts.append(
            np.where(number > 0, total / np.maximum(number, np.float32(1.0)), np.float32(np.nan))
        )
    return np.concatenate(parts, axis=-2)
