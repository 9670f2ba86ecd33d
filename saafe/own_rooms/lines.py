"""What held-out days say, as people read it."""

from collections.abc import Mapping
from typing import Any

from saafe.formats import DASH, interval, number, percent, percent_interval

NAMES = {"tuned": "tuned on your rooms", "general": "general model"}
ALARMS = {"photo": "photoelectric", "ionisation": "ionisation", "heat": "heat"}
ROOM_FIGURES = ("on held-out days", "value", "95 % bounds", "general model", "95 % bounds")


def figure_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """False alarms and fires found, tuned and general: rows under `ROOM_FIGURES`."""
    homes, fires = result["homes"], result["fires"]
    if not homes:
        return []
    tuned, general = homes["tuned"], homes["general"]
    days = number(tuned["days"])
    rows = [
        (
            f"false alarms in {days} days",
            number(tuned["alarms"]),
            "",
            number(general["alarms"]),
            "",
        ),
        ("false alarms a year", *_rates(tuned, general, "false_alarms_per_year")),
    ]
    if tuned["sessions"]:
        name = f"false alarms per 100 cookings, of {tuned['sessions']}"
        rows.append((name, *_rates(tuned, general, "nuisance_per_100_sessions")))
    if fires:
        cells = [_share(fires["in_time"][name]) for name in ("tuned", "general")]
        rows.append((f"simulated fires in time, of {fires['n']}", *cells[0], *cells[1]))
        early = [number(fires["early"][name]) for name in ("tuned", "general")]
        rows.append(("alarms before a fire shows", early[0], "", early[1], ""))
    return rows


def _rates(tuned: Mapping[str, Any], general: Mapping[str, Any], key: str) -> tuple[str, ...]:
    cells = []
    for one in (tuned, general):
        rate = one[key]
        cells += [number(rate["value"], 3), interval(rate["lower"], rate["upper"], digits=3)]
    return tuple(cells)


def _share(found: Mapping[str, Any]) -> tuple[str, str]:
    return percent(found["value"]), percent_interval(found["lower"], found["upper"])


KIND_COLUMNS = ("fire", "n", "tuned", "general", *ALARMS.values())


def kind_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Fires in time by kind, reference alarms in the same air beside: rows of `KIND_COLUMNS`."""
    fires = result["fires"]
    if not fires:
        return []
    names = ("n", "tuned", "general", *ALARMS)
    rows = [
        (kind["fire"].replace("_", " "), *(number(kind[name]) for name in names))
        for kind in fires["kinds"]
    ]
    totals = {"n": fires["n"]} | {who: one["fires"] for who, one in fires["in_time"].items()}
    return [*rows, ("all", *(number(totals[name]) for name in names))]


def sentences(result: Mapping[str, Any]) -> list[str]:
    """What the figures say, and what they cannot, a sentence a line."""
    held, taught = result["held_out"], result["recordings"]
    groups, count = len(taught["groups"]), taught["recordings"]
    lines = [f"left out: {one['file']}: {one['reason']}" for one in taught["left_out"]]
    lines.append(
        f"Taught by {number(taught['days'], 3)} days: {count} recording"
        f"{'s' if count != 1 else ''}, {groups} group{'s' if groups != 1 else ''}."
    )
    if groups > 1 and not taught["groups_said"]:
        lines.append(
            "A file outside of sets counts as a home of its own: where several are of one home, a "
            "set.json should say so, or figures look better than they are."
        )
    if not result["homes"]:
        lines.append(
            f"No figures of held-out days: {held['how']}. Record a day or more, or a second room."
        )
    else:
        folds = len(held["folds"])
        lines = [*whether_it_paid(result), *lines]
        lines += [
            f"Held out: {held['how']} ({folds} folds). Every figure is of a model that was tuned "
            "without those days; the model in the run folder was tuned on all of them.",
            *claims(result),
        ]
    return [*lines, *thresholds_said(result)]


def whether_it_paid(result: Mapping[str, Any]) -> list[str]:
    """Whether tuning paid on held-out days: a sentence, or none without simulated fires there."""
    homes, fires = result["homes"], result["fires"]
    if not fires:
        return []
    alarms, general_alarms = homes["tuned"]["alarms"], homes["general"]["alarms"]
    found, general_found = (fires["in_time"][name]["fires"] for name in ("tuned", "general"))
    said = (
        f"tuned {alarms} false alarms and {found} of {fires['n']} simulated fires in time, the "
        f"general model {general_alarms} and {general_found}."
    )
    if (alarms, found) == (general_alarms, general_found):
        return [f"Tuning changed nothing on held-out days: {said}"]
    if alarms >= general_alarms and found <= general_found:
        return [f"Keep the general model: on held-out days {said}"]
    if alarms <= general_alarms and found >= general_found:
        return [f"Tuning paid: on held-out days {said}"]
    return [f"Tuning trades alarms against fires: on held-out days {said}"]


def thresholds_said(result: Mapping[str, Any]) -> list[str]:
    """What thresholds keep, and how often they alarm in what they rest on."""
    budget = result["false_alarms_per_year"]
    kept = (
        "Thresholds let one in a hundred simulated streams with nuisances alarm, and none of your "
        "days; --false-alarms-per-year keeps a budget instead."
        if budget is None
        else f"Thresholds keep {number(budget)} false alarms a year in each of these."
    )
    rests = "; ".join(
        f"{one['what']}: {one['alarms']} in {number(one['years'], 2)} years"
        for one in result["thresholds_rest_on"]
    )
    return [f"{kept} They give {rests}." if rests else kept]


def claims(result: Mapping[str, Any]) -> list[str]:
    """What the days show, and how many more would show what."""
    tuned = result["homes"]["tuned"]
    alarms, days = tuned["alarms"], tuned["days"]
    said = "without a false alarm" if not alarms else f"with {alarms}"
    under = number(tuned["shown_under_per_year"], 2)
    lines = [f"{number(days, 3)} days {said} show under {under} a year (95 %, one-sided), no more."]
    wanted = [row for row in result["more_days"] if row["more_days"] > 0][:2]
    lines += [
        f"{row['more_days']:,} more days without one would show under "
        f"{number(row['shown_under_per_year'])} a year."
        for row in ([] if alarms else wanted)
    ]
    if not result["held_out"]["knows_cooking"]:
        lines.append(
            f"Cookings are not noted, so alarms per 100 of them are {DASH}: a set.json may say "
            "when the stove was on."
        )
    return lines
