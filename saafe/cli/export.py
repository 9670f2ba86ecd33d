"""`saafe export`."""

from pathlib import Path
from typing import Any

import click

from saafe.cli.output import print_json
from saafe.cli.progress import Busy, starting
from saafe.cli.reading import RunFolder, check_trained_run
from saafe.cli.tables import print_note, print_rows


@click.command("export")
@click.argument("run", type=RunFolder())
@click.option(
    "--to", type=click.Choice(("onnx", "int8", "boosting", "ensemble", "c")), required=True,
    help="onnx: single precision; int8: a third of the size; boosting: trees, fitted on RUN's "
    "windows; ensemble: RUN and such trees; c: C99 source.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder; RUN/export by default.")
@click.option("--device", "device_names", multiple=True, metavar="NAME",
              help="Put in this device's thresholds too, or those of all.")  # fmt: skip
@click.option("--exam", is_flag=True, help="Judge the file beside RUN on simulated streams.")
@click.option("--json", "as_json", is_flag=True, help="Print the report.")
def export_command(
    run: str, to: str, out: Path | None, device_names: tuple[str, ...], exam: bool, as_json: bool
) -> None:
    """Write RUN as self-contained files that take raw readings, and compare them with it.

    Thresholds, calibration and normalisation are inside. `saafe detect` takes the .onnx files
    where torch is not installed; docs/edge.md shows the C.

    Example: saafe export runs/my-run --to int8
    """
    check_trained_run(run)
    with starting():
        from saafe.export import export_run
        from saafe.training import load

        loaded = load(run)
    begun = "fitting" if to in ("boosting", "ensemble") else "writing"
    with Busy(f"{begun} and comparing {to}") as busy:
        report = export_run(
            loaded, to, out, device_names=device_names, exam=exam,
            on_progress=busy.say,
        )  # fmt: skip
    if as_json:
        print_json(report)
    else:
        show_report(report, Path(run, "export") if out is None else out)


def show_report(report: dict[str, Any], out: Path) -> None:
    """Print the files, the differences, and what else was measured."""
    for name, size in report["files"].items():
        click.echo(f"{out / name}  {size:,} bytes")
    columns = ["difference in risk (1 = 100 %)", "windows", "largest", "mean", "over a threshold"]
    rows = [
        (row["case"], f"{row['windows']:,}", f"{row['largest']:.2g}", f"{row['mean']:.2g}",
         row["crossed"])
        for row in report["parity"] or []
    ]  # fmt: skip
    if rows:
        other = f"the fitted {report['model']}" if "model" in report else "the run"
        print_rows(f"against {other}; limit {report['limit']:g}", columns, rows)
    if events := report["events"]:
        print_note(
            f"simulated recordings with the same events: {events['same_events']} of "
            f"{events['recordings']}; with the same outcome, alarm or none: "
            f"{events['same_outcome']}"
        )
    if "window_ms" in report:
        high = report.get("window_p99_ms")
        at_99 = "" if high is None else f", {high:.2f} ms at 99 %"
        click.echo(f"one window on one core here: {report['window_ms']:.2f} ms{at_99}")
    if "c_flash_bytes" in report:
        print_note(
            f"flash: {report['c_flash_bytes']:,} bytes, code and constants; RAM for one sensor: "
            f"{report['c_ram_bytes']:,} bytes, of which {report['c_stack_bytes']:,} stack at most"
        )
    if "exam" in report:
        show_exams(report["exam"])
    for line in report.get("notes", []):
        click.echo(line)


def show_exams(exams: dict[str, dict]) -> None:
    """Print the figures of both, side by side."""
    from saafe.exam import simulated_table

    tables = [simulated_table(figures) for figures in exams.values()]
    others = dict(tables[1])
    rows = [(what, figure, others.get(what)) for what, figure in tables[0]]
    print_rows("simulated streams", ["figure", *exams], rows)
