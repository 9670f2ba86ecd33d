"""`saafe evaluate`."""

import os
from dataclasses import replace
from pathlib import Path

import click

from saafe.cli.archive import expand
from saafe.cli.detect import refuse_folders, split_words
from saafe.cli.output import print_json
from saafe.cli.progress import Busy, ProgressLines, counting, starting
from saafe.cli.reading import load_for
from saafe.cli.tables import print_note, print_rows
from saafe.errors import InputError
from saafe.recordings import SET_FILE

HOW_ALARMS_ARE_MEANT = (
    "real alarm: the first that set.json names. photo to co: simulated in the recorded air. "
    "A dash: not by the end of the fire, or no sensor could show it (docs/scoring.md). "
    "In brackets: the fixed rule that alarmed, which is the same for all models."
)

OWN = "saafe's own"  # as the package's model is called

RECORDING_COLUMNS = {  # of the table of recordings: its key in the JSON
    "hours": "hours",
    "alarms": "alarms",
    "first alarm [s]": "first_alarm_s",
    "highest risk [%]": "highest_risk",
    "fire visible [s]": "fire_visible_s",
}


@click.command("evaluate")
@click.argument("words", nargs=-1, metavar="[MODEL] [RECORDING...]")
@click.option("--real", "real_dir",
              help="Folder of publishers' raw recordings, annotated sets or both.")  # fmt: skip
@click.option("--dense-days", default=1.0, show_default=True,
              help="Days of each home scored at 10 s on six sensors; 0 skips them.")  # fmt: skip
@click.option("--real-only", is_flag=True, help="Score recordings alone, no simulated streams.")
@click.option("--no-floor", is_flag=True, help="Leave logistic regression out.")
@click.option(
    "--rival",
    "rivals",
    multiple=True,
    metavar="NAME",
    help="In place of logistic regression, another of docs/rivals.md.",
)
@click.option("--device", metavar="NAME|FILE",
              help="Take the thresholds of this device, and simulate its sensors.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def evaluate_command(
    words: tuple[str, ...], real_dir: str | None, dense_days: float, real_only: bool,
    no_floor: bool, rivals: tuple[str, ...], device: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Score a model on simulated streams from other seeds and rooms, and on recordings.

    MODEL is a run folder or an exported .onnx file, with its own thresholds; without one, saafe's
    own. The streams are of --device, else of the device that it was trained for, of any
    instruments where there is none. Its figures are of other fires than the exam's, and so are not
    the same. Of the fires of annotated sets each is shown, with the times at which alarms beside it
    would have sounded.

    Example: saafe evaluate runs/my-run kitchen.csv --no-floor

    Example: saafe evaluate kitchen.csv --real-only --no-floor
    """
    with starting():
        from saafe.exam import judge_simulated, judging, plain_values
        from saafe.rivals import registry
        from saafe.training import device_of, for_device

    model, paths = split_words(words)
    if real_only and not paths and real_dir is None:
        raise InputError("--real-only: there are no recordings; give a PATH or --real FOLDER")
    names = rivals or (() if no_floor else (registry.LOGISTIC,))
    registry.check_installed(names)
    if model is not None and os.path.isfile(f"{model}/{SET_FILE}"):  # a closed folder is none
        raise InputError(f"{model}: is an annotated set, and no model; give it as --real {model}")
    refuse_folders(paths)
    loaded = load_for(model, device)
    if real_dir is not None:
        judging.check_real(Path(real_dir), lambda line: click.echo(line, err=True))
    judged, recipe = judging.judged_model(loaded)
    if model is None:
        judged = replace(judged, name=OWN)
    through = device_of(for_device(recipe, device))
    files = expand(paths)
    with counting(map(Path, files), len(files), "recordings read") as counted:
        recordings = judging.read_all(
            counted, lambda line: click.echo(line, err=True), judged.settings
        )
    contestants = [judged]
    for name in dict.fromkeys(names):
        click.echo(f"fitting {name}", err=True)
        with Busy(f"fitting {name}") as busy:
            trained = registry.train_alone(name, recipe, device=device, on_stage=busy.now)
        contestants.append(judging.judged_rival(trained))
    named = through if isinstance(through, str) else through.name
    result: dict = {
        "run": model, "model_sha256": loaded.identity, "device": named, "contestants": {},
    }  # fmt: skip
    told: set[str] = set()  # of each contestant the same is doubtful: it is said once
    for one in contestants:
        click.echo(f"scoring {one.name}", err=True)
        figures: dict = {}
        if not real_only:
            with Busy(f"scoring {one.name}") as busy:
                found = judge_simulated(one, seed=recipe.seed, device=through, on_progress=busy.now)
            figures["simulated"] = plain_values(found)
        if recordings:
            with counting(recordings, len(recordings), "recordings scored") as counted:
                figures["recordings"] = judging.judge_recordings(one, counted)
        if real_dir is not None:
            with ProgressLines(told=told) as say:
                figures["real"] = judging.judge_real(
                    one, Path(real_dir), dense_days=dense_days, on_progress=say
                )
        result["contestants"][one.name] = figures
    if as_json:
        print_json(result)
    else:
        show_evaluation(result["contestants"], named)


def show_evaluation(contestants: dict[str, dict], device: str) -> None:
    """Print one table a part, contestants side by side."""
    from saafe.exam import score_table, set_fires_table, simulated_table

    names = list(contestants)
    first = contestants[names[0]]
    if "simulated" in first:
        simulated = [simulated_table(f["simulated"]) for f in contestants.values()]
        print_rows(f"simulated streams of {device}", ["figure", *names], beside(simulated))
    if "real" in first:
        real = [
            [(what, figure if not note else f"{figure}  ({note})")
             for what, figure, note in score_table(f["real"])]
            for f in contestants.values()
        ]  # fmt: skip
        print_rows("recordings", ["figure", *names], beside(real))
        for part in first["real"]["sets"]:  # of all contestants the same
            if part["note"]:
                print_note(f"set {part['name']}: {part['note']}")
        columns, fires = set_fires_table({name: f["real"] for name, f in contestants.items()})
        if fires:
            simulated = len(columns) - len(names) - 3  # after the fire, its limit and a real alarm
            parts = [*(("", 1) for _ in names), ("", 2), ("reference alarms: ", simulated)]
            print_rows(
                "fires of annotated sets, alarms in s from the first row", columns, fires, parts
            )
            print_note(HOW_ALARMS_ARE_MEANT)
    rows = [
        (row["name"], name, *(row.get(key) for key in RECORDING_COLUMNS.values()))
        for name, figures in contestants.items()
        for row in figures.get("recordings", [])
    ]
    if rows:
        print_rows(None, ["recording", "detector", *RECORDING_COLUMNS], rows)


def beside(tables: list[list[tuple[str, str]]]) -> list[tuple]:
    """Rows of several tables of the same figures, joined by the figure's name."""
    others = [dict(table) for table in tables[1:]]
    return [(what, figure, *(other.get(what) for other in others)) for what, figure in tables[0]]
