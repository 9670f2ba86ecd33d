"""The loop that watches: readings in, events out, on a thread of its own.

A batch of readings is judged, then written with its events, then said, then its senders are told
that it is safe. So a process that is killed at any moment loses nothing that it has said it has.
"""

import gc
import math
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from saafe.errors import InputError
from saafe.recordings import counted
from saafe.serving.counters import Counters
from saafe.serving.fleet import Arrival, Fleet, WatchedSpace
from saafe.serving.notes import Notes
from saafe.serving.quiet import QuietDays
from saafe.serving.store import ALARM, KEPT_S, Store

MOST_WAITING = 20_000  # Chosen: readings that may wait, some 20 s of 10,000 sensors
BATCH = 1024  # readings judged together
LONGEST_REST_S = 1.0
SWITCH_S = 5e-4  # threads that feed a service must not keep it waiting; Python's own is ten times
# Chosen: objects that may be made before Python looks for circles among the new ones, how often it
# then looks among older ones, and among all: nearly never. What a fleet holds lives on, and is a
# million objects; to look through all of them takes half a second, in which no alarm is told.
GARBAGE_AFTER = (50_000, 20, 100)
TOO_LATE_S = 5.0  # Chosen: a reading that waits longer is late enough to say so
FORGET_EVERY_S = 60.0
SAVE_EVERY_S = 600.0  # Chosen: the states of all spaces; readings since are read again
TURNS_OF_A_SAVE = 5000  # Chosen: a few states a turn, so that no reading waits for them
SAVED_TOGETHER = 200


class Waiting(NamedTuple):
    """A reading in the queue, and whom to tell when it is safe."""

    reading: Arrival
    done: Callable[[str], None]  # takes why it was refused, "" where it was taken


def going_on_clock() -> Callable[[], float]:
    """Seconds since 1970 that only go on, whatever happens to the machine's clock."""
    shift_s = time.time() - time.monotonic()
    return lambda: time.monotonic() + shift_s


