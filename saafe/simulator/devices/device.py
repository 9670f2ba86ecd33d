"""A device: what a sensor product or part measures, how well, and when it reports.

A device is a table, as TOML writes it; docs/devices.md says what every field means. What is out of
range is refused with one line that names the field.
"""

import difflib
import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from saafe.errors import InputError
from saafe.recordings import CHANNEL_UNITS, find_unit
from saafe.sensors import CHANNEL_NAMES, CHANNELS, LONGEST_PERIOD_S, Range
from saafe.simulator.aerosols import AEROSOLS
from saafe.windows import DAY_S

PERIODIC, AVERAGED, ON_CHANGE = MODES = ("periodic", "averaged", "on change")
KINDS = ("part", "product", "fitted", "reference")
AEROSOL_NAMES = tuple(aerosol.name for aerosol in AEROSOLS)


@dataclass(frozen=True)
class Reporting:
    """When a channel reports.

    Attributes:
        mode: "periodic" reports what it reads then, "averaged" the mean of the time before, "on
            change" what has changed by `delta`, and all the same after `longest_s`.
        every_s: the period; of "on change" the shortest time between two reports. [s]
        longest_s: of "on change" the longest time between two reports. [s]
        delta: the change that is reported, in the channel's unit.
        average_s: over how long "averaged" takes its mean. [s]
    """

    mode: str = PERIODIC
    every_s: float = 10.0
    longest_s: float = 0.0
    delta: float = 0.0
    average_s: float = 0.0

    @property
    def longest_interval_s(self) -> float:
        """The longest time between two reports of a healthy device. [s]"""
        return max(self.every_s, self.longest_s)


@dataclass(frozen=True)
class DeviceChannel:
    """How a device measures one channel, in the channel's unit.

    Attributes:
        lowest, highest: the rated range; no reading is lower than `lowest`.
        step: between two readings that can be told apart.
        noise: standard deviation of one reading.
        relative_noise: the same as a share of the reading; the larger of both counts.
        response_s: time to 63 % of a change, in its case. [s]
        clip: no reading is higher; `highest` where it is not given.
        floor: readings under it show as `lowest`; 0 for none.
        offset_spread: what units add to the truth: from, to.
        gain_spread: by what share units depart from the truth: from, to.
        vapours: what the cell shows for vapours [ppm per mg/m3]: from, to. A CO2 channel that
            shows any sees nothing else: it is an estimate.
        hydrogen: share of hydrogen's volume that a CO cell shows as CO: from, to.
        kappa: of hygroscopic growth that a particle meter does not dry off: from, to.
        aerosols: what a particle meter shows of each aerosol's mass: from, to; those that are not
            named are drawn from the range of all meters.
        unit: in which it sends its readings where nothing else names one, as `recordings.units`
            calls it; "" for the channel's own, in which all else here is.
        sentinels: what it sends in place of a reading, in the unit that it sends.
        warm_up_s: after power-up, until readings are usable. [s]
        reporting: when it reports.
    """

    lowest: float
    highest: float
    step: float
    noise: float
    response_s: float
    relative_noise: float = 0.0
    clip: float = math.nan
    floor: float = 0.0
    offset_spread: Range = (0.0, 0.0)
    gain_spread: Range = (0.0, 0.0)
    vapours: Range = (0.0, 0.0)
    hydrogen: Range = (0.0, 0.0)
    kappa: Range = (0.0, 0.0)
    aerosols: Mapping[str, Range] = field(default_factory=dict)
    unit: str = ""
    sentinels: tuple[float, ...] = ()
    warm_up_s: float = 0.0
    reporting: Reporting = Reporting()


@dataclass(frozen=True)
class Device:
    """One device: a part, a product, or what was fitted to a recording.

    Attributes:
        name: in the catalogue, or the file's stem.
        title: for people.
        kind: "part", "product", "fitted", or "reference" for the project's own two.
        source: where the figures come from; "memory" where nothing could be looked up.
        memory: which fields are from memory, the others are from the source.
        made_of: names of its parts.
        others: what it measures and saafe does not know.
        notes: what one should know; of a fitted device what the recording could not show.
        self_heat_k: how much its electronics warm its own sensor: from, to. [K]
        lost_share: of its reports that are lost on their way.
        channels: by name, in the order of `sensors.CHANNELS`.
    """

    name: str
    title: str
    kind: str
    source: str
    channels: Mapping[str, DeviceChannel]
    memory: tuple[str, ...] = ()
    made_of: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    self_heat_k: Range = (0.0, 0.0)
    lost_share: float = 0.0

    @property
    def longest_interval_s(self) -> float:
        """The longest time for which a healthy channel may say nothing. [s]"""
        return max(one.reporting.longest_interval_s for one in self.channels.values())


