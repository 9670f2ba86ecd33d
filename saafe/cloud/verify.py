"""A fetched run is what it claims: it loads, and its risk tells windows apart."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from saafe.errors import InputError

QUIET_READINGS = (21.0, 8.0, 600.0, 38.0, 0.5, 45.0)  # in the order of sensors.CHANNELS
SMOKY = (60.0, 900.0, 2500.0, 60.0, 120.0, 40.0)


def verify_run(run: Path) -> dict[str, Any]:
    """Load a run and score a few windows with it; an unfinished one is said to be that.

    Raises:
        InputError: it does not load, or its risk is no number or always the same.
    """
    if not (run / "model.safetensors").exists():
        return {"loads": False}
    from saafe.training import load  # imports torch, which takes seconds

    loaded = load(run)
    risk = loaded.score(_windows()).tolist()
    if not all(0.0 <= value <= 100.0 for value in risk) or len(set(risk)) == 1:
        raise InputError(f"{run} gives risks {risk}: that is no detector, train again")
    exam = run / "exam.json"
    passed = json.loads(exam.read_text())["gate"]["passed"] if exam.exists() else None
    count = sum(parameter.numel() for parameter in loaded.model.parameters())
    shown = [round(value, 4) for value in risk]
    return {"loads": True, "parameters": count, "risks": shown, "gate_passed": passed}


def _windows() -> np.ndarray:
    """A quiet, a growing and a smoky window, (3, 60, 1, 6)."""
    quiet, smoky = np.array(QUIET_READINGS, np.float32), np.array(SMOKY, np.float32)
    share = np.stack([np.zeros(60), np.linspace(0, 1, 60), np.ones(60)]).astype(np.float32)
    return quiet + share[:, :, None, None] * (smoky - quiet)
