"""The comparison says how each figure is known, and computes what it claims."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from saafe import tiers
from saafe.cli import saafe
from saafe.cli.compare import named_folders
from saafe.detector.alarms import AlarmSettings
from saafe.errors import InputError
from saafe.exam import exam
from saafe.files import write_json
from saafe.recipes import Recipe, changed, find_tier
from saafe.training import runs
from saafe.training.model import FireTransformer

SMALL = changed(find_tier("standard"), ("width=16", "layers=1", "heads=2"))
TIMING = {
    "train_s": 30.0, "cold_start_to_artefact_s": 33.0, "epochs": 2, "samples_per_s": 2000.0,
    "device": "cpu", "threads": 2, "ranks": 1, "peak_mb": 800.0,
}  # fmt: skip
GATE = {
    "accuracy": 0.8, "detection_rate": 0.5, "false_alarm_rate_windows": 0.003,
    "model_bytes": 3_400_000, "latency_p99_ms": 2.0,
}  # fmt: skip


def finished(folder: Path, recipe: Recipe, **timing: object) -> Path:
    """A run folder as training leaves it, with figures that are easy to reckon with."""
    torch.manual_seed(0)
    made = runs.new_folder(folder, "run", recipe)
    runs.save_model(made, recipe, FireTransformer(recipe), AlarmSettings())
    environment = json.loads((made / runs.ENVIRONMENT).read_text())
    write_json(made / runs.ENVIRONMENT, {**environment, "timing": {**TIMING, **timing}})
    lines = [{"name": name, "value": value} for name, value in GATE.items()]
    write_json(made / exam.EXAM_FILE, {"gate": {"lines": lines}})
    return made


def test_a_whole_run_is_measured(tmp_path: Path) -> None:
    cells = tiers.column(finished(tmp_path, SMALL))
    assert {cells[n].how for n in ("train_s", "cold_start_s", "accuracy", "model_mb")} == {
        "measured"
    }
    assert (cells["setup_s"].value, cells["model_mb"].value) == (3.0, 3.4)
    # 30 s on two cores of 5 W
    assert cells["energy_wh"].value == pytest.approx(30 * 2 * 5 / 3600, abs=1e-4)
    assert cells["energy_wh"].how == "estimate"
    assert "x 5 W" in cells["energy_wh"].note


def test_a_part_is_extrapolated(tmp_path: Path) -> None:
    part = replace(SMALL, epochs=2)
    cells = tiers.column(finished(tmp_path, part), SMALL)
    # 2 x 20,000 windows at 2,000 a second are 20 of the 30 s; 100 epochs are 1,000 s
    assert cells["train_s"].value == 1010.0
    assert cells["cold_start_s"].value == 1013.0
    assert cells["train_s"].how == cells["cold_start_s"].how == "estimate"
    assert "100 x 20000 windows / 2000 a second" in cells["train_s"].note
    assert cells["accuracy"].value is None
    assert "only 2 %" in cells["accuracy"].note
    assert cells["latency_p99_ms"].how == "measured"


def test_parts_of_a_recipe() -> None:
    standard = find_tier("standard")
    assert tiers.part_of(standard, 1.0) == standard
    assert tiers.part_of(standard, 0.02).epochs == 2
    small = tiers.part_of(standard, 0.001)
    assert (small.epochs, small.windows, small.streams) == (1, 2000, 77)


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.1, float("nan")])
def test_bad_fractions(fraction: float) -> None:
    with pytest.raises(InputError, match="fraction"):
        tiers.check_wanted(("standard",), fraction)


def test_a_resumed_run_has_no_cold_start(tmp_path: Path) -> None:
    folder = finished(tmp_path, SMALL, cold_start_to_artefact_s=None)
    cells = tiers.column(folder)
    assert cells["cold_start_s"] == tiers.missing_cell("the run was resumed")


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    folder = finished(tmp_path, SMALL)
    (folder / exam.EXAM_FILE).unlink()
    with pytest.raises(InputError, match=r"`saafe exam .* --level quick` writes it"):
        tiers.column(folder)


def test_a_tuned_run_has_a_dash_for_what_trainings_measure(tmp_path: Path) -> None:
    trained = finished(tmp_path / "a", SMALL)
    tuned = finished(tmp_path / "b", SMALL)
    facts = json.loads((tuned / runs.ENVIRONMENT).read_text())
    write_json(tuned / runs.ENVIRONMENT, {k: v for k, v in facts.items() if k != "timing"})
    with pytest.raises(InputError, match="train it again"):
        tiers.column(tuned)
    write_json(tuned / runs.ASKED_FILE, {})  # as `saafe tune` leaves it
    folders: dict = {"trained": (trained, None), "tuned": (tuned, None)}
    result = tiers.compare_runs(folders, lambda _: None)
    rows = {row[0]: row[1:] for row in tiers.table_rows(result)}
    assert rows["training [s]"] == ["30.0 (measured)", "-"]
    assert rows["fires in time"] == ["0.5000 (measured)", "0.5000 (measured)"]
    told = {name for name, cell in result["columns"]["tuned"].items() if cell["value"] is not None}
    assert told == {*tiers.GATED, "model_mb", "latency_p99_ms"}
    assert not any("rented" in line for line in tiers.notes_of(result) if "tuned" in line)


@pytest.mark.parametrize("text", ["", "[]", "null", "5", "{}", '{"gate": []}', '{"timing": 1}',
                                  '{"gate": {"lines": [{"name": []}]}, "timing": {}}'])  # fmt: skip
@pytest.mark.parametrize("file", [exam.EXAM_FILE, "environment.json"])
def test_a_run_whose_files_hold_something_else_is_refused(
    file: str, text: str, tmp_path: Path
) -> None:
    folder = finished(tmp_path, SMALL)
    (folder / file).write_text(text)
    with pytest.raises(InputError, match="train it again"):
        tiers.column(folder)


@pytest.mark.parametrize(
    ("train_s", "changes", "is_shared"),
    [
        (30.0, {}, True),
        (30.0, {"hours": 1.0}, True),
        (4000.0, {"hours": 1.0}, False),  # an hour's budget would have ended it earlier
        (4000.0, {"hours": 2.0}, True),
        (30.0, {"seed": 1}, False),
    ],
)
def test_equal_recipes_are_trained_once(
    tmp_path: Path, train_s: float, changes: dict, is_shared: bool
) -> None:
    folder = finished(tmp_path, SMALL, train_s=train_s)
    assert tiers.is_run_of(folder, replace(SMALL, tier="local", **changes)) == is_shared


def test_a_budget_bounds_the_estimate_of_a_part(tmp_path: Path) -> None:
    folder = finished(tmp_path, replace(SMALL, epochs=2))
    # 1,010 s without a budget, of which a tenth of an hour is left
    cell = tiers.column(folder, replace(SMALL, tier="local", hours=0.1))["train_s"]
    assert (cell.value, cell.how) == (360.0, "estimate")
    assert "its budget of 0.1 h" in cell.note
    whole = finished(tmp_path / "b", SMALL)
    assert tiers.column(whole, replace(SMALL, tier="local", hours=1.0))["train_s"].how == "measured"


def expect(tier: str) -> dict | None:
    if tier == "local":
        return None
    return {"instances": 1, "instance": "ml.test", "usd_per_hour": 3.6, "total_usd": 0.5,
            "prices_as_of": "2026-01-01", "expected_s": 500.0, "basis": "assumed"}  # fmt: skip


def test_every_cell_says_how_it_is_known(tmp_path: Path) -> None:
    fast = finished(tmp_path / "a", replace(SMALL, tier="ultra-fast"))
    slow = finished(tmp_path / "b", replace(SMALL, epochs=2))
    local = finished(tmp_path / "c", replace(SMALL, tier="local"))
    result = tiers.compare_runs(
        {"ultra-fast": (fast, None), "standard": (slow, SMALL), "local": (local, None)}, expect
    )
    assert list(result["columns"]) == [
        "ultra-fast", "standard", "local", "original ultra-fast", "original standard",
    ]  # fmt: skip
    for cells in result["columns"].values():
        assert set(cells) == set(tiers.FIGURES)
        for cell in cells.values():
            assert cell["how"] in ("measured", "estimate", "claim", "not shown")
            assert (cell["value"] is None) == (cell["how"] == "not shown")
            assert cell["note"] or cell["how"] == "measured", "all but measured cells give reasons"
    assert result["columns"]["local"]["cost_cloud_usd"]["value"] is None
    files = tiers.write_comparison(result, tmp_path / "out")
    assert [file.name for file in files] == ["comparison.json", "comparison.md"]
    assert json.loads(files[0].read_text()) == result
    markdown = files[1].read_text()
    for text in ("1,010.0 (est", "30.0 (measured)", "0.9400 (claim)", "1800 to 2700 (claim)"):
        assert text in markdown
    widths = {line.count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert widths == {7}


def test_the_command_reads_runs(tmp_path: Path) -> None:
    folder = finished(tmp_path, replace(SMALL, tier="ultra-fast"))
    out = tmp_path / "out"
    done = CliRunner().invoke(saafe, ["compare", str(folder), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result == json.loads((out / "comparison.json").read_text())
    cells = result["columns"]["run"]
    assert cells["train_s"]["value"] == 30.0
    assert cells["cost_cloud_usd"]["how"] == "estimate"
    assert "ml." in cells["cost_cloud_usd"]["note"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tiers", "ultrafast"), "did you mean ultra-fast?"),
        (("--tiers", "local", "--fraction", "2"), "--fraction 2"),
        (("nowhere",), "no such run folder"),
    ],
)
def test_bad_input_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(saafe, ["compare", *arguments])
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


@pytest.mark.slow
def test_a_part_of_a_tier_is_trained_once_and_compared(tmp_path: Path) -> None:
    once, lines = replace(find_tier("tiny"), passes=1), []
    within = replace(once, tier="tiny for an hour", hours=1.0)
    trained = tiers.train_tiers((once, within), 0.01, tmp_path, lines.append)
    assert lines[1:] == ["tiny for an hour: the same training as tiny's, not done again"]
    assert trained["tiny"][0] == trained[within.tier][0]
    assert [recipe for _, recipe in trained.values()] == [once, within]
    cells = tiers.compare_runs(trained, lambda _tier: None)["columns"]["tiny"]
    assert cells["train_s"]["how"] == "estimate"
    assert cells["samples_per_s"]["how"] == "measured"
    assert cells["accuracy"]["value"] is None


def test_tiers_that_show_windows_again_are_trained_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their first epochs, which simulate, told of a training of twice its time."""
    asked: list[Recipe] = []

    def train_part(recipe: Recipe, out: Path) -> Path:
        asked.append(recipe)
        return out / recipe.tier

    monkeypatch.setattr(tiers, "train_part", train_part)
    monkeypatch.setattr(tiers, "is_run_of", lambda *_: False)
    wanted = tiers.check_wanted(("tiny", "ultra-fast", "standard"), 0.01)
    tiers.train_tiers(wanted, 0.01, tmp_path, lambda _: None)
    assert [recipe.epochs for recipe in asked] == [32, 32, 1]


def test_runs_of_one_name_are_told_by_their_paths() -> None:
    """One of them was left out without a word."""
    told = named_folders(["old/uf", "new/uf", "runs/other", "runs/other"])
    assert told == {
        "old/uf": Path("old/uf"), "new/uf": Path("new/uf"), "other": Path("runs/other"),
    }  # fmt: skip
