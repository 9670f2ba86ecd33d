"""Heat, smoke, gases and sound on their way from sources to sensors.

Zones are well mixed; the air carries what sources give off (implicit Euler, which conserves mass
at any step); sensors in the room of a source see its ceiling jet or its near field on top.
Whatever order their dimensions have, tensors of the air lie in memory with the rows of the batch
last (`rows_last`), so that every loop runs along them.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, PM25, SOUND, TEMPERATURE, Range
from saafe.simulator import physics
from saafe.simulator.aerosols import AEROSOLS
from saafe.simulator.buildings import ZONES, Building
from saafe.simulator.emissions import CARRIED, PARTICLES, Quantity, Random
from saafe.simulator.instruments import STEP_S

# a hot layer carries smoke out under its own buoyancy; combustion fails under some 13 % oxygen
OXYGEN_LIMIT, OXYGEN_SPAN = 105.0, 60.0  # deficit at which flames weaken, and die. [g/m3]
LEAST_RATE = 0.02  # share of its free burning rate that a fire keeps
# What starved flames give off for each gram of fuel, against 1 in plenty of air: ten times the CO
# (W. M. Pitts, "The global equivalence ratio concept and the formation mechanisms of carbon
# monoxide in enclosure fires," Prog. Energy Combust. Sci., vol. 21, 1995: some 0.2 g/g), twice
# the soot, less CO2 (A. Tewarson, SFPE Handbook). From memory, not checked.
STARVED_YIELD = {
    Quantity.CO: 10.0, Quantity.SOOT: 2.0, Quantity.SMOKE: 2.0, Quantity.CO2: 0.7,
    Quantity.VOC: 5.0, Quantity.HYDROGEN: 10.0,
}  # fmt: skip
CONVECTIVE = 0.7  # share of the heat that the air carries; the rest is radiated
HEATED_AIR = physics.AIR_DENSITY * physics.AIR_HEAT_CAPACITY  # [kJ/(m3 K)]
DOOR_HEIGHT, DOOR_KELVIN = 2.0, 293.0  # [m], [K]
FINE_SHARES = [aerosol.fine_share for aerosol in AEROSOLS]
ROOM_M2 = 15.0  # room constant for sound; chosen
HOTTEST_C = 1200.0  # Chosen: of a room in flames


@dataclass
class Supply:
    """What every zone receives, step by step, of r rows of which the first m burn."""

    rates: Tensor  # what all sources but fires emit (time, zone, CARRIED, r)
    fire: Tensor  # what fires emit, with air to burn in (time, zone, CARRIED, m)
    vent: Tensor  # open windows [m3/s] (time, zone, r)
    outdoor_pm: Tensor  # smoke outdoors, above the usual [mg/m3] (time, r)
    sound: Tensor  # [pW] (time, zone, r)
    radiant: Tensor  # [K] (time, zone, r)


@dataclass
class Flows:
    """What the air does in buildings whatever is given off in them; rows last."""

    start: Tensor  # what the air holds at first (CARRIED, r)
    steady: Tensor  # into each zone (zone, CARRIED, r)
    let_in: Tensor  # by an open window, a m3 (CARRIED, r)
    leaving: Tensor  # by fresh air, deposition and walls [m3/s] (zone, CARRIED, r)
    fresh: Tensor  # (zone, r)
    volume: Tensor  # (zone, r)
    drive: Tensor  # door flow at a difference of 1 K [m3/s] (door, r)
    fan: Tensor  # (door, r)
    duct: Tensor  # forced air [m3/s] (zone, r)
    duct_share: Tensor  # of each zone in the returned air (zone, r)
    filter: Tensor  # (CARRIED, r)
    to_walls: Tensor  # [m3/s] (zone, r)
    wall_s: Tensor  # (r,)
    wall_out: Tensor  # (r,)
    indoor_c: Tensor  # (r,)
    fog: Tensor  # [mg/g] (r,)
    drying: Tensor  # [1/s] (r,)


def prepare_flows(building: Building) -> Flows:
    """All that depends on buildings alone."""
    fresh = building.fresh.T.unsqueeze(1)
    outdoor = building.outdoor.T  # (CARRIED, r)
    leaving = building.deposition.T.repeat(ZONES, 1, 1)
    leaving[:, Quantity.HEAT] += building.wall_loss.T
    leaving *= building.volume.T.unsqueeze(1)
    steady = fresh * outdoor
    # walls, plants and washing hold moisture at a level of its own
    keeping = building.fresh.T + leaving[:, Quantity.WATER]
    steady[:, Quantity.WATER] = keeping * building.indoor_water
    let_in, start = outdoor.clone(), outdoor.clone()
    let_in[Quantity.HEAT] = building.outdoor_excess_c
    start[Quantity.WATER] = building.indoor_water
    duct = building.recirculation.T
    return Flows(
        start=start,
        steady=steady,
        let_in=let_in,
        leaving=leaving + fresh,
        fresh=building.fresh.T,
        volume=building.volume.T,
        drive=physics.door_exchange_flow(
            building.door.T,
            height=torch.tensor(DOOR_HEIGHT),
            temperature_difference=torch.tensor(1.0),
            temperature=torch.tensor(DOOR_KELVIN),
        ),
        fan=building.fan.T,
        duct=duct,
        duct_share=duct / duct.sum(dim=0).clamp(min=1e-9),
        filter=building.filter.T,
        to_walls=building.wall_loss.T * building.volume.T,
        wall_s=building.wall_s,
        wall_out=building.wall_out,
        indoor_c=building.indoor_c,
        fog=1e3 * building.fog_share,
        drying=building.drying,
    )


def coming_in(supply: Supply, flows: Flows) -> Tensor:
    """What comes into each zone, but for fires; overwrites the supply. (time, zone, CARRIED, r)"""
    incoming = supply.rates
    incoming[:, :, Quantity.HEAT] *= CONVECTIVE / HEATED_AIR
    supply.fire[:, :, Quantity.HEAT] *= CONVECTIVE / HEATED_AIR
    incoming += flows.steady
    incoming.addcmul_(supply.vent.unsqueeze(2), flows.let_in)
    outdoor_air = flows.fresh + supply.vent
    incoming[:, :, Quantity.SMOKE].addcmul_(outdoor_air, supply.outdoor_pm.unsqueeze(1))
    return incoming


def carry(building: Building, supply: Supply, steps_s: list[float]) -> tuple[Tensor, Tensor]:
    """Move heat, smoke and gases through the zones, one implicit Euler step [s] after another.

    Forced air is taken from the state before the step, which conserves mass and is stable while
    a step moves less than a zone's volume. So are the walls, which warm up and conduct. Vapour
    beyond saturation is dew and fog, and droplets dry. Overwrites the supply's `rates` and `fire`.

    Returns:
        What the air holds: K above the usual temperature, mg/m3 or g/m3. (time, zone, CARRIED, r)
        The share of its free burning rate that a fire keeps in each zone. (time, zone, m)
    """
    flows = prepare_flows(building)
    incoming, volume, duct = (
        coming_in(supply, flows),
        flows.volume.unsqueeze(1),
        flows.duct.unsqueeze(1),
    )
    burning = supply.fire.shape[-1]
    gain = yield_gain(supply.fire)
    vented = bool(supply.vent.any())
    state = flows.start.repeat(ZONES, 1, 1)
    walls = torch.zeros_like(flows.to_walls)
    # each quantity by itself, as sensors read it
    out = state.new_empty(CARRIED, len(steps_s), ZONES, state.shape[-1]).permute(1, 2, 0, 3)
    kept_rate = state.new_ones(len(steps_s), ZONES, burning)
    held = {step: volume / step for step in set(steps_s)}
    kept = {step: share - duct for step, share in held.items()}
    diagonals = {step: share + flows.leaving for step, share in held.items()}
    pace = {step: wall_pace(flows, step) for step in held}
    for k, step in enumerate(steps_s):
        right = torch.addcmul(incoming[k], kept[step], state)
        right[:, Quantity.HEAT].addcmul_(flows.to_walls, walls)
        if burning:
            air = kept_rate[k] = air_to_burn(state[:, Quantity.OXYGEN, :burning])
            air = air.unsqueeze(1)
            right[..., :burning].addcmul_(torch.addcmul(air, gain, air - air * air), supply.fire[k])
        returned = (state * flows.duct_share.unsqueeze(1)).sum(dim=0).mul_(flows.filter)
        right.addcmul_(duct, returned)
        heat = state[:, Quantity.HEAT]
        swap = (heat[:-1] - heat[1:]).abs_().sqrt_().mul_(flows.drive).add_(flows.fan)
        diagonal = diagonals[step]
        if vented:
            diagonal = diagonal + supply.vent[k].unsqueeze(1)
        state = solve_chain(diagonal, swap.unsqueeze(1), right, out[k])
        warming, conducting = pace[step]
        walls = torch.lerp(walls, state[:, Quantity.HEAT], warming).mul_(conducting)
        condense_and_dry(state, flows, step)
    return out, kept_rate


def wall_pace(flows: Flows, step: float) -> tuple[Tensor, Tensor]:
    """How far walls follow the air in a step [s], and what they then keep. Two of (r,)"""
    out = torch.exp(-step * flows.wall_out / flows.wall_s)
    return 1.0 - torch.exp(-step / flows.wall_s), out


def condense_and_dry(state: Tensor, flows: Flows, step: float) -> None:
    """Let vapour beyond saturation go, some of it into fog, and droplets dry, in place.

    The state is (zone, CARRIED, r); a step lasts so long [s].
    """
    water, droplets = state[:, Quantity.WATER], state[:, Quantity.DROPLETS]
    most = physics.saturation_vapour_density(flows.indoor_c + state[:, Quantity.HEAT])
    beyond = (water - most).clamp_(min=0.0)
    water -= beyond
    droplets.addcmul_(flows.fog, beyond)
    dryness = 1.0 - water / most
    droplets /= 1.0 + step * flows.drying * dryness


def starved(rates: Tensor, kept_rate: Tensor) -> Tensor:
    """What a fire gives off (time, m, quantity) at a share of its free rate (time, m)."""
    share = kept_rate.unsqueeze(-1)
    gain = yield_gain(rates)[:, 0]
    carried = rates[..., :CARRIED] * torch.addcmul(share, gain, share - share * share)
    return torch.cat([carried, rates[..., CARRIED:]], dim=-1)


def rows_last(parameter: Tensor) -> Tensor:
    """The same tensor, its first dimension's values side by side in memory."""
    back = tuple(reversed(range(parameter.ndim)))
    return parameter.permute(back).contiguous().permute(back)


