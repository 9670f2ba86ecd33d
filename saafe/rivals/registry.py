"""Rivals of the transformer: same windows, same calibration, same thresholds."""

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saafe.detector import AlarmSettings
from saafe.errors import InputError
from saafe.recipes import Recipe
from saafe.rivals.convolution import fit_minirocket, fit_multirocket_hydra, fit_quant
from saafe.rivals.inception import fit_inception
from saafe.rivals.linear import fit_boosting, fit_discriminant, fit_logistic
from saafe.sensors import FIRE, LABELS
from saafe.simulator import devices
from saafe.training import (
    REFERENCE_MIX,
    RiskModel,
    WindowSet,
    World,
    calibrate,
    epoch_windows,
    for_device,
    held_out_windows,
    join_windows,
    longest_pause_of,
    settings_for,
)

FIXED_RULE, LOGISTIC = "fixed rule", "logistic regression"
BOOSTING = "gradient boosting"
WARM_UP_WINDOWS = 64  # that numba compiles on, before the clock runs

FitFunction = Callable[[Recipe, WindowSet, WindowSet], RiskModel]
OnStage = Callable[[str], None]  # takes what goes on from now on, in a few words


@dataclass(frozen=True)
class Rival:
    """One row of the registry."""

    fit: FitFunction  # to a model that is not yet calibrated
    needs: tuple[str, ...]  # packages of the extra `rivals`
    most: int  # training windows it takes at most, the first ones of the transformer's own
    compiles: bool  # its first use compiles code, which is counted apart
    about: str  # a line for tables and docs


class FixedRule(RiskModel):
    """Sees nothing: what alarms are the detector's fixed rules alone (heat, rise, CO dose)."""

    def forward(self, windows: Tensor) -> Tensor:
        """The same logits for every window. (batch, 60, 1, channel) to (batch, 1, class)"""
        return torch.zeros(len(windows), 1, len(LABELS))


