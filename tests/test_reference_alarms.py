"""Reference alarms against closed forms: entry lag, response time index, EN 50291's times."""

import math

import pytest
import torch
from torch import Tensor

from saafe.sensors import HEAT_C, RISE_K_PER_MIN
from saafe.simulator.aerosols import AEROSOLS, AerosolKind
from saafe.simulator.reference_alarms import (
    REFERENCE_ALARMS,
    RESPONSE_TIME_INDEX,
    SENSITIVITIES,
    SLOWEST_AIR_M_S,
    UNIT_SPREAD,
    draw_units,
    entry_lag,
    heat_element,
    held,
    rate_of_rise_times,
    smoke_in_chamber,
    sounding_times,
)

NAMES = [alarm.name for alarm in REFERENCE_ALARMS]
PHOTO, IONISATION, HEAT, CARBON_MONOXIDE = range(4)
STEPS, BEGIN_S = 600, 300.0
TIMES = 10.0 * torch.arange(STEPS, dtype=torch.float64)


def course(before: float, after: float) -> Tensor:
    """A step at 300 s, the first step with the new air. (1, time, 1)"""
    return torch.where(TIMES >= BEGIN_S, after, before)[None, :, None].double()


def sounding(
    density: float = 0.0,
    *,
    aerosol: AerosolKind = AerosolKind.SMOULDERING,
    temperature: float = 20.0,
    co: float = 0.0,
    speed: float = 0.2,
    sensitivity: Tensor | float = 1.0,
) -> dict[str, float]:
    """When each alarm sounds after a step of clean air at 20 degC to this. [s]"""
    smoke = torch.zeros(1, STEPS, 1, len(AEROSOLS), dtype=torch.float64)
    smoke[..., aerosol] = course(0.0, density)
    at = sounding_times(
        smoke,
        course(20.0, temperature),
        course(0.0, co),
        air_speed=torch.full((1, 1, 1), speed, dtype=torch.float64),
        sensitivity=sensitivity,
    )
    return {name: time - BEGIN_S for name, time in zip(NAMES, at.flatten().tolist(), strict=True)}


def test_the_table_is_the_designs() -> None:
    """DESIGN.md, "Reference alarms": not changed afterwards for a score."""
    assert NAMES == ["photo", "ionisation", "heat", "co"]
    photo, ionisation, heat, co = REFERENCE_ALARMS
    assert (photo.levels, ionisation.levels) == (((0.03, 0.0),), ((0.018, 0.0),))
    assert photo.responses == (0.33, 1.0, 0.7, 1.0, 1.0)  # flaming to droplets
    assert ionisation.responses == (1.0, 0.3, 1.5, 0.3, 0.3)
    assert (heat.levels, heat.rise) == (((57.0, 0.0),), 8.3)
    assert co.levels == ((50.0, 5400.0), (100.0, 2400.0), (300.0, 180.0))
    assert (UNIT_SPREAD, SENSITIVITIES) == (0.2, (0.7, 1.0, 1.3))
    assert RESPONSE_TIME_INDEX == 33.0


def test_units_differ_by_a_fifth_about_their_kind() -> None:
    units = draw_units(5000, 2, torch.Generator().manual_seed(0)).log()
    assert units.shape == (5000, 2, len(REFERENCE_ALARMS))
    assert units.mean(dim=(0, 1)).tolist() == pytest.approx([0.0] * 4, abs=0.01)
    assert units.std(dim=(0, 1)).tolist() == pytest.approx([UNIT_SPREAD] * 4, rel=0.05)


def test_entry_lag_is_clearys() -> None:
    """FACTS, aerosols.csv: 18 s and 6.3 s at 0.1 m/s, 90 s and 23 s at 0.02 m/s."""
    dwell, mixing = entry_lag(torch.tensor([0.1, 0.02, 0.0], dtype=torch.float64))
    assert dwell.tolist() == pytest.approx([18.0, 90.0, 90.0])
    assert mixing.tolist() == pytest.approx([6.3, 23.0, 23.0], rel=0.01)


