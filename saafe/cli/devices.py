"""`saafe devices`: the catalogue, users' own device files, and devices fitted to recordings."""

from pathlib import Path
from typing import Any

import click

from saafe.cli.output import Group, print_json
from saafe.cli.reading import ExportOptions, export_options, read_any
from saafe.cli.tables import print_rows
from saafe.errors import InputError
from saafe.files import write_atomically
from saafe.formats import interval, number
from saafe.sensors import CHANNEL_NAMES, CHANNELS

PICTURES = (".png", ".svg", ".pdf")


@click.group("devices", cls=Group)
def devices_command() -> None:
    """Show, fit and compare the sensors that people have.

    Wherever a device is asked for, give a name of the catalogue or the path of a .toml file.

    Example: saafe devices list
    """


@devices_command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_command(as_json: bool) -> None:
    """List the catalogue: what each device measures, and how often it reports.

    Example: saafe devices list --json
    """
    from saafe.simulator import devices

    found = [devices.load_device(name) for name in devices.device_names()]
    if as_json:
        print_json([devices.device_table(one) for one in found])
        return
    rows = [
        (one.name, one.kind, ", ".join(one.channels), interval_of(one), one.title)
        for one in sorted(found, key=lambda one: (one.kind != "reference", one.kind, one.name))
    ]
    print_rows(None, ["device", "kind", "channels", "reports", "title"], rows)


@devices_command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show_command(name: str, as_json: bool) -> None:
    """Print everything that is known of a device, as a file that stands alone.

    Example: saafe devices show airgradient-one > my-device.toml
    """
    from saafe.simulator import devices

    device = devices.load_device(name)
    if as_json:
        print_json(devices.device_table(device))
    else:
        click.echo(devices.to_toml(device), nl=False)


@devices_command.command()
@click.argument("recording", type=click.Path(readable=False, path_type=Path))
@click.option("--of", "of", metavar="SENSOR", help="Which of its sensors; else the first.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the device file here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@export_options
def fit_command(
    recording: Path, of: str | None, out: Path | None, as_json: bool, **reading: Any
) -> None:
    """Estimate the device that made a recording of ordinary days.

    Channels, steps, noise, periods, reports on change, clips and floors show in its readings.
    What does not is taken from the most similar device of the catalogue, and said.

    Example: saafe devices fit home.csv --out my-device.toml
    """
    from saafe.simulator import devices

    readings, check = read_any(recording, ExportOptions(**reading), repair=False)
    if not as_json:
        for line in check.lines():
            click.echo(line, err=True)
    device = devices.fit_device(readings, sensor=of)
    if out is not None:
        write_atomically(out, devices.to_toml(device).encode())
    if as_json:
        print_json(devices.device_table(device))
        return
    show_device(device)
    click.echo(f"device file: {out}" if out else "--out FILE writes it as a device file")


@devices_command.command("compare")
@click.argument("names", metavar="DEVICE...", nargs=-1, required=True)
@click.option("--tier", default="ultra-fast", show_default=True, help="What each is trained by.")
@click.option("--run", metavar="RUN", help="Take this one detector for all; train none.")
@click.option("--fires", type=click.IntRange(1, 200), default=8, show_default=True,
              help="Of each kind.")  # fmt: skip
@click.option("--cookings", type=click.IntRange(1, 500), default=20, show_default=True,
              help="Of each kind.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of training, fires and cookings.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it: .png, .svg or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compare_devices_command(
    names: tuple[str, ...], tier: str, run: str | None, fires: int, cookings: int, seed: int,
    plot: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Say what each DEVICE can find: the same fires and cookings through each.

    A detector is trained for each device. Fires are found in time by the exam's rules; "not later"
    are alarms no later than the best reference alarm in the same air. Bounds are of 95 %.

    Example: saafe devices compare airgradient-one sonoff-snzb-02 --plot compared.png
    """
    from saafe import recipes
    from saafe.exam import device_comparison
    from saafe.training import load

    if plot is not None and plot.suffix not in PICTURES:
        raise InputError(f"--plot {plot}: a picture's name ends in {', '.join(PICTURES)}")
    recipe = recipes.changed(recipes.find_tier(tier), (f"seed={seed}",))
    plan = device_comparison.ComparisonPlan(recipe, load(run) if run else None, fires, cookings)
    rows = device_comparison.compare_devices(
        names, plan, on_progress=lambda line: click.echo(line, err=True)
    )
    if plot is not None:
        device_comparison.draw_comparison(rows, plot)
    if as_json:
        print_json(rows)
        return
    columns = ["device", "fires", "in time", "not shown", "not later", "alarms per 100 cookings"]
    print_rows(None, columns, [comparison_cells(row) for row in rows])
    if plot is not None:
        click.echo(f"picture: {plot}")


def comparison_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A device's row of the comparison, as people read it."""
    share = percent_of(row["in_time_share"], row["in_time_lower"], row["in_time_upper"])
    before, cookings = row["not_later_than_best"], row["alarms_per_100_cookings"]
    alarms = "-" if cookings["value"] is None else f"{cookings['value']:.2g}"
    if cookings["upper"] is not None:
        alarms += f" ({interval(cookings['lower'], cookings['upper'])})"
    not_later = percent_of(before["value"], before["lower"], before["upper"])
    return row["device"], str(row["fires"]), share, str(row["not_shown"]), not_later, alarms


def percent_of(value: float | None, lower: float, upper: float) -> str:
    """A share in percent with its bounds."""
    return "-" if value is None else f"{100 * value:.0f} % ({100 * lower:.0f} to {100 * upper:.0f})"


def show_device(device: Any) -> None:
    """A device as a table of its channels, and its notes."""
    rows = []
    for name, one in device.channels.items():
        unit = CHANNELS[CHANNEL_NAMES.index(name)].unit
        noise = number(one.noise) + (
            f" + {100 * one.relative_noise:.2g} %" if one.relative_noise else ""
        )
        ends = f"{one.lowest:g} to {one.clip:g}" + (f", none to {one.floor:g}" if one.floor else "")
        rows.append((f"{name} [{unit}]", number(one.step), noise, ends, reports_of(one.reporting)))
    print_rows(device.title, ["channel", "step", "noise", "from, to", "reports"], rows)
    for note in device.notes:
        click.echo(note)


def interval_of(device: Any) -> str:
    """How often a device reports, in words."""
    said = dict.fromkeys(reports_of(one.reporting) for one in device.channels.values())
    return "; ".join(said)


def reports_of(reporting: Any) -> str:
    """How a channel reports, in words."""
    every = f"{reporting.every_s:g} s"
    if reporting.mode == "on change":
        return f"by {reporting.delta:g}, {every} to {reporting.longest_s:g} s"
    return f"every {every}" if reporting.mode == "periodic" else f"means every {every}"
