"""How often simulated cooking trips simulated smoke alarms, beside nine measured homes.

    python benchmarks/reference_alarms.py [--cookings 2000] [--seed 0 1 2]

The US CPSC's pilot study of 2010 hung alarms of two makers at 1.5, 3 and 6 m from the stove of nine
homes through 469 cookings. Here as many kinds of cooking as dwellings see happen in drawn kitchens,
with alarms under the ceiling at those distances. At 6 m an alarm hangs in the room beyond, where
the kitchen is smaller. Nothing is trained. Seeds cook so often each and are added up; bounds are
Wilson's. `--burnt-share` is the share of cookings in which food burns, and docs/simulator.md says
why it is not the one that fits. `--without-shreds` leaves the plume's shreds out.
"""

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from last_line import print_last_line
from scipy import stats
from torch import Tensor

from saafe.sensors import NORMAL, NUISANCE
from saafe.simulator import emissions, simulation, sources
from saafe.simulator.reference_alarms import REFERENCE_ALARMS, SENSITIVITIES
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import StreamSettings

DISTANCES_M = (1.5, 3.0, 6.0)
CPSC_COOKINGS = 469
CPSC_ALARMS = {"photo": (14, 28, 4), "ionisation": (41, 23, 5)}
NEAR = slice(0, 2)  # of the distances
AS_MADE = SENSITIVITIES.index(1.0)
RATIOS = {"photo": "photo_near_ratio", "ionisation": "ion_near_ratio"}
HOURS, CHUNK = 3.0, 256
ROOT = Path(__file__).parents[1]


@dataclass
class Cookings:
    """What alarms did in simulated cookings."""

    kind: Tensor  # index into `sources.OTHERS` (cooking,)
    sounded: Tensor  # bool (cooking, distance, sensitivity, alarm)

    def as_made(self, alarm: int) -> Tensor:
        """Whether an alarm of usual sensitivity sounded. bool (cooking, distance)"""
        return self.sounded[:, :, AS_MADE, alarm]


def simulate_cookings(wanted: int, *, seed: int, shreds: bool = True) -> Cookings:
    """Cook until so many cookings began within their stream."""
    generator = torch.Generator().manual_seed(seed)
    names = tuple(source.name for source in sources.NUISANCES if source.cooking)
    mix = Mix(0.0, (), names, (0.0, 1.0, 0.0), balance=1.0, fault_share=0.0)
    plan = StreamSettings(HOURS, len(DISTANCES_M), mix)
    kinds, sounded, found = [], [], 0
    while found < wanted:
        world = hang_alarms(simulation.draw_world(CHUNK, plan, generator))
        if not shreds:
            world = replace(world, shreds=torch.ones_like(world.shreds))
        rows = simulation.runs_needed(world.events, labelled=False)
        played = simulation.play(world, rows)
        alarms = simulation.alarms_beside(played, world.alarm_units)
        state = world.events.state[1][-world.steps :]
        begins = (state[0] == NORMAL) & (state == NUISANCE).any(dim=0)
        kinds.append(world.events.nuisance[begins, 0])
        sounded.append(torch.isfinite(alarms[begins]))
        found += int(begins.sum())
    return Cookings(torch.cat(kinds)[:wanted], torch.cat(sounded)[:wanted])


def hang_alarms(world: simulation.ScenarioDraw) -> simulation.ScenarioDraw:
    """The same world with a sensor at each distance from the stove, under the ceiling."""
    building, kitchen = world.building, world.events.zone[:, 1:2]
    volume = building.volume.gather(1, kitchen)
    reach = 0.7 * (volume / building.height.gather(1, kitchen)).sqrt()
    next_door = torch.where(kitchen > 0, kitchen - 1, kitchen + 1)
    has_next = next_door < building.zones.unsqueeze(1)
    distance = torch.tensor(DISTANCES_M).expand(len(kitchen), -1)
    beyond = (distance > 4.0) & (distance > reach) & has_next
    building = replace(
        building,
        sensor_zone=torch.where(beyond, next_door, kitchen),
        distance=distance.contiguous(),
        under_ceiling=torch.ones_like(building.under_ceiling),
    )
    return replace(world, building=building)


