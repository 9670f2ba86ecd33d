"""What to say of an export that was read: what was left out, and what names cannot tell."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from saafe.errors import as_given
from saafe.readers.export_columns import SENSOR_NAMES, find_meaning, spaced
from saafe.readers.export_maps import mapping, without_unit
from saafe.readers.export_series import Series, is_melted, may_be_sensors, named_columns
from saafe.readers.export_text import Export
from saafe.recordings import CHANNEL_UNITS, find_unit, quoted
from saafe.sensors import CHANNEL_NAMES, CHANNELS

_ENDINGS = (" unit", " units", " uom")  # of a column that tells another one's unit


def several_places(series: Sequence[Series]) -> list[str]:
    """A note of columns of one sensor by whose names they may be of several; [] of others.

    `kitchen_temp` and `hall_humidity` are rooms, `BME280_temp` and `SCD30_co2` parts of one.
    """
    named = {one.place: one for one in reversed(series) if one.place}
    if is_melted(series) or len(named) < 2:
        return []
    maps = (mapping(one.name, f"{one.channel}@{one.place}") for one in series if one.place)
    return [
        f"{' and '.join(sorted(named))} stand in names of columns that are read as one sensor; if "
        f"they are several: {' '.join(maps)}"
    ]


def merged_sensors(
    export: Export, series: list[Series], column: str | None, columns: Mapping[str, str]
) -> list[str]:
    """A note where rows of one sensor come from several of another column, such as two in a room.

    Not where these tell apart what is measured, as topics do, nor of a column that was said to be
    something.
    """
    names = [name for name in named_columns(export, SENSOR_NAMES) if name not in (column, *columns)]
    for name in names if column and column not in columns else ():
        if not may_be_sensors(name, export.frame[name]):
            continue
        for one in series:
            pairs = export.frame.filter(pl.col(one.column) != "").select(column, name)
            pairs = pairs.unique(maintain_order=True)
            by_sensor = pairs.filter(pl.col(name) != "").group_by(column, maintain_order=True)
            several = by_sensor.agg(pl.col(name).sort()).filter(pl.col(name).list.len() > 1)
            if several.height:
                sensor, others = several.row(0)
                return [
                    f"sensor {quoted(sensor)} has rows of several in {quoted(name)} "
                    f"({', '.join(others[:3])}{', ...' if len(others) > 3 else ''}): "
                    f"{mapping(name, 'sensor')} parts them"
                ]
    return []


def left_empty(export: Export, one: Series, is_wrong: np.ndarray) -> str:
    """How many cells of a series could not be read, and the first of them in the file."""
    rows = np.flatnonzero(is_wrong) if one.rows is None else one.rows[is_wrong]
    lines = export.row_numbers[rows]
    first = int(np.argmin(lines))  # rows may have been turned round
    n = len(rows)
    what = f"{n:,} cells" if n > 1 else "1 cell"
    were = "were not numbers and were" if n > 1 else "was not a number and was"
    cell = quoted(export.frame[one.column][int(rows[first])])
    return f"{what} of {quoted(one.name)} {were} left empty: first {cell} in line {lines[first]}"


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
