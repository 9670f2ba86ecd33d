"""The audit: splits by group, copies, random against grouped scores, and the Kaggle table."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from saafe import audit
from saafe.audit import DataSet
from saafe.cli import saafe
from saafe.errors import InputError

REAL = Path(os.environ.get("SAAFE_REAL", Path(__file__).parents[2] / "shared" / "data"))
KAGGLE = REAL / "kaggle_smoke_iot" / "smoke_detection_iot.csv.gz"


def make(kind: str, groups: int = 6, rows: int = 120) -> DataSet:
    """Groups in which x tells the class ("sound"), or in which only the group's own level does."""
    random = np.random.default_rng(0)
    parts = []
    for k in range(groups):
        if kind == "sound":
            label = random.integers(0, 2, rows)
            x = 2.0 * label + random.normal(0.0, 0.5, rows)
        else:  # each recording is one class, at a level that says nothing of the next one's
            label = np.full(rows, k % 2)
            x = 10.0 * random.permutation(groups)[0] + k + random.normal(0.0, 0.05, rows)
        parts.append((np.stack([x, random.normal(size=rows)], axis=1), label))
    features = np.concatenate([p[0] for p in parts])
    labels = np.concatenate([p[1] for p in parts])
    return DataSet(("x", "noise"), features, labels, np.repeat(np.arange(groups), rows))


# --- splits -----------------------------------------------------------------------------------


def test_every_group_is_held_out_once_and_whole() -> None:
    groups = np.array(["b", "a", "a", "c", "b"])
    held = {str(name): is_test.tolist() for name, is_test in audit.leave_one_out(groups)}
    assert held["a"] == [False, True, True, False, False]
    assert sorted(held) == ["a", "b", "c"]
    assert np.sum([list(rows) for rows in held.values()], axis=0).tolist() == [1] * 5


@pytest.mark.parametrize(
    ("groups", "is_test", "says"),
    [
        ([1, 1, 2], [True, False, True], "group 1 has rows in training and in test"),
        ([1, 2, 2], [True, True, True], "both sides"),
        ([1, 2, 2], [False, False, False], "both sides"),
    ],
)
def test_splits_that_leak_are_refused(groups: list, is_test: list, says: str) -> None:
    with pytest.raises(InputError, match=says):
        audit.refuse_straddling(np.array(groups), np.array(is_test))


def test_one_group_cannot_be_held_out() -> None:
    with pytest.raises(InputError, match="at least two groups"):
        list(audit.leave_one_out(np.array([1, 1])))


# --- copies and clocks ------------------------------------------------------------------------


def with_copy(edited: bool) -> DataSet:
    data = make("sound")
    first = data.groups == 0
    copied = data.features[first].copy()
    if edited:
        copied[:, 1] -= 20.0
    return DataSet(
        data.columns,
        np.concatenate([data.features, copied]),
        np.concatenate([data.labels, data.labels[first]]),
        np.concatenate([data.groups, np.full(first.sum(), 9)]),
    )


@pytest.mark.parametrize(("edited", "but_for"), [(False, ""), (True, "noise")])
def test_copies_are_found_also_with_an_edited_column(edited: bool, but_for: str) -> None:
    share, copies = audit.find_copies(with_copy(edited))
    assert copies == [(0, 9, but_for)]
    assert share > audit.MOST_COPIED
    merged = audit.merge_copies(with_copy(edited).groups, copies)
    assert sorted(set(merged)) == [0, 1, 2, 3, 4, 5]


def test_equal_single_rows_and_constant_stretches_are_no_copies() -> None:
    data = make("sound")
    data.features[:, 0] = np.round(data.features[:, 0])
    data.features[:, 1] = 0.0
    data.features[:40] = 5.0  # a dead sensor in one group
    data.features[130:170] = 5.0  # and in another
    share, copies = audit.find_copies(data)
    assert copies == []
    assert share < 0.3


def test_columns_that_count_are_left_out() -> None:
    data = make("sound")
    clock = np.tile(np.arange(120.0), 6)
    longer = DataSet(
        ("x", "noise", "time"), np.column_stack([data.features, clock]), data.labels, data.groups
    )
    kept, clocks = audit.drop_clocks(longer)
    assert clocks == ["time"]
    assert kept.columns == ("x", "noise")


# --- the verdict ------------------------------------------------------------------------------


