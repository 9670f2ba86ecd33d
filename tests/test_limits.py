"""Untenable air against closed forms."""

import math
import re

import numpy as np
import pytest
import torch

from saafe.sensors import CHANNELS, CO, CO2, HEAT_C, PM25, TEMPERATURE
from saafe.simulator import exposure, limits
from saafe.simulator.air import STARVED_YIELD
from saafe.simulator.emissions import Quantity, Source
from saafe.simulator.fires import FOAM, SMOULDERING_FOAM
from saafe.simulator.limits import untenable_times
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import simulate_streams
from saafe.simulator.sources import FIRES
from saafe.simulator.streams import Streams

CLEAN = {TEMPERATURE: 20.0, PM25: 10.0, CO2: 600.0, CO: 0.0}


def air(density: float = 1e-4, **changed: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An hour of constant air every 10 s, and its optical density."""
    times = np.arange(0.0, 3600.0, 10.0)
    readings = np.zeros((len(times), len(CHANNELS)))
    for channel, value in CLEAN.items():
        readings[:, channel] = value
    names = {"temperature": TEMPERATURE, "pm25": PM25, "co2": CO2, "co": CO}
    for name, value in changed.items():
        readings[:, names[name]] = value
    return times, readings, np.full(len(times), density)


def test_clean_air_is_tenable() -> None:
    assert untenable_times(*air(), ignition_s=0.0) == {"gas": None, "heat": None,
                                                       "visibility": None}  # fmt: skip


def test_carbon_monoxide_dose() -> None:
    # 3,500 ppm is a tenth of 35,000 ppm min a minute: 0.3 within three minutes
    assert untenable_times(*air(co=3500.0), ignition_s=0.0)["gas"] == 170.0
    later = untenable_times(*air(co=3500.0), ignition_s=600.0)["gas"]
    assert later == 770.0


def test_carbon_dioxide_hastens_it() -> None:
    # 5 % CO2 multiplies by e
    at = untenable_times(*air(co=3500.0, co2=50_000.0), ignition_s=0.0)["gas"]
    assert at == pytest.approx(180.0 / math.e - 10.0, abs=10.0)


def exposed(column: int, value: float) -> np.ndarray:
    """An hour of air that is fresh but for one quantity."""
    out = np.full((360, 3), exposure.FRESH)
    out[:, column] = value
    return out


def test_cyanide_oxygen_and_radiant_heat_count() -> None:
    for column, value, minutes, name in (
        (exposure.CYANIDE, 100.0, 0.3 * 1.2e6 / 100.0**2.36, "gas"),
        (exposure.OXYGEN, 10.0, 0.3 * math.exp(8.13 - 0.54 * 10.9), "gas"),
        (exposure.RADIANT, 5.0, 0.3 * 1.33 / 5.0 ** (4 / 3), "heat"),
    ):
        at = untenable_times(*air(), ignition_s=0.0, exposure=exposed(column, value))
        assert at.pop(name) == pytest.approx(60.0 * minutes, abs=10.0)
        assert set(at.values()) == {None}
        whole = {**CLEAN, CO2: 600.0}
        truth = torch.zeros(1, 360, 1, len(CHANNELS))
        for channel, level in whole.items():
            truth[..., channel] = level
        there = torch.tensor(exposed(column, value), dtype=torch.float32).view(1, 360, 1, 3)
        times = limits.times_reached(truth, torch.zeros(1, 360, 1), there)[0, 0].tolist()
        first = dict(zip((one.name for one in limits.LIMITS), times, strict=True))
        assert first[f"{name}_dose_0.3"] == pytest.approx(60.0 * minutes, abs=10.0)
        assert (first["radiation_2.5"] == 0.0) is (column == exposure.RADIANT)


def simulated(name: str, seed: int = 0) -> Streams:
    mix = Mix(1.0, (name,), (), (1.0, 0.0, 0.0), fault_share=0.0)
    return simulate_streams(
        12, generator=torch.Generator().manual_seed(seed), hours=2.0, mix=mix, alarms=True
    )


@pytest.mark.parametrize("source", FIRES, ids=lambda source: source.name)
def test_cyanide_is_no_more_than_the_fuel_holds(source: Source) -> None:
    """Of GM21, CH1.8 O0.30 N0.05, a gram holds 36 mg of nitrogen: 70 mg of HCN, all of it."""
    smoulder, flames = source.cyanide
    nitrogen = 0.05 * 14.007 / (12.011 + 1.8 * 1.008 + 0.30 * 15.999 + 0.05 * 14.007)
    most = nitrogen * 27.03 / 14.007
    short_of_air = STARVED_YIELD[Quantity.CO] * FOAM.co[1]
    assert flames * short_of_air * 27.03 / 28.01 < most
    assert smoulder * SMOULDERING_FOAM.co[1] * 27.03 / 28.01 < most


def test_cyanide_goes_with_carbon_monoxide_of_foam_alone() -> None:
    foam, wood = simulated("flaming_foam"), simulated("flaming_wood")
    assert float(wood.exposure[..., exposure.CYANIDE].max()) == 0.0
    rise = foam.truth[..., CO] - foam.truth[:, :1, :, CO]
    many = rise > 100.0
    ratio = foam.exposure[..., exposure.CYANIDE][many] / rise[many]
    assert float(ratio.min()) > 0.9 * 0.06
    assert float(ratio.max()) < 1.1 * 0.06


def test_a_sofa_gives_its_smoulders_cyanide_until_it_flames() -> None:
    """100 ppm of CO, of which 60 stood there when flames began, then a clearing room."""
    index = [source.name for source in FIRES].index("smouldering_sofa")
    ppm = torch.tensor([20.0, 60.0, 100.0, 30.0]).view(4, 1, 1)
    flaming = torch.tensor([False, True, True, True]).view(4, 1)
    got = exposure.cyanide_of(ppm * 28.01 / 24.055, torch.tensor([index]), flaming)[:, 0, 0]
    assert got.tolist() == pytest.approx([0.2, 0.6, 0.6 + 40.0 * 0.06, 0.3], rel=1e-3)
    never = exposure.cyanide_of(ppm * 28.01 / 24.055, torch.tensor([index]), flaming & False)
    assert never[:, 0, 0].tolist() == pytest.approx([0.2, 0.6, 1.0, 0.3], rel=1e-3)


def test_oxygen_and_radiation_by_closed_forms() -> None:
    """A deficit of 105 g/m3 is 13 %; 100 kW give 0.3 x 100 / (4 pi 2^2) at 2 m, in their room."""
    flat = torch.ones(3, 1, 2)
    air_there = exposure.FireAir(
        co=0.0 * flat, oxygen_deficit=105.0 * flat, heat=100.0 * flat[..., 0],
        temperature=20.0 * flat,
    )  # fmt: skip
    got = exposure.exposures(
        air_there, torch.tensor([0]), torch.tensor([[False], [True], [True]]),
        distance=torch.tensor([[2.0, 2.0]]), beside=torch.tensor([[True, False]]), n=2,
    )  # fmt: skip
    assert got.shape == (2, 3, 2, 3)
    assert got[0, 1, 0].tolist() == pytest.approx([0.0, 13.0, 30.0 / (16.0 * math.pi)], abs=0.05)
    assert got[0, 0, 0, exposure.RADIANT] == got[0, 1, 1, exposure.RADIANT] == 0.0
    assert torch.equal(got[1], torch.tensor(exposure.FRESH).expand(3, 2, 3))


def test_oxygen_falls_as_carbon_dioxide_rises() -> None:
    """Burning wood and foam takes 0.8 to 1.7 moles of oxygen for a mole of carbon dioxide."""
    for name in ("flaming_wood", "flaming_foam"):
        streams = simulated(name)
        made = (streams.truth[..., CO2] - streams.truth[:, :1, :, CO2]) / 1e4
        taken = exposure.FRESH[exposure.OXYGEN] - streams.exposure[..., exposure.OXYGEN]
        many = made > 1.0
        assert 0.8 < float((taken[many] / made[many]).median()) < 1.7


def test_heat_dose() -> None:
    minutes = 0.3 * 5e7 * 100.0**-3.4
    at = untenable_times(*air(temperature=100.0), ignition_s=0.0)["heat"]
    assert at == pytest.approx(60.0 * minutes, abs=10.0)
    assert untenable_times(*air(temperature=59.0), ignition_s=0.0)["heat"] is None
    later = untenable_times(*air(temperature=100.0), ignition_s=600.0)["heat"]
    assert later == at + 600.0  # the dose counts from the ignition on


def test_visibility() -> None:
    # 3 / (ln 10 D) = 5 m
    edge = 3.0 / (math.log(10.0) * 5.0)
    assert limits.visibility_m(np.array([edge]))[0] == pytest.approx(5.0)
    assert untenable_times(*air(1.01 * edge), ignition_s=50.0)["visibility"] == 50.0
    assert untenable_times(*air(0.99 * edge), ignition_s=0.0)["visibility"] is None


def test_limits_are_what_their_names_say() -> None:
    """od_0.05 is 0.05 /m, rise_20k 20 K; those in percent a foot by arithmetic, EN 54's 2 dB/m."""
    found = {one.name: one.value for one in limits.LIMITS}
    assert len(found) == len(limits.LIMITS)
    for one in limits.LIMITS:
        number = float(re.findall(r"[0-9.]+", one.name)[0])
        assert one.value == pytest.approx(number, rel=2e-3), one.name
        if percent := re.findall(r"([0-9.]+) %/ft", one.source):
            density = -math.log10(1.0 - float(percent[0]) / 100.0) / 0.3048
            assert one.value == pytest.approx(density, rel=2e-3), one.name
    assert found["od_0.2"] == 2.0 / 10.0
    assert found["temperature_57c"] == HEAT_C


def test_the_first_time_is_that_of_the_first_step() -> None:
    reached = torch.tensor([[False, True, False, True], [False] * 4, [True] * 4])[:, :, None]
    assert limits.first_time(reached)[:, 0].tolist() == [10.0, math.inf, 0.0]
