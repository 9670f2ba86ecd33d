"""A fetched run is what it claims: it loads, and its risk differs between quiet and smoke."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from saafe.errors import InputError
from saafe.sensors import CHANNELS

QUIET_READINGS = [channel.rest for channel in CHANNELS]
SMOKE_TIMES = 10.0  # Chosen: far more than a fire must show
FIRE_RISES = [channel.visibility.event if channel.visibility else 0.0 for channel in CHANNELS]


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
    """A quiet, a growing and a smoky window. (3, 60, 1, channel)"""
    share = np.stack([np.zeros(60), np.linspace(0, 1, 60), np.ones(60)])[:, :, None, None]
    rise = SMOKE_TIMES * np.array(FIRE_RISES)
    return (np.array(QUIET_READINGS) + share * rise).astype(np.float32)
