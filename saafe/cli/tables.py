"""Tables on a terminal."""

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import islice

import click
from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from saafe.formats import DASH

PIPE_WIDTH = 200  # who reads a pipe has no right margin
UNBOUNDED = 10_000
CUT = "…"
AMOUNT = re.compile(r"[-+<>$~]?\d|-?inf")  # how a cell begins that holds an amount
WITHIN_AMOUNT = re.compile(r"(?<=\d) (?=to [-\d]|%)|(?<= to) (?=[-\d])")
GLUE = "\ue000"  # in the place of an amount's spaces: rich breaks lines at every real one


def print_verdict(gate: dict) -> None:
    """Whether the gate passes, in one line, which stands before all tables."""
    what = f"The {gate['level']} gate"
    missed = [line["name"] for line in gate["lines"] if line["status"] != "pass"]
    few = ", ".join(missed)
    if len(missed) > 3:
        few = f"{len(missed)} of {len(gate['lines'])} lines do not pass"
    print_note(
        f"{what} passes on {gate['device']}."
        if gate["passed"]
        else f"{what} FAILS on {gate['device']}: {few}. Look before you rely on this detector."
    )


def print_gate(gate: dict) -> None:
    """The gate, a line a figure."""
    from saafe.exam import line_texts  # imports torch, which takes seconds

    rows = [(line["name"], *line_texts(line)) for line in gate["lines"]]
    word = "PASS" if gate["passed"] else "FAIL"
    title = f"{gate['level']} gate on {gate['device']}: {word}"
    print_rows(title, ["figure", "value", "95 % bounds", "limit", "n", ""], rows)


def print_rows(
    title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]],
    parts: Sequence[tuple[str, int]] = (),
) -> None:  # fmt: skip
    """A table; words stand to the left, amounts to the right; None is a dash.

    Where a terminal is too narrow for its words, each row becomes a few lines: names and amounts
    are never cut, and no amount goes over two lines. `parts` says which of the columns after the
    first then share a line: what the line is called and how many they are; all share one else.
    """
    texts = [
        [DASH if cell is None else WITHIN_AMOUNT.sub(GLUE, str(cell)) for cell in row]
        for row in rows
    ]
    console, endless = Console(width=told_width()), Console(width=UNBOUNDED)
    given = "".join([title or "", *columns, *(cell for row in texts for cell in row)])
    for is_framed in (True, False) if title else (False,):
        for is_narrow in (False, True):
            table = made_table(title, columns, texts, is_framed=is_framed, is_narrow=is_narrow)
            size = endless.measure(table)
            if (size.minimum if is_narrow else size.maximum) > console.width:
                continue
            with console.capture() as text:  # click's echo says what a full disk or closed pipe is
                console.print(table)
            shown = text.get().replace(GLUE, " ")
            if shown.count(CUT) == given.count(CUT):  # a column of words may be narrowed too far
                return click.echo("\n".join(line.rstrip() for line in shown.splitlines()))
    if title:
        print_note(title)
    lines = folded_lines(columns, texts, console.width, parts)
    return click.echo("\n".join(lines).replace(GLUE, " "))


def made_table(
    title: str | None, columns: Sequence[str], texts: list[list[str]], *, is_framed: bool,
    is_narrow: bool,
) -> Table:  # fmt: skip
    """The table of rich; a narrow one breaks the headers of amounts, which else it would cut."""
    table = Table(title=title, box=HEAVY_HEAD if is_framed else None)
    shown: list[list[str]] = []
    for k, (name, *cells) in enumerate(zip(columns, *texts, strict=True)):
        are_amounts = k > 0 and all(AMOUNT.match(cell) for cell in cells if cell not in ("", DASH))
        if are_amounts:
            cells = [cell.replace(" ", GLUE) for cell in cells]
            if is_narrow:
                width = max(map(len, (*name.split(), *cells)))
                name = textwrap.fill(name, width, break_on_hyphens=False)
        is_words = any(" " in cell for cell in cells) or (" " in name and not are_amounts)
        table.add_column(name, justify="right" if are_amounts else "left", no_wrap=not is_words)
        shown.append(cells)
    for row in zip(*shown, strict=True):
        table.add_row(*map(escape, row))
    return table


def print_note(text: str) -> None:
    """Words beside a table, as wide as the terminal."""
    click.echo(textwrap.fill(text, told_width() or Console().width, break_on_hyphens=False))


def told_width() -> int | None:
    """Columns of what reads the output, None where rich knows them."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH


def print_lines(lines: Iterable[str]) -> None:
    """Lines, none wider than the terminal or COLUMNS; who reads a pipe gets them whole."""
    width = UNBOUNDED if told_width() else Console().width
    parts = (part for line in lines for part in line.split("\n"))
    click.echo("\n".join(one for part in parts for one in lines_within(part, width)))


def lines_within(line: str, width: int, indent: str = "    ") -> list[str]:
    """A line in several of such a width, indented below the first; no word is broken."""
    return textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [line]


def folded_lines(
    columns: Sequence[str], texts: list[list[str]], width: int, parts: Sequence[tuple[str, int]]
) -> list[str]:
    """Rows of a table for a narrow terminal: the first cell, and the others below it by parts."""
    lines, indent = [], "    " if parts else "  "  # a part is told from another's second line
    for first, *others in texts:
        lines += lines_within(first, width, indent)
        cells = iter(zip(columns[1:], others, strict=True))
        for heading, count in parts or [("", len(others))]:
            told = [
                f"{name} {cell}".strip()
                for name, cell in islice(cells, count)
                if cell not in ("", DASH)
            ]
            if told:
                lines += lines_within(f"  {heading}{', '.join(told)}", width, indent)
    return lines
