"""Closed forms of rooms that the simulator is checked against."""

import torch
from torch import Tensor


def plume_mass_flow(convective_heat: Tensor, *, height: Tensor) -> Tensor:
    """Air that a fire's plume has drawn in up to a height above the flames.

    Args:
        convective_heat: convective part of the heat release rate, Q_c. [kW]
        height: above the virtual origin, z - z_0. [m]

    Returns:
        Mass flow, 0.071 Q_c^(1/3) z^(5/3) + 0.0018 Q_c. [kg/s]

    Source:
        G. Heskestad, "Engineering relations for fire plumes," Fire Safety Journal, vol. 7,
        pp. 25-32, 1984; NFPA 92, equation 5.5.1.1b.

    Valid:
        Above the flame height.
    """
    heat = convective_heat.clamp(min=0.0)
    return 0.071 * heat ** (1 / 3) * height ** (5 / 3) + 0.0018 * heat


def smoke_layer_height(
    time: Tensor, *, heat_release: Tensor, height: Tensor, floor_area: Tensor
) -> Tensor:
    """First sign of smoke above the floor while a steady fire fills a closed room.

    Args:
        time: since ignition. [s]
        heat_release: steady heat release rate, Q. [kW]
        height: of the ceiling, H. [m]
        floor_area: A. [m2]

    Returns:
        Height of the layer, between 0.2 H and H. [m]

    Source:
        NFPA 92, equation 5.4.2.1: z/H = 1.11 - 0.28 ln[(t Q^(1/3) H^(-4/3)) / (A/H^2)].

    Valid:
        0.2 <= z/H < 1, 0.9 <= A/H^2 <= 14, steady fire.
    """
    ratio = time * heat_release ** (1 / 3) / height ** (4 / 3) / (floor_area / height**2)
    return (height * (1.11 - 0.28 * ratio.clamp(min=1e-9).log())).clamp(
        min=0.2 * height, max=height
    )


def diluted_concentration(
    time: Tensor, *, emission: Tensor, volume: Tensor, flow: Tensor, initial: Tensor
) -> Tensor:
    """Concentration in one well-mixed room with a constant source and clean supply air.

    Args:
        time: since the source began. [s]
        emission: E. [g/s]
        volume: V. [m3]
        flow: fresh air, q. [m3/s]
        initial: concentration at the start. [g/m3]

    Returns:
        E/q + (C_0 - E/q) exp(-q t / V). [g/m3]

    Source:
        Mass balance of a stirred tank; e.g. ASHRAE Handbook Fundamentals, ventilation chapter.
    """
    steady = emission / flow
    return steady + (initial - steady) * torch.exp(-flow * time / volume)