def pooled(runs: list[Cookings]) -> Cookings:
    """All cookings of several seeds."""
    return Cookings(torch.cat([r.kind for r in runs]), torch.cat([r.sounded for r in runs]))


def row(name: str, alarms: int, n: int) -> str:
    """A share with Wilson's bounds, in percent."""
    low, high = stats.binomtest(alarms, n).proportion_ci(method="wilson")
    return f"{name:22} {100 * alarms / n:6.2f} %  ({100 * low:.2f} to {100 * high:.2f})  n {n}"


def figures_of(cookings: Cookings) -> dict[str, float]:
    """Shares of cookings with an alarm; near ones over CPSC's, at each sensitivity too."""
    figures = {}
    for k, alarm in enumerate(REFERENCE_ALARMS):
        if alarm.name not in CPSC_ALARMS:
            continue
        shares = cookings.as_made(k).double().mean(dim=0)
        for distance, share in zip(DISTANCES_M, shares.tolist(), strict=True):
            figures[f"{alarm.name}_at_{distance:g}_m"] = share
        measured = sum(CPSC_ALARMS[alarm.name][NEAR]) / (2 * CPSC_COOKINGS)
        near = cookings.sounded[:, NEAR, :, k].double().mean(dim=(0, 1)) / measured
        figures[RATIOS[alarm.name]] = float(near[AS_MADE])
        for place, sensitivity in enumerate(SENSITIVITIES):
            if place != AS_MADE:
                figures[f"{RATIOS[alarm.name]}_at_{sensitivity:g}"] = float(near[place])
    return figures


def show(cookings: Cookings) -> None:
    """Print the six cells beside CPSC's, and a table by kind."""
    n = len(cookings.kind)
    for k, alarm in enumerate(REFERENCE_ALARMS):
        for d, distance in enumerate(DISTANCES_M):
            sounded = int(cookings.as_made(k)[:, d].sum())
            print(row(f"{alarm.name} at {distance:g} m", sounded, n))
            if alarm.name in CPSC_ALARMS:
                print(row("    CPSC", CPSC_ALARMS[alarm.name][d], CPSC_COOKINGS))
    smoke = REFERENCE_ALARMS[:2]
    print(f"\n{'kind':20} {'n':>5}  " + "  ".join(f"{a.name} at 1.5, 3, 6 m" for a in smoke))
    for kind in sorted(cookings.kind.unique().tolist()):
        of_kind = cookings.kind == kind
        counts = [cookings.as_made(k)[of_kind].sum(dim=0).tolist() for k in range(len(smoke))]
        cells = [", ".join(str(number) for number in count) for count in counts]
        print(f"{sources.OTHERS[kind].name:20} {int(of_kind.sum()):5}  {cells[0]:20}  {cells[1]}")


def main() -> None:
    """Simulate, print the tables, then one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cookings", type=int, default=2000)
    parser.add_argument("--burnt-share", type=float, default=math.nan)
    parser.add_argument("--without-shreds", action="store_true")
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    if not math.isnan(options.burnt_share):
        emissions.BURNT_SHARE = options.burnt_share
    runs = [
        simulate_cookings(options.cookings, seed=seed, shreds=not options.without_shreds)
        for seed in options.seed
    ]
    show(pooled(runs))
    by_seed = [figures_of(run) for run in runs]
    figures = figures_of(pooled(runs))
    print("\nours over CPSC's at 1.5 and 3 m, pooled, then by seed")
    for name in (name for name in figures if "ratio" in name):
        print(f"{name:26}{figures[name]:7.3f}  ", *(f"{one[name]:.3f}" for one in by_seed))
    print_last_line("reference_alarms", figures, len(runs), "torch")


if __name__ == "__main__":
    main()
