"""Figures and tables of docs/simulator.md: what is simulated beside what was recorded.

    python docs/plot_simulator.py --real DIR [--scenarios 512]

DIR holds the publishers' raw recordings. Only statistics are drawn and printed, no recording.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from saafe.exam import references
from saafe.exam.recorded_fires import fire_times, scored_part
from saafe.readers import read_published
from saafe.readers.published import Published
from saafe.recordings.recording import Recording
from saafe.sensors import CO, CO2, NORMAL, PM25, TEMPERATURE
from saafe.simulator import sources
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import (
    SIMULATION_CHUNK,
    StreamSettings,
    draw_world,
    play,
    runs_needed,
)

mpl.use("Agg")
from matplotlib import pyplot as plt

IMAGES = Path(__file__).parent / "images"
IMAGES.mkdir(exist_ok=True)
CHANNELS = {TEMPERATURE: "temperature, K", PM25: "PM2.5, ug/m3", CO2: "CO2, ppm", CO: "CO, ppm"}
FLOOR = {TEMPERATURE: 1.0, PM25: 50.0, CO2: 50.0, CO: 5.0}  # under which curves are not compared
METER_END = 1_000.0  # recorded smoke is clipped here, so simulated smoke is too
HORIZON_S = {"flaming": 240.0, "smouldering": 2400.0}
HOURS = 2.25


@dataclass
class Rises:
    """Peaks above the start and growth, of one source. (scenario, 4) and (scenario,)"""

    peaks: np.ndarray
    growth_s: np.ndarray


@dataclass
class Event:
    """One simulated event as one sensor in its room, under the ceiling, is told of it.

    Attributes:
        name: of its source.
        rise: of true air over the moment before the start; from there on. (time, channel)
    """

    name: str
    rise: np.ndarray


def simulated(mix: Mix, n: int, seed: int) -> list[Event]:
    """Events that begin within their stream, at sensors under the ceiling of the same room."""
    generator, found = torch.Generator().manual_seed(seed), []
    slot, registry = (0, sources.FIRES) if mix.fire_share else (1, sources.OTHERS)
    for _ in range(0, n, SIMULATION_CHUNK):
        world = draw_world(SIMULATION_CHUNK, StreamSettings(HOURS, 2, mix), generator)
        truth = play(world, runs_needed(world.events, labelled=False)).truth.numpy()
        which = (world.events.fire if slot == 0 else world.events.nuisance[:, 0]).tolist()
        acting = world.events.state[slot][-world.steps :].numpy() != NORMAL
        here = world.building.sensor_zone == world.events.zone[:, slot : slot + 1]
        for k, sensor in (here & world.building.under_ceiling).nonzero().tolist():
            begin = int(acting[:, k].argmax())
            if begin > 0:
                name, course = registry[which[k]].name, truth[begin:, k, sensor]
                found.append(Event(name, course - truth[begin - 1, k, sensor]))
    return found


def growth_time(course: np.ndarray, step_s: float = 10.0) -> float:
    """From a tenth to nine tenths of the peak, of an even course. [s]"""
    peak = course.argmax()
    before = course[: peak + 1] / max(course[peak], 1e-9)
    tenth, most = np.argmax(before >= 0.1), np.argmax(before >= 0.9)
    return step_s * float(most - tenth)


def rises_by_source(events: list[Event], channel: int) -> dict[str, Rises]:
    """Peaks of each source, and its growth in one channel."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.name, []).append(event)
    return {
        name: Rises(
            np.array([e.rise[:, list(CHANNELS)].max(axis=0).clip(min=0.0) for e in part]),
            np.array([growth_time(e.rise[:, channel]) for e in part]),
        )
        for name, part in sorted(found.items())
    }


def recorded_rises(recordings: list[Recording]) -> Rises:
    """Peaks and growth in temperature of recorded fires over their first minute."""
    peaks, growth = [], []
    for one in recordings:
        rises = np.zeros((len(one.sensors), len(CHANNELS)))
        hottest = np.zeros(2)
        for sensor in range(len(one.sensors)):
            for k, channel in enumerate(CHANNELS):
                values = one.readings[:, sensor, channel]
                whole = np.isfinite(values)
                if whole.sum() < 10:
                    rises[sensor, k] = np.nan
                    continue
                times = one.times_s[whole]
                rise = values[whole] - np.median(values[whole][times <= times[0] + 60.0])
                rises[sensor, k] = rise.max()
                if channel == TEMPERATURE and rise.max() >= np.nanmax(rises[:, 0]):
                    hottest = np.interp(np.arange(times[0], times[-1], 10.0), times, rise)
        known = np.where(np.isnan(rises).all(axis=0), 0.0, np.nan_to_num(rises).max(axis=0))
        peaks.append(known)
        growth.append(growth_time(hottest))
    return Rises(np.array(peaks), np.array(growth))


