"""Units of a device, as instruments of a simulation."""

from dataclasses import replace

import torch
from torch import Tensor

from saafe.sensors import CHANNEL_NAMES, CHANNELS, CO, CO2, PM25, Range
from saafe.simulator.aerosols import AEROSOLS
from saafe.simulator.devices.catalogue import ANYTHING, GENERAL, device_names, load_device
from saafe.simulator.devices.device import AVERAGED, ON_CHANGE, Device, DeviceChannel
from saafe.simulator.emissions import Random
from saafe.simulator.instruments import STEP_S, ChannelReports, Instruments, draw_instruments
from saafe.windows import HOLD_S, LEARNT_PERIOD_S

KNOWN_SHARE = 0.65  # of a general mix's instruments that are the catalogue's; chosen
OTHERS_AT_ONCE = 2  # devices beside the reference ones in a batch: drawing one takes time
LONGEST_STEPS = round(LEARNT_PERIOD_S / STEP_S)  # between reports, as of instruments of any kind
SENSES = {"pm25", "temperature", "co"}  # a sensor needs one of them to see a fire
NO_CHANNEL = DeviceChannel(
    lowest=0.0, highest=40_000.0, step=0.1, noise=0.0, response_s=60.0, clip=4e4
)


def draw_sensors(
    device: str | Device, n: int, sensors: int, generator: torch.Generator, *, analyser_share: float
) -> Instruments:
    """Instruments of one device, of any kind, or of the general mix of both.

    `analyser_share` is of those of any kind, see `instruments.draw_instruments`.
    """
    if device not in (ANYTHING, GENERAL):
        return draw_device(device, n, sensors, generator)
    drawn = draw_instruments(n, sensors, generator, analyser_share=analyser_share)
    return draw_general(drawn, generator) if device == GENERAL else drawn


def draw_device(
    device: str | Device, n: int, sensors: int, generator: torch.Generator
) -> Instruments:
    """Units of a device in `n` spaces of so many sensors each, on the generator's device.

    Args:
        device: its name in the catalogue, the path of its file, or a Device.
        n: spaces.
        sensors: units in each.
        generator: source of randomness: of the spread between units, and of when they report.

    Raises:
        InputError: the name or the file is no device.
    """
    made = load_device(device)
    drawn = draw_instruments(n, sensors, generator)
    dice = Random((n, sensors), generator)
    # what only some devices draw comes from a generator of its own, seeded by what is drawn for
    # all, so that all devices meet the same fires under the same seed
    seed = int(drawn.puff_s.double().sum().item() * 1e6)
    own = Random((n, sensors), torch.Generator(generator.device).manual_seed(seed))
    rows = [made.channels.get(name, NO_CHANNEL) for name in CHANNEL_NAMES]

    def each(values: list[float]) -> Tensor:
        return drawn.lag_s.new_tensor(values).expand_as(drawn.lag_s).clone()

    def spread(spans: list[Range]) -> Tensor:
        return torch.stack([dice.uniform(*span) for span in spans], dim=-1)

    def one(span: Range) -> Tensor:
        return own.uniform(*span) if span[0] < span[1] else torch.full_like(drawn.kappa, span[0])

    none = ("drift", "late_chance", "puff_chance", "co_spike_chance", "gap_chance", "hold_phase")
    return replace(
        drawn,
        lag_s=each([row.response_s for row in rows]),
        gain=1.0 + spread([row.gain_spread for row in rows]),
        offset=spread([row.offset_spread for row in rows]),
        noise=each([row.noise for row in rows]),
        relative_noise=each([row.relative_noise for row in rows]),
        resolution=each([row.step for row in rows]),
        lowest=each([row.lowest for row in rows]),
        highest=each([row.clip for row in rows]),
        zero_below=each([row.floor for row in rows]),
        present=each([float(name in made.channels) for name in CHANNEL_NAMES]).bool(),
        unresponsive=torch.zeros_like(drawn.unresponsive),
        hold_steps=torch.ones_like(drawn.hold_steps),
        voc_as_co=one(rows[CO].vapours),
        hydrogen_as_co=one(rows[CO].hydrogen),
        voc_as_co2=one(rows[CO2].vapours),
        kappa=one(rows[PM25].kappa),
        self_heat=one(made.self_heat_k),
        response=seen_aerosols(drawn.response, rows[PM25], own),
        lost_chance=torch.full_like(drawn.lost_chance, made.lost_share),
        reports=draw_reports(made, own),
        **{name: torch.zeros_like(getattr(drawn, name)) for name in none},
    )


