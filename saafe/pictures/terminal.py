"""A picture as text, for a terminal."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import uniplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from saafe.pictures.curves import LONE, MARK
from saafe.pictures.saving import Picture

PANEL_LINES = 7
ASCII = "+x*o~.%#"  # one a curve; more of them cannot be told apart
MARK_SIGNS = "123456789abcdefghijklmnopqrstuvwxyz"  # one a name, above its lines
TOLD_TIMES = 4  # of one mark
NARROWEST, WIDEST = 30, 160
SIDE = 14  # columns beside a panel, for its numbers


def picture_lines(picture: Picture, *, width: int, ascii_only: bool = False) -> list[str]:
    """A picture's panels as lines of text, without color.

    Curves of one panel have signs of their own, and numbers stand above what marks a moment; both
    are named.

    Args:
        picture: what to show.
        width: columns of the terminal.
        ascii_only: no character that an old terminal lacks.
    """
    axes = picture.figure.axes
    width = min(max(width, NARROWEST), WIDEST)
    marks = dict(zip(marks_of(axes), MARK_SIGNS, strict=False))
    signs = curve_signs(axes)
    lines = [*textwrap.wrap(picture.title, width), *mark_legend(axes, marks, width)]
    for number, place in enumerate(axes):
        lines += ["", *panel_title(picture, number, signs, width)]
        if isinstance(place.yaxis.get_major_locator(), FixedLocator):
            lines += named_values(place)
        else:
            lines += panel_lines(place, width, ascii_only, signs, marks)
    return [line.rstrip() for line in lines]


def panel_title(picture: Picture, number: int, signs: Mapping[str, str], width: int) -> list[str]:
    """What one panel shows, and which sign is whose curve."""
    place = picture.figure.axes[number]
    label = axis_label(picture.figure.axes, place)
    if len(picture.panels) == len(picture.figure.axes):
        name = picture.panels[number]
        unit = label.split()[-1] if label else ""
        title = f"{name} [{unit}]" if unit and unit not in name else name
    else:
        title = ", ".join(text for text in (place.get_title(), label) if text)
    if isinstance(place.yaxis.get_major_locator(), FixedLocator):
        below = place.get_xlabel()
        return wrapped([f"{title} [{below}]" if title and below else title or below], width)
    curves = curves_of(place)
    drawn = dict.fromkeys(name for line in curves if (name := name_of_curve(line)))
    if len(signs) < 2:
        drawn = {}  # one curve needs no name
    elif len(curves) > len(ASCII):
        return wrapped([title, f"{len(curves)} curves"], width)
    has_signs = len(curves) > 1
    return wrapped(
        [title, *(f"{signs[name]} {name}" if has_signs else name for name in drawn)], width
    )


def axis_label(axes: Sequence[Axes], place: Axes) -> str:
    """What the vertical axis of a panel says: one label may stand for its row of panels."""
    mine = place.get_subplotspec()
    for one in (place, *axes):
        other = one.get_subplotspec()
        is_beside = mine and other and (mine.get_gridspec(), mine.rowspan) == (
            other.get_gridspec(), other.rowspan)  # fmt: skip
        if (one is place or is_beside) and one.get_ylabel():
            return " ".join(one.get_ylabel().split())
    return ""


def wrapped(words: Iterable[str], width: int) -> list[str]:
    """Words with gaps between them, in lines of no more than a width; none is cut in two."""
    lines = [""]
    for word in words:
        for part in textwrap.wrap(word, width):
            if lines[-1] and len(lines[-1]) + 3 + len(part) > width:
                lines.append("")
            lines[-1] += "   " * bool(lines[-1]) + part
    return lines


def curves_of(place: Axes) -> list[Line2D]:
    """The lines of a panel that show values in view; a lone point is a part of its curve."""
    is_log = place.get_xscale() == "log"
    found = []
    for line in place.get_lines():
        x, y = points_of(line)
        inside = np.isfinite(x) & ((x > 0) | (not is_log))
        # the held-out loss of a tuning has none
        if not is_upright(line) and line.get_label() != LONE and np.isfinite(y[inside]).any():
            found.append(line)
    return found


def name_of_curve(line: Line2D) -> str:
    """A curve's name in a legend, "" for none."""
    name = str(line.get_label())
    return "" if name.startswith("_") else name


def curve_signs(axes: Sequence[Axes]) -> dict[str, str]:
    """A sign for each named curve of a picture, one name alike in all panels."""
    names = dict.fromkeys(name for place in axes for line in curves_of(place)
                          if (name := name_of_curve(line)))  # fmt: skip
    return {name: ASCII[k % len(ASCII)] for k, name in enumerate(names)}


