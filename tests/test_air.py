"""The air and the instruments: conservation, closed forms, and a scalar loop of the same laws."""

import math
from dataclasses import replace

import closed_forms
import numpy as np
import pytest
import scalar_simulator
import torch

from saafe.sensors import CHANNELS, PM25
from saafe.simulator import physics, simulation
from saafe.simulator.aerosols import AerosolKind
from saafe.simulator.air import (
    CONVECTIVE,
    HEATED_AIR,
    SHRED_S,
    SHRED_SPREAD,
    Supply,
    air_to_burn,
    carry,
    draw_shreds,
    near_excess,
    optical_densities,
    sensors_near,
    starved,
    yield_gain,
)
from saafe.simulator.buildings import ZONES, Building, Rooms, draw_building
from saafe.simulator.emissions import CARRIED, PARTICLES, Quantity
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import StreamSettings


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def still_air(n: int) -> Building:
    """Buildings that keep what they are given: no fresh air, no losses, clean outdoors.

    So hot that no vapour condenses, and droplets do not dry.
    """
    building = draw_building(n, 1, Rooms(), seeded(1))
    names = ("fresh", "wall_loss", "deposition", "outdoor", "indoor_water", "drying")
    nothing = {name: torch.zeros_like(getattr(building, name)) for name in names}
    return replace(
        building,
        filter=torch.ones_like(building.filter),
        indoor_c=torch.full_like(building.indoor_c, 100.0),
        **nothing,
    )


def one_zone(building: Building) -> Building:
    return replace(
        building,
        door=torch.zeros_like(building.door),
        fan=torch.zeros_like(building.fan),
        recirculation=torch.zeros_like(building.recirculation),
    )


def supply_of(rates: torch.Tensor, fires: int = 0) -> Supply:
    """A supply of rates (time, zone, CARRIED, r), of nothing else."""
    steps, n = rates.shape[0], rates.shape[-1]
    none = rates.new_zeros(steps, ZONES, n)
    return Supply(
        rates=rates.clone(),
        fire=rates.new_zeros(steps, ZONES, CARRIED, fires),
        vent=none.clone(),
        outdoor_pm=rates.new_zeros(steps, n),
        sound=none.clone(),
        radiant=none.clone(),
    )


def held_mass(air: torch.Tensor, building: Building) -> torch.Tensor:
    """Mass in all zones. (time, CARRIED, r)"""
    return (air * building.volume.T.unsqueeze(1)).sum(dim=1)


def test_mass_of_every_quantity_is_conserved() -> None:
    n, steps = 16, 360
    building = still_air(n)
    assert building.recirculation.any()
    rates = torch.rand(steps, ZONES, CARRIED, n, generator=seeded(2))
    air, _ = carry(building, supply_of(rates), [10.0] * steps)
    emitted = (10.0 * rates).sum(dim=1).cumsum(dim=0)
    emitted[:, Quantity.HEAT] *= CONVECTIVE / HEATED_AIR
    torch.testing.assert_close(held_mass(air, building), emitted, rtol=1e-4, atol=1e-4)


def test_mass_of_a_fire_is_conserved_while_it_has_air() -> None:
    n, steps = 8, 60
    building = still_air(n)
    supply = supply_of(torch.zeros(steps, ZONES, CARRIED, n), fires=5)
    supply.fire[:, 0] = torch.rand(steps, CARRIED, 5, generator=seeded(3))
    supply.fire[:, :, Quantity.OXYGEN] = 0.0  # it never runs short
    emitted = (10.0 * supply.fire).sum(dim=(0, 1))
    emitted[Quantity.HEAT] *= CONVECTIVE / HEATED_AIR
    held = held_mass(carry(building, supply, [10.0] * steps)[0], building)[-1]
    torch.testing.assert_close(held[:, :5], emitted, rtol=1e-4, atol=1e-4)
    assert (held[:, 5:] == 0.0).all()


