"""Which cells of an export are its time, and which are whose readings of which channel."""

import difflib
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from saafe.errors import InputError, as_given
from saafe.readers.export_columns import (
    ENTITY_NAMES,
    SENSOR_NAMES,
    UNIT_NAMES,
    VALUE_NAMES,
    Meaning,
    find_meaning,
    is_time,
    spaced,
    unit_in,
)
from saafe.readers.export_maps import mapping, without_unit
from saafe.readers.export_text import Export
from saafe.readers.export_times import LOCAL_TYPE, Times, is_clock, is_date, is_zone, read_moments
from saafe.readers.presets import Preset
from saafe.recordings import Conversion, find_unit, plain, quoted, refusal
from saafe.sensors import CHANNEL_NAMES, MAX_SENSORS

_PORT = re.compile(r"[\s_.-]([A-Z])$", re.IGNORECASE)  # of an analyser, or a place's letter
_UNIT_LETTERS = {"C", "F", "K"}


@dataclass(frozen=True)
class Series:
    """One channel's readings at one place: a column, or an entity's rows of a long table."""

    channel: str
    name: str  # of the column or the entity, for people
    column: str  # that holds the cells
    place: str  # the sensor's name, "" = none given
    rank: int = 0
    unit: Conversion | None = None
    rows: np.ndarray | None = None  # int64 `(row,)` of a long table; None = all
    is_told: bool = False  # whether a map names the place


@dataclass(frozen=True)
class Moments:
    """The time of each row."""

    name: str  # of the column, or of a date's and an hour's
    times: Times


def choose_time(
    export: Export,
    columns: Mapping[str, str],
    preset: Preset | None,
    *,
    zone: str | None,
    groups: np.ndarray,
    date_form: str | None = None,
) -> Moments:
    """The time of each row: the column mapped to it, else the best that reads as times.

    A column `time_s` comes first, then absolute times, then a clock's, then a counter's.
    """
    names = [name for name in export.frame.columns if name not in columns]
    mapped = [name for name, target in columns.items() if target == "time"]
    by_plain = {plain(name): name for name in reversed(names)}
    wished = [by_plain[name] for name in (preset.times if preset else ()) if name in by_plain]
    named = mapped or list(dict.fromkeys(wished + [name for name in names if is_time(name)]))
    zone = zone or (preset.zone if preset else None) or None
    cells = {name: export.frame[name] for name in named}
    dates = [name for name in named if is_date(cells[name])]
    clocks = [name for name in named if is_clock(cells[name])]
    if dates and clocks:
        both = f"{dates[0]} + {clocks[0]}"
        cells = {both: cells[dates[0]] + " " + cells[clocks[0]]} | cells
        cells = {name: cells[name] for name in cells if name not in (dates[0], clocks[0])}
    how: dict[str, Any] = {"groups": groups, "date_form": date_form}
    found = [
        Moments(name, times)
        for name, column in cells.items()
        if (times := read_moments(column, name, zone=_zone(name, zone), **how))
    ]
    for name in names if not found and not mapped else ():
        times = read_moments(export.frame[name], name, zone=zone, **how)
        if times and not times.is_counter:
            found.append(Moments(name, times))
    if not found:
        raise _no_time(export, named)
    return min(found, key=_time_rank)


def _zone(name: str, zone: str | None) -> str | None:
    """The zone to read a column in: that given, else one that stands in the column's name."""
    if not zone and (
        offset := re.search(r"(?:utc|gmt) ?([+-])0?(\d{1,2})(?::?00)?(?![:\w])", plain(name))
    ):
        sign = "-" if offset[1] == "+" else "+"  # of these zones' names it is the reverse
        zone = f"Etc/GMT{sign}{offset[2]}"
        zone = zone if is_zone(zone) else None
    if zone or re.search(r"(?:utc|gmt)(?! ?[+-])", plain(name)):
        return zone or "UTC"
    named = re.search(r"[A-Z][a-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?", name)
    return named.group() if named and is_zone(named.group()) else None


def _time_rank(moments: Moments) -> tuple[int, bool]:
    """What comes first; of two of a kind that which moves, as `last_changed` may not."""
    times = moments.times
    rank = 1 if times.is_absolute else 3 if times.is_counter else 2
    return 0 if plain(moments.name) == "time_s" else rank, times.values.n_unique() == 1


def _no_time(export: Export, named: list[str]) -> InputError:
    named_time = mapping("COLUMN", "time")
    if named:
        came = f"no times in column {quoted(named[0])}, such as {quoted(export.frame[named[0]][0])}"
        mend = f"write them as 2026-01-31T12:00:00+01:00 or name another with {named_time}"
    else:
        came = f"no time in columns {_shortened(export, 120)}"
        mend = f"name its column with {named_time}"
    allowed = "dates with hours, h:mm:ss, seconds or milliseconds"
    return refusal(export.path, came, allowed=allowed, mend=mend)


