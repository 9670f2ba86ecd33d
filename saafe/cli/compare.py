"""`saafe compare`."""

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from saafe.cli.output import print_json
from saafe.cli.reading import check_trained_run


@click.command("compare")
@click.argument("paths", nargs=-1, metavar="[RUN...]")
@click.option("--tiers", help="Tiers to train now, such as ultra-fast,standard.")
@click.option("--fraction", type=float, help="Share of a tier's epochs to time, the rest being an "
              "estimate; by default all on a GPU and 0.01 on a CPU.")  # fmt: skip
@click.option("--out", default="comparison", show_default=True, help="Folder for the results.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare_command(
    paths: tuple[str, ...], tiers: str | None, fraction: float | None, out: str, as_json: bool
) -> None:
    """Compare the tiers, or finished RUNs: time, cost, size and what they reach.

    Without RUN, the four tiers are trained first: tiny and ultra-fast whole, of the others a
    part. Tiers that come to the same training share one.

    Example: saafe compare --tiers ultra-fast,standard --fraction 0.02
    """
    from saafe import tiers as comparison
    from saafe.cli.tables import print_rows

    for path in paths:
        check_trained_run(path)
    named = tuple(tiers.split(",")) if tiers else (() if paths else comparison.COMPARED_TIERS)
    fraction = comparison.usual_fraction() if fraction is None else fraction
    wanted = comparison.check_wanted(named, fraction)
    folders: dict = {name: (path, None) for name, path in named_folders(paths).items()}
    on_message = functools.partial(click.echo, err=True)
    folders |= comparison.train_tiers(wanted, fraction, Path(out) / "runs", on_message)
    result = comparison.compare_runs(folders, expected)
    files = comparison.write_comparison(result, Path(out))
    if as_json:
        print_json(result)
        return
    header, *rows = comparison.table_rows(result)
    print_rows("tiers compared", header, [tuple(row) for row in rows])
    click.echo(f"written: {', '.join(map(str, files))}")


def named_folders(paths: Sequence[str]) -> dict[str, Path]:
    """Folders by their last name, by all of the path where several share one."""
    names = Counter(Path(path).name for path in dict.fromkeys(paths))
    return {path if names[Path(path).name] > 1 else Path(path).name: Path(path) for path in paths}


def expected(tier: str) -> dict | None:
    """What `saafe launch` expects of a tier by shipped prices; None where it has no plan."""
    from saafe.cloud import INSTANCES, JobPlan, estimate_job, load_prices

    return estimate_job(JobPlan(tier), load_prices(), []) if tier in INSTANCES else None
