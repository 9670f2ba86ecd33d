"""From readings to events: one path for files and streams, on numpy alone."""

from saafe.detector import alarms, detector, self_test
from saafe.detector.alarms import AlarmSettings, CO_DOSES, log_odds
from saafe.detector.detector import (
    Detector, Model, Scorer, Scoring, hold_bins, longest_pause, score,
)  # fmt: skip
from saafe.detector.exported import (
    ENSEMBLE, ONNX_FORMAT, PACKAGED_MODEL, TRANSFORMER, Exported, load_exported, seal,
    start_session,
)  # fmt: skip
from saafe.detector.kept_settings import cached_settings, is_cached, settings_file
from saafe.detector.live import Drill, Live
from saafe.detector.recorded import NO_DECISION, Decisions, Detection, can_alarm, decide, detect
from saafe.detector.silences import silence_notes
from saafe.detector.space import Event, Space, dated

__all__ = [
    "CO_DOSES", "ENSEMBLE", "NO_DECISION", "ONNX_FORMAT", "PACKAGED_MODEL", "TRANSFORMER",
    "AlarmSettings", "Decisions", "Detection", "Detector", "Drill", "Event", "Exported", "Live",
    "Model", "Scorer", "Scoring", "Space", "alarms", "cached_settings", "can_alarm", "dated",
    "decide", "detect", "detector", "hold_bins", "is_cached", "load_exported", "log_odds",
    "longest_pause", "score", "seal", "self_test", "settings_file", "silence_notes",
    "start_session",
]  # fmt: skip