def session_rises(home: Published) -> Rises:
    """Peaks of stove sessions over the quarter hour before them."""
    one, peaks, growth = home.recording, [], []
    readings = one.readings[:, 0][:, list(CHANNELS)]
    for start, end in home.stove:
        before = (one.times_s >= start - 900.0) & (one.times_s < start)
        during = (one.times_s >= start) & (one.times_s <= end + 1800.0)
        if before.sum() < 5 or during.sum() < 5:
            continue
        rise = np.nan_to_num(readings[during] - np.nanmedian(readings[before], axis=0))
        peaks.append(rise.max(axis=0).clip(min=0.0))
        growth.append(growth_time(rise[:, 1], 60.0))
    return Rises(np.array(peaks), np.array(growth))


def quantiles(values: np.ndarray) -> str:
    """Median and the 5 and 95 % quantiles."""
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.3g} ({low:.2g}..{high:.3g})"


def print_peaks(rows: dict[str, Rises]) -> None:
    """Print a Markdown table of peaks."""
    print("\n| source | n | dT, K | PM2.5, ug/m3 | CO2, ppm | CO, ppm | growth, s |")
    print("|---|---|---|---|---|---|---|")
    for name, rises in rows.items():
        cells = [quantiles(rises.peaks[:, k]) for k in range(len(CHANNELS))]
        print(f"| {name} | {len(rises.growth_s)} | {' | '.join(cells)} | ", end="")
        print(f"{quantiles(rises.growth_s)} |")


def draw_peaks(rows: dict[str, Rises], recorded: dict[str, Rises]) -> None:
    """Draw the peaks of all sources, simulated and recorded."""
    figure, axes = plt.subplots(1, 5, figsize=(16, 11), sharey=True)
    everything = rows | recorded
    titles = [*(f"peak {name}" for name in CHANNELS.values()), "growth, s (fires: dT, else PM2.5)"]
    for k, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        for y, (name, rises) in enumerate(everything.items()):
            values = rises.peaks[:, k] if k < len(CHANNELS) else rises.growth_s
            low, middle, high = np.quantile(values.clip(min=1e-1), [0.05, 0.5, 0.95])
            colour = "tab:red" if name in recorded else "tab:blue"
            axis.plot([low, high], [y, y], color=colour, lw=3, alpha=0.5)
            axis.plot(middle, y, "o", color=colour, ms=4)
        axis.set_xscale("log")
        axis.set_title(title, fontsize=9)
        axis.grid(alpha=0.3)
    axes[0].set_yticks(range(len(everything)), list(everything), fontsize=7)
    figure.suptitle("Rises at the sensor: median and 5 to 95 %; simulated blue, recorded red")
    figure.tight_layout()
    figure.savefig(IMAGES / "peaks.png", dpi=90)


def course_of(times_s: np.ndarray, readings: np.ndarray, signal_s: float, horizon_s: float):
    """Rises over the first minute, from the first signal on, every 10 s. (step, 4)"""
    every = signal_s + np.arange(0.0, horizon_s, 10.0)
    columns = []
    for channel in CHANNELS:
        values = readings[:, channel]
        whole = np.isfinite(values)
        if whole.sum() < 2:
            columns.append(np.full(len(every), np.nan))
            continue
        base = np.median(values[whole & (times_s <= times_s[whole][0] + 60.0)])
        course = np.interp(every, times_s[whole], values[whole] - base, right=np.nan)
        columns.append(course.clip(min=0.0, max=METER_END if channel == PM25 else None))
    return np.stack(columns, axis=1)


def simulated_courses(events: list[Event], horizon_s: float) -> np.ndarray:
    """As `course_of`, of every event that shows a signal long enough. (course, step, 4)"""
    rises = {TEMPERATURE: 2.0, PM25: 300.0, CO2: 150.0, CO: 25.0}
    out = []
    steps = int(horizon_s / 10.0)
    for event in events:
        shows = np.any([event.rise[:, c] >= limit for c, limit in rises.items()], axis=0)
        first = int(shows.argmax())
        if shows.any() and first + steps <= len(event.rise):
            course = event.rise[first : first + steps, list(CHANNELS)].clip(min=0.0)
            course[:, 1] = course[:, 1].clip(max=METER_END)
            out.append(course)
    return np.array(out)


def logs(courses: np.ndarray) -> np.ndarray:
    """Logarithms of courses above their floors."""
    return np.log10(courses + np.array([FLOOR[c] for c in CHANNELS]))


