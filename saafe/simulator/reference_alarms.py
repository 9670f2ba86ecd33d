"""Commercial alarms, simulated in the air that a sensor hangs in: one chamber, one table.

The same alarms serve simulated streams and recordings, every figure of every detector. The table
was committed before any model was trained on their streams, from sources and not from scores, and
is not changed afterwards for a score. What no source gives is marked assumed.

Mounting: an alarm hangs where the sensor does, in the same air, nothing lost on the way (assumed).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from saafe.sensors import HEAT_C, RISE_K_PER_MIN, RISE_SPAN_S
from saafe.simulator.aerosols import AEROSOLS
from saafe.simulator.instruments import STEP_S
from saafe.simulator.limits import first_time

# log-standard deviation of the sensitivity of a smoke alarm's units, assumed; callers draw it
UNIT_SPREAD = 0.2
SENSITIVITIES = (0.7, 1.0, 1.3)  # of smoke alarms, at which figures are shown
SLOWEST_AIR_M_S = 0.02  # the slowest that entry lags were measured in; slower air is taken for it
RESPONSE_TIME_INDEX = 33.0  # [(m s)^0.5] of a spot heat alarm, assumed; 5 to 50 from memory


@dataclass(frozen=True)
class ReferenceAlarm:
    """What one kind of alarm senses, and at what it sounds: at any of its levels, or a rise.

    Attributes:
        name: a word, also the key in results.
        senses: "smoke", the effective optical density in its chamber [1/m]; "heat", the
            temperature of its element [degC]; "co", the air's carbon monoxide [ppm].
        levels: each with how long it is reached or passed without a break [s].
        responses: of a smoke alarm to optical density, by `AEROSOLS`.
        rise: in RISE_SPAN_S.
    """

    name: str
    senses: Literal["smoke", "heat", "co"]
    levels: tuple[tuple[float, float], ...]
    responses: tuple[float, ...] = ()
    rise: float = math.inf


# Smoke: levels chosen, within the 0.5 to 4 %/ft that UL 217 allows; 2.1 %/ft and, the mean in
# flaming fires of NIST TN 1455, 1.26 %/ft. Heat: UL 521 and EN 54-5, class A1. Carbon monoxide:
# the latest times of EN 50291-1 (60 to 90 min, 10 to 40 min, within 3 min).
REFERENCE_ALARMS = (
    ReferenceAlarm("photo", "smoke", ((0.030, 0.0),), tuple(row.photo for row in AEROSOLS)),
    ReferenceAlarm(
        "ionisation", "smoke", ((0.018, 0.0),), tuple(row.ionisation for row in AEROSOLS)
    ),
    ReferenceAlarm("heat", "heat", ((HEAT_C, 0.0),), rise=RISE_K_PER_MIN * RISE_SPAN_S / 60.0),
    ReferenceAlarm("co", "co", ((50.0, 5400.0), (100.0, 2400.0), (300.0, 180.0))),
)


def sounding_times(
    density: Tensor,
    temperature: Tensor,
    co: Tensor,
    *,
    air_speed: Tensor,
    sensitivity: Tensor | float = 1.0,
) -> Tensor:
    """When each of `REFERENCE_ALARMS` first sounds, inf = never.

    To a step of 10 s, rather early than late: lags take each step's air for all of the step. Before
    the first step the air was as in it. NaN is air that nobody knows: no alarm sounds in
    it, and afterwards chamber and element start from the air that they meet.

    Args:
        density: optical density at the alarm, by aerosol, every 10 s. [1/m]
            (n, time, sensor, aerosol)
        temperature: of the air there. [degC] (n, time, sensor)
        co: carbon monoxide there. [ppm] (n, time, sensor)
        air_speed: of the air past the alarm. [m/s] (n, time, sensor) or (n, 1, sensor)
        sensitivity: of the smoke alarms' units, 1.3 sounds at 1 / 1.3 of the density; it is
            nothing to heat and CO. A number or (n, sensor, alarm).

    Returns:
        (n, sensor, alarm) [s]
    """
    return sounding_times_at(density, temperature, co, [sensitivity], air_speed=air_speed)[0]


def sounding_times_at(
    density: Tensor, temperature: Tensor, co: Tensor, sensitivities: Sequence[Tensor | float],
    *, air_speed: Tensor,
) -> Tensor:  # fmt: skip
    """`sounding_times` at several sensitivities of the smoke alarms' units.

    (sensitivity, n, sensor, alarm) [s]
    """
    n, _, sensors = temperature.shape
    element = heat_element(temperature, air_speed=air_speed)
    times = torch.empty(len(sensitivities), n, sensors, len(REFERENCE_ALARMS))
    times = times.to(density.device, density.dtype)
    for k, alarm in enumerate(REFERENCE_ALARMS):
        if alarm.senses == "smoke":
            outside = density @ density.new_tensor(alarm.responses)
            sensed = smoke_in_chamber(outside, air_speed=air_speed)
            for place, sensitivity in enumerate(sensitivities):
                factor = torch.as_tensor(sensitivity, dtype=density.dtype, device=density.device)
                unit = factor.expand(n, sensors, len(REFERENCE_ALARMS))[:, None, :, k]
                times[place, ..., k] = first_time(_sounds(alarm, sensed * unit))
        else:
            times[..., k] = first_time(_sounds(alarm, element if alarm.senses == "heat" else co))
    return times


def _sounds(alarm: ReferenceAlarm, sensed: Tensor) -> Tensor:
    """Whether an alarm's levels or its rise are reached. bool (n, time, sensor)"""
    sounds = rises(sensed, alarm.rise)
    for level, hold_s in alarm.levels:
        sounds |= held(sensed >= level, hold_s)
    return sounds


