"""What a channel's readings show of the instrument: step, noise, reporting, and where it ends.

Pure functions of times and readings. What cannot be seen is NaN.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saafe.sensors import LONGEST_PERIOD_S, Range
from saafe.simulator.devices.device import ON_CHANGE, PERIODIC, Reporting
from saafe.windows import DAY_S

NICE = (1.0, 2.0, 2.5, 5.0, 6.25)  # times a power of ten: what makers choose as a step
REACHES = tuple(8.0 * 2.0**k for k in range(14))  # in steps
FEWEST_VALUES = 5  # Chosen: different readings that show a step; two of them may lie steps apart
CALM_BLOCK = 16  # readings whose scatter is taken together
CALM_SHARE = 0.3  # Chosen: of the blocks, the calmest, show noise and little else
# Chosen: of the intervals' 90 % over their 10 %, of channels that report on change
CHANGE_RATIO = 2.5
MOST_CLIPPED = 0.3  # Chosen: no ordinary day is spent beyond the end of a range
FEWEST_AT_END = 5  # Chosen: readings
FEWEST_VISITS = 3  # Chosen: a smooth curve that turns once or twice lingers there, too
VISITS_APART_S = 3600.0  # Chosen: what comes within an hour is one event
STRAY = 0.1  # Chosen: of the readings at an end so many may lie beyond it
PILE = 3.0  # Chosen: so many times its neighbours' share are readings at an end


@dataclass(frozen=True)
class Noise:
    """Standard deviation of one reading: the larger of a value and a share of the reading."""

    value: float  # 0 where it is under the step, NaN where it is not seen
    relative: float  # NaN where readings never left their low


@dataclass(frozen=True)
class Ends:
    """Where readings end; NaN where none is seen."""

    least: float  # of the readings
    most: float
    lowest: float  # where readings pile up below
    clip: float  # where they pile up above
    floor: float  # the smallest reading over `lowest`, where there is nothing between
    at_lowest: int = 0  # readings there
    at_clip: int = 0


def find_step(values: NDArray, written: float) -> float:
    """The step of readings that were written with a smallest step of their own.

    The mean of the smallest gaps between different readings, refined so that all readings lie on
    its multiples; a number that makers choose, where it is one within 2 %. NaN where too few
    readings differ.
    """
    different = np.unique(np.round(values / written).astype(np.int64)) * written
    if len(different) < FEWEST_VALUES:
        return math.nan
    if len(different) > 5:  # where readings end they need lie on no step
        different = different[1:-1]
    gaps = np.diff(different)
    least = gaps.min()
    near = gaps[gaps < 1.5 * least + 0.5 * written]
    step = float(near.mean()) if len(near) >= 3 else float(least)
    if step < 1.9 * written:  # as fine as what is written
        return written
    base = different[0]
    for reach in REACHES:  # from near readings to far ones, so that no multiple is lost
        part = different[different - base <= reach * step] - base
        count = np.round(part / step)
        if (count**2).sum() > 0:
            step = float((part * count).sum() / (count**2).sum())
    off = np.abs(different - base - np.round((different - base) / step) * step)
    if np.median(off) > 0.15 * step + 0.5 * written:  # on no multiples
        return float(least)
    power = 10.0 ** math.floor(math.log10(step))
    for nice in (*NICE, 10.0):
        if abs(step / (nice * power) - 1.0) < 0.02:
            return nice * power
    return step


def find_noise(times_s: NDArray, values: NDArray, step: float, *, grows: bool) -> Noise:
    """Noise from the calmest stretches: second differences, less what the step explains.

    A steady rise leaves no second difference; that of white noise has six times its variance.
    """
    gaps = np.diff(times_s)
    usual = np.median(gaps)
    regular = np.abs(gaps - usual) <= 0.3 * usual
    second = np.diff(values, n=2)
    kept = regular[1:] & regular[:-1]
    # at an end noise goes one way only
    ends = [end for end in (values.min(), values.max()) if (values == end).mean() > 0.01]
    inside = ~np.isin(values, ends)
    if inside.mean() > 0.2:
        kept &= inside[2:] & inside[1:-1] & inside[:-2]
    second, level = second[kept], values[1:-1][kept]
    blocks = len(second) // CALM_BLOCK
    if blocks < 3:
        return Noise(math.nan, math.nan)
    # the mean of squares of a block, and where it lies
    squares = (second[: blocks * CALM_BLOCK] ** 2).reshape(blocks, CALM_BLOCK).mean(axis=1) / 6.0
    levels = level[: blocks * CALM_BLOCK].reshape(blocks, CALM_BLOCK).mean(axis=1)
    low = levels <= np.quantile(levels, 0.5)
    value = _calm(squares[low], step)
    if not grows:
        return Noise(value, 0.0)
    high = levels >= np.quantile(levels, 0.9)
    rise = float(np.median(levels[high]) - np.median(levels[low]))
    if high.sum() < 5 or rise <= 4.0 * max(float(np.median(levels[low])), 2.0 * step, value):
        return Noise(value, math.nan)
    grown = _calm(squares[high], step)
    return Noise(value, grown / float(np.median(levels[high])) if grown > value else 0.0)


def _calm(squares: NDArray, step: float) -> float:
    """Standard deviation from the calmest blocks' mean squares; 0 where the step hides it."""
    # the mean square of second differences varies from block to block: of white noise its 30 %
    # quantile is 0.70 of its mean (from 100,000 blocks)
    variance = float(np.quantile(squares, CALM_SHARE)) / 0.70 - step**2 / 12.0
    return math.sqrt(variance) if variance > (0.25 * step) ** 2 else 0.0


