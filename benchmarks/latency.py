"""What an exported model takes: bytes, milliseconds, windows a second, flash and RAM.

    python benchmarks/latency.py [RUN ...]

Of each run, or of the tiers ultra-fast (what the package ships) and tiny with fresh weights:
neither size nor time depends on what the weights are. One core, pinned. Files are scored by
`saafe.load(FILE).score`, on simulated windows: one at a time, and 4,096 at once. The median of
runs counts. Figures of the first model have no prefix, others the tier's name.

- `p99_ms`: each run's 99th percentile by the clock; `p99_cpu_ms` by the core's own time, without
  the waits for a core that others use too.
- `windows_per_s_per_core`: of the core's own time.
- `c_flash_bytes`, `c_ram_bytes`: the C compiled for size, one sensor; `c_window_ms`: for speed.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from last_line import print_last_line
from numpy.typing import NDArray

import saafe
from saafe.cli.tables import print_rows
from saafe.detector import AlarmSettings
from saafe.export import c_files, onnx_files
from saafe.export.c_source import SOURCE, c_sources
from saafe.recipes import Recipe, find_tier
from saafe.training import Run, load
from saafe.training.model import FireTransformer
from saafe.training.runs import new_folder, save_model

ROOT = Path(__file__).parents[1]
TIERS = ("ultra-fast", "tiny")
ALONE = 1000  # windows scored one at a time, each run
BATCH = 4096


def fresh_run(recipe: Recipe, out: Path) -> Run:
    """A run of a recipe that was never trained."""
    torch.manual_seed(0)
    folder = new_folder(out, recipe.tier, recipe)
    save_model(folder, recipe, FireTransformer(recipe), AlarmSettings())
    return load(folder)


def percentiles_ms(model: Any, some: NDArray) -> tuple[float, float]:
    """99th percentiles of the time of one window: by the clock, and of the core's own. [ms]"""
    times = []
    for k in range(ALONE):
        began, began_cpu = time.perf_counter(), time.process_time()
        model.score(some[k % len(some)][None])
        times.append((time.perf_counter() - began, time.process_time() - began_cpu))
    clock, cpu = 1e3 * np.quantile(times, 0.99, axis=0)
    return float(clock), float(cpu)


def per_second(model: Any, some: NDArray) -> float:
    """Windows scored a second of the core's own time, all at once."""
    began = time.process_time()
    model.score(some)
    return len(some) / (time.process_time() - began)


def measure(run: Run, some: NDArray, runs: int) -> dict[str, float]:
    """Figures of one model."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, data in (
            ("int8", onnx_files.eight_bits(run, some)), ("fp32", onnx_files.single_precision(run))
        ):  # fmt: skip
            path = folder / f"{kind}.onnx"
            path.write_bytes(data)
            model = saafe.load(path)
            percentiles_ms(model, some)  # warm
            late = [percentiles_ms(model, some) for _ in range(runs)]
            clocks, cpus = zip(*late, strict=True)
            rates = [per_second(model, some) for _ in range(runs)]
            suffix = "" if kind == "int8" else "_fp32"
            figures |= {
                f"{kind}_bytes": len(data),
                f"{kind}_p99_ms": round(statistics.median(clocks), 3),
                f"{kind}_p99_ms_highest": round(max(clocks), 3),
                f"{kind}_p99_cpu_ms": round(statistics.median(cpus), 3),
                f"windows_per_s_per_core{suffix}": round(statistics.median(rates)),
                f"windows_per_s_per_core{suffix}_lowest": round(min(rates)),
            }
        if shutil.which("cc"):
            for file, text in c_sources(run).items():
                (folder / file).write_text(text)
            sizes = c_files.sizes(folder)
            program = c_files.compile_c(folder, "check", (SOURCE, c_files.CHECK))
            took = statistics.median(c_files.window_ms(program) for _ in range(runs))
            figures |= {k: sizes[k] for k in ("c_ram_bytes", "c_flash_bytes")}
            figures["c_window_ms"] = round(took, 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", nargs="*", help="run folders; two tiers by default")
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    some = onnx_files.calibration_windows(find_tier("tiny"))[:BATCH]
    every: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        loaded = [load(folder) for folder in chosen.run]
        for run in loaded or [fresh_run(find_tier(tier), Path(name)) for tier in TIERS]:
            print(f"measuring {run.recipe.tier}", file=sys.stderr)
            every[run.recipe.tier] = measure(run, some, chosen.runs)
    names = dict.fromkeys(figure for figures in every.values() for figure in figures)
    print_rows("one core", ["figure", *every],
               [(name, *(f"{f[name]:,}" for f in every.values())) for name in names])  # fmt: skip
    figures = {}
    for number, (tier, one) in enumerate(every.items()):
        figures |= {name if number == 0 else f"{tier}_{name}": v for name, v in one.items()}
    print_last_line("latency", figures, chosen.runs, "onnxruntime", "numpy", "torch")


if __name__ == "__main__":
    main()
