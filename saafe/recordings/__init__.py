"""Readings of one space over time: the format, files, streams and sets, superposed fires."""

from saafe.recordings.annotated import (
    FIRE_KIND, HOME_KIND, SET_FILE, SOUNDED, AnnotatedSet, Annotation, check_annotation,
    find_sets, merge_runs, read_sets,
)  # fmt: skip
from saafe.recordings.cells import (
    CellError, held_sentinels, is_missing_word, to_microseconds, to_number, to_seconds, to_stamp,
    without_unusable,
)  # fmt: skip
from saafe.recordings.check import Check, counted, doubt, words_note
from saafe.recordings.stream_clock import BEHIND_S, LATE_S, StreamClock
from saafe.recordings.columns import MILLISECONDS, to_numbers, to_text
from saafe.recordings.folders import RECORDING_SUFFIXES, recording_files
from saafe.recordings.periods import whole_minutes
from saafe.recordings.recording import (
    Recording, RefusedCell, parse_recording, read_recording, without_sentinels, write_recording,
)  # fmt: skip
from saafe.recordings.stream import Row, RowReader, read_rows
from saafe.recordings.superpose import (
    AFTER_COOKING_S, Home, Interval, LEAD_S, LONGEST_GAP_S, QUIET_MOMENT, Rise, SmokeGrowth,
    SuperposedFire, add_rise, cut_recording, dense_homes, draw_moment, median_period, pm_cap,
    smoke_growth, superpose_fires,
)  # fmt: skip
from saafe.recordings.tables import (
    LONGEST_LINE, TELLING, Table, encoding_of, make_folder, parse_csv, quoted, read_table,
    read_text, read_unzipped, refusal,
)  # fmt: skip
from saafe.recordings.units import (
    CHANNEL_UNITS, Conversion, find_unit, parse_units, plain, to_conversions, unit_texts,
    usual_units,
)  # fmt: skip
from saafe.recordings.watched import exposure_s, longest_hold_s, times_with_readings, watched_s

__all__ = [
    "AFTER_COOKING_S", "BEHIND_S", "CHANNEL_UNITS", "FIRE_KIND", "HOME_KIND", "LATE_S", "LEAD_S",
    "LONGEST_GAP_S", "LONGEST_LINE", "MILLISECONDS", "QUIET_MOMENT", "RECORDING_SUFFIXES",
    "SET_FILE", "SOUNDED", "TELLING", "AnnotatedSet", "Annotation", "CellError", "Check",
    "Conversion", "Home", "Interval", "Recording", "RefusedCell", "Rise", "Row", "RowReader",
    "SmokeGrowth", "StreamClock", "SuperposedFire", "Table", "add_rise", "check_annotation",
    "counted", "cut_recording", "dense_homes", "doubt", "draw_moment", "encoding_of", "exposure_s",
    "find_sets", "find_unit", "held_sentinels", "is_missing_word", "longest_hold_s", "make_folder",
    "median_period", "merge_runs", "parse_csv", "parse_recording", "parse_units", "plain", "pm_cap",
    "quoted", "read_recording", "read_rows", "read_sets", "read_table", "read_text",
    "read_unzipped", "recording_files", "refusal", "smoke_growth", "superpose_fires",
    "times_with_readings", "to_conversions", "to_microseconds", "to_number", "to_numbers",
    "to_seconds", "to_stamp", "to_text", "unit_texts", "usual_units", "watched_s", "whole_minutes",
    "without_sentinels", "without_unusable", "words_note", "write_recording",
]  # fmt: skip
