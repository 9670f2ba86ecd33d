"""An exported model, run by onnxruntime: what detection needs where torch is not installed."""

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saafe import recipes
from saafe.detector.alarms import AlarmSettings
from saafe.errors import InputError
from saafe.files import read_file
from saafe.sensors import CHANNEL_NAMES
from saafe.windows import STEPS

ONNX_FORMAT = "saafe-onnx-1"
TRANSFORMER = "transformer"  # what runs are
ENSEMBLE = "ensemble"  # a transformer and gradient boosting, deciding together
SEAL = re.compile(rb"saafe-sha256:([0-9a-f]{64})")
SCORED_AT_ONCE = 64  # windows; more would not fit a core's cache
PACKAGED_MODEL = Path(__file__).parents[1] / "model" / "saafe-int8.onnx"


@dataclass(frozen=True)
class Exported:
    """A model of an exported file; see `Model`."""

    path: Path
    settings: AlarmSettings
    metadata: dict[str, str]  # `saafe`, `model`, `precision`, `recipe`, `model_sha256` and others
    session: Any = field(repr=False)
    has_checksum: bool = True  # which was compared

    @property
    def folder(self) -> Path:
        """What errors name."""
        return self.path

    @property
    def identity(self) -> str:
        """The hash of the run's weights, whatever it was exported to; of trees, of theirs."""
        return self.metadata["model_sha256"]

    @property
    def kind(self) -> str:
        """What model it is, such as "gradient boosting"; a transformer where the file says none."""
        return self.metadata.get("model", TRANSFORMER)

    @property
    def devices(self) -> dict[str, dict[str, float]]:
        """The alarm settings that the file holds for devices, by name."""
        return json.loads(self.metadata.get("devices", "{}"))

    @property
    def recipe(self) -> recipes.Recipe:
        """What it was trained by.

        Raises:
            InputError: the file tells none that this saafe can read; it detects all the same.
        """
        try:
            return recipes.from_text(self.metadata["recipe"])
        except (KeyError, InputError):
            raise InputError(
                f"{self.path}: its recipe is missing or another saafe's, so what to simulate is "
                "not known; export the run again"
            ) from None

    def __reduce__(self) -> tuple[Any, ...]:
        """What travels to another process: the file's bytes, for no session can be pickled.

        Raises:
            InputError: the file is not there any more, or is another one now.
        """
        try:
            data = read_file(self.path)
        except FileNotFoundError:
            data = b""
        if f"saafe-sha256:{checksum(data)}" not in self.metadata.values():
            raise InputError(f"{self.path}: is not the file that was loaded; load it again")
        return _from_bytes, (data, self.path, self.settings, self.metadata, self.has_checksum)

    def for_device(self, device: str | None) -> "Exported":
        """The model with the thresholds that the file holds for a device; itself for None.

        Raises:
            InputError: it holds none for it.
        """
        if device is None:
            return self
        if device not in self.devices:
            known = ", ".join(sorted(self.devices)) or "none"
            raise InputError(
                f"{self.path} has no thresholds for device {device} (it has: {known}); give the "
                "run folder for MODEL, or export it with --device"
            )
        return replace(self, settings=AlarmSettings.from_dict(self.devices[device]))

    def score(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Risk of windows. (batch, 60, 1, channel) to float64 percent (batch,)"""
        odds = self.log_odds(windows)
        with np.errstate(over="ignore"):  # exp of much is inf, and its risk 0
            return 100.0 / (1.0 + np.exp(-odds.astype(np.float64)))

    def log_odds(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-odds of fire. (batch, 60, 1, channel) to float32 (batch,)"""
        windows = np.ascontiguousarray(windows, np.float32)
        parts = [
            self.session.run(["log_odds"], {"windows": windows[at : at + SCORED_AT_ONCE]})[0]
            for at in range(0, len(windows), SCORED_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _from_bytes(
    data: bytes, path: Path, settings: AlarmSettings, metadata: dict[str, str], checked: bool
) -> Exported:
    """What `Exported.__reduce__` sent; it was checked where it was loaded."""
    return Exported(path, settings, metadata, start_session(data, path), checked)


def load_exported(path: Path | str) -> Exported:
    """Load a file that `saafe export --to onnx` or `--to int8` wrote.

    Returns:
        The model, which `Detector` and `detect` take as they take a run.

    Raises:
        InputError: it is not there, damaged, of other channels, no file of saafe's, or
            onnxruntime is not installed.
    """
    path = Path(path)
    try:
        data = read_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `saafe export RUN --to onnx` makes one") from None
    found = SEAL.findall(data)
    if len(found) != 1:
        raise InputError(f"{path}: was not written by `saafe export`, or is damaged")
    if found[0].decode() != checksum(data):
        raise InputError(f"{path} is damaged (its checksum differs): copy or export it again")
    session = start_session(data, path)
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    if metadata.get("format") != ONNX_FORMAT:
        raise InputError(
            f"{path}: is of format {metadata.get('format')}, this saafe reads {ONNX_FORMAT}; "
            "export the run again with this one"
        )
    if metadata.get("channels") != ",".join(CHANNEL_NAMES):
        raise InputError(
            f"{path}: was trained for the channels {metadata.get('channels')}, this saafe has "
            f"{', '.join(CHANNEL_NAMES)}; train again, or run it with the saafe that made it"
        )
    try:
        settings = AlarmSettings.from_dict(json.loads(metadata["alarms"]))
        exported = Exported(path, settings, metadata, session)
        for table in exported.devices.values():
            AlarmSettings.from_dict(table)
        _ = exported.identity
    except (KeyError, ValueError, AttributeError, RecursionError):
        raise InputError(
            f"{path}: its alarm settings are damaged or another saafe's; export the run again"
        ) from None
    if not tells_risk(exported):
        raise InputError(
            f"{path}: holds no model that turns saafe's windows into a risk; export the run again"
        )
    return exported


def tells_risk(exported: Exported) -> bool:
    """Whether a file's graph scores windows with readings and without, whatever it says it is."""
    empty = np.full((1, STEPS, 1, len(CHANNEL_NAMES)), np.nan, np.float32)
    windows = np.concatenate([empty, np.full_like(empty, 20.0)])
    try:
        odds = exported.log_odds(windows)
    except Exception:  # onnxruntime's own classes have no common one of their own
        return False
    return odds.shape == (len(windows),) and bool(np.isfinite(odds).all())


def start_session(data: bytes, path: Path) -> Any:
    """An onnxruntime session on one thread: windows come one at a time."""
    try:
        onnxruntime = import_module("onnxruntime")  # it has no types to check against
    except ModuleNotFoundError:
        raise InputError(f"{path} needs onnxruntime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no common one of their own
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: onnxruntime cannot read it ({reason[:200]})") from None


def checksum(data: bytes) -> str:
    """The hash of an exported file's bytes, with zeros for the hash that stands in it."""
    return hashlib.sha256(SEAL.sub(b"saafe-sha256:" + 64 * b"0", data)).hexdigest()


def seal(data: bytes) -> bytes:
    """A file's bytes with their hash, in place of the one that stands there."""
    return SEAL.sub(b"saafe-sha256:" + checksum(data).encode(), data)
