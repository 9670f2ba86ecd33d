"""Can the home be told from its quiet minutes?

Where it can, an accuracy over pooled sources measures which instrument this is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from saafe import windows
from saafe.audit import refuse_straddling, require_forest
from saafe.errors import InputError
from saafe.exam.outcomes import in_sessions
from saafe.metrics import clustered_proportion_bounds, confusion
from saafe.recordings import Home
from saafe.rivals import summaries
from saafe.sensors import CO2, PM25, TEMPERATURE
from saafe.simulator import Mix, gather, simulation
from saafe.training import Purpose, seeded_generator

STRETCH_S = 86_400.0  # a day is a group
WINDOWS_OF_A_GROUP = 20  # windows of a group
HOME_APART = 100_000  # more days than a home has, so that no two homes share a group
SIMULATED = "simulated"
SIMULATED_STREAMS = 60
IDENTITY_PART = 23  # of the judging seed
COMMON = (TEMPERATURE, PM25, CO2)  # what a home's instrument and a fire's both have
MEANS = (
    "A random forest guesses from two hours in which nothing happens whose they are, on days that "
    "it was not fitted on. Where it beats chance, sources differ by more than their events, and an "
    "accuracy over pooled sources would measure the instrument; the exam pools none. It judges "
    "the data, not the model, and no gate holds it."
)


@dataclass(frozen=True)
class Quiet:
    """Windows of one source in which nothing happens."""

    windows: np.ndarray  # float32 (window, 60, 1, channel)
    groups: np.ndarray  # day or scenario of each. int64 (window,)


@dataclass(frozen=True)
class IdentityRow:
    """What a probe keeps apart, how often it is right, and whether even that bound beats chance."""

    sources: str
    windows: int
    right_share: float
    right_lower: float
    right_upper: float
    chance_share: float
    told_apart: bool
    confusion: list[list[int]]


def quiet_of_home(home: Home, *, seed: int) -> Quiet:
    """Windows of a home outside its stove's sessions and the half hour after each.

    A window's whole history is kept clear, so that yesterday's dinner tells nothing.
    """
    recording = home.recording
    grid, fresh, first = windows.to_grid(recording.times_s, recording.readings[:, 0])
    ends = np.flatnonzero(fresh)
    at_s = (ends + first) * windows.BIN_S
    span_s = windows.SPAN * windows.BIN_S
    busy = [(a, b + span_s) for a, b in home.sessions]  # half an hour more is `in_sessions`
    ends, at_s = ends[~in_sessions(at_s, busy)], at_s[~in_sessions(at_s, busy)]
    day = (at_s // STRETCH_S).astype(np.int64)
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(np.flatnonzero(day == d), size=min(WINDOWS_OF_A_GROUP, int((day == d).sum())))
        for d in np.unique(day)
    ]
    places = np.concatenate([np.empty(0, np.int64), *chosen])  # of a home that always cooks, none
    return Quiet(windows.cut_windows(grid, ends[places]), day[places])


def quiet_of_simulation(seed: int, *, streams: int = SIMULATED_STREAMS) -> Quiet:
    """Windows of simulated life without any event, one sensor a stream."""
    calm = Mix(fire_share=0.0, nuisance_counts=(1.0, 0.0, 0.0))
    generator = seeded_generator(seed, Purpose.JUDGE, IDENTITY_PART, torch.device("cpu"))
    made = simulation.simulate_streams(streams, generator=generator, hours=6.0, sensors=1, mix=calm)
    random = np.random.default_rng(seed)
    ends = random.integers(windows.SPAN, made.readings.shape[1], size=(streams, WINDOWS_OF_A_GROUP))
    stream = np.repeat(np.arange(streams), WINDOWS_OF_A_GROUP)
    out = gather(
        made.readings, torch.from_numpy(stream), torch.from_numpy(ends.ravel()),
        torch.zeros(len(stream), dtype=torch.int64), torch.zeros(len(stream), dtype=torch.int64),
    )  # fmt: skip
    return Quiet(out.numpy(), stream)


def probe(
    sources: Mapping[str, Quiet], *, seed: int, channels: Sequence[int] | None = None
) -> dict[str, Any]:
    """Let a forest guess the source of quiet windows, on days that it was not fitted on.

    It may look at some `channels`, all by default. `accuracy` has 95 % bounds by days, since
    windows of a day are alike; `chance` is the commonest source's share; `confusion`
    is of true (row) and guessed sources.

    Raises:
        InputError: fewer than two sources, one with fewer than two days, or no scikit-learn.
    """
    require_forest()
    from sklearn.ensemble import RandomForestClassifier

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
    group = np.concatenate(groups)
    refuse_straddling(group, test)
    forest = RandomForestClassifier(200, random_state=seed, class_weight="balanced")
    guess = forest.fit(x[~test], y[~test]).predict(x[test])
    right = clustered_proportion_bounds(guess == y[test], group[test])
    return {
        "names": names,
        "windows": int(test.sum()),
        "accuracy": right._asdict(),
        "chance": float(np.bincount(y[test]).max() / test.sum()),
        "confusion": confusion(y[test], guess, len(names)).tolist(),
    }


def examine_identity(homes: Sequence[Home], seed: int) -> dict[str, Any]:
    """The probe on recorded homes, and on them against simulated quiet life.

    Raises:
        InputError: fewer than two homes, one of fewer than two quiet days, or no scikit-learn.
    """
    require_forest()
    quiet = {f"home {home.recording.name}": quiet_of_home(home, seed=seed) for home in homes}
    lived_in = Quiet(
        np.concatenate([one.windows for one in quiet.values()]),
        np.concatenate([one.groups + HOME_APART * k for k, one in enumerate(quiet.values())]),
    )
    simulated = {"homes": lived_in, SIMULATED: quiet_of_simulation(seed)}
    asked = {
        "homes, all channels": (quiet, None),
        "homes, temperature, PM2.5 and CO2": (quiet, COMMON),
        "homes against simulated life": (simulated, None),
    }
    rows = [
        identity_row(name, probe(sources, seed=seed, channels=channels))
        for name, (sources, channels) in asked.items()
    ]
    looked_at = sum(len(one.windows) for sources, _ in asked.values() for one in sources.values())
    return {"means": MEANS, "windows": looked_at, "rows": rows}


def identity_row(name: str, found: Mapping[str, Any]) -> IdentityRow:
    """The row of what a probe found."""
    bounds = found["accuracy"]
    return IdentityRow(
        sources=name,
        windows=found["windows"],
        right_share=bounds["value"],
        right_lower=bounds["lower"],
        right_upper=bounds["upper"],
        chance_share=found["chance"],
        told_apart=bool(bounds["lower"] > found["chance"]),
        confusion=found["confusion"],
    )


def hide(shown: np.ndarray, channels: Sequence[int] | None) -> np.ndarray:
    """Windows in which only some channels are known. (window, 60, 1, channel)"""
    if channels is None:
        return shown
    out = np.full_like(shown, np.nan)
    out[..., list(channels)] = shown[..., list(channels)]
    return out
