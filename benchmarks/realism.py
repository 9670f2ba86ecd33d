"""What gives the simulation away: a classifier between simulated and recorded streams.

    python benchmarks/realism.py --real DIR [--hours 600]

Quiet hours of recorded homes and the first minutes of recorded house fires, against simulated
ones on the same channels and at the same period. Recorded homes and fires are groups: the
classifier is always asked about a home, or a fire, of which it has seen nothing. An area under
the curve (ROC) of 0.5 means that it cannot tell. Needs scikit-learn.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from last_line import print_last_line
from sklearn.ensemble import HistGradientBoostingClassifier

from saafe import metrics
from saafe.exam.recorded_fires import fire_times, scored_part
from saafe.exam.references import first_signal, seeing_sensor
from saafe.readers import read_published
from saafe.sensors import CHANNEL_NAMES, CO, CO2, HUMIDITY, PM25, TEMPERATURE
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import StreamSettings, simulate_chunks

ROOT = Path(__file__).parents[1]
HOME_CHANNELS = (TEMPERATURE, PM25, CO2, CO, HUMIDITY)
FIRE_CHANNELS = (TEMPERATURE, PM25, CO2, CO)
SHAPES = ("level", "spread", "range", "minute", "repeats", "grain", "slope", "rough")
ROOM = ("level", "spread", "range", "slope")  # what the room decides more than the instrument
FIRE_S = 240.0


def shape_of(values: np.ndarray) -> list[float]:
    """What a stretch of one channel looks like, whatever it means; NaN where missing."""
    known = values[np.isfinite(values)]
    if len(known) < 0.8 * len(values) or len(known) < 10:
        return [np.nan] * len(SHAPES)
    steps = np.diff(known)
    moved = np.abs(steps[steps != 0.0])
    time = np.arange(len(known))
    slope = float(np.polyfit(time, known, 1)[0]) * len(known)
    swing = known - np.poly1d(np.polyfit(time, known, 3))(time)
    return [
        float(np.median(known)),
        float(known.std()),
        float(known.max() - known.min()),
        float(np.median(np.abs(steps))),
        float((steps == 0.0).mean()),
        float(moved.min()) if len(moved) else 0.0,
        slope,
        float(steps.std() / (swing.std() + 1e-6)),
    ]


def features(stretches: np.ndarray, channels: tuple[int, ...]) -> np.ndarray:
    """(stretch, channel x shape) of stretches (stretch, time, channel)."""
    rows = [[x for c in channels for x in shape_of(one[:, c])] for one in stretches]
    return np.array(rows)


def names_of(channels: tuple[int, ...]) -> list[str]:
    return [f"{CHANNEL_NAMES[c]} {shape}" for c in channels for shape in SHAPES]


def home_hours(folder: Path, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Quiet hours of recorded homes, minute by minute, and the home of each."""
    hours, homes = [], []
    random = np.random.default_rng(0)
    for number, home in enumerate(read_published("uhoo_homes", folder)):
        one = home.recording
        minute = np.round(one.times_s / 60.0).astype(int)
        grid = np.full((minute[-1] + 1, len(CHANNEL_NAMES)), np.nan)
        grid[minute] = one.readings[:, 0]
        busy = np.zeros(len(grid), dtype=bool)
        for start, end in home.stove:
            busy[max(0, int(start // 60) - 60) : int(end // 60) + 60] = True
        starts = np.arange(0, len(grid) - 60, 60)
        quiet = [s for s in starts if not busy[s : s + 60].any()]
        for s in random.permutation(quiet)[: most // 4]:
            hours.append(grid[s : s + 60])
            homes.append(number)
    return np.array(hours), np.array(homes)


def simulated_hours(most: int) -> tuple[np.ndarray, np.ndarray]:
    """Quiet simulated hours, minute by minute, and the scenario of each.

    Only instruments that report all that a recorded home has.
    """
    mix = Mix(fire_share=0.0, nuisance_counts=(1.0, 0.0, 0.0), fault_share=0.0)
    hours, groups = [], []
    generator = torch.Generator().manual_seed(0)
    seen = 0
    for streams in simulate_chunks(20_000, StreamSettings(3.0, 2, mix), generator):
        readings = streams.readings[:, 5::6].numpy()  # the reading that stands each minute
        whole = np.all(np.isfinite(readings[..., list(HOME_CHANNELS)]), axis=(1, 3))
        for k, sensor in zip(*np.nonzero(whole), strict=True):
            hours += [readings[k, at : at + 60, sensor] for at in (0, 60, 120)]
            groups += [seen + k] * 3
        seen += len(readings)
        if len(hours) >= most:
            break
    return np.array(hours[:most]), np.array(groups[:most])


def fire_stretches(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rises of recorded house fires for four minutes from the first signal, and the fire."""
    rows, groups = [], []
    fires = read_published("nist_home_smoke_alarms", folder)
    for number, fire in enumerate(f for f in fires if f.kind in ("flaming", "smouldering")):
        one = seeing_sensor(scored_part(fire), fire_times(fire)[0])
        signal_s = first_signal(one)
        if signal_s is None:
            continue
        every = signal_s + np.arange(0.0, FIRE_S, 10.0)
        row = np.full((len(every), len(CHANNEL_NAMES)), np.nan)
        for c in FIRE_CHANNELS:
            known = np.isfinite(one.readings[:, 0, c])
            if known.sum() > 5:
                values = one.readings[known, 0, c]
                row[:, c] = np.interp(every, one.times_s[known], values) - np.median(values[:5])
        rows.append(row)
        groups.append(number)
    return np.array(rows), np.array(groups)


def simulated_stretches(most: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of simulated fires' true air, smoke clipped where the recorded is."""
    mix = Mix(fire_share=1.0, nuisance_counts=(1.0, 0.0, 0.0))
    rows, steps = [], int(FIRE_S / 10.0)
    generator = torch.Generator().manual_seed(1)
    for streams in simulate_chunks(
        4 * most, StreamSettings(2.25, 1, mix, labelled=False), generator
    ):
        truth = streams.truth[:, :, 0].numpy()
        begin = (streams.ignition_s / 10.0).long().tolist()
        for one, start in zip(truth, begin, strict=True):
            rise = one[start:] - one[start]
            rise[:, PM25] = rise[:, PM25].clip(max=1_000.0)
            shows = (rise[:, TEMPERATURE] > 2.0) | (rise[:, PM25] > 300.0) | (rise[:, CO2] > 150.0)
            first = int(shows.argmax())
            if shows.any() and first + steps <= len(rise):
                rows.append(rise[first : first + steps])
        if len(rows) >= most:
            break
    return np.array(rows[:most]), np.arange(min(most, len(rows)))


def tell_apart(
    recorded: np.ndarray, groups: np.ndarray, simulated: np.ndarray, theirs: np.ndarray
) -> list[float]:
    """Area under the curve on each recorded group left out, with its share of the simulated."""
    areas = []
    folds = np.unique(groups)
    for fold, group in enumerate(folds):
        out, away = groups == group, theirs % len(folds) == fold
        x = np.concatenate([recorded[~out], simulated[~away]])
        y = np.concatenate([np.ones((~out).sum()), np.zeros((~away).sum())])
        weight = np.where(y == 1, 1.0 / y.mean(), 1.0 / (1.0 - y.mean()))
        model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
        model.fit(x, y, sample_weight=weight)
        asked = np.concatenate([recorded[out], simulated[away]])
        truth = np.concatenate([np.ones(out.sum()), np.zeros(away.sum())])
        areas.append(metrics.roc_auc(truth == 1, model.predict_proba(asked)[:, 1]))
    return areas


def tell_tales(recorded: np.ndarray, simulated: np.ndarray, names: list[str]) -> list[tuple]:
    """Single features that tell most, with both medians; area under the curve or its mirror."""
    found = []
    for k, name in enumerate(names):
        a, b = (x[:, k][np.isfinite(x[:, k])] for x in (recorded, simulated))
        if len(a) < 5 or len(b) < 5:
            continue
        truth = np.concatenate([np.ones(len(a)), np.zeros(len(b))]) == 1
        area = metrics.roc_auc(truth, np.concatenate([a, b]))
        found.append((max(area, 1.0 - area), name, float(np.median(a)), float(np.median(b))))
    return sorted(found, reverse=True)


def compare(what: str, recorded: tuple, simulated: tuple, channels: tuple[int, ...]) -> dict:
    """Print and return how well the two are told apart, and by what."""
    ours, theirs = (features(part[0], channels) for part in (recorded, simulated))
    areas = tell_apart(ours, recorded[1], theirs, simulated[1])
    # grain, noise and repeats are the instrument's: one kind was recorded, many are simulated
    slow = [k for k in range(ours.shape[1]) if SHAPES[k % len(SHAPES)] in ROOM]
    rooms = tell_apart(ours[:, slow], recorded[1], theirs[:, slow], simulated[1])
    tales = tell_tales(ours, theirs, names_of(channels))
    low, high = min(areas), max(areas)
    print(f"\n{what}: {len(ours)} recorded ({len(areas)} groups), {len(theirs)} simulated")
    print(f"area under the curve, group left out: {np.mean(areas):.3f} ({low:.3f}..{high:.3f})")
    low, high = min(rooms), max(rooms)
    print(f"by {', '.join(ROOM)} only: {np.mean(rooms):.3f} ({low:.3f}..{high:.3f})")
    print("| feature alone | area | recorded median | simulated median |\n|---|---|---|---|")
    for area, name, a, b in tales[:10]:
        print(f"| {name} | {area:.2f} | {a:.3g} | {b:.3g} |")
    return {"areas": areas, "areas_of_rooms": rooms, "tales": tales[:10]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--hours", type=int, default=600)
    chosen = parser.parse_args()
    homes = home_hours(chosen.real / "uhoo_homes", chosen.hours)
    figures = {
        "homes": compare("quiet homes", homes, simulated_hours(chosen.hours), HOME_CHANNELS),
        "fires": compare(
            "house fires",
            fire_stretches(chosen.real / "nist_home_smoke_alarms"),
            simulated_stretches(chosen.hours // 2),
            FIRE_CHANNELS,
        ),
    }
    print_last_line("realism", figures, 1, "torch")


if __name__ == "__main__":
    main()
