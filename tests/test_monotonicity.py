"""Ramps: only one channel rises, only at the end, and a falling risk is counted."""

import json

import numpy as np
import pytest
import torch

from saafe.detector.alarms import AlarmSettings
from saafe.exam import gate, monotonicity, report
from saafe.exam.judging import Judged
from saafe.sensors import CO, PM25, TEMPERATURE
from saafe.simulator import simulation
from saafe.simulator.streams import Streams
from saafe.training.data import Purpose, seeded_generator


@pytest.fixture(scope="module")
def made() -> tuple[monotonicity.Pairs, Streams]:
    torch.set_num_threads(1)
    generator = seeded_generator(0, Purpose.JUDGE, 0, torch.device("cpu"))
    streams = simulation.simulate_streams(16, generator=generator, sensors=1)
    random = np.random.default_rng(0)
    return monotonicity.draw_pairs(
        streams, monotonicity.draw_places(streams, 200, random), random
    ), streams


def test_only_one_channel_rises_and_only_in_the_last_five_minutes(made) -> None:
    pairs = made[0]
    rise = pairs.after - pairs.before
    rows = np.arange(len(rise))
    ramped = rise[rows, :, pairs.channel]
    rise[rows, :, pairs.channel] = 0.0
    assert np.nanmax(np.abs(rise)) == 0.0
    assert (np.isnan(pairs.after) == np.isnan(pairs.before)).all()
    assert np.nanmin(ramped) >= 0.0
    assert np.nanmax(np.abs(ramped[:, :-30])) == 0.0
    assert set(pairs.channel) <= {TEMPERATURE, PM25, CO}


def test_together_all_three_rise_over_the_same_time(made) -> None:
    pairs = made[0]
    rise = pairs.together - pairs.before
    assert (np.isnan(pairs.together) == np.isnan(pairs.before)).all()
    rising = [TEMPERATURE, PM25, CO]
    others = [c for c in range(rise.shape[-1]) if c not in rising]
    assert np.nanmax(np.abs(rise[..., others])) == 0.0
    assert np.nanmin(rise[..., rising]) >= 0.0
    assert np.nanmax(np.abs(rise[:, :-30])) == 0.0
    low, high = np.array([monotonicity.AMPLITUDES[c] for c in rising]).T
    highest = np.nanmax(np.nan_to_num(rise[..., rising]), axis=(0, 1))
    assert ((highest > low) & (highest <= 1.001 * high)).all()
    # where all three are read, they begin at the same step
    known = ~np.isnan(pairs.before[:, -30:, rising]).any(axis=(1, 2))
    begun = (rise[known][:, -30:, rising] > 0.0).argmax(axis=1)
    assert known.sum() > 10
    assert (np.ptp(begun, axis=1) <= 1).mean() > 0.9  # a float may swallow the first of it


def longest_hold(streams: Streams) -> np.ndarray:
    """Longest time without a report of each stream. [step] (n,)"""
    out = []
    for spoken in streams.reported[:, :, 0].numpy():
        at = np.flatnonzero(spoken)
        out.append(max(at[0], len(spoken) - at[-1], np.diff(at).max(initial=1)))
    return np.array(out)


def test_ramps_never_fall_and_end_near_their_amplitude(made) -> None:
    pairs, streams = made
    rows = np.arange(len(pairs.before))
    ramped = (pairs.after - pairs.before)[rows, :, pairs.channel]
    last = np.array([one[~np.isnan(one)][-1] for one in ramped])
    assert (last <= pairs.amplitude * 1.001 + 1e-3).all()
    held_s = 10.0 * longest_hold(streams)[pairs.stream]
    clipped = pairs.after[rows, -1, pairs.channel] >= 1199.0
    silent = np.isnan(pairs.before[rows, -1, pairs.channel])
    least = pairs.amplitude * np.clip(1.0 - held_s / pairs.over_s, 0.0, 1.0)
    assert (last >= 0.999 * least - 1e-2)[~clipped & ~silent].all()
    steps = np.diff(ramped, axis=1)
    assert (np.nan_to_num(steps) >= -0.02).all()


def newest_particles(windows: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(windows[:, -1, 0, PM25]), 0.0, 1e5) / 1e3


@pytest.mark.parametrize(("sign", "falls"), [(1.0, False), (-1.0, True)])
def test_examination_counts_falls(sign: float, falls: bool) -> None:
    def score(windows: np.ndarray) -> np.ndarray:
        return 50.0 + sign * np.minimum(25.0 * newest_particles(windows), 45.0)

    one = Judged("straight", score, AlarmSettings())
    found = json.loads(json.dumps(monotonicity.examine_monotonicity(one, 0, pairs=300)))
    by_ramp = {row["ramp"]: row for row in found["rows"]}
    assert sum(row["pairs"] for row in found["rows"]) == found["pairs"] == 300
    assert by_ramp["temperature"]["fell"] == by_ramp["co"]["fell"] == 0
    assert (by_ramp["pm25"]["fell"] > 10) == falls
    assert found["share_lower"] <= found["share"] <= found["share_upper"]
    together = found["together"]
    for part in (found, together):
        for key in ("pairs", "fell"):
            assert sum(row[key] for row in part["by_risk"]) == part[key]
    assert together["pairs"] == 300
    assert (together["fell"] > 30) == falls
    # 300 pairs without a fall cannot show one in a thousand
    assert found["status"] == ("fail" if falls else "not_shown")
    worst = found["worst"]
    assert len(worst["times_s"]) == len(worst["before"]) == len(worst["after"]) == 180
    assert worst["times_s"][-1] == 0.0
    if falls:
        assert worst["channel"] == "pm25"
        assert worst["risk_before"] - worst["risk_after"] == worst["fall_points"] > 1.0


@pytest.mark.parametrize("device", ["senseair-s8", "mems-microphone"])
def test_a_device_without_a_channel_that_rises_ends_no_exam(device: str) -> None:
    """A full exam of a CO2 cell ended after minutes: numpy cannot choose from nothing."""
    one = Judged("blind", lambda windows: np.zeros(len(windows)), AlarmSettings())
    found = monotonicity.examine_monotonicity(one, 0, device=device, pairs=40)
    assert (found["pairs"], found["share"], found["status"]) == (0, None, "not_shown")
    assert found["worst"] == {}
    line = gate.judged_line(
        "risk_falls", gate.as_bounds(found, "share", prefix="share_"), 0,
        gate.GATE_LIMITS["risk_falls"],
    )  # fmt: skip
    assert line["status"] == "not_shown"
    assert "<table" in report.ramps({"ramps": found})