def find_reporting(
    times_s: NDArray, values: NDArray, step: float, noise: float
) -> tuple[Reporting, bool, float]:
    """How a channel reports; whether its longest interval was reached; the share of reports lost.

    On change: at intervals of any length, and never the same reading twice but after the longest.
    """
    gaps = np.diff(times_s)
    gaps, moves = gaps[gaps <= DAY_S], np.abs(np.diff(values))[gaps <= DAY_S]
    usual = float(np.median(gaps))
    low, high = np.quantile(gaps, [0.1, 0.9])
    same = moves < 0.5 * step
    longest, is_seen = _longest(gaps)
    short = gaps < 0.95 * longest
    short = short if short.mean() > 0.2 else np.ones(len(gaps), bool)
    is_irregular = high > CHANGE_RATIO * low
    # noise would repeat some readings, were they all sent; NaN and 0 expect none
    repeats = len(gaps) * step / (2.0 * math.sqrt(math.pi) * max(noise, 0.3 * step))
    hides = noise > 0.0 and repeats > 10.0 and same[short].sum() < 0.1 * repeats
    if hides or (is_irregular and same[short].mean() < 0.05):
        delta = float(np.quantile(moves[short & ~same], 0.03))
        delta = max(step, round(delta / step) * step)
        first = max(float(np.quantile(gaps, 0.01)), 0.1)
        every = min(first, LONGEST_PERIOD_S)
        return Reporting(ON_CHANGE, every, longest_s=longest, delta=delta), is_seen, 0.0
    exact = np.abs(gaps - usual) <= 0.05 * usual
    near = exact
    if exact.mean() < 0.9:  # late ones, or a period that the clock of the rows does not divide
        is_double = np.abs(gaps - 2.0 * usual) <= 0.05 * usual  # lost ones, where they are few
        near = (gaps > 0.45 * usual) & (gaps < (2.2 if is_double.mean() > 0.3 else 1.7) * usual)
    usual_s = float(gaps[near].mean())
    usual_s = float(np.round(usual_s, 1 if usual_s > 3.0 else 2))
    expected = np.round(gaps / usual_s)
    lost = float((expected - 1.0)[(expected >= 1) & (expected <= 5)].sum() / max(expected.sum(), 1))
    return Reporting(PERIODIC, min(max(usual_s, 0.1), LONGEST_PERIOD_S)), False, lost


