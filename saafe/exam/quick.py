"""The quick exam, which every training ends with: the promises that a minute can judge."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from saafe import metrics, recipes
from saafe.detector import TRANSFORMER, AlarmSettings, Exported
from saafe.exam import outcomes
from saafe.exam.amounts import QUICK
from saafe.exam.classes import ClassFigures, Scenario, draw_normal, examine_classes
from saafe.exam.examinee import Examinee, judged_on, weights_file
from saafe.exam.fire_matrix import outcome_counts
from saafe.exam.fires import FireResult, FireTrial, draw_fires, fire_kinds, try_fire
from saafe.exam.gate import exact, gate_lines, gate_of, limits_of, quick_limits
from saafe.exam.judging import window_times
from saafe.exam.nuisances import draw_nuisances
from saafe.exam.results import plain_values
from saafe.exam.session import OnProgress, Session
from saafe.metrics import Bounds
from saafe.recordings import cut_recording
from saafe.simulator import ANYTHING, devices, sources
from saafe.threads import Workers
from saafe.training import device_of, runs

VERSION = "2"
DEVICE = "saafe-6"  # whose sensors are simulated, where a run was trained for none
QUICK_PART, PARTS_OF_A_KIND = 6000, 8  # seeds apart from the full exam's
QUICK_LEAD_S = 60.0  # decisions before a fire


@dataclass(frozen=True)
class ExamDevice:
    """The device of an exam."""

    name: str
    sensors: str | devices.Device  # as a mix takes it
    is_own: bool  # whether the run was trained for it, or for none and this is the usual one

    @property
    def called(self) -> str:
        """What its files are called by: a user's device, whose name another may have, apart."""
        is_known = self.name in devices.device_names()
        if self.is_own or self.sensors == (
            devices.load_device(self.name) if is_known else ANYTHING
        ):
            return self.name
        assert isinstance(self.sensors, devices.Device), "of names there is `anything` alone"
        return f"{self.name}-{devices.device_digest(self.sensors)[:8]}"


def exam_device(run: Examinee, device: str | None) -> ExamDevice:
    """The device to examine a run on: the one that is asked for, else the run's own.

    Raises:
        InputError: the name or the file is no device.
    """
    trained_for = device_of(run.recipe)
    is_device = isinstance(trained_for, devices.Device)
    own = trained_for if is_device else devices.load_device(DEVICE)
    if device is None:
        return ExamDevice(own.name, own, True)
    if device == ANYTHING:
        return ExamDevice(ANYTHING, ANYTHING, False)
    asked = devices.load_device(device)
    return ExamDevice(asked.name, asked, asked == own)


def examine_quick(
    run: Examinee, *, device: ExamDevice | None = None, on_progress: OnProgress = lambda _: None
) -> dict[str, Any]:
    """Examine a run or an exported file in about a minute: what exam.json holds."""
    device = device or exam_device(run, None)
    on_progress(f"examining on simulated streams of {device.name}")
    session = Session(
        judged_on(run, device.sensors, say=on_progress),
        run.recipe.seed,
        device=device.sensors,
        on_progress=on_progress,
    )
    trials, scenarios = simulate_quick(session)
    results = watch_fires(session, trials)
    session.begin(0.2)
    classes = examine_classes(session, scenarios)
    session.on_progress("single windows")
    found = outcomes.counts_of(results)["in_time"]
    figures = quick_figures(classes, found, len(results), cost_of(run))
    lines = gate_lines(figures, quick_limits(limits_of(run.recipe.tier)))
    result = {
        "version": VERSION,
        "level": "quick",
        "device": device.name,
        "gate": gate_of("quick", device.name, lines),
        "figures": {
            "fires": outcome_counts(results) | {"not_shown": not_shown_count(results)},
            "windows": classes,
            "windows_scored": session.windows,
            "seconds": round(session.seconds, 1),
        },
        "provenance": provenance(run, session.settings),
    }
    return plain_values(result)


