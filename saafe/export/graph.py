"""The model as an ONNX graph: raw windows in, log-odds and risk out.

Written node by node, not traced: it is small, equal weights give equal files, and its features
are laid out for speed, `(batch, channel, step)`, so that every reduction is over the last axis.
The weights of the layers that read features are reordered to fit. `parity` compares the result
with torch at every export.
"""

import itertools
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from saafe.recipes import Recipe
from saafe.sensors import CHANNELS, FIRE, PM25
from saafe.training import (
    FEATURES,
    LONE_CHANNELS,
    ONSET_SCALE,
    ONSET_STEPS,
    GuardedModel,
    RiskModel,
    Run,
)
from saafe.windows import SEGMENTS, STEPS

INPUT, LOG_ODDS, RISK_PERCENT = "windows", "log_odds", "risk_percent"
TREES = "ai.onnx.ml"  # the domain of operators on trees
OPSETS, IR_VERSION = {"": 20, TREES: 3}, 10  # what onnxruntime 1.19 and later read
C, HALF = len(CHANNELS), SEGMENTS[0][0] // 2
FIGURES_EACH = 6  # `training.model.statistics` has so many of each channel and segment
MISSING = 1e4  # beyond every level


class Nodes:
    """Nodes and constants of a graph as it grows; every method returns a name.

    `floats` is the precision of constants from here on.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.floats: type[np.floating] = np.float32

    def constant(self, value: Any, name: str = "") -> str:
        """A constant; Python's floats and numpy's doubles in the precision of `floats`."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(self.floats)
        name = name or f"c{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def __call__(self, op: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """A node; inputs that are no names become constants. One name, or a list of several."""
        number = len(self.nodes)
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        made = [f"{op.lower()}{number}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, names, made, name=f"{op}{number}", **attributes))
        return made[0] if outputs == 1 else made

    def reduce(self, op: str, x: str, *axes: int, keep: bool = False) -> str:
        """A reduction over some axes."""
        return self(op, x, np.array(axes, np.int64), keepdims=int(keep))

    def reshape(self, x: str, *shape: int) -> str:
        """Another shape; 0 keeps an axis, -1 is what is left."""
        return self("Reshape", x, np.array(shape, np.int64))

    def slice(self, x: str, axis: int, start: int, end: int) -> str:
        """Part of an axis."""
        return self("Slice", x, *(np.array([v], np.int64) for v in (start, end, axis)))

    def linear(self, x: str, weight: NDArray, bias: NDArray | None, name: str) -> str:
        """A dense layer of a weight (out, in) and a bias (out,)."""
        out = self("MatMul", x, self.constant(weight.T, name))
        return out if bias is None else self("Add", out, bias)


def build_graph(run: Run, metadata: dict[str, str]) -> onnx.ModelProto:
    """The model of a run, as an ONNX model of windows (batch, 60, 1, channel).

    Outputs `log_odds` and `risk_percent`, both (batch,); `metadata` goes into the file.
    """
    g = Nodes()
    logits, seen = class_nodes(g, run.model, run.recipe)
    return risk_graph(g, guarded_node(g, logits, seen, run.model), logits, run.model, metadata)


def class_nodes(g: Nodes, model: RiskModel, recipe: Recipe) -> tuple[str, str]:
    """A transformer's class logits (batch, class), unguarded, and `feature_nodes`' seen."""
    weights = {name: t.detach().cpu().numpy() for name, t in model.state_dict().items()}
    seen, now = feature_nodes(g)
    return encoded(g, tokens(g, seen, now, weights, recipe.patch), weights, recipe), seen


def guarded_node(g: Nodes, logits: str, seen: str, model: GuardedModel) -> str:
    """The fire's of class logits (batch, class), lowered where a channel stands alone. (batch,)"""
    fire = fire_node(g, logits)
    excesses = model.lone_excess.detach().cpu().numpy()
    for alone, excess in zip(alone_nodes(g, seen), excesses, strict=True):
        fire = g("Sub", fire, g("Mul", alone, excess))
    return fire


def fire_node(g: Nodes, logits: str) -> str:
    """The fire's of class logits (batch, class). (batch,)"""
    return g.reshape(g.slice(logits, 1, FIRE, FIRE + 1), -1)


