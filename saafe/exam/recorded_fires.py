"""A detector judged on recorded fires, by their own limits and alarms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from saafe.detector import Detection
from saafe.exam import outcomes, references
from saafe.metrics import proportion_bounds
from saafe.readers import Published
from saafe.recordings import Recording, cut_recording

Detect = Callable[[Recording], Detection]
COMMERCIAL = ("t_ion", "t_photo", "t_detector")  # first alarm of each kind beside the fire


@dataclass(frozen=True)
class FireScore:
    """What came of a recorded fire.

    `recorded_s` and `recorded_median_s` are the first and median alarm of the commercial detectors
    beside it; `after_limit_s`, `delay_s` and `delay_to_median_s` are from the limit and those on.
    """

    name: str
    kind: str
    signal_s: float | None
    limit_s: float | None
    end_s: float  # where its scoring ends
    recorded_s: float | None
    recorded_median_s: float | None
    alarm_s: float | None
    sensor: str | None
    cause: str | None
    after_limit_s: float | None
    delay_s: float | None
    delay_to_median_s: float | None
    outcome: str
    reference_alarms_s: dict[str, float | None]


def score_fire(detect: Detect, fire: Published) -> FireScore:
    """Judge one recorded fire up to its peak ceiling temperature, or its end.

    A laboratory fire has no ceiling references: its limit is the start of the conventional
    detector beside it. Delays are to recorded commercial alarms, negative where ours was first.
    """
    recording = scored_part(fire)
    signal_s = signal_time(fire, recording)
    limit_s, recorded_s = fire_times(fire)
    alarm = outcomes.first_alarm(detect(recording).events) or {}
    alarm_s = alarm.get("time_s")
    median_s = fire.references.get("t_alarm_median")
    return FireScore(
        name=recording.name,
        kind=fire.kind,
        signal_s=signal_s,
        limit_s=limit_s,
        end_s=float(recording.times_s[-1]),
        recorded_s=recorded_s,
        recorded_median_s=median_s,
        alarm_s=alarm_s,
        sensor=alarm.get("sensor"),
        cause=alarm.get("cause"),
        after_limit_s=time_between(alarm_s, limit_s),
        delay_s=time_between(alarm_s, recorded_s),
        delay_to_median_s=time_between(alarm_s, median_s),
        outcome=outcomes.fire_outcome(
            alarm_s,
            signal_s=signal_s,
            limit_s=limit_s,
            recorded_s=recorded_s,
            grace_s=outcomes.grace(recording),
            by_rule=alarm.get("cause", "model") != "model",
        ),
        reference_alarms_s=references.reference_alarms(recording, references.aerosol_of(fire.kind)),
    )


def scored_part(fire: Published) -> Recording:
    """Cut a fire where its scoring ends: at its peak or stated end, though not before its limit."""
    end_s = fire.references.get("t_end", fire.references.get("t_peak"))
    if end_s is None:
        return fire.recording
    limit_s, _ = fire_times(fire)
    return cut_recording(fire.recording, 0.0, max(end_s, limit_s or 0.0))


def signal_time(fire: Published, recording: Recording) -> float | None:
    """First signal in the scored part of a fire: of an annotated one from its ignition on. [s]"""
    if "t_limit" in fire.references:
        return references.first_signal_from(recording, fire.references["t_ignition"])
    return references.first_signal(recording)


def fire_times(fire: Published) -> tuple[float | None, float | None]:
    """Return a fire's limit and its first recorded commercial alarm, None where unknown [s]."""
    at = fire.references
    recorded_s = min((at[name] for name in COMMERCIAL if name in at), default=None)
    limit_s = references.fire_limit(fire.kind, at)
    return (at.get("t_detector") if limit_s is None else limit_s), recorded_s


def sum_fires(rows: Sequence[Any]) -> dict[str, Any]:
    """Count rows by their outcome, and bound what is in time exactly (95 %, two-sided)."""
    counts = outcomes.counts_of(rows)
    share = proportion_bounds(counts["in_time"], len(rows))
    return {**counts, "in_time_share": share._asdict(), "rows": list(rows)}


def time_between(time: float | None, other: float | None) -> float | None:
    """The first time less the other, None where one is unknown. [s]"""
    return None if time is None or other is None else time - other
