"""Shards of the long exam: screened alike, resumed, added up, and never mixed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from saafe.cli import saafe
from saafe.detector.alarms import AlarmSettings
from saafe.errors import InputError
from saafe.exam import exam, long
from saafe.exam.gate import GATE_LIMITS, gate_lines, limits_of, quick_limits
from saafe.exam.judging import judged_run
from saafe.exam.long import (
    has_moved,
    merge_shards,
    missing_shards,
    read_shards,
    screened,
    with_long,
    write_shards,
)
from saafe.exam.model_card import MODEL_CARD_FILE
from saafe.exam.quick import exam_device
from saafe.exam.session import Session
from saafe.files import write_json
from saafe.metrics import Bounds
from saafe.recipes import changed, find_tier
from saafe.sensors import CHANNELS
from saafe.simulator import Mix, devices, sources, to_recordings
from saafe.training import runs
from saafe.training.loop import fit_detector
from saafe.training.model import FireTransformer
from saafe.training.runs import Run, load


@pytest.fixture
def run(tmp_path: Path) -> Run:
    recipe = changed(find_tier("tiny"), ("width=16", "layers=1", "heads=2", "device=cpu"))
    torch.manual_seed(0)
    folder = tmp_path / "run"
    folder.mkdir()
    runs.save_model(folder, recipe, FireTransformer(recipe), AlarmSettings(fast=9.0, slow=8.0))
    return load(folder)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long, "QUIET_STREAMS_OF_A_SHARD", 2)
    monkeypatch.setattr(long, "QUIET_BATCH", 2)
    monkeypatch.setattr(long, "QUIET_HOURS", 1.0)
    monkeypatch.setattr(long, "COOKINGS_OF_A_SHARD", 1)
    monkeypatch.setattr("saafe.exam.nuisances.NUISANCE_BATCHES", 1)
    monkeypatch.setattr("saafe.exam.long.sources.NUISANCES", sources.NUISANCES[:3])


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model that has learnt something, in half a minute."""
    few = {"epochs": 4, "windows": 3000, "streams": 128, "held_out": 128}
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("saafe.training.thresholds.REFERENCE_STREAMS", 64)
        recipe = changed(find_tier("tiny"), tuple(f"{key}={value}" for key, value in few.items()))
        model, settings = fit_detector(recipe)
    runs.save_model(folder, recipe, model, settings)
    return load(folder)


def windows(**newest: float) -> np.ndarray:
    out = np.full((1, 60, 1, len(CHANNELS)), 20.0, np.float32)
    for name, value in newest.items():
        channel = [c.name for c in CHANNELS].index(name)
        out[:, -3:, :, channel] = value
    return out


@pytest.mark.parametrize("channel", range(len(CHANNELS)))
def test_a_window_moves_by_any_channel(channel: int) -> None:
    name, rise = CHANNELS[channel].name, long.MOVES[channel]
    assert not has_moved(windows(**{name: 20.0 + 0.99 * rise}))[0]
    assert has_moved(windows(**{name: 20.0 + 1.01 * rise}))[0]
    assert not has_moved(windows(**{name: np.nan}))[0]


def test_nothing_known_has_not_moved() -> None:
    assert not has_moved(np.full((3, 60, 1, len(CHANNELS)), np.nan, np.float32)).any()


@pytest.mark.slow
def test_screening_changes_no_alarm(trained_run: Run) -> None:
    """Of a model that was trained, on quiet life and on every nuisance, at lowered thresholds."""
    whole = judged_run(trained_run)
    whole = replace(whole, settings=whole.settings.moved(-2.0))
    here = Session(whole, 0, device="saafe-6")
    mixes = (
        Mix(0.0, nuisance_counts=(1.0, 0.0, 0.0), fault_share=0.0),
        Mix(0.0, nuisance_counts=(0.0, 0.5, 0.5), fault_share=0.0, balance=0.5),
    )
    alarms = asked = 0
    for mix in mixes:
        drawn = here.simulate((0, 0), mix=mix, count=48)  # type: ignore[arg-type]
        for recording in to_recordings(drawn):
            one = Session(screened(whole), 0, device="saafe-6")
            found, expected = one.detect(recording).events, here.detect(recording).events
            told = [
                [(e["event"], e["time_s"]) for e in events if e["event"] in ("alarm", "clear")]
                for events in (found, expected)
            ]
            assert told[0] == told[1]
            alarms += len(told[0])
            asked += one.windows
    assert alarms
    assert asked


def test_a_shard_is_its_seeds_and_resumes(few: None, run: Run, tmp_path: Path) -> None:
    device, folder = exam_device(run, None), tmp_path / "shards"
    assert missing_shards(folder, 2) == [0, 1]
    write_shards(run, device, folder, [0, 2])
    assert missing_shards(folder, 2) == [1, 3]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_shards(run, device, folder, [0, 1, 2])
    assert {name: (folder / name).read_bytes() for name in before} == before
    (folder / "shard-0001.json").rename(folder / "kept")
    write_shards(run, device, folder, [1])
    again, first = (json.loads((folder / name).read_text()) for name in ("shard-0001.json", "kept"))
    assert again | {"seconds": 0} == first | {"seconds": 0}
    assert again["quiet"]["streams"] == 2
    assert again["quiet"]["years"] > 0.0
    assert len(read_shards(folder, run, device)) == 3
    other = replace(device, sensors=devices.load_device("saafe-4"), is_own=False)  # of one name
    with pytest.raises(InputError, match=f"its device is saafe-6, not {other.called}; keep"):
        read_shards(folder, run, other)


