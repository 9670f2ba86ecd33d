"""Every device of the catalogue that reports on change: quiet on quiet days, and it finds fires."""

import numpy as np
import pytest
import torch

import saafe
from saafe.detector import AlarmSettings, Detector, Scorer, detect
from saafe.recordings import Recording
from saafe.sensors import HEAT_C, TEMPERATURE
from saafe.simulator import Mix, Rooms, devices, simulation, to_recordings
from saafe.simulator.devices.device import ON_CHANGE

NAMES = [
    name
    for name in devices.device_names()
    if any(one.reporting.mode == ON_CHANGE for one in devices.load_device(name).channels.values())
]
WARM = [name for name in NAMES if "temperature" in devices.load_device(name).channels]
# nobody can know it of their readings: the one beats every four hours, the other's channels change
# every 10 to 20 s for a while, as if by a period, and then stand; so do the third's, now and then
UNKNOWABLE = ("heiman-co-alarm", "ikea-vindstyrka", "tuya-air-box")
SETTINGS = AlarmSettings(fast=2.0, slow=1.0, steady=0.0, warn=-0.5, leave=-1.0, warm_s=0.0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def days(name: str, nuisances: int, count: int = 3) -> list[Recording]:
    """Whole days through a device, with so many nuisances each and no fire."""
    counts = tuple(float(k == nuisances) for k in range(3))
    mix = Mix(0.0, device=name, nuisance_counts=counts, balance=1.0, fault_share=0.0)  # type: ignore[arg-type]
    streams = simulation.simulate_streams(
        count, generator=seeded(7), hours=24.0, sensors=1, mix=mix
    )
    return to_recordings(streams)


def is_odd(windows: np.ndarray) -> np.ndarray:
    """Risk that looks at all of a window, and rises and falls with what is held."""
    known = ~np.isnan(windows[:, :, 0])
    level = np.where(known, windows[:, :, 0], 0.0)
    sums = level[:, -20:].sum(axis=(1, 2)) - level[:, :20].sum(axis=(1, 2)) + known.sum(axis=(1, 2))
    return 50.0 + 49.0 * np.sin(sums.astype(np.float64))


def streamed(model: Scorer, recording: Recording, longest_s: float | None) -> list[dict]:
    detector = Detector(model, longest_interval_s=longest_s)
    events = []
    for time_s, row in zip(recording.times_s, recording.readings[:, 0], strict=True):
        if np.isfinite(row).any():
            events += detector.update(float(time_s), recording.sensors[0], row)
        else:
            events += detector.tick(float(time_s))
    return events + detector.finish()


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_says_what_a_file_says(name: str) -> None:
    longest_s = devices.load_device(name).longest_interval_s
    (recording,) = days(name, 2, count=1)
    for told in (None, longest_s):
        model = Scorer(is_odd, SETTINGS)
        said = streamed(model, recording, told)
        assert said == detect(model, recording, longest_interval_s=told).events


@pytest.mark.parametrize("nuisances", [0, 2])
@pytest.mark.parametrize("name", NAMES)
def test_no_silence_of_a_day_is_a_fault(name: str, nuisances: int) -> None:
    calm = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
    longest_s = devices.load_device(name).longest_interval_s
    for recording in days(name, nuisances):
        assert detect(calm, recording, longest_interval_s=longest_s).events == []
        if name not in UNKNOWABLE:
            assert detect(calm, recording).events == [], "nobody said how it reports"


@pytest.mark.parametrize("name", NAMES)
def test_quiet_days_are_quiet(name: str) -> None:
    longest_s = devices.load_device(name).longest_interval_s
    for recording in days(name, 0):
        assert detect(saafe.load(), recording, longest_interval_s=longest_s).events == []


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("name", WARM)
def test_a_hot_fire_is_found_by_temperature(name: str, told: bool) -> None:
    """By the fixed rules alone, without a model; at once after a second reading over 57 degC."""
    mix = Mix(
        1.0, ("flammable_liquid", "curtain"), device=name, nuisance_counts=(1.0, 0.0, 0.0),
        fault_share=0.0,
    )  # fmt: skip
    streams = simulation.simulate_streams(
        8, generator=seeded(3), sensors=1, mix=mix, rooms=Rooms(ceiling_share=1.0, hung="same")
    )
    calm = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
    device = devices.load_device(name)
    longest_s = device.longest_interval_s if told else None
    hottest = min(HEAT_C, device.channels["temperature"].clip)  # some read no more than 50 degC
    hot = 0
    for recording in to_recordings(streams):
        temperature = np.nan_to_num(recording.readings[:, 0, TEMPERATURE])
        times = recording.times_s[temperature >= hottest]
        if not len(times):
            continue
        hot += 1
        events = detect(calm, recording, longest_interval_s=longest_s).events
        alarms = [event["time_s"] for event in events if event["event"] == "alarm"]
        assert alarms, "a fire that the sensor reads as hot"
        if hottest == HEAT_C and len(times) > 1:
            assert alarms[0] <= times[1] + 10.0
    assert hot >= 3
