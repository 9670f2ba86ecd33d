"""Batched scenarios of fires, nuisances and life on any torch device. Layer 3.

A scenario is a chain of one to three well-mixed zones. Sources give off heat, smoke, gases,
moisture and sound; the air carries them (implicit Euler, which conserves mass at any step);
sensors in the room of a source see its ceiling jet or its near field on top of the mixed air.
Every scenario with an event is run again without it: labels say what the event changed.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from saafe import instruments as instrument
from saafe import physics, sources
from saafe.errors import InputError
from saafe.recordings import Recording
from saafe.sensors import (
    CHANNELS,
    CO,
    CO2,
    FIRE,
    HUMIDITY,
    NORMAL,
    NUISANCE,
    PM25,
    SOUND,
    TEMPERATURE,
    UNKNOWN,
)
from saafe.sources import CARRIED, Draw, Source
from saafe.windows import SEGMENTS, SPAN

STEP_S = instrument.STEP_S
PREROLL_S, PREROLL_STEP_S = 3 * 3600.0, 60.0  # so that a stream can begin amid an event
CHUNK = 256  # scenarios simulated together; more brings memory, not speed
ZONES = 3
OUTDOOR_CO2 = 0.77  # [g/m3], 421 ppm
# an event is visible where a channel departs by this much from the run without it; a fire must
# show more than a nuisance, or the first wisps teach that frying is a fire
FIRE_VISIBLE = {TEMPERATURE: 3.0, PM25: 100.0, CO2: 600.0, CO: 15.0}
NUISANCE_VISIBLE = {TEMPERATURE: 1.5, PM25: 40.0, CO2: 150.0, CO: 4.0}
# a hot layer carries smoke out under its own buoyancy; combustion fails under some 13 % oxygen
OXYGEN_LIMIT, OXYGEN_SPAN = 105.0, 60.0  # deficit at which flames weaken, and die. [g/m3]


@dataclass(frozen=True)
class Mix:
    """Which scenarios to draw.

    Attributes:
        fire_share: share of scenarios with a fire.
        fires: names that may be drawn; empty means all.
        nuisances: names that may be drawn; empty means all.
        nuisance_counts: probability of 0, 1 and 2 nuisances.
        balance: 1 draws nuisances as often as dwellings see them and 0 all alike; training takes
            the middle, so that the rare ones are learnt too.
    """

    fire_share: float = 0.45
    fires: tuple[str, ...] = ()
    nuisances: tuple[str, ...] = ()
    nuisance_counts: tuple[float, float, float] = (0.3, 0.45, 0.25)
    balance: float = 0.75


@dataclass(frozen=True)
class Rooms:
    """Ranges that buildings are drawn from; the exam's shifted rooms lie outside them.

    Attributes:
        volume_m3: of a zone.
        height_m: of its ceiling.
        air_changes: outdoor air. [1/h]
        door_m2: open area between zones; a share of doors is shut.
        outdoor_c, indoor_c: temperatures. [degC]
        outdoor_pm: [ug/m3]
        ceiling_share: share of sensors under the ceiling, the others on a shelf.
    """

    volume_m3: tuple[float, float] = (10.0, 150.0)
    height_m: tuple[float, float] = (2.2, 4.0)
    air_changes: tuple[float, float] = (0.1, 8.0)
    door_m2: tuple[float, float] = (0.02, 2.0)
    outdoor_c: tuple[float, float] = (-10.0, 35.0)
    indoor_c: tuple[float, float] = (14.0, 31.0)
    outdoor_pm: tuple[float, float] = (1.0, 60.0)
    ceiling_share: float = 0.75


@dataclass
class Streams:
    """Simulated recordings of `n` spaces, every 10 s.

    Attributes:
        readings: NaN where missing. (n, time, sensor, channel)
        labels: int8, one of NORMAL, NUISANCE, FIRE, UNKNOWN. (n, time, sensor)
        fire: index into `sources.FIRES`, -1 for none. int64 (n,)
        nuisance: index into `sources.NUISANCES`, -1 for none. int64 (n, 2)
        ignition_s: start of the fire on the stream's clock, inf for none. (n,)
        state: int8 truth of the fire source. (n, time)
        truth: true air at the sensors, before the instruments: the channels of
            `sensors.CHANNELS`. (n, time, sensor, channel)
        hold_steps: reporting period in steps. int64 (n, sensor)
        hold_phase: first reporting step. int64 (n, sensor)
    """

    readings: Tensor
    labels: Tensor
    fire: Tensor
    nuisance: Tensor
    ignition_s: Tensor
    state: Tensor
    truth: Tensor
    hold_steps: Tensor
    hold_phase: Tensor


@dataclass
class Building:
    """Rooms, air flows and sensor places of a batch; see `Rooms` for units."""

    volume: Tensor  # (n, zone)
    height: Tensor  # (n, zone)
    zones: Tensor  # (n,) how many zones are in use
    fresh: Tensor  # (n, zone) [m3/s]
    door: Tensor  # (n, 2) [m2]
    fan: Tensor  # (n, 2) [m3/s] mixing by HVAC and cracks
    wall_loss: Tensor  # (n, zone) [1/s]
    deposition: Tensor  # (n, CARRIED) [1/s]
    outdoor: Tensor  # (n, CARRIED)
    outdoor_excess_c: Tensor  # (n,) outdoor minus indoor temperature
    indoor_c: Tensor  # (n,)
    sensor_zone: Tensor  # int64 (n, sensor)
    under_ceiling: Tensor  # bool (n, sensor)
    fire_distance: Tensor  # (n, sensor) [m] from a fire in the same room
    distance: Tensor  # (n, sensor) [m] from a nuisance: alarms are kept away from stoves
    air_speed: Tensor  # (n, sensor) [m/s]
    background_db: Tensor  # (n,)
    sun_share: Tensor = field(default_factory=lambda: torch.ones(1))  # (n, sensor)


def draw_building(n: int, sensors: int, rooms: Rooms, generator: torch.Generator) -> Building:
    """Draw `n` buildings with their weather and sensor places."""
    device = generator.device
    zone = instrument.Dice(n, ZONES, generator)
    door = instrument.Dice(n, ZONES - 1, generator)
    one = instrument.Dice(n, 1, generator)
    place = instrument.Dice(n, sensors, generator)
    volume = zone.log_middling(*rooms.volume_m3)
    height = zone.uniform(*rooms.height_m)
    zones = (1 + (one.uniform(0.0, 1.0) > 0.3).int() + (one.uniform(0.0, 1.0) > 0.5).int())[:, 0]
    zones = zones.long()
    linked = torch.arange(ZONES - 1, device=device) < (zones - 1).unsqueeze(1)
    shut = door.chance(0.3)
    area = torch.where(shut, door.log_uniform(0.005, 0.03), door.log_uniform(*rooms.door_m2))
    fan = torch.where(door.chance(0.3), door.log_uniform(0.01, 0.2), 0.0) + 0.002
    indoor = one.uniform(*rooms.indoor_c)[:, 0]
    outdoor_c = one.uniform(*rooms.outdoor_c)[:, 0]
    outdoor = torch.zeros(n, CARRIED, device=device)
    outdoor[:, sources.PM] = one.log_uniform(*rooms.outdoor_pm)[:, 0] * 1e-3
    outdoor[:, sources.CO2] = OUTDOOR_CO2 * one.uniform(0.97, 1.08)[:, 0]
    humid = one.uniform(0.2, 0.85)[:, 0]
    indoor_water = humid * physics.saturation_vapour_density(indoor)
    outdoor[:, sources.WATER] = indoor_water.clamp(max=20.0)
    deposition = torch.zeros(n, CARRIED, device=device)
    deposition[:, sources.PM] = one.log_uniform(0.05, 3.0)[:, 0] / 3600.0  # with air cleaners
    deposition[:, sources.DROPLETS] = one.log_uniform(0.003, 0.05)[:, 0]
    deposition[:, sources.WATER] = one.log_uniform(0.05, 1.0)[:, 0] / 3600.0  # into walls
    # 4 to 12 W/m2K over the room's surfaces, some 6 V^(2/3)
    surface = 6.0 * volume ** (2 / 3)
    loss = zone.uniform(0.004, 0.012) * surface / (1.206 * volume)
    return Building(
        volume=volume * zone.uniform(0.6, 1.0),  # the part that smoke mixes through
        height=height,
        zones=zones,
        fresh=zone.log_uniform(*rooms.air_changes) * volume / 3600.0,
        door=area * linked,
        fan=fan * linked,
        wall_loss=loss,
        deposition=deposition,
        outdoor=outdoor,
        outdoor_excess_c=outdoor_c - indoor,
        indoor_c=indoor,
        sensor_zone=(place.uniform(0.0, 1.0) * zones.unsqueeze(1)).long(),
        under_ceiling=place.chance(rooms.ceiling_share),
        fire_distance=place.uniform(0.5, 6.0),
        distance=place.uniform(2.0, 8.0),
        air_speed=place.log_uniform(0.05, 0.3),
        background_db=one.uniform(26.0, 48.0)[:, 0],
        sun_share=place.uniform(0.0, 1.0) ** 3,
    )


def smooth_noise(shape: tuple[int, ...], knots: int, generator: torch.Generator) -> Tensor:
    """Standard normal knots joined by lines. (time, *rest) for shape (time, *rest)"""
    steps, *rest = shape
    rows = 1
    for size in rest:
        rows *= size
    values = torch.randn(1, rows, max(2, knots), generator=generator, device=generator.device)
    lines = torch.nn.functional.interpolate(values, size=steps, mode="linear", align_corners=True)
    return lines[0].T.reshape(shape)


def life(time: Tensor, generator: torch.Generator) -> Tensor:
    """Emissions of the people at home. (time, n, quantity)

    Breathing out 18 L/h of CO2 (light work, from memory of ASHRAE 62.1's appendix), 55 g/h of
    water and 80 W each; they come and go, stir up dust, talk and cook nothing.
    """
    steps, n = time.shape
    device = time.device
    rates = torch.zeros(steps, n, len(sources.QUANTITIES), device=device)
    people = torch.randint(0, 5, (n,), generator=generator, device=device).float()
    knots = max(2, int(steps * STEP_S / 2400.0))
    presence = (smooth_noise((steps, n), knots, generator) > -0.3).float() * people
    rates[..., sources.CO2] = 0.0092 * presence
    rates[..., sources.WATER] = 0.015 * presence
    rates[..., sources.HEAT] = 0.08 * presence
    stir = torch.exp(0.7 * smooth_noise((steps, n), 4 * knots, generator))
    habit = torch.exp(torch.rand(n, generator=generator, device=device) * 4.0 - 13.2)
    rates[..., sources.PM] = habit * presence * stir  # 2e-6 to 1e-4 mg/s each
    rates[..., sources.VOC] = 0.02 * presence
    talking = smooth_noise((steps, n), 8 * knots, generator)
    rates[..., sources.SOUND] = presence * 10.0 ** (5.5 + 0.8 * talking).clamp(max=8.0)
    return rates


def odds(registry: tuple[Source, ...], names: tuple[str, ...], balance: float) -> Tensor:
    """Drawing weights over a registry; where names are given, the others get none. (source,)"""
    unknown = set(names) - {source.name for source in registry}
    assert not unknown, f"no such source: {sorted(unknown)}"
    return torch.tensor(
        [
            (source.per_year**balance if source.per_year else source.weight)
            * (not names or source.name in names)
            for source in registry
        ]
    )


def emit_all(
    registry: tuple[Source, ...], chosen: Tensor, time: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Emissions and states of one event a scenario; -1 in `chosen` emits nothing.

    Args:
        registry: rows that `chosen` indexes.
        chosen: int64 (n,)
        time: since the event's start. [s] (time, n)
        generator: source of randomness.

    Returns:
        rates (time, n, quantity) and state int8 (time, n).
    """
    rates = time.new_zeros(*time.shape, len(sources.QUANTITIES))
    state = torch.zeros(time.shape, dtype=torch.int8, device=time.device)
    for index, source in enumerate(registry):
        rows = (chosen == index).nonzero()[:, 0]
        if len(rows) == 0:
            continue
        emission = source.emit(Draw(time[:, rows], generator), source)
        rates[:, rows] = emission.rates
        state[:, rows] = emission.state
    return rates, state


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
    losses[..., sources.HEAT] += building.wall_loss
    losses = losses * volume  # (r, zone, CARRIED) [m3/s]
    # all that does not depend on the state is prepared for every step at once
    to_kelvin = 0.7 / (physics.AIR_DENSITY * physics.AIR_HEAT_CAPACITY)  # the rest is radiated
    incoming, fire = supply.rates, supply.fire
    incoming[..., sources.HEAT] *= to_kelvin
    fire[..., sources.HEAT] *= to_kelvin
    steady = fresh * building.outdoor.unsqueeze(1)
    # walls hold moisture near the outdoor level: what they take they give back
    steady[..., sources.WATER] += (
        losses[..., sources.WATER] * building.outdoor[:, None, sources.WATER]
    )
    incoming += steady
    vented = bool(supply.vent.any())
    if vented:
        vent = supply.vent.unsqueeze(-1)
        incoming += vent * building.outdoor.unsqueeze(1)
        incoming[..., sources.HEAT] += supply.vent * building.outdoor_excess_c.unsqueeze(1)
    outdoor_air = building.fresh + supply.vent
    incoming[..., sources.PM] += outdoor_air * supply.outdoor_pm.unsqueeze(-1)
    drive = 0.61 / 3.0 * building.door * (physics.GRAVITY * 2.0 / 293.0) ** 0.5
    state = building.outdoor.unsqueeze(1).repeat(1, ZONES, 1)  # (r, zone, CARRIED)
    out = state.new_empty(len(steps_s), *state.shape)
    leaving = fresh + losses
    for k, step in enumerate(steps_s):
        if burning:
            deficit = state[:burning, :, sources.OXYGEN]
            air = (1.0 - (deficit - OXYGEN_LIMIT) / OXYGEN_SPAN).clamp(0.02, 1.0)
            incoming[k, :burning] += air.unsqueeze(-1) * fire[k]
        heat = state[..., sources.HEAT]
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
    heat = rates[..., sources.HEAT].unsqueeze(-1)  # (time, n, 1)
    rise = physics.ceiling_jet_rise(heat, height=height, radius=building.distance)
    # a shelf lies below the jet and sees a tenth of it
    rise = rise.clamp(max=1000.0) * torch.where(building.under_ceiling, 1.0, 0.1)
    turbulence = torch.pi * building.distance**2 * building.air_speed
    heated_air = physics.AIR_DENSITY * physics.AIR_HEAT_CAPACITY
    flow = turbulence + 0.7 * heat / (heated_air * rise.clamp(min=1e-3))
    excess = rates[..., :CARRIED].unsqueeze(2) * (here / flow).unsqueeze(-1)
    excess[..., sources.HEAT] = rise * here
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
    celsius = building.indoor_c.view(1, -1, 1) + air[..., sources.HEAT]
    out[..., TEMPERATURE] = celsius + radiant
    wet = air[..., sources.WATER] / physics.saturation_vapour_density(celsius)
    out[..., HUMIDITY] = (100.0 * wet).clamp(0.0, 100.0)
    out[..., PM25] = 1e3 * (air[..., sources.PM] + air[..., sources.DROPLETS])
    out[..., CO2] = physics.ppm_from_density(air[..., sources.CO2], molar_mass=44.01)
    out[..., CO] = physics.ppm_from_density(1e-3 * air[..., sources.CO], molar_mass=28.01)
    level = physics.room_sound_level(
        10.0 * torch.log10(sound + 1.0),
        distance=building.distance,
        absorption_area=torch.full_like(building.distance, 15.0),
    )
    quiet = building.background_db.view(1, -1, 1)
    out[..., SOUND] = 10.0 * torch.log10(10.0 ** (level / 10.0) + 10.0 ** (quiet / 10.0))
    return out


def simulate(
    n: int,
    *,
    generator: torch.Generator,
    hours: float = 3.0,
    sensors: int = 2,
    mix: Mix | None = None,
    rooms: Rooms | None = None,
) -> Streams:
    """Simulate `n` labelled spaces.

    Args:
        n: scenarios; those with a fire come first within each chunk of 256.
        generator: source of randomness; its device is where everything happens.
        hours: length of the streams.
        sensors: instruments in each space.
        mix: which sources to draw.
        rooms: ranges of the buildings.

    Returns:
        The streams, on the generator's device.
    """
    mix, rooms = mix or Mix(), rooms or Rooms()
    parts = [
        simulate_chunk(
            min(CHUNK, n - at), generator=generator, hours=hours, sensors=sensors, mix=mix,
            rooms=rooms,
        )
        for at in range(0, n, CHUNK)
    ]  # fmt: skip
    if len(parts) == 1:
        return parts[0]
    return Streams(
        **{name: torch.cat([getattr(p, name) for p in parts]) for name in vars(parts[0])}
    )


def draw_starts(n: int, hours: float, generator: torch.Generator, *, earliest_s: float) -> Tensor:
    """Uniform event starts between `earliest_s` and 90 % of the stream. [s] (n,)"""
    unit = torch.rand(n, generator=generator, device=generator.device)
    return earliest_s + unit * (0.9 * hours * 3600.0 - earliest_s)


@dataclass
class Events:
    """The events of a chunk: what was drawn and what it emits."""

    fire: Tensor  # int64 (n,)
    nuisance: Tensor  # int64 (n, 2)
    ignition_s: Tensor  # (n,)
    zone: Tensor  # int64 (n, 3): of the fire and the two nuisances
    rates: list[Tensor]  # three of (time, n, quantity)
    state: list[Tensor]  # three of int8 (time, n)


def draw_events(
    clock: Tensor, hours: float, mix: Mix, zones: Tensor, generator: torch.Generator
) -> Events:
    """Draw fires and nuisances, and let them emit.

    Args:
        clock: stream time, negative in the pre-roll. [s] (time, 1)
        hours: length of the stream.
        mix: what to draw.
        zones: how many zones each building uses. (n,)
        generator: source of randomness.
    """
    n, device = len(zones), clock.device

    def choose(registry: tuple[Source, ...], names: tuple[str, ...]) -> Tensor:
        weights = odds(registry, names, mix.balance).to(device)
        return torch.multinomial(weights, n, replacement=True, generator=generator)

    fires = round(mix.fire_share * n)
    fire = choose(sources.FIRES, mix.fires)
    fire[fires:] = -1
    counts = torch.multinomial(
        torch.tensor(mix.nuisance_counts, device=device), n, replacement=True, generator=generator
    )
    first = choose(sources.NUISANCES, mix.nuisances)
    second = choose(sources.NUISANCES, mix.nuisances)
    first = torch.where(counts > 0, first, -1)
    second = torch.where(counts > 1, second, -1)
    starts = [
        draw_starts(n, hours, generator, earliest_s=0.0),
        draw_starts(n, hours, generator, earliest_s=-0.9 * PREROLL_S),
        draw_starts(n, hours, generator, earliest_s=-0.3 * PREROLL_S),
    ]
    zone = (torch.rand(n, 3, generator=generator, device=device) * zones.unsqueeze(1)).long()
    registries = (sources.FIRES, sources.NUISANCES, sources.NUISANCES)
    drawn = [
        emit_all(registry, chosen, clock - start, generator)
        for registry, chosen, start in zip(registries, (fire, first, second), starts, strict=True)
    ]
    ignition = torch.where(fire >= 0, starts[0], torch.inf)
    return Events(
        fire,
        torch.stack([first, second], dim=1),
        ignition,
        zone,
        [d[0] for d in drawn],
        [d[1] for d in drawn],
    )


def gather_supply(people: Tensor, events: Events, rows: Tensor, n: int, fires: int) -> Supply:
    """What the zones of every row receive.

    Args:
        people: emissions of life, in the first zone. (time, n, quantity)
        events: the events.
        rows: scenario of each row: all of them, the fires' twins, the nuisances' twins. (r,)
        n: how many scenarios.
        fires: how many of the first have a fire.
    """
    steps, count = people.shape[0], len(rows)
    everyone = torch.arange(count, device=rows.device)
    upset = everyone[: n + fires]  # rows with their nuisances
    shape = (steps, count, ZONES)
    supply = Supply(
        rates=people.new_zeros(*shape, CARRIED),
        fire=people.new_zeros(steps, fires, ZONES, CARRIED),
        vent=people.new_zeros(shape),
        outdoor_pm=people.new_zeros(steps, count),
        sound=people.new_zeros(shape),
        radiant=people.new_zeros(shape),
    )
    supply.rates[:, :, 0] = people[:, rows, :CARRIED]
    supply.sound[:, :, 0] = people[:, rows, sources.SOUND]
    for slot in (1, 2):
        zone, rates = events.zone[rows[upset], slot], events.rates[slot][:, rows[upset]]
        supply.rates[:, upset, zone] += rates[..., :CARRIED]
        supply.vent[:, upset, zone] += rates[..., sources.VENT]
        supply.sound[:, upset, zone] += rates[..., sources.SOUND]
        supply.radiant[:, upset, zone] += rates[..., sources.RADIANT]
        supply.outdoor_pm[:, upset] += 1e-3 * rates[..., sources.OUTDOOR_PM]
    if fires:
        zone, rates = events.zone[:fires, 0], events.rates[0][:, :fires]
        supply.fire[:, everyone[:fires], zone] = rates[..., :CARRIED]
        supply.sound[:, everyone[:fires], zone] += rates[..., sources.SOUND]
    return supply


def simulate_chunk(
    n: int, *, generator: torch.Generator, hours: float, sensors: int, mix: Mix, rooms: Rooms
) -> Streams:
    """Simulate one chunk; see `simulate`."""
    device = generator.device
    steps = round(hours * 3600.0 / STEP_S)
    early = round(PREROLL_S / PREROLL_STEP_S)
    clock = torch.cat(
        [
            -PREROLL_S + PREROLL_STEP_S * torch.arange(early, device=device),
            STEP_S * torch.arange(steps, device=device),
        ]
    ).unsqueeze(1)
    steps_s = [PREROLL_STEP_S] * early + [STEP_S] * steps
    building = draw_building(n, sensors, rooms, generator)
    events = draw_events(clock, hours, mix, building.zones, generator)
    people = life(clock.expand(-1, n), generator)
    devices = instrument.draw_instruments(n, sensors, generator)

    # rows: every scenario in full, then without its fire, then without any event
    fires = int((events.fire >= 0).sum())
    upset = (events.nuisance >= 0).any(dim=1).nonzero()[:, 0]
    everyone = torch.arange(n, device=device)
    rows = torch.cat([everyone, everyone[:fires], upset])
    spread = take(building, rows)
    supply = gather_supply(people, events, rows, n, fires)
    sound, radiant = supply.sound[early:], supply.radiant[early:]
    air = carry(spread, supply, steps_s)[early:]

    at_sensor = spread.sensor_zone.view(1, len(rows), sensors, 1)
    seen = air.gather(2, at_sensor.expand(steps, -1, -1, CARRIED))
    full = seen[:, :n]
    for s in (1, 2):
        excess = near_excess(events.rates[s][early:], events.zone[:, s], building)
        full += excess
        if fires:  # the twins without a fire have the nuisances still
            seen[:, n : n + fires] += excess[:, :fires]
    if fires:
        burning = take(building, everyone[:fires])
        burning.distance = burning.fire_distance
        fire_rates = events.rates[0][early:, :fires]
        seen[:, :fires] += near_excess(fire_rates, events.zone[:fires, 0], burning)
    where = spread.sensor_zone.unsqueeze(0).expand(steps, -1, -1)
    heard = (sound + 1e-3 * sound.sum(dim=2, keepdim=True)).gather(2, where)  # walls: 30 dB
    sunny = radiant.amax(dim=2, keepdim=True) * spread.sun_share
    truth = channels_of(seen, spread, heard, sunny)
    weather = smooth_noise((steps, n), max(2, int(hours)), generator)
    truth[..., TEMPERATURE] += (0.7 * weather)[:, rows].unsqueeze(-1)
    full_truth = truth[:, :n].clone()
    clean = observe(truth, seen, rows, devices)
    full, calm, bare = separate(clean, n, fires, upset)
    full = torch.where(devices.deaf, bare, full)
    calm = torch.where(devices.deaf, bare, calm)
    labels = label(full, calm, bare, events, early, devices)
    readings = instrument.report(full, devices, generator)
    return Streams(
        readings=readings.transpose(0, 1).contiguous(),
        labels=labels.transpose(0, 1).contiguous(),
        fire=events.fire,
        nuisance=events.nuisance,
        ignition_s=events.ignition_s,
        state=events.state[0][early:].T.contiguous(),
        truth=full_truth.transpose(0, 1),
        hold_steps=devices.hold_steps,
        hold_phase=devices.hold_phase,
    )


def take(parameters, rows: Tensor):
    """The same dataclass of tensors for some rows of the batch."""
    return type(parameters)(**{name: value[rows] for name, value in vars(parameters).items()})


def observe(truth: Tensor, air: Tensor, rows: Tensor, devices: instrument.Instruments) -> Tensor:
    """What clean instruments show of the truth, which is overwritten.

    Args:
        truth: (time, row, sensor, channel)
        air: for the cross-sensitivities. (time, row, sensor, CARRIED)
        rows: scenario of each row. int64 (row,)
        devices: of the scenarios.

    Returns:
        (time, row, sensor, channel)
    """
    each = take(devices, rows)
    voc = air[..., sources.VOC]
    truth[..., CO] += each.voc_as_co * voc
    estimated = each.voc_as_co2 > 0.0  # metal-oxide cells never see the CO2 itself
    guess = 400.0 + each.voc_as_co2 * voc + 2.0 * truth[..., CO]
    truth[..., CO2] = torch.where(estimated, guess, truth[..., CO2])
    swollen = physics.hygroscopic_growth(truth[..., HUMIDITY], kappa=each.kappa)
    truth[..., PM25] *= swollen
    baseline = truth.new_zeros(len(CHANNELS))
    baseline[TEMPERATURE], baseline[CO2], baseline[HUMIDITY] = 20.0, 420.0, 50.0
    return instrument.respond(instrument.lagged(truth, each.lag_s), each, baseline=baseline)


def visible(
    changed: Tensor, unchanged: Tensor, present: Tensor, thresholds: dict[int, float]
) -> Tensor:
    """Whether an event moved any channel that the sensor has. bool (time, n, sensor)"""
    seen = torch.zeros(changed.shape[:-1], dtype=torch.bool, device=changed.device)
    for channel, threshold in thresholds.items():
        moved = (changed[..., channel] - unchanged[..., channel]).abs() > threshold
        seen |= moved & present[..., channel]
    return seen


def separate(clean: Tensor, n: int, fires: int, upset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Clean readings of every scenario in full, without its fire, and without any event.

    Args:
        clean: rows in full, without fire, without events. (time, row, sensor, channel)
        n: scenarios.
        fires: how many of the first scenarios have a fire.
        upset: scenarios with a nuisance. int64 (m,)

    Returns:
        Three of (time, n, sensor, channel).
    """
    full = clean[:, :n]
    calm = full.clone()
    calm[:, :fires] = clean[:, n : n + fires]
    bare = calm.clone()
    bare[:, upset] = clean[:, n + fires :]
    return full, calm, bare


def label(
    full: Tensor,
    calm: Tensor,
    bare: Tensor,
    events: Events,
    early: int,
    devices: instrument.Instruments,
) -> Tensor:
    """Label every step of every sensor by what is true and visible there.

    Args:
        full: clean readings with everything. (time, n, sensor, channel)
        calm: the same without the fire.
        bare: the same without any event.
        events: the events.
        early: steps of pre-roll to skip.
        devices: which channels are present.

    Returns:
        int8 (time, n, sensor)
    """
    nuisance_seen = visible(calm, bare, devices.present, NUISANCE_VISIBLE)
    fire_seen = visible(full, calm, devices.present, FIRE_VISIBLE)
    acting = (events.state[1][early:] == NUISANCE) | (events.state[2][early:] == NUISANCE)
    labels = torch.where(acting, UNKNOWN, NORMAL).unsqueeze(-1).expand(nuisance_seen.shape)
    labels = torch.where(nuisance_seen, NUISANCE, labels)
    state = events.state[0][early:].unsqueeze(-1)
    labels = torch.where(state == UNKNOWN, UNKNOWN, labels)
    labels = torch.where((state == NUISANCE) & fire_seen, NUISANCE, labels)
    labels = torch.where((state == FIRE) & fire_seen, FIRE, labels)
    hidden = ((state == FIRE) | (state == NUISANCE)) & ~fire_seen
    return torch.where(hidden & (labels == NORMAL), UNKNOWN, labels).to(torch.int8)


def reporting(streams: Streams) -> Tensor:
    """Whether a sensor reports at a step: only then does a detector decide. bool (n, time, sensor)"""
    steps = torch.arange(streams.readings.shape[1], device=streams.readings.device).view(1, -1, 1)
    period, phase = streams.hold_steps.unsqueeze(1), streams.hold_phase.unsqueeze(1)
    return (steps - phase) % period == 0


def gather(readings: Tensor, stream: Tensor, end: Tensor, sensor: Tensor, start: Tensor) -> Tensor:
    """Windows of simulated streams, which lie on the grid already; the twin of `windows.cut`.

    Args:
        readings: (n, time, sensor, channel)
        stream: index of each window's scenario. (window,)
        end: its newest bin. (window,)
        sensor: its sensor. (window,)
        start: first bin that the window may know; what came before is NaN. (window,)

    Returns:
        (window, 60, 1, channel)
    """
    index = end.unsqueeze(1) - (SPAN - 1) + torch.arange(SPAN, device=end.device)
    history = readings[stream.unsqueeze(1), index.clamp(min=0), sensor.unsqueeze(1)]
    unknown = (index < start.unsqueeze(1).clamp(min=0)).unsqueeze(-1)
    history = history.masked_fill(unknown, torch.nan)
    parts, at = [], 0
    for count, width in SEGMENTS:
        part = history[:, at : at + count * width].unflatten(1, (count, width))
        at += count * width
        valid = ~torch.isnan(part)
        number = valid.sum(dim=2).to(part.dtype)
        total = torch.where(valid, part, 0.0).sum(dim=2)
        parts.append(torch.where(number > 0, total / number.clamp(min=1.0), torch.nan))
    return torch.cat(parts, dim=1).unsqueeze(2)


def to_recordings(streams: Streams, *, first: int = 0) -> list[Recording]:
    """The streams as recordings: rows only when a sensor reports, labels and sources beside.

    Args:
        streams: simulated scenarios.
        first: number of the first, for the names.

    Returns:
        One recording a scenario, at the sensors' own periods.
    """
    readings = streams.readings.cpu().numpy().copy()
    labels = streams.labels.cpu().numpy()
    n, steps, sensors, _ = readings.shape
    step = np.arange(steps)[None, :, None]
    period, phase = (t.cpu().numpy()[:, None, :] for t in (streams.hold_steps, streams.hold_phase))
    silent = (step - phase) % period != 0  # (n, time, sensor)
    readings[silent] = np.nan
    times_s = STEP_S * np.arange(steps)
    names = tuple(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[k] if sensors <= 26 else f"S{k}" for k in range(sensors)
    )
    fires, nuisances = streams.fire.tolist(), streams.nuisance.tolist()
    out = []
    for k in range(n):
        events = [sources.NUISANCES[i].name for i in nuisances[k] if i >= 0]
        burning = (streams.state[k] == FIRE).cpu().numpy()
        fire = sources.FIRES[fires[k]].name if fires[k] >= 0 else ""
        other = "+".join(events)
        nuisance = (labels[k] == NUISANCE).any(axis=1)
        source = tuple(
            fire if b else (other if v else "") for b, v in zip(burning, nuisance, strict=True)
        )
        name = f"simulated-{first + k:05d}"
        out.append(Recording(name, times_s, names, readings[k], labels[k], source, None))
    return out


def describe(streams: Streams, k: int) -> dict:
    """What was drawn for one scenario: its sources and when the fire began."""
    fire = int(streams.fire[k])
    ignition = float(streams.ignition_s[k])
    return {
        "fire": sources.FIRES[fire].name if fire >= 0 else None,
        "ignition_s": round(ignition, 1) if fire >= 0 else None,
        "nuisances": [sources.NUISANCES[i].name for i in streams.nuisance[k].tolist() if i >= 0],
    }


def mix_of(names: tuple[str, ...]) -> Mix:
    """The mix that draws only some sources; the default one for no names.

    Raises:
        InputError: a name is unknown.
    """
    if not names:
        return Mix()
    if unknown := sorted(set(names) - set(sources.SOURCES)):
        raise InputError(
            f"--source {unknown[0]}: unknown; choose from {', '.join(sources.SOURCES)}"
        )
    fires = tuple(name for name in names if sources.SOURCES[name].kind == "fire")
    nuisances = tuple(name for name in names if sources.SOURCES[name].kind == "nuisance")
    return Mix(
        fire_share=(0.5 if nuisances else 1.0) if fires else 0.0,
        fires=fires,
        nuisances=nuisances,
        nuisance_counts=(0.0, 1.0, 0.0) if nuisances else (1.0, 0.0, 0.0),
    )
