"""What drives a scenario: fires, nuisances and life, as emission rates over time. Layer 2.

A source is one function and one registry row. The function draws its parameters for `n`
scenarios at once and returns emissions of shape `(time, n, quantity)`, with the time counted
from its own start (negative before). Rates and yields without a source named beside them are
ranges chosen wide enough to hold the literature values that the authors remember; they are to
be read as priors, not as measurements.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from saafe import physics
from saafe.sensors import FIRE, NORMAL, NUISANCE, UNKNOWN

# Quantities that a source emits. The first eight are carried by the air.
QUANTITIES = (
    "heat",  # [kW] total heat release
    "pm",  # [mg/s] smoke and fine particles
    "co2",  # [g/s]
    "co",  # [mg/s]
    "water",  # [g/s] vapour
    "voc",  # [mg/s] vapours that gas sensors mistake for CO2 or CO (ethanol, hydrogen, ...)
    "droplets",  # [mg/s] mist that evaporates
    "oxygen",  # [g/s] consumed
    "radiant",  # [K] warms the sensor itself, not the air (sun)
    "vent",  # [m3/s] outdoor air let in (window)
    "outdoor_pm",  # [ug/m3] raises the outdoor air's particles
    "sound",  # [pW] acoustic power
)
(HEAT, PM, CO2, CO, WATER, VOC, DROPLETS, OXYGEN, RADIANT, VENT, OUTDOOR_PM, SOUND) = range(
    len(QUANTITIES)
)
CARRIED = 8  # the first eight quantities travel with the air

Range = tuple[float, float]


class Draw:
    """Random parameters for `n` scenarios, one column each.

    Attributes:
        time: since the source's start. [s] (time, n)
        n: scenarios.
    """

    def __init__(self, time: Tensor, generator: torch.Generator) -> None:
        """Bind the time axis and the generator."""
        self.time = time
        self.n = time.shape[1]
        self.generator = generator

    def uniform(self, low: float, high: float) -> Tensor:
        """Uniform on [low, high). (1, n)"""
        unit = torch.rand(1, self.n, generator=self.generator, device=self.time.device)
        return low + (high - low) * unit

    def log_uniform(self, low: float, high: float) -> Tensor:
        """Uniform in the logarithm on [low, high). (1, n)"""
        return self.uniform(math.log(low), math.log(high)).exp()

    def log_middling(self, low: float, high: float) -> Tensor:
        """Triangular in the logarithm on [low, high): the ends are rare. (1, n)"""
        return (self.log_uniform(low, high) * self.log_uniform(low, high)).sqrt()

    def chance(self, probability: float) -> Tensor:
        """True with a probability. (1, n)"""
        return self.uniform(0.0, 1.0) < probability

    def flicker(self, spread: float, *, period_s: float = 120.0) -> Tensor:
        """Smooth multiplicative fluctuation about one. (time, n)

        Args:
            spread: standard deviation of its logarithm.
            period_s: between independent knots.
        """
        knots = max(2, int(self.time.shape[0] * 10.0 / period_s))
        values = torch.randn(1, self.n, knots, generator=self.generator, device=self.time.device)
        smooth = torch.nn.functional.interpolate(
            values, size=self.time.shape[0], mode="linear", align_corners=True
        )
        return (spread * smooth[0].T).exp()

    def pulse(self, duration: Tensor, *, rise: Tensor, fall: Tensor) -> Tensor:
        """A trapezoid: up within `rise`, down within `fall` after `duration`. (time, n)"""
        up = (self.time / rise).clamp(0.0, 1.0)
        down = 1.0 - ((self.time - duration) / fall).clamp(0.0, 1.0)
        return up * down

    def nothing(self) -> Tensor:
        """No emissions. (time, n, quantity)"""
        return self.time.new_zeros(*self.time.shape, len(QUANTITIES))


@dataclass(frozen=True)
class Emission:
    """What a source gives off and what is true meanwhile.

    Attributes:
        rates: (time, n, quantity), in the units of `QUANTITIES`.
        state: int8 (time, n): what holds while the source acts, one of NORMAL (not acting),
            NUISANCE, FIRE or UNKNOWN (neither is asserted).
    """

    rates: Tensor
    state: Tensor


@dataclass(frozen=True)
class Source:
    """One registry row.

    Attributes:
        name: unique word, also the value of a recording's `source` column.
        kind: "fire" or "nuisance".
        emit: draws parameters and returns the emissions.
        per_year: how often a dwelling sees it; a stated assumption of the exam, 0 for fires.
        weight: how often training draws a fire, relative to the others.
        table: rates of a `steady` source.
        kitchen: whether it happens where people cook.
    """

    name: str
    kind: str
    emit: Callable[[Draw, "Source"], Emission]
    per_year: float = 0.0
    weight: float = 1.0
    table: "Rates | None" = None
    kitchen: bool = False


@dataclass(frozen=True)
class Rates:
    """Ranges of a source that runs steadily for a while, triangular in the logarithm.

    Attributes:
        duration_s, rise_s, fall_s: length, time to full rate, time to fade. [s]
        heat .. outdoor_pm: emission ranges in the units of `QUANTITIES`; None emits nothing.
        sound: sound power level. [dB]
        together: 0 draws each rate alone, 1 scales all by one common strength.
        flicker: spread of the logarithm over minutes.
    """

    duration_s: Range
    rise_s: Range = (10.0, 120.0)
    fall_s: Range = (10.0, 300.0)
    heat: Range | None = None
    pm: Range | None = None
    co2: Range | None = None
    co: Range | None = None
    water: Range | None = None
    voc: Range | None = None
    droplets: Range | None = None
    radiant: Range | None = None
    vent: Range | None = None
    outdoor_pm: Range | None = None
    sound: Range | None = None
    flicker: float = 0.25


def acting(draw: Draw, duration: Tensor) -> Tensor:
    """Whether a source that lasts `duration` is acting. bool (time, n)"""
    return (draw.time >= 0.0) & (draw.time <= duration)


def steady(draw: Draw, source: Source) -> Emission:
    """Emit at constant rates, drawn from the row's table, for a while."""
    table = source.table
    assert table is not None, f"{source.name} has no table of rates"
    duration = draw.log_uniform(*table.duration_s)
    fall = draw.log_uniform(*table.fall_s)
    shape = draw.pulse(duration, rise=draw.log_uniform(*table.rise_s), fall=fall)
    shape = shape * draw.flicker(table.flicker)
    rates = draw.nothing()
    for index, quantity in enumerate(QUANTITIES):
        limits = getattr(table, quantity, None)  # oxygen is drawn by fires alone
        if limits is None:
            continue
        if index == SOUND:
            power = 10.0 ** (draw.uniform(*limits) / 10.0)
            rates[..., SOUND] = power * acting(draw, duration)
        else:
            rates[..., index] = draw.log_middling(*limits) * shape
    state = torch.where(acting(draw, duration + fall), NUISANCE, NORMAL).to(torch.int8)
    return Emission(rates, state)


