"""`saafe detect`."""

import json
import sys
from pathlib import Path

import click

from saafe.errors import InputError


@click.command("detect")
@click.argument("model")
@click.argument("recording", default="-")
@click.option("--repair", is_flag=True, help="Sort and de-duplicate a file's rows first.")
def detect_command(model: str, recording: str, repair: bool) -> None:
    """Print what MODEL finds in RECORDING, one JSON event a line; `-` reads a CSV stream.

    Example: saafe detect runs/my-run kitchen.csv
    """
    from saafe.training import load

    run = load(model)
    if recording == "-":
        detect_stream(run)
        return
    if recording.startswith("mqtt://"):
        raise InputError(
            "mqtt:// is not built yet; pipe the readings as CSV into `saafe detect MODEL -`"
        )
    from saafe.detector import detect as detect_recording
    from saafe.recordings import read_recording

    readings, check = read_recording(Path(recording), repair=repair)
    for line in check.lines():
        click.echo(line, err=True)
    for event in detect_recording(run, readings).events:
        click.echo(json.dumps(event))


def detect_stream(run) -> None:
    """Read CSV rows from stdin as they come and print events as they become certain."""
    from saafe.detector import Detector
    from saafe.recordings import read_rows

    detector = Detector(run)
    for row in read_rows(sys.stdin):
        events = []
        if row.sensor:
            events += detector.update(row.time_s, row.sensor, row.readings)
        events += [
            detector.fault(row.time_s, row.sensor, problem.channel, problem.reason)
            for problem in row.problems
        ]
        for event in events:
            click.echo(json.dumps(event))  # click flushes every line
    for event in detector.finish():
        click.echo(json.dumps(event))
