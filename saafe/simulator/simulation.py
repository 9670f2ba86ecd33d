"""Batched scenarios of fires, nuisances and life on any torch device.

A scenario is a chain of one to three zones (`buildings`) in which people live (`occupants`) and
things happen (`scenarios`, `sources`). The `air` carries what they give off to `instruments`, some
with faults (`sensor_faults`). Each event's scenario is run again without it: so `labels` know what
it changed.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, NUISANCE, PM25, TEMPERATURE, UNKNOWN
from saafe.simulator import instruments as instrument
from saafe.simulator import physics, sensor_faults
from saafe.simulator.air import (
    Near,
    channels_of,
    draw_shreds,
    near_excess,
    optical_densities,
    particle_mass,
    rows_last,
    sensors_near,
    starved,
    take,
)
from saafe.simulator.buildings import Building, Rooms, draw_building, lay_out
from saafe.simulator.devices.drawing import draw_sensors
from saafe.simulator.emissions import Quantity
from saafe.simulator.exposure import FireAir, exposures
from saafe.simulator.instruments import STEP_S, Instruments
from saafe.simulator.labels import Counterfactuals, label, mark_young, shows
from saafe.simulator.mixing import Given, Rows, mix_air
from saafe.simulator.occupants import (
    occupant_emissions,
    outdoor_particles,
    room_temperature,
    time_of_day,
)
from saafe.simulator.reference_alarms import SENSITIVITIES, draw_units, sounding_times_at
from saafe.simulator.scenarios import (
    PREROLL_S,
    PREROLL_STEP_S,
    Events,
    Mix,
    draw_events,
    draw_sources,
    rooms_needed,
)
from saafe.simulator.sensor_faults import Faults
from saafe.simulator.streams import Streams
from saafe.threads import Workers

SIMULATION_CHUNK = 256  # scenarios simulated together; more brings memory, not speed


@dataclass(frozen=True)
class StreamSettings:
    """What to simulate; see `simulate_streams`."""

    hours: float = 3.0
    sensors: int = 2
    mix: Mix = field(default_factory=Mix)
    rooms: Rooms = field(default_factory=Rooms)
    alarms: bool = False  # time the reference alarms, and say what shows
    young: bool = False  # tell young fires from those for which a reference alarm would sound
    labelled: bool = True  # run counterfactuals; else all is UNKNOWN and no channel is unresponsive


def simulate_streams(
    n: int,
    *,
    generator: torch.Generator,
    hours: float = 3.0,
    sensors: int = 2,
    mix: Mix | None = None,
    rooms: Rooms | None = None,
    alarms: bool = False,
    young: bool = False,
) -> Streams:
    """Simulate `n` labelled spaces on the generator's device.

    Args:
        n: scenarios; those with a fire come first within each chunk of 256.
        generator: source of randomness.
        hours: length of the streams.
        sensors: instruments in each space.
        mix: which sources to draw.
        rooms: ranges of the buildings.
        alarms: whether to time the reference alarms beside the sensors, and to say which channels
            show what happens, as the exam's scoring needs.
        young: whether a fire is labelled `YOUNG_FIRE` until a reference alarm would sound.
    """
    plan = StreamSettings(hours, sensors, mix or Mix(), rooms or Rooms(), alarms, young)
    parts = list(simulate_chunks(n, plan, generator))
    if len(parts) == 1:
        return parts[0]
    return Streams(
        **{name: torch.cat([getattr(p, name) for p in parts]) for name in vars(parts[0])}
    )


def simulate_chunks(n: int, plan: StreamSettings, generator: torch.Generator) -> Iterator[Streams]:
    """Simulate `n` spaces, at most 256 at a time, so that memory does not grow with `n`.

    Each chunk of several draws from a generator of its own, so that the cores of a CPU share
    them; the result does not depend on how many there are.
    """
    sizes = [min(SIMULATION_CHUNK, n - at) for at in range(0, n, SIMULATION_CHUNK)]
    if len(sizes) == 1:
        yield simulate_chunk(n, plan, generator)
        return
    device = generator.device
    seeds = torch.randint(2**62, (len(sizes),), generator=generator, device=device).tolist()

    def make(size: int, seed: int) -> Streams:
        return simulate_chunk(size, plan, torch.Generator(device).manual_seed(seed))

    with Workers(torch.get_num_threads() if device.type == "cpu" else 0) as workers:
        coming: deque[Callable[[], Streams]] = deque()
        for size, seed in zip(sizes, seeds, strict=True):
            coming.append(workers.later(make, size, seed))
            if len(coming) > workers.threads:
                yield coming.popleft()()
        while coming:
            yield coming.popleft()()


@dataclass(frozen=True)
class ScenarioDraw:
    """Everything that was drawn for a chunk but the noise of its readings."""

    steps: int  # of the stream; before them lies the pre-roll
    steps_s: list[float]  # of each step, pre-roll included. [s]
    building: Building
    events: Events  # with what they emit
    people: Tensor  # what life emits. (time, n, quantity)
    outdoor_pm: Tensor  # departure from the usual. [mg/m3] (time, n)
    weather: Tensor  # departure of the usual temperature. [K] (step, n)
    devices: Instruments
    broken: Faults
    alarm_units: Tensor  # sensitivity of the reference alarms' units (n, sensor, alarm)
    shreds: Tensor  # what draughts bring from a source near by, over its mean (time, n, sensor)


def simulate_chunk(n: int, plan: StreamSettings, generator: torch.Generator) -> Streams:
    """Simulate one chunk."""
    world = draw_world(n, plan, generator)
    played = play(world, runs_needed(world.events, plan.labelled))
    counterfactuals = played.shown
    devices, broken, steps = world.devices, world.broken, world.steps
    working = devices.present & sensor_faults.working(broken, steps)
    labels = torch.full_like(counterfactuals.full[..., 0], UNKNOWN, dtype=torch.int8)
    if plan.labelled:
        labels = label(counterfactuals, states_of(world), working, devices)
        if plan.young:
            labels = mark_young(labels, first_alarm_s(world, played))
    none = played.truth.new_empty(n, 0)
    alarms_at, fire_shown, nuisance_shown, exposure = none, none.bool(), none.bool(), none
    if plan.alarms:
        full, calm, bare = vars(counterfactuals).values()
        fire_shown = shows(full, calm, devices, working).transpose(0, 1)
        nuisance_shown = shows(calm, bare, devices, working).transpose(0, 1)
        alarms_at = alarms_beside(played, world.alarm_units)
        exposure = exposures_of(world, played)
    readings = instrument.noisy(counterfactuals.full.contiguous(), devices, generator)
    readings = sensor_faults.broken_readings(readings, broken, devices, generator)
    readings, fresh = instrument.report(readings, devices, generator)
    return Streams(
        readings=readings.transpose(0, 1).contiguous(),
        labels=labels.transpose(0, 1).contiguous(),
        alarms_at_s=alarms_at,
        fire_shown=fire_shown,
        nuisance_shown=nuisance_shown,
        exposure=exposure,
        reported=fresh.any(dim=-1).transpose(0, 1).contiguous(),
        fresh=fresh.transpose(0, 1),
        fault=broken.kind,
        fault_channel=broken.channel,
        fault_s=torch.where(broken.kind == sensor_faults.NONE, torch.inf, STEP_S * broken.onset),
        **what_happened(world, played),
    )


def what_happened(world: ScenarioDraw, played: "Played") -> dict[str, Tensor]:
    """The fields of `Streams` that tell what happened, whatever the instruments show of it."""
    states = states_of(world)
    soot = world.events.rates[0][-world.steps :, :, Quantity.SOOT]
    return {
        "fire": world.events.fire,
        "nuisance": world.events.nuisance,
        "ignition_s": world.events.ignition_s,
        "state": states[0].T.contiguous(),
        "truth": played.truth.transpose(0, 1),
        "optical_density": played.density.sum(dim=-1).transpose(0, 1),
        "flaming": (soot > 0.0).T.contiguous(),
        "acting": (states == NUISANCE).any(dim=0).T.contiguous(),
        "beside_fire": beside_fire(world),
    }


def exposures_of(world: ScenarioDraw, played: "Played") -> Tensor:
    """What harms people beside what sensors read, see `exposure`. (n, time, sensor, 3)"""
    n, burning = len(world.events.fire), played.of_fires.co.shape[1]
    return exposures(
        played.of_fires,
        world.events.fire[:burning],
        world.events.rates[0][-world.steps :, :burning, Quantity.SOOT] > 0.0,
        distance=world.building.fire_distance[:burning],
        beside=beside_fire(world)[:burning],
        n=n,
    )


def states_of(world: ScenarioDraw) -> Tensor:
    """States of the fire and the two nuisances over the stream. int8 (3, time, n)"""
    return torch.stack([state[-world.steps :] for state in world.events.state])


def beside_fire(world: ScenarioDraw) -> Tensor:
    """Whether each sensor stands in the room of its scenario's fire. bool (n, sensor)"""
    here = world.building.sensor_zone == world.events.zone[:, :1]
    return here & (world.events.fire >= 0).unsqueeze(1)


