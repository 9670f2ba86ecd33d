"""A recording: its channels, what its labels say, the risk, alarms, and reference alarms."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from saafe.detector import Detection, Model, detect
from saafe.errors import InputError
from saafe.exam import plots
from saafe.files import read_file
from saafe.pictures.curves import MARK, curve_of, draw_curve
from saafe.pictures.parts import asked_part, refuse_silence, rows_within
from saafe.pictures.saving import Picture
from saafe.recordings import (
    SOUNDED,
    Interval,
    Recording,
    counted,
    read_sets,
    without_sentinels,
)
from saafe.sensors import CHANNELS, FIRE, NUISANCE
from saafe.windows import DAY_S

MODEL_ALARM, RULE_ALARM = "alarm of the model", "alarm of a fixed rule"
ALARM_LINES = {MODEL_ALARM: "-", RULE_ALARM: (0, (4, 1.5))}
NAMED_SENSORS = 8  # more would hide the picture behind their names
DRAWN_EVENTS = 300
SENSOR_COLORS = ("#1f2933", "#2f6fb3", "#1b6e4b", "#a15c00", "#7b2d8b", "#52606d", "#0f8a8a")
SHADES = {NUISANCE: ("#f4c56a", "labelled nuisance"), FIRE: ("#e58a84", "labelled fire")}
REFERENCE_COLORS = ("#2f6fb3", "#0f8a8a", "#a15c00", "#52606d")
TIME_UNITS = ((6 * 3600.0, 60.0, "min"), (3 * DAY_S, 3600.0, "h"))  # up to, seconds, name


@dataclass(frozen=True)
class Known:
    """What the files beside a recording say of it; times in seconds from its first row."""

    times: Mapping[str, float] = field(default_factory=dict)  # by what happens then
    cooking_s: tuple[Interval, ...] = ()  # uses of the stove


def picture_of_recording(
    path: Path | str,
    recording: Recording,
    model: Model,
    *,
    device: str | None = None,
    between_h: Interval | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Picture:
    """Draw a recording and what a model makes of it.

    Args:
        path: of the recording: `scenarios.json`, `references.json` and `set.json` beside it say
            when the fire began, when reference alarms sounded and when somebody cooked.
        recording: its readings.
        model: a run, an exported model, or anything that `detect` takes.
        device: whose thresholds the model has, for the title.
        between_h: the part to draw; all by default. Its curves are cut first and thinned then. The
            risk and alarms are of the whole recording's history. [h]
        on_progress: takes the share of the detector's work that is done.

    Raises:
        InputError: there is nothing to draw, or no reading in the part that is asked for.
    """
    path = Path(path)
    recording = without_sentinels(recording, model.settings.sentinels)
    shown = np.isfinite(recording.readings).any(axis=(0, 1))
    if not shown.any():
        raise InputError(f"{path}: has no reading that could be drawn; `saafe data check` says why")
    drawn = start_s, end_s = asked_part(recording, path, between_h)
    longest_s = model.settings.longest_interval_s
    refuse_silence(recording, path, drawn, longest_s)
    found = detect(model, recording, on_progress=on_progress)
    known = known_within(known_times(path), drawn)
    begun = alarm_times(found)
    begun_here = {
        name: here for name, times in begun.items()
        if (here := [time_s for time_s in times if start_s <= time_s <= end_s])
    }  # fmt: skip
    channels = np.flatnonzero(shown)
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(plots.WIDTH, 1.1 * (len(channels) + 1) + 1.4),
                        layout="constrained")  # fmt: skip
        places = np.atleast_1d(figure.subplots(len(channels) + 1, 1, sharex=True))
        scale, unit = time_unit(end_s - start_s)
        for place, k in zip(places, channels, strict=False):
            draw_channel(place, recording, int(k), scale, longest_s, drawn)
        draw_risk(places[-1], recording, found, scale, longest_s, drawn)
        for place in places:
            shade_labels(place, recording, scale)
            for start, end in known.cooking_s:
                place.axvspan(start / scale, end / scale, color="#f4e3b5", alpha=0.6, linewidth=0)
            mark_times(place, begun_here, known, scale)
        places[-1].set_xlabel(f"time [{unit}]")
        places[-1].set_xlim(start_s / scale, end_s / scale)
        part = rows_within(recording, drawn)
        name_marks(figure, list(places[:-1]), part, known, list(begun_here))
        here, alarms = (sum(map(len, each.values())) for each in (begun_here, begun))
        title = f"{recording.name}: {counted(here, 'alarm')}"
        title += "" if between_h is None else f" in this part, {alarms:,} in all"
        title += f", thresholds for {device}" if device else ""
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    panels = (*(CHANNELS[k].name for k in channels), "risk")
    return Picture("recording", title, panels, figure)


def time_unit(span_s: float) -> tuple[float, str]:
    """Seconds in the unit that suits a span, and its name."""
    for longest_s, scale, name in TIME_UNITS:
        if span_s <= longest_s:
            return scale, name
    return DAY_S, "d"


def draw_channel(
    place: Axes, recording: Recording, k: int, scale: float, longest_s: float, part: Interval
) -> None:
    """The readings of one channel in a part, a line a sensor; none across a silence."""
    for index, name in enumerate(recording.sensors):
        values = recording.readings[:, index, k]
        seen = np.isfinite(values)
        curve = curve_of(recording.times_s[seen], values[seen], longest_s, part)
        if len(curve.x):
            draw_curve(place, curve, scale, color=sensor_color(index), width=0.9, name=name)
    title = CHANNELS[k].name.replace("pm25", "PM2.5").replace("co", "CO")
    side_label(place, f"{title}\n{CHANNELS[k].unit}")


def draw_risk(
    place: Axes, recording: Recording, found: Detection, scale: float, longest_s: float,
    part: Interval,
) -> None:  # fmt: skip
    """The risk of each sensor in a part, and when the alarm stood."""
    for index, name in enumerate(recording.sensors):
        mine = found.sensors == index
        curve = curve_of(found.times_s[mine], found.risk[mine], longest_s, part)
        if len(curve.x):
            draw_curve(place, curve, scale, color=sensor_color(index), width=1.1, name=name)
    for start, end in alarm_spans(found, float(recording.times_s[-1])):
        place.axvspan(start / scale, end / scale, color=plots.RISK, alpha=0.18, linewidth=0)
    place.set_ylim(-3.0, 103.0)
    side_label(place, "risk\n%")


def alarm_spans(found: Detection, last_s: float) -> list[Interval]:
    """When an alarm stood, to the recording's end where it does not clear. [s]"""
    spans, since = [], None
    for event in found.events:
        if event["event"] == "alarm" and since is None:
            since = event["time_s"]
        elif event["event"] == "clear" and since is not None:
            spans.append((since, event["time_s"]))
            since = None
    return spans if since is None else [*spans, (since, max(last_s, since))]


