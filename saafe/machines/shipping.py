"""A model as bytes that travel: workers on other machines do not see this one's disk."""

import hashlib
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from saafe.detector import AlarmSettings, Exported
from saafe.loading import load_model

TRAVELS = ("model.safetensors", "recipe.json", "thresholds.json")  # of a run folder
KEPT_MODELS = 4  # in a worker's memory


@dataclass(frozen=True)
class Shipment:
    """A model's files, and the thresholds to use it with."""

    name: str  # of its folder or file
    digest: str  # of all that follows
    files: Mapping[str, bytes] = field(compare=False, repr=False)
    settings: AlarmSettings = field(compare=False, repr=False)


def pack_model(model: Any) -> Shipment:
    """What travels of a loaded run folder or exported file."""
    if isinstance(model, Exported):
        files = {model.path.name: model.path.read_bytes()}
    else:
        paths = [model.folder / name for name in TRAVELS]
        files = {path.name: path.read_bytes() for path in paths if path.is_file()}
    settings = model.settings
    parts = [name.encode() + data for name, data in sorted(files.items())]
    digest = hashlib.sha256(b"".join([*parts, repr(settings).encode()])).hexdigest()
    return Shipment(Path(model.folder).name, digest, files, settings)


@lru_cache(KEPT_MODELS)
def unpack_model(shipment: Shipment) -> Any:
    """The model of a shipment, loaded and checked as from its own disk, once a process."""
    folder = Path(tempfile.mkdtemp(prefix="saafe-model-"))
    place = folder / shipment.name
    place.mkdir()
    for name, data in shipment.files.items():
        (place / name).write_bytes(data)
    only = next(iter(shipment.files))
    model = load_model(place / only if only.endswith(".onnx") else place)
    model = replace(model, settings=shipment.settings)
    weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)  # also as the process ends
    return model


@contextmanager
def on_one_core() -> Iterator[None]:
    """Let torch use one thread: a worker has one core, and sums come out alike everywhere."""
    torch = sys.modules.get("torch")  # a run's; an exported model has one thread anyway
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