def draw_world(n: int, plan: StreamSettings, generator: torch.Generator) -> ScenarioDraw:
    """Draw buildings, events, people, weather and instruments for `n` scenarios."""
    clock, steps_s = time_axis(plan.hours, generator.device)
    steps = len(clock) - round(PREROLL_S / PREROLL_STEP_S)
    chosen = draw_sources(n, plan.mix, generator)
    layout = lay_out(rooms_needed(chosen, generator), generator)
    building = draw_building(n, plan.sensors, plan.rooms, generator, layout)
    mix = plan.mix
    devices = draw_sensors(
        mix.device, n, plan.sensors, generator, analyser_share=mix.analyser_share
    )
    usual_pm = building.outdoor[:, Quantity.SMOKE]
    return ScenarioDraw(
        steps=steps,
        steps_s=steps_s,
        building=building,
        events=draw_events(
            clock, plan.hours, chosen, layout.event_zone, generator, times=mix.times
        ),
        people=occupant_emissions(time_of_day(clock, n, generator), generator),
        outdoor_pm=outdoor_particles(usual_pm, len(clock), generator),
        weather=room_temperature(clock[-steps:], n, generator),
        devices=devices,
        broken=sensor_faults.draw_faults(devices, plan.mix.fault_share, steps, generator),
        alarm_units=draw_units(n, plan.sensors, generator),
        shreds=draw_shreds(steps, n, plan.sensors, generator),
    )


