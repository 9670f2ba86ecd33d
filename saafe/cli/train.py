"""`saafe train`."""

import signal
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from saafe import recipes
from saafe.cli.output import names_like, print_json
from saafe.cli.progress import Busy, ProgressLines, starting
from saafe.cli.rooms import show_rooms
from saafe.errors import InputError
from saafe.formats import clock

SETTING_THRESHOLDS = "setting thresholds on simulated streams"
NEXT_OR_THRESHOLDS = f"training the next epoch, or {SETTING_THRESHOLDS}"  # after an early stop
SOON_S, EARLY_STOP_S = 0.5, 20.0  # silence after the last epoch, and after one that may be the last


class Reporter:
    """Shows how training goes: a bar on a terminal, a line an epoch elsewhere, all on stderr."""

    def __init__(self) -> None:
        """Look whether somebody watches."""
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.waiting: Busy | None = None
        self.lines = ProgressLines()

    def __call__(self, at) -> None:
        """Show one epoch's Progress, and then how long what follows takes."""
        self.end_waiting()
        is_last = at.epoch == at.epochs
        if not self.console.is_terminal:
            then = ", then thresholds and the exam" if is_last else ""
            click.echo(
                f"epoch {at.epoch}/{at.epochs} step {at.step}/{at.steps} loss {at.loss:.4f} "
                f"accuracy {at.accuracy:.3f} samples/s {at.samples_per_s:.0f} left "
                f"{clock(at.left_s)}{then}", err=True,
            )  # fmt: skip
            self.wait_for_next(at)
            return
        left = "now thresholds and the exam" if is_last else f"{clock(at.left_s)} left"
        # what a narrow terminal cuts stands last
        text = (
            f"epoch {at.epoch}/{at.epochs}, {left}, loss {at.loss:.3f}, accuracy {at.accuracy:.3f}"
        )
        if is_last:
            self.close()
            click.echo(text, err=True)
            self.wait_for_next(at)
            return
        if self.bar is None:
            self.bar = Progress(
                BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"),
                console=self.console,
            )  # fmt: skip
            self.bar.start()
            self.task = self.bar.add_task("", total=at.epochs)
        self.bar.update(self.task, completed=at.epoch, description=text)

    def begin(self) -> None:
        """Say for how long the first epoch, which simulates first, has been at it."""
        self.wait(Busy("simulating, and training the first epoch"))

    def wait_for_next(self, at) -> None:
        """Say what goes on where no epoch follows soon: after the last, or an early stop."""
        usual_s = at.left_s / max(at.epochs - at.epoch, 1)  # an epoch took so long
        silent_s = SOON_S if at.epoch == at.epochs else max(3.0 * usual_s, EARLY_STOP_S)
        what = SETTING_THRESHOLDS if at.epoch == at.epochs else NEXT_OR_THRESHOLDS
        self.wait(Busy(what, silent_s=silent_s))

    def wait(self, busy: Busy) -> None:
        """Say what goes on from now on, and nothing of what went on before."""
        self.end_waiting()
        self.lines.stop()  # of recordings that were read before
        self.waiting = busy.start()

    def set_share(self, share: float) -> None:
        """Take the share of the thresholds' time that is over."""
        if self.waiting is not None:
            self.waiting.reached(share)

    def end_waiting(self) -> None:
        """Something came."""
        if self.waiting is not None:
            self.waiting.stop()
            self.waiting = None

    def say(self, line: str) -> None:
        """Print a line of the exam, which follows the training."""
        self.close()
        self.lines(line)

    def close(self) -> None:
        """End the bar, and what is waited for."""
        self.end_waiting()
        self.lines.stop()
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def raise_interrupt(_signal, _frame) -> None:
    """Treat SIGTERM as Ctrl-C: the last epoch's checkpoint stands."""
    raise KeyboardInterrupt


def complete_tier(_context: click.Context, _argument: click.Parameter, word: str) -> list[str]:
    """Tiers that begin with a word."""
    return names_like(word, recipes.TIERS)


