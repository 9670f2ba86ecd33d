"""From what is true at a sensor to what it reports: lag, gain, clipping, noise, hold.

Ranges are wide on purpose: a detector meets instruments that nobody described to it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from saafe.sensors import (
    CHANNELS,
    CO,
    CO2,
    HUMIDITY,
    PM25,
    SOUND,
    TEMPERATURE,
    Range,
)
from saafe.simulator.aerosols import AEROSOLS
from saafe.simulator.emissions import Random
from saafe.windows import BIN_S, HOLD_S

STEP_S = BIN_S  # streams lie on the detector's grid


@dataclass(frozen=True)
class ChannelReports:
    """When the channels of known devices report; all but `held_steps` are (n, sensor, channel)."""

    every_s: Tensor  # the period; of a channel that reports on change the shortest interval
    longest_s: Tensor  # of a channel that reports on change the longest interval, else `every_s`
    delta: Tensor  # the change that is reported; 0 for channels that report at their period
    average_steps: Tensor  # over how many 10 s steps a reading is the mean. int64
    phase: Tensor  # at which share of its interval a stream begins
    held_steps: Tensor  # for how long a reading stands, as the detector is told. int64 (n, sensor)


@dataclass(frozen=True)
class Instruments:
    """Parameters of every sensor and channel of a batch.

    Those up to `unresponsive`, and `drift`, are (n, sensor, channel), the others (n, sensor).
    """

    lag_s: Tensor  # first-order time constant
    gain: Tensor  # factor on the truth's departure from the channel's zero
    offset: Tensor  # added
    noise: Tensor  # standard deviation of one 10 s reading, and the least; see `noise_sigma`
    relative_noise: Tensor  # the same as a share of the reading
    resolution: Tensor  # smallest step
    lowest: Tensor  # where readings clip
    highest: Tensor  # where readings clip
    zero_below: Tensor  # readings under it are lost and show `lowest`
    present: Tensor  # whether the channel exists. bool
    unresponsive: Tensor  # shows life but no event: elsewhere, behind a grille, a spent cell. bool
    response: Tensor  # what a particle meter shows of each aerosol's mass (n, sensor, aerosol)
    hold_steps: Tensor  # a new reading comes every so many 10 s steps. int64
    hold_phase: Tensor  # int64
    voc_as_co2: Tensor  # what a metal-oxide "eCO2" cell reports. [ppm per mg/m3]
    voc_as_co: Tensor  # cross-sensitivity of the CO cell. [ppm per mg/m3]
    hydrogen_as_co: Tensor  # the same to hydrogen, as a share of its volume
    kappa: Tensor  # hygroscopic growth that the particle sensor does not dry off
    drift: Tensor  # linear, over a day
    self_heat: Tensor  # how much its own electronics warm the sensor. [K]
    late_chance: Tensor  # that a report comes 10 s late
    lost_chance: Tensor  # that a report is lost on its way
    puff_chance: Tensor  # of a puff of dust or spray at the sensor itself, a step
    puff_s: Tensor  # time constant with which a puff fades. [s]
    co_spike_chance: Tensor  # of a lone wrong reading of carbon monoxide, a step
    gap_chance: Tensor  # that a sensor falls silent once, for minutes to an hour
    # None: all channels of a sensor report together, at `hold_steps`
    reports: ChannelReports | None = None


def draw_usual(dice: Random) -> list[Tensor]:
    """Lag, gain, offset, noise, relative noise, resolution, each (n, sensor, channel)."""

    def draw(limits: Range | float) -> Tensor:
        is_range = isinstance(limits, tuple)
        return dice.log_uniform(*limits) if is_range else dice.uniform(-limits, limits)

    names = ("lag_s", "gain", "offset", "noise", "relative_noise", "resolution")
    rows = [channel.instruments for channel in CHANNELS]
    return [torch.stack([draw(getattr(row, name)) for row in rows], dim=-1) for name in names]


def draw_range(dice: Random) -> tuple[Tensor, Tensor]:
    """Where readings clip: lowest and highest, each (n, sensor, channel)."""
    # these draw what is known: without them all later draws would move
    lowest = torch.stack([dice.uniform(c.lowest, c.lowest) for c in CHANNELS], dim=-1)
    highest = torch.stack([dice.uniform(c.highest, c.highest) for c in CHANNELS], dim=-1)
    lowest[..., CO2] = torch.where(dice.chance(0.5), 400.0, dice.uniform(300.0, 400.0))
    highest[..., CO2] = torch.where(
        dice.chance(0.5), dice.log_uniform(2_000, 10_000), dice.log_uniform(10_000, 200_000)
    )
    lowest[..., SOUND] = dice.uniform(20.0, 40.0)
    highest[..., SOUND] = dice.uniform(95.0, 130.0)
    lowest[..., PM25] = torch.where(dice.chance(0.5), dice.uniform(0.0, 5.0), 0.0)
    highest[..., PM25] = dice.log_uniform(120.0, 1_500.0)
    highest[..., PM25] = torch.where(dice.chance(0.1), 50_000.0, highest[..., PM25])
    highest[..., CO] = dice.log_uniform(100.0, 5_000.0)
    highest[..., TEMPERATURE] = torch.where(dice.chance(0.5), dice.uniform(60.0, 125.0), 1200.0)
    return lowest, highest


def draw_instruments(
    n: int, sensors: int, generator: torch.Generator, *, analyser_share: float = 0.0
) -> Instruments:
    """Draw `n` spaces of `sensors` instruments each, on the generator's device.

    A share of them are gas analysers at the foot of their range.
    """
    dice = Random((n, sensors), generator)
    lag, gain, offset, noise, relative, resolution = draw_usual(dice)
    lowest, highest = draw_range(dice)
    weak = dice.chance(0.15)  # worn or badly placed particle sensors
    gain[..., PM25] = torch.where(weak, dice.log_uniform(0.03, 0.3), gain[..., PM25])
    zero_below = torch.zeros_like(lag)
    zero_below[..., PM25] = torch.where(dice.chance(0.12), dice.log_uniform(5.0, 5_000.0), 0.0)
    zero_below[..., CO] = torch.where(dice.chance(0.4), dice.uniform(1.0, 30.0), 0.0)
    poor = dice.chance(analyser_share)
    noise[..., CO] = torch.where(poor, dice.log_uniform(3.0, 70.0), noise[..., CO])
    noise[..., CO2] = torch.where(poor, dice.log_uniform(25.0, 150.0), noise[..., CO2])
    coarse = dice.chance(0.05)
    resolution[..., CO2] = torch.where(coarse, dice.log_uniform(50.0, 1000.0), resolution[..., CO2])
    clean = dice.chance(0.4)  # filtered instruments report an exact zero of CO
    noise[..., CO] = torch.where(clean, 1e-3, noise[..., CO])
    offset[..., CO] = torch.where(clean, 0.0, offset[..., CO].abs())
    # self-calibration takes the week's lowest CO2 for fresh air: homes never aired read low
    calibrated = dice.chance(0.4)  # Chosen, as is the 120 ppm
    offset[..., CO2] -= torch.where(calibrated, dice.uniform(0.0, 120.0), 0.0)
    # Chosen: cells and fans lose 3 % a year and answer 5 % more slowly
    age_years = dice.uniform(0.0, 10.0)
    for channel in (PM25, CO):
        gain[..., channel] *= 0.97**age_years
        lag[..., channel] *= 1.0 + 0.05 * age_years
    present = torch.stack([dice.chance(c.instruments.present) for c in CHANNELS], dim=-1)
    # a sensor with nothing a fire moves is none: give it particles or temperature
    senses = present[..., PM25] | present[..., CO] | present[..., TEMPERATURE]
    present[..., PM25] |= ~senses
    unresponsive = torch.stack([dice.chance(c.instruments.unresponsive) for c in CHANNELS], dim=-1)
    slow = dice.chance(0.35)
    period = torch.where(slow, torch.full_like(lag[..., 0], 6.0), dice.uniform(1.0, 6.0).floor())
    period = torch.where(dice.chance(0.4), torch.ones_like(period), period)
    drift = torch.zeros_like(lag)
    drift[..., TEMPERATURE] = dice.uniform(-0.3, 0.3)
    drift[..., CO2] = dice.uniform(-30.0, 30.0)
    drift[..., HUMIDITY] = dice.uniform(-1.0, 1.0)
    return Instruments(
        lag_s=lag,
        gain=gain,
        offset=offset,
        noise=noise,
        relative_noise=relative,
        resolution=resolution,
        lowest=lowest,
        highest=highest,
        zero_below=zero_below,
        present=present,
        unresponsive=unresponsive,
        response=draw_response(dice),
        hold_steps=period.long(),
        hold_phase=(dice.uniform(0.0, 1.0) * period).long(),
        voc_as_co2=torch.where(dice.chance(0.18), dice.log_uniform(50.0, 5_000.0), 0.0),
        voc_as_co=torch.where(dice.chance(0.3), dice.log_uniform(0.002, 0.1), 0.0),
        hydrogen_as_co=dice.uniform(0.05, 0.6),  # of electrochemical cells: memory of sheets
        kappa=torch.where(dice.chance(0.5), dice.uniform(0.0, 0.25), 0.0),
        drift=drift,
        self_heat=torch.where(dice.chance(0.5), dice.uniform(0.0, 3.0), 0.0),
        late_chance=torch.where(dice.chance(0.3), dice.log_uniform(0.003, 0.2), 0.0),
        lost_chance=torch.where(dice.chance(0.3), dice.log_uniform(0.001, 0.05), 0.0),
        # a recorded home had 0.1 to 1.4 minutes a day over 120 ug/m3, most of them alone
        puff_chance=torch.where(dice.chance(0.35), dice.log_uniform(3e-5, 2e-3), 0.0),
        puff_s=dice.log_uniform(5.0, 150.0),
        co_spike_chance=torch.where(poor, dice.log_uniform(1e-3, 0.3), 0.0),
        gap_chance=torch.where(dice.chance(0.1), 1.0, 0.0),
    )


def draw_response(dice: Random) -> Tensor:
    """What a meter shows of aerosols' mass: a good half by the meter, the rest by the aerosol.

    (n, sensor, aerosol)
    """
    meter = dice.uniform(0.0, 1.0)
    return torch.stack(
        [
            share * low * (high / low) ** (0.6 * meter + 0.4 * dice.uniform(0.0, 1.0))
            for share, (low, high) in ((one.fine_share, one.meter) for one in AEROSOLS)
        ],
        dim=-1,
    )


def lagged(truth: Tensor, lag_s: Tensor) -> Tensor:
    """Follow the truth as a first-order instrument sampled every 10 s, in place.

    y += (1 - exp(-dt / lag)) (x - y), truth (time, n, sensor, channel), lag (n, sensor, channel).
    """
    share = 1.0 - torch.exp(-STEP_S / lag_s)
    for k in range(1, truth.shape[0]):
        torch.lerp(truth[k - 1], truth[k], share, out=truth[k])
    return truth


def averaged(truth: Tensor, steps: Tensor) -> Tensor:
    """The mean of so many latest steps, of fewer at the start. (time, n, sensor, channel)

    `steps` are int64 (n, sensor, channel).
    """
    index = torch.arange(len(truth), device=truth.device)
    for width in steps.unique().tolist():
        where = steps == width
        if width == 1 or not where.any():
            continue
        running = truth[:, where].double().cumsum(dim=0)  # (time, channels of this width)
        before = torch.cat([torch.zeros_like(running[:width]), running[:-width]])[: len(truth)]
        number = (index + 1).clamp(max=width).unsqueeze(1)
        truth[:, where] = ((running - before) / number).to(truth.dtype)
    return truth


def respond(lagged_truth: Tensor, instruments: Instruments, *, baseline: Tensor) -> Tensor:
    """What clean instruments would show: gain, offset, floor and clipping, no noise.

    Overwrites the lagged truth (time, n, sensor, channel); gain acts about the baseline (channel,).
    """
    out = lagged_truth.sub_(baseline).mul_(instruments.gain).add_(baseline)
    out.add_(instruments.offset)
    torch.where(out < instruments.zero_below, instruments.lowest, out, out=out)
    return out.clamp_(instruments.lowest, instruments.highest)


def noise_sigma(clean: Tensor, instruments: Instruments) -> Tensor:
    """Standard deviation of one 10 s reading: the larger of the noise and a share of the reading.

    So data sheets state it, such as +-10 ug/m3 or 10 %. No thermometer's grows with its reading.
    Of clean readings, in their units and shape. (time, n, sensor, channel)
    """
    relative = instruments.relative_noise.clone()
    relative[..., TEMPERATURE] = 0.0
    sigma = clean.abs().mul_(relative)
    return torch.maximum(sigma, instruments.noise, out=sigma)


def noisy(clean: Tensor, instruments: Instruments, generator: torch.Generator) -> Tensor:
    """A reading for every step, with noise, drift, spikes, floor, steps, clipping.

    `clean` is from `respond`. (time, n, sensor, channel)
    """
    steps, n, sensors, _ = clean.shape
    device = clean.device
    out = torch.randn(clean.shape, generator=generator, device=device)
    out.mul_(noise_sigma(clean, instruments)).add_(clean)
    days = (torch.arange(steps, device=device) * (STEP_S / 86_400.0)).view(-1, 1, 1, 1)
    out.addcmul_(days, instruments.drift)
    out[..., PM25] += puffs(steps, instruments, generator)
    unit, height = torch.rand(2, steps, n, sensors, generator=generator, device=device)
    out[..., CO] += (unit < instruments.co_spike_chance) * height * 250.0
    torch.where(out < instruments.zero_below, instruments.lowest, out, out=out)
    out.div_(instruments.resolution).round_().mul_(instruments.resolution)
    return out.clamp_(instruments.lowest, instruments.highest)


def puffs(steps: int, instruments: Instruments, generator: torch.Generator) -> Tensor:
    """What someone's duster, bedding or spray can adds at the sensor. [ug/m3] (time, n, sensor)"""
    shape = (steps, *instruments.puff_s.shape)
    device = instruments.puff_s.device
    unit, size = torch.rand(2, *shape, generator=generator, device=device)
    out = torch.zeros(shape, device=device)
    puffed = instruments.puff_chance > 0.0  # (n, sensor), the few that any is drawn for
    index = torch.arange(steps, device=device).view(-1, 1)
    begins = unit[:, puffed] < instruments.puff_chance[puffed]
    begun = torch.where(begins, index, -steps).cummax(dim=0).values
    # Chosen: to 1,500
    height = 10.0 * torch.exp(5.0 * size[:, puffed].gather(0, begun.clamp(min=0)))
    out[:, puffed] = height * torch.exp((begun - index) * STEP_S / instruments.puff_s[puffed])
    return out


