"""`saafe devices`: the catalogue, users' own device files, and devices fitted to recordings."""

from pathlib import Path
from typing import Any

import click

from saafe.cli.output import NOW_AND_THEN_S, Group, print_json
from saafe.cli.progress import ProgressLines, starting
from saafe.cli.reading import ExportOptions, check_model, export_options, read_any
from saafe.cli.tables import print_note, print_rows
from saafe.errors import InputError
from saafe.files import write_atomically
from saafe.formats import DASH, interval, number, shell_word
from saafe.sensors import CHANNEL_NAMES, CHANNELS, LONGEST_PERIOD_S

FIRES_NOTE = (
    "in time: found by the exam's limit; in brackets bounds of 95 %. unseen: fires that no reading "
    "of the device shows by then. no later: alarms no later than the best reference alarm in the "
    "same air."
)
ALARMS_NOTE = (
    "per 100 cookings: alarms without a fire, each kind of cooking as often as homes see it; in "
    "brackets bounds of 95 %. a year: such alarms of a year, by cooking and all else, in a "
    "kitchen and elsewhere."
)
PLACES = {"any": 0.75, "ceiling": 1.0, "shelf": 0.0}  # share of sensors under the ceiling


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

    Of one that reports on change a comment says how much of the time a detector watches.

    Example: saafe devices show airgradient-one > my-device.toml
    """
    from saafe.simulator import devices

    device = devices.load_device(name)
    if as_json:
        print_json(devices.device_table(device))
    else:
        comments = (f"# {line}\n" for line in pause_lines(device, name))
        click.echo("".join(comments) + devices.to_toml(device), nl=False)


@devices_command.command()
@click.argument("recordings", metavar="RECORDING...", nargs=-1, required=True,
                type=click.Path(readable=False, path_type=Path))  # fmt: skip
@click.option("--of", "of", metavar="SENSOR", multiple=True,
              help="Which sensor; of one product any number; else the first of each.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Write the device file here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@export_options
def fit_command(
    recordings: tuple[Path, ...], of: tuple[str, ...], out: Path | None, as_json: bool,
    **reading: Any,
) -> None:  # fmt: skip
    """Estimate the device that made recordings of ordinary days, alone or in several homes.

    Channels, steps, noise, periods, reports on change, clips and floors show in its readings.
    What does not is taken from the most similar device of the catalogue, and said. --out also
    names the device.

    Example: saafe devices fit home.csv --out my-device.toml
    """
    from saafe.simulator import devices

    readings = []
    for recording in recordings:
        found, check = read_any(recording, ExportOptions(**reading), repair=False)
        readings.append(found)
        for line in () if as_json else check.lines():
            click.echo(line, err=True)
    name = {} if out is None else {"name": out.stem}
    device = devices.fit_device(readings, sensor=of or None, **name)
    if out is not None:
        text = devices.to_toml(device)
        devices.device_from_text(text)  # what saafe would refuse is no device file
        write_atomically(out, text.encode())
    if as_json:
        print_json(devices.device_table(device))
        return
    show_device(device)
    click.echo(f"device file: {out}" if out else "--out FILE writes it as a device file")


@devices_command.command("compare")
@click.argument("names", metavar="DEVICE...", nargs=-1, required=True)
@click.option("--model", metavar="MODEL", help="The one detector for all; saafe's own by default.")
@click.option("--tier", metavar="TIER", help="Train a detector for each device instead.")
@click.option("--place", type=click.Choice(list(PLACES)), default="any", show_default=True,
              help="Where the sensors hang.")  # fmt: skip
@click.option("--room", type=click.Choice(["any", "same", "other"]), default="any",
              show_default=True, help="The room where it burns, or another.")  # fmt: skip
@click.option("--fires", metavar="N", type=click.IntRange(1, 200), default=8, show_default=True,
              help="Of each kind.")  # fmt: skip
@click.option("--nuisances", metavar="N", type=click.IntRange(0, 500), default=20,
              show_default=True,
              help="Of each kind, cookings among them; 0 counts no false alarms.")  # fmt: skip
@click.option("--seed", metavar="N", type=click.IntRange(0, 2**31 - 1), default=0,
              show_default=True, help="Of the fires, nuisances and rooms.")  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it: .png, .svg or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compare_devices_command(
    names: tuple[str, ...], model: str | None, tier: str | None, plot: Path | None, as_json: bool,
    **amounts: Any,
) -> None:  # fmt: skip
    """Say what each DEVICE can find: the same fires and nuisances through each.

    One model serves all, with thresholds of its own for each device. Fires are found in time by the
    exam's rules. Below stand the reference alarms in the same air. Bounds are of 95 %.

    Example: saafe devices compare airgradient-one sonoff-snzb-02b --plot compared.png
    """
    with starting():
        from saafe.exam import comparison_picture, device_comparison

    if plot is not None:
        comparison_picture.check_plot_path(plot)
    if again := [name for k, name in enumerate(names) if name in names[:k]]:
        raise InputError(f"{again[0]} is named twice; name each device once")
    plan = comparison_plan(model, tier, **amounts)
    with ProgressLines(apart_s=NOW_AND_THEN_S) as say:
        compared = device_comparison.compare_devices(names, plan, on_progress=say)
    asked = {"model": model, "tier": tier} | amounts
    if as_json:
        print_json({"asked": asked} | compared)
    else:
        show_comparison(compared)
    if plot is not None:  # after the figures, which took minutes
        comparison_picture.draw_comparison(compared, plot)
        click.echo(f"picture: {plot}", err=as_json)


def comparison_plan(
    model: str | None, tier: str | None, *, place: str, room: str, seed: int, **amounts: int
) -> Any:
    """How devices are compared, of the command's options."""
    from saafe import recipes
    from saafe.exam import device_comparison
    from saafe.loading import load_model
    from saafe.simulator import Rooms

    if model is not None and tier is not None:
        raise InputError("--model takes a detector and --tier trains new ones: give one of them")
    if model is not None:
        check_model(model)
    recipe = None
    if tier is not None:
        recipe = recipes.changed(recipes.find_tier(tier), (f"seed={seed}",))
    rooms = Rooms(ceiling_share=PLACES[place], hung=room)
    loaded = load_model(model) if recipe is None else None
    return device_comparison.ComparisonPlan(loaded, recipe, seed, rooms, **amounts)


