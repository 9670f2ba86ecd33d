"""Days that teach: the readings of a service as recordings, without what could be a fire.

Readings wait in the state file for three hours, then go to the file of their day. So when an
alarm comes, the hours before it are in no file yet that teaches.
"""

import json
import math
import sqlite3
import threading
import time
from dataclasses import dataclass, field

import numpy as np

from saafe.errors import InputError
from saafe.recordings import Row
from saafe.sensors import CHANNELS
from saafe.serving.day_files import DAY_MS, DayFiles, make_rows
from saafe.serving.fleet import Fleet, WatchedSpace, iso_time
from saafe.serving.notes import Notes
from saafe.serving.store import Store
from saafe.serving.views import urgency_of

HOUR_MS = 3_600_000
BEFORE_MS = 3 * HOUR_MS  # Chosen: as own_rooms leaves out before what a fixed rule finds
# Chosen: after an alarm its smoke as it goes, as own_rooms has it; a warning came to nothing
AFTER_MS = {"alarm": 21 * HOUR_MS, "warning": 3 * HOUR_MS}
LATE_MS = 180_000  # Chosen: the second row of a space may be so much before the first
STEP_MS = HOUR_MS  # Chosen: a day's file is written anew once an hour
SORT_EVERY_S, LAST_SORT_S = 60.0, 10.0
LONGEST_WAIT_MS = 2 * DAY_MS  # Chosen: readings that cannot be written wait so long, no longer
MOST_UNWRITTEN = 100_000  # Chosen: rows held in memory while the state file cannot be written
HARMLESS = "harmless"  # what a person may say of an alarm
QUIET_TABLES = """
CREATE TABLE IF NOT EXISTS quiet_rows (space TEXT, time_ms INTEGER, sensor TEXT, body TEXT);
CREATE INDEX IF NOT EXISTS quiet_rows_by_time ON quiet_rows (space, time_ms);
CREATE TABLE IF NOT EXISTS quiet_spaces (space TEXT PRIMARY KEY, until_ms INTEGER);
CREATE TABLE IF NOT EXISTS quiet_marks (
    id INTEGER PRIMARY KEY, space TEXT, kind TEXT, at_ms INTEGER, end_ms INTEGER, was TEXT,
    is_sorted INTEGER);
"""
INSERT_ROWS = """
INSERT INTO quiet_rows (space, time_ms, sensor, body)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) ORDER BY key"""


@dataclass
class Mark:
    """A stretch that could be a fire."""

    number: int
    space: str
    kind: str  # "alarm" or "warning"
    at_ms: int  # when it was raised
    end_ms: int  # of what is left out
    was: str = ""  # what a person has said of it, "" for nothing
    is_sorted: bool = True  # whether the files know of it
    is_heard: bool = True  # whether its event is known; else it was only seen to stand

    @property
    def values(self) -> tuple:
        """As a row of the table."""
        return (
            self.number, self.space, self.kind, self.at_ms, self.end_ms, self.was, self.is_sorted
        )  # fmt: skip

    @property
    def stretch(self) -> tuple[int, int]:
        """From and to when no reading teaches. [ms]"""
        return self.at_ms - BEFORE_MS, self.end_ms

    def described(self) -> dict:
        """As a person reads it."""
        start_ms, end_ms = self.stretch
        times = {"time": self.at_ms, "from": start_ms, "until": end_ms}
        said = {"id": self.number, "space": self.space, "event": self.kind, "was": self.was}
        return said | {name: iso_time(ms / 1000.0) for name, ms in times.items()}


@dataclass
class KeptSpace:
    """How far the days of a space are kept."""

    until_ms: int  # what was before is in its files
    newest_ms: int
    marks: list[Mark] = field(default_factory=list)
    standing: Mark | None = None  # the alarm or the warning that is on


