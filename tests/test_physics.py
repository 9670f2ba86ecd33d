"""Laws against published numbers and closed forms, worked by hand."""

import math

import closed_forms
import pytest
import torch

from saafe.simulator import physics


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def near(value: torch.Tensor, expected: float, share: float = 1e-3) -> None:
    assert value.item() == pytest.approx(expected, rel=share)


@pytest.mark.parametrize("growth", [75.0, 150.0, 300.0, 600.0])
def test_t_squared_reaches_1055_kw_at_its_growth_time(growth: float) -> None:
    heat = physics.t_squared_heat_release(
        torch.tensor([-5.0, 0.0, growth / 2.0, growth]), growth_time=number(growth)
    )
    assert heat.tolist() == pytest.approx([0.0, 0.0, 1055.0 / 4.0, 1055.0])


def test_ceiling_jet_rise() -> None:
    # 1 MW under 5 m: 16.9 * 100 / 14.62 on the axis; 5.38 * 400^(2/3) / 5 at 2.5 m
    heat, height = number(1000.0), number(5.0)
    near(physics.ceiling_jet_rise(heat, height=height, radius=number(0.5)), 115.6)
    near(physics.ceiling_jet_rise(heat, height=height, radius=number(2.5)), 58.41)
    assert physics.ceiling_jet_rise(number(-1.0), height=height, radius=height) == 0.0


def test_ceiling_jet_laws_cross_at_018_heights() -> None:
    heat, height = number(2000.0), number(8.0)
    inside, edge, outside = (
        physics.ceiling_jet_rise(heat, height=height, radius=number(share * 8.0)).item()
        for share in (0.1, 0.179, 0.19)
    )
    assert inside == edge  # still the law on the axis
    assert outside < 0.98 * edge


def test_ceiling_jet_speed() -> None:
    # 0.96 * 200^(1/3) on the axis; 0.195 * 10 * 5^0.5 / 2.5^(5/6) at 2.5 m
    heat, height = number(1000.0), number(5.0)
    near(physics.ceiling_jet_speed(heat, height=height, radius=number(0.5)), 5.614)
    near(physics.ceiling_jet_speed(heat, height=height, radius=number(2.5)), 2.032)


def test_heskestad_plume() -> None:
    # 0.071 * 8.879 * 14.62 + 1.26
    near(closed_forms.plume_mass_flow(number(700.0), height=number(5.0)), 10.477)


def test_smoke_layer() -> None:
    # 60 s * 10 / 5^(4/3) / 4 = 17.54; 1.11 - 0.28 ln 17.54 = 0.3079
    room = {"heat_release": number(1000.0), "height": number(5.0), "floor_area": number(100.0)}
    near(closed_forms.smoke_layer_height(number(60.0), **room), 5.0 * 0.3079)
    assert closed_forms.smoke_layer_height(number(0.0), **room) == 5.0
    near(closed_forms.smoke_layer_height(number(1e5), **room), 1.0)  # 0.2 H, where the law ends


def test_door_exchange() -> None:
    # (0.61 / 3) * 2 m2 * sqrt(9.81 * 2 * 10 / 298)
    door = {"height": number(2.0), "temperature": number(298.0)}
    both = [
        physics.door_exchange_flow(number(2.0), temperature_difference=number(k), **door)
        for k in (10.0, -10.0)
    ]
    near(both[0], 0.3300)
    assert both[0] == both[1]


def test_dilution() -> None:
    room = {"emission": number(1.0), "volume": number(50.0), "flow": number(0.05)}
    start = number(0.0)
    near(
        closed_forms.diluted_concentration(number(1000.0), initial=start, **room),
        20 * (1 - 1 / math.e),
    )
    near(closed_forms.diluted_concentration(number(1e6), initial=start, **room), 20.0)
    near(closed_forms.diluted_concentration(number(0.0), initial=number(3.0), **room), 3.0)


def test_magnus() -> None:
    near(physics.saturation_vapour_density(number(20.0)), 17.3, 0.005)
    near(physics.saturation_vapour_density(number(0.0)), 4.85, 0.005)
    near(physics.saturation_vapour_density(number(30.0)), 30.4, 0.005)
    hot = physics.saturation_vapour_density(torch.tensor([100.0, 900.0]))
    assert hot[0] == hot[1]
    cold = physics.saturation_vapour_density(torch.tensor([-39.0, -40.0, -60.0]))
    assert cold[0] > cold[1] == cold[2]


def test_constants() -> None:
    assert pytest.approx(1.0 / 13.1, rel=1e-3) == physics.OXYGEN_PER_HEAT  # Huggett, g/kJ
    litres = 8.314462 * 293.15 / 101_325.0 * 1e3
    assert pytest.approx(litres, rel=1e-4) == physics.MOLAR_VOLUME
    assert pytest.approx(1e3 * physics.PPM_HYDROGEN * 2.016) == 1e3 * physics.MOLAR_VOLUME
    assert pytest.approx(2.016) == physics.HYDROGEN_PER_CO * 28.01
    # dry air at 20 degC: 1.204 kg/m3, 1.006 kJ/(kg K)
    assert pytest.approx(1.204, rel=5e-3) == physics.AIR_DENSITY
    assert pytest.approx(1.006, rel=2e-3) == physics.AIR_HEAT_CAPACITY
    assert (physics.GRAVITY, physics.ABSOLUTE_ZERO) == (9.81, -273.15)


