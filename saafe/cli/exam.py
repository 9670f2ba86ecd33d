"""`saafe exam`."""

import json
from pathlib import Path

import click

from saafe.cli.tables import figure, print_gate, print_rows

FIRES = ("fire", "n", "in_time", "late", "early", "missed", "in_time_lower", "in_time_upper",
         "unseen", "limit_unreached", "after_signal_median_s", "after_photo_median_s",
         "fire_room_margin_median_s")  # fmt: skip
NOTICE = ("notice_from_s", "notice_below_s", "n", "in_time", "late", "early", "missed",
          "in_time_lower", "in_time_upper")  # fmt: skip
NUISANCES = ("nuisance", "per_year", "events", "alarms", "alarms_per_100", "lower", "upper")
LIFE = ("room", "alarms_per_year", "lower", "upper", "bonferroni_upper",
        "effective_exposure_years", "limit", "status")  # fmt: skip
FAULTS = ("fault", "channel", "n", "in_time_sound", "in_time_faulty", "points_lost", "upper")
SILENCE = ("fault", "channel", "detectors", "knowable", "said", "longest_silence_s")
IDENTITY = ("sources", "windows", "right_share", "right_lower", "right_upper", "chance_share")
RIVALS = ("name", "train_s", "found", "fires", "false_alarms", "delay_s_median", "verdict",
          "composites_in_time", "composites", "composites_verdict")  # fmt: skip
SHIFT = ("shift", "fires", "in_time", "late", "early", "missed", "events", "alarms")


@click.command()
@click.argument("run")
@click.option("--real", type=click.Path(path_type=Path),
              help="Folder of published raw recordings to score too.")  # fmt: skip
@click.option("--quick", is_flag=True, help="The level that `saafe train` ends with: a minute.")
@click.option("--rivals", is_flag=True, help="Train simpler detectors and compare them (extra).")
@click.option("--seed", default=0, show_default=True, help="Of the exam; apart from training's.")
@click.option("--json", "as_json", is_flag=True, help="Print exam.json.")
def exam(
    run: str, real: Path | None, quick: bool, rivals: bool, seed: int, as_json: bool
) -> None:  # fmt: skip
    """Examine RUN and write its exam.json; exit code 0 means that the exam ran.

    Example: saafe exam runs/my-run --quick
    """
    from saafe.exam import exam as library
    from saafe.training.runs import load_run

    loaded = load_run(run)
    if quick:
        result, cases = library.quick(loaded), []
    else:
        plan = library.Plan(seed, real, rivals, tell=lambda line: click.echo(line, err=True))
        result, cases = library.full(loaded, plan)
    written = library.write(loaded, result, cases)
    for path in written:
        click.echo(f"wrote {path}", err=True)
    if not written:
        click.echo(f"{run}: keeps the full exam that it has", err=True)
    if as_json:
        click.echo(json.dumps(result))
    else:
        show(result)


def show(result: dict) -> None:
    """Print the gate, and the tables of a full exam; first whom the transformer does not beat."""
    from saafe.exam.rivals import headline

    if line := headline(result.get("rivals") or []):
        click.echo(line)
    if result["gate"]["level"] == "full":
        life = [{"room": name} | result["life"][name] for name in ("quiet", "kitchen", "other")]
        silence = result["fault_watch"]["silence"]
        for title, columns, rows in (
            ("fires: outcomes, 95 % bounds, times [s]", FIRES, result["fires"]),
            (
                "fires by time from the first reading that shows them to the limit",
                NOTICE,
                result["notice"],
            ),
            (
                "nuisances: alarms per 100 events; yearly rates are assumed",
                NUISANCES,
                result["nuisances"],
            ),
            ("false alarms a detector-year", LIFE, life),
            ("faults: fires found in time", FAULTS, result["faults"]),
            ("faults: silence once knowable [s]", SILENCE, silence),
            ("outside the training ranges", SHIFT, result["shift"]),
            ("whose are quiet minutes?", IDENTITY, identity_rows(result)),
            ("rivals at equal detection", RIVALS, result["rivals"]),
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
