"""Every named fire in many rooms: found before its limit, late, early or missed."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from saafe import metrics
from saafe.detector import Detection, Scorer, detect
from saafe.exam import outcomes, references
from saafe.exam.results import Figures
from saafe.exam.session import Case, Session, Stage
from saafe.recordings import Recording, cut_recording
from saafe.sensors import CHANNEL_NAMES, FIRE, PM25, TEMPERATURE, UNKNOWN
from saafe.simulator import Mix, Rooms, Streams, sources, to_recordings, untenable_times

FIRES_OF_A_KIND = 45  # fires of each kind that count, so that all kinds make more than 1,000
FIRE_BATCHES = 8  # of 128 streams at most, to find them
EARLY_FROM_S = 1800.0  # decisions before the fire, in which an alarm is early
LATE_UNTIL_S = 1800.0  # decisions after the limit, in which an alarm is late
OIL_FIRE = "overheating_oil"
OIL_WHILE_FRYING = "overheating_oil while frying"
REFERENCES = ("heat", "rate_of_rise", "photo", "ionisation")
# time from the first reading that shows a fire to its limit, by which results are told apart [s]
NOTICE_S = (0.0, 30.0, 60.0, 120.0, 300.0, 900.0, math.inf)
CONDITIONS = ("gas", "heat", "visibility")


@dataclass(frozen=True)
class FireTrial:
    """A simulated fire whose limit is reached at the sensor and which the sensor can show."""

    name: str  # of the fire, maybe with what went on beside it
    recording: Recording  # one sensor's, up to half an hour after the limit
    burning_s: float  # when it began to burn; a pan of oil when it passed 250 degC. [s]
    visible_s: float  # when a channel that the sensor has first shows it, from the twin. [s]
    signal_s: float  # first sustained sign, in the air or on the sensor. [s]
    limit_s: float  # latest alarm that is in time. [s]
    references_s: dict[str, float | None]  # reference alarms in the true air. [s]
    untenable_s: dict[str, float | None]  # of the air at the sensor. [s]
    beside_fire: bool  # whether the sensor stands in the fire's room

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which channels the sensor has. (channel,)"""
        return np.asarray(np.isfinite(self.recording.readings[:, 0]).any(axis=0))


@dataclass(frozen=True)
class FireResult:
    """What a detector did with a fire."""

    trial: FireTrial
    outcome: str
    alarm_s: float | None
    floor_s: float | None  # when the fixed rules alone would have alarmed

    @property
    def is_in_time(self) -> bool:
        """Whether the fire was found before its limit, and not before it showed."""
        return self.outcome == outcomes.IN_TIME


@dataclass(frozen=True)
class FireRow:
    """A kind of fire: how many were drawn and counted, outcomes with exact bounds, and times.

    `floor_suppressed`: the fixed rules alone would have alarmed before the detector did.
    `delays`: after_X_median_s and after_X_p90_s from that moment to the alarm, of X_n such moments.
    `margins`: PLACE_untenable_n times the air there became untenable, PLACE_alarm_too_late times
    before an alarm; PLACE_margin_median_s and PLACE_margin_p10_s are the time between.
    """

    fire: str
    simulated: int
    limit_unreached: int
    unseen: int
    n: int
    in_time: int
    late: int
    early: int
    missed: int
    in_time_share: float | None
    in_time_lower: float
    in_time_upper: float
    floor_suppressed: int
    delays: Figures
    margins: Figures


@dataclass(frozen=True)
class NoticeRow:
    """Fires that could be seen for so long before their limit, and what came of them."""

    notice_from_s: float
    notice_below_s: float | None
    n: int
    in_time: int
    late: int
    early: int
    missed: int
    in_time_share: float | None
    in_time_lower: float
    in_time_upper: float


@dataclass
class Drawn:
    """Fires of one kind: those that count, and how many do not."""

    name: str
    trials: list[FireTrial]
    simulated: int = 0
    unreached: int = 0  # no limit is reached at the sensor
    unseen: int = 0  # no channel of the sensor shows it before its limit