_WORDS = ("title", "kind", "source")
_LISTS = ("memory", "made_of", "others", "notes")
_NUMBERS = {  # allowed of each number of a channel
    "lowest": (-300.0, 1e6), "highest": (-300.0, 1e6), "step": (1e-6, 1e5), "noise": (0.0, 1e5),
    "response_s": (0.1, 7200.0), "relative_noise": (0.0, 10.0), "clip": (-300.0, 1e6),
    "floor": (-300.0, 1e5), "warm_up_s": (0.0, 7 * DAY_S),
}  # fmt: skip
_SPREADS = {
    "offset_spread": (-1e4, 1e4), "gain_spread": (-0.99, 100.0), "vapours": (0.0, 1e5),
    "hydrogen": (0.0, 10.0), "kappa": (0.0, 2.0),
}  # fmt: skip
_TIMES = {
    "every_s": (0.1, LONGEST_PERIOD_S), "longest_s": (0.0, DAY_S), "delta": (0.0, 1e5),
    "average_s": (0.0, LONGEST_PERIOD_S),
}  # fmt: skip
_CHANNEL_FIELDS = tuple(one.name for one in fields(DeviceChannel))
_REPORTING_FIELDS = tuple(one.name for one in fields(Reporting))
_NEEDED = ("lowest", "highest", "step", "noise", "response_s")


def parse_device(table: Mapping[str, Any], name: Any, where: str) -> Device:
    """A device of a table whose parts are merged already.

    Args:
        table: as TOML reads it.
        name: of the device.
        where: what errors begin with, such as the file.

    Raises:
        InputError: a field is unknown, missing or out of range.
    """
    allowed = [*_WORDS, *_LISTS, "self_heat_k", "lost_share", "reporting", "channels"]
    if stray := [key for key in table if key not in allowed and key in _CHANNEL_FIELDS]:
        raise InputError(f"{where}: {stray[0]} is a channel's; write it under its [channels.NAME]")
    _refuse_unknown(table, allowed, where)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise InputError(f'{where}: name is no name; write name = "..."')
    missing = [w for w in _WORDS if not isinstance(table.get(w), str) or not table[w].strip()]
    if missing:
        lines = " and ".join(f'{word} = "..."' for word in missing)
        raise InputError(f"{where}: {missing[0]} is missing; write {lines}")
    if table["kind"] not in KINDS:
        raise InputError(f"{where}: kind = {table['kind']!r}; choose from {', '.join(KINDS)}")
    channels = table.get("channels")
    if not isinstance(channels, Mapping) or not channels:
        raise InputError(
            f"{where}: has no channel; write [channels.NAME] with NAME one of "
            f"{', '.join(CHANNEL_NAMES)}"
        )
    _refuse_unknown(channels, CHANNEL_NAMES, f"{where}: channels")
    usual = _reporting(table.get("reporting", {}), f"{where}: reporting")
    words: dict[str, Any] = {word: table[word].strip() for word in _WORDS}
    words |= {key: _words(table.get(key, []), key, where) for key in _LISTS}
    return Device(
        name=name,
        channels={
            channel: _channel(channels[channel], channel, usual, f"{where}: channels.{channel}")
            for channel in CHANNEL_NAMES
            if channel in channels
        },
        self_heat_k=_spread(table.get("self_heat_k", 0.0), "self_heat_k", (0.0, 50.0), where),
        lost_share=_number(table.get("lost_share", 0.0), "lost_share", (0.0, 0.9), where),
        **words,
    )