@dataclass(frozen=True)
class Played:
    """What a world did."""

    truth: Tensor  # the true air at the sensors, with everything. (time, n, sensor, channel)
    density: Tensor  # its optical density, by aerosol [1/m]. (time, n, sensor, aerosol)
    air_speed: Tensor  # of draught and jets [m/s]. (time, n, sensor)
    shown: Counterfactuals
    of_fires: FireAir  # of the scenarios that were run without their fire too


def play(world: ScenarioDraw, rows: Rows) -> Played:
    """Let a world run; nothing is random here."""
    spread = take(world.building, rows.scenario)
    given = Given(world.people, world.outdoor_pm, world.events)
    mixed = mix_air(world.building, given, rows, world.steps_s, world.steps)
    events, air = weakened(world.events, mixed.kept_rate, rows.burning), mixed.air
    add_near(air, world.building, events, rows, world.shreds)
    truth = channels_of(air, spread, mixed.sound, mixed.warmth * spread.sun_share)
    truth[..., TEMPERATURE] += world.weather[:, rows.scenario].unsqueeze(-1)
    full_truth = truth[:, : rows.n].clone()
    of_fires = air_of_fires(air, events, full_truth[..., TEMPERATURE], rows)
    lag_s = sensor_faults.slowed(world.devices.lag_s, world.broken)
    devices = take(replace(world.devices, lag_s=lag_s), rows.scenario)
    shown = separate(observe(truth, air, devices), rows, rows_last(world.devices.unresponsive))
    speed = air_speeds(world.building, events, rows.burning, world.steps)
    return Played(full_truth, optical_densities(air[:, : rows.n]), speed, shown, of_fires)


