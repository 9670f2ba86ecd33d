"""How fast the simulator is, against a loop over the same laws and against itself one at a time.

    python benchmarks/simulate.py [--device cuda] [--runs 5] [--memory-scenarios 100000]
    python benchmarks/simulate.py --against-only    # only what the old simulator is held against

Every rate is of two hours, four sensors and six channels every 10 s, three hours of pre-roll
before them. The batch has all the threads that torch has here, a chunk each; the loop and the
batch of one can use one only, so their ratios are told per core-second as well. The loop is
`tests/scalar_simulator.py`, which agrees with the batch to 1e-4; it is timed without drawing and
without noise, the batch with both.

Commit 79eb685, whose physics were fewer, is timed in the same run, side by side in turns: a new
process imports torch and saafe and simulates one scenario (its cold start), then chunks on one
thread.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from last_line import print_last_line, processor
from old_tree import write_old_tree

from saafe.simulator.simulation import (
    SIMULATION_CHUNK,
    StreamSettings,
    draw_world,
    simulate_chunk,
    simulate_chunks,
)

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
import scalar_simulator  # noqa: E402

HOURS, SENSORS = 2.0, 4
SINGLE, LOOPED = 4, 2  # scenarios timed one at a time, and in the loop, in each run
FEW = 1_000
OLD = "79eb685"  # before published rates, rooms with a purpose and five classes of aerosol
# what each side calls its settings and its simulation of a chunk
SIDES = {"now": ("saafe.simulator.simulation", "StreamSettings"), OLD: ("saafe.simulation", "Plan")}
CHUNKS = 3  # that each process times after its first scenario, the first of them untimed
CHILD = """
import os, time, torch
from {module} import {settings}, simulate_chunk
torch.set_num_threads(1)
plan, generator = {settings}({hours}, {sensors}), torch.Generator().manual_seed({seed})
simulate_chunk(1, plan, generator)
cold = time.time(), time.process_time()
rates = []
for _ in range({chunks}):
    begin = time.process_time()
    simulate_chunk({chunk}, plan, generator)
    rates.append({chunk} / (time.process_time() - begin))
print(*cold, max(rates[1:]))
"""
BATCH, UNLABELLED, ONE, LOOP = "labelled", "without labels", "one at a time", "scalar loop"


def generator_on(device: str, seed: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def finish(device: str) -> None:
    """Wait for what a GPU was told to do."""
    if device != "cpu":
        torch.cuda.synchronize()


@dataclass
class Rate:
    """Scenarios a second of the clock, and a second of a core's work."""

    per_second: float
    per_core_second: float


def timed(work: Callable[[], None], scenarios: int, device: str) -> Rate:
    """Rate of work that simulates so many scenarios."""
    begin, core = time.perf_counter(), time.process_time()
    work()
    finish(device)
    return Rate(scenarios / (time.perf_counter() - begin), scenarios / (time.process_time() - core))


def run_batch(plan: StreamSettings, device: str, seed: int) -> Rate:
    """The batch, two chunks a thread."""
    count = 2 * SIMULATION_CHUNK * torch.get_num_threads()

    def work() -> None:
        for streams in simulate_chunks(count, plan, generator_on(device, seed)):
            void(streams)

    return timed(work, count, device)


def run_one_at_a_time(plan: StreamSettings, device: str, seed: int) -> Rate:
    """The same code, a batch of one each."""
    generator = generator_on(device, seed)

    def work() -> None:
        for _ in range(SINGLE):
            simulate_chunk(1, plan, generator)

    return timed(work, SINGLE, device)


def run_loop(plan: StreamSettings, seed: int) -> Rate:
    """The scalar loop, counterfactual runs included, on scenarios drawn as the batch draws."""
    world = draw_world(SIMULATION_CHUNK, plan, generator_on("cpu", seed))
    chosen = torch.randperm(SIMULATION_CHUNK, generator=generator_on("cpu", seed))[:LOOPED].tolist()

    def work() -> None:
        for i in chosen:
            fire = bool(world.events.fire[i] >= 0)
            nuisance = bool((world.events.nuisance[i] >= 0).any())
            one = scalar_simulator.scenario_of(world, i)
            scalar_simulator.play(one, fire=fire, nuisance=nuisance)

    return timed(work, LOOPED, "cpu")


@dataclass
class Start:
    """How one process began, and what it then did."""

    seconds: float  # to its first scenario, by the clock
    core_seconds: float
    per_core_second: float  # labelled scenarios on one thread, the better of its chunks


def start(side: str, root: Path, seed: int) -> Start:
    """Start a process of one side, whose package is in a folder."""
    module, settings = SIDES[side]
    code = CHILD.format(
        module=module, settings=settings, hours=HOURS, sensors=SENSORS, seed=seed,
        chunks=CHUNKS, chunk=SIMULATION_CHUNK,
    )  # fmt: skip
    begin = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    at, core, rate = map(float, done.stdout.split())
    return Start(at - begin, core, rate)


