"""What held-out days of the user's own rooms say of a tuned run, as people read it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saafe.errors import InputError
from saafe.files import read_file
from saafe.formats import DASH, interval, number, percent, percent_interval
from saafe.training import NUISANCE_POOL

ROOMS_FILE = "own_rooms.json"
ALARMS = {"photo": "photoelectric", "ionisation": "ionisation", "heat": "heat"}
ROOM_FIGURES = ("on held-out days", "value", "95 % bounds", "general model", "95 % bounds")


# a photoelectric alarm's level over its response to cooking and the extinction of that
SMOKE_UNSEEN = (
    "False alarms of a photoelectric alarm on these days cannot be told: it sounds from some 25 "
    "mg/m3 of cooking smoke on, or at steam, and few particle meters show either."
)


def read_rooms_result(folder: Path) -> dict[str, Any]:
    """What a tuned run's own_rooms.json holds; nothing where the run was not tuned.

    Raises:
        InputError: the file is not what a tuning writes.
    """
    path = folder / ROOMS_FILE
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_file(path))
        for told in (sentences, figure_rows, kind_rows):
            told(found)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: is not what `saafe tune` writes; tune again") from None
    return found


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
            f"Held out: {held['how']} ({folds} folds). Every figure of a tuned model is of one "
            f"that was tuned without them. {FOLDER_HOLDS[weights_kept(result)]}",
            *claims(result),
            *([SMOKE_UNSEEN] if result["fires"] else []),
        ]
    return [*lines, *thresholds_said(result)]


VERDICTS = {
    "tuned": "Tuning paid",
    "general": "Keep the general model",
    "trade": "Tuning trades alarms against fires",
    "no difference": "No difference shown, so keep the general model, the simpler choice",
}


FOLDER_HOLDS = {
    "tuned": "The model in the run folder was tuned on all of them.",
    "general": "The run folder holds the general model's weights, with thresholds over all of "
    "them.",
}


def weights_kept(result: Mapping[str, Any]) -> str:
    """Whose weights the run folder holds: "tuned" or "general"."""
    return result.get("weights", "tuned")  # before 2026-11-29 always the tuned ones


def whether_it_paid(result: Mapping[str, Any]) -> list[str]:
    """Whether tuning paid on held-out days, and what chance alone would give."""
    homes, fires, compared = result["homes"], result["fires"], result.get("compared")
    if not compared:
        return []  # tuned by a saafe that did not compare
    alarms, alone = compared["false_alarms"], compared["fires_that_one_alone_finds"]
    tuned, general = (f"{homes[name]['alarms']}" for name in ("tuned", "general"))
    tuned += " false alarms"
    if fires:
        found = {name: fires["in_time"][name]["fires"] for name in ("tuned", "general")}
        tuned += f" and {found['tuned']} of {fires['n']} simulated fires in time"
        general += f" and {found['general']}"
    verdict = f"{VERDICTS[compared['verdict']]}: on held-out days tuned {tuned}, the general model "
    counted = {
        "such false alarms": alarms,
        f"the fires that one model alone found (tuned {alone['tuned']}, general "
        f"{alone['general']})": alone,
    }  # of nothing, chance says nothing
    split = {what: each for what, each in counted.items() if each["tuned"] + each["general"]}
    chances = [
        f"{what} so unevenly in {chance_text(each)} of cases" for what, each in split.items()
    ]
    said = f"Chance alone splits {', and '.join(chances)}; under 5 % is a difference."
    return [f"{verdict}{general}.", *([said] if chances else [])]


def chance_text(counts: Mapping[str, float]) -> str:
    """How often chance alone gives what was counted, in percent."""
    chance = counts["chance"]
    return "under 0.1 %" if chance < 0.001 else percent(chance, 2 if chance < 0.995 else 3)


def models_to_keep(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Which model held-out days say to keep: "tuned", "general", or either."""
    verdict = result["compared"].get("verdict", "tuned")  # nothing held out: what was asked for
    kept = {"no difference": ("general",), "trade": ("tuned", "general")}
    return kept.get(verdict, (verdict,))


def thresholds_said(result: Mapping[str, Any]) -> list[str]:
    """What thresholds keep, and how often they alarm in what they rest on."""
    budget, pools = result["false_alarms_per_year"], result["thresholds_rest_on"]
    # runs of before 2026-11-30 do not say
    share = next((one.get("share") for one in pools if one["what"] == NUISANCE_POOL), None)
    which = "few" if share is None else f"{percent(share)} of the"
    kept = (
        f"Thresholds let {which} simulated streams with nuisances alarm, and none of your days; "
        "--false-alarms-per-year keeps a budget instead."
        if budget is None
        else f"Thresholds keep {number(budget)} false alarms a year in each of these."
    )
    rests = "; ".join(
        f"{one['what']}: {one['alarms']} in {number(one['years'], 2)} years" for one in pools
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
