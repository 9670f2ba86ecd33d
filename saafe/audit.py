"""Can a score on this data set be believed? Groups, copies, random splits, identity.

A row, window or minute of one fire or home resembles its neighbours, so that a random split
measures memory. What belongs together is a group, and groups never straddle a split.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from saafe.errors import InputError, as_given
from saafe.metrics import proportion_bounds
from saafe.recordings import read_table

BLOCK_ROWS = 10  # Chosen: so many rows in a row are no coincidence where they repeat elsewhere
MOST_COPIED = 0.01  # Chosen: share of a data set's blocks that may repeat across groups
MARGIN = 0.10  # Chosen: accuracy that a random split may have over the grouped one
AUDIT_TREES = 60
AUDIT_SEED = 0  # of the random split and of the forests
BY_FILE, BY_RESTART = "file", "restart"  # ways to name groups
MOST_ROWS = 60_000  # that the forests are fitted on


@dataclass(frozen=True)
class DataSet:
    """Labelled rows in groups; rows of one group lie in their order."""

    columns: tuple[str, ...]  # names of the features
    features: np.ndarray  # NaN where missing. float64 (row, column)
    labels: np.ndarray  # class of each row. (row,)
    groups: np.ndarray  # fire, home, house or source of each row. (row,)


def refuse_straddling(groups: np.ndarray, is_test: np.ndarray) -> None:
    """Refuse a split, bool (row,), that has rows of one group on both sides, or one side."""
    groups, is_test = np.asarray(groups), np.asarray(is_test, dtype=bool)
    both = np.intersect1d(groups[is_test], groups[~is_test])
    if both.size:
        raise InputError(
            f"group {both[0]} has rows in training and in test ({both.size} such groups); "
            "allowed: every group on one side; split by group, as leave_one_out does"
        )
    if is_test.all() or not is_test.any():
        raise InputError("a split needs rows on both sides; give at least two groups")


def leave_one_out(groups: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """Each group in turn as the test set: its name, and which rows it holds. bool (row,)"""
    groups = np.asarray(groups)
    for name in np.unique(groups):
        is_test = groups == name
        refuse_straddling(groups, is_test)
        yield name, is_test


def blocks(features: np.ndarray) -> np.ndarray:
    """A number for every run of ten rows, equal where the runs are. uint64 (row - 9,)

    A run of one and the same row says nothing, and gets 0.
    """
    rows = pl.DataFrame(features).hash_rows(seed=0).to_numpy()
    if len(rows) < BLOCK_ROWS:
        return np.zeros(0, np.uint64)
    runs = np.lib.stride_tricks.sliding_window_view(rows, BLOCK_ROWS)
    number = pl.DataFrame(np.ascontiguousarray(runs)).hash_rows(seed=1).to_numpy().copy()
    number[(runs == runs[:, :1]).all(axis=1)] = 0
    return number


def find_copies(data: DataSet) -> tuple[float, list[tuple[Any, Any, str]]]:
    """Share of ten-row runs that repeat in another group, and which groups share them.

    Every column is left out once, too: a copy is still one where somebody edited a column. The
    share is the largest over the columns left out; pairs of groups are copies by half of the
    smaller one's runs, given with the column that had to be left out ("" for none).
    """
    names = np.unique(data.groups)
    share, pairs = 0.0, {}
    left_out = [-1, *range(len(data.columns))] if len(data.columns) > 1 else [-1]
    for column in left_out:
        kept = [k for k in range(len(data.columns)) if k != column]
        runs = {name: blocks(data.features[data.groups == name][:, kept]) for name in names}
        sets = {name: np.unique(number[number != 0]) for name, number in runs.items()}
        value, count = np.unique(np.concatenate(list(sets.values())), return_counts=True)
        repeated = sum(int(np.isin(run, value[count > 1]).sum()) for run in runs.values())
        share = max(share, repeated / max(1, sum(map(len, runs.values()))))
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                shared = np.intersect1d(sets[a], sets[b]).size
                if shared > 0.5 * max(1, min(len(runs[a]), len(runs[b]))):
                    pairs.setdefault((a, b), data.columns[column] if column >= 0 else "")
    return share, [(a, b, column) for (a, b), column in pairs.items()]


def merge_copies(groups: np.ndarray, copies: Sequence[tuple[Any, Any, str]]) -> np.ndarray:
    """Groups with every copy named as what it copies. (row,)"""
    merged = np.asarray(groups).copy()
    for a, b, _ in copies:
        first, second = merged[groups == a][0], merged[groups == b][0]
        merged[merged == second] = first
    return merged


def drop_clocks(data: DataSet) -> tuple[DataSet, list[str]]:
    """The data set without columns that count: a time or an index tells rows apart by itself."""
    keep, clocks = [], []
    for k, column in enumerate(data.columns):
        steps = [np.diff(data.features[data.groups == g, k]) for g in np.unique(data.groups)]
        rising = all(bool((s > 0).all()) for s in steps)
        if rising:
            clocks.append(column)
        else:
            keep.append(k)
    columns = tuple(data.columns[k] for k in keep)
    return replace(data, columns=columns, features=data.features[:, keep]), clocks


def accuracy(data: DataSet, is_test: np.ndarray) -> tuple[int, int]:
    """Rows that a random forest of the other rows gets right, and how many there were."""
    from sklearn.ensemble import RandomForestClassifier

    training = np.flatnonzero(~is_test)
    training = np.random.default_rng(AUDIT_SEED).permutation(training)[:MOST_ROWS]
    forest = RandomForestClassifier(AUDIT_TREES, random_state=AUDIT_SEED)
    forest.fit(data.features[training], data.labels[training])
    right = forest.predict(data.features[is_test]) == data.labels[is_test]
    return int(right.sum()), len(right)


def audit_data_set(data: DataSet) -> dict[str, Any]:
    """Measure what a score on a data set would be worth.

    Args:
        data: labelled rows in groups.

    Returns:
        `clocks` left out, `repeated_share` and `copies` (groups that repeat one another), the
        accuracy of one random 80/20 split of rows (`random`), of every group held out alone
        (`grouped`; copies count as one group), `gap`, and `reasons` to refuse it, if any.
    """
    require_forest()
    if len(np.unique(data.groups)) < 2:
        raise InputError("the rows are of one group; give at least two recordings")
    data, clocks = drop_clocks(data)
    if not data.columns:
        raise InputError("no column is left to learn from; keep at least one that is no clock")
    repeated, copies = find_copies(data)
    whole = merge_copies(data.groups, copies)
    is_test = np.random.default_rng(AUDIT_SEED).random(len(whole)) < 0.2
    right, n = accuracy(data, is_test)
    grouped = hold_out_each(data, whole)
    found = {
        "rows": len(whole),
        "groups": len(np.unique(data.groups)),
        "clocks": clocks,
        "repeated_share": repeated,
        "copies": [{"group": str(a), "of": str(b), "but_for": column} for a, b, column in copies],
        "random": proportion_bounds(right, n)._asdict() | {"n": n},
        "grouped": grouped,
        "gap": None if grouped["value"] is None else right / n - grouped["value"],
        "commonest_class": float(np.unique(data.labels, return_counts=True)[1].max() / len(whole)),
    }
    return found | {"reasons": reasons(found)}


def hold_out_each(data: DataSet, groups: np.ndarray) -> dict[str, Any]:
    """Accuracy with each group held out in turn; `value` is None where there is but one."""
    rows = []
    if len(np.unique(groups)) > 1:
        for name, held_out in leave_one_out(groups):
            hits, count = accuracy(data, held_out)
            rows.append(
                {"group": str(name), "rows": count, "right": hits, "accuracy": hits / count}
            )
    value = sum(row["right"] for row in rows) / len(groups) if rows else None
    return {"value": value, "n_groups": len(rows), "rows": rows}


def reasons(found: dict[str, Any]) -> list[str]:
    """Why a data set must not be scored on, as an audit found it; empty for none."""
    out = []
    if found["repeated_share"] > MOST_COPIED:
        out.append(
            f"{found['repeated_share']:.1%} of its runs of {BLOCK_ROWS} rows repeat in another "
            f"group (allowed: {MOST_COPIED:.0%})"
        )
    if found["gap"] is None:
        out.append("its groups are copies of one another, so that none can be held out")
    elif found["gap"] > MARGIN:
        out.append(
            f"a random split scores {found['random']['value']:.2%} and groups held out "
            f"{found['grouped']['value']:.2%} (allowed: {MARGIN:.0%} apart)"
        )
    return out


def refuse(found: dict[str, Any], name: str) -> None:
    """Refuse a data set that an audit found reasons against."""
    if found["reasons"]:
        raise InputError(
            f"{name}: must not be scored on: {'; '.join(found['reasons'])}; "
            "hold out whole recordings, or use it for nothing but this audit"
        )


def require_forest() -> None:
    """Refuse to go on without scikit-learn."""
    if importlib.util.find_spec("sklearn") is None:
        raise InputError("the audit needs scikit-learn; pip install 'saafe[rivals]'")


def read_data_set(
    paths: Sequence[Path], *, label: str, group: str, drop: Sequence[str] = ()
) -> DataSet:
    """The data set in one table, or in several of one group each.

    Args:
        paths: CSV, CSV.gz or Parquet files with a header.
        label: column of the class.
        group: column of the recording; "COLUMN:restart" begins a new one where that column
            falls, as a counter does; "file" where every file is one.
        drop: columns to leave out; every other one of numbers is a feature.
    """
    frames = [read_table(path).frame.cast(pl.String) for path in paths]
    files = np.repeat([str(path) for path in paths], [len(frame) for frame in frames])
    frame = pl.concat(frames, how="diagonal").fill_null("")
    given = as_given("--group", "group")
    name, _, how = group.partition(":")
    named = [label, *([] if group == BY_FILE else [name]), *drop]
    if missing := [column for column in named if column not in frame.columns]:
        raise InputError(f"column {missing[0]!r} is missing; there are {', '.join(frame.columns)}")
    if how not in ("", BY_RESTART):
        raise InputError(f"{given} {group}: expected COLUMN, COLUMN:{BY_RESTART} or {BY_FILE}")
    numbers = {column: numbers_or_none(frame[column]) for column in frame.columns}
    columns = tuple(c for c, n in numbers.items() if n is not None and c not in named)
    if not columns:
        raise InputError("no column of numbers is left to learn from; drop fewer")
    features = np.stack([numbers[column] for column in columns], axis=1)  # type: ignore[arg-type]
    groups = files if group == BY_FILE else frame[name].to_numpy()
    if how:
        counter = numbers[name]
        if counter is None:
            raise InputError(f"{given} {group}: column {name!r} does not hold numbers only")
        groups = np.concatenate([[1], 1 + np.cumsum(np.diff(counter) < 0)])
    return DataSet(columns, features, frame[label].to_numpy(), groups)


def numbers_or_none(cells: pl.Series) -> np.ndarray | None:
    """A column of text as numbers, NaN where empty; None where a cell is no number. (row,)"""
    numbers = cells.cast(pl.Float64, strict=False)
    if (numbers.is_null() & (cells != "")).any() or numbers.null_count() == len(numbers):
        return None
    return numbers.fill_null(np.nan).to_numpy()


def lines(found: dict[str, Any]) -> list[str]:
    """An audit for people."""
    random, grouped, commonest = found["random"], found["grouped"], found["commonest_class"]
    out = [f"{found['rows']} rows in {found['groups']} groups"]
    if found["clocks"]:
        out.append(f"left out, for they only count: {', '.join(map(repr, found['clocks']))}")
    out += [
        f"group {copy['of']} repeats group {copy['group']}"
        + (f" but for column {copy['but_for']}" if copy["but_for"] else "")
        for copy in found["copies"]
    ]
    out += [
        f"repeated elsewhere: {found['repeated_share']:.2%} of runs of {BLOCK_ROWS} rows",
        f"random split: {random['value']:.2%} right of {random['n']} rows",
        f"commonest class: {commonest:.2%}",
    ]
    if grouped["value"] is not None:
        out.append(f"groups held out: {grouped['value']:.2%}")
    return out + [
        f"  group {row['group']}: {row['accuracy']:.2%} of {row['rows']} rows"
        for row in grouped["rows"]
    ]
