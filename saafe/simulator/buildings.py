"""Rooms, air flows, weather and places of sensors, drawn for a batch of scenarios."""

from dataclasses import dataclass

import torch
from torch import Tensor

from saafe.sensors import Range
from saafe.simulator import physics
from saafe.simulator.emissions import CARRIED, PARTICLES, ROOM_NAMES, Quantity, Random

ZONES = 3
OUTDOOR_CO2 = 0.77  # [g/m3], 421 ppm


@dataclass(frozen=True)
class RoomRow:
    """What a room of one purpose is like."""

    volume_m3: Range  # bathrooms 8 to 25, the others from memory
    hung: float  # how often a sensor hangs there, beside the other rooms; chosen
    fan: float = 0.0  # share with a fan that draws 2 to 10 air changes an hour; chosen


ROOM_ROWS = {
    "kitchen": RoomRow((15.0, 100.0), 1.0),
    "bathroom": RoomRow((8.0, 25.0), 0.3, fan=0.4),
    "bedroom": RoomRow((20.0, 60.0), 2.0),
    "living room": RoomRow((35.0, 150.0), 2.0),
    "hall": RoomRow((8.0, 50.0), 2.0),
    "garage": RoomRow((40.0, 150.0), 0.5),
}
VOLUMES = torch.tensor([ROOM_ROWS[name].volume_m3 for name in ROOM_NAMES]).log()
HUNG = torch.tensor([ROOM_ROWS[name].hung for name in ROOM_NAMES])
FANS = torch.tensor([ROOM_ROWS[name].fan for name in ROOM_NAMES])
# rooms that lie in a chain, door to door
CHAINS = torch.tensor(
    [[ROOM_NAMES.index(name) for name in chain] for chain in (
        ("kitchen", "hall", "bedroom"),
        ("kitchen", "living room", "hall"),
        ("kitchen", "living room", "bedroom"),
        ("living room", "hall", "bathroom"),
        ("living room", "hall", "bedroom"),
        ("bedroom", "hall", "bathroom"),
        ("bedroom", "hall", "kitchen"),
        ("garage", "hall", "living room"),
    )]
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Which rooms a building has, and in which of them its events happen."""

    purpose: Tensor  # index into `ROOM_NAMES` (n, zone)
    zones: Tensor  # how many are in use (n,)
    event_zone: Tensor  # of each event (n, event)
    first_zone: Tensor  # of the first event that there is, a fire before nuisances (n,)


def lay_out(needed: Tensor, generator: torch.Generator) -> Layout:
    """Draw buildings that hold the rooms that events need.

    Args:
        needed: index into `ROOM_NAMES` for each event, -1 where there is none. int64 (n, event)
        generator: source of randomness.
    """
    n, device = len(needed), needed.device
    one = Random((n,), generator)
    purpose = CHAINS.to(device)[(one.uniform(0.0, len(CHAINS))).long()]
    zones = (1 + (one.uniform(0.0, 1.0) > 0.3).long() + (one.uniform(0.0, 1.0) > 0.5).long()).long()
    taken = torch.zeros_like(purpose, dtype=torch.bool)
    index = torch.arange(ZONES, device=device)
    event_zone = torch.zeros_like(needed)
    for k, need in enumerate(needed.T):
        has = (purpose == need.unsqueeze(1)) & ((index < zones.unsqueeze(1)) | taken)
        at = torch.where(has.any(dim=1), has.int().argmax(dim=1), (~taken).int().argmax(dim=1))
        here = (index == at.unsqueeze(1)) & (need >= 0).unsqueeze(1)
        purpose = torch.where(here, need.unsqueeze(1), purpose)
        taken |= here
        zones = torch.where(need >= 0, zones.maximum(at + 1), zones)
        event_zone[:, k] = torch.where(need >= 0, at, 0)
    first = (needed >= 0).int().argmax(dim=1, keepdim=True)
    return Layout(purpose, zones, event_zone, event_zone.gather(1, first)[:, 0])


# rooms in which a sensor may hang: any of the dwelling, the one where it happens, another
ANYWHERE, SAME_ROOM, OTHER_ROOM = HUNG_ROOMS = ("any", "same", "other")


@dataclass(frozen=True)
class Rooms:
    """Ranges that buildings are drawn from; the exam's shifted rooms lie outside them."""

    volume_m3: Range | None = None  # of a zone; None is each purpose's own
    height_m: Range = (2.3, 2.8)  # of its ceiling
    air_changes: Range = (0.1, 3.0)  # outdoor air: median 0.5, sigma 0.7, memory. [1/h]
    door_m2: Range = (0.02, 2.0)  # open area between zones; a share of doors is shut
    outdoor_c: Range = (-10.0, 35.0)  # [degC]
    indoor_c: Range = (14.0, 31.0)  # [degC]
    outdoor_pm: Range = (1.0, 60.0)  # [ug/m3]
    ceiling_share: float = 0.75  # of sensors, the others on a shelf
    hung: str = ANYWHERE  # of `HUNG_ROOMS`


@dataclass
class Building:
    """Rooms, air flows and sensor places of a batch; see `Rooms` for units."""

    volume: Tensor  # (n, zone)
    height: Tensor  # (n, zone)
    zones: Tensor  # (n,) how many zones are in use
    fresh: Tensor  # (n, zone) [m3/s]
    door: Tensor  # (n, 2) [m2]
    fan: Tensor  # (n, 2) [m3/s] mixing by HVAC and cracks
    wall_loss: Tensor  # (n, zone) [1/s] heat to the walls
    wall_s: Tensor  # (n,) time in which walls take on the room's temperature
    wall_out: Tensor  # (n,) conductance of walls to what lies behind them, over that to the room
    drying: Tensor  # (n,) rate at which droplets dry in dry air [1/s]
    fog_share: Tensor  # (n,) of vapour beyond saturation that becomes droplets, not dew
    gradient: Tensor  # (n,) the air is warmer under the ceiling [K/m]
    deposition: Tensor  # (n, CARRIED) [1/s]
    outdoor: Tensor  # (n, CARRIED)
    indoor_water: Tensor  # (n,) vapour that plants, washing and walls keep up. [g/m3]
    recirculation: Tensor  # (n, zone) [m3/s] drawn in by forced-air heating, returned mixed
    filter: Tensor  # (n, CARRIED) share that the duct's filter lets through
    outdoor_excess_c: Tensor  # (n,) outdoor minus indoor temperature
    indoor_c: Tensor  # (n,)
    sensor_zone: Tensor  # int64 (n, sensor)
    under_ceiling: Tensor  # bool (n, sensor)
    fire_distance: Tensor  # (n, sensor) [m] from a fire in the same room
    distance: Tensor  # (n, sensor) [m] from a nuisance: alarms are kept away from stoves
    air_speed: Tensor  # (n, sensor) [m/s]
    background_db: Tensor  # (n,)
    sun_share: Tensor  # (n, sensor)


def draw_building(
    n: int,
    sensors: int,
    rooms: Rooms,
    generator: torch.Generator,
    layout: Layout | None = None,
) -> Building:
    """Draw `n` buildings with their weather and sensor places; of a layout, or of any."""
    device = generator.device
    if layout is None:
        layout = lay_out(torch.full((n, 1), -1, device=device), generator)
    zone = Random((n, ZONES), generator)
    door = Random((n, ZONES - 1), generator)
    one = Random((n, 1), generator)
    place = Random((n, sensors), generator)
    purpose, zones = layout.purpose, layout.zones
    if rooms.hung == OTHER_ROOM:
        zones = zones.clamp(min=2)  # there must be one
    volume = draw_volume(purpose, rooms, zone)
    height = zone.uniform(*rooms.height_m)
    linked = torch.arange(ZONES - 1, device=device) < (zones - 1).unsqueeze(1)
    shut = door.chance(0.3)
    area = torch.where(shut, door.log_uniform(0.005, 0.03), door.log_uniform(*rooms.door_m2))
    # Chosen: people, convectors and draughts carry 36 to 360 m3/h through an open doorway
    stirred = torch.where(shut, 0.002, door.log_uniform(0.01, 0.1))
    fan = torch.where(door.chance(0.3), door.log_uniform(0.01, 0.2), 0.0) + stirred
    indoor = one.uniform(*rooms.indoor_c)[:, 0]
    outdoor_c = one.uniform(*rooms.outdoor_c)[:, 0]
    outdoor = torch.zeros(n, CARRIED, device=device)
    outdoor[:, Quantity.SMOKE] = one.log_uniform(*rooms.outdoor_pm)[:, 0] * 1e-3
    outdoor[:, Quantity.CO2] = OUTDOOR_CO2 * one.uniform(0.97, 1.08)[:, 0]
    humid = one.uniform(0.2, 0.85)[:, 0]
    indoor_water = humid * physics.saturation_vapour_density(indoor)
    # winter air is dry: an open window then dries the room
    outdoor_humid = one.uniform(0.4, 0.95)[:, 0]
    outdoor[:, Quantity.WATER] = outdoor_humid * physics.saturation_vapour_density(outdoor_c)
    # Chosen: homes hold up to 8 g/m3 more than the air outdoors, as the dampest dwellings do
    indoor_water = torch.minimum(indoor_water, outdoor[:, Quantity.WATER] + 8.0)
    used = torch.arange(ZONES, device=device) < zones.unsqueeze(1)
    forced = (one.chance(0.35) & (zones > 1).unsqueeze(1)) * one.log_uniform(1.0, 6.0) / 3600.0
    filtered = torch.ones(n, CARRIED, device=device)
    filtered[:, PARTICLES] = one.uniform(0.3, 1.0)
    # 4 to 12 W/m2K over the room's surfaces, some 6 V^(2/3)
    surface = 6.0 * volume ** (2 / 3)
    loss = zone.uniform(0.004, 0.012) * surface / (1.206 * volume)
    air_changes = zone.log_triangular(*rooms.air_changes)
    has_fan = zone.uniform(0.0, 1.0) < FANS.to(device)[purpose]
    air_changes = air_changes + has_fan * zone.log_uniform(2.0, 10.0)
    sensor_zone = draw_sensor_zones(layout, used, sensors, rooms, generator)
    reach = 0.7 * (volume / height).sqrt().gather(1, sensor_zone)  # half of a square's diagonal
    return Building(
        volume=volume * zone.uniform(0.6, 1.0),  # the part that smoke mixes through
        height=height,
        zones=zones,
        fresh=air_changes * volume / 3600.0,
        door=area * linked,
        fan=fan * linked,
        wall_loss=loss,
        wall_s=one.log_uniform(600.0, 6000.0)[:, 0],  # Chosen: plasterboard to masonry
        wall_out=one.log_uniform(0.03, 0.3)[:, 0],  # Chosen: some 0.2 to 2 W/m2K outwards
        drying=one.log_uniform(0.05, 1.0)[:, 0],  # droplets of 5 to 15 um: memory
        fog_share=one.log_uniform(0.001, 0.03)[:, 0],  # Chosen
        gradient=one.log_uniform(0.1, 2.0)[:, 0],  # Chosen
        deposition=draw_deposition(one),
        outdoor=outdoor,
        indoor_water=indoor_water,
        recirculation=forced * volume * used,
        filter=filtered,
        outdoor_excess_c=outdoor_c - indoor,
        indoor_c=indoor,
        sensor_zone=sensor_zone,
        under_ceiling=place.chance(rooms.ceiling_share),
        fire_distance=draw_distance(reach, place),
        distance=draw_distance(reach, place),
        air_speed=place.log_uniform(0.05, 0.3),
        background_db=one.uniform(26.0, 48.0)[:, 0],
        sun_share=place.uniform(0.0, 1.0) ** 3,
    )


def draw_sensor_zones(
    layout: Layout, used: Tensor, sensors: int, rooms: Rooms, generator: torch.Generator
) -> Tensor:
    """In which zone each sensor hangs. `used`, bool, is (n, zone); to int64 (n, sensor)"""
    hung = HUNG.to(used.device)[layout.purpose] * used
    if rooms.hung != ANYWHERE:
        is_there = torch.arange(ZONES, device=used.device) == layout.first_zone.unsqueeze(1)
        hung = hung * (is_there == (rooms.hung == SAME_ROOM))
    return torch.multinomial(hung, sensors, replacement=True, generator=generator)


def draw_volume(purpose: Tensor, rooms: Rooms, zone: Random) -> Tensor:
    """Volumes of rooms by their purpose, or in the range that is asked for. [m3] (n, zone)"""
    if rooms.volume_m3 is not None:
        return zone.log_triangular(*rooms.volume_m3)
    low, high = VOLUMES.to(purpose.device)[purpose].unbind(dim=-1)
    middle = 0.5 * (zone.uniform(0.0, 1.0) + zone.uniform(0.0, 1.0))
    return (low + (high - low) * middle).exp()


def draw_distance(reach: Tensor, place: Random) -> Tensor:
    """How far a sensor is from what happens in its room, as far as the room goes. [m] (n, sensor)

    Both stand anywhere, and no nearer than 0.3 m.
    """
    return 0.3 + (reach - 0.3).clamp(min=0.2) * place.uniform(0.0, 1.0).sqrt()


def draw_deposition(one: Random) -> Tensor:
    """How fast air loses what it carries to surfaces. [1/s] (n, CARRIED)"""
    cleaner = one.chance(0.15) * one.log_uniform(0.5, 4.0)  # Chosen: air cleaners
    rates = torch.zeros(one.shape[0], CARRIED, device=one.generator.device)
    fine = one.log_triangular(0.1, 0.6) + cleaner  # memory, as are all of these
    rates[:, Quantity.SOOT : Quantity.DUST] = fine / 3600.0
    rates[:, Quantity.DUST] = (one.log_uniform(0.5, 6.0) + cleaner)[:, 0] / 3600.0
    rates[:, Quantity.DROPLETS] = one.log_uniform(0.0003, 0.003)[:, 0]  # 5 to 15 um settle
    rates[:, Quantity.WATER] = one.log_uniform(0.05, 1.0)[:, 0] / 3600.0  # into walls
    return rates
