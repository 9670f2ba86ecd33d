"""Rivals from aeon: published classifiers of time series, on the same windows.

aeon wants a finite array (case, channel, time): it gets the transformer's own features of each
step, 60 steps of three time scales in one row.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saafe.recipes import Recipe
from saafe.rivals.linear import Estimator, fit_linear, log_shares
from saafe.training import RiskModel, WindowSet, features

MINIROCKET_KERNELS = 10_000  # as published
# Chosen: a fifth and a quarter of the published sizes, which gave 190 and 340 windows/s on a CPU
# thread; the thresholds alone need 161,000 windows scored
MULTIROCKET_KERNELS, HYDRA_GROUPS = 1_250, 16
FOREST_TREES = 200  # QUANT's, as published; also 10 % of the features a split, and entropy
FARTHEST = 10.0  # standard deviations; a rare kernel must not outweigh all others


def cases(windows: Tensor) -> np.ndarray:
    """What aeon takes. (batch, 60, 1, channel) to float32 (batch, feature, 60)"""
    return features(windows[:, :, 0]).transpose(1, 2).contiguous().numpy()


@contextmanager
def quiet() -> Iterator[None]:
    """Without what aeon warns of and nobody here can mend."""
    with warnings.catch_warnings():
        # a channel that the sensor lacks is constant by intent
        warnings.filterwarnings("ignore", "Data seen by instance", UserWarning)
        warnings.filterwarnings("ignore", "__array_wrap__ must accept", DeprecationWarning)
        yield


class Transforms:
    """One or more of aeon's transforms, side by side, standardised."""

    def __init__(self, parts: list[Any]) -> None:
        """Take unfitted transforms; Hydra's counts go through a square root."""
        self.parts = parts
        self.mean = np.zeros(1, np.float32)
        self.factor = np.ones(1, np.float32)

    def fit(self, inputs: np.ndarray) -> Tensor:
        """Fit on cases (batch, feature, 60), and transform them. (batch, feature)"""
        with quiet():
            for part in self.parts:
                part.fit(inputs)
        raw = self._raw(inputs)
        self.mean, spread = raw.mean(axis=0), raw.std(axis=0)
        self.factor = np.where(spread > 1e-6, 1.0 / np.maximum(spread, 1e-6), 0.0)
        return self._standard(raw)

    def __call__(self, inputs: np.ndarray) -> Tensor:
        """Transform cases. (batch, feature, 60) to (batch, feature)"""
        return self._standard(self._raw(inputs))

    def _standard(self, raw: np.ndarray) -> Tensor:
        raw -= self.mean
        raw *= self.factor.astype(np.float32)
        return torch.from_numpy(np.clip(raw, -FARTHEST, FARTHEST, out=raw))

    def _raw(self, inputs: np.ndarray) -> np.ndarray:
        with quiet(), torch.inference_mode():
            parts = []
            for part in self.parts:
                out = np.asarray(part.transform(inputs), np.float32)
                if type(part).__name__ == "HydraTransformer":
                    out = np.sqrt(np.maximum(out, 0.0))
                parts.append(out)
        return np.concatenate(parts, axis=1)


def fit_rocket(parts: list[Any], training: WindowSet, held_out: WindowSet) -> RiskModel:
    """Random convolutions, and a linear layer on what they give.

    The layer is logistic, not the papers' ridge: alarms need a graded score.
    """
    transforms = Transforms(parts)
    inputs = transforms.fit(cases(training.windows))
    held = transforms(cases(held_out.windows))
    linear = fit_linear(inputs, training.labels, held, held_out.labels)

    def logits(windows: Tensor) -> np.ndarray:
        with torch.inference_mode():
            return linear(transforms(cases(windows))).numpy()

    return Estimator(logits)


def fit_minirocket(recipe: Recipe, training: WindowSet, held_out: WindowSet) -> RiskModel:
    """MiniRocket.

    Source:
        A. Dempster, D. F. Schmidt and G. I. Webb, "MINIROCKET: a very fast (almost)
        deterministic transform for time series classification," KDD, 2021.
    """
    from aeon.transformations.collection.convolution_based import MiniRocket

    one = MiniRocket(n_kernels=MINIROCKET_KERNELS, random_state=recipe.seed)
    return fit_rocket([one], training, held_out)


def fit_multirocket_hydra(recipe: Recipe, training: WindowSet, held_out: WindowSet) -> RiskModel:
    """MultiRocket beside Hydra, smaller than published.

    Source:
        C. W. Tan et al., "MultiRocket: multiple pooling operators and transformations for fast
        and effective time series classification," Data Mining and Knowledge Discovery, vol. 36,
        2022; A. Dempster, D. F. Schmidt and G. I. Webb, "Hydra: competing convolutional kernels
        for fast and accurate time series classification," the same, vol. 37, 2023.
    """
    from aeon.transformations.collection.convolution_based import HydraTransformer, MultiRocket

    parts = [
        MultiRocket(n_kernels=MULTIROCKET_KERNELS, random_state=recipe.seed),
        HydraTransformer(n_groups=HYDRA_GROUPS, random_state=recipe.seed),
    ]
    return fit_rocket(parts, training, held_out)


def fit_quant(recipe: Recipe, training: WindowSet, held_out: WindowSet) -> RiskModel:
    """QUANT: quantiles of nested intervals, and extremely randomised trees.

    Source:
        A. Dempster, D. F. Schmidt and G. I. Webb, "QUANT: a minimalist interval method for time
        series classification," Data Mining and Knowledge Discovery, vol. 38, 2024.
    """
    from aeon.transformations.collection.interval_based import QUANTTransformer
    from sklearn.ensemble import ExtraTreesClassifier

    transforms = Transforms([QUANTTransformer()])
    forest = ExtraTreesClassifier(
        n_estimators=FOREST_TREES, criterion="entropy", random_state=recipe.seed,
        max_features=0.1,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    forest.fit(transforms.fit(cases(training.windows)).numpy(), training.labels.numpy())
    return Estimator(lambda windows: log_shares(forest, transforms(cases(windows)).numpy()))