def air_of_fires(air: Tensor, events: Events, temperature: Tensor, rows: Rows) -> FireAir:
    """What fires do to the air (time, row, sensor, CARRIED) beside what channels tell."""
    with_fire, without = air[:, : rows.fires], air[:, rows.n : rows.n + rows.fires]
    return FireAir(
        co=with_fire[..., Quantity.CO] - without[..., Quantity.CO],
        oxygen_deficit=with_fire[..., Quantity.OXYGEN].clone(),
        heat=events.rates[0][-len(air) :, : rows.fires, Quantity.HEAT].clone(),
        temperature=temperature[:, : rows.fires],
    )


def air_speeds(building: Building, events: Events, burning: int, steps: int) -> Tensor:
    """Speed of the air past every sensor: the draught, and the jets of what burns in its room.

    Over the last steps of the events. [m/s] (time, n, sensor)
    """
    speed = building.air_speed.repeat(steps, 1, 1)
    for slot, near in enumerate(sources_near(building, events, burning)):
        height, radius = near.height, near.distance
        jet = physics.ceiling_jet_speed(near.walls, height=height, radius=radius)
        heat = events.rates[slot][-steps:, near.row, Quantity.HEAT].clamp(min=0.0)
        speed[:, near.row, near.sensor] += heat.pow(1 / 3) * jet * near.under_ceiling
    return speed


def alarms_beside(played: Played, units: Tensor) -> Tensor:
    """When each reference alarm beside a sensor sounds at each of `SENSITIVITIES`, inf for never.

    `units` are the sensitivities of the alarms' units, (n, sensor, alarm).
    [s] (n, sensor, sensitivity, alarm)
    """
    times = sounding(played, [s * units for s in SENSITIVITIES], len(units))
    return times.permute(1, 2, 0, 3)


def first_alarm_s(world: ScenarioDraw, played: Played) -> Tensor:
    """When the first reference alarm beside a sensor sounds, inf for never or without a fire.

    [s] (n, sensor)
    """
    burning = int((world.events.fire >= 0).sum())  # scenarios with a fire come first
    first = torch.full_like(played.density[0, ..., 0], torch.inf)
    if burning:
        first[:burning] = sounding(played, [world.alarm_units[:burning]], burning)[0].amin(dim=-1)
    return first


def sounding(played: Played, sensitivities: list[Tensor], n: int) -> Tensor:
    """When reference alarms sound beside the sensors of the first `n` scenarios.

    [s] (sensitivity, n, sensor, alarm)
    """
    density, truth, speed = (
        whole[:, :n].transpose(0, 1) for whole in (played.density, played.truth, played.air_speed)
    )
    return sounding_times_at(
        density, truth[..., TEMPERATURE], truth[..., CO], sensitivities, air_speed=speed
    )


def weakened(events: Events, kept_rate: Tensor, burning: int) -> Events:
    """The events with what their first `burning` fires give off for want of air."""
    fire = events.rates[0].clone()
    fire[:, :burning] = starved(fire[:, :burning], kept_rate)
    return replace(events, rates=[fire, *events.rates[1:]])


def time_axis(hours: float, device: torch.device) -> tuple[Tensor, list[float]]:
    """Stream time, negative in the pre-roll [s] (time, 1), and the length of each step [s]."""
    steps, early = round(hours * 3600.0 / STEP_S), round(PREROLL_S / PREROLL_STEP_S)
    before = -PREROLL_S + PREROLL_STEP_S * torch.arange(early, device=device)
    clock = torch.cat([before, STEP_S * torch.arange(steps, device=device)]).unsqueeze(1)
    return clock, [PREROLL_STEP_S] * early + [STEP_S] * steps


def runs_needed(events: Events, labelled: bool) -> Rows:
    """The runs that a chunk needs: with counterfactual runs for labels, or each scenario once."""
    n, device = len(events.fire), events.fire.device
    burning = int((events.fire >= 0).sum())
    everyone = torch.arange(n, device=device)
    if not labelled:
        return Rows(everyone, n, burning, 0, everyone[:0])
    upset = (events.nuisance >= 0).any(dim=1).nonzero()[:, 0]
    return Rows(torch.cat([everyone, everyone[:burning], upset]), n, burning, burning, upset)


