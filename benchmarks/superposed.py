"""How many superposed fires could be found in time at all, by a detector that knows the home?

    python benchmarks/superposed.py ../shared/data

The superposed fires of `saafe evaluate RUN --real DIR` are compared with the same hours of the home
without fire. A detector sets the bound that alarms at the first reading that differs by what makes
an event visible (`labels.VISIBLE`), or by a fire's first signal (docs/scoring.md). Smoke that no
meter showed is taken as a step (the worst case) and as exponential growth (the best).
"""

import argparse
from pathlib import Path

import numpy as np
from last_line import print_last_line

from saafe.errors import InputError
from saafe.exam import recordings
from saafe.exam.outcomes import EARLY_S
from saafe.recordings import superpose
from saafe.sensors import CO, CO2, PM25, TEMPERATURE
from saafe.simulator.labels import VISIBLE

FIRST_SIGNAL = {TEMPERATURE: 2.0, PM25: 300.0, CO2: 150.0, CO: 25.0}
BOUNDS = {"visible": VISIBLE, "first_signal": FIRST_SIGNAL}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("real", type=Path, help="folder of published raw recordings")
    chosen = parser.parse_args()
    try:
        cases = {
            key: recordings.read_superposed(chosen.real, growing=growing)
            for key, growing in recordings.SUPERPOSED.items()
        }
    except InputError as error:
        raise SystemExit(f"superposed fires: {error}") from None
    figures: dict[str, int] = {}
    for case, composed in cases.items():
        if composed is None:
            raise SystemExit(f"superposed fires: {chosen.real} lacks the house fires or the homes")
        figures |= {case: len(composed.made)} | {
            f"{case}_{name}": count for name, count in bounds_of(composed).items()
        }
    for name, count in figures.items():
        print(f"{name:48} {count}")
    print_last_line("superposed_fires", figures, 1, "numpy")


def bounds_of(composed: recordings.SuperposedFires) -> dict[str, int]:
    """How many could be found by their limit, and by one held reading more, at each of `BOUNDS`."""
    figures = {}
    for name, enough in BOUNDS.items():
        shown = [
            shown_from(one, composed.homes[one.home], composed.times_s[one.fire], enough)
            for one in composed.made
        ]
        for key, hold in ((name, 0.0), (f"{name}_with_hold", 1.0)):
            late = [s - hold * one.period_s for s, one in zip(shown, composed.made, strict=True)]
            limits = [composed.times_s[one.fire][1] or np.inf for one in composed.made]
            figures[key] = sum(a <= b for a, b in zip(late, limits, strict=True))
    return figures


def shown_from(
    one: superpose.SuperposedFire,
    home: superpose.Home,
    times_s: tuple[float | None, float | None, float | None],
    enough: dict[int, float],
) -> float:
    """When a reading first shows the fire and an alarm is not early, from its begin. [s]"""
    recording = one.recording
    alone = superpose.cut_recording(
        home.recording, one.start_s, one.start_s + float(recording.times_s[-1]) + 1e-3
    )
    rows = min(len(alone.times_s), len(recording.times_s))
    change = np.abs(recording.readings[:rows, 0] - alone.readings[:rows, 0])
    moved = np.any([change[:, c] >= by for c, by in enough.items()], axis=0)
    signal_s, _, recorded_s = times_s
    visible = [t for t in (signal_s, recorded_s) if t is not None]
    times = recording.times_s[:rows] - one.fire_s
    found = times[moved & (times >= min(visible) - EARLY_S)]
    return float(found[0]) if len(found) else np.inf


if __name__ == "__main__":
    main()
