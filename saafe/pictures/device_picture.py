"""A device: how it answers a step, and what it shows of a fire and of cooking beside the truth."""

import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from saafe.exam import plots
from saafe.pictures.curves import MARK
from saafe.pictures.saving import Picture
from saafe.sensors import CHANNEL_NAMES, CHANNELS, CO, CO2, HUMIDITY, PM25, SOUND, TEMPERATURE
from saafe.simulator import Mix, Streams, devices, emissions, simulation
from saafe.windows import BIN_S

# where each channel rests before the step, and what it steps to
CHANNEL_STEPS = {
    TEMPERATURE: (21.0, 41.0),
    PM25: (10.0, 500.0),
    CO2: (600.0, 2000.0),
    SOUND: (40.0, 85.0),
    CO: (0.0, 100.0),
    HUMIDITY: (45.0, 75.0),
}
UP_S, DOWN_S, STEP_LENGTH_S = 300.0, 1500.0, 3000.0
FIRE_NAME, COOKING_NAME = "flaming_foam", "frying"
STREAMS, STREAM_HOURS = 24, 1.5
VIEW_BEFORE_S, VIEW_AFTER_S = 300.0, 2400.0  # around an event
OUT_OF_VIEW = 4.0  # a truth that is so many times what is shown leaves the picture


def picture_of_device(device: str | Path | devices.Device, *, seed: int = 0) -> Picture:
    """Draw how a device answers a step, and what it shows of a simulated fire and of cooking.

    Args:
        device: a name of the catalogue, the path of a device file, or a Device.
        seed: of the unit that is drawn, the fire and the cooking.

    Raises:
        InputError: it is no device.
    """
    made = devices.load_device(device if isinstance(device, devices.Device) else str(device))
    own = [k for k, name in enumerate(CHANNEL_NAMES) if name in made.channels]
    events = [(FIRE_NAME, fire_mix_of(made)), (COOKING_NAME, cooking_mix_of(made))]
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(1.2 * plots.WIDTH, 1.3 * len(own) + 1.2), layout="constrained")
        places = figure.subplots(len(own), 3, sharex="col", squeeze=False)
        truth, shown = step_response(made, seed)
        minutes = np.arange(len(truth)) * BIN_S / 60.0
        for place, k in zip(places[:, 0], own, strict=True):
            draw_pair(place, minutes, truth[:, k], minutes, shown[:, k])
            name = CHANNELS[k].name.replace("pm25", "PM2.5").replace("co", "CO")
            place.set_ylabel(f"{name}\n{CHANNELS[k].unit}", rotation=0, ha="right", va="center")
        places[0, 0].set_title("a step (PM2.5: smoke of flames), no noise", fontsize=8)
        for column, (name, mix) in enumerate(events, start=1):
            streams = simulation.simulate_streams(
                STREAMS, generator=torch.Generator().manual_seed(seed), hours=STREAM_HOURS,
                sensors=1, mix=mix,
            )  # fmt: skip
            chosen = clearest(streams)
            for place, k in zip(places[:, column], own, strict=True):
                draw_event(place, streams, chosen, k)
            places[0, column].set_title(name.replace("_", " "), fontsize=9)
        for place in places[-1]:
            place.set_xlabel("time [min]")
        lines = places[0, 0].get_lines()
        figure.legend(lines[:2], ["truth", made.name], loc="outside upper right", ncols=2,
                      frameon=False)  # fmt: skip
        title = made.title if made.title.startswith(made.name) else f"{made.name}: {made.title}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    panels = tuple(
        f"{what}: {CHANNEL_NAMES[k]}" for k in own for what in ("step", FIRE_NAME, COOKING_NAME)
    )
    return Picture("device", title, panels, figure)


def fire_mix_of(made: devices.Device) -> Mix:
    """One fire a scenario and nothing else, through a device without faults."""
    return Mix(1.0, (FIRE_NAME,), (), (1.0, 0.0, 0.0), fault_share=0.0, device=made)


