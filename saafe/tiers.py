"""The tiers side by side: what each takes, costs and reaches.

A cell is measured, an estimate (with its formula), a claim of the document that saafe started
from, or not shown (with the reason). Prices come from whoever calls: they live above.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import torch

from saafe.errors import InputError, as_given
from saafe.exam import exam, limits_of
from saafe.files import writable_folder, write_atomically, write_json
from saafe.recipes import Recipe, find_tier, to_dict
from saafe.training import runs

COMPARED_TIERS = ("tiny", "ultra-fast", "standard", "local")
# Chosen: a busy server core with its share of memory; laptops draw 3 to 10 W a core, and no
# machine here tells its own
CORE_W = 5.0
# Chosen: near household prices of 2026 in Europe, from memory, not checked
USD_PER_KWH = 0.30
FIGURES = {  # name: (title, unit, decimals)
    "train_s": ("training", "s", 1),
    "cold_start_s": ("cold start to artefact", "s", 1),
    "setup_s": ("set-up before training, saving after it", "s", 1),
    "samples_per_s": ("windows trained, simulation included", "1/s", 0),
    "device": ("device", "", 0),
    "peak_mb": ("peak memory", "MB", 0),
    "energy_wh": ("energy", "Wh", 3),
    "cost_here_usd": ("electricity here", "$", 5),
    "cost_cloud_usd": ("cost on SageMaker", "$", 3),
    "cloud_s": ("billed time on SageMaker", "s", 0),
    "model_mb": ("model", "MB", 2),
    "accuracy": ("accuracy, three classes", "", 4),
    "detection_rate": ("fires in time", "", 4),
    "false_alarm_rate_windows": ("other windows in alarm", "", 5),
    "latency_p99_ms": ("latency of one window, 99th percentile", "ms", 2),
}
GATED = ("accuracy", "detection_rate", "false_alarm_rate_windows")


@dataclass(frozen=True)
class Cell:
    """One figure of one column.

    Attributes:
        value: the figure, or words; None where it is not shown.
        how: "measured", "estimate", "claim" or "not shown".
        note: the formula, the source or the reason.
    """

    value: float | str | None
    how: str
    note: str = ""


def missing_cell(reason: str) -> Cell:
    """A cell without a figure."""
    return Cell(None, "not shown", reason)


def train_tiers(
    wanted: tuple[Recipe, ...], fraction: float, out: Path, on_message: Callable[[str], None]
) -> dict[str, tuple[Path, Recipe]]:
    """Train tiers, each piece of work once: equal recipes share a run.

    Args:
        wanted: recipes of tiers. Those that show a window more than once are trained whole:
            they take minutes, and their first epochs do not tell what later ones take.
        fraction: of the others' epochs.
        out: folder for the runs' folders.
        on_message: shows a line.

    Returns:
        By tier its run folder, and the recipe that it is a fraction of.
    """
    trained: dict[str, tuple[Path, Recipe]] = {}
    for recipe in wanted:
        share = 1.0 if recipe.passes > 1 else fraction
        part = part_of(recipe, share)
        same = [tier for tier, (folder, _) in trained.items() if is_run_of(folder, part)]
        if same:
            on_message(f"{recipe.tier}: the same training as {same[0]}'s, not done again")
            trained[recipe.tier] = (trained[same[0]][0], recipe)
        else:
            on_message(f"training {recipe.tier}")
            trained[recipe.tier] = (train_part(part, out), recipe)
    return trained


def is_run_of(folder: Path, recipe: Recipe) -> bool:
    """Whether a run is what a recipe would give: equal, and ended within both time budgets."""
    done = runs.load(folder).recipe
    train_s = json.loads((folder / runs.ENVIRONMENT).read_text())["timing"]["train_s"]
    budgets_s = [3600.0 * hours for hours in (done.hours, recipe.hours) if hours]
    return without_budget(done) == without_budget(recipe) and train_s < min(budgets_s, default=inf)


def without_budget(recipe: Recipe) -> Recipe:
    """The recipe without its tier's name and time budget: equal ones do the same work."""
    return replace(recipe, tier="", hours=0.0)


