"""How the command line reads recordings: in saafe's format, or as a vendor exported them."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from saafe.cli.output import names_near
from saafe.cli.progress import ProgressLines
from saafe.errors import InputError
from saafe.recordings import Check, Conversion, Recording, parse_units, usual_units

if TYPE_CHECKING:
    from saafe.detector import AlarmSettings

Command = TypeVar("Command", bound=Callable[..., Any])
TRAIN_FIRST = "`saafe train ultra-fast` makes one under runs/ in about 3 minutes"
OPTIONS = (
    click.option("--preset", "presets", metavar="NAME", multiple=True,
                 help="The vendor whose export it is; of a broker, whose topics."),
    click.option("--map", "maps", metavar="COLUMN=CHANNEL", multiple=True,
                 help="A column's channel, CHANNEL@SENSOR, time, sensor or ignore."),
    click.option("--unit", "units", metavar="CHANNEL=UNIT", multiple=True,
                 help="The unit of a channel, such as temperature=F."),
    click.option("--zone", metavar="Z", help="Time zone of times, such as Europe/Berlin."),
    click.option("--decimal", type=click.Choice([".", ","]), help="Decimal sign."),
    click.option("--sensor", metavar="NAME", help="Name of the only sensor."),
)  # fmt: skip


class RunFolder(click.ParamType):
    """The type of RUN: where it is missing, what makes one is said."""

    name = "run folder"

    def get_missing_message(self, *_: Any, **__: Any) -> str:
        """What follows `Missing argument 'RUN'.`"""
        return TRAIN_FIRST


def export_options(command: Command) -> Command:
    """Add the options that say how a vendor's export is read."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class ExportOptions:
    """What `export_options` said; none of it is a recording in saafe's format."""

    presets: tuple[str, ...]
    maps: tuple[str, ...]
    units: tuple[str, ...]
    zone: str | None
    decimal: str | None
    sensor: str | None

    def __bool__(self) -> bool:
        """Whether any was given."""
        return any(vars(self).values())

    def named(self, usual: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
        """The same as `readers.import_recording` takes it; a file is of one vendor.

        `usual` are the units of the device, as a model's settings have them.
        """
        from saafe.readers import parse_columns

        if len(self.presets) > 1:
            raise InputError(
                f"--preset: came {' and '.join(self.presets)}; allowed: one, the vendor whose "
                "export it is; only a broker has topics of several"
            )
        columns, units = parse_columns(self.maps), units_of(usual, self.units)
        return {
            "preset": next(iter(self.presets), None), "columns": columns, "units": units,
            "zone": self.zone, "decimal": self.decimal, "sensor": self.sensor,
        }  # fmt: skip


def units_of(usual: Iterable[tuple[str, str]], told: Iterable[str]) -> dict[str, Conversion]:
    """The units that --unit tells, and of other channels those that the device usually sends."""
    return usual_units(usual) | dict(parse_units(told))


def check_run_folder(path: str) -> None:
    """Say which runs are near, where the one that is named is not there."""
    if not path:  # else the folder in which we are, as of a variable that is not set
        raise InputError("came an empty name; allowed: a run folder, such as runs/my-run")
    folder = Path(path)
    if folder.exists():
        return
    try:
        others = [one.name for one in folder.parent.iterdir() if one.is_dir()]
    except OSError:
        others = []
    if near := names_near(folder.name, others):  # not of the whole path, which is alike for all
        meant = " or ".join(str(folder.parent / name) for name in near)
        raise InputError(f"{path}: no such run folder; did you mean {meant}?")


def check_trained_run(path: str) -> None:
    """Refuse what only detects, where a run with its weights and recipe is needed."""
    check_run_folder(path)
    if what := what_else(Path(path)):
        raise InputError(
            f"{path}: {what}; allowed: a run folder, which holds the trained weights; name "
            f"yours, or train one: {TRAIN_FIRST}"
        )


def check_model(path: str) -> None:
    """Refuse a folder that is no run, and say which file in it is a model, if one is."""
    check_run_folder(path)
    what = what_else(Path(path)) if Path(path).is_dir() else ""  # loading knows files
    if what:
        files = sorted(Path(path).glob("*.onnx"))
        mend = f"name {files[0]}" if files else "name one, or none for saafe's own model"
        raise InputError(f"{path}: {what}; allowed: a run folder or an exported .onnx file; {mend}")


def what_else(path: Path) -> str:
    """What a path is that is no run folder, in words; "" for one and where nothing is.

    A run that is not finished has its recipe alone.
    """
    try:
        names = [one.name for one in path.iterdir()]
    except NotADirectoryError:
        return "is an exported model" if path.suffix.lower() == ".onnx" else "is a file"
    except OSError:  # it is not there, or closed: loading says it
        return ""
    if "model.safetensors" in names or "recipe.json" in names:
        return ""
    if any(re.fullmatch(r".+\.onnx|export-\w+\.json", name) for name in names):
        return "is a folder of exported files"
    return "has no model.safetensors, so it is no run"


def load_for(model: str | None, device: str | None) -> Any:
    """The model that is named, saafe's own for None, with the thresholds of a device.

    Where they have to be set, that is said; and where the device shows particles alone, by which
    its thresholds find next to no fire (docs/devices.md).
    """
    from saafe.loading import load_model
    from saafe.simulator import devices

    if model is not None:
        check_model(model)
    with ProgressLines() as say:
        loaded = load_model(model, device=device, say=say)
    known = None if device in (None, devices.ANYTHING) else devices.load_device(device)
    if known and [*known.channels] == ["pm25"]:
        click.echo(
            f"note: {device} shows particles alone, which hardly tell a fire from a spray or a "
            "shower: it finds next to none; take one that shows temperature or a gas too",
            err=True,
        )
    return loaded


def refuse_unreadable(
    paths: Sequence[str], reading: ExportOptions, device: str | None, *, repair: bool
) -> None:
    """Refuse the only recording that is named before thresholds are set for it, for minutes.

    Of several one may be unreadable.
    """
    from saafe.readers import read_recorded
    from saafe.simulator import devices

    if device in (None, devices.ANYTHING) or len(paths) != 1:
        return
    if Path(paths[0]).exists() and not Path(paths[0]).is_file():
        return  # a pipe can be read once
    sends = devices.sends_of(devices.load_device(device))
    export = reading.named(sends["units"]) if reading else None
    read_recorded(Path(paths[0]), export, repair=repair, takes_options=True, **sends)


def read_any(
    path: Path, reading: ExportOptions, *, repair: bool, longest_interval_s: float | None = None,
    settings: "AlarmSettings | None" = None,
) -> tuple[Recording, Check]:  # fmt: skip
    """Read a recording; of one that is refused say how it can be imported, where it can.

    What is guessed of an export is shown on stderr before it is used. A model's settings say what
    its device sends.
    """
    from saafe.readers import read_recorded

    usual, sentinels = (settings.units, settings.sentinels) if settings else ((), ())
    export = reading.named(usual) if reading else None
    return read_recorded(
        path, export, repair=repair, longest_interval_s=longest_interval_s, sentinels=sentinels,
        units=usual, say=lambda line: click.echo(line, err=True), takes_options=True,
    )  # fmt: skip
