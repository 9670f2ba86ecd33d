"""Many spaces watched by one model: windows that are due together are scored together.

Each space has a detector of its own; what it says is what `Detector` says of the same rows.
"""

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from saafe.detector import Detector, Model, Scoring, score
from saafe.errors import InputError
from saafe.recordings import Row, RowReader, StreamClock
from saafe.sensors import COLUMNS, MAX_SENSORS
from saafe.windows import BIN_S, DAY_S, SPAN

WINDOWS_AT_ONCE = 512  # Chosen: more are no faster a window, and the first would wait for the last
AHEAD_S = 60.0  # Chosen: a device's clock may be ahead of ours by so much
OLDEST_S = 30 * DAY_S  # Chosen: of a first reading whose day is believed, as of an upload
BURST_S = 1.0  # Chosen: readings of one sensor that come so close, a channel each, are one
MOST_SPACES = 20_000  # Chosen: some gigabytes; a wrong topic must not fill the memory
ROUNDING_S = 1e-5  # seconds since 1970 are held to some 2e-7
LONGEST_NAME = 100  # characters of a space or a sensor


class Arrival(NamedTuple):
    """What came of one sensor at one moment."""

    space: str
    sensor: str
    cells: Mapping[str, str]  # text by column (`sensors.COLUMNS`), and `time_s` where it has one
    arrived_s: float  # by the caller's clock, seconds since 1970 that only go on
    is_acknowledgement: bool = False  # a person has seen to the alarm of the space
    is_offline: bool = False  # a bridge knows that the sensor is away


class Pause(NamedTuple):
    """A time in which nobody listened."""

    until_s: float
    pause_s: float  # how long it was, inf where that is not known


Work = Arrival | Pause | float  # what a space does next: a reading, or to go on to a time


@dataclass
class Burst:
    """Readings of one sensor that came together, a message each."""

    begun_s: float
    columns: set[str]


