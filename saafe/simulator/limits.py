"""When the air at a sensor passes the limits that standards and fire engineers use."""

from dataclasses import dataclass

import torch
from torch import Tensor

from saafe.sensors import CO, CO2, PM25, TEMPERATURE
from saafe.simulator import physics
from saafe.simulator.instruments import STEP_S


@dataclass(frozen=True)
class Limit:
    """A limit and the quantity that it is about.

    Attributes:
        name: unique word.
        quantity: "optical_density" [1/m], "temperature" [degC], "rise" [K over the start],
            "gas_dose" or "heat_dose" [-].
        value: reached at or above it.
        source: who states it.
    """

    name: str
    quantity: str
    value: float
    source: str


LIMITS = (
    Limit("od_0.05", "optical_density", 0.05, "NIST TN 1455 reference time"),
    Limit("od_0.0215", "optical_density", 0.0215, "UL 217, cooking: 1.5 %/ft, no alarm before"),
    Limit("od_0.073", "optical_density", 0.0731, "UL 217, flaming polyurethane: 5 %/ft"),
    Limit("od_0.14", "optical_density", 0.14, "smouldering, FACTS: found before 0.14 1/m"),
    Limit("od_0.182", "optical_density", 0.1823, "UL 217, smouldering polyurethane: 12 %/ft"),
    Limit("od_0.2", "optical_density", 0.2, "EN 54 TF2, TF3: end of test at 2 dB/m"),
    Limit("od_0.25", "optical_density", 0.25, "NIST TN 1455, tenability; from memory, not checked"),
    Limit("rise_20k", "rise", 20.0, "flaming reference, +20 K"),
    Limit("temperature_57c", "temperature", 57.0, "EN 54-5 class A1, 54 to 65 degC; UL 521 135 F"),
    Limit("gas_dose_0.3", "gas_dose", 0.3, "ISO 13571, asphyxiants, sensitive people"),
    Limit("gas_dose_1", "gas_dose", 1.0, "ISO 13571, asphyxiants, half of all people"),
    Limit("heat_dose_0.3", "heat_dose", 0.3, "ISO 13571, convected heat, sensitive people"),
    Limit("heat_dose_1", "heat_dose", 1.0, "ISO 13571, convected heat, half of all people"),
)


def times_reached(truth: Tensor) -> Tensor:
    """When each of `LIMITS` is first reached at each sensor.

    Droplets of steam count as smoke, as they do in a smoke meter.

    Args:
        truth: true air at the sensors, every 10 s. (n, time, sensor, channel)

    Returns:
        Stream time, inf where never. [s] (n, sensor, limit)
    """
    minutes = STEP_S / 60.0
    temperature, co2 = truth[..., TEMPERATURE], truth[..., CO2]
    gas = physics.fractional_effective_dose_rate(truth[..., CO], co2=co2)
    quantities = {
        "optical_density": physics.optical_density(1e-6 * truth[..., PM25]),
        "temperature": temperature,
        "rise": temperature - temperature[:, :1],
        "gas_dose": (minutes * gas).cumsum(dim=1),
        "heat_dose": (minutes * physics.heat_dose_rate(temperature)).cumsum(dim=1),
    }
    times = [first_time(quantities[limit.quantity] >= limit.value) for limit in LIMITS]
    return torch.stack(times, dim=-1)


def first_time(reached: Tensor) -> Tensor:
    """Time of the first True along the second dimension, inf where there is none. [s]"""
    step = reached.to(torch.uint8).argmax(dim=1).to(torch.float32)
    return torch.where(reached.any(dim=1), STEP_S * step, torch.inf)
