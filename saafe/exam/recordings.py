"""A detector judged on recorded fires and homes, by one set of rules.

`score_real` takes a callable, so that the model and every rival go through the same code. A
detector that fails on a recording fails here: nothing is caught.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from saafe.errors import InputError
from saafe.exam import outcomes, references
from saafe.exam.recorded_fires import (
    Detect,
    fire_times,
    score_fire,
    scored_part,
    sum_fires,
    time_between,
)
from saafe.exam.recorded_sets import score_published, score_sets
from saafe.exam.results import plain_values
from saafe.exam.tables import SUPERPOSED_CASES
from saafe.readers import PUBLISHERS, Published, read_published
from saafe.recordings import (
    SET_FILE,
    Home,
    Interval,
    SmokeGrowth,
    SuperposedFire,
    dense_homes,
    find_sets,
    read_sets,
    recording_files,
    smoke_growth,
    superpose_fires,
)  # fmt: skip

HOUSE, LAB, HOMES = "nist_home_smoke_alarms", "nazir_lab_fire", "uhoo_homes"
BURNERS, POOLS = "fsri_hvac_gasburner", "nist_nrc_compartment"
OFFICES = ("uci_occupancy", "uci_room_occupancy_sound")
ELSEWHERE = (BURNERS, POOLS, *OFFICES)  # sources that were not watched while saafe was built
SCORED_SOURCES = (HOUSE, LAB, HOMES, *ELSEWHERE)
ABSENT = "not scored: folder absent"
AS_A_SET = "scored as a set"  # of a reader that was added: its part is in `sets`
LEFT_OUT = "not scored: left out of this plan"
NO_MOMENT = "not scored: no home is long enough for a fire"
# Fires on homes, and whether their smoke grows before its meter shows it: the worst and best case
SUPERPOSED = dict(zip(SUPERPOSED_CASES, (False, True), strict=True))
RULES_VERSION = 1
PERSISTENCE_S = 60.0  # how long a risk must stand in the score behind the margin. [s]


@dataclass(frozen=True)
class ScoringOptions:
    """How much of the recordings is scored, and how."""

    dense_days: float = 1.0  # days of each home scored at ten seconds; 0 leaves that out. [d]
    dense_sensors: int = 6  # sensors in each home there
    elsewhere: bool = True  # whether the sources that nothing was built on are scored as well
    on_progress: Callable[[str], None] = field(default=lambda line: None)


@dataclass(frozen=True)
class SuperposedFires:
    """Recorded fires on recorded homes, made once for every detector under judgement."""

    made: list[SuperposedFire]  # the superposed fires
    left_out: list[str]  # names of those that found no moment in their home
    kinds: dict[str, str]  # of each fire, by its name
    # first signal, limit and first recorded alarm of each fire, by its name [s]; where its smoke
    # grows unseen, the signal is no later than that begins
    times_s: dict[str, tuple[float | None, float | None, float | None]]
    homes: dict[str, Home]  # the homes, by name


@dataclass(frozen=True)
class SuperposedScore:
    """What came of a superposed fire; times as in `FireScore`.

    `outcome_with_hold` is by one reading's hold later; `score` and `score_in_time` are the highest
    persisted log-odds from the first signal on, and by then.
    """

    name: str
    moment: str
    fire_s: float
    signal_s: float | None
    limit_s: float | None
    recorded_s: float | None
    alarm_s: float | None
    cause: str | None
    after_limit_s: float | None
    outcome: str
    outcome_with_hold: str
    score: float
    score_in_time: float
    kind: str
    alarms_without_fire: int | None = None  # that the home gives in the same hours


@dataclass(frozen=True)
class HomeScore:
    """A home as a detector saw it: its figures, its alarms, and the score of each hour."""

    row: outcomes.HomeRow
    alarms: list[Interval]
    hour_scores: np.ndarray
    quiet_scores: np.ndarray


def score_real(
    detect: Detect, real_dir: Path | str, plan: ScoringOptions | None = None
) -> dict[str, Any]:
    """Judge a detector on the recorded fires and homes of a folder.

    Args:
        detect: runs the detector under judgement over one recording.
        real_dir: holds the publishers' folders under the names of `readers.PUBLISHERS`, annotated
            sets at any depth, or both; it may be a set itself.
        plan: how much is scored.

    Returns:
        Values that JSON can hold. `sources` says what was scored; `house_fires`, `oil_pans`,
        `lab_fires`, `burner_fires`, `pool_fires`, `superposed_fires` (smoke as a step, the worst
        case) and `superposed_fires_growing` (as exponential growth, the best) hold rows and
        counts by outcome; `homes`, `homes_at_10_s` and `offices` hold rows, rates and their
        bounds; then `margin`. A part that was not scored is a string that says why. `sets` has a
        part an annotated set (`recorded_sets.score_set`), and one a publisher whose reader was
        added: fires or homes, by what its items are.

    Raises:
        InputError: where the folder holds neither a known folder nor a set, or a set.json is wrong.
    """
    plan = plan or ScoringOptions()
    others = tuple(name for name in PUBLISHERS if name not in SCORED_SOURCES)
    names = (HOUSE, LAB, HOMES) + ((*ELSEWHERE, *others) if plan.elsewhere else ())
    sets = read_sets(real_dir)  # what a user wrote is refused before the work
    read = _read_sources(Path(real_dir), names)
    absent = {name: ABSENT if name in names else LEFT_OUT for name in (*SCORED_SOURCES, *others)}
    fires = _house_fires(read)
    pans = [item for item in read.get(HOUSE, []) if item.kind == references.COOKING_OIL]
    homes = _homes(read)

    result: dict[str, Any] = {
        "rules": RULES_VERSION,
        "sources": absent | {name: AS_A_SET if name in others else "scored" for name in read},
    }
    parts = {"house_fires": (fires, HOUSE), "oil_pans": (pans, HOUSE)}
    for part, source in {"lab_fires": LAB, "burner_fires": BURNERS, "pool_fires": POOLS}.items():
        parts[part] = (read.get(source, []), source)
    for part, (items, source) in parts.items():
        if items:
            plan.on_progress(f"{part}: {len(items)}")
        rows = [score_fire(detect, item) for item in items]
        result[part] = sum_fires(rows) if source in read else absent[source]

    scores = []
    for home in homes:
        plan.on_progress(
            f"home {home.recording.name}: {home.recording.times_s[-1] / 86400.0:.1f} days"
        )
        scores.append(_score_home(detect, home))
    result["homes"] = _home_part([score.row for score in scores]) if homes else ABSENT
    offices = [item for name in OFFICES for item in read.get(name, [])]
    result["offices"] = absent[OFFICES[0]]
    if offices:
        plan.on_progress(f"offices: {len(offices)}")
        rows = [
            outcomes.score_home(detect(item.recording).events, item.recording, ())
            for item in offices
        ]
        result["offices"] = _home_part(rows)
    for part, growing in SUPERPOSED.items():
        result[part] = ABSENT
        if fires and homes:
            composed = superpose_published(fires, homes, growing=growing)
            as_what = "growing" if growing else "as steps"
            plan.on_progress(f"superposed fires, {as_what}: {len(composed.made)}")
            scored = score_superposed(detect, composed)
            result[part] = scored | {"rows": _beside_homes(scored["rows"], composed, scores)}
    result["margin"] = ABSENT
    if fires and homes:
        worst = result["superposed_fires"]["rows"]
        result["margin"] = _margins(worst, scores) if worst else NO_MOMENT
    result["homes_at_10_s"] = _score_dense(detect, homes, plan) if homes else ABSENT
    result["sets"] = score_sets(detect, sets, plan.on_progress)
    for name in (name for name in others if name in read):
        result["sets"].append(score_published(detect, name, read[name], plan.on_progress))
    return plain_values(result)


def _read_sources(
    real_dir: Path, names: Sequence[str] = (HOUSE, LAB, HOMES)
) -> dict[str, list[Published]]:
    there = _folders_there(real_dir, names)
    return {name: list(read_published(name, folder)) for name, folder in there.items()}


def check_folder(real_dir: Path, names: Sequence[str]) -> None:
    """Refuse a folder without a known folder or a set, and a wrong set.json, before long work."""
    read_sets(real_dir)
    _folders_there(real_dir, names)


def _folders_there(real_dir: Path, names: Sequence[str]) -> dict[str, Path]:
    if not real_dir.is_dir():
        raise InputError(
            f"{real_dir}: no such folder; allowed: a folder of recorded fires or homes"
        )
    there = {name: real_dir / name for name in names if (real_dir / name).is_dir()}
    if not there and not find_sets(real_dir):
        plain = next(recording_files(real_dir), None)
        mend = f"say in a {SET_FILE} what its recordings are" if plain else "give the folder above"
        raise InputError(
            f"{real_dir}: none of the folders {', '.join(names)}, and no {SET_FILE}; allowed: a "
            f"folder that holds one of them as published, or an annotated set; {mend}"
        )
    return there


def unknown_folders(real_dir: Path) -> list[str]:
    """Folders right below one with tables that are no publisher's that is known, and in no set."""
    if (real_dir / SET_FILE).is_file():
        return []  # its recordings may lie in folders
    below = (path for path in sorted(real_dir.iterdir()) if path.is_dir())
    return [
        path.name
        for path in below
        if path.name not in PUBLISHERS
        and not path.name.startswith(".")
        and not find_sets(path)
        and next(recording_files(path), None) is not None
    ]


