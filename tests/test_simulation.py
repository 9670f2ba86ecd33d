"""Simulated streams: labels, faults, limits, determinism, windows and recordings."""

import math

import numpy as np
import pytest
import torch

from saafe import windows
from saafe.errors import InputError
from saafe.sensors import (
    CHANNELS,
    CO,
    CO2,
    FIRE,
    HUMIDITY,
    LABELS,
    NORMAL,
    NUISANCE,
    PM25,
    TEMPERATURE,
    UNKNOWN,
)
from saafe.simulator import (
    instruments,
    limits,
    scenarios,
    sensor_faults,
    simulation,
    sources,
)
from saafe.simulator.aerosols import AEROSOLS, AerosolKind
from saafe.simulator.buildings import lay_out
from saafe.simulator.devices.catalogue import load_device
from saafe.simulator.emissions import ROOM_NAMES
from saafe.simulator.instruments import draw_instruments
from saafe.simulator.reference_alarms import REFERENCE_ALARMS
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import StreamSettings, simulate_chunks
from saafe.simulator.streams import Streams, describe_stream, gather, to_recordings

N = 48


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def streams() -> Streams:
    return simulation.simulate_streams(N, generator=seeded(0), hours=3.0, sensors=3)


# --- streams ----------------------------------------------------------------------------------


def test_same_seed_same_bytes() -> None:
    first, again, other = (
        simulation.simulate_streams(8, generator=seeded(s), hours=0.5) for s in (3, 3, 4)
    )
    for name, value in vars(first).items():
        assert value.numpy().tobytes() == getattr(again, name).numpy().tobytes(), name
    assert first.readings.numpy().tobytes() != other.readings.numpy().tobytes()


def test_shapes(streams: Streams) -> None:
    assert streams.readings.shape == streams.truth.shape == (N, 1080, 3, len(CHANNELS))
    assert streams.labels.shape == (N, 1080, 3)
    assert streams.labels.dtype == streams.state.dtype == torch.int8
    assert streams.state.shape == (N, 1080)


def test_chunks_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "SIMULATION_CHUNK", 4)
    streams = simulation.simulate_streams(10, generator=seeded(5), hours=0.2)
    assert all(len(value) == 10 for value in vars(streams).values())
    assert (streams.fire >= 0).tolist() == [True, True, False, False] * 2 + [True, False]


def test_channels_fall_silent_together_and_only_without_reports(streams: Streams) -> None:
    missing = torch.isnan(streams.readings).transpose(1, 2)  # (n, sensor, time, channel)
    reported = streams.reported.transpose(1, 2).flatten(0, 1)
    silent = 0
    for sensor, heard in zip(missing.flatten(0, 1), reported, strict=True):
        present = sensor[:, ~sensor.all(dim=0)]
        assert present.shape[1] > 0, "a sensor without any channel"
        assert (present == present[:, :1]).all(), "channels fall silent together"
        assert not (present[:, 0] & heard).any(), "a report holds readings"
        silent += int(present.any())
    assert 0 < silent < 0.25 * len(reported)  # one sensor in ten


def test_reports_come_at_the_period_but_for_late_and_lost_ones() -> None:
    devices = draw_instruments(256, 1, seeded(9))
    reported = instruments.reports(2000, devices, seeded(10))[:, :, 0]
    calm = (devices.late_chance + devices.lost_chance + devices.gap_chance)[:, 0] == 0.0
    share = reported.float().mean(dim=0) * devices.hold_steps[:, 0]
    assert ((share[calm] - 1.0).abs() < 0.01).all()
    assert (share[devices.lost_chance[:, 0] > 0.02] < 0.99).all()
    late = (devices.late_chance[:, 0] > 0.05) & (devices.hold_steps[:, 0] == 3)
    steps = reported[:, late].nonzero()[:, 0]
    assert late.any()
    assert len(set((steps % 3).tolist())) > 1


def test_nothing_is_negative_or_infinite(streams: Streams) -> None:
    for values in (streams.truth, streams.readings.nan_to_num(1.0)):
        assert torch.isfinite(values).all()
        assert (values[..., [PM25, CO2, CO, HUMIDITY]] >= 0.0).all()
        assert (values[..., HUMIDITY] <= 100.0).all()


