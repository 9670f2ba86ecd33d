"""`saafe simulate`."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from saafe.errors import InputError
from saafe.recordings.recording import Recording, read_recording, write_recording

SENSORS = 2


@click.command()
@click.option("--scenarios", default=100, show_default=True, help="How many to simulate.")
@click.option("--out", required=True, help="Folder for the recordings.")
@click.option("--hours", default=3.0, show_default=True, help="Length of what is simulated.")
@click.option("--sensors", type=int, show_default=str(SENSORS), help="Sensors in each space.")
@click.option("--source", "names", multiple=True, help="Draw only these sources.")
@click.option("--onto", metavar="RECORDING", help="Put fires on this recording's first sensor.")
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["csv", "csv.gz", "parquet"]),
    default="csv.gz",
    show_default=True,
    help="Of the recordings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def simulate_command(
    scenarios: int, out: str, hours: float, sensors: int | None, names: tuple[str, ...],
    onto: str | None, seed: int, suffix: str, as_json: bool,
) -> None:  # fmt: skip
    """Write labelled, simulated recordings, one file a scenario.

    With --onto each is a stretch of a recorded (or simulated) background, three hours and then a
    simulated fire's rise added, with "superposed: FIRE" as its source.

    Example: saafe simulate --scenarios 4 --hours 1 --out simulated
    """
    check_numbers(scenarios, hours, SENSORS if sensors is None else sensors)
    if onto is None:
        made = spaces(scenarios, hours, sensors or SENSORS, names=names, seed=seed)
    elif sensors is None:
        made = superposed(onto, scenarios, hours, names=names, seed=seed)
    else:
        raise InputError("--sensors: --onto takes the recording's first sensor; leave it out")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for recording, described in made:
        path = folder / f"{recording.name}.{suffix}"
        write_recording(recording, path)
        written.append({"file": path.name, **described})
        click.echo(f"\r{len(written)} of {scenarios}", nl=False, err=True)
    click.echo("", err=True)
    (folder / "scenarios.json").write_text(json.dumps(written, indent=1) + "\n")
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
    return ((one.recording, onto_recording.describe_superposed(one, background)) for one in made)


def check_numbers(scenarios: int, hours: float, sensors: int) -> None:
    """Refuse what makes no sense.

    Raises:
        InputError: a number is out of range.
    """
    for name, value, low, high in (
        ("--scenarios", scenarios, 1, 10_000_000),
        ("--hours", hours, 0.1, 168.0),
        ("--sensors", sensors, 1, 64),
    ):
        if not low <= value <= high:
            raise InputError(f"{name} {value:g}: allowed is {low} to {high}")
