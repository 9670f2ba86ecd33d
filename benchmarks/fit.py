"""How long a fit takes: `python benchmarks/fit.py [--only cold,original,ranks,growth,rivals]`.

Both sides of a ratio are timed in one run. `before` is commit 79eb685, which `git archive` writes
out; `--only before` times the cold start of both sides in turns, stopped at the saved model:
`cold_start_speedup` by the clock, `cold_start_cpu_speedup` in CPU seconds, which other work on the
machine disturbs little. Progress goes to stderr, a table and one line of JSON
to stdout. On a quiet machine: `OMP_NUM_THREADS=2 python benchmarks/fit.py --runs 10`.
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

import torch
from last_line import print_last_line
from old_tree import write_old_tree
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from saafe import recipes
from saafe.cli.tables import print_rows
from saafe.recipes import Recipe, find_tier
from saafe.training import runs
from saafe.windows import STEPS

ROOT = Path(__file__).parent.parent
TIER = "ultra-fast"
RANK_STEPS, GROWTH = 40, (6_000, 60_000, 600_000)
ORIGINAL_STEPS = 6  # of 1,150 are timed
SEEDS = 8
BEFORE = "79eb685"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def spread(name: str, values: list[float]) -> dict[str, float]:
    """Median, and the range beside it."""
    return {
        name: round(statistics.median(values), 3),
        f"{name}_least": round(min(values), 3),
        f"{name}_most": round(max(values), 3),
    }


# --- cold start -------------------------------------------------------------------------------


def train_once(out: Path, seed: int) -> dict:
    """One training in a new process; its result, and seconds from its start to the saved model."""
    name = f"{TIER}-{seed}"
    command = [sys.executable, "-m", "saafe", "train", TIER, "--seed", str(seed)]
    began = time.time()
    done = subprocess.run(
        [*command, "--out", str(out), "--name", name, "--json"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(done.stderr)
    result = json.loads(done.stdout)
    result["cold_s"] = (out / name / runs.MODEL).stat().st_mtime - began
    result["validation"] = lowest_loss(out / name)
    return result


def lowest_loss(folder: Path) -> float:
    lines = (folder / runs.METRICS).read_text().splitlines()
    return min(json.loads(line)["held_out_loss"] for line in lines)


def cold(out: Path, count: int) -> dict:
    """The ultra-fast tier from process start to artefact, the gate judged after the clock stops."""
    done = []
    for seed in range(count):
        done.append(train_once(out, seed))
        at = done[-1]
        say(f"cold {seed + 1}/{count}: {at['cold_s']:.1f} s, validation {at['validation']:.4f}")
    recipe = find_tier(TIER)
    flops = fit_flops(done[0]["parameters"], recipe)
    used = statistics.median(row["epochs"] for row in done) / recipe.epochs
    train_s = statistics.median(row["train_s"] for row in done)
    return {
        "tier": TIER,
        "n": count,
        **spread("cold_start_to_artefact_s", [row["cold_s"] for row in done]),
        **spread("train_s", [row["train_s"] for row in done]),
        **spread("validation_loss", [row["validation"] for row in done]),
        "gate_passed": sum(row["gate"]["passed"] for row in done),
        "achieved_over_peak_flops": round(used * flops / train_s / peak_flops(), 4),
    }


def to_artefact(root: Path, out: Path, seed: int) -> tuple[float, float]:
    """Seconds, by the clock and of CPU, from a training's start to its saved model."""
    command = [sys.executable, "-m", "saafe", "train", TIER, "--seed", str(seed), "--out", str(out)]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--name", "run", "--json"], cwd=root, env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        stat = Path(f"/proc/{process.pid}/stat")
        while not (out / "run" / runs.MODEL).exists():
            if process.poll() is not None:
                sys.exit(process.stderr.read() if process.stderr else "it ended early")
            time.sleep(0.05)
        fields = stat.read_text().rpartition(")")[2].split()
        seconds = time.perf_counter() - began
        process.terminate()  # what follows is its exam
    return seconds, sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")  # proc(5): 14, 15


def before(out: Path, count: int) -> dict:
    """The cold start of this tree and of an old commit, in turns, each from one seed after another.

    Linux only: it reads /proc.
    """
    write_old_tree(BEFORE, out / BEFORE)
    found: dict[str, list[tuple[float, float]]] = {"now": [], "before": []}
    for seed in range(count):
        for side, root in (("now", ROOT), ("before", out / BEFORE)):
            found[side].append(to_artefact(root, out / f"{side}-{seed}", seed))
            seconds, cpu_s = found[side][-1]
            say(f"{side} {seed + 1}/{count}: {seconds:.1f} s, {cpu_s:.1f} s of CPU")
    figures: dict = {}
    for k, unit in enumerate(("", "_cpu")):
        ratios = [b[k] / n[k] for n, b in zip(found["now"], found["before"], strict=True)]
        figures |= spread(f"cold_start{unit}_speedup", ratios)
        for side, rows in found.items():
            figures |= spread(f"cold_start{unit}_{side}_s", [row[k] for row in rows])
    return figures


