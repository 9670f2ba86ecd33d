"""Is the transformer of a run better than simpler and published detectors at equal detection?

    python benchmarks/rivals.py runs/RUN --rival "logistic regression" --rival QUANT
    python benchmarks/rivals.py runs/RUN --real DIR        # recorded superposed fires as well

Rivals are trained on the windows that the run was trained on; see docs/rivals.md.
"""

import argparse
import json
import time
from importlib import metadata
from pathlib import Path

from saafe.errors import InputError
from saafe.exam import windows
from saafe.exam.equal_detection import GROUPS
from saafe.exam.results import plain_values
from saafe.exam.rivals import examine_rivals, headline
from saafe.rivals import registry
from saafe.training import runs

COLUMNS = (
    "name", "windows", "train_s", "compile_s", "thresholds_s", "found", "fires", "false_alarms",
    "delay_s_median", "roc_auc", "roc_auc_shifted", "verdict",
    "superposed_fires", "superposed_in_time", "superposed_difference_value",
    "superposed_difference_lower", "superposed_difference_upper", "superposed_verdict",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", help="run folder")
    parser.add_argument(
        "--rival", action="append", help="one of saafe.rivals.RIVALS; all by default"
    )
    parser.add_argument("--groups", type=int, default=GROUPS)
    parser.add_argument("--real", type=Path, help="folder of published raw recordings")
    chosen = parser.parse_args()
    try:
        registry.check_installed(chosen.rival or list(registry.RIVALS))
    except InputError as error:
        raise SystemExit(f"rivals: {error}; or name others with --rival") from None
    run = runs.load(chosen.run)
    began = time.perf_counter()
    try:
        found = examine_rivals(
            windows.judged_run(run), run.recipe, names=chosen.rival or tuple(registry.RIVALS),
            groups=chosen.groups, real=chosen.real,
            on_progress=lambda line: print(line, flush=True),
        )  # fmt: skip
    except InputError as error:
        raise SystemExit(f"rivals: {error}") from None
    rows = plain_values(found)
    print(" | ".join(COLUMNS))
    for row in rows:
        print(" | ".join(_cell(row.get(name)) for name in COLUMNS))
    print(headline(rows) or "The transformer is better than every rival.")
    environment = runs.environment()
    packages = ("torch", "numpy", "scikit-learn", "aeon")
    document = {
        "benchmark": "rivals",
        "figures": {"rows": rows, "seconds": round(time.perf_counter() - began, 1)},
        "runs": 1,
        "commit": environment["commit"],
        "device": environment["device"],
        "versions": {name: _version(name) for name in packages},
    }
    print(json.dumps(document))


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
