"""Simulated streams: conservation, closed forms, labels, and a scalar loop of the same laws."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from saafe import emissions, instruments, physics, simulation, windows
from saafe.air import Supply, carry
from saafe.buildings import ZONES, Building, Rooms, draw_building
from saafe.emissions import CARRIED, HEAT, OXYGEN
from saafe.events import Mix, draw_events
from saafe.life import life
from saafe.sensors import CO, CO2, FIRE, HUMIDITY, NORMAL, NUISANCE, PM25, UNKNOWN
from saafe.simulation import gather_supply, take
from saafe.streams import Streams

N = 48


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def streams() -> Streams:
    return simulation.simulate(N, generator=seeded(0), hours=3.0, sensors=3)


def still_air(n: int) -> Building:
    """Buildings that keep what they are given: no fresh air, no losses, clean outdoors."""
    building = draw_building(n, 1, Rooms(), seeded(1))
    return replace(
        building,
        fresh=torch.zeros_like(building.fresh),
        wall_loss=torch.zeros_like(building.wall_loss),
        deposition=torch.zeros_like(building.deposition),
        outdoor=torch.zeros_like(building.outdoor),
    )


def supply_of(rates: torch.Tensor, fires: int = 0) -> Supply:
    steps, n = rates.shape[:2]
    none = rates.new_zeros(steps, n, ZONES)
    return Supply(
        rates=rates.clone(),
        fire=rates.new_zeros(steps, fires, ZONES, CARRIED),
        vent=none.clone(),
        outdoor_pm=rates.new_zeros(steps, n),
        sound=none.clone(),
        radiant=none.clone(),
    )


# --- the air ----------------------------------------------------------------------------------


def test_mass_is_conserved() -> None:
    n, steps = 16, 360
    building = still_air(n)
    rates = torch.rand(steps, n, ZONES, CARRIED, generator=seeded(2))
    air = carry(building, supply_of(rates), [10.0] * steps)
    held = (air * building.volume.view(1, n, ZONES, 1)).sum(dim=2)
    emitted = (10.0 * rates).sum(dim=2).cumsum(dim=0)
    emitted[..., HEAT] *= 0.7 / (physics.AIR_DENSITY * physics.AIR_HEAT_CAPACITY)
    torch.testing.assert_close(held, emitted, rtol=1e-4, atol=1e-4)


def test_mass_of_a_fire_is_conserved_while_it_has_air() -> None:
    n, steps = 8, 60
    building = still_air(n)
    supply = supply_of(torch.zeros(steps, n, ZONES, CARRIED), fires=5)
    supply.fire[:, :, 0] = torch.rand(steps, 5, CARRIED, generator=seeded(3))
    supply.fire[..., OXYGEN] = 0.0  # it never runs short
    emitted = (10.0 * supply.fire).sum(dim=(0, 2))
    emitted[:, HEAT] *= 0.7 / (physics.AIR_DENSITY * physics.AIR_HEAT_CAPACITY)
    air = carry(building, supply, [10.0] * steps)
    held = (air[-1] * building.volume.unsqueeze(-1)).sum(dim=1)
    torch.testing.assert_close(held[:5], emitted, rtol=1e-4, atol=1e-4)
    assert (held[5:] == 0.0).all()


def test_fire_starves_without_oxygen() -> None:
    building = still_air(2)
    supply = supply_of(torch.zeros(720, 2, ZONES, CARRIED), fires=2)
    supply.fire[:, :, 0, OXYGEN] = 1e3  # g/s
    deficit = carry(building, supply, [10.0] * 720)[..., OXYGEN]
    total = (deficit * building.volume).sum(dim=2)
    assert (total[-1] < 0.2 * 1e3 * 10.0 * 720).all()
    assert (total.diff(dim=0) > 0.0).all()


def test_one_zone_follows_the_closed_form() -> None:
    n, steps, emission, quantity = 12, 720, 0.2, emissions.CO2
    building = still_air(n)
    building.door.zero_()
    building.fan.zero_()
    building.fresh = building.volume * torch.linspace(0.1, 8.0, n).unsqueeze(1) / 3600.0
    building.outdoor[:, quantity] = 0.77
    rates = torch.zeros(steps, n, ZONES, CARRIED)
    rates[:, :, 0, quantity] = emission
    air = carry(building, supply_of(rates), [10.0] * steps)[:, :, 0, quantity]
    expected = 0.77 + physics.diluted_concentration(
        10.0 * torch.arange(1, steps + 1).unsqueeze(1),
        emission=torch.tensor(emission),
        volume=building.volume[:, 0],
        flow=building.fresh[:, 0],
        initial=torch.tensor(0.0),
    )
    torch.testing.assert_close(air, expected, rtol=0.02, atol=0.0)


def loop_carry(building: Building, supply: Supply, steps_s: list[float], r: int) -> np.ndarray:
    """`air.carry` for one row, one number at a time, from the same laws. (time, zone, k)"""
    volume, fresh, wall = (
        [float(x) for x in part[r]]
        for part in (building.volume, building.fresh, building.wall_loss)
    )
    outdoor = [float(x) for x in building.outdoor[r]]
    deposition = [float(x) for x in building.deposition[r]]
    excess = float(building.outdoor_excess_c[r])
    rates, vent = supply.rates[:, r].tolist(), supply.vent[:, r].tolist()
    smoke = supply.outdoor_pm[:, r].tolist()
    fire = supply.fire[:, r].tolist() if r < supply.fire.shape[1] else None
    state = [list(outdoor) for _ in range(3)]
    out = np.empty((len(steps_s), 3, CARRIED))
    for k, step in enumerate(steps_s):
        swaps = []
        for door in range(2):
            drop = state[door][HEAT] - state[door + 1][HEAT]
            buoyant = physics.door_exchange_flow(
                building.door[r, door].double(),
                height=torch.tensor(2.0, dtype=torch.float64),
                temperature_difference=torch.tensor(drop, dtype=torch.float64),
                temperature=torch.tensor(293.0, dtype=torch.float64),
            )
            swaps.append(float(buoyant) + float(building.fan[r, door]))
        air = [min(max(1.0 - (zone[OXYGEN] - 105.0) / 60.0, 0.02), 1.0) for zone in state]
        new = [[0.0] * CARRIED for _ in range(3)]
        for q in range(CARRIED):
            matrix, right = np.zeros((3, 3)), np.zeros(3)
            for z in range(3):
                given = rates[k][z][q] + (air[z] * fire[k][z][q] if fire else 0.0)
                lost = volume[z] * (deposition[q] + (wall[z] if q == HEAT else 0.0))
                open_air = fresh[z] + vent[k][z]
                if q == HEAT:
                    given *= 0.7 / (1.2 * 1.005)
                    given += vent[k][z] * excess
                if q == emissions.PM:
                    given += open_air * smoke[k]
                if q == emissions.WATER:
                    given += lost * outdoor[q]  # walls give back what they take
                matrix[z, z] = volume[z] / step + open_air + lost
                right[z] = volume[z] / step * state[z][q] + given + open_air * outdoor[q]
            for door in range(2):
                matrix[door, door] += swaps[door]
                matrix[door + 1, door + 1] += swaps[door]
                matrix[door, door + 1] -= swaps[door]
                matrix[door + 1, door] -= swaps[door]
            solved = np.linalg.solve(matrix, right)
            for z in range(3):
                new[z][q] = float(solved[z])
        state = new
        out[k] = state
    return out


def test_batched_air_agrees_with_a_scalar_loop() -> None:
    n, hours = 20, 1.0
    random = seeded(4)
    building = draw_building(n, 1, Rooms(), random)
    steps_s = [60.0] * 30 + [10.0] * 120
    clock = torch.tensor([-1800.0, *steps_s[:-1]]).cumsum(0).unsqueeze(1)
    mix = Mix(fire_share=0.5, nuisance_counts=(0.1, 0.4, 0.5))
    events = draw_events(clock, hours, mix, building.zones, random)
    people = life(clock.expand(-1, n), random)
    rows = torch.cat([torch.arange(n), torch.arange(n // 2)])
    spread = take(building, rows)
    supply = gather_supply(people, events, rows, n, n // 2)
    supply.vent[:, :4, 0] += 0.1  # some windows are open whatever was drawn
    supply.outdoor_pm[:, :4] += 0.2
    expected = [loop_carry(spread, supply, steps_s, r) for r in range(n)]
    got = carry(spread, supply, steps_s)
    for r in range(n):
        mine, theirs = got[:, r].double().numpy(), expected[r]
        largest = np.abs(theirs).max(axis=(0, 1))
        error = np.abs(mine - theirs).max(axis=(0, 1)) / np.maximum(largest, 1e-9)
        assert error.max() < 1e-4, (r, error)
    assert got[..., HEAT].max() > 5.0  # something burned


# --- streams ----------------------------------------------------------------------------------


def test_same_seed_same_bytes() -> None:
    first, again, other = (
        simulation.simulate(8, generator=seeded(s), hours=0.5) for s in (3, 3, 4)
    )
    for name, value in vars(first).items():
        assert value.numpy().tobytes() == getattr(again, name).numpy().tobytes(), name
    assert first.readings.numpy().tobytes() != other.readings.numpy().tobytes()


def test_shapes(streams: Streams) -> None:
    assert streams.readings.shape == streams.truth.shape == (N, 1080, 3, 6)
    assert streams.labels.shape == (N, 1080, 3)
    assert streams.labels.dtype == streams.state.dtype == torch.int8
    assert streams.state.shape == (N, 1080)


def test_chunks_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "CHUNK", 4)
    streams = simulation.simulate(10, generator=seeded(5), hours=0.2)
    assert all(len(value) == 10 for value in vars(streams).values())
    assert (streams.fire >= 0).tolist() == [True, True, False, False] * 2 + [True, False]


def test_present_channels_are_missing_in_one_gap_at_most(streams: Streams) -> None:
    missing = torch.isnan(streams.readings).transpose(1, 2)  # (n, sensor, time, channel)
    gaps = 0
    for sensor in missing.flatten(0, 1):
        present = sensor[:, ~sensor.all(dim=0)]
        assert present.shape[1] > 0, "a sensor without any channel"
        assert (present == present[:, :1]).all(), "channels fall silent together"
        edges = present[:, 0].int().diff().abs().sum() + present[0, 0].int()
        assert edges <= 2
        gaps += int(present.any())
    assert 0 < gaps < 0.25 * len(missing.flatten(0, 1))  # one sensor in ten


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
    streams = simulation.simulate(16, generator=seeded(6), mix=mix, hours=1.5)
    assert (streams.fire == -1).all()
    assert set(streams.labels.unique().tolist()) == {UNKNOWN, NORMAL, NUISANCE}
    assert not (streams.state == FIRE).any()


def test_a_label_needs_something_to_show() -> None:
    mix = Mix(fire_share=1.0, fires=("curtain",), nuisance_counts=(1.0, 0.0, 0.0))
    streams = simulation.simulate(16, generator=seeded(7), mix=mix, hours=2.0)
    burning = streams.labels == FIRE
    before = streams.truth[..., 0].gather(
        1, (streams.ignition_s / 10.0).long().view(-1, 1, 1).expand(-1, 1, 2)
    )
    rise = streams.truth[..., 0] - before
    assert rise[burning].amax() > 50.0
    unseen = (streams.state == FIRE).unsqueeze(-1) & ~burning
    assert (streams.labels[unseen] == UNKNOWN).all()


def test_mix_draws_the_named_sources_only() -> None:
    mix = simulation.mix_of(("curtain", "toast"))
    streams = simulation.simulate(12, generator=seeded(8), mix=mix, hours=0.5)
    names = [simulation.describe(streams, k) for k in range(12)]
    assert {name["fire"] for name in names} == {"curtain", None}
    assert {x for name in names for x in name["nuisances"]} == {"toast"}


# --- twins ------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [windows.SPAN, 300, 2])
def test_gather_equals_cut(streams: Streams, length: int) -> None:
    ends = torch.tensor([0, 1, 30, 300, 739, 740, 900, 1079])
    for k, sensor in ((0, 0), (10, 1), (N - 1, 2)):
        stream, place = torch.full_like(ends, k), torch.full_like(ends, sensor)
        got = simulation.gather(streams.readings, stream, ends, place, ends - length + 1)
        grid = streams.readings[k, :, sensor].numpy()
        for end, window in zip(ends.tolist(), got, strict=True):
            known = grid.copy()
            known[: max(0, end - length + 1)] = np.nan
            expected = windows.cut(known, np.array([end]))[0]
            np.testing.assert_allclose(window.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_recordings_give_the_grid_back(streams: Streams) -> None:
    whole = ~torch.isnan(streams.readings)
    compared = 0
    for k, recording in enumerate(simulation.to_recordings(streams)):
        for s in range(3):
            present = whole[k, :, s].any(dim=0)
            if not whole[k, :, s][:, present].all():
                continue  # it falls silent for a while
            phase = int(streams.hold_phase[k, s])
            grid, fresh, first = windows.to_grid(recording.times_s, recording.readings[:, s])
            assert first == 0
            np.testing.assert_array_equal(grid[phase:], streams.readings[k, phase:, s].numpy())
            period = int(streams.hold_steps[k, s])
            np.testing.assert_array_equal(np.flatnonzero(fresh), np.arange(phase, 1080, period))
            compared += 1
    assert compared > N


def test_recordings_carry_labels_and_sources(streams: Streams) -> None:
    recordings = simulation.to_recordings(streams, first=7)
    assert recordings[0].name == "simulated-00007"
    assert recordings[0].sensors == ("A", "B", "C")
    for k, recording in enumerate(recordings):
        assert recording.labels is not None
        assert recording.sources is not None
        np.testing.assert_array_equal(recording.labels, streams.labels[k].numpy())
        fire = simulation.describe(streams, k)["fire"]
        burning = (streams.state[k] == FIRE).numpy()
        assert [s == fire for s in recording.sources] == burning.tolist() or fire is None


# --- instruments ------------------------------------------------------------------------------


def test_lag_follows_a_step_as_first_order() -> None:
    truth = torch.zeros(100, 1, 1, 6)
    truth[1:] = 1.0
    seen = instruments.lagged(truth, torch.full((1, 1, 6), 50.0))
    assert seen[0].max() == 0.0
    assert seen[5].max().item() == pytest.approx(1.0 - math.exp(-1.0), rel=1e-5)
