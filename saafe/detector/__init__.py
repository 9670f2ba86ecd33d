"""From readings to events: one path for files and streams, on numpy alone."""

from saafe.detector import self_test
from saafe.detector.alarms import AlarmSettings, CO_DOSES, log_odds
from saafe.detector.detector import Detector, Model, Scorer, Scoring, score
from saafe.detector.live import Drill, Live
from saafe.detector.recorded import Detection, detect
from saafe.detector.space import Space

__all__ = [
    "CO_DOSES", "AlarmSettings", "Detection", "Detector", "Drill", "Live", "Model", "Scorer",
    "Scoring", "Space", "detect", "log_odds", "score", "self_test",
]  # fmt: skip