class Service:
    """A fleet that is fed from anywhere, and whose events are kept and said."""

    def __init__(
        self, fleet: Fleet, store: Store, notes: Notes,
        clock_s: Callable[[], float] | None = None, quiet: QuietDays | None = None,
    ) -> None:  # fmt: skip
        """Take a fleet, where its events are kept, what tells people of troubles, and a clock.

        `quiet` keeps the days that teach, of the same store.
        """
        self.quiet = quiet
        self.fleet, self.store, self.notes = fleet, store, notes
        self.clock_s = clock_s or going_on_clock()
        self.waiting: queue.Queue[Waiting] = queue.Queue(MOST_WAITING)
        self.listeners: list[Callable[[list[dict]], None]] = []
        self.to_forget: queue.SimpleQueue[tuple[str, Callable[[str], None]]] = queue.SimpleQueue()
        self.forgetters: list[Callable[[str], None]] = []  # told of each space that is taken away
        self.lock = threading.Lock()  # held while the fleet works, and while others look at it
        self.troubles: list[Callable[[], str]] = []  # of others who serve it, each "" for none
        self.is_stopping = threading.Event()
        self.failed: BaseException | None = None
        self.trouble = ""  # of the store, "" for none
        self.early: list[dict] = []  # events of the last readings before a restart
        self.to_save: list[str] = []  # spaces whose state is to be kept next
        self.next_save_s = self.clock_s() + SAVE_EVERY_S
        self.lag_s = 0.0  # of the last batch's oldest reading
        self.garbage_after = gc.get_threshold()
        self.thread = threading.Thread(target=self._run, name="saafe-watch", daemon=True)
        self.counters = Counters(
            {
                "saafe_spaces": ("Spaces watched.", lambda: len(fleet.spaces)),
                "saafe_waiting_readings": ("Readings that wait.", self.waiting.qsize),
                "saafe_lag_seconds": ("Wait of the last batch's oldest.", lambda: self.lag_s),
                "saafe_behind": ("1 where readings wait too long.", lambda: self.is_behind),
            }
        )

    @property
    def is_behind(self) -> bool:
        """Whether readings wait too long: more come than one core can judge."""
        return self.lag_s > TOO_LATE_S or self.waiting.qsize() > MOST_WAITING // 2

    def start(self) -> None:
        """Begin to watch, after `restore`."""
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(*GARBAGE_AFTER)
        if self.quiet is not None:
            self.quiet.begin(self.fleet)
        self.thread.start()

    def stop(self) -> None:
        """Judge what waits, and end."""
        self.is_stopping.set()
        if self.thread.ident is not None:  # it was started
            self.thread.join(30.0)
            gc.set_threshold(*self.garbage_after)
        if self.quiet is not None:
            self.quiet.stop()
        self.store.close()

    def offer(self, reading: Arrival, done: Callable[[str], None], *, wait_s: float = 0.0) -> bool:
        """Put a reading in the queue; False where it has been full for so long. [s]

        `done` is called on the watching thread once the reading is safe, or refused.
        """
        try:
            self.waiting.put(Waiting(reading, done), block=wait_s > 0.0, timeout=wait_s or None)
        except queue.Full:
            self.notes.say("behind", self.behind_text())
            self.counters.refused("behind")
            return False
        return True

    def forget(self, name: str, done: Callable[[str], None]) -> None:
        """Take a space away with all that is kept of it; `done` is told why not, "" where it is.

        `done` is called on the watching thread. A reading that still comes makes the space anew.
        """
        self.to_forget.put((name, done))

    def behind_text(self) -> str:
        """What to say where more readings come than can be judged."""
        return (
            f"behind: {self.waiting.qsize()} readings wait, the oldest for {self.lag_s:.1f} s; "
            "senders are held back; spread the spaces over more workers"
        )

    def _run(self) -> None:
        forget_s = self.clock_s() + FORGET_EVERY_S
        try:
            while not (self.is_stopping.is_set() and self.waiting.empty()):
                self._turn(self._gather())
                self._forget_some()
                self._save_some()
                if self.clock_s() >= forget_s:
                    forget_s += FORGET_EVERY_S
                    self._try(lambda: self.store.forget(self.clock_s()))
            self.to_save = list(self.fleet.spaces)
            while self.to_save:
                self._save_some()
            self._try(lambda: self.store.forget(self.clock_s()))
        except BaseException as error:
            self.failed = error
            self.is_stopping.set()
            raise

    def _gather(self) -> list[Waiting]:
        """What has come, as soon as something has or something is due."""
        wait_s = min(self.fleet.next_due() - self.clock_s(), LONGEST_REST_S)
        batch: list[Waiting] = []
        try:
            batch.append(self.waiting.get(timeout=max(wait_s, 0.001)))
            while len(batch) < BATCH:
                batch.append(self.waiting.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _turn(self, batch: list[Waiting]) -> None:
        """Judge a batch, write it, say its events, and tell its senders."""
        begun_s = self.clock_s()
        with self.lock:
            refused, good = [], []
            for one in batch:
                why = self.fleet.admit(one.reading)
                (refused if why else good).append((one, why))
            readings = [one.reading for one, _ in good]
            events = self.early + self.fleet.take(readings) + self.fleet.tick(self.clock_s())
            self.early = []
            readings = [one for one in readings if self.fleet.counts(one)]
        if readings or events:
            events = self._commit(readings, events)
        if events:
            for listener in self.listeners:
                listener(events)
        for one, why in (*refused, *good):
            if why:
                self.counters.refused("reading")
                self.notes.say("reading", f"a reading was refused: {why}", one.reading.space)
            elif one.reading.is_offline:
                self.counters.heard_offline(is_known=self.fleet.knows(one.reading))
            one.done(why)
        now_s = self.clock_s()
        self.lag_s = now_s - min((one.reading.arrived_s for one in batch), default=now_s)
        self.counters.turned(readings, events, now_s=now_s, work_s=now_s - begun_s)
        if self.is_behind:
            self.notes.say("behind", self.behind_text())

    def _forget_some(self) -> None:
        """Take away the spaces that somebody named."""
        while not self.to_forget.empty():
            name, done = self.to_forget.get()
            try:
                self.store.forget_space(name)
            except sqlite3.Error as error:
                done(f"{self.store.path}: cannot be written ({error}); {name!r} stays")
                continue
            with self.lock:
                self.fleet.forget(name)
            if self.quiet is not None:
                self.quiet.forget(name)
            self.to_save = [one for one in self.to_save if one != name]
            for forgetter in self.forgetters:
                forgetter(name)
            done("")

    def delivered(self, number: int) -> None:
        """An event has been told; where that cannot be written, watching and telling go on."""
        self._try(lambda: self.store.delivered(number))

    def late_delivered(self, event: dict) -> None:
        """The same of an event that could not be kept when it was said."""
        self._try(lambda: self.store.late_delivered(event))

    def _commit(self, readings: list[Arrival], events: list[dict]) -> list[dict]:
        """Write readings and events; the events, with their numbers where they are kept."""
        quiet = self.quiet
        if quiet is None:
            return self._try(lambda: self.store.commit(readings, events)) or events
        for event in events:
            quiet.hear(event, self.fleet.spaces[event["space"]])
        told = self._try(lambda: self.store.commit(readings, events, quiet.write))
        if told is not None:
            quiet.written()
        return told or events

    def _try(self, write: Callable[[], list[dict] | None]) -> list[dict] | None:
        """Write to the store; where it cannot be written, watching goes on and says so."""
        try:
            found = write()
            self.trouble = ""
            return found
        except sqlite3.Error as error:
            self.trouble = f"{self.store.path}: cannot be written ({error})"
            if lost := self.store.reserve.lost:
                self.trouble += f"; {counted(lost, 'event')} would be lost if saafe were killed"
            self.counters.refused("store")
            self.notes.say("store", f"{self.trouble}; events are said, and kept once it can be")
            return None

    def restore(self) -> None:
        """Go on from the kept states and the readings since, and let stand what stood.

        What those made true was said then. A space whose state is none of this model's is made
        anew from two hours of readings; only those of the last minutes are scored, which is what
        the alarm logic remembers.
        """
        now_s, begun_s = self.clock_s(), time.monotonic()
        known = dict(self._restored_states())
        taken = 0
        fresh = (
            one
            for number, one in self.store.readings(now_s - KEPT_S)
            if number > known.get(one.space, 0)
        )
        self.fleet.is_restoring = True
        for part in in_parts(fresh, BATCH):
            # their events were said long ago
            self.fleet.is_hushed = part[-1].arrived_s < now_s - REMEMBERED_S
            self.fleet.take([one for one in part if not self.fleet.admit(one)])
            taken += len(part)
        self.fleet.is_hushed = self.fleet.is_restoring = False
        standing: dict[str, list[dict]] = {}
        for event in self.store.standing():
            standing.setdefault(event["space"], []).append(event)
        said_again = {event["space"] for event in self.store.left}
        for name in {*self.fleet.spaces, *standing, *said_again}:
            space = self.fleet.watched(name)
            let_stand(space, standing.get(name, []))
        pause_s = now_s - self.store.watched_until()
        self.early = self.store.left + self.fleet.resume(
            now_s, pause_s=pause_s if pause_s >= 0.0 else math.inf
        )
        if self.fleet.spaces:
            took_s = time.monotonic() - begun_s
            spaces, readings = counted(len(self.fleet.spaces), "space"), counted(taken, "reading")
            self.notes.say(
                "restored", f"goes on with {spaces}; read {readings} again; took {took_s:.1f} s"
            )

    def _restored_states(self) -> Iterator[tuple[str, int]]:
        """Spaces whose state could be used, and the number of their last reading in it."""
        for name, last, state in self.store.states():
            try:
                self.fleet.watched(name).set_state(state)
            except InputError as error:
                del self.fleet.spaces[name]
                self.notes.say("state", f"{error}: its last two hours are read again")
                continue
            yield name, last

    def _save_some(self) -> None:
        """Keep the states of the spaces whose turn it is, or of all as the service ends."""
        now_s = self.clock_s()
        if not self.to_save and now_s >= self.next_save_s:
            self.to_save = list(self.fleet.spaces)
            self.next_save_s = now_s + SAVE_EVERY_S
        few = 1 + len(self.fleet.spaces) // TURNS_OF_A_SAVE
        count = SAVED_TOGETHER if self.is_stopping.is_set() else few
        names, self.to_save = self.to_save[:count], self.to_save[count:]
        if names:
            states = [(name, self.fleet.spaces[name].state()) for name in names]
            self._try(lambda: self.store.save_states(states))


REMEMBERED_S = 900.0  # the longest persistence and the hush of an acknowledgement, and a little


def let_stand(space: WatchedSpace, events: list[dict]) -> None:
    """Give a space the alarm and the faults that stood as the process ended, and no others."""
    watched = space.detector.space
    alarm = next((event for event in events if event["event"] == ALARM), None)
    watched.incident, space.alarm_event = alarm["sensor"] if alarm else None, alarm
    if alarm is None:
        for one in watched.sensors.values():
            one.alarm.alarmed = False
    elif not any(one.alarm.alarmed for one in watched.sensors.values()):
        one = watched.sensor(alarm["sensor"])
        one.alarm.alarmed = one.alarm.warned = True
        one.risk = max(one.risk, alarm["risk"])
    for name in {*watched.sensors, *(event["sensor"] for event in events)}:
        watched.sensor(name).test.faulty = {
            event["channel"]: event["reason"]
            for event in events
            if event["event"] == "fault" and event["sensor"] == name
        }


def in_parts(readings: Iterable[Arrival], count: int) -> Iterable[list[Arrival]]:
    """Readings, some at once."""
    part: list[Arrival] = []
    for one in readings:
        part.append(one)
        if len(part) == count:
            yield part
            part = []
    if part:
        yield part