def test_labels(streams: Streams) -> None:
    assert set(streams.labels.unique().tolist()) == {UNKNOWN, NORMAL, NUISANCE, FIRE}
    seconds = 10.0 * torch.arange(1080).view(1, -1, 1)
    burning = streams.labels == FIRE
    assert (
        seconds.expand_as(burning)[burning] > ignition(streams).expand_as(burning)[burning]
    ).all()
    assert (streams.state.unsqueeze(-1).expand_as(burning)[burning] == FIRE).all()
    # fires come first; where there is none, nothing is a fire
    fires = streams.fire >= 0
    assert fires.tolist() == [True] * 22 + [False] * 26
    assert torch.isinf(streams.ignition_s[~fires]).all()
    assert not burning[~fires].any()
    assert burning[fires].any(dim=2).any(dim=1).float().mean() > 0.5
    # without any event all is normal
    calm = (streams.fire < 0) & (streams.nuisance < 0).all(dim=1)
    assert calm.any()
    assert (streams.labels[calm] == NORMAL).all()


def ignition(streams: Streams) -> torch.Tensor:
    return streams.ignition_s.view(-1, 1, 1)


def test_no_fires_where_none_are_drawn() -> None:
    mix = Mix(fire_share=0.0, nuisance_counts=(0.0, 0.5, 0.5))
    streams = simulation.simulate_streams(16, generator=seeded(6), mix=mix, hours=1.5)
    assert (streams.fire == -1).all()
    assert set(streams.labels.unique().tolist()) == {UNKNOWN, NORMAL, NUISANCE}
    assert not (streams.state == FIRE).any()


def test_a_label_needs_something_to_show() -> None:
    mix = Mix(fire_share=1.0, fires=("curtain",), nuisance_counts=(1.0, 0.0, 0.0))
    streams = simulation.simulate_streams(16, generator=seeded(7), mix=mix, hours=2.0)
    burning = streams.labels == FIRE
    before = streams.truth[..., 0].gather(
        1, (streams.ignition_s / 10.0).long().view(-1, 1, 1).expand(-1, 1, 2)
    )
    rise = streams.truth[..., 0] - before
    assert rise[burning].amax() > 50.0
    unseen = (streams.state == FIRE).unsqueeze(-1) & ~burning
    assert (streams.labels[unseen] == UNKNOWN).all()


def test_mix_draws_the_named_sources_only() -> None:
    mix = scenarios.mix_of(("curtain", "toast"))
    streams = simulation.simulate_streams(12, generator=seeded(8), mix=mix, hours=0.5)
    names = [describe_stream(streams, k) for k in range(12)]
    assert {name["fire"] for name in names} == {"curtain", None}
    assert {x for name in names for x in name["nuisances"]} == {"toast"}


def test_a_nuisance_happens_so_many_times_once_in_each_part() -> None:
    mix = scenarios.mix_of(("toast", "shower"), times=4)
    streams = simulation.simulate_streams(4, generator=seeded(8), mix=mix, hours=24.0)
    assert (streams.nuisance >= 0).all(), "two kinds a home"
    acting = streams.acting.reshape(4, 4, -1).any(dim=-1)  # (n, quarter)
    assert acting[:, 1:].all(), "the first may have begun and ended before the stream"
    assert not streams.acting.all(dim=1).any()
    once = scenarios.mix_of(("toast", "shower"))
    assert once.nuisance_counts == (0.0, 1.0, 0.0), "without it, one thing a recording"


# --- faults and limits ------------------------------------------------------------------------


def broken_streams(kind: int) -> tuple[Streams, torch.Tensor]:
    """Streams in which half of the sensors are broken, and the (n, sensor) of one kind."""
    mix = Mix(fault_share=0.5)
    streams = simulation.simulate_streams(96, generator=seeded(11), mix=mix, hours=1.0)
    found = (streams.fault == kind).nonzero()
    assert len(found) > 2, sensor_faults.SENSOR_FAULTS[kind]
    return streams, found


@pytest.mark.parametrize("kind", [sensor_faults.STUCK, sensor_faults.DEAD])
def test_stuck_and_dead_channels_stand_still(kind: int) -> None:
    streams, found = broken_streams(kind)
    for n, sensor in found.tolist():
        channel = int(streams.fault_channel[n, sensor])
        onset = int(streams.fault_s[n, sensor] / 10.0)
        after = streams.readings[n, onset + 12 :, sensor, channel]
        after = after[~torch.isnan(after)]
        assert len(after.unique()) <= 1
        if kind == sensor_faults.DEAD and len(after):
            assert after[0] <= streams.readings[n, :, sensor, channel].nan_to_num(1e9).min()


