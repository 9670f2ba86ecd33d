"""Tables on a terminal."""

from rich.console import Console
from rich.table import Table


def print_gate(gate: dict) -> None:
    """The gate, a line a figure."""
    table = Table(title=f"{gate['level']} gate: {'PASS' if gate['passed'] else 'FAIL'}")
    for column in ("figure", "value", "95 % bounds", "limit", "n", ""):
        table.add_column(column, justify="left" if column in ("figure", "") else "right")
    for line in gate["lines"]:
        low, high = (figure(line[key]) for key in ("lower", "upper"))
        bounds = "" if line["lower"] == line["upper"] else f"{low} to {high}"
        value = figure(line["value"])
        table.add_row(
            line["name"], value, bounds, f"{line['limit']:g}", str(line["n"]), line["status"]
        )
    Console().print(table)


def figure(value: object) -> str:
    """A cell: four digits of a number, a dash for nothing."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_rows(title: str, columns: list[str], rows: list[tuple]) -> None:
    """A plain table; the first column to the left, the others to the right."""
    table = Table(title=title)
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k == 0 else "right")
    for row in rows:
        table.add_row(*("-" if cell is None else str(cell) for cell in row))
    Console().print(table)
