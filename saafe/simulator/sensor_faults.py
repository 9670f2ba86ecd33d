"""Sensor faults: stuck, dead, spikes, slow, swapped."""

from dataclasses import dataclass

import torch
from torch import Tensor

from saafe.sensors import CHANNELS, HUMIDITY, TEMPERATURE
from saafe.simulator.emissions import Random
from saafe.simulator.instruments import Instruments

SENSOR_FAULTS = ("none", "stuck", "dead", "spikes", "slow", "swapped")
NONE, STUCK, DEAD, SPIKES, SLOW, SWAPPED = range(len(SENSOR_FAULTS))
SLOWNESS = 20.0  # Chosen: a filter full of dust answers twenty times as slowly
SPIKE_CHANCE = 0.05  # Chosen: of a 10 s reading while the contact is loose
HIGHEST_SPIKE = torch.tensor([channel.instruments.highest_spike for channel in CHANNELS])


@dataclass(frozen=True)
class Faults:
    """What is broken in a batch: at most one channel of each sensor; int64 (n, sensor)."""

    kind: Tensor  # index into `SENSOR_FAULTS`
    channel: Tensor  # the one that is broken; SWAPPED exchanges temperature and humidity
    onset: Tensor  # step from which it is; 0 for SLOW and SWAPPED


def draw_faults(devices: Instruments, share: float, steps: int, random: torch.Generator) -> Faults:
    """Break a share of the sensors, each kind as often, anywhere in the streams' steps."""
    present = devices.present
    dice = Random((present.shape[0], present.shape[1]), random)
    kind = 1 + (dice.uniform(0.0, 1.0) * (len(SENSOR_FAULTS) - 1)).long()
    kind = torch.where(dice.chance(share), kind, NONE)
    channel = torch.multinomial(present.flatten(0, 1).float(), 1, generator=random)
    both = present[..., TEMPERATURE] & present[..., HUMIDITY]
    kind = torch.where((kind == SWAPPED) & ~both, STUCK, kind)
    from_start = (kind == SLOW) | (kind == SWAPPED)
    onset = torch.where(from_start, 0, (dice.uniform(0.0, 1.0) * steps).long())
    return Faults(kind, channel.view(kind.shape), onset)


def slowed(lag_s: Tensor, faults: Faults) -> Tensor:
    """Lags of the instruments with their faults. [s] (n, sensor, channel)"""
    broken = torch.nn.functional.one_hot(faults.channel, len(CHANNELS)).bool()
    return torch.where(broken & (faults.kind == SLOW).unsqueeze(-1), SLOWNESS * lag_s, lag_s)


def working(faults: Faults, steps: int) -> Tensor:
    """Whether a channel still tells the truth, if slowly. bool (time, n, sensor, channel)"""
    now = torch.arange(steps, device=faults.kind.device).view(-1, 1, 1, 1)
    broken = torch.nn.functional.one_hot(faults.channel, len(CHANNELS)).bool()
    silent = ((faults.kind == STUCK) | (faults.kind == DEAD)).unsqueeze(-1) & broken
    swapped = torch.zeros_like(broken)
    swapped[..., TEMPERATURE] = swapped[..., HUMIDITY] = faults.kind == SWAPPED
    return ~(swapped | (silent & (now >= faults.onset.unsqueeze(-1))))


def broken_readings(
    readings: Tensor, faults: Faults, devices: Instruments, generator: torch.Generator
) -> Tensor:
    """Readings of whole instruments as the faults leave them, in place and before holding.

    (time, n, sensor, channel)
    """
    now = torch.arange(len(readings), device=readings.device).unsqueeze(1)
    for kind in (STUCK, DEAD, SPIKES):
        row, sensor = (faults.kind == kind).nonzero(as_tuple=True)
        at = (row, sensor, faults.channel[row, sensor])
        whole = readings[:, *at]  # (time, fault)
        onset = faults.onset[row, sensor]
        lowest = devices.lowest[at]
        highest = torch.minimum(devices.highest[at], HIGHEST_SPIKE.to(whole.device)[at[2]])
        if kind == STUCK:
            broken = whole.gather(0, onset.unsqueeze(0)).expand_as(whole)
        elif kind == DEAD:
            broken = lowest.expand_as(whole)
        else:
            unit = torch.rand(2, *whole.shape, generator=generator, device=readings.device)
            broken = torch.where(
                unit[0] < SPIKE_CHANCE, lowest + unit[1] * (highest - lowest), whole
            )
        readings[:, *at] = torch.where(now >= onset, broken, whole)
    row, sensor = (faults.kind == SWAPPED).nonzero(as_tuple=True)
    pair = readings[:, row, sensor]
    pair[..., [TEMPERATURE, HUMIDITY]] = pair[..., [HUMIDITY, TEMPERATURE]]
    pair[..., HUMIDITY].clamp_(CHANNELS[HUMIDITY].lowest, CHANNELS[HUMIDITY].highest)
    readings[:, row, sensor] = pair
    return readings
