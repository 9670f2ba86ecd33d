"""Every device of the catalogue, users' device files, and devices fitted to recordings."""

import json
import math
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from saafe.cli import saafe
from saafe.cli.devices import amount_of
from saafe.detector import AlarmSettings, Scorer
from saafe.errors import InputError
from saafe.exam.comparison_picture import draw_comparison
from saafe.exam.device_comparison import ComparisonPlan, compare_devices
from saafe.recordings.recording import Recording, write_recording
from saafe.sensors import CHANNEL_NAMES, CHANNELS, CO2, PM25, Channel
from saafe.simulator.buildings import Rooms, draw_building
from saafe.simulator.devices.catalogue import FOLDER, GENERAL, device_names, load_device
from saafe.simulator.devices.device import (
    ON_CHANGE,
    DeviceChannel,
    Reporting,
    device_from_text,
    device_table,
    to_toml,
)
from saafe.simulator.devices.drawing import draw_device, draw_sensors
from saafe.simulator.devices.fitting import TAKEN, fit_device
from saafe.simulator.devices.traces import FEWEST_VALUES, find_noise
from saafe.simulator.instruments import (
    STEP_S,
    ChannelReports,
    averaged,
    channel_reports,
    hold_channels,
    noise_sigma,
    noisy,
)
from saafe.simulator.labels import shows
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import simulate_streams
from saafe.simulator.streams import Streams, to_recordings
from saafe.windows import LEARNT_PERIOD_S


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def streams_of(name: str) -> Streams:
    """A fire and none, for three of the device's longest intervals."""
    device = load_device(name)
    hours = min(6.0, max(1.0, 3.0 * device.longest_interval_s / 3600.0))
    mix = Mix(0.5, device=device, fault_share=0.0)
    return simulate_streams(2, generator=seeded(3), hours=hours, sensors=2, mix=mix)


# --- every device of the catalogue ------------------------------------------------------------


def test_the_catalogue_is_what_was_asked_for() -> None:
    found = [load_device(name) for name in device_names()]
    assert len(found) >= 30
    assert {"saafe-6", "saafe-4"} <= set(device_names())
    assert sum(one.kind == "product" for one in found) >= 15
    assert sum(bool(one.made_of) for one in found) >= 8
    modes = {row.reporting.mode for one in found for row in one.channels.values()}
    assert modes == {"periodic", "averaged", "on change"}
    rates = [{row.reporting.every_s for row in one.channels.values()} for one in found]
    assert any(len(one) > 1 for one in rates), "channels of several rates"


@pytest.mark.parametrize("name", device_names())
def test_a_device_says_where_its_figures_are_from(name: str) -> None:
    device = load_device(name)
    assert device.name == name
    assert device.source
    assert device.channels
    known = {"all", "all but reporting", "self_heat_k"}
    known |= {field for row in device.channels.values() for field in vars(row)}
    assert set(device.memory) <= known
    if device.source.startswith("memory"):
        assert device.memory


@pytest.mark.parametrize("name", device_names())
def test_a_device_is_the_same_once_written_and_read(name: str, tmp_path: Path) -> None:
    device = load_device(name)
    text = to_toml(device)
    assert device_from_text(text) == device
    (tmp_path / "mine.toml").write_text(text)
    assert load_device(str(tmp_path / "mine.toml")) == device


@pytest.mark.parametrize("name", device_names())
def test_units_are_drawn_within_their_spread(name: str) -> None:
    device = load_device(name)
    drawn = draw_device(name, 64, 2, seeded(1))
    again = draw_device(device, 64, 2, seeded(1))
    for index, channel in enumerate(CHANNEL_NAMES):
        assert (drawn.present[..., index] == (channel in device.channels)).all()
        if channel not in device.channels:
            continue
        row = device.channels[channel]
        for values, (low, high), middle in (
            (drawn.offset, row.offset_spread, 0.0),
            (drawn.gain, row.gain_spread, 1.0),
        ):
            assert (values[..., index] >= middle + low - 1e-5).all()
            assert (values[..., index] <= middle + high + 1e-5).all()
            assert (values == (again.gain if middle else again.offset)).all()
        assert (drawn.lag_s[..., index] == torch.tensor(row.response_s)).all()
    heat = drawn.self_heat
    assert (heat >= device.self_heat_k[0] - 1e-5).all()
    assert (heat <= device.self_heat_k[1] + 1e-5).all()


@pytest.mark.parametrize("name", device_names())
def test_a_device_reports_within_its_range_and_step(name: str) -> None:
    device = load_device(name)
    streams = streams_of(name)
    assert not streams.fresh[..., [c not in device.channels for c in CHANNEL_NAMES]].any()
    for index, channel in enumerate(CHANNEL_NAMES):
        values = streams.readings[..., index]
        if channel not in device.channels:
            assert torch.isnan(values).all()
            continue
        row = device.channels[channel]
        fresh = streams.fresh[..., index]
        seen = values[fresh].double()
        assert len(seen), "it reports"
        assert not torch.isnan(seen).any()
        assert seen.min() >= row.lowest - 1e-4
        assert seen.max() <= row.clip * (1.0 + 1e-6) + 1e-4
        inner = seen[(seen > row.lowest + row.step) & (seen < row.clip - row.step)]
        off = (inner / row.step - (inner / row.step).round()).abs() * row.step
        assert (off < 1e-3 * row.step + 1e-6 * inner.abs()).all()
        if row.floor > 0.0:
            assert ((seen >= row.floor - 0.5 * row.step) | (seen <= row.lowest + 1e-4)).all()


