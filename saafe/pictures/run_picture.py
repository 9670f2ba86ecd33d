"""A run: how it was trained, and what its exam found."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator

from saafe.errors import InputError
from saafe.exam import plots
from saafe.files import read_file
from saafe.pictures.saving import Picture
from saafe.training import runs

TRAINING_INCHES = 2.6
CURVE_NAMES = ("epoch", "loss", "held_out_loss", "accuracy")  # of metrics.jsonl


@dataclass(frozen=True)
class Part:
    """One part of a larger picture."""

    name: str
    inches: float
    put: Callable[[FigureBase], None]


def is_run_folder(path: Path | str) -> bool:
    """Whether a folder holds what a training or an exam leaves."""
    return any((Path(path) / name).is_file() for name in (runs.RECIPE, runs.METRICS, "exam.json"))


def picture_of_run(folder: Path | str) -> Picture:
    """Draw a run's training curves and its exam's figures, whichever are there.

    Args:
        folder: of the run: `metrics.jsonl` and `exam.json` are read, no weights.

    Raises:
        InputError: neither is there, or one is not what saafe writes.
    """
    folder = Path(folder)
    parts = [*training_parts(folder / runs.METRICS), *exam_parts(folder / "exam.json")]
    if not parts:
        raise InputError(
            f"{folder}: holds neither {runs.METRICS} nor exam.json; `saafe exam {folder}` examines "
            "a run"
        )
    title = f"run {folder.resolve().name}"
    with matplotlib.rc_context(plots.STYLE):
        heights = [part.inches + 0.3 for part in parts]
        figure = Figure(figsize=(plots.WIDTH, sum(heights)), layout="constrained")
        places = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
        for place, part in zip(places, parts, strict=True):
            place.suptitle(part.name, x=0.01, ha="left", fontsize=11)
            part.put(place)
    return Picture("run", title, tuple(part.name for part in parts), figure)


def training_parts(path: Path) -> list[Part]:
    """The curves of a training, where it left any."""
    if not path.is_file():
        return []
    text = read_file(path)
    try:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        curves = {name: [number_of(row[name]) for row in rows] for name in CURVE_NAMES}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path}: is not what `saafe train` writes; train again") from None
    if not any(np.isfinite(curves[name]).any() for name in CURVE_NAMES[1:]):
        return []
    return [Part("training", TRAINING_INCHES, lambda figure: put_training(figure, curves))]


def number_of(value: float | None) -> float:
    """A figure of an epoch; NaN where there is none, as the held-out loss of a tuning."""
    return math.nan if value is None else float(value)


def put_training(figure: FigureBase, curves: Mapping[str, list[float]]) -> None:
    """Draw the loss of training and held-out windows, and the accuracy, by epoch."""
    left, right = figure.subplots(1, 2)
    epoch = curves["epoch"]
    marker = "o" if len(epoch) < 3 else None
    left.plot(epoch, curves["loss"], color=plots.FAINT, marker=marker, label="training windows")
    left.plot(
        epoch, curves["held_out_loss"], color=plots.RISK, marker=marker, label="held-out scenarios"
    )
    for place in (left, right):
        place.set_xlabel("epoch")
        place.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    left.set_ylabel("loss")
    plots.name_lines(left)
    right.plot(epoch, [100.0 * share for share in curves["accuracy"]], color=plots.RISK,
               marker=marker)  # fmt: skip
    right.set_ylabel("accuracy, held out [%]")


def exam_parts(path: Path) -> list[Part]:
    """What of an exam can be drawn: the curve, times to alarm, calibration, the gate."""
    if not path.is_file():
        return []
    text = read_file(path)
    try:
        result = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(
            f"{path}: is no JSON; `saafe exam {path.parent}` writes it again"
        ) from None
    if not isinstance(result, dict):
        raise InputError(f"{path}: is no exam; `saafe exam {path.parent}` writes it again")
    parts = []
    rivals, fires = result.get("rivals"), result.get("fires")
    if isinstance(rivals, Mapping) and rivals.get("curves"):
        parts.append(Part("fires in time against false alarms a year", plots.CURVES_INCHES,
                          lambda figure: plots.put_curves(figure, rivals)))  # fmt: skip
    if isinstance(fires, list) and plots.delay_names(fires):
        parts.append(Part("time to alarm: median (dot) to 90 %", plots.delay_inches(fires),
                          lambda figure: plots.put_delays(figure, fires)))  # fmt: skip
    if tables := reliability_tables(result.get("calibration")):
        parts.append(Part("calibration: risk predicted, fires observed", plots.RELIABILITY_INCHES,
                          lambda figure: plots.put_reliability(figure, tables)))  # fmt: skip
    lines = (result.get("gate") or {}).get("lines")
    if isinstance(lines, list) and plots.gate_shown(lines):
        parts.append(Part("gate: value and 95 % bounds over the limit", plots.gate_inches(lines),
                          lambda figure: plots.put_gate(figure, lines)))  # fmt: skip
    return parts


def reliability_tables(found: object) -> dict[str, Any]:
    """The tables of a calibration, by set."""
    if not isinstance(found, Mapping):
        return {}
    return {
        str(name): part["table"]
        for name, part in found.items()
        if isinstance(part, Mapping) and part.get("table")
    }
