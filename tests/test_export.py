"""Exported ONNX files: as the run, self-contained, refused where damaged, and without torch."""

import gzip
import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from export_fixtures import SMALL, odd_windows, small_run
from odd_recordings import odd_recording

import saafe
from saafe.cli import saafe as commands
from saafe.detector import PACKAGED_MODEL, AlarmSettings, Detector, detect, load_exported, seal
from saafe.errors import InputError
from saafe.export import onnx_files, parity
from saafe.export.bundle import export_run
from saafe.export.graph import build_graph
from saafe.recipes import Recipe
from saafe.recordings.recording import write_recording
from saafe.simulator import devices

ROOT = Path(saafe.__file__).parents[1]
LARGEST = 1_000_000  # bytes of the packaged model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    return small_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def files(run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run's files of both kinds."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.onnx").write_bytes(onnx_files.single_precision(run))
    (folder / "a8.onnx").write_bytes(onnx_files.eight_bits(run, odd_windows(range(3))))
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory):
    """Fewer recordings to compare on: the cases are the same."""
    with pytest.MonkeyPatch.context() as patch:
        some = parity.parity_recordings(SMALL, 6, 1.0)
        patch.setattr(parity, "parity_recordings", lambda recipe: some)
        yield some


OTHERS = (
    Recipe("tiny", width=8, layers=1, heads=1, expansion=3, patch=10),
    Recipe("tiny", width=12, layers=1, heads=3, expansion=1, patch=60),
    Recipe("tiny", width=8, layers=1, heads=2, patch=3),
)


@pytest.mark.parametrize("recipe", [SMALL, *OTHERS], ids=lambda r: f"patch{r.patch}")
def test_single_precision_is_the_run(recipe: Recipe, few, tmp_path: Path) -> None:
    one = small_run(tmp_path, recipe, seed=3)
    (tmp_path / "a.onnx").write_bytes(onnx_files.single_precision(one))
    cases = parity.parity_cases(few) | {"odd recordings": odd_windows(range(10, 20))}
    rows = parity.compare_risk(one, load_exported(tmp_path / "a.onnx").score, cases)
    assert len(rows) == 8
    assert max(row.largest for row in rows) < 1e-5, rows


def test_eight_bits_are_near_the_run(run, files: Path, few) -> None:
    rows = parity.compare_risk(run, load_exported(files / "a8.onnx").score,
                               parity.parity_cases(few))  # fmt: skip
    assert max(row.largest for row in rows) < 0.05, rows
    kinds = {i.data_type for i in onnx.load(files / "a8.onnx").graph.initializer}
    assert onnx.TensorProto.INT8 in kinds


def test_a_window_does_not_depend_on_those_beside_it(files: Path) -> None:
    some = odd_windows([4])[:40]
    for name in ("a.onnx", "a8.onnx"):
        model = load_exported(files / name)
        alone = np.concatenate([model.score(one[None]) for one in some])
        assert np.abs(model.score(some) - alone).max() < 1e-4
    assert len(model.score(some[:0])) == 0


def test_the_events_are_the_runs(run, files: Path) -> None:
    model = load_exported(files / "a.onnx")
    said = 0
    for seed in range(8):
        odd = odd_recording(seed)
        ours, theirs = detect(run, odd).events, detect(model, odd).events
        assert parity.without_risk(ours) == parity.without_risk(theirs)
        said += len(ours)
    assert said > 20


def test_anyone_can_run_the_file(run, files: Path) -> None:
    """With onnxruntime alone, from what the file says of itself."""
    session = onnxruntime.InferenceSession(str(files / "a.onnx"))
    meta = session.get_modelmeta().custom_metadata_map
    assert json.loads(meta["alarms"]) == run.settings.to_dict()
    assert meta["saafe"] == saafe.__version__
    assert meta["model_sha256"] == run.identity
    some = odd_windows([5])[:7]
    odds, risk = session.run(["log_odds", "risk_percent"], {"windows": some})
    np.testing.assert_allclose(risk, run.score(some), atol=1e-2)
    np.testing.assert_allclose(100 / (1 + np.exp(-odds)), run.score(some), atol=1e-2)


