"""How much later ionisation alarms would sound if smoke coagulated, which the simulator leaves out.

    python benchmarks/coagulation.py [--events 256] [--seed 0 1 2]

Particles that meet stick: dN/dt = -G N^2, and so number falls while mass stays. An ionisation
alarm answers to number times diameter, which then falls as N^(2/3); light is dimmed by mass. Smoke
that comes anew is fresh. Events happen in drawn homes, one sensor each, as often by kind as the
simulator draws them. Nothing is trained.
"""

import argparse
import math
from pathlib import Path

import torch
from last_line import print_last_line
from torch import Tensor

from saafe.simulator import simulation, sources
from saafe.simulator.aerosols import AEROSOLS
from saafe.simulator.instruments import STEP_S
from saafe.simulator.limits import first_time
from saafe.simulator.reference_alarms import REFERENCE_ALARMS, smoke_in_chamber
from saafe.simulator.scenarios import Mix

HOURS = 3.0
ROOT = Path(__file__).parents[1]
# Rate of coagulation [cm3/s]: 1e-9 of flaming cellulose, 4e-10 of incense (G. W. Mulholland, SFPE
# Handbook); of fume between them. Diameter of fresh particles of mean volume [um] and density
# [g/cm3]. All from memory; dust and droplets hardly coagulate.
RATES = (1e-9, 4e-10, 8e-10, 0.0, 0.0)
FRESH = ((0.15, 1.8), (0.25, 1.0), (0.17, 1.0), (3.0, 2.0), (10.0, 1.0))
LOSS_S = 3600.0  # Chosen: in which air change and walls take e-fold, which fresh smoke replaces
FALL = 2.0 / 3.0  # of compact particles, number times diameter is N^(2/3) at a constant mass
PHOTO, IONISATION = REFERENCE_ALARMS[:2]


def numbers_per_mass() -> list[float]:
    """Fresh particles in a cubic centimetre that holds a mg/m3, by aerosol."""
    return [1e-9 / (rho * 1e-12 * math.pi / 6.0 * d**3) for d, rho in FRESH]


def number_left(mass: Tensor, *, loss_s: float = LOSS_S) -> Tensor:
    """Share of fresh smoke's number that is left at the same mass. (n, time, sensor, aerosol)

    Of the mass [mg/m3] every 10 s, alike; it was fresh at the first step.
    """
    pace = STEP_S * mass.new_tensor(RATES) * mass.new_tensor(numbers_per_mass())
    out = torch.ones_like(mass)
    for k in range(1, mass.shape[1]):
        came = (mass[:, k] - mass[:, k - 1]).clamp(min=0.0) + STEP_S / loss_s * mass[:, k - 1]
        fresh = (came / mass[:, k].clamp(min=1e-9)).clamp(max=1.0)
        mixed = torch.lerp(out[:, k - 1], torch.ones_like(fresh), fresh)
        out[:, k] = mixed / (1.0 + pace * mass[:, k] * mixed)  # the law's own solution
    return out


def sounding(mix: Mix, events: int, generator: torch.Generator) -> list[Tensor]:
    """When alarms sound: photoelectric, ionisation, and that in smoke which coagulates. [s]

    And what share of fresh smoke's number is left when the second sounds. Four of (event,).
    """
    world = simulation.draw_world(events, simulation.StreamSettings(HOURS, 1, mix), generator)
    played = simulation.play(world, simulation.runs_needed(world.events, labelled=False))
    density, speed = played.density.transpose(0, 1), played.air_speed.transpose(0, 1)
    extinction = density.new_tensor([aerosol.extinction_m2_g for aerosol in AEROSOLS])
    left = number_left(1e3 * math.log(10.0) * density / extinction)
    photo, fresh = (density @ density.new_tensor(kind.responses) for kind in (PHOTO, IONISATION))
    aged = (density * left**FALL) @ density.new_tensor(IONISATION.responses)
    times = [
        first_time(smoke_in_chamber(seen, air_speed=speed) >= kind.levels[0][0])[:, 0]
        for kind, seen in ((PHOTO, photo), (IONISATION, fresh), (IONISATION, aged))
    ]
    # by what the alarm answers to, whichever aerosols there are
    share = (aged / fresh.clamp(min=1e-12))[:, :, 0] ** (1.0 / FALL)
    step = (times[1] / STEP_S).clamp(max=share.shape[1] - 1).long()
    return [*times, share.gather(1, step.unsqueeze(1))[:, 0]]


def kinds() -> dict[str, Mix]:
    """Fires by how they burn, and cooking."""
    alone = {
        mode: tuple(one.name for one in sources.FIRES if one.mode == mode)
        for mode in ("flaming", "smouldering", "cooking oil")
    }
    found = {mode: Mix(1.0, names, (), (1.0, 0.0, 0.0)) for mode, names in alone.items()}
    return found | {"cooking": Mix(0.0, (), sources.GROUPS["cooking"], (0.0, 1.0, 0.0))}


def summary(photo: Tensor, fresh: Tensor, aged: Tensor, left: Tensor) -> dict[str, float]:
    """Counts of alarms, and how much later they are. [s]"""
    both = torch.isfinite(aged)
    first = torch.isfinite(photo.minimum(fresh))
    later = (photo.minimum(aged) - photo.minimum(fresh))[first]  # inf where none is left

    def quantile(values: Tensor, q: float) -> float:
        return float(values.quantile(q, interpolation="lower")) if len(values) else math.nan

    return {
        "n": len(photo),
        "number_left_median": quantile(left[torch.isfinite(fresh)], 0.5),
        "ionisation": int(torch.isfinite(fresh).sum()),
        "ionisation_coagulated": int(both.sum()),
        "ionisation_later_median_s": quantile((aged - fresh)[both], 0.5),
        "first_alarm": int(first.sum()),
        "first_alarm_lost": int(torch.isinf(later).sum()),
        "first_alarm_later_median_s": quantile(later, 0.5),
        "first_alarm_later_p90_s": quantile(later, 0.9),
    }


def main() -> None:
    """Print a row a kind of event, then one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=256, help="of each kind and seed")
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    figures = {}
    for kind, mix in kinds().items():
        parts = [
            sounding(mix, options.events, torch.Generator().manual_seed(seed))
            for seed in options.seed
        ]
        whole = (torch.cat(part) for part in zip(*parts, strict=True))
        figures[kind] = summary(*whole)
        row = {name: round(value, 3) for name, value in figures[kind].items()}
        print(kind, *(f"{name} {value:g}" for name, value in row.items()), sep="\n  ", flush=True)
    print_last_line("coagulation", figures, len(options.seed), "torch")


if __name__ == "__main__":
    main()
