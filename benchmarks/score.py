"""Windows a second on one core, in the detector that users run, and how long one window takes.

    python benchmarks/score.py [--runs 5]

Both sides in one run: this tree and commit 79eb685, which `git archive` writes out. Each is a
process of its own on one thread and one core, and they take turns. Both have fresh weights, since
no time depends on what weights are, and the same simulated recordings: 12 hours of two sensors of
the device saafe-6. The old model has a linear head more.

- `TIER_windows_per_s_per_core`: recordings through `saafe.detect`, alarm logic and self-test
  included, by a run on torch; `_onnx` and `_int8` by its exported files; `_before` by the old
  commit. Windows over CPU seconds, the median of the runs, so that what else the machine does
  disturbs it little.
- `TIER_scored_per_s_per_core`: the same without alarm logic, as exams score (`decide`).
- `TIER_speedup_over_before`: of a run on torch, `TIER_int8_...` of its file of eight bits, as the
  package's model is; medians over turns. `speedup_over_before` takes the faster form of each
  tier, and the lesser of both tiers.
- `TIER_latency_p50_ms`, `_p99_ms`: one window alone, by the clock.
- `shipped_...`: the model in the package.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from last_line import print_last_line
from old_tree import write_old_tree

ROOT = Path(__file__).parents[1]
BEFORE = "79eb685"
TIERS = ("tiny", "ultra-fast")
HOURS, RECORDINGS, SENSORS = 12.0, 1, ("A", "B")
ALONE = 1000  # windows timed one at a time
SIDES = {"ours": ROOT, "before": None}

Work = Callable[[], np.ndarray]  # scores all recordings; their risk


def read_recordings(folder: Path, make: Callable) -> list:
    """The recordings that `write_recordings` left, as a side's own class."""
    with np.load(folder / "recordings.npz") as file:
        return [
            make(name=f"r{k}", times_s=file[f"times{k}"], sensors=SENSORS,
                 readings=file[f"readings{k}"])
            for k in range(len(file.files) // 2)
        ]  # fmt: skip


def write_recordings(folder: Path) -> None:
    """Simulate what both sides score."""
    import saafe

    made = saafe.simulate(RECORDINGS, seed=3, hours=HOURS, sensors=len(SENSORS), device="saafe-6")
    arrays: dict[str, Any] = {f"times{k}": one.times_s for k, one in enumerate(made)}
    arrays |= {f"readings{k}": one.readings for k, one in enumerate(made)}
    np.savez(folder / "recordings.npz", **arrays)


def works_of_before(folder: Path) -> tuple[dict[str, Work], dict[str, Callable]]:
    """What the old commit runs, by name; and its scoring functions."""
    import torch
    from saafe.alarms import AlarmSettings  # type: ignore[import-not-found]
    from saafe.runs import score_with  # type: ignore[import-not-found]

    from saafe.detector import detect
    from saafe.model import FireTransformer  # type: ignore[import-not-found]
    from saafe.recipes import find_tier
    from saafe.recordings import Recording

    recordings = read_recordings(folder, Recording)
    run: Any = detect  # its arguments were others
    works, scores = {}, {}
    for tier in TIERS:
        torch.manual_seed(0)
        scores[tier] = score_with(FireTransformer(find_tier(tier)).eval())

        def work(score: Callable = scores[tier]) -> np.ndarray:
            parts = [run(one, score, AlarmSettings()).risk for one in recordings]
            return np.concatenate(parts)

        works[tier] = work
    return works, scores


def works_of_ours(folder: Path) -> tuple[dict[str, Work], dict[str, Callable]]:
    """What this tree runs, by name; and its scoring functions."""
    import torch

    import saafe
    from saafe.detector import decide
    from saafe.export import onnx_files
    from saafe.recipes import find_tier
    from saafe.recordings import Recording

    sys.path.insert(0, str(ROOT))
    from benchmarks.latency import fresh_run

    torch.set_num_threads(1)
    recordings = read_recordings(folder, Recording)
    some = onnx_files.calibration_windows(find_tier("tiny"))
    models: dict[str, Any] = {"shipped": saafe.load()}
    for tier in TIERS:
        models[tier] = run = fresh_run(find_tier(tier), folder)
        for kind, data in (
            ("onnx", onnx_files.single_precision(run)), ("int8", onnx_files.eight_bits(run, some))
        ):  # fmt: skip
            path = folder / f"{tier}-{kind}.onnx"
            path.write_bytes(data)
            models[f"{tier}_{kind}"] = saafe.load(path)
    works: dict[str, Work] = {}
    for name, model in models.items():

        def work(model: Any = model) -> np.ndarray:
            return np.concatenate([saafe.detect(model, one).risk for one in recordings])

        works[name] = work
    for tier in TIERS:

        def scoring(model: Any = models[tier]) -> np.ndarray:
            return np.concatenate([decide(model, one).risk for one in recordings])

        works[f"{tier}_scored"] = scoring
    return works, {name: model.score for name, model in models.items()}


def latencies_ms(score: Callable, some: np.ndarray) -> list[float]:
    """Median and 99th percentile of one window's time. [ms]"""
    times = []
    for k in range(ALONE):
        begun = time.perf_counter()
        score(some[k % len(some)][None])
        times.append(1e3 * (time.perf_counter() - begun))
    return [float(np.quantile(times, share)) for share in (0.5, 0.99)]


def serve(side: str, folder: Path) -> None:
    """Be one side: do what stdin says, a word a line, and answer in JSON."""
    answers, sys.stdout = sys.stdout, sys.stderr
    works, scores = (works_of_ours if side == "ours" else works_of_before)(folder)
    with np.load(folder / "some.npz") as file:
        some = file["some"]

    def answer(value: Any) -> None:
        print(json.dumps(value), file=answers, flush=True)

    for work in works.values():
        work()  # untimed
    answer({"works": list(works), "scores": list(scores)})
    for line in sys.stdin:
        kind, name = line.split()
        if kind == "rate":
            begun = time.process_time()
            count = len(works[name]())
            answer(count / (time.process_time() - begun))
        else:
            answer(latencies_ms(scores[name], some))


class Side:
    """One side's process."""

    def __init__(self, side: str, tree: Path, folder: Path) -> None:
        """Start it, and wait until it is warm."""
        words = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            cwd=folder,
        )  # fmt: skip
        self.names = self.answer()

    def ask(self, kind: str, name: str) -> Any:
        """Have it do one thing."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind} {name}\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """What it says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("one side of the benchmark ended; see above")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