def parse_text(text: str, where: str) -> dict[str, Any]:
    """The table of a device file's text."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number or brackets without end
        raise InputError(
            f"{where}: is no TOML ({' '.join(str(error).split())}); `saafe devices show saafe-4` "
            "prints a file to begin with"
        ) from None


def device_from_text(text: str) -> Device:
    """The device that `to_toml` wrote; its name is in the text."""
    table = parse_text(text, "device")
    name = table.pop("name", None)
    return parse_device(table, name, "device")


def _channel(table: Any, name: str, usual: Reporting, where: str) -> DeviceChannel:
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: expected a table, got {table!r}")
    if stray := [key for key in table if key in _REPORTING_FIELDS]:
        raise InputError(
            f"{where}: {stray[0]} is of reporting; write it under its [channels.{name}.reporting]"
        )
    _refuse_unknown(table, _CHANNEL_FIELDS, where)
    if missing := [key for key in _NEEDED if key not in table]:
        raise InputError(f"{where}: {missing[0]} is missing; needed are {', '.join(_NEEDED)}")
    numbers: dict[str, Any] = {
        key: _number(table[key], key, limits, where)
        for key, limits in _NUMBERS.items()
        if key in table
    }
    numbers.setdefault("clip", numbers["highest"])
    channel = CHANNELS[CHANNEL_NAMES.index(name)]
    span = numbers["highest"] - numbers["lowest"]
    if 0.0 < 1.001 * span < numbers["step"]:  # a fitted range may be one step
        raise InputError(
            f"{where}: step = {numbers['step']:g} {channel.unit}: allowed is at most the range, "
            f"{span:g} {channel.unit}; check the unit"
        )
    if not numbers["lowest"] < min(numbers["highest"], numbers["clip"]):
        raise InputError(f"{where}: lowest = {numbers['lowest']:g} must be under highest and clip")
    if numbers["lowest"] >= channel.highest or numbers["clip"] <= channel.lowest:
        raise InputError(
            f"{where}: {numbers['lowest']:g} to {numbers['clip']:g} is outside what is possible: "
            f"{channel.lowest:g} to {channel.highest:g} {channel.unit}; check the unit"
        )
    aerosols = table.get("aerosols", {})
    if not isinstance(aerosols, Mapping):
        raise InputError(f"{where}: aerosols: expected a table, got {aerosols!r}")
    _refuse_unknown(aerosols, AEROSOL_NAMES, f"{where}.aerosols")
    unit = _unit(table.get("unit", ""), name, where)
    sentinels = table.get("sentinels", [])
    if not isinstance(sentinels, list):
        raise InputError(f"{where}: sentinels: expected a list of numbers, got {sentinels!r}")
    reporting = table.get("reporting")
    for key, limits in _SPREADS.items():
        if key in table:
            numbers[key] = _spread(table[key], key, limits, where)
    return DeviceChannel(
        **numbers,
        aerosols={
            key: _spread(aerosols[key], f"aerosols.{key}", (1e-3, 100.0), where)
            for key in AEROSOL_NAMES
            if key in aerosols
        },
        unit=unit,
        sentinels=tuple(_number(one, "sentinels", (-1e9, 1e9), where) for one in sentinels),
        reporting=usual if reporting is None else _reporting(reporting, f"{where}.reporting"),
    )


def _reporting(table: Any, where: str) -> Reporting:
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: expected a table, got {table!r}")
    _refuse_unknown(table, [one.name for one in fields(Reporting)], where)
    mode = table.get("mode", PERIODIC)
    if mode not in MODES:
        raise InputError(f"{where}: mode = {mode!r}; choose from {', '.join(MODES)}")
    of_mode = {
        PERIODIC: ("every_s",),
        AVERAGED: ("every_s", "average_s"),
        ON_CHANGE: ("every_s", "longest_s", "delta"),
    }[mode]
    for key in table:
        if key not in ("mode", *of_mode):
            raise InputError(f"{where}: {key} does not belong to {mode}; its are {of_mode}")
    numbers = {
        key: _number(table[key], key, limits, where)
        for key, limits in _TIMES.items()
        if key in table
    }
    one = Reporting(mode, **numbers)
    if mode == AVERAGED and "average_s" not in numbers:
        one = Reporting(mode, one.every_s, average_s=one.every_s)
    if mode == ON_CHANGE:
        _check_on_change(one, table, where)
    return one


def _check_on_change(one: Reporting, table: Mapping[str, Any], where: str) -> None:
    meant = {
        "delta": "the change that is reported, in the channel's unit",
        "longest_s": "after how many seconds it reports all the same (3600 in many)",
    }
    for key, means in meant.items():
        if key not in table:
            raise InputError(f"{where}: {key} is missing: {means}")
    if one.delta <= 0.0:
        raise InputError(f"{where}: delta = {one.delta:g}: allowed is a number over 0")
    if one.longest_s < one.every_s:
        raise InputError(
            f"{where}: longest_s = {one.longest_s:g} is shorter than every_s = {one.every_s:g}"
        )


def _number(value: Any, key: str, limits: Range, where: str) -> float:
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(
            f"{where}: {key} = {value!r}: allowed is a number from {low:g} to {high:g}"
        )
    return float(value)


def _spread(value: Any, key: str, limits: Range, where: str) -> Range:
    """From, to: of two numbers, or to either side by one; where nothing is below 0, just one."""
    if not isinstance(value, list):
        top = _number(value, key, limits, where)
        return (-top, top) if limits[0] < 0.0 else (top, top)
    if len(value) != 2:
        raise InputError(f"{where}: {key} = {value!r}: expected a number, or [from, to]")
    low, high = (_number(one, key, limits, where) for one in value)
    if low > high:
        raise InputError(f"{where}: {key} = {value!r}: expected [from, to], the smaller one first")
    return low, high


def _unit(value: Any, channel: str, where: str) -> str:
    """The unit that a text names, as saafe writes it; "" for none."""
    found = find_unit(channel, value) if isinstance(value, str) else None
    if found is None and value != "":
        allowed = ", ".join(one.unit for one in CHANNEL_UNITS[channel])
        raise InputError(f"{where}: unit = {value!r}: no unit of {channel}; allowed: {allowed}")
    return found.unit if found else ""


def _words(value: Any, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InputError(f"{where}: {key} = {value!r}: expected a list of words")
    return tuple(value)


def _refuse_unknown(
    table: Mapping[str, Any], known: list[str] | tuple[str, ...], where: str
) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise InputError(f"{where}: {key} is unknown; {hint}")


def device_table(device: Device) -> dict[str, Any]:
    """The device as plain values; fields at their default are left out."""
    table: dict[str, Any] = {"name": device.name}
    table |= {key: getattr(device, key) for key in _WORDS}
    table |= {key: list(getattr(device, key)) for key in _LISTS if getattr(device, key)}
    if any(device.self_heat_k):
        table["self_heat_k"] = list(device.self_heat_k)
    if device.lost_share:
        table["lost_share"] = device.lost_share
    table["channels"] = {name: _channel_table(one) for name, one in device.channels.items()}
    return table


def _channel_table(one: DeviceChannel) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for each in fields(DeviceChannel):
        value = getattr(one, each.name)
        if each.name == "reporting":
            table["reporting"] = {"mode": value.mode} | {
                key: getattr(value, key) for key in _TIMES if getattr(value, key)
            }
        elif each.name == "aerosols":
            if value:
                table["aerosols"] = {key: list(span) for key, span in value.items()}
        elif each.name == "sentinels" or each.name in _SPREADS:
            if value not in ((), (0.0, 0.0)):
                table[each.name] = list(value)
        elif each.name in _NEEDED or each.name == "clip" or value:
            table[each.name] = value
    return table


def to_toml(device: Device) -> str:
    """The text of a device file that stands alone: its parts are merged into it."""
    return "\n".join(_toml_lines(device_table(device), "")) + "\n"


def device_digest(device: Device) -> str:
    """What changes with anything that a device's file says."""
    return hashlib.sha256(to_toml(device).encode()).hexdigest()[:16]


def _toml_lines(table: Mapping[str, Any], path: str) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = ["", f"[{path}]"] if path and plain else []
    lines += [f"{key} = {_toml_value(value)}" for key, value in plain.items()]
    for key, value in inner.items():
        lines += _toml_lines(value, f"{path}.{key}" if path else key)
    return lines


def _toml_value(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return (
            '"'
            + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped)
            + '"'
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return repr(float(value))
