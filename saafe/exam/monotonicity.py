"""More smoke, heat or CO must not lower the risk: random pairs of windows."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from saafe import metrics, windows
from saafe.exam.gate import RAMP_LIMIT, as_bounds
from saafe.exam.judging import Judged
from saafe.sensors import CHANNELS
from saafe.simulator import ANYTHING, Mix, Streams, devices, simulation
from saafe.training import Purpose, seeded_generator

PAIRS = 10_000
PER_STREAM = 20
PAIR_BATCH = 1000
RAMP_PART = 22  # of the judging seed
FALL_POINTS = 1.0  # a fall of the risk by more is counted
# Chosen: from what a first wisp adds to what a fire under the ceiling does
AMPLITUDES = {
    k: channel.visibility.ramp
    for k, channel in enumerate(CHANNELS)
    if channel.visibility is not None and channel.visibility.ramp is not None
}
SHORTEST_RAMP_S, LONGEST_RAMP_S = 60.0, 300.0
KNOWN_BINS = 30  # a channel can rise only if it was read in the last five minutes
SHOWN_BINS = 180  # half an hour of the worst pair is kept, to be drawn
RISKS = (0.0, 50.0, 90.0, 100.0)  # risk without the ramp: calm, doubtful, sure of a fire [%]


@dataclass(frozen=True)
class Pairs:
    """Histories, and the same histories with a ramp."""

    before: np.ndarray  # float32 (pair, 740, channel)
    after: np.ndarray  # the same with the ramp
    together: np.ndarray  # the same with ramps of all three channels, over the same time
    channel: np.ndarray  # that rises alone. int64 (pair,)
    amplitude: np.ndarray  # at the end of the ramp, in the channel's unit. (pair,)
    over_s: np.ndarray  # how long it rises. [s] (pair,)
    stream: np.ndarray  # scenario. int64 (pair,)


def examine_monotonicity(
    one: Judged, seed: int, *, device: str | devices.Device = ANYTHING, pairs: int = PAIRS
) -> dict[str, Any]:
    """Count the ramps of smoke, heat or CO that lower the risk, of so many random windows.

    The bounds of `share` take pairs as independent; `streams_fell` of `streams` says how they
    gather. `worst` is the pair whose risk fell most, with half an hour of its readings. A device
    without any of these channels has no pairs.
    """
    random = np.random.default_rng([seed, Purpose.JUDGE, RAMP_PART])
    generator = seeded_generator(seed, Purpose.JUDGE, RAMP_PART, torch.device("cpu"))
    scenarios = math.ceil(pairs / PER_STREAM)
    streams = simulation.simulate_streams(
        scenarios, generator=generator, sensors=1, mix=Mix(device=device)
    )
    places = draw_places(streams, pairs, random)
    none, nowhere = np.empty(0), np.empty(0, np.int64)
    before_all, falls, together, parts = [none], [none], [none], [(nowhere, nowhere)]
    worst: dict[str, Any] = {}
    for at in range(0, len(places), PAIR_BATCH):
        made = draw_pairs(streams, places[at : at + PAIR_BATCH], random)
        before, after, all_three = (
            one.score(windows.means(x)[:, :, None])
            for x in (made.before, made.after, made.together)
        )
        fall = before - after
        k = int(np.argmax(fall))
        if not worst or fall[k] > worst["fall_points"]:
            worst = describe_worst(made, k, float(before[k]), float(after[k]))
        before_all.append(before)
        falls.append(fall)
        together.append(before - all_three)
        parts.append((made.channel, made.stream))
    channel, stream = (np.concatenate(part) for part in zip(*parts, strict=True))
    risk = np.concatenate(before_all)
    found = sum_up(np.concatenate(falls), risk, channel, stream)
    fall_of_all = np.concatenate(together)
    of_all = count(fall_of_all) | {"by_risk": by_risk(fall_of_all, risk)}
    return found | {"together": of_all, "worst": worst}


def draw_places(streams: Streams, pairs: int, random: np.random.Generator) -> np.ndarray:
    """Stream and newest bin of random windows whose sensor speaks just then. int64 (pair, 2)

    No pair where none ever does.
    """
    readings = streams.readings[:, :, 0].numpy()
    lively = np.asarray((~np.isnan(readings[..., list(AMPLITUDES)])).any(axis=2))
    lively[:, :KNOWN_BINS] = False
    found = np.argwhere(lively)
    return found[random.choice(len(found), size=pairs)] if len(found) else found


def draw_pairs(streams: Streams, places: np.ndarray, random: np.random.Generator) -> Pairs:
    """Cut histories and add a ramp to each, as a sensor that holds its readings would show it."""
    stream, end = places.T
    index = end[:, None] - (windows.SPAN - 1) + np.arange(windows.SPAN)
    before = streams.readings[:, :, 0].numpy()[stream[:, None], np.maximum(index, 0)]
    before[index < 0] = np.nan
    channels = np.array(list(AMPLITUDES))
    known = ~np.isnan(before[:, -KNOWN_BINS:, channels]).all(axis=1)
    channel = channels[np.argmax(random.random(known.shape) * known, axis=1)]
    low, high = np.log([AMPLITUDES[c] for c in channel]).T
    amplitude = np.exp(random.uniform(low, high))
    over_s = random.uniform(SHORTEST_RAMP_S, LONGEST_RAMP_S, len(places))
    # between reports the last reading stands, so the ramp comes in steps
    steps = np.arange(streams.readings.shape[1])
    spoken = streams.reported[:, :, 0].numpy()
    latest = np.maximum.accumulate(np.where(spoken, steps, 0), axis=1)  # (n, time)
    reported = latest[stream[:, None], np.maximum(index, 0)]
    risen = 1.0 - windows.BIN_S * (end[:, None] - reported) / over_s[:, None]
    risen = np.clip(risen, 0.0, 1.0)
    after, together = before.copy(), before.copy()
    for rising, (least, most) in AMPLITUDES.items():
        alone = channel == rising
        ramp = amplitude[alone, None] * risen[alone]
        after[alone, :, rising] = raised(before[alone, :, rising], ramp, rising)
        ends = np.exp(random.uniform(math.log(least), math.log(most), len(places)))
        ramp = ends[:, None] * risen
        together[:, :, rising] = raised(before[:, :, rising], ramp, rising)
    return Pairs(before, after, together, channel, amplitude, over_s, stream)


def raised(readings: np.ndarray, ramp: np.ndarray, channel: int) -> np.ndarray:
    """Readings with a ramp added, no higher than any instrument of the channel goes."""
    return np.minimum(readings + ramp, CHANNELS[channel].highest).astype(np.float32)


def describe_worst(made: Pairs, k: int, before: float, after: float) -> dict[str, Any]:
    """One pair as plain values: its ramp, both risks, and the channel's last half hour."""
    channel = CHANNELS[made.channel[k]]
    shown = slice(-SHOWN_BINS, None)

    def plain(history: np.ndarray) -> list[float | None]:
        values = history[k, shown, made.channel[k]]
        return [None if np.isnan(value) else round(float(value), 3) for value in values]

    return {
        "channel": channel.name,
        "unit": channel.unit,
        "amplitude": float(made.amplitude[k]),
        "over_s": float(made.over_s[k]),
        "risk_before": before,
        "risk_after": after,
        "fall_points": before - after,
        "times_s": [windows.BIN_S * (i - SHOWN_BINS + 1) for i in range(SHOWN_BINS)],
        "before": plain(made.before),
        "after": plain(made.after),
    }