def test_equal_runs_are_equal_files(run, files: Path) -> None:
    assert onnx_files.single_precision(run) == (files / "a.onnx").read_bytes()


def changed(data: bytes) -> bytes:
    """With one bit of a weight turned, in the middle of the file."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def other(run, **metadata: str) -> bytes:
    """A file whose metadata says otherwise, sealed; of what is said to be nothing it has none."""
    said = onnx_files.metadata_of(run, "fp32") | metadata
    model = build_graph(run, {name: value for name, value in said.items() if value})
    return seal(model.SerializeToString(deterministic=True))


def foreign(run, takes: str, steps: int, gives: str) -> bytes:
    """A graph of another program under our metadata, sealed."""
    sides = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ("n", steps, 1, 6))
        for name in (takes, gives)
    ]
    node = onnx.helper.make_node("Relu", [takes], [gives])
    graph = onnx.helper.make_graph([node], "other", sides[:1], sides[1:])
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.helper.set_model_props(model, onnx_files.metadata_of(run, "fp32"))
    return seal(model.SerializeToString())


def spoilt(data: bytes) -> bytes:
    """The file with the first of its matrices no numbers, sealed."""
    model = onnx.load_from_string(data)
    one = next(one for one in model.graph.initializer if len(one.dims) == 2)
    one.raw_data = b"\xff" * len(one.raw_data)
    return seal(model.SerializeToString())


REFUSED = {
    "cut": (lambda run, data: data[:-100], "damaged"),
    "a bit": (lambda run, data: changed(data), "checksum differs"),
    "empty": (lambda run, data: b"", "was not written by"),
    "text": (lambda run, data: b"hello", "was not written by"),
    "another's": (lambda run, data: build_graph(run, {}).SerializeToString(), "was not written by"),
    "sealed rubbish": (
        lambda run, data: seal(b"rubbish saafe-sha256:" + 64 * b"0"), "onnxruntime cannot read it",
    ),
    "channels": (lambda run, data: other(run, channels="temperature,voc"), "trained for the chan"),
    **{
        name: (lambda run, data, words=words: foreign(run, *words), "b.onnx: holds no model that")
        for name, words in {
            "another input": ("x", 60, "log_odds"), "another window": ("windows", 40, "log_odds"),
            "another output": ("windows", 60, "y"), "no risk": ("windows", 60, "log_odds"),
        }.items()
    },
    "weights that are no numbers": (lambda run, data: spoilt(data), "b.onnx: holds no model that"),
    **{
        f"{field} {value[:20]}": (
            lambda run, data, field=field, value=value: other(run, **{field: value}),
            "b.onnx: its alarm settings are damaged or another saafe's; export the run again",
        )
        for field, values in {
            "model_sha256": ("",),
            "alarms": (
                "", "{", "null", "[]", "[1]", '{"fast": null}', '{"fast": "x"}', '{"fast": NaN}',
                '{"another": 1.0}', "[" * 100_000,
            ),
            "devices": ("{", "null", "[]", '{"a": null}', '{"a": {"another": 1.0}}',
                        '{"a": {"fast": []}}'),
        }.items()
        for value in values
    },
    "format": (lambda run, data: other(run, format="saafe-onnx-9"), "is of format saafe-onnx-9"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_model_of_ours_is_refused(run, files: Path, tmp_path: Path, what: str) -> None:
    damage, line = REFUSED[what]
    path = tmp_path / "b.onnx"
    path.write_bytes(damage(run, (files / "a.onnx").read_bytes()))
    with pytest.raises(InputError, match=line) as caught:
        saafe.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no such file"):
        saafe.load("absent.onnx")
    with pytest.raises(InputError, match="no such run folder"):
        saafe.load("absent")


def test_the_case_of_a_suffix_does_not_matter(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "A.ONNX"
    path.write_bytes((files / "a.onnx").read_bytes())
    assert saafe.load(path).identity == saafe.load(files / "a.onnx").identity


def test_a_model_travels_to_another_process(files: Path) -> None:
    """`pool.map(detect, ...)` ended in a TypeError of onnxruntime's."""
    some = [odd_recording(seed) for seed in range(3)]
    model = replace(load_exported(files / "a8.onnx"), settings=AlarmSettings(fast=1.5))
    expected = [detect(model, one).events for one in some]
    assert [detect(deepcopy(model), one).events for one in some] == expected
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.starmap(detect, [(model, one) for one in some])
    assert [one.events for one in found] == expected
    detector = pickle.loads(pickle.dumps(Detector(model)))
    assert detector.update(0.0, "A", {"temperature": 80.0}) == []
    assert detector.model.settings == model.settings


