"""Single moments: three classes told apart, and whether the detector is in alarm.

A third each of fire, nuisance and normal windows, kinds equal within a class, one window a
scenario. A fire's moment lies where a reference alarm has sounded or the limit has passed; a
nuisance's where it acts and a reading shows it; a normal one where nothing was within the window.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saafe import metrics, windows
from saafe.detector import hold_bins
from saafe.exam import outcomes
from saafe.exam.session import Session, Stage
from saafe.recordings import Recording, cut_recording
from saafe.sensors import FIRE, LABELS, NORMAL, NUISANCE
from saafe.simulator import Mix, to_recordings

LOOK_BACK_S = 1800.0  # how long a detector has run before it is asked whether it is in alarm
NORMAL_LOOK_BACK_S = 600.0  # the same where nothing happens: twice the longest persistence
CLASSIFY_BATCH = 4096
CLASSES = (FIRE, NUISANCE, NORMAL)


@dataclass(frozen=True)
class Scenario:
    """One simulated stream of one sensor, and the moments of it that belong to a class."""

    kind: str
    label: int  # FIRE, NUISANCE or NORMAL
    recording: Recording
    moments_s: NDArray[np.float64]  # of readings that the rules count; may be none
    all_moments_s: NDArray[np.float64]  # of readings while the event is on, shown or not


def scenario_of(
    kind: str, label: int, recording: Recording, counts: NDArray, acts: NDArray
) -> Iterator[Scenario]:
    """A scenario, if a reading falls where its event is on; masks are (time,)."""
    reads = np.isfinite(recording.readings[:, 0]).any(axis=1)
    if (acts & reads).any():
        times = recording.times_s
        yield Scenario(kind, label, recording, times[counts & acts & reads], times[acts & reads])


def draw_normal(session: Session, wanted: int, *, part: int) -> list[Scenario]:
    """Scenarios in half of which a nuisance acts; normal moments are those without it.

    They count where nothing acted or showed within the whole window.
    """
    mix = Mix(0.0, (), (), (0.5, 0.5, 0.0), balance=1.0, fault_share=0.0)
    streams = session.simulate((Stage.NORMAL, part), mix=mix, count=wanted + wanted // 2)
    out = []
    for k, recording in enumerate(to_recordings(streams)):
        acts = streams.acting[k].numpy()
        happens = acts | streams.nuisance_shown[k, :, 0].any(dim=-1).numpy()
        last = np.maximum.accumulate(np.where(happens, np.arange(len(acts)), -windows.SPAN))
        is_clear = np.arange(len(acts)) - last >= windows.SPAN
        named = replace(recording, name=f"normal-{k}")
        out += scenario_of("life", NORMAL, named, is_clear, ~acts)
    return out


@dataclass(frozen=True)
class ClassFigures:
    """Figures of single moments; each proportion comes with exact 95 % limits and its n."""

    accuracy: tuple[metrics.Bounds, int]
    false_alarm_rate: tuple[metrics.Bounds, int]
    detection_rate_windows: tuple[metrics.Bounds, int]
    accuracy_nothing_left_out: tuple[metrics.Bounds, int]
    left_out_share: float  # of the moments at which the events are on
    confusion: list[list[int]]  # true class (row), said class (column), as `LABELS`
    alarms_by_kind: dict[str, int]  # kinds in whose moments the detector was in alarm
    scenarios_by_kind: dict[str, int]


def examine_classes(session: Session, scenarios: Sequence[Scenario]) -> ClassFigures:
    """Classify one moment of each scenario, and ask there whether the detector is in alarm."""
    random = np.random.default_rng([session.seed, Stage.NORMAL])
    chosen = third_each([one for one in scenarios if len(one.moments_s)], random)
    at_s = [float(random.choice(one.moments_s)) for one in chosen]
    truth = np.array([one.label for one in chosen])
    said = classify(session, chosen, at_s)
    others = [(one, t) for one, t in zip(chosen, at_s, strict=True) if one.label != FIRE]
    alarms = session.each(lambda other: is_in_alarm(session, *other), others)
    alarmed = [one.kind for (one, _), alarm in zip(others, alarms, strict=True) if alarm]
    everything = third_each(scenarios, random)
    any_s = [float(random.choice(one.all_moments_s)) for one in everything]
    right = classify(session, everything, any_s) == [one.label for one in everything]
    kept = [len(one.moments_s) / len(one.all_moments_s) for one in everything]
    return ClassFigures(
        accuracy=share_of(int((said == truth).sum()), len(chosen)),
        false_alarm_rate=share_of(len(alarmed), len(others)),
        detection_rate_windows=share_of(
            int((said[truth == FIRE] == FIRE).sum()), int((truth == FIRE).sum())
        ),
        accuracy_nothing_left_out=share_of(int(right.sum()), len(everything)),
        left_out_share=1.0 - float(np.mean(kept)) if kept else math.nan,
        confusion=metrics.confusion(truth, said, len(LABELS)).tolist(),
        alarms_by_kind=dict(Counter(alarmed)),
        scenarios_by_kind=dict(Counter(one.kind for one in chosen)),
    )


def share_of(count: int, n: int) -> tuple[metrics.Bounds, int]:
    """A proportion with its exact 95 % limits, and of how many."""
    return metrics.proportion_bounds(count, n), n


def third_each(scenarios: Sequence[Scenario], random: np.random.Generator) -> list[Scenario]:
    """As many scenarios of each class, kinds as equal as they come."""
    drawn: dict[int, list[Scenario]] = {}
    for label in CLASSES:
        mine = [one for one in scenarios if one.label == label]
        rank: Counter[str] = Counter()
        ranked = []
        for k in random.permutation(len(mine)):
            ranked.append((rank[mine[k].kind], len(ranked), mine[k]))
            rank[mine[k].kind] += 1
        drawn[label] = [one for _, _, one in sorted(ranked, key=lambda row: row[:2])]
    each = min(map(len, drawn.values()))
    return [one for label in CLASSES for one in drawn[label][:each]]


def classify(
    session: Session, scenarios: Sequence[Scenario], at_s: Sequence[float]
) -> NDArray[np.int64]:
    """The class that the model gives the window of each moment. (scenario,)"""
    hold = hold_bins(session.settings.longest_interval_s or None)
    cut = [window_at(one.recording, t, hold) for one, t in zip(scenarios, at_s, strict=True)]
    parts = [
        session.classify(np.concatenate(cut[at : at + CLASSIFY_BATCH]))
        for at in range(0, len(cut), CLASSIFY_BATCH)
    ]
    return np.concatenate([np.empty(0, np.int64), *parts])


def window_at(
    recording: Recording, time_s: float, hold: int = windows.HOLD_BINS
) -> NDArray[np.float32]:
    """What the model sees at a reading's moment, held for so many bins. (1, 60, 1, channel)"""
    readings = recording.readings[:, 0]
    rows = np.isfinite(readings).any(axis=1) & (recording.times_s <= time_s)
    grid, _, _ = windows.to_grid(recording.times_s[rows], readings[rows], hold_bins=hold)
    return windows.cut_windows(grid, np.array([len(grid) - 1]))


def is_in_alarm(session: Session, one: Scenario, time_s: float) -> bool:
    """Whether the detector stands in alarm at a moment, having run for a while before."""
    begun_s = float(one.all_moments_s[0]) if one.label == NUISANCE else -math.inf
    look_back_s = LOOK_BACK_S if one.label == NUISANCE else NORMAL_LOOK_BACK_S
    since_s = max(begun_s, time_s - look_back_s)
    events = session.detect(cut_recording(one.recording, 0.0, time_s), since_s=since_s).events
    until = [event for event in events if event["time_s"] <= time_s]
    return any(end >= time_s for _, end in outcomes.alarm_intervals(until, time_s))