def test_loose_contacts_spike() -> None:
    streams, found = broken_streams(sensor_faults.SPIKES)
    jumps = 0
    for n, sensor in found.tolist():
        channel = int(streams.fault_channel[n, sensor])
        onset = int(streams.fault_s[n, sensor] / 10.0)
        step = streams.readings[n, :, sensor, channel].diff().abs().nan_to_num(0.0)
        jumps += int(step[onset:].max() > 5.0 * step[:onset].max()) if 0 < onset < 350 else 0
    assert jumps > len(found) // 3


def test_swapped_channels_are_temperature_and_humidity() -> None:
    streams, found = broken_streams(sensor_faults.SWAPPED)
    swapped = 0
    for n, sensor in found.tolist():
        shown = streams.readings[n, :, sensor].nanmean(dim=0)
        true = streams.truth[n, :, sensor].mean(dim=0)
        swap = (shown[TEMPERATURE] - true[HUMIDITY]).abs()
        swapped += int(swap < (shown[TEMPERATURE] - true[TEMPERATURE]).abs() or swap < 8.0)
    assert swapped >= len(found) - 1  # one unresponsive to a fire shows what it would be without


def test_a_slow_channel_lags_twentyfold() -> None:
    devices = draw_instruments(64, 2, seeded(12))
    broken = sensor_faults.draw_faults(devices, 0.5, 100, seeded(13))
    ratio = sensor_faults.slowed(devices.lag_s, broken) / devices.lag_s
    slow = broken.kind == sensor_faults.SLOW
    assert slow.any()
    torch.testing.assert_close(ratio.amax(dim=-1), torch.where(slow, 20.0, 1.0))
    assert (ratio.sum(dim=-1)[slow] - 25.0).abs().max() < 1e-3
    assert (broken.onset[slow] == 0).all()


def test_sources_happen_in_their_rooms_and_sensors_stand_within_them() -> None:
    plan = StreamSettings(hours=0.2, sensors=2)
    world = simulation.draw_world(256, plan, seeded(21))
    events, building = world.events, world.building
    chosen = torch.cat([events.fire.unsqueeze(1), events.nuisance], dim=1)
    assert (events.zone < building.zones.unsqueeze(1)).all()
    needed = scenarios.rooms_needed(chosen, seeded(1))
    layout = lay_out(needed, seeded(2))
    at = layout.purpose.gather(1, layout.event_zone)
    assert torch.equal(at[needed >= 0], needed[needed >= 0])
    for slot, registry in enumerate(scenarios.REGISTRIES):
        for row in (needed[:, slot] >= 0).nonzero()[:, 0].tolist():
            room = ROOM_NAMES[int(needed[row, slot])]
            assert room in registry[int(chosen[row, slot])].rooms
    # half of a diagonal; the volume is at least 60 % of the room's
    volume = building.volume.gather(1, building.sensor_zone) / 0.6
    reach = 0.7 * (volume / building.height.gather(1, building.sensor_zone)).sqrt()
    for distance in (building.distance, building.fire_distance):
        assert (distance >= 0.3).all()
        assert (distance <= reach + 0.01).all()


def test_carbon_monoxide_without_a_fire_is_neither_fire_nor_nuisance() -> None:
    mix = scenarios.mix_of(("generator",))
    streams = simulation.simulate_streams(32, generator=seeded(22), mix=mix, hours=2.0)
    poisoned = streams.truth[..., CO] > 200.0
    assert poisoned.any()
    assert (streams.labels[poisoned] == UNKNOWN).all()


@pytest.mark.parametrize("name", ["saafe-6", "saafe-4"])
def test_devices_of_reference_report_every_ten_seconds_within_their_figures(name: str) -> None:
    mix = scenarios.mix_of((), name)
    streams = simulation.simulate_streams(24, generator=seeded(24), mix=mix, hours=1.0)
    readings = streams.readings
    present = ~torch.isnan(readings).all(dim=1)
    has = load_device(name).channels
    channels = torch.tensor([channel.name in has for channel in CHANNELS])
    assert (present == channels).all()
    assert streams.reported.all()
    assert readings[..., PM25].nan_to_num(0.0).max() <= 1000.0
    quiet = (streams.labels == NORMAL).unsqueeze(-1) & torch.isfinite(readings)
    error = (readings - streams.truth)[..., TEMPERATURE][quiet[..., TEMPERATURE]]
    assert error.abs().median() < 0.7  # +-0.5 K and the lag
    step = (readings[..., TEMPERATURE] * 10.0).nan_to_num(0.0)
    step *= (streams.fault == sensor_faults.NONE).unsqueeze(1)  # a loose contact knows no steps
    assert (step - step.round()).abs().max() < 1e-2


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(InputError, match="saafe-6"):
        scenarios.mix_of((), "saafe-7")


