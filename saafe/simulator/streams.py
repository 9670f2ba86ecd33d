"""Simulated recordings: what they hold, their windows, and their files."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from saafe.recordings import Recording
from saafe.sensors import CHANNEL_NAMES, FIRE, NUISANCE
from saafe.simulator import sources
from saafe.simulator.instruments import STEP_S
from saafe.simulator.limits import LIMITS, times_reached
from saafe.simulator.reference_alarms import REFERENCE_ALARMS, SENSITIVITIES
from saafe.simulator.sensor_faults import NONE, SENSOR_FAULTS
from saafe.windows import SEGMENTS


@dataclass
class Streams:
    """Simulated recordings of `n` spaces, every 10 s."""

    readings: Tensor  # NaN where missing. (n, time, sensor, channel)
    labels: Tensor  # NORMAL, NUISANCE, FIRE or UNKNOWN. int8 (n, time, sensor)
    fire: Tensor  # index into `sources.FIRES`, -1 for none. int64 (n,)
    nuisance: Tensor  # index into `sources.OTHERS`, -1 for none. int64 (n, 2)
    ignition_s: Tensor  # start of the fire on the stream's clock, inf for none. (n,)
    state: Tensor  # truth of the fire source. int8 (n, time)
    truth: Tensor  # true air at the sensors, before the instruments. (n, time, sensor, channel)
    optical_density: Tensor  # of all that floats in it [1/m]. (n, time, sensor)
    flaming: Tensor  # whether the fire flames; it smoulders otherwise. bool (n, time)
    acting: Tensor  # whether a nuisance acts. bool (n, time)
    # when each reference alarm beside it sounds at each of `SENSITIVITIES`, inf for never.
    # (n, sensor, sensitivity, alarm); without `alarms`, no sensor is in it
    alarms_at_s: Tensor
    # channels that show the fire, and the nuisances; see `labels.shows`.
    # bool (n, time, sensor, channel); without `alarms`, no sensor is in them
    fire_shown: Tensor
    nuisance_shown: Tensor
    # what harms people beside what sensors read: cyanide [ppm], oxygen [%], radiant heat [kW/m2].
    # (n, time, sensor, 3); without `alarms`, no sensor is in it
    exposure: Tensor
    reported: Tensor  # between reports `readings` holds the last one. bool (n, time, sensor)
    fresh: Tensor  # which readings a report holds. bool (n, time, sensor, channel)
    fault: Tensor  # what is broken, index into `SENSOR_FAULTS`. int64 (n, sensor)
    fault_channel: Tensor  # where. int64 (n, sensor)
    fault_s: Tensor  # from when, inf for no fault. (n, sensor)
    beside_fire: Tensor  # whether the sensor stands in the fire's room. bool (n, sensor)

    @property
    def alarms_s(self) -> Tensor:
        """When each reference alarm beside a sensor sounds, inf for never. (n, sensor, alarm)"""
        return self.alarms_at_s[:, :, SENSITIVITIES.index(1.0)]


def gather(readings: Tensor, stream: Tensor, end: Tensor, sensor: Tensor, start: Tensor) -> Tensor:
    """Windows of simulated streams, which lie on the grid already; as `windows.cut_windows`.

    Args:
        readings: (n, time, sensor, channel)
        stream: index of each window's scenario. (window,)
        end: its newest bin. (window,)
        sensor: its sensor. (window,)
        start: first bin that the window may know; what came before is NaN. (window,)

    Returns:
        (window, 60, 1, channel)
    """
    *wide, (newest, _) = SEGMENTS  # the newest bins stand alone
    before = torch.tensor(
        [newest + sum(c * w for c, w in wide[k + 1 :]) + width * j
         for k, (count, width) in enumerate(wide) for j in range(count, 0, -1)] + [newest],
        device=end.device,
    )  # fmt: skip
    first, stream, sensor = (
        start.clamp(min=0).unsqueeze(1),
        stream.unsqueeze(1),
        sensor.unsqueeze(1),
    )
    # a mean is the difference of two running sums
    edges = (end.unsqueeze(1) + 1 - before).maximum(first)  # (window, edge)
    blank = torch.isnan(readings)
    running = readings.masked_fill(blank, 0.0).double().cumsum(dim=1)
    counted = (~blank).cumsum(dim=1, dtype=torch.int32)
    ahead = (0, 0, 0, 0, 1, 0)
    total = F.pad(running, ahead)[stream, edges, sensor].diff(dim=1)
    number = F.pad(counted, ahead)[stream, edges, sensor].diff(dim=1)
    means = torch.where(number > 0, total / number, torch.nan).to(readings.dtype)
    index = end.unsqueeze(1) + 1 - newest + torch.arange(newest, device=end.device)
    latest = readings[stream, index.clamp(min=0), sensor]
    latest = latest.masked_fill((index < first).unsqueeze(-1), torch.nan)
    return torch.cat([means, latest], dim=1).unsqueeze(2)


def to_recordings(streams: Streams, *, first: int = 0) -> list[Recording]:
    """The streams as recordings: rows only when a sensor reports, labels and sources beside.

    `first` is the number of the first, for the names.
    """
    readings = streams.readings.cpu().numpy().copy()
    labels = streams.labels.cpu().numpy()
    n, steps, sensors, _ = readings.shape
    readings[~streams.fresh.cpu().numpy()] = np.nan
    times_s = STEP_S * np.arange(steps)
    names = tuple(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[k] if sensors <= 26 else f"S{k}" for k in range(sensors)
    )
    fires, nuisances = streams.fire.tolist(), streams.nuisance.tolist()
    out = []
    for k in range(n):
        events = [sources.OTHERS[i].name for i in nuisances[k] if i >= 0]
        burning = (streams.state[k] == FIRE).cpu().numpy()
        fire = sources.FIRES[fires[k]].name if fires[k] >= 0 else ""
        other = "+".join(events)
        nuisance = (labels[k] == NUISANCE).any(axis=1)
        source = tuple(
            fire if b else (other if v else "") for b, v in zip(burning, nuisance, strict=True)
        )
        name = f"simulated-{first + k:05d}"
        out.append(Recording(name, times_s, names, readings[k], labels[k], source, None))
    return out


def cooking_of(streams: Streams, k: int) -> list[list[float]] | None:
    """When somebody cooks in one scenario, [start, end]; None where something else acts too. [s]"""
    cooks = {sources.OTHERS[i].cooking for i in streams.nuisance[k].tolist() if i >= 0}
    if cooks != {True}:
        return None if cooks == {True, False} else []
    acts = streams.acting[k].cpu().numpy().astype(np.int8)
    edges = np.flatnonzero(np.diff(acts, prepend=0, append=0)).reshape(-1, 2)
    last = len(acts) - 1
    return [[STEP_S * start, STEP_S * min(end, last)] for start, end in edges.tolist()]


def describe_stream(streams: Streams, k: int) -> dict[str, Any]:
    """What was drawn for one scenario: sources, faults, and the limits that its air passes.

    `limits_s` says when each of `limits.LIMITS` is first passed at any sensor, if it is, and
    `reference_alarms_s` when the first alarm of each kind beside a sensor sounds, where it does.
    """
    fire = int(streams.fire[k])
    ignition = float(streams.ignition_s[k])
    sounding, exposure = [math.inf] * len(REFERENCE_ALARMS), None
    if streams.alarms_at_s.shape[1]:
        sounding = streams.alarms_s[k].amin(dim=0).tolist()
        exposure = streams.exposure[k : k + 1]
    truth, density = streams.truth[k : k + 1], streams.optical_density[k : k + 1]
    first = times_reached(truth, density, exposure)[0].amin(dim=0).tolist()
    passed = {limit.name: t for limit, t in zip(LIMITS, first, strict=True) if t < math.inf}
    kinds = streams.fault[k].tolist()
    return {
        "fire": sources.FIRES[fire].name if fire >= 0 else None,
        "ignition_s": round(ignition, 1) if fire >= 0 else None,
        "nuisances": [sources.OTHERS[i].name for i in streams.nuisance[k].tolist() if i >= 0],
        "cooking_s": cooking_of(streams, k),
        "limits_s": passed,
        "reference_alarms_s": {
            alarm.name: time
            for alarm, time in zip(REFERENCE_ALARMS, sounding, strict=True)
            if time < math.inf
        },
        "faults": [
            {
                "sensor": place,
                "fault": SENSOR_FAULTS[kind],
                "channel": CHANNEL_NAMES[int(streams.fault_channel[k, place])],
                "time_s": float(streams.fault_s[k, place]),
            }
            for place, kind in enumerate(kinds)
            if kind != NONE
        ],
    }