def shard(number: int, *, years: float = 1.0, alarms: int = 0, cookings: int = 7) -> dict:
    counts = {"alarms": 0, "events_with_alarm": 0, "hours_in_alarm": 0.0, "photo_events": 0}
    nuisances = {
        one.name: counts | {"events": cookings if one.cooking else 1} for one in sources.NUISANCES
    }
    nuisances["frying"] = counts | {"events": cookings, "alarms": alarms, "hours_in_alarm": 0.1}
    quiet = {"streams": 366, "alarms": 0, "hours_in_alarm": 0.0, "years": years}
    return {"shard": number, "seconds": 60.0, "quiet": quiet, "nuisances": nuisances}


def test_counts_add_up_in_any_order() -> None:
    shards = [shard(0), shard(1, alarms=2), shard(2, years=0.5)]
    merged = merge_shards(shards)
    assert (merged["shards"], merged["quiet_years"]) == (3, 2.5)
    kinds = sum(one.cooking for one in sources.NUISANCES)
    assert merged["cookings"] == 3 * 7 * kinds
    per_year = sources.SOURCES["frying"].per_year
    assert merged["life"]["kitchen"].alarms_per_year == pytest.approx(per_year * 2 / 21)
    assert merge_shards(shards[::-1]) == merged


def test_many_years_without_an_alarm_show_what_few_cannot() -> None:
    limits = quick_limits(limits_of("tiny")) | GATE_LIMITS
    good = {"early_alarms": 0.0, "egress_fast_kinds_s": 1.0}
    figures = {
        name: (Bounds(*[good.get(name, 0.5 * one.limit if one.at_most else 1.01 * one.limit)] * 3),
               9)
        for name, one in limits.items()
    }  # fmt: skip
    full = {"gate": {"device": "saafe-6", "lines": gate_lines(figures, limits)}}
    few, many = ([shard(k) for k in range(n)] for n in (3, 150))
    for shards, status in ((few, "not_shown"), (many, "pass")):
        gate = with_long(full, merge_shards(shards))["gate"]
        lines = {line["name"]: line for line in gate["lines"]}
        assert lines["quiet_false_alarms_per_year"]["status"] == status
        assert (gate["level"], lines["in_time"]["status"]) == ("long", "pass")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no shard"),
        ('{"shard": 0}', "its version is None"),
        ('{"shard": 0, "version": "2", "device": "saafe-4"}', "its device is saafe-4"),
        ('{"shard": 0, "version": "2", "device": "saafe-6", "model_sha256": "x"}', "model_sha256"),
    ],
)
def test_what_is_no_shard_of_this_model_is_refused(
    text: str, said: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "shard-0000.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read_shards(tmp_path, run, exam_device(run, None))
    with pytest.raises(InputError, match="holds no shard"):
        read_shards(tmp_path / "nowhere", run, exam_device(run, None))


DAMAGED = (None, "x", True, -5, float("nan"), float("inf"), [], {})
PLACES = (
    ("seconds",), ("quiet",), ("quiet", "years"), ("nuisances",), ("nuisances", "frying"),
    ("nuisances", "frying", "events"),
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids="-".join)
def test_damaged_counts_are_refused(place: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    device, path = exam_device(run, None), tmp_path / "shard-0000.json"
    whole = shard(0) | {
        "version": exam.VERSION, "device": device.name,
        "model_sha256": runs.sha256(run.folder / runs.MODEL),
    }  # fmt: skip
    path.write_text(json.dumps(whole))
    assert read_shards(tmp_path, run, device) == [whole]
    for value in (*DAMAGED, "gone"):
        damaged = json.loads(json.dumps(whole))
        part = damaged
        for name in place[:-1]:
            part = part[name]
        part[place[-1]] = value
        if value == "gone":
            del part[place[-1]]
        path.write_text(json.dumps(damaged))
        with pytest.raises(InputError, match=r"shard-0000\.json: its counts are damaged"):
            read_shards(tmp_path, run, device)


def test_a_long_exam_goes_on_from_a_full_one(few: None, run: Run) -> None:
    asked = ["exam", str(run.folder), "--level", "long", "--json"]
    refused = CliRunner().invoke(saafe, asked)
    assert isinstance(refused.exception, InputError)
    assert "run the full level first" in str(refused.exception)
    limits = quick_limits(limits_of("tiny")) | GATE_LIMITS
    lines = gate_lines(dict.fromkeys(limits, (Bounds(1.0, 1.0, 1.0), 1)), limits)
    full = {
        "level": "full",
        "gate": {"level": "full", "device": "saafe-6", "passed": False, "lines": lines},
        "provenance": {"model_sha256": runs.sha256(run.folder / runs.MODEL)},
    }
    write_json(run.folder / exam.EXAM_FILE, full)
    done = CliRunner().invoke(saafe, [*asked, "--count", "2"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["long"]["shards"] == 2
    assert result == json.loads((run.folder / exam.EXAM_FILE).read_text())
    card = (run.folder / MODEL_CARD_FILE).read_text()
    assert "(long gate)" in card  # not what the full exam said
    only_added = CliRunner().invoke(saafe, [*asked, "--count", "0"])
    assert json.loads(only_added.stdout)["long"]["shards"] == 2
