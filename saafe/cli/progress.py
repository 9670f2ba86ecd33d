"""What is said while a long step is silent: what it is, for how long, and how long the rest takes.

A line that counts ends with a carriage return: whatever is said next is written over it.
"""

import math
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

import click

from saafe.formats import clock

Item = TypeVar("Item")
UNTOLD_S = 2.0  # nobody need be told sooner
BETWEEN_LINES_S = 8.0  # in a file nothing need be said for so long
THREAD = "saafe-busy"
TERMINAL_S, ELSEWHERE_S = 1.0, 10.0  # how often it is said on a terminal, and in a file
FILE_COLUMNS = 10_000
USUAL_COLUMNS = 80  # of a terminal that does not say


class Busy:
    """Says on stderr what goes on, from two seconds on, until it ends: `with Busy("..."):`.

    On a terminal one line counts the time and goes away; elsewhere a plain line comes now and then.
    """

    def __init__(self, what: str, *, silent_s: float = UNTOLD_S) -> None:
        """Take what goes on, in words, and for how long nothing is said. [s]"""
        self.what, self.stage, self.silent_s = what, "", silent_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._began_s = time.monotonic()
        self._ends_s: float | None = None  # when it may end, where that is known
        self._shown = 0  # columns of the line that stands on a terminal

    def start(self, *, after_s: float = 0.0) -> "Busy":
        """Begin to count, where it goes on already from so long. [s]"""
        self._began_s = time.monotonic() - after_s
        self._thread = threading.Thread(target=self._tell, name=THREAD, daemon=True)
        self._thread.start()
        return self

    def now(self, stage: str) -> None:
        """Take the stage that begins, in words; it is said after the whole, whose time counts.

        Of a stage "2 of 4" it is also said how long the rest takes, if all take as long.
        """
        found = re.search(r"(\d+) of (\d+)", stage)
        done, parts = (int(found[1]) - 1, int(found[2])) if found else (0, 0)
        now_s = time.monotonic()
        self._ends_s = now_s + (parts - done) * (now_s - self._began_s) / done if done else None
        self.stage = stage

    def reached(self, share: float) -> None:
        """Take the share of the whole that is done; the rest takes its time accordingly."""
        if share > 0.0:
            self.stage = f"{100.0 * share:.0f} %"
            self._ends_s = self._began_s + (time.monotonic() - self._began_s) / share

    def ends_in(self, left_s: float | None) -> None:
        """Take how long it lasts from now on; None where that is not known. [s]"""
        self._ends_s = None if left_s is None else time.monotonic() + left_s

    def say(self, line: str) -> None:
        """Say a line that stays, over the one that counts."""
        click.echo(line.ljust(self._shown), err=True)
        self._shown = 0

    def stop(self) -> None:
        """End; the line on a terminal goes away."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._shown:
            click.echo("\r" + " " * self._shown + "\r", nl=False, err=True)
            self._shown = 0

    def __enter__(self) -> "Busy":
        """Begin to count."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """End."""
        self.stop()

    def _tell(self) -> None:
        is_terminal = sys.stderr.isatty()
        wait_s = self.silent_s
        while not self._ended.wait(wait_s):
            what = f"{self.what}, {self.stage}" if self.stage else self.what
            now_s, ends_s = time.monotonic(), self._ends_s
            so_far, left = f"{clock(now_s - self._began_s)} so far", ""
            if ends_s is not None and ends_s > now_s:
                left = f"about {clock(ends_s - now_s)} left"
            columns = terminal_columns() if is_terminal else FILE_COLUMNS
            line = fitted(what, so_far, left, columns)
            if is_terminal:
                click.echo("\r" + line.ljust(self._shown) + "\r", nl=False, err=True)
                self._shown = len(line)
            else:
                click.echo(line, err=True)
            wait_s = TERMINAL_S if is_terminal else ELSEWHERE_S


def starting() -> Busy:
    """What is said while imports, torch's among them, take seconds; in a file, many seconds."""
    return Busy("starting", silent_s=UNTOLD_S if sys.stderr.isatty() else BETWEEN_LINES_S)