def _shortened(export: Export, length: int) -> str:
    """The names of the columns, as many whole ones as fit."""
    return textwrap.shorten(", ".join(export.frame.columns), length, placeholder=" ...")


def find_series(
    export: Export, columns: Mapping[str, str], told: Mapping[str, str], preset: Preset | None
) -> tuple[list[Series], str | None]:
    """The series of a table, and the column that names its sensors if there is one.

    Args:
        export: the file's cells.
        columns: what is said of a column or an entity: a channel, `time`, `sensor` or `ignore`.
        told: the sensors of those of which one is named; other columns of their channels stay.
        preset: the vendor, if it is known.

    Raises:
        InputError: where none is found, with the columns that could be mapped.
    """
    entities = _entity_columns(export)
    known = {*export.frame.columns, *(cell for e in entities for cell in export.frame[e].unique())}
    for name in columns.keys() - known:
        came = f"no column or entity {quoted(name)} ({as_given('--map', 'columns')})"
        longer = [one for one in export.frame.columns if one.startswith(name)]
        near = (longer or difflib.get_close_matches(name, export.frame.columns))[:3]
        mend = f"did you mean {' or '.join(map(quoted, near))}?" if near else "name one of these"
        raise refusal(export.path, came, allowed=_shortened(export, 200), mend=mend)
    series = _wide(export, columns, told, preset)
    sensor = _sensor_column(export, columns, preset)
    if not series and entities:
        series, sensor = _long(export, entities, columns, told), None
    if not series:
        raise _no_series(export)
    _refuse_same(export, series)
    return _distinct(series, columns), sensor


def _refuse_same(export: Export, series: list[Series]) -> None:
    """Refuse two columns of one channel that were said to be of one sensor."""
    named: dict[tuple[str, str], str] = {}
    for one in series:
        first = named.setdefault((one.channel, one.place), one.name) if one.is_told else one.name
        if first != one.name:
            came = f"{quoted(first)} and {quoted(one.name)} for {one.channel} of {one.place}"
            mend = "leave one out, or name another sensor"
            raise refusal(export.path, came, allowed="one column", mend=mend)


def _wide(
    export: Export, columns: Mapping[str, str], told: Mapping[str, str], preset: Preset | None
) -> list[Series]:
    """One series a column."""
    names = [name for name in export.frame.columns if name not in columns]
    chosen: dict[str, str] = {}  # column -> channel, of the preset
    by_plain = {plain(name): name for name in names}
    for column, channel in (preset.columns if preset else {}).items():
        if column in by_plain and channel not in {*chosen.values(), *columns.values()}:
            chosen[by_plain[column]] = channel
    chosen |= {name: target for name, target in columns.items() if target in CHANNEL_NAMES}
    taken = {channel for name, channel in chosen.items() if name not in told}
    series = []
    for name in export.frame.columns:
        meaning = find_meaning(name)
        channel = chosen.get(name)
        if channel and channel != (meaning and meaning.channel):
            meaning = Meaning(channel, unit_in(channel, name), "", 0)
        if not meaning or (name in columns and not channel):
            continue
        if not channel and meaning.channel in taken:
            continue
        place = told.get(name, meaning.place)
        one = Series(meaning.channel, name, name, place, meaning.rank, meaning.unit)
        series.append(replace(one, is_told=name in told))
    return series if preset else _at_ports(_at_letters(series, told))


