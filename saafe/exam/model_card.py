"""MODEL_CARD.md: what a run is for, what it is worth, and where it ends."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saafe.exam import rivals, room_lines
from saafe.exam.gate import line_texts
from saafe.exam.html import figure_text, header
from saafe.exam.report import EVIDENCE_LIMITS, NAMED_NOT_LISTED
from saafe.files import write_atomically
from saafe.sensors import CHANNELS, FIRE, LABELS
from saafe.simulator import devices
from saafe.training import REFERENCE_MIX, Run, device_of, runs

MODEL_CARD_FILE = "MODEL_CARD.md"
MORE_FIGURES = "exam.json and report.html hold every figure."


def prior_shift(prior: float) -> float:
    """What to add to the log-odds of a risk where fires are a share `prior`, over 0 and under 1.

    Valid where each class looks as it does under the reference mix and only the shares differ
    (Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori
    probabilities," Neural Computation, vol. 14, 2002; from memory, not checked).
    """
    reference = REFERENCE_MIX[FIRE]
    return math.log(prior / (1.0 - prior)) - math.log(reference / (1.0 - reference))


def write_model_card(run: Run, result: Mapping[str, Any]) -> Path:
    """Write MODEL_CARD.md into a run folder; what the result lacks is left out."""
    path = run.folder / MODEL_CARD_FILE
    parts = (
        about(run),
        uses(),
        training_data_section(run),
        figures(result),
        rooms(run.folder),
        risk(run, result),
        ends(result),
    )
    write_atomically(path, "\n".join(part for part in parts if part).encode())
    return path


def title(run: Run) -> str:
    """What a reader calls the model: its tier, and what it is for."""
    device = device_of(run.recipe)
    whom = device.title if isinstance(device, devices.Device) else "sensors of any kind"
    tuned = ", tuned on recordings of rooms" if (run.folder / runs.ASKED_FILE).exists() else ""
    return f"saafe {run.recipe.tier}, for {whom}{tuned}"


def about(run: Run) -> str:
    """Name, size, inputs."""
    count = sum(p.numel() for p in run.model.parameters())
    size = (run.folder / runs.MODEL).stat().st_size
    channels = ", ".join(f"{c.name} [{c.unit}]" for c in CHANNELS)
    return f"""# Model card: {title(run)}

A small transformer ({count:,} parameters, {size / 1e6:.1f} MB, tier {run.recipe.tier}, seed
{run.recipe.seed}) that turns 2 h of one sensor's readings into the risk of fire, in percent.

{NAMED_NOT_LISTED}

- Input: windows `(time 60, sensor, channel 6)`: 20 means of 5 min, 20 of 1 min, 20 of 10 s of
  {channels}; NaN where missing. Any channel may be missing.
- Output: calibrated probability that a visible fire burns in the space now.
- Folder of the run: `{run.folder.resolve().name}`
- SHA-256 of {runs.MODEL}: `{runs.sha256(run.folder / runs.MODEL)}`
"""


def uses() -> str:
    """What it is for, and what not."""
    return """## Intended use

An additional, early hint from sensors that are there already, in dwellings; research on fire
and nuisance signatures. Fixed rules (57 degC, 8.3 K/min, CO dose) stand beside the model in the
detector; the model may precede and never suppress them.

Not intended: as the only means of warning, as a replacement of a smoke or CO alarm, for
evacuation or release of extinguishing systems, or for rooms unlike dwellings.
"""


def training_data_section(run: Run) -> str:
    """What it learnt from."""
    recipe = run.recipe
    windows = recipe.windows * recipe.new_epochs
    sensors = "cheap sensors drawn at random"
    device = device_of(recipe)
    if isinstance(device, devices.Device):
        sensors = f"sensors of one device ({device.title})"
    faults = "noise, holds, clipping, missing and unresponsive channels"
    simulated = f"""at most {windows:,} windows of simulated dwellings with fires, nuisances and
life, {sensors}, with {faults}."""
    if (run.folder / runs.ASKED_FILE).exists():
        return f"""## Training data

Simulation, {simulated}
Then **recordings of the rooms that it was tuned on**, as they are and with simulated events on
them: they trained this model, and set its thresholds together with simulated streams.
own_rooms.json and "Your rooms" below say how many days of how many homes, and what came of days
held out. Licences of the recordings are their makers'; none of them is in this folder.
"""
    return f"""## Training data

Simulation only: {simulated}
Calibration and alarm thresholds come from other simulated scenarios. No recording trained,
calibrated or set anything.
"""


def figures(result: Mapping[str, Any]) -> str:
    """The gate's lines, and the rivals where they were compared."""
    gate = result.get("gate") or {"lines": [], "level": "no", "passed": False}
    rows = ["| figure | value | 95 % bounds | limit | n | |", "|---|---|---|---|---|---|"]
    for line in gate["lines"]:
        cells = (header(line["name"]), *line_texts(line))
        rows.append(f"| {' | '.join(cells)} |")
    word = "PASS" if gate["passed"] else "FAIL"
    first = rivals.headline(result.get("rivals") or {})
    lead = [first, ""] if first else []
    return "\n".join(
        ["## Figures", "", *lead, f"{word} ({gate['level']} gate); {MORE_FIGURES}", "", *rows, ""]
    )


def rooms(folder: Path) -> str:
    """What held-out days of the user's rooms say of a tuned run; empty for any other."""
    found = room_lines.read_rooms_result(folder)
    if not found:
        return ""
    parts = ["## Your rooms", *room_lines.sentences(found)]
    for columns, rows in (
        (room_lines.ROOM_FIGURES, room_lines.figure_rows(found)),
        (room_lines.KIND_COLUMNS, room_lines.kind_rows(found)),
    ):
        if rows:
            table = [columns, ["---"] * len(columns), *rows]
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in table))
    return "\n\n".join(parts) + "\n"