def test_a_sound_data_set_passes() -> None:
    pytest.importorskip("sklearn", reason="needs saafe[rivals]")
    found = audit.audit_data_set(make("sound"))
    assert found["reasons"] == []
    assert abs(found["gap"]) < 0.1
    audit.refuse(found, "it")  # does not raise


def test_a_data_set_that_only_knows_its_groups_is_refused() -> None:
    pytest.importorskip("sklearn", reason="needs saafe[rivals]")
    found = audit.audit_data_set(make("levels"))
    assert found["random"]["value"] > 0.95
    assert found["gap"] > audit.MARGIN
    with pytest.raises(InputError, match="table: must not be scored on: a random split scores"):
        audit.refuse(found, "table")


def test_without_scikit_learn_one_line_names_the_pip_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'saafe\[rivals\]'"):
        audit.audit_data_set(make("sound"))


# --- tables and the command -------------------------------------------------------------------

ROWS = "t,count,temp,note,label\n" + "".join(
    f"{k},{k % 30},{20 + (k % 7) * 0.3 + (k % 2) * 5},warm,{'fire' if k % 2 else 'normal'}\n"
    for k in range(90)
)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


def test_groups_begin_where_a_counter_falls(rows: Path) -> None:
    data = audit.read_data_set([rows], label="label", group="count:restart")
    assert data.columns == ("t", "temp")  # text is no feature, the counter is the group
    assert np.unique(data.groups, return_counts=True)[1].tolist() == [30, 30, 30]
    assert set(data.labels) == {"fire", "normal"}


def test_each_of_several_files_is_a_group(rows: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("temp,label\n20,normal\n,fire\n")
    data = audit.read_data_set([rows, other], label="label", group="file")
    assert len(np.unique(data.groups)) == 2
    assert np.isnan(data.features[-1]).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--label", "label"], "--group is missing"),
        (["--group", "count", "--label", "alarm"], "column 'alarm' is missing"),
        (["--group", "house"], "column 'house' is missing"),
        (["--group", "note:restart"], "does not hold numbers only"),
        (["--group", "count:fresh"], "expected COLUMN"),
        (["--group", "count", "--drop", "t", "--drop", "temp"], "no column of numbers is left"),
    ],
)
def test_bad_input_is_one_line(rows: Path, arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(saafe, ["data", "audit", str(rows), *arguments])
    assert isinstance(result.exception, InputError)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)


def test_audit_command_prints_one_document(rows: Path) -> None:
    pytest.importorskip("sklearn", reason="needs saafe[rivals]")
    result = CliRunner().invoke(
        saafe, ["data", "audit", str(rows), "--group", "count:restart", "--json"]
    )
    found = json.loads(result.stdout)
    assert found["groups"] == 3
    assert found["clocks"] == ["t"]
    # temp takes 14 values in turn: runs of ten rows repeat from group to group
    assert found["grouped"]["value"] is None
    assert isinstance(result.exception, InputError)
    assert "repeat in another group" in str(result.exception)
    assert "copies of one another" in str(result.exception)


def test_one_group_is_refused(rows: Path) -> None:
    pytest.importorskip("sklearn", reason="needs saafe[rivals]")
    data = audit.read_data_set([rows], label="label", group="note")
    with pytest.raises(InputError, match="of one group"):
        audit.audit_data_set(data)


@pytest.mark.real
@pytest.mark.slow
def test_kaggle_table_is_refused() -> None:
    pytest.importorskip("sklearn", reason="needs saafe[rivals]")
    if not KAGGLE.is_file():
        pytest.skip(f"{KAGGLE} is absent: it is not ours to pass on")
    found = audit.audit_data_set(
        audit.read_data_set([KAGGLE], label="Fire Alarm", group="CNT:restart")
    )
    assert found["groups"] == 5
    assert [(c["group"], c["of"], c["but_for"]) for c in found["copies"]] == [
        ("1", "2", "Temperature[C]"), ("4", "5", "Temperature[C]"),
    ]  # fmt: skip
    assert found["random"]["value"] > 0.999
    alone = [round(100 * row["accuracy"]) for row in found["grouped"]["rows"]]
    assert alone == [13, 3, 0]
    with pytest.raises(InputError, match="must not be scored on"):
        audit.refuse(found, KAGGLE.name)
