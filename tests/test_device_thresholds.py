"""Thresholds of one run for several devices: set once, kept, exported, picked by name."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from export_fixtures import odd_windows, small_run
from odd_recordings import odd_recording

from saafe.cli import saafe as commands
from saafe.detector import (
    PACKAGED_MODEL,
    AlarmSettings,
    cached_settings,
    detect,
    is_cached,
    kept_settings,
    load_exported,
)  # fmt: skip
from saafe.errors import InputError
from saafe.exam.device_comparison import ComparisonPlan, judged_for
from saafe.exam.examinee import judged_on
from saafe.export import onnx_files
from saafe.export.bundle import export_run
from saafe.loading import load_model
from saafe.recordings.recording import write_recording
from saafe.simulator import devices, simulation
from saafe.training import exported_for, for_device, run_for, runs
from saafe.training.device_thresholds import THRESHOLDS, TOLD_AT, kept_thresholds
from saafe.training.thresholds import set_thresholds

SAAFE_6, SONOFF = "saafe-6", "sonoff-snzb-02b"


@pytest.fixture(autouse=True)
def _few_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saafe.training.thresholds.REFERENCE_STREAMS", 12)
    monkeypatch.setattr("saafe.training.thresholds.DENSE_PARTS", 1)


@pytest.fixture
def run(tmp_path: Path):
    return small_run(tmp_path)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds what another kept, or keeps anything in the user's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def begun(said: list[str]) -> list[str]:
    """Lines that say what begins, without those that say how long it still takes."""
    return [line for line in said if "left" not in line]


def test_thresholds_are_those_that_training_sets(run) -> None:
    said: list[str] = []
    found = run_for(run, SAAFE_6, say=said.append)
    first, *later = said
    assert first == "setting thresholds for saafe-6"
    assert later
    assert all(re.fullmatch(rf"{first}: about \d\d:\d\d left", line) for line in later)
    shares: list[float] = []
    recipe = for_device(run.recipe, SAAFE_6)
    asked = set_thresholds(run.model, recipe, on_share=shares.append)
    assert shares == [0.5, 1.0]  # a dense part and a quiet one
    assert found.settings == replace(asked, longest_interval_s=10.0)
    assert found.settings != run.settings
    assert found.model is run.model


def test_how_long_the_rest_takes_is_said_from_the_first_tenth_on(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All was simulated before anything was scored: for the first half minute nothing was said."""
    monkeypatch.setattr("saafe.training.thresholds.REFERENCE_STREAMS", 2)
    monkeypatch.setattr("saafe.training.thresholds.DENSE_PARTS", 29)
    simulated, real = [], simulation.simulate_streams

    def counted(*words, **named):
        simulated.append(1)
        return real(*words, **named)

    monkeypatch.setattr(simulation, "simulate_streams", counted)
    said: list[tuple[str, int]] = []
    run_for(run, SAAFE_6, say=lambda line: said.append((line, len(simulated))))
    lines, parts = zip(*said, strict=True)
    assert [line.split(":")[0] for line in lines] == ["setting thresholds for saafe-6"] * 5
    assert ["left" in line for line in lines] == [False, True, True, True, True]
    ahead = 2 * torch.get_num_threads()  # that threads have begun meanwhile
    assert all(
        there <= share * 30 + 1 + ahead for share, there in zip(TOLD_AT, parts[1:], strict=True)
    )


def test_thresholds_are_kept_and_not_set_again(run) -> None:
    first, said = run_for(run, SAAFE_6), []
    again = run_for(load_model(run.folder), SAAFE_6, say=said.append)
    assert again.settings == first.settings
    assert said == []
    assert load_model(run.folder, device=SAAFE_6).settings == first.settings
    assert load_model(run.folder).settings == run.settings