def _house_fires(read: Mapping[str, list[Published]]) -> list[Published]:
    """The house fires but pans of oil, which burn by rules of their own."""
    kinds = (references.FLAMING, references.SMOULDERING)
    return [item for item in read.get(HOUSE, []) if item.kind in kinds]


def _homes(read: Mapping[str, list[Published]]) -> list[Home]:
    return [Home(item.recording, item.stove) for item in read.get(HOMES, [])]


def _score_home(detect: Detect, home: Home) -> HomeScore:
    detection = detect(home.recording)
    times, scores = outcomes.persisted_score(detection, PERSISTENCE_S)
    hours, hour_scores = outcomes.hourly_scores(times, scores)
    # An hour is quiet where none of it lies in a session or in the half hour after one.
    is_cooking = outcomes.in_sessions(hours, [(a - 3600.0, b) for a, b in home.sessions])
    return HomeScore(
        row=outcomes.score_home(detection.events, home.recording, home.sessions),
        alarms=outcomes.alarm_intervals(detection.events, float(home.recording.times_s[-1])),
        hour_scores=hour_scores,
        quiet_scores=hour_scores[~is_cooking],
    )


def _home_part(rows: Sequence[outcomes.HomeRow]) -> dict[str, Any]:
    return outcomes.sum_homes(rows) | {"rows": list(rows)}