def test_reference_alarms_sound_in_smoke_and_are_described() -> None:
    mix = scenarios.mix_of(("flaming_foam",))
    streams = simulation.simulate_streams(16, generator=seeded(25), mix=mix, hours=2.0, alarms=True)
    beside = streams.beside_fire.unsqueeze(-1).expand_as(streams.alarms_s)
    assert torch.isfinite(streams.alarms_s[beside]).float().mean() > 0.5
    names = [alarm.name for alarm in REFERENCE_ALARMS]
    for k in range(16):
        sounding = describe_stream(streams, k)["reference_alarms_s"]
        first = streams.alarms_s[k].amin(dim=0)
        assert sounding == {
            name: time for name, time in zip(names, first.tolist(), strict=True) if time < math.inf
        }
    photo, ionisation = (streams.alarms_s[..., names.index(n)] for n in ("photo", "ionisation"))
    both = torch.isfinite(photo) & torch.isfinite(ionisation)
    assert (ionisation[both] <= photo[both]).float().mean() > 0.9  # flames: ionisation first


def test_meters_see_smoke_by_what_it_is() -> None:
    devices = draw_instruments(512, 1, seeded(23))
    seen = devices.response[:, 0]  # of mass
    for kind, aerosol in enumerate(AEROSOLS):
        assert (seen[:, kind] >= aerosol.fine_share * aerosol.meter[0] * 0.999).all()
        assert (seen[:, kind] <= aerosol.fine_share * aerosol.meter[1] * 1.001).all()
    dust, smoulder = AerosolKind.DUST, AerosolKind.SMOULDERING
    assert (seen[:, dust] < seen[:, smoulder]).all()


def test_only_channels_that_tell_the_truth_show_an_event() -> None:
    devices = draw_instruments(256, 2, seeded(14))
    broken = sensor_faults.draw_faults(devices, 0.5, 100, seeded(15))
    working = sensor_faults.working(broken, 100)
    lost = (~working).sum(dim=-1)  # (time, n, sensor)
    assert (lost[:, broken.kind == sensor_faults.SWAPPED] == 2).all()
    assert (lost[:, broken.kind == sensor_faults.NONE] == 0).all()
    for kind in (sensor_faults.STUCK, sensor_faults.DEAD):
        n, sensor = (broken.kind == kind).nonzero(as_tuple=True)
        before = torch.arange(100).unsqueeze(1) < broken.onset[n, sensor]
        assert (lost[:, n, sensor] == (~before).long()).all()


def test_limits_are_reached_at_their_time() -> None:
    truth = torch.zeros(1, 100, 1, len(CHANNELS))
    truth[..., TEMPERATURE] = 20.0
    truth[:, 10:, :, TEMPERATURE] = 41.0
    truth[:, 20:, :, TEMPERATURE] = 120.0
    density = torch.zeros(1, 100, 1)
    density[:, 30:] = 0.151
    truth[:, 40:, :, CO] = 3_500.0  # a tenth of the dose each minute
    times = dict(
        zip(
            (x.name for x in limits.LIMITS),
            limits.times_reached(truth, density)[0, 0].tolist(),
            strict=True,
        )
    )
    assert times["rise_20k"] == 100.0
    assert times["temperature_57c"] == 200.0
    assert times["od_0.14"] == times["od_0.05"] == 300.0
    assert times["od_0.182"] == math.inf
    # 0.3 after 3 min = 18 readings, of which the first is the one at 400 s
    assert times["gas_dose_0.3"] == pytest.approx(400.0 + 170.0, abs=10.0)
    # 120 degC: 120^3.4 / 5e7 = 0.2346 a minute, 0.3 within 77 s
    assert times["heat_dose_0.3"] == 200.0 + 70.0
    assert times["gas_dose_1"] == 400.0 + 590.0


def test_descriptions_tell_limits_and_faults() -> None:
    mix = Mix(fire_share=1.0, fires=("flaming_foam",), fault_share=1.0)
    streams = simulation.simulate_streams(8, generator=seeded(16), mix=mix, hours=1.0)
    told = [describe_stream(streams, k) for k in range(8)]
    assert all(len(one["faults"]) == 2 for one in told)
    reached = [one["limits_s"]["rise_20k"] for one in told if "rise_20k" in one["limits_s"]]
    assert len(reached) > 2
    assert all(t >= 0.0 for t in reached)


