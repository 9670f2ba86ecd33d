"""Rooms, air flows, weather and places of sensors, drawn for a batch of scenarios."""

from dataclasses import dataclass

import torch
from torch import Tensor

from saafe.simulator import physics
from saafe.simulator.emissions import CARRIED, Quantity, Random

ZONES = 3
OUTDOOR_CO2 = 0.77  # [g/m3], 421 ppm


@dataclass(frozen=True)
class Rooms:
    """Ranges that buildings are drawn from; the exam's shifted rooms lie outside them."""

    volume_m3: tuple[float, float] = (10.0, 150.0)  # of a zone
    height_m: tuple[float, float] = (2.2, 4.0)  # of its ceiling
    air_changes: tuple[float, float] = (0.1, 8.0)  # outdoor air [1/h]
    door_m2: tuple[float, float] = (0.02, 2.0)  # open area between zones; a share of doors is shut
    outdoor_c: tuple[float, float] = (-10.0, 35.0)  # [degC]
    indoor_c: tuple[float, float] = (14.0, 31.0)  # [degC]
    outdoor_pm: tuple[float, float] = (1.0, 60.0)  # [ug/m3]
    ceiling_share: float = 0.75  # of sensors, the others on a shelf


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


def draw_building(n: int, sensors: int, rooms: Rooms, generator: torch.Generator) -> Building:
    """Draw `n` buildings with their weather and sensor places."""
    device = generator.device
    zone = Random((n, ZONES), generator)
    door = Random((n, ZONES - 1), generator)
    one = Random((n, 1), generator)
    place = Random((n, sensors), generator)
    volume = zone.log_triangular(*rooms.volume_m3)
    height = zone.uniform(*rooms.height_m)
    zones = (1 + (one.uniform(0.0, 1.0) > 0.3).int() + (one.uniform(0.0, 1.0) > 0.5).int())[:, 0]
    zones = zones.long()
    linked = torch.arange(ZONES - 1, device=device) < (zones - 1).unsqueeze(1)
    shut = door.chance(0.3)
    area = torch.where(shut, door.log_uniform(0.005, 0.03), door.log_uniform(*rooms.door_m2))
    # Chosen: people, convectors and draughts carry 36 to 360 m3/h through an open doorway
    stirred = torch.where(shut, 0.002, door.log_uniform(0.01, 0.1))
    fan = torch.where(door.chance(0.3), door.log_uniform(0.01, 0.2), 0.0) + stirred
    indoor = one.uniform(*rooms.indoor_c)[:, 0]
    outdoor_c = one.uniform(*rooms.outdoor_c)[:, 0]
    outdoor = torch.zeros(n, CARRIED, device=device)
    outdoor[:, Quantity.PM] = one.log_uniform(*rooms.outdoor_pm)[:, 0] * 1e-3
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
    filtered[:, Quantity.PM] = one.uniform(0.3, 1.0)[:, 0]
    filtered[:, Quantity.DROPLETS] = filtered[:, Quantity.PM]
    deposition = torch.zeros(n, CARRIED, device=device)
    deposition[:, Quantity.PM] = one.log_uniform(0.05, 3.0)[:, 0] / 3600.0  # with air cleaners
    deposition[:, Quantity.DROPLETS] = one.log_uniform(0.003, 0.05)[:, 0]
    deposition[:, Quantity.WATER] = one.log_uniform(0.05, 1.0)[:, 0] / 3600.0  # into walls
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
        indoor_water=indoor_water,
        recirculation=forced * volume * used,
        filter=filtered,
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
