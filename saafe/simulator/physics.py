"""Laws of fire, air and sensing as pure functions on tensors.

Every function takes and returns tensors of any broadcastable shape. Units stand in brackets.
Symbols: Q heat release rate, H ceiling height above the fire, r distance from the plume axis,
z height, A area, V volume, T absolute temperature.
"""

import math

import torch
from torch import Tensor

AIR_DENSITY = 1.2  # [kg/m3] at 20 degC
AIR_HEAT_CAPACITY = 1.005  # [kJ/(kg K)]
GRAVITY = 9.81  # [m/s2]
ABSOLUTE_ZERO = -273.15  # [degC]
MOLAR_VOLUME = 24.055  # [L/mol] ideal gas at 20 degC and 101,325 Pa
HYDROGEN_PER_CO = 2.016 / 28.01  # [g/g] of equal volumes
PPM_HYDROGEN = MOLAR_VOLUME / 2.016  # [ppm per mg/m3]
OXYGEN_PER_HEAT = 76.3e-3  # [g/kJ], Huggett: 13.1 kJ per gram of oxygen
OXYGEN_MOLAR_MASS = 32.0  # [g/mol]
OXYGEN_SHARE = 20.9  # of dry air [%], as the doses' source has it
SCARCE_OXYGEN = 13.0  # below it the want of oxygen counts, ISO 13571 [%]
STEFAN_BOLTZMANN = 5.670e-11  # [kW/(m2 K4)]
FELT_RADIATION = 2.5  # below it skin bears radiant heat for long [kW/m2]


def t_squared_heat_release(time: Tensor, *, growth_time: Tensor) -> Tensor:
    """Heat release of a growing fire, Q = 1,055 (t / t_g)^2.

    Args:
        time: since open flaming; nothing burns before. [s]
        growth_time: time to 1,055 kW; slow 600, medium 300, fast 150, ultra-fast 75. [s]

    Returns:
        Heat release rate. [kW]

    Source:
        NFPA 72, National Fire Alarm and Signaling Code, annex B; NFPA 92, section 5.

    Valid:
        Growth only, before the fuel or the air runs short.
    """
    return 1055.0 * (time.clamp(min=0.0) / growth_time) ** 2


def ceiling_jet_rise(heat_release: Tensor, *, height: Tensor, radius: Tensor) -> Tensor:
    """Peak temperature rise of the gas that a steady fire drives along a flat ceiling.

    Args:
        heat_release: total heat release rate, Q. [kW]
        height: ceiling above the base of the fire, H. [m]
        radius: distance from the plume axis, r. [m]

    Returns:
        Rise above ambient, in the broadcast shape. [K]

    Source:
        R. L. Alpert, "Calculation of response time of ceiling-mounted fire detectors,"
        Fire Technology, vol. 8, no. 3, pp. 181-195, 1972.

    Valid:
        4.6 m <= H <= 15.5 m, Q from 670 kW to 98 MW, r <= 2 H, no hot layer. Rooms of 2.2 to 4 m
        and small fires are an extrapolation; `docs/simulator.md` checks it on house fires.
    """
    strength = (heat_release.clamp(min=0.0)) ** (2 / 3)
    on_axis = 16.9 * strength / height ** (5 / 3)
    off_axis = 5.38 * strength / radius ** (2 / 3) / height
    return torch.minimum(on_axis, off_axis)  # the two laws cross at r = 0.18 H


def ceiling_jet_speed(heat_release: Tensor, *, height: Tensor, radius: Tensor) -> Tensor:
    """Peak gas speed under the ceiling.

    Args:
        heat_release: total heat release rate, Q. [kW]
        height: ceiling above the base of the fire, H. [m]
        radius: distance from the plume axis, r. [m]

    Returns:
        Speed. [m/s]

    Source:
        Alpert 1972 (see `ceiling_jet_rise`): 0.96 (Q/H)^(1/3) for r <= 0.15 H, else
        0.195 Q^(1/3) H^(1/2) / r^(5/6).

    Valid:
        As `ceiling_jet_rise`.
    """
    strength = heat_release.clamp(min=0.0) ** (1 / 3)
    on_axis = 0.96 * strength / height ** (1 / 3)
    off_axis = 0.195 * strength * height**0.5 / radius ** (5 / 6)
    return torch.minimum(on_axis, off_axis)


