"""How well `saafe devices fit` finds simulated devices again: those of the catalogue, and unseen.

Two days of ordinary life are simulated through each, written as a file would hold them, and
fitted. An unseen instrument is one of the simulator's "anything", which no catalogue describes.
`python benchmarks/fit_devices.py [--units N]` prints the errors, then one line of JSON.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from last_line import print_last_line

from saafe.recordings import Recording
from saafe.sensors import CHANNELS, TEMPERATURE
from saafe.simulator import Mix, devices, simulation, to_recordings
from saafe.simulator.devices.traces import FEWEST_VALUES
from saafe.simulator.instruments import Instruments

HOURS = 48.0
DEVICES = (  # of every kind: parts and products, periodic, averaged and on change
    "saafe-6", "plantower-pms5003", "sensirion-scd41", "aosong-dht22", "maxim-ds18b20",
    "airgradient-one", "purpleair-touch", "uhoo-indoor", "netatmo-indoor", "dyson-pure-cool",
    "ikea-vindstyrka", "sonoff-snzb-02b", "tuya-ts0201", "efekta-iaq",
)  # fmt: skip
WITHIN = 0.05  # of the true figure: what counts as right


@dataclass(frozen=True)
class Truth:
    """What an instrument truly is, on one channel."""

    step: float
    noise: float
    relative: float
    every_s: float
    longest_s: float
    delta: float  # 0: periodic
    clip: float
    lowest: float
    floor: float


def ordinary_days(device: str, units: int, seed: int) -> Iterator[tuple[Recording, list[Truth]]]:
    """Recordings without a fire, as their files hold them, and the truth of every channel."""
    mix = Mix(0.0, device=device, nuisance_counts=(0.0, 0.0, 1.0), balance=1.0, fault_share=0.0,
              analyser_share=0.0)  # fmt: skip
    plan = simulation.StreamSettings(HOURS, 1, mix, labelled=False)
    made = simulation.simulate_chunk(units, plan, torch.Generator().manual_seed(seed))
    world = simulation.draw_world(units, plan, torch.Generator().manual_seed(seed))
    decimals = [channel.decimals for channel in CHANNELS]
    for k, recording in enumerate(to_recordings(made)):
        readings = np.stack(
            [
                recording.readings[..., c].astype(np.float64).round(d)
                for c, d in enumerate(decimals)
            ],
            axis=-1,
        )
        kept = np.isfinite(readings).any(axis=(1, 2))
        written = replace(
            recording, times_s=recording.times_s[kept], readings=readings[kept], labels=None,
            sources=None,
        )  # fmt: skip
        yield written, [truth_of(world.devices, k, c) for c in range(len(CHANNELS))]


def truth_of(drawn: Instruments, k: int, channel: int) -> Truth:
    """The figures of one unit's channel."""
    at = (k, 0, channel)
    reports = drawn.reports
    every = 10.0 * float(drawn.hold_steps[k, 0]) if reports is None else float(reports.every_s[at])
    return Truth(
        step=float(drawn.resolution[at]),
        noise=float(drawn.noise[at]),
        relative=0.0 if channel == TEMPERATURE else float(drawn.relative_noise[at]),
        every_s=every,
        longest_s=every if reports is None else float(reports.longest_s[at]),
        delta=0.0 if reports is None else float(reports.delta[at]),
        clip=float(drawn.highest[at]),
        lowest=float(drawn.lowest[at]),
        floor=float(drawn.zero_below[at]),
    )


def errors(recording: Recording, truths: list[Truth]) -> Iterator[tuple[str, float]]:
    """(figure, error) of every channel: relative errors, or 1 for wrong and 0 for right."""
    try:
        fitted = devices.fit_device(recording)
    except ValueError:
        return
    for c, (channel, true) in enumerate(zip(CHANNELS, truths, strict=True)):
        values = recording.readings[:, 0, c]
        values = values[np.isfinite(values)]
        if channel.name not in fitted.channels:
            continue
        one = fitted.channels[channel.name]
        step = max(true.step, 10.0**-channel.decimals)  # a file holds no finer one
        said = " ".join(note for note in fitted.notes if note.startswith(f"{channel.name}: from"))
        is_rare = len(np.unique(values)) < FEWEST_VALUES
        if is_rare or "step and noise" in said:
            yield "step, not seen (claimed)", float(not is_rare or "step and noise" not in said)
        else:
            yield "step", abs(one.step / step - 1.0)
        mode = "on change" if true.delta else "periodic"
        yield "mode (wrong)", float(one.reporting.mode != mode)
        if mode == "periodic":
            if one.reporting.mode == mode:
                yield "period", abs(one.reporting.every_s / true.every_s - 1.0)
                level = float(np.median(values))
                noise = max(true.noise, true.relative * level)
                if noise > step / 2.0:
                    found = max(one.noise, one.relative_noise * level)
                    yield "noise at the median", abs(found / noise - 1.0)
        elif one.reporting.mode == mode:
            yield "delta", abs(one.reporting.delta / max(true.delta, step) - 1.0)
            yield "longest interval", abs(one.reporting.longest_s / true.longest_s - 1.0)
        at_top = int((values >= true.clip - 0.5 * step).sum())
        if at_top >= 10:
            yield "clip, reached (wrong)", float(abs(one.clip - true.clip) > step)
        elif at_top == 0:
            yield "clip, not reached (claimed)", float("clip (never" not in said)
        if (values <= true.lowest + 0.5 * step).sum() == 0:
            yield "lowest, not reached (claimed)", float("lowest reading (none" not in said)
        over = float((values > true.floor).mean())
        if true.floor > true.lowest + 5.0 * step and 0.05 < over < 0.95:
            yield "floor", abs(one.floor - true.floor) / true.floor


def summed(found: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Of each figure: how many, the median error, and the share that is right."""
    return {
        name: {
            "n": len(each),
            "median_error": float(np.median(each)),
            "right": float(np.mean(np.array(each) <= WITHIN)),
        }
        for name, each in sorted(found.items())
    }


def main() -> None:
    """Print a table for each kind of device, and the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=24, help="unseen instruments; 1 a device")
    parser.add_argument("--wrong", action="store_true", help="print every wrong figure")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", action="append", help="only these of the catalogue; --units 0")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, figures = time.perf_counter(), {}
    names = options.device or DEVICES
    sorts = {"catalogue": (names, 1), "unseen": ((devices.ANYTHING,), options.units)}
    for kind, (chosen, units) in sorts.items():
        found = defaultdict(list)
        if not units:
            continue
        for number, name in enumerate(chosen):
            for recording, truths in ordinary_days(name, units, options.seed + number):
                for figure, error in errors(recording, truths):
                    found[figure].append(error)
                    if error > WITHIN and options.wrong:
                        print(recording.name, name, figure, round(error, 3), flush=True)
        figures[kind] = summed(found)
        print(f"\n{kind}: {len(chosen) * units} devices, {HOURS:g} h each")
        print(f"{'figure':32s} {'n':>4s} {'median error':>13s} {'right':>6s}")
        for name, row in figures[kind].items():
            print(f"{name:32s} {row['n']:4d} {row['median_error']:12.1%} {row['right']:7.0%}")
    seconds = round(time.perf_counter() - began, 1)
    print_last_line("fit_devices", figures, 1, "torch", "numpy", seconds=seconds)


if __name__ == "__main__":
    main()
