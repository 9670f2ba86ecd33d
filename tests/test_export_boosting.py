"""`--to boosting` and `--to ensemble`: trees of the run's windows in a file, bit by bit."""

import importlib.util
import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from export_fixtures import odd_windows, small_run
from odd_recordings import odd_recording
from test_export import without_torch

import saafe
from saafe.cli import saafe as commands
from saafe.detector import AlarmSettings, Detector, detect, load_exported
from saafe.errors import InputError
from saafe.exam import exam
from saafe.exam.examinee import judged_on
from saafe.exam.judging import likeliest_class
from saafe.exam.report import rivals as rivals_section
from saafe.exam.rivals import ExamStreams, examine_rivals, headline
from saafe.export import boosting, bundle, parity
from saafe.export.bundle import export_run
from saafe.export.ensemble import Ensemble, ensemble_sha256
from saafe.export.graph import Nodes
from saafe.export.trees import boosting_graph, forest, forest_sha256, not_above, summary_nodes
from saafe.recipes import Recipe
from saafe.recordings.recording import write_recording
from saafe.rivals import Boosting, linear, registry
from saafe.rivals.linear import summaries
from saafe.sensors import CHANNELS, FIRE
from saafe.simulator import devices
from saafe.training import Run, data, device_thresholds, features, runs, thresholds
from saafe.training.model import stand_alone

FEW = Recipe(
    "tiny", width=8, layers=1, heads=1, windows=256, batch=64, epochs=1, passes=1, streams=48,
    held_out=48, device="cpu",
)  # fmt: skip
DEVICE = "saafe-4"
NAMES = {"boosting": "gradient boosting", "ensemble": "ensemble"}


