"""What the cells of a recording mean, in files and streams alike.

Streams read cell by cell with these functions; `columns` reads files with polars, and leaves every
cell that polars does not take to them. A cell comes stripped of `WHITESPACE`.
"""

import math
import re
from collections.abc import Iterable, Mapping
from ctypes import c_float
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeVar

import numpy as np

from saafe.errors import InputError
from saafe.recordings.tables import quoted
from saafe.sensors import CHANNEL_NAMES, CHANNELS, MAX_SENSORS, Channel, WrongValues

DEFAULT_SENSOR = "A"
SAYS_NOTHING = ": no reading"  # after a word that stands in the place of one
LARGEST_TIME_S = 1e12  # Chosen: milliseconds since 1970 are more, seconds never
LARGEST_TIME_MS = 1e14  # Chosen: microseconds since 1970 are more
LONGEST_SPAN_S = 10 * 366 * 86400.0  # Chosen: ten years, because a typo in a time is longer
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Unicode's, as polars strips it; str.strip() would take the separators \x1c to \x1f as well.
WHITESPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# polars' cast of text to Float64 takes the same
NUMBER_PATTERN = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?i:inf|infinity|nan)"
# date, hour and minute, second, offset; [0-9] because \d is any script's digit
ISO_PATTERN = (
    r"^([1-9][0-9]{3}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9])"
    r"(:[0-5][0-9](?:\.[0-9]{1,9})?)? ?([Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?$"
)
# the same without separators, and how they are put in
COMPACT_ISO = r"^([1-9][0-9]{3})([0-9]{2})([0-9]{2})[Tt]([0-9]{2})([0-9]{2})([0-9]{2})([^0-9].*)?$"
SEPARATED = (r"\1-\2-\3T\4:\5:\6\7", "${1}-${2}-${3}T${4}:${5}:${6}${7}")  # for re; for polars
# what programs and sensors write where there is no reading
_WORD = re.compile(
    r"unavailable|unknown|undefined|missing|none|null|nil|[+-]?nan|n/?a|#n/a|init|off|-+",
    re.IGNORECASE,
)
_NUMBER, _ISO = re.compile(NUMBER_PATTERN), re.compile(ISO_PATTERN)
_COMPACT = re.compile(COMPACT_ISO)
_NO_NAME = re.compile(r"^$|[\x00-\x1f\x7f]")

Values = TypeVar("Values", float, np.ndarray)
Sentinels = frozenset[float]  # values as single precision holds them
NO_SENTINELS: Sentinels = frozenset()


class CellError(ValueError):
    """A cell that cannot be used: why, what is allowed and what mends it."""

    def __init__(self, cell: str, why: str, *, allowed: str, mend: str) -> None:
        """Make the text that a stream reports; a file's also tells what is allowed and mends it."""
        super().__init__(f"came {quoted(cell)}, {why}")
        self.allowed, self.mend = allowed, mend


def is_missing_word(cell: str) -> bool:
    """Whether a cell says in words that there is no reading, such as "unavailable" or "-"."""
    return _WORD.fullmatch(cell) is not None


def to_number(cell: str) -> float:
    """The number in a cell, NaN where it is missing; a CellError says why there is none."""
    if not cell or is_missing_word(cell):
        return math.nan
    if not _NUMBER.fullmatch(cell):
        mend = "leave a missing reading empty, and write decimals with a point"
        raise CellError(cell, "no number", allowed="a number", mend=mend)
    return float(cell)


def read_cell(
    cell: str, channel: Channel, sentinels: Sentinels = NO_SENTINELS
) -> tuple[float, str]:
    """A channel's reading, NaN where there is none that can be used, and why; "" where empty.

    `sentinels`: of the sensor's device, see `held_sentinels`.
    """
    if _NUMBER.fullmatch(cell) and (value := float(cell)) == value:  # as nearly always
        pass
    elif is_missing_word(cell):
        return math.nan, cell.lower() + SAYS_NOTHING
    else:
        try:
            value = to_number(cell)
        except CellError as error:
            return math.nan, str(error)
    return to_reading(value, channel, sentinels)


def to_reading(
    value: float, channel: Channel, sentinels: Sentinels = NO_SENTINELS
) -> tuple[float, str]:
    """A channel's reading, NaN where a value is none that can be used, and why, else ""."""
    if sentinels and as_single(value) in sentinels:
        return math.nan, f"{value:g} is the device's for no value"
    value = channel.highest if is_overshoot(value, channel) else value
    if cause := wrong_value(value, channel):
        return math.nan, f"{value:g} is {cause}"
    if is_outside(value, channel):
        return math.nan, f"{value:g} is outside {range_text(channel)}"
    return value, ""


def to_seconds(cell: str) -> float:
    """The time in a cell of `time_s`; a CellError says why there is none."""
    number = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    if not abs(number) <= LARGEST_TIME_MS:
        allowed, mend = "a number of seconds", "give every row its time, in seconds"
        like = ": too large, give seconds" if math.isfinite(number) else ""
        raise CellError(cell, f"no number of seconds{like}", allowed=allowed, mend=mend)
    return number / 1000.0 if counts_milliseconds(number) else number


def counts_milliseconds(times: Values) -> Values:
    """Whether times of `time_s` are milliseconds since 1970, as no second is so large."""
    return (abs(times) > LARGEST_TIME_S) & (abs(times) <= LARGEST_TIME_MS)  # type: ignore[return-value]


def without_milliseconds(times: Values) -> np.ndarray:
    """Times of `time_s` in seconds."""
    return np.where(counts_milliseconds(times), np.divide(times, 1000.0), times)


