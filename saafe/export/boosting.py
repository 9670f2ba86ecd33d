"""`saafe export --to boosting`: gradient boosting of a run's own windows, as a file of its own.

It is the rival of that name, with its calibration and its thresholds; of the run's weights nothing
is in it.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saafe.detector import AlarmSettings
from saafe.errors import InputError
from saafe.export.onnx_files import metadata_of, sealed_model
from saafe.export.trees import boosting_graph, forest_sha256
from saafe.files import json_text
from saafe.formats import clock
from saafe.rivals import Boosting, registry
from saafe.simulator import devices
from saafe.training import Run, device_of, is_same_device, runs, score_with, settings_for, telling


@dataclass(frozen=True)
class Boosted:
    """Gradient boosting of a run's windows; see `Model`."""

    model: Boosting  # fitted and calibrated
    settings: AlarmSettings
    device_settings: dict[str, AlarmSettings]  # for devices, by name
    windows: int  # how many it was trained on
    fit_s: float  # of the fit itself. [s]

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


def boosted_on(run: Run, device_names: Sequence[str], say: Callable[[str], None]) -> Boosted:
    """Gradient boosting of a run's windows, with thresholds for devices too; some minutes.

    Args:
        run: whose recipe draws the windows.
        device_names: of the catalogue.
        say: takes a line at every stage.
    """
    trained = registry.train_alone(registry.BOOSTING, run.recipe, on_stage=stages_told(say))
    model, tables = trained.model, {}
    assert isinstance(model, Boosting), "the registry's boosting"
    for number, name in enumerate(device_names, start=1):
        say(f"thresholds for {name} ({number} of {len(device_names)})")
        if name == devices.ANYTHING:
            continue
        asked = devices.load_device(name)
        if not is_same_device(asked, device_of(run.recipe)):
            tables[name] = settings_for(model, run.recipe, asked, on_share=telling(asked, say))
    return Boosted(model, trained.settings, tables, trained.windows, trained.fit_s)


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
    return sealed_model(boosting_graph(boosted.model, metadata))


def identity_of(run: Run, boosted: Boosted) -> dict[str, str]:
    """What tells it from other models: its kind and its hash, and the run that it came from."""
    return {
        "model": registry.BOOSTING,
        "model_sha256": forest_sha256(boosted.model),
        "run": run.folder.resolve().name,
        "run_sha256": run.identity,
    }