@pytest.fixture(scope="module", autouse=True)
def small():
    """Few streams and few rounds, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "PART_STREAMS", 48)
        patch.setattr(thresholds, "REFERENCE_STREAMS", 2)
        patch.setattr(linear, "BOOSTING_ROUNDS", 12)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return small_run(tmp_path_factory.mktemp("runs"), FEW)


@pytest.fixture(scope="module", params=["boosting", "ensemble"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def told(kind: str) -> list[str]:
    return []


@pytest.fixture(scope="module")
def boosted(run: Run, kind: str, told: list[str]) -> boosting.Boosted:
    """Its alarm settings lie amid its risks."""
    made = boosting.boosted_on(run, [DEVICE], told.append, with_run=kind == "ensemble")
    with torch.inference_mode():
        odds = made.model.risk_logit(made.model(torch.from_numpy(odd_windows(range(6)))))
    levels = np.quantile(odds.numpy(), [0.95, 0.9, 0.85, 0.7, 0.6]).tolist()
    fast, slow, steady, warn, leave = levels
    settings = AlarmSettings(fast=fast, slow=slow, steady=steady, warn=warn, leave=leave)
    return replace(made, settings=settings)


@pytest.fixture(scope="module")
def file(
    run: Run, kind: str, boosted: boosting.Boosted, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("file") / f"saafe-{kind}.onnx"
    path.write_bytes(boosting.boosting_file(run, boosted))
    return path


def trees_of(model: Boosting | Ensemble) -> Boosting:
    return model.boosting if isinstance(model, Ensemble) else model


def hash_of(model: Boosting | Ensemble) -> str:
    return ensemble_sha256(model) if isinstance(model, Ensemble) else forest_sha256(model)


@pytest.fixture(scope="module")
def some() -> np.ndarray:
    """Windows with gaps, without channels, of one alone, of nothing, at ends and never changing."""
    random = np.random.default_rng(0)
    odd = odd_windows(range(8))
    gaps = np.where(random.random(odd.shape) < 0.5, np.nan, odd)
    without = np.concatenate([odd[::4]] * len(CHANNELS))
    for k, part in enumerate(np.array_split(without, len(CHANNELS))):
        part[..., k] = np.nan
    alone = np.concatenate([parity.only(odd[::4], k) for k in range(len(CHANNELS))])
    nothing = np.full_like(odd[:1], np.nan)
    still = np.broadcast_to(odd[:, -1:], odd.shape)
    every = (odd, gaps, without, alone, nothing, parity.saturated_windows(odd[:4]), still)
    return np.concatenate(every).astype(np.float32)


def test_figures_are_torchs_to_the_last_bit(some: np.ndarray) -> None:
    """A figure that differs by a digit takes another branch, and the risk is off by a percent."""
    g = Nodes()
    name, shape = summary_nodes(g), ["n", 60, 1, len(CHANNELS)]
    sides = [
        onnx.helper.make_tensor_value_info(one, onnx.TensorProto.FLOAT, dims)
        for one, dims in (("windows", shape), (name, ["n", 114]))
    ]
    graph = onnx.helper.make_graph(g.nodes, "figures", sides[:1], sides[1:],
                                   list(g.constants.values()))  # fmt: skip
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {"windows": some})
    due = summaries(torch.from_numpy(some)).numpy()
    assert found.dtype == due.dtype == np.float32
    assert np.isnan(due).any(axis=0).sum() >= 96  # all but the known shares
    np.testing.assert_array_equal(found, due)


def test_what_stands_still_has_no_spread() -> None:
    """In single precision the mean of equal levels differed from them, and trees split on that."""
    random = np.random.default_rng(1)
    still = np.broadcast_to(random.uniform(0.1, 140.0, (200, 1, 1, len(CHANNELS))),
                            (200, 60, 1, len(CHANNELS)))  # fmt: skip
    figures = summaries(torch.from_numpy(still.astype(np.float32)))[:, :108].view(-1, 3, 6, 6)
    assert (figures[:, :, [1, 4]] == 0.0).all()
    assert (figures[:, :, 0] == figures[:, :, 2]).all()


def test_the_risk_is_scikit_learns(boosted: boosting.Boosted, file: Path, some: np.ndarray) -> None:
    ways = forest(trees_of(boosted.model))["nodes_missing_value_tracks_true"]
    assert set(ways.tolist()) == {0, 1}  # what is missing goes both ways
    ours, theirs = boosted.score(some), load_exported(file).score(some)
    assert ours.max() - ours.min() > 20.0
    assert np.abs(ours - theirs).max() < 1e-3  # percent, a tenth of the limit


def test_thresholds_in_single_precision_change_no_comparison() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=500).astype(np.float32)
    nearby = np.concatenate([x, np.nextafter(x, np.float32(9)), np.nextafter(x, np.float32(-9))])
    between = (x.astype(np.float64) + np.nextafter(x, np.float32(9))) / 2
    limits = np.concatenate([x.astype(np.float64), between, between - 1e-12, [np.inf, 1e39, 0.0]])
    single = not_above(limits)
    assert single.dtype == np.float32
    assert ((nearby[:, None] <= limits) == (nearby[:, None] <= single)).all()
    nearest = limits[:-3].astype(np.float32)
    assert ((nearby[:, None] <= limits[:-3]) != (nearby[:, None] <= nearest)).any()


def test_equal_runs_are_equal_files(
    run: Run, kind: str, boosted: boosting.Boosted, file: Path
) -> None:
    again = boosting.boosted_on(run, [], lambda _: None, with_run=kind == "ensemble")
    assert hash_of(again.model) == hash_of(boosted.model)
    as_before = replace(boosted, model=again.model)
    assert boosting.boosting_file(run, as_before) == file.read_bytes()


def test_the_hash_is_of_all_numbers(boosted: boosting.Boosted) -> None:
    spoilt = [deepcopy(boosted.model) for _ in range(4)]
    assert hash_of(spoilt[0]) == hash_of(boosted.model)
    spoilt[1].risk_shift += 1.0
    trees_of(spoilt[2]).trees._predictors[3][2].nodes["value"][-1] += 1.0
    trees_of(spoilt[3]).trees._predictors[0][0].nodes["missing_go_to_left"][0] ^= 1
    if isinstance(boosted.model, Ensemble):
        other = deepcopy(boosted.model)
        other.lone_excess[0] += 1.0
        another = deepcopy(boosted.model)
        with torch.no_grad():
            another.transformer.head.bias[0] += 1.0
        spoilt += [other, another]
    assert len({hash_of(one) for one in spoilt}) == len(spoilt)


@pytest.mark.parametrize("kind", ["ensemble"], indirect=True)
def test_an_ensemble_is_the_mean_of_both_and_guards_lone_channels_once(
    run: Run, boosted: boosting.Boosted, some: np.ndarray, tmp_path: Path
) -> None:
    """In the mean the run's own guard would count half."""
    assert isinstance(boosted.model, Ensemble)
    model = deepcopy(boosted.model)
    model.lone_excess.copy_(torch.tensor([2.0, 1.5]))
    assert run.model.lone_excess.gt(0.0).all()  # the run's own, which the ensemble's replaces
    windows, plain = torch.from_numpy(some), deepcopy(run.model).eval()
    with torch.inference_mode():
        plain.lone_excess.zero_()
        both = [one(windows)[:, 0].log_softmax(dim=1) for one in (plain, model.boosting)]
        mean = (both[0] + both[1]) / 2.0
        mean[:, FIRE] -= stand_alone(features(windows[:, :, 0])) @ model.lone_excess
        torch.testing.assert_close(model(windows)[:, 0], mean)
    guarded = replace(boosted, model=model)
    path = tmp_path / "guarded.onnx"
    path.write_bytes(boosting.boosting_file(run, guarded))
    assert np.abs(guarded.score(some) - load_exported(path).score(some)).max() < 1e-3
    assert np.abs(guarded.score(some) - boosted.score(some)).max() > 1.0


