"""Fires on recorded homes, and homes as denser sensors would see them.

Smoke meters of fires show nothing at first: what rose until then is unknown, and each fire can be
put as a step (the worst case) or as smoke that grew exponentially (the best, `SmokeGrowth`).

Fires were recorded every 2 to 10 s without humidity, homes every minute with it. A detector that
tells the two instruments apart would look perfect, so both are put on one instrument here.
`simulator.onto_recording` puts simulated fires on recordings in the same way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saafe.errors import InputError
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS, HUMIDITY, PM25

Interval = tuple[float, float]

LEAD_S = 3 * 3600.0  # of the home before the fire, longer than a window's history
BASE_S = 60.0  # a fire's rise is over its first minute
LONGEST_GAP_S = 300.0  # Chosen: where a home is silent for longer, no fire is put
AFTER_COOKING_S = 1800.0
QUIET_MOMENT, COOKING_MOMENT = "quiet", "cooking"
MOMENTS = (QUIET_MOMENT, COOKING_MOMENT)

READING_NOISE = {k: c.reading_noise for k, c in enumerate(CHANNELS) if c.reading_noise}
GROWTH_START_UG_M3 = 10.0  # of smoke that grows unseen
SHOWN_FOR_S = 30.0  # Chosen: as long as a first signal stands; a lone value is the meter's noise
GASES = tuple(READING_NOISE)  # what fires were recorded with
PM_NOISE_RELATIVE = 0.03


@dataclass(frozen=True)
class Home:
    """A recorded home and when its stove was on."""

    recording: Recording  # the first sensor is used
    sessions: tuple[Interval, ...]  # uses of the stove, by the recording's clock. [s]


@dataclass(frozen=True)
class Rise:
    """What a fire alone adds to the readings of a sensor."""

    # from the fire's begin; before the first nothing is added. [s] (time,)
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]  # in the channels' units. (time, channel)


@dataclass(frozen=True)
class SmokeGrowth:
    """How a fire's smoke grew before its meter could show it, if it grew exponentially."""

    start_s: float  # when it passed GROWTH_START_UG_M3, at ignition at the earliest. [s]
    e_fold_s: float  # [s]
    shown_s: float  # when the meter first shows it. [s]
    shown_ug_m3: float  # how much it then shows


@dataclass(frozen=True)
class SuperposedFire:
    """A recorded fire on a recorded home."""

    recording: Recording  # three hours of the home, then the home with the fire's rise, one sensor
    fire: str  # name
    home: str  # name
    moment: str  # "quiet" or "cooking"
    fire_s: float  # when the fire begins, from the first row. [s]
    start_s: float  # where in the home the first row lies. [s]
    period_s: float  # how long the home holds a reading. [s]


def superpose_fires(
    fires: Sequence[Recording],
    homes: Sequence[Home],
    *,
    seed: int = 0,
    growths: Sequence[SmokeGrowth | None] | None = None,
) -> tuple[list[SuperposedFire], list[str]]:
    """Put each fire on each home, once in a quiet hour and once while the stove is on.

    Fires are cut where their scoring ends. Each fire, home and moment draws for itself, with
    `growths` and without them alike. Gives also the names of those that found no moment.
    """
    made: list[SuperposedFire] = []
    left_out: list[str] = []
    for i, fire in enumerate(fires):
        growth = None if growths is None else growths[i]
        rise = Rise(fire.times_s, with_growth(fire.times_s, fire_rise(fire), growth))
        for j, home in enumerate(homes):
            for k, moment in enumerate(MOMENTS):
                generator = np.random.default_rng([seed, i, j, k])
                # a home shows its last reading one period longer
                length_s = float(fire.times_s[-1]) + median_period(home.recording)
                at_s = draw_moment(home, length_s, moment, generator)
                if at_s is None:
                    left_out.append(f"{fire.name} on {home.recording.name}, {moment}")
                else:
                    made.append(_put_fire(fire.name, rise, home.recording, moment, at_s))
    return made, left_out


