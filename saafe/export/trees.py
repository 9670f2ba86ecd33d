"""Gradient boosting as an ONNX graph: raw windows in, log-odds and risk out.

The figures of `rivals.summaries` in double precision, as torch makes them, then the trees. Trees
are steps: a figure that differs by its last digit may take another branch, and a risk then differs
by a percent. So levels are rounded as there, and figures come out the same to the last bit.

The trees are written here and not by skl2onnx (1.20, scikit-learn 1.9): of histogram boosting it
rounds thresholds to the nearest single, so that a figure that was below may come to stand above.
"""

import hashlib
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from saafe.errors import InputError
from saafe.export.graph import (
    HALF,
    INPUT,
    MISSING,
    TREES,
    C,
    Nodes,
    fire_node,
    level_nodes,
    quartile_nodes,
    risk_graph,
)
from saafe.rivals import LEAST_SHARE, Boosting
from saafe.sensors import LABELS
from saafe.windows import SEGMENTS, STEPS


def boosting_graph(model: Boosting, metadata: dict[str, str]) -> onnx.ModelProto:
    """The graph of calibrated trees, of the inputs and outputs of `graph.build_graph`."""
    g = Nodes()
    logits = tree_nodes(g, model)
    return risk_graph(g, fire_node(g, logits), logits, model, metadata)


def tree_nodes(g: Nodes, model: Boosting) -> str:
    """Class logits of the trees, as `rivals.log_shares` gives them. (batch, class)"""
    raw = g("TreeEnsembleRegressor", summary_nodes(g), domain=TREES, **forest(model))
    return g("Log", g("Max", g("Softmax", raw, axis=1), LEAST_SHARE))


def summary_nodes(g: Nodes) -> str:
    """`rivals.summaries` of the windows, NaN where there are none. (batch, feature)"""
    nothing, count = np.float64("nan"), SEGMENTS[0][0]
    assert all(n == count for n, _ in SEGMENTS), "segments of one length"
    g.floats = np.float64
    x = g("Transpose", g.reshape(INPUT, -1, STEPS, C), perm=[0, 2, 1])
    known = g("Not", g("IsNaN", x))
    mask = in_double(g, known)
    off = g("Mul", g("Sub", mask, 1.0), MISSING)  # 0 where known, else far below every level
    level = level_nodes(g, in_double(g, g("Where", known, x, np.float32(20.0))))
    level = g("Mul", in_double(g, in_single(g, level)), mask)  # rounded as there
    base = g.reshape(quartile_nodes(g, level, off, mask), -1, C)
    newest = g("Where", known, level, nothing)
    last = g.reshape(g.slice(newest, 2, STEPS - 1, STEPS), -1, C)

    parts = (-1, C, len(SEGMENTS), count)
    halves = (-1, C, len(SEGMENTS), 2, HALF)
    sums = g.reduce("ReduceSum", g.reshape(level, *halves), 4)
    counts = g.reduce("ReduceSum", g.reshape(mask, *halves), 4)  # (batch, C, segment, half)
    older, newer = g("Split", g("Div", sums, counts), outputs=2, axis=3, num_outputs=2)
    number = g.reduce("ReduceSum", counts, 3, keep=True)
    mean = g("Div", g.reduce("ReduceSum", sums, 3, keep=True), number)  # 0 / 0 is NaN
    away = g("Sub", g.reshape(level, *parts), mean)
    squares = g("Mul", g("Mul", away, away), g.reshape(mask, *parts))
    spread = g("Sqrt", g("Div", g.reduce("ReduceSum", squares, 3, keep=True), number))
    is_known = g("Greater", number, 0.0)
    lowest, highest = (
        g("Where", is_known, g.reduce(f"Reduce{end}", g.reshape(moved, *parts), 3, keep=True),
          nothing)
        for end, moved in (("Min", g("Sub", level, off)), ("Max", g("Add", level, off)))
    )  # fmt: skip
    share = g("Div", number, float(count))
    figures = (mean, spread, lowest, highest, g("Sub", newer, older), share)
    each = [g.reshape(one, -1, 1, C, len(SEGMENTS)) for one in figures]
    table = g("Transpose", g("Concat", *each, axis=1), perm=[0, 3, 1, 2])
    flat = g.reshape(table, -1, len(SEGMENTS) * len(figures) * C)
    seen = in_single(g, g("Concat", flat, g("Sub", last, base), axis=1))
    g.floats = np.float32
    return seen


def in_double(g: Nodes, x: str) -> str:
    """In double precision."""
    return g("Cast", x, to=TensorProto.DOUBLE)


def in_single(g: Nodes, x: str) -> str:
    """In single precision."""
    return g("Cast", x, to=TensorProto.FLOAT)


def forest(model: Boosting) -> dict[str, Any]:
    """The trees as attributes of a TreeEnsembleRegressor, which adds up a figure of each class.

    Raises:
        InputError: the training windows held not all classes.
    """
    fitted: Any = model.trees
    if len(fitted.classes_) != len(LABELS):
        raise InputError("boosting: the training windows lack a class; train with more of them")
    trees = [tree.nodes for stage in fitted._predictors for tree in stage]  # a class after another
    sizes = [len(tree) for tree in trees]
    nodes = np.concatenate(trees)
    tree = np.repeat(np.arange(len(trees)), sizes)
    place = np.concatenate([np.arange(size) for size in sizes])
    leaf = nodes["is_leaf"].astype(bool)
    column = np.where(leaf, 0, model.columns[np.where(leaf, 0, nodes["feature_idx"])])
    return {
        "n_targets": len(LABELS),
        "base_values": fitted._baseline_prediction.ravel().astype(np.float32),
        "nodes_treeids": tree,
        "nodes_nodeids": place,
        "nodes_featureids": column,
        "nodes_modes": ["LEAF" if is_leaf else "BRANCH_LEQ" for is_leaf in leaf],
        "nodes_values": np.where(leaf, np.float32(0.0), not_above(nodes["num_threshold"])),
        "nodes_truenodeids": np.where(leaf, 0, nodes["left"]),
        "nodes_falsenodeids": np.where(leaf, 0, nodes["right"]),
        "nodes_missing_value_tracks_true": np.where(leaf, 0, nodes["missing_go_to_left"]),
        "target_treeids": tree[leaf],
        "target_nodeids": place[leaf],
        "target_ids": tree[leaf] % len(LABELS),
        "target_weights": nodes["value"][leaf].astype(np.float32),
    }


def not_above(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest singles that are not above thresholds: of singles just the same are below."""
    with np.errstate(over="ignore"):
        near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


def forest_sha256(model: Boosting) -> str:
    """The hash of the trees and their calibration, in hexadecimal."""
    digest = hashlib.sha256()
    for name, value in forest(model).items():
        plain = np.asarray(value)
        text = plain.dtype.kind in "US"
        digest.update(name.encode())
        digest.update(" ".join(value).encode() if text else fixed(plain).tobytes())
    for one in (model.risk_scale, model.risk_shift):
        digest.update(fixed(one.numpy()).tobytes())
    return digest.hexdigest()


def fixed(value: NDArray) -> NDArray:
    """Numbers of one size and order of bytes on every machine."""
    return value.astype("<f4" if value.dtype.kind == "f" else "<i8")