class WatchedSpace:
    """One space of a fleet: its detector, and its place in time."""

    def __init__(self, name: str, model: Model, longest_interval_s: float | None) -> None:
        """Start with nothing known."""
        self.name = name
        self.detector = Detector(model, longest_interval_s=longest_interval_s)
        self.reader = RowReader(name, sentinels=model.settings.sentinels)
        self.origin_s = math.nan  # our clock at stream time 0
        self.due_s = math.inf  # our clock when something is due; entries of the heap may be old
        self.risks = np.full(SPAN, np.nan, np.float16)  # of bin k at k % SPAN, the highest
        self.risk_bin = 0  # the newest
        self.bursts: dict[str, Burst] = {}  # by sensor
        self.admitted: set[str] = set()  # sensors whose readings wait or were taken
        self.heard_s = -math.inf  # our clock at the last reading
        self.sensors_heard_s: dict[str, float] = {}  # the same of each sensor
        self.alarm_event: dict | None = None  # that began the alarm that stands
        self.acknowledged_s = -math.inf  # our clock at the last acknowledgement that counted
        self.hushed_until_s = -math.inf  # our clock when its quiet ends, as people were told then

    def row(self, one: Arrival) -> Row:
        """Put one reading in its place in time."""
        cells = one.cells if "time_s" in one.cells else self._timed(one)
        row = self.reader.take(one.sensor, cells, one.arrived_s)
        self.heard_s = self.sensors_heard_s[one.sensor] = one.arrived_s
        if math.isnan(self.origin_s):
            self.origin_s = calendar_s(cells["time_s"], one.arrived_s) - row.time_s
        return row

    def admits(self, sensor: str) -> bool:
        """Whether a sensor is one of the space, or becomes one now."""
        if sensor not in self.admitted:
            known = self.admitted | self.detector.space.sensors.keys()
            if sensor not in known and len(known) >= MAX_SENSORS:
                return False
            self.admitted.add(sensor)
        return True

    def reading(self, row: Row) -> Scoring:
        """Take one reading; its events."""
        return self.detector.updating(
            row.time_s, row.sensor, row.readings, row.refused, now_s=row.now_s
        )

    def now_s(self, clock_s: float) -> float:
        """Stream time at a moment of our clock."""
        return self.reader.clock.now_s(clock_s)

    def our_clock_s(self, stream_s: float) -> float:
        """Our clock at a moment of stream time, as the newest reading has it; inf before any."""
        clock = self.reader.clock
        return math.inf if clock.arrival_s is None else clock.arrival_s + stream_s - clock.newest_s

    def note(self, events: list[dict]) -> None:
        """Remember what began the alarm that stands, for people to look at."""
        for event in events:
            if event["event"] in ("alarm", "clear"):
                self.alarm_event = event if event["event"] == "alarm" else None

    def next_due_s(self) -> float:
        """When something becomes true with no reading, by our clock; inf for never."""
        return self.our_clock_s(self.detector.next_due()) + ROUNDING_S

    def resuming(self, pause: Pause) -> Scoring:
        """Go on after a pause in which nobody listened: nothing was silent in it."""
        clock, (clock_s, pause_s) = self.reader.clock, pause
        if clock.arrival_s is None:  # no reading is known, of an alarm that stands: time begins
            self.origin_s = clock_s - clock.arrive(clock_s)
            return []
        if clock_s < clock.arrival_s:
            self._set_back(clock.arrival_s - clock_s)
            pause_s = math.inf  # nobody knows
        now_s = self.now_s(clock_s)
        events = yield from self.detector.resuming(now_s, pause_s=pause_s)
        clock.newest_s, clock.arrival_s = now_s, max(clock_s, clock.arrival_s)
        return events

    def _set_back(self, by_s: float) -> None:
        """Our clock has been set back meanwhile, as where a machine starts without a network.

        Else time would stand still until it has come as far again.
        """
        self.reader.clock.set_back(by_s)
        self.origin_s, self.heard_s = self.origin_s - by_s, self.heard_s - by_s
        self.sensors_heard_s = {name: s - by_s for name, s in self.sensors_heard_s.items()}
        self.hushed_until_s -= by_s
        self.bursts.clear()

    def state(self) -> dict[str, Any]:
        """All that is known of it, as JSON values: for `set_state`, after a restart."""
        return {
            "detector": self.detector.state(),
            "clock": self.reader.clock.state(),
            "first": [self.reader.first, self.reader.has_offset],
            "origin_s": self.origin_s,
            "heard_s": self.heard_s,
            "sensors_heard_s": self.sensors_heard_s,
            "hushed_until_s": self.hushed_until_s,
            "risk": [self.risk_bin, self.risk.tolist()],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            InputError: it is another model's, another version's or damaged; nothing has changed.
        """
        try:
            clock, (first, has_offset) = StreamClock(), state["first"]
            clock.set_state(state["clock"])
            risk_bin, risk = state["risk"]
            risks = np.roll(np.array(risk, np.float16).reshape(SPAN), (risk_bin + 1) % SPAN)
            # older states believed a first reading less, and counted an upload from its arrival
            origin_s, heard_s = state.get("recorded_s", state["origin_s"]), state["heard_s"]
            sensors_heard_s = dict(state.get("sensors_heard_s", {}))  # nor these
            self.detector.set_state(state["detector"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the saved state of {self.name} cannot be used ({error})") from None
        self.reader.clock, self.reader.first, self.reader.has_offset = clock, first, has_offset
        self.risk_bin, self.risks = risk_bin, risks
        self.origin_s, self.heard_s = origin_s, heard_s
        self.sensors_heard_s = sensors_heard_s
        # older states did not hold what was told
        by_detector_s = self.our_clock_s(self.detector.space.hushed_until_s)
        self.hushed_until_s = state.get("hushed_until_s", by_detector_s)

    @property
    def risk(self) -> np.ndarray:
        """Highest risk of each bin of the last two hours, the newest last, percent. (740,)"""
        return np.roll(self.risks, -(self.risk_bin + 1) % SPAN)

    def note_risk(self) -> None:
        """Keep the highest risk of the bin that is on, for people to look at."""
        sensors = self.detector.space.sensors
        newest = int(self.detector.now_s // BIN_S) if math.isfinite(self.detector.now_s) else 0
        if newest > self.risk_bin:
            if newest > self.risk_bin + 1:  # nothing was known in between
                self.risks[np.arange(max(self.risk_bin, newest - SPAN) + 1, newest) % SPAN] = np.nan
            self.risk_bin = newest
        highest = max((one.risk for one in sensors.values()), default=math.nan)
        self.risks[self.risk_bin % SPAN] = highest

    def _timed(self, one: Arrival) -> dict[str, str]:
        """Cells with a time: that of the burst in which they came."""
        burst = self.bursts.get(one.sensor)
        columns = set(one.cells)
        if (
            burst is None
            or one.arrived_s - burst.begun_s > BURST_S
            or not columns.isdisjoint(burst.columns)
        ):
            burst = self.bursts[one.sensor] = Burst(one.arrived_s, set())
        burst.columns |= columns
        return {**one.cells, "time_s": repr(burst.begun_s)}


class Fleet:
    """Events of many spaces, from their readings and by the clock.

    `clock_s` of the methods is seconds since 1970 of a clock that only goes on.

    Example:
        >>> import numpy as np
        >>> from saafe.detector import AlarmSettings, Scorer
        >>> fleet = Fleet(Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings()))
        >>> for t in (0.0, 10.0):
        ...     rows = [Arrival(name, "A", {"temperature_c": "70"}, t) for name in ("hall", "den")]
        ...     print([(event["space"], event["cause"]) for event in fleet.take(rows)])
        []
        [('hall', 'heat'), ('den', 'heat')]
    """

    def __init__(
        self,
        model: Model,
        *,
        longest_interval_s: float | None = None,
        most_spaces: int = MOST_SPACES,
    ) -> None:
        """Take a model, `longest_interval_s` as `Detector` takes it, and how many spaces may be."""
        self.model, self.longest_interval_s = model, longest_interval_s
        self.most_spaces = most_spaces
        self.is_hushed = False  # whether no window is scored and no risk is said
        self.is_restoring = False  # whether acknowledgements come again, of which each counted
        self.spaces: dict[str, WatchedSpace] = {}
        self.on_row: Callable[[WatchedSpace, Row], None] | None = None  # told of each reading
        self.due: list[tuple[float, str]] = []  # heap; an entry that is no longer true is skipped
        Detector(model, longest_interval_s=longest_interval_s)  # refuses a wrong interval now

    def watched(self, name: str) -> WatchedSpace:
        """A space, which is watched from now on."""
        if name not in self.spaces:
            self.spaces[name] = WatchedSpace(name, self.model, self.longest_interval_s)
        return self.spaces[name]

    def forget(self, name: str) -> None:
        """Watch a space no more; its next reading makes it anew."""
        self.spaces.pop(name, None)
        self.due = [entry for entry in self.due if entry[1] != name]
        heapq.heapify(self.due)

    def admit(self, one: Arrival) -> str:
        """Why a reading cannot be taken; "" where it can, and its space is watched from now on."""
        if one.is_offline:
            return ""  # of a sensor that nobody knows it changes nothing
        for what, name in (("space", one.space), ("sensor", one.sensor)):
            is_name = 0 < len(name) <= LONGEST_NAME and name.isprintable() and name.strip(". ")
            if not is_name:
                return f"{what}: allowed: a name of at most {LONGEST_NAME} characters"
        if one.space not in self.spaces:
            if one.is_acknowledgement:
                return f"space {one.space!r}: is not watched"
            if len(self.spaces) >= self.most_spaces:
                return f"one more than {self.most_spaces} spaces; start another process for them"
        if unknown := set(one.cells) - {*COLUMNS, "time_s"}:
            return f"column {min(unknown)!r} is unknown; use {', '.join(COLUMNS)}"
        space = self.watched(one.space)
        if not one.is_acknowledgement and not space.admits(one.sensor.strip()):
            return f"one more than {MAX_SENSORS} sensors in space {one.space!r}; make two of it"
        return ""

    def take(self, readings: Iterable[Arrival]) -> list[dict]:
        """Take readings, those of a space in their order.

        Returns:
            Events as `Detector` gives them, each with its `space`, and its `time_s` by our
            clock; those of a space in time order.

        Raises:
            InputError: one cannot be taken; see `admit`. None was.
        """
        todo: dict[str, deque[Arrival]] = defaultdict(deque)
        for one in readings:
            if why := self.admit(one):
                raise InputError(why)
            if one.is_offline and one.space not in self.spaces:
                continue
            # a table's reader strips names too: `A` and ` A` are one sensor of a kept day
            todo[one.space].append(one._replace(sensor=one.sensor.strip()))
        events: list[dict] = []
        while todo:
            now = {name: waiting.popleft() for name, waiting in todo.items()}
            todo = {name: waiting for name, waiting in todo.items() if waiting}
            events += self._work([(self.spaces[name], one) for name, one in now.items()])
        return events

    def counts(self, one: Arrival) -> bool:
        """Whether something that was taken is to be known after a restart."""
        if one.is_offline:
            return False  # the fault is kept
        space = self.spaces[one.space]
        return not one.is_acknowledgement or one.arrived_s <= space.acknowledged_s

    def knows(self, one: Arrival) -> bool:
        """Whether the sensor that it is of has sent before."""
        space = self.spaces.get(one.space)
        return space is not None and one.sensor in space.detector.space.sensors

    def tick(self, clock_s: float) -> list[dict]:
        """Let time go on with no reading: the events that have become true by then."""
        due = []
        while self.due and self.due[0][0] <= clock_s:
            due_s, name = heapq.heappop(self.due)
            if self.spaces[name].due_s == due_s:
                self.spaces[name].due_s = math.inf
                due.append((self.spaces[name], clock_s))
        return self._work(due) if due else []

    def resume(self, clock_s: float, *, pause_s: float = math.inf) -> list[dict]:
        """Go on after a restart, before which nobody listened for so long; see `Detector`. [s]"""
        pause = Pause(clock_s, pause_s)
        return self._work([(space, pause) for space in self.spaces.values()])

    def next_due(self) -> float:
        """When `tick` has something to do, by our clock; inf for never."""
        while self.due and self.spaces[self.due[0][1]].due_s != self.due[0][0]:
            heapq.heappop(self.due)
        return self.due[0][0] if self.due else math.inf

    def _work(self, works: list[tuple[WatchedSpace, Work]]) -> list[dict]:
        """Let each space take one reading or go on to a time, some hundreds together."""
        events: list[dict] = []
        for at in range(0, len(works), WINDOWS_AT_ONCE):
            part = works[at : at + WINDOWS_AT_ONCE]
            found = self._together([self._begin(space, what) for space, what in part])
            for (space, _), said in zip(part, found, strict=True):
                told = [with_place(event, space) for event in said]
                events += told
                space.note(told)
                space.note_risk()
                self.schedule(space)
        return events

    def _begin(self, space: WatchedSpace, what: "Work") -> Scoring:
        if isinstance(what, Pause):
            return space.resuming(what)
        if not isinstance(what, Arrival):
            return space.detector.ticking(space.now_s(what))
        if what.is_acknowledgement:
            return acknowledging(space, what.arrived_s, counts=self.is_restoring)
        if what.is_offline:
            return losing(space, what)
        row = space.row(what)
        if self.on_row is not None:
            self.on_row(space, row)
        return space.reading(row)

    def _together(self, works: list[Scoring]) -> list[list[dict]]:
        """The events of each piece of work; the windows that they ask for are scored at once."""
        found: list[list[dict]] = [[] for _ in works]
        risk: dict[int, np.ndarray | None] = dict.fromkeys(range(len(works)))
        while risk:
            asked: list[tuple[int, np.ndarray]] = []
            for k, answer in risk.items():
                try:
                    asked.append((k, works[k].send(answer)))  # type: ignore[arg-type]
                except StopIteration as done:
                    found[k] = done.value
            if not asked:
                break
            cuts = np.concatenate([cut for _, cut in asked])
            scored = np.zeros(len(cuts)) if self.is_hushed else score(self.model, cuts)
            ends = np.cumsum([len(cut) for _, cut in asked])
            parts = np.split(scored, ends[:-1])
            risk = {k: part for (k, _), part in zip(asked, parts, strict=True)}
        return found

    def schedule(self, space: WatchedSpace) -> None:
        """Note when something of a space is due next."""
        due_s = space.next_due_s()
        if due_s != space.due_s and math.isfinite(due_s):
            heapq.heappush(self.due, (due_s, space.name))
        space.due_s = due_s


def calendar_s(cell: str, arrived_s: float) -> float:
    """When a first row was, by our clock: as it says, where that was of late.

    So an upload of some days is shown where it belongs, and what comes live after it is of now; a
    device whose clock is far off or counts from its start is not believed.
    """
    try:
        own_s = float(cell)
    except ValueError:
        return arrived_s
    return own_s if arrived_s - OLDEST_S <= own_s <= arrived_s + AHEAD_S else arrived_s


def acknowledging(space: WatchedSpace, clock_s: float, *, counts: bool) -> Scoring:
    """A person has seen to the alarm of a space; of a calm one nobody mutes an alarm to come.

    One that `counts` did so before a restart: it holds whatever the model now makes of that time.
    The quiet is of stream time, which goes ahead of our clock where readings come to lag less. The
    moment that people are told stays; the quiet is then over before it, by less than that lag.
    """
    events = yield from space.detector.ticking(space.now_s(clock_s))
    if not (counts or space.detector.space.is_raised):
        return events
    events += space.detector.acknowledge()
    space.acknowledged_s = clock_s
    watched = space.detector.space
    space.hushed_until_s = clock_s + watched.hushed_until_s - watched.now_s
    return events


def losing(space: WatchedSpace, one: Arrival) -> Scoring:
    """A bridge knows that a sensor is away: that is a silence, which its next reading ends."""
    events = yield from space.detector.ticking(space.now_s(one.arrived_s))
    return events + space.detector.lose(one.sensor)


def with_place(event: dict, space: WatchedSpace) -> dict:
    """An event with its space, and its time in seconds since 1970 by our clock."""
    time_s = round(space.origin_s + event["time_s"], 1)
    return {"space": space.name, **event, "time_s": time_s, "time": iso_time(time_s)}


def iso_time(clock_s: float) -> str:
    """A moment in UTC, to a tenth of a second, such as 2026-01-31T12:00:00.0Z."""
    stamp = datetime.fromtimestamp(round(clock_s, 1), UTC)
    return stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{round(stamp.microsecond / 1e5)}Z"
