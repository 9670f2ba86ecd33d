"""`saafe simulate`."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from saafe.cli.output import did_you_mean, print_json
from saafe.cli.progress import counting
from saafe.cli.tables import print_note
from saafe.errors import InputError
from saafe.files import plain_name, write_json
from saafe.recipes import check_values, with_changes
from saafe.recordings import (
    SET_FILE,
    Recording,
    counted,
    make_folder,
    pm_cap,
    read_recording,
    write_recording,
)  # fmt: skip


@dataclass(frozen=True)
class SimulationSettings:
    """What `--set` changes."""

    scenarios: int  # how many
    seed: int  # of everything random
    hours: float = 3.0  # length of what is simulated
    sensors: int = 2  # in each space; --onto has one
    format: str = "csv.gz"  # suffix of the recordings' files
    device: str = "anything"  # which instruments; of --onto where its PM2.5 ends
    times: int = 1  # that each nuisance happens; --onto has the background's


_RANGES = {
    "scenarios": (1, 10**7),
    "seed": (0, 2**31 - 1),
    "hours": (0.1, 168.0),
    "sensors": (1, 64),
    "times": (1, 1000),
}
OF_THE_BACKGROUND = {
    "sensors": "the recording's first sensor",
    "times": "fires alone",
}
_CHOICES = {"format": ("csv", "csv.gz", "parquet")}


@click.command()
@click.option("--scenarios", default=100, show_default=True, help="How many to simulate.")
@click.option("--out", metavar="FOLDER", help="Folder for the recordings; needed.")
@click.option("--source", "names", multiple=True, metavar="NAME",
              help="Draw only these sources, or all of fire, nuisance or cooking. "
              "`--source list` prints their names.")  # fmt: skip
@click.option("--onto", metavar="RECORDING", help="Put fires on this recording's first sensor.")
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="hours=3 simulated, sensors=2 in each space, format=csv.gz, csv or parquet, "
    "device=anything, a name of `saafe devices list` or a .toml file, times=1 that each nuisance "
    "happens.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def simulate_command(
    scenarios: int, out: str | None, names: tuple[str, ...], onto: str | None, seed: int,
    changes: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Write labelled, simulated recordings, one file a scenario.

    A recording has a fire, a nuisance, both or neither, whatever its length. Days of a home want
    --set times=N: two of the nuisances that --source names then happen N times each.

    With --onto each is a stretch of a recorded (or simulated) background, three hours and then a
    simulated fire's rise added, with "superposed: FIRE" as its source. PM2.5 then ends at the most
    that the background shows, or with --set device=FILE where that meter ends.

    Where nothing burns in any of them, set.json makes the folder an annotated set of homes.
    What a former run of the same kind left in the folder is removed first.

    Example: saafe simulate --scenarios 4 --set hours=1 --out simulated
    """
    if "list" in names:
        return list_sources(as_json=as_json)
    if out is None:
        raise click.UsageError("Missing option '--out'.", click.get_current_context())
    check_sources(names)
    settings = with_changes(SimulationSettings(scenarios, seed), changes)
    check_values(settings, _RANGES, _CHOICES)
    if onto is None:
        made = spaces(settings, names)
    else:
        for change in changes:
            if refused := OF_THE_BACKGROUND.get(field := change.split("=")[0].strip()):
                raise InputError(f"--set {field}: --onto takes {refused}; leave it out")
        made = superposed(onto, settings, names)
    folder = Path(out)
    make_folder(folder)
    if removed := remove_former(folder, "simulated" if onto is None else "superposed"):
        click.echo(f"{folder}: removed {removed} files of a former run", err=True)
    written = []
    with counting(made, settings.scenarios, "recordings") as drawn:
        for recording, described in drawn:
            path = folder / f"{plain_name(recording.name)}.{settings.format}"
            write_recording(recording, path)
            written.append({"file": path.name, **described})
    write_json(folder / "scenarios.json", written)
    if onto is None:
        write_homes(folder, written, seed)
    if as_json:
        print_json(written)
    else:
        click.echo(f"{counted(len(written), 'recording')} in {folder}")


