"""People at home: what they breathe out, stir up and say. Layer 3."""

import torch
from torch import Tensor

from saafe import emissions
from saafe.instruments import STEP_S


def smooth_noise(shape: tuple[int, ...], knots: int, generator: torch.Generator) -> Tensor:
    """Standard normal knots joined by lines. (time, *rest) for shape (time, *rest)"""
    steps, *rest = shape
    rows = 1
    for size in rest:
        rows *= size
    values = torch.randn(1, rows, max(2, knots), generator=generator, device=generator.device)
    lines = torch.nn.functional.interpolate(values, size=steps, mode="linear", align_corners=True)
    return lines[0].T.reshape(shape)


def life(time: Tensor, generator: torch.Generator) -> Tensor:
    """Emissions of the people at home. (time, n, quantity)

    Breathing out 18 L/h of CO2 (light work, from memory of ASHRAE 62.1's appendix), 55 g/h of
    water and 80 W each; they come and go, stir up dust, talk and cook nothing.
    """
    steps, n = time.shape
    device = time.device
    rates = torch.zeros(steps, n, len(emissions.QUANTITIES), device=device)
    people = torch.randint(0, 5, (n,), generator=generator, device=device).float()
    knots = max(2, int(steps * STEP_S / 2400.0))
    presence = (smooth_noise((steps, n), knots, generator) > -0.3).float() * people
    rates[..., emissions.CO2] = 0.0092 * presence
    rates[..., emissions.WATER] = 0.015 * presence
    rates[..., emissions.HEAT] = 0.08 * presence
    stir = torch.exp(0.7 * smooth_noise((steps, n), 4 * knots, generator))
    habit = torch.exp(torch.rand(n, generator=generator, device=device) * 4.0 - 12.0)
    rates[..., emissions.PM] = habit * presence * stir  # 6e-6 to 3e-4 mg/s each
    rates[..., emissions.VOC] = 0.02 * presence
    talking = smooth_noise((steps, n), 8 * knots, generator)
    rates[..., emissions.SOUND] = presence * 10.0 ** (5.5 + 0.8 * talking).clamp(max=8.0)
    return rates