def _longest(gaps: NDArray) -> tuple[float, bool]:
    """The longest interval that several gaps share, and whether such a pile was seen."""
    ordered = np.sort(gaps)
    for end in ordered[::-1][: max(3, len(gaps) // 50)]:
        pile = np.abs(gaps - end) <= max(0.02 * end, 5.0)
        beside = (gaps < end * 0.94) & (gaps > end * 0.45)
        enough = max(3.0, 0.005 * len(gaps))
        is_last = ordered[-1] <= 1.06 * end and pile.sum() >= max(8.0, enough)
        if is_last or pile.sum() >= max(enough, float(beside.sum())):
            return float(np.median(gaps[pile])), True
    return float(ordered[-1]), False


def find_ends(times_s: NDArray, values: NDArray, step: float, noise: Noise, *, within: Range
              ) -> Ends:  # fmt: skip
    """Where readings end: at an end they pile up, where their own scatter would move them.

    Between the two figures of `within` no meter of the kind ends.
    """
    least, most = float(values.min()), float(values.max())

    def is_known(end: float) -> bool:
        return not within[0] < end < within[1]

    counts = np.round(values / step)
    is_lowest = is_known(least) and _is_end(times_s, counts, values, step, noise)
    lowest, at_lowest = least if is_lowest else math.nan, int((counts == counts.min()).sum())
    top = _highest_pile(counts)
    under = counts <= top
    clip, at_clip = float(values[counts == top][0]), int((counts == top).sum())
    # a channel that rests all day at one reading does not end there
    is_clip = is_known(clip) and at_clip < MOST_CLIPPED * len(counts)
    is_clip = is_clip and len(np.unique(counts)) > 10
    is_clip = is_clip and _is_end(times_s[under], -counts[under], values[under], step, noise)
    floor = math.nan
    if is_lowest:
        above = values[values > least + 0.5 * step]
        if (
            len(above)
            and above.min() - least > 4.5 * step
            and (values < least + step).mean() > 0.02
        ):
            floor = float(above.min())
    return Ends(least, most, lowest, clip if is_clip else math.nan, floor, at_lowest, at_clip)


def _highest_pile(counts: NDArray) -> float:
    """Where readings may end: their highest, or a pile that but a few stray readings surpass."""
    different, times = np.unique(counts, return_counts=True)
    above = times[::-1].cumsum()[::-1] - times
    is_pile = (times >= FEWEST_AT_END) & (above <= STRAY * times)
    return float(different[is_pile][-1]) if is_pile.any() else float(different[-1])


def _is_end(times_s: NDArray, counts: NDArray, values: NDArray, step: float, noise: Noise) -> bool:
    """Whether readings, as counts of steps from that end on, pile up at their first one.

    Noise over a step would move what only lingers there. Where it is less, or hidden, readings
    come back to an end again and again; a smooth curve seldom turns twice at the same reading.
    """
    end = counts.min()
    at = counts == end
    number = int(at.sum())
    if number < FEWEST_AT_END:
        return False
    level = abs(float(values[at][0]))
    relative = 0.0 if math.isnan(noise.relative) else noise.relative
    scatter = max(0.0 if math.isnan(noise.value) else noise.value, relative * level)
    # the steps over which noise would have spread them; at least a few
    reach = max(3.0, math.ceil(2.0 * scatter / step))
    beside = ((counts > end) & (counts <= end + reach)).sum() / reach
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], at.astype(np.int8), [0]])) != 0))[
        ::2
    ]
    if number <= PILE * max(beside, 1.0) or runs.max() < 3:
        return False
    return scatter > step or _visits(times_s, counts, reach) >= FEWEST_VISITS


def _visits(times_s: NDArray, counts: NDArray, reach: float) -> int:
    """How often readings came to their first count, from more than `reach` steps away."""
    at = counts == counts.min()
    times_away = np.cumsum(counts > counts.min() + reach)[at]
    arrivals_s = times_s[at][np.diff(times_away, prepend=-1) > 0]
    return len(np.unique(arrivals_s // VISITS_APART_S))