# --- many scenarios ---------------------------------------------------------------------------


def test_unlabelled_streams_are_unknown() -> None:
    (streams,) = simulate_chunks(12, StreamSettings(hours=0.3, labelled=False), seeded(17))
    assert (streams.labels == UNKNOWN).all()
    assert torch.isfinite(streams.truth).all()


@pytest.mark.slow
def test_ten_thousand_scenarios() -> None:
    plan = StreamSettings(hours=1.0, sensors=1, mix=Mix(balance=0.0))  # rare ones as often as any
    reached = set()
    fires, nuisances = (
        torch.zeros(len(r), dtype=torch.int64) for r in (sources.FIRES, sources.OTHERS)
    )
    for streams in simulate_chunks(10_000, plan, seeded(18)):
        present = ~torch.isnan(streams.readings).all(dim=1, keepdim=True)
        missing = torch.isnan(streams.readings) & present
        assert (missing == missing.any(dim=-1, keepdim=True) & present).all()
        assert not (missing.any(dim=-1) & streams.reported).any()
        for values in (streams.truth, streams.readings.nan_to_num(1.0)):
            assert torch.isfinite(values).all()
            assert (values[..., [PM25, CO2, CO]] >= 0.0).all()
        assert (streams.truth[..., HUMIDITY] >= 0.0).all()
        reached |= set(streams.labels.unique().tolist())
        burning = (streams.labels == FIRE).any(dim=2).any(dim=1)
        fires += torch.bincount(streams.fire[burning], minlength=len(fires))
        shown = (streams.labels == NUISANCE).any(dim=2).any(dim=1) & (streams.fire < 0)
        nuisances += torch.bincount(
            streams.nuisance[shown].flatten() + 1, minlength=len(nuisances) + 1
        )[1:]
    assert reached == {UNKNOWN, *range(len(LABELS))}
    assert (fires > 0).all(), "a fire that never shows"
    harmless = len(sources.NUISANCES)
    assert (nuisances[:harmless] > 0).all(), "a nuisance that never shows"


# --- counterfactual runs


@pytest.mark.parametrize("length", [windows.SPAN, 300, 2])
def test_gather_equals_cut(streams: Streams, length: int) -> None:
    ends = torch.tensor([0, 1, 30, 300, 739, 740, 900, 1079])
    for k, sensor in ((0, 0), (10, 1), (N - 1, 2)):
        stream, place = torch.full_like(ends, k), torch.full_like(ends, sensor)
        got = gather(streams.readings, stream, ends, place, ends - length + 1)
        grid = streams.readings[k, :, sensor].numpy()
        for end, window in zip(ends.tolist(), got, strict=True):
            known = grid.copy()
            known[: max(0, end - length + 1)] = np.nan
            expected = windows.cut_windows(known, np.array([end]))[0]
            np.testing.assert_allclose(window.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_recordings_give_the_grid_back(streams: Streams) -> None:
    compared = 0
    for k, recording in enumerate(to_recordings(streams)):
        for s in range(3):
            reports = np.flatnonzero(streams.reported[k, :, s].numpy())
            grid, fresh, first = windows.to_grid(recording.times_s, recording.readings[:, s])
            assert first == 0
            begin = reports[0]
            np.testing.assert_array_equal(grid[begin:], streams.readings[k, begin:, s].numpy())
            np.testing.assert_array_equal(np.flatnonzero(fresh), reports)
            compared += 1
    assert compared == 3 * N


def test_recordings_carry_labels_and_sources(streams: Streams) -> None:
    recordings = to_recordings(streams, first=7)
    assert recordings[0].name == "simulated-00007"
    assert recordings[0].sensors == ("A", "B", "C")
    for k, recording in enumerate(recordings):
        assert recording.labels is not None
        assert recording.sources is not None
        np.testing.assert_array_equal(recording.labels, streams.labels[k].numpy())
        fire = describe_stream(streams, k)["fire"]
        burning = (streams.state[k] == FIRE).numpy()
        assert [s == fire for s in recording.sources] == burning.tolist() or fire is None


# --- instruments ------------------------------------------------------------------------------


def test_lag_follows_a_step_as_first_order() -> None:
    truth = torch.zeros(100, 1, 1, len(CHANNELS))
    truth[1:] = 1.0
    seen = instruments.lagged(truth, torch.full((1, 1, len(CHANNELS)), 50.0))
    assert seen[0].max() == 0.0
    assert seen[5].max().item() == pytest.approx(1.0 - math.exp(-1.0), rel=1e-5)
