"""The code that travels: a deterministic archive of the package, named by its hash."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import saafe
from saafe.errors import InputError

# What the training image lacks. torch is left out on purpose: the image's own build fits its
# GPUs. A job exports nothing, so it needs no ONNX. A test keeps this list equal to pyproject's.
REQUIREMENTS = (
    "numpy>=1.26,<3",
    "polars>=1.30,<3",
    "rich>=13.7,<16",
    "click>=8.2,<9",
    "numba>=0.61,<1",
    "scipy>=1.12,<2",
    "safetensors>=0.4.3,<1",
    "matplotlib>=3.10.7,<4",
    "uniplot>=0.20,<1",
)
DEVICE_FILE = "device.toml"  # container.py, which imports nothing of ours, knows it by name
LARGEST_SOURCE_BYTES = 50_000_000


@dataclass(frozen=True)
class Package:
    """What is put into the code channel of a job: content by file name, and the hash of all."""

    files: dict[str, bytes]
    sha256: str


def pack(source: Path | None = None, *, device: str = "") -> Package:
    """Pack the `saafe` package found in a folder, by default the one that is running.

    The text of a device file, if any, is put beside it: the container trains for that device.
    Equal sources give equal bytes: entries are sorted and carry no time, owner or umask.
    """
    source = source or Path(saafe.__file__).parent.parent
    paths = sorted(path for path in (source / "saafe").rglob("*") if _travels(path, source))
    if not paths:
        raise InputError(f"no package saafe in {source}: launch from a checkout or an install")
    total = sum(path.stat().st_size for path in paths)
    if total > LARGEST_SOURCE_BYTES:
        raise InputError(
            f"{source / 'saafe'} holds {total / 1e6:.0f} MB, code is at most"
            f" {LARGEST_SOURCE_BYTES / 1e6:.0f} MB: move data out of the package"
        )
    contents = {path.relative_to(source).as_posix(): path.read_bytes() for path in paths}
    contents["requirements.txt"] = ("\n".join(REQUIREMENTS) + "\n").encode()
    if device:
        contents[DEVICE_FILE] = device.encode()
    entry = (Path(__file__).parent / "container.py").read_bytes()
    channel = {"source.tar.gz": _archive(contents), "container.py": entry}
    return Package(channel, hashlib.sha256(b"".join(channel.values())).hexdigest())


def _travels(path: Path, source: Path) -> bool:
    parts = path.relative_to(source).parts
    is_hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return path.is_file() and not path.is_symlink() and not is_hidden


def _archive(contents: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in sorted(contents.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()