@pytest.mark.parametrize("speed", [0.0, 0.02, 0.05, 0.1, 0.2, 0.6, 2.0])
@pytest.mark.parametrize("density", [0.0301, 0.04, 0.1, 1.0])
def test_a_step_of_smoke_in_still_and_fast_air(density: float, speed: float) -> None:
    held_speed = max(speed, SLOWEST_AIR_M_S)
    dwell, mixing = 1.8 / held_speed, held_speed**-0.8
    at = dwell + mixing * math.log(density / (density - 0.030))
    # steps of 10 s: the air that a step ends with is taken for all of it, and smoke that arrives
    # between two steps grows evenly between them
    assert at - 10.0 <= sounding(density, speed=speed)["photo"] <= at + 10.0 + 1e-9


def test_no_alarm_below_its_level() -> None:
    assert sounding(0.0299)["photo"] == math.inf
    assert sounding(0.0301)["photo"] < math.inf


def test_smoke_in_a_chamber_follows_the_closed_form_at_every_step() -> None:
    """A dwell of whole steps: 1.8 / 0.09 = 20 s."""
    inside = smoke_in_chamber(course(0.0, 1.0), air_speed=torch.full((1, 1, 1), 0.09).double())
    since = (TIMES - BEGIN_S - 20.0 + 10.0).clamp(min=0.0)  # a step's air is that of its end
    expected = 1.0 - torch.exp(-since / 0.09**-0.8)
    torch.testing.assert_close(inside[0, :, 0], expected)


def test_a_dwell_of_part_of_a_step_delays_evenly() -> None:
    """A ramp stays one: 1.8 / 0.12 = 15 s later, and by the mixing's steps."""
    speed = torch.full((1, 1, 1), 0.12).double()
    inside = smoke_in_chamber(TIMES[None, :, None], air_speed=speed)[0, 50:, 0]
    mixing = 10.0 / math.expm1(10.0 / 0.12**-0.8)
    torch.testing.assert_close(inside, TIMES[50:] - 15.0 - mixing)


def test_the_air_may_change_its_speed() -> None:
    """A jet at 400 s brings in at once what still air would have kept outside for 90 s."""
    outside = course(0.0, 1.0)
    speed = torch.where(TIMES >= 350.0, 5.0, 0.02)[None, :, None].double()
    inside = smoke_in_chamber(outside, air_speed=speed)[0, :, 0]
    assert inside[TIMES < 350.0].max() == 0.0
    assert inside[35] > 0.99


@pytest.mark.parametrize("density", [0.05, 0.1, 0.5])
def test_which_alarm_is_first_at_equal_optical_density(density: float) -> None:
    at = {kind: sounding(density, aerosol=kind) for kind in AerosolKind}
    assert at[AerosolKind.FLAMING]["ionisation"] <= at[AerosolKind.FLAMING]["photo"]
    assert at[AerosolKind.SMOULDERING]["photo"] <= at[AerosolKind.SMOULDERING]["ionisation"]
    assert at[AerosolKind.COOKING]["ionisation"] <= at[AerosolKind.COOKING]["photo"]
    assert at[AerosolKind.DROPLETS]["photo"] <= at[AerosolKind.DROPLETS]["ionisation"]


def test_flames_and_smoulders_part_the_two_alarms() -> None:
    assert sounding(0.05, aerosol=AerosolKind.FLAMING)["photo"] == math.inf
    assert sounding(0.05, aerosol=AerosolKind.FLAMING)["ionisation"] < 60.0
    assert sounding(0.05, aerosol=AerosolKind.SMOULDERING)["photo"] < 60.0
    assert sounding(0.05, aerosol=AerosolKind.SMOULDERING)["ionisation"] == math.inf


def test_steam_sounds_a_photoelectric_alarm() -> None:
    """Dense steam, 0.2 g/m3 of drops: OD 0.035/m."""
    droplets = AEROSOLS[AerosolKind.DROPLETS].extinction_m2_g * 0.2 / math.log(10.0)
    at = sounding(droplets, aerosol=AerosolKind.DROPLETS)
    assert at["photo"] < 60.0
    assert at["ionisation"] == math.inf