def add_near(air: Tensor, building: Building, events: Events, rows: Rows, shreds: Tensor) -> None:
    """Add what sensors see of sources near by to mixed air (time, r, sensor, CARRIED), in place.

    The last steps of the events are those of the air.
    """
    steps, n, count = len(air), rows.n, len(rows.scenario)
    flat = air.permute(3, 0, 2, 1).flatten(2)
    assert flat.data_ptr() == air.data_ptr(), "rows lie last in memory"
    for slot, near in enumerate(sources_near(building, events, rows.burning)):
        brought = shreds[:, near.row, near.sensor]
        excess = near_excess(events.rates[slot][-steps:], near, brought).permute(2, 0, 1)
        at = near.sensor * count + near.row
        flat.index_add_(2, at, excess)
        if slot:  # the counterfactual runs without a fire have the nuisances still
            counterfactuals = near.row < rows.fires
            flat.index_add_(2, at[counterfactuals] + n, excess[:, :, counterfactuals])


def sources_near(building: Building, events: Events, burning: int) -> list[Near]:
    """The sensors in the room of the fire, if it is among the first `burning`, and of nuisances."""
    acts = torch.cat([events.fire.unsqueeze(1), events.nuisance], dim=1) >= 0
    acts[burning:, 0] = False
    zone = torch.where(acts, events.zone, -1)
    distances = (building.fire_distance, building.distance, building.distance)
    return [
        sensors_near(building, zone[:, k], distance, events.base_m[:, k], events.walls[:, k])
        for k, distance in enumerate(distances)
    ]


def observe(truth: Tensor, air: Tensor, each: Instruments) -> Tensor:
    """What clean instruments show of the truth, which is overwritten. (time, row, sensor, channel)

    The air, (time, row, sensor, CARRIED), is for the cross-sensitivities.
    """
    voc = air[..., Quantity.VOC]
    truth[..., PM25] = particle_mass(air, each.response)
    hydrogen = physics.PPM_HYDROGEN * air[..., Quantity.HYDROGEN]
    truth[..., CO] += each.voc_as_co * voc + each.hydrogen_as_co * hydrogen
    estimated = each.voc_as_co2 > 0.0  # metal-oxide cells never see the CO2 itself
    guess = 400.0 + each.voc_as_co2 * voc + 2.0 * truth[..., CO]
    truth[..., CO2] = torch.where(estimated, guess, truth[..., CO2])
    swollen = physics.hygroscopic_growth(truth[..., HUMIDITY], kappa=each.kappa)
    truth[..., PM25] *= swollen
    # a sensor warmed by its own electronics sees the same vapour in warmer air
    drier = physics.saturation_vapour_density(truth[..., TEMPERATURE])
    truth[..., TEMPERATURE] += each.self_heat
    drier /= physics.saturation_vapour_density(truth[..., TEMPERATURE])
    truth[..., HUMIDITY] *= drier
    baseline = truth.new_tensor([channel.rest for channel in CHANNELS])
    seen = instrument.lagged(truth, each.lag_s)
    if each.reports is not None:
        seen = instrument.averaged(seen, each.reports.average_steps)
    return instrument.respond(seen, each, baseline=baseline)


def separate(clean: Tensor, rows: Rows, unresponsive: Tensor) -> Counterfactuals:
    """Clean readings of every scenario in full, without its fire, and without any event.

    From (time, row, sensor, channel), which is changed; unresponsive channels, (n, sensor,
    channel), show no event: few are.
    """
    full = clean[:, : rows.n]
    calm = full.clone()
    calm[:, : rows.fires] = clean[:, rows.n : rows.n + rows.fires]
    bare = calm.clone()
    bare[:, rows.upset] = clean[:, rows.n + rows.fires :]
    at = (slice(None), *unresponsive.nonzero(as_tuple=True))
    full[at] = calm[at] = bare[at]
    return Counterfactuals(full, calm, bare)
