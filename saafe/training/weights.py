"""Safetensors files with a checksum: equal contents are equal files, and damage is said."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from saafe.errors import InputError
from saafe.files import read_file

CHECKSUM = "sha256"  # its key in the metadata; runs and checkpoints before 0.2 have none
COPY_AGAIN = "copy the run again"


def sealed(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file with its metadata sorted and a checksum of everything in it.

    safetensors writes metadata in an order of its own in every process. Spaces may pad the header.
    """
    header, body = _parts(save(tensors, metadata))
    metadata = {**metadata, CHECKSUM: _checksum(header, body)}
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def read_sealed(file: Path, *, mend: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a file that `sealed` made; older ones have no checksum to compare.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is unreadable or damaged; `mend` says what to do about damage.
    """
    data = read_file(file)
    try:
        tensors = load(data)
        header, body = _parts(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise damage(file, str(error) or type(error).__name__, mend) from None
    metadata = header.get("__metadata__", {})
    written = metadata.pop(CHECKSUM, None)
    if written is None:
        return metadata, tensors
    if written != (found := _checksum(header, body)):
        raise damage(file, f"checksum {found[:8]}, {written[:8]} when written", mend)
    return {**metadata, CHECKSUM: written}, tensors


def damage(file: Path, reason: str, mend: str = COPY_AGAIN) -> InputError:
    """What to say of a damaged file."""
    return InputError(f"{file} is damaged ({reason}): {mend}")


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and tensors: the file begins with the header's length, eight bytes, little endian."""
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def _checksum(header: dict[str, Any], body: bytes) -> str:
    """Of names, shapes, metadata and tensors, whatever the header's order."""
    text = json.dumps(header, sort_keys=True)
    return hashlib.sha256(text.encode() + body).hexdigest()
