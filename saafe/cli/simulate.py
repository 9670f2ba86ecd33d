"""`saafe simulate`."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from saafe.errors import InputError
from saafe.files import write_json
from saafe.recordings.recording import Recording, read_recording, write_recording
from saafe.recordings.tables import make_folder


@dataclass(frozen=True)
class Settings:
    """What `--set` changes.

    Attributes:
        hours: length of what is simulated.
        sensors: in each space; --onto has one.
        format: suffix of the recordings' files.
    """

    hours: float = 3.0
    sensors: int = 2
    format: str = "csv.gz"


_TYPES = {field.name: type(field.default) for field in fields(Settings)}
_LIMITS = {
    "--scenarios": (1, 10_000_000), "--seed": (0, 2**31 - 1), "hours": (0.1, 168.0),
    "sensors": (1, 64),
}  # fmt: skip
_FORMATS = ("csv", "csv.gz", "parquet")


@click.command()
@click.option("--scenarios", default=100, show_default=True, help="How many to simulate.")
@click.option("--out", required=True, help="Folder for the recordings.")
@click.option("--source", "names", multiple=True, help="Draw only these sources.")
@click.option("--onto", metavar="RECORDING", help="Put fires on this recording's first sensor.")
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="hours=3 simulated, sensors=2 in each space, format=csv.gz, csv or parquet.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def simulate_command(
    scenarios: int, out: str, names: tuple[str, ...], onto: str | None, seed: int,
    changes: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Write labelled, simulated recordings, one file a scenario.

    With --onto each is a stretch of a recorded (or simulated) background, three hours and then a
    simulated fire's rise added, with "superposed: FIRE" as its source.

    Example: saafe simulate --scenarios 4 --set hours=1 --out simulated
    """
    _check_range("--scenarios", scenarios)
    _check_range("--seed", seed)
    values = read_changes(changes)
    settings = Settings(**values)
    if onto is None:
        made = spaces(scenarios, settings.hours, settings.sensors, names=names, seed=seed)
    elif "sensors" in values:
        raise InputError("--set sensors: --onto takes the recording's first sensor; leave it out")
    else:
        made = superposed(onto, scenarios, settings.hours, names=names, seed=seed)
    folder = Path(out)
    make_folder(folder)
    written = []
    for recording, described in made:
        path = folder / f"{recording.name}.{settings.format}"
        write_recording(recording, path)
        written.append({"file": path.name, **described})
        click.echo(f"\r{len(written)} of {scenarios}", nl=False, err=True)
    click.echo("", err=True)
    write_json(folder / "scenarios.json", written)
    click.echo(json.dumps(written) if as_json else f"{len(written)} recordings in {folder}")


def spaces(
    scenarios: int, hours: float, sensors: int, *, names: tuple[str, ...], seed: int
) -> Iterator[tuple[Recording, dict]]:
    """Simulated recordings, and what was drawn for each.

    Raises:
        InputError: a source is unknown; at once.
    """
    import torch

    from saafe.simulator import simulation
    from saafe.simulator.scenarios import mix_of
    from saafe.simulator.streams import describe_stream, to_recordings

    mix = mix_of(names)
    generator = torch.Generator().manual_seed(seed)

    def make(at: int) -> Iterator[tuple[Recording, dict]]:
        streams = simulation.simulate_streams(
            min(simulation.SIMULATION_CHUNK, scenarios - at), generator=generator, hours=hours,
            sensors=sensors, mix=mix,
        )  # fmt: skip
        for k, recording in enumerate(to_recordings(streams, first=at)):
            yield recording, describe_stream(streams, k)

    return (pair for at in range(0, scenarios, simulation.SIMULATION_CHUNK) for pair in make(at))


def superposed(
    onto: str, scenarios: int, hours: float, *, names: tuple[str, ...], seed: int
) -> Iterator[tuple[Recording, dict]]:
    """Simulated fires on a recording's first sensor, and what was put where.

    Raises:
        InputError: the recording or the sources do not fit; at once.
    """
    from saafe.simulator import onto_recording

    background, _ = read_recording(onto)
    if len(background.sensors) > 1:
        click.echo(f"{onto}: fires are put on sensor {background.sensors[0]} alone", err=True)
    made = onto_recording.superpose_simulated(
        background, scenarios, seed=seed, hours=hours, names=names
    )
    return ((fire.recording, onto_recording.describe_superposed(fire, background)) for fire in made)


def read_changes(changes: tuple[str, ...]) -> dict[str, Any]:
    """Fields of `Settings` that `field=value` changes, checked.

    Raises:
        InputError: a change has no such field, type, range or choice.
    """
    values: dict[str, Any] = {}
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator or name not in _TYPES:
            near = difflib.get_close_matches(name, _TYPES, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(
                f"--set {change}: expected field=value; {hint}fields: {', '.join(_TYPES)}"
            )
        try:
            values[name] = _TYPES[name](text)
        except ValueError:
            kind = _TYPES[name].__name__
            raise InputError(f"--set {change}: expected {kind}, got {text!r}") from None
        if name in _LIMITS:
            _check_range(name, values[name])
    if values.get("format", Settings.format) not in _FORMATS:
        raise InputError(f"format = {values['format']!r}: choose from {', '.join(_FORMATS)}")
    return values


def _check_range(name: str, value: float) -> None:
    low, high = _LIMITS[name]
    if not low <= value <= high:  # NaN fails too
        raise InputError(f"{name} = {value}: allowed is {low} to {high}")