def panel_signs(curves: Sequence[Line2D], signs: Mapping[str, str]) -> list[str]:
    """The sign of each curve of a panel: a curve without a name is of one in its color."""
    by_color = {str(one.get_color()): signs[name] for one in curves
                if (name := name_of_curve(one))}  # fmt: skip
    return [
        signs.get(name_of_curve(one)) or by_color.get(str(one.get_color())) or ASCII[k % len(ASCII)]
        for k, one in enumerate(curves)
    ]


def marks_of(axes: Sequence[Axes]) -> dict[str, list[float]]:
    """What upright lines in view mark: by name, in order, the places on the horizontal axis."""
    found: dict[str, set[float]] = {}
    for place in axes:
        for at, line in uprights(place):
            found.setdefault(str(line.get_label()).removeprefix(MARK), set()).add(at)
    named = {name: sorted(at) for name, at in found.items() if not name.startswith("_")}
    return dict(sorted(named.items(), key=lambda one: one[1]))


def uprights(place: Axes) -> list[tuple[float, Line2D]]:
    """The lines of a panel that mark a moment in view, and where."""
    start, end = place.get_xlim()
    found = [(float(points_of(line)[0][0]), line) for line in place.get_lines() if is_upright(line)]
    return [(at, line) for at, line in found if start <= at <= end]


def mark_legend(axes: Sequence[Axes], marks: Mapping[str, str], width: int) -> list[str]:
    """What each number above a panel means, and when that was."""
    told = []
    for name, at in marks_of(axes).items():
        times = ", ".join(f"{x:.4g}" for x in at[:TOLD_TIMES])
        more = f" and {len(at) - TOLD_TIMES} more" if len(at) > TOLD_TIMES else ""
        told.append(f"{marks.get(name, '')} {name} at {times}{more}".strip())
    if not told:
        return []
    return textwrap.wrap(f"{axes[-1].get_xlabel()}: {'; '.join(told)}", width)


def panel_lines(
    place: Axes, width: int, ascii_only: bool, signs: Mapping[str, str], marks: Mapping[str, str]
) -> list[str]:
    """One panel: its lines, and a bar where something happened."""
    curves, bars = curves_of(place), uprights(place)
    x_end, y_end = place.get_xlim(), place.get_ylim()
    if not curves:
        return ["  nothing to show"]
    is_log = place.get_xscale() == "log"
    xs, ys = [], []
    for line in curves:
        x, y = points_of(line)
        inside = np.isfinite(x) & ((x > 0) | (not is_log))
        xs.append(x[inside])
        ys.append(np.where(np.isfinite(y), y, np.nan)[inside])  # a line breaks at NaN
    for at, _ in bars:
        xs.append(np.array([at, at]))
        ys.append(np.array(y_end))
    joined = [line.get_linestyle() not in ("None", "") for line in curves] + [True] * len(bars)
    has_signs = ascii_only or 1 < len(curves) <= len(ASCII)
    text = uniplot.plot_to_string(
        ys=ys, xs=xs, lines=joined, width=width - SIDE, height=PANEL_LINES, color=False,
        x_min=x_end[0], x_max=x_end[1], y_min=min(y_end), y_max=max(y_end), x_as_log=is_log,
        x_gridlines=[], y_gridlines=[], character_set="ascii" if has_signs else "braille",
        force_ascii_characters=panel_signs(curves, signs) + ["|"] * len(bars),
    )  # fmt: skip
    top, *rest = text.splitlines()
    drawn = plain_frame([marked_top(top, place, marks), *rest], ascii_only)
    siblings = place.get_shared_x_axes().get_siblings(place)
    below = next((label for one in (place, *siblings) if (label := one.get_xlabel())), "")
    if len(drawn) > PANEL_LINES + 2 and len(drawn[-1]) + 2 + len(below) <= width:
        drawn[-1] += f"  {below}".rjust(width - len(drawn[-1]))
        return drawn
    return [*drawn, *(line.rjust(width) for line in textwrap.wrap(below, width))]


def marked_top(top: str, place: Axes, marks: Mapping[str, str]) -> str:
    """The upper side of a panel's frame, with a number above each mark that has one."""
    cells, columns = list(top), len(top) - 2
    start, end = place.get_xlim()
    taken: set[int] = set()
    for at, line in sorted(uprights(place), key=lambda one: one[0]):
        if sign := marks.get(str(line.get_label()).removeprefix(MARK)):
            column = 1 + min(int((at - start) / (end - start) * columns), columns - 1)
            while column in taken and cells[column] != sign and column < columns:
                column += 1
            cells[column] = sign
            taken.add(column)
    return "".join(cells)


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