def _score_dense(
    detect: Detect, homes: Sequence[Home], plan: ScoringOptions
) -> dict[str, Any] | str:
    if plan.dense_days <= 0:
        return LEFT_OUT
    rows = []
    dense = dense_homes(homes, days=plan.dense_days, sensors=plan.dense_sensors)
    for home in dense:
        plan.on_progress(f"home {home.recording.name}")
        events = detect(home.recording).events
        rows.append(outcomes.score_home(events, home.recording, home.sessions))
    return _home_part(rows)


def read_superposed(real_dir: Path | str, *, growing: bool = False) -> SuperposedFires | None:
    """The superposed fires that `score_real` judges by; None without the house fires or the homes.

    Raises:
        InputError: where the folder holds neither a known folder nor an annotated set.
    """
    read = _read_sources(Path(real_dir))
    fires, homes = _house_fires(read), _homes(read)
    if not fires or not homes:
        return None
    return superpose_published(fires, homes, growing=growing)


def superpose_published(
    fires: Sequence[Published], homes: Sequence[Home], *, growing: bool = False
) -> SuperposedFires:
    """Put each fire on each home, and keep what judging them takes.

    `growing` lets smoke grow exponentially before its meter shows it, where that is known.
    """
    seen = [references.seeing_sensor(scored_part(fire), fire_times(fire)[0]) for fire in fires]
    growths = [
        growth_of(fire, one.sensors[0]) if growing else None
        for fire, one in zip(fires, seen, strict=True)
    ]
    made, left_out = superpose_fires(seen, homes, growths=growths)
    times = {
        fire.recording.name: (
            _earliest(references.first_signal(one), growth and growth.start_s),
            *fire_times(fire),
        )
        for fire, one, growth in zip(fires, seen, growths, strict=True)
    }
    kinds = {fire.recording.name: fire.kind for fire in fires}
    return SuperposedFires(
        made, left_out, kinds, times, {home.recording.name: home for home in homes}
    )


