"""Which fires and nuisances happen in each scenario, when and where."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from saafe.errors import InputError
from saafe.simulator import physics, sources
from saafe.simulator.devices.catalogue import ANYTHING, GENERAL, load_device
from saafe.simulator.devices.device import Device
from saafe.simulator.emissions import ROOM_NAMES, Draw, Quantity, Random, Source

PREROLL_S, PREROLL_STEP_S = 3 * 3600.0, 60.0  # so that a stream can begin amid an event


@dataclass(frozen=True)
class Mix:
    """Which scenarios to draw."""

    fire_share: float = 0.45  # of scenarios with a fire, to whole ones: at 0.5 none of a lone one
    fires: tuple[str, ...] = ()  # names that may be drawn; empty means all
    nuisances: tuple[str, ...] = ()  # the same
    nuisance_counts: tuple[float, float, float] = (0.3, 0.45, 0.25)  # probability of 0, 1 and 2
    times: int = 1  # that each nuisance happens, one in each so many parts of the stream
    # 1 draws nuisances as often as dwellings see them, and 0 all alike
    balance: float = 0.75
    fault_share: float = 0.02  # of sensors of which one channel breaks (`SENSOR_FAULTS`)
    # of sensors that are gas analysers at the foot of their range, as stand beside test fires and
    # not in dwellings
    analyser_share: float = 0.06
    # which instruments: any, those of a device, or the general mix of both
    device: str | Device = ANYTHING


def mix_of(
    names: tuple[str, ...], device: str | Path | Device = ANYTHING, *, times: int = 1
) -> Mix:
    """The mix that draws only some sources or groups, all for no names, for one device or any.

    The device is a name of the catalogue, a path of a device file, or a Device. Nuisances that
    happen several `times` are two, so that one home has meals and showers, where two are named.
    """
    known = str(device) if device in (ANYTHING, GENERAL) else load_device(device)
    names = tuple(one for name in names for one in sources.GROUPS.get(name, (name,)))
    if not names:
        return Mix(device=known, times=times)
    if unknown := sorted(set(names) - set(sources.SOURCES), key=str):
        near = difflib.get_close_matches(str(unknown[0]), [*sources.SOURCES, *sources.GROUPS], n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(sources.SOURCES)}"
        raise InputError(f"source {unknown[0]!r} is unknown; {hint}")
    fires = tuple(name for name in names if sources.SOURCES[name].kind == "fire")
    nuisances = tuple(name for name in names if sources.SOURCES[name].kind != "fire")
    one_or_two = (0.0, 0.0, 1.0) if times > 1 and len(set(nuisances)) > 1 else (0.0, 1.0, 0.0)
    return Mix(
        fire_share=(0.5 if nuisances else 1.0) if fires else 0.0,
        fires=fires,
        nuisances=nuisances,
        nuisance_counts=one_or_two if nuisances else (1.0, 0.0, 0.0),
        times=times,
        device=known,
    )


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
    """Rates (time, n, quantity) and states int8 (time, n) of one event a scenario.

    `chosen` (n,) indexes the registry; -1 emits nothing. `time` is since its start. [s] (time, n)
    """
    rates = time.new_zeros(*time.shape, len(Quantity))
    state = torch.zeros(time.shape, dtype=torch.int8, device=time.device)
    for index, source in enumerate(registry):
        rows = (chosen == index).nonzero()[:, 0]
        if len(rows) == 0:
            continue
        draw = Draw(time[:, rows], generator)
        emission = source.emit(draw, source)
        ratio = draw.log_uniform(*source.hydrogen) * physics.HYDROGEN_PER_CO
        emission.rates[..., Quantity.HYDROGEN] = ratio * emission.rates[..., Quantity.CO]
        rates[:, rows] = emission.rates
        state[:, rows] = emission.state
    return rates, state


def draw_starts(n: int, hours: float, generator: torch.Generator, *, earliest_s: float) -> Tensor:
    """Uniform event starts between `earliest_s` and 90 % of the stream. [s] (n,)"""
    unit = torch.rand(n, generator=generator, device=generator.device)
    return earliest_s + unit * (0.9 * hours * 3600.0 - earliest_s)


@dataclass
class Events:
    """The events of a chunk: what was drawn and what it emits."""

    fire: Tensor  # index into `sources.FIRES`, -1 for none. int64 (n,)
    nuisance: Tensor  # index into `sources.OTHERS`, -1 for none. int64 (n, 2)
    ignition_s: Tensor  # (n,)
    zone: Tensor  # int64 (n, 3): of the fire and the two nuisances
    base_m: Tensor  # height above the floor. [m] (n, 3)
    walls: Tensor  # 1 in the open, 2 at a wall, 4 in a corner: flames draw in less air. (n, 3)
    rates: list[Tensor]  # three of (time, n, quantity)
    state: list[Tensor]  # three of int8 (time, n)


REGISTRIES = (sources.FIRES, sources.OTHERS, sources.OTHERS)


def draw_sources(n: int, mix: Mix, generator: torch.Generator) -> Tensor:
    """What happens in `n` scenarios: a fire and two others, indices into `REGISTRIES`. (n, 3)"""
    device = generator.device

    def choose(registry: tuple[Source, ...], names: tuple[str, ...]) -> Tensor:
        weights = odds(registry, names, mix.balance).to(device)
        return torch.multinomial(weights, n, replacement=True, generator=generator)

    fire = choose(sources.FIRES, mix.fires)
    fire[round(mix.fire_share * n) :] = -1
    counts = torch.multinomial(
        torch.tensor(mix.nuisance_counts, device=device), n, replacement=True, generator=generator
    )
    first = choose(sources.OTHERS, mix.nuisances)
    second = choose(sources.OTHERS, mix.nuisances)
    return torch.stack(
        [fire, torch.where(counts > 0, first, -1), torch.where(counts > 1, second, -1)], dim=1
    )


def rooms_needed(chosen: Tensor, generator: torch.Generator) -> Tensor:
    """The room of each source (n, 3): an index into `ROOM_NAMES`, -1 for none. (n, 3)"""
    needed = torch.full_like(chosen, -1)
    for slot, registry in enumerate(REGISTRIES):
        can = torch.tensor([[float(room in s.rooms) for room in ROOM_NAMES] for s in registry])
        weights = can.to(chosen.device)[chosen[:, slot].clamp(min=0)]
        room = torch.multinomial(weights, 1, generator=generator)[:, 0]
        needed[:, slot] = torch.where(chosen[:, slot] >= 0, room, -1)
    return needed


def draw_events(
    clock: Tensor,
    hours: float,
    chosen: Tensor,
    zone: Tensor,
    generator: torch.Generator,
    *,
    times: int = 1,
) -> Events:
    """Let the sources of `draw_sources` (n, 3) emit in their zones (n, 3).

    `clock` is of the stream, negative in the pre-roll. [s] (time, 1). Nuisances happen so many
    `times`, once in each of as many equal parts of the stream.
    """
    n, device = len(chosen), clock.device
    part = hours / times
    starts = [
        draw_starts(n, hours, generator, earliest_s=0.0),
        draw_starts(n, part, generator, earliest_s=-0.9 * PREROLL_S),
        draw_starts(n, part, generator, earliest_s=-0.3 * PREROLL_S),
    ]
    drawn = [
        emit_all(registry, chosen[:, slot], clock - starts[slot], generator)
        for slot, registry in enumerate(REGISTRIES)
    ]
    for k in range(1, times):
        for slot in (1, 2):
            again = k * part * 3600.0 + draw_starts(n, part, generator, earliest_s=0.0)
            rates, state = emit_all(REGISTRIES[slot], chosen[:, slot], clock - again, generator)
            drawn[slot][0].add_(rates)
            drawn[slot][1].copy_(torch.where(state != 0, state, drawn[slot][1]))
    low, high = torch.stack(
        [
            torch.tensor([source.base_m for source in registry], device=device)[
                chosen[:, slot].clamp(min=0)
            ]
            for slot, registry in enumerate(REGISTRIES)
        ],
        dim=1,
    ).unbind(dim=-1)
    place = Random((n, 3), generator)
    open_or_not = place.uniform(0.0, 1.0)  # Chosen: 40 % in the open, 45 % at a wall
    walls = 1.0 + (open_or_not > 0.4) + 2.0 * (open_or_not > 0.85)
    # the plume of a hob, an oven or a shower does not cling to the wall that it stands off from
    walls[:, 1:] = 1.0
    return Events(
        fire=chosen[:, 0],
        nuisance=chosen[:, 1:],
        ignition_s=torch.where(chosen[:, 0] >= 0, starts[0], torch.inf),
        zone=zone,
        base_m=low + (high - low) * place.uniform(0.0, 1.0),
        walls=walls,
        rates=[d[0] for d in drawn],
        state=[d[1] for d in drawn],
    )
