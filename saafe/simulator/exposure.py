"""What harms people in a fire beside what sensors read: cyanide, want of oxygen, radiant heat.

No quantity of the air is carried for it: cyanide goes with the fire's carbon monoxide, which air
carries alike, and radiant heat follows from temperatures and flames.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from saafe.simulator import physics, sources
from saafe.simulator.air import CONVECTIVE

CYANIDE, OXYGEN, RADIANT = range(3)  # of an exposure: [ppm], [%], [kW/m2]
FRESH = (0.0, physics.OXYGEN_SHARE, 0.0)
NEAREST_M = 0.5  # Chosen: flames are no point


@dataclass(frozen=True)
class FireAir:
    """What the fires of the first m scenarios do where sensors hang, which no channel tells."""

    co: Tensor  # carbon monoxide of the fire alone [mg/m3] (time, m, sensor)
    oxygen_deficit: Tensor  # [g/m3] (time, m, sensor)
    heat: Tensor  # that the fire gives off [kW] (time, m)
    temperature: Tensor  # of the air [degC] (time, m, sensor)


def exposures(
    air: FireAir, fire: Tensor, flaming: Tensor, *, distance: Tensor, beside: Tensor, n: int
) -> Tensor:
    """Cyanide, oxygen and radiant heat at every sensor of `n` scenarios, fires first.

    Args:
        air: of m scenarios.
        fire: index into `sources.FIRES`. int64 (m,)
        flaming: whether it flames. bool (time, m)
        distance: of each sensor from a fire in its room. [m] (m, sensor)
        beside: whether it is there. bool (m, sensor)
        n: scenarios; those without a fire have fresh air.

    Returns:
        In the order of `CYANIDE`, `OXYGEN`, `RADIANT`. (n, time, sensor, 3)
    """
    steps, burning, sensors = air.co.shape
    out = air.co.new_tensor(FRESH).repeat(n, steps, sensors, 1)
    deficit = physics.ppm_from_density(air.oxygen_deficit, molar_mass=physics.OXYGEN_MOLAR_MASS)
    facing = beside / distance.clamp(min=NEAREST_M) ** 2  # [1/m2]
    flames = (1.0 - CONVECTIVE) / (4.0 * torch.pi) * air.heat.unsqueeze(-1) * flaming.unsqueeze(-1)
    hot = physics.black_body_radiation(air.temperature)
    parts = (
        cyanide_of(air.co, fire, flaming),
        physics.OXYGEN_SHARE - 1e-4 * deficit,
        flames * facing + hot - hot[:1],
    )
    out[:burning] = torch.stack(parts, dim=-1).transpose(0, 1)
    return out


def cyanide_of(co: Tensor, fire: Tensor, flaming: Tensor) -> Tensor:
    """Hydrogen cyanide beside the carbon monoxide of fires. [ppm] (time, m, sensor)

    What stood there when flames began is the smoulder's, what came on top the flames'. Carbon
    monoxide [mg/m3] (time, m, sensor), index of the fire (m,), whether it flames (time, m).
    """
    table = co.new_tensor([source.cyanide for source in sources.FIRES])
    smoulder, flames = table[fire].unbind(dim=-1)
    ppm = physics.ppm_from_density(1e-3 * co, molar_mass=28.01).clamp(min=0.0)
    begun = flaming.any(dim=0)
    first = flaming.to(torch.uint8).argmax(dim=0)
    before = ppm[first, torch.arange(len(fire), device=co.device)]  # (m, sensor)
    left = torch.where(begun.unsqueeze(-1), ppm.minimum(before), ppm)
    return smoulder.unsqueeze(-1) * left + flames.unsqueeze(-1) * (ppm - left)
