"""Annotated sets: a folder of recordings, and a `set.json` that says what happened in each.

Here `set.json` is read and judged by itself; docs/recordings.md says how to write one. The
recordings are read by `saafe.readers.read_annotated`.
"""

import json
import math
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from saafe.errors import InputError
from saafe.files import read_file
from saafe.recordings.folders import files_below
from saafe.recordings.superpose import Interval
from saafe.recordings.tables import quoted, refusal

SET_FILE = "set.json"
HOME_KIND, FIRE_KIND = "home", "fire"
BURNING_KINDS = ("flaming", "smouldering", "cooking oil")
ONE_SESSION_S = 1800.0  # uses of a stove less than this apart are one session

_SET_KEYS = ("name", "origin", "licence", "note", "recordings")
_COMMON_KEYS = ("file", "kind", "group", "days", "cooking_s")
_FIRE_TIMES = {
    "ignition_s": "it burns",
    "limit_s": "the latest alarm in time, or left out",
    "end_s": "scoring ends",
}
_FIRE_KEYS = (*_COMMON_KEYS, "burning", *_FIRE_TIMES, "sounded_s")
_KEYS = {HOME_KIND: _COMMON_KEYS, FIRE_KIND: _FIRE_KEYS}
SOUNDED = {"photo": "t_photo", "ionisation": "t_ion", "other": "t_detector"}


@dataclass(frozen=True)
class Annotation:
    """What set.json says of one recording; times are seconds from its first row."""

    path: Path  # of the recording
    kind: str  # "home", in which nothing burns, or "fire"
    group: str  # recordings of a group resemble one another: no split may divide them
    days: float | None  # that were watched; None: as the recording shows. [d]
    cooking_s: tuple[Interval, ...]  # uses of the stove, in order; may last 0 s
    burning: str = ""  # a fire's mode, one of `BURNING_KINDS`
    ignition_s: float = math.nan  # of a fire, as the next two
    limit_s: float = math.nan  # the latest alarm that is in time; NaN where that is not said
    end_s: float = math.nan  # where its scoring ends
    # when real alarms in the room sounded, by the references of `SOUNDED`; none: not recorded
    sounded_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class AnnotatedSet:
    """A folder of recordings, of which set.json says what happened."""

    name: str
    origin: str  # where, when and by whom it was recorded
    licence: str
    note: str  # what to know before a figure is believed
    path: Path  # of its set.json
    recordings: tuple[Annotation, ...]


def read_sets(folder: Path | str) -> list[AnnotatedSet]:
    """Read every annotated set of a folder: the folder itself, and all below it.

    Args:
        folder: a set, a folder of sets, or one in which sets lie beside other folders.

    Returns:
        The sets in the order of their paths; none where there is no `set.json`.

    Raises:
        InputError: the folder is not there, a set.json is no such file as docs/recordings.md
            describes, or two sets have the same name.
    """
    if not Path(folder).exists():
        raise InputError(f"{folder}: no such folder")
    sets = [read_set(path) for path in find_sets(Path(folder))]
    first: dict[str, AnnotatedSet] = {}
    for one in sets:
        if one.name in first:
            came = f"the name {quoted(one.name)}, which {first[one.name].path} has too"
            mend = "rename one, or leave the copy out"
            raise refusal(one.path, came, allowed="one set a name", mend=mend)
        first[one.name] = one
    return sets


def find_sets(folder: Path) -> list[Path]:
    """The set.json of a folder and of all below it, hidden ones left out, each file once."""
    found: dict[str, Path] = {}
    for path in files_below(folder, _refuse_folder):
        if path.name == SET_FILE:
            found.setdefault(os.path.realpath(path), path)
    return sorted(found.values())


