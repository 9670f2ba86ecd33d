"""Why a fire is missed: whether another detector finds it in the same readings.

Every contestant's thresholds are moved to the examinee's false alarms a year, as in `rivals`. A
missed fire that another one then finds in time was in the readings and was not learned. One that
none finds is, as far as these detectors can tell, not in the readings.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saafe.exam.fires import FireTrial
from saafe.sensors import CHANNEL_NAMES

PERIODS_S = (10.0, 60.0, 300.0)  # up to which sensors are taken together


def missed_fires(
    trials: Sequence[FireTrial],
    ours: NDArray[np.bool_],
    others: Mapping[str, NDArray[np.bool_]],
) -> list[dict[str, Any]]:
    """The examinee's missed fires by kind, reporting period and channels.

    Args:
        trials: the fires (fire,).
        ours: which of them the examinee finds in time (fire,).
        others: which of them each other detector does, at the same false alarms a year (fire,).

    Returns:
        A row of all fires, then one a kind, a period and a set of channels in which any is missed:
        how many are missed, how many of those a reading shows by their limit, how many another
        detector finds (`not_learned`, and of each), how many none finds (`found_by_none`).
    """
    rows = [_row("all", "", trials, ours, others, np.ones(len(trials), dtype=bool))]
    sorts: tuple[tuple[str, Callable[[FireTrial], str]], ...] = (
        ("kind", lambda trial: trial.name),
        ("period", lambda trial: period_name(trial.period_s)),
        ("channels", channel_names),
    )
    for by, name_of in sorts:
        names = np.array([name_of(trial) for trial in trials])
        parts = [
            _row(by, str(name), trials, ours, others, names == name) for name in np.unique(names)
        ]
        if by == "kind" or len(parts) > 1:  # on one device there is one period
            rows += sorted((row for row in parts if row["missed"]), key=lambda row: -row["missed"])
    return rows


def period_name(period_s: float) -> str:
    """The class of a reporting period, such as `up to 60 s`."""
    for most in PERIODS_S:
        if period_s <= most * 1.05:
            return f"up to {most:g} s"
    return f"over {PERIODS_S[-1]:g} s"


def channel_names(trial: FireTrial) -> str:
    """The channels that a fire's sensor has, such as `pm25 temperature`."""
    return " ".join(name for name, there in zip(CHANNEL_NAMES, trial.present, strict=True) if there)


def _row(
    by: str,
    name: str,
    trials: Sequence[FireTrial],
    ours: NDArray[np.bool_],
    others: Mapping[str, NDArray[np.bool_]],
    among: NDArray[np.bool_],
) -> dict[str, Any]:
    missed = among & ~ours
    shown = np.array([trial.is_shown for trial in trials], dtype=bool)
    anybody = np.zeros(len(ours), dtype=bool)
    for found in others.values():
        anybody |= found
    return {
        "by": by,
        "name": name,
        "fires": int(among.sum()),
        "missed": int(missed.sum()),
        "shown": int((missed & shown).sum()),
        "not_learned": int((missed & anybody).sum()),
        "found_by_none": int((missed & ~anybody).sum()),
        **{who: int((missed & found).sum()) for who, found in others.items()},
    }
