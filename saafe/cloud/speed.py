"""How fast an instance type trains: as own runs measured it, else as assumed."""

import json
import re
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from saafe.cloud.ledger import Ledger
from saafe.cloud.prices import Instance
from saafe.cloud.request import JobPlan
from saafe.errors import InputError
from saafe.recipes import Recipe, changed, find_tier

# What decides how many windows a second are simulated and trained; equal fields, equal work.
SHAPE = (
    *("width", "layers", "heads", "patch", "precision"),
    *("windows", "streams", "fresh", "batch", "accumulate"),
)
# Assumed, for want of a GPU to measure on: small models are bound by kernel launches, whatever
# the GPU, and ranks share a global batch, so that more GPUs do not make fewer steps.
GPU_STEPS_PER_S = 250.0
# Measured once, on one thread of a shared two-core AMD EPYC (Zen 4), simulating included:
# OMP_NUM_THREADS=1 saafe train ultra-fast --set epochs=3 --seed 0   (1,224 after three epochs)
CPU_WINDOWS_PER_S, CPU_MEASURED = 1200.0, "2026-11-22"
# Chosen: a vCPU is half a core; batches this small keep no more than four cores busy (only two
# were at hand); simulating costs a third of the ultra-fast tier's time (15.6 windows a stream, 200
# streams/s a core), and the rest grows with layers x width^2 x tokens.
MOST_CORES, SIMULATION_SHARE = 4.0, 0.35


@dataclass(frozen=True)
class Speed:
    """Training windows a second, and where the figure comes from."""

    windows_per_s: float
    basis: str
    is_measured: bool


@dataclass(frozen=True)
class Measured:
    """What one finished or stopped run reached.

    Attributes:
        shape: its recipe's fields of `SHAPE`.
        windows_per_s: training windows a second, their simulation included.
        place: instance type and count of a job, or the kind and name of a run's device.
        workers: threads times ranks.
        source: name of job or run, and its day.
    """

    shape: tuple[Any, ...]
    windows_per_s: float
    place: str
    workers: int
    source: str


@dataclass(frozen=True)
class History:
    """What this user's jobs cost and took, and how fast runs were."""

    entries: tuple[dict[str, Any], ...] = ()
    measured: tuple[Measured, ...] = ()


def history(ledger: Ledger) -> History:
    """All that a folder of runs can tell: jobs of its ledger, runs trained here or fetched."""
    entries = ledger.entries()
    folders = sorted(path.parent for path in ledger.runs.glob("*/environment.json"))
    found = [*map(of_job, entries), *map(of_run, folders)]
    return History(tuple(entries), tuple(one for one in found if one is not None))


def of_job(entry: dict[str, Any]) -> Measured | None:
    """The speed that a job on rented machines told; a rehearsal's is not that of its instance."""
    speed = (entry.get("metrics") or {}).get("samples_per_s")
    if entry["rehearsal"] or not speed:
        return None
    try:
        recipe = recipe_of(entry["tier"], tuple(entry["plan"]["settings"]))
    except InputError:  # a recipe of an earlier version
        return None
    place = f"{entry['instances']} x {entry['instance']}"
    return Measured(
        _shape(asdict(recipe)), speed, place, 1, _source(entry["job"], entry["created"])
    )


def of_run(folder: Path) -> Measured | None:
    """The speed that a finished run keeps, and the device that it was trained on."""
    try:
        recipe = json.loads((folder / "recipe.json").read_text())
        environment = json.loads((folder / "environment.json").read_text())
        timing = environment["timing"]
        kind = timing["device"].partition(":")[0]  # cpu, cuda, mps
        place = f"{kind} {environment['device']}"
        workers = int(timing["threads"]) * int(timing["ranks"])
        source = _source(folder.name, environment["started"])
        return Measured(_shape(recipe), float(timing["samples_per_s"]), place, workers, source)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # not a finished run, or one of another version


def recipe_of(tier: str, settings: tuple[str, ...]) -> Recipe:
    """The recipe of a launch.

    Raises:
        InputError: there is no such tier, field or value.
    """
    return changed(find_tier(tier), settings)


def speed_of(plan: JobPlan, row: Instance, past: History) -> Speed:
    """Speed of a plan's recipe on an instance type, by the nearest own measurement if any."""
    recipe = recipe_of(plan.tier, plan.settings)
    alike = [one for one in past.measured if one.shape == _shape(asdict(recipe))]
    jobs = [one for one in alike if one.place == f"{plan.instances} x {row.name}"]
    if jobs:
        return _median([(one, one.windows_per_s) for one in jobs], f"on {jobs[-1].place}")
    if row.gpu is None:
        return _cpu_speed(recipe, row, [one for one in alike if one.place.startswith("cpu ")])
    name = re.compile(rf"cuda .*\b{re.escape(row.gpu)}\b")
    runs = [one for one in alike if name.match(one.place)]
    if runs:
        return _median([(one, one.windows_per_s) for one in runs], f"on {runs[-1].place}")
    basis = f"{GPU_STEPS_PER_S:.0f} steps/s assumed for any GPU, none was measured"
    return Speed(GPU_STEPS_PER_S * recipe.batch, basis, False)


def _cpu_speed(recipe: Recipe, row: Instance, runs: list[Measured]) -> Speed:
    """A core's speed, times the cores that a type has and a fit can use."""
    cores = min(row.vcpu / 2, MOST_CORES)
    if runs:
        each = [(one, one.windows_per_s / one.workers * cores) for one in runs]
        where = f"on {runs[-1].workers} threads of {runs[-1].place}, scaled to {cores:g} cores"
        return _median(each, where)
    tier = find_tier("ultra-fast")
    work = recipe.layers * recipe.width**2 / recipe.patch
    size = work / (tier.layers * tier.width**2 / tier.patch)
    share = SIMULATION_SHARE + (1 - SIMULATION_SHARE) * size
    speed = CPU_WINDOWS_PER_S * cores / share
    measured = f"{CPU_WINDOWS_PER_S:.0f} of ultra-fast on one core ({CPU_MEASURED})"
    return Speed(speed, f"{speed:.0f} windows/s, scaled from {measured}", False)


def _median(each: list[tuple[Measured, float]], where: str) -> Speed:
    speed = statistics.median(value for _, value in each)
    of = each[-1][0].source if len(each) == 1 else f"median of {len(each)} runs"
    return Speed(speed, f"{speed:.0f} windows/s measured {where} ({of})", True)


def _shape(recipe: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(recipe.get(field) for field in SHAPE)


def _source(name: str, started: str) -> str:
    return f"{name}, {started[:10]}"
