"""Simpler detectors on the same windows, with thresholds set the same way. Layer 5."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saafe.alarms import AlarmSettings
from saafe.distributed import World
from saafe.model import FEATURES, RiskModel, features
from saafe.recipes import Recipe
from saafe.sensors import LABELS
from saafe.training import calibrate, epoch_windows, held_out_windows, set_thresholds
from saafe.windows import STEPS

EPOCHS = 4  # of the recipe's windows; more brought nothing


class LogisticRegression(RiskModel):
    """Multinomial logistic regression on the transformer's own features."""

    def __init__(self) -> None:
        """Start at zero: every class alike."""
        super().__init__()
        self.linear = nn.Linear(STEPS * FEATURES, len(LABELS))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """Class logits. (batch, 60, 1, 6) to (batch, 1, class)"""
        return self.linear(features(windows[:, :, 0]).flatten(1)).unsqueeze(1)


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