def _refuse_folder(error: OSError) -> None:
    """Say which folder cannot be looked into; one that is not there holds no set."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        came = f"cannot be looked into ({error.strerror})"
        mend = "give the right to, or leave it out"
        raise refusal(str(error.filename), came, allowed="a folder that you may read", mend=mend)


def read_set(path: Path) -> AnnotatedSet:
    """Read one set.json, and see that its recordings are there."""
    fields = _Fields(path, str(path), _parse(path), _SET_KEYS)
    items = fields.values.get("recordings")
    if not isinstance(items, list) or not items:
        fields.refuse("recordings", "a list of at least one recording", "add its recordings")
    recordings = [_read_annotation(path, number, item) for number, item in enumerate(items, 1)]
    _refuse_twins(path, recordings)
    _refuse_mixed_groups(path, recordings)
    return AnnotatedSet(
        name=fields.text("name"),
        origin=fields.text("origin"),
        licence=fields.text("licence"),
        note=fields.text("note", is_needed=False),
        path=path,
        recordings=tuple(recordings),
    )


def merge_runs(runs: Sequence[Interval]) -> tuple[Interval, ...]:
    """Sessions of cooking: uses of the stove, in order, less than 30 minutes apart are one."""
    merged: list[Interval] = []
    for start, end in runs:
        if merged and start - merged[-1][1] < ONE_SESSION_S:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def check_annotation(one: Annotation, *, duration_s: float, period_s: float) -> None:
    """Refuse what a recording of this length cannot be; a period more is its last reading's.

    Raises:
        InputError: one line that names the recording and the field.
    """
    last_s = duration_s + period_s
    said = {"days": (one.days or 0.0) * 86400.0 - 86.4}  # days may be rounded to three digits
    if one.cooking_s:
        said["cooking_s"] = one.cooking_s[-1][1]
    if one.kind == FIRE_KIND:
        said |= {name: getattr(one, name) for name in _FIRE_TIMES}
        said["sounded_s"] = max(one.sounded_s.values(), default=0.0)
    elif duration_s <= 0.0:
        raise InputError(f"{one.path}: one moment, in which nothing can be counted")
    for name, time_s in said.items():
        if time_s > last_s:
            raise InputError(
                f"{one.path}: {name} of {SET_FILE} goes beyond the recording, which lasts "
                f"{duration_s:,.0f} s; count seconds from its first row"
            )


def _parse(path: Path) -> Any:
    """What a set.json holds, of JSON's own words only."""
    allowed, mend = "JSON (UTF-8)", "docs/recordings.md has an example"
    try:
        content = read_file(path)
    except FileNotFoundError:
        raise refusal(path, "no such file", allowed=allowed, mend=mend) from None
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        came = "not UTF-8"
    except json.JSONDecodeError as error:
        came = f"not JSON ({error.msg}, line {error.lineno}, column {error.colno})"
    except _NoNumberError as error:
        came, allowed, mend = str(error), "finite numbers", "leave out what is not known"
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, endless nesting
        came = f"not JSON that can be read ({str(error).splitlines()[0]})"
    raise refusal(path, came, allowed=allowed, mend=mend)


class _NoNumberError(ValueError):
    """NaN or an infinity, which Python reads and JSON has no word for."""


def _refuse_constant(word: str) -> NoReturn:
    raise _NoNumberError(f"{word}, which is no number in JSON")


def _read_annotation(path: Path, number: int, item: Any) -> Annotation:
    """Read what is said of one recording; `number` counts from 1."""
    named = item.get("file") if isinstance(item, Mapping) else None
    place = f"{path}, recording {number}" + (f" ({named[:60]})" if isinstance(named, str) else "")
    kind = item.get("kind") if isinstance(item, Mapping) else HOME_KIND
    known = _KEYS.get(kind) if isinstance(kind, str) else None
    fields = _Fields(path, place, item, known or _KEYS[FIRE_KIND])
    if known is None:
        fields.refuse("kind", " or ".join(_KEYS), "say what was recorded")
    annotation = {
        "path": fields.file("file"),
        "kind": kind,
        "group": fields.text("group"),
        "days": fields.days("days"),
        "cooking_s": fields.intervals("cooking_s"),
    }
    if kind == FIRE_KIND:
        annotation["burning"] = fields.one_of("burning", BURNING_KINDS)
        times = [name for name in _FIRE_TIMES if name != "limit_s" or name in item]
        annotation |= {name: fields.time(name) for name in times}
        for before, name in pairwise(times):
            if annotation[name] < annotation[before]:
                allowed = f"at or after {before}, {annotation[before]:g}"
                fields.refuse(name, allowed, "count all from the first row")
        annotation["sounded_s"] = fields.sounded("sounded_s", annotation["ignition_s"])
    return Annotation(**annotation)


