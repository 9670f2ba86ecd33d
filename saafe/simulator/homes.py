"""Simulated homes as an annotated set: what set.json says of recordings in which nothing burns."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saafe.errors import InputError
from saafe.files import plain_name, read_file
from saafe.recordings import HOME_KIND, SET_FILE
from saafe.simulator import sources

ORIGIN = "saafe simulate"


def homes_set(written: Sequence[Mapping[str, Any]], folder: Path, *, seed: int) -> dict | None:
    """What set.json says of simulated recordings; None unless each is a home.

    A home has neither a fire nor a hazard, whose alarms are right. Each is a group of its own.

    Args:
        written: what `describe_stream` says of each, and its `file`.
        folder: that holds them, for the set's name.
        seed: that they were drawn with.
    """
    harmless = {source.name for source in sources.NUISANCES}
    if any(row["fire"] or not harmless.issuperset(row["nuisances"]) for row in written):
        return None
    return {
        "name": f"simulated {plain_name(folder.resolve().name)}, seed {seed}",
        "origin": f"{ORIGIN}, seed {seed}",
        "licence": "none is needed: simulated",
        "note": "Simulated: rehearses the commands, says nothing of anybody's home.",
        "recordings": [home_of(row) for row in written],
    }


def home_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What set.json says of one of them; nothing of cooking where that is not known."""
    said = {"file": row["file"], "kind": HOME_KIND, "group": row["file"].partition(".")[0]}
    return said if row["cooking_s"] is None else said | {"cooking_s": row["cooking_s"]}


def is_anothers(folder: Path) -> bool:
    """Whether a folder has a set.json that lists what `saafe simulate` did not write."""
    path = folder / SET_FILE
    try:
        said = json.loads(read_file(path))
    except FileNotFoundError:
        return False
    except (InputError, ValueError, RecursionError):
        return True
    if not isinstance(said, dict) or not isinstance(said.get("recordings"), list):
        return True
    files = [row.get("file") if isinstance(row, dict) else None for row in said["recordings"]]
    ours = all(isinstance(file, str) and file.startswith("simulated-") for file in files)
    return not (ours and str(said.get("origin")).startswith(ORIGIN))