def _at_letters(series: list[Series], told: Mapping[str, str]) -> list[Series]:
    """Series whose names differ by a last letter only, such as `temp_a` to `temp_f`: each a place.

    Without the others F would be degF, and A and B two readings of the same air. So they are where
    they stand alone, and so are C, F and K.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for one in series:
        bare = without_unit(one.name)[0]
        if (port := _PORT.search(bare)) and (stem := find_meaning(bare[: port.start()])):
            found.setdefault((stem.channel, spaced(bare[: port.start()])), {})[one.name] = port[1]
    places: dict[str, str] = {}
    for (_, text), letters in found.items():
        given = {letter.upper() for letter in letters.values()}
        if len(given) > 2 and given - _UNIT_LETTERS:
            stem = find_meaning(text)
            before = f"{stem.place}_" if stem and stem.place else ""
            places |= {name: f"{before}{letter}" for name, letter in letters.items()}
    return [
        replace(
            one, rank=0, place=one.place if one.name in told else places[one.name],
            unit=find_unit(one.channel, without_unit(one.name)[1]),
        ) if one.name in places else one
        for one in series
    ]  # fmt: skip


def _at_ports(series: list[Series]) -> list[Series]:
    """Series whose names end in A or B: where two channels have both, each letter is a sensor.

    Of one channel alone they are two readings of the same air, of which the first is used.
    """
    ports = {
        one.name: found[1].upper()
        for one in series
        if not one.place and (found := _PORT.search(without_unit(one.name)[0]))
    }
    pairs = {(one.channel, ports[one.name]) for one in series if one.name in ports}
    bare = {one.channel for one in series if not one.place and one.name not in ports}
    both = Counter(channel for channel, _ in pairs if channel not in bare)
    if sum(count == 2 for count in both.values()) < 2:
        return series
    return [replace(one, place=ports.get(one.name, one.place)) for one in series]


def named_columns(export: Export, names: Iterable[str]) -> list[str]:
    """Columns of these spaced names, in the order of the names."""
    by_name = {spaced(name): name for name in reversed(export.frame.columns)}
    return [by_name[name] for name in names if name in by_name]


def _entity_columns(export: Export) -> list[str]:
    """Columns that say what a long table's rows measure; [] of another table."""
    value = _value_column(export)
    names = named_columns(export, ENTITY_NAMES) if value else []
    return [name for name in names if name != value]


def _value_column(export: Export) -> str | None:
    """The column that holds a long table's readings: of several the first that has any."""
    names = named_columns(export, VALUE_NAMES)
    return next(
        (name for name in names if (export.frame[name] != "").any()), next(iter(names), None)
    )


def _long(
    export: Export, entities: list[str], columns: Mapping[str, str], told: Mapping[str, str]
) -> list[Series]:
    """One series an entity: a distinct row of the columns that name what is measured."""
    value = _value_column(export) or ""
    frame = export.frame.with_row_index("row at")
    places = [
        name for name in named_columns(export, SENSOR_NAMES)
        if not any(find_meaning(cell) for cell in export.frame[name].unique())
    ]  # fmt: skip
    places.sort(key=lambda name: export.frame[name].n_unique() == 1)
    units = named_columns(export, UNIT_NAMES)
    keys = list(dict.fromkeys([*entities, *places[:1]]))
    found: dict[tuple[str, str, str], Series] = {}
    for key, part in frame.group_by(keys, maintain_order=True):
        texts = dict(zip(keys, (str(cell) for cell in key), strict=True))
        named = _entity_meaning([texts[name] for name in entities], columns, told)
        if not named:
            continue
        name, meaning = named
        place = _place_text(texts[places[0]]) if places else meaning.place
        place = told.get(name, place)
        cells = [cell for unit in units for cell in part[unit].unique() if cell]
        unit = next((u for cell in cells if (u := find_unit(meaning.channel, cell))), meaning.unit)
        rows = part["row at"].to_numpy()
        one = Series(meaning.channel, name, value, place, meaning.rank, unit, rows, name in told)
        before = found.setdefault((one.channel, name, place), one)
        # the same entity, of which another column says more or less
        if before is not one and before.rows is not None:
            rows = np.sort(np.concatenate([before.rows, rows]))
            found[one.channel, name, place] = replace(before, unit=before.unit or unit, rows=rows)
    return list(found.values())


def _entity_meaning(
    texts: list[str], columns: Mapping[str, str], told: Mapping[str, str]
) -> tuple[str, Meaning] | None:
    """The first text that names a channel, and what it says; a map comes before a guess."""
    for text in texts:
        if text in columns:
            if columns[text] not in CHANNEL_NAMES:
                return None
            meaning = find_meaning(text) or Meaning("", None, "", 0)
            is_same = meaning.channel == columns[text]
            unit = meaning.unit if is_same else unit_in(columns[text], text)
            return text, replace(meaning, channel=columns[text], unit=unit)
    mapped = {channel for text, channel in columns.items() if text not in told}
    found = ((text, find_meaning(text)) for text in texts)
    return next(((text, m) for text, m in found if m and m.channel not in mapped), None)


def _sensor_column(export: Export, columns: Mapping[str, str], preset: Preset | None) -> str | None:
    """The column that names the sensors of a wide table."""
    mapped = [name for name, target in columns.items() if target == "sensor"]
    names = (preset.sensor,) if preset and preset.sensor else ()
    by_plain = {plain(name): name for name in export.frame.columns}
    wished = [by_plain[name] for name in names if name in by_plain]
    guessed = [
        name for name in named_columns(export, SENSOR_NAMES)
        if name not in columns and may_be_sensors(name, export.frame[name])
        # a logger's own number stands in its first row alone
        and 2 * (export.frame[name] != "").sum() > export.frame.height
    ]  # fmt: skip
    guessed.sort(key=lambda name: export.frame[name].n_unique() == 1)  # it parts no rows
    return next(iter([*mapped, *wished, *guessed]), None)