def growth_of(fire: Published, sensor: str) -> SmokeGrowth | None:
    """How a fire's smoke grew before a sensor's meter showed it, None where that is not known.

    The publishers' house fires begin within 7 s of their ignition.
    """
    if sensor not in fire.smoke:
        return None
    return smoke_growth(*fire.smoke[sensor], ignition_s=fire.references.get("t_ignition", 0.0))


def score_superposed(detect: Detect, composed: SuperposedFires) -> dict[str, Any]:
    """Judge a detector on superposed fires: counts by outcome, and a row a superposed fire."""
    rows = [_score_superposed(detect, one, composed) for one in composed.made]
    names = [row.name for row in rows if row.outcome != outcomes.IN_TIME]
    with_hold = sum(row.outcome_with_hold == outcomes.IN_TIME for row in rows)
    counts = {"in_time_with_hold": with_hold, "not_in_time": names, "left_out": composed.left_out}
    return sum_fires(rows) | counts


def _beside_homes(
    rows: Sequence[SuperposedScore], composed: SuperposedFires, scores: Sequence[HomeScore]
) -> list[SuperposedScore]:
    """The rows with the alarms that each home gives in the same hours without the fire."""
    alone = {score.row.home: score.alarms for score in scores}
    return [
        replace(row, alarms_without_fire=_overlaps(one, alone[one.home]))
        for row, one in zip(rows, composed.made, strict=True)
    ]


def _score_superposed(
    detect: Detect, one: SuperposedFire, composed: SuperposedFires
) -> SuperposedScore:
    """Judge one superposed fire by its fire's own times; any alarm in the hours before is early."""
    detection = detect(one.recording)
    signal_s, limit_s, recorded_s = (_plus(t, one.fire_s) for t in composed.times_s[one.fire])
    alarm = outcomes.first_alarm(detection.events) or {}
    alarm_s = alarm.get("time_s")
    times, scores = outcomes.persisted_score(detection, PERSISTENCE_S)
    start_s, end_s = signal_s or one.fire_s, float(one.recording.times_s[-1])
    # A home's sensor holds its reading for a period, which is the instrument's delay.
    held_s = _plus(limit_s, one.period_s)
    outcome, with_hold = (
        outcomes.fire_outcome(
            alarm_s,
            signal_s=signal_s,
            limit_s=until_s,
            recorded_s=recorded_s,
            grace_s=min(one.period_s, outcomes.LONGEST_GRACE_S),
            by_rule=alarm.get("cause", "model") != "model",
        )
        for until_s in (limit_s, held_s)
    )
    return SuperposedScore(
        name=one.recording.name,
        moment=one.moment,
        fire_s=one.fire_s,
        signal_s=signal_s,
        limit_s=limit_s,
        recorded_s=recorded_s,
        alarm_s=alarm_s,
        cause=alarm.get("cause"),
        after_limit_s=time_between(alarm_s, limit_s),
        outcome=outcome,
        outcome_with_hold=with_hold,
        score=outcomes.highest_between(times, scores, start_s, end_s),
        score_in_time=outcomes.highest_between(
            times, scores, start_s, end_s if held_s is None else held_s
        ),
        kind=composed.kinds[one.fire],
    )


def _overlaps(one: SuperposedFire, alarms: Sequence[Interval]) -> int:
    """Count the alarms that the same home gives in the same hours without the fire."""
    end_s = one.start_s + float(one.recording.times_s[-1])
    return sum(a <= end_s and b >= one.start_s for a, b in alarms)


def _margins(rows: Sequence[SuperposedScore], scores: Sequence[HomeScore]) -> dict[str, Any]:
    hours = np.concatenate([score.hour_scores for score in scores])
    quiet = np.concatenate([score.quiet_scores for score in scores])
    loudest = float(hours.max()) if hours.size else math.nan
    weakest = min(rows, key=lambda row: row.score)
    return {
        "value": outcomes.margin([row.score for row in rows], hours, quiet),
        "in_time": outcomes.margin([row.score_in_time for row in rows], hours, quiet),
        "lowest_superposed": weakest.score,
        "lowest_superposed_name": weakest.name,
        "highest_home": loudest,
        "quiet_deviation": float(quiet.std()) if quiet.size else math.nan,
        "clear_of_homes": sum(row.score > loudest for row in rows),
        "n": len(rows),
    }


def _earliest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)


def _plus(time: float | None, seconds: float) -> float | None:
    return None if time is None else time + seconds
