"""Readings over MQTT that come twice: sent again by the broker, or by a second topic."""

from collections import OrderedDict

from saafe.serving.fleet import Arrival

RECENT = 10_000  # readings that are known again if they come twice
LATEST_REPEAT_S = 600.0
GIVER_S = 900.0  # a topic that has been quiet for so long gives its channel away


class Repeats:
    """Tells readings that the broker sends again."""

    def __init__(self) -> None:
        """Start with none known."""
        self.recent: OrderedDict[tuple, float] = OrderedDict()  # readings: when each came

    def has(self, one: Arrival, *, is_marked: bool = True) -> bool:
        """Whether a reading that is marked as sent again was taken already; notes it."""
        key = (one.space, one.sensor, tuple(sorted(one.cells.items())))
        is_known = key in self.recent and one.arrived_s - self.recent[key] < LATEST_REPEAT_S
        self.recent[key] = one.arrived_s
        self.recent.move_to_end(key)
        if len(self.recent) > RECENT:
            self.recent.popitem(last=False)
        return is_known and is_marked


class Givers:
    """Which topic gives each channel of each sensor."""

    def __init__(self, most: int) -> None:
        """Start with none known; at most so many are noted."""
        self.most = most
        self.known: dict[tuple[str, str, str], tuple[str, float]] = {}

    def other(self, topic: str, one: Arrival) -> str:
        """Another topic that gives a channel of a reading's sensor, "" where there is none."""
        for column in one.cells:
            key = (one.space, one.sensor, column)
            giver, when_s = self.known.get(key, (topic, one.arrived_s))
            if giver != topic and one.arrived_s - when_s < GIVER_S and column != "time_s":
                return giver
            if len(self.known) < self.most:
                self.known[key] = topic, one.arrived_s
        return ""
