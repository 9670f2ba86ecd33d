"""`saafe tune`."""

import signal
import sys
from pathlib import Path

import click

from saafe.cli.output import print_json
from saafe.cli.progress import ProgressLines, starting
from saafe.cli.reading import RunFolder, check_trained_run
from saafe.cli.rooms import show_rooms
from saafe.cli.train import raise_interrupt


@click.command("tune")
@click.argument("run", type=RunFolder())
@click.option("--on", "on", required=True, metavar="FOLDER",
              help="Your recordings without a fire, or annotated sets.")  # fmt: skip
@click.option("--false-alarms-per-year", "per_year", type=float,
              help="Thresholds keep this budget, in simulations too.")  # fmt: skip
@click.option("--out", default="runs", show_default=True, help="Folder for the new run's folder.")
@click.option("--name", default=None, help="Name of the new run's folder.")
@click.option("--resume", is_flag=True, help="Go on where a stopped tuning ended.")
@click.option("--strict", is_flag=True, help="Exit 3 if the quick gate fails.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def tune_command(
    run: str, on: str, per_year: float | None, out: str, name: str | None, resume: bool,
    strict: bool, as_json: bool,
) -> None:  # fmt: skip
    """Tune the trained RUN on your own rooms, and say what it does on days held out.

    RUN stays as it is; the tuned run gets a folder of its own.

    Example: saafe tune runs/my-run --on my_rooms
    """
    signal.signal(signal.SIGTERM, raise_interrupt)
    with starting():
        from saafe import own_rooms, training_run
        from saafe.training import load

    def say(line: str) -> None:
        click.echo(line, err=True)

    own_rooms.check_asked(per_year)
    check_trained_run(run)
    general = load(run)
    rooms = own_rooms.read_rooms(on, say, sentinels=general.settings.sentinels)
    if not resume:
        name = name or own_rooms.tuned_name(general.recipe)
    folder = training_run.open_folder(general.recipe, Path(out), name, resume=resume)
    say(f"run folder: {folder}")
    own_rooms.note_asked(folder, rooms, per_year, resume=resume, model=general.identity)
    try:
        with ProgressLines() as say_on:
            result = own_rooms.tune_in(folder, general, rooms, per_year, on_progress=say_on)
    except KeyboardInterrupt:
        budget = "" if per_year is None else f" --false-alarms-per-year {per_year:g}"
        raise KeyboardInterrupt(
            f"stopped; continue with: saafe tune {run} --on {on}{budget} --out {out} --name "
            f"{folder.name} --resume"
        ) from None
    if as_json:
        print_json(result)
    else:
        show_rooms(result)
    if strict and not result["gate"]["passed"]:
        sys.exit(3)
