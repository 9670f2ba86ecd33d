"""Rivals of linear algebra and of scikit-learn, behind the same face as the transformer.

Every fit takes (recipe, training, held_out) and returns a RiskModel that is not yet calibrated.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saafe.recipes import Recipe
from saafe.sensors import LABELS
from saafe.training import (
    FLAT,
    RiskModel,
    WindowSet,
    flat,
    levels,
    lower_quartile,
)
from saafe.windows import SEGMENTS

# Chosen: weight decays that a linear rival picks from by its loss on held-out scenarios
DECAYS = (1e-4, 1e-3, 1e-2)
BOOSTING_ROUNDS = 200  # a tree a class in each
SUMMED_AT_ONCE = 8192  # windows whose summaries are made at once: double precision takes memory
LEAST_SHARE = 1e-4  # Chosen: a forest's 0 % counts as this, else its log-odds were infinite


class Estimator(RiskModel):
    """A fitted estimator of another library, as a model of class logits."""

    def __init__(self, logits: Callable[[Tensor], np.ndarray]) -> None:
        """Take what turns windows (batch, 60, 1, channel) into class logits (batch, class)."""
        super().__init__()
        self.logits = logits

    def forward(self, windows: Tensor) -> Tensor:
        """Class logits. (batch, 60, 1, channel) to (batch, 1, class)"""
        return torch.from_numpy(np.asarray(self.logits(windows), np.float32)).unsqueeze(1)


class Boosting(Estimator):
    """Gradient-boosted trees on `summaries`."""

    def __init__(self, trees: Any, columns: np.ndarray) -> None:
        """Take a fitted HistGradientBoostingClassifier and the columns that it reads, int64."""
        super().__init__(lambda windows: log_shares(trees, summaries(windows).numpy()[:, columns]))
        self.trees, self.columns = trees, columns


class LogisticRegression(RiskModel):
    """Multinomial logistic regression on the transformer's own features."""

    def __init__(self) -> None:
        """Start at zero: every class alike."""
        super().__init__()
        self.linear = flat_start(FLAT)

    def forward(self, windows: Tensor) -> Tensor:
        """Class logits. (batch, 60, 1, channel) to (batch, 1, class)"""
        return self.linear(flat_features(windows)).unsqueeze(1)


def flat_start(inputs: int) -> nn.Linear:
    """A linear layer to the classes that starts at zero."""
    linear = nn.Linear(inputs, len(LABELS))
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def flat_features(windows: Tensor) -> Tensor:
    """Every feature of every step, and the window's summary. (batch, FLAT)

    Of windows (batch, 60, 1, channel).
    """
    return flat(windows[:, :, 0])


def descend(linear: nn.Linear, inputs: Tensor, labels: Tensor, decay: float) -> None:
    """Fit a linear layer by L-BFGS on cross entropy with weight decay, in place."""
    solver = torch.optim.LBFGS(linear.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(linear(inputs), labels)
        loss = loss + decay * linear.weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)


def fit_linear(
    inputs: Tensor, labels: Tensor, held_inputs: Tensor, held_labels: Tensor
) -> nn.Linear:
    """The linear layer whose weight decay gave the least loss on held-out scenarios.

    From inputs (window, feature) and labels int64 (window,), of the training set and held out.
    """
    found = []
    for decay in DECAYS:
        linear = flat_start(inputs.shape[1])
        descend(linear, inputs, labels, decay)
        with torch.no_grad():
            found.append((F.cross_entropy(linear(held_inputs), held_labels).item(), linear))
    return min(found, key=lambda one: one[0])[1]


def fit_logistic(recipe: Recipe, training: WindowSet, held_out: WindowSet) -> RiskModel:
    """Logistic regression on the transformer's own features."""
    model = LogisticRegression()
    model.linear = fit_linear(
        flat_features(training.windows), training.labels,
        flat_features(held_out.windows), held_out.labels,
    )  # fmt: skip
    return model


def fit_discriminant(recipe: Recipe, training: WindowSet, held_out: WindowSet) -> RiskModel:
    """Linear discriminant analysis on the same features, its covariance shrunk.

    Source:
        O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance
        matrices," Journal of Multivariate Analysis, vol. 88, pp. 365-411, 2004.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    fitted.fit(flat_features(training.windows).numpy(), training.labels.numpy())
    return Estimator(lambda windows: log_shares(fitted, flat_features(windows).numpy()))


def fit_boosting(recipe: Recipe, training: WindowSet, held_out: WindowSet) -> Boosting:
    """Gradient boosting on summary features."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    fitted = HistGradientBoostingClassifier(
        max_iter=BOOSTING_ROUNDS, learning_rate=0.08, l2_regularization=1.0,
        random_state=recipe.seed,
        # its own split would tear scenarios apart
        early_stopping=False,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    seen = torch.cat([summaries(part) for part in training.windows.split(SUMMED_AT_ONCE)]).numpy()
    # scikit-learn refuses columns without a single value
    columns = np.flatnonzero(~np.isnan(seen).all(axis=0))
    fitted.fit(seen[:, columns], training.labels.numpy())
    return Boosting(fitted, columns)


def log_shares(fitted, inputs: np.ndarray) -> np.ndarray:
    """Class logits of a scikit-learn classifier, a class it never saw at the foot. (n, class)"""
    shares = np.full((len(inputs), len(LABELS)), LEAST_SHARE)
    shares[:, fitted.classes_] = fitted.predict_proba(inputs)
    return np.log(np.maximum(shares, LEAST_SHARE))


def summaries(windows: Tensor) -> Tensor:
    """What an engineer would tabulate: six figures of each channel in each time scale.

    Mean, spread, lowest, highest, change and known share of the channel's level, and the last
    level over the window's lower quartile; NaN where the channel is missing.
    (batch, 60, 1, channel) to (batch, 6 x 3 x 6 + 6)

    Levels are rounded to single precision, and their sums are in double, where twenty of them are
    exact in any order. So an exported graph gives these very numbers, and no tree decides
    otherwise there; means of a constant channel do not differ from it.
    """
    level = levels(windows[:, :, 0].double()).float().double()  # (batch, time, channel)
    known = ~torch.isnan(level)
    out, at = [], 0
    for count, _ in SEGMENTS:
        part, is_known = level[:, at : at + count], known[:, at : at + count]
        at += count
        number = is_known.sum(dim=1)
        mean = part.nanmean(dim=1)
        spread = (part - mean.unsqueeze(1)).square().nanmean(dim=1).sqrt()
        lowest = part.nan_to_num(torch.inf).amin(dim=1)
        highest = part.nan_to_num(-torch.inf).amax(dim=1)
        change = part[:, count // 2 :].nanmean(dim=1) - part[:, : count // 2].nanmean(dim=1)
        extremes = [torch.where(number > 0, x, torch.nan) for x in (lowest, highest)]
        out += [mean, spread, *extremes, change, number.double() / count]
    base = lower_quartile(level.nan_to_num(0.0), known)[:, 0]
    return torch.cat([*out, level[:, -1] - base], dim=1).float()