def risk_graph(
    g: Nodes, fire: str, logits: str, calibrated: RiskModel, metadata: dict[str, str]
) -> onnx.ModelProto:
    """The ONNX model of a fire's logit (batch,) over the others' of class logits (batch, class).

    With a model's calibration, and with metadata.
    """
    own = (calibrated.risk_scale, calibrated.risk_shift)
    scale, shift = (one.detach().cpu().numpy() for one in own)
    others = g.reduce("ReduceLogSumExp", g.slice(logits, 1, 0, FIRE), 1)
    odds = g("Add", g("Mul", g("Sub", fire, others), scale), shift)
    risk = g("Mul", g("Sigmoid", odds), 100.0)
    for made, name in ((odds, LOG_ODDS), (risk, RISK_PERCENT)):
        g.nodes.append(helper.make_node("Identity", [made], [name], name=name))
    outputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch"])
        for n in (LOG_ODDS, RISK_PERCENT)
    ]
    shape = ["batch", STEPS, 1, C]
    windows = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)
    graph = helper.make_graph(g.nodes, "saafe", [windows], outputs, list(g.constants.values()))
    domains = sorted({node.domain for node in g.nodes})
    imports = [helper.make_opsetid(domain, OPSETS[domain]) for domain in domains]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version, model.producer_name = IR_VERSION, "saafe"
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model


def feature_nodes(g: Nodes) -> tuple[str, str]:
    """Features of windows, in `training.model`'s words.

    Returns seen (batch, feature, step) and the summary (batch, WINDOW_SUMMARY).
    """
    x = g("Transpose", g.reshape(INPUT, -1, STEPS, C), perm=[0, 2, 1])
    known = g("Not", g("IsNaN", x))
    mask = g("Cast", known, to=TensorProto.FLOAT)
    off = g("Mul", g("Sub", mask, 1.0), MISSING)  # 0 where known, else far below every level
    level = g("Mul", level_nodes(g, g("Where", known, x, np.float32(20.0))), mask)
    base = quartile_nodes(g, level, off, mask)
    departure = widened(g, g("Sub", level, base))
    departure = g("Mul", departure, mask)
    high, low = g("Add", departure, off), g("Sub", departure, off)
    seen = g("Concat", level, departure, mask, top_nodes(g, level, off, mask), axis=1)
    last = g.reshape(g.slice(seen, 2, STEPS - 1, STEPS), -1, FEATURES)
    figures = g.reshape(
        statistics_nodes(g, departure, mask, low, high), -1, FIGURES_EACH * C * len(SEGMENTS)
    )
    onset = onset_nodes(g, high, departure, mask)
    return seen, g("Concat", last, onset, g.reshape(base, -1, C), figures, axis=1)


def alone_nodes(g: Nodes, seen: str) -> list[str]:
    """Of each of `LONE_CHANNELS` 1 where it is known and none beside it is, else 0. (batch,)"""
    known = g.reduce("ReduceMax", g.slice(seen, 1, 2 * C, 3 * C), 2)
    each = [g.reshape(g.slice(known, 1, c, c + 1), -1) for c in range(C)]
    return [
        g("Mul", each[one], g("Sub", np.float32(1.0), g("Max", *(each[c] for c in others))))
        for one, others in LONE_CHANNELS
    ]


def level_nodes(g: Nodes, x: str) -> str:
    """Channels on their scales: x a + b ln(max(x c + d, e)) + f. (batch, C, step)"""
    rows = []
    for channel in CHANNELS:
        scale, c, spread = channel.scale, channel.scale.centre, channel.scale.spread
        if scale.kind == "linear":
            rows.append((1 / spread, 0.0, 0.0, 1.0, 1.0, -c / spread))
        elif scale.kind == "log":
            rows.append((0.0, 1 / spread, 1 / c, 0.0, channel.lowest / c, 0.0))
        else:
            rows.append((0.0, 1.0, 1 / spread, 1.0, 1.0, -c))
    columns = np.array(rows).T[:, :, None]
    linear, slope, times, plus, least, shift = columns
    logs = g("Log", g("Max", g("Add", g("Mul", x, times), plus), least))
    return g("Add", g("Mul", x, linear), g("Add", g("Mul", logs, slope), shift))