def simulate_quick(session: Session) -> tuple[list[FireTrial], list[Scenario]]:
    """Simulate what the quick level judges: fires, and single moments of every scenario."""
    session.begin(0.7)
    with Workers(torch.get_num_threads()) as workers:
        fires = [
            workers.later(
                draw_fires,
                session,
                name,
                QUICK.fires,
                mix=mix,
                batch=QUICK.batch,
                part=QUICK_PART + PARTS_OF_A_KIND * k,
                moments=QUICK.fire_moments,
            )
            for k, (name, mix) in enumerate(fire_kinds()[:-1])
        ]
        nuisances = [
            workers.later(
                draw_nuisances,
                session,
                (source.name,),
                0,
                batch=QUICK.batch // 2,
                part=QUICK_PART + PARTS_OF_A_KIND * k,
                moments=QUICK.nuisance_moments,
            )
            for k, source in enumerate(sources.NUISANCES)
        ]
        normal = workers.later(draw_normal, session, QUICK.normal_moments, part=QUICK_PART)
        kinds = len(fires) + len(nuisances)
        drawn, scenarios = [], []
        for number, kind in enumerate(fires, start=1):
            drawn.append(kind())
            scenarios += drawn[-1].scenarios
            say_simulated(session, number, kinds)
        for number, kind in enumerate(nuisances, start=len(fires) + 1):
            scenarios += kind().scenarios
            say_simulated(session, number, kinds)
        scenarios += normal()
    session.on_progress("simulated")
    return [trial for kind in drawn for trial in kind.trials], scenarios


def watch_fires(session: Session, trials: Sequence[FireTrial]) -> list[FireResult]:
    """Watch each fire until an alarm is too late."""
    session.begin(0.1)
    results = []

    def watch(trial: FireTrial) -> FireResult:
        until = cut_recording(trial.recording, 0.0, trial.latest_s)
        return try_fire(session, replace(trial, recording=until), lead_s=QUICK_LEAD_S)[0]

    for number, result in enumerate(session.each(watch, trials), start=1):
        results.append(result)
        if number % 100 == 0 or number == len(trials):
            session.on_progress(f"{number} fires", number / len(trials))
    return results


def say_simulated(session: Session, number: int, kinds: int) -> None:
    """Say now and then how many kinds of event are simulated; ordinary life comes last."""
    if number % 15 == 0:
        session.on_progress(f"{number} of {kinds} kinds simulated", 0.8 * number / kinds)


def not_shown_count(results: Sequence[FireResult]) -> int:
    """How many fires no reading shows by their limit."""
    return sum(not result.trial.is_shown for result in results)


def quick_figures(
    classes: ClassFigures, in_time: int, fires: int, cost: tuple[int, float]
) -> dict[str, tuple[Bounds, int]]:
    """What the quick level's lines hold to their limits, and how many each figure is of."""
    size, latency = cost
    return {
        "accuracy": classes.accuracy,
        "detection_rate": (metrics.proportion_bounds(in_time, fires), fires),
        "false_alarm_rate_windows": classes.false_alarm_rate,
        "model_bytes": exact(size),
        "latency_p99_ms": exact(latency),
    }


def cost_of(run: Examinee) -> tuple[int, float]:
    """Size of the model's file [B] and the 99th percentile of a window's time [ms]."""
    latency = window_times(run.score)["window_p99_ms"]
    return weights_file(run).stat().st_size, round(latency, 3)


def provenance(run: Examinee, settings: AlarmSettings) -> dict[str, Any]:
    """What was examined, and with what: with these thresholds, for they may be another device's."""
    names = ("commit", "saafe", "python", "torch", "numpy", "system", "device", "cores", "threads")
    now = runs.environment()
    return {
        "examined": now["started"],
        "recipe": recipes.to_dict(run.recipe),
        "model": run.kind if isinstance(run, Exported) else TRANSFORMER,
        "file": weights_file(run).name,
        "model_sha256": runs.sha256(weights_file(run)),
        "alarms": settings.to_dict(),
        **{name: now[name] for name in names},
    }