def plume_that_reaches(height: Tensor, *, gradient: Tensor) -> Tensor:
    """Convective heat of the weakest plume that reaches a height in stratified air.

    Args:
        height: above the source, z. [m]
        gradient: of the room's temperature, upwards, dT/dz. [K/m]

    Returns:
        Convective heat release rate, from z = 5.54 Q^(1/4) (dT/dz)^(-3/8). [kW]

    Source:
        NFPA 92, Standard for Smoke Control Systems, maximum rise of a plume, after Heskestad 1989;
        quoted from memory.
    """
    return (height / (5.54 * gradient ** (-3 / 8))) ** 4


def door_exchange_flow(
    area: Tensor, *, height: Tensor, temperature_difference: Tensor, temperature: Tensor
) -> Tensor:
    """Air exchanged both ways through an open door between two rooms of unlike temperature.

    Args:
        area: of the opening, A. [m2]
        height: of the opening, H. [m]
        temperature_difference: between the rooms, either sign. [K]
        temperature: mean of the rooms, absolute. [K]

    Returns:
        Flow in each direction, (C_d / 3) A sqrt(g H dT / T), C_d = 0.61. [m3/s]

    Source:
        W. G. Brown and K. R. Solvason, "Natural convection through rectangular openings in
        partitions," Int. J. Heat Mass Transfer, vol. 5, pp. 859-868, 1962.

    Valid:
        Rooms well mixed, no wind or fan across the opening.
    """
    drive = GRAVITY * height * temperature_difference.abs() / temperature
    return 0.61 / 3.0 * area * drive.sqrt()


def ppm_from_density(density: Tensor, *, molar_mass: float) -> Tensor:
    """Volume mixing ratio of a gas at 20 degC and sea level.

    Args:
        density: g of gas in a cubic metre of air. [g/m3]
        molar_mass: M. [g/mol]

    Returns:
        Mixing ratio. [ppm]
    """
    return density * (1000.0 * MOLAR_VOLUME / molar_mass)


def saturation_vapour_density(temperature: Tensor) -> Tensor:
    """Water vapour that air can hold.

    Args:
        temperature: of the air. [degC]

    Returns:
        Density of saturated vapour. [g/m3]

    Source:
        O. A. Alduchov and R. E. Eskridge, "Improved Magnus form approximation of saturation
        vapor pressure," J. Applied Meteorology, vol. 35, pp. 601-609, 1996, equation 21:
        6.1094 exp(17.625 t / (243.04 + t)) hPa.

    Valid:
        -40 to 50 degC; above it is clamped at 100 degC.
    """
    celsius = temperature.clamp(-40.0, 100.0)
    # in place: a simulation asks for millions
    pressure = (17.625 * celsius).div_(243.04 + celsius).exp_().mul_(610.94)  # [Pa]
    return pressure.mul_(18.015).div_((celsius - ABSOLUTE_ZERO).mul_(8.314))


def hygroscopic_growth(humidity: Tensor, *, kappa: Tensor) -> Tensor:
    """Factor by which humidity swells the volume of particles.

    Args:
        humidity: relative humidity. [%]
        kappa: hygroscopicity; 0.1 organics, 0.3 average outdoor, 0.6 ammonium sulphate. [-]

    Returns:
        Wet over dry volume, 1 + kappa a / (1 - a), a capped at 0.9. [-]

    Source:
        M. D. Petters and S. M. Kreidenweis, "A single parameter representation of hygroscopic
        growth," Atmos. Chem. Phys., vol. 7, pp. 1961-1971, 2007, equation 2.
    """
    activity = (humidity / 100.0).clamp(0.0, 0.9)
    return 1.0 + kappa * activity / (1.0 - activity)


