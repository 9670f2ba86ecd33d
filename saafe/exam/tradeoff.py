"""Fires in time against false alarms a year as thresholds move together.

A margin says how far all thresholds could rise until a detector no longer alarmed in a span. It
is taken from the risk alone: that a lone channel waits for its next reading is left out, so that
the point at the detector's own thresholds lies a little beside what it really does.
"""

import math

from saafe.detector import AlarmSettings, Decisions, Detection
from saafe.exam.outcomes import highest_between, persisted_score


def highest_margin(
    detection: Detection | Decisions, settings: AlarmSettings, start_s: float, end_s: float
) -> float:
    """How far all thresholds could rise until the risk no longer alarmed in a span. [log-odds]

    Negative where they would have to fall; -inf where no decision was taken. [s]
    """
    tiers = (
        (settings.fast, settings.fast_s), (settings.slow, settings.slow_s),
        (settings.steady, settings.steady_s),
    )  # fmt: skip
    best = -math.inf
    for threshold, persistence_s in tiers:
        times, scores = persisted_score(detection, persistence_s)
        best = max(best, highest_between(times, scores, start_s, end_s) - threshold)
    return best