def test_hygroscopic_growth() -> None:
    near(physics.hygroscopic_growth(number(80.0), kappa=number(0.3)), 2.2)
    near(physics.hygroscopic_growth(number(0.0), kappa=number(0.6)), 1.0)
    near(physics.hygroscopic_growth(number(100.0), kappa=number(0.1)), 1.9)  # capped at 90 %


@pytest.mark.parametrize(
    ("density", "mass", "ppm"), [(1e-3, 28.01, 0.859), (0.77, 44.01, 421.0), (1.83, 44.01, 1000.0)]
)
def test_ppm(density: float, mass: float, ppm: float) -> None:
    near(physics.ppm_from_density(number(density), molar_mass=mass), ppm, 2e-3)


def test_sound_in_a_room() -> None:
    # 80 dB at 1 m in a room of 15 m2: 10 lg(0.0796 + 0.2667) = -4.61 dB
    field = physics.sound_field(number(1.0), absorption_area=number(15.0))
    near(80.0 + 10.0 * field.log10(), 75.39)


def test_fractional_effective_dose() -> None:
    near(physics.fractional_effective_dose_rate(number(35_000.0), co2=number(400.0)), 1.0)
    near(
        physics.fractional_effective_dose_rate(number(3_500.0), co2=number(50_000.0)), 0.1 * math.e
    )


def test_cyanide_dose() -> None:
    """ISO 13571's power beside Purser's exponential, exp(C / 43) / 220 a minute, within a half."""
    clean = {"co2": number(400.0)}
    near(
        physics.fractional_effective_dose_rate(number(0.0), cyanide=number(100.0), **clean),
        100.0**2.36 / 1.2e6,
    )
    for ppm in (100.0, 150.0, 180.0):
        dose = physics.fractional_effective_dose_rate(number(0.0), cyanide=number(ppm), **clean)
        assert 0.5 < float(dose) / (math.exp(ppm / 43.0) / 220.0) < 1.5
    both = physics.fractional_effective_dose_rate(
        number(3_500.0), co2=number(50_000.0), cyanide=number(100.0)
    )
    near(both, (0.1 + 100.0**2.36 / 1.2e6) * math.e)  # breath brings both


def test_want_of_oxygen() -> None:
    """Purser: 9.4 min at 10 %, a good minute at 6 %; nothing at 13 % and above."""
    clean = {"co2": number(400.0)}
    for share, minutes in ((10.0, 9.43), (6.0, 1.088)):
        dose = physics.fractional_effective_dose_rate(number(0.0), oxygen=number(share), **clean)
        near(1.0 / dose, minutes, 5e-3)
    for share in (13.0, 20.9):
        dose = physics.fractional_effective_dose_rate(number(0.0), oxygen=number(share), **clean)
        assert dose == 0.0


def test_radiant_heat() -> None:
    """A layer at 200 degC gives about 2.5 kW/m2 more than a room; 24 s there, 4 s at 10 kW/m2."""
    layer = physics.black_body_radiation(number(200.0)) - physics.black_body_radiation(number(20.0))
    near(layer, 2.5, 0.05)
    near(60.0 / physics.radiant_dose_rate(number(2.5)), 23.5, 0.01)
    near(60.0 / physics.radiant_dose_rate(number(10.0)), 3.7, 0.01)
    assert physics.radiant_dose_rate(number(2.49)) == 0.0


def test_breath_quickens_above_two_percent_of_carbon_dioxide() -> None:
    at, above = (
        physics.fractional_effective_dose_rate(number(3_500.0), co2=number(ppm))
        for ppm in (20_000.0, 20_001.0)
    )
    near(at, 0.1)
    near(above, 0.1 * math.exp(0.4))


def test_weakest_plume_that_reaches_a_ceiling() -> None:
    # NFPA 92: 5.54 Q^(1/4) (dT/dz)^(-3/8); 1 kW in 1 K/m rises to 5.54 m, in 4 K/m to 3.294 m
    near(physics.plume_that_reaches(number(5.54), gradient=number(1.0)), 1.0)
    near(physics.plume_that_reaches(number(3.2941), gradient=number(4.0)), 1.0)
    near(physics.plume_that_reaches(number(2.0 * 5.54), gradient=number(1.0)), 16.0)


def test_heat_dose() -> None:
    # 120 degC: 120^3.4 = 1.173e7; tolerated for some four minutes
    near(physics.heat_dose_rate(number(120.0)), 0.2346)
    assert physics.heat_dose_rate(number(60.0)) == 0.0
    near(physics.heat_dose_rate(number(61.0)), 61.0**3.4 / 5e7)
