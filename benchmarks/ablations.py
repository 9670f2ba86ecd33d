"""What each part of the simulator buys: small models trained without it, scored with all of it.

    python benchmarks/ablations.py [--real DIR] [--tier tiny] [--seeds 3] [--only zones]

Only what is trained on changes; calibration, thresholds and scores see the whole simulator. Scored
are simulated streams in rooms of training's ranges and outside them; with `--real`, recordings in
their place. DIR holds the publishers' raw recordings (docs/recordings.md).
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from last_line import print_last_line
from torch import Tensor

from saafe import recipes
from saafe.detector.detector import Scorer
from saafe.detector.recorded import detect
from saafe.exam import judge_simulated, judging, recordings
from saafe.sensors import CO2, FIRE, NORMAL, NUISANCE, UNKNOWN
from saafe.simulator import buildings, sensor_faults, simulation
from saafe.simulator import instruments as instrument
from saafe.simulator.air import FINE_SHARES
from saafe.simulator.buildings import Layout
from saafe.simulator.devices import drawing
from saafe.simulator.instruments import Instruments
from saafe.simulator.labels import Counterfactuals
from saafe.simulator.scenarios import Mix
from saafe.training import data, loop
from saafe.training.runs import score_with

ROOT = Path(__file__).parents[1]
TRIALS = 96  # simulated fires, nuisances and quiet streams of each sort of rooms

# the originals, which replacements draw from
DRAW_INSTRUMENTS, LAY_OUT = instrument.draw_instruments, buildings.lay_out
DRAW_FAULTS = sensor_faults.draw_faults


def clean_instruments(
    n: int, sensors: int, generator: torch.Generator, **_shares: float
) -> Instruments:
    """Every sensor alike: all channels, quick, exact, a reading every 10 s, nothing lost."""
    drawn = DRAW_INSTRUMENTS(n, sensors, generator)
    nothing = ("offset", "relative_noise", "zero_below", "drift", "voc_as_co2", "voc_as_co")
    nothing += ("kappa", "self_heat", "late_chance", "lost_chance", "puff_chance")
    nothing += ("co_spike_chance", "gap_chance", "hold_phase")
    plain = {name: torch.zeros_like(getattr(drawn, name)) for name in nothing}
    resolution = torch.full_like(drawn.lag_s, 0.1)
    highest = torch.full_like(drawn.lag_s, 5e4)
    lowest = torch.zeros_like(drawn.lag_s)
    lowest[..., 0], lowest[..., CO2] = -40.0, 400.0
    return replace(
        drawn,
        lag_s=torch.full_like(drawn.lag_s, 10.0),
        gain=torch.ones_like(drawn.gain),
        noise=torch.full_like(drawn.noise, 0.1),
        resolution=resolution,
        lowest=lowest,
        highest=highest,
        present=torch.ones_like(drawn.present),
        unresponsive=torch.zeros_like(drawn.unresponsive),
        response=drawn.response.new_tensor(FINE_SHARES).expand_as(drawn.response),
        hold_steps=torch.ones_like(drawn.hold_steps),
        **plain,
    )


def whole_sensors(
    devices: Instruments, _share: float, steps: int, random: Any
) -> sensor_faults.Faults:
    """No sensor is broken."""
    return DRAW_FAULTS(devices, 0.0, steps, random)


def one_zone(needed: Tensor, generator: torch.Generator) -> Layout:
    """Buildings of a single room, with everything in it."""
    drawn = LAY_OUT(needed, generator)
    return replace(
        drawn, zones=torch.ones_like(drawn.zones), event_zone=torch.zeros_like(drawn.event_zone)
    )


def as_drawn(drawn: Instruments, _generator: torch.Generator) -> Instruments:
    """No sensors of the catalogue among those of any kind."""
    return drawn


def label_by_truth(
    _twins: Counterfactuals, states: Tensor, working: Tensor, _devices: Instruments
) -> Tensor:
    """Labels that ask what is true, not whether it shows."""
    nuisance = (states[1:] == NUISANCE).any(dim=0) | (states[0] == NUISANCE)
    labels = torch.where(nuisance, NUISANCE, NORMAL)
    labels = torch.where(states[0] == UNKNOWN, UNKNOWN, labels)
    labels = torch.where(states[0] == FIRE, FIRE, labels).to(torch.int8)
    return labels.unsqueeze(-1).repeat(1, 1, working.shape[2])


NUISANCES = "nuisances"  # of which the mix has none: fires and quiet life alone
# part -> what is put in another's place: module, name, replacement
PARTS: dict[str, list[tuple[Any, str, Callable]]] = {
    "nothing": [],
    NUISANCES: [],
    "sensor variety": [
        (drawing, "draw_instruments", clean_instruments),
        (drawing, "draw_general", as_drawn),
        (sensor_faults, "draw_faults", whole_sensors),
    ],
    "faults": [(sensor_faults, "draw_faults", whole_sensors)],
    "zones": [(simulation, "lay_out", one_zone)],
    "visibility labels": [(simulation, "label", label_by_truth)],
}


@contextmanager
def trained_without(part: str) -> Iterator[None]:
    """Leave a part out of the windows that are trained on."""
    whole = data.make_part

    def make(
        seed: int, purpose: data.Purpose, *rest: Any, mix: Mix | None = None, **options: Any
    ) -> data.WindowSet:
        if purpose != data.Purpose.TRAIN:
            return whole(seed, purpose, *rest, **options | ({"mix": mix} if mix else {}))
        if part == NUISANCES:
            mix = replace(mix or Mix(), nuisance_counts=(1.0, 0.0, 0.0))
        before = [(module, name, getattr(module, name)) for module, name, _ in PARTS[part]]
        for module, name, other in PARTS[part]:
            setattr(module, name, other)
        try:
            return whole(seed, purpose, *rest, mix=mix, **options)
        finally:
            for module, name, original in before:
                setattr(module, name, original)

    data.make_part = make
    try:
        yield
    finally:
        data.make_part = whole


def figures_of(recipe: recipes.Recipe, part: str, real: Path | None) -> dict[str, float]:
    """Train once without a part, and score on simulated streams or on recordings."""
    with trained_without(part):
        model, settings = loop.fit_detector(recipe)
    score = score_with(model)
    if real is None:
        return on_simulations(judging.Judged("transformer", score, settings), recipe.seed)
    scored = recordings.score_real(
        lambda recording: detect(Scorer(score, settings), recording),
        real,
        recordings.ScoringOptions(dense_days=0.0, elsewhere=False),
    )
    return {
        "in_time": scored["superposed_fires"]["in_time"],
        "with_hold": scored["superposed_fires"]["in_time_with_hold"],
        "clear": scored["margin"]["clear_of_homes"],
        "margin": scored["margin"]["value"],
        "house_in_time": scored["house_fires"]["in_time"],
        "home_alarms": scored["homes"]["alarms"],
    }


def on_simulations(one: judging.Judged, seed: int) -> dict[str, float]:
    """Fires in time, alarms in nuisances and in quiet life, of `TRIALS` each; area under ROC."""
    figures: dict[str, float] = {}
    for rooms, found in judge_simulated(one, seed=seed, trials=TRIALS).items():
        where = rooms.split()[0]
        figures |= {
            f"{where}_in_time": found["streams"].in_time,
            f"{where}_nuisance_alarms": found["streams"].alarms,
            f"{where}_quiet_alarms": found["quiet"].alarms,
            f"{where}_roc_auc": found["windows"]["roc_auc"],
        }
    return figures


def measure(
    recipe: recipes.Recipe, parts: list[str], seeds: int, real: Path | None
) -> dict[str, dict[str, list[float]]]:
    """Figures of every part left out, seed by seed."""
    found: dict[str, dict[str, list[float]]] = {part: {} for part in parts}
    begin, done, all_of_them = time.monotonic(), 0, seeds * len(parts)
    for seed in range(seeds):
        for part in parts:
            figures = figures_of(replace(recipe, seed=seed), part, real)
            for name, value in figures.items():
                found[part].setdefault(name, []).append(value)
            done += 1
            left = (time.monotonic() - begin) / done * (all_of_them - done)
            note = (
                f"{done} of {all_of_them}, {left / 60.0:.0f} min left: without {part}, seed {seed}"
            )
            print(note, {k: round(v, 2) for k, v in figures.items()}, file=sys.stderr)
    return found


def show(found: dict[str, dict[str, list[float]]]) -> None:
    """Print medians and extremes."""
    names = next(iter(found.values()))
    print(f"{'trained without':20}" + "".join(f"{name:>24}" for name in names))
    for part, figures in found.items():
        cells = []
        for values in figures.values():
            middle = statistics.median(values)
            cells.append(f"{middle:.2f} ({min(values):.2f}..{max(values):.2f})")
        print(f"{part:20}" + "".join(f"{cell:>24}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--tier", default="tiny", choices=sorted(recipes.TIERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(PARTS), default=[])
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # with more, streams are made in threads, which would share the swap
    recipe = recipes.changed(recipes.find_tier(chosen.tier), tuple(chosen.set))
    parts = ["nothing", *(p for p in chosen.only or PARTS if p != "nothing")]
    found = measure(recipe, parts, chosen.seeds, chosen.real)
    show(found)
    print_last_line("ablations", found, chosen.seeds, "torch", recipe=recipes.to_dict(recipe))


if __name__ == "__main__":
    main()
