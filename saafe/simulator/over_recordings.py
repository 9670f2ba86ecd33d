"""Simulated fires and nuisances over recorded backgrounds, many at once, as labelled streams.

What the events of a simulated space alone make a sensor show is added to what a background's
sensor did show: at its period, in its steps, up to its end. `onto_recording` writes the same as
recordings, one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from saafe.errors import InputError
from saafe.recordings import Recording
from saafe.sensors import CHANNEL_NAMES, CHANNELS, SOUND
from saafe.simulator import sensor_faults, simulation
from saafe.simulator.devices import device_names, fit_device, load_device
from saafe.simulator.labels import Counterfactuals, label, mark_young
from saafe.simulator.simulation import ScenarioDraw, StreamSettings
from saafe.simulator.streams import Streams
from saafe.windows import BIN_S, HOLD_S, SPAN, bin_of, to_grid

HEALTHY = "saafe-6"  # the instrument that shows what the events add, before the background's own


@dataclass(frozen=True)
class Background:
    """One sensor of a recording without a fire, on the detector's grid."""

    readings: Tensor  # held as a detector holds them, NaN where missing. (bin, channel)
    fresh: Tensor  # which readings came in the bin. bool (bin, channel)
    step: Tensor  # smallest step of each channel (channel,)
    highest: Tensor  # where each channel ends (channel,)

    @property
    def reported(self) -> Tensor:
        """Whether a reading came in the bin. bool (bin,)"""
        return self.fresh.any(dim=-1)


def backgrounds_of(recording: Recording, hold_s: float = HOLD_S) -> list[Background]:
    """The sensors of a recording as backgrounds, in parts where it is silent for long.

    `hold_s` is how long a detector holds a reading. [s]
    """
    found = []
    for index in range(len(recording.sensors)):
        readings = recording.readings[:, index]
        is_row = np.isfinite(readings).any(axis=1)
        times_s, readings = recording.times_s[is_row], readings[is_row]
        if not is_row.any():
            continue
        step, highest = own_range(recording, index)
        # a window sees no further, and a clock that was wrong for years would fill the memory
        cuts = np.flatnonzero(np.diff(times_s) > BIN_S * SPAN + hold_s) + 1
        for times, values in zip(np.split(times_s, cuts), np.split(readings, cuts), strict=True):
            grid, _, first = to_grid(times, values, hold_bins=int(hold_s / BIN_S))
            fresh = np.zeros(grid.shape, dtype=bool)
            np.logical_or.at(fresh, bin_of(times) - first, np.isfinite(values))
            found.append(Background(torch.from_numpy(grid), torch.from_numpy(fresh), step, highest))
    return found


def own_range(recording: Recording, sensor: int) -> tuple[Tensor, Tensor]:
    """Step and end of each channel of a sensor, as its readings show. Two of (channel,)

    A channel with too few readings to tell has the finest step and the widest range.
    """
    step = torch.zeros(len(CHANNELS))
    highest = torch.tensor([channel.highest for channel in CHANNELS])
    try:
        fitted = fit_device(recording, sensor=recording.sensors[sensor])
    except InputError:
        return step, highest
    for name, channel in fitted.channels.items():
        index = CHANNEL_NAMES.index(name)
        step[index] = channel.step
        # an end above all of the catalogue's is unknown: no event then shows more than was seen
        most = float(np.nanmax(recording.readings[:, sensor, index]))
        highest[index] = min(channel.clip, max(most, highest_clip(name)))
    return step, highest


@cache
def highest_clip(channel: str) -> float:
    """Where the catalogue's readings of a channel end at most."""
    rows = (load_device(name).channels.get(channel) for name in device_names())
    return max(row.clip for row in rows if row is not None)


@dataclass(frozen=True)
class EventsAlone:
    """What events alone add to what sensors show, and what is true of them; one sensor each."""

    calm: Tensor  # added by all but the fire (time, n, 1, channel)
    full: Tensor  # added by all (time, n, 1, channel)
    states: Tensor  # of the fire and the two nuisances. int8 (3, time, n)
    truth: dict[str, Tensor]  # the fields of `Streams` that no background changes
    first_alarm_s: Tensor | None  # of each scenario (n, 1), where young fires are told apart


def simulate_events(n: int, plan: StreamSettings, generator: torch.Generator) -> EventsAlone:
    """Simulate what happens in `n` spaces, at most a chunk of them, to be put over backgrounds.

    Of the plan hours, mix and rooms count; there is one sensor. The generator is on the CPU.
    """
    assert n <= simulation.SIMULATION_CHUNK, f"{n} events at once"
    mix = replace(plan.mix, device=HEALTHY, fault_share=0.0)
    world = simulation.draw_world(n, replace(plan, sensors=1, mix=mix), generator)
    played = simulation.play(world, simulation.runs_needed(world.events, labelled=True))
    shown = played.shown
    return EventsAlone(
        calm=shown.calm - shown.bare,
        full=shown.full - shown.bare,
        states=simulation.states_of(world),
        truth=_truth(world, played, plan.alarms),
        first_alarm_s=simulation.first_alarm_s(world, played) if plan.young else None,
    )


