"""The median of a sensor's latest intervals."""

from bisect import bisect_left, insort
from collections import deque

KEPT_INTERVALS = 100


class RecentMedian:
    """The median of the latest intervals, kept in order because every decision asks for it."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.recent: deque[float] = deque()
        self.ordered: list[float] = []

    def add(self, interval_s: float) -> None:
        """Note one, and forget the oldest of too many. [s]"""
        self.recent.append(interval_s)
        insort(self.ordered, interval_s)
        if len(self.recent) > KEPT_INTERVALS:
            del self.ordered[bisect_left(self.ordered, self.recent.popleft())]

    def value_s(self, otherwise_s: float) -> float:
        """The median, or another value while none is known. [s]"""
        count = len(self.ordered)
        if not count:
            return otherwise_s
        return (self.ordered[(count - 1) // 2] + self.ordered[count // 2]) / 2.0