def may_be_sensors(name: str, cells: pl.Series) -> bool:
    """Whether cells repeat as names do. Too many sensors are refused later, never made one."""
    count = cells.n_unique()
    return plain(name) == "sensor" or count <= max(MAX_SENSORS, len(cells) // 2)


def _place_text(text: str) -> str:
    """A place's own name: of an MQTT topic the last part."""
    return text.rstrip("/").rpartition("/")[2].strip()


def sensor_cells(export: Export, column: str | None) -> pl.Series:
    """The sensor's name in each row, "" where none is given.

    Of MQTT topics it is the last part, where that tells them apart.
    """
    if column is None:
        return pl.repeat("", export.frame.height, dtype=pl.String, eager=True)
    cells = export.frame[column]
    names = cells.unique()
    short = names.map_elements(_place_text, return_dtype=pl.String)
    is_told_apart = short.n_unique() == len(names)
    return cells.replace_strict(names, short) if is_told_apart else cells


def _distinct(series: list[Series], columns: Mapping[str, str]) -> list[Series]:
    """Of several series of one channel and place the one that comes first; mapped ones all."""
    kept: dict[tuple[str, str], Series] = {}
    for one in sorted(series, key=lambda one: (not one.is_told, one.rank)):
        key = (one.channel, one.place)
        if key in kept and one.name in columns:
            one = replace(one, place=one.name)
            key = (one.channel, one.place)
        kept.setdefault(key, one)
    return [one for one in kept.values() if one in series or one.name in columns]


def is_melted(series: Sequence[Series]) -> bool:
    """Whether rows of several sensors come out of one row, or one of several."""
    is_long = any(one.rows is not None or one.is_told for one in series)
    return is_long or len({one.channel for one in series}) < len(series)


def unused_names(export: Export, series: list[Series]) -> list[str]:
    """Columns that are no series, and of a long table the entities that are none."""
    names = [name for name in export.frame.columns if not name.startswith("unnamed #")]
    if not any(one.rows is not None for one in series):
        return [name for name in names if name not in {one.column for one in series}]
    parts = {*VALUE_NAMES, *ENTITY_NAMES, *SENSOR_NAMES, *UNIT_NAMES}
    used = np.concatenate([one.rows for one in series if one.rows is not None])
    is_left = ~np.isin(np.arange(export.frame.height), used)
    entities = export.frame[_entity_columns(export)[0]].filter(pl.Series(is_left))
    left = [name for name in names if spaced(name) not in parts]
    return left + [name for name in entities.unique(maintain_order=True) if name]


def _no_series(export: Export) -> InputError:
    """An error that names a column of numbers and the option that says what it is."""
    numbers = [
        name for name in export.frame.columns
        if not is_time(name) and spaced(name) not in ("entry id", "id", "")
        and export.frame[name].cast(pl.Float64, strict=False).is_not_null().any()
    ]  # fmt: skip
    came = f"no known channel in columns {_shortened(export, 120)}"
    example = numbers[0] if numbers else "COLUMN"
    mend = f"say which column is which, for example {mapping(example, 'temperature')}"
    allowed = f"readings of {', '.join(CHANNEL_NAMES)}"
    return refusal(export.path, came, allowed=allowed, mend=mend)


def by_table(export: Export, times: Times, order: np.ndarray) -> np.ndarray:
    """Rows in the order of their dates where each further table begins anew, else as they are.

    Then one time of two tables, each with channels of its own, is one row.
    """
    if not export.other_headers or times.is_counter:
        return order
    values = times.values.gather(order).cast(pl.Int64).to_numpy()
    back = np.flatnonzero(np.diff(values) < 0) + 1
    begins = np.searchsorted(export.row_numbers[order], export.other_headers)
    return order[np.argsort(values, kind="stable")] if np.isin(back, begins).all() else order


def is_fallen_back(times: Times, groups: np.ndarray) -> bool:
    """Whether a clock without offset goes back by about an hour within a series."""
    if times.values.dtype != LOCAL_TYPE:
        return False
    epochs = times.values.dt.epoch("ms").to_numpy() / 1e3
    order = np.argsort(groups, kind="stable")
    steps, same = np.diff(epochs[order]), np.diff(groups[order]) == 0
    if (steps[same] <= 0).all():
        return False  # newest first
    return bool(((steps >= -3600.0) & (steps <= -1800.0) & same).any())