def show_comparison(compared: dict[str, Any]) -> None:
    """What was compared, as people read it: devices, reference alarms, kinds of fire."""
    rows, alarms = compared["devices"], compared["reference_alarms"]
    click.echo(f"fires, {rows[0]['fires']} of them")
    print_rows(None, ["device", "in time", "unseen", "no later"],
               [*map(fire_cells, rows), *map(reference_cells, alarms)])  # fmt: skip
    print_note(FIRES_NOTE)
    click.echo("\nfalse alarms")
    print_rows(
        None, ["device", "per 100 cookings", "a year in a kitchen", "a year elsewhere"],
        [(name, *alarm_cells(row)) for name, row in
         [(row["device"], row) for row in rows] + [(alarm_name(row), row) for row in alarms]],
    )  # fmt: skip
    print_note(ALARMS_NOTE)
    click.echo()
    names = [row["device"] for row in rows]
    modes = {mode: [row["by_mode"][mode] for row in rows] for mode in rows[0]["by_mode"]}
    kinds = {kind: [row["by_kind"][kind] for row in rows] for kind in rows[0]["by_kind"]}
    print_rows(
        "fires in time, by how they begin and by kind", ["fire", *names],
        [(name, *(f"{one['in_time']} of {sum_of(one)}" for one in each))
         for name, each in (modes | kinds).items()],
    )  # fmt: skip


def sum_of(counts: dict[str, Any]) -> int:
    """How many fires came out in any way."""
    return sum(counts[key] for key in ("in_time", "late", "early", "missed"))


def fire_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """What a device finds of fires, as people read it."""
    share = percent_of(row["in_time_share"], row["in_time_lower"], row["in_time_upper"])
    before = row["not_later_than_best"]
    not_later = percent_of(before["value"], before["lower"], before["upper"])
    return row["device"], share, str(row["not_shown"]), not_later


