"""The C: strict, without a heap, the model's risk, and the detector's events."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from c_fixtures import SANITIZED, SENSORS, need_compiler, write
from export_fixtures import SMALL, odd_windows, small_run
from odd_recordings import odd_recording

from saafe.detector import Detector, detect, load_exported
from saafe.export import c_files, onnx_files, parity
from saafe.export.bundle import export_run
from saafe.export.c_source import SOURCE
from saafe.recipes import Recipe
from saafe.recordings import read_recording
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS

need_compiler()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    return small_run(tmp_path_factory.mktemp("runs"), seed=1)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the C of the run."""
    return write(run, tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def program(folder: Path) -> Path:
    """`saafe_check` under the sanitizers."""
    return c_files.compile_c(folder, "checked", (SOURCE, c_files.CHECK), sensors=SENSORS,
                             options=SANITIZED)  # fmt: skip


LEVELS = ["-O2", "-Os", *(pytest.param(o, marks=pytest.mark.slow) for o in ("-O0", "-O1", "-O3"))]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sensors", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_compiles_without_a_warning(folder: Path, level: str, sensors: int) -> None:
    more = ("-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla")
    for main in (c_files.CHECK, "esp32_main.c"):
        (folder / "strict").unlink(missing_ok=True)
        made = c_files.compile_c(folder, "strict", (SOURCE, main), sensors=sensors,
                                 options=(level, *more))  # fmt: skip
        assert os.access(made, os.X_OK), main


def test_a_warning_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "idle.c").write_text("int main(void) { int idle = 1; return 0; }\n")
    with pytest.raises(AssertionError, match="idle"):
        c_files.compile_c(tmp_path, "idle", ("idle.c",))


def test_uses_no_heap(folder: Path) -> None:
    c_files.sizes(folder)
    names = subprocess.run(["nm", "-u", "saafe.o"], cwd=folder, stdout=subprocess.PIPE, text=True)
    wanted = set(re.findall(r"U (\w+)", names.stdout))
    assert wanted
    assert not wanted & {"malloc", "calloc", "realloc", "free", "alloca", "printf", "fopen"}


def test_risk_is_the_runs(run, program: Path) -> None:
    cases = parity.parity_cases(parity.parity_recordings(SMALL, 6, 1.0))
    cases |= {"odd recordings": odd_windows(range(10, 20))}
    rows = parity.compare_risk(run, lambda some: c_files.score_c(program, some), cases)
    assert max(row.largest for row in rows) < 1e-5, rows


@pytest.mark.parametrize(
    "recipe",
    [Recipe("tiny", width=8, layers=1, heads=1, expansion=3, patch=10),
     Recipe("tiny", width=12, layers=1, heads=3, expansion=1, patch=60)],
    ids=lambda r: f"patch{r.patch}",
)  # fmt: skip
def test_risk_of_other_shapes_is_the_runs(recipe: Recipe, tmp_path: Path) -> None:
    one = small_run(tmp_path, recipe, seed=4)
    write(one, tmp_path)
    program = c_files.compile_c(tmp_path, "check", (SOURCE, c_files.CHECK))
    some = odd_windows(range(4))
    assert np.abs(one.score(some) - c_files.score_c(program, some)).max() < 1e-3


@pytest.fixture(scope="module")
def model(run, tmp_path_factory: pytest.TempPathFactory):
    """The run's file, which scores one window ten times as fast."""
    path = tmp_path_factory.mktemp("onnx") / "a.onnx"
    path.write_bytes(onnx_files.single_precision(run))
    return load_exported(path)


def stream(detector: Detector, recording: Recording) -> list[dict]:
    events = []
    for time_s, row in zip(recording.times_s.tolist(), recording.readings, strict=True):
        for sensor, readings in zip(recording.sensors, row, strict=True):
            if not np.isnan(readings).all():
                events += detector.update(time_s, sensor, readings)
    return events + detector.finish()


SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 40))]