@pytest.mark.parametrize("kind", ["ensemble"], indirect=True)
def test_an_ensembles_thresholds_are_set_as_trainings_are(
    run: Run, boosted: boosting.Boosted
) -> None:
    assert isinstance(boosted.model, Ensemble)
    again = deepcopy(boosted.model)
    again.lone_excess.fill_(9.0)
    thresholds.set_own_thresholds(again, run.recipe)
    torch.testing.assert_close(again.lone_excess, boosted.model.lone_excess)


def test_the_events_are_scikit_learns(boosted: boosting.Boosted, file: Path) -> None:
    recordings = [odd_recording(seed) for seed in range(6)]
    recordings += saafe.simulate(2, seed=3, hours=1.0, sources=["curtain"])
    found = parity.compare_events(
        boosted, lambda one: detect(load_exported(file), one).events, recordings
    )
    assert found["same_events"] == len(recordings)
    assert found["with_alarm"] > 1


def test_a_stream_gives_what_a_recording_gives(file: Path) -> None:
    model = load_exported(file)
    (fire,) = saafe.simulate(1, seed=4, hours=1.0, sensors=2, sources=["curtain"])
    due = detect(model, fire).events
    detector, found = Detector(model), []
    for time_s, row in zip(fire.times_s, fire.readings, strict=True):
        for sensor, readings in zip(fire.sensors, row, strict=True):
            found += detector.update(float(time_s), sensor, readings.astype(np.float64))
    found += detector.finish()
    assert parity.without_risk(found) == parity.without_risk(due)
    assert any(event["event"] == "alarm" for event in due)


def test_the_file_says_what_it_is(
    run: Run, kind: str, boosted: boosting.Boosted, file: Path
) -> None:
    model = load_exported(file)
    said = model.metadata
    assert model.kind == said["model"] == NAMES[kind]
    assert model.identity == hash_of(boosted.model) != run.identity
    assert (said["run"], said["run_sha256"]) == (run.folder.name, run.identity)
    assert model.recipe == run.recipe
    assert model.settings == boosted.settings
    assert saafe.load().kind == "transformer"  # a file that does not say