def test_starved_fires_burn_less_and_dirtier() -> None:
    building = still_air(2)
    supply = supply_of(torch.zeros(720, ZONES, CARRIED, 2), fires=2)
    supply.fire[:, 0] = 1.0
    supply.fire[:, 0, Quantity.OXYGEN, 0] = 1e3  # g/s; the other fire needs no oxygen
    supply.fire[:, 0, Quantity.OXYGEN, 1] = 0.0
    held = held_mass(carry(building, supply, [10.0] * 720)[0], building)
    assert held[-1, Quantity.OXYGEN, 0] < 0.2 * 1e3 * 10.0 * 720
    assert (held[:, Quantity.OXYGEN, 0].diff() > 0.0).all()
    share = held[-1, :, 0] / held[-1, :, 1]
    assert share[Quantity.CO2] < share[Quantity.WATER] < 0.2
    assert share[Quantity.SMOKE] > 1.8 * share[Quantity.WATER]
    assert share[Quantity.CO] > 8.0 * share[Quantity.WATER]


def test_flames_weaken_between_the_documented_deficits_of_oxygen() -> None:
    """docs/simulator.md: from 105 g/m3 on (13 %), 2 % of the rate left at 165."""
    left = air_to_burn(torch.tensor([0.0, 105.0, 120.0, 135.0, 165.0, 500.0]))
    assert left.tolist() == pytest.approx([1.0, 1.0, 0.75, 0.5, 0.02, 0.02])


def test_starved_flames_give_the_documented_yields() -> None:
    gain = 1.0 + yield_gain(torch.zeros(1))[:, 0]
    told = {Quantity.CO: 10.0, Quantity.SOOT: 2.0, Quantity.SMOKE: 2.0, Quantity.CO2: 0.7,
            Quantity.VOC: 5.0, Quantity.HYDROGEN: 10.0}  # fmt: skip
    for quantity in list(Quantity)[:CARRIED]:
        assert gain[quantity].item() == pytest.approx(told.get(quantity, 1.0)), quantity


def test_one_zone_follows_the_closed_form() -> None:
    n, steps, emission, quantity = 12, 720, 0.2, Quantity.CO2
    building = one_zone(still_air(n))
    building.fresh = building.volume * torch.linspace(0.1, 8.0, n).unsqueeze(1) / 3600.0
    building.outdoor[:, quantity] = 0.77
    rates = torch.zeros(steps, ZONES, CARRIED, n)
    rates[:, 0, quantity] = emission
    air = carry(building, supply_of(rates), [10.0] * steps)[0][:, 0, quantity]
    expected = 0.77 + closed_forms.diluted_concentration(
        10.0 * torch.arange(1, steps + 1).unsqueeze(1),
        emission=torch.tensor(emission),
        volume=building.volume[:, 0],
        flow=building.fresh[:, 0],
        initial=torch.tensor(0.0),
    )
    torch.testing.assert_close(air, expected, rtol=0.02, atol=0.0)


def test_a_duct_filter_clears_particles_only() -> None:
    building = still_air(32)
    forced = building.recirculation.sum(dim=1) > 0.0
    assert 0 < forced.sum() < 32
    building.filter[:, Quantity.SMOKE] = 0.5
    rates = torch.zeros(360, ZONES, CARRIED, 32)
    rates[0, 0] = 1.0
    held = held_mass(carry(building, supply_of(rates), [10.0] * 360)[0], building)
    kept = held[-1] / held[0]
    torch.testing.assert_close(kept[Quantity.CO], torch.ones(32), rtol=1e-4, atol=0.0)
    assert (kept[Quantity.SMOKE, forced] < 0.8).all()
    assert (kept[Quantity.SMOKE, ~forced] > 0.999).all()


def test_an_open_window_in_winter_cools_and_dries() -> None:
    building = draw_building(64, 1, Rooms(outdoor_c=(-10.0, 0.0)), seeded(5))
    supply = supply_of(torch.zeros(180, ZONES, CARRIED, 64))
    supply.vent[:, 0] = 0.2
    air = carry(building, supply, [10.0] * 180)[0][-1, 0]
    assert (air[Quantity.HEAT] < -2.0).all()
    damp = building.indoor_water > building.outdoor[:, Quantity.WATER] + 0.5
    assert damp.sum() > 32
    assert (air[Quantity.WATER] < building.indoor_water)[damp].all()


