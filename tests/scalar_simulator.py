"""The simulator's laws once more, one scenario and one number at a time, in plain Python.

It shares no code with the simulator (`saafe.simulator`): the
tests compare the batched simulator with it, and `benchmarks/simulate.py` times both.
"""

import math
from dataclasses import dataclass

from saafe.simulator.simulation import ScenarioDraw

(
    HEAT, SOOT, SMOKE, COOKING, DUST, DROPLETS, CO2, CO, WATER, VOC, OXYGEN, HYDROGEN, RADIANT,
    VENT, OUTDOOR_PM, SOUND,
) = range(16)  # fmt: skip
CARRIED, QUANTITIES, ZONES = 12, 16, 3
PARTICLES = range(1, 6)
T, P, C2, S, CM, H = range(6)  # channels


@dataclass
class Scenario:
    """Plain numbers of one scenario of a world."""

    steps: int
    steps_s: list[float]
    building: dict
    devices: dict
    fault: tuple[list, list]
    zone: list[int]
    base_m: list[float]
    walls: list[float]
    rates: list[list[list[float]]]  # of the fire and two nuisances (time, quantity)
    state: list[list[int]]
    people: list[list[float]]
    outdoor_pm: list[float]
    weather: list[float]
    shreds: list[list[float]]  # (step, sensor)


def scenario_of(world: ScenarioDraw, i: int) -> Scenario:
    def plain(part) -> dict:
        return {name: v[i].tolist() for name, v in vars(part).items() if v is not None}

    return Scenario(
        world.steps,
        world.steps_s,
        plain(world.building),
        plain(world.devices),
        (world.broken.kind[i].tolist(), world.broken.channel[i].tolist()),
        world.events.zone[i].tolist(),
        world.events.base_m[i].tolist(),
        world.events.walls[i].tolist(),
        [rates[:, i].tolist() for rates in world.events.rates],
        [state[-world.steps :, i].tolist() for state in world.events.state],
        world.people[:, i].tolist(),
        world.outdoor_pm[:, i].tolist(),
        world.weather[:, i].tolist(),
        world.shreds[:, i].tolist(),
    )


def saturation(celsius: float) -> float:
    """Water vapour at saturation [g/m3] (Magnus)."""
    celsius = min(max(celsius, -40.0), 100.0)
    pressure = 610.94 * math.exp(17.625 * celsius / (243.04 + celsius))
    return 18.015 * pressure / (8.314 * (celsius + 273.15))


