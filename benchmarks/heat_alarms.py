"""How often simulated heat alarms sound without a fire, by source, a year.

    python benchmarks/heat_alarms.py [--events 256] [--seed 0]

Every nuisance happens so many times, each in a drawn home with four sensors hung as usual. A
source's share of sensor-events in which the heat alarm beside the sensor sounds, times how often a
dwelling sees the source, gives alarms a year of one sensor. Real heat alarms (57 degC, 8.3 K/min)
hardly ever sound falsely in homes, but over stoves. Nothing is trained.
"""

import argparse
from pathlib import Path

import torch
from last_line import print_last_line

from saafe.metrics import proportion_bounds
from saafe.sensors import TEMPERATURE
from saafe.simulator import simulation, sources
from saafe.simulator.reference_alarms import (
    REFERENCE_ALARMS,
    SENSITIVITIES,
    rate_of_rise_times,
)
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import StreamSettings

HOURS, SENSORS, CHUNK = 3.0, 4, 256
AS_MADE = SENSITIVITIES.index(1.0)
HEAT = [alarm.name for alarm in REFERENCE_ALARMS].index("heat")
ROOT = Path(__file__).parents[1]


def heat_alarms(name: str, events: int, generator: torch.Generator) -> tuple[int, int, int, float]:
    """Sensor-events of one source: how many sound, by rate of rise, and are there; hottest [degC].

    The stream may begin amid the event.
    """
    mix = Mix(0.0, (), (name,), (0.0, 1.0, 0.0), balance=1.0, fault_share=0.0)
    sounded = rising = n = 0
    hottest = []
    while n < events * SENSORS:
        rows = min(CHUNK, events - n // SENSORS)
        world = simulation.draw_world(rows, StreamSettings(HOURS, SENSORS, mix), generator)
        played = simulation.play(world, simulation.runs_needed(world.events, labelled=False))
        at_s = simulation.alarms_beside(played, world.alarm_units)[:, :, AS_MADE, HEAT]
        temperature = played.truth[..., TEMPERATURE].transpose(0, 1)
        rise_s = rate_of_rise_times(temperature, air_speed=played.air_speed.transpose(0, 1))
        sounded += int(torch.isfinite(at_s).sum())
        rising += int(torch.isfinite(rise_s).sum())
        hottest.append(temperature.amax(dim=1).flatten())
        n += rows * SENSORS
    return sounded, rising, n, float(torch.cat(hottest).quantile(0.99))


def main() -> None:
    """Simulate, print a row a source that ever alarms, then one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=256, help="of each source")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    total = {"kitchen": 0.0, "other": 0.0}
    print(f"{'source':22} {'a year':>7} {'of n':>12} {'by rise':>8} {'share (95 %)':>20}"
          f" {'alarms a year':>14} {'99 % degC':>10}")  # fmt: skip
    for source in sources.NUISANCES:
        generator = torch.Generator().manual_seed(options.seed)
        sounded, rising, n, hottest = heat_alarms(source.name, options.events, generator)
        share, low, high = proportion_bounds(sounded, n)
        total["kitchen" if source.kitchen else "other"] += source.per_year * share
        if sounded:
            bounds = f"{100 * share:.2f} ({100 * low:.2f}..{100 * high:.2f}) %"
            print(f"{source.name:22} {source.per_year:7g} {f'{sounded} of {n}':>12} {rising:8}"
                  f" {bounds:>20} {source.per_year * share:14.2f} {hottest:10.1f}")  # fmt: skip
    for where, alarms in total.items():
        print(f"{'sum, ' + where:22} {alarms:.2f} a year")
    figures = {f"{where}_alarms_per_year": alarms for where, alarms in total.items()}
    print_last_line("heat_alarms", figures, 1, "torch")


if __name__ == "__main__":
    main()