def draw_replicas(kind: str, recorded: list[np.ndarray], courses: np.ndarray) -> None:
    """Print each recorded fire's nearest simulated one, and draw the spread of both."""
    print(f"\n{kind}: {len(recorded)} recorded, {len(courses)} simulated courses")
    print("| fire | nearest: factor in dT | PM2.5 | CO2 | CO | inside 5 to 95 % of simulated |")
    print("|---|---|---|---|---|---|")
    band = np.nanquantile(logs(courses), [0.05, 0.95], axis=0)
    for number, course in enumerate(recorded):
        error = logs(courses) - logs(course)[None]
        nearest = np.nanmean(error**2, axis=(1, 2)).argmin()
        with np.errstate(invalid="ignore"):
            factors = 10.0 ** np.sqrt(
                np.array([mean_square(error[nearest][:, c]) for c in range(len(CHANNELS))])
            )
        known = np.isfinite(course)
        inside = (logs(course) >= band[0]) & (logs(course) <= band[1])
        cells = ["-" if math.isnan(f) else f"{f:.2f}" for f in factors]
        share = 100.0 * (inside & known).sum() / known.sum()
        print(f"| {kind} {number + 1} | {' | '.join(cells)} | {share:.0f} % |")
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.2))
    minutes = np.arange(courses.shape[1]) / 6.0
    for k, (axis, title) in enumerate(zip(axes, CHANNELS.values(), strict=True)):
        low, middle, high = np.nanquantile(courses[..., k], [0.05, 0.5, 0.95], axis=0)
        axis.fill_between(minutes, low, high, color="tab:blue", alpha=0.2)
        axis.plot(minutes, middle, color="tab:blue", label="simulated: median, 5 to 95 %")
        known = np.array([r[:, k] for r in recorded if np.isfinite(r[:, k]).any()])
        if len(known):
            few = np.isfinite(known).sum(axis=0) < 0.5 * len(known)  # most have ended
            part = known[:, ~few]
            least, centre, most = (
                np.append(q, np.full(few.sum(), np.nan))
                for q in np.nanquantile(part, [0.0, 0.5, 1.0], axis=0)
            )
            axis.plot(minutes, centre, color="tab:red", label="recorded: median, extremes")
            axis.plot(minutes, least, ":", color="tab:red")
            axis.plot(minutes, most, ":", color="tab:red")
        axis.set_yscale("symlog", linthresh=list(FLOOR.values())[k])
        axis.set_title(f"{kind}: rise of {title}", fontsize=9)
        axis.set_xlabel("minutes since the first signal", fontsize=8)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(IMAGES / f"replicas_{kind}.png", dpi=80)


def mean_square(values: np.ndarray) -> float:
    """Mean square of what is known, NaN for nothing."""
    known = values[np.isfinite(values)]
    return float((known**2).mean()) if len(known) else math.nan


def main() -> None:
    """Draw and print everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--scenarios", type=int, default=512)
    chosen = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    burning = simulated(Mix(fire_share=1.0, nuisance_counts=(1.0, 0.0, 0.0)), chosen.scenarios, 0)
    alone = Mix(fire_share=0.0, nuisance_counts=(0.0, 1.0, 0.0), balance=0.0)
    harmless = simulated(alone, chosen.scenarios, 1)
    rows = rises_by_source(burning, TEMPERATURE) | rises_by_source(harmless, PM25)
    house = list(read_published("nist_home_smoke_alarms", chosen.real / "nist_home_smoke_alarms"))
    recorded = {
        f"recorded, {kind}": recorded_rises([scored_part(f) for f in house if f.kind == kind])
        for kind in sorted({f.kind for f in house})
    }
    homes = [session_rises(h) for h in read_published("uhoo_homes", chosen.real / "uhoo_homes")]
    recorded["recorded, stove sessions"] = Rises(
        np.concatenate([h.peaks for h in homes]), np.concatenate([h.growth_s for h in homes])
    )
    print_peaks(rows | recorded)
    draw_peaks(rows, recorded)
    for kind, horizon_s in HORIZON_S.items():
        fires = []
        for fire in (f for f in house if f.kind == kind):
            seen = references.seeing_sensor(scored_part(fire), fire_times(fire)[0])
            signal_s = references.first_signal(seen)
            if signal_s is not None:
                fires.append(course_of(seen.times_s, seen.readings[:, 0], signal_s, horizon_s))
        names = [
            s.name for s in sources.FIRES if s.name.startswith("smoulder") == (kind != "flaming")
        ]
        mix = Mix(fire_share=1.0, nuisance_counts=(1.0, 0.0, 0.0), fires=tuple(names))
        draw_replicas(
            kind, fires, simulated_courses(simulated(mix, chosen.scenarios, 2), horizon_s)
        )


if __name__ == "__main__":
    main()
