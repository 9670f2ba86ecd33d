"""A small model with random weights, whose alarm settings lie amid its risks, as a run."""

from pathlib import Path

import numpy as np
import torch
from odd_recordings import odd_recording

from saafe import windows
from saafe.detector import AlarmSettings
from saafe.recipes import Recipe
from saafe.training.model import FireTransformer
from saafe.training.runs import Run, load, new_folder, save_model

SMALL = Recipe("tiny", width=16, layers=2, heads=2, expansion=2)


def small_run(out: Path, recipe: Recipe = SMALL, seed: int = 0) -> Run:
    """A run whose model gives every kind of event on odd recordings."""
    torch.manual_seed(seed)
    model = FireTransformer(recipe).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
        model.risk_scale.fill_(0.7)
        model.risk_shift.fill_(-0.4)
        model.lone_excess.copy_(torch.tensor([0.6, 0.3]))
    cut = odd_windows(range(6))
    with torch.inference_mode():
        odds = model.risk_logit(model(torch.from_numpy(cut)))[:, 0].numpy()
    fast, slow, steady, warn, leave = np.quantile(odds, [0.9, 0.8, 0.75, 0.6, 0.55]).tolist()
    settings = AlarmSettings(fast=fast, slow=slow, steady=steady, warn=warn, leave=leave)
    folder = new_folder(out, f"small-{recipe.patch}-{seed}", recipe)
    save_model(folder, recipe, model, settings)
    return load(folder)


def odd_windows(seeds) -> np.ndarray:
    """Windows of odd recordings' first sensors. (window, 60, 1, channel)"""
    out = []
    for seed in seeds:
        one = odd_recording(seed)
        rows = np.flatnonzero(~np.isnan(one.readings[:, 0]).all(axis=1))
        if len(rows):
            grid, fresh, _ = windows.to_grid(one.times_s[rows], one.readings[rows, 0])
            out.append(windows.cut_windows(grid, np.flatnonzero(fresh)[::5]))
    return np.concatenate(out)
