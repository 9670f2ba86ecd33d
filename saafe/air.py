"""Heat, smoke, gases and sound on their way from sources to sensors. Layer 3.

Zones are well mixed; the air carries what sources give off (implicit Euler, which conserves mass
at any step); sensors in the room of a source see its ceiling jet or its near field on top.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from saafe import emissions, physics
from saafe.buildings import ZONES, Building
from saafe.emissions import CARRIED
from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, PM25, SOUND, TEMPERATURE

# a hot layer carries smoke out under its own buoyancy; combustion fails under some 13 % oxygen
OXYGEN_LIMIT, OXYGEN_SPAN = 105.0, 60.0  # deficit at which flames weaken, and die. [g/m3]


@dataclass
class Supply:
    """What every zone receives, step by step, of r rows of which the first m burn."""

    rates: Tensor  # what all sources but fires emit (time, r, zone, CARRIED)
    fire: Tensor  # what fires emit, with air to burn in (time, m, zone, CARRIED)
    vent: Tensor  # open windows [m3/s] (time, r, zone)
    outdoor_pm: Tensor  # smoke outdoors [mg/m3] (time, r)
    sound: Tensor  # [pW] (time, r, zone)
    radiant: Tensor  # [K] (time, r, zone)


def carry(building: Building, supply: Supply, steps_s: list[float]) -> Tensor:
    """Move heat, smoke and gases through the zones, one implicit Euler step after another.

    Args:
        building: rooms, of r rows.
        supply: what the zones receive; its `rates` and `fire` are overwritten.
        steps_s: length of each step. [s]

    Returns:
        What the air holds above the outdoor baseline's units: K, mg/m3 or g/m3.
        (time, r, zone, CARRIED)
    """
    burning = supply.fire.shape[1]
    volume = building.volume.unsqueeze(-1)  # (r, zone, 1)
    fresh = building.fresh.unsqueeze(-1)
    losses = building.deposition.unsqueeze(1).repeat(1, ZONES, 1)
    losses[..., emissions.HEAT] += building.wall_loss
    losses = losses * volume  # (r, zone, CARRIED) [m3/s]
    # all that does not depend on the state is prepared for every step at once
    to_kelvin = 0.7 / (physics.AIR_DENSITY * physics.AIR_HEAT_CAPACITY)  # the rest is radiated
    incoming, fire = supply.rates, supply.fire
    incoming[..., emissions.HEAT] *= to_kelvin
    fire[..., emissions.HEAT] *= to_kelvin
    steady = fresh * building.outdoor.unsqueeze(1)
    # walls hold moisture near the outdoor level: what they take they give back
    steady[..., emissions.WATER] += (
        losses[..., emissions.WATER] * building.outdoor[:, None, emissions.WATER]
    )
    incoming += steady
    vented = bool(supply.vent.any())
    if vented:
        vent = supply.vent.unsqueeze(-1)
        incoming += vent * building.outdoor.unsqueeze(1)
        incoming[..., emissions.HEAT] += supply.vent * building.outdoor_excess_c.unsqueeze(1)
    outdoor_air = building.fresh + supply.vent
    incoming[..., emissions.PM] += outdoor_air * supply.outdoor_pm.unsqueeze(-1)
    drive = 0.61 / 3.0 * building.door * (physics.GRAVITY * 2.0 / 293.0) ** 0.5
    state = building.outdoor.unsqueeze(1).repeat(1, ZONES, 1)  # (r, zone, CARRIED)
    out = state.new_empty(len(steps_s), *state.shape)
    leaving = fresh + losses
    for k, step in enumerate(steps_s):
        if burning:
            deficit = state[:burning, :, emissions.OXYGEN]
            air = (1.0 - (deficit - OXYGEN_LIMIT) / OXYGEN_SPAN).clamp(0.02, 1.0)
            incoming[k, :burning] += air.unsqueeze(-1) * fire[k]
        heat = state[..., emissions.HEAT]
        swap = (heat[:, :-1] - heat[:, 1:]).abs().sqrt() * drive + building.fan  # (r, 2)
        share = volume / step
        right = torch.addcmul(incoming[k], share, state)
        diagonal = share + leaving
        if vented:
            diagonal = diagonal + vent[k]
        state = solve_chain(diagonal, swap, right, out[k])
    return out


def solve_chain(diagonal: Tensor, swap: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """Solve the tridiagonal system of three zones that swap air with their neighbours.

    Args:
        diagonal: without the swaps. (r, zone, k)
        swap: air between zones 0-1 and 1-2, each way. [m3/s] (r, 2)
        right: right-hand sides. (r, zone, k)
        out: where the solution is written. (r, zone, k)

    Returns:
        `out`.
    """
    a, b = swap[:, :1], swap[:, 1:]
    from_first = a / (diagonal[:, 0] + a)
    from_last = b / (diagonal[:, 2] + b)
    middle = diagonal[:, 1] + a * (1.0 - from_first) + b * (1.0 - from_last)
    known = right[:, 1] + from_first * right[:, 0] + from_last * right[:, 2]
    centre = torch.div(known, middle, out=out[:, 1])
    torch.div(right[:, 0] + a * centre, diagonal[:, 0] + a, out=out[:, 0])
    torch.div(right[:, 2] + b * centre, diagonal[:, 2] + b, out=out[:, 2])
    return out


def near_excess(rates: Tensor, zone: Tensor, building: Building) -> Tensor:
    """What a sensor in a source's room sees above the mixed air.

    A strong source drives a ceiling jet (Alpert); its smoke is diluted as much as its heat. A
    weak one is diluted by the room's turbulence: exchange through a hemisphere of radius r,
    pi r^2 u (M. Nicas, "Estimating exposure intensity in an imperfectly mixed room," AIHA J.,
    vol. 57, pp. 542-550, 1996).

    Args:
        rates: emissions. (time, n, quantity)
        zone: where the source stands. int64 (n,)
        building: rooms.

    Returns:
        Excess in K, mg/m3 or g/m3. (time, n, sensor, CARRIED)
    """
    here = (building.sensor_zone == zone.unsqueeze(1)).float()  # (n, sensor)
    height = building.height.gather(1, zone.unsqueeze(1))
    heat = rates[..., emissions.HEAT].unsqueeze(-1)  # (time, n, 1)
    rise = physics.ceiling_jet_rise(heat, height=height, radius=building.distance)
    # a shelf lies below the jet and sees a tenth of it
    rise = rise.clamp(max=1000.0) * torch.where(building.under_ceiling, 1.0, 0.1)
    turbulence = torch.pi * building.distance**2 * building.air_speed
    heated_air = physics.AIR_DENSITY * physics.AIR_HEAT_CAPACITY
    flow = turbulence + 0.7 * heat / (heated_air * rise.clamp(min=1e-3))
    excess = rates[..., :CARRIED].unsqueeze(2) * (here / flow).unsqueeze(-1)
    excess[..., emissions.HEAT] = rise * here
    return excess


def channels_of(air: Tensor, building: Building, sound: Tensor, radiant: Tensor) -> Tensor:
    """Turn what the air holds into the channels' units.

    Args:
        air: K, mg/m3, g/m3 at the sensors. (time, n, sensor, CARRIED)
        building: indoor temperature and so on.
        sound: acoustic power in the sensor's room. [pW] (time, n, sensor)
        radiant: warming of the sensor itself. [K] (time, n, sensor)

    Returns:
        (time, n, sensor, channel)
    """
    out = air.new_empty(*air.shape[:-1], len(CHANNELS))
    celsius = building.indoor_c.view(1, -1, 1) + air[..., emissions.HEAT]
    out[..., TEMPERATURE] = celsius + radiant
    wet = air[..., emissions.WATER] / physics.saturation_vapour_density(celsius)
    out[..., HUMIDITY] = (100.0 * wet).clamp(0.0, 100.0)
    out[..., PM25] = 1e3 * (air[..., emissions.PM] + air[..., emissions.DROPLETS])
    out[..., CO2] = physics.ppm_from_density(air[..., emissions.CO2], molar_mass=44.01)
    out[..., CO] = physics.ppm_from_density(1e-3 * air[..., emissions.CO], molar_mass=28.01)
    level = physics.room_sound_level(
        10.0 * torch.log10(sound + 1.0),
        distance=building.distance,
        absorption_area=torch.full_like(building.distance, 15.0),
    )
    quiet = building.background_db.view(1, -1, 1)
    out[..., SOUND] = 10.0 * torch.log10(10.0 ** (level / 10.0) + 10.0 ** (quiet / 10.0))
    return out
