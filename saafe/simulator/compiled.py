"""Loops over time as machine code, for CPUs: the laws of `air`, row by row.

torch launches some forty operations a step, which cost more than their arithmetic. numba compiles
a loop once and keeps it on disk. GPUs run the same laws in torch; `tests/test_compiled.py` holds
both equal. A result does not depend on threads: a loop runs on one, and rows share nothing.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Function = Callable[..., Any]


def compiled(function: Function) -> Function:
    """The function as machine code, kept beside its file, else in the user's cache."""
    options = {"nogil": True, "error_model": "numpy"}  # of a division: no exception, so in lanes
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # neither place can be written: it is compiled in each process
        return numba.njit(function, **options)


class Laws(NamedTuple):
    """Figures of `air` and `emissions`, in single precision."""

    gain: Floats  # see `air.yield_gain` (quantity,)
    heat_share: np.float32  # what a kW of a source is to the air's temperature. [K m3/s]
    oxygen_limit: np.float32
    oxygen_span: np.float32
    least_share: np.float32  # of its free rate that a fire keeps


class Air(NamedTuple):
    """`air.Flows` of r rows, rows first."""

    start: Floats  # what the air holds at first (r, quantity)
    steady: Floats  # into each zone (r, zone, quantity)
    let_in: Floats  # by an open window, a m3 (r, quantity)
    leaving: Floats  # (r, zone, quantity)
    fresh: Floats  # (r, zone)
    volume: Floats  # (r, zone)
    drive: Floats  # (r, door)
    fan: Floats  # (r, door)
    duct: Floats  # (r, zone)
    duct_share: Floats  # (r, zone)
    filter: Floats  # (r, quantity)
    to_walls: Floats  # (r, zone)
    warming: Floats  # of the walls in a step of the pre-roll, and of the stream (r, 2)
    conducting: Floats  # the same (r, 2)
    indoor_c: Floats  # (r,)
    fog: Floats  # (r,)
    drying: Floats  # (r,)


class Sources(NamedTuple):
    """What is given off in n scenarios, and where."""

    people: Floats  # into the first zone (time, n, quantity)
    fire: Floats  # (time, n, quantity)
    first: Floats  # one nuisance (time, n, quantity)
    second: Floats  # another (time, n, quantity)
    zone: NDArray[np.int64]  # of the three (n, 3)
    outdoor_pm: Floats  # (time, n)
    burning: int  # how many of the first scenarios have a fire


class Seen(NamedTuple):
    """What `mix` writes."""

    air: Floats  # of the mixed zones, at every sensor (quantity, step, sensor, r)
    sound: Floats  # [pW] (step, sensor, r)
    sun: Floats  # [K] (step, sensor, r)
    share: Floats  # of its free rate that each fire keeps (time, burning)


ZERO, ONE, WALLED = np.float32(0.0), np.float32(1.0), np.float32(1e-3)
MILLI, KILO = np.float32(1e-3), np.float32(1e3)
COLDEST, HOTTEST = np.float32(-40.0), np.float32(100.0)
# of `physics.saturation_vapour_density`
MAGNUS, SLOPE, CELSIUS = np.float32(610.94), np.float32(17.625), np.float32(243.04)
MOLAR, GAS, KELVIN = np.float32(18.015), np.float32(8.314), np.float32(273.15)
ZONES, CARRIED, BLOCK = 3, 12, 16
HEAT, SMOKE, DROPLETS, WATER, OXYGEN = 0, 2, 5, 8, 10
RADIANT, VENT, OUTDOOR_PM, SOUND = 12, 13, 14, 15


@compiled
def saturation(celsius):
    """See `physics.saturation_vapour_density`."""
    clamped = min(max(celsius, COLDEST), HOTTEST)
    pressure = MAGNUS * math.exp(SLOPE * clamped / (CELSIUS + clamped))
    return MOLAR * pressure / (GAS * (clamped + KELVIN))


@compiled
def acts(rates):
    """Whether anything is given off. (quantity,)"""
    for value in rates:
        if value != ZERO:
            return True
    return False


@compiled
def part(state, walls, run):
    """Let a run, 1 or 2, go on from run 0: state (run, zone, quantity), walls (run, zone)."""
    for z in range(ZONES):  # assigning arrays would take numba seconds to compile
        walls[run, z] = walls[0, z]
        for q in range(CARRIED):
            state[run, z, q] = state[0, z, q]


