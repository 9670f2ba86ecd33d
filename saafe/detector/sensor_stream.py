"""The grid of one sensor as it grows, and the window that ends with its newest bin."""

import math

import numpy as np
from numpy.typing import NDArray

from saafe import windows
from saafe.sensors import CHANNELS
from saafe.windows import BIN_S, SEGMENTS, SPAN

CHANNEL_COUNT = len(CHANNELS)
EMPTY_BIN = np.zeros(CHANNEL_COUNT)
NEW = np.zeros(CHANNEL_COUNT, np.int64)  # the age of readings that have just come
SPARE = 30  # Chosen: bins, five minutes; so often arrays are shifted, and so much longer they are
FEW = 8  # Chosen: empty bins that are quicker taken one by one
(FIVES, FIVE_WIDTH), (ONES, ONE_WIDTH), (LAST, _) = SEGMENTS
ONES_KEPT = LAST + (ONES - 1) * ONE_WIDTH + 1  # means of a minute that windows yet to come need
FIVES_KEPT = LAST + ONES * ONE_WIDTH + (FIVES - 1) * FIVE_WIDTH + 1  # of five minutes


class SensorStream:
    """The last 740 bins of a sensor, their means, and the bin being filled.

    A window's means end with other bins at every step, so each mean is taken once, as its last
    bin closes, and kept. Arrays have room to grow: they are shifted once in `SPARE` bins.
    """

    # what is saved: the rest is made of it
    SAVED = ("history", "last", "age", "hold_bins", "bin", "sums", "counts", "last_s", "before")

    def __init__(self, first: int, hold_bins: int) -> None:
        """Start with nothing known and bin `first` open; a reading is held for `hold_bins`."""
        self.at = 1  # row of the oldest of the last 740 bins; one more back for `_reopen`
        self.bins, self.fives, self.ones = (
            np.full((1 + kept + SPARE, CHANNEL_COUNT), np.nan, np.float32)
            for kept in (SPAN, FIVES_KEPT, ONES_KEPT)
        )
        # last reading, and how old it is
        self.last = np.full(CHANNEL_COUNT, np.nan, np.float32)
        self.age: NDArray[np.int64] = NEW
        self.hold_bins = hold_bins
        self.bin = first  # the bin being filled
        self.sums, self.counts = EMPTY_BIN, EMPTY_BIN
        self.last_s = -math.inf  # of a row
        self.before = (self.sums, self.counts, self.last, self.age)  # as the last bin closed

    @property
    def history(self) -> NDArray[np.float32]:
        """The last 740 bins, the newest last. (740, channel)"""
        return self.bins[self.at : self.at + SPAN]

    @history.setter
    def history(self, history: NDArray[np.float32]) -> None:
        self.at = 1
        self.bins[1 : 1 + SPAN] = history
        for kept, count, width in (
            (self.fives, FIVES_KEPT, FIVE_WIDTH), (self.ones, ONES_KEPT, ONE_WIDTH)
        ):  # fmt: skip
            kept[1 : 1 + count] = windows.rolling_means(history, width)[-count:]

    @property
    def counts(self) -> NDArray[np.float64]:
        """How many readings are in the bin being filled. (channel,)"""
        return self._counts

    @counts.setter
    def counts(self, counts: NDArray[np.float64]) -> None:
        self._counts, self.is_filled = counts, bool(counts.any())

    @property
    def end_s(self) -> float:
        """When the bin being filled closes, inf where nothing is in it. [s]"""
        return self.bin * BIN_S if self.is_filled else math.inf

    def add(self, time_s: float, readings: NDArray[np.float64]) -> None:
        """Put one row into its bin, the one being filled or the last that closed."""
        target = windows.bin_at(time_s)
        if time_s >= self.last_s and target == self.bin - 1:
            self._reopen()
        self.last_s = max(self.last_s, time_s)
        self._skip_to(target)
        valid = readings == readings
        values = readings if valid.all() else np.where(valid, readings, 0.0)
        self.sums = self.sums + values
        self.counts = self.counts + valid

    def close(self) -> NDArray[np.float32]:
        """Close the bin being filled; its window. (60, 1, channel)"""
        self.before = (self.sums, self.counts, self.last, self.age)
        new = self.counts > 0.0
        if new.all():
            self.last = (self.sums / self.counts).astype(np.float32)
            self.age = NEW
            held = self.last
        else:
            value = (self.sums / np.maximum(self.counts, 1.0)).astype(np.float32)
            self.last = np.where(new, value, self.last)
            self.age = np.where(new, 0, self.age + 1)
            held = np.where(self.age <= self.hold_bins, self.last, np.float32(np.nan))
        self._push(held)
        self.sums, self.counts = EMPTY_BIN, EMPTY_BIN
        self.bin += 1
        return self.window()

    def window(self) -> NDArray[np.float32]:
        """The window that ends with the newest bin. (60, 1, channel)"""
        at = self.at
        steps = np.concatenate((
            self.fives[at : at + (FIVES - 1) * FIVE_WIDTH + 1 : FIVE_WIDTH],
            self.ones[at : at + (ONES - 1) * ONE_WIDTH + 1 : ONE_WIDTH],
            self.bins[at + SPAN - LAST : at + SPAN],
        ))  # fmt: skip
        return steps[:, None, :]

    def latest(self) -> NDArray[np.float32]:
        """The newest bin. (channel,)"""
        return self.bins[self.at + SPAN - 1].copy()

    def _push(self, held: NDArray[np.float32]) -> None:
        """Take the next bin. (channel,)"""
        if self.at == SPARE + 1:
            for kept in (self.bins, self.fives, self.ones):
                kept[:-SPARE] = kept[SPARE:]
            self.at = 1
        self.at += 1
        at = self.at
        end = at + SPAN
        self.bins[end - 1] = held
        wide = self.bins[end - FIVE_WIDTH : end]
        # bins are added in the order of `windows.means`, so that all agree to the last bit
        valid = wide == wide
        if valid.all():
            self.fives[at + FIVES_KEPT - 1] = wide.sum(axis=0) / np.float32(FIVE_WIDTH)
            self.ones[at + ONES_KEPT - 1] = wide[-ONE_WIDTH:].sum(axis=0) / np.float32(ONE_WIDTH)
            return
        known = np.where(valid, wide, np.float32(0.0))
        for kept, count, width in (
            (self.fives, FIVES_KEPT, FIVE_WIDTH), (self.ones, ONES_KEPT, ONE_WIDTH)
        ):  # fmt: skip
            number = valid[-width:].sum(axis=0, dtype=np.float32)
            mean = known[-width:].sum(axis=0) / np.maximum(number, np.float32(1.0))
            kept[at + count - 1] = np.where(number > 0, mean, np.float32(np.nan))

    def _reopen(self) -> None:
        """Open the bin again that closed last."""
        self.sums, self.counts, self.last, self.age = self.before
        self.at -= 1
        self.bin -= 1

    def _skip_to(self, target: int) -> None:
        """Close empty bins until `target` is the open one."""
        if target - self.bin > SPAN + self.hold_bins:  # a long gap leaves nothing known
            for kept in (self.bins, self.fives, self.ones):
                kept[:] = np.nan
            self.last = np.full(CHANNEL_COUNT, np.nan, np.float32)
            self.bin = target
        missing = target - self.bin
        if missing <= 0:
            return
        ages = self.age + np.arange(1, missing + 1)[:, None]
        held = np.where(ages <= self.hold_bins, self.last, np.float32(np.nan))
        if missing <= FEW:
            for one in held:
                self._push(one)
        else:
            self.history = np.concatenate([self.history, held])[-SPAN:]
        self.age, self.bin = ages[-1], target
