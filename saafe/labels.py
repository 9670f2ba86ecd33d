"""Labels by visibility: what is true, and shows in a channel that the sensor has. Layer 3."""

import torch
from torch import Tensor

from saafe.events import Events
from saafe.instruments import Instruments
from saafe.sensors import CO, CO2, FIRE, NORMAL, NUISANCE, PM25, TEMPERATURE, UNKNOWN

# an event is visible where a channel departs by this much from the run without it; a fire must
# show more than a nuisance, or the first wisps teach that frying is a fire
FIRE_VISIBLE = {TEMPERATURE: 5.0, PM25: 100.0, CO2: 600.0, CO: 15.0}
NUISANCE_VISIBLE = {TEMPERATURE: 1.5, PM25: 40.0, CO2: 150.0, CO: 4.0}


def visible(
    changed: Tensor, unchanged: Tensor, present: Tensor, thresholds: dict[int, float]
) -> Tensor:
    """Whether an event moved any channel that the sensor has. bool (time, n, sensor)"""
    seen = torch.zeros(changed.shape[:-1], dtype=torch.bool, device=changed.device)
    for channel, threshold in thresholds.items():
        moved = (changed[..., channel] - unchanged[..., channel]).abs() > threshold
        seen |= moved & present[..., channel]
    return seen


def separate(clean: Tensor, n: int, fires: int, upset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Clean readings of every scenario in full, without its fire, and without any event.

    Args:
        clean: rows in full, without fire, without events. (time, row, sensor, channel)
        n: scenarios.
        fires: how many of the first scenarios have a fire.
        upset: scenarios with a nuisance. int64 (m,)

    Returns:
        Three of (time, n, sensor, channel).
    """
    full = clean[:, :n]
    calm = full.clone()
    calm[:, :fires] = clean[:, n : n + fires]
    bare = calm.clone()
    bare[:, upset] = clean[:, n + fires :]
    return full, calm, bare


def label(
    full: Tensor,
    calm: Tensor,
    bare: Tensor,
    events: Events,
    early: int,
    devices: Instruments,
) -> Tensor:
    """Label every step of every sensor by what is true and visible there.

    Args:
        full: clean readings with everything. (time, n, sensor, channel)
        calm: the same without the fire.
        bare: the same without any event.
        events: the events.
        early: steps of pre-roll to skip.
        devices: which channels are present.

    Returns:
        int8 (time, n, sensor)
    """
    nuisance_seen = visible(calm, bare, devices.present, NUISANCE_VISIBLE)
    fire_seen = visible(full, calm, devices.present, FIRE_VISIBLE)
    acting = (events.state[1][early:] == NUISANCE) | (events.state[2][early:] == NUISANCE)
    labels = torch.where(acting, UNKNOWN, NORMAL).unsqueeze(-1).expand(nuisance_seen.shape)
    labels = torch.where(nuisance_seen, NUISANCE, labels)
    state = events.state[0][early:].unsqueeze(-1)
    labels = torch.where(state == UNKNOWN, UNKNOWN, labels)
    labels = torch.where((state == NUISANCE) & fire_seen, NUISANCE, labels)
    labels = torch.where((state == FIRE) & fire_seen, FIRE, labels)
    hidden = ((state == FIRE) | (state == NUISANCE)) & ~fire_seen
    return torch.where(hidden & (labels == NORMAL), UNKNOWN, labels).to(torch.int8)