def near(
    heat: float,
    radius: float,
    height: float,
    *,
    walls: float = 1.0,
    gradient: float = 0.01,
    shelf: bool = False,
    shred: float = 1.0,
    begins: int = 5,
) -> torch.Tensor:
    """Excess at a sensor, under the ceiling or not, of a steady source of 1 in all else. (time, k)

    The source lies on the floor.
    """
    building = draw_building(1, 1, Rooms(), seeded(6))
    building.gradient[:] = gradient
    building.sensor_zone[:] = 0
    building.under_ceiling[:] = not shelf
    building.height[:] = height
    building.distance[:] = radius
    building.air_speed[:] = 0.1
    rates = torch.ones(60, 1, len(Quantity))
    rates[:begins] = 0.0
    rates[begins:, :, Quantity.HEAT] = heat
    zone = torch.zeros(1, dtype=torch.int64)
    found = sensors_near(building, zone, building.distance, torch.zeros(1), torch.tensor([walls]))
    return near_excess(rates, found, torch.full((60, 1), shred))[:, 0]


def test_optical_density_of_smoke() -> None:
    air = torch.zeros(3, CARRIED)
    air[1, PARTICLES][AerosolKind.FLAMING] = 37.0  # mg/m3: UL 217's 0.14 /m
    air[2, PARTICLES][AerosolKind.SMOULDERING] = 37.0  # scatters half as much
    found = optical_densities(air)
    assert found.sum(dim=-1).tolist() == pytest.approx([0.0, 0.14, 0.0707], rel=0.01)
    assert found[1, AerosolKind.FLAMING] == found[1].sum()


def test_steady_ceiling_jet_is_alperts_and_dilutes_smoke_as_heat() -> None:
    excess = near(100.0, 2.0, 2.5)[-1]
    rise = 5.38 * (100.0 / 2.0) ** (2 / 3) / 2.5
    assert excess[Quantity.HEAT].item() == pytest.approx(rise, rel=1e-5)
    flow = math.pi * (4.0 + 2.5**2) * 0.1 + 0.7 * 100.0 / (1.2 * 1.005 * rise)
    assert excess[Quantity.CO].item() == pytest.approx(1.0 / flow, rel=1e-5)


def test_draughts_bring_shreds_about_the_mean_and_jets_bring_it_steadily() -> None:
    steps = 4000
    shreds = draw_shreds(steps, 64, 4, seeded(3)).log()
    spread = shreds.std(dim=0)
    assert SHRED_SPREAD[0] * 0.8 < spread.min()
    assert spread.max() < SHRED_SPREAD[1] * 1.2
    assert shreds.exp().mean().item() == pytest.approx(1.0, abs=0.02)
    memory = ((shreds[1:] - shreds.mean(0)) * (shreds[:-1] - shreds.mean(0))).mean(0) / spread**2
    # docs/simulator.md: two- to threefold, 5 to 60 s long
    assert [math.exp(spread) for spread in SHRED_SPREAD] == pytest.approx([2.0, 3.0], abs=0.02)
    assert SHRED_S == (5.0, 60.0)
    assert math.exp(-10.0 / SHRED_S[0]) - 0.1 < memory.min()
    assert memory.max() < math.exp(-10.0 / SHRED_S[1]) + 0.1
    first = draw_shreds(2, 20_000, 1, seeded(4))[..., 0].log()  # memory from the first step on
    assert 0.4 < np.corrcoef(first.numpy())[0, 1] < 0.6
    # without a plume all of it is brought by draughts; a jet's share is steady, and so is its heat
    calm, torn = (near(0.0, 1.0, 2.5, shred=shred)[-1] for shred in (1.0, 3.0))
    assert (torn[Quantity.CO] / calm[Quantity.CO]).item() == pytest.approx(3.0)
    calm, torn = (near(500.0, 1.0, 2.5, shred=shred)[-1] for shred in (1.0, 3.0))
    assert torn[Quantity.HEAT] == calm[Quantity.HEAT]
    stirred = math.pi * (1.0 + 2.5**2) * 0.1
    share = stirred * calm[Quantity.CO].item()
    assert (torn[Quantity.CO] / calm[Quantity.CO]).item() == pytest.approx(1.0 + 2.0 * share)


