"""Fires found by fits of different recipes, at equal false alarms a year, on simulated streams.

    python benchmarks/fits.py --fit tiny --fit tiny,epochs=8 --fit ultra-fast --seeds 0,1,2
    python benchmarks/fits.py --fit tiny --rival "gradient boosting" --devices saafe-4
    python benchmarks/fits.py --fit tiny --ensembles    # tiny, and with boosting as one detector

What a change of a recipe buys, in minutes and with its spread: fits of one seed learn from the
same windows, and all are scored on the same streams, which are of other seeds than the exam's.
Fits run on one thread, one after the other; two processes with other --seeds use two cores.

- `in_time_N`: share of fires that are found in time with thresholds that N false alarms a year
  allow, in a dwelling that sees every nuisance as often as dwellings do. [%]
- `accuracy`: of single moments in three classes, a third each, kinds alike. [%]
- `fit_s`: CPU seconds of the fit's steps, without simulation and thresholds.

Progress goes to stderr; a row a fit, seed and device to stdout, then a table of means and the
standard deviation of seeds, and one line of JSON.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from last_line import print_last_line
from torch import Tensor

from saafe import recipes
from saafe.detector import AlarmSettings
from saafe.exam import quick
from saafe.exam.classes import third_each, window_at
from saafe.exam.fires import is_burning, sensed_limit
from saafe.exam.judging import Judged, likeliest_class
from saafe.exam.session import Session
from saafe.export.ensemble import Ensemble
from saafe.recipes import Recipe
from saafe.rivals import Boosting, registry
from saafe.simulator import Mix, Streams, devices, simulation, sources
from saafe.threads import Workers
from saafe.training import GuardedModel, RiskModel, World, data, loop, thresholds
from saafe.training.data import Purpose, WindowSet, seeded_generator

CPU = torch.device("cpu")
APART = 777  # streams that score are of seeds so far from those of fits
DENSE_PARTS, FIRES_EACH, MOMENTS_SEED = 24, 24, 992
PER_YEAR = (3, 10, 30, 100)
KEPT = ("readings", "fresh", "reported")  # what scoring reads of streams
BEGAN = time.monotonic()


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.monotonic() - BEGAN:6.0f} s: {text}", file=sys.stderr, flush=True)


def recipe_of(words: str) -> Recipe:
    """The recipe of TIER[,FIELD=VALUE...]."""
    tier, *changes = words.split(",")
    return recipes.changed(recipes.find_tier(tier), changes)


def windows_of(wanted: Sequence[Recipe], seed: int) -> tuple[WindowSet, WindowSet]:
    """New windows for as many epochs as the longest fit asks for, and those held out."""
    longest = replace(max(wanted, key=lambda recipe: recipe.new_epochs), seed=seed)
    blocks = data.blocks_of(longest) * longest.new_epochs
    made = [data.block_later(longest, k, CPU, World(), Workers(0))() for k in range(blocks)]
    return data.join_windows(made), data.held_out_windows(longest, CPU)


def fit(recipe: Recipe, whole: WindowSet, held_out: WindowSet) -> RiskModel:
    """As `loop.fit_detector` trains and calibrates, on windows that are there already."""
    one, size = loop.start_fit(recipe, CPU), recipe.windows
    for epoch in range(recipe.epochs):
        rows: slice | Tensor = slice(epoch * size, (epoch + 1) * size)
        if epoch >= recipe.new_epochs:
            rows = data.rows_shown_again(recipe, epoch, recipe.new_epochs * size, CPU)
        loop.train_on(one, recipe, whole.rows(rows), World())
        one.epoch += 1
    thresholds.calibrate(one.averaged, held_out)
    return one.averaged.eval()


def fit_rival(name: str, recipe: Recipe, whole: WindowSet, held_out: WindowSet) -> RiskModel:
    """A rival of docs/rivals.md, on as many of the windows as it takes."""
    rival = registry.RIVALS[name]
    model = rival.fit(recipe, whole.rows(slice(rival.most)), held_out)
    thresholds.calibrate(model, held_out)
    return model


def ensemble(model: RiskModel, trees: RiskModel, held_out: WindowSet) -> RiskModel:
    """A fit and gradient boosting as one, as `saafe export --to ensemble` makes it."""
    assert isinstance(model, GuardedModel)
    assert isinstance(trees, Boosting)
    both = Ensemble(model, trees)
    thresholds.calibrate(both, held_out)
    return both.eval()


def lean(streams: Streams) -> Streams:
    """Without what scoring does not read."""
    none = torch.empty(0)
    return replace(streams, **{name: none for name in vars(streams) if name not in KEPT})


def false_streams(seed: int, device: devices.Device) -> list[Streams]:
    """Streams with nuisances: whatever alarms there is false."""
    mix = replace(thresholds.DENSE_MIX, device=device)
    parts = (seeded_generator(seed, Purpose.DENSE, part, CPU) for part in range(DENSE_PARTS))
    return [
        lean(simulation.simulate_streams(thresholds.REFERENCE_STREAMS, generator=one, sensors=1,
                                         mix=mix))
        for one in parts
    ]  # fmt: skip


def fire_streams(seed: int, device: devices.Device) -> tuple[Streams, Tensor]:
    """Fires of every kind that reach a limit, and the first and last step in time. (fire, 2)"""
    parts, spans = [], []
    for kind, source in enumerate(sources.FIRES):
        generator = seeded_generator(seed, Purpose.EXAM, 900_000 + kind, CPU)
        mix = Mix(1.0, (source.name,), (), (1.0, 0.0, 0.0), fault_share=0.0, device=device)
        streams = simulation.simulate_streams(FIRES_EACH, generator=generator, sensors=1, mix=mix)
        times, rows = 10.0 * np.arange(streams.readings.shape[1]), []
        for k in range(FIRES_EACH):
            limit_s = sensed_limit(streams, k, times)
            if limit_s is None or limit_s > times[-1]:
                continue
            reported = streams.reported[k, :, 0].nonzero()[:, 0]
            period_s = 10.0 * float(reported.diff().float().median()) if len(reported) > 1 else 60.0
            last = min(int((limit_s + min(period_s, 60.0)) // 10), len(times) - 1)
            rows.append(k)
            spans.append((int(is_burning(streams, k).argmax()), last))
        parts.append([getattr(streams, name)[rows] for name in KEPT])
    joined = {name: torch.cat([part[k] for part in parts]) for k, name in enumerate(KEPT)}
    return replace(lean(streams), **joined), torch.tensor(spans)


def fire_peaks(model: RiskModel, streams: Streams, spans: Tensor) -> Tensor:
    """Highest log-odds that each tier holds while each fire is in time. (fire, tier)"""
    reported = streams.reported[:, :, 0]
    latest = torch.where(reported, torch.arange(reported.shape[1]), 0).cummax(dim=1).values
    out = torch.full((len(spans), len(thresholds.TIER_S)), -math.inf)
    for rows in torch.arange(len(spans)).split(64):
        first, last = spans[rows, :1], spans[rows, 1:]
        steps = first + torch.arange(int((last - first).max()) + 1)
        ends = latest[rows].gather(1, steps.minimum(last))
        odds = thresholds.score_ends(model, streams.readings[rows], ends)
        odds = odds.masked_fill((ends < first) | (steps > last), -math.inf)
        for tier, held_s in enumerate(thresholds.TIER_S):
            width = 1 + held_s // 10
            if odds.shape[1] >= width:
                out[rows, tier] = odds.unfold(1, width, 1).amin(dim=2).amax(dim=1)
    return out


def moments_of(device: devices.Device) -> tuple[Tensor, Tensor]:
    """Windows (moment, 60, 1, channel) and classes (moment,) as the quick exam draws them."""
    nobody = Judged("nobody", lambda windows: np.zeros(len(windows)), AlarmSettings())
    session = Session(nobody, MOMENTS_SEED, device=device)
    random = np.random.default_rng(MOMENTS_SEED)
    _, scenarios = quick.simulate_quick(session)
    chosen = third_each([one for one in scenarios if len(one.moments_s)], random)
    cut = [window_at(one.recording, float(random.choice(one.moments_s))) for one in chosen]
    return torch.from_numpy(np.concatenate(cut)), torch.tensor([one.label for one in chosen])


def scores(model: RiskModel, on: dict[str, Any]) -> dict[str, float]:
    """Figures of one model on one device."""
    peaks = torch.cat([thresholds.peak_odds(model, part) for part in on["false"]])
    years, fires = thresholds.dense_years(len(peaks)), fire_peaks(model, *on["fires"])
    found: dict[str, float] = {"fires": len(fires)}
    for per_year in PER_YEAR:
        enter = thresholds.share_alarms(peaks, per_year * years / len(peaks))
        in_time = (fires >= enter).any(dim=1).float().mean()
        found[f"in_time_{per_year}"] = round(100.0 * in_time.item(), 2)
    windows, truth = on["moments"]
    right = likeliest_class(thresholds.logits_of(model, windows)) == truth
    return found | {"accuracy": round(100.0 * right.float().mean().item(), 2)}


def table(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Print means and standard deviations of seeds; the means by name."""
    means: dict[str, float] = {}
    for device, name in dict.fromkeys((row["device"], row["fit"]) for row in rows):
        mine = [row for row in rows if (row["device"], row["fit"]) == (device, name)]
        cells = []
        for key in (*(f"in_time_{n}" for n in PER_YEAR), "accuracy", "fit_s"):
            values = [row[key] for row in mine]
            mean = statistics.mean(values)
            spread = f" +-{statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{key} {mean:.1f}{spread}")
            means[f"{device} {name} {key}"] = round(mean, 2)
        print(f"{device}, {name}: {', '.join(cells)}; {sum(r['fires'] for r in mine)} fires")
    return means


