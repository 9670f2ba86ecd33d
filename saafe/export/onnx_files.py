"""ONNX files in single precision and with eight-bit weights."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from saafe import __version__, recipes
from saafe.detector import ONNX_FORMAT, seal
from saafe.export.graph import INPUT, build_graph
from saafe.files import json_text, scratch_folder
from saafe.recipes import Recipe
from saafe.sensors import CHANNEL_NAMES
from saafe.simulator import Mix, devices, simulation
from saafe.training import (
    REFERENCE_MIX,
    Run,
    device_of,
    kept_thresholds,
    runs,
    sample_windows,
)

CALIBRATION_SEED, CALIBRATION_STREAMS, CALIBRATION_WINDOWS = 20_261_129, 128, 4096
SUMMARY_WEIGHTS = ("now_widen", "now_narrow")  # see `shrink_weights`
ZEROS = "saafe-sha256:" + 64 * "0"  # where the checksum will stand


def metadata_of(run: Run, precision: str) -> dict[str, str]:
    """What a file says of itself."""
    return {
        "format": ONNX_FORMAT,
        "saafe": __version__,
        "precision": precision,
        "recipe": json_text(recipes.to_dict(run.recipe)),
        "alarms": json_text(run.settings.to_dict()),
        "devices": json_text(device_alarms(run)),
        "channels": ",".join(CHANNEL_NAMES),
        "model_sha256": runs.sha256(run.folder / runs.MODEL),
        "input": f"{INPUT} (batch, 60, 1, {len(CHANNEL_NAMES)}): raw readings, NaN where missing; "
        "20 means of 5 min, 20 of 1 min, 20 of 10 s, oldest first",
        "output": "log_odds (batch,), which the alarm settings are on; risk_percent (batch,)",
        "seal": ZEROS,
    }


def device_alarms(run: Run) -> dict[str, dict[str, float]]:
    """The alarm settings of the catalogue's devices whose thresholds the run's folder keeps."""
    kept = {
        name: kept_thresholds(run, devices.load_device(name)) for name in devices.device_names()
    }
    return {name: settings.to_dict() for name, settings in kept.items() if settings}


def single_precision(run: Run) -> bytes:
    """The file of a run in single precision."""
    return sealed_model(build_graph(run, metadata_of(run, "fp32")))


def eight_bits(run: Run, calibration: NDArray | None = None) -> bytes:
    """The file of a run whose encoder multiplies eight-bit numbers.

    Scales of what the layers read are set once, on simulated windows, and not anew for each
    batch: then a window's risk does not depend on the windows beside it. The layers that read
    features stay in single precision, and so does attention: features reach over decades. The
    encoder's weights use seven bits, so that no sum saturates on processors without 8-bit dot
    products; those of the summary's layers eight, see `shrink_weights`.
    """
    calibration = calibration_windows(run.recipe) if calibration is None else calibration
    model = build_graph(run, {})
    names = [n.name for n in model.graph.node if n.op_type == "MatMul" and is_encoder(n.input[1])]
    with scratch_folder(model.ByteSize()) as folder, quiet_logging():
        whole, small = folder / "whole.onnx", folder / "small.onnx"
        onnx.save(model, whole)
        quantize_static(
            whole, small, WindowReader(calibration), quant_format=QuantFormat.QDQ,
            per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"], nodes_to_quantize=names,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )  # fmt: skip
        quantized = onnx.load(small)
    shrink_weights(quantized, SUMMARY_WEIGHTS)
    onnx.helper.set_model_props(quantized, metadata_of(run, "int8"))
    quantized.producer_name = "saafe"
    return sealed_model(quantized)


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Without onnxruntime's advice to preprocess a graph that needs none."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def shrink_weights(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Keep weights in eight bits and multiply in single precision, in place.

    For what reads figures that reach over decades: eight bits of those would lose the small ones.
    Each column has a scale of its own.
    """
    graph = model.graph
    assert {one.name for one in graph.initializer}.issuperset(names), "a weight was renamed"
    for weight in [one for one in graph.initializer if one.name in names]:
        values = onnx.numpy_helper.to_array(weight)
        scale = np.maximum(np.abs(values).max(axis=0), 1e-12) / 127.0
        small = np.round(values / scale).astype(np.int8)
        parts = {f"{weight.name}_8": small, f"{weight.name}_scale": scale.astype(np.float32)}
        graph.initializer.remove(weight)
        graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in parts.items())
        node = onnx.helper.make_node("DequantizeLinear", list(parts), [weight.name], axis=1)
        graph.node.insert(0, node)


def is_encoder(weight: str) -> bool:
    """Whether a constant is the weight of an encoder layer."""
    return weight.startswith("block")


def calibration_windows(recipe: Recipe) -> NDArray:
    """Simulated windows of a recipe's device, in the shares of the reference mix.

    (window, 60, 1, channel)
    """
    generator = torch.Generator().manual_seed(CALIBRATION_SEED)
    streams = simulation.simulate_streams(
        CALIBRATION_STREAMS, generator=generator, mix=Mix(device=device_of(recipe))
    )
    drawn = sample_windows(
        streams, CALIBRATION_WINDOWS, generator, shares=REFERENCE_MIX, evenly=True
    )
    return drawn.windows.numpy()


class WindowReader(CalibrationDataReader):
    """Windows as onnxruntime's calibration takes them."""

    def __init__(self, some: NDArray) -> None:
        """Take the windows."""
        parts = np.array_split(some, max(len(some) // 512, 1))
        self.parts: Iterator[dict] = iter([{INPUT: part} for part in parts])

    def get_next(self) -> dict | None:
        """The next part, None after the last."""
        return next(self.parts, None)


def sealed_model(model: onnx.ModelProto) -> bytes:
    """A model's bytes with their checksum."""
    return seal(model.SerializeToString(deterministic=True))