@pytest.mark.parametrize("walls", [2.0, 4.0])
def test_a_fire_at_a_wall_or_in_a_corner_is_hotter_above(walls: float) -> None:
    free, beside = near(50.0, 2.0, 2.5)[-1], near(50.0, 2.0, 2.5, walls=walls)[-1]
    ratio = (beside[Quantity.HEAT] / free[Quantity.HEAT]).item()
    assert ratio == pytest.approx(walls ** (2 / 3), rel=1e-5)
    assert beside[Quantity.CO] > free[Quantity.CO]


def test_a_weak_plume_stagnates_under_a_warm_ceiling() -> None:
    # NFPA 92: 10 W in 1 K/m rise to 5.54 x 0.007^(1/4) = 1.6 m, 1 kW to 5.1 m
    below, above = (near(heat, 1.0, 2.5, gradient=1.0)[-1] for heat in (0.01, 1.0))
    assert below[Quantity.HEAT] == 0.0
    assert below[Quantity.SMOKE].item() == pytest.approx(1.0 / (math.pi * (1 + 2.5**2) * 0.1))
    assert above[Quantity.HEAT] > 0.5
    assert near(0.01, 1.0, 2.5, gradient=0.05)[-1, Quantity.HEAT] > 0.0


def test_droplets_dry_as_far_as_the_room_is_dry() -> None:
    building = draw_building(3, 1, Rooms(), seeded(6))
    saturated = physics.saturation_vapour_density(building.indoor_c)
    building.indoor_water[:] = saturated * torch.tensor([0.25, 1.0, 1.2])
    building.drying[:] = 0.4
    building.sensor_zone[:], zone = 0, torch.zeros(3, dtype=torch.int64)
    found = sensors_near(building, zone, building.distance, torch.zeros(3), torch.ones(3))
    assert found.drying.tolist() == pytest.approx([0.3, 0.0, 0.0], abs=1e-6)


def test_mist_dries_on_its_way_and_fog_stays_in_a_wet_room() -> None:
    slow, fast = (near(0.0, radius, 2.5, shelf=True)[-1] for radius in (4.0, 0.5))
    assert slow[Quantity.DROPLETS] / slow[Quantity.SMOKE] < fast[Quantity.DROPLETS]
    building = one_zone(still_air(2))
    building.indoor_c[:] = 20.0
    building.drying[:] = 0.3
    building.fog_share[:] = 0.01
    building.indoor_water[:] = torch.tensor([5.0, 17.0])  # saturated at 17.3 g/m3
    rates = torch.zeros(60, ZONES, CARRIED, 2)
    rates[:30, 0, Quantity.WATER] = 0.7  # a shower: 42 g/min
    air = carry(building, supply_of(rates), [10.0] * 60)[0][:, 0]
    assert air[:, Quantity.WATER].max() < 17.4
    assert air[29, Quantity.DROPLETS, 1] > 10.0 * air[29, Quantity.DROPLETS, 0]
    assert (air[:, Quantity.DROPLETS] >= 0.0).all()


def test_smoke_outdoors_comes_in_with_fresh_air_and_by_open_windows() -> None:
    building = one_zone(still_air(2))
    building.fresh[:] = building.volume * torch.tensor([[2.0], [0.0]]) / 3600.0
    supply = supply_of(torch.zeros(360, ZONES, CARRIED, 2))
    supply.outdoor_pm[:] = 0.3
    supply.vent[:, 0, 1] = 2.0 * building.volume[1, 0] / 3600.0  # the other room's open window
    air = carry(building, supply, [10.0] * 360)[0]
    expected = 0.3 * (1.0 - (1.0 + 10.0 * 2.0 / 3600.0) ** -360.0)
    assert air[-1, 0, Quantity.SMOKE].tolist() == pytest.approx([expected] * 2, rel=1e-4)
    assert (air[-1, 1:, Quantity.SMOKE, 1] == 0.0).all()  # behind closed doors
    assert (air[:, :, Quantity.CO] == 0.0).all()


