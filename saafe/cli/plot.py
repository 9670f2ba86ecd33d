"""`saafe plot`."""

import re
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from saafe.cli.output import names_near, print_json
from saafe.cli.progress import Busy
from saafe.cli.reading import ExportOptions, export_options, load_for, read_any
from saafe.errors import InputError
from saafe.recordings import RECORDING_SUFFIXES, times_with_readings

RECORDING_ENDS = (*RECORDING_SUFFIXES, ".gz")


BETWEEN_HELP = (
    "Draw this part only: hours from the first row, minutes such as 90min, or clock times."
)
UNITS_H = {"": 1.0, "s": 1 / 3600, "min": 1 / 60, "h": 1.0, "d": 24.0}


class PartCommand(click.Command):
    """A command whose --between takes `10 30` or `10..30`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the one word into two."""
        split: list[str] = []
        for word in args:
            name, _, value = word.partition("=")
            if name == "--between" and value:
                split.append(name)
                word = value
            is_range = bool(split) and split[-1] == "--between" and ".." in word
            split += word.split("..", 1) if is_range else [word]
        return super().parse_args(ctx, split)


@click.command("plot", cls=PartCommand)
@click.argument("what", metavar="RECORDING|RUN|DEVICE")
@click.option("--out", type=click.Path(path_type=Path), help="Picture to write, .png or .svg.")
@click.option("--model", metavar="MODEL", help="Whose risk to draw; saafe's own by default.")
@click.option("--device", metavar="NAME|FILE",
              help="Whose thresholds the model takes; see saafe devices.")  # fmt: skip
@click.option("--between", nargs=2, metavar="FROM TO", help=BETWEEN_HELP)
@click.option("--repair", is_flag=True, help="Mend the order of a file's rows first.")
@click.option("--json", "as_json", is_flag=True, help="Print what was drawn as JSON.")
@export_options
def plot_command(
    what: str, out: Path | None, model: str | None, device: str | None,
    between: tuple[str, str] | None, repair: bool, as_json: bool, **reading: Any,
) -> None:  # fmt: skip
    """Draw a recording, a run or a device: in the terminal, or into a picture with --out.

    A recording shows its channels, what its labels say, the risk, alarms, and reference alarms
    where a file beside it knows them. A run shows its training and its exam. A device shows how it
    answers a step, and what it reports of a simulated fire and of cooking beside the truth.

    --between takes hours (10 12, or 10..12), minutes (90min 2h), and clock times (07:30 09:00, or
    2026-03-01T07:30) where the recording has dates.

    Example: saafe plot kitchen.csv --out kitchen.png
    """
    from saafe.simulator import devices

    options = ExportOptions(**reading)
    with Busy(f"drawing {what}"):
        kind = kind_of(what)
    readings = None
    if kind == "recording":
        known = None if device in (None, devices.ANYTHING) else devices.load_device(device)
        pause_s = known.longest_interval_s if known else None
        readings, check = read_any(
            Path(what), options, repair=repair, longest_interval_s=pause_s or None
        )
        for line in check.lines():
            click.echo(line, err=True)
    elif model or device or between or repair or options:
        raise InputError(f"{what}: is no recording; --model, --between and the like are of those")
    elif kind == "device":
        devices.load_device(what)
        import_module("torch")  # likewise
    with Busy(f"drawing {what}"):
        from saafe import pictures

    if out is not None:
        pictures.check_picture_path(out)
    loaded: Any = None if readings is None else load_for(model, device)
    with Busy(f"drawing {what}") as busy:
        if readings is not None:
            part = (
                None
                if between is None
                else asked_hours(between, readings.start, times_with_readings(readings) / 3600.0)
            )
            picture = pictures.picture_of_recording(
                Path(what), readings, loaded, device=device, between_h=part,
                on_progress=busy.reached,
            )  # fmt: skip
        elif kind == "run":
            picture = pictures.picture_of_run(Path(what))
        else:
            picture = pictures.picture_of_device(what)
        if out is not None:
            pictures.save_picture(picture, out)
        encoding = (sys.stdout.encoding or "ascii").lower()
        text = "\n".join(
            pictures.picture_lines(
                picture, width=shutil.get_terminal_size((80, 24)).columns,
                ascii_only=not encoding.startswith("utf"),
            )
        )  # fmt: skip
    if as_json:
        told = picture.to_dict() | {"file": None if out is None else str(out)}
        print_json(told if out is not None else told | {"text": text})
    elif out is not None:
        click.echo(f"{out}: {picture.title}; {', '.join(picture.panels)}")
    else:
        click.echo(text)


