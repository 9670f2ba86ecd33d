"""Vendors' exports: a file of almost any form as a recording, every guess told.

The parts: `export_text` makes cells of bytes, `export_columns` and `export_series` say what they
are, `export_times`, `export_numbers` and `export_units` read them, `export_maps` takes what whoever
imports says of them, `export_doubts` what must be told, `presets` holds what vendors leave out.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from polars.dataframe.group_by import GroupBy

from saafe.errors import InputError, as_given, check_type
from saafe.formats import shell_word
from saafe.readers.clock_changes import doubt_zone, zone_given
from saafe.readers.export_columns import channel_of_unit, find_meaning, is_known
from saafe.readers.export_doubts import (
    impossible,
    left_empty,
    merged_sensors,
    other_units,
    several_places,
    unknown_units,
)
from saafe.readers.export_maps import as_in_header, check_columns, mapping
from saafe.readers.export_numbers import guess_decimal, read_cells
from saafe.readers.export_series import (
    Moments,
    Series,
    by_table,
    choose_time,
    find_series,
    is_fallen_back,
    is_melted,
    sensor_cells,
    unused_names,
)
from saafe.readers.export_text import MOST_LEFT_OUT, Export, read_cells_of
from saafe.readers.export_times import check_zone
from saafe.readers.export_units import row_units, unit_columns
from saafe.readers.presets import PRESETS, Preset, choose_preset
from saafe.recordings import (
    CHANNEL_UNITS,
    Check,
    Conversion,
    Recording,
    Table,
    counted,
    find_unit,
    parse_recording,
    plain,
    quoted,
    refusal,
    to_conversions,
    words_note,
)
from saafe.sensors import CHANNELS, LABELS, MAX_SENSORS

MOST_SHOWN = 20  # Chosen: of what is ignored
MOST_FITS = 4  # Chosen: of those that may be a channel
ONLY_SENSOR = "A"  # as a recording calls it that names none
_COLUMN = {channel.name: channel.column for channel in CHANNELS}


@dataclass(frozen=True)
class GuessedColumn:
    """What one column or entity is taken for."""

    channel: str
    name: str  # as in the file
    unit: str
    sensor: str  # "" = as the sensor column says


@dataclass(frozen=True)
class Guess:
    """How a file is understood, before a reading is used."""

    preset: str | None
    time: str  # its column, or two
    time_form: str
    columns: tuple[GuessedColumn, ...]
    sensor: str | None  # the column that names sensors
    decimal: str
    ignored: tuple[str, ...]
    zone_doubt: str = ""  # why the zone cannot be right; a note of the table says it

    def lines(self) -> list[str]:
        """The same for people, one thing a line."""
        lines = [f"preset: {self.preset}"] if self.preset else []
        lines.append(f"time: {self.time} ({self.time_form})")
        for column in self.columns:
            place = f", sensor {column.sensor}" if column.sensor else ""
            lines.append(f'{column.channel}: "{column.name}" in {column.unit}{place}')
        lines += [f'sensor: "{self.sensor}"'] if self.sensor else []
        lines += ["decimal sign: comma"] if self.decimal == "," else []
        # a name of a channel may be a reading that is wanted, and must not stand behind the dots
        first = sorted(self.ignored, key=lambda name: find_meaning(name) is None)
        shown = [*first[:MOST_SHOWN], *(["..."] if len(first) > MOST_SHOWN else [])]
        lines += [f"ignored: {', '.join(shown)}"] if shown else []
        return lines + self.doubts()

    def doubts(self) -> list[str]:
        """Ignored columns with the unit of a channel that no other column is, the first few."""
        absent = {*CHANNEL_UNITS} - {column.channel for column in self.columns}
        fits = [
            f'"{name}" is ignored; if it is {channel}: --map {shell_word(f"{name}={channel}")}'
            for name in self.ignored
            if (channel := channel_of_unit(name, sorted(absent)))
        ]
        more = len(fits) - MOST_FITS
        return fits[:MOST_FITS] + ([f"{more} more have such units"] if more > 0 else [])

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return asdict(self)


def import_recording(
    path: Path | str,
    *,
    preset: str | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, Conversion | str] | None = None,
    zone: str | None = None,
    decimal: str | None = None,
    sensor: str | None = None,
) -> tuple[Recording, Check, Guess]:
    """Read a vendor's export as a recording.

    Args:
        path: text of almost any form, JSON or Parquet, gzipped or not.
        preset: a vendor's name, see `presets`; None = told by the header.
        columns: column or entity -> channel, `time`, `sensor` or `ignore`; others are guessed.
            `temperature@kitchen` is a channel of a sensor that it names.
        units: channel -> unit, such as "F", or a `Conversion`; else as the file says. One that
            `is_usual` counts where the file names none.
        zone: time zone of times without offset, such as Europe/Berlin.
        decimal: "." or ","; None = guessed.
        sensor: a name for the only sensor.

    Returns:
        The recording, readings float32 `(time, sensor, channel)` in the channels' units, its
        check, and what was guessed.

    Raises:
        InputError: for what cannot be understood, with the option that helps.
    """
    table, guess = read_export(
        path, preset=preset, columns=columns, units=units, zone=zone, decimal=decimal, sensor=sensor
    )
    return *parse_recording(table, repair=True), guess


def read_export(
    path: Path | str,
    *,
    preset: str | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, Conversion | str] | None = None,
    zone: str | None = None,
    decimal: str | None = None,
    sensor: str | None = None,
    date_form: str | None = None,
) -> tuple[Table, Guess]:
    """A vendor's export as the table of a recording, and how it was understood.

    See `import_recording`, which also checks the table. `date_form` is "day first", "month first"
    or "year of two digits first" for dates that may be each; None = guessed.
    """
    check_type(path, str | Path, "import_recording: takes the path of a file")
    asked, told = check_columns(columns or {})
    conversions, path = to_conversions(units or {}), Path(path)
    if zone:
        check_zone(zone)
    if decimal not in (None, ".", ","):
        raise InputError(f'decimal: came {quoted(decimal)}; allowed: "." or ","')
    known = {name for row in PRESETS for name in (*sum(row.headers, ()), *row.times, *row.columns)}
    export = read_cells_of(path, lambda n: n in asked or is_known(n) or plain(n) in known)
    columns, told = (as_in_header(said, export.frame.columns) for said in (asked, told))
    chosen = choose_preset(preset, {plain(name) for name in export.frame.columns})
    series, column = find_series(export, columns, told, chosen)
    groups = _groups(export, series, column)
    moments = choose_time(export, columns, chosen, zone=zone, groups=groups, date_form=date_form)
    export, series, moments = _usable_rows(export, series, moments, groups)
    zone_doubt = doubt_zone(moments.times, _groups(export, series, column))
    if sensor:
        series, column = [_one_place(export.path, series, one, sensor) for one in series], None
    decimal = decimal or guess_decimal(
        [export.frame[one.column] for one in series], export.separator or ","
    )
    readings, found, ignored, notes = _read_series(export, series, chosen, conversions, decimal)
    if not any(len(values) for _, values in readings):
        one = series[0]
        cell = next(iter(export.frame[one.column]), "")
        came = f"no numbers in column {quoted(one.name)}, such as {quoted(cell)}"
        mend = f"say which column it is with {mapping('COLUMN', 'CHANNEL')}"
        raise refusal(path, came, allowed="readings", mend=mend)
    if len(places := {one.place for one, _ in readings}) > MAX_SENSORS:
        came, allowed = f"{len(places):,} sensors", f"at most {MAX_SENSORS} in a space"
        mend = (
            f"choose those of one space with {mapping('COLUMN', 'CHANNEL')}, and leave out others "
            f"with {mapping('COLUMN', 'ignore')}"
        )
        raise refusal(path, came, allowed=allowed, mend=mend)
    notes += several_places([one for one, _ in readings])
    notes += merged_sensors(export, series, column, columns)
    readings, found = _settle_places(readings, found, column)
    frame, rows, conflicts = _assemble(export, moments, readings, sensor_cells(export, column))
    notes += conflicts
    used = {one.column for one in series} | {column, *moments.name.split(" + "), moments.name}
    used |= {*unit_columns(export, series)}
    used |= {name for name in ("label", "source") if name in frame.columns}
    left = [name for name in unused_names(export, series) if name not in used]
    guess = Guess(
        preset=chosen.name if chosen else None,
        time=moments.name,
        time_form=moments.times.form,
        columns=tuple(found),
        sensor=column,
        decimal=decimal,
        ignored=tuple(left + ignored),
        zone_doubt=zone_doubt or "",
    )
    given = {channel for channel, unit in conversions.items() if not unit.is_usual}
    notes += unknown_units((one for one in series if one.channel not in conversions), columns)
    notes += other_units(
        export, [(c.channel, c.name, c.unit) for c in found if c.channel not in given]
    )
    clock = moments.times.clock
    in_utc = f"times of {clock} are kept in UTC; --between and pictures use UTC" if clock else ""
    notes = [*export.notes, *notes, *filter(None, (in_utc, zone_doubt))]
    return Table(path, frame, export.row_numbers[rows], tuple(notes)), guess


def _groups(export: Export, series: list[Series], column: str | None) -> np.ndarray:
    """An index of the series that each row belongs to, int64 `(row,)`."""
    groups = sensor_cells(export, column).cast(pl.Categorical).to_physical().to_numpy().copy()
    groups = groups.astype(np.int64)
    for index, one in enumerate(series, 1):
        if one.rows is not None:
            groups[one.rows] = index
    return groups


def _one_place(path: Path, series: list[Series], one: Series, sensor: str) -> Series:
    """A series at the only sensor; refused where another of its channel would stand beside."""
    if one.is_told:
        came = f"{as_given('--sensor', 'sensor')} {sensor} beside {one.place} of {quoted(one.name)}"
        mend = "leave one out"
        raise refusal(path, came, allowed="a sensor for all columns, or for some", mend=mend)
    same = [other.name for other in series if other.channel == one.channel]
    if len(same) > 1:
        given = as_given("--sensor", "sensor")
        came = f"several of {one.channel} for {given} {sensor}: {', '.join(same)}"
        mend = f"choose one with {mapping(same[0], one.channel)}, or leave out {given}"
        raise refusal(path, came, allowed="one", mend=mend)
    return replace(one, place=sensor)


def _usable_rows(
    export: Export, series: list[Series], moments: Moments, groups: np.ndarray
) -> tuple[Export, list[Series], Moments]:
    """The rows whose time can be read, oldest first; refused where the clock fell back."""
    times = moments.times
    is_timed = times.values.is_not_null().to_numpy()
    notes = list(export.notes)
    if not is_timed.all():
        lost = np.flatnonzero(~is_timed)
        count = f"{len(lost)} row{'s' * (len(lost) > 1)}"
        notes.append(
            f"left out {count} without a time, first in line {export.row_numbers[lost[0]]}"
        )
    order = by_table(export, times, np.flatnonzero(is_timed))
    values = times.values.gather(order)
    if is_fallen_back(replace(times, values=values), groups[order]):
        came = "a clock without offset goes back by an hour"
        mend = f"name its zone, for example {zone_given('Europe/Berlin')}"
        allowed = "the time zone where clocks change"
        raise refusal(export.path, came, allowed=allowed, mend=mend, column=moments.name)
    steps = np.diff(values.cast(pl.Float64).to_numpy())
    if len(steps) and (steps <= 0).all() and (steps < 0).any():
        order = order[::-1]
        notes.append("newest first: turned round")
    place = np.full(len(is_timed), -1)
    place[order] = np.arange(len(order))
    moved = []
    for one in series:
        rows = None if one.rows is None else place[one.rows]
        moved.append(one if rows is None else replace(one, rows=rows[rows >= 0]))
    frame, numbers = export.frame[order], export.row_numbers[order]
    kept = replace(export, frame=frame, row_numbers=numbers, notes=tuple(notes))
    return kept, moved, Moments(moments.name, replace(times, values=times.values.gather(order)))


def _read_series(
    export: Export,
    series: list[Series],
    preset: Preset | None,
    units: Mapping[str, Conversion],
    decimal: str,
) -> tuple[list[tuple[Series, np.ndarray]], list[GuessedColumn], list[str], list[str]]:
    """Readings of each series in its channel's unit, what they were taken for, and what not.

    Last come notes of cells that cannot be read, and of words for missing ones.
    """
    readings, found, ignored, notes = [], [], [], []
    words, beside = Counter[str](), unit_columns(export, series)
    for one in series:
        cells = export.frame[one.column]
        cells = cells if one.rows is None else cells.gather(one.rows)
        numbers = read_cells(cells, decimal)
        own_units = numbers.units.zip_with(numbers.units != "", row_units(export, one, beside))
        numbers = numbers._replace(units=own_units)
        own = preset.units.get(one.channel) if preset else None
        asked = units.get(one.channel)
        told = None if asked is None or asked.is_usual else asked
        usual = asked or (own and find_unit(one.channel, own))
        default = one.unit or usual or CHANNEL_UNITS[one.channel][0]
        texts = numbers.units.unique().to_list()
        conversions = {t: find_unit(one.channel, t) or default for t in texts}
        if told:
            conversions = dict.fromkeys(texts, told)
        is_wrong = (
            numbers.is_wrong
            | numbers.units.is_in(
                [t for t in texts if t and not told and not find_unit(one.channel, t)]
            ).to_numpy()
        )
        if is_wrong.sum() > MOST_LEFT_OUT * len(is_wrong):
            ignored.append(f"{one.name} (no numbers of {one.channel})")
            continue
        values = numbers.values.copy()
        for text, conversion in conversions.items():
            at = (numbers.units == text).to_numpy()
            values[at] = conversion.apply(values[at])
        values[is_wrong] = np.nan
        readings.append((one, values))
        words.update(numbers.words)
        if is_wrong.any():
            notes.append(left_empty(export, one, is_wrong))
        notes += impossible(export, one, values, numbers.values)
        given = numbers.units.filter(pl.Series(np.isfinite(numbers.values)))
        shown = " or ".join(
            dict.fromkeys(conversions[text].unit for text in given.unique(maintain_order=True))
        )
        unit = shown or (told or default).unit
        found.append(GuessedColumn(one.channel, one.name, unit, one.place))
    return readings, found, ignored, notes + words_note(words)


def _settle_places(
    readings: list[tuple[Series, np.ndarray]], found: list[GuessedColumn], sensors: str | None
) -> tuple[list[tuple[Series, np.ndarray]], list[GuessedColumn]]:
    """The same with one place where there is one sensor: its name where all agree on one."""
    if is_melted([one for one, _ in readings]):
        only = "" if sensors else ONLY_SENSOR  # of what no name says a place
        return readings, [replace(one, sensor=one.sensor or only) for one in found]
    places = {one.place for one, _ in readings}
    only = next(iter(places)) if len(places) == 1 else ""
    return (
        [(replace(one, place=only), values) for one, values in readings],
        [replace(column, sensor=only) for column in found],
    )


def _assemble(
    export: Export,
    moments: Moments,
    readings: list[tuple[Series, np.ndarray]],
    sensors: pl.Series,
) -> tuple[pl.DataFrame, np.ndarray, list[str]]:
    """The frame of a recording's table, the row of the export of each of its rows, and notes."""
    height = export.frame.height
    name = "time_s" if moments.times.is_counter else "time"
    has_melted = is_melted([one for one, _ in readings])
    parts: dict[str, list[tuple[Series, np.ndarray]]] = {}
    for one, values in readings:
        parts.setdefault(one.place, []).append((one, values))
    frames = [_part(place, part, sensors, height) for place, part in parts.items()]
    frame = pl.concat(frames, how="diagonal")
    frame = frame.with_columns(moments.times.values.gather(frame["row"]).alias(name))
    notes = []
    if has_melted:
        columns = [column for column in frame.columns if column not in (name, "sensor")]
        groups = frame.group_by(name, "sensor", maintain_order=True)
        notes = _conflicts(export, moments, groups, columns)
        frame = groups.agg(pl.col(columns).drop_nulls().first()).sort(name, maintain_order=True)
    rows = frame["row"].to_numpy()
    if not has_melted and _is_labelled(export):
        labels = [name for name in ("label", "source") if name in export.frame.columns]
        frame = frame.with_columns(export.frame[name].gather(rows) for name in labels)
    return frame.drop("row"), rows, notes


