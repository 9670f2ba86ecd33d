"""Can the home be told from its quiet minutes? Layer 5.

Where it can, an accuracy over pooled sources measures which instrument this is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from saafe import simulation, windows
from saafe.audit import refuse_straddling, require_forest
from saafe.composites import AFTER_COOKING_S, Home
from saafe.errors import InputError
from saafe.estimators import summaries
from saafe.metrics import confusion, proportion_bounds
from saafe.outcomes import in_sessions
from saafe.simulation import Mix
from saafe.training import JUDGE, seeded

STRETCH_S = 86_400.0  # a day is a group
EACH = 20  # windows of a group
SIMULATED = "simulated"
SIMULATED_STREAMS = 60
PART = 23  # of the judging seed


@dataclass(frozen=True)
class Quiet:
    """Windows of one source in which nothing happens.

    Attributes:
        windows: float32 (window, 60, 1, 6)
        groups: day or scenario of each. int64 (window,)
    """

    windows: np.ndarray
    groups: np.ndarray


def quiet_of_home(home: Home, *, seed: int) -> Quiet:
    """Windows of a home outside its stove's sessions and the half hour after each.

    A window's whole history is kept clear, so that yesterday's dinner tells nothing.
    """
    recording = home.recording
    grid, fresh, first = windows.to_grid(recording.times_s, recording.readings[:, 0])
    ends = np.flatnonzero(fresh)
    at_s = (ends + first) * windows.BIN_S
    span_s = windows.SPAN * windows.BIN_S
    busy = [(a, b + AFTER_COOKING_S + span_s) for a, b in home.sessions]
    ends, at_s = ends[~in_sessions(at_s, busy)], at_s[~in_sessions(at_s, busy)]
    day = (at_s // STRETCH_S).astype(np.int64)
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(np.flatnonzero(day == d), size=min(EACH, int((day == d).sum())))
        for d in np.unique(day)
    ]
    places = np.concatenate(chosen)
    return Quiet(windows.cut(grid, ends[places]), day[places])


def quiet_of_simulation(seed: int, *, streams: int = SIMULATED_STREAMS) -> Quiet:
    """Windows of simulated life without any event, one sensor a stream."""
    calm = Mix(fire_share=0.0, nuisance_counts=(1.0, 0.0, 0.0))
    generator = seeded(seed, JUDGE, PART, torch.device("cpu"))
    made = simulation.simulate(streams, generator=generator, hours=6.0, sensors=1, mix=calm)
    random = np.random.default_rng(seed)
    ends = random.integers(windows.SPAN, made.readings.shape[1], size=(streams, EACH))
    stream = np.repeat(np.arange(streams), EACH)
    out = simulation.gather(
        made.readings, torch.from_numpy(stream), torch.from_numpy(ends.ravel()),
        torch.zeros(len(stream), dtype=torch.int64), torch.zeros(len(stream), dtype=torch.int64),
    )  # fmt: skip
    return Quiet(out.numpy(), stream)


def probe(
    sources: Mapping[str, Quiet], *, seed: int, channels: Sequence[int] | None = None
) -> dict[str, Any]:
    """Let a forest guess the source of quiet windows, on days that it was not fitted on.

    Args:
        sources: at least two.
        seed: of the forest and of the days.
        channels: that it may look at; the others are hidden. All by default.

    Returns:
        `accuracy` with exact bounds (windows of a day are alike, so they are too narrow),
        `chance` (the commonest source's share), and the `confusion` of true (row) and guessed
        sources, whose `names` stand beside.

    Raises:
        InputError: fewer than two sources, one with fewer than two days, or no scikit-learn.
    """
    from sklearn.ensemble import RandomForestClassifier

    require_forest()
    if len(sources) < 2 or any(len(np.unique(q.groups)) < 2 for q in sources.values()):
        raise InputError("the probe needs two sources or more, each of two days or more")
    names = list(sources)
    inputs, truth, groups, is_test = [], [], [], []
    random = np.random.default_rng(seed)
    for k, quiet in enumerate(sources.values()):
        days = random.permutation(np.unique(quiet.groups))
        shown = hide(quiet.windows, channels)
        inputs.append(summaries(torch.from_numpy(shown)).numpy())
        truth.append(np.full(len(shown), k))
        groups.append([f"{names[k]} {group}" for group in quiet.groups])
        is_test.append(np.isin(quiet.groups, days[: len(days) // 2]))
    x, y, test = np.concatenate(inputs), np.concatenate(truth), np.concatenate(is_test)
    refuse_straddling(np.concatenate(groups), test)
    forest = RandomForestClassifier(200, random_state=seed, class_weight="balanced")
    guess = forest.fit(x[~test], y[~test]).predict(x[test])
    right = proportion_bounds(int((guess == y[test]).sum()), int(test.sum()))
    return {
        "names": names,
        "windows": int(test.sum()),
        "accuracy": right._asdict(),
        "chance": float(np.bincount(y[test]).max() / test.sum()),
        "confusion": confusion(y[test], guess, len(names)).tolist(),
    }


def hide(shown: np.ndarray, channels: Sequence[int] | None) -> np.ndarray:
    """Windows in which only some channels are known. (window, 60, 1, 6)"""
    if channels is None:
        return shown
    out = np.full_like(shown, np.nan)
    out[..., list(channels)] = shown[..., list(channels)]
    return out
