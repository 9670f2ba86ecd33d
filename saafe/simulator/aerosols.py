"""What smoke, fume, dust and mist are to light, to alarms and to particle meters.

Figures from memory say so; the others are from the sources named beside them.
"""

from dataclasses import dataclass
from enum import IntEnum

from saafe.sensors import SMOKE_EXTINCTION_M2_G, Range


class AerosolKind(IntEnum):
    """Index into `AEROSOLS`."""

    FLAMING = 0
    SMOULDERING = 1
    COOKING = 2
    DUST = 3
    DROPLETS = 4


@dataclass(frozen=True)
class Aerosol:
    """One class of aerosol, by how it was made."""

    name: str
    fine_share: float  # of its mass that is PM2.5
    extinction_m2_g: float  # specific extinction of light, base e. [m2/g]
    photo: float  # response of a photoelectric alarm, on the scale of optical density
    ionisation: float  # response of an ionisation alarm, the same
    meter: Range  # what low-cost particle meters show of its PM2.5, over units and products


# Extinction: 8.7 m2/g for soot of flames, Mulholland and Croarkin 2000, CFAST's default; 4.4 for
# smouldering (Seader and Einhorn) and 3 to 5 for cooking from memory; 3 / d[um] m2/g for liquid
# drops of diameter d, 5 to 15 um in steam; dust of 3 to 10 um from memory.
# Responses of alarms: chosen before any model was trained on their streams, to agree with the
# order in NIST TN 1455 (flaming: ionisation first by far; smouldering: photoelectric first) and
# in the CPSC pilot study (cooking: ionisation most). Dust's are assumed to be those of droplets.
# PM2.5: the rates of dust are PM2.5's; of drops of 5 to 15 um the tail, from memory.
# Meters: ranges of low-cost meters over gravimetric mass; wildfire smoke 1.3 to 2.0 (Barkjohn
# 2021), dust 0.0 to 0.4 for PMS5003 (Ouimette 2023) and 0.2 to 1.0 for others; the rest memory.
AEROSOLS = (
    Aerosol("flaming", 1.0, SMOKE_EXTINCTION_M2_G, 0.33, 1.0, (0.3, 1.5)),
    Aerosol("smouldering", 1.0, 4.4, 1.0, 0.3, (1.0, 3.0)),
    Aerosol("cooking", 1.0, 4.0, 0.7, 1.5, (0.7, 2.5)),
    Aerosol("dust", 1.0, 0.5, 1.0, 0.3, (0.05, 1.0)),
    Aerosol("droplets", 0.03, 0.4, 1.0, 0.3, (0.5, 5.0)),
)