def test_aerosols_add_up() -> None:
    smoke = torch.zeros(1, STEPS, 1, len(AEROSOLS))
    smoke[..., AerosolKind.FLAMING], smoke[..., AerosolKind.COOKING] = 0.045, 0.022
    calm, clean = torch.full((1, STEPS, 1), 20.0), torch.zeros(1, STEPS, 1)
    at = sounding_times(smoke, calm, clean, air_speed=torch.full((1, 1, 1), 0.2))
    assert at[0, 0, PHOTO] == 0.0  # 0.33 x 0.045 + 0.7 x 0.022 = 0.0303, there from the start
    less = sounding_times(0.98 * smoke, calm, clean, air_speed=torch.full((1, 1, 1), 0.2))
    assert less[0, 0, PHOTO] == math.inf  # 0.0296, for a unit that is neither keen nor dull


def test_more_sensitive_units_sound_no_later() -> None:
    factors = [0.5, *SENSITIVITIES, 2.0]
    at = [sounding(0.06, speed=0.05, sensitivity=factor) for factor in factors]
    for name in ("photo", "ionisation"):
        times = [one[name] for one in at]
        assert times == sorted(times, reverse=True)
        assert times[-1] < times[0]
    assert len({(one["heat"], one["co"]) for one in at}) == 1
    # 1.3 sounds at 1 / 1.3 of the density
    assert sounding(0.030 / 1.3 + 1e-4, sensitivity=1.3)["photo"] < math.inf
    assert sounding(0.030 / 1.3 - 1e-4, sensitivity=1.3)["photo"] == math.inf


def test_each_unit_has_a_sensitivity_of_its_own() -> None:
    keen = torch.ones(1, 1, 4, dtype=torch.float64)
    keen[..., PHOTO] = 3.0
    usual, one = sounding(0.05, speed=0.05), sounding(0.05, speed=0.05, sensitivity=keen)
    assert one["photo"] < usual["photo"]
    assert {**one, "photo": 0.0} == {**usual, "photo": 0.0}