def shade_labels(place: Axes, recording: Recording, scale: float) -> None:
    """Shade when a label says nuisance or fire, for any sensor."""
    for label, (color, _) in SHADES.items():
        for start, end in label_spans(recording, label):
            place.axvspan(start / scale, end / scale, color=color, alpha=0.35, linewidth=0)


def label_spans(recording: Recording, label: int) -> list[Interval]:
    """When any sensor has a label: from its first row to the first row without it. [s]"""
    if recording.labels is None:
        return []
    has = (recording.labels == label).any(axis=1).astype(np.int8)
    edges = np.flatnonzero(np.diff(has, prepend=0, append=0))
    times = np.append(recording.times_s, recording.times_s[-1])
    return [(float(times[a]), float(times[b])) for a, b in edges.reshape(-1, 2)]


def mark_times(
    place: Axes, begun: Mapping[str, Sequence[float]], known: Known, scale: float
) -> None:
    """Lines where alarms began, and at what is known beside the recording."""
    for name, times in begun.items():
        for time_s in times[:DRAWN_EVENTS]:
            place.axvline(time_s / scale, color=plots.RISK, linestyle=ALARM_LINES[name],
                          linewidth=1.3, label=MARK + name)  # fmt: skip
    for name, color, style in reference_styles(known):
        place.axvline(known.times[name] / scale, color=color, linestyle=style, linewidth=1.1,
                      label=MARK + name)  # fmt: skip


def alarm_times(found: Detection) -> dict[str, list[float]]:
    """When alarms began, of the model and of the fixed rules; only those that did. [s]"""
    times: dict[str, list[float]] = {}
    for event in found.events:
        if event["event"] == "alarm":
            name = MODEL_ALARM if event["cause"] == "model" else RULE_ALARM
            times.setdefault(name, []).append(event["time_s"])
    return times


def reference_styles(known: Known) -> Iterator[tuple[str, str, str]]:
    """Name, color and line of what is known: the fire's own times in red, alarms in colors."""
    alarms = 0
    for name in known.times:
        if name.endswith(" alarm"):
            yield name, REFERENCE_COLORS[alarms % len(REFERENCE_COLORS)], "-."
            alarms += 1
        else:
            yield name, plots.BAD, ":" if name == "ignition" else "--"


