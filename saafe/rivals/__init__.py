"""Simpler detectors on the same windows, for comparison."""

from saafe.rivals import registry
from saafe.rivals.linear import summaries
from saafe.rivals.registry import Trained, TrainingSet

__all__ = [
    "Trained", "TrainingSet", "registry", "summaries",
]  # fmt: skip