def draw_fires(
    session: Session, name: str, wanted: int, *, part: int, mix: Mix, rooms: Rooms | None = None
) -> Drawn:
    """Simulate until enough fires count, or 1,024 were drawn; takes 8 parts of the seeds."""
    drawn = Drawn(name, [])
    for batch in range(FIRE_BATCHES):
        streams = session.simulate((Stage.FIRES, part + batch), mix=mix, rooms=rooms)
        for k, stream in enumerate(to_recordings(streams)):
            recording = replace(stream, name=f"{part + batch}-{k}")
            if len(drawn.trials) == wanted:
                return drawn
            drawn.simulated += 1
            trial = fire_trial(name, streams, k, recording)
            if isinstance(trial, FireTrial):
                drawn.trials.append(trial)
            elif trial == "unreached":
                drawn.unreached += 1
            else:
                drawn.unseen += 1
    return drawn


def fire_trial(name: str, streams: Streams, k: int, recording: Recording) -> FireTrial | str:
    """One simulated stream as a trial, or why it is none: "unreached" or "unseen"."""
    times = recording.times_s
    state = streams.state[k].numpy()
    burns = (times >= float(streams.ignition_s[k])) & ((state == FIRE) | (state == UNKNOWN))
    if not burns.any():
        return "unreached"
    start = int(np.argmax(burns))
    air = streams.truth[k, :, 0].numpy()
    fire, density = sources.FIRES[int(streams.fire[k])], streams.optical_density[k, :, 0].numpy()
    limit_s = air_limit(fire.name, times, air, density, start)
    if limit_s is None or limit_s > times[-1]:
        return "unreached"
    visible_s = outcomes.first_visible(recording)
    if visible_s is None or visible_s > limit_s:
        return "unseen"
    burning_s = float(times[start])
    truth = replace(recording, readings=air[:, None], labels=None, sources=None)
    fire_air = cut_recording(
        truth, max(burning_s - references.SIGNAL_BASE_S, 0.0), float(times[-1])
    )
    offset = float(times[-1] - fire_air.times_s[-1])
    signal_s = references.first_signal(fire_air)
    sounding = references.reference_alarms(
        fire_air,
        references.aerosol_of(fire.mode),
        optical_density=density[-len(fire_air.times_s) :, None],
    )
    return FireTrial(
        name=name,
        recording=cut_recording(recording, 0.0, min(limit_s + LATE_UNTIL_S, float(times[-1]))),
        burning_s=burning_s,
        visible_s=visible_s,
        signal_s=visible_s if signal_s is None else min(visible_s, signal_s + offset),
        limit_s=limit_s,
        references_s={
            key: None if time is None else time + offset for key, time in sounding.items()
        },
        untenable_s=untenable_times(times, air, density, ignition_s=burning_s),
        beside_fire=bool(streams.beside_fire[k, 0]),
    )


def air_limit(
    fire: str, times_s: NDArray, air: NDArray, density: NDArray, start: int
) -> float | None:
    """The scoring rules' limit of a fire [s], by what it adds since it burns.

    To the true air (time, channel) and to its optical density (time,) [1/m].
    """
    before = max(start - 1, 0)
    rise, smoke = air[start:] - air[before], density[start:] - density[before]
    reached = {
        "t_dT5": rise[:, TEMPERATURE] >= 5.0,
        "t_dT20": rise[:, TEMPERATURE] >= 20.0,
        "t_OD05": smoke >= 0.05,
        "t_OD14": smoke >= 0.14,
    }
    at = {
        name: float(times_s[start + np.argmax(is_over)]) if is_over.any() else None
        for name, is_over in reached.items()
    }
    is_smouldering = sources.SOURCES[fire].mode == references.SMOULDERING
    kind = references.SMOULDERING if is_smouldering else references.FLAMING
    return references.fire_limit(kind, at)


