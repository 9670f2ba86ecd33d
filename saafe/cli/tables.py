"""Tables on a terminal."""

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence

import click
from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from saafe.formats import DASH

PIPE_WIDTH = 200  # who reads a pipe has no right margin
UNBOUNDED = 10_000
CUT = "…"
WITHIN_AMOUNT = re.compile(r"(?<=\d) (?=to [-\d]|%)|(?<= to) (?=[-\d])")
GLUE = "\ue000"  # stands for a blank within an amount, at which no line breaks


def print_gate(gate: dict) -> None:
    """The gate, a line a figure."""
    from saafe.exam import line_texts  # imports torch, which takes seconds

    rows = [(line["name"], *line_texts(line)) for line in gate["lines"]]
    word = "PASS" if gate["passed"] else "FAIL"
    title = f"{gate['level']} gate on {gate['device']}: {word}"
    print_rows(title, ["figure", "value", "95 % bounds", "limit", "n", ""], rows)


def print_rows(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; the first column to the left, the others to the right; None is a dash.

    Where a terminal is too narrow for a frame, there is none; where it is for the words alone, each
    row becomes a few lines: names and amounts are never cut or broken.
    """
    texts = [
        [DASH if cell is None else WITHIN_AMOUNT.sub(GLUE, str(cell)) for cell in row]
        for row in rows
    ]
    is_told = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if is_told else PIPE_WIDTH)
    given = "".join([title or "", *columns, *(cell for row in texts for cell in row)])
    for framed in (True, False) if title else (False,):
        table = table_of_texts(title, columns, texts, framed=framed)
        if Console(width=UNBOUNDED).measure(table).minimum > console.width:
            continue
        with console.capture() as captured:  # click's echo says what a full disk or closed pipe is
            console.print(table)
        shown = captured.get()
        if shown.count(CUT) == given.count(CUT):  # a column of words may be narrowed too far
            click.echo(shown.replace(GLUE, " "), nl=False)
            return
    click.echo(title or "", nl=bool(title))
    click.echo("\n".join(folded_lines(columns, texts, console.width)).replace(GLUE, " "))


def table_of_texts(
    title: str | None, columns: Sequence[str], texts: list[list[str]], *, framed: bool
) -> Table:
    """A table for rich, in a frame or in as few columns as it can be."""
    table = Table(title=title, box=HEAVY_HEAD if framed else None)
    for k, (name, *cells) in enumerate(zip(columns, *texts, strict=True)):
        is_words = any(" " in cell for cell in (name, *cells))
        table.add_column(name, justify="right" if k else "left", no_wrap=not is_words)
    for row in texts:
        table.add_row(*map(escape, row))
    return table


def folded_lines(columns: Sequence[str], texts: list[list[str]], width: int) -> list[str]:
    """Rows of a table for a narrow terminal: the first cell, and the others below it."""
    wrapper = textwrap.TextWrapper(
        width, initial_indent="  ", subsequent_indent="  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    lines = []
    for first, *others in texts:
        cells = zip(columns[1:], others, strict=True)
        told = ", ".join(f"{name} {cell}".strip() for name, cell in cells if cell not in ("", DASH))
        lines += [first, *wrapper.wrap(told)]
    return lines