def test_of_a_slow_device_the_longest_pause_is_known(run) -> None:
    settings = run_for(run, SONOFF).settings
    assert settings.longest_interval_s == devices.load_device(SONOFF).longest_interval_s > 0.0
    assert kept_thresholds(run, devices.load_device(SONOFF)) == settings


@pytest.mark.parametrize("device", [None, "anything"])
def test_without_a_device_nothing_changes(run, device: str | None) -> None:
    assert run_for(run, device) is run
    assert not (run.folder / THRESHOLDS).exists()


def test_a_run_for_one_device_has_its_thresholds(run) -> None:
    own = replace(run, recipe=for_device(run.recipe, SAAFE_6))
    assert run_for(own, SAAFE_6) is own


def test_the_runs_own_device_is_known_by_another_name(run) -> None:
    own = replace(run, recipe=for_device(run.recipe, SAAFE_6))
    renamed = replace(devices.load_device(SAAFE_6), name="mine")
    assert run_for(own, renamed) is own


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: "[]",
        lambda text: '{"devices": {}}',
        lambda text: "[" * 100_000,
        lambda text: text.replace('"digest"', '"other"'),
        lambda text: text.replace('"fast":', '"another": 1.0, "fast":'),
        lambda text: text.replace('"fast": ', '"fast": null, "slow_s": '),
        lambda text: text.replace('"fast": ', '"fast": "x", "slow_s": '),
        lambda text: json.dumps(json.loads(text) | {"devices": None}),
        lambda text: json.dumps(json.loads(text) | {"devices": []}),
        lambda text: json.dumps(json.loads(text) | {"devices": {SAAFE_6: None}}),
        lambda text: json.dumps(json.loads(text) | {"devices": {SAAFE_6: []}}),
        lambda text: json.dumps(json.loads(text) | {"devices": {SAAFE_6: {"alarms": [1]}}}),
        lambda text: text.replace('"digest": "', '"digest": "0'),
        lambda text: text.replace('"model_sha256": "', '"model_sha256": "0'),
    ],
    ids=[
        "empty",
        "a list",
        "of no model",
        "deep",
        "no digest",
        "a field more",
        "a null",
        "a word",
        "no devices",
        "devices a list",
        "a row null",
        "a row a list",
        "alarms a list",
        "of another file",
        "of other weights",
    ],
)
def test_thresholds_of_anything_else_are_set_anew(run, spoil) -> None:
    first, said = run_for(run, SAAFE_6), []
    file = run.folder / THRESHOLDS
    file.write_text(spoil(file.read_text()))
    assert run_for(run, SAAFE_6, say=said.append).settings == first.settings
    assert said
    assert json.loads(file.read_text())["devices"][SAAFE_6]["alarms"] == first.settings.to_dict()


@pytest.mark.parametrize("value", [float("nan"), None, "x", [1.0]])
def test_a_run_whose_thresholds_are_no_numbers_is_refused(run, value) -> None:
    runs.save_model(run.folder, run.recipe, run.model, AlarmSettings(fast=value))
    with pytest.raises(InputError, match="its recipe or its alarm settings"):
        load_model(run.folder)


