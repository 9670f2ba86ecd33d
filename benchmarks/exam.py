"""How long an exam takes, at each level, and how much shorter than at a pinned commit.

    python benchmarks/exam.py [RUN] [--runs 3] [--level quick|full|long] [--device saafe-6]

Both sides in one run: this tree and commit 3ceef32, which `git archive` writes out. They take
turns, each exam a command in a process of its own, on all threads, from its start to its end. RUN
is examined as it is; without it one of the ultra-fast tier is trained for two epochs, untimed. The
old commit cannot read today's recipes and always examines such a run of its own.

- `quick_s`, `quick_cpu_s`: `saafe exam RUN --level quick` by the clock and in CPU seconds of all
  threads, on a device that RUN has no thresholds for yet, as `saafe train` ends; medians.
  `_kept`: once its folder keeps them. `_first`: in a process that finds no machine code, and so
  compiles the simulator's loops.
- `speedup_over_before`: CPU seconds before over now, medians; `_kept` alike. CPU seconds, since
  other work on the machine disturbs them little.
- `full_s`, `full_cpu_s`: one full exam of this tree (`--level full` and `long`). The old commit's
  takes up to an hour: `--full-before` times it as well, for `full_speedup_over_before`.
- `long_years_per_hour`: detector-years that a process examines in an hour, from one whole shard
  (`--level long`); `long_years_per_cpu_hour` in an hour of a core's work.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from last_line import print_last_line
from old_tree import write_old_tree

ROOT = Path(__file__).parents[1]
BEFORE = "3ceef32"
LEVELS = ("quick", "full", "long")


@dataclass(frozen=True)
class Spent:
    """What a command took."""

    seconds: float  # by the clock
    cpu_s: float  # of all its threads


@dataclass(frozen=True)
class Side:
    """A tree of the package, and a run that it reads."""

    root: Path
    run: Path


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run_saafe(root: Path, *arguments: str, environment: dict[str, str] | None = None) -> Spent:
    """Run a command of the package in a folder; what it took."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "saafe", *arguments], cwd=root, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(root)} | (environment or {}),
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.perf_counter() - began, cpu_s)


def train(root: Path, run: Path) -> Path:
    """A run of the ultra-fast tier by a tree, two epochs long."""
    say(f"training {run.name}, untimed")
    run_saafe(root, "train", "ultra-fast", "--set", "epochs=2", "--out", str(run.parent), "--name",
              run.name, "--json")  # fmt: skip
    return run


def copy_run(run: Path, to: Path) -> Path:
    """A copy of a run that has neither exams nor thresholds of other devices."""
    shutil.copytree(run, to, ignore=shutil.ignore_patterns("exam*", "report*", "thresholds.json"))
    return to


def time_quick(
    sides: dict[str, Side], device: str, folder: Path, runs: int
) -> dict[str, list[Spent]]:
    """Quick exams of both sides in turns, each twice: the second finds its thresholds."""
    found: dict[str, list[Spent]] = {}
    for k in range(runs):
        for side, one in sides.items():
            copy = copy_run(one.run, folder / f"{side}-{k}")
            for name in (side, f"{side}_kept"):
                spent = run_saafe(one.root, "exam", str(copy), "--level", "quick",
                                  "--device", device, "--json")  # fmt: skip
                found.setdefault(name, []).append(spent)
                say(f"{name} {k + 1}/{runs}: {spent.seconds:.1f} s, {spent.cpu_s:.1f} s of CPU")
    return found


def quick_figures(found: dict[str, list[Spent]]) -> dict[str, float]:
    """Medians of both sides and their ratios."""

    def middle(side: str, name: str) -> float:
        return statistics.median(getattr(one, name) for one in found[side])

    figures = {}
    for tail in ("", "_kept"):
        figures[f"speedup_over_before{tail}"] = (
            middle(f"before{tail}", "cpu_s") / middle(f"now{tail}", "cpu_s")
        )  # fmt: skip
        for side, name in (("now", "quick"), ("before", "quick_before")):
            figures[f"{name}{tail}_s"] = middle(f"{side}{tail}", "seconds")
            figures[f"{name}{tail}_cpu_s"] = middle(f"{side}{tail}", "cpu_s")
    return figures


def time_first(run: Path, device: str, folder: Path) -> dict[str, float]:
    """A quick exam on a machine that has compiled nothing yet, thresholds included."""
    cache = {"NUMBA_CACHE_DIR": str(folder / "machine-code")}
    spent = run_saafe(ROOT, "exam", str(copy_run(run, folder / "first")), "--level", "quick",
                      "--device", device, "--json", environment=cache)  # fmt: skip
    return {"quick_first_s": spent.seconds, "quick_first_cpu_s": spent.cpu_s}


def time_full(sides: dict[str, Side], device: str, folder: Path) -> dict[str, float]:
    """One full exam of each side that is asked for, thresholds included."""
    figures = {}
    for side, one in sides.items():
        copy = copy_run(one.run, folder / f"full-{side}")
        spent = run_saafe(one.root, "exam", str(copy), "--device", device, "--json")
        name = "full" if side == "now" else "full_before"
        figures |= {f"{name}_s": spent.seconds, f"{name}_cpu_s": spent.cpu_s}
        say(f"{name}: {spent.seconds:.0f} s, {spent.cpu_s:.0f} s of CPU")
    if "full_before_cpu_s" in figures:
        figures["full_speedup_over_before"] = figures["full_before_cpu_s"] / figures["full_cpu_s"]
    return figures


def time_long(device: str, folder: Path) -> dict[str, float]:
    """One shard of the long exam, on the run that `time_full` left; imports included."""
    run = folder / "full-now"
    spent = run_saafe(ROOT, "exam", str(run), "--level", "long", "--count", "1", "--device", device,
                      "--json")  # fmt: skip
    (shard,) = run.glob("long-*/shard-*.json")
    years = json.loads(shard.read_text())["quiet"]["years"]
    say(f"long, a shard of {years:.2f} detector-years: {spent.seconds:.0f} s")
    return {
        "long_shard_s": spent.seconds,
        "long_shard_cpu_s": spent.cpu_s,
        "long_years_per_hour": 3600.0 * years / spent.seconds,
        "long_years_per_cpu_hour": 3600.0 * years / spent.cpu_s,
    }


def show(figures: dict[str, float]) -> None:
    """Print the table."""
    for name, value in figures.items():
        print(f"{name:32}{value:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--level", choices=LEVELS, default="long")
    parser.add_argument("--device", default="saafe-6")
    parser.add_argument("--full-before", action="store_true")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = chosen.run.resolve() if chosen.run else train(ROOT, folder / "trained")
        before = write_old_tree(BEFORE, folder / BEFORE)
        now = Side(ROOT, run)
        both = {"now": now, "before": Side(before, train(before, folder / "trained-before"))}
        figures = time_first(run, chosen.device, folder)
        figures |= quick_figures(time_quick(both, chosen.device, folder, chosen.runs))
        if chosen.level != "quick":
            sides = both if chosen.full_before else {"now": now}
            figures |= time_full(sides, chosen.device, folder)
        if chosen.level == "long":
            figures |= time_long(chosen.device, folder)
    show(figures)
    # runs are of quick exams, what is longer is timed once; load is the machine's at the start
    print_last_line(
        "exam", figures, chosen.runs, "numba", "torch", before=BEFORE, cores=os.cpu_count(),
        load=round(load, 1),
    )  # fmt: skip


if __name__ == "__main__":
    main()
