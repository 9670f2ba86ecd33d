"""Units that readings may come in, and what turns each into its channel's own.

A new unit is one row of `CHANNEL_UNITS`.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from saafe.errors import InputError, as_given, check_type
from saafe.sensors import CHANNELS

# [l/mol] of air at 25 degC and 1,013 hPa: mg/m3 of a gas is ppm times its g/mol over this
AIR_L_MOL = 24.45
CO2_G_MOL, CO_G_MOL = 44.01, 28.01

Reading = TypeVar("Reading", float, np.ndarray)


@dataclass(frozen=True)
class Conversion:
    """A unit, and the line that leads from it to the channel's own unit."""

    unit: str  # as it is named to people and on the command line
    factor: float = 1.0
    shift: float = 0.0
    also: tuple[str, ...] = ()  # other ways to write it
    # what a device usually sends: it gives way to any that is named
    is_usual: bool = field(default=False, repr=False)

    def apply(self, values: Reading) -> Reading:
        """Readings `(...)` of this unit in the channel's own; NaN stays."""
        return values * self.factor + self.shift


_PER_CENT = ("pct", "percent", "prozent", "%rh", "rh%", "% rh", "%r.h.")
_MASS = ("mcg/m3", "ugm3", "ug per m3", "micrograms per cubic meter", "ug/m^3")
_SHARE = ("mol/mol", "mole fraction", "m3/m3")
# channel -> its units, its own first
CHANNEL_UNITS: dict[str, tuple[Conversion, ...]] = {
    "temperature": (
        Conversion("C", also=("degC", "deg C", "celsius", "degrees celsius")),
        Conversion("F", 5 / 9, -160 / 9, also=("degF", "deg F", "fahrenheit")),
        Conversion("K", 1.0, -273.15, also=("kelvin",)),
        Conversion("deci-degrees", 0.1, also=("dC", "0.1C")),
        Conversion("centi-degrees", 0.01, also=("cC", "0.01C")),
        Conversion("milli-degrees", 0.001, also=("mC", "0.001C")),
    ),
    "pm25": (
        Conversion("ug/m3", also=_MASS),
        Conversion("mg/m3", 1e3, also=("mg/m^3", "mgm3")),
    ),
    "co2": (
        Conversion("ppm", also=("ppmv", "umol/mol")),
        Conversion("%", 1e4, also=("vol%", "vol %", "pct", "percent")),
        Conversion("fraction", 1e6, also=_SHARE),
        Conversion("ppb", 1e-3, also=("ppbv", "nmol/mol")),
        Conversion("mg/m3", AIR_L_MOL / CO2_G_MOL, also=("mg/m^3", "mgm3")),
        Conversion("ug/m3", 1e-3 * AIR_L_MOL / CO2_G_MOL, also=_MASS),
    ),
    "sound": (Conversion("dB", also=("dBA", "dB(A)", "dB A", "dB SPL", "decibel")),),
    "co": (
        Conversion("ppm", also=("ppmv", "umol/mol")),
        Conversion("ppb", 1e-3, also=("ppbv", "nmol/mol")),
        Conversion("mg/m3", AIR_L_MOL / CO_G_MOL, also=("mg/m^3", "mgm3")),
        Conversion("ug/m3", 1e-3 * AIR_L_MOL / CO_G_MOL, also=_MASS),
        Conversion("%", 1e4, also=("vol%", "vol %", "pct", "percent")),
        Conversion("fraction", 1e6, also=_SHARE),
    ),
    "humidity": (
        Conversion("%", also=_PER_CENT),
        Conversion("fraction", 100.0),
        Conversion("centi-percent", 0.01, also=("0.01%",)),
    ),
}


def plain(text: str) -> str:
    """Text in small ASCII letters where it can be: no degree sign, micro as u, 3 for a cube."""
    text = unicodedata.normalize("NFKC", text).replace("°", "").replace("º", "")
    # Latin-1 text read as UTF-8, or the reverse, leaves these before a degree or micro sign
    return text.replace("μ", "u").replace("Â", "").replace("\ufffd", "").strip().lower()


_BY_TEXT = {
    channel: {plain(text): unit for unit in units for text in (unit.unit, *unit.also)}
    for channel, units in CHANNEL_UNITS.items()
}


def find_unit(channel: str, text: str) -> Conversion | None:
    """The unit of a channel that a text names, in any usual writing; None where it names none."""
    return _BY_TEXT[channel].get(re.sub(r"\s+", " ", plain(text)))


def unit_texts(channel: str) -> tuple[str, ...]:
    """All writings of a channel's units, plain, the longest first."""
    return tuple(sorted(_BY_TEXT[channel], key=lambda text: -len(text)))


def parse_units(texts: Iterable[str]) -> Mapping[str, Conversion]:
    """What texts such as `temperature=F` say: channel -> the conversion of its readings.

    Args:
        texts: `CHANNEL=UNIT`, each channel at most once.

    Raises:
        InputError: for an unknown channel or unit, or a channel that comes twice.
    """
    found: dict[str, Conversion] = {}
    given = as_given("--unit", "units")
    for text in texts:
        channel, _, unit = (part.strip() for part in text.partition("="))
        if channel in found:
            raise InputError(f"{given} {text}: {channel} came twice; allowed: one unit a channel")
        found[channel] = _to_conversion(f"{given} {text}", channel, unit, "{}={}")
    return found


def usual_units(units: Iterable[tuple[str, str]]) -> dict[str, Conversion]:
    """The conversions of a device's units, a channel and its unit each, by channel.

    They give way to units that a column, a cell, a message or a user names.
    """
    found = to_conversions(dict(units))
    return {channel: replace(unit, is_usual=True) for channel, unit in found.items()}


def to_conversions(units: Mapping[str, Conversion | str]) -> dict[str, Conversion]:
    """Units by channel, given by name or as conversions.

    Raises:
        InputError: for an unknown channel, or for what is no unit of it.
    """
    check_type(units, Mapping, 'units: takes {"temperature": "F"}')
    return {
        channel: _to_conversion("units", channel, unit, '"{}": "{}"')
        for channel, unit in units.items()
    }


def _to_conversion(came: str, channel: str, unit: Conversion | str, form: str) -> Conversion:
    """The unit that a channel is given in; refused, with the form in which it is given."""
    if channel not in CHANNEL_UNITS:
        allowed = ", ".join(c.name for c in CHANNELS)
        raise InputError(f"{came}: no channel {channel!r}; allowed: {allowed}")
    found = find_unit(channel, unit) if isinstance(unit, str) else unit
    if not isinstance(found, Conversion):
        allowed = ", ".join(form.format(channel, unit.unit) for unit in CHANNEL_UNITS[channel])
        raise InputError(f"{came}: no unit {unit!r} of {channel}; allowed: {allowed}")
    return found
