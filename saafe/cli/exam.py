"""`saafe exam`."""

import json
from pathlib import Path

import click

from saafe.cli.tables import figure, print_gate, print_rows

FIRE_TABLE = ("fire", "n", "in_time", "late", "early", "missed", "in_time_lower", "in_time_upper",
         "unseen", "limit_unreached", "after_signal_median_s", "after_photo_median_s",
         "fire_room_margin_median_s")  # fmt: skip
NOTICE_TABLE = ("notice_from_s", "notice_below_s", "n", "in_time", "late", "early", "missed",
          "in_time_lower", "in_time_upper")  # fmt: skip
NUISANCE_TABLE = ("nuisance", "per_year", "events", "alarms", "alarms_per_100", "lower", "upper")
YEAR_TABLE = ("room", "alarms_per_year", "lower", "upper", "bonferroni_upper",
        "effective_exposure_years", "limit", "status")  # fmt: skip
FAULT_TABLE = ("fault", "channel", "n", "in_time_sound", "in_time_faulty", "points_lost", "upper")
SILENCE_TABLE = ("fault", "channel", "detectors", "knowable", "said", "longest_silence_s")
IDENTITY_TABLE = ("sources", "windows", "right_share", "right_lower", "right_upper", "chance_share")
RIVAL_TABLE = ("name", "train_s", "found", "fires", "false_alarms", "delay_s_median", "verdict",
          "superposed_in_time", "superposed_fires", "superposed_verdict")  # fmt: skip
SHIFT_TABLE = ("shift", "fires", "in_time", "late", "early", "missed", "events", "alarms")


@click.command("exam")
@click.argument("run")
@click.option("--real", type=click.Path(path_type=Path),
              help="Folder of published raw recordings to score too.")  # fmt: skip
@click.option("--quick", is_flag=True, help="The level that `saafe train` ends with: a minute.")
@click.option("--rivals", is_flag=True, help="Train simpler detectors and compare them (extra).")
@click.option("--seed", default=0, show_default=True, help="Of the exam; apart from training's.")
@click.option("--json", "as_json", is_flag=True, help="Print exam.json.")
def exam_command(
    run: str, real: Path | None, quick: bool, rivals: bool, seed: int, as_json: bool
) -> None:  # fmt: skip
    """Examine RUN and write its exam.json; exit code 0 means that the exam ran.

    Example: saafe exam runs/my-run --quick
    """
    from saafe.exam import exam as library
    from saafe.training.runs import load_run

    loaded = load_run(run)
    if quick:
        result, cases = library.examine_quick(loaded), []
    else:
        plan = library.ExamOptions(
            seed, real, rivals, on_progress=lambda line: click.echo(line, err=True)
        )
        result, cases = library.examine_full(loaded, plan)
    written = library.write_exam(loaded, result, cases)
    for path in written:
        click.echo(f"wrote {path}", err=True)
    if not written:
        click.echo(f"{run}: keeps the full exam that it has", err=True)
    if as_json:
        click.echo(json.dumps(result))
    else:
        show_exam(result)


def show_exam(result: dict) -> None:
    """Print the gate, and the tables of a full exam; first whom the transformer does not beat."""
    from saafe.exam.rivals import headline

    if line := headline(result.get("rivals") or []):
        click.echo(line)
    if result["gate"]["level"] == "full":
        life = [{"room": name} | result["life"][name] for name in ("quiet", "kitchen", "other")]
        silence = result["fault_watch"]["silence"]
        for title, columns, rows in (
            ("fires: outcomes, 95 % bounds, times [s]", FIRE_TABLE, result["fires"]),
            (
                "fires by time from the first reading that shows them to the limit",
                NOTICE_TABLE,
                result["notice"],
            ),
            (
                "nuisances: alarms per 100 events; yearly rates are assumed",
                NUISANCE_TABLE,
                result["nuisances"],
            ),
            ("false alarms a detector-year", YEAR_TABLE, life),
            ("faults: fires found in time", FAULT_TABLE, result["faults"]),
            ("faults: silence once knowable [s]", SILENCE_TABLE, silence),
            ("outside the training ranges", SHIFT_TABLE, result["shift"]),
            ("whose are quiet minutes?", IDENTITY_TABLE, identity_rows(result)),
            ("rivals at equal detection", RIVAL_TABLE, result["rivals"]),
        ):
            cells = [tuple(figure(row.get(name)) for name in columns) for row in rows]
            if cells:
                print_rows(title, [name.replace("_", " ") for name in columns], cells)
        for case in result["cases"]:
            click.echo(f"{case['kind']}: {case['title']}")
        click.echo(
            f"{result['windows_scored']:,} windows (at most {result['windows_limit']:,}) in "
            f"{result['seconds']:.0f} s"
        )
    print_gate(result["gate"])


def identity_rows(result: dict) -> list[dict]:
    """The rows of the identity probe; why there are none, where it could not be asked."""
    found = result["identity"]
    return found.get("rows", []) if isinstance(found, dict) else [{"sources": found}]