def try_fire(
    session: Session, trial: FireTrial, *, lead_s: float = EARLY_FROM_S
) -> tuple[FireResult, Detection]:
    """Run one fire through the detector and judge its first alarm."""
    since_s = trial.burning_s - lead_s
    detection = session.detect(trial.recording, since_s=since_s)
    alarm = outcomes.first_alarm(detection.events) or {}
    floor = detect(Scorer(no_risk, session.one.settings), trial.recording, since_s=since_s)
    rule = outcomes.first_alarm(floor.events) or {}
    alarm_s = alarm.get("time_s")
    outcome = outcomes.found(alarm_s, signal_s=trial.signal_s, limit_s=trial.limit_s)
    return FireResult(trial, outcome, alarm_s, rule.get("time_s")), detection


def no_risk(windows: NDArray) -> NDArray[np.float64]:
    """A model that sees nothing, so that the fixed rules stand alone. (batch, ...) to (batch,)"""
    return np.zeros(len(windows))


def examine_fires(session: Session) -> tuple[list[FireRow], list[FireResult]]:
    """The fire matrix: a row a kind, one for all but the last, and every result.

    In the last kind oil overheats while something fries.
    """
    kinds = [
        (source.name, Mix(1.0, (source.name,), (), (0.7, 0.3, 0.0), fault_share=0.0))
        for source in sources.FIRES
    ]
    frying = Mix(1.0, (OIL_FIRE,), ("frying",), (0.0, 1.0, 0.0), fault_share=0.0)
    kinds.append((OIL_WHILE_FRYING, frying))
    rows, results = [], []
    for number, (name, mix) in enumerate(kinds):
        drawn = draw_fires(session, name, FIRES_OF_A_KIND, part=100 * number, mix=mix)
        found = []
        for trial in drawn.trials:
            result, detection = try_fire(session, trial)
            found.append(result)
            keep_case(session, result, detection)
        rows.append(fire_row(drawn, found))
        results += found
        session.on_progress(f"fires, {name}", (number + 1) / len(kinds))
    return [*rows, all_row(rows[:-1], results)], results


def all_row(rows: Sequence[FireRow], results: Sequence[FireResult]) -> FireRow:
    """The row of all fires together; those while frying are a question of their own."""
    drawn = Drawn(
        "all",
        [],
        simulated=sum(row.simulated for row in rows),
        unreached=sum(row.limit_unreached for row in rows),
        unseen=sum(row.unseen for row in rows),
    )
    return fire_row(drawn, [r for r in results if r.trial.name != OIL_WHILE_FRYING])


def by_notice(results: Sequence[FireResult]) -> list[NoticeRow]:
    """Outcomes by how long before its limit a reading first showed the fire; none while frying.

    Where that is a moment, no detector has time; the rows say how much of what is not found in
    time that explains.
    """
    whole = [result for result in results if result.trial.name != OIL_WHILE_FRYING]
    rows = []
    for least, most in itertools.pairwise(NOTICE_S):
        here = [r for r in whole if least <= r.trial.limit_s - r.trial.visible_s < most]
        rows.append(NoticeRow(least, metrics.finite_or_none(most), **outcome_counts(here)))
    return rows


def outcome_counts(results: Sequence[FireResult]) -> dict[str, Any]:
    """How many fires came out how, and the share found in time with its exact bounds."""
    counts = outcomes.counts_of(results)
    bounds = metrics.proportion_bounds(counts["in_time"], len(results))
    return counts | {
        "in_time_share": metrics.finite_or_none(bounds.value),
        "in_time_lower": bounds.lower,
        "in_time_upper": bounds.upper,
    }


def fire_row(drawn: Drawn, results: Sequence[FireResult]) -> FireRow:
    """Outcomes with exact bounds, and times against references and untenable air."""
    return FireRow(
        fire=drawn.name,
        simulated=drawn.simulated,
        limit_unreached=drawn.unreached,
        unseen=drawn.unseen,
        **outcome_counts(results),
        floor_suppressed=sum(map(is_suppressed, results)),
        delays=Figures(signal_delays(results) | reference_delays(results)),
        margins=Figures(margins(results)),
    )


def signal_delays(results: Sequence[FireResult]) -> dict[str, float | None]:
    """Times from each fire's first signal to the alarm."""
    return delay_quantiles("after_signal", [late_by(r, r.trial.signal_s) for r in results])


