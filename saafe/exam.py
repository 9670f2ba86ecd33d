"""The examination of a run; so far its quick level. Layer 5."""

from dataclasses import dataclass

from saafe import metrics, runs
from saafe.evaluation import judge_simulated, judged_run, latency_ms
from saafe.metrics import Bounds
from saafe.runs import Run

FILE = "exam.json"
VERSION = "quick-1"
QUICK_STREAMS = 32


@dataclass(frozen=True)
class Limits:
    """What a tier promises, from the document that saafe started from.

    Attributes:
        accuracy: of windows in three classes, at least.
        detection_rate: of fire windows, at least.
        false_alarm_rate: of other windows, at most.
        model_bytes: at most.
        latency_ms: 99th percentile of one window on one thread, at most.
    """

    accuracy: float
    detection_rate: float
    false_alarm_rate: float
    model_bytes: int
    latency_ms: float


ULTRA_FAST = Limits(0.94, 0.94, 0.002, 15_000_000, 30.0)
STANDARD = Limits(0.95, 0.95, 0.001, 29_000_000, 50.0)


def limits_of(tier: str) -> Limits:
    """The limits of a tier."""
    return ULTRA_FAST if tier == "ultra-fast" else STANDARD


def quick(run: Run) -> dict:
    """Examine a run on simulated scenarios in under a minute.

    Args:
        run: a loaded run folder.

    Returns:
        What exam.json holds: version, gate, figures.
    """
    figures = judge_simulated(judged_run(run), seed=run.recipe.seed, streams=QUICK_STREAMS)
    size = (run.folder / runs.MODEL).stat().st_size
    latency = latency_ms(run)
    lines = quick_lines(figures["same rooms"]["windows"], size, latency, limits_of(run.recipe.tier))
    passed = all(line["status"] == "pass" for line in lines)
    return {
        "version": VERSION,
        "gate": {"level": "quick", "passed": passed, "lines": lines},
        "figures": {**figures, "model_bytes": size, "latency_p99_ms": round(latency, 3)},
    }


def quick_lines(windows: dict, size: int, latency: float, limits: Limits) -> list[dict]:
    """The gate's five lines of the quick level, window figures with Clopper-Pearson bounds."""
    n = windows["n"]
    fires = sum(windows["confusion"][2])

    def share(name: str, value: float, count: int, limit: float, *, at_most: bool) -> dict:
        bounds = metrics.proportion_bounds(round(value * count), count)
        return metrics.gate_line(name, bounds, limit, n=count, at_most=at_most)

    def measured(name: str, value: float, limit: float) -> dict:
        return metrics.gate_line(name, Bounds(value, value, value), limit, n=1, at_most=True)

    return [
        share("accuracy", windows["accuracy"], n, limits.accuracy, at_most=False),
        share("detection_rate", windows["detection_rate"], fires, limits.detection_rate,
              at_most=False),
        share("false_alarm_rate_windows", windows["false_alarm_rate"], n - fires,
              limits.false_alarm_rate, at_most=True),
        measured("model_bytes", size, limits.model_bytes),
        measured("latency_p99_ms", latency, limits.latency_ms),
    ]  # fmt: skip
