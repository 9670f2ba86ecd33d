"""The two devices of reference: one definite instrument each, healthy, with all its channels.

Their figures are fixed in docs/simulator.md; nothing trained sets them. What they are beside is
`instruments`, where a sensor may be anything.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, PM25, SOUND, TEMPERATURE
from saafe.simulator.emissions import Random
from saafe.simulator.instruments import Instruments, draw_instruments

ANYTHING = "anything"
DEVICES = {
    "saafe-6": tuple(range(len(CHANNELS))),
    "saafe-4": (TEMPERATURE, PM25, CO2, SOUND),
}
TO_90 = math.log(10.0)  # time constants in a 90 % response
# 63 % response of temperature 120 s; 90 % of PM2.5 10 s, CO2 120 s, CO 60 s; others assumed
LAG_S = {
    TEMPERATURE: 120.0, PM25: 10.0 / TO_90, CO2: 120.0 / TO_90, SOUND: 1.0, CO: 60.0 / TO_90,
    HUMIDITY: 60.0,
}  # fmt: skip
NOISE = {TEMPERATURE: 0.05, PM25: 1.0, CO2: 5.0, SOUND: 0.5, CO: 0.5, HUMIDITY: 0.2}
RELATIVE_NOISE = {PM25: 0.05}  # the larger of 1 ug/m3 and 5 %, taken as their sum
STEP = {TEMPERATURE: 0.1, PM25: 1.0, CO2: 1.0, SOUND: 0.1, CO: 1.0, HUMIDITY: 0.1}
OFFSET = {TEMPERATURE: 0.5, CO2: 50.0, HUMIDITY: 3.0}  # to either side
GAIN = {PM25: 0.2, CO2: 0.03}  # the same, about 1
FLOOR, CLIP = {SOUND: 33.0, CO2: 400.0}, {SOUND: 116.0, PM25: 1000.0, CO: 1000.0}
HYDROGEN_AS_CO = 0.2  # of its ppm; hydrogen is 12 ppm per mg/m3, a tenth of vapours (assumed)


def draw_device(name: str, n: int, sensors: int, generator: torch.Generator) -> Instruments:
    """Units of a device in `n` spaces of so many sensors each, on the generator's device."""
    drawn = draw_instruments(n, sensors, generator)
    dice = Random((n, sensors), generator)

    def each(values: dict[int, float], otherwise: float) -> Tensor:
        row = [values.get(channel, otherwise) for channel in range(len(CHANNELS))]
        return drawn.lag_s.new_tensor(row).expand_as(drawn.lag_s).clone()

    def about(middle: float, half: dict[int, float]) -> Tensor:
        columns = [dice.uniform(-half.get(k, 0.0), half.get(k, 0.0)) for k in range(len(CHANNELS))]
        return middle + torch.stack(columns, dim=-1)

    none = ("zero_below", "drift", "self_heat", "kappa", "voc_as_co2", "late_chance")
    none += ("lost_chance", "puff_chance", "co_spike_chance", "gap_chance", "hold_phase")
    return replace(
        drawn,
        lag_s=each(LAG_S, 60.0),
        gain=about(1.0, GAIN),
        offset=about(0.0, OFFSET),
        noise=each(NOISE, 0.0),
        relative_noise=each(RELATIVE_NOISE, 0.0),
        resolution=each(STEP, 0.1),
        lowest=each(FLOOR | {TEMPERATURE: -40.0}, 0.0),
        highest=each(CLIP | {TEMPERATURE: 125.0, HUMIDITY: 100.0}, 40_000.0),
        present=each(dict.fromkeys(DEVICES[name], 1.0), 0.0).bool(),
        unresponsive=torch.zeros_like(drawn.unresponsive),
        hold_steps=torch.ones_like(drawn.hold_steps),
        voc_as_co=torch.full_like(drawn.voc_as_co, 0.1 * 12.0 * HYDROGEN_AS_CO),
        **{field: torch.zeros_like(getattr(drawn, field)) for field in none},
    )
