"""Simpler detectors on the same windows, for comparison."""

from saafe.rivals import registry
from saafe.rivals.linear import LEAST_SHARE, Boosting, summaries
from saafe.rivals.registry import Trained, TrainingSet

__all__ = [
    "LEAST_SHARE", "Boosting", "Trained", "TrainingSet", "registry", "summaries",
]  # fmt: skip
