"""`saafe export --to boosting` and `--to ensemble`: gradient boosting of a run's own windows.

Alone it is the rival of that name, with its calibration and its thresholds, and of the run's
weights nothing is in it. In an ensemble it decides together with the run's model.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saafe.detector import ENSEMBLE, AlarmSettings
from saafe.errors import InputError
from saafe.export.ensemble import Ensemble, ensemble_graph, ensemble_sha256
from saafe.export.onnx_files import metadata_of, sealed_model
from saafe.export.trees import boosting_graph, forest_sha256
from saafe.files import json_text
from saafe.formats import clock
from saafe.rivals import Boosting, registry
from saafe.simulator import devices
from saafe.training import (
    Run,
    calibrate,
    device_of,
    is_same_device,
    runs,
    score_with,
    set_own_thresholds,
    settings_for,
    telling,
)


@dataclass(frozen=True)
class Boosted:
    """Gradient boosting of a run's windows, alone or with the run's model; see `Model`."""

    model: Boosting | Ensemble  # fitted and calibrated
    settings: AlarmSettings
    device_settings: dict[str, AlarmSettings]  # for devices, by name
    windows: int  # how many the trees were trained on
    fit_s: float  # of the trees' fit itself. [s]

    def score(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Risk of windows. (batch, 60, 1, channel) to percent (batch,)"""
        return score_with(self.model)(windows)


def check_boosting(run: Run, device_names: Sequence[str]) -> None:
    """Refuse what gradient boosting cannot be fitted for, before the long work.

    Raises:
        InputError: scikit-learn is not installed, recordings tuned the run, or a device is none of
            the catalogue's.
    """
    registry.check_installed([registry.BOOSTING])
    if (run.folder / runs.ASKED_FILE).exists():
        raise InputError(
            f"{run.folder}: recordings tuned it, and boosting learns from simulations alone; "
            "export the run that was tuned"
        )
    for name in device_names:
        if name not in (*devices.device_names(), devices.ANYTHING):
            own = devices.load_device(name).name  # or it is no device at all
            raise InputError(
                f"{name}: a file holds thresholds of the catalogue's devices; export without "
                f"{own}, and name it where the file detects"
            )


def boosted_on(
    run: Run, device_names: Sequence[str], say: Callable[[str], None], *, with_run: bool = False
) -> Boosted:
    """Gradient boosting of a run's windows, with thresholds for devices too; some minutes.

    Args:
        run: whose recipe draws the windows.
        device_names: of the catalogue.
        say: takes a line at every stage.
        with_run: whether the run's model decides with it.
    """
    on_stage, tables = stages_told(say), {}
    training_set = registry.draw_training_set(run.recipe, on_stage=on_stage)
    windows = len(training_set.training.labels)
    on_stage(f"learning from {windows:,} windows")
    began_s = time.perf_counter()
    trees = registry.RIVALS[registry.BOOSTING].fit(
        run.recipe, training_set.training, training_set.held_out
    )
    assert isinstance(trees, Boosting), "the registry's boosting"
    fit_s = time.perf_counter() - began_s
    on_stage("setting its thresholds")
    model = Ensemble(run.model, trees) if with_run else trees
    calibrate(model, training_set.held_out)
    settings = (
        set_own_thresholds(model, run.recipe)
        if isinstance(model, Ensemble)
        else settings_for(model, run.recipe, None)
    )
    for number, name in enumerate(device_names, start=1):
        say(f"thresholds for {name} ({number} of {len(device_names)})")
        if name == devices.ANYTHING:
            continue
        asked = devices.load_device(name)
        if not is_same_device(asked, device_of(run.recipe)):
            tables[name] = settings_for(model, run.recipe, asked, on_share=telling(asked, say))
    return Boosted(model, settings, tables, windows, fit_s)


def stages_told(say: Callable[[str], None]) -> registry.OnStage:
    """Says each stage, and after the first of several parts how long the others take."""
    began_s = time.monotonic()

    def on_stage(stage: str) -> None:
        found = re.search(r"part (\d+) of (\d+)", stage)
        done, parts = (int(found[1]) - 1, int(found[2])) if found else (0, 0)
        left_s = (time.monotonic() - began_s) * (parts - done) / done if done else None
        say(stage if left_s is None else f"{stage}: about {clock(left_s)} left")

    return on_stage


def boosting_file(run: Run, boosted: Boosted) -> bytes:
    """The file: what it says of itself is its own, but for the recipe and the run's name."""
    metadata = metadata_of(run, "fp32") | identity_of(run, boosted)
    metadata["alarms"] = json_text(boosted.settings.to_dict())
    tables = {name: one.to_dict() for name, one in boosted.device_settings.items()}
    metadata["devices"] = json_text(tables)
    if isinstance(boosted.model, Ensemble):
        return sealed_model(ensemble_graph(boosted.model, run.recipe, metadata))
    return sealed_model(boosting_graph(boosted.model, metadata))


def identity_of(run: Run, boosted: Boosted) -> dict[str, str]:
    """What tells it from other models: its kind and its hash, and the run that it came from."""
    model = boosted.model
    is_both = isinstance(model, Ensemble)
    return {
        "model": ENSEMBLE if is_both else registry.BOOSTING,
        "model_sha256": ensemble_sha256(model) if is_both else forest_sha256(model),
        "run": run.folder.resolve().name,
        "run_sha256": run.identity,
    }