def terminal_columns() -> int:
    """How wide the terminal is that stderr is shown on."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or USUAL_COLUMNS
    except (OSError, ValueError):  # a terminal that tells no size
        return USUAL_COLUMNS


def fitted(what: str, so_far: str, left: str, columns: int) -> str:
    """One line of what goes on, for how long, and how long yet, narrower than the terminal.

    One as wide would go over two lines, and no return leads back to the first. Where it is too
    long the time so far is left out first, if another is known, and then an end of the words.
    """
    room = columns - 1
    times = ", ".join(filter(None, (so_far, left)))
    if left and len(f"{what}: {times}") > room:
        times = left
    if len(f"{what}: {times}") > room:
        what = what[: max(room - len(f"...: {times}"), 0)].rstrip(" ,") + "..."
    return f"{what}: {times}"[:room]


def seconds_left(line: str) -> float | None:
    """What a line of progress says that is left, as by `clock`; None where it says none. [s]"""
    found = re.search(r"about (\d+):(\d\d) left", line)
    return 60.0 * int(found[1]) + int(found[2]) if found else None


def seconds_so_far(line: str) -> float:
    """How long a line of progress says that it goes on, as by `clock`; 0 where it says none. [s]"""
    found = re.search(r"(\d+):(\d\d) so far", line)
    return 60.0 * int(found[1]) + int(found[2]) if found else 0.0


@contextmanager
def counting(items: Iterable[Item], total: int, what: str) -> Iterator[Iterator[Item]]:
    """The items, of which it is said at which one is and how long the rest takes.

    `with counting(files, len(files), "files read") as counted:`; in the end it says the count.
    """

    def counted() -> Iterator[Item]:
        for number, item in enumerate(items, 1):
            yield item
            busy.now(f"{min(number + 1, total)} of {total}")

    with Busy(what) as busy:
        busy.now(f"1 of {total}")
        yield counted()
    if total:
        click.echo(f"{total} of {total} {what}", err=True)


class ProgressLines:
    """Says lines of progress on stderr; after a few seconds without one, what the last was of.

    `with ProgressLines() as say: say("...")`.
    """

    def __init__(
        self, *, silent_s: float | None = None, apart_s: float = 0.0,
        told: set[str] | None = None,
    ) -> None:  # fmt: skip
        """Take for how long nothing is said between two lines, and how far apart they are. [s]

        By default that is two seconds on a terminal, where the line that counts goes away. A line
        that comes sooner than `apart_s` is left out, the last of all is not. A terminal shows
        each. A line of `told`, which takes each that comes, is said by nobody again.
        """
        self.told = told
        is_terminal = sys.stderr.isatty()
        if silent_s is None:
            silent_s = UNTOLD_S if is_terminal else BETWEEN_LINES_S
        self.silent_s, self.apart_s = max(silent_s, 0.0 if is_terminal else apart_s), apart_s
        self._said_s, self._left_out = -math.inf, ""
        self._waiting: Busy | None = None

    def __call__(self, line: str) -> None:
        """Say a line, or keep it back; it is waited for in any case."""
        self._stop_waiting()
        if self.told is None or line not in self.told:
            self._say(line)
        what = f"at work; last: {line.partition(':')[0]}"
        self._waiting = Busy(what, silent_s=self.silent_s)
        self._waiting.ends_in(seconds_left(line))
        self._waiting.start(after_s=seconds_so_far(line))

    def _say(self, line: str) -> None:
        now_s = time.monotonic()
        if self.told is not None:
            self.told.add(line)
        if now_s - self._said_s < self.apart_s and not sys.stderr.isatty():
            self._left_out = line
        else:
            click.echo(line, err=True)
            self._said_s, self._left_out = now_s, ""

    def stop(self) -> None:
        """Nothing more is waited for; the last line is said, where it was left out."""
        self._stop_waiting()
        if self._left_out:
            click.echo(self._left_out, err=True)
            self._left_out = ""

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None

    def __enter__(self) -> "ProgressLines":
        """Nothing is said yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """End."""
        self.stop()