def test_devices_have_thresholds_of_these_trees(
    run: Run, boosted: boosting.Boosted, file: Path, told: list[str]
) -> None:
    due = device_thresholds.settings_for(boosted.model, run.recipe, DEVICE)
    assert saafe.load(file).for_device(DEVICE).settings == due != boosted.settings
    assert list(load_exported(file).devices) == [DEVICE]
    assert f"thresholds for {DEVICE} (1 of 1)" in told
    assert "simulating its windows, part 1 of 2" in told
    assert any(line.startswith("simulating its windows, part 2 of 2: about 00:") for line in told)
    assert not (run.folder / device_thresholds.THRESHOLDS).exists()  # those are the run's


def test_it_detects_without_torch_and_scikit_learn(file: Path, tmp_path: Path) -> None:
    one = odd_recording(1)
    write_recording(one, tmp_path / "a.csv")
    events = detect(load_exported(file), saafe.read_recording(tmp_path / "a.csv")[0]).events
    done = without_torch("detect", str(file), str(tmp_path / "a.csv"))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == events


def test_without_scikit_learn_one_line_says_so(
    run: Run, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "sklearn" else there(n))
    monkeypatch.setattr(registry, "draw_training_set", None)  # hours of work must not begin
    words = ["export", str(run.folder), "--to", kind, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(commands, words)
    assert isinstance(done.exception, InputError)
    assert str(done.exception).endswith("which is not installed; pip install 'saafe[rivals]'")
    assert "\n" not in str(done.exception)


def test_a_tuned_run_is_refused(run: Run, kind: str, tmp_path: Path) -> None:
    (tmp_path / runs.ASKED_FILE).write_text("{}")
    with pytest.raises(InputError, match="boosting learns from simulations alone"):
        export_run(replace(run, folder=tmp_path), kind)


@pytest.mark.parametrize(
    ("device", "said"), [("saafe-5", "unknown; did you mean"), ("attic.toml", "the catalogue's")]
)
def test_a_device_is_refused_before_the_work(
    device: str, said: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("attic.toml").write_text(devices.to_toml(devices.load_device(DEVICE)))
    monkeypatch.setattr(registry, "draw_training_set", None)
    with pytest.raises(InputError, match=said):
        export_run(run, "boosting", tmp_path, device_names=[device])


@pytest.fixture
def made(run: Run, boosted: boosting.Boosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is fitted already, and there are few recordings to compare on."""
    recordings = parity.parity_recordings(FEW, 3, 1.0)
    monkeypatch.setattr(boosting, "boosted_on", lambda *_, with_run: boosted)
    monkeypatch.setattr(parity, "parity_recordings", lambda recipe: recordings)


def test_export_reports(run: Run, kind: str, made: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in bundle.GO_WITH_IT:
        (run.folder / name).write_text("another model's")
        (out / name).write_text("older")
    words = ["export", str(run.folder), "--to", kind, "--out", str(out)]
    done = CliRunner().invoke(commands, words)
    assert done.exit_code == 0, done.output
    assert f"against the fitted {NAMES[kind]}; limit 0.0001" in done.stdout
    file = out / f"saafe-{kind}.onnx"
    assert f"`saafe exam {file}` examines this one" in done.stdout
    assert "transformer" not in done.stdout
    report = json.loads((out / f"export-{kind}.json").read_text())
    assert report["model"] == NAMES[kind]
    assert report["run_sha256"] == run.identity != report["model_sha256"]
    assert report["model_sha256"] == saafe.load(file).identity
    assert report["events"]["same_events"] == report["events"]["recordings"] == 3
    assert max(row["largest"] for row in report["parity"]) < 1e-4
    assert report["windows"] == FEW.windows
    for name in bundle.GO_WITH_IT:
        assert (out / name).read_text() == "older"
        (run.folder / name).unlink()


def test_a_file_that_differs_is_not_written(
    run: Run, made: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "PARITY_LIMITS", {"boosting": 1e-12})
    with pytest.raises(InputError, match=r"differs by .* nothing was written; report it"):
        export_run(run, "boosting", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_class_that_was_never_seen_is_one_line(boosted: boosting.Boosted) -> None:
    few = np.arange(40)
    windows = torch.from_numpy(odd_windows([0])[:1]).repeat(len(few), 1, 1, 1)
    windows[:, -1, 0, 0] = torch.from_numpy(few.astype(np.float32))
    set_of_two = data.WindowSet(windows, torch.from_numpy(few % 2), torch.from_numpy(few))
    model = linear.fit_boosting(FEW, set_of_two, set_of_two)
    with pytest.raises(InputError, match="training windows lack a class"):
        boosting_graph(model, {})


def test_the_exam_calls_it_by_its_name(kind: str, boosted: boosting.Boosted, file: Path) -> None:
    judged = judged_on(load_exported(file), None, say=lambda _: None)
    assert judged.name == NAMES[kind]
    assert judged.classify is not None
    cut = odd_windows(range(8))
    with torch.inference_mode():
        due = likeliest_class(boosted.model(torch.from_numpy(cut))[:, 0]).numpy()
    assert judged.classify(cut).tolist() == due.tolist()
    assert len(set(due.tolist())) > 1


@pytest.mark.parametrize("kind", ["boosting"], indirect=True)
def test_the_exam_does_not_compare_it_with_itself(file: Path) -> None:
    judged, lines = judged_on(load_exported(file), None, say=lambda _: None), []
    found = examine_rivals(
        judged, ExamStreams([], {}, []), FEW, names=["gradient boosting"], seed=0,
        on_progress=lines.append,
    )  # fmt: skip
    assert [row.name for row in found["rows"]] == ["gradient boosting"]
    assert lines[0] == "gradient boosting is what is examined, and no rival of itself"


def test_no_sentence_of_its_exam_is_of_a_transformer() -> None:
    ours = {"name": "gradient boosting", "fires": 9, "in_time": 8, "own_in_time": 8,
            "own_false_alarms_per_year": 1.0, "false_alarms_per_year": 1.0}  # fmt: skip
    other = ours | {"name": "logistic regression", "verdict": "win"}
    found = {"rows": [ours, other], "missed": [{"by": "all", "missed": 1}]}
    line = headline(found)
    assert line == "At equal false alarms gradient boosting beats logistic regression."
    assert "transformer" not in rivals_section({"rivals": found})
    found["rows"][0] = ours | {"name": "transformer"}
    assert "than the transformer does" in rivals_section({"rivals": found})
    assert headline(found) == "At equal false alarms the transformer beats logistic regression."
    found["rows"][0] = ours | {"name": "ensemble"}
    assert headline(found) == "At equal false alarms the ensemble beats logistic regression."


@pytest.mark.slow
@pytest.mark.parametrize("level", ["quick", "full"])
def test_it_is_examined(level: str, kind: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from few_exam import FEW as FEW_EVENTS

    from saafe.exam.amounts import Amounts

    amounts = {"saafe.exam.quick.QUICK": Amounts(1, 1, 0, 0, 1, 12, 4)}
    compared = {"saafe.exam.exam.SIMPLE": (registry.BOOSTING, registry.FIXED_RULE)}
    for name, value in (FEW_EVENTS | amounts | compared).items():
        monkeypatch.setattr(name, value)
    done = CliRunner().invoke(commands, ["exam", str(file), "--level", level])
    assert done.exit_code == 0, done.output
    figures = file.with_name(f"saafe-{kind}-exam.json")
    result = json.loads(figures.read_text())
    assert result["provenance"]["model"] == NAMES[kind]
    assert "transformer" not in done.stdout
    report = file.with_name(f"saafe-{kind}-report.html").read_text()
    assert "transformer" not in report
    if level == "full":
        names = [row["name"] for row in result["rivals"]["rows"]]
        assert names == list(dict.fromkeys([NAMES[kind], "gradient boosting", "fixed rule"]))
        if kind == "ensemble":
            assert "the ensemble" in report
    assert exam.is_full(figures, load_exported(file)) == (level == "full")