def kind_of(what: str) -> str:
    """Whether a word names a recording, a run's folder or a device.

    Raises:
        InputError: it is a folder that is no run, or a file that is none of them.
    """
    from saafe.simulator import devices

    path = Path(what)
    if path.is_dir():
        import_module("torch")  # where it is missing, the extra is named that has all of a run's
        from saafe.pictures import is_run_folder

        if is_run_folder(path):
            return "run"
        raise InputError(f"{what}: is a folder, but no run; name one of the recordings in it")
    if what.lower().endswith(RECORDING_ENDS):
        return "recording"
    if path.suffix.lower() == ".onnx":
        raise InputError(
            f"{what}: is an exported model, which has no picture; draw the run that it came from, "
            f"or what it says of a recording: saafe plot RECORDING --model {what}"
        )
    if what in devices.device_names() or what.lower().endswith(".toml"):
        return "device"
    if path.is_file():
        return "recording"  # the reader says what is wrong with it
    if "/" in what:
        raise InputError(f"{what}: there is no such file and no such run")
    near = " or ".join(names_near(what, devices.device_names()))
    hint = f"did you mean {near}?" if near else "`saafe devices list` names devices"
    raise InputError(f"{what}: no such recording, run folder or device; {hint}")


def asked_hours(
    between: tuple[str, str], start: datetime | None, spoken_h: Iterable[float] = ()
) -> tuple[float, float]:
    """Hours from the first row, at `start`, to the two moments of --between.

    A clock time without a date is the first one from the first row on, and the first after FROM.
    Two of them name the first day on which there are readings between them, at `spoken_h`.
    """
    begin, end = (asked_hour(text, start, between) for text in between)
    if ":" in between[1] and "-" not in between[1] and end <= begin:
        end = begin + ((end - begin) % 24.0 or 24.0)  # no loop: FROM may be any number
    if all(":" in text and "-" not in text for text in between):
        passed = (hour - begin for hour in spoken_h if hour >= begin)
        days = next((hours // 24.0 for hours in passed if hours % 24.0 <= end - begin), 0.0)
        begin, end = begin + 24.0 * days, end + 24.0 * days
    return begin, end


def asked_hour(text: str, start: datetime | None, between: tuple[str, str]) -> float:
    """Hours from the first row, at `start`, to a moment as somebody wrote it.

    Raises:
        InputError: it is none, or a clock time while the recording has none.
    """
    said = f"--between {' '.join(between)}"
    if found := re.fullmatch(r"([-+]?[\d.]{1,20})\s*(s|min|h|d|)", text.strip()):
        with suppress(ValueError):
            return float(found[1]) * UNITS_H[found[2]]
    is_clock = re.fullmatch(r"\d\d?:\d\d(:\d\d)?", text)
    padded = 3 * text.count(":") + 2  # 7:30 is 07:30
    try:
        stamp = datetime.fromisoformat(f"2000-01-01T{text:0>{padded}}" if is_clock else text)
    except ValueError:
        raise InputError(
            f"{said}: allowed are hours from the first row (10 12), other units (90min 2h) and "
            f"clock times (07:30 09:00, 2026-03-01T07:30); {text} is none of them"
        ) from None
    if start is None:
        raise InputError(f"{said}: the recording has no clock times; write hours from its first "
                         "row (10 12), or minutes (90min 120min)")  # fmt: skip
    if is_clock:
        stamp = datetime.combine(start.date(), stamp.time())
    if stamp.tzinfo is None or start.tzinfo is None:  # a time without an offset is the recording's
        stamp = stamp.replace(tzinfo=start.tzinfo)
    hours = (stamp - start).total_seconds() / 3600.0
    return hours % 24.0 if is_clock else hours