def test_a_folder_that_cannot_be_written_keeps_nothing(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert run_for(run, SAAFE_6).settings != run.settings
    assert not (run.folder / THRESHOLDS).exists()


def test_an_exported_file_holds_them(run, tmp_path: Path) -> None:
    settings = run_for(run, SAAFE_6).settings
    file = tmp_path / "a.onnx"
    file.write_bytes(onnx_files.eight_bits(run, odd_windows(range(2))))
    exported = load_exported(file)
    assert exported.settings == run.settings
    assert exported.for_device(SAAFE_6).settings == settings
    assert exported.for_device(None) is exported
    assert load_model(file, device=SAAFE_6).settings == settings
    with pytest.raises(InputError, match=r"no thresholds for device scd30 \(it has: saafe-6\)"):
        exported.for_device("scd30")


def test_an_exported_model_has_them_set_where_its_file_holds_none(run, tmp_path: Path) -> None:
    wanted, said = run_for(run, SONOFF).settings, []
    kept = tmp_path / "kept.onnx"
    kept.write_bytes(onnx_files.single_precision(run))
    held = exported_for(load_exported(kept), devices.load_device(SONOFF), say=said.append)
    assert held.settings == wanted
    assert said == [], "the file holds them"
    (run.folder / THRESHOLDS).unlink()
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(onnx_files.single_precision(run))
    found = exported_for(load_exported(bare), devices.load_device(SONOFF), say=said.append)
    assert begun(said)[0] == f"setting thresholds for {SONOFF}"
    for name, value in wanted.to_dict().items():
        assert found.settings.to_dict()[name] == pytest.approx(value, abs=0.01), name
    assert not (run.folder / THRESHOLDS).exists()
    changed = tmp_path / f"{SONOFF}.toml"  # another device of a catalogue's name
    changed.write_text(devices.to_toml(devices.load_device(SAAFE_6)))
    other = exported_for(load_exported(kept), devices.load_device(str(changed)))
    assert other.settings.longest_interval_s == 10.0


@pytest.fixture
def bare(run, tmp_path: Path) -> Path:
    """An exported file that holds no device's thresholds."""
    file = tmp_path / "bare.onnx"
    file.write_bytes(onnx_files.single_precision(run))
    return file


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """A user's own device file."""
    file = tmp_path / "mine.toml"
    file.write_text(devices.to_toml(replace(devices.load_device(SAAFE_6), name="mine")))
    return str(file)


def test_an_exported_models_thresholds_are_set_once(bare: Path, mine: str) -> None:
    said: list[str] = []
    first = load_model(bare, device=mine, say=said.append)
    assert said[0] == "setting thresholds for mine"
    assert "kept in" in begun(said)[1]
    assert "saafe export --device" in begun(said)[1]
    wanted = exported_for(load_exported(bare), devices.load_device(mine))
    assert first.settings == wanted.settings != load_exported(bare).settings
    del said[:]
    assert load_model(bare, device=mine, say=said.append).settings == first.settings
    assert said == []
    assert load_model(bare, device="anything").settings == load_model(bare).settings
    file = Path(mine)
    file.write_text(file.read_text().replace("response_s = 120.0", "response_s = 60.0"))
    load_model(bare, device=mine, say=said.append)
    assert said, "the file changed"


def test_whoever_asks_finds_the_kept_ones(bare: Path, mine: str) -> None:
    """Comparing devices set them again, for minutes, after `detect` had said that they are kept."""
    first, said = load_model(bare, device=mine), []
    exported, device = load_exported(bare), devices.load_device(mine)
    assert exported_for(exported, device, say=said.append).settings == first.settings
    compared = judged_for(device, ComparisonPlan(exported), said.append)
    assert compared.settings == first.settings
    assert judged_on(exported, device, say=said.append).settings == first.settings
    assert len(said) == 3
    assert all("those kept in" in line for line in said)  # none is set anew
    (kept,) = (bare.parent / "cache" / "saafe").iterdir()
    kept.unlink()
    judged_for(device, ComparisonPlan(exported), said.append)
    assert kept.exists(), "what comparing sets is kept, too"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"alarms": 3}', '{"alarms": {"fast": 1}}'])
def test_a_corrupt_cache_is_passed_over(bare: Path, mine: str, text: str) -> None:
    first, said = load_model(bare, device=mine), []
    (kept,) = (bare.parent / "cache" / "saafe").iterdir()
    kept.write_text(text)
    assert load_model(bare, device=mine, say=said.append).settings == first.settings
    assert said


def test_a_cache_that_cannot_be_written_keeps_nothing(
    bare: Path, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare))  # a file
    said: list[str] = []
    load_model(bare, device=mine, say=said.append)
    assert begun(said) == ["setting thresholds for mine"]


