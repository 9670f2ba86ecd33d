"""When air passes the limits of standards and fire engineers, and stops being survivable."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saafe.sensors import CO, CO2, TEMPERATURE
from saafe.simulator import physics
from saafe.simulator.exposure import CYANIDE, FRESH, OXYGEN, RADIANT
from saafe.simulator.instruments import STEP_S

DOSE = 0.3  # of a fractional effective dose: the most susceptible people, ISO 13571
SHORTEST_VIEW_M = 5.0  # Chosen: small rooms; OD 0.26/m. Larger ones ask for 10 m
SIGN_CONSTANT = 3.0  # of a reflecting sign: visibility x natural extinction coefficient


@dataclass(frozen=True)
class Limit:
    """A limit and the quantity that it is about."""

    name: str  # unique word
    # optical_density [1/m], temperature [degC], rise [K], radiation [kW/m2], gas_dose, heat_dose
    quantity: str
    value: float  # reached at or above it
    source: str  # who states it


LIMITS = (
    Limit("od_0.05", "optical_density", 0.05, "NIST TN 1455 reference time"),
    Limit("od_0.0215", "optical_density", 0.0215, "UL 217, cooking: 1.5 %/ft, no alarm before"),
    Limit("od_0.073", "optical_density", 0.0731, "UL 217, flaming polyurethane: 5 %/ft"),
    Limit("od_0.14", "optical_density", 0.14, "smouldering, FACTS: found before 0.14 1/m"),
    Limit("od_0.182", "optical_density", 0.1821, "UL 217, smouldering polyurethane: 12 %/ft"),
    Limit("od_0.2", "optical_density", 0.2, "EN 54 TF2, TF3: end of test at 2 dB/m (TF2 from memory)"),
    Limit("od_0.25", "optical_density", 0.25, "NIST TN 1455, tenability; from memory, not checked"),
    Limit("rise_20k", "rise", 20.0, "flaming reference, +20 K"),
    Limit("temperature_57c", "temperature", 57.0, "EN 54-5 class A1, 54 to 65 degC; UL 521 135 F"),
    Limit("radiation_2.5", "radiation", 2.5, "ISO 13571, skin; from memory, not checked"),
    Limit("gas_dose_0.3", "gas_dose", 0.3, "ISO 13571, asphyxiants, sensitive people"),
    Limit("gas_dose_1", "gas_dose", 1.0, "ISO 13571, asphyxiants, half of all people"),
    Limit("heat_dose_0.3", "heat_dose", 0.3, "ISO 13571, heat, sensitive people"),
    Limit("heat_dose_1", "heat_dose", 1.0, "ISO 13571, heat, half of all people"),
)


def dose_rates(truth: Tensor, exposure: Tensor) -> tuple[Tensor, Tensor]:
    """Rates at which gases, and heat of the air and of radiation, incapacitate. [1/min]

    Of true air (..., channel) and what else there is in it, (..., 3) of `exposure`.
    """
    gas = physics.fractional_effective_dose_rate(
        truth[..., CO], co2=truth[..., CO2], cyanide=exposure[..., CYANIDE],
        oxygen=exposure[..., OXYGEN],
    )  # fmt: skip
    radiant = physics.radiant_dose_rate(exposure[..., RADIANT])
    return gas, physics.heat_dose_rate(truth[..., TEMPERATURE]) + radiant


def times_reached(truth: Tensor, density: Tensor, exposure: Tensor | None = None) -> Tensor:
    """When each of `LIMITS` is first reached at each sensor; inf = never. [s] (n, sensor, limit)

    Whatever reaches it: doses add up from the first step on, and a rise is over that step.
    From the true air every 10 s, (n, time, sensor, channel), its optical density
    (n, time, sensor) [1/m], in which droplets of steam count, as they do in a smoke meter, and
    what else harms people in it, see `exposure`, (n, time, sensor, 3); None is nothing.
    """
    minutes = STEP_S / 60.0
    temperature = truth[..., TEMPERATURE]
    there = truth.new_tensor(FRESH).expand(*density.shape, -1) if exposure is None else exposure
    gas, heat = dose_rates(truth, there)
    quantities = {
        "optical_density": density,
        "temperature": temperature,
        "rise": temperature - temperature[:, :1],
        "gas_dose": (minutes * gas).cumsum(dim=1),
        "heat_dose": (minutes * heat).cumsum(dim=1),
        "radiation": there[..., RADIANT],
    }
    times = [first_time(quantities[limit.quantity] >= limit.value) for limit in LIMITS]
    return torch.stack(times, dim=-1)


def first_time(reached: Tensor) -> Tensor:
    """Time of the first True along the second dimension, inf where there is none. [s]"""
    step = reached.to(torch.uint8).argmax(dim=1).to(torch.float32)
    return torch.where(reached.any(dim=1), STEP_S * step, torch.inf)


def visibility_m(density: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far a reflecting sign can be seen at an optical density [1/m]: 3 / (ln 10 D). [m]

    Source:
        T. Jin, "Visibility through fire smoke," J. Fire & Flammability, vol. 9, pp. 135-155,
        1978: extinction coefficient times visibility is 3 for reflecting signs (from memory, not
        checked).
    """
    return SIGN_CONSTANT / (math.log(10.0) * np.maximum(np.asarray(density, np.float64), 1e-9))


def untenable_times(
    times_s: NDArray[np.float64],
    air: NDArray[np.floating],
    density: NDArray[np.floating],
    *,
    ignition_s: float,
    exposure: NDArray[np.floating] | None = None,
) -> dict[str, float | None]:
    """When each condition first becomes untenable at one place, None = never [s].

    Args:
        times_s: evenly spaced. (time,)
        air: what is true there, in the units of `sensors.CHANNELS`. (time, channel)
        density: optical, there. [1/m] (time,)
        ignition_s: doses add up from here, for what was breathed before is nobody's fire; nothing
            is untenable before.
        exposure: cyanide [ppm], oxygen [%] and radiant heat [kW/m2] there, None for fresh air
            without. (time, 3)

    Returns:
        `gas` (a fractional effective dose of 0.3), `heat` (a dose of 0.3, of the air's and radiant
        heat) and `visibility` (under 5 m).
    """
    step_min = float(times_s[1] - times_s[0]) / 60.0
    burning = times_s >= ignition_s
    there = np.full((len(times_s), len(FRESH)), FRESH) if exposure is None else exposure
    both = (torch.as_tensor(part.astype(np.float64)) for part in (air, there))
    gas, heat = (rate.numpy() for rate in dose_rates(*both))
    view = visibility_m(density)
    reached = {
        "gas": np.cumsum(np.where(burning, gas, 0.0)) * step_min >= DOSE,
        "heat": np.cumsum(np.where(burning, heat, 0.0)) * step_min >= DOSE,
        "visibility": burning & (view < SHORTEST_VIEW_M),
    }
    return {
        name: float(times_s[np.argmax(is_over)]) if is_over.any() else None
        for name, is_over in reached.items()
    }