@click.command("train")
@click.argument("tier", default="ultra-fast", shell_complete=complete_tier)
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change the recipe.")
@click.option(
    "--on",
    metavar="FOLDER",
    help="Your recordings without a fire, or annotated sets: tune on them as well.",
)
@click.option("--false-alarms-per-year", "per_year", type=float,
              help="With --on: thresholds keep this budget, in simulations too.")  # fmt: skip
@click.option("--out", default="runs", show_default=True, help="Folder for the run's folder.")
@click.option("--name", default=None, help="Name of the run's folder.")
@click.option("--seed", type=int, help="Of everything random; 0 where not given.")
@click.option("--resume", is_flag=True, help="Go on from the run's checkpoint.")
@click.option("--device", metavar="NAME|FILE", help="Train for one device; see saafe devices.")
@click.option("--strict", is_flag=True, help="Exit 3 if the quick gate fails.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train_command(
    tier: str, changes: tuple[str, ...], on: str | None, per_year: float | None, out: str,
    name: str | None, seed: int | None, resume: bool, device: str | None, strict: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Train TIER (ultra-fast, standard, local or tiny) on this machine, then examine it.

    With --device, a name of the catalogue or a file, what it learns from and its thresholds come
    through that device; without, through instruments of any kind. With --on it is tuned on your
    own rooms, and judged on days held out (see `saafe tune`).

    Example: saafe train ultra-fast --set epochs=2 --seed 1
    """
    recipe = recipes.changed(recipes.find_tier(tier), recipes.with_seed(changes, seed))
    reporter = Reporter()
    signal.signal(signal.SIGTERM, raise_interrupt)
    with starting():
        from saafe import own_rooms, training_run
        from saafe.simulator import devices
        from saafe.training import device_of, leads, to_train_for

    recipe = to_train_for(recipe, device)
    began = time.perf_counter()
    rooms, folder = None, None
    try:
        if on is not None:
            own_rooms.check_asked(per_year)
            own = device_of(recipe)
            sentinels = () if isinstance(own, str) else devices.sends_of(own)["sentinels"]
            rooms = own_rooms.read_rooms(on, reporter.say, sentinels=sentinels)
        elif per_year is not None:
            raise InputError("--false-alarms-per-year is of --on FOLDER; give both")
        folder = training_run.open_folder(recipe, Path(out), name, resume=resume)
        if leads():
            click.echo(f"run folder: {folder}", err=True)
            reporter.begin()
        if rooms is not None:
            result = own_rooms.train_on_rooms(
                recipe, folder, rooms, per_year, on_epoch=reporter,
                on_thresholds=reporter.set_share, on_progress=reporter.say, resume=resume,
            )  # fmt: skip
        else:
            own_rooms.check_without(folder)
            result = training_run.train_and_examine(
                recipe, folder, on_epoch=reporter, on_thresholds=reporter.set_share,
                on_progress=reporter.say, resume=resume,
            )  # fmt: skip
    except KeyboardInterrupt:
        if folder is None:
            raise
        extra = "".join(f" --set {change}" for change in changes)
        extra += "" if seed is None else f" --seed {seed}"
        extra += "" if on is None else f" --on {on}"
        extra += "" if per_year is None else f" --false-alarms-per-year {per_year:g}"
        extra += "" if device is None else f" --device {device}"
        if not leads():
            sys.exit(130)
        raise KeyboardInterrupt(
            f"stopped; continue with: saafe train {tier}{extra} --out {out} --name {folder.name} "
            "--resume"
        ) from None
    finally:
        reporter.close()
    if result is None:  # another rank leads
        return
    result["total_s"] = round(time.perf_counter() - began, 2)
    if as_json:
        print_json(result)
    elif rooms is not None:
        show_rooms(result)
    else:
        show_run(result)
    if strict and not result["gate"]["passed"]:
        sys.exit(3)


def show_run(result: dict) -> None:
    """Print where everything is and how the quick gate went."""
    from saafe.cli.tables import print_gate, print_verdict

    print_verdict(result["gate"])
    click.echo(
        f"trained in {result['train_s']:.1f} s on {result['device']}: {result['parameters']:,} "
        f"parameters, stopped after epoch {result['epochs']}"
    )
    print_gate(result["gate"])
    click.echo(f"run folder: {result['run']}")
    click.echo(f"next: saafe detect {result['run']} RECORDING.csv")
