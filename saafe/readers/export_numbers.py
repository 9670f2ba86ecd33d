"""Cells of an export as numbers: decimal commas, thousands, units behind the number, words."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

# a reading that did not come, as vendors write it
MISSING_WORDS = (
    "", "unavailable", "unknown", "none", "null", "nan", "na", "n/a", "#n/a", "-", "--", "---",
    "undefined", "nil", "inf", "-inf", "+inf", "infinity", "offline", "no data", "missing", "init",
    "off",
)  # fmt: skip
_CELL = (
    r"^([+-]?(?:[0-9][0-9., '’\u00a0\u202f]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"[ \u00a0\u202f]*([^0-9\s].*)?$"
)
# between digits a space or an apostrophe is one of thousands, or it stands between two numbers
_SPACE = "[ '’\u00a0\u202f]"
_SPACED = rf"[0-9]{_SPACE}+[0-9]"
_SPACED_THOUSANDS = rf"^[+-]?[0-9]{{1,3}}(?:{_SPACE}[0-9]{{3}})+(?:[.,][0-9]*)?$"
_THOUSANDS = {
    ".": r"^[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?$",
    ",": r"^[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]*)?$",
}


class Numbers(NamedTuple):
    """Cells that were read."""

    values: np.ndarray  # float64 `(row,)`, NaN = missing
    units: pl.Series  # what stood behind each number, "" = nothing
    is_wrong: np.ndarray  # bool `(row,)`: no number and no word for a missing one
    words: Counter[str]  # that stood for missing readings


def read_cells(cells: pl.Series, decimal: str) -> Numbers:
    """Read text cells `(row,)` whose decimals are written with "." or ","."""
    text = cells.str.strip_chars().str.replace_all("−", "-", literal=True)
    small = text.str.to_lowercase()
    is_missing = small.is_in(list(MISSING_WORDS))
    words = Counter(small.filter(is_missing & (text != "")).to_list())
    groups = text.str.extract_groups(_CELL).struct.unnest()
    number, unit = groups.get_columns()
    number = number.str.strip_chars()
    is_two = number.str.contains(_SPACED) & ~number.str.contains(_SPACED_THOUSANDS)
    number = number.set(is_two.fill_null(False), None).str.replace_all(_SPACE, "")
    point, thousands = (".", ",") if decimal == "." else (",", ".")
    is_grouped = number.str.contains(_THOUSANDS[decimal])
    bare = number.str.replace_all(thousands, "", literal=True)
    number = bare.zip_with(is_grouped.fill_null(False), number)
    if decimal == ",":  # an exponent's number has a point in any country
        number = number.str.replace(point, ".", literal=True)
    values = number.cast(pl.Float64, strict=False)
    is_wrong = (values.is_null() & ~is_missing).to_numpy()
    return Numbers(values.fill_null(np.nan).to_numpy(), unit.fill_null(""), is_wrong, words)


def guess_decimal(columns: Sequence[pl.Series], separator: str) -> str:
    """The decimal sign of text columns: "." or ",".

    A comma is one where digits follow that are not three, or a point stands before it. Where all
    have three, it is one only in a file whose cells a comma does not separate and that has no
    number with a point.
    """
    cells = [column.filter(column.str.contains(r"[0-9][.,]")) for column in columns]
    text = pl.concat(cells) if cells else pl.Series([], dtype=pl.String)
    number = text.str.extract(_CELL, 1).drop_nulls().str.replace_all(r"[ '’\u00a0\u202f]", "")
    if number.str.contains(r"\..*,").any():
        return ","
    if number.str.contains(r",.*\.").any():
        return "."
    commas = number.filter(number.str.contains(",", literal=True))
    if commas.len() and not commas.str.contains(_THOUSANDS["."]).all():
        return ","
    has_points = bool(number.str.contains(".", literal=True).any())
    return "," if commas.len() and separator != "," and not has_points else "."
