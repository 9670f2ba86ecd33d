"""What a sensor's clock did while it recorded: odd rows, and clocks set anew."""

from typing import NamedTuple

import numpy as np

LONGEST_SILENCE_S = 30 * 86400.0  # Chosen: a longer step forward is a clock set anew
FAR_PERIODS = 10.0  # Chosen: rows come late by less
RESET_PERIODS = 2.5  # Chosen: two rows that change places go back by less
DISORDER = 0.1  # Chosen: where a greater share of steps goes back, rows are merely shuffled


class Move(NamedTuple):
    """Rows of one sensor that a clock set anew has put at a wrong time."""

    first: int  # index of the first of these rows
    last: int
    shift_s: float  # brings them back beside the others
    at: int  # index of the row at which the clock was set
    set_s: float  # by how much, negative is back


class Mended(NamedTuple):
    """A sensor's times as a clock that runs through would have given them."""

    times_s: np.ndarray  # (row,)
    is_odd: np.ndarray  # rows whose own time tells nothing. (row,)
    moves: tuple[Move, ...]  # what was shifted


def mend_clock(times_s: np.ndarray, *, zero_s: float = np.nan) -> Mended:
    """Find odd rows and set clocks in one sensor's times, in the order of their rows.

    Rows that are merely shuffled stay so, unless their times, sorted, show a clock set forward.

    Args:
        times_s: seconds. (row,)
        zero_s: where a counter would begin anew; NaN for calendar times. [s]
    """
    steps = np.diff(times_s)
    forward, back = steps[steps > 0], int((steps < 0).sum())
    if not back and steps.max(initial=0.0) <= LONGEST_SILENCE_S:
        return Mended(times_s, np.zeros(len(times_s), dtype=bool), ())
    if len(forward) <= DISORDER * back:
        return _mend_backwards(times_s, zero_s)
    if back > max(1, DISORDER * len(steps)):
        return _mend_shuffled(times_s, zero_s)
    period = float(np.median(forward))
    is_first = np.append(True, steps != 0)  # rows of one moment have one fate
    first, moment = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    last = np.append(first[1:], len(times_s)) - 1
    moments = times_s[first]
    is_odd = _find_odd(moments, period)
    rows = np.flatnonzero(~is_odd)
    blocks = np.split(rows, _find_resets(moments[rows], period, zero_s))
    moves, mended = [], times_s.copy()
    for move in _place(moments, blocks, period):
        start, end, at = int(first[move.first]), int(last[move.last]), int(first[move.at])
        moves.append(move._replace(first=start, last=end, at=at))
        mended[start : end + 1] += move.shift_s
    return Mended(mended, is_odd[moment], tuple(moves))


def _mend_shuffled(times_s: np.ndarray, zero_s: float) -> Mended:
    """The same of rows in no order, as their times come when they are sorted."""
    order = np.argsort(times_s, kind="stable")
    mended = mend_clock(times_s[order], zero_s=zero_s)
    times, is_odd = np.empty_like(times_s), np.empty(len(times_s), dtype=bool)
    times[order], is_odd[order] = mended.times_s, mended.is_odd
    moves = [
        move._replace(first=int(rows.min()), last=int(rows.max()), at=int(order[move.at]))
        for move in mended.moves
        for rows in [order[move.first : move.last + 1]]
    ]
    return Mended(times, is_odd, tuple(moves))


def _mend_backwards(times_s: np.ndarray, zero_s: float) -> Mended:
    """The same of rows that stand newest first."""
    times, is_odd, moves = mend_clock(times_s[::-1], zero_s=zero_s)
    end = len(times_s) - 1
    turned = [
        move._replace(first=end - move.last, last=end - move.first, at=end - move.at)
        for move in moves
    ]
    return Mended(times[::-1], is_odd[::-1], tuple(turned))


def _find_odd(times_s: np.ndarray, period: float) -> np.ndarray:
    """Lone rows far from both neighbours, which agree with each other. (row,)"""
    far = FAR_PERIODS * period
    off = np.abs(np.diff(times_s))
    between = times_s[2:] - times_s[:-2]
    nearer = np.minimum(off[:-1], off[1:])
    is_odd = np.zeros(len(times_s), dtype=bool)
    is_odd[1:-1] = (between >= 0) & (nearer > far) & (nearer > between)
    for end, inner, ahead in ((0, 1, -1), (-1, -2, 1)):  # the first row and the last
        apart = ahead * (times_s[end] - times_s[inner])
        limit = far if apart < 0 else LONGEST_SILENCE_S
        agree = len(times_s) > 3 and 0 <= ahead * (times_s[inner] - times_s[inner - ahead]) <= far
        is_odd[end] = agree and abs(apart) > limit
    odd, others = np.flatnonzero(is_odd), np.sort(times_s[~is_odd])
    after = np.searchsorted(others, times_s[odd])
    nearest = np.minimum(
        np.abs(others[np.minimum(after, len(others) - 1)] - times_s[odd]),
        np.abs(others[np.maximum(after - 1, 0)] - times_s[odd]),
    )
    is_late = (nearest >= period / 2) & (nearest <= far)  # it fills a hole: sorting is enough
    is_odd[odd[is_late]] = False
    return is_odd


def _find_resets(times_s: np.ndarray, period: float, zero_s: float) -> np.ndarray:
    """Index of each row from which on a clock was set anew, () where sorting would be enough."""
    steps = np.diff(times_s)
    back, ahead = steps < -RESET_PERIODS * period, steps > LONGEST_SILENCE_S
    in_order = np.diff(np.sort(times_s))
    crowded = int((in_order < period / 2).sum() - (np.abs(steps) < period / 2).sum())
    restarts = times_s[1:][back] - zero_s <= FAR_PERIODS * period
    is_apart = in_order.max(initial=0.0) > max(FAR_PERIODS * period, steps.max(initial=0.0))
    if not (
        crowded > 2 * back.sum()  # rows of both clocks would stand among each other
        or in_order.max(initial=0.0) > LONGEST_SILENCE_S
        or (restarts.any() and is_apart)
    ):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(back | ahead) + 1


def _place(times_s: np.ndarray, blocks: list[np.ndarray], period: float) -> list[Move]:
    """Let each block follow the one before at the usual interval, where its own time does not.

    The first block stays, or the longest where the clock was set far ahead: before that it was
    not yet set.
    """
    starts, ends = (np.array([times_s[block[k]] for block in blocks]) for k in (0, -1))
    jumps = starts[1:] - ends[:-1]
    anchor = 0
    if (jumps > LONGEST_SILENCE_S).any():
        anchor = int(np.argmax([len(block) for block in blocks]))
    shifts = np.zeros(len(blocks))
    for one in range(anchor + 1, len(blocks)):
        follows = ends[one - 1] + shifts[one - 1]
        if not 0 < starts[one] - follows <= LONGEST_SILENCE_S:
            shifts[one] = follows + period - starts[one]
    for one in range(anchor - 1, -1, -1):
        precedes = starts[one + 1] + shifts[one + 1]
        if not 0 < precedes - ends[one] <= LONGEST_SILENCE_S:
            shifts[one] = precedes - period - ends[one]
    moves = []
    for one in np.flatnonzero(shifts).tolist():
        block, new = blocks[one], one if one > anchor else one + 1
        set_s = float(jumps[new - 1] - period)
        at = int(blocks[new][0])
        moves.append(Move(int(block[0]), int(block[-1]), float(shifts[one]), at, set_s))
    return moves