@pytest.mark.parametrize("seed", SEEDS)
def test_events_are_the_detectors(model, program: Path, seed: int) -> None:
    """Under the sanitizers: gaps, faults, uploads, heat, carbon monoxide, up to three sensors."""
    odd = odd_recording(seed, rows=1000)
    ours, theirs = stream(Detector(model), odd), c_files.replay_c(program, odd)
    assert parity.without_risk(ours) == parity.without_risk(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert abs(one.get("risk", 0.0) - other.get("risk", 0.0)) <= 0.1 + 1e-9


@pytest.mark.slow
def test_odd_recordings_say_every_kind_of_event(model) -> None:
    said = set()
    for seed in range(40):
        events = detect(model, odd_recording(seed, rows=1000)).events
        said |= {(e["event"], e.get("reason", e.get("cause"))) for e in events}
    assert {("alarm", "model"), ("clear", "model"), ("warning", "model")} <= said
    assert {("alarm", "heat"), ("alarm", "rate_of_rise"), ("alarm", "co_dose")} <= said
    faults = {reason for kind, reason in said if kind == "fault"}
    assert {"silent", "missing", "spiking", "stuck", "jump"} <= faults


def test_a_devices_longest_pause_is_inside(run, tmp_path: Path) -> None:
    """A model of a device that reports on change: readings hold, and silence is longer."""
    slow = replace(run, settings=replace(run.settings, longest_interval_s=1_800.0))
    write(slow, tmp_path)
    program = c_files.compile_c(tmp_path, "check", (SOURCE, c_files.CHECK), sensors=SENSORS)
    for seed in (1, 2):
        odd = odd_recording(seed, rows=400)
        ours, theirs = stream(Detector(slow), odd), c_files.replay_c(program, odd)
        assert parity.without_risk(ours) == parity.without_risk(theirs)
        assert parity.without_risk(ours) != parity.without_risk(stream(Detector(run), odd))


def test_days_of_readings(run, program: Path) -> None:
    """Drift, saturation and days of spikes are said alike."""
    random = np.random.default_rng(5)
    times = 60.0 * np.arange(12_000)
    readings = np.full((12_000, 1, 6), np.nan, np.float32)
    readings[:, 0, 0] = 20.0 + random.normal(0, 0.1, 12_000)
    readings[:, 0, 1] = 5.0 + times / 86_400.0 * 75.0 + random.normal(0, 1.0, 12_000)
    readings[:, 0, 2] = 600.0 + np.arange(12_000) % 977
    readings[9_000:11_500, 0, 2] = 1_600.0
    readings[2_000:2_600:5, 0, 0] += 40.0
    days = Recording("days", times, ("A",), readings)
    ours, theirs = detect(run, days).events, c_files.replay_c(program, days)
    assert parity.without_risk(ours) == parity.without_risk(theirs)
    reasons = {e["reason"] for e in ours if e["event"] == "fault"}
    assert {"drift", "saturated", "spiking"} <= reasons


def test_ticks_and_acknowledgements(run, program: Path) -> None:
    """A stream with a clock and a person, against `Detector` itself."""
    odd = odd_recording(6, rows=600)
    random = np.random.default_rng(0)
    detector, ours, lines = Detector(run), [], []
    for time_s, row in zip(odd.times_s.tolist(), odd.readings, strict=True):
        for sensor, readings in enumerate(row):
            if np.isnan(readings).all():
                continue
            late_s = float(random.choice([0.0, 0.0, 0.0, 2.0, 400.0]))
            ours += detector.update(time_s - late_s, odd.sensors[sensor], readings)
            cells = ("" if np.isnan(v) else f"{v:.9g}" for v in readings)
            lines.append(f"{time_s - late_s!r},{sensor},{','.join(cells)}")
        if random.random() < 0.2:
            now_s = time_s + float(random.uniform(0.0, 300.0))
            ours += detector.tick(now_s)
            lines.append(f"tick,{now_s!r}")
        if random.random() < 0.02:
            ours += detector.acknowledge()
            lines.append("acknowledge")
    ours += detector.finish()
    done = subprocess.run([program, "replay"], input="\n".join(lines), stdout=subprocess.PIPE,
                          text=True, check=True)  # fmt: skip
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    named = [{**event, "sensor": odd.sensors[event["sensor"]]} for event in theirs]
    assert parity.without_risk(ours) == parity.without_risk(named)
    assert any(event.get("cause") == "acknowledged" for event in ours)


def test_an_acknowledgement_hushes_sensors_that_come_after_it(run, tmp_path: Path) -> None:
    """A model that always alarms: the second sensor's first row comes once a person was there."""
    low = dict.fromkeys(("fast", "slow", "steady", "warn"), -99.0)
    loud = replace(run, settings=replace(run.settings, **low, leave=-100.0))
    write(loud, tmp_path)
    program = c_files.compile_c(tmp_path, "check", (SOURCE, c_files.CHECK), sensors=SENSORS)
    detector, ours, lines = Detector(loud), [], []
    rows = [(k, 0) for k in range(30)] + [(k, 1) for k in range(30, 110)]
    for k, sensor in rows:
        if k == 30:
            ours += detector.acknowledge()
            lines.append("acknowledge")
        ours += detector.update(10.0 * k, str(sensor), {"temperature": 20.0})
        lines.append(f"{10 * k},{sensor},20")
    ours += detector.finish()
    done = subprocess.run([program, "replay"], input="\n".join(lines), stdout=subprocess.PIPE,
                          text=True, check=True)  # fmt: skip
    named = [{**e, "sensor": str(e["sensor"])} for e in map(json.loads, done.stdout.splitlines())]
    assert parity.without_risk(ours) == parity.without_risk(named)
    alarms = [(e["sensor"], e["time_s"]) for e in ours if e["event"] == "alarm"]
    assert [sensor for sensor, _ in alarms] == ["0", "1"]
    assert alarms[1][1] >= 290.0 + 600.0


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(k, marks=pytest.mark.slow)
                                                for k in range(6, 40))])  # fmt: skip
