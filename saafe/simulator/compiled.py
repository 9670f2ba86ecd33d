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

from saafe.simulator.buildings import ZONES
from saafe.simulator.emissions import CARRIED, Quantity


def compile_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, kept beside its file, else in the user's cache."""
    options = {"nogil": True, "error_model": "numpy"}  # of a division: no exception, so in lanes
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # neither place can be written: it is compiled in each process
        return numba.njit(function, **options)


class Laws(NamedTuple):
    """Figures of `air` and `emissions`, in single precision."""

    heat_share: np.float32  # what a kW of a source is to the air's temperature. [K m3/s]
    oxygen_limit: np.float32  # see `air.air_to_burn`
    oxygen_span: np.float32
    least_share: np.float32


_ZERO, _ONE, _MILLI = np.float32(0.0), np.float32(1.0), np.float32(1e-3)
_COLDEST, _HOTTEST = np.float32(-40.0), np.float32(100.0)
# of `physics.saturation_vapour_density`
_MAGNUS, _SLOPE, _CELSIUS = np.float32(610.94), np.float32(17.625), np.float32(243.04)
_MOLAR, _GAS, _KELVIN = np.float32(18.015), np.float32(8.314), np.float32(273.15)
RUNS = 3
ABREAST = 16  # rows that go through time together: a line of the cache
# Figures of other modules stand here as numbers: numba's cache sees changes of this file alone
_ZONES, _CARRIED = 3, 12
_HEAT, _SMOKE, _DROPLETS, _WATER, _OXYGEN = 0, 2, 5, 8, 10
_RADIANT, _VENT, _OUTDOOR_PM, _SOUND = 12, 13, 14, 15
assert (_ZONES, _CARRIED) == (ZONES, CARRIED)
assert all(globals()[f"_{name}"] == Quantity[name] for name in (
    "HEAT", "SMOKE", "DROPLETS", "WATER", "OXYGEN", "RADIANT", "VENT", "OUTDOOR_PM", "SOUND"
)), "the order of quantities changed"  # fmt: skip
# numba hands few arrays on quickly and many slowly: figures of rooms lie in one, beginning at
ROOM = {
    "fresh": 3, "duct": 3, "duct_share": 3, "to_walls": 3, "drive": 2, "fan": 2, "indoor_c": 1,
    "fog": 1, "drying": 1, "held_early": 3, "held": 3, "warming_early": 1, "warming": 1,
    "conducting_early": 1, "conducting": 1,
}  # fmt: skip
_AT = dict(zip(ROOM, np.cumsum([0, *ROOM.values()])[:-1].tolist(), strict=True))
_FRESH, _DUCT, _DUCT_SHARE, _TO_WALLS = (
    _AT[k] for k in ("fresh", "duct", "duct_share", "to_walls")
)
_DRIVE, _FAN, _INDOOR, _FOG, _DRYING = (
    _AT[k] for k in ("drive", "fan", "indoor_c", "fog", "drying")
)
_HELD, _WARMING, _CONDUCTING = (_AT[f"{k}_early"] for k in ("held", "warming", "conducting"))
_STEADY, _LEAVING = 0, 1  # of `zones`
_START, _LET_IN, _FILTER = 0, 1, 2  # of `carried`


@compile_loop
def saturation(celsius):
    """See `physics.saturation_vapour_density`."""
    clamped = min(max(celsius, _COLDEST), _HOTTEST)
    pressure = _MAGNUS * math.exp(_SLOPE * clamped / (_CELSIUS + clamped))
    return _MOLAR * pressure / (_GAS * (clamped + _KELVIN))


@compile_loop
def acts(rates, k, i):
    """Whether anything is given off at a step in a scenario, of (time, n, quantity)."""
    for q in range(rates.shape[2]):  # noqa: SIM110
        if rates[k, i, q] != _ZERO:
            return True
    return False


@compile_loop
def add_source(right, at_zone, rates, k, i, z):
    """Add what a source gives off to a zone: right (zone, quantity), at_zone (3, zone)."""
    for q in range(_CARRIED):
        right[z, q] += rates[k, i, q]
    at_zone[0, z] += rates[k, i, _VENT]
    at_zone[1, z] += rates[k, i, _SOUND]
    at_zone[2, z] += rates[k, i, _RADIANT]
    return _MILLI * rates[k, i, _OUTDOOR_PM]


