"""What outlives the process, in one SQLite file: events, states, the readings of two hours.

Readings and the events that they made true are written together or not at all.
"""

import json
import math
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from saafe.errors import InputError
from saafe.files import json_text
from saafe.serving.fleet import Arrival
from saafe.serving.reserve import Reserve
from saafe.windows import BIN_S, SPAN

KEPT_S = SPAN * BIN_S + 300.0  # readings: what a window sees, and a little
KEPT_EVENTS = 100_000  # the newest of each kind. Chosen: some 25 MB a kind
MOST_LATE = 10_000  # Chosen: events that wait in memory until the file can be written again
STORE_VERSION = 1
MEMORY = ":memory:"
TABLES = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, space TEXT, kind TEXT, body TEXT,
    delivered INTEGER);
CREATE TABLE IF NOT EXISTS readings (space TEXT, sensor TEXT, arrived_s REAL, body TEXT);
CREATE TABLE IF NOT EXISTS standing (
    space TEXT, what TEXT, body TEXT, PRIMARY KEY (space, what)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS states (space TEXT PRIMARY KEY, last INTEGER, body BLOB);
"""
# not with the others: on a full disk a file that an earlier saafe wrote goes on without it
WATCHED_TABLE = "CREATE TABLE IF NOT EXISTS watched (row INTEGER PRIMARY KEY, until_s REAL)"
INDEXES = """
CREATE INDEX IF NOT EXISTS events_of_space ON events (space, id);
CREATE INDEX IF NOT EXISTS events_of_kind ON events (kind, id);
CREATE INDEX IF NOT EXISTS events_undelivered ON events (id) WHERE delivered = 0;
CREATE INDEX IF NOT EXISTS readings_by_time ON readings (arrived_s);
"""
INSERT_READINGS = """
INSERT INTO readings (sensor, space, arrived_s, body)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) ORDER BY key"""
TABLES_OF_SPACES = """
SELECT one.name FROM sqlite_master AS one JOIN pragma_table_info(one.name) AS part
WHERE one.type = 'table' AND part.name = 'space'"""  # others add theirs
FORGET_EVENTS = """
DELETE FROM events WHERE id IN (
    SELECT old.id FROM (SELECT DISTINCT kind FROM events) AS one JOIN events AS old
    ON old.kind = one.kind AND old.id <= (
        SELECT id FROM events WHERE kind = one.kind ORDER BY id DESC LIMIT 1 OFFSET ?))"""
NOTE_TOLD = "UPDATE events SET delivered = 1 WHERE delivered = 0 AND space = ? AND body = ?"
EVENT_KINDS = ("alarm", "clear", "warning", "fault", "restored")
EVENT_PARTS = {"event", "time_s", "space", "sensor"}  # that each event has
Found = TypeVar("Found")
ALARM = "alarm"  # in `standing`; a fault's name is its sensor and channel
BEGINS, ENDS = (ALARM, "fault"), ("clear", "restored")


class Store:
    """Events and readings in a file, for one process at a time; its methods may share threads."""

    def __init__(self, path: Path | str, *, delivers: bool = False) -> None:
        """Open or make the file.

        Args:
            path: of the file; ":memory:" keeps nothing.
            delivers: whether events wait until somebody says that they were delivered.

        Raises:
            InputError: it cannot be written, is none of ours, or another process uses it.
        """
        self.path, self.delivers = str(path), delivers
        self.lock = threading.Lock()
        self.last = 0  # number of the newest reading
        self.told: list[int] = []  # events that were delivered, which is not yet written
        self.late: deque[dict] = deque(maxlen=MOST_LATE)  # that could not be written: next time
        self.late_told: set[str] = set()  # as text, those that were told meanwhile
        try:
            self.base = sqlite3.connect(
                self.path, timeout=2.0, check_same_thread=False, isolation_level=None
            )
            self.base.text_factory = lambda data: data.decode(errors="replace")  # damaged text
            self.base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.base.execute("PRAGMA journal_mode = WAL")
            self.base.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last ones
            version = self.base.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, STORE_VERSION):
                raise InputError(f"{path}: was written by another saafe; choose another --state")
            with self.base:
                self.base.execute("BEGIN IMMEDIATE")
                for table in TABLES.split(";")[:-1]:
                    self.base.execute(table)
                if version != STORE_VERSION:  # else a full disk would keep it from watching
                    self.base.execute(f"PRAGMA user_version = {STORE_VERSION}")
                newest = "SELECT coalesce(max(rowid), 0) FROM readings"
                self.last = self.base.execute(newest).fetchone()[0]
            for index in INDEXES.split(";")[:-1]:
                with suppress(sqlite3.OperationalError):  # a full disk; without one it is slower
                    self.base.execute(index)
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise InputError(
                    f"{path}: cannot be used (another saafe uses it); stop that one, or choose "
                    "another --state, and with a broker another --base"
                ) from None
            raise InputError(f"{path}: cannot be used ({error}); choose another --state") from None
        self.reserve = Reserve(None if self.path == MEMORY else Path(f"{self.path}-reserve"))
        self.left = self._keep_left()

    def _keep_left(self) -> list[dict]:
        """Keep what the last process could not; what still cannot be is to be said again."""
        left = [(event, told) for event, told in self.reserve.left() if event.keys() >= EVENT_PARTS]
        newest = "SELECT space, body FROM events ORDER BY id DESC LIMIT ?"
        try:
            with self.lock, self.base:
                self.base.execute("BEGIN IMMEDIATE")
                # as by a kill right after it; a search for each would take minutes of many
                kept = {*self.base.execute(newest, (2 * MOST_LATE,))} if left else set()
                for event, is_told in left:
                    if (event["space"], json_text(event)) not in kept:
                        self._keep(event, is_told=is_told or not self.delivers)
        except sqlite3.Error:
            self.late.extend(event for event, is_told in left if is_told)
            self.late_told.update(map(json_text, self.late))
            return [event for event, is_told in left if not is_told]
        self.reserve.clear()
        return []

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            if self.late:
                self.commit([], [])
        with self.lock:
            self.base.close()
        self.reserve.close()

    def write(self, work: Callable[[sqlite3.Connection], Found]) -> Found:
        """Do some work on the file as one transaction: all of it is written, or nothing.

        Raises:
            sqlite3.Error: nothing was written; the disk may be full.
        """
        with self.lock, self.base:
            self.base.execute("BEGIN IMMEDIATE")
            return work(self.base)

    def commit(
        self,
        readings: Iterable[Arrival],
        events: Sequence[dict],
        also: Callable[[sqlite3.Connection], None] = lambda _: None,
    ) -> list[dict]:
        """Write readings and the events that came of them; the events with their `id`.

        `also` writes what belongs to the same transaction.

        Raises:
            sqlite3.Error: nothing was written; the disk may be full. The events will be with the
                next ones; they are said meanwhile, and `late_delivered` hears of it.
        """
        try:
            with self.lock:
                out = self._commit(readings, events, also)
                self.late.clear()
                self.late_told.clear()
        except sqlite3.Error:
            with self.lock:
                self.late.extend(events)
                if len(self.late_told) > MOST_LATE:  # of older ones too, which had no room
                    self.late_told.intersection_update(map(json_text, self.late))
            self.reserve.add(events)
            raise
        self.reserve.clear()
        return out

    def _commit(
        self,
        readings: Iterable[Arrival],
        events: Sequence[dict],
        also: Callable[[sqlite3.Connection], None],
    ) -> list[dict]:
        """`commit`; the lock is held."""
        rows = [
            ["" if r.is_acknowledgement else r.sensor, r.space, r.arrived_s, json.dumps(r.cells)]
            for r in readings
        ]
        with self.base:
            self.base.execute("BEGIN IMMEDIATE")
            # one statement: each step of sqlite3 lets other threads run, and waits for its turn
            self.base.execute(INSERT_READINGS, (json.dumps(rows),))
            for event in self.late:
                is_told = not self.delivers or json_text(event) in self.late_told
                self._keep(event, is_told=is_told)
            out = [self._keep(event, is_told=not self.delivers) for event in events]
            newest = "SELECT coalesce(max(rowid), 0) FROM readings"
            last = self.base.execute(newest).fetchone()[0] if rows else self.last
            also(self.base)
        self.last = last
        return out

    def _keep(self, event: dict, *, is_told: bool) -> dict:
        """Write an event; the same with its `id`."""
        cursor = self.base.execute(
            "INSERT INTO events (space, kind, body, delivered) VALUES (?, ?, ?, ?)",
            (event["space"], event["event"], json_text(event), int(is_told)),
        )
        self._stand(event)
        return {"id": cursor.lastrowid, **event}

    def _stand(self, event: dict) -> None:
        """Note what an event begins or ends."""
        if event["event"] in BEGINS:
            self.base.execute(
                "INSERT OR REPLACE INTO standing VALUES (?, ?, ?)", (*what(event), json_text(event))
            )
        elif event["event"] in ENDS:
            self.base.execute("DELETE FROM standing WHERE space = ? AND what = ?", what(event))

    def standing(self) -> list[dict]:
        """Alarms and faults that have begun and not ended, those too that could not be kept."""
        found = self._events("SELECT 0, body FROM standing", ())
        stands = {what(event): event for _, event in found}
        for _, event in self.reserve.events:
            if event.keys() >= EVENT_PARTS and event["event"] in (*BEGINS, *ENDS):
                stands.pop(what(event), None)
                stands |= {what(event): event} if event["event"] in BEGINS else {}
        return [one for one in stands.values() if one["event"] != ALARM or "risk" in one]

    def readings(self, since_s: float) -> Iterator[tuple[int, Arrival]]:
        """Readings since a time in the order in which they came, numbered.

        An acknowledgement names no sensor.
        """
        query = (
            "SELECT rowid, space, sensor, arrived_s, body FROM readings WHERE arrived_s >= ?"
            " AND rowid > ? ORDER BY rowid LIMIT 5000"
        )
        number = -1
        while rows := self._rows(query, (since_s, number)):
            for number, *row in rows:
                if (one := read_arrival(*row)) is not None:
                    yield number, one

    def save_states(self, states: Iterable[tuple[str, dict]]) -> None:
        """Keep what is known of spaces; their readings so far are in it.

        Raises:
            sqlite3.Error: nothing was written; the disk may be full.
        """
        rows = [
            (space, self.last, zlib.compress(json.dumps(state).encode(), 1))
            for space, state in states
        ]
        with self.lock, self.base:
            self.base.execute("BEGIN IMMEDIATE")
            self.base.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", rows)

    def states(self) -> Iterator[tuple[str, int, dict]]:
        """Each space with the number of its last reading that is in its state, and that."""
        for name, last in self._rows("SELECT space, last FROM states", ()):
            if not (isinstance(name, str) and isinstance(last, int)):
                continue
            rows = self._rows("SELECT body FROM states WHERE space = ?", (name,))
            try:
                yield name, last, json.loads(zlib.decompress(rows[0][0]))
            except (zlib.error, ValueError, TypeError, IndexError):
                yield name, last, {}  # which no space can use: it says so

    def events(
        self, *, after: int = 0, limit: int = 100, space: str | None = None,
        kind: str | None = None, newest: bool = False,
    ) -> list[dict]:  # fmt: skip
        """Events after a number, the oldest first; or the newest ones, the newest first."""
        only = {
            column: word for column, word in (("space", space), ("kind", kind)) if word is not None
        }
        where = "".join(f" AND {column} = ?" for column in only)
        order = "id DESC" if newest else "id"
        query = f"SELECT id, body FROM events WHERE id > ?{where} ORDER BY {order} LIMIT ?"
        found = self._events(query, (after, *only.values(), limit))
        return [{"id": k, **event} for k, event in found]

    def newest_of_each_kind(
        self, *, limit: int, after: int = 0, space: str | None = None
    ) -> list[dict]:
        """So many events of each kind after a number, newest first: many faults hide no alarm."""
        found = [
            event
            for kind in EVENT_KINDS
            for event in self.events(after=after, limit=limit, space=space, kind=kind, newest=True)
        ]
        return sorted(found, key=lambda event: event["id"], reverse=True)

    def undelivered(self, *, after: int = 0, limit: int = -1) -> list[dict]:
        """Events after a number that nobody has been told yet, the oldest first; -1 for all."""
        query = "SELECT id, body FROM events WHERE delivered = 0 AND id > ? ORDER BY id LIMIT ?"
        return [{"id": k, **event} for k, event in self._events(query, (after, limit))]

    def undelivered_spaces(self) -> set[str]:
        """Spaces of events that nobody has been told yet."""
        rows = self._rows("SELECT DISTINCT space FROM events WHERE delivered = 0", ())
        return {space for (space,) in rows}

    def is_undelivered(self, number: int) -> bool:
        """Whether an event is kept that nobody has been told yet."""
        rows = self._rows("SELECT 1 FROM events WHERE id = ? AND delivered = 0", (number,))
        return bool(rows) and number not in self.told

    def delivered(self, number: int) -> None:
        """An event has been told.

        Raises:
            sqlite3.Error: that was not written; the next one, or `forget`, tries again.
        """
        with self.lock:
            self.told.append(number)
            self._note_told()

    def late_delivered(self, event: dict) -> None:
        """An event that could not be written has been told; by now it may be kept.

        Raises:
            sqlite3.Error: that was not written; it is told again after a kill.
        """
        self.reserve.told(event)
        with self.lock:
            if event in self.late:
                self.late_told.add(json_text(event))
            else:
                self.base.execute(NOTE_TOLD, (event["space"], json_text(event)))

    def _note_told(self) -> None:
        """Write which events were delivered, each for itself; the lock is held."""
        rows = [(number,) for number in self.told]
        self.base.executemany("UPDATE events SET delivered = 1 WHERE id = ?", rows)
        self.told.clear()

    def forget_space(self, name: str) -> None:
        """Drop all that is kept of a space; numbers of readings and events go on.

        Raises:
            sqlite3.Error: nothing was dropped; the disk may be full.
        """
        with self.lock, self.base:
            self.base.execute("BEGIN IMMEDIATE")
            # the newest reading stays, without what it told: numbers go on from it
            self.base.execute(
                "UPDATE readings SET space = '', sensor = '-', body = ''"
                " WHERE space = ? AND rowid = ?", (name, self.last),
            )  # fmt: skip
            for (table,) in self.base.execute(TABLES_OF_SPACES).fetchall():
                self.base.execute(f"DELETE FROM {table} WHERE space = ?", (name,))
        self.late = deque((one for one in self.late if one["space"] != name), MOST_LATE)
        self.reserve.clear()
        self.reserve.add(self.late)

    def forget(self, now_s: float) -> None:
        """Drop readings that no window sees any more, and of each kind the oldest events.

        So faults, which may be many, take no alarm's place. Noted is that somebody watched until
        now.
        """
        with self.lock, self.base:
            self.base.execute("BEGIN IMMEDIATE")
            self.base.execute(WATCHED_TABLE)
            self.base.execute("INSERT OR REPLACE INTO watched VALUES (0, ?)", (now_s,))
            # the newest one stays: numbers go on from it
            self.base.execute(
                "DELETE FROM readings WHERE arrived_s < ? AND rowid < ?",
                (now_s - KEPT_S, self.last),
            )
            self.base.execute(FORGET_EVENTS, (KEPT_EVENTS,))
        with self.lock:
            self._note_told()

    def watched_until(self) -> float:
        """Until when somebody surely watched, -inf where that is not known. [s]"""
        is_there = self._rows("SELECT 1 FROM sqlite_master WHERE name = 'watched'", ())
        rows = self._rows("SELECT until_s FROM watched", ()) if is_there else []
        rows += self._rows("SELECT arrived_s FROM readings ORDER BY rowid DESC LIMIT 1", ())
        return max((at_s for (at_s,) in rows if isinstance(at_s, float)), default=-math.inf)

    def _events(self, query: str, words: Sequence[object]) -> list[tuple[int, dict]]:
        found = [(number, read_body(body)) for number, body in self._rows(query, words)]
        return [(number, event) for number, event in found if event.keys() >= EVENT_PARTS]

    def _rows(self, query: str, words: Sequence[object]) -> list[tuple]:
        """What a query finds; an InputError where the file is damaged."""
        try:
            with self.lock:
                return self.base.execute(query, words).fetchall()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.ProgrammingError):  # of ours, as after `close`
                raise
            raise InputError(f"{self.path}: is damaged ({error}); choose another --state") from None


def what(event: dict) -> tuple[str, str]:
    """The space of an event, and what begins or ends there: the alarm, or a channel's fault."""
    is_alarm = event["event"] in (ALARM, "clear")
    name = ALARM if is_alarm else f"{event['sensor']}\n{event.get('channel')}"
    return str(event["space"]), name


def read_body(body: object) -> dict:
    """The object that a row's body holds; {} where it is damaged."""
    try:
        found = json.loads(body)  # type: ignore[arg-type]
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_arrival(space: object, sensor: object, arrived_s: object, body: object) -> Arrival | None:
    """A kept reading; None where its row is damaged. An acknowledgement names no sensor."""
    cells = read_body(body)
    is_text = all(isinstance(text, str) for text in (space, sensor, *cells.values()))
    if not is_text or not isinstance(arrived_s, float) or (sensor and not cells):
        return None
    return Arrival(str(space), str(sensor) or "-", cells, arrived_s, not sensor)