def against_old(runs: int) -> dict[str, list[Start]]:
    """Starts of this simulator and of the old one in turns, the first of each untimed."""
    found: dict[str, list[Start]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        roots = {"now": ROOT, OLD: write_old_tree(OLD, Path(folder))}
        for k in range(runs + 1):
            for side, root in roots.items():
                started = start(side, root, k)
                if k:  # files are in the page cache by then
                    found[side].append(started)
            print(f"\rstarts {k} of {runs}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return found


def show_against(found: dict[str, list[Start]]) -> dict[str, float]:
    """Print both sides; the ratios of this simulator to the old one, by medians."""

    def middle(side: str, name: str) -> float:
        return statistics.median(getattr(one, name) for one in found[side])

    names = {"seconds": "cold start, s", "core_seconds": "of a core", "per_core_second": "labelled"}
    print(f"{'':16}" + "".join(f"{title:>24}" for title in names.values()))
    for side, starts in found.items():
        cells = []
        for name in names:
            values = [getattr(one, name) for one in starts]
            cells.append(f"{middle(side, name):.2f} ({min(values):.2f}..{max(values):.2f})")
        print(f"{side:16}" + "".join(f"{cell:>24}" for cell in cells))
    ratios = {name: middle("now", name) / middle(OLD, name) for name in names}
    return {
        "cold_start_ratio": ratios["seconds"],
        "cold_start_core_ratio": ratios["core_seconds"],
        "labelled_rate_ratio": ratios["per_core_second"],
    }


def void(_: object) -> None:
    """Drop a result."""


def peak_mb(n: int, hours: float, answers: multiprocessing.SimpleQueue) -> None:
    """Put the peak memory of a process that simulates `n` scenarios and drops them. [MB]"""
    plan = StreamSettings(hours, SENSORS)
    done = 0
    for streams in simulate_chunks(n, plan, generator_on("cpu", 0)):
        done += len(streams.fire)
        if n > FEW and done % (40 * SIMULATION_CHUNK) == 0:
            print(f"\rmemory: {done} of {n}", end="", file=sys.stderr)
    answers.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)


def peak_of(n: int, hours: float) -> float:
    """Peak memory of simulating `n` scenarios in a process of their own. [MB]"""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=peak_mb, args=(n, hours, answers))
    process.start()
    process.join()
    return answers.get()


def measure(device: str, runs: int) -> dict[str, list[Rate]]:
    """Rates of all sides, run by run, one after another so that each sees the same machine."""
    labelled, plain = StreamSettings(HOURS, SENSORS), StreamSettings(HOURS, SENSORS, labelled=False)
    for plan in (labelled, plain):
        run_batch(plan, device, 0)  # untimed
    rates: dict[str, list[Rate]] = {name: [] for name in (BATCH, UNLABELLED, ONE, LOOP)}
    for k in range(1, runs + 1):
        rates[BATCH].append(run_batch(labelled, device, k))
        rates[UNLABELLED].append(run_batch(plain, device, k))
        rates[ONE].append(run_one_at_a_time(labelled, device, k))
        rates[LOOP].append(run_loop(labelled, k))
        print(f"\rrun {k} of {runs}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return rates


def show(rates: dict[str, list[Rate]]) -> None:
    """Print the table."""
    print(f"{'scenarios':16}{'a second':>10}{'least':>10}{'most':>10}{'a core-second':>16}")
    for name, found in rates.items():
        wall = [rate.per_second for rate in found]
        core = statistics.median(rate.per_core_second for rate in found)
        print(f"{name:16}{statistics.median(wall):10.2f}{min(wall):10.2f}", end="")
        print(f"{max(wall):10.2f}{core:16.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory-scenarios", type=int, default=100_000)
    parser.add_argument("--memory-hours", type=float, default=HOURS)
    parser.add_argument("--against-only", action="store_true")
    chosen = parser.parse_args()
    against = show_against(against_old(chosen.runs))
    if chosen.against_only:
        finish_with(against, chosen.runs, "cpu", {})
        return
    rates = measure(chosen.device, chosen.runs)
    show(rates)
    middle = {name: statistics.median(r.per_second for r in found) for name, found in rates.items()}
    core = {
        name: statistics.median(r.per_core_second for r in found) for name, found in rates.items()
    }
    few, many = (peak_of(n, chosen.memory_hours) for n in (FEW, chosen.memory_scenarios))
    print(f"\npeak memory: {few:.0f} MB for {FEW}, {many:.0f} MB for {chosen.memory_scenarios}")
    figures = {
        "speedup_over_loop": middle[BATCH] / middle[LOOP],
        "speedup_over_batch1": middle[BATCH] / middle[ONE],
        "scenarios_per_s": middle[UNLABELLED],
        "labelled_scenarios_per_s": middle[BATCH],
        "peak_mb_ratio": many / few,
    }
    more = {
        "per_core_second": {name: round(value, 2) for name, value in core.items()},
        "per_core_speedup": {
            "over_loop": round(core[BATCH] / core[LOOP], 1),
            "over_batch1": round(core[BATCH] / core[ONE], 1),
        },
        "memory": {
            "scenarios": chosen.memory_scenarios,
            "hours": chosen.memory_hours,
            "few_mb": round(few),
            "many_mb": round(many),
        },
    }
    finish_with(figures | against, chosen.runs, chosen.device, more)


def finish_with(figures: dict[str, float], runs: int, device: str, more: dict) -> None:
    """Print the line of JSON."""
    on = torch.cuda.get_device_name() if device != "cpu" else processor()
    more = {"device": f"{on}, {torch.get_num_threads()} threads"} | more
    print_last_line("simulate", figures, runs, "torch", **more)


if __name__ == "__main__":
    main()
