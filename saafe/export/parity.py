"""How far an exported model's risk is from the run's, over recordings and edge cases."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from saafe import windows
from saafe.detector import Model, detect, log_odds
from saafe.errors import InputError, as_given
from saafe.recipes import Recipe
from saafe.recordings import Recording, without_sentinels
from saafe.sensors import CHANNELS
from saafe.simulator import simulate
from saafe.training import device_of

RECORDINGS, PARITY_HOURS, SEED = 24, 3.0, 20_261_128
WINDOWS = 4096  # of the recordings' decisions, spread over them
WELL_KNOWN = "saafe-6"  # the device of a third, where the model was trained for none
HOUR_BINS = 360
Score = Callable[[NDArray], NDArray]


class Difference(NamedTuple):
    """Differences in risk of one case, as shares: 0.01 is one point of percent."""

    case: str
    windows: int
    largest: float
    mean: float
    crossed: int  # windows that one of the two puts over an alarm threshold, and the other not


def parity_recordings(
    recipe: Recipe, count: int = RECORDINGS, hours: float = PARITY_HOURS
) -> list[Recording]:
    """Simulated recordings of two sensors, with fires, nuisances and quiet life.

    A third are of the device that the recipe trains for, the others of any instruments. What a
    file would be refused is missing: the exports mask it, as does whatever reads files.
    """
    device = device_of(recipe) if recipe.device_file else WELL_KNOWN
    some = simulate(count - count // 3, seed=SEED, hours=hours)
    some += simulate(count // 3, seed=SEED + 1, hours=hours, device=device)
    masked = [(c.name, value) for c in CHANNELS for value, _ in c.wrong_values]
    return [replace(without_sentinels(one, masked), refused=()) for one in some]


def parity_cases(recordings: list[Recording]) -> dict[str, NDArray]:
    """Windows to compare, by case. (window, 60, 1, channel)"""
    grids = [windows.to_grid(r.times_s[rows], r.readings[rows, k])
             for r in recordings for k in range(len(r.sensors))
             if len(rows := np.flatnonzero(~np.isnan(r.readings[:, k]).all(axis=1)))]  # fmt: skip
    every = max(sum(int(fresh.sum()) for _, fresh, _ in grids) // WINDOWS, 1)
    simulated = np.concatenate(
        [windows.cut_windows(grid, np.flatnonzero(fresh)[::every]) for grid, fresh, _ in grids]
    )
    typical = np.array([c.rest for c in CHANNELS], np.float32)
    blank = np.full((1, windows.STEPS, 1, len(CHANNELS)), np.nan, np.float32)
    first = np.concatenate([blank] * len(grids))
    for k, (grid, _, _) in enumerate(grids):
        first[k, -1, 0] = grid[0]
    alone = np.concatenate([only(simulated[::16], k) for k in range(len(CHANNELS))])
    return {
        "simulated recordings": simulated,
        "all missing": blank,
        "saturated": saturated_windows(simulated[:: len(simulated) // 16]),
        "one step of history": first,
        "an hour's period": hourly_windows([grid for grid, _, _ in grids]),
        "one channel alone": alone,
        "nothing changes": np.broadcast_to(typical, blank.shape).copy(),
    }


def only(some: NDArray, channel: int) -> NDArray:
    """Windows of one channel alone."""
    out = np.full_like(some, np.nan)
    out[..., channel] = some[..., channel]
    return out


def saturated_windows(some: NDArray) -> NDArray:
    """Windows whose channels stand at their ends: all, each alone, and in the last minute."""
    lowest, highest = (
        np.array([getattr(c, end) for c in CHANNELS], np.float32) for end in ("lowest", "highest")
    )
    out = [np.broadcast_to(end, some[:1].shape).copy() for end in (lowest, highest)]
    late = some.copy()
    late[:, -6:] = highest
    out.append(late)
    for k in range(len(CHANNELS)):
        one = some.copy()
        one[..., k] = highest[k]
        out.append(one)
    return np.concatenate(out)


def hourly_windows(grids: list[NDArray]) -> NDArray:
    """Windows of sensors that report once an hour."""
    out = []
    for grid in grids:
        rows = np.arange(len(grid) - 1, -1, -HOUR_BINS)[::-1]
        bins, _, first = windows.to_grid((rows + 1) * windows.BIN_S, grid[rows])
        out.append(windows.cut_windows(bins, rows + 1 - first))
    return np.concatenate(out)


def compare_risk(reference: Model, score: Score, cases: dict[str, NDArray]) -> list[Difference]:
    """Differences of `score` (percent) from a run's own, case by case."""
    limits = [getattr(reference.settings, name) for name in ("fast", "slow", "steady")]
    out = []
    for case, some in cases.items():
        ours, theirs = reference.score(some), score(some)
        away = np.abs(ours - theirs) / 100.0
        odds = np.array([[log_odds(r) for r in risk] for risk in (ours, theirs)])
        crossed = np.any([(odds[0] >= at) != (odds[1] >= at) for at in limits], axis=0)
        out.append(
            Difference(case, len(some), float(away.max()), float(away.mean()), int(crossed.sum()))
        )
    return out


def compare_events(
    reference: Model, events_of: Callable[[Recording], list[dict]], recordings: list[Recording]
) -> dict[str, int]:
    """How many recordings give the same events, their risks aside; and alarm at all, or do not."""
    same = alarms = same_alarms = 0
    for recording in recordings:
        ours, theirs = detect(reference, recording).events, events_of(recording)
        same += without_risk(ours) == without_risk(theirs)
        alarms += alarmed(ours)
        same_alarms += alarmed(ours) == alarmed(theirs)
    return {"recordings": len(recordings), "same_events": same, "with_alarm": alarms,
            "same_outcome": same_alarms}  # fmt: skip


def without_risk(events: list[dict]) -> list[dict]:
    """Events without their risk, which differs in the last digit."""
    return [{k: v for k, v in event.items() if k != "risk"} for event in events]


def alarmed(events: list[dict]) -> bool:
    """Whether an alarm is among the events."""
    return any(event["event"] == "alarm" for event in events)


def check_limit(rows: list[Difference], limit: float, *, is_run: bool = True) -> None:
    """Refuse a file whose risk differs by more than a limit, from a run's or another model's."""
    worst = max(rows, key=lambda row: row.largest)
    if worst.largest > limit:
        mend = "report it, with the releases of scikit-learn and onnxruntime"
        if is_run:
            onnx = as_given("--to onnx", 'to="onnx"')
            mend = f"export with {onnx}"
        raise InputError(
            f"the exported risk differs by {worst.largest:.2g} ({worst.case}; limit {limit:g}), "
            f"so nothing was written; {mend}"
        )
