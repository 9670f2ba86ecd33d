"""`saafe exam`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from saafe.cli.output import print_json
from saafe.cli.progress import ProgressLines, starting
from saafe.cli.reading import RunFolder, check_model, check_trained_run
from saafe.cli.tables import print_gate, print_rows, print_verdict
from saafe.errors import InputError


@click.command("exam")
@click.argument("run", type=RunFolder())
@click.option("--real", type=click.Path(path_type=Path),
              help="Folder of publishers' raw recordings, annotated sets or both.")  # fmt: skip
@click.option("--device", help="Whose sensors are simulated: a name of `saafe devices list`, a "
              "device file, or `anything`, the stress mix. Its own, else saafe-6.")  # fmt: skip
@click.option("--level", type=click.Choice(["quick", "full", "long"]), default="full",
              show_default=True,
              help="quick is what `saafe train` ends with; long adds shards of rare false alarms "
              "to a full exam.")  # fmt: skip
@click.option("--shards", "shards_folder", type=click.Path(path_type=Path),
              help="Folder of the long level's shards; RUN/long-DEVICE by default.")  # fmt: skip
@click.option("--count", default=1, show_default=True,
              help="How many shards to add; 0 only adds up.")  # fmt: skip
@click.option("--shard", "numbers", type=int, multiple=True,
              help="Number of a shard to examine instead, to share the work.")  # fmt: skip
@click.option("--workers", metavar="ADDRESS",
              help="Of the long level: a dask scheduler that spreads the shards, or a number of "
              "processes here.")  # fmt: skip
@click.option("--quick", is_flag=True, help="The same as --level quick.")
@click.option("--rivals", is_flag=True, help="Compare all simpler detectors, not two (extra).")
@click.option("--beside", "beside_runs", multiple=True, help="Another run to compare, such as one "
              "that was trained longer.")  # fmt: skip
@click.option("--seed", type=int, help="Of the full exam, 0 where not given; not training's.")
@click.option("--json", "as_json", is_flag=True, help="Print exam.json.")
def exam_command(
    run: str, real: Path | None, device: str | None, level: str, quick: bool, rivals: bool,
    beside_runs: tuple[str, ...], seed: int | None, shards_folder: Path | None, count: int,
    numbers: tuple[int, ...], workers: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Examine RUN and write its exam.json; exit code 0 means that the exam ran.

    RUN is a run folder or an exported FILE.onnx, whose exam is FILE-exam.json beside it. A full
    exam that was stopped or killed goes on where it was.

    Example: saafe exam runs/my-run --device saafe-4 --level quick

    Example: saafe exam runs/my-run --level long --count 150 --workers 8
    """
    from saafe.simulator import devices

    check_model(run)
    is_long = level == "long" and not quick
    for folder in (run, *beside_runs) if is_long else beside_runs:
        check_trained_run(folder)
    if device is not None and device != devices.ANYTHING:
        devices.load_device(device)  # what is mistyped is refused before seconds of imports
    with starting():
        from saafe.exam import examine, examine_long
        from saafe.loading import load_model
        from saafe.machines import shards_on
        from saafe.training import load

    if workers is not None and not is_long:
        raise InputError("--workers spreads the shards of --level long: give that as well")
    if is_long:
        if real or rivals or beside_runs or seed is not None:
            raise InputError(
                "--real, --rivals, --beside and --seed are of the full level: leave them out"
            )
        spread = {} if workers is None else {"work": partial(shards_on, workers)}
        with ProgressLines() as say:
            result = examine_long(
                load(run), device=device, folder=shards_folder, count=count, shards=numbers,
                on_progress=say, **spread,
            )  # fmt: skip
    else:
        beside = [load(folder) for folder in beside_runs]
        kind = "quick" if quick or level == "quick" else "full"
        try:
            with ProgressLines() as say:
                result = examine(
                    load_model(run), level=kind, device=device, seed=seed, real=real,
                    rivals=rivals, beside=beside, on_progress=say,
                )  # fmt: skip
        except KeyboardInterrupt:
            if kind == "quick":
                raise
            raise KeyboardInterrupt("stopped; the same command goes on where it was") from None
    if as_json:
        print_json(result)
    else:
        show_exam(result)


def show_exam(result: dict) -> None:
    """Print the verdict, the tables of a full exam, and the gate."""
    from saafe.exam import (
        FIRE_COLUMNS,
        IDENTITY_COLUMNS,
        RIVAL_COLUMNS,
        headline,
        sets_table,
        superposed_table,
    )

    if line := headline(result.get("rivals") or {}):
        click.echo(line)
    print_verdict(result["gate"])
    if result["gate"]["level"] != "quick":
        life = [{"room": name} | result["life"][name] for name in ("quiet", "kitchen", "other")]
        for title, rows, columns in (
            ("fires: outcomes, 95 % bounds, times", result["fires"], FIRE_COLUMNS),
            (
                "fires by time from the first reading that shows them to the limit",
                result["notice"],
                None,
            ),
            (
                "nuisances: alarms per 100 events; yearly rates are assumed",
                result["nuisances"],
                None,
            ),
            ("false alarms a detector-year", life, None),
            ("faults: fires found in time", result["faults"], None),
            ("faults: said once knowable", result["fault_watch"]["faults_said_within_60s"], None),
            ("outside the training ranges", result["shift"], None),
            ("whose are quiet minutes?", identity_rows(result), IDENTITY_COLUMNS),
            ("rivals at equal false alarms", result["rivals"]["rows"], RIVAL_COLUMNS),
            (
                "missed fires that others find at equal false alarms, or none",
                missed_rows(result),
                None,
            ),
        ):
            print_part(title, rows, columns)
        for title, rows in (
            ("superposed fires", superposed_table(result)),
            ("annotated sets", sets_table(result["recordings"].get("sets", []))),
        ):
            if rows:
                print_rows(title, ["figure", "", "95 % bounds or a note"], rows)
        for case in result["cases"]:
            click.echo(f"{case['kind']}: {case['title']}")
        click.echo(
            f"{result['windows_scored']:,} windows (at most {result['windows_limit']:,}) in "
            f"{result['seconds']:.0f} s"
        )
    print_gate(result["gate"])


def print_part(title: str, rows: list[dict], columns: Sequence[str] | None) -> None:
    """Print rows of a part, bounds side by side: some columns, or all that have a value."""
    from saafe.exam import figure_text, header, is_share, merged_bounds

    plain = [merged_bounds(row) for row in rows]
    if plain:
        every = columns or dict.fromkeys(name for row in plain for name in row)
        names = [n for n in every if any(row.get(n) is not None for row in plain)]
        cells = [tuple(figure_text(row.get(n), percent=is_share(n)) for n in names)
                 for row in plain]  # fmt: skip
        print_rows(title, [header(name) for name in names], cells)


def missed_rows(result: dict) -> list[dict]:
    """What was missed in all and by kind; the report has it by period and channels too."""
    return [row for row in result["rivals"].get("missed", []) if row["by"] in ("all", "kind")]


def identity_rows(result: dict) -> list[dict]:
    """The rows of the identity probe; why there are none, where it could not be asked."""
    found = result["identity"]
    return found.get("rows", []) if isinstance(found, dict) else [{"sources": found}]