def _put_fire(fire: str, rise: Rise, home: Recording, moment: str, at_s: float) -> SuperposedFire:
    part, fire_s = add_rise(home, rise, at_s)
    recording = replace(part, name=f"{fire} on {home.name}, {moment}")
    start_s = at_s - fire_s
    return SuperposedFire(recording, fire, home.name, moment, fire_s, start_s, median_period(home))


def smoke_growth(
    times_s: NDArray[np.float64], smoke: NDArray[np.floating], *, ignition_s: float = 0.0
) -> SmokeGrowth | None:
    """How smoke grew unseen, from how it grew once it was seen.

    The e-folding time is that from the first value that a meter shows, for 30 s, to the first one
    of at least twice that.

    Args:
        times_s: `(time,)`. [s]
        smoke: mass of smoke, 0 or NaN where the meter shows nothing. [ug/m3] `(time,)`
        ignition_s: no smoke grew before. [s]

    Returns:
        None where it is never shown for so long, or never doubles.
    """
    is_shown = np.concatenate([[False], smoke > 0.0, [False]])
    edges = np.diff(is_shown.astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    lasting = starts[times_s[ends] - times_s[starts] >= SHOWN_FOR_S]
    if not lasting.size:
        return None
    first = int(lasting[0])
    doubled = np.flatnonzero(smoke[first:] >= 2.0 * smoke[first])
    if not doubled.size:
        return None
    later = first + int(doubled[0])
    shown_s, shown = float(times_s[first]), float(smoke[first])
    e_fold_s = float((times_s[later] - times_s[first]) / np.log(smoke[later] / shown))
    start_s = shown_s - e_fold_s * float(np.log(max(shown / GROWTH_START_UG_M3, 1.0)))
    return SmokeGrowth(min(max(start_s, ignition_s), shown_s), e_fold_s, shown_s, shown)


def with_growth(times_s: NDArray, rise: NDArray, growth: SmokeGrowth | None) -> NDArray:
    """A rise (time, channel) whose PM2.5 grew exponentially before its meter showed it.

    It ends at what the meter's PM2.5 then is, and is nowhere less than the rise.
    """
    if growth is None:
        return rise
    since = (times_s - growth.shown_s) / growth.e_fold_s
    unseen = growth.shown_ug_m3 * np.exp(np.minimum(since, 0.0))
    grows = (times_s >= growth.start_s) & (times_s < growth.shown_s)
    most = values_held(times_s, rise[:, PM25], np.array([growth.shown_s]))
    grown = rise.copy()
    grown[grows, PM25] = np.maximum(rise[grows, PM25], np.minimum(unseen[grows], most))
    return grown


def add_rise(
    home: Recording, rise: Rise, at_s: float, *, cap: float | None = None
) -> tuple[Recording, float]:
    """Add a fire's rise to a home's first sensor, as that sensor would have shown it.

    Each of the home's rows shows the rise as it was then, so the home's period holds it. PM2.5
    ends at `cap`, else at `pm_cap`, and every channel at its range; what the home does not read
    stays missing.

    Returns the home from `LEAD_S` before the fire, at `at_s` on the home's clock [s], to one period
    after the rise's end, and when the fire begins in it. [s]
    """
    start_s, end_s = at_s - LEAD_S, at_s + float(rise.times_s[-1]) + median_period(home)
    part = cut_recording(home, start_s, end_s)
    fire_s = at_s - float(home.times_s[np.searchsorted(home.times_s, start_s)])
    readings = part.readings[:, :1].copy()
    readings[:, 0] += values_held(rise.times_s, rise.values, part.times_s - fire_s)
    readings[:, 0, PM25] = np.minimum(readings[:, 0, PM25], pm_cap(home) if cap is None else cap)
    lowest, highest = np.array([(c.lowest, c.highest) for c in CHANNELS], dtype=np.float32).T
    readings = np.clip(readings, lowest, highest)
    labels = None if part.labels is None else part.labels[:, :1]
    refused = tuple(cell for cell in part.refused if cell.sensor == home.sensors[0])
    return replace(
        part, sensors=home.sensors[:1], readings=readings, labels=labels, refused=refused,
        turns=None,
    ), fire_s  # fmt: skip


def pm_cap(home: Recording) -> float:
    """The most PM2.5 that a home's first sensor has shown, inf where it shows none. [ug/m3]"""
    shown = home.readings[:, 0, PM25]
    shown = shown[np.isfinite(shown)]
    return float(shown.max()) if shown.size else np.inf


def median_period(recording: Recording) -> float:
    """Median time between rows [s]."""
    return float(np.median(np.diff(recording.times_s)))


def fire_rise(fire: Recording) -> NDArray[np.float32]:
    """Rise of a fire's first sensor over the median of its first minute, `(time, channel)`.

    A fall is no rise: it is 0, because some fires already grow in that minute, and so is a
    channel without readings. A missing reading is the last one before it.
    """
    readings = fire.readings[:, 0].astype(np.float64)
    rise = np.zeros(readings.shape, dtype=np.float32)
    for channel in GASES:
        is_there = np.isfinite(readings[:, channel])
        if is_there.any():
            times, values = fire.times_s[is_there], readings[is_there, channel]
            over = values - np.median(values[times <= times[0] + BASE_S])
            rise[:, channel] = values_held(times, np.maximum(over, 0.0), fire.times_s)
    return rise


def values_held(times_s: NDArray, values: NDArray, at_s: NDArray) -> NDArray:
    """Last value at or before each time [s], 0 before the first. (time, ...) to (moment, ...)"""
    index = np.searchsorted(times_s, at_s, side="right") - 1
    found = values[np.maximum(index, 0)]
    is_before = (index < 0).reshape(-1, *([1] * (values.ndim - 1)))
    return np.where(is_before, 0.0, found)


def cut_recording(recording: Recording, start_s: float, end_s: float) -> Recording:
    """Part of a recording with start <= time <= end [s], its times from its own first row.

    Of cells that were refused it keeps those that it holds.

    Raises:
        InputError: it has no row there.
    """
    first, last = np.searchsorted(recording.times_s, [start_s, np.nextafter(end_s, np.inf)])
    if first >= last:
        raise InputError(f"{recording.name}: has no row between {start_s:g} and {end_s:g} s")
    rows = slice(int(first), int(last))
    return replace(
        recording,
        times_s=recording.times_s[rows] - recording.times_s[first],
        readings=recording.readings[rows],
        labels=None if recording.labels is None else recording.labels[rows],
        sources=None if recording.sources is None else recording.sources[rows],
        start=None,
        refused=tuple(
            cell._replace(time_s=cell.time_s - float(recording.times_s[first]))
            for cell in recording.refused
            if start_s <= cell.time_s <= end_s
        ),
        turns=None if recording.turns is None else recording.turns[rows],
    )


def draw_moment(
    home: Home, length_s: float, moment: str, generator: np.random.Generator
) -> float | None:
    """Draw a time of the home [s] at which a fire of this length can begin, between two rows.

    "quiet" is away from the stove and its fumes, "cooking" while the stove is on; None where lead
    and length fit nowhere.
    """
    times = home.recording.times_s
    start, end = times - LEAD_S, times + length_s
    is_free = (start >= times[0]) & (end <= times[-1])
    is_free &= ~_touches(_gaps(times), start, end)
    if moment == QUIET_MOMENT:
        fumes = [(a, b + AFTER_COOKING_S) for a, b in home.sessions]
        is_free &= ~_touches(fumes, start, end)
    else:
        is_free &= _touches(home.sessions, times, times + 1.0)
    rows = np.flatnonzero(is_free[:-1])
    if not rows.size:
        return None
    row = generator.choice(rows)
    step = min(float(times[row + 1] - times[row]), BASE_S)
    return float(times[row] + generator.uniform(0.0, step))


def _gaps(times: NDArray) -> list[Interval]:
    before = np.flatnonzero(np.diff(times) > LONGEST_GAP_S)
    return [(float(times[i]), float(times[i + 1])) for i in before]


def _touches(intervals: Sequence[Interval], start: NDArray, end: NDArray) -> NDArray[np.bool_]:
    """Say of each [start, end] whether any interval overlaps it."""
    first = np.sort([interval[0] for interval in intervals])
    last = np.sort([interval[1] for interval in intervals])
    begun = np.searchsorted(first, end, side="left")  # begun before its end
    over = np.searchsorted(last, start, side="right")  # over by its start
    return begun > over


def dense_homes(
    homes: Sequence[Home], *, days: float, sensors: int = 6, period_s: float = 10.0, seed: int = 0
) -> Iterator[Home]:
    """Yield each home as several quick sensors without humidity would have seen it.

    Readings are interpolated linearly, not across gaps over five minutes; each sensor adds small
    noise of its own, by the seed, and keeps the home's resolution. Of each home `days` [d] are
    taken, from a whole hour on, with the most uses of the stove in them, the first of equals; all
    of a home that is shorter.
    """
    for index, home in enumerate(homes):
        start_s = _busiest_start(home, days * 86400.0)
        part = cut_recording(home.recording, start_s, start_s + days * 86400.0)
        offset = float(home.recording.times_s[np.searchsorted(home.recording.times_s, start_s)])
        inside = [(a - offset, b - offset) for a, b in home.sessions]
        kept = tuple((a, b) for a, b in inside if b >= 0.0 and a <= part.times_s[-1])
        generator = np.random.default_rng([seed, index])
        yield Home(_densify(part, sensors, period_s, generator), kept)


def _busiest_start(home: Home, span_s: float) -> float:
    """Start of the span that holds the most cooking with its fumes, on whole hours."""
    end = float(home.recording.times_s[-1])
    starts = np.arange(0.0, max(end - span_s, 0.0) + 1.0, 3600.0)
    first, last = np.array(home.sessions).reshape(-1, 2).T
    is_inside = (first >= starts[:, None]) & (last + AFTER_COOKING_S <= starts[:, None] + span_s)
    return float(starts[np.argmax(is_inside.sum(axis=1))])


def _densify(
    part: Recording, sensors: int, period_s: float, generator: np.random.Generator
) -> Recording:
    times = np.arange(0.0, float(part.times_s[-1]) + 1e-6, period_s)
    readings = np.full((len(times), sensors, len(CHANNELS)), np.nan, dtype=np.float32)
    for channel in range(len(CHANNELS)):
        values = part.readings[:, 0, channel].astype(np.float64)
        is_there = np.isfinite(values)
        if channel == HUMIDITY or is_there.sum() < 2:
            continue
        known = part.times_s[is_there]
        between = np.interp(times, known, values[is_there])
        between[_touches(_gaps(known), times, times)] = np.nan
        noise = generator.normal(0.0, 1.0, (len(times), sensors)) * READING_NOISE.get(channel, 0.0)
        if channel == PM25:
            noise *= 1.0 + PM_NOISE_RELATIVE / READING_NOISE[PM25] * between[:, None]
        step = resolution(values[is_there])
        noisy = np.round((between[:, None] + noise) / step) * step
        readings[:, :, channel] = np.maximum(noisy, CHANNELS[channel].lowest)
    names = tuple(f"{part.sensors[0]}{i + 1}" for i in range(sensors))
    name = f"{part.name} at {period_s:g} s on {sensors} sensors"
    return Recording(name=name, times_s=times, sensors=names, readings=readings)


def resolution(values: NDArray) -> float:
    """Smallest step between two readings, to the nearest 0.001; 1 where all are the same."""
    steps = np.diff(np.unique(np.round(values, 3)))
    return float(np.round(steps.min(), 3)) if steps.size else 1.0