def train_part(recipe: Recipe, out: Path) -> Path:
    """Train what `part_of` makes of a tier, in a process of its own; returns the run folder.

    Raises:
        InputError: the training failed.
    """
    tier, name = recipe.tier, runs.run_name(recipe)
    command = [sys.executable, "-m", "saafe", "train", tier, "--out", str(out), "--name", name]
    whole = to_dict(find_tier(tier))
    for field, value in to_dict(recipe).items():
        command += ["--set", f"{field}={value}"] if value != whole[field] else []
    # its progress is ours: stderr goes through
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise InputError(f"{tier}: its training ended with exit code {done.returncode}; see above")
    return out / name


def part_of(recipe: Recipe, fraction: float) -> Recipe:
    """A recipe of a fraction of another's windows: fewer epochs, and at last a smaller one."""
    epochs = fraction * recipe.epochs
    if epochs >= 1.0:
        return replace(recipe, epochs=round(epochs))
    windows = max(recipe.batch, round(epochs * recipe.windows))
    streams = max(8, round(epochs * recipe.streams))
    return replace(recipe, epochs=1, windows=windows, streams=streams)


def column(folder: Path, whole: Recipe | None = None) -> dict[str, Cell]:
    """The figures that a finished run left behind.

    Args:
        folder: the run's.
        whole: the recipe that it is a fraction of; what depends on size becomes an estimate.

    Raises:
        InputError: the folder is no finished run.
    """
    recipe = runs.load(folder).recipe
    if not (folder / exam.EXAM_FILE).is_file():
        raise InputError(
            f"{folder}: has no {exam.EXAM_FILE}; `saafe exam {folder} --level quick` writes it"
        )
    try:
        lines = json.loads((folder / exam.EXAM_FILE).read_text())["gate"]["lines"]
        cells = gate_cells({line["name"]: line["value"] for line in lines})
        if is_tuned(folder):
            untimed = missing_cell("trainings alone are timed; this run was tuned")
            return dict.fromkeys(FIGURES, untimed) | cells
        timing = json.loads((folder / runs.ENVIRONMENT).read_text())["timing"]
        cells |= timing_cells(timing, recipe)
    except (OSError, ValueError, KeyError, TypeError):  # of other JSON, too
        raise InputError(
            f"{folder}: holds no timing or no gate in {runs.ENVIRONMENT} and {exam.EXAM_FILE}; "
            "train it again with this saafe"
        ) from None
    if whole is not None and without_budget(whole) != without_budget(recipe):
        cells = extrapolated(cells, timing, recipe, whole)
    return with_energy(cells, timing)


def is_tuned(folder: Path) -> bool:
    """Whether a run was tuned on recordings: its environment holds no timing."""
    return (folder / runs.ASKED_FILE).exists()


def gate_cells(gate: dict[str, float]) -> dict[str, Cell]:
    """What the exam measured."""
    cells = {
        "model_mb": Cell(round(gate["model_bytes"] / 1e6, 3), "measured"),
        "latency_p99_ms": Cell(gate["latency_p99_ms"], "measured", "one thread"),
    }
    return cells | {name: Cell(gate[name], "measured", "quick gate") for name in GATED}


def timing_cells(timing: dict[str, Any], recipe: Recipe) -> dict[str, Cell]:
    """What the training measured."""
    cold, train_s = timing["cold_start_to_artefact_s"], timing["train_s"]
    cells = {
        "train_s": Cell(train_s, "measured", f"{timing['epochs']} of {recipe.epochs} epochs"),
        "cold_start_s": Cell(cold, "measured", "process start to saved model"),
        "setup_s": Cell(cold and round(cold - train_s, 2), "measured", "cold start - training"),
        "samples_per_s": Cell(timing["samples_per_s"], "measured"),
        "device": Cell(f"{timing['device']}, {timing['ranks']} rank(s)", "measured"),
        "peak_mb": Cell(timing["peak_mb"], "measured"),
    }
    if cold is None:
        cells["cold_start_s"] = cells["setup_s"] = missing_cell("the run was resumed")
    return cells