# --- fires ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fuel:
    """Yields of a fuel in one mode of burning, as ranges.

    Attributes:
        heat: chemical heat of combustion. [kJ/g]
        soot, co2, co, water: mass per mass of fuel burnt. [g/g]
    """

    heat: Range
    soot: Range
    co2: Range
    co: Range
    water: Range


# A. Tewarson, "Generation of heat and chemical compounds in fires," SFPE Handbook, 3rd ed.,
# table 3-4.14 (well ventilated), and G. W. Mulholland, "Smoke production and properties," same
# book, table 2-13.1 (smouldering wood 0.03-0.17, polyurethane 0.03-0.12 g/g). Ranges widened and
# quoted from memory.
WOOD = Fuel((10.0, 14.0), (0.005, 0.03), (1.1, 1.5), (0.003, 0.02), (0.3, 0.55))
PAPER = Fuel((10.0, 15.0), (0.003, 0.02), (1.0, 1.5), (0.003, 0.02), (0.3, 0.55))
FOAM = Fuel((14.0, 20.0), (0.06, 0.23), (1.1, 1.6), (0.01, 0.05), (0.3, 0.7))
PLASTIC = Fuel((10.0, 30.0), (0.05, 0.18), (0.9, 2.4), (0.02, 0.08), (0.2, 0.9))
HEPTANE = Fuel((38.0, 42.0), (0.03, 0.06), (2.7, 2.95), (0.006, 0.02), (1.2, 1.5))
ALCOHOL = Fuel((22.0, 27.0), (0.001, 0.008), (1.6, 1.9), (0.0005, 0.002), (1.0, 1.25))
OIL = Fuel((30.0, 37.0), (0.02, 0.1), (2.2, 2.8), (0.01, 0.05), (0.7, 1.1))
BATTERY = Fuel((8.0, 20.0), (0.02, 0.15), (0.6, 1.6), (0.03, 0.2), (0.2, 0.7))
SMOULDERING_WOOD = Fuel((3.0, 8.0), (0.03, 0.17), (0.4, 1.1), (0.05, 0.2), (0.2, 0.6))
SMOULDERING_FOAM = Fuel((2.0, 7.0), (0.03, 0.12), (0.2, 0.8), (0.02, 0.12), (0.1, 0.4))
SMOULDERING_COTTON = Fuel((4.0, 9.0), (0.03, 0.15), (0.6, 1.2), (0.08, 0.25), (0.2, 0.5))
SMOULDERING_CABLE = Fuel((1.0, 6.0), (0.03, 0.2), (0.1, 0.6), (0.01, 0.12), (0.05, 0.3))


