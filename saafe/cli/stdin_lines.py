"""Lines of standard input as they come, whatever their encoding and their ends."""

import codecs
import os
import queue
import re
import select
import sys
import threading
import time
from collections.abc import Iterable, Iterator

from saafe.errors import InputError
from saafe.recordings import LONGEST_LINE, TELLING, encoding_of

CHUNK = 1 << 16
WAITING = 10_000  # lines read ahead
LONGEST_WAIT_S = 3600.0
_END = re.compile(r"\r\n|\r|\n")


class Lines:
    """Standard input, read by a thread of its own, so that nobody need wait for it."""

    def __init__(self) -> None:
        """Begin to read."""
        self.came: queue.Queue[tuple[str, float] | InputError | None] = queue.Queue(WAITING)
        threading.Thread(target=self._read, args=(sys.stdin.fileno(),), daemon=True).start()

    def next(self, timeout_s: float) -> tuple[str, float] | None:
        """The next line and when it came; None at the end. [s]

        Raises:
            TimeoutError: none comes in that time.
            InputError: standard input cannot be read, or no further.
        """
        try:
            one = self.came.get(timeout=min(timeout_s, LONGEST_WAIT_S))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(one, InputError):
            raise one
        return one

    def _read(self, number: int) -> None:
        """Put each line with the time at which its last piece came, not that of its turn."""
        came_s = 0.0

        def timed() -> Iterator[bytes]:
            nonlocal came_s
            for data in read_pieces(number):
                came_s = time.monotonic()
                yield data

        last = None
        try:
            for line in split_lines(timed()):
                self.came.put((line, came_s))
        except OSError as error:  # a folder, write-only, a disk or terminal that has gone
            last = InputError(f"stdin: {error.strerror or error}")
        finally:
            self.came.put(last)


def read_pieces(number: int) -> Iterator[bytes]:
    """What comes from an open file, by its number, as it comes.

    Not by sys.stdin: the interpreter ends by an abort while a thread holds the lock of its buffer.
    """
    while True:
        try:
            data = os.read(number, CHUNK)
        except BlockingIOError:  # whoever opened it does not wait; we do
            select.select([number], [], [])
            continue
        if not data:
            return
        yield data


def split_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Decode the lines of a stream's pieces, each as soon as it ends.

    Bytes that mean nothing become U+FFFD. A line ends with LF, CR LF or CR; one that is longer
    than `LONGEST_LINE` is cut there.
    """
    decoder, rest, after_cr = None, "", False
    for data in _with_first(pieces):
        decoder = decoder or codecs.getincrementaldecoder(encoding_of(data))(errors="replace")
        text = decoder.decode(data)
        if after_cr and text:
            text = text.removeprefix("\n")
            after_cr = False
        after_cr = after_cr or text.endswith("\r")
        *lines, rest = _END.split(rest + text)
        yield from lines
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = ""
    if rest:
        yield rest


def _with_first(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, the first one long enough to tell the encoding."""
    first: bytes | None = b""
    for data in pieces:
        if first is None:
            yield data
        elif len(first := first + data) >= TELLING:
            yield first
            first = None
    if first:
        yield first