def sound_field(distance: Tensor, *, absorption_area: Tensor) -> Tensor:
    """Mean square pressure of a source in a room, a unit of its power: direct and reverberant.

    Args:
        distance: r. [m]
        absorption_area: room constant, R. [m2]

    Returns:
        1 / (4 pi r^2) + 4 / R; ten times its logarithm is the sound pressure level less the sound
        power level. [1/m2]

    Source:
        L. L. Beranek, Acoustics, 1954; e.g. ISO 3744's annexes.
    """
    return 1.0 / (4.0 * math.pi * distance**2) + 4.0 / absorption_area


def fractional_effective_dose_rate(
    co: Tensor, *, co2: Tensor, cyanide: Tensor | float = 0.0, oxygen: Tensor | float = OXYGEN_SHARE
) -> Tensor:
    """Rate at which the gases of a fire incapacitate, by poison or for want of oxygen.

    Args:
        co: carbon monoxide. [ppm]
        co2: carbon dioxide. [ppm]
        cyanide: hydrogen cyanide. [ppm]
        oxygen: volume share. [%]

    Returns:
        Dose a minute; 0.3 protects most people, 1.0 incapacitates half. [1/min]

    Source:
        ISO 13571:2012, equation 2: CO / 35,000 ppm min + HCN^2.36 / 1.2e6, times exp([%CO2] / 5)
        above 2 % CO2. Oxygen: D. A. Purser, "Assessment of hazards to occupants from smoke, toxic
        gases, and heat," SFPE Handbook, exp(8.13 - 0.54 (20.9 - [%O2])) min. HCN and oxygen from
        memory, not checked.

    Valid:
        Oxygen counts below 13 %, as ISO 13571 has it; HCN has no threshold.
    """
    breathing = torch.where(co2 > 20_000.0, torch.exp(co2 / 1e4 / 5.0), torch.ones_like(co2))
    poison = co / 35_000.0 + cyanide**2.36 / 1.2e6
    share = torch.as_tensor(oxygen, dtype=co.dtype, device=co.device)
    choking = torch.exp(0.54 * (OXYGEN_SHARE - share) - 8.13)
    return poison * breathing + torch.where(share < SCARCE_OXYGEN, choking, 0.0)


def black_body_radiation(temperature: Tensor) -> Tensor:
    """Radiant heat of a black body, or of hot smoke that nobody sees through. [kW/m2]

    At a temperature [degC]; the law of Stefan and Boltzmann.
    """
    return STEFAN_BOLTZMANN * (temperature - ABSOLUTE_ZERO) ** 4


def radiant_dose_rate(radiation: Tensor) -> Tensor:
    """Rate at which radiant heat on bare skin incapacitates.

    Args:
        radiation: heat flux, q. [kW/m2]

    Returns:
        Dose a minute, q^(4/3) / 1.33; 1.0 is what people bear at most. [1/min]

    Source:
        D. A. Purser, SFPE Handbook, as above: tolerance, t = 1.33 q^(-4/3) min: 24 s at 2.5 kW/m2
        and 4 s at 10; from memory, not checked.

    Valid:
        Below 2.5 kW/m2, that of a hot layer at some 200 degC, people bear it for minutes, and
        nothing is counted.
    """
    felt = radiation >= FELT_RADIATION
    return torch.where(felt, radiation.clamp(min=0.0) ** (4.0 / 3.0) / 1.33, 0.0)


def heat_dose_rate(temperature: Tensor) -> Tensor:
    """Rate at which hot air incapacitates people in light clothing.

    Args:
        temperature: of the air. [degC]

    Returns:
        Dose a minute, T^3.4 / 5e7; 1.0 incapacitates half. [1/min]

    Source:
        ISO 13571:2012, convected heat, t = 5e7 T^-3.4 min; the figures are from memory, not
        checked.

    Valid:
        Under 10 % of water vapour; below 60 degC people tolerate it, and nothing is counted.
    """
    return torch.where(temperature > 60.0, temperature.clamp(min=0.0) ** 3.4 / 5e7, 0.0)