def burn(draw: Draw, fuel: Fuel, burning_rate: Tensor) -> Tensor:
    """Emissions of a fuel consumed at a rate.

    Args:
        draw: the scenarios.
        fuel: its yields.
        burning_rate: fuel consumed. [g/s] (time, n)

    Returns:
        Rates. (time, n, quantity)
    """
    rates = draw.nothing()
    heat = draw.uniform(*fuel.heat) * burning_rate
    rates[..., HEAT] = heat
    rates[..., PM] = 1e3 * draw.log_uniform(*fuel.soot) * burning_rate
    rates[..., CO2] = draw.uniform(*fuel.co2) * burning_rate
    rates[..., CO] = 1e3 * draw.log_uniform(*fuel.co) * burning_rate
    rates[..., WATER] = draw.uniform(*fuel.water) * burning_rate
    rates[..., VOC] = 1e3 * draw.log_uniform(0.002, 0.05) * burning_rate
    rates[..., OXYGEN] = physics.OXYGEN_PER_HEAT * heat
    # crackle: louder fires make louder noise; chosen, no source found
    rates[..., SOUND] = 10.0 ** (draw.uniform(5.0, 7.0)) * (heat / 100.0).clamp(0.0, 10.0)
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

    Args:
        time: since ignition. [s] (time, n)
        rates: emissions; out means under 10 % of the largest smoke rate so far.
            (time, n, quantity)
    """
    smoke = rates[..., PM]
    out = (smoke < 0.1 * smoke.cummax(dim=0).values) & (time >= 0.0)
    state = torch.where(time < 0.0, NORMAL, torch.where(out, UNKNOWN, FIRE))
    return state.to(torch.int8)


@dataclass(frozen=True)
class Fire:
    """Parameters of a fire row: what burns, how fast, and whether it smoulders first.

    Attributes:
        fuel: yields while flaming; None never flames.
        ember: yields while smouldering; None starts with flames.
        growth_s: t-squared growth time. [s]
        peak_kw: [kW]
        smoulder_s: time for the smoulder to reach its full rate. [s]
        smoulder_g_s: full mass-loss rate of the smoulder. [g/s]
        flaming_chance: of a smoulder's turning into flames.
    """

    fuel: Fuel | None = None
    ember: Fuel | None = None
    growth_s: Range = (75.0, 600.0)
    peak_kw: Range = (50.0, 2500.0)
    smoulder_s: Range = (300.0, 7200.0)
    smoulder_g_s: Range = (0.006, 0.6)
    flaming_chance: float = 0.0


def ignite(fire: Fire) -> Callable[[Draw, Source], Emission]:
    """The emit function of a fire with these parameters."""

    def emit(draw: Draw, _source: Source) -> Emission:
        rates = draw.nothing()
        flames_at = torch.zeros(1, draw.n, device=draw.time.device)
        if fire.ember is not None:
            full = draw.log_uniform(*fire.smoulder_s)
            power = draw.uniform(0.7, 3.0)
            rate = draw.log_uniform(*fire.smoulder_g_s) * (
                (draw.time / full).clamp(0.0, 1.0) ** power
            )
            lasting = full + draw.log_uniform(600.0, 7200.0)
            rate = rate * torch.exp(-(draw.time - lasting).clamp(min=0.0) / 900.0)
            rates = rates + burn(draw, fire.ember, rate * draw.flicker(0.3, period_s=60.0))
            never = ~draw.chance(fire.flaming_chance)
            flames_at = full * draw.uniform(0.3, 1.3) + never * 1e9
        if fire.fuel is not None:
            heat = flame(draw, growth_s=fire.growth_s, peak_kw=fire.peak_kw, start=flames_at)
            mean_heat = 0.5 * (fire.fuel.heat[0] + fire.fuel.heat[1])
            rates = rates + burn(draw, fire.fuel, heat / mean_heat)
        return Emission(rates, fire_state(draw.time, rates))

    return emit


def overheating_oil(draw: Draw, _source: Source) -> Emission:
    """A pan of oil left on a hob: cooking, then smoke, then fire.

    Smoke doubles every 15 to 30 K above the smoke point (chosen to reach optical densities of
    0.1 to 1 /m before ignition in a kitchen); ignition between 330 and 400 degC.
    Under 230 degC it is a nuisance, to 300 nothing is asserted, above it is a fire.
    """
    heating = draw.log_uniform(0.12, 0.5)  # [K/s]
    ignition_c = draw.uniform(330.0, 400.0)
    left_on = draw.chance(0.8)  # otherwise someone turns it off below 230 degC
    highest = torch.where(left_on, ignition_c, draw.uniform(160.0, 225.0))
    oil_c = torch.minimum(20.0 + heating * draw.time.clamp(min=0.0), highest)
    off = 600.0 + (highest - 20.0) / heating
    on = (draw.time >= 0.0) & (left_on | (draw.time < off))
    lit = left_on & (oil_c >= ignition_c)
    since = draw.time - (ignition_c - 20.0) / heating
    heat = torch.minimum(
        physics.t_squared_heat_release(since, growth_time=draw.log_uniform(60.0, 300.0))
        + draw.log_uniform(5.0, 30.0) * (since / 10.0).clamp(0.0, 1.0),
        draw.log_uniform(30.0, 500.0),
    )
    rates = burn(draw, OIL, heat * lit / 33.0)
    smoke = draw.log_uniform(0.3, 6.0) * 2.0 ** ((oil_c - 230.0) / draw.uniform(15.0, 30.0))
    smoke = smoke.clamp(max=300.0) * on * ~lit * draw.flicker(0.3)
    rates[..., PM] += smoke
    rates[..., VOC] += smoke * draw.log_uniform(0.1, 1.0)
    rates[..., CO] += smoke * draw.log_uniform(0.01, 0.3)
    rates[..., DROPLETS] += smoke * draw.uniform(0.0, 0.3)
    gas = draw.chance(0.4)
    rates[..., HEAT] += on * draw.uniform(0.8, 2.5)
    rates[..., CO2] += on * gas * draw.uniform(0.08, 0.2)
    rates[..., WATER] += on * torch.where(gas, draw.uniform(0.06, 0.16), draw.uniform(0.0, 0.1))
    hot = torch.where(oil_c > 300.0, FIRE, torch.where(oil_c > 230.0, UNKNOWN, NUISANCE))
    state = torch.where(on, hot, NORMAL)
    # what a pan that was turned off leaves in the air is a nuisance until it has gone
    state = torch.where(~left_on & (draw.time >= off), NUISANCE, state)
    return Emission(rates, state.to(torch.int8))


# --- nuisances with a course of their own -----------------------------------------------------


def bursts(draw: Draw, source: Source) -> Emission:
    """Emit in one to six bouts, one after another (spray cans, cigarettes, kettles)."""
    table = source.table
    assert table is not None, f"{source.name} has no table of rates"
    count = draw.uniform(1.0, 7.0).floor()
    spacing = table.duration_s[1] + draw.log_uniform(30.0, 900.0)  # bouts do not overlap
    bout = (draw.time / spacing).floor().clamp(min=0.0)
    within = Draw(draw.time - bout * spacing, draw.generator)
    emission = steady(within, source)
    on = bout < count
    return Emission(emission.rates * on.unsqueeze(-1), emission.state * on.to(torch.int8))


HOUR = 3600.0

NUISANCES = (
    Source("frying", "nuisance", steady, 300, kitchen=True, table=Rates(
        (180, 1800), heat=(0.15, 1), pm=(0.0005, 0.05), co2=(0.01, 0.25), co=(0.005, 0.8),
        water=(0.03, 0.6), voc=(0.05, 5), droplets=(0.001, 0.1), sound=(55, 72), flicker=0.9)),
    Source("boiling", "nuisance", steady, 300, kitchen=True, table=Rates(
        (300, 3600), heat=(0.1, 1), pm=(0.0001, 0.004), co2=(0.005, 0.25), co=(0.002, 0.5),
        water=(0.1, 1.2), droplets=(0.0005, 0.03), sound=(50, 68))),
    Source("toast", "nuisance", bursts, 200, kitchen=True, table=Rates(
        (90, 240), heat=(0.1, 0.6), pm=(0.0005, 0.02), co=(0.01, 2), voc=(0.02, 2),
        co2=(0.001, 0.01), sound=(45, 60))),
    Source("burnt_toast", "nuisance", steady, 5, kitchen=True, table=Rates(
        (60, 480), heat=(0.1, 0.6), pm=(0.01, 0.5), co=(0.1, 5), voc=(0.2, 10),
        co2=(0.005, 0.1), sound=(45, 75), flicker=0.4)),
    Source("oven", "nuisance", steady, 150, kitchen=True, table=Rates(
        (1200, 7200), rise_s=(300, 1200), heat=(0.15, 0.8), pm=(0.0001, 0.004), co2=(0.005, 0.2),
        co=(0.005, 1), water=(0.02, 0.4), voc=(0.02, 2), sound=(45, 62))),
    Source("gas_hob", "nuisance", steady, 200, kitchen=True, table=Rates(
        (240, 5400), heat=(0.3, 1.8), pm=(0.0001, 0.005), co2=(0.04, 0.25), co=(0.005, 0.6),
        water=(0.05, 0.6), sound=(48, 62))),
    Source("broiling", "nuisance", steady, 20, kitchen=True, table=Rates(
        (420, 1800), rise_s=(120, 900), heat=(0.2, 1.2), pm=(0.002, 0.1), co=(0.03, 2),
        co2=(0.01, 0.25), water=(0.05, 0.5), voc=(0.2, 10), droplets=(0.002, 0.1), sound=(55, 72),
        flicker=0.8)),
    Source("shower", "nuisance", steady, 500, table=Rates(
        (180, 1800), rise_s=(20, 200), fall_s=(30, 400), heat=(0.05, 0.6), water=(0.2, 2.2),
        droplets=(0.002, 0.3), voc=(0.01, 0.5), sound=(60, 76))),
    Source("kettle", "nuisance", bursts, 800, kitchen=True, table=Rates(
        (60, 300), fall_s=(10, 60), heat=(0.02, 0.2), water=(0.1, 1.2), droplets=(0.001, 0.1),
        sound=(55, 72))),
    Source("humidifier", "nuisance", steady, 100, table=Rates(
        (1800, 6 * HOUR), water=(0.02, 0.15), droplets=(0.001, 0.03), pm=(0.0001, 0.003),
        sound=(35, 50))),
    Source("candle", "nuisance", steady, 80, table=Rates(
        (600, 4 * HOUR), heat=(0.03, 1), pm=(0.0001, 0.005), co2=(0.002, 0.08),
        co=(0.001, 0.2), water=(0.002, 0.04))),
    Source("incense", "nuisance", steady, 20, table=Rates(
        (600, 5400), heat=(0.003, 0.05), pm=(0.001, 0.015), co=(0.01, 1.5), co2=(0.001, 0.006),
        voc=(0.01, 0.5))),
    Source("cigarette", "nuisance", bursts, 100, table=Rates(
        (200, 700), heat=(0.003, 0.03), pm=(0.003, 0.03), co=(0.03, 0.6), co2=(0.001, 0.004),
        voc=(0.02, 1))),
    Source("aerosol", "nuisance", bursts, 300, table=Rates(
        (10, 60), rise_s=(1, 9), fall_s=(1, 10), pm=(0.002, 0.1), voc=(5, 200),
        droplets=(0.01, 1), sound=(65, 80))),
    Source("vacuuming", "nuisance", steady, 60, table=Rates(
        (180, 3000), heat=(0.3, 1), pm=(0.0002, 0.005), sound=(70, 88))),
    Source("building_dust", "nuisance", steady, 3, table=Rates(
        (120, 3 * HOUR), pm=(0.0005, 0.04), sound=(65, 100), flicker=0.8)),
    Source("hair_dryer", "nuisance", steady, 150, table=Rates(
        (90, 1200), heat=(0.2, 1.2), pm=(0.0001, 0.005), voc=(0.02, 3), sound=(74, 88))),
    Source("fireplace", "nuisance", bursts, 30, table=Rates(
        (60, 2400), heat=(0.1, 1.2), pm=(0.001, 0.04), co=(0.01, 1), co2=(0.02, 0.8),
        water=(0.01, 0.4), voc=(0.05, 5), sound=(45, 62))),
    Source("heater", "nuisance", steady, 150, table=Rates(
        (600, 4 * HOUR), rise_s=(20, 900), heat=(0.3, 2), pm=(0.0001, 0.004), voc=(0.01, 0.5),
        sound=(38, 60))),
    Source("unvented_heater", "nuisance", steady, 20, table=Rates(
        (1200, 6 * HOUR), heat=(0.4, 2), pm=(0.0002, 0.004), co=(0.01, 0.4), co2=(0.06, 0.6),
        water=(0.03, 0.5), sound=(38, 55))),
    Source("sun", "nuisance", steady, 200, table=Rates(
        (600, 3 * HOUR), rise_s=(120, 1800), fall_s=(120, 1800), radiant=(0.3, 8),
        flicker=0.2)),
    Source("open_window", "nuisance", steady, 300, table=Rates(
        (180, 2 * HOUR), rise_s=(5, 30), fall_s=(5, 30), vent=(0.01, 0.3), sound=(45, 68),
        flicker=0.4)),
    Source("outdoor_smoke", "nuisance", steady, 6, table=Rates(
        (1800, 8 * HOUR), rise_s=(300, 3600), fall_s=(300, 3600), outdoor_pm=(30, 500),
        vent=(0.002, 0.2), flicker=0.3)),
    Source("crowd", "nuisance", steady, 6, table=Rates(
        (1800, 6 * HOUR), rise_s=(300, 3600), fall_s=(300, 3600), heat=(0.2, 2),
        co2=(0.03, 0.45), water=(0.03, 0.6), pm=(0.0001, 0.003), co=(0.001, 0.2),
        voc=(0.05, 3), sound=(68, 95))),
    Source("music", "nuisance", steady, 60, table=Rates(
        (600, 5 * HOUR), sound=(75, 105))),
    Source("plateau", "nuisance", steady, 30, table=Rates(
        (2400, 8 * HOUR), rise_s=(60, 5400), fall_s=(300, 5400), heat=(0.03, 0.6),
        pm=(0.0001, 0.004), co2=(0.01, 0.4), co=(0.001, 1.0), water=(0.01, 0.2), voc=(0.01, 2),
        sound=(40, 75), flicker=0.4)),
    Source("solvent", "nuisance", bursts, 60, table=Rates(
        (60, 1800), voc=(0.5, 50), pm=(0.0005, 0.01), droplets=(0.001, 0.1), sound=(40, 60))),
    Source("exhaust", "nuisance", steady, 5, table=Rates(
        (60, 1800), pm=(0.001, 0.05), co=(0.05, 3), co2=(0.03, 0.6), heat=(0.03, 1),
        voc=(0.1, 10), sound=(60, 85))),
)  # fmt: skip

FIRES = (
    Source("smouldering_foam", "fire", ignite(Fire(ember=SMOULDERING_FOAM)), weight=2.5),
    Source("smouldering_sofa", "fire", ignite(Fire(
        fuel=FOAM, ember=SMOULDERING_FOAM, growth_s=(75, 400), flaming_chance=0.6)),
        weight=2.5),
    Source("smouldering_mattress", "fire", ignite(Fire(
        fuel=FOAM, ember=SMOULDERING_COTTON, smoulder_s=(900, 7200), growth_s=(75, 400),
        flaming_chance=0.4)), weight=2.5),
    Source("smouldering_wood", "fire", ignite(Fire(
        ember=SMOULDERING_WOOD, smoulder_s=(200, 2400), smoulder_g_s=(0.006, 0.4))), weight=2.0),
    Source("smouldering_cotton", "fire", ignite(Fire(
        ember=SMOULDERING_COTTON, smoulder_s=(100, 1800), smoulder_g_s=(0.006, 0.5))), weight=2.0),
    Source("cable", "fire", ignite(Fire(
        fuel=PLASTIC, ember=SMOULDERING_CABLE, smoulder_s=(120, 3600),
        smoulder_g_s=(0.005, 0.3), peak_kw=(10, 400), flaming_chance=0.4))),
    Source("socket", "fire", ignite(Fire(
        fuel=PLASTIC, ember=SMOULDERING_CABLE, smoulder_s=(300, 7200),
        smoulder_g_s=(0.003, 0.1), peak_kw=(5, 200), flaming_chance=0.5))),
    Source("flaming_wood", "fire", ignite(Fire(
        fuel=WOOD, growth_s=(150, 900), peak_kw=(30, 1500)))),
    Source("flaming_foam", "fire", ignite(Fire(
        fuel=FOAM, growth_s=(75, 400), peak_kw=(50, 2500))), weight=1.5),
    Source("flaming_bed", "fire", ignite(Fire(
        fuel=FOAM, growth_s=(100, 600), peak_kw=(100, 2500)))),
    Source("bin", "fire", ignite(Fire(
        fuel=PAPER, growth_s=(150, 900), peak_kw=(15, 300)))),
    Source("curtain", "fire", ignite(Fire(
        fuel=PAPER, growth_s=(40, 150), peak_kw=(100, 1000)))),
    Source("flammable_liquid", "fire", ignite(Fire(
        fuel=HEPTANE, growth_s=(30, 150), peak_kw=(20, 500)))),
    Source("alcohol", "fire", ignite(Fire(
        fuel=ALCOHOL, growth_s=(30, 200), peak_kw=(20, 300))), weight=0.5),
    Source("battery", "fire", ignite(Fire(
        fuel=BATTERY, ember=SMOULDERING_CABLE, smoulder_s=(30, 600), smoulder_g_s=(0.02, 2.0),
        growth_s=(30, 150), peak_kw=(10, 500), flaming_chance=0.8))),
    Source("overheating_oil", "fire", overheating_oil, kitchen=True),
)  # fmt: skip

SOURCES = {source.name: source for source in FIRES + NUISANCES}