def test_fog_is_a_share_of_the_vapour_beyond_saturation_and_dries_as_dryness_lets_it() -> None:
    """A room that is fed more vapour than it can hold, then one at half of saturation."""
    building = one_zone(still_air(1))
    building.indoor_c[:], building.fog_share[:], building.drying[:] = 20.0, 0.02, 0.05
    saturated = physics.saturation_vapour_density(torch.tensor(20.0)).item()
    building.indoor_water[:] = saturated
    rates = torch.zeros(20, ZONES, CARRIED, 1)
    rates[:, 0, Quantity.WATER] = 0.5
    air = carry(building, supply_of(rates), [10.0] * 20)[0][:, 0, :, 0]
    volume = building.volume[0, 0].item()
    assert air[-1, Quantity.WATER].item() == pytest.approx(saturated, rel=1e-4)
    # mg of fog: all vapour that came, times the share; none dries in saturated air
    fog = 20 * 10.0 * 0.5 / volume * 1e3 * 0.02
    assert air[-1, Quantity.DROPLETS].item() == pytest.approx(fog, rel=1e-3)

    building.indoor_water[:] = 0.5 * saturated
    rates = torch.zeros(20, ZONES, CARRIED, 1)
    rates[0, 0, Quantity.DROPLETS] = 1.0
    mist = carry(building, supply_of(rates), [10.0] * 20)[0][:, 0, Quantity.DROPLETS, 0]
    kept = 1.0 / (1.0 + 10.0 * 0.05 * 0.5)
    assert (mist[1:] / mist[:-1]).tolist() == pytest.approx([kept] * 19, rel=1e-4)


def test_walls_warm_up_and_take_less() -> None:
    building = one_zone(still_air(1))
    building.wall_loss[:] = 0.01
    building.wall_s[:] = 600.0
    building.wall_out[:] = 0.0
    rates = torch.zeros(720, ZONES, CARRIED, 1)
    rates[:, 0, Quantity.HEAT] = 1.0
    warm = carry(building, supply_of(rates), [10.0] * 720)[0][:, 0, Quantity.HEAT, 0]
    steady = CONVECTIVE / HEATED_AIR / (0.01 * building.volume[0, 0])
    assert warm[60] > steady  # cold walls would hold it there
    assert (warm.diff() > 0.0).all()


def test_walls_conduct_what_they_hold() -> None:
    # settled, heat passes the film to the wall and the wall one after another
    building = one_zone(still_air(1))
    building.wall_loss[:] = 0.01
    building.wall_s[:] = 600.0
    building.wall_out[:] = 0.25
    rates = torch.zeros(4000, ZONES, CARRIED, 1)
    rates[:, 0, Quantity.HEAT] = 1.0
    warm = carry(building, supply_of(rates), [10.0] * 4000)[0][-1, 0, Quantity.HEAT, 0]
    film = CONVECTIVE / HEATED_AIR / (0.01 * building.volume[0, 0])
    assert float(warm) == pytest.approx(float(film * (1.0 + 1.0 / 0.25)), rel=0.02)


def test_the_jet_of_a_starved_fire_weakens_with_its_room() -> None:
    rates = torch.ones(3, 1, len(Quantity))
    weak = starved(rates, torch.tensor([[1.0], [0.5], [0.02]]))
    assert torch.equal(weak[0], rates[0])
    assert weak[1, 0, Quantity.HEAT] == 0.5
    assert weak[1, 0, Quantity.CO].item() == pytest.approx(0.5 * (1.0 + 9.0 * 0.5))
    assert torch.equal(weak[..., Quantity.SOUND], rates[..., Quantity.SOUND])