def extrapolated(
    cells: dict[str, Cell], timing: dict[str, Any], part: Recipe, whole: Recipe
) -> dict[str, Cell]:
    """The cells of a whole recipe, of which only a part was trained."""
    speed, train_s = timing["samples_per_s"], timing["train_s"]
    fixed = max(0.0, train_s - timing["epochs"] * part.windows / speed)
    full = fixed + whole.epochs * whole.windows / speed
    formula = (
        f"{fixed:.1f} s of thresholds and so on + {whole.epochs} x {whole.windows} windows / "
        f"{speed:.0f} a second"
    )
    if whole.hours and full > whole.hours * 3600:
        full, formula = whole.hours * 3600, f"its budget of {whole.hours:g} h, before {formula}"
    out = dict(cells)
    out["train_s"] = Cell(round(full, 1), "estimate", formula)
    if (setup := cells["setup_s"].value) is not None:
        out["cold_start_s"] = Cell(
            round(full + float(setup), 1), "estimate", "estimated training + measured set-up"
        )
    trained = part.epochs * part.windows / (whole.epochs * whole.windows)
    for name in GATED:
        out[name] = missing_cell(f"only {100 * trained:.2g} % of its windows were trained")
    return out


def with_energy(cells: dict[str, Cell], timing: dict[str, Any]) -> dict[str, Cell]:
    """The cells, with energy and electricity estimated from the training time."""
    train_s, cores = cells["train_s"].value, timing["threads"] * timing["ranks"]
    if timing["device"] != "cpu":
        reason = missing_cell("no power is assumed for GPUs")
        return {**cells, "energy_wh": reason, "cost_here_usd": reason}
    energy = float(train_s or 0.0) * cores * CORE_W / 3600.0
    usd = round(energy / 1000 * USD_PER_KWH, 6)
    power = f"training x {cores} cores x {CORE_W:g} W (chosen)"
    return {
        **cells,
        "energy_wh": Cell(round(energy, 4), "estimate", power),
        "cost_here_usd": Cell(usd, "estimate", f"energy x ${USD_PER_KWH:.2f}/kWh (chosen)"),
    }


def with_cloud(cells: dict[str, Cell], expected: dict[str, Any] | None) -> dict[str, Cell]:
    """The cells, with what `saafe launch` would expect of the tier; None where it has no plan."""
    if expected is None:
        reason = missing_cell("this tier is not meant for rented machines")
        return {**cells, "cost_cloud_usd": reason, "cloud_s": reason}
    rate = f"{expected['instances']} x {expected['instance']} at ${expected['usd_per_hour']:g}/h"
    basis = f"billed time x {rate} + storage; prices of {expected['prices_as_of']}"
    return {
        **cells,
        "cost_cloud_usd": Cell(expected["total_usd"], "estimate", basis),
        "cloud_s": Cell(expected["expected_s"], "estimate", expected["basis"]),
    }


def claimed(tier: str) -> dict[str, Cell]:
    """What the original document claims of a tier; nothing of it was measured here."""
    limits = limits_of(tier)
    source = "the original document"
    cells = {name: missing_cell("not claimed") for name in FIGURES}
    cells |= {
        "model_mb": Cell(limits.model_bytes / 1e6, "claim", f"{source}: at most"),
        "latency_p99_ms": Cell(limits.latency_ms, "claim", f"{source}: at most"),
        "accuracy": Cell(limits.accuracy, "claim", f"{source}: at least"),
        "detection_rate": Cell(limits.detection_rate, "claim", f"{source}: at least"),
        "false_alarm_rate_windows": Cell(limits.false_alarm_rate, "claim", f"{source}: less than"),
    }
    if tier == "ultra-fast":
        cells["train_s"] = Cell("1800 to 2700", "claim", f"{source}: 30 to 45 minutes")
        cells["cost_cloud_usd"] = Cell("6 to 12", "claim", source)
        cells["device"] = Cell("4 x V100", "claim", f"{source}; SageMaker has retired them")
    return cells


