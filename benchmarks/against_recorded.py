"""Simulated fires and nuisances beside what was recorded or published of them.

    python benchmarks/against_recorded.py [--scenarios 512] [--seed 0 1 2] [--real DIR]

Sensors under the ceiling and on shelves in the room of the source; true air, no instrument. The
ranges are those of the sources named in docs/simulator.md; nothing here was fitted. `--real DIR`
measures the fires of `DIR/nist_home_smoke_alarms` alike, at all stations, in other rooms too.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from last_line import print_last_line
from numpy.typing import NDArray

from saafe.readers import Published, read_published
from saafe.readers.published import BASELINE_S, EXTINCTION_M2_G, SMOKE_EXTINCTION_M2_G
from saafe.sensors import CO, CO2, HUMIDITY, PM25, TEMPERATURE
from saafe.simulator import simulation
from saafe.simulator.instruments import STEP_S
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import StreamSettings

ROOT = Path(__file__).parents[1]
FURNITURE = ("flaming_foam", "flaming_bed")
SMOULDERS = ("smouldering_foam", "smouldering_sofa", "smouldering_mattress")
NEAR_M, FAR_M = 1.0, 2.0  # a vape was measured at 0.8 m
JUMP_S = 10.0  # a step from 0.05 to 0.14 /m within it is flames: left out, as in the source


@dataclass(frozen=True)
class Recorded:
    """A figure, and the range that was recorded or published of it."""

    name: str
    unit: str
    low: float
    high: float
    source: str


FIGURES = (
    Recorded("od_at_20k", "1/m", 0.15, 0.37, "furnished home, flaming furniture"),
    Recorded("rise_2_to_20k_s", "s", 44.0, 94.0, "the same, median 57"),
    Recorded("smoulder_od05_to_od14_s", "s", 240.0, 4090.0, "six smoulders there, median 1,450"),
    Recorded("oil_od05_s", "s", 250.0, 300.0, "two pans in a kitchen"),
    Recorded("oil_ignition_s", "s", 1380.0, 1440.0, "the same"),
    Recorded("frying_peak", "ug/m3", 200.0, 1400.0, "HOMEChem and others, kitchen peaks"),
    Recorded("broiling_peak", "ug/m3", 200.0, 1400.0, "the same"),
    Recorded("bathroom_humidity_peak", "%", 95.0, 100.0, "arithmetic: 42 g/min in 12 m3"),
    Recorded("vaping_left_after_20s", "share", 0.0, 0.1, "gone within 20 s at 0.8 m, Zhao 2017"),
    Recorded("vaping_left_after_60s", "share", 0.0, 0.1, "the same"),
)


@dataclass
class Stay:
    """What one sensor in the room of a source saw from the source's start on."""

    rise: NDArray  # above the moment before. (time, channel)
    air: NDArray  # (time, channel)
    density: NDArray  # rise of optical density [1/m] (time,)
    distance: float  # from the source, aslant to a sensor under the ceiling. [m]


def stays(names: tuple[str, ...], n: int, seed: int, *, is_fire: bool) -> Iterator[Stay]:
    """Simulate one source at a time, with nothing beside."""
    mix = (
        Mix(1.0, names, (), (1.0, 0.0, 0.0), fault_share=0.0)
        if is_fire
        else Mix(0.0, (), names, (0.0, 1.0, 0.0), balance=1.0, fault_share=0.0)
    )
    slot, generator = (0 if is_fire else 1), torch.Generator().manual_seed(seed)
    for _ in range(math.ceil(n / 256)):
        world = simulation.draw_world(256, StreamSettings(3.0, 2, mix), generator)
        played = simulation.play(world, simulation.runs_needed(world.events, labelled=False))
        building, zone = world.building, world.events.zone[:, slot : slot + 1]
        here = building.sensor_zone == zone
        above = building.height.gather(1, zone.clamp(min=0)) - world.events.base_m[:, slot, None]
        distance = torch.hypot(building.distance, above * building.under_ceiling)
        acting = (world.events.state[slot][-world.steps :] != 0).numpy()
        for k, sensor in here.nonzero().tolist():
            start = int(acting[:, k].argmax())
            if start == 0:  # before the stream, or never
                continue
            air = played.truth[:, k, sensor].numpy()
            density = played.density[:, k, sensor].sum(dim=-1).numpy()
            part = slice(start, None)
            yield Stay(
                air[part] - air[start - 1],
                air[part],
                density[part] - density[start - 1],
                float(distance[k, sensor]),
            )


def first_s(reached: NDArray) -> float:
    """When first true since the source's start, NaN for never. [s]"""
    return STEP_S * float(reached.argmax()) if reached.any() else math.nan


