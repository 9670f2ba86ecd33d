"""What is held out: whole groups, or blocks of days of the one home there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from saafe.own_rooms.rooms import Room, cut_room
from saafe.windows import DAY_S

MOST_FOLDS = 4  # Chosen: each costs a tuning
APART_S = 3 * 3600.0  # between days that train and days that are scored: a window sees two hours
SHORTEST_BLOCK_S = 12 * 3600.0

LEAVE_ONE_OUT = "each group was held out once"
GROUPS_IN_FOLDS = "each group was held out once, several at a time"
SAME_HOME = "same home: blocks of days, three hours apart"
TOO_SHORT = "too short to hold days out"


@dataclass(frozen=True)
class Fold:
    """What trains and what is scored; nothing is both."""

    name: str
    training: tuple[Room, ...]
    held_out: tuple[Room, ...]


@dataclass(frozen=True)
class Plan:
    """Folds that hold every day out once, and how they were made."""

    how: str
    folds: tuple[Fold, ...]


def plan_folds(rooms: Sequence[Room]) -> Plan:
    """Hold out each group once; where there is one alone, blocks of its days."""
    groups = list(dict.fromkeys(room.group for room in rooms))
    if len(groups) == 1:
        return plan_blocks(rooms)
    how = LEAVE_ONE_OUT if len(groups) <= MOST_FOLDS else GROUPS_IN_FOLDS
    folds = []
    for together in deal_groups(rooms, groups):
        training = tuple(room for room in rooms if room.group not in together)
        held_out = tuple(room for room in rooms if room.group in together)
        folds.append(Fold(", ".join(together), training, held_out))
    return Plan(how, tuple(folds))


def deal_groups(rooms: Sequence[Room], groups: Sequence[str]) -> list[list[str]]:
    """Groups dealt to folds, the longest first, each to the fold that has least."""
    length = {g: sum(room.seconds for room in rooms if room.group == g) for g in groups}
    count = min(MOST_FOLDS, len(groups))
    dealt: list[list[str]] = [[] for _ in range(count)]
    filled = [0.0] * count
    for group in sorted(groups, key=lambda g: (-length[g], groups.index(g))):
        least = filled.index(min(filled))
        dealt[least].append(group)
        filled[least] += max(length[group], 1.0)
    return [sorted(fold, key=groups.index) for fold in dealt]


def plan_blocks(rooms: Sequence[Room]) -> Plan:
    """Blocks of days of one home, as long as one another."""
    begins = place_in_time(rooms)
    moments = np.sort(np.concatenate(
        [begin + room.recording.times_s for begin, room in zip(begins, rooms, strict=True)]
    ))  # fmt: skip
    watched_s = sum(room.seconds for room in rooms)
    count = min(MOST_FOLDS, int(watched_s // SHORTEST_BLOCK_S))
    if count < 2:
        return Plan(TOO_SHORT, ())
    edges = [-np.inf, *np.quantile(moments, np.arange(1, count) / count), np.inf]
    folds = []
    for number, (start, end) in enumerate(pairwise(edges), 1):
        held_out = parts_within(rooms, begins, start, end)
        training = (
            *parts_within(rooms, begins, -np.inf, start - APART_S),
            *parts_within(rooms, begins, end + APART_S, np.inf),
        )
        if training and held_out:
            folds.append(Fold(f"block {number} of {count}", training, held_out))
    return Plan(SAME_HOME, tuple(folds)) if folds else Plan(TOO_SHORT, ())


def place_in_time(rooms: Sequence[Room]) -> list[float]:
    """When each recording of a home begins on one clock: its own, or one after the other. [s]"""
    starts = [start for room in rooms if (start := room.recording.start) is not None]
    has_offset = {start.tzinfo is not None for start in starts}
    if len(starts) == len(rooms) and len(has_offset) == 1:  # of one clock, if only by its hands
        first = min(starts)
        return [(start - first).total_seconds() for start in starts]
    begins, at = [], 0.0
    for room in rooms:
        begins.append(at)
        at += room.seconds + DAY_S
    return begins


def parts_within(
    rooms: Sequence[Room], begins: Sequence[float], start_s: float, end_s: float
) -> tuple[Room, ...]:
    """What of recordings lies in a span of their clock, the end left out. [s]"""
    parts = []
    for room, begin in zip(rooms, begins, strict=True):
        # a row at the very edge belongs to the later block alone
        part = cut_room(room, start_s - begin, np.nextafter(end_s - begin, -np.inf))
        if part is not None:
            parts.append(part)
    return tuple(parts)
