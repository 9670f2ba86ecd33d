"""What mixed air holds at every sensor, with all events and without them.

On a CPU loops over time are compiled (`compiled`), on a GPU they are torch's (`air.carry`). Both
follow the same laws, and `tests/test_compiled.py` holds them equal.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from saafe.simulator.air import (
    CONVECTIVE,
    HEATED_AIR,
    LEAST_RATE,
    OXYGEN_LIMIT,
    OXYGEN_SPAN,
    Flows,
    Supply,
    carry,
    prepare_flows,
    take,
    wall_pace,
    yield_gain,
)
from saafe.simulator.buildings import ZONES, Building
from saafe.simulator.emissions import CARRIED, Quantity
from saafe.simulator.scenarios import Events


@dataclass(frozen=True)
class Rows:
    """Runs of a chunk: every scenario in full, then without its fire, then without any event."""

    scenario: Tensor  # of each row. int64 (r,)
    n: int  # scenarios
    burning: int  # how many of the first scenarios have a fire
    fires: int  # how many of them are run again without it
    upset: Tensor  # scenarios run again without any event. int64 (m,)

    def runs(self) -> list[tuple[slice, slice | Tensor]]:
        """The three runs: where their rows are, and of which scenarios."""
        first, second = self.n, self.n + self.fires
        parts = slice(0, first), slice(first, second), slice(second, len(self.scenario))
        return list(zip(parts, (slice(0, first), slice(0, self.fires), self.upset), strict=True))


@dataclass(frozen=True)
class Given:
    """What `n` scenarios are given: people, weather, events."""

    people: Tensor  # what life emits. (time, n, quantity)
    outdoor_pm: Tensor  # departure from the usual. [mg/m3] (time, n)
    events: Events


@dataclass(frozen=True)
class Mixed:
    """What well mixed zones hold at every sensor; rows lie last in memory."""

    air: Tensor  # K above the usual temperature, mg/m3 or g/m3. (time, r, sensor, CARRIED)
    sound: Tensor  # acoustic power [pW] (time, r, sensor)
    warmth: Tensor  # of the sun in the room that it shines into [K] (time, r, sensor)
    kept_rate: Tensor  # share of its free burning rate that each fire keeps, pre-roll too (time, m)


def mix_air(
    building: Building, given: Given, rows: Rows, steps_s: list[float], steps: int
) -> Mixed:
    """Carry what scenarios are given through their zones.

    `building` is of every scenario; `steps_s` are the lengths of all steps [s], of which the last
    `steps` are the stream's.
    """
    if given.people.device.type == "cpu":
        return mix_compiled(building, given, rows, steps_s, steps)
    return mix_in_torch(building, given, rows, steps_s, steps)


def mix_in_torch(
    building: Building, given: Given, rows: Rows, steps_s: list[float], steps: int
) -> Mixed:
    """`mix_air` as operations on all rows at once, step by step."""
    spread = take(building, rows.scenario)
    supply = gather_supply(given, rows)
    air, kept_rate = carry(spread, supply, steps_s)
    where = spread.sensor_zone.T  # (sensor, r)
    zones = air[-steps:].permute(1, 2, 0, 3)  # (zone, CARRIED, time, r)
    seen = air.new_empty(CARRIED, steps, *where.shape)
    for k, place in enumerate(where):
        here = torch.mul(zones[0], place == 0, out=seen[:, :, k])
        for zone in range(1, ZONES):
            here.addcmul_(zones[zone], (place == zone).float())
    sound, warmth = sound_and_sun(supply, spread, steps)
    zone = given.events.zone[: rows.burning, 0].view(1, 1, -1).expand(len(steps_s), 1, -1)
    return Mixed(seen.permute(1, 3, 2, 0), sound, warmth, kept_rate.gather(1, zone)[:, 0])


def gather_supply(given: Given, rows: Rows) -> Supply:
    """What the zones of every row receive; people are in the first."""
    people, events = given.people, given.events
    steps, count = people.shape[0], len(rows.scenario)
    shape = (steps, ZONES, count)
    supply = Supply(
        rates=people.new_zeros(steps, ZONES, CARRIED, count),
        fire=people.new_zeros(steps, ZONES, CARRIED, rows.burning),
        vent=people.new_zeros(shape),
        outdoor_pm=given.outdoor_pm[:, rows.scenario],
        sound=people.new_zeros(shape),
        radiant=people.new_zeros(shape),
    )
    life_rates = people.transpose(1, 2).contiguous()  # (time, quantity, n)
    for part, of in rows.runs():
        supply.rates[:, 0, :, part] = life_rates[:, :CARRIED, of]
        supply.sound[:, 0, part] = life_rates[:, Quantity.SOUND, of]
    for slot in (1, 2):
        rates = events.rates[slot].transpose(1, 2).contiguous()
        for part, of in rows.runs()[:2]:  # those with their nuisances
            for zone in range(ZONES):
                there = (events.zone[of, slot] == zone).float()
                supply.rates[:, zone, :, part].addcmul_(rates[:, :CARRIED, of], there)
                supply.vent[:, zone, part].addcmul_(rates[:, Quantity.VENT, of], there)
                supply.sound[:, zone, part].addcmul_(rates[:, Quantity.SOUND, of], there)
                supply.radiant[:, zone, part].addcmul_(rates[:, Quantity.RADIANT, of], there)
            supply.outdoor_pm[:, part] += 1e-3 * rates[:, Quantity.OUTDOOR_PM, of]
    rates = events.rates[0][:, : rows.burning].transpose(1, 2)
    for zone in range(ZONES):
        there = (events.zone[: rows.burning, 0] == zone).float()
        supply.fire[:, zone] = rates[:, :CARRIED] * there
        supply.sound[:, zone, : rows.burning].addcmul_(rates[:, Quantity.SOUND], there)
    return supply


def sound_and_sun(supply: Supply, building: Building, steps: int) -> tuple[Tensor, Tensor]:
    """Acoustic power [pW] and the sun's warmth [K] at every sensor. Two of (time, r, sensor)"""
    sound = supply.sound[-steps:].transpose(1, 2)
    radiant = supply.radiant[-steps:].amax(dim=1).unsqueeze(-1)
    where = building.sensor_zone.unsqueeze(0).expand(steps, -1, -1)
    power = (sound + 1e-3 * sound.sum(dim=2, keepdim=True)).gather(2, where)  # walls: 30 dB
    return power, radiant.expand_as(power)