@pytest.mark.parametrize("name", device_names())
def test_a_device_reports_when_it_should(name: str) -> None:
    device = load_device(name)
    streams = streams_of(name)
    assert (streams.reported == streams.fresh.any(dim=-1)).all()
    for index, channel in enumerate(CHANNEL_NAMES):
        if channel not in device.channels:
            continue
        row = device.channels[channel]
        fresh = streams.fresh[..., index].transpose(1, 2).flatten(0, 1).numpy()
        values = streams.readings[..., index].transpose(1, 2).flatten(0, 1).numpy()
        for heard, shown in zip(fresh, values, strict=True):
            at = np.flatnonzero(heard)
            gaps = 10.0 * np.diff(at)
            if not len(gaps):
                continue
            if device.lost_share == 0.0:
                assert gaps.max() <= row.reporting.longest_interval_s + 10.0
            assert gaps.min() >= row.reporting.every_s - 10.0
            if row.reporting.mode == ON_CHANGE:
                moves = np.abs(np.diff(shown[at]))
                early = gaps < row.reporting.longest_s - 10.0
                assert (moves[early] >= row.reporting.delta * (1.0 - 1e-3)).all()
            elif device.lost_share == 0.0:
                assert abs(gaps.mean() - max(row.reporting.every_s, 10.0)) <= 10.0
            if device.lost_share == 0.0:
                held = shown[np.repeat(at, np.diff(np.append(at, len(shown))))]
                assert np.array_equal(shown[at[0] :], held), "a reading stands until the next"


# --- reporting --------------------------------------------------------------------------------


def reports_of(**given: float) -> ChannelReports:
    usual = {"every_s": 10.0, "longest_s": 10.0, "delta": 0.0, "average_steps": 1, "phase": 0.0}
    values = usual | given
    shape = (1, 1, len(CHANNELS))
    tensors = {name: torch.full(shape, float(value)) for name, value in values.items()}
    tensors["average_steps"] = tensors["average_steps"].long()
    return ChannelReports(**tensors, held_steps=torch.full((1, 1), 9))


def heard(readings: torch.Tensor, reports: ChannelReports) -> torch.Tensor:
    drawn = draw_device("saafe-6", 1, 1, seeded(0))
    there = replace(drawn, reports=reports)
    return channel_reports(readings.expand(-1, 1, 1, 6), there, seeded(1))[:, 0, 0, 0]


def test_on_change_reports_changes_and_a_heartbeat() -> None:
    steps = torch.zeros(60, 1, 1, 1)
    steps[5:] = 0.9  # too little
    steps[20:] = 1.0
    steps[22:] = 3.0  # too soon after
    out = heard(steps, reports_of(every_s=60.0, longest_s=200.0, delta=1.0))
    assert out.nonzero()[:, 0].tolist() == [19, 25, 45]
    small = heard(steps, reports_of(every_s=10.0, longest_s=200.0, delta=1.0))
    assert small.nonzero()[:, 0].tolist() == [19, 22, 42]


@pytest.mark.parametrize("every_s", [10.0, 23.0, 61.0, 300.0])
def test_periods_that_are_no_multiple_of_the_grid_hold_on_average(every_s: float) -> None:
    out = heard(torch.zeros(3000, 1, 1, 1), reports_of(every_s=every_s, longest_s=every_s))
    gaps = 10.0 * out.nonzero()[:, 0].diff()
    assert gaps.double().mean().item() == pytest.approx(every_s, rel=0.01)
    assert gaps.max() - gaps.min() <= 10


def test_means_are_over_their_span() -> None:
    truth = torch.arange(12.0).view(-1, 1, 1, 1).repeat(1, 2, 1, 2)
    steps = torch.tensor([[[1, 3]], [[6, 1]]])
    out = averaged(truth.clone(), steps)
    assert (out[:, 0, 0, 0] == truth[:, 0, 0, 0]).all()
    assert out[:4, 0, 0, 1].tolist() == [0.0, 0.5, 1.0, 2.0]
    assert out[-1, 1, 0, 0].item() == pytest.approx(np.mean([6, 7, 8, 9, 10, 11]))


def test_a_reading_stands_for_the_longest_interval() -> None:
    readings = torch.arange(20.0).view(-1, 1, 1, 1).repeat(1, 1, 1, 2)
    fresh = torch.zeros(20, 1, 1, 2, dtype=torch.bool)
    fresh[2, ..., 0] = fresh[::2, ..., 1] = True
    out = hold_channels(readings, fresh, torch.full((1, 1), 12))[:, 0, 0]
    assert out[2:15, 0].tolist() == [2.0] * 13
    assert torch.isnan(out[15:, 0]).all()
    assert out[:, 1].tolist() == [float(k - k % 2) for k in range(20)]


def test_recordings_hold_only_what_was_reported() -> None:
    streams = streams_of("ikea-vindstyrka")
    for k, recording in enumerate(to_recordings(streams)):
        assert (np.isfinite(recording.readings) == streams.fresh[k].numpy()).all()


# --- files that users write -------------------------------------------------------------------

