"""`saafe detect --out`: the events of an archive, here or on workers."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from saafe.cli.output import NOW_AND_THEN_S, print_json
from saafe.errors import InputError
from saafe.formats import clock
from saafe.recordings import counted

if TYPE_CHECKING:
    from saafe.machines import DetectOptions, Entry, Outcome, Tally

NAMED = 5  # of the recordings that failed, at the end; each was named when it did


@dataclass(frozen=True)
class ArchiveOptions:
    """Where the events go, and who finds them."""

    out: str | None
    workers: str | None

    @classmethod
    def take_from(cls, options: dict[str, Any]) -> "ArchiveOptions":
        """The same, out of a command's options."""
        return cls(options.pop("events_out"), options.pop("workers"))


def expand(words: Sequence[str]) -> list[str]:
    """The files that words name: patterns become what they match.

    Raises:
        InputError: a pattern matches nothing, or is one of S3.
    """
    from saafe.machines import files_named, is_s3

    for word in words:
        if is_s3(word):
            raise InputError(f"{word}: recordings in S3 need --out EVENTS, a folder or s3://")
    return [entry.path for word in words for entry in files_named(word)]


def detect_archive(
    model: Any,
    words: Sequence[str],
    options: ArchiveOptions,
    how: "DetectOptions",
    *,
    as_json: bool,
) -> None:
    """Write the events of recordings into a folder, with progress, and say what came of it."""
    from saafe.machines import events_of_archive, find_entries, open_storage, outcomes_on

    assert options.out is not None, "the command asked for it"
    entries, screen = find_entries(words), ArchiveScreen()
    work = None
    if options.workers is not None:
        work = partial(outcomes_on, options.workers, model, how=how, on_wait=screen.wait)
    storage = open_storage(options.out)
    try:
        tally = events_of_archive(model, entries, storage, how, work=work, on_done=screen.show)
    finally:
        screen.end()
    if as_json:
        print_json({"out": options.out, **tally.to_dict()})
    else:
        click.echo(archive_line(tally, options.out))
    if tally.failed:
        names = ", ".join(row["file"] for row in tally.failed[:NAMED])
        more = f" and {len(tally.failed) - NAMED:,} more" if len(tally.failed) > NAMED else ""
        click.echo(
            f"saafe: failed {len(tally.failed):,} of {tally.recordings:,} recordings: "
            f"{names}{more}; the same command tries them again", err=True,
        )  # fmt: skip
        raise click.exceptions.Exit(1)


def archive_line(tally: "Tally", out: str) -> str:
    """One line of what was found."""
    line = (
        f"{out}: {counted(tally.alarms, 'alarm')} in {tally.with_alarm:,} of "
        f"{counted(tally.done, 'recording')}, {counted(tally.events, 'event')}"
    )
    if tally.done_before:
        line += f"; {tally.done_before:,} were done before and are not counted"
    return line


class ArchiveScreen:
    """Progress on stderr: over itself on a terminal, else now and then."""

    def __init__(self) -> None:
        """Begin."""
        self.workers: int | None = None
        self.said_s, self.shown = time.monotonic(), 0

    def wait(self, workers: int) -> None:
        """Take the number of workers; say where it changes."""
        if self.workers is not None and workers != self.workers:
            lost = workers < self.workers
            what = "lost: its recordings are done by others" if lost else "joined"
            self.note(f"{abs(workers - self.workers)} of the workers {what}; {workers} now")
        self.workers = workers

    def show(self, entry: "Entry", outcome: "Outcome", tally: "Tally") -> None:
        """Say what was odd about a recording, and how far the work is."""
        if outcome.error:
            self.note(f"saafe: {outcome.error}")
        for note in outcome.notes:
            self.note(f"{entry.path}: {note}")
        is_terminal = sys.stderr.isatty()
        now = time.monotonic()
        if is_terminal or now - self.said_s > NOW_AND_THEN_S:
            self.said_s = now
            self.line(progress(tally, self.workers), is_terminal=is_terminal)

    def note(self, line: str) -> None:
        """A line that stays."""
        self.end()
        click.echo(" ".join(line.splitlines()), err=True)

    def line(self, text: str, *, is_terminal: bool) -> None:
        """A line of progress."""
        if is_terminal:
            click.echo("\r" + text.ljust(self.shown), nl=False, err=True)
            self.shown = len(text)
        else:
            click.echo(text, err=True)

    def end(self) -> None:
        """Take the line of progress away."""
        if self.shown:
            click.echo("\r" + " " * self.shown + "\r", nl=False, err=True)
            self.shown = 0


def progress(tally: "Tally", workers: int | None) -> str:
    """How far the work is, in at most 79 columns."""
    finished = tally.done_before + tally.done + len(tally.failed)
    parts = [f"{finished:,} of {tally.recordings:,} recordings"]
    if tally.failed:
        parts.append(f"{len(tally.failed):,} failed")
    if workers is not None:
        parts.append(f"{workers:,} worker{'' if workers == 1 else 's'}")
    if (left_s := tally.seconds_left) is not None:
        parts.append(f"{clock(left_s)} left")
    return ", ".join(parts)
