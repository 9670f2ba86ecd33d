"""The picture of compared devices: fires in time, false alarms, and every kind of fire."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from saafe.errors import InputError
from saafe.exam.device_comparison import PLACES_OF_A_YEAR
from saafe.files import write_atomically

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
REFERENCE_STYLES = ("--", ":", "-.", (0, (1, 4)))


def check_plot_path(path: Path) -> None:
    """Refuse a name whose suffix is no picture's, or that lies in no folder."""
    if path.suffix not in PLOT_SUFFIXES:
        raise InputError(f"--plot {path}: a picture's name ends in {', '.join(PLOT_SUFFIXES)}")
    if not path.parent.is_dir():
        raise InputError(f"--plot {path}: there is no folder {path.parent}")


@matplotlib.rc_context({"text.parse_math": False})  # a device's name may hold a $
def draw_comparison(compared: dict[str, Any], path: Path) -> None:
    """Draw what `compare_devices` returns; the suffix of the path says in which format.

    Bars are of devices, with 95 % bounds; lines are the reference alarms in the same air. Below,
    the share of fires in time of every kind.
    """
    rows, alarms = compared["devices"], compared["reference_alarms"]
    kinds = list(rows[0]["by_kind"])
    height = 0.9 + 0.35 * len(rows), 1.6 + 0.35 * len(rows)
    figure = Figure(figsize=(11.0, 1.0 + sum(height)), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=height)
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    places = above.subplots(1, 4, sharey=True)
    found = [
        (100 * (r["in_time_share"] or 0.0), 100 * r["in_time_lower"], 100 * r["in_time_upper"])
        for r in rows
    ]
    draw_bars(places[0], found, [100 * (a["in_time"]["value"] or 0.0) for a in alarms])
    places[0].set_xlim(0.0, 100.0)
    places[0].set_xlabel("fires in time [%]")
    draw_figures(places[1], rows, alarms, ("alarms_per_100_cookings",))
    places[1].set_xlabel("alarms per 100 cookings")
    for place, room in zip(places[2:], PLACES_OF_A_YEAR, strict=True):
        draw_figures(place, rows, alarms, ("alarms_per_year", room))
        place.set_xlabel(f"false alarms a year, {room}")
    names = [row["device"] for row in rows]
    places[0].set_yticks(range(len(rows)), names)
    places[0].invert_yaxis()
    for alarm, style in zip(alarms, REFERENCE_STYLES, strict=False):
        places[0].plot([], [], color="0.2", linestyle=style, label=f"{alarm['alarm']} alarm")
    if alarms:
        above.legend(loc="outside upper right", ncols=4, frameon=False, fontsize=8)
    draw_kinds(below.subplots(), rows, kinds)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], dpi=150)
    write_atomically(path, drawn.getvalue())


def draw_figures(
    place: Axes, rows: Sequence[dict], alarms: Sequence[dict], keys: Sequence[str]
) -> None:
    """Bars of one figure of the rows, by its keys, and lines of the alarms' own."""

    def of(row: dict, key: str) -> float:
        figure: Any = row
        for name in keys:
            figure = figure[name]
        return figure[key] or 0.0

    each = [(of(r, "value"), of(r, "lower"), of(r, "upper")) for r in rows]
    draw_bars(place, each, [of(alarm, "value") for alarm in alarms])
    place.set_xlim(left=0.0)


def draw_bars(
    place: Axes, each: Sequence[tuple[float, float, float]], lines: Sequence[float]
) -> None:
    """A bar a device with its bounds, and a line a reference alarm."""
    values = [value for value, _, _ in each]
    below = [max(value - low, 0.0) for value, low, _ in each]
    above = [max(high - value, 0.0) for value, _, high in each]
    place.barh(range(len(each)), values, xerr=[below, above], color="0.75", ecolor="0.3", capsize=2)
    for value, style in zip(lines, REFERENCE_STYLES, strict=False):
        place.axvline(value, color="0.2", linestyle=style, linewidth=1.0)


def draw_kinds(place: Axes, rows: Sequence[dict], kinds: Sequence[str]) -> None:
    """The share of fires in time by kind, a row a device."""
    shares = np.array([
        [row["by_kind"][kind]["in_time_share"] for kind in kinds] for row in rows
    ], dtype=float)  # fmt: skip
    place.imshow(shares, vmin=0.0, vmax=1.0, cmap="Greens", aspect="auto")
    for (i, j), share in np.ndenumerate(shares):
        if np.isfinite(share):
            color = "white" if share > 0.6 else "black"
            place.text(j, i, f"{100 * share:.0f}", ha="center", va="center", color=color, size=7)
    place.set_yticks(range(len(rows)), [row["device"] for row in rows])
    place.set_xticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds],
                     rotation=40, ha="right", fontsize=8)  # fmt: skip
    place.set_title("fires in time by kind [%]", loc="left", fontsize=9)