def compare_runs(
    folders: dict[str, tuple[Path, Recipe | None]],
    expect: Callable[[str], dict[str, Any] | None],
) -> dict[str, Any]:
    """Compare finished runs.

    Args:
        folders: column name to run folder, and the recipe that it is a fraction of, if any.
        expect: gives `saafe launch`'s estimate of a tier, None where there is none.

    Returns:
        The comparison's JSON.
    """
    columns = {}
    for name, (folder, whole) in folders.items():
        tier = (whole or runs.load(folder).recipe).tier
        cells = column(folder, whole)
        columns[name] = cells if is_tuned(folder) else with_cloud(cells, expect(tier))
    tiers = [name for name in ("ultra-fast", "standard") if name in columns]
    columns |= {f"original {name}": claimed(name) for name in tiers}
    shown = {
        name: {figure: asdict(cells[figure]) for figure in FIGURES}
        for name, cells in columns.items()
    }
    facts = runs.environment()
    kept = ("saafe", "commit", "python", "torch", "device", "cores", "threads", "started")
    return {"columns": shown, "environment": {name: facts[name] for name in kept}}


def cell_text(cell: dict[str, Any], decimals: int) -> str:
    """A cell for people: its figure, and how that is known."""
    value, how = cell["value"], cell["how"]
    if value is None:
        return "-"
    return f"{value} ({how})" if isinstance(value, str) else f"{value:,.{decimals}f} ({how})"


def table_rows(result: dict[str, Any]) -> list[list[str]]:
    """The table: a header, then a row a figure; each cell says how it is known."""
    names = list(result["columns"])
    rows = [["figure", *names]]
    for figure, (title, unit, decimals) in FIGURES.items():
        cells = [cell_text(result["columns"][name][figure], decimals) for name in names]
        rows.append([f"{title} [{unit}]" if unit else title, *cells])
    return rows


def notes_of(result: dict[str, Any]) -> list[str]:
    """Formulas, sources and reasons behind the cells, one line each."""
    return [
        f"{name}, {FIGURES[figure][0]}: {cell['how']}: {cell['note']}"
        for name, cells in result["columns"].items()
        for figure, cell in cells.items()
        if cell["note"] not in ("", "not claimed") and cell["how"] != "measured"
    ]


def to_markdown(result: dict[str, Any]) -> str:
    """The comparison as a Markdown page."""
    header, *rows = table_rows(result)
    table = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    table += ["| " + " | ".join(row) + " |" for row in rows]
    facts = ", ".join(f"{name} {value}" for name, value in result["environment"].items())
    parts = [
        "# Tiers compared", "\n".join(table), "## How the figures are known",
        "\n".join(f"- {line}" for line in notes_of(result)), facts,
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def write_comparison(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write comparison.json and comparison.md.

    Raises:
        InputError: the folder cannot be made or written.
    """
    writable_folder(folder)
    files = [folder / "comparison.json", folder / "comparison.md"]
    write_json(files[0], result)
    write_atomically(files[1], to_markdown(result).encode())
    return files


def usual_fraction() -> float:
    """How much of the long tiers is trained if nobody says: all on a GPU, an epoch on a CPU."""
    return 1.0 if torch.cuda.is_available() else 0.01


def check_wanted(names: tuple[str, ...], fraction: float) -> tuple[Recipe, ...]:
    """The recipes of tiers, checked before anything is trained.

    Raises:
        InputError: a tier is unknown, or the fraction is out of range.
    """
    if not 0.0 < fraction <= 1.0:  # NaN fails too
        raise InputError(
            f"{as_given('--fraction', 'fraction')} {fraction:g}: allowed is above 0 and up to 1"
        )
    return tuple(find_tier(name) for name in names)
