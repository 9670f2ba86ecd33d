"""Simulated fires on backgrounds, declared as superposed fires.

The background is any recording without a fire, a simulated one too. What a simulated fire alone
adds to the air is added to its readings; the instrument stays the background's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saafe.errors import InputError
from saafe.recordings import (
    LEAD_S,
    LONGEST_GAP_S,
    QUIET_MOMENT,
    Home,
    Recording,
    Rise,
    add_rise,
    draw_moment,
    median_period,
    pm_cap,
)
from saafe.sensors import FIRE, NORMAL, SOUND
from saafe.simulator import scenarios, simulation, sources
from saafe.simulator.instruments import STEP_S
from saafe.simulator.labels import Counterfactuals, label
from saafe.simulator.scenarios import Events

DECLARED = "superposed: "  # a source that begins so is a fire put on a background


@dataclass(frozen=True)
class SimulatedFire:
    """A simulated fire, alone."""

    name: str  # of its source
    rise: Rise  # what it adds at the sensor, every 10 s from ignition on
    state: NDArray  # of the source at those times: FIRE while it burns. int8 (time,)


@dataclass(frozen=True)
class SimulatedSuperposition:
    """A simulated fire on a background."""

    recording: Recording  # three hours of the background, then the background with the fire's rise
    fire: str  # name of the fire's source
    fire_s: float  # ignition, from the first row. [s]
    start_s: float  # first row in the background, from the background's own first row. [s]
    visible_s: float | None  # first row labelled fire, from the first row; None for none. [s]


def superpose_simulated(
    background: Recording,
    n: int,
    *,
    seed: int,
    hours: float = 3.0,
    names: tuple[str, ...] = (),
    cap: float | None = None,
) -> Iterator[SimulatedSuperposition]:
    """Put `n` simulated fires on a background's first sensor, each at a moment of its own.

    Args:
        background: a recording without a fire.
        n: how many superposed fires.
        seed: of the fires and of the moments.
        hours: length of the simulated streams: a fire lasts from its ignition to there.
        names: fires to draw; none means all.
        cap: where the background's meter of PM2.5 ends; the most that it showed by default. [ug/m3]

    Raises:
        InputError: the background or the names do not fit; at once, before the first is made.
    """
    mix, home = fire_mix(names), prepare_background(background, hours)
    generator = torch.Generator().manual_seed(seed)

    def make(at: int) -> Iterator[SimulatedSuperposition]:
        fires = simulate_fires(min(simulation.SIMULATION_CHUNK, n - at), hours, mix, generator)
        for k, fire in enumerate(fires, start=at):
            yield superpose_one(
                fire, home, np.random.default_rng([seed, k]), name=f"superposed-{k:05d}", cap=cap
            )

    return (made for at in range(0, n, simulation.SIMULATION_CHUNK) for made in make(at))


def fire_mix(names: tuple[str, ...]) -> scenarios.Mix:
    """The mix that draws one fire a scenario and nothing else."""
    mix = scenarios.mix_of(names)
    if names and mix.nuisances:
        fires = ", ".join(source.name for source in sources.FIRES)
        raise InputError(f"--source {mix.nuisances[0]}: --onto takes fires only: {fires}")
    return replace(mix, fire_share=1.0, nuisance_counts=(1.0, 0.0, 0.0))


def prepare_background(background: Recording, hours: float) -> Home:
    """The background's first sensor, alone, where it has readings."""
    name = f"--onto {background.name}, sensor {background.sensors[0]}"
    if background.labels is not None and (background.labels == FIRE).any():
        raise InputError(f"{name}: holds rows labelled fire; give a recording without a fire")
    is_row = np.any(np.isfinite(background.readings[:, 0]), axis=1)
    needed_s = LEAD_S + 3600.0 * hours
    found_s = float(np.ptp(background.times_s[is_row])) if is_row.any() else 0.0
    if found_s <= needed_s:
        raise InputError(
            f"{name}: lasts {found_s / 3600:.1f} h; needed are more than {needed_s / 3600:g} h "
            f"(3 before a fire and {hours:g} for it: --set hours=H)"
        )
    home = Home(_first_sensor(background, is_row), ())
    length_s = 3600.0 * hours + median_period(home.recording)
    if draw_moment(home, length_s, QUIET_MOMENT, np.random.default_rng(0)) is None:
        raise InputError(
            f"{name}: has no {needed_s / 3600:g} h without a gap over {LONGEST_GAP_S:g} s; give "
            "another recording or fewer hours: --set hours=H"
        )
    return home