@compiled
def step_air(state, walls, right, vent, one, air, step_s, pace):
    """One step of `air.carry` for row `one`: state (zone, quantity) and walls (zone,) in place.

    `right` is what comes into the zones (zone, quantity), overwritten; `pace` is 0 in the pre-roll.
    """
    for z in range(ZONES):
        held = air.volume[one, z] / step_s
        kept, duct = held - air.duct[one, z], air.duct[one, z]
        for q in range(CARRIED):
            right[z, q] += kept * state[z, q]
        if duct > ZERO:
            for q in range(CARRIED):
                returned = ZERO
                for other in range(ZONES):
                    returned += state[other, q] * air.duct_share[one, other]
                right[z, q] += duct * (returned * air.filter[one, q])
        right[z, HEAT] += air.to_walls[one, z] * walls[z]
    first = math.sqrt(abs(state[0, HEAT] - state[1, HEAT])) * air.drive[one, 0] + air.fan[one, 0]
    last = math.sqrt(abs(state[1, HEAT] - state[2, HEAT])) * air.drive[one, 1] + air.fan[one, 1]
    held_0 = air.volume[one, 0] / step_s + vent[0]
    held_1 = air.volume[one, 1] / step_s + vent[1]
    held_2 = air.volume[one, 2] / step_s + vent[2]
    for q in range(CARRIED):  # both ends are eliminated, then the middle is known
        end_0 = held_0 + air.leaving[one, 0, q]
        end_2 = held_2 + air.leaving[one, 2, q]
        over_0, over_2 = ONE / (end_0 + first), ONE / (end_2 + last)
        share_0, share_2 = first * over_0, last * over_2
        known = right[1, q] + share_0 * right[0, q] + share_2 * right[2, q]
        below = held_1 + air.leaving[one, 1, q] + share_0 * end_0 + share_2 * end_2
        middle = known / below
        state[1, q] = middle
        state[0, q] = right[0, q] * over_0 + share_0 * middle
        state[2, q] = right[2, q] * over_2 + share_2 * middle
    for z in range(ZONES):
        heat = state[z, HEAT]
        warmer = walls[z] + air.warming[one, pace] * (heat - walls[z])
        walls[z] = warmer * air.conducting[one, pace]
        # vapour beyond saturation is dew and fog, and droplets dry
        most = saturation(air.indoor_c[one] + heat)
        beyond = max(state[z, WATER] - most, ZERO)
        state[z, WATER] -= beyond
        dryness = ONE - state[z, WATER] / most
        droplets = state[z, DROPLETS] + air.fog[one] * beyond
        state[z, DROPLETS] = droplets / (ONE + step_s * air.drying[one] * dryness)


@compiled
def come_in(right, vent, sound, run, k, i, air, sources, laws):
    """What comes into the zones of scenario `i` at step `k`; returns the sun's warmth.

    A run is 0 with everything, 1 without the fire, 2 without any event. Written are right
    (zone, quantity), vent and sound (zone,).
    """
    for z in range(ZONES):
        vent[z] = sound[z] = ZERO
        for q in range(CARRIED):
            right[z, q] = ZERO
    for q in range(CARRIED):
        right[0, q] = sources.people[k, i, q]
    sound[0] = sources.people[k, i, SOUND]
    outdoor_pm, sun = sources.outdoor_pm[k, i], ZERO
    if run < 2:
        for slot in (1, 2):
            rates = sources.first[k, i] if slot == 1 else sources.second[k, i]
            z = sources.zone[i, slot]
            for q in range(CARRIED):
                right[z, q] += rates[q]
            vent[z] += rates[VENT]
            sound[z] += rates[SOUND]
            is_both = slot == 2 and z == sources.zone[i, 1]
            sun = sun + rates[RADIANT] if is_both else max(sun, rates[RADIANT])
            outdoor_pm += MILLI * rates[OUTDOOR_PM]
    for z in range(ZONES):
        right[z, HEAT] *= laws.heat_share
        for q in range(CARRIED):
            right[z, q] += air.steady[i, z, q] + vent[z] * air.let_in[i, q]
        right[z, SMOKE] += (air.fresh[i, z] + vent[z]) * outdoor_pm
    return sun


