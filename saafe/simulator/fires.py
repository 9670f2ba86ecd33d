"""How things burn: fuels and their yields, flames, smoulders, oil on a hob."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from saafe.sensors import FIRE, NORMAL, NUISANCE, UNKNOWN, Range
from saafe.simulator import physics
from saafe.simulator.emissions import NATURAL_GAS, Draw, Emission, Quantity, Source


@dataclass(frozen=True)
class Fuel:
    """Yields of a fuel in one mode of burning: mass per mass of fuel burnt. [g/g]"""

    heat: Range  # of combustion, chemical. [kJ/g]
    soot: Range
    co2: Range
    co: Range
    water: Range


# A. Tewarson, "Generation of heat and chemical compounds in fires," SFPE Handbook, 3rd ed.,
# table 3-4.14 (well ventilated), and G. W. Mulholland, "Smoke production and properties," same
# book, table 2-13.1. From memory, but for soot: foam 0.131 (GM21, quoted in a public FDS deck),
# under 0.015 for whole sofas before flashover (NIST TN 1453); wood 0.015; heptane 0.0149 +- 0.0033
# (CFAST Validation Guide). Where sources conflict, the range holds both.
WOOD = Fuel((10.0, 14.0), (0.0014, 0.015), (1.1, 1.5), (0.003, 0.02), (0.3, 0.55))
PAPER = Fuel((10.0, 15.0), (0.0014, 0.015), (1.0, 1.5), (0.003, 0.02), (0.3, 0.55))
FOAM = Fuel((14.0, 20.0), (0.015, 0.13), (1.1, 1.6), (0.01, 0.05), (0.3, 0.7))
PLASTIC = Fuel((10.0, 30.0), (0.05, 0.18), (0.9, 2.4), (0.02, 0.08), (0.2, 0.9))
HEPTANE = Fuel((38.0, 42.0), (0.0116, 0.0182), (2.7, 2.95), (0.006, 0.02), (1.2, 1.5))
DECALIN = Fuel((28.0, 38.0), (0.06, 0.15), (2.2, 2.8), (0.02, 0.06), (0.9, 1.2))  # chosen
ALCOHOL = Fuel((22.0, 27.0), (0.001, 0.008), (1.6, 1.9), (0.0005, 0.002), (1.0, 1.25))
OIL = Fuel((33.0, 37.0), (0.02, 0.06), (2.2, 2.6), (0.01, 0.04), (0.7, 1.1))
BATTERY = Fuel((8.0, 20.0), (0.02, 0.15), (0.6, 1.6), (0.03, 0.2), (0.2, 0.7))
SMOULDERING_WOOD = Fuel((3.0, 8.0), (0.03, 0.17), (0.3, 0.6), (0.05, 0.15), (0.2, 0.6))
SMOULDERING_FOAM = Fuel((2.0, 7.0), (0.05, 0.15), (0.3, 0.7), (0.05, 0.15), (0.1, 0.4))
SMOULDERING_COTTON = Fuel((4.0, 9.0), (0.02, 0.08), (0.7, 1.2), (0.10, 0.20), (0.2, 0.5))
SMOULDERING_CABLE = Fuel((1.0, 6.0), (0.03, 0.2), (0.1, 0.6), (0.01, 0.12), (0.05, 0.3))
# Vented electrolyte: white fog of solvents with CO and hydrogen, and little heat; memory
BATTERY_VENT = Fuel((0.5, 3.0), (0.1, 0.5), (0.1, 0.5), (0.05, 0.3), (0.0, 0.05))
# Time to 1,055 kW. Three chairs and two mattresses lit in a furnished home: 313 to 867 s
# (CFAST Validation Guide); tests of such items alone are faster, to 100 s (memory).
FURNITURE_GROWTH_S: Range = (120.0, 1200.0)
VAPOUR_YIELD = {True: (0.002, 0.05), False: (0.01, 0.3)}  # vapours of flames, of smoulders. [g/g]


def burn(draw: Draw, fuel: Fuel, heat: Tensor, *, flaming: bool) -> Tensor:
    """Emissions of a fuel that gives off heat [kW] (time, n). (time, n, quantity)

    Heat, CO2 and water of a gram go together: what burns completely gives the most of each.
    """
    rates = draw.nothing()
    complete = draw.uniform(0.0, 1.0)

    def fixed(ends: Range) -> Tensor:
        return ends[0] + (ends[1] - ends[0]) * complete

    burnt = heat / fixed(fuel.heat)  # [g/s]
    rates[..., Quantity.HEAT] = heat
    smoke = Quantity.SOOT if flaming else Quantity.SMOKE
    rates[..., smoke] = 1e3 * draw.log_uniform(*fuel.soot) * burnt
    rates[..., Quantity.CO2] = fixed(fuel.co2) * burnt
    rates[..., Quantity.CO] = 1e3 * draw.log_uniform(*fuel.co) * burnt
    rates[..., Quantity.WATER] = fixed(fuel.water) * burnt
    rates[..., Quantity.VOC] = 1e3 * draw.log_uniform(*VAPOUR_YIELD[flaming]) * burnt
    rates[..., Quantity.OXYGEN] = physics.OXYGEN_PER_HEAT * heat
    # crackle: louder fires make louder noise; chosen, no source found
    rates[..., Quantity.SOUND] = 10.0 ** (draw.uniform(5.0, 7.0)) * (heat / 100.0).clamp(0.0, 10.0)
    return rates


def flame(draw: Draw, *, growth_s: Range, peak_kw: Range, start: Tensor | None = None) -> Tensor:
    """Heat release of one flaming item: incubation, t-squared growth, plateau, decay.

    Args:
        draw: the scenarios.
        growth_s: range of the growth time t_g to 1,055 kW. [s]
        peak_kw: range of the peak that fuel and item allow. [kW]
        start: delay of the first flame. [s] (1, n)

    Returns:
        Heat release rate. [kW] (time, n)
    """
    time = draw.time if start is None else draw.time - start
    incubation = torch.where(draw.chance(0.5), draw.uniform(0.0, 30.0), draw.log_uniform(10, 300))
    pilot = draw.log_uniform(0.5, 8.0)  # [kW] match, paper, first flames
    growth = draw.log_uniform(*growth_s)
    peak = draw.log_uniform(*peak_kw)
    grown = physics.t_squared_heat_release(time - incubation, growth_time=growth)
    first = pilot * (time / incubation.clamp(min=10.0)).clamp(0.0, 1.0)
    heat = torch.minimum(torch.maximum(grown, first), peak)
    burnout = incubation + growth * (peak / 1055.0).sqrt() + draw.log_uniform(60.0, 1500.0)
    decay = torch.exp(-(time - burnout).clamp(min=0.0) / draw.log_uniform(60.0, 600.0))
    return heat * decay * draw.flicker(0.15, period_s=30.0)


def fire_state(time: Tensor, rates: Tensor) -> Tensor:
    """FIRE while it burns, UNKNOWN once it has all but burnt out, NORMAL before. int8 (time, n)

    Out means under 2 % of the largest smoke rate so far.
    """
    smoke = rates[..., Quantity.SOOT] + rates[..., Quantity.SMOKE]
    out = (smoke < 0.02 * smoke.cummax(dim=0).values) & (time >= 0.0)
    state = torch.where(time < 0.0, NORMAL, torch.where(out, UNKNOWN, FIRE))
    return state.to(torch.int8)


@dataclass(frozen=True)
class Fire:
    """Parameters of a fire row: what burns, how fast, and whether it smoulders first."""

    fuel: Fuel | None = None  # yields while flaming; None never flames
    ember: Fuel | None = None  # while smouldering; None starts with flames
    growth_s: Range = (75.0, 600.0)  # t-squared growth time. [s]
    peak_kw: Range = (50.0, 2500.0)  # [kW]
    smoulder_s: Range = (900.0, 10800.0)  # for the smoulder to reach its full rate. [s]
    smoulder_g_s: Range = (0.002, 0.15)  # full mass-loss rate of the smoulder. [g/s]
    flaming_chance: float = 0.0  # of a smoulder's turning into flames


def ignite(fire: Fire) -> Callable[[Draw, Source], Emission]:
    """The emit function of a fire with these parameters."""

    def emit(draw: Draw, _source: Source) -> Emission:
        rates = draw.nothing()
        flames_at = torch.zeros(1, draw.n, device=draw.time.device)
        if fire.ember is not None:
            full = draw.log_uniform(*fire.smoulder_s)
            # a chair lost 0.10 t + 0.0185 t^2 g/min: Quintiere et al. 1982, memory
            power = draw.uniform(0.8, 2.0)
            rate = draw.log_uniform(*fire.smoulder_g_s) * (
                (draw.time / full).clamp(0.0, 1.0) ** power
            )
            lasting = full + draw.log_uniform(600.0, 7200.0)
            rate = rate * torch.exp(-(draw.time - lasting).clamp(min=0.0) / 900.0)
            heat = rate * draw.flicker(0.3, period_s=60.0) * math.sqrt(math.prod(fire.ember.heat))
            rates = rates + burn(draw, fire.ember, heat, flaming=False)
            never = ~draw.chance(fire.flaming_chance)
            flames_at = full * draw.uniform(0.3, 1.3) + never * 1e9
        if fire.fuel is not None:
            heat = flame(draw, growth_s=fire.growth_s, peak_kw=fire.peak_kw, start=flames_at)
            rates = rates + burn(draw, fire.fuel, heat, flaming=True)
        return Emission(rates, fire_state(draw.time, rates))

    return emit


def two_items(draw: Draw, source: Source) -> Emission:
    """A chair or sofa burns, and lights a wooden piece beside it one to five minutes later."""
    first = ignite(Fire(fuel=FOAM, growth_s=FURNITURE_GROWTH_S, peak_kw=(50, 1500)))(draw, source)
    later = Draw(draw.time - draw.log_uniform(60.0, 300.0), draw.generator)
    wood = Fire(fuel=WOOD, growth_s=(150.0, 900.0), peak_kw=(100.0, 2000.0))
    rates = first.rates + ignite(wood)(later, source).rates
    return Emission(rates, fire_state(draw.time, rates))


def overheating_oil(draw: Draw, _source: Source) -> Emission:
    """A pan of oil left on a hob: cooking, then smoke, then fire.

    Smoke doubles every 15 to 30 K above the smoke point (chosen to reach optical densities of
    0.1 to 1 /m before ignition in a kitchen); ignition between 380 and 440 degC: canola 424,
    olive 435 (Buda-Ortins 2010). Under 250 degC it is a nuisance, to 300 nothing is asserted,
    above it is a fire.
    """
    # [K/s] at first; then losses slow it down, the more so the weaker the hob. Two recorded pans
    # smoked after 250 to 300 s and lit after 1,380 to 1,440 s; 5 to 15 min at full power: memory
    heating = draw.log_uniform(0.3, 1.0)
    ignition_c = draw.uniform(380.0, 440.0)
    limit_c = ignition_c + draw.log_uniform(10.0, 400.0)
    left_on = draw.chance(0.8)  # otherwise someone turns it off below 250 degC
    highest = torch.where(left_on, ignition_c, draw.uniform(160.0, 245.0))
    tau = (limit_c - 20.0) / heating

    def reached(celsius: Tensor) -> Tensor:
        return -tau * torch.log(1.0 - (celsius - 20.0) / (limit_c - 20.0))

    warming = 1.0 - torch.exp(-draw.time.clamp(min=0.0) / tau)
    oil_c = torch.minimum(20.0 + (limit_c - 20.0) * warming, highest)
    off = 600.0 + reached(highest)
    on = (draw.time >= 0.0) & (left_on | (draw.time < off))
    since = draw.time - reached(ignition_c)
    lit = left_on & (since >= 0.0)
    heat = torch.minimum(
        physics.t_squared_heat_release(since, growth_time=draw.log_uniform(60.0, 300.0))
        + draw.log_uniform(5.0, 30.0) * (since / 10.0).clamp(0.0, 1.0),
        draw.log_uniform(30.0, 500.0),
    )
    rates = burn(draw, OIL, heat * lit, flaming=True)
    smoke = draw.log_uniform(0.3, 6.0) * 2.0 ** ((oil_c - 230.0) / draw.uniform(15.0, 30.0))
    smoke = smoke.clamp(max=300.0) * on * ~lit * draw.flicker(0.3)
    rates[..., Quantity.COOKING] += smoke
    rates[..., Quantity.VOC] += smoke * draw.log_uniform(0.1, 1.0)
    rates[..., Quantity.CO] += smoke * draw.log_uniform(0.01, 0.3)
    rates[..., Quantity.DROPLETS] += smoke * draw.uniform(0.0, 0.3)
    gas = draw.chance(0.4)
    # hob and pan warm the room as they warm up themselves, with 0.3 to 1.5 kW beside the oil's
    warm = (draw.time / draw.log_uniform(60.0, 400.0)).clamp(0.0, 1.0)
    hob = on * warm * draw.uniform(0.3, 1.5)
    rates[..., Quantity.HEAT] += hob
    rates[..., Quantity.CO2] += gas * NATURAL_GAS.co2 * hob
    rates[..., Quantity.WATER] += gas * NATURAL_GAS.water * hob
    hot = torch.where(oil_c > 300.0, FIRE, torch.where(oil_c > 250.0, UNKNOWN, NUISANCE))
    state = torch.where(on, hot, NORMAL)
    # what a pan that was turned off leaves in the air is a nuisance until it has gone
    state = torch.where(~left_on & (draw.time >= off), NUISANCE, state)
    return Emission(rates, state.to(torch.int8))