def test_rows_that_come_late_twice_or_in_pieces(model, program: Path, seed: int) -> None:
    """Rows of one time, rows that go back and outages, which tell how long a sensor may pause."""
    random, detector, time_s, ours, lines = (
        np.random.default_rng(seed),
        Detector(model),
        0.0,
        [],
        [],
    )
    for _ in range(150):
        kind = random.random()
        time_s += float(random.choice([10.0, 10.0, 60.0, 0.0]))
        if kind < 0.05:
            time_s -= float(random.integers(1, 200))
        elif kind < 0.1:
            time_s += float(random.integers(100, 9000))
        sensor = int(random.integers(0, 1 + seed % SENSORS))
        rest = [20.0, 5.0, 500.0, 40.0, 1.0, 45.0]
        readings = np.array(rest, np.float32) + random.integers(0, 3, len(CHANNELS))
        readings[random.random(len(CHANNELS)) < random.choice([0.1, 0.7])] = np.nan
        ours += detector.update(time_s, str(sensor), readings)
        cells = ("" if np.isnan(v) else f"{v:.9g}" for v in readings)
        lines.append(f"{time_s!r},{sensor},{','.join(cells)}")
    ours += detector.finish()
    done = subprocess.run([program, "replay"], input="\n".join(lines), stdout=subprocess.PIPE,
                          text=True, check=True)  # fmt: skip
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    named = [{**event, "sensor": str(event["sensor"])} for event in theirs]
    assert parity.without_risk(ours) == parity.without_risk(named)


BAD_ROWS = (
    "time_s,sensor,temperature_c\n", "x,0,20\n", "nan,0,20\n", "inf,0,20\n", "1e300,0,20\n", ",,\n",
    "10,99,20\n", "10,-1,20\n", "10,0\n", "10,0,,,,,,\n", "10,0,1e9,-5,1e9,900,-1,200\n", "\n",
    "tick,\n", "tick,nan\n", "tick,inf\n", "acknowledge\n", "10,0,abc,0x10,inf,nan\n",
    "-1e9,0,20\n", "20,0,20\n", "19.999,0,21\n", "1,2\n" * 3, "9" * 600 + "\n",
)  # fmt: skip


