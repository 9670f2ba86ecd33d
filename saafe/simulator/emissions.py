"""What sources are made of: quantities given off, draws of parameters, courses in time.

A source's function draws its parameters for `n` scenarios at once and returns emissions of shape
`(time, n, quantity)`, with the time counted from its own start (negative before).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import torch
from torch import Tensor

from saafe.sensors import NORMAL, NUISANCE, UNKNOWN, Range


class Quantity(IntEnum):
    """What a source emits. The first twelve are carried by the air."""

    HEAT = 0  # [kW] total heat release
    SOOT = 1  # [mg/s] smoke of flames
    SMOKE = 2  # [mg/s] smoke of smoulders, tobacco, incense; aged smoke outdoors
    COOKING = 3  # [mg/s] fume of food and fat
    DUST = 4  # [mg/s]
    DROPLETS = 5  # [mg/s] mist that dries
    CO2 = 6  # [g/s]
    CO = 7  # [mg/s]
    WATER = 8  # [g/s] vapour
    VOC = 9  # [mg/s] vapours that gas sensors mistake for CO2 or CO (ethanol, propane, ...)
    OXYGEN = 10  # [g/s] consumed
    HYDROGEN = 11  # [mg/s] beside the CO of all that burns; CO cells answer to it in part
    RADIANT = 12  # [K] warms the sensor itself, not the air (sun)
    VENT = 13  # [m3/s] outdoor air let in (window)
    OUTDOOR_PM = 14  # [ug/m3] raises the outdoor air's smoke
    SOUND = 15  # [pW] acoustic power


CARRIED = 12  # the first twelve quantities travel with the air
PARTICLES = slice(1, 6)  # in the order of `aerosols.AEROSOLS`
ROOM_NAMES = ("kitchen", "bathroom", "bedroom", "living room", "hall", "garage")
LIVED_IN = ("kitchen", "bedroom", "living room")


@dataclass(frozen=True)
class Lognormal:
    """A published rate: its median, in the unit of its quantity, and the spread of its log."""

    median: float
    sigma: float


Amount = Range | Lognormal  # a range is triangular in the logarithm: its ends are rare


def per_minute(median_mg: float, sigma: float) -> Lognormal:
    """A rate published in mg/min, in mg/s."""
    return Lognormal(median_mg / 60.0, sigma)


class Random:
    """Random tensors of one shape from one generator, on its device."""

    def __init__(self, shape: tuple[int, ...], generator: torch.Generator) -> None:
        """Bind the shape and the generator."""
        self.shape, self.generator = shape, generator

    def uniform(self, low: float, high: float) -> Tensor:
        """Uniform on [low, high)."""
        unit = torch.rand(self.shape, generator=self.generator, device=self.generator.device)
        return low + (high - low) * unit

    def log_uniform(self, low: float, high: float) -> Tensor:
        """Uniform in the logarithm on [low, high)."""
        return self.uniform(math.log(low), math.log(high)).exp()

    def log_triangular(self, low: float, high: float) -> Tensor:
        """Triangular in the logarithm on [low, high): the ends are rare."""
        return (self.log_uniform(low, high) * self.log_uniform(low, high)).sqrt()

    def lognormal(self, law: Lognormal) -> Tensor:
        """Lognormal, by its median and the spread of its logarithm."""
        normal = torch.randn(self.shape, generator=self.generator, device=self.generator.device)
        return law.median * (law.sigma * normal).exp()

    def amount(self, of: Amount) -> Tensor:
        """Lognormal where a law is given, log-triangular where a range is."""
        return self.lognormal(of) if isinstance(of, Lognormal) else self.log_triangular(*of)

    def chance(self, probability: float) -> Tensor:
        """True with a probability."""
        return self.uniform(0.0, 1.0) < probability


class Draw(Random):
    """Random parameters of a source for `n` scenarios, one column each: (1, n)."""

    def __init__(self, time: Tensor, generator: torch.Generator) -> None:
        """Bind the time since the source's start [s] (time, n), and the generator."""
        super().__init__((1, time.shape[1]), generator)
        self.time, self.n = time, time.shape[1]

    def flicker(self, spread: float, *, period_s: float = 120.0) -> Tensor:
        """Smooth factor about one, its logarithm of this spread, knots a period apart. (time, n)

        As many steps lie between them in the pre-roll, whose steps are longer.
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
        return self.time.new_zeros(*self.time.shape, len(Quantity))


@dataclass(frozen=True)
class Emission:
    """What a source gives off and what is true meanwhile: NORMAL while it does not act."""

    rates: Tensor  # in the units of `Quantity` (time, n, quantity)
    state: Tensor  # NORMAL, NUISANCE, FIRE, or UNKNOWN: neither is asserted. int8 (time, n)


@dataclass(frozen=True)
class Source:
    """One registry row."""

    name: str  # unique word, also the value of a recording's `source` column
    # "fire", "nuisance", or "hazard": dangerous without a fire, so that an alarm is no false one
    kind: str
    emit: Callable[[Draw, "Source"], Emission]  # draws parameters and returns the emissions
    per_year: float = 0.0  # how often a dwelling sees it, 0 for fires
    weight: float = 1.0  # how often training draws a fire, relative to the others
    table: "Rates | None" = None  # of a `steady` source
    # how a fire burns when it begins, which decides by what limit it must be found
    mode: Literal["flaming", "smouldering", "cooking oil"] | None = None
    rooms: tuple[str, ...] = LIVED_IN  # of `ROOM_NAMES`, where it happens, each as often
    base_m: Range = (0.0, 1.0)  # height of what burns or emits, above the floor. [m]
    cooking: bool = False  # a session of cooking, by which nuisance alarms are counted
    # of hydrogen a mole of CO, as wood, gas and engines give it: memory. [mol/mol]
    hydrogen: Range = (0.05, 0.4)
    # of hydrogen cyanide a mole of the CO of its smoulder, and of its flames: fuels with nitrogen
    cyanide: tuple[float, float] = (0.0, 0.0)
    rate_source: str = "assumed"  # where `per_year` comes from

    @property
    def kitchen(self) -> bool:
        """Whether it happens where people cook, and nowhere else."""
        return self.rooms == ("kitchen",)


@dataclass(frozen=True)
class Gas:
    """A fuel gas or vapour that burns clean: what chemistry fixes of each kW. Arithmetic."""

    co2: float  # [g/s per kW]
    water: float  # [g/s per kW]


NATURAL_GAS = Gas(0.055, 0.045)  # 2.75 and 2.25 g/g over 50 kJ/g
LPG = Gas(0.065, 0.035)  # 3.0 and 1.63 g/g over 46.3 kJ/g
WAX = Gas(0.0738, 0.031)  # 3.1 and 1.3 g/g over 42 kJ/g
GAS_CO = Lognormal(0.03, 1.0)  # [mg/s per kW]: 30 ng/J, memory of Singer 2009


@dataclass(frozen=True)
class Rates:
    """Rates of a source that runs steadily for a while.

    Emissions are in the units of `Quantity`, `pm` in mg/s; None emits nothing.
    """

    duration_s: Range  # [s]
    rise_s: Range = (10.0, 120.0)  # to full rate. [s]
    fall_s: Range = (10.0, 300.0)  # to fade. [s]
    heat: Amount | None = None
    pm: Amount | None = None
    aerosol: Quantity = Quantity.COOKING  # which particles `pm` is
    gas_kw: Range | None = None  # heat of a flame, which brings its CO2, water and CO along
    gas: Gas = NATURAL_GAS
    gas_share: float = 1.0  # of those that burn gas; the others are electric and give off `heat`
    kept: Range | None = None  # share of the flame's heat that a pot or a boiler's water takes
    thermostat: bool = False  # turned down as the room warms
    co2: Amount | None = None
    co: Amount | None = None
    water: Amount | None = None
    voc: Amount | None = None
    droplets: Amount | None = None
    radiant: Amount | None = None
    vent: Amount | None = None
    outdoor_pm: Amount | None = None
    aired: bool = False  # people open a window when it smokes
    sound: Range | None = None  # power level. [dB]
    flicker: float = 0.25  # spread of the logarithm over minutes, of all but heat and flames


# Of cookings, in which food burns or fat smokes: at most 20 burnt dishes a year in 630 cookings
# (memory). A fit to nine homes' smoke alarms asks for 0.43, which fills kitchens with twenty times
# the smoke that 153 recorded sessions had; see docs/simulator.md.
BURNT_SHARE = 0.03
# [mg/s] 3 to 420 mg/min: from burnt toast (2 to 40 mg/min, memory) to a pan of oil left on the hob,
# which brought a recorded kitchen to 0.05 /m within 300 s
BURNT_PM: Range = (0.05, 7.0)
HOOD_SHARE = 0.35  # Chosen: of cookings under a hood that runs
HOOD_CAPTURE: Range = (0.2, 0.8)  # 0.58 at 21 /h, Chen et al. 2018; width from memory
AIRED_SHARE = 0.7  # Chosen: of kitchens and rooms full of smoke in which somebody opens a window
AIRING_M3_S: Range = (0.02, 0.3)  # through it, as through the row `open_window`; chosen


# Of a gas flame's heat goes into pot and food, and leaves as vapour: efficiencies of hobs, memory
INTO_POT: Range = (0.3, 0.45)
INTO_BOILER: Range = (0.7, 0.9)  # efficiencies of boilers; memory
# Chosen: what a heater is turned down to, by its thermostat or by people, and how fast [s]
TURNED_DOWN: Range = (0.1, 0.4)
TURNED_DOWN_S: Range = (600.0, 2400.0)
STATES = {"nuisance": NUISANCE, "hazard": UNKNOWN}


def acting(draw: Draw, duration: Tensor) -> Tensor:
    """Whether a source that lasts `duration` [s] (1, n) is acting. bool (time, n)"""
    return (draw.time >= 0.0) & (draw.time <= duration)


def steady(draw: Draw, source: Source) -> Emission:
    """Emit at constant rates, drawn from the row's table, for a while.

    Fume comes in bouts (`Rates.flicker`); flames and heating elements hold what they are set to.
    """
    table = source.table
    assert table is not None, f"{source.name} has no table of rates"
    duration = draw.log_uniform(*table.duration_s)
    fall = draw.log_uniform(*table.fall_s)
    power = draw.pulse(duration, rise=draw.log_uniform(*table.rise_s), fall=fall)
    shape = power * draw.flicker(table.flicker)
    if table.thermostat:
        power = power * turned_down(draw)
    rates = draw.nothing()
    if table.heat is not None:
        rates[..., Quantity.HEAT] = draw.amount(table.heat) * power
    for name in ("co2", "co", "water", "voc", "droplets", "radiant", "vent", "outdoor_pm"):
        if (amount := getattr(table, name)) is not None:
            rates[..., Quantity[name.upper()]] = draw.amount(amount) * shape
    if table.pm is not None:
        rates[..., table.aerosol] += draw.amount(table.pm) * shape
    if table.gas_kw is not None:
        is_gas = draw.chance(table.gas_share)
        heat = draw.log_triangular(*table.gas_kw) * is_gas * power
        to_air = 1.0 if table.kept is None else 1.0 - draw.uniform(*table.kept)
        rates[..., Quantity.HEAT] = rates[..., Quantity.HEAT] * ~is_gas + heat * to_air
        rates[..., Quantity.CO2] += table.gas.co2 * heat
        rates[..., Quantity.WATER] += table.gas.water * heat
        rates[..., Quantity.CO] += draw.lognormal(GAS_CO) * heat
    ends = duration + fall
    if source.cooking:
        burning, begin = burning_food(draw, duration)
        rates = under_hood(draw, rates + burning)
        ends = ends.maximum(air_room(draw, rates, begin))
    if table.aired:
        ends = ends.maximum(air_room(draw, rates, torch.zeros_like(duration)))
    if table.sound is not None:
        loud = 10.0 ** (draw.uniform(*table.sound) / 10.0)
        rates[..., Quantity.SOUND] = loud * acting(draw, duration)
    # what a hazard leaves in the air is no more harmless than it was
    lasting = ends if source.kind == "nuisance" else torch.full_like(ends, math.inf)
    state = torch.where(acting(draw, lasting), STATES[source.kind], NORMAL)
    return Emission(rates, state.to(torch.int8))


def turned_down(draw: Draw) -> Tensor:
    """The share of its power that a heater keeps as it warms the room. (time, n)"""
    least, within = draw.uniform(*TURNED_DOWN), draw.log_uniform(*TURNED_DOWN_S)
    return least + (1.0 - least) * torch.exp(-draw.time.clamp(min=0.0) / within)


def burning_food(draw: Draw, duration: Tensor) -> tuple[Tensor, Tensor]:
    """What food that burns or fat that smokes adds, in `BURNT_SHARE` of cookings.

    For one to six minutes within the cooking, which lasts `duration` [s] (1, n); how long is
    assumed. Returns the rates (time, n, quantity), and when it begins, inf for never [s] (1, n).
    """
    length = draw.log_uniform(60.0, 360.0).minimum(0.9 * duration)
    begin = draw.uniform(0.1, 1.0) * (duration - length)
    within = ((draw.time - begin) / 30.0).clamp(0.0, 1.0) * (draw.time < begin + length)
    burns = draw.chance(BURNT_SHARE)
    smoke = draw.log_uniform(*BURNT_PM) * burns * within
    rates = draw.nothing()
    rates[..., Quantity.COOKING] = smoke
    rates[..., Quantity.CO] = draw.log_uniform(0.1, 1.0) * smoke  # assumed, as is the vapour
    rates[..., Quantity.VOC] = draw.log_uniform(0.1, 1.0) * smoke
    return rates, torch.where(burns, begin, torch.inf)


def air_room(draw: Draw, rates: Tensor, begin: Tensor) -> Tensor:
    """Somebody opens a window soon after it begins to smoke, in `AIRED_SHARE` of cases, in place.

    Half a minute to five minutes after `begin`, inf for never [s] (1, n), for 5 to 30 min; all of
    it chosen. Returns when it is shut again, 0 where it stays shut. [s] (1, n)
    """
    opened = begin + draw.log_uniform(30.0, 300.0)
    shut = opened + draw.log_uniform(300.0, 1800.0)
    airs = draw.chance(AIRED_SHARE) & torch.isfinite(begin)
    is_open = airs & (draw.time >= opened) & (draw.time < shut)
    rates[..., Quantity.VENT] += draw.log_uniform(*AIRING_M3_S) * is_open
    return torch.where(airs, shut, 0.0)


def under_hood(draw: Draw, rates: Tensor) -> Tensor:
    """What a hood leaves of a cooking's emissions, where one runs. (time, n, quantity)"""
    caught = draw.uniform(*HOOD_CAPTURE) * draw.chance(HOOD_SHARE)
    return torch.cat(
        [rates[..., :CARRIED] * (1.0 - caught).unsqueeze(-1), rates[..., CARRIED:]], -1
    )


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