def mix_compiled(
    building: Building, given: Given, rows: Rows, steps_s: list[float], steps: int
) -> Mixed:
    """`mix_air` as a loop over rows and steps; a run parts from the one that it goes on from."""
    from saafe.simulator import compiled  # numba takes a third of a second, and GPUs need none

    count, sensors = len(rows.scenario), building.sensor_zone.shape[1]
    air = torch.empty(CARRIED, steps, sensors, count)
    sound, warmth = torch.empty(2, steps, sensors, count)
    kept_rate = torch.empty(len(steps_s), rows.burning)
    row_of = torch.full((rows.n, 3), -1)
    for run, (part, of) in enumerate(rows.runs()):
        row_of[of, run] = torch.arange(count)[part]
    flows, events = prepare_flows(building), given.events
    zones = torch.stack([flows.steady, flows.leaving]).permute(3, 0, 1, 2)
    carried = torch.stack([flows.start, flows.let_in, flows.filter]).permute(2, 0, 1)
    rooms = torch.cat([part.T for part in room_figures(flows, steps_s).values()], dim=1)
    sources = (given.people, *events.rates, events.zone, given.outdoor_pm)
    figures = (CONVECTIVE / HEATED_AIR, OXYGEN_LIMIT, OXYGEN_SPAN, LEAST_RATE)
    compiled.mix(
        *(part.contiguous().numpy() for part in (zones, carried, rooms, building.sensor_zone)),
        *(part.contiguous().numpy() for part in sources),
        rows.burning,
        row_of.numpy(),
        yield_gain(air)[:, 0].numpy(),
        compiled.Laws(*map(np.float32, figures)),
        np.array(steps_s, np.float32),
        *(part.numpy() for part in (air, sound, warmth, kept_rate)),
    )
    sound, warmth = sound.transpose(1, 2), warmth.transpose(1, 2)
    return Mixed(air.permute(1, 3, 2, 0), sound, warmth, kept_rate)


def room_figures(flows: Flows, steps_s: list[float]) -> dict[str, Tensor]:
    """The figures of `compiled.ROOM`, each (figure, r)."""
    from saafe.simulator import compiled

    figures = dict(vars(flows))
    for tail, step_s in (("_early", steps_s[0]), ("", steps_s[-1])):
        figures["held" + tail] = flows.volume / step_s
        figures["warming" + tail], figures["conducting" + tail] = wall_pace(flows, step_s)
    chosen = {name: torch.atleast_2d(figures[name]) for name in compiled.ROOM}
    assert [len(part) for part in chosen.values()] == list(compiled.ROOM.values()), "their order"
    return chosen
