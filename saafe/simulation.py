"""Batched scenarios of fires, nuisances and life on any torch device. Layer 3.

A scenario is a chain of one to three zones (`buildings`) in which people live (`life`) and things
happen (`events`, `sources`); the `air` carries what they give off to `instruments`. Every
scenario with an event is run again without it: `labels` say what the event changed.
"""

import torch
from torch import Tensor

from saafe import emissions, physics
from saafe import instruments as instrument
from saafe.air import Supply, carry, channels_of, near_excess
from saafe.buildings import ZONES, Rooms, draw_building
from saafe.emissions import CARRIED
from saafe.events import PREROLL_S, PREROLL_STEP_S, Events, Mix, draw_events, mix_of
from saafe.instruments import STEP_S
from saafe.labels import label, separate
from saafe.life import life, smooth_noise
from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, PM25, TEMPERATURE
from saafe.streams import Streams, describe, gather, to_recordings

__all__ = [
    "CHUNK",
    "Mix",
    "Rooms",
    "Streams",
    "describe",
    "gather",
    "mix_of",
    "simulate",
    "to_recordings",
]

CHUNK = 256  # scenarios simulated together; more brings memory, not speed


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
        beside_fire=(building.sensor_zone == events.zone[:, :1]) & (events.fire >= 0).unsqueeze(1),
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
    supply.sound[:, :, 0] = people[:, rows, emissions.SOUND]
    for slot in (1, 2):
        zone, rates = events.zone[rows[upset], slot], events.rates[slot][:, rows[upset]]
        supply.rates[:, upset, zone] += rates[..., :CARRIED]
        supply.vent[:, upset, zone] += rates[..., emissions.VENT]
        supply.sound[:, upset, zone] += rates[..., emissions.SOUND]
        supply.radiant[:, upset, zone] += rates[..., emissions.RADIANT]
        supply.outdoor_pm[:, upset] += 1e-3 * rates[..., emissions.OUTDOOR_PM]
    if fires:
        zone, rates = events.zone[:fires, 0], events.rates[0][:, :fires]
        supply.fire[:, everyone[:fires], zone] = rates[..., :CARRIED]
        supply.sound[:, everyone[:fires], zone] += rates[..., emissions.SOUND]
    return supply


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
    voc = air[..., emissions.VOC]
    truth[..., CO] += each.voc_as_co * voc
    estimated = each.voc_as_co2 > 0.0  # metal-oxide cells never see the CO2 itself
    guess = 400.0 + each.voc_as_co2 * voc + 2.0 * truth[..., CO]
    truth[..., CO2] = torch.where(estimated, guess, truth[..., CO2])
    swollen = physics.hygroscopic_growth(truth[..., HUMIDITY], kappa=each.kappa)
    truth[..., PM25] *= swollen
    baseline = truth.new_zeros(len(CHANNELS))
    baseline[TEMPERATURE], baseline[CO2], baseline[HUMIDITY] = 20.0, 420.0, 50.0
    return instrument.respond(instrument.lagged(truth, each.lag_s), each, baseline=baseline)