def risk(run: Run, result: Mapping[str, Any]) -> str:
    """The prior behind the risk, how to move it, and the alarm thresholds.

    Those of the examined device stand beside the run's own, where they are others.
    """
    mix = ", ".join(f"{LABELS[k]} {share:.0%}" for k, share in REFERENCE_MIX.items())
    moves = "\n".join(f"| {p:g} | {prior_shift(p):+.2f} |" for p in (0.5, 0.1, 0.01, 1e-3, 1e-6))
    own = run.settings.to_dict()
    columns = {"log-odds or s": own}
    examined = (result.get("provenance") or {}).get("alarms") or own
    if examined != own and examined.keys() == own.keys():
        columns[f"on {result['device']}, as examined"] = examined
    settings = "\n".join(
        f"| {' | '.join([key, *(f'{row[key]:.4g}' for row in columns.values())])} |" for key in own
    )
    return f"""## Risk and thresholds

Risk is calibrated under the reference mix ({mix}). Where fires make up another share p of the
moments in question, add logit(p) - logit({REFERENCE_MIX[FIRE]:g}) to the log-odds of the risk:

| share of fires p | add to the log-odds |
|---|---|
{moves}

Alarm thresholds are on the log-odds under the reference mix; do not shift them:

| setting | {" | ".join(columns)} |
|---|{"---|" * len(columns)}
{settings}
"""


def ends(result: Mapping[str, Any]) -> str:
    """Limits of the evidence, and where it came from."""
    lines = [
        *EVIDENCE_LIMITS,
        "One sensor is judged at a time; a fire that no channel shows is not found.",
    ]
    origin = result.get("provenance") or {}
    plain = [
        f"- {header(str(k))}: {figure_text(v)}"
        for k, v in origin.items()
        if not isinstance(v, Mapping | list)
    ]
    wheres = ["", "## Provenance", "", *plain] if plain else []
    return "\n".join(["## Limits", "", *(f"- {line}" for line in lines), *wheres, ""])
