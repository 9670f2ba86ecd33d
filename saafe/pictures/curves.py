"""Curves of readings as a picture draws them: thinned, and broken where a sensor was silent."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from saafe.detector import self_test
from saafe.recordings import Interval
from saafe.sensors import LONGEST_PERIOD_S
from saafe.windows import BIN_S, HOLD_S

DRAWN_POINTS = 3000  # of a line that are drawn at most: more than a picture is wide
SILENT_PERIODS = 3.0  # Chosen: as `saafe data check` counts gaps
ALWAYS = (-np.inf, np.inf)
LONE = "_lone"  # label of such points, which are of the curve before
MARK = "_mark "  # begins the label of a line that marks a moment; its name follows
LONE_SIZE = 2.5  # of the point of a reading between two silences


class Curve(NamedTuple):
    """A line with NaN where it breaks, and the points that stand alone between two breaks."""

    x: NDArray
    y: NDArray
    is_lone: NDArray  # bool, as long as both


def silence_s(times_s: NDArray, longest_interval_s: float = 0.0) -> float:
    """For how long a healthy sensor may say nothing, by the times of its readings. [s]

    Three of its median intervals, and as the self-test has it 1.5 of the device's longest; 90 min
    at least where most intervals differ from the median, as of a channel that reports on change.

    Args:
        times_s: of the readings, in order. (reading,)
        longest_interval_s: of the device, 0 where it is not known.
    """
    known_s = max(HOLD_S, self_test.SILENT_INTERVALS * longest_interval_s)
    if len(times_s) < 2:
        return known_s
    intervals = np.diff(times_s)
    median = float(np.median(intervals))
    near = np.abs(intervals - median) <= max(BIN_S, self_test.NEAR_SHARE * median)
    on_change_s = self_test.SILENT_INTERVALS * LONGEST_PERIOD_S
    return max(known_s, SILENT_PERIODS * median, 0.0 if near.mean() >= 0.5 else on_change_s)


def rows_drawn(times_s: NDArray, part: Interval, limit_s: float) -> slice:
    """The readings in a part, and one on either side that no silence parts from it."""
    first, end = (
        int(np.searchsorted(times_s, part[0])),
        int(np.searchsorted(times_s, part[1], side="right")),
    )
    begins_before = 0 < first < len(times_s) and times_s[first] - times_s[first - 1] <= limit_s
    ends_after = 0 < end < len(times_s) and times_s[end] - times_s[end - 1] <= limit_s
    return slice(first - begins_before, end + ends_after)


def curve_of(
    times_s: NDArray, values: NDArray, longest_interval_s: float = 0.0, part: Interval = ALWAYS
) -> Curve:
    """The curve of readings `(reading,)` in a part, broken where they were silent; x in seconds.

    What is silent is told by all of them, so that a part breaks where the whole would.
    """
    limit_s = silence_s(times_s, longest_interval_s)
    rows = rows_drawn(times_s, part, limit_s)
    times_s, values = times_s[rows], values[rows]
    after = np.flatnonzero(np.diff(times_s) > limit_s) + 1  # first reading after each silence
    middle = (times_s[after - 1] + times_s[after]) / 2.0
    ends = np.concatenate([after - 1, after]) if len(after) < DRAWN_POINTS else after[:0]
    x, y = thinned(times_s, values, ends)
    at = np.searchsorted(x, middle)
    x, y = np.insert(x, at, middle), np.insert(y.astype(np.float64), at, np.nan)
    is_gap = np.concatenate([[True], np.isnan(y), [True]])
    return Curve(x, y, is_gap[:-2] & is_gap[2:] & ~is_gap[1:-1])


def draw_curve(place: Axes, curve: Curve, scale: float, *, color: str, width: float, name: str
               ) -> None:  # fmt: skip
    """Draw a curve, `scale` seconds to a unit of the axis."""
    place.plot(curve.x / scale, curve.y, color=color, linewidth=width, label=name)
    if curve.is_lone.any():
        x, y = curve.x[curve.is_lone] / scale, curve.y[curve.is_lone]
        place.plot(x, y, ".", color=color, markersize=LONE_SIZE, label=LONE)


def thinned(x: NDArray, y: NDArray, kept: NDArray | tuple[()] = ()) -> tuple[NDArray, NDArray]:
    """At most `DRAWN_POINTS` points with the same ends: of each stretch its lowest and highest.

    The points with an index in `kept` come beside.
    """
    if len(x) <= DRAWN_POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), DRAWN_POINTS // 2)
    ends = [sorted((part[np.argmin(y[part])], part[np.argmax(y[part])])) for part in parts]
    every = np.concatenate([[0, len(x) - 1], np.ravel(ends), kept]).astype(np.int64)
    index = np.unique(every)
    return x[index], y[index]
