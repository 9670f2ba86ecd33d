"""Is the transformer of a run better than simpler and published detectors at equal false alarms?

    python benchmarks/rivals.py runs/RUN --device saafe-6 --rival "logistic regression"

Rivals are trained on the windows that the run was trained on; see docs/rivals.md.
"""

import argparse
import time

from last_line import print_last_line

from saafe.errors import InputError
from saafe.exam import judging
from saafe.exam.exam import draw_streams
from saafe.exam.fire_matrix import examine_fires
from saafe.exam.nuisances import examine_nuisances, examine_quiet
from saafe.exam.quick import exam_device
from saafe.exam.results import plain_values
from saafe.exam.rivals import ExamStreams, examine_rivals, headline
from saafe.exam.session import Session
from saafe.rivals import registry
from saafe.training import runs

COLUMNS = (
    "name", "windows", "train_s", "compile_s", "thresholds_s", "in_time", "fires",
    "false_alarms_per_year", "in_time_difference_value", "in_time_difference_lower",
    "in_time_difference_upper", "verdict", "own_in_time", "own_false_alarms_per_year",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", help="run folder")
    parser.add_argument("--device", help="whose sensors are simulated; the run's own by default")
    parser.add_argument("--seed", type=int, default=0, help="of the exam's streams")
    parser.add_argument(
        "--rival", action="append", help="one of saafe.rivals.RIVALS; all by default"
    )
    chosen = parser.parse_args()
    names = chosen.rival or list(registry.RIVALS)
    try:
        registry.check_installed(names)
    except InputError as error:
        raise SystemExit(f"rivals: {error}; or name others with --rival") from None
    run = runs.load(chosen.run)
    began = time.perf_counter()
    ours = judging.judged_run(run)
    device = exam_device(run, chosen.device)
    session = Session(ours, chosen.seed, device=device.sensors, on_progress=_say)
    fires, nuisances = draw_streams(session)
    _, results = examine_fires(session, fires)
    _, disturbed = examine_nuisances(session, nuisances)
    _, still = examine_quiet(session)
    streams = ExamStreams(results, disturbed, still)
    found = plain_values(
        examine_rivals(ours, streams, run.recipe, names=names, seed=chosen.seed, on_progress=_say)
    )
    rows = found["rows"]
    print(" | ".join(COLUMNS))
    for row in rows:
        print(" | ".join(_cell(row.get(name)) for name in COLUMNS))
    print(headline(found))
    figures = {"rows": rows, "device": device.name, "seconds": time.perf_counter() - began}
    print_last_line("rivals", figures, 1, "torch", "numpy", "scikit-learn", "aeon")


def _say(line: str) -> None:
    print(line, flush=True)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
