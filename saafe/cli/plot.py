"""`saafe plot`."""

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from saafe.cli.output import print_json
from saafe.cli.progress import Busy
from saafe.cli.reading import ExportOptions, export_options, load_for, read_any
from saafe.errors import InputError
from saafe.recordings import RECORDING_SUFFIXES, Recording

RECORDING_ENDS = (*RECORDING_SUFFIXES, ".gz")


@click.command("plot")
@click.argument("what", metavar="RECORDING|RUN|DEVICE")
@click.option("--out", type=click.Path(path_type=Path), help="Picture to write, .png or .svg.")
@click.option("--model", metavar="MODEL", help="Whose risk to draw; saafe's own by default.")
@click.option("--device", metavar="NAME|FILE",
              help="Whose thresholds the model takes; see saafe devices.")  # fmt: skip
@click.option("--between", nargs=2, type=float, metavar="FROM TO", help="Draw these hours only.")
@click.option("--repair", is_flag=True, help="Mend the order of a file's rows first.")
@click.option("--json", "as_json", is_flag=True, help="Print what was drawn as JSON.")
@export_options
def plot_command(
    what: str, out: Path | None, model: str | None, device: str | None,
    between: tuple[float, float] | None, repair: bool, as_json: bool, **reading: Any,
) -> None:  # fmt: skip
    """Draw a recording, a run or a device: in the terminal, or into a picture with --out.

    A recording shows its channels, what its labels say, the risk, alarms, and reference alarms
    where a file beside it knows them. A run shows its training and its exam. A device shows how it
    answers a step, and what it reports of a simulated fire and of cooking beside the truth.

    Example: saafe plot kitchen.csv --out kitchen.png
    """
    from saafe.simulator import devices

    options = ExportOptions(**reading)
    with Busy(f"drawing {what}"):  # a run is known by what imports torch
        kind = kind_of(what)
    readings = None
    if kind == "recording":
        readings, check = read_any(Path(what), options, repair=repair)
        for line in check.lines():
            click.echo(line, err=True)
    elif model or device or between or repair or options:
        raise InputError(f"{what}: is no recording; --model, --between and the like are of those")
    elif kind == "device":
        devices.load_device(what)
    click.echo(f"drawing {what}", err=True)
    from saafe import pictures  # imports torch, which takes seconds

    if out is not None:
        pictures.check_picture_path(out)
    if readings is not None:
        picture = recording_picture(what, readings, (model, device), between)
    elif kind == "run":
        picture = pictures.picture_of_run(Path(what))
    else:
        with Busy("simulating a fire and a cooking"):
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
    from saafe.pictures import is_run_folder
    from saafe.simulator import devices

    path = Path(what)
    if path.is_dir():
        if is_run_folder(path):
            return "run"
        raise InputError(f"{what}: is a folder, but no run; name one of the recordings in it")
    if what.lower().endswith(RECORDING_ENDS):
        return "recording"
    if what in devices.device_names() or what.lower().endswith(".toml"):
        return "device"
    if path.is_file():
        return "recording"  # the reader says what is wrong with it
    if "/" in what:
        raise InputError(f"{what}: there is no such file and no such run")
    devices.load_device(what)  # says which names are near
    return "device"


def recording_picture(
    what: str, readings: Recording, chosen: tuple[str | None, str | None],
    between: tuple[float, float] | None,
) -> Any:  # fmt: skip
    """Draw a recording, with a bar of progress; chosen are the model and the device."""
    from saafe.pictures import picture_of_recording

    model, device = chosen
    loaded = load_for(model, device)
    with click.progressbar(length=1000, label=what, file=sys.stderr,
                           hidden=not sys.stderr.isatty()) as bar:  # fmt: skip
        return picture_of_recording(
            Path(what),
            readings,
            loaded,
            device=device,
            between_h=between,
            on_progress=lambda share: bar.update(int(1000 * share) - bar.pos),
        )
