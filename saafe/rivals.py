"""Simpler detectors on the same windows, with thresholds set the same way. Layer 5."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saafe.alarms import AlarmSettings
from saafe.detector import Score
from saafe.distributed import World
from saafe.model import FEATURES, features
from saafe.recipes import Recipe
from saafe.sensors import FIRE, LABELS
from saafe.training import calibrate, epoch_windows, held_out_windows, set_thresholds
from saafe.windows import STEPS

EPOCHS = 4  # of the recipe's windows; more brought nothing


class LogisticRegression(nn.Module):
    """Multinomial logistic regression on the transformer's own features."""

    risk_scale: Tensor
    risk_shift: Tensor

    def __init__(self) -> None:
        """Start at zero: every class alike."""
        super().__init__()
        self.linear = nn.Linear(STEPS * FEATURES, len(LABELS))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("risk_scale", torch.ones(()))
        self.register_buffer("risk_shift", torch.zeros(()))

    def forward(self, windows: Tensor) -> Tensor:
        """Class logits. (batch, 60, 1, 6) to (batch, 1, class)"""
        return self.linear(features(windows[:, :, 0]).flatten(1)).unsqueeze(1)

    def risk_logit(self, logits: Tensor) -> Tensor:
        """Calibrated log-odds of fire. (..., class) to (...)"""
        others = torch.logsumexp(logits[..., :FIRE], dim=-1)
        return self.risk_scale * (logits[..., FIRE] - others) + self.risk_shift


def fit_logistic(recipe: Recipe) -> tuple[LogisticRegression, AlarmSettings]:
    """Fit by L-BFGS with a little weight decay; calibrate and set thresholds as for the model."""
    device = torch.device("cpu")
    parts = [epoch_windows(recipe, k, device, World()) for k in range(EPOCHS)]
    windows = torch.cat([part.windows for part in parts])
    labels = torch.cat([part.labels for part in parts])
    model = LogisticRegression()
    inputs = features(windows[:, :, 0]).flatten(1)
    solver = torch.optim.LBFGS(
        model.linear.parameters(), max_iter=100, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(model.linear(inputs), labels)
        loss = loss + 1e-4 * model.linear.weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    calibrate(model, held_out_windows(recipe, device))
    return model, set_thresholds(model, recipe)


def score_with(model: LogisticRegression) -> Score:
    """A scoring callable for `detector`."""

    def score(windows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            odds = model.risk_logit(model(torch.from_numpy(np.ascontiguousarray(windows))))
        return 100.0 / (1.0 + np.exp(-odds[:, 0].double().numpy()))

    return score
