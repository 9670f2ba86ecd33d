"""Readings of one space over time: the format, files and streams, superposed fires."""

from saafe.recordings.check import Check, doubt
from saafe.recordings.clock import BEHIND_S, LATE_S
from saafe.recordings.columns import MILLISECONDS, to_numbers, to_text
from saafe.recordings.recording import (
    Recording, RefusedCell, parse_recording, read_recording, write_recording,
)  # fmt: skip
from saafe.recordings.stream import Row, RowReader, read_rows
from saafe.recordings.superpose import (
    AFTER_COOKING_S, Home, Interval, LEAD_S, LONGEST_GAP_S, QUIET_MOMENT, Rise, SuperposedFire,
    add_rise, cut_recording, dense_homes, draw_moment, median_period, pm_cap, superpose_fires,
)  # fmt: skip
from saafe.recordings.tables import (
    Table, make_folder, parse_csv, quoted, read_table, read_text, read_unzipped, refusal,
)  # fmt: skip
from saafe.recordings.units import (
    Conversion, CHANNEL_UNITS, find_unit, parse_units, plain, unit_texts,
)  # fmt: skip

__all__ = [
    "AFTER_COOKING_S", "BEHIND_S", "CHANNEL_UNITS", "LATE_S", "LEAD_S", "LONGEST_GAP_S",
    "MILLISECONDS", "QUIET_MOMENT", "Check", "Conversion", "Home", "Interval", "Recording",
    "RefusedCell", "Rise", "Row", "RowReader", "SuperposedFire", "Table", "add_rise",
    "cut_recording", "dense_homes", "doubt", "draw_moment", "find_unit", "make_folder",
    "median_period", "parse_csv", "parse_recording", "parse_units", "plain", "pm_cap", "quoted",
    "read_recording", "read_rows", "read_table", "read_text", "read_unzipped", "refusal",
    "superpose_fires", "to_numbers", "to_text", "unit_texts", "write_recording",
]  # fmt: skip
