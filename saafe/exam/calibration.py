"""Is the risk a probability? Reliability on held-out scenarios, in and out of range."""

from typing import Any

import numpy as np
import torch

from saafe import metrics
from saafe.exam.gate import CALIBRATION_LIMITS
from saafe.exam.judging import SHIFTED_ROOMS, TRAINING_ROOMS, Judged
from saafe.sensors import FIRE, LABELS
from saafe.simulator import ANYTHING, Mix, Rooms, devices, simulation
from saafe.training import REFERENCE_MIX, TRAIN_HOURS, Purpose, sample_windows, seeded_generator

CALIBRATION_SCENARIOS = 1024  # groups behind each of the two tables
WINDOWS_EACH = 16
SCORE_BATCH = 4096
CALIBRATION_PART = 21  # of the judging seeds
RESAMPLES = 400


def examine_calibration(
    one: Judged,
    seed: int,
    *,
    device: str | devices.Device = ANYTHING,
    scenarios: int = CALIBRATION_SCENARIOS,
) -> dict[str, Any]:
    """Compare risk with what happened under the reference mix, in and out of training's rooms."""
    rooms = {
        "in_distribution": (TRAINING_ROOMS, Purpose.JUDGE),
        "out_of_distribution": (SHIFTED_ROOMS, Purpose.SHIFTED),
    }
    out: dict[str, Any] = {"mix": {LABELS[k]: share for k, share in REFERENCE_MIX.items()}}
    for name, (ranges, purpose) in rooms.items():
        mix = Mix(device=device)
        risk, is_fire, group = draw(one, ranges, (seed, purpose), scenarios, mix)
        out[name] = examine_rooms(risk, is_fire, group, CALIBRATION_LIMITS[name])
    return out


def draw(
    one: Judged, rooms: Rooms, seeds: tuple[int, Purpose], scenarios: int, mix: Mix
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability, truth and scenario of windows drawn under the reference mix. (window,)"""
    generator = seeded_generator(*seeds, CALIBRATION_PART, torch.device("cpu"))
    streams = simulation.simulate_streams(
        scenarios, generator=generator, hours=TRAIN_HOURS, rooms=rooms, mix=mix
    )
    drawn = sample_windows(
        streams, WINDOWS_EACH * scenarios, generator, shares=REFERENCE_MIX, evenly=True
    )
    parts = [one.score(part.numpy()) for part in drawn.windows.split(SCORE_BATCH)]
    return np.concatenate(parts) / 100.0, (drawn.labels == FIRE).numpy(), drawn.group.numpy()


def examine_rooms(
    probability: np.ndarray, is_fire: np.ndarray, group: np.ndarray, goal: float
) -> dict[str, Any]:
    """Reliability of probabilities of fire, with 95 % limits of a bootstrap over groups. (window,)

    Resampling adds noise to every bin, so the limits lie somewhat high.
    """
    table = metrics.reliability_table(probability, is_fire)
    error = metrics.calibration_error(table)
    low, high = bootstrap_error(probability, is_fire, group)
    return {
        "windows": len(probability),
        "groups": len(np.unique(group)),
        "ece": error,
        "ece_lower": low,
        "ece_upper": high,
        "goal": goal,
        "status": metrics.line_status(error, high, goal),
        "brier": float(np.mean((probability - is_fire) ** 2)),
        "table": [row._asdict() for row in table],
    }


def bootstrap_error(
    probability: np.ndarray, is_fire: np.ndarray, group: np.ndarray
) -> tuple[float, float]:
    """2.5 and 97.5 % of the calibration error when whole scenarios are drawn with replacement."""
    names, place = np.unique(group, return_inverse=True)
    random = np.random.default_rng(0)
    errors = []
    for _ in range(RESAMPLES):
        times = np.bincount(random.integers(len(names), size=len(names)), minlength=len(names))
        table = metrics.reliability_table(probability, is_fire, weights=times[place])
        errors.append(metrics.calibration_error(table))
    low, high = np.quantile(errors, [0.025, 0.975])
    return float(low), float(high)
