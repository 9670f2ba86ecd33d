"""What a person should know of a service: each kind is said at most a few times a minute."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

SAID_EVERY_S = 60.0
MOST_SUBJECTS = 5  # Chosen: lines of one kind a minute; made-up names must not fill the log
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
        self.said: dict[str, dict[str, float]] = {}  # kind: when each subject was, of late
        self.left_out: dict[str, int] = {}  # kind: how often since it was said
        self.last: deque[tuple[float, str]] = deque(maxlen=KEPT_NOTES)  # (seconds since 1970, text)
        self.lock = threading.Lock()

    def say(self, kind: str, text: str, subject: str = "") -> bool:
        """Say something; of one kind and subject the next within a minute is only counted.

        So are more subjects of one kind than a few. Whether it was said.
        """
        with self.lock:
            now_s = self.clock_s()
            said = self.said.get(kind, {})
            of_late = {one: at for one, at in said.items() if now_s - at < SAID_EVERY_S}
            if subject in of_late or len(of_late) == MOST_SUBJECTS:
                self.left_out[kind] = self.left_out.get(kind, 0) + 1
                return False
            self.said[kind] = of_late | {subject: now_s}
            since = self.left_out.pop(kind, 0)
        self.tell(text, f" (and {since} more since the last such line)" if since else "")
        return True

    def tell(self, text: str, more: str = "") -> None:
        """Say something that is rare by itself."""
        text = "".join(c if c.isprintable() else "?" for c in text[:LONGEST_NOTE]) + more
        with self.lock:
            self.last.append((time.time(), text))
        with suppress(OSError):  # as of a full disk: the thread that says it goes on watching
            self.write(f"saafe: {text}")