PLAIN = """
title = "a box"
kind = "product"
source = "its data sheet"

[channels.temperature]
lowest = -10
highest = 50
step = 0.1
noise = 0.05
response_s = 300
"""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("title", "titel"), "did you mean title"),
        (("title =", "name = 5\ntitle ="), "name is no name"),
        (("title =", "name = 1979-05-27\ntitle ="), "name is no name"),
        (("title =", "name = []\ntitle ="), "name is no name"),
        (("title =", 'name = " "\ntitle ='), "name is no name"),
        (("title =", 'name = "a\\nb"\ntitle ='), "name is no name"),
        (("title =", 'name = "anything"\ntitle ='), "stands for many devices"),
        (("title =", 'name = "general"\ntitle ='), "stands for many devices"),
        (('kind = "product"', 'kind = "gadget"'), "choose from part, product"),
        (('source = "its data sheet"', ""), "source is missing"),
        (("[channels.temperature]", "[channels.heat]"), "heat is unknown"),
        (("step = 0.1", ""), "step is missing"),
        (("step = 0.1", "step = 0"), "step = 0: allowed is"),
        (("step = 0.1", 'step = "fine"'), "step = 'fine': allowed is"),
        (("noise = 0.05", "noise = nan"), "noise = nan: allowed is"),
        (("lowest = -10", "lowest = 60"), "must be under highest"),
        (("response_s = 300", "response_s = true"), "response_s = True"),
        (("response_s = 300", "response_s = 300\noffset_spread = [1]"), "[from, to]"),
        (("response_s = 300", "response_s = 300\noffset_spread = [2, 1]"), "smaller one first"),
        (("response_s = 300", 'response_s = 300\nreporting = { mode = "often" }'), "choose from"),
        (
            ("response_s = 300", 'response_s = 300\nreporting = { mode = "on change" }'),
            "delta is missing",
        ),
        (
            (
                "response_s = 300",
                'response_s = 300\nreporting = { mode = "on change", delta = 0.2 }',
            ),
            "longest_s is missing: after how many seconds",
        ),
        (
            (
                "response_s = 300",
                'response_s = 300\nreporting = { mode = "on change", delta = 0, longest_s = 900 }',
            ),
            "delta = 0: allowed is a number over 0",
        ),
        (
            (
                "response_s = 300",
                'response_s = 300\nreporting = { mode = "on change", delta = 1, longest_s = 5 }',
            ),
            "longest_s = 5 is shorter than every_s = 10",
        ),
        *(
            (
                ("response_s = 300", f"response_s = 300\n{key} = 60"),
                f"{key} is of reporting; write it under its [channels.temperature.reporting]",
            )
            for key in ("mode", "every_s", "longest_s", "delta", "average_s")
        ),
        (('title = "a box"', ""), 'title is missing; write title = "..."'),
        (("response_s = 300", "response_s = 300\nreporting = { delta = 1 }"), "does not belong"),
        (("response_s = 300", "response_s = 300\naerosols = { fog = 1 }"), "fog is unknown"),
        (("[channels.temperature]", "[channels]\ntemperature = 5\n[other]"), "expected a table"),
        (("[channels.temperature]", "channels = 5\n[other]"), "expected tables [channels.NAME]"),
        (("response_s = 300", "response_s = 300\naerosols = 3"), "aerosols: expected a table"),
        (("response_s = 300", "response_s = 300\nsentinels = 5"), "expected a list of numbers"),
        (("response_s = 300", 'response_s = 300\nsentinels = ["none"]'), "allowed is a number"),
        (("response_s = 300", "response_s = 300\nsentinels = [nan]"), "allowed is a number"),
        (("response_s = 300", "response_s = 300\nsentinels = [50]"), "50 degC is its clip too"),
        (("response_s = 300", "response_s = 300\nsentinels = [-10]"), "-10 degC is its lowest too"),
        (
            ("response_s = 300", 'response_s = 300\nunit = "F"\nsentinels = [122]'),
            "50 degC is its clip too",
        ),
        (("response_s = 300", 'response_s = 300\nunit = "ppm"'), "no unit of temperature; allowed"),
        (
            ("response_s = 300", "response_s = 300\nunit = 3"),
            "no unit of temperature; allowed: C, F",
        ),
        (("response_s = 300", "response_s = 300\nresponse_s = 9"), "is no TOML"),
        (("response_s = 300", "response_s = 300\n[channels.temperature]"), "is no TOML"),
        (("response_s = 300", "response_s = 300\nreporting = { every_s = -60 }"), "from 0.1 to"),
        (("response_s = 300", "response_s = 300\nreporting = { every_min = 1 }"), "mean every_s"),
        (('kind = "product"', 'kind = "product"\nparts = ["box"]'), "is not in the catalogue"),
        (("step = 0.1", "step = 0,1"), "prints a file to begin with"),
        (("step = 0.1", "step = 1000"), "step = 1000 degC: allowed is at most the range, 60 degC"),
        (
            ('kind = "product"', 'kind = "product"\nlowest = 0'),
            "write it under its [channels.NAME]",
        ),
        (('kind = "product"', 'kind = "product"\nparts = ["box.toml"]'), "`saafe devices list`"),
        (("response_s = 300", "response_s = 300\nreporting = 5"), "expected a table, got 5"),
        (('kind = "product"', 'kind = "product"\nmemory = "noise"'), "expected a list of words"),
        (("title", "title ="), "is no TOML"),
        (('kind = "product"', 'kind = "product"\nparts = ["sht99"]'), "not in the catalogue"),
        (('kind = "product"', 'kind = "product"\nparts = ["sht41"]'), "mean sensirion-sht41?"),
        (('kind = "product"', 'kind = "product"\nparts = ["s8"]'), "mean senseair-s8?"),
        (('kind = "product"', 'kind = "product"\nparts = 7'), "expected a list"),
        (('kind = "product"', 'kind = "product"\nwithout = ["co"]'), "no part has that channel"),
        (("lowest = -10\nhighest = 50", "lowest = 1300\nhighest = 2000"), "check the unit"),
    ],
)
def test_bad_device_files_are_one_line(change: tuple[str, str], says: str, tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    assert change[0] in PLAIN
    path.write_text(PLAIN.replace(*change))
    with pytest.raises(InputError, match=r"box\.toml") as error:
        load_device(str(path))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such device file"):
        load_device("nowhere.toml")
    with pytest.raises(InputError, match="did you mean saafe-6"):
        load_device("saafe-7")
    (tmp_path / "box.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no text"):
        load_device(str(tmp_path / "box.toml"))


def test_a_product_is_its_parts_with_its_own_fields(tmp_path: Path) -> None:
    (tmp_path / "box.toml").write_text(
        'title = "b"\nkind = "product"\nsource = "s"\nparts = ["senseair-s8", "sensirion-sht41"]\n'
        'without = ["humidity"]\nreporting = { every_s = 120 }\n'
        "[channels.temperature]\nresponse_s = 600\n"
        '[channels.co2]\nreporting = { mode = "on change", every_s = 30, longest_s = 900, '
        "delta = 20 }\n"
    )
    device = load_device(str(tmp_path / "box.toml"))
    assert list(device.channels) == ["temperature", "co2"]
    assert device.made_of == ("senseair-s8", "sensirion-sht41")
    part = load_device("sensirion-sht41").channels["temperature"]
    assert device.channels["temperature"] == replace(
        part, response_s=600.0, reporting=Reporting(every_s=120.0)
    )
    assert device.channels["co2"].reporting == Reporting(ON_CHANGE, 30.0, 900.0, 20.0)
    assert device.longest_interval_s == 900.0


def test_no_stray_files_in_the_catalogue() -> None:
    assert {path.suffix for path in FOLDER.iterdir()} == {".toml"}


def test_the_file_of_docs_is_a_device(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "devices.md").read_text()
    text = page.split("```toml\n")[1].split("```")[0]
    (tmp_path / "mine.toml").write_text(text)
    made = load_device(str(tmp_path / "mine.toml"))
    assert list(made.channels) == ["temperature", "pm25", "humidity"]
    assert made.longest_interval_s == 30.0
    assert made.channels["pm25"].gain_spread == (-0.3, 0.3)


def test_devices_of_one_seed_meet_the_same_fires() -> None:
    def world(name: str) -> Streams:
        mix = Mix(0.5, device=name, fault_share=0.0)
        return simulate_streams(4, generator=seeded(7), hours=1.0, sensors=1, mix=mix)

    one, other = world("saafe-6"), world("tuya-air-box")
    for name in ("fire", "nuisance", "ignition_s", "truth", "state"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_the_general_mix_reports_no_less_often_than_is_said() -> None:
    drawn = draw_sensors(GENERAL, 1000, 1, seeded(0), analyser_share=0.0)
    assert drawn.hold_steps.max() * STEP_S == LEARNT_PERIOD_S


# --- the devices of reference, as DESIGN.md fixes them ------------------------------------------

TO_90 = math.log(10.0)  # time constants until 90 % of a change
FIXED = {
    "temperature": {"response_s": 120.0, "step": 0.1, "noise": 0.05, "offset_spread": (-0.5, 0.5)},
    "pm25": {
        "response_s": 10.0 / TO_90, "clip": 1000.0, "noise": 1.0, "relative_noise": 0.05,
        "gain_spread": (-0.2, 0.2), "aerosols": {},  # those of all meters
    },
    "co2": {
        "response_s": 120.0 / TO_90, "offset_spread": (-50.0, 50.0), "gain_spread": (-0.03, 0.03),
    },
    "sound": {"lowest": 33.0, "highest": 116.0},
    "co": {"response_s": 60.0 / TO_90, "step": 1.0, "hydrogen": (0.2, 0.2)},
    "humidity": {"offset_spread": (-3.0, 3.0)},
}  # fmt: skip


@pytest.mark.parametrize(("name", "without"), [("saafe-6", set()), ("saafe-4", {"co", "humidity"})])
def test_devices_of_reference_are_as_fixed(name: str, without: set[str]) -> None:
    device = load_device(name)
    assert set(device.channels) == set(FIXED) - without
    assert device.longest_interval_s == 10.0
    assert (device.self_heat_k, device.lost_share) == ((0.0, 0.0), 0.0)
    for channel, figures in FIXED.items():
        for field, value in figures.items() if channel in device.channels else ():
            got = getattr(device.channels[channel], field)
            assert got == pytest.approx(value), (channel, field)


@pytest.mark.parametrize("name", device_names())
def test_noise_is_the_larger_of_a_level_and_a_share(name: str) -> None:
    """Of every channel at every level; a saafe-6's PM2.5 by 1 ug/m3 up to 20, then by 5 %."""
    device, drawn = load_device(name), draw_device(name, 1, 1, seeded(0))
    for channel, row in device.channels.items():
        k = CHANNEL_NAMES.index(channel)
        for level in np.linspace(max(row.lowest, 1.0), row.clip, 5).tolist():
            clean = torch.full((1, 1, 1, len(CHANNELS)), level)
            grown = 0.0 if channel == "temperature" else row.relative_noise * level
            want = max(row.noise, grown)
            assert float(noise_sigma(clean, drawn)[..., k]) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(("level", "sigma"), [(5.0, 1.0), (20.0, 1.0), (100.0, 5.0), (600.0, 30.0)])
def test_readings_and_what_shows_have_that_noise(level: float, sigma: float) -> None:
    drawn = draw_device("saafe-6", 1, 1, seeded(0))
    clean = torch.full((20_000, 1, 1, len(CHANNELS)), level)
    readings = noisy(clean.clone(), drawn, seeded(1))[..., PM25]
    assert float(readings.std()) == pytest.approx((sigma**2 + 1.0 / 12.0) ** 0.5, rel=0.03)
    working = torch.ones_like(clean[:1], dtype=torch.bool)
    for above, is_seen in ((1.01, True), (0.99, False)):
        moved = clean[:1] + above * 5.0 * sigma
        assert bool(shows(moved, clean[:1], drawn, working)[..., PM25]) is is_seen


# --- fitting ----------------------------------------------------------------------------------


def quiet_days(name: str, hours: float = 24.0) -> Recording:
    mix = Mix(0.0, device=name, fault_share=0.0, nuisance_counts=(0.0, 0.0, 1.0))
    streams = simulate_streams(1, generator=seeded(11), hours=hours, sensors=1, mix=mix)
    return to_recordings(streams)[0]


@pytest.mark.parametrize("name", ["saafe-6", "netatmo-indoor", "maxim-ds18b20", "uhoo-indoor"])
def test_periodic_devices_are_fitted_back(name: str) -> None:
    device, fitted = load_device(name), fit_device(quiet_days(name))
    assert list(fitted.channels) == list(device.channels)
    for channel, row in device.channels.items():
        one = fitted.channels[channel]
        written = 10.0 ** -CHANNELS[CHANNEL_NAMES.index(channel)].decimals
        assert one.step == pytest.approx(max(row.step, written), rel=0.03), channel
        assert one.reporting.mode == "periodic"
        assert one.reporting.every_s == pytest.approx(row.reporting.every_s, rel=0.02)
    assert device_from_text(to_toml(fitted)) == fitted
    draw_device(fitted, 2, 1, seeded(0))


def test_reports_on_change_are_fitted_back() -> None:
    device, fitted = load_device("sonoff-snzb-02b"), fit_device(quiet_days("sonoff-snzb-02b", 48.0))
    for channel, row in device.channels.items():
        one = fitted.channels[channel].reporting
        assert one.mode == ON_CHANGE
        assert one.delta == pytest.approx(row.reporting.delta, rel=0.1)
        assert one.longest_s >= row.reporting.longest_s - 20.0
    assert any("noise (reports on change hide it)" in note for note in fitted.notes)


def test_a_clip_that_is_reached_is_seen_and_one_that_is_not_is_said() -> None:
    times = 60.0 * np.arange(4000)
    random = np.random.default_rng(5)
    hidden = 20.0 + 300.0 * np.maximum(np.sin(times / 9000.0), 0.0) ** 3
    noisy = hidden + random.normal(size=len(times)) * (1.0 + 0.05 * hidden)
    readings = np.full((len(times), 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, CHANNEL_NAMES.index("pm25")] = np.clip(noisy.round(), 3.0, 250.0)
    one = fit_device(Recording("r", times, ("A",), readings)).channels["pm25"]
    assert one.clip == 250.0
    strays = readings.copy()  # few of the readings at an end may lie a little beyond it
    at_end = np.flatnonzero(strays[:, 0, CHANNEL_NAMES.index("pm25")] == 250.0)
    strays[at_end[:5], 0, CHANNEL_NAMES.index("pm25")] += (3.0, 8.0, 5.0, 1.0, 6.0)
    assert fit_device(Recording("r", times, ("A",), strays)).channels["pm25"].clip == 250.0
    readings[:, 0, CHANNEL_NAMES.index("pm25")] = np.clip(noisy.round(), 3.0, 2000.0)
    free = fit_device(Recording("r", times, ("A",), readings))
    assert any("clip (never reached" in note for note in free.notes)
    assert free.channels["pm25"].clip >= noisy.max().round()


def reading(channel: str, values: np.ndarray, *, name: str = "r") -> Recording:
    readings = np.full((len(values), 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, CHANNEL_NAMES.index(channel)] = values
    return Recording(name, 60.0 * np.arange(len(values)), ("A",), readings)


def wavy(low: float, high: float, n: int = 2000) -> np.ndarray:
    """Readings between two ends that never rest at one."""
    share = 0.5 + 0.5 * np.sin(np.arange(n) / 90.0)
    noise = np.random.default_rng(1).normal(size=n)
    return np.clip(low + (high - low) * share + noise, low, high).round()


@pytest.mark.parametrize(
    ("channel", "low", "high"),
    [("pm25", 4, 500), ("pm25", 4, 950), ("pm25", 4, 1868), ("co2", 450, 12_000),
     ("co2", 450, 90_000), ("temperature", -30, 40), ("temperature", 10, 170),
     ("temperature", 10, 700), ("co", 0.5, 15_000)],
)  # fmt: skip
def test_an_end_that_is_not_reached_is_that_of_the_device_that_is_named(
    channel: str, low: float, high: float
) -> None:
    fitted = fit_device(reading(channel, wavy(low, high)))
    one = fitted.channels[channel]
    assert one.lowest <= low
    assert one.clip == one.highest >= high
    for word, value in (("lowest reading", one.lowest), ("clip (never", one.clip)):
        (note,) = (note for note in fitted.notes if word in note)
        origin = note.removeprefix(f"{channel}: from ").partition(":")[0]
        usual = CHANNELS[CHANNEL_NAMES.index(channel)]
        if origin in device_names():
            row = load_device(origin).channels[channel]
            assert value in (row.lowest, row.clip, usual.lowest), note
        else:
            assert "no device of the catalogue goes so far" in origin
            assert value in (usual.lowest, usual.highest)
    assert fitted == device_from_text(to_toml(fitted))


def days_of(long: float, short: float, *, visits: int = 4) -> np.ndarray:
    """Smooth days, a row a minute: shortly at one of the two ends, long at the other."""
    wave = np.sin(np.pi * np.arange(1440 * visits) / 1440.0)
    return long + (short - long) * wave**4


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(
    ("channel", "level", "amplitude", "grid", "noise"),
    [("temperature", 26.0, 1.2, 0.1 / 1.8, 0.0), ("temperature", 21.0, 2.0, 0.5, 0.0),
     ("temperature", 26.0, 1.2, 0.1 / 1.8, 0.02), ("humidity", 55.0, 8.0, 0.1, 0.0),
     ("humidity", 55.0, 8.0, 1.0, 0.0), ("co2", 700.0, 150.0, 1.0, 0.0)],
)  # fmt: skip
def test_where_a_smooth_curve_turns_no_meter_ends(
    channel: str, level: float, amplitude: float, grid: float, noise: float, side: float
) -> None:
    """It lingers there as at an end, and a grid of other units leaves no reading beside it."""
    random = np.random.default_rng(3)
    for phase in np.linspace(0.0, 1.0, 12):
        daily = np.tanh(3.0 * np.sin(2.0 * np.pi * np.arange(4320) / 1440.0))
        drift = 3.5 * grid * (np.arange(4320) // 1440 + phase)  # no two days turn at one reading
        values = level + amplitude * daily + side * drift + noise * random.normal(size=4320)
        fitted = fit_device(reading(channel, (np.round(values / grid) * grid).round(2)))
        assert any("lowest reading (none" in note for note in fitted.notes), phase
        assert any("clip (never" in note for note in fitted.notes), phase


@pytest.mark.parametrize(
    ("channel", "values", "lowest", "clip", "noise"),
    [("temperature", days_of(30.0, 56.0), None, 50.0, 0.0),  # a DHT11 beside an oven
     ("temperature", days_of(20.0, -90.0), -55.0, None, 0.03),  # a DS18B20 outside
     ("pm25", days_of(4.0, 1200.0, visits=1), None, 999.9, 2.0),  # an SDS011 in one cooking
     ("pm25", days_of(4.0, 1200.0), None, 999.9, 0.02),
     ("co", days_of(20.0, -20.0), 0.0, None, 0.1),
     ("humidity", days_of(60.0, 110.0), None, 100.0, 0.02),
     ("humidity", days_of(60.0, 10.0), 20.0, None, 0.5),  # a DHT11
     ("co2", days_of(900.0, 370.0), 400.0, None, 3.0),
     ("co2", days_of(500.0, 7000.0), None, 5000.0, 3.0)],
)  # fmt: skip
def test_true_ends_are_found_and_said(
    channel: str, values: np.ndarray, lowest: float | None, clip: float | None, noise: float
) -> None:
    usual = CHANNELS[CHANNEL_NAMES.index(channel)]
    noisy = values + noise * np.random.default_rng(2).normal(size=len(values))
    held = np.clip(noisy, lowest, clip).round(min(usual.decimals, 1))
    recording = reading(channel, np.maximum(held, usual.lowest - 20.0))
    fitted = fit_device(recording)
    for end, value in (("lowest", lowest), ("clip", clip)):
        word = "lowest reading" if end == "lowest" else end
        if value is not None:
            found = max(value, usual.lowest)  # as far as saafe reads
            assert getattr(fitted.channels[channel], end) == pytest.approx(found)
            at_end = int((held == value).sum())
            told = f"{channel}: {word} {value:g}, where {at_end:,} readings stand"
            assert told in fitted.notes


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda one: one.name)
def test_a_step_that_few_readings_show_is_the_catalogues(channel: Channel) -> None:
    shown = 7.0 * 10.0**-channel.decimals
    for different in range(1, 8):
        values = np.full(2000, 40.0)
        values[100 :: 1900 // different][: different - 1] += shown * np.arange(1, different)
        fitted = fit_device(reading(channel.name, values))
        one = fitted.channels[channel.name]
        notes = [note for note in fitted.notes if "step and noise (not seen" in note]
        if different >= FEWEST_VALUES:
            assert (one.step, notes) == (pytest.approx(shown, rel=0.02), [])
            continue
        (note,) = notes
        origin = note.removeprefix(f"{channel.name}: from ").partition(":")[0]
        like = load_device(origin).channels[channel.name]
        assert (one.step, one.noise) == (like.step, like.noise), different
        for word in ("lowest reading (none", "clip (never"):
            assert any(word in note for note in fitted.notes), "no end is seen without a step"


@pytest.mark.parametrize("share", [0.0, 0.02, 0.05, 0.2])
def test_noise_that_grows_is_found_as_the_larger_of_two(share: float) -> None:
    """At 8 ug/m3 for a day, then at 800, where a share of the reading has overtaken 1."""
    level = np.repeat([8.0, 800.0], [9000, 2000])
    sigma = np.maximum(1.0, share * level)
    values = level + sigma * np.random.default_rng(0).normal(size=len(level))
    found = find_noise(10.0 * np.arange(len(level)), values, 0.1, grows=True)
    for at in (8.0, 800.0):
        want = max(1.0, share * at)
        assert max(found.value, found.relative * at) == pytest.approx(want, rel=0.1)


def test_units_of_one_product_are_fitted_together() -> None:
    dim, bright = wavy(5.0, 200.0), wavy(5.0, 900.0)
    one, other = reading("pm25", dim, name="one"), reading("pm25", bright, name="two")
    both = fit_device([one, other])
    turned = fit_device([other, one]).channels["pm25"]
    assert turned.noise == pytest.approx(both.channels["pm25"].noise, rel=0.05)
    assert (turned.clip, turned.step) == (both.channels["pm25"].clip, both.channels["pm25"].step)
    assert both.title == "fitted to one, sensor A; two, sensor A"
    assert any("the most was 900" in note for note in both.notes)
    assert both.lost_share == 0.0, "no report is lost between two units"
    assert both.channels["pm25"].reporting == fit_device(one).channels["pm25"].reporting
    readings = np.concatenate([one.readings, other.readings], axis=1)
    home = Recording("home", one.times_s, ("A", "B"), readings)
    assert fit_device(home, sensor=("A", "B")).channels == both.channels
    assert fit_device(home, sensor="B").channels == fit_device(other).channels
    assert fit_device(home).channels == fit_device(one).channels


MEASURED = ("lowest", "highest", "clip", "floor", "step", "noise", "relative_noise", "reporting")
NEVER_TAKEN = ("sentinels", "unit")


@pytest.mark.parametrize("name", ["saafe-6", "purpleair-touch", "uhoo-indoor", "maxim-ds18b20"])
def test_all_that_is_taken_from_the_catalogue_is_said(name: str) -> None:
    every = {one.name for one in fields(DeviceChannel)}
    assert every == {*MEASURED, *NEVER_TAKEN, *TAKEN}, "each field is of one sort"
    fitted = fit_device(quiet_days(name, 6.0))
    plain = DeviceChannel(0.0, 1.0, 1.0, 0.0, math.nan)
    for channel, one in fitted.channels.items():
        assert (one.sentinels, one.unit) == ((), ""), "a part that looks alike sends others"
        said = " ".join(note for note in fitted.notes if note.startswith(f"{channel}: from "))
        for field, words in TAKEN.items():
            if getattr(one, field) != getattr(plain, field):
                assert words in said, field


def test_hours_of_readings_leave_silences_out() -> None:
    values = wavy(5.0, 200.0, 1201)
    times = 60.0 * np.arange(1201) + np.where(np.arange(1201) > 600, 9 * 86400.0, 0.0)
    silent = Recording("r", times, ("A",), reading("pm25", values).readings)
    assert fit_device(silent).source.startswith("20.0 h of readings;")
    other = np.concatenate([silent.readings, silent.readings], axis=1)
    other[10:, 1] = np.nan  # another sensor's silence is none of the first's
    both = Recording("r", times, ("A", "B"), other)
    assert fit_device(both, sensor="A").source.startswith("20.0 h of readings;")


def test_a_fitted_device_is_called_after_its_file(tmp_path: Path) -> None:
    write_recording(reading("pm25", wavy(5.0, 200.0)), tmp_path / "a.csv")
    write_recording(reading("pm25", wavy(5.0, 900.0)), tmp_path / "b.csv")
    files = [str(tmp_path / name) for name in ("a.csv", "b.csv")]
    for name, words in (("mine", files[:1]), ("both", files)):
        out = tmp_path / f"{name}.toml"
        done = CliRunner().invoke(saafe, ["devices", "fit", *words, "--out", str(out)])
        assert done.exit_code == 0, done.output
        assert load_device(str(out)).name == name


def test_the_list_has_words_to_the_left() -> None:
    lines = CliRunner(env={"COLUMNS": "200"}).invoke(saafe, ["devices", "list"]).stdout.splitlines()
    for word in ("kind", "channels", "reports", "title"):
        at = lines[0].index(word)
        assert {line[at - 1] for line in lines if len(line) > at} == {" "}, word
        assert all(line[at] != " " for line in lines[1:] if len(line) > at), word


def test_too_little_to_fit_is_one_line() -> None:
    short = quiet_days("saafe-6", 0.1)
    with pytest.raises(InputError, match="no channel has 50 readings"):
        fit_device(short)
    with pytest.raises(InputError, match="its sensors: A"):
        fit_device(short, sensor="B")


def test_devices_from_the_command_line(tmp_path: Path) -> None:
    def say(*words: str) -> str:
        done = CliRunner().invoke(saafe, ["devices", *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert len(json.loads(say("list", "--json"))) == len(device_names())
    shown = json.loads(say("show", "aranet4-home", "--json"))
    assert shown["channels"]["co2"]["reporting"]["every_s"] == 300.0
    write_recording(quiet_days("aranet4-home"), tmp_path / "home.csv")
    mine = str(tmp_path / "mine.toml")
    fitted = json.loads(say("fit", str(tmp_path / "home.csv"), "--out", mine, "--json"))
    assert fitted["channels"].keys() == shown["channels"].keys()
    assert load_device(mine).channels["co2"].reporting.every_s == 300.0


# --- comparing --------------------------------------------------------------------------------


def test_devices_of_one_seed_hang_in_the_same_air() -> None:
    one, other = (
        simulate_streams(6, generator=seeded(4), hours=1.0, mix=Mix(0.5, device=name), alarms=True)
        for name in ("saafe-6", "sonoff-snzb-02b")
    )
    assert torch.equal(one.truth, other.truth)
    assert torch.equal(one.alarms_at_s, other.alarms_at_s)
    assert not torch.equal(one.reported, other.reported)


@pytest.mark.parametrize("hung", ["same", "other"])
def test_sensors_hang_where_they_are_asked_to(hung: str) -> None:
    rooms = Rooms(ceiling_share=float(hung == "same"), hung=hung)
    mix = Mix(1.0, nuisance_counts=(1.0, 0.0, 0.0))
    streams = simulate_streams(24, generator=seeded(4), hours=1.0, mix=mix, rooms=rooms)
    assert (streams.beside_fire == (hung == "same")).all()
    there = Rooms(hung=hung)
    building = draw_building(200, 3, replace(there, ceiling_share=0.0), seeded(1))
    assert not building.under_ceiling.any()
    assert (building.zones[:, None] > building.sensor_zone).all(), "in a room that is in use"


@pytest.mark.slow
def test_devices_are_compared_on_the_same_fires(tmp_path: Path) -> None:
    deaf = AlarmSettings(fast=90.0, slow=90.0, steady=90.0)
    model = Scorer(lambda windows: np.zeros(len(windows)), deaf)
    plan = ComparisonPlan(model, fires=2, nuisances=1, quiet=4)
    names = ["saafe-6", "sonoff-snzb-02", "figaro-tgs5042"]
    compared = compare_devices(names, plan)
    rows = compared["devices"]
    assert [row["device"] for row in rows] == names
    assert len({row["fires"] for row in rows}) == 1, "the same fires"
    for row in rows:
        assert row["fires"] == sum(row[key] for key in ("in_time", "late", "early", "missed"))
        assert row["in_time_lower"] <= row["in_time_share"] <= row["in_time_upper"]
        for parts in ("by_mode", "by_kind", "by_room"):
            assert sum(part["in_time"] for part in row[parts].values()) == row["in_time"]
        assert row["alarms_per_100_cookings"]["n"] > 0
        for year in row["alarms_per_year"].values():
            assert year["lower"] <= year["value"] <= year["upper"]
    best, hourly, gas = (row["not_shown"] for row in rows)
    assert best <= min(hourly, gas), "more channels show more fires"
    alarms = {row["alarm"]: row for row in compared["reference_alarms"]}
    assert alarms["photo"]["in_time"]["value"] > alarms["heat"]["in_time"]["value"]
    draw_comparison(compared, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_wrong_with_a_comparison_is_one_line(tmp_path: Path) -> None:
    for words, said in (
        (["saafe-6", "nosuch"], "unknown"),
        (["saafe-6", "saafe-6"], "named twice"),
        (["saafe-6", "--plot", "p.gif"], "ends in .png"),
        (["saafe-6", "--plot", str(tmp_path / "no" / "p.png")], "there is no folder"),
        (["saafe-6", "--model", "m", "--tier", "tiny"], "give one of them"),
        (["saafe-6", "--model", str(tmp_path / "absent")], "no such run folder"),
        (["saafe-6", "--tier", "tinny"], "did you mean tiny"),
    ):
        done = CliRunner().invoke(saafe, ["devices", "compare", *words])
        assert isinstance(done.exception, InputError), done.output
        assert said in str(done.exception)
        assert "\n" not in str(done.exception)
    for words in (["--place", "wall"], ["--room", "attic"], ["--seed", "-1"], ["--fires", "0"]):
        assert CliRunner().invoke(saafe, ["devices", "compare", "saafe-6", *words]).exit_code == 2


def test_amounts_have_no_exponents() -> None:
    years = {"value": 45.2, "lower": 0.000083, "upper": 2312.0}
    assert amount_of(years) == "45 (<0.1-2,300)"
    assert amount_of({"value": 0.0, "lower": 0.0, "upper": 371.0}) == "0 (0-370)"


@pytest.mark.parametrize(
    "text",
    ["without = [[1]]", "without = [{}]", "without = 1", "a = " + "[" * 3000, "a = " + "9" * 5000],
    ids=["a list", "a table", "a number", "brackets", "digits"],
)
def test_odd_toml_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f'parts = ["sensirion-scd30"]\n{text}\n')
    with pytest.raises(InputError, match=r"odd\.toml: ") as error:
        load_device(str(path))
    assert "\n" not in str(error.value)


def test_a_device_file_may_begin_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(to_toml(load_device("sensirion-scd30")), encoding="utf-8-sig")
    assert load_device(str(path)) == load_device("sensirion-scd30")


def standing(values: dict[str, float], period_s: float = 10.0, rows: int = 500) -> Recording:
    readings = np.full((rows, 1, len(CHANNELS)), np.nan, np.float32)
    for index, channel in enumerate(CHANNELS):
        readings[:, 0, index] = values.get(channel.name, np.nan)
    return Recording("home", np.arange(rows) * period_s, ("A",), readings)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda one: one.name)
@pytest.mark.parametrize("end", ["lowest", "highest"])
def test_what_is_fitted_to_a_channel_at_its_end_is_a_device(channel: Channel, end: str) -> None:
    fitted = fit_device(standing({channel.name: getattr(channel, end)}))
    assert device_table(device_from_text(to_toml(fitted))) == (device_table(fitted))


def test_a_channel_that_reports_less_than_daily_is_left_out() -> None:
    both = standing({"co2": 500.0, "humidity": 40.0}, period_s=3600.0, rows=48 * 60)
    both.readings[np.arange(48 * 60) % 48 > 0, 0, CO2] = np.nan
    fitted = fit_device(both)
    assert list(fitted.channels) == ["humidity"]
    assert "co2: left out, it reports less than once a day" in fitted.notes
    with pytest.raises(InputError, match="one a day or more; give a longer recording"):
        fit_device(standing({"co2": 500.0}, period_s=2 * 86400.0, rows=60))


@pytest.mark.parametrize("text", ["", 'title = "x"', "name = 5", "name = [", "a = " + "[" * 3000])
def test_a_kept_text_that_is_no_device_is_refused(text: str) -> None:
    """As of a recipe: without a name a file ended with a traceback as it was loaded."""
    with pytest.raises(InputError, match="device: "):
        device_from_text(text)