def test_without_torch_the_nearest_device_and_the_extra_are_named(mine: str) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
import saafe
assert saafe.load(device="saafe-6").settings
for name in ({mine!r}, "plantower-pms5003", "saafe-7"):
    try:
        saafe.load(device=name)
    except saafe.InputError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own, part, wrong = done.stdout.splitlines()
    assert 'device="saafe-6"' in own
    assert "pip install" in own
    assert "device=" in part
    assert "did you mean saafe-6" in wrong


def test_the_command_says_that_thresholds_are_set(bare: Path, mine: str, tmp_path: Path) -> None:
    write_recording(odd_recording(3), tmp_path / "a.csv")
    words = ["detect", str(bare), str(tmp_path / "a.csv"), "--device", mine]
    done = CliRunner().invoke(commands, words)
    assert done.exit_code == 0, done.output
    assert "setting thresholds for mine" in done.stderr
    assert "setting thresholds" not in CliRunner().invoke(commands, words).stderr


def test_export_sets_the_thresholds_of_the_devices_asked_for(run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one device"):
        export_run(run, "c", tmp_path / "c", device_names=(SAAFE_6, SONOFF))
    with pytest.raises(InputError, match="saafe-7"):
        export_run(run, "onnx", tmp_path / "o", device_names=("saafe-7",))
    export_run(run, "onnx", tmp_path / "o", device_names=(SONOFF,))
    exported = load_exported(tmp_path / "o" / "saafe.onnx")
    assert exported.for_device(SONOFF).settings == run_for(run, SONOFF).settings


def test_the_command_takes_the_devices_thresholds(run, tmp_path: Path) -> None:
    recording = odd_recording(3)
    write_recording(recording, tmp_path / "a.csv")
    words = ["detect", str(run.folder), str(tmp_path / "a.csv"), "--device", SAAFE_6]
    done = CliRunner().invoke(commands, words)
    assert done.exit_code == 0, done.output
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(events) == len(detect(run_for(run, SAAFE_6), recording).events)
    wrong = CliRunner().invoke(commands, [*words[:-1], "saafe-7"])
    assert wrong.exit_code != 0


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"6.0"', "null", "[1.0]"])
def test_a_threshold_of_the_cache_that_is_no_number_is_set_anew(tmp_path: Path, value: str) -> None:
    """NaN was taken, and no risk is as high as that: the model would never have alarmed."""
    file, settings = tmp_path / "thresholds.json", AlarmSettings(fast=7.125)
    assert is_cached(file, settings)
    assert cached_settings(file) == settings
    file.write_text(file.read_text().replace("7.125", value))
    assert cached_settings(file) is None


def test_kept_thresholds_of_another_code_are_not_taken(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version stays over changes of the simulator; an exam would have judged older ones."""
    exported = load_exported(PACKAGED_MODEL)
    monkeypatch.setattr(kept_settings, "code_digest", lambda: "older")
    before = kept_settings.settings_file(exported, "d")
    monkeypatch.undo()
    assert kept_settings.settings_file(exported, "d") != before
    assert kept_settings.settings_file(exported, "d") == kept_settings.settings_file(exported, "d")


def test_a_file_knows_what_a_device_sends_as_its_run_does(run, tmp_path: Path) -> None:
    """An exam of the file took for readings what that of the run did not."""
    (tmp_path / "run.onnx").write_bytes(onnx_files.single_precision(run))
    own = devices.load_device(SAAFE_6)
    co = replace(own.channels["co"], sentinels=(500.0,), unit="ppb")
    device = replace(own, name="mine", channels={**own.channels, "co": co})
    found = exported_for(load_exported(tmp_path / "run.onnx"), device).settings
    due = run_for(run, device).settings
    assert (found.sentinels, found.units) == (due.sentinels, due.units) == (
        (("co", 0.5),), (("co", "ppb"),),
    )  # fmt: skip
