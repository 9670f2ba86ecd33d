"""A full exam of a model that nobody trained on a handful of streams, as a process to be killed.

`python few_exam.py RUN [DEVICE]`: examines it and prints each line of progress.
"""

import importlib
import sys
from functools import partial
from types import SimpleNamespace

from saafe.exam.amounts import Amounts

FEW = {
    "saafe.exam.session.STREAM_BATCH": 8, "saafe.exam.exam.FULL": Amounts(1, 2, 1, 1, 1, 6, 8),
    "saafe.exam.fires.FIRE_BATCHES": 2, "saafe.exam.exam.SIMPLE": (),
    "saafe.exam.nuisances.NUISANCE_BATCHES": 1, "saafe.exam.nuisances.QUIET_STREAMS": 2,
    "saafe.exam.faults.LOST": 1, "saafe.exam.faults.OTHER": 1, "saafe.exam.faults.ROW_FIRES": 1,
    "saafe.exam.faults.DAYS": 1, "saafe.exam.faults.DETECTORS": 1,
    "saafe.exam.faults.FAULTY": 1, "saafe.exam.shifts.FIRE_TRIALS": 1,
    "saafe.exam.shifts.NUISANCE_TRIALS": 1,
}  # fmt: skip
FEW_THRESHOLDS = {
    "saafe.training.thresholds.REFERENCE_STREAMS": 12,
    "saafe.training.thresholds.DENSE_PARTS": 1,
}


def main() -> None:
    from saafe.exam import exam
    from saafe.training import load

    for name, value in (FEW | FEW_THRESHOLDS).items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    kinds = exam.fire_kinds()
    exam.fire_kinds = lambda: [kinds[10], kinds[-1]]  # all take half a minute
    exam.sources = SimpleNamespace(NUISANCES=exam.sources.NUISANCES[:2])
    exam.calibration.examine_calibration = partial(
        exam.calibration.examine_calibration, scenarios=16
    )
    exam.monotonicity.examine_monotonicity = partial(
        exam.monotonicity.examine_monotonicity, pairs=40
    )
    options = {"device": sys.argv[2]} if sys.argv[2:] else {}
    say = partial(print, flush=True)
    exam.examine(load(sys.argv[1]), seed=5, on_progress=say, **options)


if __name__ == "__main__":
    main()
