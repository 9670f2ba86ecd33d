"""Pictures of a report: cases, reliability, times to alarm, the worst ramp.

`draw_...` makes one SVG that needs no network and no font of its own. `put_...` draws the same
into a part of a larger figure.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D

from saafe.sensors import CHANNELS

WIDTH = 9.6  # [inch]
RELIABILITY_INCHES, CURVES_INCHES = 3.6, 4.2
INK, FAINT, RISK, GOOD, BAD = "#1f2933", "#9aa5b1", "#7b2d8b", "#1b6e4b", "#b3261e"
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: smaller, and it can be searched
    "svg.hashsalt": "saafe",  # the same picture gives the same bytes
    "text.parse_math": False,  # a sensor's name may hold a $
    "font.size": 9.0,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
LEAST_PER_YEAR = 0.1  # fewer false alarms are drawn there
MARKS = (
    ("first_signal_s", "first shown", FAINT, ":"),
    ("limit_s", "limit", BAD, "--"),
    ("alarm_s", "alarm", RISK, "-"),
)


def plain_numbers(place: Axes) -> None:
    """Write 0.1, 1 and 10 beside a logarithmic axis: matplotlib would write formulae."""
    place.xaxis.set_major_formatter("{x:g}")
    place.xaxis.set_minor_formatter("")


def svg_of(height: float, put: Callable[[FigureBase], None]) -> bytes:
    """One part alone, as an SVG document. [inch]"""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        put(figure)
        return to_svg(figure)


def to_svg(figure: Figure) -> bytes:
    """A figure as an SVG document."""
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def name_lines(place: Axes, *, loc: Literal["best", "lower right"] = "best") -> None:
    """Drop the lines without a point from a panel, and give it a legend of the others."""
    for line in place.get_lines():
        if not has_points(line):
            line.remove()
    if place.get_legend_handles_labels()[0]:
        place.legend(frameon=False, loc=loc)


def has_points(line: Line2D) -> bool:
    """Whether a line has a point that can be drawn."""
    x, y = (np.asarray(values, dtype=np.float64) for values in line.get_data())
    return bool((np.isfinite(x) & np.isfinite(y)).any())


def draw_case(case: Mapping[str, Any]) -> bytes:
    """Channels and risk of one `Case.drawn`: a missed, late, early or false alarm, in time."""
    minutes = np.asarray(case["times_s"], dtype=np.float64) / 60.0
    readings = np.asarray(case["readings"], dtype=np.float64)
    known = [k for k in range(len(CHANNELS)) if not np.isnan(readings[:, k]).all()]
    with matplotlib.rc_context(STYLE):
        height = 0.75 * (len(known) + 1) + 0.9
        figure = Figure(figsize=(WIDTH, height))
        # laid out by hand: matplotlib's own solver takes ten times as long as the drawing
        figure.subplots_adjust(
            left=0.16, right=0.99, top=1.0 - 0.35 / height, bottom=0.5 / height, hspace=0.25
        )
        axes = np.atleast_1d(figure.subplots(len(known) + 1, 1, sharex=True))
        for place, k in zip(axes, known, strict=False):
            seen = ~np.isnan(readings[:, k])
            place.plot(minutes[seen], readings[seen, k], color=INK, linewidth=0.9)
            name = CHANNELS[k].name.replace("pm25", "PM2.5").replace("co", "CO")
            _label(place, f"{name}\n{CHANNELS[k].unit}")
        risk = np.asarray(case["risk"], dtype=np.float64)
        axes[-1].plot(minutes[: len(risk)], risk, color=RISK, linewidth=1.1)
        axes[-1].set_ylim(-3.0, 103.0)
        _label(axes[-1], "risk\n%")
        axes[-1].set_xlabel("time [min]")
        for key, name, color, line in MARKS:
            if case.get(key) is not None:
                for place in axes:
                    place.axvline(case[key] / 60.0, color=color, linestyle=line, linewidth=1.2)
                axes[0].plot([], [], color=color, linestyle=line, label=name)
        if axes[0].get_legend_handles_labels()[0]:
            figure.legend(loc="upper right", ncols=3, frameon=False)
        return to_svg(figure)


def _label(place: Axes, text: str) -> None:
    place.set_ylabel(text, rotation=0, ha="right", va="center")
    place.yaxis.set_label_coords(-0.07, 0.5)  # one column, however wide the tick labels are
    place.locator_params(axis="y", nbins=3)


def draw_reliability(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """Reliability diagram: what was predicted against what happened, a table a set."""
    return svg_of(RELIABILITY_INCHES, lambda figure: put_reliability(figure, tables))


def put_reliability(figure: FigureBase, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Draw `draw_reliability` into a figure."""
    places = figure.subplots(1, max(1, len(tables)), sharey=True, squeeze=False)[0]
    for place, (name, rows) in zip(places, tables.items(), strict=False):
        place.plot([0, 100], [0, 100], color=FAINT, linewidth=0.8, label="ideal")
        x = [100.0 * row["predicted"] for row in rows]
        y = [100.0 * row["observed"] for row in rows]
        total = sum(row["n"] for row in rows)
        place.plot(x, y, color=RISK, linewidth=1.2, label="model")
        place.scatter(x, y, s=[12 + 300 * row["n"] / total for row in rows], color=RISK,
                      alpha=0.6)  # fmt: skip
        place.set_title(name.replace("_", " "), fontsize=10)
        place.set_xlabel("risk predicted [%]")
        place.set_aspect("equal")
    places[0].set_ylabel("fires observed [%]")


