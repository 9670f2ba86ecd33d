"""Room on the disk that is taken ahead of time: events that a full disk refuses outlive a kill."""

import json
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from saafe.files import json_text

RESERVED = 1 << 21  # Chosen: bytes, for some 10,000 events, as many as wait in memory
UNTOLD, TOLD = b"-", b"+"  # a line begins with one


class Reserve:
    """A file of one size, which is written in place; for one process at a time, and any thread."""

    def __init__(self, path: Path | None) -> None:
        """Open the file or make it; without room for it, or a path, there is none."""
        self.events: list[tuple[int, dict]] = []  # where each begins in the file
        self.used = 0  # bytes
        self.lost = 0  # events for which there was no room
        self.lock = threading.Lock()
        self.file = -1
        if path is None:
            return
        with suppress(OSError):
            self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            missing = RESERVED - os.fstat(self.file).st_size
            if missing > 0:  # zeros that are written take room, a hole does not
                os.pwrite(self.file, bytes(missing), RESERVED - missing)
                os.fsync(self.file)
            if os.fstat(self.file).st_size < RESERVED:
                self.close()

    def close(self) -> None:
        """Close the file; what is in it stays."""
        with self.lock, suppress(OSError):
            if self.file >= 0:
                os.close(self.file)
            self.file = -1

    def left(self) -> list[tuple[dict, bool]]:
        """What the process before this one could not keep, and whether it was told.

        It is in the file: `add` does not put it in again, and `told` knows it.
        """
        if self.file < 0:
            return []
        with suppress(OSError):
            lines = os.pread(self.file, RESERVED, 0).partition(b"\0")[0].split(b"\n")
            found, used = [], 0
            for line in lines[:-1]:
                if event := read_line(line):
                    found.append((used, event, line.startswith(TOLD)))
                used += len(line) + 1
            if not self.events:
                self.events, self.used = [(place, event) for place, event, _ in found], used
            return [(event, is_told) for _, event, is_told in found]
        return []

    def add(self, events: Iterable[dict]) -> None:
        """Put events in it; those for which there is no room are counted as `lost`."""
        with self.lock:
            known = {id(event) for _, event in self.events}
            for event in events:
                line = UNTOLD + json_text(event).encode() + b"\n"
                if id(event) in known:
                    continue
                if self._write(line + b"\0", self.used):
                    self.events.append((self.used, event))
                    self.used += len(line)
                else:
                    self.lost += 1

    def told(self, event: dict) -> None:
        """An event in it has been told, and is not to be told again after a kill."""
        with self.lock:
            for place, one in self.events:
                if one is event:
                    self._write(TOLD, place)

    def clear(self) -> None:
        """All that is in it is kept elsewhere."""
        with self.lock:
            if self.used:
                self._write(bytes(self.used), 0)
            self.events, self.used, self.lost = [], 0, 0

    def _write(self, data: bytes, place: int) -> bool:
        if self.file < 0 or place + len(data) > RESERVED:
            return False
        try:
            return os.pwrite(self.file, data, place) == len(data)
        except OSError:
            return False


def read_line(line: bytes) -> dict:
    """The event of a line; {} where it is damaged."""
    try:
        event = json.loads(line[1:])
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
