"""For how long a recording watched: its silences are no part of that."""

import numpy as np
from numpy.typing import NDArray

from saafe.recordings.recording import Recording
from saafe.sensors import LONGEST_PERIOD_S

# Chosen: a longer silence of a home is no exposure; one missed minute is, or one missed reading of
# a slower sensor, whose usual interval is the longest but for 5 % of them
LONGEST_HOLD_S = 120.0
USUAL_SHARE = 0.95


def exposure_s(recording: Recording) -> float:
    """Time that a recording watched: its duration less what is silent too long. [s]"""
    return watched_s(times_with_readings(recording))


def times_with_readings(recording: Recording) -> NDArray[np.float64]:
    """When any sensor said anything. [s]"""
    return recording.times_s[np.isfinite(recording.readings).any(axis=(1, 2))]


def watched_s(spoken_s: NDArray[np.float64]) -> float:
    """Time that is watched by readings at these times, in order. [s]

    Too long a silence is over two minutes, and over twice the usual interval of slower sensors.
    """
    return float(np.minimum(np.diff(spoken_s), longest_hold_s(spoken_s)).sum())


def longest_hold_s(spoken_s: NDArray[np.float64]) -> float:
    """How long a home is watched after a reading at most. [s]"""
    if len(spoken_s) < 2:
        return LONGEST_HOLD_S
    usual_s = float(np.quantile(np.diff(spoken_s), USUAL_SHARE, method="lower"))
    return max(LONGEST_HOLD_S, 2.0 * min(usual_s, LONGEST_PERIOD_S))