@compiled
def burn(right, deficit, rates, laws):
    """Add a fire's rates to a zone (quantity,) that lacks oxygen; returns the share it keeps."""
    share = ONE - (deficit - laws.oxygen_limit) / laws.oxygen_span
    share = min(max(share, laws.least_share), ONE)
    spare = share - share * share
    right[HEAT] += (share + laws.gain[HEAT] * spare) * (rates[HEAT] * laws.heat_share)
    for q in range(1, CARRIED):
        right[q] += (share + laws.gain[q] * spare) * rates[q]
    return share


@compiled
def mix(air, sources, calm_row, bare_row, laws, steps_s, where, seen):
    """Carry what n scenarios give off through their zones, in up to three runs each.

    A run without an event is the run with it until the event begins, and parts from it there.

    Args:
        air: of the scenarios.
        sources: what they give off.
        calm_row: where the run without the fire is written, -1 for nowhere (n,)
        bare_row: the same of the run without any event (n,)
        laws: figures.
        steps_s: length of each step; those of the stream come last. [s] (time,)
        where: zone of each sensor (n, sensor)
        seen: what is written.
    """
    n, sensors = where.shape
    early = len(steps_s) - seen.air.shape[1]
    state = np.empty((BLOCK, 3, ZONES, CARRIED), np.float32)
    walls = np.empty((BLOCK, 3, ZONES), np.float32)
    parted = np.empty((BLOCK, 3), np.bool_)
    right = np.empty((ZONES, CARRIED), np.float32)
    vent, sound = np.empty(ZONES, np.float32), np.empty((3, ZONES), np.float32)
    sun = np.empty(3, np.float32)
    for begin in range(0, n, BLOCK):
        end = min(begin + BLOCK, n)
        for i in range(begin, end):
            for run in range(3):
                parted[i - begin, run] = False
            for z in range(ZONES):
                walls[i - begin, 0, z] = ZERO
                for q in range(CARRIED):
                    state[i - begin, 0, z, q] = air.start[i, q]
        for k in range(len(steps_s)):
            step_s, pace = steps_s[k], int(k >= early)
            for i in range(begin, end):
                mine, its_walls, apart = state[i - begin], walls[i - begin], parted[i - begin]
                is_fire = i < sources.burning
                burns = is_fire and acts(sources.fire[k, i])
                if calm_row[i] >= 0 and burns and not apart[1]:
                    part(mine, its_walls, 1)
                    apart[1] = True
                if bare_row[i] >= 0 and not apart[2] and (
                    burns or acts(sources.first[k, i]) or acts(sources.second[k, i])
                ):  # fmt: skip
                    part(mine, its_walls, 2)
                    apart[2] = True
                for run in range(3):
                    if run > 0 and not apart[run]:
                        continue
                    sun[run] = come_in(right, vent, sound[run], run, k, i, air, sources, laws)
                    if run == 0 and is_fire:
                        z = sources.zone[i, 0]
                        rates = sources.fire[k, i]
                        seen.share[k, i] = burn(right[z], mine[0, z, OXYGEN], rates, laws)
                        sound[0, z] += rates[SOUND]
                    step_air(mine[run], its_walls[run], right, vent, i, air, step_s, pace)
                if k < early:
                    continue
                for run in range(3):
                    row = i if run == 0 else (calm_row[i] if run == 1 else bare_row[i])
                    if row < 0:
                        continue
                    of = run if apart[run] else 0
                    through = WALLED * (sound[of, 0] + sound[of, 1] + sound[of, 2])
                    for place in range(sensors):
                        z = where[i, place]
                        seen.sound[k - early, place, row] = sound[of, z] + through
                        seen.sun[k - early, place, row] = sun[of]
                        for q in range(CARRIED):
                            seen.air[q, k - early, place, row] = mine[of, z, q]


@compiled
def follow(values, share):
    """First-order response in place, both (time, row): see `reference_alarms.follow`."""
    for k in range(1, values.shape[0]):
        for j in range(values.shape[1]):
            before, now = values[k - 1, j], values[k, j]
            if not math.isnan(before):
                values[k, j] = before + share[k, j] * (now - before)