def test_bad_rows_do_no_harm(program: Path) -> None:
    random = np.random.default_rng(1)
    text = "".join(random.choice(BAD_ROWS, 2_000))
    done = subprocess.run([program, "replay"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def replayed(program: Path, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, "replay"], input=text, capture_output=True, text=True)


def test_a_recording_is_replayed_as_it_stands(run, program: Path, tmp_path: Path) -> None:
    """Its columns by name, its sensors by name: it was taken for another, and silently."""
    path = tmp_path / "home.csv"
    path.write_text("".join([
        "time_s,sensor,label,co_ppm,temperature_c,humidity_pct\n",
        *(f"{10 * k},{name},normal,0.5,{20 + (name == 'bed') * k},45\n"
          for k in range(60) for name in ("living room", "bed")),
    ]))  # fmt: skip
    recording, _ = read_recording(path)
    done = replayed(program, path.read_text())
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stderr == ""
    assert parity.without_risk(theirs) == parity.without_risk(detect(run, recording).events)
    assert theirs, "random weights alarm in one of the rooms at least"


def test_sensors_without_room_and_columns_without_time_are_said(program: Path) -> None:
    rows = [f"{10 * k},room {n},20\n" for k in range(2) for n in range(SENSORS + 1)]
    done = replayed(program, "time_s,sensor,temperature_c\n" + "".join(rows))
    assert done.stderr.splitlines() == [
        f"line {SENSORS + 2}: one more sensor than this was compiled for; left out: "
        f"give cc -DSAAFE_SENSORS={SENSORS + 1} or more",
        "2 rows of such sensors were left out",
    ]
    done = replayed(program, "time,temperature_c\n2026-01-01T00:00:00Z,20\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no time_s" in done.stderr


def test_the_esp32_example_runs(folder: Path) -> None:
    program = c_files.compile_c(folder, "esp32", (SOURCE, "esp32_main.c"), options=SANITIZED)
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert "buzzer on" in done.stdout
    assert done.stdout.splitlines()[-1].split()[-2:] == ["fault", "silent"]


def test_memory_of_the_tiny_tier(tmp_path: Path) -> None:
    """As `benchmarks/latency.py` states it: under 64 kB of RAM and 512 kB of flash."""
    write(small_run(tmp_path, Recipe("tiny", width=64, layers=2)), tmp_path)
    sizes = c_files.sizes(tmp_path)
    assert sizes["c_ram_bytes"] < 64_000
    assert sizes["c_flash_bytes"] < 512_000


def test_export_reports(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = parity.parity_recordings(SMALL, 4, 1.0)
    monkeypatch.setattr(parity, "parity_recordings", lambda recipe: some)
    report = export_run(run, "c", tmp_path)
    assert report["events"]["same_events"] == 4
    assert max(row["largest"] for row in report["parity"]) < 1e-4
    assert report["c_ram_bytes"] > report["c_state_bytes"] > 18_000
    assert {path.name for path in tmp_path.iterdir()} == {
        "saafe.h", "saafe.c", "saafe_check.c", "esp32_main.c", "export-c.json"}  # fmt: skip


def test_without_a_compiler_the_report_says_so(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    report = export_run(run, "c", tmp_path)
    assert report["parity"] is None
    assert report["notes"] == [c_files.UNCHECKED]
    assert (tmp_path / "saafe.c").is_file()


def test_numbers_of_the_header_are_the_models(run, folder: Path) -> None:
    header = (folder / "saafe.h").read_text()
    assert f'#define SAAFE_MODEL_SHA256 "{run.identity}"' in header
    assert SMALL.width == 16
    assert "#define WIDTH 16\n" in (folder / SOURCE).read_text()