def simulate_over(
    backgrounds: Sequence[Background], events: EventsAlone, generator: torch.Generator
) -> Streams:
    """Put events over stretches of backgrounds: labelled streams of one sensor.

    Stretches are drawn evenly in time; one of a background shorter than the events begins with
    nothing known. Labels follow the simulator's rule, by what the events add to the readings;
    NORMAL is what no event of the simulation moves, whatever the background does there.

    Args:
        backgrounds: what the events are put on; at least one.
        events: of `simulate_events`.
        generator: of the stretches, on the CPU.
    """
    steps, n = events.full.shape[:2]
    chosen, bare, fresh = draw_stretches(backgrounds, n, steps, generator)
    step = torch.stack([backgrounds[k].step for k in chosen]).unsqueeze(1)  # (n, 1, channel)
    highest = torch.stack([backgrounds[k].highest for k in chosen]).unsqueeze(1)
    calm = with_events(bare, events.calm, fresh, step=step, highest=highest)
    full = with_events(bare, events.full, fresh, step=step, highest=highest)
    labels = label(Counterfactuals(full, calm, bare), events.states, torch.isfinite(bare))
    if events.first_alarm_s is not None:
        labels = mark_young(labels, events.first_alarm_s)
    return Streams(
        readings=full.transpose(0, 1).contiguous(),
        labels=labels.transpose(0, 1).contiguous(),
        reported=fresh.any(dim=-1).transpose(0, 1).contiguous(),
        fresh=fresh.transpose(0, 1),
        **events.truth,
    )


def _truth(world: ScenarioDraw, played: simulation.Played, alarms: bool) -> dict[str, Tensor]:
    """What is true of a world, whatever the background: the fields of `Streams`."""
    n, sensors = world.broken.kind.shape
    none = played.truth.new_empty(n, 0)
    return simulation.what_happened(world, played) | {
        "fire_shown": none.bool(),
        "nuisance_shown": none.bool(),
        "exposure": none,
        "alarms_at_s": simulation.alarms_beside(played, world.alarm_units) if alarms else none,
        "fault": torch.full_like(world.broken.kind, sensor_faults.NONE),
        "fault_channel": torch.zeros_like(world.broken.channel),
        "fault_s": torch.full((n, sensors), torch.inf),
    }


def draw_stretches(
    backgrounds: Sequence[Background], n: int, steps: int, generator: torch.Generator
) -> tuple[list[int], Tensor, Tensor]:
    """Stretches of so many steps: which background, readings, and which of them came then.

    The last two are (time, n, 1, channel), the last bool.
    """
    bins = torch.tensor([len(one.fresh) for one in backgrounds], dtype=torch.float64)
    chosen = torch.multinomial(bins, n, replacement=True, generator=generator).tolist()
    at = torch.rand(n, generator=generator, dtype=torch.float64).tolist()
    readings = torch.full((steps, n, 1, len(CHANNELS)), torch.nan)
    fresh = torch.zeros(readings.shape, dtype=torch.bool)
    for k, (which, share) in enumerate(zip(chosen, at, strict=True)):
        one = backgrounds[which]
        spare = len(one.fresh) - steps
        start = int(share * (spare + 1)) if spare > 0 else spare
        rows = slice(max(start, 0), start + steps)
        readings[max(-start, 0) :, k, 0] = one.readings[rows]
        fresh[max(-start, 0) :, k, 0] = one.fresh[rows]
    return chosen, readings, fresh


def with_events(
    bare: Tensor, added: Tensor, fresh: Tensor, *, step: Tensor, highest: Tensor
) -> Tensor:
    """A background with what events add, as its sensor would have shown it.

    Sound levels do not add, so sound stays the background's.

    Args:
        bare: the background. (time, n, 1, channel)
        added: what events make an instrument show beyond. (time, n, 1, channel)
        fresh: which readings came; between, the last one stands. bool (time, n, 1, channel)
        step: smallest step (n, 1, channel), 0 for none known.
        highest: where each channel ends (n, 1, channel).
    """
    index = torch.arange(len(bare)).view(-1, 1, 1, 1)
    last = torch.where(fresh, index, 0).cummax(dim=0).values
    held = added.gather(0, last)
    held[..., SOUND] = 0.0
    size = step.clamp(min=1e-3)
    held = (held / size).round() * size
    lowest = torch.tensor([channel.lowest for channel in CHANNELS])
    ended = torch.minimum(bare + held, torch.maximum(highest.expand(bare.shape), bare))
    return torch.maximum(ended, torch.minimum(lowest.expand(bare.shape), bare))
