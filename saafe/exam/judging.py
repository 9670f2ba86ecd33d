"""What can be judged, and its figures on simulated windows and on recordings."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saafe import metrics
from saafe.detector import TRANSFORMER, AlarmSettings, Exported, detect, log_odds
from saafe.exam.outcomes import first_visible
from saafe.exam.recordings import (
    ScoringOptions,
    check_folder,
    score_real,
    unknown_folders,
)
from saafe.metrics import clustered_proportion_bounds
from saafe.readers import PUBLISHERS, read_recorded
from saafe.recipes import Recipe
from saafe.recordings import SET_FILE, Recording
from saafe.rivals import Trained
from saafe.sensors import FIRE, LABELS
from saafe.simulator import Mix, Rooms, simulation
from saafe.training import (
    CLASS_SHARES,
    REFERENCE_MIX,
    Purpose,
    Run,
    sample_windows,
    score_with,
    seeded_generator,
)

# outside every range that training draws from
SHIFTED_ROOMS = Rooms(
    volume_m3=(150.0, 250.0),
    height_m=(4.0, 5.0),
    air_changes=(8.0, 12.0),
    outdoor_c=(-25.0, -10.0),
    indoor_c=(31.0, 36.0),
)
TRAINING_ROOMS = Rooms()
WARM_UP, TIMED = 20, 200  # windows scored before the clock runs, and while it does


@dataclass(frozen=True)
class Judged:
    """Something that can be judged: the model or a rival."""

    name: str  # for tables
    score: Callable[[np.ndarray], np.ndarray]  # windows (batch, 60, 1, channel) to %
    settings: AlarmSettings  # its alarm thresholds
    classify: Callable[[np.ndarray], np.ndarray] | None = None  # None: only scores


def judged_run(run: Run) -> Judged:
    """A run, ready to be judged."""

    def classify(windows: np.ndarray) -> np.ndarray:
        device = next(run.model.parameters()).device
        with torch.inference_mode():
            logits = run.model(torch.from_numpy(windows).to(device))[:, 0]
            return likeliest_class(logits).cpu().numpy()

    return Judged(TRANSFORMER, score_with(run.model), run.settings, classify)


def judged_model(model: Run | Exported) -> tuple[Judged, Recipe]:
    """A run or an exported model, ready to be judged, and the recipe that it was trained by.

    Raises:
        InputError: an exported file tells no recipe that this saafe can read.
    """
    if isinstance(model, Run):
        return judged_run(model), model.recipe
    return Judged("exported", model.score, model.settings), model.recipe


def likeliest_class(logits: torch.Tensor) -> torch.Tensor:
    """The likeliest of three classes where each is as frequent as the others. int64 (window,)

    By the model's logits (window, class), brought from the shares that training shows. Its fires
    are as the exam's: a reference alarm would sound.
    """
    shares = logits.new_tensor([CLASS_SHARES[k] for k in range(len(LABELS))])
    return (logits - shares.log()).argmax(dim=1)


def judged_rival(trained: Trained) -> Judged:
    """A rival, ready to be judged."""
    return Judged(trained.name, score_with(trained.model), trained.settings)


def judge_windows(
    one: Judged, rooms: Rooms, seed: int, purpose: Purpose, *, mix: Mix | None = None
) -> dict[str, Any]:
    """Accuracy, detection rate and false alarms of single windows in which something shows.

    `bounds` has the 95 % limits of those three, whose windows come in scenarios (`groups`).
    """
    generator = seeded_generator(seed, purpose, 0, torch.device("cpu"))
    streams = simulation.simulate_streams(512, generator=generator, rooms=rooms, mix=mix)
    drawn = sample_windows(streams, 8192, generator, shares=REFERENCE_MIX, evenly=True)
    windows, truth = drawn.windows.numpy(), drawn.labels.numpy()
    risk = np.concatenate([one.score(windows[at : at + 4096]) for at in range(0, 8192, 4096)])
    is_fire = truth == FIRE
    alarmed = np.array([log_odds(r) for r in risk]) >= one.settings.slow
    table = metrics.reliability_table(risk / 100.0, is_fire)
    group = drawn.group.numpy()
    bounds = {
        "detection_rate": clustered_proportion_bounds(alarmed[is_fire], group[is_fire]),
        "false_alarm_rate": clustered_proportion_bounds(alarmed[~is_fire], group[~is_fire]),
    }
    figures = {
        "n": len(truth),
        "groups": len(np.unique(group)),
        "fires": int(is_fire.sum()),
        "roc_auc": metrics.roc_auc(is_fire, risk),
        "calibration_error": metrics.calibration_error(table),
    }
    if one.classify is not None:
        parts = [one.classify(windows[at : at + 4096]) for at in range(0, 8192, 4096)]
        called = np.concatenate(parts)
        bounds["accuracy"] = clustered_proportion_bounds(called == truth, group)
        figures["confusion"] = metrics.confusion(truth, called, len(LABELS)).tolist()
    figures |= {name: bound.value for name, bound in bounds.items()}
    return figures | {"bounds": {name: bound._asdict() for name, bound in bounds.items()}}


def window_times(score: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Median and 99th percentile of the time to score one window, on one thread. [ms]"""
    window = np.full((1, 60, 1, 6), 20.0, dtype=np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(WARM_UP):
            score(window)
        times = []
        for _ in range(TIMED):
            began = time.perf_counter()
            score(window)
            times.append(1e3 * (time.perf_counter() - began))
    finally:
        torch.set_num_threads(threads)
    return {"window_ms": float(np.median(times)), "window_p99_ms": float(np.quantile(times, 0.99))}


def read_all(
    paths: Iterable[Path], say: Callable[[str], None], settings: AlarmSettings
) -> list[Recording]:
    """Recordings to judge; every file is read before the long work begins.

    `say` takes what is doubtful about each: figures alone do not show it. A model's settings say
    how long a healthy sensor may pause, and what its device sends in place of readings.
    """
    recordings = []
    for path in paths:
        recording, check = read_recorded(
            path, longest_interval_s=settings.longest_interval_s, sentinels=settings.sentinels
        )
        recordings.append(recording)
        for line in check.doubts():
            say(f"{path}: {line}")
    return recordings


def judge_recordings(one: Judged, recordings: Iterable[Recording]) -> list[dict[str, Any]]:
    """What the detector says of each recording, against its labels where it has them."""
    rows = []
    for recording in recordings:
        detection = detect(one, recording)
        alarms = [e["time_s"] for e in detection.events if e["event"] == "alarm"]
        row = {
            "name": recording.name,
            "hours": round(float(recording.times_s[-1]) / 3600.0, 2),
            "alarms": len(alarms),
            "first_alarm_s": alarms[0] if alarms else None,
            "highest_risk": round(float(detection.risk.max()), 2) if len(detection.risk) else None,
        }
        if (visible_s := first_visible(recording)) is not None:
            row["fire_visible_s"] = visible_s
        rows.append(row)
    return rows


def check_real(folder: Path, say: Callable[[str], None]) -> None:
    """Refuse a folder that `judge_real` would refuse, before something is fitted for it.

    `say` takes a line where folders in it would be passed over.
    """
    check_folder(folder, tuple(PUBLISHERS))
    if unknown := unknown_folders(folder):
        say(
            f"{folder}: not scored, as no publisher's that is known and without {SET_FILE}: "
            f"{', '.join(unknown)}"
        )


def judge_real(
    one: Judged,
    folder: Path,
    *,
    dense_days: float,
    on_progress: Callable[[str], None],
    elsewhere: bool = True,
) -> dict[str, Any]:
    """Score recorded fires, homes, superposed fires and sets; see `recordings.ScoringOptions`."""
    plan = ScoringOptions(dense_days=dense_days, elsewhere=elsewhere, on_progress=on_progress)
    return score_real(lambda r: detect(one, r), folder, plan)
