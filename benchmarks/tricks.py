"""What each training trick is worth: one change at a time, on the same windows.

    OMP_NUM_THREADS=1 python benchmarks/tricks.py [--only base,adamw] [--seeds 2] [--epochs 18]

All variants train on the ultra-fast tier's windows of a seed, made once. "Found" is the share of
held-out fire windows over the 99 % quantile of the other held-out windows. Variants run in turn,
one process: compare times within a run only.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from last_line import print_last_line
from torch import Tensor, nn
from torch.nn import functional as F

from saafe import recipes
from saafe.cli.tables import print_rows
from saafe.recipes import Recipe
from saafe.sensors import FIRE
from saafe.training import loop
from saafe.training.data import WindowSet, epoch_windows, held_out_windows, steps_of
from saafe.training.distributed import World
from saafe.training.loop import Fit
from saafe.training.thresholds import logits_of

CPU = torch.device("cpu")


def use_constant(fit: Fit, recipe: Recipe) -> None:
    use_schedule(fit, recipe, lambda step, steps: 1.0)


def use_linear(fit: Fit, recipe: Recipe) -> None:
    use_schedule(fit, recipe, lambda step, steps: 1.0 - step / steps)


def use_schedule(fit: Fit, recipe: Recipe, shape: Callable[[int, int], float]) -> None:
    steps = recipe.epochs * steps_of(recipe)
    for group in fit.optimizer.param_groups:
        group["lr"] = group["initial_lr"] = recipe.learning_rate
    fit.schedule = torch.optim.lr_scheduler.LambdaLR(
        fit.optimizer, lambda step: shape(min(step, steps), steps)
    )


def use_compile(fit: Fit, recipe: Recipe) -> None:
    fit.model.forward = torch.compile(fit.model.forward)  # type: ignore[method-assign]


@dataclass(frozen=True)
class Trick:
    """A variant: changes of the recipe, or of the fit before its first step."""

    changes: tuple[str, ...] = ()
    prepare: Callable[[Fit, Recipe], None] = lambda fit, recipe: None


TRICKS = {
    "base": Trick(),
    "adamw": Trick(("optimizer=adamw",)),
    "constant rate": Trick(prepare=use_constant),
    "linear decay": Trick(prepare=use_linear),
    "warm-up 5 %": Trick(("warmup=0.05",)),
    "rate 5e-4": Trick(("learning_rate=5e-4",)),
    "rate 2e-3": Trick(("learning_rate=2e-3",)),
    "batch 64": Trick(("batch=64",)),
    "batch 128": Trick(("batch=128",)),
    "beta2 0.999": Trick(("beta2=0.999",)),
    "label smoothing 0.05": Trick(("label_smoothing=0.05",)),
    "no averaging": Trick(("averaging=0",)),
    "averaging 0.998": Trick(("averaging=0.998",)),
    "patch 10": Trick(("patch=10",)),
    "hidden 4 widths": Trick(("expansion=4",)),
    "64 wide and 2 layers": Trick(("width=64", "layers=2")),
    "bf16": Trick(("precision=bf16",)),
    "compile": Trick(prepare=use_compile),
}


def windows_of(recipe: Recipe) -> list[WindowSet]:
    """The windows of every epoch."""
    out = []
    for epoch in range(recipe.epochs):
        out.append(epoch_windows(recipe, epoch, CPU, World()))
        print(f"\rwindows of epoch {epoch + 1}/{recipe.epochs}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return out


def run(
    trick: Trick, base: Recipe, training_sets: list[WindowSet], held: WindowSet
) -> dict[str, float]:
    """Train one variant to the end; its loss, what it finds, and its seconds."""
    recipe = recipes.changed(base, trick.changes)
    fit = loop.start_fit(recipe, CPU)
    trick.prepare(fit, recipe)
    began = time.perf_counter()
    for data in training_sets:
        loop.train_on(fit, recipe, data, World())
    spent = time.perf_counter() - began
    logits = logits_of(fit.averaged, held.windows)
    return {
        "loss": F.cross_entropy(logits, held.labels).item(),
        "found": found(fit.averaged, logits, held.labels == FIRE),
        "seconds": spent,
    }


def found(model: nn.Module, logits: Tensor, is_fire: Tensor) -> float:
    """Share of fire windows over the 99 % quantile of the others."""
    odds = model.risk_logit(logits)  # type: ignore[operator]
    return (odds[is_fire] > torch.quantile(odds[~is_fire], 0.99)).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(TRICKS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=recipes.find_tier("ultra-fast").epochs)
    chosen = parser.parse_args()
    names = chosen.only.split(",")
    if unknown := set(names) - set(TRICKS):
        parser.error(f"--only {','.join(sorted(unknown))}: choose from {', '.join(TRICKS)}")
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for seed in range(chosen.seeds):
        base = replace(recipes.find_tier("ultra-fast"), seed=seed, epochs=chosen.epochs)
        training_sets, held = windows_of(base), held_out_windows(base, CPU)
        for name in names:
            rows[name].append(run(TRICKS[name], base, training_sets, held))
            last = rows[name][-1]
            print(f"seed {seed} {name}: {json.dumps(last)}", file=sys.stderr, flush=True)
    print_rows(
        "tricks", ["trick", "held-out loss", "found, %", "seconds"],
        [(name, *(each(done, key) for key in ("loss", "found", "seconds")))
         for name, done in rows.items()],
    )  # fmt: skip
    print_last_line("tricks", rows, chosen.seeds, "torch")


def each(rows: list[dict[str, float]], key: str) -> str:
    """A figure of every seed."""
    scale, digits = {"loss": (1.0, 4), "found": (100.0, 1), "seconds": (1.0, 1)}[key]
    return ", ".join(f"{scale * row[key]:.{digits}f}" for row in rows)


if __name__ == "__main__":
    main()
