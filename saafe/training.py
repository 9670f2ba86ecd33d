"""One visible training loop, and what it needs: windows, calibration, thresholds. Layer 4."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saafe import simulation
from saafe.alarms import AlarmSettings
from saafe.model import FireTransformer
from saafe.recipes import Recipe
from saafe.sensors import FIRE, LABELS, NORMAL, NUISANCE
from saafe.simulation import Mix, Streams
from saafe.windows import SPAN

# seeds of the data sets: what trains never validates, calibrates or sets a threshold
TRAIN, HELD_OUT, QUIET, DENSE = range(4)
CLASS_SHARES = {NORMAL: 0.35, NUISANCE: 0.35, FIRE: 0.30}  # of the training windows
SHORT_SHARE = 0.4  # of windows know less than their full history, whatever their class
SHORTEST_BINS, HALF_SPAN = 2, SPAN // 2
# the exam's reference mix: risk is the probability of fire under it
REFERENCE_MIX = {NORMAL: 0.5, NUISANCE: 0.3, FIRE: 0.2}


@dataclass(frozen=True)
class WindowSet:
    """Windows with their labels.

    Attributes:
        windows: (window, 60, 1, 6), NaN where missing.
        labels: int64 (window,)
        group: scenario of each window, which never straddles a split. int64 (window,)
    """

    windows: Tensor
    labels: Tensor
    group: Tensor


def seeded(seed: int, purpose: int, part: int, device: torch.device) -> torch.Generator:
    """A generator of its own for one part of one data set."""
    generator = torch.Generator(device=device)
    generator.manual_seed(((seed * 8 + purpose) * 1_000_003 + part) % 2**63)
    return generator


def sample_windows(streams: Streams, count: int, generator: torch.Generator) -> WindowSet:
    """Draw labelled windows so that only the readings tell the classes apart.

    Every class gets the same mix of history lengths and of missing channels, else a model
    could read the class off them.

    Args:
        streams: simulated scenarios.
        count: windows.
        generator: source of randomness.

    Returns:
        The windows, classes mixed.
    """
    device = streams.readings.device
    lengths = torch.rand(count, generator=generator, device=device)
    short = int(SHORT_SHARE * count)
    log_length = math.log(SHORTEST_BINS) + lengths * math.log(HALF_SPAN / SHORTEST_BINS)
    length = log_length.exp().long()
    length[short:] = SPAN
    label = torch.empty(count, dtype=torch.int64, device=device)
    chosen = torch.empty(count, 3, dtype=torch.int64, device=device)
    for first, last, earliest in ((0, short, HALF_SPAN), (short, count, SPAN - 1)):
        label[first:last], chosen[first:last] = pick_windows(
            streams, last - first, earliest, generator
        )
    stream, end, sensor = chosen.unbind(1)
    windows = simulation.gather(streams.readings, stream, end, sensor, end - length + 1)
    return WindowSet(windows, label, stream)


def pick_windows(
    streams: Streams, count: int, earliest: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Labels (count,) and (stream, end, sensor) (count, 3) of windows that end late enough."""
    labels = streams.labels[:, earliest:]  # (n, time, sensor)
    present = ~torch.isnan(streams.readings).all(dim=1)  # (n, sensor, channel)
    bits = 2 ** torch.arange(present.shape[-1], device=labels.device)
    pattern = (present * bits).sum(dim=-1)  # (n, sensor)
    patterns = 2 ** present.shape[-1]
    everywhere = torch.bincount(pattern.flatten(), minlength=patterns).float()
    out_labels, out_places = [], []
    left = count
    for kind, share in CLASS_SHARES.items():
        places = (labels == kind).nonzero()
        number = left if kind == FIRE else round(share * count)
        left -= number
        which = pattern[places[:, 0], places[:, 2]]
        here = torch.bincount(which, minlength=patterns).float()
        weight = (everywhere / here.clamp(min=1.0))[which]
        if kind == FIRE:
            weight = weight * freshness(streams, places, earliest)
        # multinomial takes at most 2^24 categories; cumulative search takes any number
        total = weight.double().cumsum(0)
        at = torch.rand(number, generator=generator, device=labels.device, dtype=torch.float64)
        index = torch.searchsorted(total, at * total[-1]).clamp(max=len(places) - 1)
        out_places.append(places[index])
        out_labels.append(torch.full((number,), kind, device=labels.device))
    places = torch.cat(out_places)
    places[:, 1] += earliest
    order = torch.randperm(count, generator=generator, device=labels.device)
    return torch.cat(out_labels)[order], places[order]


def freshness(streams: Streams, places: Tensor, earliest: int) -> Tensor:
    """Weight of fire windows by how lately the fire became visible: early ones decide. (place,)"""
    is_fire = streams.labels == FIRE
    first = torch.where(
        is_fire.any(dim=1), is_fire.int().argmax(dim=1), streams.labels.shape[1]
    )  # (n, sensor)
    age = places[:, 1] + earliest - first[places[:, 0], places[:, 2]]
    return 1.0 / (3.0 + age.float()).sqrt()


def epoch_windows(recipe: Recipe, epoch: int, device: torch.device) -> WindowSet:
    """The training windows of an epoch: new ones, or the one fixed set."""
    part = epoch if recipe.fresh else 0
    generator = seeded(recipe.seed, TRAIN, part, device)
    streams = simulation.simulate(recipe.streams, generator=generator)
    return sample_windows(streams, recipe.windows, generator)


def held_out_windows(recipe: Recipe, device: torch.device) -> WindowSet:
    """Windows of scenarios that training never sees."""
    generator = seeded(recipe.seed, HELD_OUT, 0, device)
    streams = simulation.simulate(recipe.held_out, generator=generator)
    return sample_windows(streams, 12 * recipe.held_out, generator)
