"""Untenable air against closed forms."""

import math
import re

import numpy as np
import pytest
import torch

from saafe.sensors import CHANNELS, CO, CO2, HEAT_C, PM25, TEMPERATURE
from saafe.simulator import limits
from saafe.simulator.limits import untenable_times

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
