"""What faults cost: the same fires found by sound sensors and by faulty ones."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from saafe import metrics
from saafe.detector.alarms import Held
from saafe.detector.detector import Detector
from saafe.exam import injection, outcomes
from saafe.exam.fires import EARLY_FROM_S, FireResult, FireTrial, try_fire
from saafe.exam.session import FAULTS, Session
from saafe.metrics import Bounds
from saafe.recordings.recording import Recording
from saafe.recordings.stream import read_rows
from saafe.sensors import CHANNEL_NAMES
from saafe.simulator.labels import FIRE_VISIBLE

LOST, OTHER = 88, 16  # fires for each lost fire channel, and for each other fault and channel
ROW_FIRES = 16  # fires whose rows are disturbed
SHOWN_S = 30.0  # a channel shows a fire that stands for so long
OUTAGE_S = 1200.0  # a gap of twenty minutes ends where the fire first shows


def examine_points(session: Session, results: Sequence[FireResult]) -> list[dict]:
    """Points of detection that each fault of each channel costs, and those of disturbed rows.

    Args:
        session: the examination.
        results: of the fire matrix, which are the sound sensors to compare with.
    """
    order = np.random.default_rng([session.seed, FAULTS]).permutation(len(results))
    mixed = [results[k] for k in order]
    rows = []
    for number, fault in enumerate(injection.INJECTED_FAULTS, start=1):
        for channel, name in enumerate(CHANNEL_NAMES):
            wanted = LOST if fault == "missing" and channel in FIRE_VISIBLE else OTHER
            chosen = [r for r in mixed if still_shows(r.trial, channel)][:wanted]
            random = np.random.default_rng([session.seed, FAULTS, len(rows)])
            after = [
                try_fire(session, faulty_trial(r.trial, fault, channel, random))[0] for r in chosen
            ]
            rows.append({"fault": fault, "channel": name} | points(chosen, after))
        session.on_progress(f"faults, {fault}", number / (len(injection.INJECTED_FAULTS) + 1))
    rows += disturbed_rows(session, mixed[:ROW_FIRES])
    session.on_progress("faults, disturbed rows")
    return rows


def disturbed_rows(session: Session, results: Sequence[FireResult]) -> list[dict]:
    """Points that a gap in the clock, rows that come twice and late rows cost."""
    gaps = [try_fire(session, gap_trial(result.trial))[0] for result in results]
    rows = [{"fault": "clock gap of 20 min", "channel": "all"} | points(results, gaps)]
    texts = [injection.csv_lines(recent(result.trial)) for result in results]
    sound = [stream_fire(session, r.trial, lines) for r, lines in zip(results, texts, strict=True)]
    for name, disturb in (
        ("rows twice", injection.with_rows_twice),
        ("late rows", injection.with_late_rows),
    ):
        random = np.random.default_rng([session.seed, FAULTS, len(texts), len(name)])
        after = [
            stream_fire(session, r.trial, disturb(lines, random))
            for r, lines in zip(results, texts, strict=True)
        ]
        rows.append({"fault": name, "channel": "all"} | points(sound, after))
    return rows


def still_shows(trial: FireTrial, channel: int) -> bool:
    """Whether a sensor has a channel, and another one shows the fire by its limit."""
    if not trial.present[channel]:
        return False
    return any(
        channel_shows(trial, other, rise)
        for other, rise in FIRE_VISIBLE.items()
        if other != channel
    )


def channel_shows(trial: FireTrial, channel: int, rise: float) -> bool:
    """Whether a channel's readings stand above those before the fire for 30 s by the limit."""
    times, values = trial.recording.times_s, trial.recording.readings[:, 0, channel]
    before = values[(times < trial.burning_s) & (times >= trial.burning_s - EARLY_FROM_S)]
    before = before[np.isfinite(before)]
    if not before.size:
        return False
    base, held = float(np.median(before)), Held()
    inside = (times >= trial.burning_s) & (times <= trial.limit_s) & np.isfinite(values)
    return any(
        held.step(float(times[k]), bool(values[k] - base >= rise)) >= SHOWN_S
        for k in np.flatnonzero(inside)
    )


