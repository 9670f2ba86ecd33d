"""Figures of an evaluation for people: rows of what, the figure, and its bounds or a note."""

from collections.abc import Mapping, Sequence
from typing import Any

from saafe.formats import interval, number, percent, percent_interval
from saafe.readers import NONE_BEFORE
from saafe.recordings import SET_FILE

# What the smoke of superposed fires did before its meter showed it
SUPERPOSED_CASES = {
    "superposed_fires": "as a step (worst case)",
    "superposed_fires_growing": "growing (best case)",
}
SIMULATED_ALARMS = ("photo", "ionisation", "heat", "co")  # in the air that was recorded
LIMIT_AT_END = "end"  # where a fire's limit is from, if nothing else tells one
NONE_FOUND = "the source holds none"


def simulated_table(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of what `shifts.judge_simulated` gives, as plain values."""
    rows = []
    for rooms, part in figures.items():
        windows, streams, quiet = part["windows"], part["streams"], part["quiet"]
        found = ", ".join(f"{streams[key]} {key}" for key in ("late", "early", "missed"))
        rows += [
            (f"{rooms}: window accuracy", percent(windows.get("accuracy"), 4)),
            (f"{rooms}: fire windows over the threshold", percent(windows["detection_rate"], 4)),
            (f"{rooms}: other windows over it", percent(windows["false_alarm_rate"], 4)),
            (f"{rooms}: ROC AUC", number(windows["roc_auc"])),
            (f"{rooms}: calibration error", percent(windows["calibration_error"])),
            (f"{rooms}: fires in time", f"{streams['in_time']} of {streams['fires']}"),
            (f"{rooms}: other fires", found),
            (f"{rooms}: median time to alarm",
             f"{number(streams['after_shown_median_s'])} s after the first reading that shows it"),
            (f"{rooms}: alarms by cooking and showers",
             f"{streams['alarms']} of {streams['events']} events"),
            (f"{rooms}: alarms in quiet life", f"{quiet['alarms']} in {quiet['streams']} streams"),
        ]  # fmt: skip
    return rows


def score_table(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows for people: what, the figure, and its 95 % bounds or a note."""
    rows: list[tuple[str, str, str]] = []
    sets = [row for part in result.get("sets", []) for row in _set_rows(part)]
    if sets and "scored" not in result["sources"].values():
        return sets  # what is absent would bury them
    names = {
        "house_fires": "house fires",
        "oil_pans": "oil pans",
        "lab_fires": "laboratory fires",
        "burner_fires": "gas-burner fires",
        "pool_fires": "pool fires",
    }
    for part, name in names.items():
        rows += _fire_rows(name, result[part])
    rows += superposed_table(result)
    quiet = {"homes": "homes", "homes_at_10_s": "homes at 10 s", "offices": "offices"}
    for part, name in quiet.items():
        rows += _home_rows(name, result[part])
    rows.append(_margin_row(result["margin"]))
    return rows + sets


def superposed_table(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of both scorings of superposed fires, of `score_real`'s result or an exam's."""
    return [
        row
        for key, case in SUPERPOSED_CASES.items()
        if result.get(key)
        for row in _fire_rows(f"superposed fires, smoke {case}", result[key])
    ]


def sets_table(parts: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """The same rows of annotated sets, and what is to be known of each."""
    rows = []
    for part in parts:
        rows += _set_rows(part)
        rows += [(f"set {part['name']}: note", "", part["note"])] if part["note"] else []
    return rows


def set_fires_table(
    results: Mapping[str, Mapping[str, Any]],
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Each fire of annotated sets: what came of it by contestant, and when alarms sounded.

    Args:
        results: what `score_real` gives, by the name of the contestant; of the same folder.

    Returns:
        The columns, and a row a fire; no rows without fires in sets. Times in seconds.
    """
    columns = ["fire", *results, "limit", "real alarm", *SIMULATED_ALARMS]
    rows = []
    for parts in zip(*(result.get("sets", []) for result in results.values()), strict=True):
        if isinstance(parts[0]["fires"], str):
            continue
        for fires in zip(*(part["fires"]["rows"] for part in parts), strict=True):
            came = [_what_came(fire) for fire in fires]
            one, alarms = fires[0], fires[0]["reference_alarms_s"]
            limit = f"{one['limit_s']:,.0f}"
            if one["limit_from"] != SET_FILE:
                limit += f" ({one['limit_from']})"
            times = [one["recorded_s"], *(alarms[k] for k in SIMULATED_ALARMS)]
            seconds = [None if time is None else f"{time:,.0f}" for time in times]
            rows.append((f"{parts[0]['name']}: {one['name']}", *came, limit, *seconds))
    return columns, rows


def _what_came(fire: Mapping[str, Any]) -> str:
    """The outcome of a fire, when the alarm came, and the fixed rule where one raised it."""
    if fire["alarm_s"] is None:
        return fire["outcome"]
    rule = "" if fire["cause"] == "model" else f" ({fire['cause']})"
    return f"{fire['outcome']}, {fire['alarm_s']:,.0f}{rule}"


def _margin_row(margin: Mapping[str, Any] | str) -> tuple[str, str, str]:
    if isinstance(margin, str):
        return "margin", "-", margin
    note = (
        f"{margin['clear_of_homes']} of {margin['n']} superposed fires above the loudest home hour"
    )
    return "margin", number(margin["value"], 3), note


def _set_rows(part: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """An annotated set, by its name: what it holds, its fires and homes, what was not scored."""
    name, unread = f"set {part['name']}", part["not_scored"]
    groups = f"{part['groups']} group" + ("s" if part["groups"] != 1 else "")
    rows = [(f"{name}: recordings", str(part["recordings"]), groups)]
    if not isinstance(part["fires"], str):
        rows += _fire_rows(f"{name}: fires", part["fires"])
        fires = part["fires"]["rows"]
        if at_end := sum(fire.get("limit_from") == LIMIT_AT_END for fire in fires):
            figure = f"{at_end} of {len(fires)}"
            rows.append((f"{name}: fires without a limit", figure, "in time if found by their end"))
        if at_once := part["fires"].get("none_before"):
            figure = f"{at_once} of {len(fires)}"
            rows.append((f"{name}: fires with no reading before ignition", figure, NONE_BEFORE))
    if not isinstance(part["homes"], str):
        rows += _home_rows(name, part["homes"])
    which = "; ".join(f"{item['file']}: {item['reason']}" for item in unread)
    if unread:
        rows.append((f"{name}: not scored", f"{len(unread)} of {part['recordings']}", which))
    return rows


def _fire_rows(name: str, part: Mapping[str, Any] | str) -> list[tuple[str, str, str]]:
    if isinstance(part, str):
        return [(name, "-", part)]
    if not part["n"]:
        return [(name, "-", NONE_FOUND)]
    share = percent_interval(part["in_time_share"]["lower"], part["in_time_share"]["upper"])
    rows = [(f"{name} in time", f"{part['in_time']} of {part['n']}", share)]
    for key in ("late", "early", "missed"):
        which = ", ".join(row["name"] for row in part["rows"] if row["outcome"] == key)
        rows.append((f"{name} {key}", str(part[key]), which if "superposed" not in name else ""))
    if "in_time_with_hold" in part:
        figure = f"{part['in_time_with_hold']} of {part['n']}"
        rows.append((f"{name} in time, a held reading allowed", figure, ""))
    return rows


def _home_rows(name: str, part: Mapping[str, Any] | str) -> list[tuple[str, str, str]]:
    if isinstance(part, str):
        return [(name, "-", part)]
    if not part["days"]:
        return [(name, "-", NONE_FOUND)]
    rate, nuisance = part["false_alarms_per_day"], part["nuisance_per_100_sessions"]
    days, sessions = part["days"], part["sessions"]
    figure = f"{part['alarms']} in {days:.1f} days"
    rows = [(f"{name}: false alarms", figure, _interval(rate, " a day"))]
    if sessions:
        figure = f"{part['nuisance_alarms']} in {sessions} stove sessions"
        rows.append((f"{name}: nuisance alarms", figure, _interval(nuisance, " per 100")))
    if part.get("co_alarms"):
        rows.append((f"{name}: alarms at a CO dose", str(part["co_alarms"]), "right, not false"))
    return [
        *rows,
        (f"{name}: in alarm", f"{number(part['hours_in_alarm_per_day'], 3)} h a day", ""),
    ]


def _interval(bounds: Mapping[str, float | None], unit: str) -> str:
    return interval(bounds["lower"], bounds["upper"], unit=unit, digits=3)
