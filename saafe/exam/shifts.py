"""Rooms, weather, periods and instruments outside the training ranges.

Also the small examination, of a few windows and streams in training's rooms and outside them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from saafe import metrics
from saafe.exam.fire_matrix import delays, outcome_counts
from saafe.exam.fires import FireTrial, draw_fires, try_fire
from saafe.exam.injection import ChannelReadings, slow
from saafe.exam.judging import SHIFTED_ROOMS, TRAINING_ROOMS, Judged, judge_windows
from saafe.exam.nuisances import NuisanceTrial, draw_nuisances, try_nuisance, watch_quiet
from saafe.exam.session import OnProgress, Session
from saafe.recordings import Recording
from saafe.sensors import CHANNELS, PM25, SOUND, TEMPERATURE
from saafe.simulator import ANYTHING, Mix, Rooms, devices, sources
from saafe.training import Purpose

FIRE_TRIALS, NUISANCE_TRIALS = 40, 32
FIRST_SHIFT_PART, SHIFT_PARTS = 5000, 10  # seeds apart from the matrices'
TRIALS = 96  # of each kind: fires, nuisances, streams of quiet life
FIRST_QUICK_PART, QUICK_PARTS = 8000, 100  # seeds apart from the full exam's
ROOMS = {
    "same rooms": (TRAINING_ROOMS, Purpose.JUDGE),
    "other rooms": (SHIFTED_ROOMS, Purpose.SHIFTED),
}
SHOWER = "shower"
SLOW_PERIOD_S = 90.0
PM_CAP, PM_GAIN, OFFSET_K, NOISE_TIMES = 120.0, 4.0, 5.0, 3.0
# that training draws for a usual instrument
HIGHEST_NOISE = {k: c.instruments.noise[1] for k, c in enumerate(CHANNELS) if k != SOUND}

Change = Callable[[Recording, np.random.Generator], Recording]


@dataclass(frozen=True)
class Shift:
    """One way to lie outside what training draws."""

    name: str  # for people
    rooms: Rooms | None = None  # where; training's ranges by default
    change: Change = lambda recording, random: recording  # by the instruments


@dataclass(frozen=True)
class ShiftRow:
    """Fires and nuisances under a shift: outcomes and alarms with exact bounds."""

    shift: str
    fires: int
    in_time: int
    late: int
    early: int
    missed: int
    in_time_share: float | None
    in_time_lower: float
    in_time_upper: float
    after_shown_median_s: float | None
    events: int
    alarms: int
    alarms_per_100: float | None
    alarms_lower: float
    alarms_upper: float | None


@dataclass(frozen=True)
class Trials:
    """Fires of any kind, and cooking and showers as often as dwellings see them."""

    fires: list[FireTrial]
    nuisances: list[NuisanceTrial]


def rarely(recording: Recording, _random: np.random.Generator) -> Recording:
    """Only the readings every 90 s; the longest period that windows hold."""
    every = round(SLOW_PERIOD_S / float(recording.times_s[1] - recording.times_s[0]))
    readings = np.full_like(recording.readings, np.nan)
    rows = np.arange(0, len(recording.times_s), every)
    latest = last_known(recording.readings[:, 0])
    readings[rows, 0] = latest[rows]
    return replace(recording, readings=readings)


def last_known(readings: np.ndarray) -> np.ndarray:
    """Each channel's last reading, NaN before the first. (time, channel)"""
    rows = np.arange(len(readings))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(readings), -1, rows), axis=0)
    return np.where(last >= 0, np.take_along_axis(readings, np.maximum(last, 0), axis=0), np.nan)


def of_channel(change: Callable[[np.ndarray], np.ndarray], channel: int) -> Change:
    """A change of one channel's readings, kept within the format's limits."""

    def apply(recording: Recording, _random: np.random.Generator) -> Recording:
        readings = recording.readings.copy()
        limits = CHANNELS[channel].lowest, CHANNELS[channel].highest
        readings[..., channel] = np.clip(change(readings[..., channel]), *limits)
        return replace(recording, readings=readings)

    return apply


def with_noise(recording: Recording, random: np.random.Generator) -> Recording:
    """Three times the highest noise of training, on top of the readings' own."""
    readings = recording.readings.copy()
    for channel, spread in HIGHEST_NOISE.items():
        added = random.normal(0.0, NOISE_TIMES * spread, readings.shape[:2])
        limits = CHANNELS[channel].lowest, CHANNELS[channel].highest
        readings[..., channel] = np.clip(readings[..., channel] + added, *limits)
    return replace(recording, readings=readings)


def sluggish(recording: Recording, random: np.random.Generator) -> Recording:
    """Every channel lags by a quarter of an hour more."""
    readings = recording.readings.copy()
    for channel in range(len(CHANNELS)):
        column = readings[:, 0, channel]
        there = np.isfinite(column)
        if there.any():
            times, values = recording.times_s[there], column[there].astype(np.float64)
            column[there] = slow(ChannelReadings(times, values, channel, -1.0), random)
    return replace(recording, readings=readings)