@pytest.mark.parametrize("speed", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("gas", [60.0, 100.0, 300.0])
def test_the_response_time_index_on_a_step_of_gas(gas: float, speed: float) -> None:
    tau = RESPONSE_TIME_INDEX / math.sqrt(speed)
    element = heat_element(course(20.0, gas), air_speed=torch.full((1, 1, 1), speed).double())
    since = (TIMES - BEGIN_S + 10.0).clamp(min=0.0)  # a step's air is that of its end
    expected = gas - (gas - 20.0) * torch.exp(-since / tau)
    torch.testing.assert_close(element[0, :, 0], expected)
    by_level = tau * math.log((gas - 20.0) / (gas - HEAT_C))
    by_rise = tau * math.log((gas - 20.0) / (gas - 20.0 - RISE_K_PER_MIN))
    first = min(by_level, by_rise if by_rise <= 60.0 else math.inf)
    assert first - 10.0 <= sounding(temperature=gas, speed=speed)["heat"] <= first + 1e-9


@pytest.mark.parametrize(("rate", "is_fast"), [(8.2, False), (8.4, True)])
def test_the_rate_of_rise_is_the_elements(rate: float, is_fast: bool) -> None:
    gas = 20.0 + rate / 60.0 * TIMES[:150][None, :, None]
    air_speed = torch.full((1, 1, 1), 0.2).double()
    at = float(rate_of_rise_times(gas, air_speed=air_speed))
    assert (at < math.inf) == is_fast
    if is_fast:  # rate (60 - tau e^(-t/tau) (e^(60/tau) - 1)) = 8.3 K
        tau = RESPONSE_TIME_INDEX / math.sqrt(0.2)
        short = (60.0 - 60.0 * RISE_K_PER_MIN / rate) / (tau * (math.exp(60.0 / tau) - 1.0))
        assert at == pytest.approx(-tau * math.log(short), abs=10.0)


def test_slow_warming_sounds_a_heat_alarm_at_57_degrees() -> None:
    gas = 20.0 + 1.0 / 60.0 * TIMES[None, :, None]  # 1 K a minute
    speed = torch.full((1, 1, 1), 0.2).double()
    clean = torch.zeros_like(gas)
    smoke = torch.zeros(*gas.shape, len(AEROSOLS), dtype=torch.float64)
    at = sounding_times(smoke, gas, clean, air_speed=speed)[0, 0]
    tau = RESPONSE_TIME_INDEX / math.sqrt(0.2)
    assert at[HEAT] == pytest.approx(37.0 * 60.0 + tau, abs=10.0)  # a ramp lags by tau
    assert at[CARBON_MONOXIDE] == math.inf


@pytest.mark.parametrize(
    ("ppm", "seconds"),
    [
        (49.9, math.inf),
        (50.0, 5400.0),
        (99.9, 5400.0),
        (100.0, 2400.0),
        (299.9, 2400.0),
        (300.0, 180.0),
        (10_000.0, 180.0),
    ],
)
def test_carbon_monoxide_alarms_at_the_latest_times_of_en_50291(ppm: float, seconds: float) -> None:
    assert sounding(co=ppm)["co"] == seconds


def test_a_break_of_carbon_monoxide_starts_the_count_again() -> None:
    co = course(0.0, 300.0)
    co[0, 40] = 0.0  # at 400 s, after 100 of 180 s
    calm = torch.full_like(co, 20.0)
    smoke = torch.zeros(*co.shape, len(AEROSOLS), dtype=torch.float64)
    at = sounding_times(smoke, calm, co, air_speed=torch.full((1, 1, 1), 0.2).double())
    assert at[0, 0, CARBON_MONOXIDE] == 410.0 + 180.0


def test_what_is_held_from_the_first_step_on_is_counted_from_there() -> None:
    is_over = torch.tensor([True, True, True, False, True, True])[None, :, None]
    assert held(is_over, 20.0)[0, :, 0].tolist() == [False, False, True, False, False, False]
    assert held(is_over, 0.0)[0, :, 0].tolist() == is_over[0, :, 0].tolist()


def test_a_batch_is_its_rows_one_at_a_time() -> None:
    generator = torch.Generator().manual_seed(0)
    n, sensors = 5, 3

    def walk(*shape: int) -> Tensor:
        return torch.randn(n, STEPS, sensors, *shape, generator=generator).cumsum(dim=1)

    density, temperature, co = 0.005 * walk(5).abs(), 20.0 + walk().abs(), 20.0 * walk().abs()
    speed = (0.1 * torch.randn(n, STEPS, sensors, generator=generator)).exp() * 0.15
    factor = (UNIT_SPREAD * torch.randn(n, sensors, 4, generator=generator)).exp()
    whole = sounding_times(density, temperature, co, air_speed=speed, sensitivity=factor)
    assert whole.shape == (n, sensors, 4)
    assert whole.isfinite().any(dim=(0, 1)).all()
    for i in range(n):
        for j in range(sensors):
            one = [x[i : i + 1, :, j : j + 1] for x in (density, temperature, co, speed)]
            alone = sounding_times(
                *one[:3], air_speed=one[3], sensitivity=factor[i : i + 1, j : j + 1]
            )
            torch.testing.assert_close(alone[0, 0], whole[i, j], rtol=0.0, atol=0.0)


def test_nothing_sounds_in_unknown_air_and_inputs_stay() -> None:
    smoke, warm = torch.full((1, 60, 1, 5), 1.0), torch.full((1, 60, 1), 90.0)
    smoke[:, :30], warm[:, :30] = math.nan, math.nan
    co = torch.full((1, 60, 1), math.nan)
    given = [smoke.clone(), warm.clone()]
    at = sounding_times(smoke, warm, co, air_speed=torch.full((1, 1, 1), 1.0))[0, 0].tolist()
    assert at == [310.0, 310.0, 300.0, math.inf]  # smoke of 1.8 s before is not known at 300 s
    torch.testing.assert_close(smoke, given[0], equal_nan=True)
    torch.testing.assert_close(warm, given[1], equal_nan=True)