class QuietDays:
    """Keeps the readings of a service in the files of their days.

    `take`, `hear`, `write` and `written` are for the thread that watches; `sort` is for a thread
    of its own, so that no disk keeps an alarm waiting.
    """

    def __init__(self, files: DayFiles, store: Store, notes: Notes) -> None:
        """Go on from what the store knows.

        Raises:
            InputError: the store cannot be used.
        """
        self.files, self.store, self.notes = files, store, notes
        self.spaces: dict[str, KeptSpace] = {}
        self.rows: list[tuple[str, int, str, str]] = []  # not yet written
        self.changed: dict[int, Mark] = {}  # the same
        self.last_mark = 0
        self.trouble = ""  # "" for none
        self.lock = threading.Lock()  # of the spaces and their marks
        self.is_stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, name="saafe-quiet", daemon=True)
        try:
            self.store.write(self._load)
        except sqlite3.Error as error:
            raise InputError(
                f"{store.path}: cannot be used ({error}); choose another --state"
            ) from None

    def _load(self, base: sqlite3.Connection) -> None:
        for table in QUIET_TABLES.split(";")[:-1]:
            base.execute(table)
        for name, until_ms in base.execute("SELECT space, until_ms FROM quiet_spaces"):
            self.spaces[name] = KeptSpace(until_ms, until_ms)
        newest = "SELECT space, max(time_ms), min(time_ms) FROM quiet_rows GROUP BY space"
        for name, newest_ms, oldest_ms in base.execute(newest):
            one = self.spaces.setdefault(name, KeptSpace(oldest_ms - LATE_MS, newest_ms))
            one.newest_ms = newest_ms
        for row in base.execute("SELECT * FROM quiet_marks ORDER BY id"):
            mark = Mark(*row)
            if not (isinstance(mark.at_ms, int) and isinstance(mark.end_ms, int)):
                continue  # damaged
            one = self.spaces.setdefault(mark.space, KeptSpace(mark.at_ms, mark.at_ms))
            one.marks.append(mark)
            self.last_mark = mark.number

    def begin(self, fleet: Fleet) -> None:
        """Be told of each reading from now on; mark what was raised while nobody kept it."""
        for event in reversed(self.store.events(limit=10_000, newest=True)):
            space = fleet.spaces.get(event["space"])
            if space is not None and math.isfinite(space.origin_s):
                self._hear_again(event, space)
        for name, one in self.spaces.items():
            if name in fleet.spaces:
                one.standing = standing_mark(one, urgency_of(fleet.spaces[name]))
        fleet.on_row = self.take
        self.thread.start()

    def stop(self) -> None:
        """End, and let others use the folder; what waits is in the store."""
        self.is_stopping.set()
        if self.thread.ident is not None:
            self.thread.join(30.0)
        self.files.close()

    # --- on the thread that watches

    def take(self, space: WatchedSpace, row: Row) -> None:
        """Keep one reading."""
        if not row.sensor or np.isnan(row.readings).all():
            return
        time_ms = round(1000.0 * (space.origin_s + row.time_s))
        with self.lock:
            one = self.spaces.get(space.name)
            if one is None:
                one = self.spaces[space.name] = KeptSpace(time_ms - LATE_MS, time_ms)
            if time_ms < one.until_ms - DAY_MS:  # our clock was set back, or a sensor was away long
                one.until_ms = one.newest_ms = time_ms - LATE_MS
            if time_ms < one.until_ms:
                name = space.name
                self.notes.say("quiet late", f"{name}: a reading came too late for its day", name)
                return
            one.newest_ms = max(one.newest_ms, time_ms)
            self._go_on(space, one, time_ms)
        cells = [
            None if math.isnan(value) else round(value, channel.decimals)
            for value, channel in zip(row.readings.tolist(), CHANNELS, strict=True)
        ]
        if len(self.rows) < MOST_UNWRITTEN:
            self.rows.append((space.name, time_ms, row.sensor, json.dumps(cells)))

    def _go_on(self, space: WatchedSpace, one: KeptSpace, time_ms: int) -> None:
        """Let the mark of an alarm or a warning go on for as long as it stands."""
        kind = urgency_of(space)
        if kind not in AFTER_MS:
            one.standing = None
            return
        if one.standing is None:  # it stood before we began, or its event comes with this batch
            one.standing = self._mark(space.name, one, kind, time_ms)
            one.standing.is_heard = False
        one.standing.end_ms = max(one.standing.end_ms, time_ms + AFTER_MS[kind])
        self.changed[one.standing.number] = one.standing

    def _mark(self, name: str, one: KeptSpace, kind: str, at_ms: int) -> Mark:
        """Begin a mark."""
        self.last_mark += 1
        mark = Mark(self.last_mark, name, kind, at_ms, at_ms + AFTER_MS[kind])
        mark.is_sorted = mark.stretch[0] >= one.until_ms
        one.marks.append(mark)
        self.changed[mark.number] = mark
        return mark

    def hear(self, event: dict, space: WatchedSpace) -> None:
        """Mark what an alarm or a warning of a space leaves out, once."""
        kind, at_ms = event["event"], ms_of(event)
        with self.lock:
            one = self.spaces.setdefault(space.name, KeptSpace(at_ms - LATE_MS, at_ms))
            if kind == "clear":
                self._end(one, at_ms)
            if kind not in AFTER_MS:
                return
            same = [mark for mark in one.marks if mark.kind == kind]
            if any(mark.is_heard and abs(mark.at_ms - at_ms) < 1000 for mark in same):
                return  # before a restart
            seen = [mark for mark in same if not mark.is_heard and mark.at_ms >= at_ms]
            if seen:
                mark = min(seen, key=lambda mark: mark.at_ms)
                mark.at_ms, mark.is_heard = at_ms, True
                mark.is_sorted = mark.is_sorted and mark.stretch[0] >= one.until_ms
                self.changed[mark.number] = mark
            else:
                one.standing = self._mark(space.name, one, kind, at_ms)

    def _end(self, one: KeptSpace, at_ms: int) -> None:
        """An alarm has cleared."""
        alarms = [mark for mark in one.marks if mark.kind == "alarm"]
        if alarms:
            alarms[-1].end_ms = max(alarms[-1].end_ms, at_ms + AFTER_MS["alarm"])
            self.changed[alarms[-1].number] = alarms[-1]

    def _hear_again(self, event: dict, space: WatchedSpace) -> None:
        """Mark what was raised while nobody kept days, if it leaves out any that come."""
        known = self.spaces.get(space.name)
        now_ms = 1000.0 * (space.origin_s + space.detector.now_s)
        least_ms = known.until_ms if known else now_ms
        if ms_of(event) + AFTER_MS["alarm"] >= least_ms:
            self.hear(event, space)

    def write(self, base: sqlite3.Connection) -> None:
        """Write what was taken and marked, within a transaction."""
        base.execute(INSERT_ROWS, (json.dumps(self.rows),))
        with self.lock:
            marks = [mark.values for mark in self.changed.values()]
        base.executemany("INSERT OR REPLACE INTO quiet_marks VALUES (?, ?, ?, ?, ?, ?, ?)", marks)

    def written(self) -> None:
        """The transaction of `write` has been committed."""
        self.rows, self.changed = [], {}

    def forget(self, name: str) -> None:
        """A space is watched no more, and the store has dropped it; its files stay."""
        self.rows = [row for row in self.rows if row[0] != name]
        with self.lock:
            self.spaces.pop(name, None)
            self.changed = {k: mark for k, mark in self.changed.items() if mark.space != name}

    # --- what people say

    def marks(self) -> list[dict]:
        """Stretches that do not teach, the newest first."""
        with self.lock:
            every = [mark for one in self.spaces.values() for mark in one.marks]
            every.sort(key=lambda mark: mark.at_ms, reverse=True)
            return [mark.described() for mark in every]

    def say(self, number: int, was: str) -> dict | None:
        """A person says what an alarm was; None where there is no such mark.

        Raises:
            sqlite3.Error: it cannot be written, and is not said.
        """
        with self.lock:
            every = (mark for one in self.spaces.values() for mark in one.marks)
            mark = next((one for one in every if one.number == number), None)
        if mark is None:
            return None
        with self.lock:
            before, mark.was, mark.is_sorted = mark.was, was, False
        try:
            said = "UPDATE quiet_marks SET was = ?, is_sorted = 0 WHERE id = ?"
            self.store.write(lambda base: base.execute(said, (was, number)))
        except sqlite3.Error:
            mark.was = before
            raise
        return mark.described()

    # --- on a thread of its own

    def _run(self) -> None:
        while not self.is_stopping.wait(SORT_EVERY_S):
            self.sort()
        self.sort()

    def sort(self) -> None:
        """Put what is old enough into the files of its days, and sort days of which more is known.

        Where a file cannot be written this is said, and tried again later. As the service ends it
        takes no longer than `LAST_SORT_S`.
        """
        end_s = time.monotonic() + LAST_SORT_S
        with self.lock:
            due = [
                (name, one) for name, one in self.spaces.items()
                if one.newest_ms - BEFORE_MS - one.until_ms >= STEP_MS
                or any(not mark.is_sorted for mark in one.marks)
            ]  # fmt: skip
        for name, one in due:
            if self.is_stopping.is_set() and time.monotonic() > end_s:
                return
            try:
                self._sort_marks(name, one)
                self._sort_rows(name, one)
                self.trouble = ""
            except (InputError, sqlite3.Error) as error:
                self.trouble = f"quiet days are not kept: {error}"
                self.notes.say("quiet", self.trouble, self.trouble)
                self._drop_oldest(name, one)
            except Exception as error:  # a bug of ours must not end it unseen
                self.trouble = f"quiet days of {name} are not kept: {error!r}"
                self.notes.say("quiet", self.trouble, self.trouble)

    def _aside(self, one: KeptSpace) -> list[tuple[int, int]]:
        return [mark.stretch for mark in one.marks if mark.was != HARMLESS]

    def _sort_rows(self, name: str, one: KeptSpace) -> None:
        """Move rows of a space from the store to its files.

        A kill before the last step leaves them in both: the next time finds them in the files.
        """
        with self.lock:
            upto_ms = one.newest_ms - BEFORE_MS
            if upto_ms - one.until_ms < STEP_MS:
                return
            was_ms, one.until_ms = one.until_ms, upto_ms  # what comes later and is older is late
            aside = self._aside(one)
        try:
            query = (
                "SELECT rowid, time_ms, sensor, body FROM quiet_rows"
                " WHERE space = ? AND time_ms < ?"
            )
            found = self.store.write(lambda base: base.execute(query, (name, upto_ms)).fetchall())
            if found:
                numbers, times_ms, sensors, bodies = zip(*found, strict=True)
                cells = [cells_of_body(body) for body in bodies]
                self.files.add(name, make_rows(times_ms, sensors, cells), aside)
                self.store.write(lambda base: self._forget(base, name, upto_ms, max(numbers)))
            with self.lock:
                oldest_ms = upto_ms - self.files.days * DAY_MS
                one.marks = [mark for mark in one.marks if mark.end_ms >= oldest_ms]
        except (InputError, sqlite3.Error):
            with self.lock:
                one.until_ms = was_ms
            raise

    def _forget(self, base: sqlite3.Connection, name: str, upto_ms: int, last: int) -> None:
        base.execute(
            "DELETE FROM quiet_rows WHERE space = ? AND time_ms < ? AND rowid <= ?",
            (name, upto_ms, last),
        )
        base.execute("INSERT OR REPLACE INTO quiet_spaces VALUES (?, ?)", (name, upto_ms))
        oldest_ms = upto_ms - self.files.days * DAY_MS
        base.execute("DELETE FROM quiet_marks WHERE space = ? AND end_ms < ?", (name, oldest_ms))

    def _sort_marks(self, name: str, one: KeptSpace) -> None:
        """Sort the days again of which an alarm, or a person, has said something since."""
        with self.lock:
            fresh = [mark for mark in one.marks if not mark.is_sorted]
            said = {mark.number: mark.was for mark in fresh}
            aside, until_ms = self._aside(one), one.until_ms
        days: set[int] = set()
        for mark in fresh:
            start_ms, end_ms = mark.stretch
            days.update(range(start_ms // DAY_MS, min(end_ms, until_ms) // DAY_MS + 1))
        for day in sorted(days):
            if self.files.has_day(name, day * DAY_MS):
                self.files.sort_day(name, day * DAY_MS, aside)
        done = "UPDATE quiet_marks SET is_sorted = 1 WHERE id = ? AND was = ?"
        self.store.write(lambda base: base.executemany(done, said.items()))
        with self.lock:
            for mark in fresh:
                mark.is_sorted = mark.was == said[mark.number]

    def _drop_oldest(self, name: str, one: KeptSpace) -> None:
        """Drop rows that have waited for days for a disk, which must not fill the store."""
        with self.lock:
            least_ms = one.newest_ms - LONGEST_WAIT_MS
            if one.until_ms >= least_ms:
                return
            one.until_ms = least_ms
        self.notes.say(
            "quiet lost", f"{name}: readings that could not be written are dropped", name
        )
        try:
            drop = "DELETE FROM quiet_rows WHERE space = ? AND time_ms < ?"
            self.store.write(lambda base: base.execute(drop, (name, least_ms)))
        except sqlite3.Error:
            return  # they go with the next ones


def standing_mark(one: KeptSpace, kind: str) -> Mark | None:
    """The mark of what stands over a restart: the last one, where it stood at the last reading."""
    last = next((mark for mark in reversed(one.marks) if mark.kind == kind), None)
    if last is None or last.end_ms - AFTER_MS[kind] < one.newest_ms - LATE_MS:
        return None
    return last


def ms_of(event: dict) -> int:
    """When an event was. [ms]"""
    return round(1000.0 * event["time_s"])


def cells_of_body(body: object) -> list[float]:
    """The readings that a row's body holds, NaN = missing; none where it is damaged."""
    nothing = [math.nan] * len(CHANNELS)
    try:
        cells = [math.nan if value is None else float(value) for value in json.loads(str(body))]
    except (ValueError, TypeError):
        return nothing
    return cells if len(cells) == len(nothing) else nothing
