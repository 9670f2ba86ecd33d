"""An exam on disk: its figures, its report and its card, each whole or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saafe.exam import model_card, report
from saafe.exam.examinee import Examinee, files_of, weights_file
from saafe.exam.session import Case
from saafe.files import write_json
from saafe.training import Run, runs


def write_exam(
    run: Examinee, result: dict[str, Any], cases: Sequence[Case],
    *, is_own: bool = True, called: str | None = None,
) -> list[Path]:  # fmt: skip
    """Write exam.json, the report and the model card, each whole or not at all; say which.

    Another device's carry what it is `called`: exam-DEVICE.json, report-DEVICE.html. A quick
    result never replaces a full one of the same model and device.
    """
    figures, page = files_of(run, called or result["device"], is_own=is_own)
    if result["level"] == "quick" and is_full(figures, run):
        return []
    write_json(figures, result)
    drawn = report.write_report(page, result, [case.drawn() for case in cases])
    card = [model_card.write_model_card(run, result)] if is_own and isinstance(run, Run) else []
    return [figures, drawn, *card]


def is_full(path: Path, run: Examinee) -> bool:
    """Whether a file is the full exam of this very model."""
    if not path.is_file():
        return False
    try:
        old = json.loads(path.read_text())
        level, sha = old["gate"]["level"], old["provenance"]["model_sha256"]
    except (ValueError, KeyError, TypeError):  # no exam that this saafe wrote
        return False
    return level in ("full", "long") and sha == runs.sha256(weights_file(run))