def reports(steps: int, instruments: Instruments, generator: torch.Generator) -> Tensor:
    """At which steps a sensor reports: at its period, some late, some lost, not in its gap.

    bool (time, n, sensor)
    """
    shape = (steps, *instruments.hold_steps.shape)
    device = instruments.hold_steps.device
    index = torch.arange(steps, device=device).view(-1, 1, 1)
    due = (index - instruments.hold_phase) % instruments.hold_steps == 0
    unit = torch.rand(shape, generator=generator, device=device)
    late = due & (unit < instruments.late_chance)
    lost = due & (unit > 1.0 - instruments.lost_chance)
    due = due & ~late & ~lost
    due[1:] |= late[:-1]
    starts, length = torch.rand(2, *shape[1:], generator=generator, device=device)
    begins = starts * steps
    silent = (index >= begins) & (index < begins + 12.0 * torch.exp(3.6 * length))
    return due & ~(silent & (instruments.gap_chance > 0.5))


def report(
    readings: Tensor, instruments: Instruments, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """What reports show, held in between and NaN where a channel is missing, and what is fresh.

    Readings, and whether a report holds them, bool: two of (time, n, sensor, channel).
    """
    if instruments.reports is None:
        reported = reports(len(readings), instruments, generator)
        shown, fresh = hold_reports(readings, reported), reported.unsqueeze(-1)
    else:
        fresh = channel_reports(readings, instruments, generator)
        shown = hold_channels(readings, fresh, instruments.reports.held_steps)
    return shown.masked_fill_(~instruments.present, math.nan), fresh & instruments.present


def channel_reports(
    readings: Tensor, instruments: Instruments, generator: torch.Generator
) -> Tensor:
    """Which readings known devices report: at a channel's period, or on change.

    From readings and to bool (time, n, sensor, channel).
    """
    of = instruments.reports
    assert of is not None, "the instruments report by sensor"
    steps = len(readings)
    index = torch.arange(steps + 1, device=readings.device).view(-1, 1, 1, 1)
    periods = ((index * STEP_S + of.phase * of.every_s) / of.every_s + 1e-4).floor()
    due = periods[1:] > periods[:-1]
    if (of.delta > 0.0).any():
        due = torch.where(of.delta > 0.0, changes(readings, of), due)
    unit = torch.rand(readings.shape[:-1], generator=generator, device=readings.device)
    return due & (unit >= instruments.lost_chance).unsqueeze(-1)


def changes(readings: Tensor, of: ChannelReports) -> Tensor:
    """When a channel reports that reports on change: a reading has moved, or long ago.

    Steps are looked at one by one: what is reported is what later readings are compared with.
    bool (time, n, sensor, channel)
    """
    last, age_s = readings[0].clone(), of.phase * of.longest_s
    moves = of.delta * (1.0 - 1e-4)  # a change by exactly delta counts, whatever its rounding
    out = torch.zeros_like(readings, dtype=torch.bool)
    for k in range(len(readings)):
        age_s = age_s + STEP_S
        moved = (readings[k] - last).abs() >= moves
        now = (moved & (age_s >= of.every_s)) | (age_s >= of.longest_s)
        last = torch.where(now, readings[k], last)
        age_s = torch.where(now, 0.0, age_s)
        out[k] = now
    return out


def hold_channels(readings: Tensor, fresh: Tensor, held_steps: Tensor) -> Tensor:
    """Hold each channel's last report as long as the detector of the device does; then NaN.

    Before the first report the first step's stands. Readings and fresh, bool, are (time, n,
    sensor, channel), held_steps int64 (n, sensor).
    """
    index = torch.arange(len(readings), device=readings.device).view(-1, 1, 1, 1)
    last = torch.where(fresh, index, 0).cummax(dim=0).values
    held = readings.gather(0, last)
    return held.masked_fill_(index - last > held_steps.unsqueeze(-1), math.nan)


def hold_reports(readings: Tensor, reported: Tensor) -> Tensor:
    """Hold each sensor's last report for 90 s at most, as a detector does; then NaN.

    Before the first report the first step's stands. From reported, bool (time, n, sensor), to
    (time, n, sensor, channel).
    """
    index = torch.arange(len(readings), device=readings.device).view(-1, 1, 1)
    last = torch.where(reported, index, 0).cummax(dim=0).values
    out = readings.gather(0, last.unsqueeze(-1).expand(readings.shape))
    return out.masked_fill_((index - last > HOLD_S / STEP_S).unsqueeze(-1), math.nan)
