"""Tables on a terminal."""

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence

import click
from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from saafe.formats import DASH, interval, number

PIPE_WIDTH = 200  # who reads a pipe has no right margin
UNBOUNDED = 10_000
CUT = "…"


def print_gate(gate: dict) -> None:
    """The gate, a line a figure."""
    rows = []
    for line in gate["lines"]:
        low, high = line["lower"], line["upper"]
        bounds = "" if low == high else interval(low, high)
        figures = (number(line["value"]), bounds, number(line["limit"]), number(line["n"]))
        rows.append((line["name"], *figures, line["status"].replace("_", " ")))
    word = "PASS" if gate["passed"] else "FAIL"
    title = f"{gate['level']} gate on {gate['device']}: {word}"
    print_rows(title, ["figure", "value", "95 % bounds", "limit", "n", ""], rows)


def print_rows(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; the first column to the left, the others to the right; None is a dash.

    Where a terminal is too narrow for its words, each row becomes a few lines: names and amounts
    are never cut.
    """
    texts = [[DASH if cell is None else str(cell) for cell in row] for row in rows]
    table = Table(title=title, box=HEAVY_HEAD if title else None)
    for k, (name, *cells) in enumerate(zip(columns, *texts, strict=True)):
        is_words = any(" " in cell for cell in (name, *cells))
        table.add_column(name, justify="right" if k else "left", no_wrap=not is_words)
    for row in texts:
        table.add_row(*map(escape, row))
    is_told = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if is_told else PIPE_WIDTH)
    shown = ""
    if Console(width=UNBOUNDED).measure(table).minimum <= console.width:
        with console.capture() as text:  # click's echo says what a full disk or closed pipe is
            console.print(table)
        shown = text.get()
    given = "".join([title or "", *columns, *(cell for row in texts for cell in row)])
    if shown and shown.count(CUT) == given.count(CUT):  # a column of words may be narrowed too far
        click.echo(shown, nl=False)
    else:
        click.echo(title or "", nl=bool(title))
        click.echo("\n".join(folded_lines(columns, texts, console.width)))


def folded_lines(columns: Sequence[str], texts: list[list[str]], width: int) -> list[str]:
    """Rows of a table for a narrow terminal: the first cell, and the others below it."""
    wrapper = textwrap.TextWrapper(
        width, initial_indent="  ", subsequent_indent="  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    lines = []
    for first, *others in texts:
        cells = zip(columns[1:], others, strict=True)
        told = ", ".join(f"{name} {cell}" for name, cell in cells if cell != DASH)
        lines += [first, *wrapper.wrap(told)]
    return lines
