"""What a job leaves behind, brought home: downloaded, unpacked safely, checked by hash."""

import hashlib
import json
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from saafe.cloud.aws import Aws, AwsError
from saafe.errors import InputError

CHUNK_BYTES = 1 << 20
LARGEST_RUN_BYTES = 4_000_000_000  # a run is some megabytes; more is not ours
NOT_THERE = frozenset({"404", "NoSuchKey"})


def fetch(aws: Aws, *, bucket: str, key: str, run: Path) -> str | None:
    """Download an artefact and put the run folder in its place, whole or not at all.

    Returns:
        The archive's SHA-256; None when the job left no artefact.

    Raises:
        InputError: it is corrupt, dangerous or too large, or the disk is full; nothing is left.
    """
    for left in run.parent.glob(f".{run.name}.*.partial"):
        number = int(left.name.split(".")[-2])
        if number == os.getpid() or not _is_alive(number):  # of a launcher that was killed
            shutil.rmtree(left, ignore_errors=True)
    partial = run.parent / f".{run.name}.{os.getpid()}.partial"
    try:
        partial.mkdir(parents=True)
        archive = partial / "model.tar.gz"
        digest = _download(aws, {"Bucket": bucket, "Key": key}, archive)
        if digest is None or unpack_run(archive, partial / "run") is None:
            return None
        _place(partial / "run", run)
        return digest
    except OSError as error:
        raise InputError(
            f"cannot write {run.parent} ({error.strerror or error}): free some space, then"
            f" `saafe watch {run.name}` fetches it; the artefact stays in S3"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _download(aws: Aws, item: dict[str, str], path: Path) -> str | None:
    """Stream one object to a file; returns its SHA-256."""
    owned = {**item, "ExpectedBucketOwner": aws.account}
    try:
        size = aws.call("s3", "head_object", **owned)["ContentLength"]
    except AwsError as error:
        if error.code in NOT_THERE:
            return None
        raise
    if size > LARGEST_RUN_BYTES:
        raise InputError(f"the artefact has {size / 1e9:.1f} GB: that is no run of saafe, refused")
    free = shutil.disk_usage(path.parent).free
    if free < 3 * size:  # the archive and what is in it
        raise OSError(28, f"{free / 1e6:.0f} MB free, {3 * size / 1e6:.0f} MB needed")

    def attempt() -> str:
        body = aws.client("s3").get_object(**owned)["Body"]
        digest, count = hashlib.sha256(), 0
        with path.open("wb") as file:
            for chunk in body.iter_chunks(CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                count += len(chunk)
        if count != size:
            raise ConnectionError(f"{count} of {size} bytes came")
        return digest.hexdigest()

    return aws.retry("s3:get_object", attempt)


def unpack_run(archive: Path, folder: Path) -> dict[str, Any] | None:
    """Unpack an artefact and check every file against the manifest; returns the manifest.

    None is for an empty archive: a job stopped before it had anything to leave.

    Raises:
        InputError: the archive is damaged, holds more than plain files, or disagrees with its
            manifest.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = tar.getmembers()
            if not members:
                return None
            _refuse_odd_members(members)
            # Debian 12's Python, 3.11.2, has no argument for it
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
            tar.extractall(folder, members=members)
    except (tarfile.TarError, EOFError, zlib.error, UnicodeError) as error:
        raise _corrupt(f"{type(error).__name__}: {error}") from error
    except OSError as error:
        if error.errno is None:  # gzip's own complaints carry no errno
            raise _corrupt(str(error)) from error
        raise
    return check_manifest(folder)


def check_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an unpacked run, after hashing every file that it names."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        wanted = dict(manifest["files"])
        is_finished = bool(manifest["finished"])
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise _corrupt("it has no readable manifest.json") from error
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if there != wanted.keys() | {"manifest.json"}:
        odd = sorted(there ^ (wanted.keys() | {"manifest.json"}))[0]
        raise _corrupt(f"{odd} is missing or not in the manifest")
    for name, digest in wanted.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise _corrupt(f"{name} does not match its hash")
    return {"finished": is_finished, "files": wanted}


def inside(folder: Path, name: str) -> Path:
    """The path of an S3 key in a folder.

    Raises:
        ValueError: the key leads out of it; S3 takes any key, folders must not.
    """
    path = PurePosixPath(name)
    if ".." in path.parts or path.is_absolute():
        raise ValueError(f"the key {name!r} leads out of its folder")
    return folder / name


def _refuse_odd_members(members: list[tarfile.TarInfo]) -> None:
    for member in members:
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
            raise _corrupt(f"{member.name!r} is not a plain file inside the run")
    if sum(member.size for member in members) > LARGEST_RUN_BYTES:
        raise _corrupt("it unpacks to more than any run holds")


def _place(unpacked: Path, run: Path) -> None:
    """Move the run into place; one that was fetched before, and is the same, stays."""
    try:
        os.replace(unpacked, run)
        return
    except OSError:
        if not run.exists():
            raise
    ours, theirs = run / "manifest.json", unpacked / "manifest.json"
    if not (ours.exists() and ours.read_bytes() == theirs.read_bytes()):
        raise InputError(f"{run} exists and is another run: move it away, and watch the job again")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _corrupt(reason: str) -> InputError:
    return InputError(
        f"the artefact is refused: {reason.splitlines()[0] if reason else 'damaged'};"
        " nothing was kept, the job's checkpoints are still in S3"
    )