def measure(ours: Side, before: Side, runs: int) -> dict[str, float]:
    """All figures, the sides taking turns."""
    rates: dict[str, list[float]] = {}
    late: dict[str, list[list[float]]] = {}
    for number in range(runs):
        for side, suffix in ((ours, ""), (before, "_before")):
            for name in side.names["works"]:
                rates.setdefault(name + suffix, []).append(side.ask("rate", name))
            for name in side.names["scores"]:
                late.setdefault(name + suffix, []).append(side.ask("latency", name))
        print(f"\rrun {number + 1} of {runs}", end="", file=sys.stderr)
    print(file=sys.stderr)
    figures: dict[str, float] = {}
    for name, found in rates.items():
        tier, _, kind = name.partition("_")
        scored = kind == "scored"
        label = f"{tier}_scored_per_s_per_core" if scored else f"{tier}_windows_per_s_per_core"
        label += f"_{kind}" if kind and not scored else ""
        figures[label] = round(statistics.median(found))
        figures[f"{label}_lowest"] = round(min(found))
    for tier in TIERS:
        for form in ("", "_int8"):
            pairs = zip(rates[tier + form], rates[f"{tier}_before"], strict=True)
            ratios = [now / before for now, before in pairs]
            label = f"{tier}{form}_speedup_over_before"
            figures[label] = round(statistics.median(ratios), 2)
            figures[f"{label}_lowest"] = round(min(ratios), 2)
    for name, found in late.items():
        for k, quantile in enumerate(("p50", "p99")):
            middle = statistics.median(one[k] for one in found)
            figures[f"{name}_latency_{quantile}_ms"] = round(middle, 3)
    figures["speedup_over_before"] = min(
        max(figures[f"{tier}{form}_speedup_over_before"] for form in ("", "_int8"))
        for tier in TIERS
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        return serve(chosen.side, chosen.folder)
    if hasattr(os, "sched_setaffinity"):  # which the sides inherit
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sys.path.insert(0, str(ROOT))
    from saafe import windows

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_old_tree(BEFORE, folder / "before")
        write_recordings(folder)
        with np.load(folder / "recordings.npz") as file:
            grid, fresh, _ = windows.to_grid(file["times0"], file["readings0"][:, 0])
        ends = np.flatnonzero(fresh)
        np.savez(folder / "some.npz", some=windows.cut_windows(grid, ends[-ALONE:]))
        sides = []
        try:
            for side, tree in (("ours", ROOT), ("before", folder / "before")):
                print(f"warming {side}", file=sys.stderr)
                sides.append(Side(side, tree, folder))
            figures = measure(sides[0], sides[1], chosen.runs)
        finally:
            for side in sides:
                side.close()
    for label, value in figures.items():
        print(f"{label:50} {value:,}")
    print_last_line("score", figures, chosen.runs, "onnxruntime", "numpy", "torch")
    return None


if __name__ == "__main__":
    main()