@dataclass(frozen=True)
class _Fields:
    """The fields of one object in a set.json."""

    path: Path  # of the set.json
    place: str  # for messages
    values: Any  # of JSON
    keys: Collection[str]

    def __post_init__(self) -> None:
        """Refuse what is no object, and a key that would be passed over."""
        allowed = f"an object of {', '.join(self.keys)}"
        if not isinstance(self.values, dict):
            came, mend = quoted(json.dumps(self.values)), "put it in braces"
            raise refusal(self.place, came, allowed=allowed, mend=mend)
        if odd := [key for key in self.values if key not in self.keys]:
            came, mend = f"the key {quoted(odd[0])}", "mend its spelling, or leave it out"
            raise refusal(self.place, came, allowed=allowed, mend=mend)

    def refuse(self, key: str, allowed: str, mend: str, came: object = None) -> NoReturn:
        """Refuse a field, or `came` in it, in one line."""
        value = self.values.get(key) if came is None else came
        said = quoted(json.dumps(value)) if key in self.values else "missing"
        raise refusal(self.place, f"{key} is {said}", allowed=allowed, mend=mend)

    def text(self, key: str, *, is_needed: bool = True) -> str:
        """Words in one line; "" for none where none are needed."""
        value = self.values.get(key, None if is_needed else "")
        if not isinstance(value, str) or (is_needed and not value.strip()):
            self.refuse(key, "words in quotes", "say it")
        if not value.isprintable():
            self.refuse(key, "words in one line", "leave out line ends and control characters")
        return value.strip()

    def one_of(self, key: str, allowed: Sequence[str]) -> str:
        """One of some words."""
        value = self.values.get(key)
        if value not in allowed:
            self.refuse(key, ", ".join(allowed), "name the one that it is")
        return value

    def file(self, key: str) -> Path:
        """A file in the set's folder or below it."""
        name = self.text(key)
        is_inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        path = self.path.parent / name
        if not is_inside or not os.path.isfile(path):
            allowed = "a file beside this set.json"
            self.refuse(key, f"{allowed}; there is none" if is_inside else allowed, "mend its name")
        return path

    def time(self, key: str) -> float:
        """A time from the recording's first row. [s]"""
        allowed = f"0 or more seconds from the first row until {_FIRE_TIMES[key]}"
        return self.number(key, self.values.get(key), allowed)

    def number(self, key: str, value: object, allowed: str) -> float:
        """A number of 0 or more; true and false are none."""
        is_bool = isinstance(value, bool)
        # 1e999 is infinite, and an integer may be too large for a float
        if isinstance(value, int | float) and not is_bool and 0 <= value <= 1e15:
            return float(value)
        is_clock = isinstance(value, str) and ":" in value
        mend = "subtract the first row's time, in seconds" if is_clock else "give a number"
        self.refuse(key, allowed, mend, came=value)

    def sounded(self, key: str, ignition_s: float) -> dict[str, float]:
        """When real alarms sounded, by the names that published fires have for them. [s]"""
        times = self.values.get(key, {})
        allowed = f"an object of {', '.join(SOUNDED)}, each in seconds from the first row"
        if not isinstance(times, dict) or not times.keys() <= SOUNDED.keys():
            self.refuse(key, allowed, "mend it, or leave it out")
        for time in times.values():
            if self.number(key, time, allowed) < ignition_s:
                allowed = f"alarms at or after ignition_s, {ignition_s:g}"
                self.refuse(key, allowed, "leave out one that sounded before", came=time)
        return {SOUNDED[name]: float(time) for name, time in times.items()}

    def days(self, key: str) -> float | None:
        """Days that were watched, None where that is not said."""
        if self.values.get(key) is None:
            return None
        days = self.number(key, self.values[key], "a number over 0")
        if days == 0.0:
            self.refuse(key, "a number over 0", "leave it out to have it computed")
        return days

    def intervals(self, key: str) -> tuple[Interval, ...]:
        """Intervals in order that do not overlap. [s]"""
        pairs = self.values.get(key)
        allowed = "a list of [start, end] in seconds from the first row"
        if pairs is None:
            return ()
        if not isinstance(pairs, list):
            self.refuse(key, allowed, "give a list")
        found: list[Interval] = []
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2:
                self.refuse(key, allowed, "give both ends", came=pair)
            start, end = (self.number(key, value, allowed) for value in pair)
            if end < start:
                self.refuse(key, "a start that is not after its end", "swap them", came=pair)
            if found and start < found[-1][1]:
                allowed = f"intervals in order, the next from {found[-1][1]:g} s on"
                self.refuse(key, allowed, "sort and join them", came=pair)
            found.append((start, end))
        return tuple(found)


def _refuse_twins(path: Path, recordings: Sequence[Annotation]) -> None:
    twice = [file for file, n in Counter(one.path for one in recordings).items() if n > 1]
    if twice:
        came = f"{twice[0].name} twice"
        raise refusal(path, came, allowed="one entry a recording", mend="leave one out")


def _refuse_mixed_groups(path: Path, recordings: Sequence[Annotation]) -> None:
    """A group is what resembles itself: a home, or a fire and its repetitions, never both."""
    kinds: dict[str, str] = {}
    for one in recordings:
        if kinds.setdefault(one.group, one.kind) != one.kind:
            came = f"the group {quoted(one.group)} holds a home and a fire"
            mend = f"give {one.path.name} a group of its own"
            raise refusal(path, came, allowed="groups of one kind", mend=mend)