def draw_delays(rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Median and 90 % of the time to alarm of each kind of fire; None where no row has one."""
    if not delay_names(rows):
        return None
    return svg_of(delay_inches(rows), lambda figure: put_delays(figure, rows))


def delay_inches(rows: Sequence[Mapping[str, Any]]) -> float:
    """How high a picture of times to alarm is. [inch]"""
    return 0.26 * len(rows) + 1.2


def delay_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """After what times to alarm are known: what first shows the fire comes first."""
    found = {
        key.removeprefix("after_").removesuffix("_median_s")
        for row in rows
        for key, value in row.items()
        if key.startswith("after_") and key.endswith("_median_s") and value is not None
    }
    return sorted(found, key=lambda name: (name != "shown", name))


def put_delays(figure: FigureBase, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw `draw_delays` into a figure; rows must have a time."""
    names = delay_names(rows)
    labels = [str(row.get("fire", row.get("name", k))) for k, row in enumerate(rows)]
    places = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    y = np.arange(len(rows))
    for place, name in zip(places, names, strict=True):
        for k, row in enumerate(rows):
            median, late = (row.get(f"after_{name}_{part}") for part in ("median_s", "p90_s"))
            if median is not None and late is not None:
                place.plot([median, late], [k, k], color=FAINT, linewidth=2.5)
            if median is not None:
                place.plot([median], [k], "o", color=RISK, markersize=4)
        place.axvline(0.0, color=FAINT, linewidth=0.8)
        place.set_title(f"after {name.replace('_', ' ')}", fontsize=9)
        place.set_xscale("symlog", linthresh=100.0)
        plain_numbers(place)
        place.set_xlabel("s")
    places[0].set_yticks(y, [label.replace("_", " ") for label in labels])
    places[0].invert_yaxis()


def draw_curves(found: Mapping[str, Any]) -> bytes:
    """Fires in time against false alarms a year, of every contestant and reference alarm."""
    return svg_of(CURVES_INCHES, lambda figure: put_curves(figure, found))


def put_curves(figure: FigureBase, found: Mapping[str, Any]) -> None:
    """Draw `draw_curves` into a figure."""
    place = figure.subplots()
    lines = (("-", 2.0), ("--", 1.2), (":", 1.2), ("-.", 1.2))
    own = {row["name"]: row for row in found["rows"]}
    for k, (name, points) in enumerate(found["curves"].items()):
        style, width = lines[min(k, len(lines) - 1)]
        x = [max(p["false_alarms_per_year"], LEAST_PER_YEAR) for p in points]
        y = [100.0 * p["in_time_share"] for p in points]
        color = RISK if k == 0 else None
        (line,) = place.plot(x, y, style, linewidth=width, color=color, label=name)
        at = own[name]
        place.plot(
            [max(at["own_false_alarms_per_year"], LEAST_PER_YEAR)],
            [100.0 * at["own_in_time"] / max(at["fires"], 1)],
            "o", color=line.get_color(), markersize=5 if k else 8,
        )  # fmt: skip
    marks = {"photo": "s", "ionisation": "^", "heat": "D", "co": "v"}
    for name, mark in marks.items():
        points = [p for p in found.get("reference_alarms", []) if p["name"] == name]
        x = [max(p["false_alarms_per_year"], LEAST_PER_YEAR) for p in points]
        y = [100.0 * (p["in_time_share"] or 0.0) for p in points]
        place.plot(x, y, mark + "-", color=INK, markersize=5, linewidth=0.8,
                   label=f"{name} alarm, +-30 % sensitivity")  # fmt: skip
    place.set_xscale("log")
    plain_numbers(place)
    place.set_xlabel("false alarms a year, in a dwelling with every nuisance")
    place.set_ylabel("fires in time [%]")
    place.set_ylim(0.0, 101.0)
    name_lines(place, loc="lower right")


def draw_ramp(worst: Mapping[str, Any]) -> bytes:
    """The ramp that lowered the risk most: the channel with and without it."""
    minutes = np.asarray(worst["times_s"], dtype=np.float64) / 60.0
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
        place = figure.subplots()
        for key, color in (("after", BAD), ("before", INK)):
            values = np.array(worst[key], dtype=np.float64)  # None becomes NaN
            label = f"{'with the ramp' if key == 'after' else 'without'}: risk " + (
                f"{worst['risk_' + key]:.1f} %"
            )
            place.plot(minutes, values, color=color, linewidth=1.2, label=label)
        place.set_xlabel("time before the decision [min]")
        place.set_ylabel(f"{worst['channel']} [{worst['unit']}]")
        name_lines(place)
        return to_svg(figure)


def draw_gate(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """How each line of the gate stands to its limit: value and bounds over the limit."""
    return svg_of(gate_inches(lines), lambda figure: put_gate(figure, lines))


def gate_shown(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines of a gate that have a value and a limit other than 0."""
    return [line for line in lines if line.get("value") is not None and line.get("limit")]


def gate_inches(lines: Sequence[Mapping[str, Any]]) -> float:
    """How high a picture of a gate is. [inch]"""
    return 0.3 * max(1, len(gate_shown(lines))) + 0.9


def put_gate(figure: FigureBase, lines: Sequence[Mapping[str, Any]]) -> None:
    """Draw `draw_gate` into a figure."""
    shown = gate_shown(lines)
    place = figure.subplots()
    colors = {"pass": GOOD, "fail": BAD}
    for k, line in enumerate(shown):
        low, value, high = (
            None if line.get(key) is None else line[key] / line["limit"]
            for key in ("lower", "value", "upper")
        )
        color = colors.get(str(line.get("status")), FAINT)
        if low is not None and high is not None:
            place.plot([max(low, 1e-3), max(high, 1e-3)], [k, k], color=color, linewidth=2.5)
        place.plot([max(value or 0.0, 1e-3)], [k], "o", color=color, markersize=5)
    place.axvline(1.0, color=INK, linewidth=0.8)
    place.set_xscale("log")
    plain_numbers(place)
    place.set_xlabel("value / limit")
    names = [str(line["name"]).replace("_", " ") for line in shown]
    place.set_yticks(np.arange(len(shown)), names)
    place.invert_yaxis()
