"""From a trained run and the user's recordings to a tuned run, with figures of held-out days."""

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from saafe.errors import InputError, as_given, check_type
from saafe.exam import ROOMS_FILE, exam, plain_values
from saafe.files import json_text, read_file, sole_use, write_json
from saafe.formats import clock
from saafe.own_rooms.folds import Plan, plan_folds
from saafe.own_rooms.held_out import (
    FIRES_A_KIND,
    GENERAL_MODEL,
    TUNED,
    FireOnDay,
    compare_models,
    fires_on_days,
    more_days,
    score_fires,
    score_rooms,
    sum_fires_by_kind,
    sum_rows,
    told,
)
from saafe.own_rooms.rooms import OwnRooms, Room, read_rooms
from saafe.recipes import Recipe
from saafe.simulator import Background, backgrounds_of, sources
from saafe.threads import Workers, spare_threads
from saafe.training import (
    Fit,
    OnShare,
    Progress,
    Run,
    Simulated,
    Tuned,
    load_checkpoint,
    loop,
    runs,
    save_checkpoint,
    simulated_for,
    tune_detector,
    unheard,
    with_thresholds,
)
from saafe.training_run import append, keep_epochs, open_folder, read_environment, sweep, train_in
from saafe.windows import HOLD_S

POOLS_FILE = "thresholds_rest_on.json"
GENERAL_FOLDER, FOLDS = "general", "folds"
RESULT_VERSION = 1
MOST_BUDGET = 1_000.0


