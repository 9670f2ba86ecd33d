"""Rows and figures as exam.json holds them."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from saafe.metrics import Bounds


class Figures(dict[str, Any]):
    """Figures of a row that stand flat in it, under their own names."""


def flat_row(row: Any) -> dict[str, Any]:
    """A row's fields by name; its bounds become NAME_value, NAME_lower and NAME_upper."""
    out: dict[str, Any] = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, Bounds):
            out |= {f"{field.name}_{key}": figure for key, figure in value._asdict().items()}
        elif isinstance(value, Figures):
            out |= value
        else:
            out[field.name] = value
    return out


def plain_values(value: Any) -> Any:
    """Leave only what JSON can hold: no rows, no numpy, None for NaN and infinities."""
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, Bounds):
        return plain_values(value._asdict())
    if is_dataclass(value):
        return plain_values(flat_row(value))
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
