"""A fetched run is what it claims: it loads, and gives figures. Layer 6."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from saafe.errors import InputError


def verify(run: Path) -> dict[str, Any]:
    """Load a run's weights, and check that they are finite and that the run was judged.

    Raises:
        InputError: the weights do not load, or hold no numbers.
    """
    weights = run / "model.safetensors"
    if not weights.exists():
        return {"loads": False, "reason": "unfinished: continue it with `saafe train --resume`"}
    numpy = import_module("numpy")
    try:
        tensors = import_module("safetensors.numpy").load_file(weights)
    except Exception as error:  # safetensors has its own error class, made in Rust
        raise InputError(f"{weights} does not load ({error}): fetch the job again") from error
    bad = [name for name, values in tensors.items() if not numpy.isfinite(values).all()]
    if bad:
        raise InputError(f"{weights} holds values that are no numbers ({bad[0]}): train again")
    exam = run / "exam.json"
    passed = json.loads(exam.read_text())["gate"]["passed"] if exam.exists() else None
    count = sum(int(values.size) for values in tensors.values())
    return {"loads": True, "parameters": count, "gate_passed": passed}