def _conflicts(export: Export, moments: Moments, groups: GroupBy, columns: list[str]) -> list[str]:
    """A note of readings of one time, sensor and channel that differ; refused where many do."""
    channels = pl.col([column for column in columns if column != "row"])
    differs = groups.agg(channels.min() != channels.max())
    count, times = sum(int(differs[c].sum()) for c in differs.columns[2:]), differs.height
    if not count:
        return []
    what = f"{counted(count, 'reading')} of a time and sensor that had another one"
    if count > max(2, MOST_LEFT_OUT * times):
        came = f"{what}, of {times:,} times"
        mend = f"name another time with {mapping('COLUMN', 'time')}, or the column of the sensors"
        raise refusal(export.path, came, allowed="one reading each", mend=mend, column=moments.name)
    return [f"left out {what}: the first is kept"]


def _is_labelled(export: Export) -> bool:
    """Whether a column `label` is that of a recording."""
    words = export.frame["label"] if "label" in export.frame.columns else None
    return words is not None and words.str.to_lowercase().is_in([*LABELS, ""]).all()


def _part(
    place: str, part: list[tuple[Series, np.ndarray]], sensors: pl.Series, height: int
) -> pl.DataFrame:
    """One place's rows, with the channels that it has."""
    frames = []
    for one, values in part:
        rows = np.arange(height) if one.rows is None else one.rows
        column = pl.Series(_COLUMN[one.channel], values, nan_to_null=True)
        frames.append(pl.DataFrame({"row": rows, column.name: column}))
    if all(len(frame) == height for frame in frames):
        frame = pl.concat(
            [frames[0], *(other.drop("row") for other in frames[1:])], how="horizontal"
        )
    else:
        frame = pl.concat(frames, how="diagonal").sort("row", maintain_order=True)
    cells = sensors.gather(frame["row"])
    names = (
        cells if not place else pl.Series([f"{c} {place}".strip() for c in cells], dtype=pl.String)
    )
    return frame.with_columns(names.replace("", ONLY_SENSOR).alias("sensor"))
