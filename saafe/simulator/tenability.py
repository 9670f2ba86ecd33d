"""When the air at a place stops being survivable: asphyxiants, heat, smoke.

Doses add up from the ignition on; what people had breathed before it is nobody's fire.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from saafe.sensors import CO, CO2, PM25, TEMPERATURE
from saafe.simulator import physics

DOSE = 0.3  # of a fractional effective dose: the most susceptible people, ISO 13571
SHORTEST_VIEW_M = 5.0  # Chosen: small rooms; OD 0.26/m. Larger ones ask for 10 m
SIGN_CONSTANT = 3.0  # of a reflecting sign: visibility x natural extinction coefficient


def visibility_m(smoke_g_m3: NDArray) -> NDArray[np.float64]:
    """How far a reflecting sign can be seen through smoke.

    Args:
        smoke_g_m3: mass concentration. [g/m3]

    Returns:
        Distance, 3 / (sigma C). [m]

    Source:
        T. Jin, "Visibility through fire smoke," J. Fire & Flammability, vol. 9, pp. 135-155,
        1978: extinction coefficient times visibility is 3 for reflecting signs (from memory, not
        checked); specific extinction as in `physics.optical_density`.
    """
    smoke = torch.as_tensor(np.asarray(smoke_g_m3, np.float64)).clamp(min=1e-12)
    extinction = physics.optical_density(smoke).numpy() * math.log(10.0)
    return SIGN_CONSTANT / extinction


def untenable_times(
    times_s: NDArray, air: NDArray, *, ignition_s: float
) -> dict[str, float | None]:
    """When each condition first becomes untenable at one place, None = never [s].

    Args:
        times_s: evenly spaced. (time,)
        air: what is true there, in the units of `sensors.CHANNELS`. (time, channel)
        ignition_s: doses count from here, and nothing is untenable before.

    Returns:
        `gas` (CO and CO2, a fractional effective dose of 0.3), `heat` (a dose of 0.3) and
        `visibility` (under 5 m).
    """
    step_min = float(times_s[1] - times_s[0]) / 60.0
    burning = times_s >= ignition_s
    co, co2 = (torch.as_tensor(air[:, channel].astype(np.float64)) for channel in (CO, CO2))
    gas = physics.fractional_effective_dose_rate(co, co2=co2).numpy()
    heat = physics.heat_dose_rate(torch.as_tensor(air[:, TEMPERATURE].astype(np.float64))).numpy()
    view = visibility_m(1e-6 * air[:, PM25].astype(np.float64))
    reached = {
        "gas": np.cumsum(np.where(burning, gas, 0.0)) * step_min >= DOSE,
        "heat": np.cumsum(np.where(burning, heat, 0.0)) * step_min >= DOSE,
        "visibility": burning & (view < SHORTEST_VIEW_M),
    }
    return {
        name: float(times_s[np.argmax(is_over)]) if is_over.any() else None
        for name, is_over in reached.items()
    }
