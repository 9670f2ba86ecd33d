"""Write docs/licences.md: what saafe depends on, and under which licences: `make licences`.

Licences are read from what is installed. A test fails where a dependency of pyproject.toml is not
listed, or listed otherwise than its package says.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
HEAD = """\
# Licences

saafe is under the Apache License 2.0. What it depends on is installed from PyPI beside it, and
keeps its own licence. This page is made from the installed packages (`make licences`); a package
that is not installed there is left out of the second table.

"""
UNKNOWN = "not stated in its package"


def direct() -> dict[str, tuple[Requirement, str]]:
    """Every dependency of pyproject.toml by name, and the extra that asks for it first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, tuple[Requirement, str]] = {}
    for extra, lines in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        for one in map(Requirement, lines):
            name = canonicalize_name(one.name)
            if name != project["name"] and name not in found:
                found[name] = (one, extra)
    return found


def licence_of(name: str) -> str | None:
    """What an installed package says of its licence; None where it is not installed."""
    try:
        said = distribution(name).metadata
    except PackageNotFoundError:
        return None
    if expression := said.get("License-Expression"):
        return expression
    classes = [
        text.rpartition(" :: ")[2]
        for text in said.get_all("Classifier", [])
        if text.startswith("License :: ") and not text.endswith("OSI Approved")
    ]
    words = (said.get("License") or "").strip().splitlines()
    if classes:
        return ", ".join(classes)
    return words[0] if words and len(words[0]) < 60 else UNKNOWN


def brought(names: set[str]) -> dict[str, str]:
    """What installed packages need in turn, with its licence, without `names` themselves."""
    found: dict[str, str] = {}
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        for one in map(Requirement, needs):
            if one.marker is not None and not one.marker.evaluate({"extra": ""}):
                continue
            other = canonicalize_name(one.name)
            if other in names or other in found:
                continue
            if (licence := licence_of(other)) is not None:
                found[other] = licence
                waiting.append(other)
    return found


def page() -> str:
    """The whole page."""
    own = direct()
    lines = ["| package | range | asked for by | licence |", "|---|---|---|---|"]
    for name, (one, extra) in own.items():
        where = f"`saafe[{extra}]`" if extra else "saafe"
        licence = licence_of(name) or "not installed where this page was made"
        lines.append(f"| {one.name} | `{one.specifier}` | {where} | {licence} |")
    lines += ["", "These bring others:", "", "| package | licence |", "|---|---|"]
    lines += [f"| {name} | {licence} |" for name, licence in sorted(brought(set(own)).items())]
    return HEAD + "\n".join(lines) + "\n"


def listed(text: str) -> dict[str, tuple[str, str]]:
    """The first table of the page: range and licence by name."""
    rows = re.findall(r"^\| (\S+) \| `([^`]*)` \| [^|]* \| ([^|]*) \|$", text, re.MULTILINE)
    return {canonicalize_name(name): (span, licence) for name, span, licence in rows}


if __name__ == "__main__":
    PAGE.write_text(page())