def solve3(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination of a tridiagonal system of three."""
    (a, b, _), (c, d, e), (_, f, g) = matrix
    x, y, z = right
    ratio = c / a
    d, y = d - ratio * b, y - ratio * x
    ratio = f / d
    g, z = g - ratio * e, z - ratio * y
    z = z / g
    y = (y - e * z) / d
    return [(x - b * y) / a, y, z]


def starved(air: float) -> list[float]:
    """What a fire gives off for want of air, against plenty, by quantity."""
    strength = [air] * QUANTITIES
    most = ((CO, 10.0), (SOOT, 2.0), (SMOKE, 2.0), (CO2, 0.7), (VOC, 5.0), (HYDROGEN, 10.0))
    for q, yields in most:
        strength[q] = air * (1.0 + (yields - 1.0) * (1.0 - air))
    return strength


def air_in_zones(s: Scenario, slots: list[int]) -> tuple[list[list[list[float]]], list[float]]:
    """What the air of each zone holds, with only some of the events (time, zone, CARRIED).

    And the share of its free rate that the fire keeps (time,).
    """
    b = s.building
    volume, fresh, wall, deposition = b["volume"], b["fresh"], b["wall_loss"], b["deposition"]
    outdoor, duct, kept = b["outdoor"], b["recirculation"], b["filter"]
    state = [list(outdoor) for _ in range(ZONES)]
    for zone in state:
        zone[WATER] = b["indoor_water"]
    out, kept_rate, warm = [], [], [0.0] * ZONES
    for k, step in enumerate(s.steps_s):
        given = [[0.0] * QUANTITIES for _ in range(ZONES)]
        kept_rate.append(1.0)
        for q, value in enumerate(s.people[k]):
            given[0][q] += value
        for slot in slots:
            zone = s.zone[slot]
            strength = [1.0] * QUANTITIES
            if slot == 0:
                air = 1.0 - (state[zone][OXYGEN] - 105.0) / 60.0
                kept_rate[-1] = min(max(air, 0.02), 1.0)
                strength = starved(kept_rate[-1])
            for q, value in enumerate(s.rates[slot][k]):
                given[zone][q] += strength[q] * value
        smoke = s.outdoor_pm[k]
        for slot in slots:
            if slot:
                smoke += 1e-3 * s.rates[slot][k][OUTDOOR_PM]
        swap = []
        for door in range(2):
            drop = abs(state[door][HEAT] - state[door + 1][HEAT])
            buoyant = 0.61 / 3.0 * b["door"][door] * math.sqrt(9.81 * 2.0 * drop / 293.0)
            swap.append(buoyant + b["fan"][door])
        through = sum(duct)
        new = [[0.0] * CARRIED for _ in range(ZONES)]
        for q in range(CARRIED):
            returned = 0.0
            if through > 0.0:
                mixed = sum(duct[z] * state[z][q] for z in range(ZONES))
                returned = kept[q] * mixed / through
            matrix, right = [], []
            for z in range(ZONES):
                lost = volume[z] * (deposition[q] + (wall[z] if q == HEAT else 0.0))
                gain, vent = given[z][q], given[z][VENT]
                if q == HEAT:
                    gain = 0.7 * gain / (1.2 * 1.005) + vent * b["outdoor_excess_c"]
                    gain += fresh[z] * outdoor[HEAT] + wall[z] * volume[z] * warm[z]
                elif q == WATER:
                    gain += vent * outdoor[q] + (fresh[z] + lost) * b["indoor_water"]
                else:
                    gain += (fresh[z] + vent) * outdoor[q]
                if q == SMOKE:
                    gain += (fresh[z] + vent) * smoke
                row = [0.0, 0.0, 0.0]
                row[z] = volume[z] / step + fresh[z] + vent + lost
                for door in range(2):
                    if z in (door, door + 1):
                        row[z] += swap[door]
                        row[2 * door + 1 - z] -= swap[door]
                matrix.append(row)
                right.append(gain + volume[z] / step * state[z][q])
                right[z] += duct[z] * (returned - state[z][q])
            for z, value in enumerate(solve3(matrix, right)):
                new[z][q] = value
        state = new
        for z, held in enumerate(state):
            warm[z] += (1.0 - math.exp(-step / b["wall_s"])) * (held[HEAT] - warm[z])
            warm[z] *= math.exp(-step * b["wall_out"] / b["wall_s"])
            most = saturation(b["indoor_c"] + held[HEAT])
            beyond = max(held[WATER] - most, 0.0)
            held[WATER] -= beyond
            held[DROPLETS] += 1e3 * b["fog_share"] * beyond
            held[DROPLETS] /= 1.0 + step * b["drying"] * (1.0 - held[WATER] / most)
        out.append([list(held) for held in state])
    return out[-s.steps :], kept_rate[-s.steps :]


def add_near(
    s: Scenario, slot: int, sensor: int, seen: list[list[float]], kept_rate: list[float]
) -> None:
    """Add what a source in the same room brings to a sensor. seen: (step, CARRIED)"""
    b = s.building
    zone = s.zone[slot]
    if b["sensor_zone"][sensor] != zone:
        return
    height, draught = max(b["height"][zone] - s.base_m[slot], 0.3), b["air_speed"][sensor]
    radius = b["fire_distance" if slot == 0 else "distance"][sensor]
    ceiling, walls = b["under_ceiling"][sensor], s.walls[slot]
    dryness = max(1.0 - b["indoor_water"] / saturation(b["indoor_c"]), 0.0)
    weakest = (height / (5.54 * b["gradient"] ** (-3 / 8))) ** 4 / 0.7
    rates = s.rates[slot][-s.steps :]
    if slot == 0:
        rates = [
            [strength * rate for strength, rate in zip(starved(air), row, strict=True)]
            for air, row in zip(kept_rate, rates, strict=True)
        ]
    for k in range(s.steps):
        heat = walls * max(rates[k][HEAT], 0.0)
        fast = 0.96 * (heat / height) ** (1 / 3)
        slow = 0.195 * heat ** (1 / 3) * math.sqrt(height) / radius ** (5 / 6)
        speed = draught + (min(fast, slow) if ceiling else 0.0)
        then = rates[max(0, k - round(radius / speed / 10.0))]
        heat = max(then[HEAT], 0.0)
        rise = 16.9 * (walls * heat) ** (2 / 3) / height ** (5 / 3)
        rise = min(rise, 5.38 * (walls * heat / radius) ** (2 / 3) / height, 1000.0)
        rise *= 1.0 if ceiling else 0.1
        if ceiling and heat < weakest:
            rise = 0.0
        stirred = math.pi * (radius**2 + (height**2 if ceiling else 0.0)) * draught
        flow = stirred
        if rise > 0.0:
            flow += 0.7 * heat / (1.2 * 1.005 * max(rise, 1e-3))
        flow /= (flow + stirred * (s.shreds[k][sensor] - 1.0)) / flow
        for q in range(1, CARRIED):
            dried = math.exp(-b["drying"] * dryness * radius / speed) if q == DROPLETS else 1.0
            seen[k][q] += dried * then[q] / flow
        seen[k][HEAT] += rise


def true_channels(s: Scenario, sensor: int, air: list[list[float]], slots: list[int]) -> list:
    """Channels of the true air at a sensor. (step, 6)"""
    b, out = s.building, []
    here, radius = b["sensor_zone"][sensor], b["distance"][sensor]
    early = len(s.steps_s) - s.steps
    for k, held in enumerate(air):
        celsius = min(b["indoor_c"] + held[HEAT], 1200.0)
        power = [0.0] * ZONES
        power[0] = s.people[early + k][SOUND]
        warm = [0.0] * ZONES
        for slot in slots:
            power[s.zone[slot]] += s.rates[slot][early + k][SOUND]
            if slot:
                warm[s.zone[slot]] += s.rates[slot][early + k][RADIANT]
        heard = power[here] + 1e-3 * sum(power)
        level = 10.0 * math.log10(heard + 1.0)
        level += 10.0 * math.log10(1.0 / (4.0 * math.pi * radius**2) + 4.0 / 15.0)
        level = 10.0 * math.log10(10.0 ** (level / 10.0) + 10.0 ** (b["background_db"] / 10.0))
        row = [0.0] * 6
        row[T] = celsius + max(warm) * b["sun_share"][sensor] + s.weather[k]
        row[H] = min(max(100.0 * held[WATER] / saturation(celsius), 0.0), 100.0)
        row[P] = 1e3 * (sum(held[q] for q in PARTICLES) - 0.97 * held[DROPLETS])
        row[C2] = 24_055.0 / 44.01 * held[CO2]
        row[CM] = 24.055 / 28.01 * held[CO]
        row[S] = level
        out.append(row)
    return out


def shown(s: Scenario, sensor: int, truth: list, air: list) -> list:
    """What a clean instrument shows of the truth. (step, 6)"""
    d = {name: value[sensor] for name, value in s.devices.items()}
    lag = list(d["lag_s"])
    if s.fault[0][sensor] == 4:  # slow
        lag[s.fault[1][sensor]] *= 20.0
    share = [1.0 - math.exp(-10.0 / x) for x in lag]
    zero = [20.0, 0.0, 420.0, 0.0, 0.0, 50.0]
    last, out = None, []
    for k, true in enumerate(truth):
        row = list(true)
        row[CM] += d["voc_as_co"] * air[k][VOC]
        row[CM] += d["hydrogen_as_co"] * 24.055 / 2.016 * air[k][HYDROGEN]
        if d["voc_as_co2"] > 0.0:
            row[C2] = 400.0 + d["voc_as_co2"] * air[k][VOC] + 2.0 * row[CM]
        row[P] = 1e3 * sum(
            share * air[k][q] for q, share in zip(PARTICLES, d["response"], strict=True)
        )
        activity = min(max(row[H] / 100.0, 0.0), 0.9)
        row[P] *= 1.0 + d["kappa"] * activity / (1.0 - activity)
        warm = row[T] + d["self_heat"]
        row[H] *= saturation(row[T]) / saturation(warm)
        row[T] = warm
        if last is not None:
            row = [x + w * (y - x) for x, w, y in zip(last, share, row, strict=True)]
        last = row
        reading = []
        for c, value in enumerate(row):
            value = (value - zero[c]) * d["gain"][c] + zero[c] + d["offset"][c]
            if value < d["zero_below"][c]:
                value = d["lowest"][c]
            reading.append(min(max(value, d["lowest"][c]), d["highest"][c]))
        out.append(reading)
    return out


def run(s: Scenario, slots: list[int]) -> tuple[list, list]:
    """Truth (sensor, step, 6) and air (sensor, step, CARRIED) with only some of the events."""
    zones, kept_rate = air_in_zones(s, slots)
    truths, airs = [], []
    for sensor, here in enumerate(s.building["sensor_zone"]):
        air = [list(moment[here]) for moment in zones]
        for slot in slots:
            add_near(s, slot, sensor, air, kept_rate)
        truths.append(true_channels(s, sensor, air, slots))
        airs.append(air)
    return truths, airs


def play(s: Scenario, *, fire: bool, nuisance: bool) -> tuple[list, list, list, list]:
    """Truth, and clean readings in full, without the fire, and without any event.

    Four of (sensor, step, 6); unresponsive channels show no event.
    """
    nuisances = [1, 2] if nuisance else []
    with_all = run(s, [0, *nuisances] if fire else nuisances)
    without_fire = run(s, nuisances) if fire else with_all
    alone = run(s, []) if nuisance else without_fire
    full, calm, bare = (
        [shown(s, sensor, *seen) for sensor, seen in enumerate(zip(*each, strict=True))]
        for each in (with_all, without_fire, alone)
    )
    for sensor, unresponsive in enumerate(s.devices["unresponsive"]):
        for c in range(6):
            if unresponsive[c]:
                for k in range(s.steps):
                    full[sensor][k][c] = calm[sensor][k][c] = bare[sensor][k][c]
    return with_all[0], full, calm, bare