def quartile_nodes(g: Nodes, level: str, off: str, mask: str) -> str:
    """The lower quartile over the known steps, by rank; 0 where none is known. (batch, C, 1)"""
    most = np.array([(STEPS - 1) // 4 + 1], np.int64)  # no rank is higher
    ordered, _ = g("TopK", g("Sub", level, off), most, outputs=2, axis=2, largest=0, sorted=1)
    count = g.reduce("ReduceSum", mask, 2, keep=True)
    rank = g("Floor", g("Max", g("Mul", g("Sub", count, 1.0), 0.25), 0.0))
    quartile = g("GatherElements", ordered, g("Cast", rank, to=TensorProto.INT64), axis=2)
    return g("Where", g("Greater", count, 0.0), quartile, 0.0)


def widened(g: Nodes, departure: str) -> str:
    """Departures that reach over decades as their asinh, channel by channel. (batch, C, step)"""
    runs = [
        (is_wide, list(run))
        for is_wide, run in itertools.groupby(
            range(C), lambda k: CHANNELS[k].scale.spread if CHANNELS[k].scale.is_wide else 0.0
        )
    ]
    sizes = np.array([len(run) for _, run in runs], np.int64)
    parts = g("Split", departure, sizes, outputs=len(runs), axis=1)
    for k, (spread, _) in enumerate(runs):
        if spread:
            parts[k] = g("Asinh", g("Mul", parts[k], spread))
    return g("Concat", *parts, axis=1)


def top_nodes(g: Nodes, level: str, off: str, mask: str) -> str:
    """How near particles stay to the highest level of the window. (batch, 1, step)"""
    particles, missing, known = (g.slice(one, 1, PM25, PM25 + 1) for one in (level, off, mask))
    top = g.reduce("ReduceMax", g("Add", particles, missing), 2, keep=True)
    below = g("Clip", g("Sub", top, particles), np.float32(0.0), np.float32(10.0))
    return g("Mul", g("Exp", g("Mul", below, -30.0)), known)


def onset_nodes(g: Nodes, high: str, departure: str, mask: str) -> str:
    """How far each channel stands above all that it showed until a minute ago. (batch, C)"""
    before = g.reduce("ReduceMax", g.slice(high, 2, 0, STEPS - ONSET_STEPS), 2)
    newest, is_new = (g.reshape(g.slice(v, 2, STEPS - 1, STEPS), -1, C) for v in (departure, mask))
    above = g("Mul", g("Max", g("Sub", newest, before), 0.0), ONSET_SCALE)
    is_both = g("And", g("Greater", before, -1e3), g("Greater", is_new, 0.0))
    return g("Where", is_both, above, np.float32(0.0))


def statistics_nodes(g: Nodes, departure: str, mask: str, low: str, high: str) -> str:
    """Figures of each channel in each segment. (batch, FIGURES_EACH x C, segment)"""
    parts, count = len(SEGMENTS), SEGMENTS[0][0]
    assert all(n == count for n, _ in SEGMENTS), "segments of one length"
    in_halves = (-1, C, parts, 2, HALF)
    sums = g.reduce("ReduceSum", g.reshape(departure, *in_halves), 4)
    counts = g.reduce("ReduceSum", g.reshape(mask, *in_halves), 4)  # (batch, C, segment, half)
    halves = g("Div", sums, g("Max", counts, 1.0))
    older, newer = g("Split", halves, outputs=2, axis=3, num_outputs=2)
    has_both = g("Min", g.reduce("ReduceMin", counts, 3, keep=True), 1.0)
    change = g.reshape(g("Mul", g("Sub", newer, older), has_both), -1, C, parts)
    number = g.reduce("ReduceSum", counts, 3, keep=True)
    at_least_one = g("Max", number, 1.0)
    mean = g("Div", g.reduce("ReduceSum", sums, 3, keep=True), at_least_one)
    in_parts = (-1, C, parts, count)
    off = g("Sub", g.reshape(departure, *in_parts), mean)
    squares = g("Mul", g("Mul", off, off), g.reshape(mask, *in_parts))
    variance = g("Div", g.reduce("ReduceSum", squares, 3, keep=True), at_least_one)
    spread = g("Sub", g("Sqrt", g("Add", variance, 1e-6)), 1e-3)
    is_known = g("Greater", number, 0.0)
    lowest = g("Where", is_known, g.reduce("ReduceMin", g.reshape(low, *in_parts), 3, keep=True),
               np.float32(0.0))  # fmt: skip
    highest = g("Where", is_known, g.reduce("ReduceMax", g.reshape(high, *in_parts), 3, keep=True),
                np.float32(0.0))  # fmt: skip
    share = g("Div", number, float(count))
    flat = [g.reshape(one, -1, C, parts) for one in (mean, spread, lowest, highest)]
    return g("Concat", *flat, change, g.reshape(share, -1, C, parts), axis=1)


def tokens(g: Nodes, seen: str, now: str, weights: dict[str, NDArray], patch: int) -> str:
    """The tokens of the encoder. (batch, token, width)"""
    count = STEPS // patch
    x = g("Transpose", g.reshape(seen, -1, FEATURES, count, patch), perm=[0, 2, 1, 3])
    x = g.reshape(x, -1, count, FEATURES * patch)
    width = len(weights["embed.bias"])
    order = np.arange(patch * FEATURES).reshape(patch, FEATURES).T.ravel()
    x = g.linear(x, weights["embed.weight"][:, order], None, "embed")
    before = FEATURES + 2 * C  # the statistics stand last
    now_order = np.concatenate([np.arange(before), before + figure_order()])
    wide = g.linear(now, weights["now_widen.weight"][:, now_order], weights["now_widen.bias"],
                    "now_widen")  # fmt: skip
    newest = g.linear(g("Gelu", wide), weights["now_narrow.weight"], None, "now_narrow")
    x = g("Concat", x, g.reshape(newest, -1, 1, width), axis=1)
    position = weights["position"].copy()
    position[:count] += weights["embed.bias"]
    position[count] += weights["now_narrow.bias"]
    return g("Add", x, position)


def figure_order() -> NDArray:
    """Where torch has the figures that `statistics_nodes` gives: there segment, figure, channel."""
    parts = len(SEGMENTS)
    order = np.arange(parts * FIGURES_EACH * C).reshape(parts, FIGURES_EACH * C)
    return order.T.ravel()


def encoded(g: Nodes, x: str, weights: dict[str, NDArray], recipe: Recipe) -> str:
    """The encoder's layers and its head: logits (batch, 3) of tokens (batch, token, width)."""
    for layer in range(recipe.layers):
        own = {
            name.removeprefix(f"blocks.{layer}."): value
            for name, value in weights.items()
            if name.startswith(f"blocks.{layer}.")
        }
        x = block(g, x, own, STEPS // recipe.patch + 1, recipe.heads, f"block{layer}")
    mean = g.reduce("ReduceMean", x, 1)
    return g.linear(normed(g, mean, weights, "norm"), weights["head.weight"], weights["head.bias"],
                    "head")  # fmt: skip


def normed(g: Nodes, x: str, weights: dict[str, NDArray], name: str) -> str:
    """Layer normalisation over the last axis."""
    scale, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return g("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-5)


def block(g: Nodes, x: str, w: dict[str, NDArray], count: int, heads: int, name: str) -> str:
    """One pre-norm transformer layer. (batch, token, width)"""
    width = len(w["project.bias"])
    size = width // heads
    weight, bias = w["qkv.weight"].copy(), w["qkv.bias"].copy()
    weight[:width] /= np.sqrt(size)  # attention's scale, taken by the queries
    bias[:width] /= np.sqrt(size)
    qkv = g.linear(normed(g, x, w, "norm_attention"), weight, bias, f"{name}.qkv")
    qkv = g("Transpose", g.reshape(qkv, -1, count, 3, heads, size), perm=[2, 0, 3, 1, 4])
    split = g("Split", qkv, outputs=3, axis=0, num_outputs=3)
    q, k, v = (g.reshape(one, -1, count, size) for one in split)  # each head of each window
    scores = g("MatMul", q, g("Transpose", k, perm=[0, 2, 1]))
    attended = g("MatMul", g("Softmax", scores, axis=2), v)
    attended = g("Transpose", g.reshape(attended, -1, heads, count, size), perm=[0, 2, 1, 3])
    attended = g.reshape(attended, -1, count, width)
    x = g("Add", x, g.linear(attended, w["project.weight"], w["project.bias"], f"{name}.project"))
    hidden = g.linear(normed(g, x, w, "norm_mlp"), w["widen.weight"], w["widen.bias"],
                      f"{name}.widen")  # fmt: skip
    out = g.linear(g("Gelu", hidden), w["narrow.weight"], w["narrow.bias"], f"{name}.narrow")
    return g("Add", x, out)