def to_stamp(cell: str) -> datetime:
    """The ISO 8601 time in a cell of `time`; a CellError says why there is none."""
    mend = "write every time so, or seconds in a column time_s"
    match = _ISO.fullmatch(_COMPACT.sub(SEPARATED[0], cell))
    if not match:
        allowed = "ISO 8601 such as 2026-01-31T12:00:00+01:00"
        raise CellError(cell, "no ISO 8601 time", allowed=allowed, mend=mend)
    date, minute, second, offset = match.groups(default="")
    try:
        return datetime.fromisoformat(f"{date}T{minute}{second or ':00'}{offset.upper()}")
    except ValueError:
        allowed = "a day of the calendar"
        raise CellError(cell, "no such day", allowed=allowed, mend="correct the date") from None


def to_microseconds(stamp: datetime) -> int:
    """Microseconds since 1970, by the clock's own time where it has no offset."""
    aware = stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def check_sensor(cell: str, others: int) -> None:
    """Raise a CellError where a cell cannot name a sensor beside so many others."""
    if _NO_NAME.search(cell):
        mend = "name the sensor in every row, or delete the column if there is one only"
        raise CellError(cell, "no name", allowed="a name", mend=mend)
    if others >= MAX_SENSORS:
        why, allowed = f"one more than {MAX_SENSORS} sensors", f"at most {MAX_SENSORS} in a space"
        raise CellError(cell, why, allowed=allowed, mend="write one recording a space")


def is_outside(values: Values, channel: Channel) -> Values:
    """Whether readings are physically impossible; a missing one is not."""
    return (values < channel.lowest) | (values > channel.highest)


def is_overshoot(values: Values, channel: Channel) -> Values:
    """Whether readings lie over the range by no more than a healthy sensor's."""
    return (values > channel.highest) & (values <= channel.highest + channel.overshoot)


def held_in(values: Values, channel: Channel) -> np.ndarray:
    """Readings, those that overshoot the range as its end."""
    return np.where(is_overshoot(values, channel), channel.highest, values)


def wrong_value(value: float, channel: Channel) -> str:
    """What a value is that comes in place of a reading; "" for a reading."""
    return _causes(channel.wrong_values).get(value, "")


def is_wrong(values: np.ndarray, channel: Channel) -> np.ndarray:
    """Where `wrong_value` has something to say."""
    return np.isin(values, [held for wrong, _ in channel.wrong_values for held in _as_held(wrong)])


def held_sentinels(sentinels: Iterable[tuple[str, float]]) -> Mapping[str, Sentinels]:
    """What a device sends in place of readings, as those may be held, by channel.

    Args:
        sentinels: a channel's name and a value in its own unit each. One that came in another
            unit may have been rounded to the channel's decimals since.

    Raises:
        InputError: they are something else.
    """
    found: dict[str, Sentinels] = {}
    try:
        pairs = [(CHANNEL_NAMES.index(name), name, float(value)) for name, value in sentinels]
    except (TypeError, ValueError):
        allowed = 'a channel and a value each, such as [("co", 500.0)]'
        raise InputError(f"sentinels: came {sentinels!r}; allowed: {allowed}") from None
    for index, name, value in pairs:
        rounded = round(value, CHANNELS[index].decimals)
        found[name] = found.get(name, NO_SENTINELS) | {as_single(value), as_single(rounded)}
    return found


def are_sentinels(values: np.ndarray, sentinels: Sentinels) -> np.ndarray:
    """Where `to_reading` takes values for a device's. bool (...)"""
    with np.errstate(over="ignore"):  # what is too large is none
        return np.isin(values.astype(np.float32), np.array([*sentinels], np.float32))


def as_single(value: float) -> float:
    """A value as single precision holds it, as recordings do: its last digits are a conversion's.

    (51 degF - 32) * 5 / 9 and 51 degF * 5 / 9 - 160 / 9 differ in the last one.
    """
    return c_float(value).value


@cache
def _causes(wrong_values: WrongValues) -> dict[float, str]:
    """Wrong values as they are held, and what each is; the first of two."""
    return {held: cause for wrong, cause in reversed(wrong_values) for held in _as_held(wrong)}


def _as_held(value: float) -> tuple[float, float]:
    """A value as text and as a Parquet file of single precision hold it."""
    return value, float(np.float32(value))


_USABLE = [
    (channel.lowest, channel.highest, frozenset(_causes(channel.wrong_values)))
    for channel in CHANNELS
]


def without_unusable(
    values: list[float], sentinels: Mapping[str, Sentinels] | None = None
) -> tuple[list[float], dict[str, str]]:
    """Readings with NaN in the place of those that cannot be used, and why, by channel.

    Args:
        values: in the order of `sensors.CHANNELS`; what is not finite is missing. (channel,)
        sentinels: of the sensor's device, see `held_sentinels`.
    """
    reasons: dict[str, str] = {}
    for index, (value, (lowest, highest, wrong)) in enumerate(zip(values, _USABLE, strict=True)):
        if value != value or (not sentinels and lowest <= value <= highest and value not in wrong):
            continue  # as nearly always
        channel = CHANNELS[index]
        own = sentinels.get(channel.name, NO_SENTINELS) if sentinels else NO_SENTINELS
        values[index], why = to_reading(value, channel, own)
        if why and math.isfinite(value):
            reasons[channel.name] = why
    return values, reasons


def range_text(channel: Channel) -> str:
    """What `is_outside` takes as possible, for people."""
    return f"{channel.lowest:g} to {channel.highest:g} {channel.unit}"
