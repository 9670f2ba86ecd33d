"""A run as files that need no torch: ONNX, ONNX in eight bits, C."""

from saafe.export.bundle import EXPORTS, PARITY_LIMITS, export_run
from saafe.export.parity import Difference

__all__ = ["EXPORTS", "PARITY_LIMITS", "Difference", "export_run"]
