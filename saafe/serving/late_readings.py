"""Readings over MQTT that are of a while ago, such as what a bridge had cached when it started."""

from collections import OrderedDict
from dataclasses import dataclass

from saafe.recordings import LATE_S
from saafe.serving.fleet import AHEAD_S, Arrival

LATE_READING_S = 60.0  # Chosen: messages of one sensor overtake each other by less
CALENDAR_S = 1e9  # a time that is less counts from a device's start, and begins anew
LIVE_PACE = 2.0  # Chosen: a clock that was set goes on no faster than so; an upload does
SETTING_ROWS = 3  # Chosen: so many late rows that go on as a clock does are of one that was set
MOST_NOTED = 100_000  # Chosen: made-up names do not fill the memory


@dataclass
class _Newest:
    """What a sensor's last reading was of."""

    own_s: float  # its own time, or when it came [s]
    has_time: bool
    stale_s: float = 0.0  # own time of the last reading that was late
    stale_came_s: float = 0.0
    stale_rows: int = 0  # late ones in a row that go on as a clock does


class LateReadings:
    """Tells readings that are older than the newest one of their sensor."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self.newest: OrderedDict[tuple[str, str], _Newest] = OrderedDict()

    def late_s(self, one: Arrival) -> float:
        """By how much a reading is late, 0.0 where it counts; notes it. [s]

        Three late ones that go on as a clock does are of a clock that was set back: they count.
        """
        has_time = "time_s" in one.cells
        own_s = float(one.cells["time_s"]) if has_time else one.arrived_s
        known = min(own_s, one.arrived_s + AHEAD_S)  # a lone time far ahead makes no other late
        newest = self.newest.setdefault((one.space, one.sensor), _Newest(known, has_time))
        if len(self.newest) > MOST_NOTED:
            self.newest.popitem(last=False)
        late_s = newest.own_s - own_s
        if has_time and own_s > CALENDAR_S and late_s > LATE_READING_S:
            gone_s, came_s = own_s - newest.stale_s, one.arrived_s - newest.stale_came_s
            is_clock = 0.0 < gone_s <= LIVE_PACE * came_s + LATE_S
            newest.stale_rows = newest.stale_rows + 1 if is_clock else 1
            newest.stale_s, newest.stale_came_s = own_s, one.arrived_s
            if newest.stale_rows < SETTING_ROWS:
                return late_s
        if has_time or not newest.has_time:  # one without a time tells nothing of a sensor's clock
            newest.has_time, newest.stale_rows = has_time, 0
            if not 0.0 <= late_s <= LATE_READING_S:
                newest.own_s = known
        return 0.0
