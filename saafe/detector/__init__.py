"""From readings to events: one path for files and streams, on numpy alone."""

from saafe.detector import self_test
from saafe.detector.alarms import AlarmSettings, CO_DOSES, log_odds
from saafe.detector.detector import Detector, Model, Scorer
from saafe.detector.live import Drill, Live
from saafe.detector.recorded import NO_DECISION, Decisions, Detection, can_alarm, decide, detect
from saafe.detector.space import Space

__all__ = [
    "CO_DOSES", "NO_DECISION", "AlarmSettings", "Decisions", "Detection", "Detector", "Drill",
    "Live", "Model", "Scorer", "Space", "can_alarm", "decide", "detect", "log_odds", "self_test",
]  # fmt: skip