def write_homes(folder: Path, written: list[dict], seed: int) -> None:
    """Write the set.json of a folder of homes, in the place of none but our own."""
    from saafe.simulator import homes

    told = homes.homes_set(written, folder, seed=seed)
    if told is None:
        return
    if homes.is_anothers(folder):
        click.echo(f"{folder / SET_FILE}: is not of simulate and stays; see that it fits", err=True)
        return
    write_json(folder / SET_FILE, told)


def list_sources(*, as_json: bool) -> None:
    """Print the groups and the names that --source takes."""
    from saafe.simulator import sources

    if as_json:
        print_json({name: list(members) for name, members in sources.GROUPS.items()})
        return
    for name, members in sources.GROUPS.items():
        print_note(f"{name}: {', '.join(members)}")


def check_sources(names: tuple[str, ...]) -> None:
    """Say which sources are near one that is none; the simulator lists them all."""
    if not names:
        return
    from saafe.simulator import sources

    for name in names:
        known = [*sources.SOURCES, *sources.GROUPS]
        near = did_you_mean(name, known)
        if name not in known and near:
            raise InputError(f"--source {name}: unknown;{near.replace('Did', 'did')}")


def remove_former(folder: Path, kind: str) -> int:
    """Remove what a former run of a kind wrote or began to write; say how many recordings.

    First the lists of them, so that a folder that has one holds what it says.
    """
    from saafe.simulator import homes

    written = re.compile(rf"{kind}-\d{{5,}}\.(csv|csv\.gz|parquet)")
    begun = re.compile(rf"\.{written.pattern}\.\d+")
    try:
        (folder / "scenarios.json").unlink(missing_ok=True)
        if kind == "simulated" and not homes.is_anothers(folder):
            (folder / SET_FILE).unlink(missing_ok=True)
        found = [path for path in folder.iterdir() if written.fullmatch(path.name)]
        unfinished = [path for path in folder.iterdir() if begun.fullmatch(path.name)]
        for path in found + unfinished:
            path.unlink()
    except OSError as error:
        raise InputError(
            f"{error.filename or folder}: of a former run, cannot be removed ({error.strerror}); "
            "remove it or choose another --out"
        ) from None
    return len(found)


def spaces(
    settings: SimulationSettings, names: tuple[str, ...]
) -> Iterator[tuple[Recording, dict]]:
    """Simulated recordings, and what was drawn for each."""
    from saafe.simulator import simulate_described

    return simulate_described(
        settings.scenarios, seed=settings.seed, hours=settings.hours, sensors=settings.sensors,
        sources=names, device=settings.device, times=settings.times,
    )  # fmt: skip


def superposed(
    onto: str, settings: SimulationSettings, names: tuple[str, ...]
) -> Iterator[tuple[Recording, dict]]:
    """Simulated fires on a recording's first sensor, and what was put where."""
    from saafe.simulator import onto_recording

    background, _ = read_recording(onto)
    if len(background.sensors) > 1:
        click.echo(f"{onto}: fires are put on sensor {background.sensors[0]} alone", err=True)
    cap = meter_end(onto, background, settings.device)
    made = onto_recording.superpose_simulated(
        background, settings.scenarios, seed=settings.seed, hours=settings.hours, names=names,
        cap=cap,
    )  # fmt: skip
    return (
        (fire.recording, onto_recording.describe_superposed(fire, background, cap)) for fire in made
    )


def meter_end(onto: str, background: Recording, device: str) -> float:
    """Where a background's PM2.5 ends: the device's end, or the most that it showed. [ug/m3]"""
    from saafe.simulator import devices

    cap = pm_cap(background)
    if device != devices.ANYTHING:
        meter = devices.load_device(device).channels.get("pm25")
        if meter is None:
            raise InputError(f"--set device={device}: has no PM2.5, whose end --onto takes of it")
        return max(cap, meter.clip)
    if cap < math.inf:
        click.echo(
            f"{onto}: PM2.5 of the fires ends at {cap:,.0f} ug/m3, the most that the recording "
            "shows; --set device=FILE gives the meter's own end", err=True,
        )  # fmt: skip
    return cap