ALL = 10**9
# Chosen: as many windows as fit into some 2 GB and minutes; where a rival gets fewer than the
# transformer, its row says how many
RIVALS = {
    FIXED_RULE: Rival(
        lambda recipe, training, held_out: FixedRule(), (), 0, False,
        "57 degC, 8.3 K/min and CO dose only",
    ),
    "linear discriminant": Rival(
        fit_discriminant, ("sklearn",), 24_000, False, "shrunk covariance, the model's features"
    ),
    LOGISTIC: Rival(fit_logistic, (), 24_000, False, "the model's features, L-BFGS"),
    BOOSTING: Rival(
        fit_boosting, ("sklearn",), ALL, False, "114 summary features, 200 rounds"
    ),
    "QUANT": Rival(
        fit_quant, ("aeon", "sklearn"), 6_000, False, "quantiles of intervals, 200 trees"
    ),
    "MiniRocket": Rival(
        fit_minirocket, ("aeon",), 24_000, True, "10,000 random convolutions, logistic layer"
    ),
    "MultiRocket-Hydra": Rival(
        fit_multirocket_hydra, ("aeon",), 12_000, True,
        "1,250 kernels and 16 groups, a fifth and a quarter of the published sizes",
    ),
    "InceptionTime": Rival(
        fit_inception, (), 48_000, False, "one network of six blocks, 64 wide; the paper: five, 128"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A rival, ready to be judged."""

    name: str  # its row in `RIVALS`
    model: RiskModel  # fitted and calibrated
    settings: AlarmSettings
    windows: int  # how many it was trained on
    compile_s: float  # of its first use, before the fit. [s]
    fit_s: float  # of the fit itself, the making of the windows not included. [s]
    thresholds_s: float  # of calibration and thresholds. [s]


@dataclass(frozen=True)
class TrainingSet:
    """What all rivals learn from."""

    recipe: Recipe  # of the run that they rival
    training: WindowSet  # the windows of the run's epochs, in its order
    held_out: WindowSet  # the windows that the run was stopped and calibrated by


def draw_training_set(
    recipe: Recipe, *, most: int = ALL, on_stage: OnStage = lambda _: None
) -> TrainingSet:
    """The windows that a run of this recipe sees, as the run's own seeds draw them.

    A recipe with one fixed set gives that set once; no more epochs are simulated than `most`
    windows need.
    """
    device = torch.device("cpu")
    epochs = min(recipe.new_epochs, max(1, -(-most // recipe.windows)))
    parts = []
    for k in range(epochs):
        on_stage(f"simulating its windows, part {k + 1} of {epochs + 1}")
        parts.append(epoch_windows(recipe, k, device, World()))
    on_stage(f"simulating its windows, part {epochs + 1} of {epochs + 1}")
    return TrainingSet(recipe, join_windows(parts), held_out_windows(recipe, device))


def check_installed(names: Sequence[str]) -> None:
    """Refuse unknown rivals, and those whose packages are not installed."""
    for name in names:
        if name not in RIVALS:
            raise InputError(f"rival {name!r} is unknown; choose from {', '.join(RIVALS)}")
        for package in RIVALS[name].needs:
            if importlib.util.find_spec(package) is None:
                raise InputError(
                    f"rival {name!r} needs {package}, which is not installed; "
                    "pip install 'saafe[rivals]'"
                )


def fixed_rule_alone(recipe: Recipe, device: str | devices.Device | None) -> Trained:
    """The fixed rule, made at once: windows would teach it nothing.

    Its risk is the share of fires everywhere, below all thresholds: its alarms clear, too.
    For a device, or as the recipe says.
    """
    model = FixedRule()
    raw = model.risk_logit(torch.zeros(len(LABELS))).item()
    odds = math.log(REFERENCE_MIX[FIRE] / (1.0 - REFERENCE_MIX[FIRE]))
    model.risk_shift.fill_(odds - raw)
    leave, warn, enter = (odds + above for above in (2e-4, 5e-4, 1e-3))
    pause_s = longest_pause_of(for_device(recipe, device))
    settings = AlarmSettings(
        fast=enter, slow=enter, steady=enter, warn=warn, leave=leave, longest_interval_s=pause_s
    )
    return Trained(FIXED_RULE, model, settings, 0, 0.0, 0.0, 0.0)


def train_rival(
    name: str, training_set: TrainingSet, *, device: str | devices.Device | None = None,
    on_stage: OnStage = lambda _: None,
) -> Trained:  # fmt: skip
    """Fit one rival, calibrate it and set its thresholds as the transformer's are set.

    For a device, or as the training set's recipe says.
    """
    check_installed([name])
    if name == FIXED_RULE:
        return fixed_rule_alone(training_set.recipe, device)
    rival, recipe = RIVALS[name], training_set.recipe
    training = training_set.training.rows(slice(rival.most))
    began = time.perf_counter()
    if rival.compiles:
        on_stage("compiling its code")
        few = training_set.training.rows(slice(WARM_UP_WINDOWS))
        rival.fit(recipe, few, few)
    compiled = time.perf_counter()
    on_stage(f"learning from {len(training.labels):,} windows")
    model = rival.fit(recipe, training, training_set.held_out)
    fitted = time.perf_counter()
    on_stage("setting its thresholds")
    calibrate(model, training_set.held_out)
    settings = settings_for(model, recipe, device)
    done = time.perf_counter()
    return Trained(
        name, model, settings, len(training.labels), compiled - began, fitted - compiled,
        done - fitted,
    )  # fmt: skip


def train_alone(
    name: str, recipe: Recipe, *, device: str | devices.Device | None = None,
    on_stage: OnStage = lambda _: None,
) -> Trained:  # fmt: skip
    """One rival on as many windows of a run of this recipe as it takes.

    Its thresholds are set for a device, for that of the recipe by default.
    """
    if name == FIXED_RULE:
        return fixed_rule_alone(recipe, device)
    training_set = draw_training_set(recipe, most=RIVALS[name].most, on_stage=on_stage)
    return train_rival(name, training_set, device=device, on_stage=on_stage)
