"""Lines of standard input as they come, whatever their encoding."""

import codecs
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

CHUNK = 1 << 16
WAITING = 10_000  # lines read ahead
LONGEST_LINE = 1 << 20  # characters; more without an end is cut
LONGEST_WAIT_S = 3600.0


class Lines:
    """Standard input, read by a thread of its own, so that nobody need wait for it."""

    def __init__(self) -> None:
        """Begin to read."""
        self.came: queue.Queue[tuple[str, float] | None] = queue.Queue(WAITING)
        threading.Thread(target=self._read, args=(sys.stdin.buffer,), daemon=True).start()

    def next(self, timeout_s: float) -> tuple[str, float] | None:
        """The next line and when it came; None at the end; TimeoutError where none comes. [s]"""
        try:
            return self.came.get(timeout=min(timeout_s, LONGEST_WAIT_S))
        except queue.Empty:
            raise TimeoutError from None

    def _read(self, stream: BinaryIO) -> None:
        try:
            for line in split_lines(stream):
                self.came.put((line, time.monotonic()))
        finally:
            self.came.put(None)


def split_lines(stream: BinaryIO) -> Iterator[str]:
    """Decode a stream's lines, each as soon as it ends; bytes that mean nothing become U+FFFD."""
    decoder, rest = None, ""
    while data := getattr(stream, "read1", stream.read)(CHUNK):
        decoder = decoder or codecs.getincrementaldecoder(encoding_of(data))(errors="replace")
        *lines, rest = (rest + decoder.decode(data)).split("\n")
        yield from lines
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = ""
    if rest:
        yield rest


def encoding_of(data: bytes) -> str:
    """The encoding that a byte order mark tells, UTF-8 without one."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"