def check_asked(per_year: float | None) -> None:
    """Refuse a budget that is none, and several ranks."""
    if per_year is not None and not 0.0 <= per_year <= MOST_BUDGET:  # NaN fails too
        raise InputError(
            f"{as_given('--false-alarms-per-year', 'false_alarms_per_year')} {per_year:g}: allowed "
            f"is 0 to {MOST_BUDGET:g} a year"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        who = as_given("--on", "tune")
        raise InputError(f"{who} trains in one process; start it without torchrun")


def tuned_name(recipe: Recipe) -> str:
    """A name for a tuned run that sorts by time, such as ultra-fast-tuned-20261128-193000."""
    return f"{recipe.tier}-tuned{runs.run_name(recipe).removeprefix(recipe.tier)}"


def note_asked(
    folder: Path, rooms: OwnRooms, per_year: float | None, *, resume: bool, model: str | None
) -> None:
    """Write down what a run is started with; refuse to go on with anything else.

    `model` is the hash of the weights that are tuned, None where the folder trains its own.
    """
    asked = {"recordings": rooms.digest, "false_alarms_per_year": per_year, "model": model}
    path = folder / runs.ASKED_FILE
    if not resume:
        write_json(path, asked)
        return
    try:
        before = dict(json.loads(read_file(path)))
    except InputError:  # which is a ValueError: it is there, and cannot be read
        raise
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        if not (folder / runs.METRICS).exists() and not (folder / runs.MODEL).exists():
            write_json(path, asked)  # it was stopped before anything was done
            return
        how = as_given("--on; resume it without, or give another --name", "tune; give another name")
        raise InputError(f"{folder}: was not started with {how}") from None
    for field, what in (
        ("recordings", "other recordings"),
        ("false_alarms_per_year", "another budget"),
    ):
        if before.get(field) != asked[field]:
            same = as_given("--on and --false-alarms-per-year", "on and false_alarms_per_year")
            mend = f"resume with the same {same}, or give another {as_given('--name', 'name')}"
            raise InputError(f"{folder}: was started with {what}; {mend}")
    if model and before.get("model") not in (None, model):  # older runs do not say; nor train --on
        raise InputError(
            f"{folder}: was started with a model of other weights; resume with the same RUN, or "
            f"give another {as_given('--name', 'name')}"
        )


def check_without(folder: Path) -> None:
    """Refuse to go on without --on with a run that was started with it."""
    if (folder / runs.ASKED_FILE).exists():
        raise InputError(f"{folder}: was started with --on; resume it with the same --on FOLDER")


def train_on_rooms(
    recipe: Recipe,
    folder: Path,
    rooms: OwnRooms,
    per_year: float | None,
    *,
    on_epoch: Callable[[Progress], None],
    on_thresholds: OnShare = unheard,
    on_progress: Callable[[str], None],
    resume: bool,
) -> dict[str, Any]:
    """Train a general model in a run's folder, then tune it there on the user's recordings.

    What is finished is not done again: epochs of the general model, folds, epochs of a tuning.

    Returns:
        What `saafe train --on --json` prints.
    """
    note_asked(folder, rooms, per_year, resume=resume, model=None)
    inside = folder / GENERAL_FOLDER
    if not (inside / runs.MODEL).is_file():
        begun = inside.is_dir()
        if not begun:
            runs.new_folder(folder, GENERAL_FOLDER, recipe)
        train_in(recipe, inside, on_epoch=on_epoch, on_thresholds=on_thresholds, resume=begun)
    timing = read_environment(inside).get("timing")
    timed = {"train_s": timing["train_s"]} if timing else {}  # none where a kill came before it
    took = f" in {timing['train_s']:.1f} s" if timing else ""
    on_progress(f"trained the general model{took}: {inside}")
    result = tune_in(folder, runs.load(inside), rooms, per_year, on_progress=on_progress)
    return result | timed


def tune(
    run: Run | Path | str,
    *,
    on: Path | str,
    false_alarms_per_year: float | None = None,
    out: Path | str = "runs",
    name: str | None = None,
    resume: bool = False,
    on_progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Tune a trained run on your own rooms, and judge the tuning on days held out.

    The run stays as it is; the tuned one gets a folder of its own.

    Args:
        run: a run, or the path of its folder.
        on: folder of recordings without a fire, or of annotated sets.
        false_alarms_per_year: budget that the thresholds keep, in simulations too.
        out: folder for the new run's folder.
        name: of the new run's folder; made of tier and time by default.
        resume: go on where a stopped tuning ended.
        on_progress: takes a line now and then.

    Returns:
        What `saafe tune --json` prints: the new folder as `run`, figures of held-out days as
        `own_rooms`, and the quick gate.

    Raises:
        InputError: the run or a folder cannot be used, or no recording may teach.

    Example:
        >>> from pathlib import Path
        >>> import saafe
        >>> Path("my_rooms").mkdir()
        >>> for k, home in enumerate(saafe.simulate(2, hours=3.0, sources=["kettle"])):
        ...     saafe.write_recording(home, f"my_rooms/home{k}.csv")
        >>> tuned = saafe.tune("runs/RUN", on="my_rooms", name="mine")
        >>> tuned["run"], len(tuned["own_rooms"]["recordings"]["groups"])
        ('runs/mine', 2)
    """
    check_type(run, Run | Path | str, "tune: takes a run or its folder")
    check_type(on, Path | str, "on: takes a folder of recordings")
    check_asked(false_alarms_per_year)
    general = run if isinstance(run, Run) else runs.load(run)
    rooms = read_rooms(on, on_progress, sentinels=general.settings.sentinels)
    name = name if name or resume else tuned_name(general.recipe)
    folder = open_folder(general.recipe, Path(out), name, resume=resume)
    note_asked(folder, rooms, false_alarms_per_year, resume=resume, model=general.identity)
    return tune_in(folder, general, rooms, false_alarms_per_year, on_progress=on_progress)


def tune_in(
    folder: Path,
    general: Run,
    rooms: OwnRooms,
    per_year: float | None,
    *,
    on_progress: Callable[[str], None],
) -> dict[str, Any]:
    """Tune a general model on the user's recordings, and judge the tuning on held-out days.

    Each fold of the recordings is tuned without and scored; then all of them tune the model that
    the folder keeps, or, by `weights_of`, set its thresholds alone.
    """
    recipe, plan = general.recipe, plan_folds(rooms.rooms)
    device = loop.find_device(recipe)
    began = time.perf_counter()
    on_progress("simulating what is learnt from beside your rooms")
    busy = f"{folder}: another process tunes there; wait for it"
    with sole_use(folder, busy), Workers(spare_threads(device)) as workers:
        sweep(folder)
        simulated = simulated_for(recipe, workers)
        watch = Watch(simulated.recipe.epochs, len(plan.folds) + 1, on_progress)
        found = judge_folds(folder, general, plan, simulated, per_year, watch)
        weights = weights_of(found)
        if weights == GENERAL_MODEL:
            final = keep_general(folder, general, rooms.rooms, simulated, per_year, watch)
        else:
            watch.begin("tuning on all recordings")
            final = tune_one(folder, general, rooms.rooms, simulated, per_year, watch)
    result = {
        "version": RESULT_VERSION,
        "weights": weights,
        "false_alarms_per_year": per_year,
        "recordings": describe_rooms(rooms),
        **found,
        "thresholds_rest_on": read_pools(folder),
        "alarms": final.settings.to_dict(),
    }
    write_json(folder / ROOMS_FILE, result := plain_values(result))
    on_progress(f"wrote {folder / ROOMS_FILE}")
    examined = exam.examine(runs.load(folder), level="quick", on_progress=on_progress)
    return {
        "run": str(folder),
        "general_run": str(general.folder),
        "tier": recipe.tier,
        "tune_s": round(time.perf_counter() - began, 2),
        "device": str(device),
        "parameters": sum(p.numel() for p in final.model.parameters()),
        "model_sha256": runs.sha256(folder / runs.MODEL),
        "gate": examined["gate"],
        "figures": examined["figures"],
        "own_rooms": result,
    }


class Watch:
    """Says how far the tunings are and how long the rest may take."""

    def __init__(self, epochs: int, tunings: int, say: Callable[[str], None]) -> None:
        """Begin; nothing is tuned yet."""
        self.epochs, self.tunings, self.say = epochs, tunings, say
        self.what, self.number = "", 0
        self.seconds = 0.0  # spent on epochs that were trained here
        self.trained = 0  # such epochs
        self.since = time.perf_counter()

    def begin(self, what: str) -> None:
        """The next tuning begins."""
        self.what, self.number = what, self.number + 1
        self.since = time.perf_counter()

    def __call__(self, at: Progress) -> None:
        """An epoch is over."""
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now
        self.trained += 1
        left = (self.tunings - self.number + 1) * self.epochs - at.epoch
        self.say(
            f"{self.what} ({self.number} of {self.tunings}): epoch {at.epoch}/{at.epochs} loss "
            f"{at.loss:.4f}, about {clock(left * self.seconds / self.trained)} left"
        )


def tune_one(
    folder: Path,
    general: Run,
    rooms: Sequence[Room],
    simulated: Simulated,
    per_year: float | None,
    watch: Watch,
) -> Run:
    """Tune on some recordings in a folder, with a checkpoint an epoch; what is there is loaded."""
    sweep(folder)
    if (folder / runs.MODEL).is_file():
        return runs.load(folder)
    state = load_checkpoint(folder / runs.CHECKPOINT, simulated.recipe)
    keep_epochs(folder / runs.METRICS, state["epoch"] if state else 0)

    def on_epoch(progress: Progress) -> None:
        append(folder / runs.METRICS, json_text(vars(progress)) + "\n")
        watch(progress)

    def on_checkpoint(fit: Fit) -> None:
        save_checkpoint(folder / runs.CHECKPOINT, loop.state_of(fit), simulated.recipe)

    tuned = tune_detector(
        general.model, backgrounds_in(rooms, general), simulated, per_year,
        before=general.settings,
        on_epoch=on_epoch, on_checkpoint=on_checkpoint, resumed=state,
    )  # fmt: skip
    return write_tuned(folder, general.recipe, tuned)


def weights_of(found: dict[str, Any]) -> str:
    """Whose weights the run folder holds: the general model's where tuning made it worse.

    That is, on held-out days, beyond chance, and nothing got better; see `compare_models`.
    """
    return GENERAL_MODEL if found["compared"].get("verdict") == GENERAL_MODEL else TUNED


def keep_general(
    folder: Path,
    general: Run,
    rooms: Sequence[Room],
    simulated: Simulated,
    per_year: float | None,
    watch: Watch,
) -> Run:
    """The general model in a folder of its own, with thresholds over all recordings."""
    watch.say("tuning did not pay: the general model gets thresholds over your recordings")
    tuned = with_thresholds(
        general.model, general.model, backgrounds_in(rooms, general), simulated, per_year,
        before=general.settings,
    )  # fmt: skip
    return write_tuned(folder, general.recipe, tuned)


def write_tuned(folder: Path, recipe: Recipe, tuned: Tuned) -> Run:
    """Write a tuned model and what its thresholds rest on; the run that the folder now is."""
    write_json(folder / POOLS_FILE, describe_pools(tuned))
    runs.save_model(folder, recipe, tuned.model, tuned.settings)
    return runs.load(folder)


def backgrounds_in(rooms: Sequence[Room], general: Run) -> list[Background]:
    """The backgrounds of recordings, held as long as a general model holds a reading."""
    hold_s = max(general.settings.longest_interval_s, HOLD_S)
    return [each for room in rooms for each in backgrounds_of(room.recording, hold_s)]


def describe_pools(tuned: Tuned) -> list[dict[str, Any]]:
    """The life without a fire that thresholds rest on, and how often it alarms at them.

    `share` of the streams may alarm where no budget is given.
    """
    return [
        {
            "what": name,
            "years": pool.years,
            "streams": len(pool.peaks),
            "alarms": (alarms := pool.alarms_at(tuned.settings)),
            "alarms_per_year": alarms / pool.years if pool.years else None,
            "share": pool.share,
        }
        for name, pool in tuned.pools.items()
    ]


def read_pools(folder: Path) -> list[dict[str, Any]]:
    """What `describe_pools` gave of a folder's model; nothing where an older saafe lost it.

    It kept this in thresholds.json, where thresholds for other devices took its place.
    """
    for name in (POOLS_FILE, "thresholds.json"):
        with suppress(FileNotFoundError, ValueError):
            if isinstance(pools := json.loads(read_file(folder / name)), list):
                return pools
    return []


def judge_folds(
    folder: Path,
    general: Run,
    plan: Plan,
    simulated: Simulated,
    per_year: float | None,
    watch: Watch,
) -> dict[str, Any]:
    """Tune without each fold and score it there; the general model beside.

    Nothing of a fold trains, calibrates or sets a threshold of what it scores.
    """
    rows: dict[str, list[Any]] = {TUNED: [], GENERAL_MODEL: []}
    groups: list[str] = []
    trials: list[FireOnDay] = []
    outcomes_of: dict[str, list[str]] = {TUNED: [], GENERAL_MODEL: []}
    seconds = sum(room.seconds for fold in plan.folds for room in fold.held_out)
    for number, fold in enumerate(plan.folds):
        here = folder / FOLDS / str(number)
        here.mkdir(parents=True, exist_ok=True)
        watch.begin(f"tuning without {fold.name}")
        tuned = tune_one(here, general, fold.training, simulated, per_year, watch)
        share = sum(room.seconds for room in fold.held_out) / seconds
        count = max(1, round(share * FIRES_A_KIND * len(sources.FIRES)))
        days = backgrounds_in(fold.held_out, general)
        put = fires_on_days(days, count, general.recipe.seed, number)
        trials += put
        groups += [room.group for room in fold.held_out]
        for name, model in ((TUNED, tuned), (GENERAL_MODEL, general)):
            what = f"{fold.name} held out, {name} model"
            rows[name] += score_rooms(model, told(fold.held_out, f"{what}, days", watch.say))
            outcomes_of[name] += score_fires(model, told(put, f"{what}, fires", watch.say))
        watch.say(
            f"held out: {fold.name}: {sum(row.alarms for row in rows[TUNED])} false alarms so far, "
            f"the general model {sum(row.alarms for row in rows[GENERAL_MODEL])}"
        )
    names = [fold.name for fold in plan.folds]
    watched = sum(row.days for row in rows[TUNED])
    knows = any(room.knows_cooking for fold in plan.folds for room in fold.held_out)
    return {
        "held_out": {"how": plan.how, "folds": names, "days": watched, "knows_cooking": knows},
        "homes": {name: sum_rows(found) for name, found in rows.items()} if names else {},
        "groups": [
            {"group": group}
            | {
                name: sum(row.alarms for row, g in zip(found, groups, strict=True) if g == group)
                for name, found in rows.items()
            }
            | {"days": sum(r.days for r, g in zip(rows[TUNED], groups, strict=True) if g == group)}
            for group in dict.fromkeys(groups)
        ],
        "fires": sum_fires_by_kind(trials, outcomes_of) if trials else {},
        "compared": compare_models(rows, outcomes_of) if names else {},
        "more_days": more_days(watched),
    }


def describe_rooms(rooms: OwnRooms) -> dict[str, Any]:
    """What taught, and what was left out and why."""
    return {
        "recordings": len(rooms.rooms),
        "groups": list(rooms.groups),
        "groups_said": all(room.is_said for room in rooms.rooms),
        "days": sum(room.watched_days for room in rooms.rooms),
        "left_out": [vars(one) for one in rooms.left_out],
    }