@compile_loop
def come_in(right, at_zone, outdoor_pm, zones, carried, rooms, i, heat_share):
    """Turn what is given off into what comes in, fresh air too, but for fires; in place."""
    for z in range(_ZONES):
        vent = at_zone[0, z]
        right[z, _HEAT] *= heat_share
        for q in range(_CARRIED):
            right[z, q] += zones[i, _STEADY, z, q] + vent * carried[i, _LET_IN, q]
        right[z, _SMOKE] += (rooms[i, _FRESH + z] + vent) * outdoor_pm


@compile_loop
def add_fire(right, z, deficit, fire, k, i, gain, laws):
    """Add a fire to a zone that lacks oxygen; returns the share of its free rate that it keeps."""
    share = _ONE - (deficit - laws.oxygen_limit) / laws.oxygen_span
    share = min(max(share, laws.least_share), _ONE)
    spare = share - share * share
    right[z, _HEAT] += (share + gain[_HEAT] * spare) * (fire[k, i, _HEAT] * laws.heat_share)
    for q in range(1, _CARRIED):
        right[z, q] += (share + gain[q] * spare) * fire[k, i, q]
    return share


@compile_loop
def step_air(state, walls, j, right, at_zone, zones, carried, rooms, i, step_s, pace):
    """One step of `air.carry`: row `j` of state (row, zone, quantity) and walls (row, zone)."""
    for q in range(_CARRIED):
        returned = _ZERO
        for z in range(_ZONES):
            returned += state[j, z, q] * rooms[i, _DUCT_SHARE + z]
        returned *= carried[i, _FILTER, q]
        for z in range(_ZONES):
            duct = rooms[i, _DUCT + z]
            kept = rooms[i, _HELD + _ZONES * pace + z] - duct
            right[z, q] += kept * state[j, z, q] + duct * returned
    for z in range(_ZONES):
        right[z, _HEAT] += rooms[i, _TO_WALLS + z] * walls[j, z]
    middle = state[j, 1, _HEAT]
    first = math.sqrt(abs(state[j, 0, _HEAT] - middle)) * rooms[i, _DRIVE] + rooms[i, _FAN]
    last = math.sqrt(abs(middle - state[j, 2, _HEAT])) * rooms[i, _DRIVE + 1] + rooms[i, _FAN + 1]
    held_0 = rooms[i, _HELD + _ZONES * pace] + at_zone[0, 0]
    held_1 = rooms[i, _HELD + _ZONES * pace + 1] + at_zone[0, 1]
    held_2 = rooms[i, _HELD + _ZONES * pace + 2] + at_zone[0, 2]
    for q in range(_CARRIED):  # both ends are eliminated, then the middle is known
        end_0 = held_0 + zones[i, _LEAVING, 0, q]
        end_2 = held_2 + zones[i, _LEAVING, 2, q]
        over_0, over_2 = _ONE / (end_0 + first), _ONE / (end_2 + last)
        share_0, share_2 = first * over_0, last * over_2
        known = right[1, q] + share_0 * right[0, q] + share_2 * right[2, q]
        below = held_1 + zones[i, _LEAVING, 1, q] + share_0 * end_0 + share_2 * end_2
        middle = known / below
        state[j, 1, q] = middle
        state[j, 0, q] = right[0, q] * over_0 + share_0 * middle
        state[j, 2, q] = right[2, q] * over_2 + share_2 * middle
    for z in range(_ZONES):
        heat = state[j, z, _HEAT]
        warmer = walls[j, z] + rooms[i, _WARMING + pace] * (heat - walls[j, z])
        walls[j, z] = warmer * rooms[i, _CONDUCTING + pace]
        # vapour beyond saturation is dew and fog, and droplets dry
        most = saturation(rooms[i, _INDOOR] + heat)
        beyond = max(state[j, z, _WATER] - most, _ZERO)
        state[j, z, _WATER] -= beyond
        dryness = _ONE - state[j, z, _WATER] / most
        droplets = state[j, z, _DROPLETS] + rooms[i, _FOG] * beyond
        state[j, z, _DROPLETS] = droplets / (_ONE + step_s * rooms[i, _DRYING] * dryness)