def count(falls: np.ndarray) -> dict[str, Any]:
    """How many risks fell by more than a point, with exact bounds. [points] (pair,)"""
    fell = int((falls > FALL_POINTS).sum())
    share = metrics.proportion_bounds(fell, len(falls))
    return {
        "pairs": len(falls),
        "fell": fell,
        "share": metrics.finite_or_none(share.value),
        "share_lower": share.lower,
        "share_upper": share.upper,
        "largest_fall_points": float(falls.max()) if len(falls) else None,
    }


def by_risk(falls: np.ndarray, risk: np.ndarray) -> list[dict[str, Any]]:
    """Counts by the risk without the ramp: a fall from calm is worse than one from certainty."""
    rows = []
    for low, high in pairwise(RISKS):
        chosen = (risk >= low) & ((risk < high) | (high == RISKS[-1]))
        rows.append({"risk_before": f"{low:.0f} to {high:.0f} %"} | count(falls[chosen]))
    return rows


def sum_up(
    falls: np.ndarray, risk: np.ndarray, channel: np.ndarray, stream: np.ndarray
) -> dict[str, Any]:
    """Counts and bounds over all pairs, by channel, and by the risk before. (pair,)"""
    everything = count(falls)
    seen = as_bounds(everything, "share", prefix="share_")
    # the bound decides: a share of one in 10,000 seen says less than it looks
    status = metrics.line_status(seen.value, seen.upper, RAMP_LIMIT)
    return everything | {
        "goal": RAMP_LIMIT,
        "status": status,
        "streams": len(np.unique(stream)),
        "streams_fell": len(np.unique(stream[falls > FALL_POINTS])),
        "rows": [{"ramp": CHANNELS[c].name} | count(falls[channel == c]) for c in AMPLITUDES],
        "by_risk": by_risk(falls, risk),
    }
