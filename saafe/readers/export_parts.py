"""Exports in other parts than recordings: many homes in one file, one home in many files."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from saafe.errors import InputError, as_given
from saafe.files import plain_name
from saafe.recordings import Table, refusal


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
    return Table(Path(f"{first.path} and {len(tables) - 1} more"), frame, numbers, tuple(notes))


def sensors_note(sensors: Sequence[str]) -> str | None:
    """What to know where a file holds several sensors; None of one."""
    if len(sensors) < 2:
        return None
    return (
        f"{len(sensors)} sensors are read as one space; if they are {len(sensors)} homes: "
        "saafe data import --split sensor FILE FOLDER"
    )
