"""A detector judged on annotated sets, set by set, by the rules of the published recordings.

Recordings of a publisher whose reader was added are judged as a set: no other part knows them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from saafe.detector import Detection
from saafe.exam import outcomes, references
from saafe.exam.outcomes import HomeRow
from saafe.exam.recorded_fires import Detect, FireScore, fire_times, score_fire, sum_fires
from saafe.exam.results import flat_row
from saafe.exam.tables import LIMIT_AT_END
from saafe.metrics import clustered_proportion_bounds
from saafe.readers import PUBLISHERS, Published, Unreadable, begins_before, read_annotated
from saafe.recordings import HOME_KIND, SET_FILE, AnnotatedSet, Recording, merge_runs

LONGEST_IN_MINUTES = 600.0  # a longer recording is told in days
QUIET_KINDS = (HOME_KIND, "office")  # in which nothing burns
PUBLISHER = "publisher"  # where a fire's limit is from
NONE_SCORED = "none that could be scored"


def score_sets(
    detect: Detect,
    sets: Sequence[AnnotatedSet],
    on_progress: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Judge a detector on every set: a part a set, in their order."""
    return [score_set(detect, one, on_progress) for one in sets]


def score_set(
    detect: Detect, one: AnnotatedSet, on_progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Judge a detector on the recordings of a set.

    Returns:
        What the set says of itself, and its parts (`_score_items`).
    """
    return {
        "name": one.name,
        "origin": one.origin,
        "licence": one.licence,
        "note": one.note,
        "recordings": len(one.recordings),
        "groups": len({annotation.group for annotation in one.recordings}),
        **_score_items(detect, one.name, read_annotated(one), SET_FILE, on_progress),
    }


def score_published(
    detect: Detect,
    name: str,
    items: Sequence[Published],
    on_progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Judge a detector on a publisher's recordings as on a set, each a group where none is named.

    A fire burns from its first row where its publisher states no ignition.
    """
    about = PUBLISHERS[name]
    items = [
        replace(
            item,
            group=item.group or item.recording.name,
            references={"t_ignition": 0.0, **item.references},
        )
        for item in items
    ]
    return {
        "name": name,
        "origin": f"{about.description}; {about.citation}",
        "licence": about.licence,
        "note": "",
        "recordings": len(items),
        "groups": len({item.group for item in items}),
        **_score_items(detect, name, items, PUBLISHER, on_progress),
    }


def _score_items(
    detect: Detect,
    name: str,
    items: Iterable[Published | Unreadable],
    stated: str,
    on_progress: Callable[[str], None],
) -> dict[str, Any]:
    """Judge a detector on the recordings of a set; `stated` is where its limits are from.

    Returns:
        `fires` and `homes` as of the published recordings, with rows that name their group, of
        fires where their limit is from, and a sum a group, or a string where it holds none that
        could be scored. `none_before` of the fires counts those without a reading ten seconds
        before their ignition. `not_scored` with the recordings that could not be read and why;
        `windows`, how many the detector scored.
    """
    fires: list[tuple[str, FireScore]] = []
    limits: list[str] = []  # of the fires, where each is from
    at_once = 0  # fires whose readings begin with them
    homes: list[tuple[str, HomeRow]] = []
    unread: list[Unreadable] = []
    windows = 0

    def counted(recording: Recording) -> Detection:
        nonlocal windows
        detection = detect(recording)
        windows += len(detection.risk)
        return detection

    for item in items:
        for line in _progress(item):
            on_progress(f"set {name}: {line}")
        if isinstance(item, Unreadable):
            unread.append(item)
        elif item.kind in QUIET_KINDS:
            homes.append((item.group, _score_home(counted, item)))
        else:
            fire, source = with_limit(item, stated)
            limits.append(source)
            at_once += not begins_before(fire)
            if source != stated:
                limit_s = fire.references["t_limit"]
                field = "limit_s" if stated == SET_FILE else "t_limit"
                line = (
                    f"{fire.recording.name}: no {field}; taken: {limit_s:,.0f} s, by its {source}"
                )
                on_progress(f"set {name}: {line}")
            fires.append((item.group, score_fire(counted, fire)))
    return {
        "windows": windows,
        "fires": _fires_part(fires, limits) | {"none_before": at_once} if fires else NONE_SCORED,
        "homes": _homes_part(homes) if homes else NONE_SCORED,
        "not_scored": [asdict(item) for item in unread],
    }


def with_limit(fire: Published, stated: str = SET_FILE) -> tuple[Published, str]:
    """A fire of a set with a limit, and where that is from.

    From set.json or its publisher, `stated`; else by the rules of published fires from its own
    readings; else it is the first real alarm beside it; else the end of its scoring: found at all
    is then found in time.
    """
    at = fire.references
    if references.fire_limit(fire.kind, at) is not None:
        return fire, stated
    end_s = at.get("t_end", at.get("t_peak", float(fire.recording.times_s[-1])))
    shown_s = references.shown_limit(
        fire.recording, fire.kind, ignition_s=at["t_ignition"], end_s=end_s
    )
    limits = {"readings": shown_s, "first real alarm": fire_times(fire)[1], LIMIT_AT_END: end_s}
    source, limit_s = next((name, time) for name, time in limits.items() if time is not None)
    return replace(fire, references={**at, "t_limit": min(limit_s, end_s)}), source


def _progress(item: Published | Unreadable) -> list[str]:
    """What is scored next, and what is doubtful about it, a line each."""
    if isinstance(item, Unreadable):
        return [f"{item.file} not scored: {item.reason}"]
    name = item.recording.name
    minutes = float(item.recording.times_s[-1]) / 60.0
    long = f"{minutes:.0f} min" if minutes < LONGEST_IN_MINUTES else f"{minutes / 1440.0:.2f} days"
    return [f"{name}, {long}", *(f"{name}: {line}" for line in item.check.doubts())]


def _score_home(detect: Detect, home: Published) -> HomeRow:
    events = detect(home.recording).events
    return outcomes.score_home(events, home.recording, merge_runs(home.stove), days=home.days)


def _fires_part(scored: Sequence[tuple[str, FireScore]], limits: Sequence[str]) -> dict[str, Any]:
    """Fires as `sum_fires` sums them; repetitions of a fire count as one where bounds are drawn."""
    groups, rows = zip(*scored, strict=True)
    part = sum_fires(rows)
    if len(set(groups)) < len(groups):
        in_time = [row.outcome == outcomes.IN_TIME for row in rows]
        part["in_time_share"] = clustered_proportion_bounds(in_time, groups)._asdict()
    return part | {
        "groups": [
            {"group": group} | outcomes.counts_of(_of(scored, group))
            for group in dict.fromkeys(groups)
        ],
        "rows": [
            row | {"limit_from": source}
            for row, source in zip(_named_rows(scored), limits, strict=True)
        ],
    }


def _homes_part(scored: Sequence[tuple[str, HomeRow]]) -> dict[str, Any]:
    groups = dict.fromkeys(group for group, _ in scored)
    return outcomes.sum_homes([row for _, row in scored]) | {
        "groups": [{"group": group} | _home_counts(_of(scored, group)) for group in groups],
        "rows": _named_rows(scored),
    }


def _home_counts(rows: Sequence[HomeRow]) -> dict[str, Any]:
    """The plain sums of a group's recordings, without rates."""
    return {k: v for k, v in outcomes.sum_homes(rows).items() if k in outcomes.SUMMED}


def _of(scored: Sequence[tuple[str, Any]], group: str) -> list[Any]:
    return [row for other, row in scored if other == group]


def _named_rows(scored: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [{"group": group} | flat_row(row) for group, row in scored]
