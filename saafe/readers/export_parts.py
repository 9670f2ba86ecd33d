"""Exports in other parts than recordings: many homes in one file, one home in many files."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from saafe.errors import InputError, as_given
from saafe.files import plain_name
from saafe.readers.export_times import DATE_FORMS
from saafe.readers.exports import Guess, read_export
from saafe.recordings import Table, refusal
from saafe.sensors import COLUMNS


def split_sensors(table: Table) -> dict[str, Table]:
    """A table of each sensor alone, by a name for its file, in the order of their first rows.

    Names that a disk could take for one another are told apart by a number.
    """
    parts: dict[str, Table] = {}
    taken: set[str] = set()
    for (sensor,), rows in table.frame.with_row_index("row at").group_by(
        "sensor", maintain_order=True
    ):
        name, number = plain_name(str(sensor)), 1
        while (one := name if number == 1 else f"{name}-{number}").casefold() in taken:
            number += 1
        taken.add(one.casefold())
        at = rows["row at"].to_numpy()
        parts[one] = Table(table.path, table.frame[at], table.row_numbers[at], table.notes)
    return parts


def read_exports(paths: Sequence[Path], **options: Any) -> list[tuple[Table, Guess]]:
    """Exports of one space as `read_export` reads each, with dates of one form in all.

    A file of one day may fit several: that which puts the files closest together is taken.

    Raises:
        InputError: one of them cannot be read, or no form of dates fits all.
    """
    alone = [read_export(path, **options) for path in paths]
    forms = {guess.time_form.partition(",")[0] for _, guess in alone}
    if len(paths) < 2 or not forms & {*DATE_FORMS}:
        return alone
    found = [alone] if len(forms) == 1 else []
    for form in DATE_FORMS:
        try:
            found.append([read_export(path, date_form=form, **options) for path in paths])
        except InputError:  # not this one
            continue
    if not found:
        came = f"dates of several forms in {len(paths)} files: {', '.join(sorted(forms))}"
        mend = "import those of each form by themselves"
        raise refusal(paths[0], came, allowed="one form", mend=mend)
    return min(found, key=_span_s)


def _span_s(exports: Sequence[tuple[Table, Guess]]) -> float:
    """How far the times of several tables reach; infinite without one clock. [s]"""
    columns = [table.frame.get_column("time", default=None) for table, _ in exports]
    if any(column is None for column in columns) or len({c.dtype for c in columns}) > 1:
        return math.inf
    ends = [end.timestamp() for column in columns for end in (column.min(), column.max())]
    return max(ends) - min(ends)


def join_tables(tables: Sequence[Table]) -> Table:
    """One table of several files of one space, such as a file a day, in the order of their times.

    Raises:
        InputError: there is none, or their times cannot be put on one clock.
    """
    if not tables:
        raise InputError("join_tables: came no table; allowed: one at least, of one space")
    first = tables[0]
    if len(tables) == 1:
        return first
    for table in tables:
        kind = table.frame.schema.get("time")
        if kind is None or kind != first.frame.schema.get("time"):
            came = "times that cannot follow those of another file"
            mend = f"import it by itself, or name the zone with {as_given('--zone', 'zone')}"
            raise refusal(table.path, came, allowed="dates of one form in all files", mend=mend)
    tables = sorted(tables, key=lambda table: table.frame["time"][0])
    frame = pl.concat([table.frame for table in tables], how="diagonal")
    numbers = np.concatenate([table.row_numbers for table in tables])
    edges = ((one.frame["time"].max(), two.frame["time"].min()) for one, two in pairwise(tables))
    if any(end > start for end, start in edges):  # type: ignore[operator]
        order = frame["time"].arg_sort().to_numpy()  # not where they follow: clocks are looked at
        frame, numbers = frame[order], numbers[order]
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    notes |= dict.fromkeys(_taking_turns(tables))
    return Table(Path(f"{first.path} and {len(tables) - 1} more"), frame, numbers, tuple(notes))


def _taking_turns(tables: Sequence[Table]) -> list[str]:
    """A note where readings of several files alternate at one sensor, as those of two rooms do.

    Rows that two files have in common, as exports that overlap, tell nothing.
    """
    for channel in COLUMNS:
        parts = [
            table.frame.filter(pl.col(channel).is_not_null()).select(
                "time", "sensor", pl.lit(index).alias("file")
            )
            for index, table in enumerate(tables)
            if channel in table.frame.columns
        ]
        rows = pl.concat(parts).unique() if len(parts) > 1 else pl.DataFrame()
        if rows.is_empty():
            continue
        alone = rows.filter(~pl.struct("time", "sensor").is_duplicated()).sort("time")
        turns = alone.group_by("sensor", maintain_order=True).agg(
            (pl.col("file").diff() != 0).sum().alias("turns"), pl.col("file").unique().sort()
        )
        mixed = turns.filter(pl.col("turns") > 2 * len(tables))
        if len(mixed):
            sensor, _, (one, two, *_) = mixed.row(0)
            files = f"{tables[one].path.name} and {tables[two].path.name}"
            return [
                f"rows of {files} take turns at sensor {sensor}: if they are two sensors, import "
                f"each file with {as_given('--sensor', 'sensor')} NAME, and then both results"
            ]
    return []


def sensors_note(sensors: Sequence[str]) -> str | None:
    """What to know where a file holds several sensors; None of one."""
    if len(sensors) < 2:
        return None
    return (
        f"{len(sensors)} sensors are read as one space; if they are {len(sensors)} homes: "
        "saafe data import --split sensor FILE FOLDER"
    )