SHIFTS = (
    Shift("none: training's ranges"),
    Shift("large, high, airy rooms", Rooms(
        volume_m3=(150.0, 250.0), height_m=(4.0, 5.0), air_changes=(8.0, 12.0))),
    Shift("hot climate", Rooms(outdoor_c=(35.0, 45.0), indoor_c=(31.0, 36.0))),
    Shift("cold climate", Rooms(outdoor_c=(-30.0, -10.0), indoor_c=(6.0, 14.0))),
    Shift("a reading every 90 s", change=rarely),
    Shift("PM2.5 ends at 120 ug/m3", change=of_channel(lambda v: np.minimum(v, PM_CAP), PM25)),
    Shift("PM2.5 reads four times too much", change=of_channel(lambda v: PM_GAIN * v, PM25)),
    Shift("temperature reads 5 K too much", change=of_channel(lambda v: v + OFFSET_K, TEMPERATURE)),
    Shift("three times the highest noise", change=with_noise),
    Shift("every channel lags 15 min more", change=sluggish),
)  # fmt: skip


def examine_shifts(session: Session) -> list[ShiftRow]:
    """Fires found in time and nuisance alarms in training's ranges, and for each shift.

    Shifts of the instruments alone see the same fires and nuisances, so that they can be compared
    with the first row.
    """
    drawn: dict[Rooms | None, Trials] = {}
    rows = []
    for number, shift in enumerate(SHIFTS):
        if shift.rooms not in drawn:
            part = FIRST_SHIFT_PART + SHIFT_PARTS * number
            drawn[shift.rooms] = draw_trials(
                session, shift.rooms, part, fires=FIRE_TRIALS, nuisances=NUISANCE_TRIALS
            )
        random = np.random.default_rng([session.seed, number])
        rows.append(try_shift(session, shift, drawn[shift.rooms], random))
        session.on_progress(f"shift, {shift.name}", (number + 1) / len(SHIFTS))
    return rows


def draw_trials(
    session: Session, rooms: Rooms | None, part: int, *, fires: int, nuisances: int
) -> Trials:
    """So many fires and nuisances in some rooms, from the seeds of a part."""
    mix = Mix(1.0, nuisance_counts=(1.0, 0.0, 0.0), fault_share=0.0)
    kinds = tuple(s.name for s in sources.NUISANCES if s.cooking or s.name == SHOWER)
    return Trials(
        draw_fires(session, "a fire", fires, part=part, mix=mix, rooms=rooms).trials,
        draw_nuisances(session, kinds, nuisances, part=part, rooms=rooms).trials,
    )


def try_shift(
    session: Session, shift: Shift, trials: Trials, random: np.random.Generator
) -> ShiftRow:
    """The fires and nuisances as the shifted instruments show them."""
    fires = [replace(one, recording=shift.change(one.recording, random)) for one in trials.fires]
    nuisances = [
        replace(one, recording=shift.change(one.recording, random)) for one in trials.nuisances
    ]
    results = list(session.each(lambda trial: try_fire(session, trial)[0], fires))
    tried = session.each(partial(try_nuisance, session, shift.name), nuisances)
    alarms = sum(len(result.alarms_s) for result in tried)
    counts = outcome_counts(results)
    bounds = metrics.rate_bounds(alarms, len(trials.nuisances) / 100.0)
    return ShiftRow(
        shift=shift.name,
        fires=counts.pop("n"),
        **counts,
        after_shown_median_s=delays(results)["after_shown_median_s"],
        events=len(trials.nuisances),
        alarms=alarms,
        alarms_per_100=metrics.finite_or_none(bounds.value),
        alarms_lower=bounds.lower,
        alarms_upper=metrics.finite_or_none(bounds.upper),
    )


def judge_simulated(
    one: Judged, *, seed: int, device: str | devices.Device = ANYTHING, trials: int = TRIALS,
    on_progress: OnProgress = lambda _: None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Window and stream figures on simulated scenarios that were never trained on.

    Args:
        one: what is judged.
        seed: of the training run; the judging seeds are apart from its own.
        device: whose sensors are simulated; instruments of any kind by default.
        trials: how many fires, nuisances and quiet streams.
        on_progress: takes a line of progress.

    Returns:
        For training's ranges ("same rooms") and outside them ("other rooms"): `windows`,
        `streams` (a `ShiftRow`) and `quiet` (a `QuietRow`).
    """
    session = Session(one, seed, device=device)
    out = {}
    for number, (name, (rooms, purpose)) in enumerate(ROOMS.items()):
        on_progress(f"examining on simulations, {name} ({number + 1} of {len(ROOMS)})")
        part = FIRST_QUICK_PART + QUICK_PARTS * number
        drawn = draw_trials(session, rooms, part, fires=trials, nuisances=trials)
        random = np.random.default_rng([seed, part])
        out[name] = {
            "windows": judge_windows(one, rooms, seed, purpose, mix=Mix(device=device)),
            "streams": try_shift(session, Shift(name, rooms), drawn, random),
            "quiet": watch_quiet(session, trials, part=part, rooms=rooms)[0],
        }
    return out
