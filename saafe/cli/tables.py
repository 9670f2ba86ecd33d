"""Tables on a terminal."""

import sys

import click
from rich.console import Console
from rich.table import Table

from saafe.formats import DASH, interval, number


def print_gate(gate: dict) -> None:
    """The gate, a line a figure."""
    rows = []
    for line in gate["lines"]:
        low, high = line["lower"], line["upper"]
        bounds = "" if low == high else interval(low, high)
        figures = (number(line["value"]), bounds, number(line["limit"]), number(line["n"]))
        rows.append((line["name"], *figures, line["status"].replace("_", " ")))
    title = f"{gate['level']} gate: {'PASS' if gate['passed'] else 'FAIL'}"
    print_rows(title, ["figure", "value", "95 % bounds", "limit", "n", ""], rows)


def print_rows(title: str, columns: list[str], rows: list[tuple]) -> None:
    """A plain table; the first column to the left, the others to the right.

    Where the terminal is narrow, words stand below one another; none is cut.
    """
    table = Table(title=title, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for k, column in enumerate(columns):
        side = "left" if k == 0 else "right"
        table.add_column(column, justify=side, no_wrap=k == 0, overflow="fold")
    for row in rows:
        table.add_row(*(DASH if cell is None else str(cell) for cell in row))
    show(table)


def show(table: Table) -> None:
    """Print a table; where no terminal is that wraps it, names and figures stay on one line."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as text:  # click's echo says what a full disk or a closed pipe is
        console.print(table)
    click.echo(text.get(), nl=False)