def measure(n: int, seed: int) -> dict[str, list[float]]:
    """Every figure of every stay in which it can be read."""
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        if math.isfinite(value):
            found.setdefault(name, []).append(value)

    for stay in stays(FURNITURE, n, seed, is_fire=True):
        hot = first_s(stay.rise[:, TEMPERATURE] >= 20.0)
        if math.isfinite(hot):
            at = round(hot / STEP_S)
            note("od_at_20k", float(stay.density[at]))
            note("co2_at_20k", float(stay.rise[at, CO2]))
            note("rise_2_to_20k_s", hot - first_s(stay.rise[:, TEMPERATURE] >= 2.0))
    for stay in stays(SMOULDERS, n, seed, is_fire=True):
        dense, dark = first_s(stay.density >= 0.05), first_s(stay.density >= 0.14)
        if dark - dense > JUMP_S:
            note("smoulder_od05_to_od14_s", dark - dense)
            note("co_at_od14", float(stay.rise[round(dark / STEP_S), CO]))
    for stay in stays(("overheating_oil",), n, seed, is_fire=True):
        note("oil_od05_s", first_s(stay.density >= 0.05))
        note("oil_ignition_s", first_s(stay.rise[:, TEMPERATURE] >= 20.0))
    for name in ("frying", "broiling"):
        for stay in stays((name,), n, seed, is_fire=False):
            note(f"{name}_peak", float(stay.rise[:, PM25].max()))
    for stay in stays(("shower",), n, seed, is_fire=False):
        note("bathroom_humidity_peak", float(stay.air[:, HUMIDITY].max()))
    for stay in stays(("vaping",), 4 * n, seed, is_fire=False):  # few sensors are so near
        peak = int(stay.rise[:, PM25].argmax())
        left = stay.rise[peak : peak + 7, PM25] / stay.rise[peak, PM25]
        if len(left) == 7 and stay.distance <= NEAR_M:
            note("vaping_left_after_20s", float(left[2]))
            note("vaping_left_after_60s", float(left[6]))
        if len(left) == 7 and stay.distance >= FAR_M:
            note("vaping_far_left_after_60s", float(left[6]))
    return found


def measure_recorded(folder: Path) -> dict[str, list[float]]:
    """The same figures of recorded fires, at every station whose meters are marked usable."""
    found: dict[str, list[float]] = {}
    for fire in read_published("nist_home_smoke_alarms", folder):
        for sensor in range(len(fire.recording.sensors)):
            for name, value in figures_at(fire, sensor).items():
                if math.isfinite(value):
                    found.setdefault(name, []).append(value)
        if fire.kind == "cooking oil":
            found.setdefault("oil_od05_s", []).append(fire.references["t_OD05"])
            found.setdefault("oil_ignition_s", []).append(fire.references["t_dT20"])
    return found


def figures_at(fire: Published, sensor: int) -> dict[str, float]:
    """What one station of a recorded fire shows, NaN where it cannot be read."""
    record = fire.recording
    times_s = record.times_s
    seconds, mass = fire.smoke.get(record.sensors[sensor], (np.zeros(1), np.full(1, math.nan)))
    extinction = EXTINCTION_M2_G.get(fire.kind, SMOKE_EXTINCTION_M2_G)
    density = 1e-6 * mass * extinction / math.log(10.0)

    def rise(channel: int) -> tuple[NDArray, NDArray]:
        values = record.readings[:, sensor, channel].astype(float)
        known = np.isfinite(values)
        if not known.any():
            return times_s, np.full(len(times_s), math.nan)
        calm = values[known & (times_s <= times_s[0] + BASELINE_S)]
        return times_s[known], values[known] - np.median(calm)

    def at(moment_s: float, course: tuple[NDArray, NDArray]) -> float:
        return float(np.interp(moment_s, *course)) if math.isfinite(moment_s) else math.nan

    def first(course: tuple[NDArray, NDArray], level: float) -> float:
        over = course[1] >= level
        return float(course[0][over.argmax()]) if over.any() else math.nan

    warmth = rise(TEMPERATURE)
    if fire.kind == "flaming":
        hot = first(warmth, 20.0)
        return {
            "od_at_20k": at(hot, (seconds, density)),
            "co2_at_20k": at(hot, rise(CO2)),
            "rise_2_to_20k_s": hot - first(warmth, 2.0),
        }
    dense, dark = first((seconds, density), 0.05), first((seconds, density), 0.14)
    if fire.kind == "smouldering" and dark - dense > JUMP_S:
        return {"smoulder_od05_to_od14_s": dark - dense, "co_at_od14": at(dark, rise(CO))}
    return {}


def main() -> None:
    """Measure, print each figure beside the recorded range, then one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=512)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--real", type=Path, help="folder of published raw recordings")
    options = parser.parse_args()
    runs = [measure(options.scenarios, seed) for seed in options.seed]
    found = {name: [value for run in runs for value in run.get(name, [])] for name in runs[0]}
    known = {figure.name: figure for figure in FIGURES}
    print(f"{'figure':26}{'n':>6}{'5 %':>10}{'median':>10}{'95 %':>10}   recorded")
    recorded = measure_recorded(options.real / "nist_home_smoke_alarms") if options.real else {}
    for name, values in found.items():
        low, middle, high = np.percentile(values, [5, 50, 95])
        line = f"{name:26}{len(values):6}{low:10.3g}{middle:10.3g}{high:10.3g}"
        if len(runs) > 1:
            line += "   by seed " + ", ".join(f"{np.median(run[name]):.3g}" for run in runs)
        if seen := recorded.get(name):
            line += f"   {np.median(seen):.3g} ({min(seen):.3g} to {max(seen):.3g}), n {len(seen)}"
        if figure := known.get(name):
            inside = "in" if figure.low <= middle <= figure.high else "OUT"
            line += f"   {figure.low:g} to {figure.high:g} {figure.unit}, {figure.source}: {inside}"
        print(line)
    figures = {name: float(np.median(values)) for name, values in found.items()}
    print_last_line("against_recorded", figures, len(runs), "torch")


if __name__ == "__main__":
    main()