def reference_delays(results: Sequence[FireResult]) -> dict[str, Any]:
    """Times from each reference alarm to the detector's, and where the sensor has PM2.5."""
    row: dict[str, Any] = {}
    for name in REFERENCES:
        times = delays_after(name, results)
        row |= {f"{name}_n": len(times)} | delay_quantiles(f"after_{name}", times)
    smoke = [r for r in results if r.trial.present[PM25]]
    return row | delay_quantiles("with_pm25_after_photo", delays_after("photo", smoke))


def delays_after(reference: str, results: Sequence[FireResult]) -> list[float]:
    """Times from a reference alarm to the detector's, where that alarm went off. [s]"""
    at = [(r, r.trial.references_s[reference]) for r in results]
    return [late_by(result, time_s) for result, time_s in at if time_s is not None]


def is_suppressed(result: FireResult) -> bool:
    """Whether the fixed rules alone would have alarmed before the detector did."""
    if result.floor_s is None:
        return False
    return result.alarm_s is None or bool(result.alarm_s > result.floor_s)


def late_by(result: FireResult, since_s: float) -> float:
    """Time from a moment to the alarm, infinite where none came. [s]"""
    return math.inf if result.alarm_s is None else result.alarm_s - since_s


def delay_quantiles(name: str, times: Sequence[float]) -> dict[str, Any]:
    """Median and 90 % of times of which some are infinite; None where the quantile is."""
    at = {f"{name}_median_s": 0.5, f"{name}_p90_s": 0.9}
    return {key: quantile_or_none(times, q, method="higher") for key, q in at.items()}


def quantile_or_none(
    times: Sequence[float], q: float, *, method: Literal["lower", "higher"]
) -> float | None:
    """One of the times, since interpolating between a number and infinity would give NaN."""
    if not len(times):
        return None
    return metrics.finite_or_none(float(np.quantile(np.sort(times), q, method=method)))


def margins(results: Sequence[FireResult]) -> dict[str, Any]:
    """Time from the alarm to the first untenable condition, in the fire's room and in others."""
    row: dict[str, Any] = {}
    for place, is_beside in (("fire_room", True), ("other_rooms", False)):
        here = [r for r in results if r.trial.beside_fire == is_beside]
        first = [(r, min(t for t in r.trial.untenable_s.values() if t is not None)) for r in here
                 if any(t is not None for t in r.trial.untenable_s.values())]  # fmt: skip
        left = [-late_by(result, time) for result, time in first]
        row[f"{place}_untenable_n"] = len(left)
        row[f"{place}_alarm_too_late"] = int(np.count_nonzero(np.array(left) < 0.0))
        at = {f"{place}_margin_median_s": 0.5, f"{place}_margin_p10_s": 0.1}
        row |= {key: quantile_or_none(left, q, method="lower") for key, q in at.items()}
    return row


def keep_case(session: Session, result: FireResult, detection: Detection) -> None:
    """Remember a fire that was not found in time."""
    if result.is_in_time:
        return
    trial = result.trial
    kinds = {outcomes.MISSED: "miss", outcomes.LATE: "late", outcomes.EARLY: "early"}
    late = late_by(result, trial.limit_s)
    lacking = [name for name, there in zip(CHANNEL_NAMES, trial.present, strict=True) if not there]
    title = f"{trial.name} ({trial.recording.name}), {kinds[result.outcome]}"
    title += f" {late:.0f} s after its limit" if result.outcome == outcomes.LATE else ""
    title += f"; no {', '.join(lacking)}" if lacking else ""
    seen_for = float(trial.recording.times_s[-1]) - trial.visible_s
    badness = {outcomes.MISSED: 1e6 + seen_for, outcomes.LATE: late, outcomes.EARLY: -late}
    session.keep(
        Case(
            kinds[result.outcome], title, trial.recording, detection, result.alarm_s,
            trial.limit_s, trial.signal_s,
        ),
        badness[result.outcome],
    )  # fmt: skip
