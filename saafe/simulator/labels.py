"""Labels by visibility: what is true, and shows in a channel that the sensor has."""

from dataclasses import dataclass

import torch
from torch import Tensor

from saafe.sensors import CHANNELS, FIRE, LABELS, NORMAL, NUISANCE, UNKNOWN
from saafe.simulator.instruments import Instruments, noise_sigma
from saafe.windows import BIN_S

YOUNG_FIRE = len(LABELS)  # the label of a fire for which no reference alarm would sound yet
SHOWN_SIGMAS, SHOWN_STEPS = 5.0, 2.0
VISIBLE = {k: row.visibility.event for k, row in enumerate(CHANNELS) if row.visibility}


@dataclass(frozen=True)
class Counterfactuals:
    """Clean readings of the same scenarios on the same instruments; (time, n, sensor, channel)."""

    full: Tensor  # with everything
    calm: Tensor  # without the fire
    bare: Tensor  # without any event


def visible(changed: Tensor, unchanged: Tensor, working: Tensor) -> Tensor:
    """Whether an event moved any channel that tells the truth. bool (time, n, sensor)"""
    seen = torch.zeros_like(changed[..., 0], dtype=torch.bool)
    for channel, threshold in VISIBLE.items():
        moved = (changed[..., channel] - unchanged[..., channel]).abs() > threshold
        seen |= moved & working[..., channel]
    return seen


def shows(changed: Tensor, unchanged: Tensor, devices: Instruments, working: Tensor) -> Tensor:
    """Which channels show an event, by the scoring rules. bool (time, n, sensor, channel)

    A reading shows it where it differs from the run without it by more than five sigma of the
    instrument's noise and two of its steps. Clean readings, (time, n, sensor, channel).
    """
    sigma = noise_sigma(unchanged, devices)
    least = torch.maximum(SHOWN_SIGMAS * sigma, SHOWN_STEPS * devices.resolution)
    return ((changed - unchanged).abs() > least) & working


def label(
    counterfactuals: Counterfactuals,
    states: Tensor,
    working: Tensor,
    devices: Instruments | None = None,
) -> Tensor:
    """Label every step of every sensor by what is true and visible there. int8 (time, n, sensor)

    A nuisance that acts is one as soon as a reading shows it by the scoring rules; what it leaves
    behind, and a fire, from the level on at which an event is visible.

    Args:
        counterfactuals: what the instruments show with and without the events.
        states: of the fire and the two nuisances. int8 (3, time, n)
        working: channels that a sensor has and that tell the truth.
            bool (time, n, sensor, channel)
        devices: what the readings come from; None where nobody knows, then what shows is left out.
    """
    nuisance_seen = visible(counterfactuals.calm, counterfactuals.bare, working)
    fire_seen = visible(counterfactuals.full, counterfactuals.calm, working)
    acting = (states[1:] == NUISANCE).any(dim=0).unsqueeze(-1)
    if devices is not None:
        shown = shows(counterfactuals.calm, counterfactuals.bare, devices, working).any(dim=-1)
        nuisance_seen |= acting & shown
    labels = torch.where(acting, UNKNOWN, NORMAL).expand(nuisance_seen.shape)
    labels = torch.where(nuisance_seen, NUISANCE, labels)
    hazard = (states[1:] == UNKNOWN).any(dim=0).unsqueeze(-1)  # neither a fire nor harmless
    labels = torch.where(hazard, UNKNOWN, labels)
    state = states[0].unsqueeze(-1)
    labels = torch.where(state == UNKNOWN, UNKNOWN, labels)
    labels = torch.where((state == NUISANCE) & fire_seen, NUISANCE, labels)
    labels = torch.where((state == FIRE) & fire_seen, FIRE, labels)
    hidden = ((state == FIRE) | (state == NUISANCE)) & ~fire_seen
    return torch.where(hidden & (labels == NORMAL), UNKNOWN, labels).to(torch.int8)


def mark_young(labels: Tensor, sounds_s: Tensor) -> Tensor:
    """Call fires `YOUNG_FIRE` until the first reference alarm beside the sensor would sound.

    Args:
        labels: of every step from 0 s on. int8 (time, n, sensor)
        sounds_s: when that is, inf for never. [s] (n, sensor)
    """
    time_s = BIN_S * torch.arange(len(labels), device=labels.device).view(-1, 1, 1)
    return labels.masked_fill((labels == FIRE) & (time_s < sounds_s), YOUNG_FIRE)