def take(parameters: Any, rows: Tensor) -> Any:
    """The same dataclass of tensors, or of such dataclasses, for some rows of the batch."""
    if parameters is None or isinstance(parameters, Tensor):
        return None if parameters is None else rows_last(parameters[rows])
    return type(parameters)(**{name: take(part, rows) for name, part in vars(parameters).items()})


def air_to_burn(deficit: Tensor) -> Tensor:
    """Share of its free burning rate that a fire keeps at an oxygen deficit [g/m3]."""
    return (1.0 - (deficit - OXYGEN_LIMIT) / OXYGEN_SPAN).clamp_(LEAST_RATE, 1.0)


def yield_gain(like: Tensor) -> Tensor:
    """What a wholly starved flame yields beyond 1, by quantity. (CARRIED, 1)"""
    gain = like.new_zeros(CARRIED, 1)
    for quantity, factor in STARVED_YIELD.items():
        gain[quantity] = factor - 1.0
    return gain


def solve_chain(diagonal: Tensor, swap: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """Solve the tridiagonal system of three zones that swap air with their neighbours.

    Args:
        diagonal: without the swaps. (zone, k, r)
        swap: air between zones 0-1 and 1-2, each way. [m3/s] (2, 1, r)
        right: right-hand sides. (zone, k, r)
        out: where the solution is written, and what comes back. (zone, k, r)
    """
    ends = diagonal[::2] + swap  # both ends are eliminated, then the middle is known
    share = swap / ends
    from_ends = share * right[::2]
    held_back = share * diagonal[::2]
    known = right[1] + from_ends[0] + from_ends[1]
    middle = torch.div(known, diagonal[1] + held_back[0] + held_back[1], out=out[1])
    torch.addcmul(right[::2] / ends, share, middle, out=out[::2])
    return out


@dataclass
class Near:
    """Sensors in the room of a source, p of them."""

    row: Tensor  # scenario. int64 (p,)
    sensor: Tensor  # which of its sensors. int64 (p,)
    height: Tensor  # of the ceiling above the source. [m] (p,)
    distance: Tensor  # from the source. [m] (p,)
    under_ceiling: Tensor  # else on a shelf. bool (p,)
    air_speed: Tensor  # of the draught. [m/s] (p,)
    walls: Tensor  # see `scenarios.Events` (p,)
    gradient: Tensor  # [K/m] (p,)
    drying: Tensor  # of droplets on their way [1/s] (p,)


LOWEST_ABOVE_M = 0.3  # Chosen: a source under the ceiling itself


def sensors_near(
    building: Building, zone: Tensor, distance: Tensor, base_m: Tensor, walls: Tensor
) -> Near:
    """The sensors in the room of their scenario's source: zone (n,), -1 for nowhere.

    `distance` is that of every sensor from it [m] (n, sensor); `base_m` and `walls` are the
    source's (n,).
    """
    row, sensor = (building.sensor_zone == zone.unsqueeze(1)).nonzero(as_tuple=True)
    saturated = physics.saturation_vapour_density(building.indoor_c)
    dryness = (1.0 - building.indoor_water / saturated).clamp(min=0.0)
    return Near(
        row=row,
        sensor=sensor,
        height=(building.height[row, zone[row]] - base_m[row]).clamp(min=LOWEST_ABOVE_M),
        distance=distance[row, sensor],
        under_ceiling=building.under_ceiling[row, sensor],
        air_speed=building.air_speed[row, sensor],
        walls=walls[row],
        gradient=building.gradient[row],
        drying=(building.drying * dryness)[row],
    )


# What a draught carries past a sensor near a source comes in shreds of the plume, not at its mean.
# That it does, for seconds to a minute and many times over the mean within some 2 m: V.
# Acevedo-Bolton et al., "Measurement of the proximity effect for indoor air pollutant sources in
# two homes," J. Environ. Monitoring, vol. 14, 2012, from memory. The figures are assumed.
SHRED_SPREAD: Range = (0.7, 1.1)  # of the logarithm: two- to threefold
SHRED_S: Range = (5.0, 60.0)  # for how long one lasts


def draw_shreds(steps: int, n: int, sensors: int, generator: torch.Generator) -> Tensor:
    """What draughts bring from a source, over its mean: lognormal about a mean of 1, with memory.

    One place has the same air whatever happens in it. (time, n, sensor)
    """
    place = Random((n, sensors), generator)
    spread = place.uniform(*SHRED_SPREAD)
    kept = torch.exp(-STEP_S / place.log_uniform(*SHRED_S))
    out = torch.randn(steps, n, sensors, generator=generator, device=generator.device)
    out[1:] *= (1.0 - kept**2).sqrt()
    for k in range(1, steps):
        out[k].addcmul_(kept, out[k - 1])
    return out.mul_(spread).sub_(0.5 * spread**2).exp_()


def near_excess(rates: Tensor, near: Near, shreds: Tensor) -> Tensor:
    """What a sensor in a source's room sees above the mixed air, after the way there.

    A strong source drives a ceiling jet (Alpert), at a wall or in a corner that of two or four
    times the heat; its smoke is diluted as much as its heat. A weak plume stagnates under a warm
    ceiling. Without a plume the room's turbulence dilutes: exchange through a hemisphere of
    radius r, pi r^2 u (M. Nicas, "Estimating exposure intensity in an imperfectly mixed room,"
    AIHA J., vol. 57, pp. 542-550, 1996), r to a sensor under the ceiling being aslant. Both take
    their time: r over the speed of jet and draught. What a draught brings comes in shreds of
    `draw_shreds`, (time, p); what the jet brings, steadily: its eddies last for a second or two.
    From rates (time, n, quantity) to K, mg/m3 or g/m3. (time, p, CARRIED)
    """
    height, radius = near.height, near.distance
    # the laws are powers of the heat: their factors need working out once a sensor
    jet = physics.ceiling_jet_speed(near.walls, height=height, radius=radius) * near.under_ceiling
    weakest = physics.plume_that_reaches(height, gradient=near.gradient) / CONVECTIVE
    root = rates[..., Quantity.HEAT].clamp(min=0.0).pow(1 / 3)  # (time, n)
    delay = radius / (near.air_speed + jet * root[:, near.row]) / STEP_S
    now = torch.arange(len(rates), device=rates.device).unsqueeze(1)
    then = (now - delay.round().long()).clamp_(min=0)
    gone = rates[then, near.row, :CARRIED]
    heat = gone[..., Quantity.HEAT]
    # a shelf lies below the jet and sees a tenth of it
    jet_rise = physics.ceiling_jet_rise(near.walls, height=height, radius=radius)
    rise = (root[then, near.row].square_() * jet_rise).clamp_(max=1000.0)
    rise *= torch.where(near.under_ceiling, 1.0, 0.1)
    rise *= heat >= weakest * near.under_ceiling
    aslant = radius**2 + near.under_ceiling * height**2
    turbulence = torch.pi * aslant * near.air_speed
    jet_flow = torch.where(rise > 0.0, CONVECTIVE * heat / (HEATED_AIR * rise.clamp(min=1e-3)), 0.0)
    dilution = 1.0 / (turbulence + jet_flow)
    dilution *= 1.0 + (turbulence * dilution) * (shreds - 1.0)
    gone *= dilution.unsqueeze(-1)
    gone[..., Quantity.DROPLETS] *= torch.exp(-near.drying * STEP_S * delay)
    gone[..., Quantity.HEAT] = rise
    return gone


def channels_of(air: Tensor, building: Building, sound: Tensor, radiant: Tensor) -> Tensor:
    """Turn what the air holds into the channels' units. (time, n, sensor, channel)

    Args:
        air: K, mg/m3, g/m3 at the sensors. (time, n, sensor, CARRIED)
        building: indoor temperature and so on.
        sound: acoustic power in the sensor's room. [pW] (time, n, sensor)
        radiant: warming of the sensor itself. [K] (time, n, sensor)
    """
    steps, rows, sensors, _ = air.shape
    # a channel without physics here is missing in simulations
    shape = (len(CHANNELS), steps, sensors, rows)
    out = air.new_full(shape, torch.nan).permute(1, 3, 2, 0)
    celsius = (building.indoor_c.view(1, -1, 1) + air[..., Quantity.HEAT]).clamp(max=HOTTEST_C)
    out[..., TEMPERATURE] = celsius + radiant
    wet = air[..., Quantity.WATER] / physics.saturation_vapour_density(celsius)
    out[..., HUMIDITY] = (100.0 * wet).clamp(0.0, 100.0)
    out[..., PM25] = particle_mass(air, air.new_tensor(FINE_SHARES))
    out[..., CO2] = physics.ppm_from_density(air[..., Quantity.CO2], molar_mass=44.01)
    out[..., CO] = physics.ppm_from_density(1e-3 * air[..., Quantity.CO], molar_mass=28.01)
    quiet, distance = building.background_db, building.distance
    heard = physics.sound_field(distance, absorption_area=torch.full_like(distance, ROOM_M2))
    power = (sound + 1.0) * heard + (10.0 ** (quiet / 10.0)).view(1, -1, 1)
    out[..., SOUND] = 10.0 * torch.log10(power)
    return out


def particle_mass(air: Tensor, shares: Tensor) -> Tensor:
    """Mass of the shares of each aerosol, of air (..., CARRIED). [ug/m3] (...)

    Shares are (..., aerosol). Aerosols lie apart in memory: they are added one by one.
    """
    each = air[..., PARTICLES].unbind(dim=-1)
    total = each[0] * shares[..., 0]
    for k in range(1, len(each)):
        total += each[k] * shares[..., k]
    return total.mul_(1e3)


def optical_densities(air: Tensor) -> Tensor:
    """Optical density of each aerosol [1/m], of air (..., CARRIED). (..., aerosol)"""
    extinction = air.new_tensor([aerosol.extinction_m2_g for aerosol in AEROSOLS])
    return 1e-3 * air[..., PARTICLES] * (extinction / math.log(10.0))
