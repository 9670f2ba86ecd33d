"""What a person should know of a service: each kind is said at most once a minute."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

SAID_EVERY_S = 60.0
KEPT_NOTES = 50
LONGEST_NOTE = 500  # characters


class Notes:
    """Lines on stderr, and the last ones for the page; any thread may say something."""

    def __init__(
        self,
        write: Callable[[str], None] | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what writes a line, stderr by default, and a clock. [s]"""
        self.write = write or (lambda line: print(line, file=sys.stderr, flush=True))
        self.clock_s = clock_s
        self.said: dict[str, tuple[float, int]] = {}  # kind: when, and how often since
        self.last: deque[tuple[float, str]] = deque(maxlen=KEPT_NOTES)  # (seconds since 1970, text)
        self.lock = threading.Lock()

    def say(self, kind: str, text: str) -> None:
        """Say something; of one kind the next within a minute is only counted."""
        with self.lock:
            now_s = self.clock_s()
            said_s, since = self.said.get(kind, (-SAID_EVERY_S, 0))
            if now_s - said_s < SAID_EVERY_S:
                self.said[kind] = said_s, since + 1
                return
            self.said[kind] = now_s, 0
            text = "".join(c if c.isprintable() else "?" for c in text[:LONGEST_NOTE])
            text += f" (and {since} more since the last such line)" if since else ""
            self.last.append((time.time(), text))
        with suppress(OSError):  # as of a full disk: the thread that says it goes on watching
            self.write(f"saafe: {text}")
