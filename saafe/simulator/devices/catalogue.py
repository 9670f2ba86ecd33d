"""The catalogue of devices: one TOML file each, in `data/`, and the files that users write."""

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from saafe.errors import InputError, check_type
from saafe.files import read_file
from saafe.simulator.devices.device import Device, parse_device, parse_text
from saafe.simulator.devices.sending import refuse_ends

ANYTHING = "anything"  # no device: instruments of wide ranges, see `simulator.instruments`
GENERAL = "general"  # the catalogue and anything beside it, see `drawing.draw_general`
FOLDER = Path(__file__).parent / "data"
SUFFIX = ".toml"


@cache
def device_names() -> tuple[str, ...]:
    """Names of the catalogue's devices, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}")))


DEVICES = device_names()


def load_device(device: str | Path | Device) -> Device:
    """A device by its name in the catalogue or by the path of its TOML file.

    Args:
        device: name or path; a Device is returned as it is.

    Raises:
        InputError: there is none of that name, or the file does not say what it should.

    Example:
        >>> from saafe.simulator import devices
        >>> devices.load_device("saafe-6").channels["temperature"].response_s
        120.0
    """
    if isinstance(device, Device):
        return device
    takes = "a name of `saafe devices list`, the path of a device file, or a Device"
    check_type(device, str | Path, f"device: takes {takes}")
    device = str(device)
    if device in device_names():
        return _from_catalogue(device)
    path = Path(device)
    if path.suffix.lower() != SUFFIX:
        near = _names_near(device, most=3, alike=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "`saafe devices list` names them"
        raise InputError(f"device {device}: unknown; {hint}; a file's name ends in {SUFFIX}")
    return _read(path, path.stem)


@cache
def _from_catalogue(name: str) -> Device:
    return _read(FOLDER / f"{name}{SUFFIX}", name)


def _read(path: Path, name: str) -> Device:
    where = name if path.parent == FOLDER else str(path)
    table = merged(_table_of(path, where), where, ())
    device = parse_device(table, table.pop("name", name), where)
    if device.name in (ANYTHING, GENERAL):  # its exam would take the place of theirs
        raise InputError(f"{where}: name = {device.name!r} stands for many devices; choose another")
    refuse_ends(device, where)
    return device


def _names_near(name: str, *, most: int, alike: float = 0.6) -> list[str]:
    """Names of the catalogue that one may have meant: a chip goes without its maker, `sht41`."""
    parts = [known for known in device_names() if f"-{name}-" in f"-{known}-"]
    near = difflib.get_close_matches(name, device_names(), n=most, cutoff=alike)
    return list(dict.fromkeys(parts + near))[:most]


def _table_of(path: Path, where: str) -> dict[str, Any]:
    try:
        return parse_text(read_file(path).decode("utf-8-sig"), where)
    except FileNotFoundError:
        raise InputError(f"{where}: no such device file") from None
    except UnicodeDecodeError:
        raise InputError(f"{where}: is no text, so no device file") from None


def merged(table: dict[str, Any], where: str, above: tuple[str, ...]) -> dict[str, Any]:
    """A device's table with the channels of its parts, which its own fields override.

    Parts are names of the catalogue; of two that have the same channel the later one counts.
    `without` names channels of parts that the device does not show. A device's own `reporting`
    takes the place of its parts'.
    """
    names = table.pop("parts", [])
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise InputError(f"{where}: parts = {names!r}: expected a list of the catalogue's names")
    channels: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    for name in names:
        if name in above:
            raise InputError(f"{where}: is a part of itself")
        if name not in device_names():
            near = _names_near(name, most=1)
            hint = f"did you mean {near[0]}?" if near else "`saafe devices list` names its parts"
            raise InputError(f"{where}: part {name!r} is not in the catalogue; {hint}")
        part = merged(_table_of(FOLDER / f"{name}{SUFFIX}", name), name, (*above, name))
        usual = part.get("reporting")
        for channel, values in part["channels"].items():
            own = dict(values)
            if "reporting" in table:
                own.pop("reporting", None)
            elif usual is not None:
                own.setdefault("reporting", usual)
            channels[channel] = own
        if "self_heat_k" in part:
            whole["self_heat_k"] = part["self_heat_k"]
    without = table.pop("without", [])
    for channel in without if isinstance(without, list) else [without]:
        if not isinstance(channel, str) or channel not in channels:
            raise InputError(f"{where}: without = {channel!r}: no part has that channel")
        del channels[channel]
    mine = table.get("channels", {})
    if not isinstance(mine, Mapping):
        raise InputError(f"{where}: channels: expected tables [channels.NAME]")
    for channel, values in mine.items():
        over = values if isinstance(values, Mapping) else {}
        if over is not values:
            raise InputError(f"{where}: channels.{channel}: expected a table, got {values!r}")
        channels[channel] = {**channels.get(channel, {}), **over}
    if names:
        table.setdefault("made_of", names)
    return {**whole, **table, "channels": channels}