def cooking_mix_of(made: devices.Device) -> Mix:
    """One cooking a scenario and no fire, through a device without faults."""
    return Mix(0.0, (), (COOKING_NAME,), (0.0, 1.0, 0.0), fault_share=0.0, device=made)


def step_response(made: devices.Device, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A step up and down in every channel, and what a clean unit shows: each (time, channel).

    Noise and reports are left out: they stand in the pictures beside.
    """
    steps = round(STEP_LENGTH_S / BIN_S)
    times = torch.arange(steps) * BIN_S
    is_up = (times >= UP_S) & (times < DOWN_S)
    low, high = (
        torch.tensor([CHANNEL_STEPS[k][end] for k in range(len(CHANNELS))]) for end in (0, 1)
    )
    truth = torch.where(is_up[:, None], high, low)
    unit = devices.draw_device(made, 1, 1, torch.Generator().manual_seed(seed))
    air = torch.zeros(steps, 1, 1, emissions.CARRIED)
    smoke = emissions.Quantity.SOOT  # a particle meter sees the smoke of flames
    air[:, 0, 0, smoke] = 1e-3 * truth[:, PM25]
    shown = simulation.observe(truth.clone()[:, None, None, :], air, unit)
    return truth.numpy(), shown[:, 0, 0].numpy()


def clearest(streams: Streams) -> int:
    """Of the streams whose event begins in view, one near the median rise of its particles."""
    steps, smoke = round(VIEW_AFTER_S / BIN_S), streams.truth[:, :, 0, PM25]
    found = []
    for k in range(len(smoke)):
        begins = round(event_start(streams, k) / BIN_S)
        after = smoke[k, begins : begins + steps]
        in_view = VIEW_BEFORE_S <= begins * BIN_S <= STREAM_HOURS * 3600.0 - VIEW_AFTER_S
        found.append((in_view, float(after.max() - smoke[k, begins]), k))
    best = sorted(one for one in found if one[0] == max(found)[0])
    return best[len(best) // 2][2]


def draw_event(place: Axes, streams: Streams, chosen: int, k: int) -> None:
    """The truth of one channel and what was reported of it, around the event."""
    times = np.arange(streams.truth.shape[1]) * BIN_S
    begins = event_start(streams, chosen)
    part = (times >= begins - VIEW_BEFORE_S) & (times <= begins + VIEW_AFTER_S)
    minutes = (times - max(begins - VIEW_BEFORE_S, 0.0)) / 60.0
    truth = streams.truth[chosen, :, 0, k].numpy()
    fresh = streams.fresh[chosen, :, 0, k].numpy() & part
    shown = streams.readings[chosen, :, 0, k].numpy()
    draw_pair(place, minutes[part], truth[part], minutes[fresh], shown[fresh])
    if fresh.any() and truth[part].max() > OUT_OF_VIEW * shown[fresh].max():
        # else what is shown would lie flat below; the bottom stood at a margin of the truth's own
        place.set_ylim(min(0.0, shown[fresh].min()), 1.5 * shown[fresh].max())
    place.axvline(
        (begins - max(begins - VIEW_BEFORE_S, 0.0)) / 60.0, color=plots.FAINT, linewidth=0.8,
        label=MARK + "fire or cooking begins",
    )  # fmt: skip


def event_start(streams: Streams, chosen: int) -> float:
    """When a stream's fire or nuisance begins. [s]"""
    ignition = float(streams.ignition_s[chosen])
    if ignition < math.inf:
        return ignition
    acting = streams.acting[chosen].numpy()
    return float(np.argmax(acting) * BIN_S) if acting.any() else 0.0


def draw_pair(
    place: Axes, at: np.ndarray, truth: np.ndarray, shown_at: np.ndarray, shown: np.ndarray
) -> None:
    """The truth as a line, and what is shown as steps with a dot a report where they are few."""
    place.plot(at, truth, color=plots.FAINT, linewidth=1.6, label="truth")
    few = len(shown_at) < 60
    place.plot(shown_at, shown, color=plots.RISK, linewidth=0.9, drawstyle="steps-post",
               marker="." if few else None, label="shown")  # fmt: skip
    place.locator_params(axis="y", nbins=4)
