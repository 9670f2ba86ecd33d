"""From a recipe to a trained model: data, the loop, thresholds, run folders."""

from saafe.training import loop, runs
from saafe.training.checkpoints import load_checkpoint, save_checkpoint
from saafe.training.data import (
    CLASS_SHARES, Purpose, REFERENCE_MIX, SEEDS, TRAIN_HOURS, WindowSet, device_of, epoch_windows,
    for_device, held_out_windows, join_windows, longest_pause_of, sample_windows,
    seeded_generator, to_train_for,
)  # fmt: skip
from saafe.training.device_thresholds import (
    exported_for, is_same_device, kept_thresholds, run_for, settings_for, telling,
)  # fmt: skip
from saafe.training.distributed import World, attempt, leads
from saafe.training.loop import Fit, Progress, fit_detector
from saafe.training.model import (
    FEATURES, FLAT, LONE_CHANNELS, ONSET_SCALE, ONSET_STEPS, WINDOW_SUMMARY, GuardedModel,
    RiskModel, features, flat, levels, lower_quartile,
)  # fmt: skip
from saafe.training.runs import Run, load, score_with
from saafe.training.thresholds import (
    OnShare, calibrate, logits_of, set_own_thresholds, unheard,
)  # fmt: skip
from saafe.training.tuning import (
    NUISANCE_POOL, Simulated, Tuned, simulated_for, tune_detector, with_thresholds,
)  # fmt: skip

__all__ = [
    "CLASS_SHARES", "FEATURES", "FLAT", "LONE_CHANNELS", "NUISANCE_POOL", "ONSET_SCALE",
    "ONSET_STEPS", "REFERENCE_MIX", "SEEDS",
    "TRAIN_HOURS", "WINDOW_SUMMARY", "Fit", "GuardedModel", "OnShare", "Progress", "Purpose",
    "RiskModel", "Run", "Simulated", "Tuned", "WindowSet", "World", "attempt", "calibrate",
    "device_of", "epoch_windows", "exported_for", "features", "fit_detector", "flat", "for_device",
    "held_out_windows", "is_same_device", "join_windows", "kept_thresholds", "leads", "levels",
    "load",
    "load_checkpoint", "logits_of", "longest_pause_of", "loop", "lower_quartile", "run_for",
    "runs", "sample_windows", "save_checkpoint", "score_with", "seeded_generator",
    "set_own_thresholds", "settings_for",
    "simulated_for", "telling", "to_train_for", "tune_detector", "unheard", "with_thresholds",
]  # fmt: skip
