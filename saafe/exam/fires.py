"""Simulated fires as trials: when they burn, show, reach their limit, and what a detector does."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from saafe.detector import Detection
from saafe.exam import outcomes
from saafe.exam.classes import Scenario, scenario_of
from saafe.exam.references import FLAMING, SMOULDERING, fire_limit
from saafe.exam.session import Session, Stage
from saafe.recordings import Recording, cut_recording
from saafe.sensors import FIRE, TEMPERATURE, UNKNOWN
from saafe.simulator import (
    REFERENCE_ALARMS,
    SENSITIVITIES,
    Mix,
    Rooms,
    Streams,
    sources,
    to_recordings,
    untenable_times,
)
from saafe.windows import BIN_S

FIRE_BATCHES = 8  # of streams at most, to find them
EARLY_FROM_S = 1800.0  # decisions before the fire, in which an alarm is early
LATE_UNTIL_S = 1800.0  # decisions after the limit, in which an alarm is late
OIL_FIRE = "overheating_oil"
OIL_WHILE_FRYING = "overheating_oil while frying"
REFERENCES = tuple(alarm.name for alarm in REFERENCE_ALARMS)
AS_MADE = SENSITIVITIES.index(1.0)


@dataclass(frozen=True)
class FireTrial:
    """A simulated fire whose limit is reached at the sensor."""

    name: str  # of its kind
    recording: Recording  # one sensor's, up to half an hour after the limit
    burning_s: float  # its ignition; a pan of oil's smoke point. [s]
    shown_s: float  # when the first reading shows it, inf for never. [s]
    channels_shown_s: NDArray[np.float64]  # the same of each channel. (channel,)
    limit_s: float  # latest alarm that is in time. [s]
    period_s: float  # how often the sensor reports. [s]
    # when each reference alarm sounds at each of `SENSITIVITIES`, inf for never. [s]
    references_s: dict[str, tuple[float, ...]]
    untenable_s: dict[str, float | None]  # of the air at the sensor. [s]
    beside_fire: bool  # whether the sensor stands in the fire's room

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which channels the sensor has. (channel,)"""
        return np.asarray(np.isfinite(self.recording.readings[:, 0]).any(axis=0))

    @property
    def latest_s(self) -> float:
        """The latest alarm that is in time: a reading comes only once a period. [s]"""
        return self.limit_s + self.grace_s

    @property
    def grace_s(self) -> float:
        """One report of the device, and at most a minute. [s]"""
        return min(self.period_s, outcomes.LONGEST_GRACE_S)

    @property
    def is_shown(self) -> bool:
        """Whether a reading shows the fire while an alarm is in time; no other can be told."""
        return self.shown_s <= self.latest_s

    def best_reference_s(self, sensitivity: int = AS_MADE) -> float:
        """When the first reference alarm sounds, inf for never. [s]"""
        return min(times[sensitivity] for times in self.references_s.values())

    def first_untenable_s(self) -> float:
        """When the air first becomes untenable in any way, inf for never. [s]"""
        return min((t for t in self.untenable_s.values() if t is not None), default=math.inf)


@dataclass(frozen=True)
class FireResult:
    """What a detector did with a fire."""

    trial: FireTrial
    outcome: str
    alarm_s: float | None
    floor_s: float | None = None  # when the fixed rules alone would have alarmed
    margin: float = -math.inf  # how far thresholds could rise until it is not in time. [log-odds]

    @property
    def is_in_time(self) -> bool:
        """Whether the fire was found before its limit, and not before it burnt."""
        return self.outcome == outcomes.IN_TIME


@dataclass
class DrawnFires:
    """Fires of one kind: those that count, how many do not, and moments for single windows."""

    name: str
    trials: list[FireTrial]
    scenarios: list[Scenario] = field(default_factory=list)
    simulated: int = 0
    unreached: int = 0  # no limit is reached at the sensor


def fire_kinds() -> list[tuple[str, Mix]]:
    """Every kind alone, and oil that overheats while something fries."""
    alone = (1.0, 0.0, 0.0)
    kinds = [(one.name, Mix(1.0, (one.name,), (), alone, fault_share=0.0)) for one in sources.FIRES]
    frying = Mix(1.0, (OIL_FIRE,), ("frying",), (0.0, 1.0, 0.0), fault_share=0.0)
    return [*kinds, (OIL_WHILE_FRYING, frying)]


def draw_fires(
    session: Session, name: str, wanted: int, *, part: int, mix: Mix, rooms: Rooms | None = None,
    batch: int | None = None, moments: int = 0,
) -> DrawnFires:  # fmt: skip
    """Simulate until enough fires count and give moments; takes 8 parts of the seeds.

    Of at most 8 batches; those that give a moment for a single window are kept apart.
    """
    drawn = DrawnFires(name, [])
    for number in range(FIRE_BATCHES):
        streams = session.simulate((Stage.FIRES, part + number), mix=mix, rooms=rooms, count=batch)
        for k, stream in enumerate(to_recordings(streams)):
            shown = sum(bool(len(one.moments_s)) for one in drawn.scenarios)
            if len(drawn.trials) == wanted and shown >= moments:
                return drawn
            recording = replace(stream, name=f"{part + number}-{k}")
            if len(drawn.trials) < wanted:
                drawn.simulated += 1
                trial = fire_trial(name, streams, k, recording)
                if trial is None:
                    drawn.unreached += 1
                else:
                    drawn.trials.append(trial)
            if shown < moments:
                drawn.scenarios += fire_scenario(name, streams, k, recording)
    return drawn


