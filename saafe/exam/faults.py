"""Faults of sensors: what they cost, how often one is said of a healthy sensor, and how soon.

What they cost: the same fires, found by healthy sensors and by faulty ones. The self-test runs on
days of readings without the model, which has no say in it.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saafe import metrics
from saafe.detector import AlarmSettings, Detector, Space, self_test
from saafe.exam import injection, outcomes, references
from saafe.exam.fires import EARLY_FROM_S, FireResult, FireTrial, trial_outcome, try_fire
from saafe.exam.kept import digest
from saafe.exam.session import Session, Stage
from saafe.metrics import Bounds
from saafe.recordings import Recording, cut_recording, exposure_s, read_rows
from saafe.sensors import CHANNEL_NAMES
from saafe.simulator import VISIBLE, Mix, to_recordings
from saafe.windows import DAY_S

LOST, OTHER = 88, 16  # fires for each lost fire channel, and for each other fault and channel
ROW_FIRES = 16  # fires whose rows are disturbed
DAYS, DETECTORS = 5, 32  # watched for false faults
FAULTY = 4  # detectors for each fault and channel, so that a hundred faults can be known
SAID_WITHIN_S = 60.0  # Chosen: the longest usual period, for a fault is said on a row
MONTH_S = 30.4375 * 86_400.0
TIME_TOLERANCE_S = 1e-6
OUTAGE_S = 1200.0  # a gap of twenty minutes ends where the fire first shows


@dataclass(frozen=True)
class FaultRow:
    """The same fires with healthy sensors and with faulty ones.

    `points_lost` is the net change; its limits are the exact ones of the share that was lost
    and of the share that was gained, each alone, so they are wider than they need be.
    """

    fault: str
    channel: str
    n: int
    in_time_healthy: int
    in_time_faulty: int
    early_faulty: int
    lost: int
    gained: int
    points_lost: float | None
    lower: float
    upper: float


@dataclass(frozen=True)
class SaidRow:
    """A fault of a channel: on how many detectors it can be known, and was said in time."""

    fault: str
    channel: str
    detectors: int
    knowable: int
    said_within_60s: int


def examine_points(session: Session, results: Sequence[FireResult]) -> list[FaultRow]:
    """Points of detection that each fault of each channel costs, and those of disturbed rows.

    The `results` of the fire matrix are the healthy sensors to compare with.
    """
    order = np.random.default_rng([session.seed, Stage.FAULTS]).permutation(len(results))
    mixed = [results[k] for k in order]
    rows = []
    for number, fault in enumerate(injection.INJECTED_FAULTS, start=1):
        for channel, name in enumerate(CHANNEL_NAMES):
            wanted = LOST if fault == "missing" and channel in VISIBLE else OTHER
            chosen = [r for r in mixed if still_shows(r.trial, channel)][:wanted]
            random = np.random.default_rng([session.seed, Stage.FAULTS, len(rows)])
            faulty = [faulty_trial(r.trial, fault, channel, random) for r in chosen]
            after = list(session.each(lambda trial: try_fire(session, trial)[0], faulty))
            rows.append(fault_row(fault, name, chosen, after))
        session.on_progress(f"faults, {fault}", number / (len(injection.INJECTED_FAULTS) + 1))
    rows += disturbed_rows(session, mixed[:ROW_FIRES])
    session.on_progress("faults, disturbed rows")
    return rows


def disturbed_rows(session: Session, results: Sequence[FireResult]) -> list[FaultRow]:
    """Points that a gap in the clock, rows that come twice and late rows cost."""
    trials = [result.trial for result in results]
    interrupted = []
    for trial in trials:
        shown_s = min(trial.shown_s, trial.limit_s)
        gap = injection.with_gap(trial.recording, shown_s - OUTAGE_S, shown_s)
        interrupted.append(replace(trial, recording=gap))
    gaps = list(session.each(lambda trial: try_fire(session, trial)[0], interrupted))
    rows = [fault_row("clock gap of 20 min", "all", results, gaps)]
    texts = [injection.csv_lines(recent(trial)) for trial in trials]

    def stream(lines: Sequence[Sequence[str]]) -> list[FireResult]:
        pairs = list(zip(trials, lines, strict=True))
        return list(session.each(lambda pair: stream_fire(session, *pair), pairs))

    streamed = stream(texts)
    for name, disturb in (
        ("rows twice", injection.with_rows_twice),
        ("late rows", injection.with_late_rows),
    ):
        random = np.random.default_rng([session.seed, Stage.FAULTS, len(texts), len(name)])
        after = stream([disturb(lines, random) for lines in texts])
        rows.append(fault_row(name, "all", streamed, after))
    return rows


def still_shows(trial: FireTrial, channel: int) -> bool:
    """Whether a sensor has a channel, and another one shows the fire by its limit."""
    others = np.delete(trial.channels_shown_s, channel)
    return bool(trial.present[channel]) and bool((others <= trial.limit_s).any())


def faulty_trial(
    trial: FireTrial, fault: str, channel: int, random: np.random.Generator
) -> FireTrial:
    """The same fire on a sensor whose channel went wrong an hour before it; drift a day before."""
    at_s = trial.burning_s - (86_400.0 if fault == "drifting" else 3600.0)
    if fault == "stuck":  # a reading must stand before it can stick
        at_s = max(at_s, float(trial.recording.times_s[0]) + 1e-6)
    recording = injection.with_fault(trial.recording, fault, channel, at_s=at_s, random=random)
    return replace(trial, recording=recording)


def recent(trial: FireTrial) -> Recording:
    """What a stream is fed: from half an hour before the fire on."""
    rows = trial.recording.times_s >= trial.burning_s - EARLY_FROM_S
    return references.only_rows(trial.recording, rows)


def stream_fire(session: Session, trial: FireTrial, lines: Sequence[str]) -> FireResult:
    """Feed CSV rows to the streaming detector, as `saafe detect RUN -` does, and judge it."""
    first_s = float(lines[1].split(",")[0])
    detector = Detector(session)
    events: list[dict] = []
    for row in read_rows(lines):
        events += detector.update(row.time_s, row.sensor, row.readings, row.refused)
    events += detector.finish()
    alarm = outcomes.first_alarm(events)
    alarm_s = None if alarm is None else alarm["time_s"] + first_s
    return FireResult(trial, trial_outcome(trial, alarm_s), alarm_s)


def fault_row(
    fault: str, channel: str, before: Sequence[FireResult], after: Sequence[FireResult]
) -> FaultRow:
    """Fires found in time with a healthy sensor and with a faulty one, the same fires."""
    n = len(before)
    lost = sum(a.is_in_time and not b.is_in_time for a, b in zip(before, after, strict=True))
    gained = sum(b.is_in_time and not a.is_in_time for a, b in zip(before, after, strict=True))
    return FaultRow(
        fault=fault,
        channel=channel,
        n=n,
        in_time_healthy=sum(result.is_in_time for result in before),
        in_time_faulty=sum(result.is_in_time for result in after),
        early_faulty=sum(result.outcome == outcomes.EARLY for result in after),
        lost=lost,
        gained=gained,
        points_lost=100.0 * (lost - gained) / n if n else None,
        lower=-100.0 * metrics.proportion_bounds(gained, n).upper,
        upper=100.0 * metrics.proportion_bounds(lost, n).upper,
    )


def worst_lost_channel(rows: Sequence[FaultRow]) -> tuple[Bounds, int]:
    """Points that the worst lost fire channel costs, with its limits, and its fires."""
    names = [CHANNEL_NAMES[channel] for channel in VISIBLE]
    lost = [
        (row.points_lost, row.upper, row)
        for row in rows
        if row.fault == "missing" and row.channel in names and row.points_lost is not None
    ]
    if not lost:
        return Bounds(math.nan, -100.0, 100.0), 0
    points, upper, row = max(lost, key=lambda one: one[:2])
    return Bounds(points, row.lower, upper), row.n


def examine_watch(session: Session) -> dict[str, Any]:
    """False faults a detector-month, and which injected faults are said as soon as promised."""
    mix = Mix(0.0, nuisance_counts=(0.0, 0.5, 0.5), balance=1.0, fault_share=0.0)
    streams = session.simulate(
        (Stage.LASTING, 0), mix=mix, count=DETECTORS, hours=24.0 * DAYS + 1.0
    )
    healthy = to_recordings(streams)
    del streams
    lived = digest(healthy)  # once: they are days of readings
    false = session.kept.once("false faults", lambda: sum_false_faults(healthy), lived)
    session.on_progress("false faults", 0.4)
    rows = []
    for number, fault in enumerate(injection.INJECTED_FAULTS, start=1):
        for channel in range(len(CHANNEL_NAMES)):
            row = partial(said_row, session, healthy, fault, channel)
            given = (lived, session.seed, fault, channel)
            said = session.kept.once("fault said", lambda row=row: vars(row()), *given)
            rows.append(SaidRow(**said))
        share = number / len(injection.INJECTED_FAULTS)
        session.on_progress(f"faults said, {fault}", 0.4 + 0.6 * share)
    return {
        "false_faults": false,
        "faults_said_within_60s": rows,  # by fault and channel; the gate's line sums them
        "knowable": self_test.KNOWABLE,
    }


def sum_false_faults(recordings: Sequence[Recording]) -> dict[str, Any]:
    """False faults a detector-month in healthy recordings of one sensor, with Poisson bounds."""
    reasons = Counter(reason for recording in recordings for reason in false_faults(recording))
    months = sum(exposure_s(recording) for recording in recordings) / MONTH_S
    bounds = metrics.rate_bounds(reasons.total(), months)
    return {
        "detector_months": months,
        "per_month": metrics.finite_or_none(bounds.value),
        "lower": bounds.lower,
        "upper": metrics.finite_or_none(bounds.upper),
        "by_reason": dict(reasons),
    }


def watched(recording: Recording) -> Iterator[tuple[float, dict]]:
    """Fault events of one sensor, each with the time of the row at which it was said. [s]"""
    space = Space(AlarmSettings())  # nothing is decided, so any settings do
    name = recording.sensors[0]
    for time_s, row in zip(recording.times_s.tolist(), recording.readings[:, 0], strict=True):
        for event in space.advance(time_s) + space.read(time_s, name, row, None):
            yield time_s, event


def false_faults(recording: Recording) -> list[str]:
    """Reasons of the faults said of a healthy sensor, less silences that there were."""
    out = []
    for _, event in watched(recording):
        if event["event"] != "fault":
            continue
        silent = event["reason"] in ("silent", "missing")
        if not (silent and is_silent(recording, event)):
            out.append(event["reason"])
    return out


def is_silent(recording: Recording, event: dict) -> bool:
    """Whether a channel, or all of them, said nothing in the three minutes before an event."""
    rows = recording.times_s > event["time_s"] - self_test.SILENT_S + TIME_TOLERANCE_S
    rows &= recording.times_s < event["time_s"]
    part = recording.readings[rows, 0]
    if event["channel"] != "all":
        part = part[:, [CHANNEL_NAMES.index(event["channel"])]]
    return not np.isfinite(part).any()


def said_row(session: Session, healthy: Sequence[Recording], fault: str, channel: int) -> SaidRow:
    """How often one fault of one channel is said in time, on a few detectors that have it."""
    random = np.random.default_rng([session.seed, Stage.LASTING, channel, *fault.encode()])
    whole = [r for r in healthy if np.isfinite(r.readings[:, 0, channel]).mean() > 0.1]
    knowable = said = 0
    for recording in whole[:FAULTY]:
        at_s = DAY_S * random.uniform(0.9, 1.0)
        faulty = injection.with_fault(recording, fault, channel, at_s=at_s, random=random)
        due_s = known_s(recording, faulty, fault, channel, at_s)
        if due_s is not None and due_s + SAID_WITHIN_S <= recording.times_s[-1]:
            knowable += 1
            until = cut_recording(faulty, 0.0, due_s + SAID_WITHIN_S)
            said += is_said(until, channel, at_s)
    return SaidRow(fault, CHANNEL_NAMES[channel], min(FAULTY, len(whole)), knowable, said)


def is_said(recording: Recording, channel: int, since_s: float) -> bool:
    """Whether a fault of a channel is said from a time on."""
    wanted = ["fault", CHANNEL_NAMES[channel]]
    return any(
        time_s >= since_s and [event["event"], event["channel"]] == wanted
        for time_s, event in watched(recording)
    )


def known_s(
    healthy: Recording, faulty: Recording, fault: str, channel: int, at_s: float
) -> float | None:
    """When `self_test.KNOWABLE` promises an injected fault: its onset and the rule's delay. [s]

    None where nothing is promised: a slow cell, a drift of a few days, a value at which clean air
    rests, a channel whose usual hold is not known, too few spikes.
    """
    there = np.isfinite(healthy.readings[:, 0, channel])
    times = healthy.times_s[there]
    before, after = (r.readings[there, 0, channel].astype(np.float64) for r in (healthy, faulty))
    if fault == "missing":
        others = np.isfinite(faulty.readings[faulty.times_s >= at_s, 0]).any()
        return at_s + self_test.SILENT_S if others else None
    if fault == "spiking":
        return tenth_spike_s(times, before, after, channel)
    if fault in ("dead", "stuck", "saturated"):
        delay_s = held_delay_s(times[times < at_s], before[times < at_s], after[-1], channel)
        return None if delay_s is None else at_s + delay_s
    return None


def held_delay_s(times_s: NDArray, values: NDArray, held: float, channel: int) -> float | None:
    """How long a reading must stand, after such ones, to be known as stuck or saturated. [s]"""
    changes = times_s[1:][np.diff(values) != 0.0]
    rests = held <= values.min() and held >= self_test.RESTS_FROM[channel]
    is_top = held >= values.max()
    if len(changes) < self_test.USUAL_RUNS or (rests and not is_top):
        return None
    usual_s = float(np.diff([times_s[0], *changes, times_s[-1]]).max())
    least_s = self_test.SATURATED_S if is_top else self_test.STUCK_S
    return max(least_s, self_test.STUCK_HOLDS * usual_s)


def tenth_spike_s(times_s: NDArray, before: NDArray, after: NDArray, channel: int) -> float | None:
    """When the reading after the tenth lone spike within an hour comes; None for too few. [s]"""
    if np.isinf(self_test.SPIKE_RISE[channel]):
        return None
    share = self_test.SPIKE_SHARE[channel]
    spikes = after - before > self_test.SPIKE_RISE[channel] + share * np.abs(before)
    lone = spikes[1:-1] & ~(spikes[:-2] | spikes[2:])
    at = times_s[2:][lone]
    tenth, first = at[self_test.SPIKE_COUNT - 1 :], at[: len(at) - self_test.SPIKE_COUNT + 1]
    near = tenth[tenth - first[: len(tenth)] <= self_test.SPIKE_SPAN_S]
    return float(near[0]) if near.size else None


def said_share(rows: Sequence[SaidRow]) -> tuple[Bounds, int]:
    """The share of knowable faults that were said in time, and how many were knowable."""
    knowable = sum(row.knowable for row in rows)
    return metrics.proportion_bounds(sum(row.said_within_60s for row in rows), knowable), knowable
