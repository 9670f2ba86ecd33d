"""What `saafe train --on` and `saafe tune` print."""

from pathlib import Path

import click

from saafe.cli.tables import print_gate, print_rows, print_verdict


def show_rooms(result: dict) -> None:
    """Print what held-out days say, the quick gate, and where everything is."""
    from saafe.exam import (
        KIND_COLUMNS,
        ROOM_FIGURES,
        exam,
        figure_rows,
        kind_rows,
        models_to_keep,
        sentences,
        weights_kept,
    )  # fmt: skip

    print_verdict(result["gate"])
    found = result["own_rooms"]
    if rows := figure_rows(found):
        print_rows("your rooms", ROOM_FIGURES, rows)
    if rows := kind_rows(found):
        print_rows("simulated fires on held-out days: found in time", KIND_COLUMNS, rows)
    for line in sentences(found):
        click.echo(line)
    print_gate(result["gate"])
    trained = f"trained in {result['train_s']:.1f} s, then " if "train_s" in result else ""
    click.echo(f"{trained}tuned in {result['tune_s']:.1f} s on {result['device']}")
    folders = {"tuned": result["run"], "general": result["general_run"]}
    click.echo(f"run folder: {folders['tuned']}; the general model's: {folders['general']}")
    for name in models_to_keep(found):
        folder = result["run"] if name == weights_kept(found) else folders[name]
        click.echo(f"next: saafe detect {folder} RECORDING.csv")
        if not (
            Path(folder) / exam.EXAM_FILE
        ).exists():  # above stands the gate of the run folder's model
            click.echo(f"next: saafe exam {folder}")