def _first_sensor(background: Recording, is_row: NDArray) -> Recording:
    found = background.sources
    return replace(
        background,
        times_s=background.times_s[is_row],
        sensors=background.sensors[:1],
        readings=background.readings[is_row, :1],
        labels=None if background.labels is None else background.labels[is_row, :1],
        sources=None if found is None else tuple(np.array(found, dtype=object)[is_row]),
        turns=None,
    )


def simulate_fires(
    n: int, hours: float, mix: scenarios.Mix, generator: torch.Generator
) -> list[SimulatedFire]:
    """Simulate at most a chunk of fires and keep of each what it alone adds to the air at a sensor.

    The same world runs twice, with its fire and without. Sound levels do not add, so there is no
    rise of sound.
    """
    world = simulation.draw_world(n, simulation.StreamSettings(hours, 1, mix), generator)
    rows = simulation.runs_needed(world.events, labelled=False)
    added = (
        simulation.play(world, rows).truth - simulation.play(world, replace(rows, burning=0)).truth
    )
    added[..., SOUND] = 0.0
    states = world.events.state[0][-world.steps :]
    return [_after_ignition(world.events, k, added[:, k, 0], states[:, k]) for k in range(n)]


def _after_ignition(events: Events, k: int, added: Tensor, state: Tensor) -> SimulatedFire:
    """One scenario's fire; `added` (time, channel) and `state` (time,) begin with the stream."""
    since = STEP_S * np.arange(len(added), dtype=np.float64) - float(events.ignition_s[k])
    burns = since >= 0.0
    rise = Rise(since[burns], added.numpy()[burns])
    return SimulatedFire(sources.FIRES[int(events.fire[k])].name, rise, state.numpy()[burns])


def superpose_one(
    fire: SimulatedFire,
    home: Home,
    drawn: np.random.Generator,
    *,
    name: str,
    cap: float | None = None,
) -> SimulatedSuperposition:
    """Put a fire on a prepared background at a drawn moment.

    Before ignition labels are the background's own, or normal where it has none. From then on
    they follow the simulator's rule, by what the fire adds to the readings.
    """
    background = home.recording
    length_s = float(fire.rise.times_s[-1]) + median_period(background)
    at_s = draw_moment(home, length_s, QUIET_MOMENT, drawn)
    assert at_s is not None, "prepare_background found room for a longer fire"
    part, fire_s = add_rise(background, fire.rise, at_s, cap=cap)
    first = int(np.searchsorted(background.times_s, at_s - LEAD_S))
    plain = background.readings[first : first + len(part.times_s)]
    labels = label_rows(fire, part, plain, fire_s)
    own = part.sources or ("",) * len(part.times_s)
    declared = tuple(
        DECLARED + fire.name if time >= fire_s else source
        for time, source in zip(part.times_s, own, strict=True)
    )
    burning = part.times_s[(labels == FIRE).any(axis=1)]
    recording = replace(part, name=name, labels=labels, sources=declared)
    visible_s = float(burning[0]) if burning.size else None
    return SimulatedSuperposition(recording, fire.name, fire_s, at_s - fire_s, visible_s)


def label_rows(fire: SimulatedFire, part: Recording, plain: NDArray, fire_s: float) -> NDArray:
    """Labels of a superposed fire that begins at `fire_s`, int8 `(time, 1)`.

    The labels of `part` are the background's; `plain` are its readings, (time, 1, channel).
    """
    index = np.searchsorted(fire.rise.times_s, part.times_s - fire_s, side="right") - 1
    state = np.where(index < 0, NORMAL, fire.state[np.maximum(index, 0)])
    states = torch.from_numpy(np.stack([state, *[np.full_like(state, NORMAL)] * 2])).unsqueeze(2)
    calm = torch.from_numpy(plain).unsqueeze(1)  # (time, n = 1, sensor = 1, channel)
    full = torch.from_numpy(part.readings).unsqueeze(1)
    found = label(Counterfactuals(full, calm, calm), states, torch.isfinite(calm))[:, 0].numpy()
    own = np.full_like(found, NORMAL) if part.labels is None else part.labels
    return np.where(found == NORMAL, own, found).astype(np.int8)


def describe_superposed(
    made: SimulatedSuperposition, background: Recording, cap: float | None = None
) -> dict:
    """What was put where, for `scenarios.json`; `cap` as of `superpose_simulated`."""
    cap = pm_cap(background) if cap is None else cap
    return {
        "fire": made.fire,
        "ignition_s": round(made.fire_s, 1),
        "visible_s": made.visible_s,
        "background": background.name,
        "background_s": round(made.start_s, 1),
        "sensor": background.sensors[0],
        "pm25_cap_ug_m3": round(cap, 1) if np.isfinite(cap) else None,
    }