def is_burning(streams: Streams, k: int) -> NDArray[np.bool_]:
    """When a fire burns; a pan of oil from its smoke point on. (time,)"""
    state = streams.state[k].numpy()
    times = BIN_S * np.arange(len(state))
    return (times >= float(streams.ignition_s[k])) & ((state == FIRE) | (state == UNKNOWN))


def sensed_limit(streams: Streams, k: int, times: NDArray) -> float | None:
    """The scoring rules' limit of a fire at its sensor, None where none is reached. [s]"""
    burns = is_burning(streams, k)
    if not burns.any():
        return None
    air, density = streams.truth[k, :, 0].numpy(), streams.optical_density[k, :, 0].numpy()
    return air_limit(times, air, density, streams.flaming[k].numpy(), int(np.argmax(burns)))


def fire_trial(name: str, streams: Streams, k: int, recording: Recording) -> FireTrial | None:
    """One simulated stream as a trial; None where its limit is not reached at the sensor."""
    times = recording.times_s
    limit_s = sensed_limit(streams, k, times)
    if limit_s is None or limit_s > times[-1]:
        return None
    burning_s = float(times[np.argmax(is_burning(streams, k))])
    reported = np.isfinite(recording.readings[:, 0]).any(axis=1)
    shown = streams.fire_shown[k, :, 0].numpy() & np.isfinite(recording.readings[:, 0])
    channels_shown_s = np.where(shown.any(axis=0), times[np.argmax(shown, axis=0)], math.inf)
    alarms_s = streams.alarms_at_s[k, 0].T.tolist()  # (alarm, sensitivity)
    return FireTrial(
        name=name,
        recording=cut_recording(recording, 0.0, min(limit_s + LATE_UNTIL_S, float(times[-1]))),
        burning_s=burning_s,
        shown_s=float(channels_shown_s.min()),
        channels_shown_s=channels_shown_s,
        limit_s=limit_s,
        period_s=float(np.median(np.diff(times[reported]))) if reported.sum() > 1 else math.inf,
        references_s=dict(zip(REFERENCES, map(tuple, alarms_s), strict=True)),
        untenable_s=untenable_times(
            times,
            streams.truth[k, :, 0].numpy(),
            streams.optical_density[k, :, 0].numpy(),
            ignition_s=burning_s,
            exposure=streams.exposure[k, :, 0].numpy(),
        ),
        beside_fire=bool(streams.beside_fire[k, 0]),
    )


def fire_scenario(name: str, streams: Streams, k: int, recording: Recording) -> Iterator[Scenario]:
    """Moments of a fire for single windows: a reference alarm has sounded, or the limit passed."""
    times = recording.times_s
    limit_s = sensed_limit(streams, k, times)
    sounds_s = float(streams.alarms_at_s[k, 0, AS_MADE].min())
    due_s = min(math.inf if limit_s is None else limit_s, sounds_s)
    burns = (streams.state[k].numpy() == FIRE) & (times >= float(streams.ignition_s[k]))
    yield from scenario_of(name, FIRE, recording, burns & (times >= due_s), burns)


def air_limit(
    times_s: NDArray, air: NDArray, density: NDArray, flaming: NDArray, start: int
) -> float | None:
    """The scoring rules' limit of a fire, by what it adds to the air since it burns. [s]

    The mode of burning is the one at the time. True air (time, channel), its optical density
    (time,) [1/m], and whether it flames (time,).
    """
    before = max(start - 1, 0)
    rise, smoke = air[start:] - air[before], density[start:] - density[before]
    flames = flaming[start:]

    def first(is_over: NDArray) -> float | None:
        return float(times_s[start + np.argmax(is_over)]) if is_over.any() else None

    smouldering = {
        "t_dT5": first(~flames & (rise[:, TEMPERATURE] >= 5.0)),
        "t_OD05": first(~flames & (smoke >= 0.05)),
        "t_OD14": first(~flames & (smoke >= 0.14)),
    }
    flaming_at = {"t_dT20": first(flames & (rise[:, TEMPERATURE] >= 20.0))}
    limits = (fire_limit(SMOULDERING, smouldering), fire_limit(FLAMING, flaming_at))
    return min((limit for limit in limits if limit is not None), default=None)


def trial_outcome(trial: FireTrial, alarm_s: float | None) -> str:
    """Say whether a fire's first alarm came in time, late, early or never."""
    if alarm_s is None:
        return outcomes.MISSED
    if alarm_s < trial.burning_s:
        return outcomes.EARLY
    return outcomes.IN_TIME if alarm_s <= trial.latest_s else outcomes.LATE


def try_fire(
    session: Session, trial: FireTrial, *, lead_s: float = EARLY_FROM_S, floor: bool = False
) -> tuple[FireResult, Detection]:
    """Run one fire through the detector and judge its first alarm; the fixed rules alone too."""
    since_s = trial.burning_s - lead_s
    detection = session.detect(trial.recording, since_s=since_s)
    alarm = outcomes.first_alarm(detection.events) or {}
    alarm_s = alarm.get("time_s")
    if not floor:
        return FireResult(trial, trial_outcome(trial, alarm_s), alarm_s), detection
    floor_s = session.rule_alarm_s(trial.recording, since_s=since_s)
    margin = outcomes.highest_margin(detection, session.settings, trial.burning_s, trial.latest_s)
    if floor_s is not None and trial.burning_s <= floor_s <= trial.latest_s:
        margin = math.inf  # whatever the thresholds
    return FireResult(trial, trial_outcome(trial, alarm_s), alarm_s, floor_s, margin), detection


def alone(results: Sequence[FireResult]) -> list[FireResult]:
    """The results that count as the matrix's: none of oil while something fries."""
    return [result for result in results if result.trial.name != OIL_WHILE_FRYING]
