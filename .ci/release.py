"""Build a release from a tag, check it, and say what to upload: `make release TAG=v0.2.0`.

The files come from the tag alone, never from the working tree: an sdist from its files, and the
wheel from that sdist. Run it with a Python that has hatchling.
"""

import ast
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TAG = re.compile(r"v(\d+\.\d+\.\d+(?:rc\d+)?)")
IN_WHEEL = ("saafe/__init__.py", "saafe/model/saafe-int8.onnx", "licenses/LICENSE")
NEVER = re.compile(r"(^|/)(runs|shared|\.venv|secret)(/|$)")  # in an sdist


class ReleaseError(Exception):
    """What stands against a release: one line."""


def run(*words: object, **more) -> str:
    """What a command prints; one that fails ends the release."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, **more)
    if done.returncode:
        raise ReleaseError(f"{' '.join(map(str, words))}: {done.stderr.strip()[-500:]}")
    return done.stdout


def version_of(tag: str) -> str:
    """The version that a tag names."""
    found = TAG.fullmatch(tag)
    if found is None:
        raise ReleaseError(f"TAG came as {tag!r}; allowed: v and a version, such as v0.2.0")
    return found[1]


def notes_of(changelog: str, version: str) -> tuple[str, str]:
    """The date and the text of a version's section of CHANGELOG.md."""
    title = re.compile(rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)$", re.MULTILINE)
    found = title.search(changelog)
    if found is None:
        raise ReleaseError(
            f"CHANGELOG.md has no line `## [{version}] - YYYY-MM-DD`; "
            "name [Unreleased] so and tag again"
        )
    text = re.split(r"^## \[", changelog[found.end() :], maxsplit=1, flags=re.MULTILINE)[0].strip()
    if not text:
        raise ReleaseError(f"CHANGELOG.md says nothing of {version}; write what it changes")
    return found[1], text


def check_source(folder: Path, version: str) -> str:
    """Hold what a tag's files say of their version to its name; the text of CHANGELOG.md."""
    source = ast.parse((folder / "saafe" / "__init__.py").read_text())
    values = {
        node.targets[0].id: node.value.value
        for node in source.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    date, notes = notes_of((folder / "CHANGELOG.md").read_text(), version)
    citation = (folder / "CITATION.cff").read_text()
    said = {
        "saafe/__init__.py's __version__": (values.get("__version__"), version),
        "CITATION.cff's version": (field_of(citation, "version"), version),
        "CITATION.cff's date-released": (field_of(citation, "date-released"), date),
    }
    for what, (is_now, wanted) in said.items():
        if is_now != wanted:
            raise ReleaseError(f"{what} is {is_now}; wanted: {wanted}; change it and tag again")
    return notes


def field_of(citation: str, name: str) -> str | None:
    """A top-level field of CITATION.cff; None where it has none."""
    found = re.search(rf"^{name}: *['\"]?([^'\"\n]+?)['\"]? *$", citation, re.MULTILINE)
    return found[1] if found else None


def build(tag: str, version: str, out: Path, scratch: Path) -> tuple[Path, Path, str]:
    """Build the sdist of a tag and the wheel of that sdist; both, and the text of CHANGELOG.md."""
    archive = scratch / "tag.tar"
    run("git", "archive", "--format=tar", "-o", archive, tag, cwd=ROOT)
    unpack(archive, scratch / "source")
    notes = check_source(scratch / "source", version)
    # dates in the files are the tag's, so that a second build has the same bytes
    epoch = run("git", "log", "-1", "--format=%ct", tag, cwd=ROOT).strip()
    options = {"env": {**os.environ, "SOURCE_DATE_EPOCH": epoch}}
    hatchling = (sys.executable, "-m", "hatchling", "build", "-d", out)
    run(*hatchling, "-t", "sdist", cwd=scratch / "source", **options)
    sdist = out / f"saafe-{version}.tar.gz"
    unpack(sdist, scratch / "sdist")
    run(*hatchling, "-t", "wheel", cwd=scratch / "sdist" / f"saafe-{version}", **options)
    return sdist, out / f"saafe-{version}-py3-none-any.whl", notes


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")


def check_files(sdist: Path, wheel: Path) -> None:
    """Refuse an sdist with what is nobody's business, and a wheel without its model."""
    with tarfile.open(sdist) as opened:
        if strange := [name for name in opened.getnames() if NEVER.search(name)]:
            raise ReleaseError(f"{sdist.name} holds {strange[0]}, which is no part of saafe")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in IN_WHEEL:
        if not any(name.endswith(wanted) for name in names):
            raise ReleaseError(f"{wheel.name} has no {wanted}")


def try_wheel(wheel: Path, version: str, scratch: Path) -> None:
    """Install the wheel in an empty environment, and have it detect the recording of docs/."""
    venv.create(scratch / "venv", with_pip=True)
    own = scratch / "venv" / "bin"
    run(own / "python", "-m", "pip", "install", "--quiet", wheel, cwd=scratch)
    if version not in (said := run(own / "saafe", "--version", cwd=scratch)):
        raise ReleaseError(f"the installed wheel says {said.strip()}; wanted: {version}")
    events = run(own / "saafe", "detect", ROOT / "docs" / "curtain.csv.gz", cwd=scratch)
    if '"alarm"' not in events:
        raise ReleaseError("the installed wheel finds no fire in docs/curtain.csv.gz")


def release(tag: str) -> None:
    """Build and check a release under dist/TAG, and print what is left to a person."""
    version = version_of(tag)
    if tag not in run("git", "tag", "--list", tag, cwd=ROOT).split():
        raise ReleaseError(f"there is no tag {tag}; `git tag -a {tag}` makes it of this commit")
    out = ROOT / "dist" / tag
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        sdist, wheel, notes = build(tag, version, out, scratch)
        check_files(sdist, wheel)
        try_wheel(wheel, version, scratch)
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}" for f in (sdist, wheel)]
    (out / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    (out / "NOTES.md").write_text(notes + "\n")
    print(*sums, sep="\n")
    print(f"checked: version, CHANGELOG.md and CITATION.cff say {version}; the wheel detects")
    print("upload, once the tag is pushed and CI has passed on it:")
    files = " ".join(str(file.relative_to(ROOT)) for file in (sdist, wheel))
    near = out.relative_to(ROOT)
    print(f"    gh release create {tag} --verify-tag --notes-file {near}/NOTES.md "
          f"{files} {near}/SHA256SUMS")  # fmt: skip
    print(f"    twine upload {files}    # where saafe is to be on PyPI")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("release: name one tag: make release TAG=v0.2.0")
    try:
        release(sys.argv[1])
    except ReleaseError as error:
        sys.exit(f"release: {error}")
