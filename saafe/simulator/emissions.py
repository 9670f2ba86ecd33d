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

from saafe.sensors import NORMAL, NUISANCE, Range


class Quantity(IntEnum):
    """What a source emits. The first eight are carried by the air."""

    HEAT = 0  # [kW] total heat release
    PM = 1  # [mg/s] smoke and fine particles
    CO2 = 2  # [g/s]
    CO = 3  # [mg/s]
    WATER = 4  # [g/s] vapour
    VOC = 5  # [mg/s] vapours that gas sensors mistake for CO2 or CO (ethanol, hydrogen, ...)
    DROPLETS = 6  # [mg/s] mist that evaporates
    OXYGEN = 7  # [g/s] consumed
    RADIANT = 8  # [K] warms the sensor itself, not the air (sun)
    VENT = 9  # [m3/s] outdoor air let in (window)
    OUTDOOR_PM = 10  # [ug/m3] raises the outdoor air's particles
    SOUND = 11  # [pW] acoustic power


CARRIED = 8  # the first eight quantities travel with the air


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
        """Smooth factor about one, its logarithm of this spread, knots a period apart. (time, n)"""
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
    kind: str  # "fire" or "nuisance"
    emit: Callable[[Draw, "Source"], Emission]  # draws parameters and returns the emissions
    per_year: float = 0.0  # how often a dwelling sees it, 0 for fires
    weight: float = 1.0  # how often training draws a fire, relative to the others
    table: "Rates | None" = None  # of a `steady` source
    # how a fire burns when it begins, which decides by what limit it must be found
    mode: Literal["flaming", "smouldering", "cooking oil"] | None = None
    kitchen: bool = False  # happens where people cook
    cooking: bool = False  # a session of cooking, by which nuisance alarms are counted
    rate_source: str = "assumed"  # where `per_year` comes from


@dataclass(frozen=True)
class Rates:
    """Ranges of a source that runs steadily for a while, triangular in the logarithm.

    Emissions are in the units of `Quantity`; None emits nothing.
    """

    duration_s: Range  # [s]
    rise_s: Range = (10.0, 120.0)  # to full rate. [s]
    fall_s: Range = (10.0, 300.0)  # to fade. [s]
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
    sound: Range | None = None  # power level. [dB]
    flicker: float = 0.25  # spread of the logarithm over minutes


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
    for quantity in Quantity:
        limits = getattr(table, quantity.name.lower(), None)  # oxygen is drawn by fires alone
        if limits is None:
            continue
        if quantity == Quantity.SOUND:
            power = 10.0 ** (draw.uniform(*limits) / 10.0)
            rates[..., quantity] = power * acting(draw, duration)
        else:
            rates[..., quantity] = draw.log_triangular(*limits) * shape
    state = torch.where(acting(draw, duration + fall), NUISANCE, NORMAL).to(torch.int8)
    return Emission(rates, state)


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