def fit_flops(parameters: int, recipe: Recipe) -> float:
    """Arithmetic of a fit: 6 x parameters x tokens for forward and backward (attention left out).

    Source: J. Kaplan et al., "Scaling laws for neural language models," 2020, section 2.1.
    """
    return 6.0 * parameters * (STEPS // recipe.patch + 1) * recipe.windows * recipe.epochs


def peak_flops(size: int = 2048, seconds: float = 1.0) -> float:
    """Measured rate of a large matrix product, in the fit's own number format. [1/s]"""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    a = torch.randn(size, size, device=device, dtype=kind)
    rates, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds or len(rates) < 3:
        start = time.perf_counter()
        for _ in range(4):
            a.mm(a)
        if device.type == "cuda":
            torch.cuda.synchronize()
        rates.append(4 * 2.0 * size**3 / (time.perf_counter() - start))
    return max(rates)


# --- the original job -------------------------------------------------------------------------


class Original(nn.Module):
    """The job that saafe started from: a token a step and sensor, normalised outside."""

    def __init__(self) -> None:
        """Make 240 tokens, 128 wide, 4 layers."""
        super().__init__()
        self.embed = nn.Linear(6, 128)
        self.position = nn.Parameter(torch.zeros(240, 128))
        layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4)
        self.head = nn.Linear(128, 3)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Class logits of (batch, 60, 4, 6)."""
        tokens = self.embed(windows.flatten(1, 2)) + self.position
        return self.head(self.encoder(tokens).mean(dim=1))


def original_step_s(batches, device: torch.device) -> tuple[float, int]:
    """Median time of a step of the original loop, which waits for its loss; and how many."""
    model = Original().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=10**4)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    torch.backends.cudnn.benchmark = True  # as the original
    model.train()
    times, began = [], time.perf_counter()
    for windows, labels in batches:
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            loss = nn.functional.cross_entropy(model(windows.to(device)), labels.to(device))
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        loss.item()
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
        if len(times) > ORIGINAL_STEPS and device.type == "cpu":
            break
    return statistics.median(times[1:]), len(times) - 1  # the first waits for the workers


def original(out: Path, count: int) -> dict:
    """The original's training time, extrapolated from some steps, over ours, whole."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = TensorDataset(torch.randn(6_000, 60, 4, 6), torch.randint(0, 3, (6_000,)))
    theirs, ours, timed = [], [], 0
    for k in range(count):
        loader = DataLoader(
            data, 128, shuffle=True, num_workers=4, persistent_workers=True, drop_last=True
        )
        step_s, timed = original_step_s(loader, device)
        del loader
        theirs.append(step_s * 25 * (6_000 // 128))
        ours.append(train_once(out / f"original-{k}", 0)["train_s"])
        say(f"original {k + 1}/{count}: {theirs[-1]:.0f} s (estimate) against {ours[-1]:.1f} s")
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {
        **spread("speedup_over_original", ratios),
        "original_train_s_estimate": round(statistics.median(theirs), 1),
        "original_steps_timed": timed,
        "original_steps": 25 * (6_000 // 128),
        "ours_train_s": round(statistics.median(ours), 2),
    }


# --- ranks and growth: scripts of their own processes -----------------------------------------

RANKS = """
import os, sys, time
core = int(os.environ.get("LOCAL_RANK", "0"))
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})
import torch
torch.set_num_threads(1)
from saafe import recipes
from saafe.training import data, loop
from saafe.training.distributed import joined
recipe = recipes.find_tier("ultra-fast")
device = torch.device("cuda", core) if torch.cuda.is_available() else torch.device("cpu")
with joined(device) as world:
    fit = loop.start_fit(recipe, device)
    loop.train_on(fit, recipe, data.epoch_windows(recipe, 0, device, world), world)
    began = time.perf_counter()
    for epoch in range(1, 1 + int(sys.argv[1])):
        windows = data.epoch_windows(recipe, epoch, device, world)
        losses = loop.train_on(fit, recipe, windows, world)
    losses.sum().item()
    if world.leads:
        print(int(sys.argv[1]) * recipe.windows / (time.perf_counter() - began))
"""

GROW = """
import json, sys, time
from dataclasses import replace
import torch
from saafe import recipes
from saafe.training import data, loop
from saafe.training.distributed import World
from saafe.training_run import peak_mb
from saafe.threads import Workers, spare_threads
windows = int(sys.argv[1])
recipe = recipes.find_tier("tiny")
recipe = recipes.check_recipe(replace(recipe, windows=windows, streams=round(windows * 384 / 6000)))
device = loop.find_device(recipe)
with Workers(spare_threads(device)) as workers:
    fit = loop.start_fit(recipe, device, workers)
    began = time.perf_counter()
    feed = data.blocks_ahead(recipe, 0, device, World(), workers)
    for _ in range(data.blocks_of(recipe)):
        loop.train_on(fit, recipe, next(feed), World()).sum().item()
    spent = time.perf_counter() - began
print(json.dumps([spent, peak_mb(device)]))
"""


def run_script(code: str, *arguments: str, ranks: int = 0) -> str:
    """What a script prints, in a process of its own, or in several under torchrun."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(code)
        file.flush()
        before = [sys.executable]
        if ranks:
            before += ["-m", "torch.distributed.run", "--standalone",
                       "--nproc-per-node", str(ranks)]  # fmt: skip
        done = subprocess.run(
            [*before, file.name, *arguments], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def ranks(_: Path, count: int) -> dict:
    """Windows a second of two ranks on two cores over one rank on one, simulation included."""
    one, two = [], []
    for k in range(count):
        one.append(float(run_script(RANKS, "3")))
        two.append(float(run_script(RANKS, "3", ranks=2)))
        say(f"ranks {k + 1}/{count}: {one[-1]:.0f} and {two[-1]:.0f} windows/s")
    return {
        **spread("ranks2_over_1", [b / a for a, b in zip(one, two, strict=True)]),
        "ranks1_samples_per_s": round(statistics.median(one), 1),
        "ranks2_samples_per_s": round(statistics.median(two), 1),
    }


def growth(_: Path, count: int) -> dict:
    """Time and memory of one epoch of the tiny tier, from 6,000 to 600,000 windows."""
    found: dict[int, list[tuple[float, float]]] = {windows: [] for windows in GROWTH}
    for k in range(count):
        for windows in GROWTH:
            found[windows].append(tuple(json.loads(run_script(GROW, str(windows)))))
            spent, peak = found[windows][-1]
            say(f"growth {k + 1}/{count}: {windows} windows {spent:.1f} s, {peak:.0f} MB")
    time_s = {w: statistics.median(row[0] for row in rows) for w, rows in found.items()}
    peak = {w: max(row[1] for row in rows) for w, rows in found.items()}
    least, middle, most = GROWTH
    return {
        "growth_time_s": {str(w): round(t, 2) for w, t in time_s.items()},
        "growth_peak_mb": {str(w): p for w, p in peak.items()},
        "growth_time_per_window_ratio": round(
            (time_s[most] / most) / (time_s[least] / least), 3
        ),  # at most 1 is at most linear
        "growth_peak_ratio": round(peak[most] / peak[least], 3),
        "growth_peak_ratio_from_middle": round(peak[most] / peak[middle], 3),
    }


# --- rivals and seeds -------------------------------------------------------------------------


def rivals(out: Path, _: int) -> dict:
    """Every rival on the recipe's windows; the table is benchmarks/rivals.py's."""
    script = ROOT / "benchmarks" / "rivals.py"
    if not script.exists():
        say("rivals: benchmarks/rivals.py is not there")
        return {"rivals": None}
    folder = next(iter(sorted(out.glob(f"{TIER}-*"))), None)
    if folder is None:
        folder = Path(train_once(out, 0)["run"])
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit("rivals: see above")
    return {"rivals": json.loads(done.stdout.splitlines()[-1])["figures"]}


def seeds(_: Path, count: int) -> dict:
    """Optimizer steps of eight seeds at once over eight fits of one, one epoch each."""
    from seeds import fit_seeds

    recipe = recipes.changed(find_tier(TIER), ("epochs=1", "windows=2048", "streams=128"))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ratios = []
    for _k in range(count):
        alone = sum(fit_seeds(recipe, [seed], device).train_s for seed in range(SEEDS))
        ratios.append(alone / fit_seeds(recipe, list(range(SEEDS)), device).train_s)
    return spread(f"seeds{SEEDS}_at_once_speedup", ratios)


PARTS: dict[str, Callable[[Path, int], dict]] = {
    "cold": cold, "before": before, "original": original, "ranks": ranks, "growth": growth,
    "rivals": rivals, "seeds": seeds,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="cold,original,ranks,growth,rivals")
    parser.add_argument("--runs", type=int, default=10)
    chosen = parser.parse_args()
    names = chosen.only.split(",")
    if unknown := set(names) - set(PARTS):
        parser.error(f"--only {','.join(sorted(unknown))}: choose from {','.join(PARTS)}")
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            figures |= PARTS[name](Path(folder), chosen.runs)
    shown = [(k, json.dumps(v)) for k, v in figures.items() if k != "rivals"]
    print_rows("fit", ["figure", "value"], shown)
    facts = runs.environment()
    where = {name: facts[name] for name in ("cores", "threads", "device")}
    print_last_line("fit", figures, chosen.runs, "torch", "numpy", "polars", **where)


if __name__ == "__main__":
    main()
