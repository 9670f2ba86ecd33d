"""The unit of each row of an export, where another column tells it."""

from collections.abc import Iterable, Sequence

import polars as pl

from saafe.readers.export_columns import UNIT_NAMES, spaced
from saafe.readers.export_series import Series
from saafe.readers.export_text import Export
from saafe.recordings import find_unit

ATTRIBUTES = ("attributes", "shared attrs")  # JSON of a Home Assistant database
_IN_ATTRIBUTES = r'"unit_of_measurement"\s*:\s*"([^"]*)"'


def unit_columns(export: Export, series: Sequence[Series]) -> list[str]:
    """Columns that tell the unit of the reading in each row; [] where rows hold several channels.

    In a wide table all their cells must be units: `unit` may be a flat's letter.
    """
    by_name = {spaced(name): name for name in reversed(export.frame.columns)}
    named = [by_name[name] for name in (*UNIT_NAMES, *ATTRIBUTES) if name in by_name]
    if any(one.rows is not None for one in series):
        return named
    channels = {one.channel for one in series}
    if len(channels) > 1:
        return []
    (channel,) = channels
    return [name for name in named if _all_units(channel, _texts(export, name))]


def _all_units(channel: str, texts: pl.Series) -> bool:
    given = [text for text in texts.unique() if text]
    return bool(given) and all(find_unit(channel, text) for text in given)


def _texts(export: Export, column: str) -> pl.Series:
    """The cells of a column of units; of attributes, what they say of it."""
    cells = export.frame[column]
    if spaced(column) in ATTRIBUTES:
        cells = cells.str.extract(_IN_ATTRIBUTES).fill_null("")
        cells = cells.str.replace(r"(?i)\\u00b0", "°")
    return cells


def row_units(export: Export, one: Series, columns: Iterable[str]) -> pl.Series:
    """The unit of the series' channel that each of its rows names, "" where none. `(row,)`"""
    height = export.frame.height if one.rows is None else len(one.rows)
    found = pl.repeat("", height, dtype=pl.String, eager=True)
    for column in columns:
        cells = _texts(export, column)
        cells = cells if one.rows is None else cells.gather(one.rows)
        units = [text for text in cells.unique() if find_unit(one.channel, text)]
        found = cells.zip_with((found == "") & cells.is_in(units), found)
    return found