def test_smoke_takes_its_time_to_the_sensor() -> None:
    # a draught of 0.1 m/s over 3 m takes 30 s; a jet of 100 kW (2 m/s at the axis) no step
    weak, strong = near(0.0, 3.0, 2.5, shelf=True), near(100.0, 3.0, 2.5)
    assert (weak[:, Quantity.SMOKE] > 0.0).nonzero()[0].item() == 5 + 3
    assert (strong[:, Quantity.SMOKE] > 0.0).nonzero()[0].item() == 5
    # before the first step the source was as in it
    young = near(100.0, 3.0, 2.5, begins=1)[:, Quantity.SMOKE]
    assert young[0] == 0.0 < young[1]
    assert (near(0.0, 3.0, 2.5, shelf=True, begins=0)[:, Quantity.SMOKE] > 0.0).all()


def test_weak_sources_dilute_as_nicas_says() -> None:
    shelf, ceiling = (near(0.0, 1.5, 2.5, shelf=on)[-1, Quantity.SMOKE] for on in (True, False))
    assert shelf.item() == pytest.approx(1.0 / (math.pi * 1.5**2 * 0.1), rel=1e-5)
    assert ceiling.item() == pytest.approx(1.0 / (math.pi * (1.5**2 + 2.5**2) * 0.1), rel=1e-5)


@pytest.mark.parametrize("heat", [50.0, 200.0, 1000.0])
def test_plume_flow_fills_a_room_as_nfpa_says(heat: float) -> None:
    """Heskestad's plume, integrated, and NFPA 92 on the first smoke: within 0.18 H."""
    height, area, step = 5.0, 60.0, 0.1
    layer = torch.tensor(height)
    room = {
        "heat_release": torch.tensor(heat),
        "height": layer,
        "floor_area": torch.tensor(area),
    }
    for k in range(1, 4000):
        flow = closed_forms.plume_mass_flow(torch.tensor(0.7 * heat), height=layer)
        layer = layer - step * flow / (physics.AIR_DENSITY * area)
        if layer < 0.3 * height:
            break
        nfpa = closed_forms.smoke_layer_height(torch.tensor(k * step), **room)
        assert (nfpa - layer).abs() < 0.18 * height


def worst_errors(mine: torch.Tensor, theirs: list) -> np.ndarray:
    """Largest error of each channel, relative to its largest value. (channel,)"""
    expected = np.asarray(theirs).transpose(1, 0, 2)  # (time, sensor, channel)
    largest = np.maximum(np.abs(expected).max(axis=(0, 1)), 1e-6)
    return np.abs(mine.double().numpy() - expected).max(axis=(0, 1)) / largest


# of each channel; fog is what is left of two nearly equal densities, in single precision here
TOLERANCE = np.full(len(CHANNELS), 1e-4)
TOLERANCE[PM25] = 1e-3


def compare_with_loop(n: int, hours: float, seed: int) -> float:
    """Largest relative error of truth and clean readings over n scenarios."""
    mix = Mix(fire_share=0.5, nuisance_counts=(0.1, 0.4, 0.5), fault_share=0.2)
    world = simulation.draw_world(n, StreamSettings(hours, 2, mix), seeded(seed))
    played = simulation.play(world, simulation.runs_needed(world.events, labelled=True))
    truth, counterfactuals = played.truth, played.shown
    assert truth[..., 0].max() - truth[..., 0].min() > 50.0  # something burned
    worst = 0.0
    for i in range(n):
        fire = bool(world.events.fire[i] >= 0)
        nuisance = bool((world.events.nuisance[i] >= 0).any())
        one = scalar_simulator.scenario_of(world, i)
        expected = scalar_simulator.play(one, fire=fire, nuisance=nuisance)
        got = (truth, counterfactuals.full, counterfactuals.calm, counterfactuals.bare)
        for mine, theirs in zip(got, expected, strict=True):
            errors = worst_errors(mine[:, i], theirs)
            assert (errors < TOLERANCE).all(), (i, errors)
            worst = max(worst, errors.max())
    return worst


def test_batch_agrees_with_a_scalar_loop() -> None:
    compare_with_loop(16, 0.25, 4)


@pytest.mark.slow
def test_batch_agrees_with_a_scalar_loop_on_200_scenarios() -> None:
    compare_with_loop(200, 1.0, 5)
