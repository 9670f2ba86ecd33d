"""A picture as text, for a terminal."""

import math
from collections.abc import Sequence

import numpy as np
import uniplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from saafe.pictures.curves import LONE
from saafe.pictures.saving import Picture

PANEL_LINES = 7
ASCII = "+x*o~."  # one a curve, and again from the first
NARROWEST, WIDEST = 30, 160
SIDE = 14  # columns beside a panel, for its numbers


def picture_lines(picture: Picture, *, width: int, ascii_only: bool = False) -> list[str]:
    """A picture's panels as lines of text, without color.

    Args:
        picture: what to show.
        width: columns of the terminal.
        ascii_only: no character that an old terminal lacks.
    """
    lines = [picture.title]
    columns = min(max(width, NARROWEST), WIDEST) - SIDE
    for number, place in enumerate(picture.figure.axes):
        lines += ["", panel_title(picture, number, place)]
        if isinstance(place.yaxis.get_major_locator(), FixedLocator):
            lines += named_values(place)
        else:
            lines += panel_lines(place, columns, ascii_only)
    return [line.rstrip() for line in lines]


def panel_title(picture: Picture, number: int, place: Axes) -> str:
    """What one panel shows."""
    label = " ".join(place.get_ylabel().split())
    title, below = place.get_title(), place.get_xlabel()
    if len(picture.panels) == len(picture.figure.axes):
        name = picture.panels[number]
        unit = label.split()[-1] if label else ""
        return f"{name} [{unit}]" if unit and unit not in name else name
    return ", ".join(text for text in (title, label) if text) + (f" by {below}" if below else "")


def panel_lines(place: Axes, columns: int, ascii_only: bool) -> list[str]:
    """One panel: its lines, and a bar where something happened."""
    drawn = [line for line in place.get_lines() if len(np.ravel(line.get_xdata()))]
    # a terminal shows lone points as a part of their curve
    curves = [line for line in drawn if not is_upright(line) and line.get_label() != LONE]
    x_end, y_end = place.get_xlim(), place.get_ylim()
    is_log = place.get_xscale() == "log"
    xs, ys, joined = [], [], []
    for line in curves:
        x, y = points_of(line)
        inside = np.isfinite(x) & ((x > 0) | (not is_log))
        if not np.isfinite(y[inside]).any():
            continue  # such as the held-out loss of a tuning, which has none
        xs.append(x[inside])
        ys.append(np.where(np.isfinite(y), y, np.nan)[inside])  # a line breaks at NaN
        joined.append(line.get_linestyle() not in ("None", ""))
    if not ys:
        return ["  nothing to show"]
    for line in drawn:
        if (
            is_upright(line)
            and x_end[0] <= (at := float(np.ravel(line.get_xdata())[0])) <= x_end[1]
        ):
            xs.append(np.array([at, at]))
            ys.append(np.array(y_end))
            joined.append(True)
    text = uniplot.plot_to_string(
        ys=ys, xs=xs, lines=joined, width=columns, height=PANEL_LINES, color=False,
        x_min=x_end[0], x_max=x_end[1], y_min=min(y_end), y_max=max(y_end), x_as_log=is_log,
        x_gridlines=[], y_gridlines=[], character_set="ascii" if ascii_only else "braille",
        force_ascii_characters=list((len(ys) * ASCII)[: len(ys)]),
    )  # fmt: skip
    return plain_frame(text.splitlines(), ascii_only)


def plain_frame(lines: Sequence[str], ascii_only: bool) -> list[str]:
    """The lines with a frame of ASCII where asked."""
    table = str.maketrans("┌┐└┘─│", "++++-|") if ascii_only else {}
    return [line.translate(table) for line in lines]


def is_upright(line: Line2D) -> bool:
    """Whether a line marks a moment, from the bottom of its panel to the top."""
    x, y = np.ravel(line.get_xdata()), np.ravel(line.get_ydata())
    return len(x) == 2 and bool(x[0] == x[1]) and sorted(y.tolist()) == [0, 1]


def points_of(line: Line2D) -> tuple[NDArray, NDArray]:
    """A line's points as numbers."""
    x, y = line.get_data()
    return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)


def named_values(place: Axes) -> list[str]:
    """A panel of names: each with its value, where it has one."""
    found = {}
    for line in place.get_lines():
        x, y = points_of(line)
        if len(x) == 1 and math.isfinite(x[0]):
            found[round(float(y[0]))] = float(x[0])
    labels = [label.get_text() for label in place.get_yticklabels()]
    return [f"  {name}: {found[k]:.4g}" for k, name in enumerate(labels) if k in found]
