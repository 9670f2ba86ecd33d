"""What commands print, and how they end: here alone failures become lines and exit codes."""

import difflib
import errno
import io
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from saafe.errors import InputError, missing_extra
from saafe.files import json_text

if TYPE_CHECKING:
    from typing_extensions import Buffer

CAUSED = (InputError, OSError, UnicodeError, KeyboardInterrupt)  # all else is a bug: a traceback
# what a stream says that is full or that nobody reads; files say their names
FULL_OR_GONE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE)
COMPLETION = "_SAAFE_COMPLETE"  # the variable by which a shell asks what a word may become
ANSWERED = "saafe.answered"  # in a context's meta: stdout has its one JSON document
NOW_AND_THEN_S = 10.0
OUT_OF_MEMORY = (
    "out of memory; end other programs, or ask for less at once: a shorter recording, or smaller "
    "--set batch and --set streams; what was trained goes on with --resume"
)
WRONG_USAGE = 2


class Group(click.Group):
    """A group of commands that answers a mistyped name with the nearest ones."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if "Did you mean" in error.message:  # newer clicks say it themselves
                raise
            near = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(error.message + near, ctx) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that names what a mistyped word may have meant; "" where nothing is near."""
    near = names_near(word, known)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def names_near(word: str, known: Iterable[str]) -> list[str]:
    """The three names or fewer that a mistyped word may have meant, nearest first.

    What shares a whole word, as `paper_bin` and `bin` do, comes before what shares some letters.
    """
    names = list(known)
    nearest = difflib.get_close_matches(word, names, n=3, cutoff=0.75)
    shared = [name for name in names if words_in(word) & words_in(name)]
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    return list(dict.fromkeys([*nearest, *shared, *near]))[:3]


def words_in(name: str) -> set[str]:
    """The words of three letters and more that a name is made of."""
    return set(re.findall("[a-z]{3,}", name.lower()))


def names_like(word: str, known: Iterable[str]) -> list[str]:
    """Names that begin with a word, for completion."""
    return [name for name in known if name.startswith(word)]


def print_json(document: object, **layout: Any) -> None:
    """Print the one JSON document of a command with --json; `layout` as of `json_text`."""
    click.get_current_context().meta[ANSWERED] = True
    click.echo(json_text(document, **layout))


def print_events(events: Iterable[dict]) -> None:
    """Print one JSON line an event, at once: click flushes every line."""
    for event in events:
        click.echo(json_text(event))


def run(group: click.Group, words: list[str]) -> int:
    """Run a command line and return its exit code.

    It is 1 for what a user can mend, 2 for a command that is none, 130 for Ctrl-C.

    With --json a failure is one JSON document too, unless stdout has its document already.
    """
    meta: dict[str, Any] = {}
    try:
        open_streams()
        with group.make_context("saafe", words) as context:
            meta = context.meta
            invoke(group, context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:  # its message is the whole help
        error.show()
        return error.exit_code
    except click.ClickException as error:
        code, line = error.exit_code, " ".join(error.format_message().split())
        is_path = isinstance(getattr(getattr(error, "param", None), "type", None), click.Path)
        if is_path and not isinstance(error, click.MissingParameter):
            code = 1  # the command is right, its path cannot be read
        if code == WRONG_USAGE and (wrong := getattr(error, "ctx", None)) is not None:
            click.echo(wrong.get_usage(), err=True)  # says how it is right
            line = line.rstrip(".") + as_setting(error)
            click.echo(f"saafe: {line}; `{wrong.command_path} --help` says more", err=True)
    except (click.Abort, *CAUSED) as error:  # Abort: Ctrl-C at a question
        is_stop = isinstance(error, click.Abort | KeyboardInterrupt)
        code, line = 130 if is_stop else 1, line_of(error)
        exec("")  # after a SIGINT in an `exec` of text CPython dies of it; this makes it forget
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        code, line = 1, OUT_OF_MEMORY
    if code != WRONG_USAGE:
        click.echo(f"saafe: {line}", err=True)
    if "--json" in words and ANSWERED not in meta:
        with suppress(OSError):  # stdout may be what failed
            click.echo(json_text({"error": line}))
    return code


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: Python's, numpy's, or torch's, which says so in words alone."""
    said = ("can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or any(words in str(error) for words in said)


def as_setting(error: click.ClickException) -> str:
    """How --set gives what was taken for a long option; "" where the command has no --set."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return ""
    if not error.option_name.startswith("--"):  # a letter is no field
        return ""
    if not any("--set" in parameter.opts for parameter in error.ctx.command.params):
        return ""
    return f"; a field is set by --set {error.option_name.lstrip('-').replace('-', '_')}=VALUE"


def invoke(group: click.Group, context: click.Context) -> None:
    """Run the command; one that needs a package that is not installed says how to install it."""
    try:
        group.invoke(context)
    except ModuleNotFoundError as error:
        raise (missing_extra(error) or error) from None


def open_streams() -> None:
    """Put nothing in the place of a closed stdin or stderr, lest an opened file take it.

    Raises:
        InputError: stdout is closed.
    """
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
            if name == "stdout":
                raise InputError("stdout is closed; send what is not wanted to /dev/null")
    if sys.stderr is sys.__stderr__:  # else a test's, or of whoever calls us
        own = sys.stderr
        raw = io.BufferedWriter(Unfailing(own.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(
            raw, encoding=own.encoding, errors=own.errors, line_buffering=True
        )


class Unfailing(io.FileIO):
    """Bytes to stderr: a full disk or a lost terminal under it must not end the watching."""

    def write(self, data: "Buffer", /) -> int:
        """Write, or drop what cannot be written."""
        with suppress(OSError):
            return super().write(data) or memoryview(data).nbytes  # None: it would have to wait
        return memoryview(data).nbytes


def line_of(error: BaseException) -> str:
    """One line of what went wrong: the path and the reason, where it was a file."""
    drop_unwritten()
    text = str(error)
    if isinstance(error, OSError):
        place = error.filename or ("stdout" if error.errno in FULL_OR_GONE else "")
        reason = error.strerror or text
        text = f"{place}: {reason}" if place else reason
    return " ".join(text.splitlines()) or "interrupted"


def drop_unwritten() -> None:
    """Send what stdout cannot write nowhere: the interpreter would try it again as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