def name_marks(
    figure: Figure,
    places: Sequence[Axes],
    recording: Recording,
    known: Known,
    alarms: Sequence[str],
) -> None:
    """One legend above all: sensors, shades, alarms and lines, each where it is drawn."""
    first, sensors = places[0], recording.sensors
    lines = [line for place in places for line in place.get_lines()]
    drawn = {name: one for one in lines if not (name := str(one.get_label())).startswith("_")}
    names = [name for name in sensors if name in drawn and 1 < len(sensors) <= NAMED_SENSORS]
    handles: list[Any] = [drawn[name] for name in names]
    for label, (color, word) in SHADES.items():
        if label_spans(recording, label):
            handles.append(first.fill_between([], [], color=color, alpha=0.35))
            names.append(word + sources_of(recording, label))
    if known.cooking_s:
        handles.append(first.fill_between([], [], color="#f4e3b5", alpha=0.6))
        names.append("stove in use")
    for name in alarms:
        handles += first.plot([], [], color=plots.RISK, linestyle=ALARM_LINES[name], linewidth=1.3)
        names.append(name)
    for name, color, style in reference_styles(known):
        handles += first.plot([], [], color=color, linestyle=style, linewidth=1.1)
        names.append(name)
    if handles:
        figure.legend(handles, names, loc="outside upper right", ncols=4, frameon=False, fontsize=8)


def known_within(known: Known, part: Interval) -> Known:
    """What is known of a part: the rest is not in the picture."""
    start_s, end_s = part
    return Known(
        {name: t for name, t in known.times.items() if start_s <= t <= end_s},
        tuple((a, b) for a, b in known.cooking_s if a <= end_s and b >= start_s),
    )


def sources_of(recording: Recording, label: int) -> str:
    """The sources of the rows with a label, such as ": curtain"."""
    if recording.sources is None or recording.labels is None:
        return ""
    # of two labels at a time, one a sensor, the source is of the higher
    rows = np.flatnonzero(recording.labels.max(axis=1) == label)
    found = dict.fromkeys(recording.sources[k] for k in rows if recording.sources[k])
    return f": {', '.join(list(found)[:3])}" if found else ""


def known_times(path: Path) -> Known:
    """What `scenarios.json`, `references.json` or `set.json` beside a recording say of it."""
    folder = path.parent
    for row in rows_of(folder / "scenarios.json"):
        if row.get("file") == path.name:
            return simulated_times(row)
    published = table_of(folder / "references.json").get("recordings")
    if isinstance(published, Mapping) and isinstance(published.get(path.name), Mapping):
        row = published[path.name]
        times = row.get("references")
        return Known(
            {name_of(name): t for name, t in numbers_of(times).items()},
            tuple((float(a), float(b)) for a, b in row.get("stove") or ()),
        )
    if (folder / "set.json").is_file():
        for one in (one for found in read_sets(folder) for one in found.recordings):
            if one.path.name == path.name:
                times = {"ignition": one.ignition_s, "limit": one.limit_s} | {
                    f"{name} alarm": one.sounded_s[key]
                    for name, key in SOUNDED.items()
                    if key in one.sounded_s
                }
                return Known({k: v for k, v in times.items() if np.isfinite(v)}, one.cooking_s)
    return Known()


def simulated_times(row: Mapping[str, Any]) -> Known:
    """What `saafe simulate` wrote of a recording."""
    times = {"ignition": row.get("ignition_s")} | {
        f"{name} alarm": time for name, time in numbers_of(row.get("reference_alarms_s")).items()
    }
    return Known(numbers_of(times))


def name_of(reference: str) -> str:
    """A published reference as people read it: "first_alarm_s" becomes "first alarm"."""
    return reference.removesuffix("_s").replace("_", " ")


def numbers_of(values: object) -> dict[str, float]:
    """The finite numbers of a table; nothing of anything else."""
    if not isinstance(values, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and np.isfinite(value)
    }


def read_json(path: Path) -> object:
    """What a JSON file holds; None where there is none that can be read."""
    try:
        return json.loads(read_file(path))
    except (OSError, ValueError, InputError):
        return None


def rows_of(path: Path) -> list[Mapping[str, Any]]:
    """The objects of a list in a JSON file; none where it holds something else."""
    found = read_json(path)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def table_of(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file; an empty one where it holds something else."""
    found = read_json(path)
    return found if isinstance(found, Mapping) else {}


def side_label(place: Axes, text: str) -> None:
    """A label beside the axis, all of them in one column."""
    place.set_ylabel(text, rotation=0, ha="right", va="center")
    place.locator_params(axis="y", nbins=4)


def sensor_color(index: int) -> str:
    """The color of a sensor's lines."""
    return SENSOR_COLORS[index % len(SENSOR_COLORS)]
