"""A contestant on simulated streams, its thresholds moved until it finds as many fires as another.

The fires that set thresholds are not the fires that are counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from saafe.detector import AlarmSettings, Detection, Model, Scorer, detect
from saafe.exam.outcomes import first_visible
from saafe.exam.references import only_rows
from saafe.exam.windows import Judged
from saafe.recordings import Recording, cut_recording
from saafe.rivals import registry
from saafe.simulator import Mix, simulation, to_recordings
from saafe.training import Purpose, seeded_generator

GROUPS = 300  # scenarios of each kind, each one a group
WITHIN_S = 600.0  # Chosen: a fire is found within ten minutes of becoming visible, or too late
PERIOD_STEPS = 6  # Chosen: a reading a minute, as the recorded homes have it
THRESHOLD_SHIFTS = range(8, -13, -1)  # log-odds that thresholds are moved by, highest first
HALVINGS = 4  # of the last step: to 0.06
SETTING_PART, FIRES_PART, NUISANCES_PART = 11, 12, 13  # parts of the judging seed


@dataclass(frozen=True)
class Benchmark:
    """Simulated streams, one sensor and one scenario each."""

    setting: list[Recording]  # fires that set the rivals' thresholds
    fires: list[Recording]  # other fires, that are counted
    nuisances: list[Recording]  # streams without a fire, with one or two nuisances


@dataclass(frozen=True)
class BenchmarkResult:
    """What a contestant said of a benchmark."""

    found: np.ndarray  # whether each counted fire was found. float (fire,)
    delay_s: np.ndarray  # alarm after first sign, NaN where not found. (fire,)
    false: np.ndarray  # whether each nuisance stream alarmed. float (stream,)
    shift: float  # how far its thresholds were moved. [log-odds]


def draw_benchmark(seed: int, *, groups: int = GROUPS) -> Benchmark:
    """Scenarios of seeds that nothing was trained, calibrated or set on.

    `groups` nuisance streams; of each kind of fires as many as become visible among so many.
    """
    alone = Mix(fire_share=1.0, nuisance_counts=(1.0, 0.0, 0.0))
    dense = Mix(fire_share=0.0, nuisance_counts=(0.0, 0.5, 0.5), balance=1.0)
    drawn = []
    for part, mix in ((SETTING_PART, alone), (FIRES_PART, alone), (NUISANCES_PART, dense)):
        generator = seeded_generator(seed, Purpose.JUDGE, part, torch.device("cpu"))
        # a third of the fires never shows at the sensor: draw until enough do
        found: list[Recording] = []
        while len(found) < groups:
            streams = simulation.simulate_streams(groups, generator=generator, sensors=1, mix=mix)
            made = [thinned(one) for one in to_recordings(streams)]
            if mix is not dense:  # a fire's stream up to where an alarm would come too late
                seen = [(one, first_visible(one)) for one in made]
                made = [cut_recording(one, 0.0, t + WITHIN_S) for one, t in seen if t is not None]
            found += made
        drawn.append(found[:groups])
    return Benchmark(*drawn)


def thinned(recording: Recording) -> Recording:
    """The same recording with at most a reading a minute of each sensor."""
    spoken = np.flatnonzero(~np.isnan(recording.readings).all(axis=(1, 2)))
    minutes = np.ceil(recording.times_s[spoken] / (10.0 * PERIOD_STEPS))
    rows = spoken[np.unique(minutes, return_index=True)[1]]
    return only_rows(recording, rows)


def score_streams(recordings: Sequence[Recording], model: Model) -> list[Detection]:
    """Score every stream once; thresholds can be moved afterwards at no cost."""
    return [detect(Scorer(model.score, AlarmSettings()), one) for one in recordings]


def first_alarms(
    recordings: Sequence[Recording], known: Sequence[Detection], settings: AlarmSettings
) -> np.ndarray:
    """First alarm of each stream from the very detector, on remembered risks; inf for none."""
    out = []
    for recording, detection in zip(recordings, known, strict=True):
        given = 0

        def recall(windows: np.ndarray, risk: np.ndarray = detection.risk) -> np.ndarray:
            nonlocal given
            given += len(windows)
            return risk[given - len(windows) : given]

        events = detect(Scorer(recall, settings), recording).events
        out.append(next((e["time_s"] for e in events if e["event"] == "alarm"), np.inf))
    return np.array(out)


def alarm_delays(recordings: Sequence[Recording], alarms: np.ndarray) -> np.ndarray:
    """Alarm after the first sign, NaN where not within the limits. [s] (fire,)

    An alarm up to a minute before the first sign counts as found at it, since readings come
    once a minute; an earlier one is false, and the fire not found.
    """
    signs = np.array([first_visible(one) for one in recordings], dtype=np.float64)
    late = alarms - signs
    good = (late >= -60.0) & (late <= WITHIN_S)
    return np.where(good, np.maximum(late, 0.0), np.nan)


def run_benchmark(
    one: Judged, benchmark: Benchmark, *, target: float | None
) -> tuple[BenchmarkResult, float]:
    """What a contestant says of a benchmark, and the share of the setting fires that it finds.

    Its thresholds are moved until it finds `target` of the setting fires; None leaves them.
    """
    known = score_streams(benchmark.setting, one)

    def reached(shift: float) -> float:
        alarms = first_alarms(benchmark.setting, known, one.settings.moved(shift))
        return float(np.isfinite(alarm_delays(benchmark.setting, alarms)).mean())

    shift = 0.0
    if target is not None and one.name != registry.FIXED_RULE:  # nothing to move there
        shift = highest_shift(reached, target)
    moved = one.settings.moved(shift)
    alarms = first_alarms(benchmark.fires, score_streams(benchmark.fires, one), moved)
    delay = alarm_delays(benchmark.fires, alarms)
    noise = first_alarms(benchmark.nuisances, score_streams(benchmark.nuisances, one), moved)
    found = np.isfinite(delay).astype(float)
    return BenchmarkResult(found, delay, np.isfinite(noise).astype(float), shift), reached(shift)


def highest_shift(reached: Callable[[float], float], target: float) -> float:
    """The highest shift of thresholds that still reaches a target, else the one that comes nearest.

    Whole steps from above, then halvings: far below, alarms before the fire hide the fire, so
    that the share does not rise for ever.
    """
    tried = {}
    for step in THRESHOLD_SHIFTS:
        tried[float(step)] = reached(float(step))
        if tried[float(step)] >= target:
            break
    else:
        return max(tried, key=lambda shift: tried[shift])
    low, high = float(step), float(step) + 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if reached(middle) >= target else (low, middle)
    return low
