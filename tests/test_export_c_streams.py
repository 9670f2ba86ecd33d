"""The C says what `Detector` says of odd streams, also of cells that cannot be used."""

import ctypes
import json
import math
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_fixtures import SANITIZED, SENSORS, need_compiler, write
from export_fixtures import small_run
from odd_streams import Step, odd_stream, said

from saafe.detector import Detector, Scorer
from saafe.export import c_files
from saafe.export.c_source import SOURCE
from saafe.sensors import CHANNELS, HUMIDITY

need_compiler()
Events = list[dict[str, Any]]


# what the device of the run sends beside what every detector knows; 999 degF is 537.2222 degC
SENT = (("temperature", (999 - 32) / 1.8), ("co", 500.0), ("pm25", 1_500.5), ("pm25", 777.0))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    one = small_run(tmp_path_factory.mktemp("runs"), seed=1)
    return replace(one, settings=replace(one.settings, sentinels=SENT))


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(run, tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def program(folder: Path) -> Path:
    """`saafe_check` under the sanitizers."""
    return c_files.compile_c(folder, "checked", (SOURCE, c_files.CHECK), sensors=SENSORS,
                             options=SANITIZED)  # fmt: skip


@pytest.fixture(scope="module")
def model(run, folder: Path) -> Scorer:
    """The network of the C, so that no rounding of its own moves an event."""
    command = ["cc", "-std=c99", "-O2", "-shared", "-fPIC", SOURCE, "-o", "network.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    network = ctypes.CDLL(str(folder / "network.so"))
    network.saafe_log_odds.restype, network.saafe_percent.restype = ctypes.c_float, ctypes.c_double
    network.saafe_percent.argtypes = [ctypes.c_float]

    def score(windows: np.ndarray) -> np.ndarray:
        steps = np.ascontiguousarray(windows, np.float32)
        odds = [network.saafe_log_odds(one.ctypes.data_as(ctypes.c_void_p)) for one in steps]
        return np.array([network.saafe_percent(one) for one in odds])

    return Scorer(score, run.settings)


def in_words(event: dict[str, Any]) -> dict[str, Any]:
    """An event without its risk, and what is wrong with a cell in the words of the C."""
    rest = {name: value for name, value in event.items() if name != "risk"}
    reason = rest.get("reason", "")
    if " is " in reason:
        rest["reason"] = "outside_range" if " is outside " in reason else "no_value"
    return rest


def both(
    model: Scorer, program: Path, steps: list[Step], longest_s: float | None = None
) -> tuple[Events, Events]:
    """What `Detector` and the C say of a stream."""
    ours = said(Detector(model, longest_interval_s=longest_s), steps)
    told = [] if longest_s is None else [str(longest_s)]
    done = subprocess.run(
        [program, "replay", *told], input="\n".join(step.line() for step in steps),
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    named = [{**event, "sensor": str(event["sensor"])} for event in theirs]
    return [in_words(event) for event in ours], [in_words(event) for event in named]


@pytest.mark.parametrize("seed", [*range(10), *(pytest.param(k, marks=pytest.mark.slow)
                                                 for k in range(10, 310))])  # fmt: skip
def test_an_odd_stream(model: Scorer, program: Path, seed: int) -> None:
    steps, longest_s = odd_stream(seed)
    ours, theirs = both(model, program, steps, longest_s)
    assert ours == theirs


def test_odd_streams_hold_what_can_come(model: Scorer) -> None:
    """Else the others would compare little."""
    found: Counter[str] = Counter()
    for seed in range(30):
        steps, longest_s = odd_stream(seed)
        for event in said(Detector(model, longest_interval_s=longest_s), steps):
            what = in_words(event)
            found[f"{what['event']} {what.get('cause', what.get('reason'))}"] += 1
    causes = ("heat", "model", "rate_of_rise", "co_dose")
    reasons = ("silent", "missing", "jump", "outside_range", "no_value")
    expected = {*(f"alarm {cause}" for cause in causes), *(f"fault {one}" for one in reasons),
                "clear model", "clear acknowledged", "warning model"}  # fmt: skip
    assert expected <= found.keys()


def row(time_s: float, **readings: float) -> Step:
    """A row of the sensor 0, of some channels."""
    values = [readings.get(channel.name, math.nan) for channel in CHANNELS]
    return Step("row", time_s, "0", np.array(values, np.float32))


def ends(index: int) -> list[float]:
    """What lies at and beyond the ends of a channel, and what comes in place of a reading."""
    one = CHANNELS[index]
    beyond = [one.lowest - 0.5, one.highest * 1.01 + one.overshoot]
    within = [one.lowest, one.highest, one.highest + one.overshoot]
    codes = [value for value, _ in one.wrong_values]
    codes += [value for name, value in SENT if name == one.name]
    return [*beyond, *codes, *within]


@pytest.mark.parametrize("index", range(len(CHANNELS)), ids=[c.name for c in CHANNELS])
def test_a_cell_that_cannot_be_used_is_a_fault(
    model: Scorer, program: Path, index: int
) -> None:  # fmt: skip
    """Until the channel's next reading; a code is no reading, though it may be possible."""
    name, usual = CHANNELS[index].name, CHANNELS[index].rest + 5.0
    beside = {"temperature" if index == HUMIDITY else "humidity": 21.0}
    steps = []
    for k, value in enumerate(ends(index)):
        steps += [row(20.0 * k, **{name: value}, **beside), row(20.0 * k + 10.0, **{name: usual})]
    ours, theirs = both(model, program, steps)
    assert ours == theirs
    faults = [e["time_s"] for e in theirs if e.get("channel") == name and e["event"] == "fault"]
    codes = len(ends(index)) - 5
    assert {20.0 * k for k in range(2 + codes)} <= set(faults)


def test_a_sensor_that_sends_codes_alone_is_one_fault(model: Scorer, program: Path) -> None:
    steps = [row(0.0, temperature=20.0, pm25=5.0), row(60.0, temperature=-127.0, pm25=65_535.0),
             row(120.0, temperature=20.5, pm25=5.5)]  # fmt: skip
    ours, theirs = both(model, program, steps)
    assert ours == theirs
    assert [(e["event"], e["channel"]) for e in theirs if e["event"] in ("fault", "restored")] == [
        ("fault", "all"),
        ("restored", "all"),
    ]


def test_no_alarm_clears_while_its_channel_sends_codes(program: Path, model: Scorer) -> None:
    """It was cleared eleven days early: what is left of the sensor's air is no calm."""
    hot = [row(10.0 * k, temperature=70.0, humidity=40.0) for k in range(30)]
    codes = [row(300.0 + 10.0 * k, temperature=1_250.0, humidity=40.0) for k in range(1, 400)]
    ours, theirs = both(model, program, [*hot, *codes])
    assert ours == theirs
    assert [e["event"] for e in theirs].count("alarm") == 1
    assert "clear" not in [e["event"] for e in theirs]


def test_a_time_in_milliseconds_is_no_sensor_too_many(program: Path) -> None:
    done = subprocess.run(
        [program, "replay"], input="1.7e12,0,20\n", capture_output=True, text=True
    )
    assert done.stderr == "line 1: time_s is beyond 300 years; left out: give seconds\n"


def test_replay_takes_the_longest_interval(model: Scorer, program: Path) -> None:
    """A sensor that may pause for four hours is silent after six."""
    steps = [row(1e4 * k, temperature=20.0) for k in range(3)] + [row(5e4, temperature=20.0)]
    ours, theirs = both(model, program, steps, 14_400.0)
    assert ours == theirs
    silent = [e["time_s"] for e in theirs if e.get("reason") == "silent" and e["event"] == "fault"]
    assert silent == [20_000.0 + 1.5 * 14_400.0]
