"""What a message holds: a number, a word, or JSON of any device; cells of a recording out."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from saafe.errors import InputError
from saafe.readers import Meaning, find_meaning
from saafe.recordings import (
    CellError,
    Conversion,
    find_unit,
    is_missing_word,
    to_microseconds,
    to_number,
    to_seconds,
    to_stamp,
)
from saafe.sensors import CHANNEL_NAMES, CHANNELS, COLUMNS

LARGEST_PAYLOAD = 65_536  # bytes; no device's state is longer
DEEPEST = 4  # levels of JSON in which readings stand
MOST_LEAVES = 500  # of one payload
LONGEST_CELL = 64  # characters of a reading
LONGEST_KEY = 200  # of a reading's keys
COLUMN_OF = {channel.name: channel.column for channel in CHANNELS}
TIME_KEYS = ("time_s", "time", "timestamp", "last_seen")
NAMED_UNITS = {"TempUnit": "temperature"}  # Tasmota's: the unit stands beside the readings
_NOT_NOW = re.compile(r"(?<![a-z])(?:min|max)(?![a-z])", re.IGNORECASE)  # settings, statistics
# the unit of the one reading beside it; a display's, as Zigbee's temperature_unit, is none
UNIT_KEYS = ("unit", "units", "unit_of_measurement", "uom")

Units = Mapping[str, Conversion]  # by channel


@lru_cache(maxsize=10_000)  # names come again and again; made-up ones do not fill the memory
def meaning(name: str) -> Meaning | None:
    """What a key or a topic's last part measures."""
    if name in COLUMNS:
        return Meaning(CHANNEL_NAMES[COLUMNS.index(name)], None, "", 0)
    if _NOT_NOW.search(name):
        return None
    return find_meaning(name.replace("_", " "))


def read_payload(payload: bytes, channel: str, units: Units | None = None) -> dict[str, str]:
    """Cells of a message, by column; `time_s` too where it holds a time that can be used.

    Args:
        payload: as it came.
        channel: what the topic says that it is; "" where it says nothing.
        units: of channels for which the message names none. One that `is_usual` is not that of a
            key such as `temperature_c`, which names saafe's column.

    Returns:
        Cells as a recording holds them, in the channels' own units; {} where it holds no channel.

    Raises:
        InputError: it is no number, no word for a missing reading and no JSON object.
    """
    if len(payload) > LARGEST_PAYLOAD:
        raise InputError(f"payload: came {len(payload)} bytes; allowed: at most {LARGEST_PAYLOAD}")
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        raise InputError("payload: is no UTF-8 text; send a number or JSON") from None
    if text.startswith("{"):
        return read_object(parse_json(text), units)
    known = meaning(channel) if channel else None
    if not channel:
        raise InputError("payload: is no JSON object, and the topic names no {channel}")
    if known is None:
        return {}
    unit = known.unit or unit_told(channel, known, units or {})
    return {COLUMN_OF[known.channel]: to_cell(text, unit)}


def says_offline(payload: bytes) -> bool:
    """Whether a message of availability, a word or JSON with a `state`, says that one is away."""
    text = payload[:LARGEST_PAYLOAD].decode(errors="replace").strip()
    return (parse_json(text).get("state") if text.startswith("{") else text) == "offline"


def parse_json(text: str) -> dict[str, Any]:
    """The object that a text is; an InputError says why it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("payload: is no JSON that can be read; allowed: one object") from None
    if not isinstance(found, dict):
        raise InputError("payload: is JSON, but no object; allowed: channels and their readings")
    return found


def read_object(found: Mapping[str, Any], units: Units | None = None) -> dict[str, str]:
    """Cells of a JSON object; see `read_payload`."""
    told, every = dict(units or {}), list(leaves(found))
    best: dict[str, tuple[tuple[int, bool], str]] = {}  # column: how far from the plain name, cell
    time_s = None
    for path, value in every:
        name = path[-1]
        if name in NAMED_UNITS:
            unit = find_unit(NAMED_UNITS[name], str(value)[:LONGEST_CELL])
            told |= {NAMED_UNITS[name]: unit} if unit else {}
    beside = units_beside(every)
    for path, value in every:
        if len(path) == 1 and path[0].lower() in TIME_KEYS:
            time_s = to_clock(str(value)[:LONGEST_CELL]) if time_s is None else time_s
            continue
        known = meaning_of(path)
        if known is None or isinstance(value, bool):
            continue
        column = COLUMN_OF[known.channel]
        rank = known.rank, len(path) == 1 and known.place != ""
        if column not in best or rank < best[column][0]:
            unit = known.unit or beside.get(path[:-1]) or unit_told(" ".join(path), known, told)
            best[column] = rank, to_cell(value, unit)
    cells = {column: cell for column, (_, cell) in best.items() if cell}
    return cells | ({"time_s": repr(time_s)} if cells and time_s is not None else {})


def meaning_of(path: tuple[str, ...]) -> Meaning | None:
    """What a value with these keys measures."""
    name = " ".join(path)
    return meaning(name) if len(name) <= LONGEST_KEY else None


def units_beside(every: Sequence[tuple[tuple[str, ...], Any]]) -> dict[tuple[str, ...], Conversion]:
    """Units that a key of their own names, by the place of the one reading beside it."""
    named = {p[:-1]: str(v)[:LONGEST_CELL] for p, v in every if p[-1].lower() in UNIT_KEYS}
    found: dict[tuple[str, ...], Conversion] = {}
    for place, text in named.items():
        known = [meaning_of(path) for path, _ in every if path[:-1] == place]
        channels = [one.channel for one in known if one is not None]
        if len(channels) == 1 and (unit := find_unit(channels[0], text)):
            found[place] = unit
    return found


def leaves(
    found: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Values of an object that are no objects or lists, each with its keys."""
    left = MOST_LEAVES
    for key, value in found.items():
        if isinstance(value, Mapping):
            inner = leaves(value, (*path, key)) if len(path) + 1 < DEEPEST else ()
        else:
            inner = () if isinstance(value, list) else (((*path, key), value),)
        for leaf in inner:
            left -= 1
            if left < 0:
                return
            yield leaf


def unit_told(name: str, known: Meaning, units: Units) -> Conversion | None:
    """The unit of a reading that names none; what a device usually sends is not saafe's column."""
    unit = units.get(known.channel)
    return None if unit is not None and unit.is_usual and name in COLUMNS else unit


def to_cell(value: Any, unit: Conversion | None) -> str:
    """A value of a unit as a cell of its channel's column; None for the channel's own."""
    if value is None:
        return ""
    cell = (repr(value) if isinstance(value, float) else str(value)).strip()[:LONGEST_CELL]
    if unit is None or not cell or is_missing_word(cell):
        return cell
    try:
        return repr(unit.apply(to_number(cell)))
    except CellError:
        return cell  # the row's reader says what is wrong with it


def to_clock(text: str) -> float | None:
    """Seconds since 1970, or of a device's own clock; None where a text tells no such time.

    A time without an offset is of a zone that nobody names.
    """
    text = text.strip()
    if ":" in text:
        try:
            stamp = to_stamp(text)
        except CellError:
            return None
        return to_microseconds(stamp) / 1e6 if stamp.tzinfo else None
    try:
        seconds = to_seconds(text)
    except CellError:
        return None
    return seconds if math.isfinite(seconds) else None