def draw_general(anything: Instruments, generator: torch.Generator) -> Instruments:
    """Make a share of instruments units of the catalogue, half of those of the reference devices.

    A few devices serve a batch. A sensor reports at its fastest channel's interval, all channels
    together: what is particular to a device's reports is learnt by training for it.
    """
    n, sensors = anything.puff_s.shape
    known = [load_device(name) for name in device_names()]
    reference = [one for one in known if one.kind == "reference"]
    others = [one for one in known if one.kind == "product" and set(one.channels) & SENSES]
    dice = Random((n, 1), generator)
    picks = torch.rand(OTHERS_AT_ONCE, generator=generator, device=generator.device)
    chosen = reference + [others[int(unit * len(others))] for unit in picks.tolist()]
    weights = [0.5 / len(reference)] * len(reference) + [0.5 / OTHERS_AT_ONCE] * OTHERS_AT_ONCE
    place, low = dice.uniform(0.0, 1.0) / KNOWN_SHARE, 0.0
    out = anything
    for device, weight in zip(chosen, weights, strict=True):
        rows = ((place >= low) & (place < low + weight)).expand(n, sensors)
        low += weight
        own = draw_device(device, n, sensors, generator)
        every_s = min(channel.reporting.every_s for channel in device.channels.values())
        steps = min(max(round(every_s / STEP_S), 1), LONGEST_STEPS)
        own = replace(own, reports=None, hold_steps=torch.full_like(own.hold_steps, steps))
        phase = (dice.uniform(0.0, 1.0) * steps).long().expand(n, sensors)
        out = merge_instruments(rows, replace(own, hold_phase=phase), out)
    return out


def merge_instruments(rows: Tensor, these: Instruments, those: Instruments) -> Instruments:
    """These instruments in some rows, bool (n, sensor), and those in the others."""
    merged = {}
    for name, value in vars(those).items():
        if isinstance(value, Tensor):
            where = rows.unsqueeze(-1) if value.dim() == 3 else rows
            merged[name] = torch.where(where, getattr(these, name), value)
    return replace(those, **merged)


def seen_aerosols(drawn: Tensor, meter: DeviceChannel, dice: Random) -> Tensor:
    """What a particle meter shows of aerosols: its own ranges, else what was drawn for any.

    A good half of the place in a range is the unit's. (n, sensor, aerosol)
    """
    if not meter.aerosols:
        return drawn
    unit, out = dice.uniform(0.0, 1.0), drawn.clone()
    for k, aerosol in enumerate(AEROSOLS):
        if aerosol.name in meter.aerosols:
            low, high = meter.aerosols[aerosol.name]
            place = 0.6 * unit + 0.4 * dice.uniform(0.0, 1.0)
            out[..., k] = aerosol.fine_share * low * (high / low) ** place
    return out


def draw_reports(device: Device, dice: Random) -> ChannelReports | None:
    """When each channel of the units reports; None where all do at every step of a stream."""
    rows = [device.channels.get(name, NO_CHANNEL).reporting for name in CHANNEL_NAMES]
    own = [row for name, row in zip(CHANNEL_NAMES, rows, strict=True) if name in device.channels]
    if all(row.longest_interval_s <= STEP_S and row.average_s <= STEP_S for row in own):
        return None

    def each(values: list[float]) -> Tensor:
        there = torch.tensor(values, device=dice.generator.device)
        return there.expand(*dice.shape, len(CHANNELS)).clone()

    # channels of one interval report together, as they stand in one message
    phases = {row.longest_interval_s: dice.uniform(0.0, 1.0) for row in rows}
    is_mean = [row.mode == AVERAGED for row in rows]
    held_s = max(HOLD_S, device.longest_interval_s)
    return ChannelReports(
        every_s=each([max(row.every_s, STEP_S) for row in rows]),
        longest_s=each([max(row.longest_interval_s, STEP_S) for row in rows]),
        delta=each([row.delta if row.mode == ON_CHANGE else 0.0 for row in rows]),
        average_steps=each(
            [
                max(row.average_s / STEP_S, 1.0) if a else 1.0
                for row, a in zip(rows, is_mean, strict=True)
            ]
        )
        .round()
        .long(),
        phase=torch.stack([phases[row.longest_interval_s] for row in rows], dim=-1),
        held_steps=torch.full_like(phases[rows[0].longest_interval_s], held_s // STEP_S).long(),
    )