def test_a_file_that_has_changed_does_not_travel(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    shutil.copy(files / "a8.onnx", path)
    model = load_exported(path)
    shutil.copy(files / "a.onnx", path)
    with pytest.raises(InputError, match="is not the file that was loaded"):
        pickle.dumps(model)
    path.unlink()
    with pytest.raises(InputError, match="is not the file that was loaded"):
        pickle.dumps(model)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"is a file, but no exported \.onnx"):
        saafe.load(tmp_path / "notes.txt")


@pytest.mark.parametrize("to", ["onnx", "int8"])
def test_export_reports(run, few, tmp_path: Path, to: str) -> None:
    report = export_run(run, to, tmp_path / "out")
    (name,) = report["files"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {name, f"export-{to}.json"}
    assert report == json.loads((tmp_path / "out" / f"export-{to}.json").read_text())
    assert report["files"][name] == (tmp_path / "out" / name).stat().st_size
    assert report["events"]["same_outcome"] == report["events"]["recordings"] == 6
    assert [row["case"] for row in report["parity"]][1] == "all missing"
    assert 0.0 < report["window_ms"] <= report["window_p99_ms"]
    assert saafe.load(tmp_path / "out" / name).settings == run.settings


def test_a_file_that_differs_is_not_written(run, few, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("saafe.export.bundle.PARITY_LIMITS", {"onnx": 1e-12})
    with pytest.raises(InputError, match=r"differs by .* nothing was written"):
        export_run(run, "onnx", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_export_refuses(run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="to tflite: unknown; choose from onnx, int8"):
        export_run(run, "tflite", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        export_run(run, "onnx", tmp_path / "file")
    with pytest.raises(InputError, match="exam judges ONNX files"):
        export_run(run, "c", tmp_path, exam=True)
    with pytest.raises(InputError, match=r"takes a run, .*, got str"):
        export_run("runs/RUN", "onnx")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"takes a run, .*, got Exported"):
        export_run(saafe.load(), "onnx")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r'device_names: takes names, such as \["saafe-4"\]'):
        export_run(run, "onnx", str(tmp_path), device_names="saafe-4")


def test_the_command(run, few, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        commands, ["export", str(run.folder), "--to", "onnx", "--out", str(tmp_path), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["to"] == "onnx"
    done = CliRunner().invoke(commands, ["export", str(run.folder), "--to", "onnx"])
    assert done.exit_code == 0
    assert "same events: 6 of 6" in done.stdout
    assert (run.folder / "export" / "saafe.onnx").is_file()


def test_the_packaged_model_is_small_and_whole() -> None:
    model = saafe.load()
    assert PACKAGED_MODEL.stat().st_size < LARGEST
    report = json.loads((PACKAGED_MODEL.parent / "export-int8.json").read_text())
    assert report["model_sha256"] == model.metadata["model_sha256"]
    assert max(row["largest"] for row in report["parity"]) < 0.05
    card = (PACKAGED_MODEL.parent / "MODEL_CARD.md").read_text()
    assert model.metadata["model_sha256"] in card
    assert "Simulation only" in card
    assert not set(json.loads(model.metadata["recipe"])) & {"on", "real", "recordings"}


BLOCKED = """
import sys
for name in ("torch", "scipy", "safetensors", "matplotlib", "onnx", "boto3", "sklearn"):
    sys.modules[name] = None  # importing it fails, as if it were not installed
from saafe.cli import main
main()
"""


def without_torch(*words: str, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED, *words], input=stdin, capture_output=True,
        text=True, cwd=ROOT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (burning,) = saafe.simulate(1, seed=1, sources=["curtain"])
    path = tmp_path_factory.mktemp("kitchen") / "kitchen.csv"
    write_recording(burning, path)
    return path


def test_detects_without_torch(kitchen: Path, files: Path) -> None:
    with_torch = [
        json.dumps(e) for e in detect(saafe.load(), saafe.read_recording(kitchen)[0]).events
    ]
    for words in ([str(kitchen)], [str(PACKAGED_MODEL), str(kitchen)]):
        done = without_torch("detect", *words)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == with_torch
    assert any('"alarm"' in line for line in with_torch)
    streamed = without_torch("detect", "-", stdin=kitchen.read_text())
    assert [json.loads(line)["event"] for line in streamed.stdout.splitlines()] == [
        json.loads(line)["event"] for line in with_torch
    ]
    assert without_torch("detect", str(files / "a.onnx"), str(kitchen)).returncode == 0
    assert without_torch("data", "check", str(kitchen)).returncode == 0


@pytest.mark.parametrize(
    "words",
    [["devices", "list"], ["devices", "list", "--json"], ["devices", "show", "airgradient-one"],
     ["devices", "show", "saafe-6", "--json"]],
    ids=" ".join,
)  # fmt: skip
def test_the_catalogue_is_read_without_torch(words: list[str]) -> None:
    """Once it was asked to be installed, for tables of text."""
    done = without_torch(*words)
    assert done.returncode == 0, done.stderr
    if "list" in words and "--json" not in words:  # a table, as wide as its terminal
        assert all(name in done.stdout for name in devices.device_names())
    else:
        assert done.stdout == CliRunner().invoke(commands, words).stdout


def evaluated(*words: object) -> dict:
    done = CliRunner().invoke(commands, ["evaluate", *map(str, words), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_an_exported_file_is_evaluated_as_its_run(run, files: Path, tmp_path: Path) -> None:
    for seed in range(4):
        write_recording(odd_recording(seed), tmp_path / f"{seed}.csv")
    words = (tmp_path / "*.csv", "--real-only", "--rival", "fixed rule")
    theirs, ours = evaluated(run.folder, *words), evaluated(files / "a.onnx", *words)
    assert ours["run"] == str(files / "a.onnx")
    assert ours["model_sha256"] == theirs["model_sha256"] == run.identity
    assert list(ours["contestants"]) == ["exported", "fixed rule"]
    both = zip(*(next(iter(one["contestants"].values()))["recordings"] for one in (ours, theirs)),
               strict=True)  # fmt: skip
    for row, other in both:
        risk, highest = row.pop("highest_risk"), other.pop("highest_risk")
        assert row == other
        assert risk == pytest.approx(highest, abs=0.02)
    assert any(row["alarms"] for row in ours["contestants"]["exported"]["recordings"])


def test_without_a_model_saafes_own_is_evaluated(kitchen: Path) -> None:
    found = evaluated(kitchen, "--real-only", "--no-floor")
    assert found["run"] is None
    assert found["model_sha256"] == saafe.load().identity
    (row,) = found["contestants"]["saafe's own"]["recordings"]
    events = detect(saafe.load(), saafe.read_recording(kitchen)[0]).events
    assert row["alarms"] == sum(event["event"] == "alarm" for event in events)


def test_recordings_are_evaluated_with_the_thresholds_of_a_device(kitchen: Path) -> None:
    words = (kitchen, "--real-only", "--no-floor", "--device", "airgradient-one")
    found = evaluated(*words)
    assert found["device"] == "airgradient-one"
    (row,) = found["contestants"]["saafe's own"]["recordings"]
    model = saafe.load().for_device("airgradient-one")
    events = detect(model, saafe.read_recording(kitchen)[0]).events
    assert row["alarms"] == sum(event["event"] == "alarm" for event in events)
    assert model.settings != saafe.load().settings


@pytest.mark.parametrize("words", [("evaluate",), ("devices", "compare", "saafe-4", "--model")])
@pytest.mark.parametrize(
    "recipe", [None, "{", '{"tier": 1, "nobody": 2}', "[]", "[1]", "null", "[" * 100_000]
)
def test_an_exported_file_without_a_recipe_names_the_file(
    recipe: str | None, words: tuple[str, ...], files: Path, tmp_path: Path
) -> None:
    model = onnx.load(files / "a.onnx")
    for one in model.metadata_props:
        if one.key == "recipe":
            one.key, one.value = ("recipe", recipe) if recipe else ("other", "")
    path = tmp_path / "b.onnx"
    path.write_bytes(seal(model.SerializeToString()))
    assert detect(saafe.load(path), odd_recording(0)).risk.size  # detection needs none
    done = CliRunner().invoke(commands, [*words, str(path)])
    assert isinstance(done.exception, InputError), done.output
    assert str(done.exception).startswith(f"{path}: its recipe is missing or another saafe's")


def test_recordings_of_parity_are_as_files_would_be_read(tmp_path: Path) -> None:
    """A meter that ends at 1,000 passes through 999.9, which C and files mask."""
    recipe = replace(SMALL, device_file=devices.to_toml(devices.load_device("sensirion-sps30")))
    for one in parity.parity_recordings(recipe):
        path = tmp_path / "one.csv"
        write_recording(one, path)
        read, check = saafe.read_recording(path)
        assert not read.refused, check.lines()


def test_a_device_is_fitted_without_torch(kitchen: Path) -> None:
    done = without_torch("devices", "fit", str(kitchen), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "fitted"


def test_what_is_drawn_for_a_device_names_the_extra(tmp_path: Path) -> None:
    done = without_torch("plot", "saafe-6", "--out", str(tmp_path / "device.png"))
    assert done.returncode == 1
    assert done.stderr.endswith(': pip install "saafe[train]"\n')


@pytest.mark.parametrize(
    "words",
    [["train"], ["exam", "RUN"], ["evaluate", "RUN"], ["evaluate"], ["simulate", "--out", "x"],
     ["detect", "RUN", "x"], ["export", "RUN", "--to", "c"], ["compare"],
     ["detect", "-", "--drill"]],
    ids=" ".join,
)  # fmt: skip
def test_what_needs_torch_names_the_extra(words: list[str], run) -> None:
    done = without_torch(*(str(run.folder) if word == "RUN" else word for word in words))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(': pip install "saafe[train]"')


def test_a_pipe_is_a_recording() -> None:
    """As `saafe detect <(zcat kitchen.csv.gz)` gives it; it was taken for a run folder."""
    text = gzip.decompress((ROOT / "docs/curtain.csv.gz").read_bytes()).decode()
    for device in ([], ["--device", "saafe-6"]):
        done = without_torch("detect", "/dev/stdin", *device, stdin=text)
        assert json.loads(done.stdout)["event"] == "alarm", done.stderr


def test_a_first_word_is_a_recording_by_its_suffix(kitchen: Path, tmp_path: Path) -> None:
    from saafe.cli.detect import split_words

    folder = tmp_path / "run.csv"  # a run folder may be called so
    folder.mkdir()
    assert split_words([str(kitchen), "b.csv"]) == (None, (str(kitchen), "b.csv"))
    assert split_words(["a.CSV.GZ"]) == (None, ("a.CSV.GZ",))
    assert split_words(["m.onnx", "b.csv"]) == ("m.onnx", ("b.csv",))
    assert split_words([str(folder), "b.csv"]) == (str(folder), ("b.csv",))
    assert split_words(["-"]) == (None, ("-",))
    assert split_words(["mqtt://hub/x"]) == (None, ("mqtt://hub/x",))
    assert split_words(["runs/a"]) == ("runs/a", ())
