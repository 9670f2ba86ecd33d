"""A small examination on simulated scenarios, in training's rooms and in rooms outside them.

Windows, then streams: the full exam's fires, nuisances and quiet life, a few of each.
"""

from typing import Any

import numpy as np

from saafe.exam.nuisances import watch_quiet
from saafe.exam.session import Session
from saafe.exam.shifts import Shift, draw_trials, try_shift
from saafe.exam.windows import SHIFTED_ROOMS, TRAINING_ROOMS, Judged, judge_windows
from saafe.training import Purpose

TRIALS = 96  # of each kind: fires, nuisances, streams of quiet life
FIRST_QUICK_PART, QUICK_PARTS = 8000, 100  # seeds apart from the full exam's
ROOMS = {
    "same rooms": (TRAINING_ROOMS, Purpose.JUDGE),
    "other rooms": (SHIFTED_ROOMS, Purpose.SHIFTED),
}


def judge_simulated(one: Judged, *, seed: int, trials: int = TRIALS) -> dict[str, dict[str, Any]]:
    """Window and stream figures on simulated scenarios that were never trained on.

    Args:
        one: what is judged.
        seed: of the training run; the judging seeds are apart from its own.
        trials: how many fires, nuisances and quiet streams.

    Returns:
        For training's ranges ("same rooms") and outside them ("other rooms"): `windows`,
        `streams` (a `ShiftRow`) and `quiet` (a `QuietRow`).
    """
    session = Session(one, seed)
    out = {}
    for number, (name, (rooms, purpose)) in enumerate(ROOMS.items()):
        part = FIRST_QUICK_PART + QUICK_PARTS * number
        drawn = draw_trials(session, rooms, part, fires=trials, nuisances=trials)
        random = np.random.default_rng([seed, part])
        out[name] = {
            "windows": judge_windows(one, rooms, seed, purpose),
            "streams": try_shift(session, Shift(name, rooms), drawn, random),
            "quiet": watch_quiet(session, trials, part=part, rooms=rooms),
        }
    return out