def reference_cells(alarm: dict[str, Any]) -> tuple[str, ...]:
    """What a reference alarm finds of them."""
    found = alarm["in_time"]
    share = percent_of(found["value"], found["lower"], found["upper"])
    return alarm_name(alarm), share, DASH, DASH


def alarm_name(alarm: dict[str, Any]) -> str:
    """A reference alarm as a row names it."""
    return f"{alarm['alarm']} alarm"


def alarm_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """False alarms per 100 cookings and a year, with their bounds."""
    figures = (row["alarms_per_100_cookings"], *row["alarms_per_year"].values())
    return tuple(amount_of(figure) for figure in figures)


def amount_of(figure: dict[str, Any]) -> str:
    """An amount with its bounds."""
    if figure["value"] is None or figure["upper"] is None:
        return DASH
    value, low, high = (two_digits(figure[key]) for key in ("value", "lower", "upper"))
    return f"{value} ({low}-{high})"


def two_digits(value: float) -> str:
    """Two digits that count, and never an exponent: 410, 0.83, <0.1."""
    return "<0.1" if 0.0 < value < 0.1 else f"{float(f'{value:.2g}'):,.10g}"


def percent_of(value: float | None, lower: float, upper: float) -> str:
    """A share in percent with its bounds."""
    return DASH if value is None else f"{100 * value:.0f} % ({100 * lower:.0f}-{100 * upper:.0f})"


def show_device(device: Any) -> None:
    """A device as a table of its channels, and its notes."""
    rows = []
    for name, one in device.channels.items():
        unit = CHANNELS[CHANNEL_NAMES.index(name)].unit
        noise = number(one.noise) + (
            f" or {100 * one.relative_noise:.2g} %" if one.relative_noise else ""
        )
        ends = interval(one.lowest, one.clip) + (f", none to {one.floor:g}" if one.floor else "")
        rows.append((f"{name} [{unit}]", number(one.step), noise, ends, reports_of(one.reporting)))
    print_rows(device.title, ["channel", "step", "noise", "from, to", "reports"], rows)
    for note in device.notes:
        click.echo(note)


def interval_of(device: Any) -> str:
    """How often a device reports, in words; each channel's own change is `show`'s to say."""
    ways = [one.reporting for one in device.channels.values()]
    said = dict.fromkeys(reports_of(way) for way in ways if not way.delta)
    if changing := [way for way in ways if way.delta]:
        first_s = min(way.every_s for way in changing)
        said[f"on change, {first_s:g} to {max(way.longest_s for way in changing):g} s"] = None
    return "; ".join(said)


def pause_lines(device: Any, name: str) -> list[str]:
    """How much of the time a detector watches a device that may say nothing for long."""
    from saafe.detector import self_test

    pause_s = device.longest_interval_s
    if all(one.reporting.mode != "on change" for one in device.channels.values()):
        return []
    limit_s = self_test.SILENT_INTERVALS * pause_s
    lines = [
        f"Reports on change, and after {pause_s:g} s all the same. A detector that is told so, by",
        f"--device {shell_word(name)} or --longest-interval {pause_s:g}, watches all the time: it",
        f"says silent after {limit_s:g} s, and so long it cannot know of a dead sensor.",
    ]
    untold_s = self_test.SILENT_INTERVALS * LONGEST_PERIOD_S
    if pause_s > untold_s:
        share = 1.0 - (pause_s - untold_s) / pause_s
        lines += [
            f"One that is not told says silent after {untold_s:g} s: it watches {share:.0%} of a",
            "pause, until it has seen one, and again after a hundred reports without.",
        ]
    return lines


def reports_of(reporting: Any) -> str:
    """How a channel reports, in words."""
    every = f"{reporting.every_s:g} s"
    if reporting.mode == "on change":
        return f"by {reporting.delta:g}, {every} to {reporting.longest_s:g} s"
    return f"every {every}" if reporting.mode == "periodic" else f"means every {every}"