def draw_units(n: int, sensors: int, generator: torch.Generator) -> Tensor:
    """Sensitivities of the alarms' units, lognormal about 1. (n, sensor, alarm)"""
    shape = (n, sensors, len(REFERENCE_ALARMS))
    normal = torch.randn(shape, generator=generator, device=generator.device)
    return (UNIT_SPREAD * normal).exp()


def entry_lag(air_speed: Tensor) -> tuple[Tensor, Tensor]:
    """How long smoke takes into a smoke alarm: a dwell, then a time constant of mixing. [s]

    Args:
        air_speed: past the alarm, u. [m/s]

    Returns:
        1.8 / u and 1.0 u^-0.8.

    Source:
        T. Cleary, A. Chernovsky, W. Grosshandler and M. Anderson, "Particulate entry lag in
        spot-type smoke detectors," Fire Safety Science (IAFSS), vol. 6, pp. 779-790, 1999: their
        first photoelectric detector (abstract and presets of FDS read, the paper not).

    Valid:
        0.02 to 0.6 m/s, slower is taken for 0.02. It serves ionisation alarms as well; the two
        measured, 2.5 u^-0.7 and 1.8 u^-1.1, lie on either side of it at 0.1 m/s.
    """
    speed = air_speed.clamp(min=SLOWEST_AIR_M_S)
    return 1.8 / speed, speed**-0.8


def smoke_in_chamber(outside: Tensor, *, air_speed: Tensor) -> Tensor:
    """Smoke inside an alarm's chamber from that outside, any unit. (n, time, sensor)

    Between steps the air outside changes evenly.
    """
    dwell_s, mixing_s = entry_lag(air_speed.expand(outside.shape))
    steps = torch.arange(outside.shape[1], dtype=outside.dtype, device=outside.device)
    since = (steps[:, None] - dwell_s / STEP_S).clamp(min=0.0)
    before = since.floor().long()
    after = (before + 1).clamp(max=outside.shape[1] - 1)
    entered = outside.gather(1, before).lerp(outside.gather(1, after), since - before)
    return _followed(entered, mixing_s)


def heat_element(temperature: Tensor, *, air_speed: Tensor) -> Tensor:
    """Temperature of a heat alarm's element: dTd/dt = sqrt(u) / RTI (Tg - Td).

    Args:
        temperature: of the gas, Tg. [degC] (n, time, sensor)
        air_speed: u. [m/s] (n, time, sensor) or (n, 1, sensor)

    Returns:
        Td. [degC] (n, time, sensor)

    Source:
        G. Heskestad and R. G. Bill, "Quantification of thermal responsiveness of automatic
        sprinklers including conduction effects," Fire Safety Journal, vol. 14, pp. 113-125, 1988;
        without conduction (from memory, not checked).
    """
    speed = air_speed.clamp(min=SLOWEST_AIR_M_S).expand(temperature.shape)
    return _followed(temperature, RESPONSE_TIME_INDEX / speed.sqrt())


def rate_of_rise_times(temperature: Tensor, *, air_speed: Tensor) -> Tensor:
    """When the heat alarm would sound by its rate of rise alone, inf = never. [s] (n, sensor)"""
    (heat,) = (alarm for alarm in REFERENCE_ALARMS if alarm.senses == "heat")
    return first_time(rises(heat_element(temperature, air_speed=air_speed), heat.rise))


def rises(values: Tensor, by: float) -> Tensor:
    """Whether values stand so far over those of RISE_SPAN_S before. bool (n, time, sensor)"""
    steps = round(RISE_SPAN_S / STEP_S)
    past = torch.cat([values[:, :1].expand(-1, steps, -1), values], dim=1)
    return values - past[:, : values.shape[1]] >= by


def held(is_over: Tensor, hold_s: float) -> Tensor:
    """Whether it has been so for so long, at every step since. bool (n, time, sensor)"""
    steps = torch.arange(is_over.shape[1], device=is_over.device)[:, None]
    last_not = torch.where(is_over, -1, steps).cummax(dim=1).values
    return is_over & ((steps - last_not - 1) * STEP_S >= hold_s)


def _followed(values: Tensor, lag_s: Tensor) -> Tensor:
    """First-order response, y += (1 - exp(-dt / lag)) (x - y), settled in the first known value.

    (n, time, sensor), lag alike.
    """
    share = (1.0 - torch.exp(-STEP_S / lag_s)).transpose(0, 1).contiguous()
    out = values.transpose(0, 1).clone(memory_format=torch.contiguous_format)
    if out.device.type == "cpu" and out.dtype == torch.float32:
        from saafe.simulator import compiled  # numba takes a third of a second

        compiled.first_order(out.flatten(1).numpy(), share.flatten(1).numpy())
    else:
        first_order_in_torch(out, share)
    return out.transpose(0, 1)


def first_order_in_torch(values: Tensor, share: Tensor) -> None:
    """Let values follow themselves by a share of the way each step, in place. (time, ...)"""
    for k in range(1, len(values)):
        before = values[k - 1]
        values[k] = torch.where(before.isnan(), values[k], torch.lerp(before, values[k], share[k]))
