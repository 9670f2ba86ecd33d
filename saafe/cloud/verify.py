"""A fetched run is what it claims: it loads, and its risk tells windows apart. Layer 6."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from saafe.errors import InputError
from saafe.recipes import from_dict

QUIET = (21.0, 8.0, 600.0, 38.0, 0.5, 45.0)  # in the order of sensors.CHANNELS
SMOKY = (60.0, 900.0, 2500.0, 60.0, 120.0, 40.0)


def verify(run: Path) -> dict[str, Any]:
    """Load a run and score a few windows with it; an unfinished one is said to be that.

    Raises:
        InputError: it does not load, or its risk is no number or always the same.
    """
    if not (run / "model.safetensors").exists():
        again = f"saafe train --out {run.parent} --name {run.name} --resume"
        return {"loads": False, "reason": f"unfinished: go on with `{again}`"}
    try:
        model = _load(run)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        # safetensors has its own error class, made in Rust: a plain Exception
        raise _broken(run, error) from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise _broken(run, error) from error
    risk = _risk(model)
    if not all(0.0 <= value <= 100.0 for value in risk) or len(set(risk)) == 1:
        raise InputError(f"{run} gives risks {risk}: that is no detector, train again")
    exam = run / "exam.json"
    passed = json.loads(exam.read_text())["gate"]["passed"] if exam.exists() else None
    count = sum(parameter.numel() for parameter in model.parameters())
    shown = [round(value, 4) for value in risk]
    return {"loads": True, "parameters": count, "risks": shown, "gate_passed": passed}


def _load(run: Path) -> Any:
    """The run's model, with every weight in its place."""
    recipe = from_dict(json.loads((run / "recipe.json").read_text()))
    weights = import_module("safetensors.torch").load_file(run / "model.safetensors")
    model = import_module("saafe.model").FireTransformer(recipe)
    model.load_state_dict(weights, strict=True)
    return model.eval()


def _risk(model: Any) -> list[float]:
    """Risk of a quiet, a growing and a smoky window, in percent."""
    torch = import_module("torch")
    quiet, smoky = torch.tensor(QUIET), torch.tensor(SMOKY)
    share = torch.stack([torch.zeros(60), torch.linspace(0, 1, 60), torch.ones(60)])
    windows = quiet + share[:, :, None, None] * (smoky - quiet)  # (3, 60, 1, 6)
    with torch.inference_mode():
        logits = model.risk_logit(model(windows))
    return (100 * logits.double().sigmoid()).flatten().tolist()


def _broken(run: Path, error: Exception) -> InputError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(f"{run} does not load ({first[:200]}): delete it, and watch the job again")