@compile_loop
def mix(
    zones, carried, rooms, where, people, fire, first, second, zone, outdoor_pm, burning, row_of,
    gain, laws, steps_s, air, sound, sun, kept_rate,
):  # fmt: skip
    """Carry what n scenarios give off through their zones, in up to three runs each.

    A run without an event is the run with it until the event begins, and parts from it there.

    Args:
        zones: `air.Flows` steady and leaving (n, 2, zone, quantity)
        carried: `air.Flows` start, let_in, filter (n, 3, quantity)
        rooms: the figures of `ROOM` (n, figure)
        where: zone of each sensor (n, sensor)
        people: what life gives off (time, n, quantity)
        fire: what fires do, alike
        first: what one nuisance does, alike
        second: what another does, alike
        zone: of the three (n, 3)
        outdoor_pm: see `mixing.Given` (time, n)
        burning: how many of the first scenarios have a fire
        row_of: where each run is written: with everything, without the fire, without any event;
            -1 for nowhere (n, 3)
        gain: see `air.yield_gain` (quantity,)
        laws: figures
        steps_s: length of each step; those of the stream come last. [s] (time,)
        air: written, see `mixing.Mixed` (quantity, step, sensor, r)
        sound: alike (step, sensor, r)
        sun: alike (step, sensor, r)
        kept_rate: alike (time, burning)
    """
    n, sensors = where.shape
    early = len(steps_s) - air.shape[1]
    state = np.empty((ABREAST * RUNS, _ZONES, _CARRIED), np.float32)
    walls = np.empty((ABREAST * RUNS, _ZONES), np.float32)
    parted = np.empty(ABREAST * RUNS, np.bool_)
    right = np.empty((_ZONES, _CARRIED), np.float32)
    at_zone = np.empty((3, _ZONES), np.float32)  # vent, sound, sun
    heard = np.empty((RUNS, _ZONES), np.float32)
    warmth = np.empty(RUNS, np.float32)
    for begin in range(0, n, ABREAST):
        end = min(begin + ABREAST, n)
        for i in range(begin, end):
            j = RUNS * (i - begin)
            for run in range(RUNS):
                parted[j + run] = run == 0
            for z in range(_ZONES):
                walls[j, z] = _ZERO
                for q in range(_CARRIED):
                    state[j, z, q] = carried[i, _START, q]
        for k in range(len(steps_s)):
            pace = int(k >= early)
            for i in range(begin, end):
                j = RUNS * (i - begin)
                burns = i < burning and acts(fire, k, i)
                disturbed = acts(first, k, i) or acts(second, k, i)
                for run in range(1, RUNS):
                    parts = burns or (run == 2 and disturbed)
                    if parts and row_of[i, run] >= 0 and not parted[j + run]:
                        parted[j + run] = True
                        for z in range(_ZONES):
                            walls[j + run, z] = walls[j, z]
                            for q in range(_CARRIED):
                                state[j + run, z, q] = state[j, z, q]
                for run in range(RUNS):
                    if not parted[j + run]:
                        continue
                    for z in range(_ZONES):
                        for q in range(_CARRIED):
                            right[z, q] = people[k, i, q] if z == 0 else _ZERO
                        for kind in range(3):
                            at_zone[kind, z] = _ZERO
                    at_zone[1, 0] = people[k, i, _SOUND]
                    outside = outdoor_pm[k, i]
                    if run < 2 and disturbed:
                        outside += add_source(right, at_zone, first, k, i, zone[i, 1])
                        outside += add_source(right, at_zone, second, k, i, zone[i, 2])
                    come_in(right, at_zone, outside, zones, carried, rooms, i, laws.heat_share)
                    if run == 0 and i < burning:
                        z = zone[i, 0]
                        deficit = state[j, z, _OXYGEN]
                        kept_rate[k, i] = add_fire(right, z, deficit, fire, k, i, gain, laws)
                        at_zone[1, z] += fire[k, i, _SOUND]
                    warmth[run] = max(at_zone[2, 0], at_zone[2, 1], at_zone[2, 2])
                    for z in range(_ZONES):
                        heard[run, z] = at_zone[1, z]
                    step_air(
                        state, walls, j + run, right, at_zone, zones, carried, rooms, i,
                        steps_s[k], pace,
                    )  # fmt: skip
                if k < early:
                    continue
                for run in range(RUNS):
                    row, of = row_of[i, run], run if parted[j + run] else 0
                    if row < 0:
                        continue
                    through = _MILLI * (heard[of, 0] + heard[of, 1] + heard[of, 2])  # 30 dB
                    for place in range(sensors):
                        z = where[i, place]
                        sound[k - early, place, row] = heard[of, z] + through
                        sun[k - early, place, row] = warmth[of]
                        for q in range(_CARRIED):
                            air[q, k - early, place, row] = state[j + of, z, q]


@compile_loop
def first_order(values, share):
    """First-order response in place, both (time, row); see `reference_alarms`."""
    for k in range(1, values.shape[0]):
        for j in range(values.shape[1]):
            before, now = values[k - 1, j], values[k, j]
            if not math.isnan(before):
                values[k, j] = before + share[k, j] * (now - before)
