"""What can be examined: a run, or a file that `saafe export` made of one."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from saafe.detector import Exported, start_session
from saafe.errors import InputError
from saafe.exam.gate import limits_of
from saafe.exam.judging import Judged, judged_run, likeliest_class
from saafe.files import plain_name
from saafe.sensors import FIRE, LABELS
from saafe.simulator import devices
from saafe.training import Run, exported_for, run_for, runs

Examinee = Run | Exported
LONGEST_FILE_NAME = 255  # bytes of a file's, on any usual disk
CLASSIFIED_AT_ONCE = 64  # windows; more would not fit a core's cache


def weights_file(one: Examinee) -> Path:
    """The file whose size and hash an exam tells."""
    return one.path if isinstance(one, Exported) else one.folder / runs.MODEL


def files_of(one: Examinee, device: str, *, is_own: bool) -> tuple[Path, Path]:
    """Where an exam of a device stands: its figures and its report.

    In a run's folder; beside an exported file and named after it, for the run's lie there too.
    """
    file, tail = weights_file(one), "" if is_own else f"-{plain_name(device)}"
    begin = f"{file.stem}-" if isinstance(one, Exported) else ""
    return file.with_name(f"{begin}exam{tail}.json"), file.with_name(f"{begin}report{tail}.html")


def check_end(one: Examinee, device: str, *, is_own: bool) -> None:
    """Refuse what would be refused after a quarter of an hour, as the exam ends.

    Raises:
        InputError: the tier is another saafe's, or figures and report cannot be written.
    """
    limits_of(one.recipe.tier)
    for file in files_of(one, device, is_own=is_own):
        if len(os.fsencode(file.name)) > LONGEST_FILE_NAME:
            raise InputError(f"{file}: is too long a name; give the device or the model another")
        if not os.access(file.parent, os.W_OK):
            raise InputError(f"{file}: cannot be written there; copy the run or the file first")


def judged_on(
    one: Examinee, device: str | devices.Device | None, *, say: Callable[[str], None]
) -> Judged:
    """What is examined, ready to be judged, with the thresholds of a device; its own for None.

    Raises:
        InputError: the graph of an exported file has no classes.
    """
    if isinstance(one, Run):
        return judged_run(run_for(one, device, say=say))
    classify = classifier(one)
    if isinstance(device, devices.Device):
        one = exported_for(one, device, say=say)
    return Judged(one.kind, one.score, one.settings, classify)


def classifier(exported: Exported) -> Callable[[NDArray[np.float32]], NDArray[np.int64]]:
    """What tells an exported model's classes. (batch, 60, 1, channel) to (batch,)

    The file gives the risk alone, so its graph is asked as well for the logits that it is made of,
    and for the fire's that counts: a channel that stands alone lowers it.

    Raises:
        InputError: it has no such logits.
    """
    import onnx

    model = onnx.load(exported.path)
    made = {name: node for node in model.graph.node for name in node.output}
    summed = [node for node in model.graph.node if node.op_type == "ReduceLogSumExp"]
    others = [node.output[0] for node in summed]  # of the classes but fire, the first ones
    parts = [made[node.input[0]] for node in summed[-1:] if node.input[0] in made]
    logits = next((part.input[0] for part in parts if part.op_type == "Slice"), None)
    fire = next((n.input[0] for n in model.graph.node if list(n.input[1:]) == others[-1:]), None)
    if logits is None or fire is None:
        raise InputError(f"{exported.path}: its graph tells no classes; export the run again")
    for name, shape in ((logits, ["batch", len(LABELS)]), (fire, ["batch"])):
        told = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        model.graph.output.append(told)
    session = start_session(model.SerializeToString(), exported.path)

    def classify(windows: NDArray[np.float32]) -> NDArray[np.int64]:
        parts = [np.empty((0, len(LABELS)), np.float32)]
        for at in range(0, len(windows), CLASSIFIED_AT_ONCE):
            given = {"windows": windows[at : at + CLASSIFIED_AT_ONCE]}
            said, lowered = session.run([logits, fire], given)
            parts.append(np.column_stack([said[:, :FIRE], lowered]))
        return likeliest_class(torch.from_numpy(np.concatenate(parts))).numpy()

    return classify
