"""`saafe simulate`. Layer 7."""

import json
from pathlib import Path

import click

from saafe.errors import InputError


@click.command()
@click.option("--scenarios", default=100, show_default=True, help="How many to simulate.")
@click.option("--out", required=True, help="Folder for the recordings.")
@click.option("--hours", default=3.0, show_default=True, help="Length of each recording.")
@click.option("--sensors", default=2, show_default=True, help="Sensors in each space.")
@click.option("--source", "names", multiple=True, help="Draw only these sources.")
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
def simulate(
    scenarios: int, out: str, hours: float, sensors: int, names: tuple[str, ...], seed: int,
    suffix: str, as_json: bool,
) -> None:  # fmt: skip
    """Write labelled, simulated recordings, one file a scenario.

    Example: saafe simulate --scenarios 4 --hours 1 --out simulated
    """
    check(scenarios, hours, sensors)
    import torch

    from saafe import simulation
    from saafe.recordings import write_recording

    mix = simulation.mix_of(names)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    written = []
    for at in range(0, scenarios, simulation.CHUNK):
        streams = simulation.simulate(
            min(simulation.CHUNK, scenarios - at), generator=generator, hours=hours,
            sensors=sensors, mix=mix,
        )  # fmt: skip
        for k, recording in enumerate(simulation.to_recordings(streams, first=at)):
            path = folder / f"{recording.name}.{suffix}"
            write_recording(recording, path)
            written.append({"file": path.name, **simulation.describe(streams, k)})
            click.echo(f"\r{len(written)} of {scenarios}", nl=False, err=True)
    click.echo("", err=True)
    (folder / "scenarios.json").write_text(json.dumps(written, indent=1) + "\n")
    click.echo(json.dumps(written) if as_json else f"{len(written)} recordings in {folder}")


def check(scenarios: int, hours: float, sensors: int) -> None:
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