def main() -> None:
    """Fit, score, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", action="append", metavar="TIER[,FIELD=VALUE...]")
    parser.add_argument("--rival", action="append", metavar="NAME", default=[])
    parser.add_argument("--ensembles", action="store_true",
                        help="Also each fit and gradient boosting as one.")  # fmt: skip
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--devices", default="saafe-6,saafe-4,airgradient-one")
    parser.add_argument("--rows", type=Path, help="Rows of earlier calls, and where to add these.")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    wanted = {words: recipe_of(words) for words in chosen.fit or ["tiny", "ultra-fast"]}
    if chosen.ensembles and registry.BOOSTING not in chosen.rival:
        chosen.rival.append(registry.BOOSTING)
    registry.check_installed(chosen.rival)
    if len({(one.windows, one.streams, one.device_file) for one in wanted.values()}) > 1:
        parser.error("fits share windows: windows, streams and device_file must be alike")
    seeds = [int(seed) for seed in chosen.seeds.split(",")]
    rows: list[dict[str, Any]] = []
    if chosen.rows and chosen.rows.exists():
        rows = [json.loads(line) for line in chosen.rows.read_text().splitlines()]
    for seed in seeds:
        whole, held_out = windows_of(list(wanted.values()), seed)
        say(f"seed {seed}: {len(whole.labels):,} windows")
        models = {}
        for name in [*wanted, *chosen.rival]:
            begun = time.process_time()
            if name in wanted:
                model = fit(replace(wanted[name], seed=seed), whole, held_out)
            else:
                recipe = replace(next(iter(wanted.values())), seed=seed)
                model = fit_rival(name, recipe, whole, held_out)
            models[name] = model, round(time.process_time() - begun, 1)
            say(f"seed {seed}: fitted {name}")
        for name in list(wanted) if chosen.ensembles else ():
            (one, fit_s), (trees, trees_s) = models[name], models[registry.BOOSTING]
            both = ensemble(one, trees, held_out)
            models[f"{name} + {registry.BOOSTING}"] = both, round(fit_s + trees_s, 1)
        for device in map(devices.load_device, chosen.devices.split(",")):
            on = {
                "false": false_streams(APART + seed, device),
                "fires": fire_streams(APART + seed, device),
                "moments": moments_of(device),
            }
            for name, (model, fit_s) in models.items():
                row = {"fit": name, "seed": seed, "device": device.name, **scores(model, on)}
                rows.append(row | {"fit_s": fit_s})
                print(json.dumps(rows[-1]), flush=True)
                if chosen.rows:
                    with chosen.rows.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    print_last_line("fits", table(rows), runs=len(seeds))


if __name__ == "__main__":
    main()