def faulty_trial(
    trial: FireTrial, fault: str, channel: int, random: np.random.Generator
) -> FireTrial:
    """The same fire on a sensor whose channel went wrong an hour before it; drift a day before."""
    at_s = trial.burning_s - (86_400.0 if fault == "drifting" else 3600.0)
    if fault == "stuck":  # a reading must stand before it can stick
        at_s = max(at_s, float(trial.recording.times_s[0]) + 1e-6)
    recording = injection.with_fault(trial.recording, fault, channel, at_s=at_s, random=random)
    return replace(trial, recording=recording)


def gap_trial(trial: FireTrial) -> FireTrial:
    """The same fire after twenty minutes without rows."""
    gap = injection.with_gap(trial.recording, trial.visible_s - OUTAGE_S, trial.visible_s)
    return replace(trial, recording=gap)


def recent(trial: FireTrial) -> Recording:
    """What a stream is fed: from half an hour before the fire on."""
    rows = trial.recording.times_s >= trial.burning_s - EARLY_FROM_S
    return replace(
        trial.recording,
        times_s=trial.recording.times_s[rows],
        readings=trial.recording.readings[rows],
        labels=None,
        sources=None,
    )


def stream_fire(session: Session, trial: FireTrial, lines: Sequence[str]) -> FireResult:
    """Feed CSV rows to the streaming detector, as `saafe detect RUN -` does, and judge it."""
    first_s = float(lines[1].split(",")[0])
    detector = Detector(session.score, session.one.settings)
    events: list[dict] = []
    for row in read_rows(lines):
        if row.sensor:
            events += detector.update(row.time_s, row.sensor, row.readings)
    events += detector.finish()
    alarm = outcomes.first_alarm(events)
    alarm_s = None if alarm is None else alarm["time_s"] + first_s
    outcome = outcomes.found(alarm_s, signal_s=trial.signal_s, limit_s=trial.limit_s)
    return FireResult(trial, outcome, alarm_s, None)


def points(before: Sequence[FireResult], after: Sequence[FireResult]) -> dict:
    """Fires found in time with a sound sensor and with a faulty one, the same fires.

    `points_lost` is the net change; its limits are the exact ones of the share that was lost
    and of the share that was gained, each alone, so they are wider than they need be.
    """
    n = len(before)
    lost = sum(a.is_in_time and not b.is_in_time for a, b in zip(before, after, strict=True))
    gained = sum(b.is_in_time and not a.is_in_time for a, b in zip(before, after, strict=True))
    return {
        "n": n,
        "in_time_sound": sum(result.is_in_time for result in before),
        "in_time_faulty": sum(result.is_in_time for result in after),
        "early_faulty": sum(result.outcome == outcomes.EARLY for result in after),
        "lost": lost,
        "gained": gained,
        "points_lost": 100.0 * (lost - gained) / n if n else None,
        "lower": -100.0 * metrics.proportion_bounds(gained, n).upper,
        "upper": 100.0 * metrics.proportion_bounds(lost, n).upper,
    }


def worst_lost_channel(rows: Sequence[dict]) -> tuple[Bounds, int]:
    """Points that the worst lost fire channel costs, with its limits, and its fires."""
    names = [CHANNEL_NAMES[channel] for channel in FIRE_VISIBLE]
    lost = [row for row in rows if row["fault"] == "missing" and row["channel"] in names]
    lost = [row for row in lost if row["n"]]
    if not lost:
        return Bounds(math.nan, -100.0, 100.0), 0
    worst = max(lost, key=lambda row: (row["points_lost"], row["upper"]))
    return Bounds(worst["points_lost"], worst["lower"], worst["upper"]), worst["n"]
