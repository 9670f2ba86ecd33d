"""People at home: what they breathe out, stir up and say, by the hour; weather."""

import torch
from torch import Tensor

from saafe.simulator.emissions import Quantity, Random
from saafe.simulator.instruments import STEP_S
from saafe.windows import DAY_S

ASLEEP = 0.7  # of the breath of someone awake; from memory of ASHRAE 62.1's activity table


def smooth_noise(shape: tuple[int, ...], knots: int, generator: torch.Generator) -> Tensor:
    """Standard normal knots joined by lines. (time, *rest) for shape (time, *rest)"""
    steps, *rest = shape
    rows = 1
    for size in rest:
        rows *= size
    values = torch.randn(1, rows, max(2, knots), generator=generator, device=generator.device)
    lines = torch.nn.functional.interpolate(values, size=steps, mode="linear", align_corners=True)
    return lines[0].T.reshape(shape)


def time_of_day(clock: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Hours since midnight, of streams that begin at any time of the day. (time, n)"""
    begin = torch.rand(n, generator=generator, device=generator.device) * DAY_S
    return ((clock + begin) % DAY_S) / 3600.0


def occupant_emissions(hour: Tensor, generator: torch.Generator) -> Tensor:
    """Emissions of the people at home, by the hours since midnight (time, n). (time, n, quantity)

    Breathing out 18 L/h of CO2 (light work, from memory of ASHRAE 62.1's appendix), 55 g/h of
    water and 80 W each; they come and go, stir up dust, talk and cook nothing. Some work away by
    day; from about eleven to seven they sleep. In some homes a neighbour's smoke comes through.
    """
    steps, n = hour.shape
    home = Random((1, n), generator)
    rates = hour.new_zeros(steps, n, len(Quantity))
    people = home.uniform(0.0, 5.0).floor()
    knots = max(2, int(steps * STEP_S / 2400.0))
    presence = (smooth_noise((steps, n), knots, generator) > -0.3).float() * people
    shifted = (hour + home.uniform(-1.5, 1.5)) % 24.0
    presence *= ~(home.chance(0.4) & (shifted > 8.5) & (shifted < 17.0))
    awake = (shifted > 7.0) & (shifted < 23.0)
    breath = torch.where(awake, 1.0, ASLEEP) * presence
    rates[..., Quantity.CO2] = 0.0092 * breath
    rates[..., Quantity.WATER] = 0.015 * breath
    rates[..., Quantity.HEAT] = 0.08 * breath
    stir = torch.exp(0.7 * smooth_noise((steps, n), 4 * knots, generator))
    # each person stirs up 0.001 to 0.1 mg/min: the low end of Ferro et al. 2004, who walked briskly
    habit = home.log_uniform(2e-5, 2e-3)
    rates[..., Quantity.DUST] = habit * presence * stir * awake
    rates[..., Quantity.VOC] = 0.02 * presence
    talking = smooth_noise((steps, n), 8 * knots, generator)
    speech = 10.0 ** (5.5 + 0.8 * talking).clamp(max=8.0)
    rates[..., Quantity.SOUND] = presence * awake * speech
    # Chosen: one home in seven shares air with a smoker or a cook next door
    seeping = home.chance(0.15) * home.log_uniform(1e-4, 2e-3)
    rates[..., Quantity.SMOKE] = seeping * smooth_noise((steps, n), knots, generator).clamp(min=0.0)
    return rates


def room_temperature(clock: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """What weather, sun on the walls and a thermostat do to the usual temperature. [K] (time, n)

    `clock` is the stream's. [s] (time, 1)
    """
    hours = float(clock[-1] - clock[0]) / 3600.0
    home = Random((1, n), generator)
    # Chosen: recorded homes move by 0.2 K in a quiet hour, half of them less (docs/simulator.md)
    slow = home.log_uniform(0.05, 0.7) * smooth_noise(
        (len(clock), n), max(2, int(hours)), generator
    )
    # Chosen: half of the homes are heated or cooled in cycles of 8 to 60 min, by 0.02 to 0.4 K
    swing = home.chance(0.5) * home.log_uniform(0.02, 0.4)
    turns = clock / home.log_uniform(480.0, 3600.0) + home.uniform(0.0, 1.0)
    return slow + swing * (2.0 * (2.0 * (turns % 1.0) - 1.0).abs() - 1.0)


def outdoor_particles(usual: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Departure of the outdoor air's particles from the usual (n,). [mg/m3] (time, n)"""
    knots = max(2, int(steps * STEP_S / 3600.0))
    # Chosen: a spread of 30 % from hour to hour
    return usual * (torch.exp(0.3 * smooth_noise((steps, len(usual)), knots, generator)) - 1.0)
