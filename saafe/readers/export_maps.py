"""What whoever imports says of columns: `--map COLUMN=CHANNEL`, or `COLUMN=CHANNEL@SENSOR`."""

import re
from collections.abc import Iterable, Mapping, Sequence

from saafe.errors import InputError, as_given, check_type
from saafe.recordings import quoted
from saafe.sensors import CHANNEL_NAMES

TARGETS = ("time", "sensor", "ignore", *CHANNEL_NAMES)
AT = "@"  # behind it stands the sensor that a column's readings are of
_ALLOWED = f"{', '.join(TARGETS)}, or a channel of a named sensor, such as temperature@kitchen"


def parse_columns(texts: Iterable[str]) -> dict[str, str]:
    """What texts such as `Temp (F)=temperature@kitchen` say: column or entity -> what it is.

    Raises:
        InputError: for a text without "=", an unknown target, or a column that comes twice.
    """
    found: dict[str, str] = {}
    given = as_given("--map", "columns")
    for text in texts:
        column, sign, target = (part.strip() for part in text.rpartition("="))
        if not sign or not _is_target(target):
            allowed = f"COLUMN=CHANNEL, of {_ALLOWED}"
            raise InputError(f"{given} {text}: no channel {target!r}; allowed: {allowed}")
        if column in found:
            raise InputError(f"{given} {text}: {column} came twice; allowed: each column once")
        found[column] = target
    return found


def mapping(column: str, target: str) -> str:
    """How whoever reads an error says what a column is."""
    word = f"{column}={target}"
    option = word if re.fullmatch(r"[\w=./@-]+", word) else f'"{word}"'
    return as_given(f"--map {option}", f"columns={{{column!r}: {target!r}}}")


def check_columns(columns: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What columns are, and whose those are of which a sensor is named.

    Raises:
        InputError: one of them is nothing that a column can be.
    """
    check_type(columns, Mapping, 'columns: takes {"Temp (F)": "temperature"}')
    for column, target in columns.items():
        if not isinstance(target, str) or not _is_target(target):
            came = f"columns: {quoted(column)} is {quoted(target)}"
            raise InputError(f"{came}; allowed: {_ALLOWED}")
    parts = {column: target.partition(AT) for column, target in columns.items()}
    kinds = {column: kind for column, (kind, _, _) in parts.items()}
    return kinds, {column: sensor.strip() for column, (_, _, sensor) in parts.items() if sensor}


def _is_target(text: str) -> bool:
    """Whether a text says what a column is."""
    kind, sign, sensor = text.partition(AT)
    return kind in CHANNEL_NAMES and bool(sensor.strip()) if sign else kind in TARGETS


def without_unit(name: str) -> tuple[str, str]:
    """A name without the brackets that it ends in, and what stands in them, "" for nothing."""
    found = re.fullmatch(r"(.*?)\s*[(\[]([^()\[\]]*)[)\]]\s*", name)
    return (found[1], found[2].strip()) if found else (name, "")


def as_in_header(columns: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """What is said of columns, by the header's names: brackets with a unit may be left out.

    A row of units below the header joins the names, so no file shows them so.
    """
    named = {}
    for column, target in columns.items():
        longer = [name for name in names if without_unit(name)[0] == column]
        is_short = column not in names and len(longer) == 1
        named[longer[0] if is_short else column] = target
    return named
