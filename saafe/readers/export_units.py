"""The unit of each row of an export, where another column tells it, and what to say of units."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from saafe.errors import as_given
from saafe.readers.export_columns import UNIT_NAMES, find_meaning, spaced
from saafe.readers.export_maps import without_unit
from saafe.readers.export_series import Series
from saafe.readers.export_text import Export
from saafe.recordings import CHANNEL_UNITS, find_unit, quoted
from saafe.sensors import CHANNEL_NAMES, CHANNELS

ATTRIBUTES = ("attributes", "shared attrs")  # JSON of a Home Assistant database
_IN_ATTRIBUTES = r'"unit_of_measurement"\s*:\s*"([^"]*)"'
_ENDINGS = (" unit", " units", " uom")  # of a column that tells another one's unit


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


def unknown_units(series: Iterable[Series], columns: Mapping[str, str]) -> list[str]:
    """Notes of mapped columns whose brackets hold no unit of their channel."""
    told = ((one, without_unit(one.name)[1]) for one in series if one.name in columns)
    return [
        f"{quoted(one.name)}: {quoted(text)} is no known unit of {one.channel}, so it was taken in "
        f"{CHANNEL_UNITS[one.channel][0].unit}; {_unit_given(one.channel, 'UNIT')} says another"
        for one, text in told
        if text and one.unit is None
    ]


def other_units(export: Export, taken: Iterable[tuple[str, str, str]]) -> list[str]:
    """Notes of columns such as `temperature_unit` that say another unit than was taken.

    They do not decide: of some sensors it is what their display shows.

    Args:
        export: the file's cells.
        taken: channel, column and unit of each column that is read and whose unit nobody gave.
    """
    notes = []
    for name in export.frame.columns:
        stem = next((spaced(name)[: -len(e)] for e in _ENDINGS if spaced(name).endswith(e)), "")
        meaning = find_meaning(stem) if stem else None
        for channel, column, unit in taken if meaning else ():
            if not meaning or channel != meaning.channel:
                continue
            found = {text: find_unit(channel, text) for text in export.frame[name].unique()}
            others = {one.unit: text for text, one in found.items() if one}
            others = {k: text for k, text in others.items() if k not in unit.split(" or ")}
            notes += [
                f"{quoted(name)} says {quoted(text)}, and {quoted(column)} was taken in {unit}: "
                f"{_unit_given(channel, other)} takes it so"
                for other, text in sorted(others.items())
            ]
    return notes


def _unit_given(channel: str, unit: str) -> str:
    """How whoever reads an error names a unit."""
    return as_given(f"--unit {channel}={unit}", f'units={{"{channel}": "{unit}"}}')


def impossible(export: Export, one: Series, values: np.ndarray, numbers: np.ndarray) -> list[str]:
    """A note of the first reading in another unit that cannot be one, as the file has it.

    What is masked is counted in the channel's own unit, in which nobody finds it in the file.

    Args:
        export: the file's cells.
        one: the series.
        values: in the channel's unit. (row,)
        numbers: as the file has them. (row,)
    """
    channel = CHANNELS[CHANNEL_NAMES.index(one.channel)]
    lowest, highest = channel.lowest, channel.highest
    is_outside = (values < lowest) | (values > highest + channel.overshoot)
    at = np.flatnonzero(is_outside & (values != numbers))
    if not len(at):
        return []
    rows = at if one.rows is None else one.rows[at]
    first = int(np.argmin(export.row_numbers[rows]))
    cell = quoted(export.frame[one.column][int(rows[first])])
    return [
        f"{cell} of {quoted(one.name)} in line {export.row_numbers[rows[first]]} is "
        f"{values[at[first]]:g} {channel.unit}, outside {lowest:g} to {highest:g}"
    ]
