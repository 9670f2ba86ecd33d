"""Tiers: named training recipes, and what `--set` changes. Imports without torch."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from saafe.errors import InputError, as_given

Settings = TypeVar("Settings")
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a detector is trained.

    Attributes:
        tier: name of the recipe that this one starts from.
        width: of the transformer.
        layers: of the transformer.
        heads: of its attention.
        expansion: width of its layers' hidden part, in widths.
        patch: window steps in one token; 20 makes one token of each time scale.
        dropout: share of activations dropped while training.
        windows: training windows an epoch.
        fresh: new windows every epoch, else one fixed set.
        epochs: at most.
        passes: how often each window is shown. The first epochs bring new ones; those after them
            show all of these again, mixed anew for each pass.
        hours: of training; the first epoch is timed, and no more are trained than fit. 0 sets no
            limit.
        batch: windows an optimizer step.
        accumulate: parts that a batch is computed in.
        optimizer: "adamw", or "muon" for the matrices between layers and AdamW for the rest.
        learning_rate: peak of the one-cycle schedule; Muon's is twice as high.
        warmup: share of the steps until the peak.
        beta1, beta2: of AdamW.
        weight_decay: of both.
        label_smoothing: of the cross entropy.
        averaging: share of the running mean of the weights kept at every step; the mean is what
            is validated and saved.
        patience: epochs without a better held-out loss before stopping early, and the best epoch's
            weights are kept; where windows are fresh the schedule runs to its end.
        precision: "auto", "fp32", "bf16" or "fp16"; auto is bf16 on GPUs that have it, else fp16
            with loss scaling there, and fp32 on CPUs, where bf16 brought nothing.
        device: "auto", "cpu", "cuda" or "mps".
        streams: simulated scenarios behind an epoch's windows, rounded to parts of 128.
        held_out: scenarios of the validation set, rounded alike.
        seed: of everything random.
        device_file: text of the device file that training's readings come through, as `saafe train
            --device` writes it here; instruments of any kind where it is empty.
    """

    tier: str
    width: int = 128
    layers: int = 4
    heads: int = 4
    expansion: int = 2
    patch: int = 20
    dropout: float = 0.0
    windows: int = 12_000
    fresh: bool = True
    epochs: int = 32
    passes: int = 1
    hours: float = 0.0
    batch: int = 480
    accumulate: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    warmup: float = 0.2
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    averaging: float = 0.99
    patience: int = 10
    precision: str = "auto"
    device: str = "auto"
    streams: int = 1024
    held_out: int = 512
    seed: int = 0
    device_file: str = ""

    @property
    def new_epochs(self) -> int:
        """How many epochs bring new windows."""
        return -(-self.epochs // self.passes) if self.fresh else 1


TIERS = {
    "ultra-fast": Recipe("ultra-fast", optimizer="muon", passes=2),
    "standard": Recipe(
        "standard",
        width=256,
        layers=6,
        heads=8,
        expansion=4,
        windows=20_000,
        epochs=100,
        batch=32,
        learning_rate=3e-4,
        dropout=0.1,
        patience=10,
        streams=768,
        held_out=1024,
    ),
}
TIERS["tiny"] = replace(TIERS["ultra-fast"], tier="tiny", width=64, layers=2)
TIERS["local"] = replace(TIERS["standard"], tier="local", hours=1.0)

_CHOICES = {
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "optimizer": ("adamw", "muon"),
}
# lowest and highest value that makes sense
_LIMITS = {
    "width": (8, 4096), "layers": (1, 48), "heads": (1, 64), "expansion": (1, 16), "patch": (1, 60),
    "dropout": (0.0, 0.9), "windows": (64, 10**9), "epochs": (1, 10_000),
    "passes": (1, 10_000),
    "hours": (0.0, 10_000.0), "batch": (1, 10**6),
    "accumulate": (1, 1024), "learning_rate": (1e-7, 1.0), "warmup": (0.0, 0.9),
    "beta1": (0.0, 0.9999), "beta2": (0.0, 0.99999), "weight_decay": (0.0, 10.0),
    "label_smoothing": (0.0, 0.5), "averaging": (0.0, 0.99999),
    "patience": (1, 10_000), "streams": (8, 10**7),
    "held_out": (32, 10**6), "seed": (0, 2**31 - 1),
}  # fmt: skip


def find_tier(name: str) -> Recipe:
    """The recipe of a tier."""
    if name not in TIERS:
        near = difflib.get_close_matches(name, TIERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"tier {name!r} is unknown; choose from {', '.join(TIERS)}{hint}")
    return TIERS[name]


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """The recipe with `field=value` changes, checked."""
    return check_recipe(with_changes(recipe, changes))


def with_seed(changes: tuple[str, ...], seed: int | None) -> tuple[str, ...]:
    """Changes of `--set` with that of `--seed`, where it is given; both may not disagree."""
    if seed is None:
        return changes
    for change in changes:
        name, _, text = change.partition("=")
        if name == "seed" and text != str(seed):
            raise InputError(f"--seed {seed} and --set {change} disagree; give one of them")
    return (*changes, f"seed={seed}")


def check_recipe(recipe: Recipe) -> Recipe:
    """The recipe itself, if its values make sense together."""
    check_values(recipe, _LIMITS, _CHOICES)
    if recipe.width % recipe.heads:
        raise InputError(f"width = {recipe.width} must be a multiple of heads = {recipe.heads}")
    if 60 % recipe.patch:
        raise InputError(f"patch = {recipe.patch} must divide the window's 60 steps")
    if recipe.batch % recipe.accumulate:
        raise InputError(
            f"batch = {recipe.batch} must be a multiple of accumulate = {recipe.accumulate}"
        )
    if recipe.windows < recipe.batch:
        raise InputError(f"windows = {recipe.windows} must be at least batch = {recipe.batch}")
    return recipe


def to_dict(recipe: Recipe) -> dict[str, object]:
    """The recipe as plain values, for recipe.json."""
    return asdict(recipe)


def from_text(text: str | bytes) -> Recipe:
    """The recipe in JSON of what `to_dict` gave.

    Raises:
        InputError: it is another version's, or damaged.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("recipe cannot be read: it is no JSON") from None
    return from_dict(values)


def from_dict(values: Any) -> Recipe:
    """The recipe that `to_dict` wrote.

    Raises:
        InputError: it is another version's, or damaged.
    """
    if not isinstance(values, Mapping):
        raise InputError("recipe cannot be read: it is no table of fields")
    kinds = {f.name: f.type for f in fields(Recipe)}
    if unknown := sorted(map(str, values.keys() - kinds.keys())):
        raise InputError(f"recipe has unknown fields: {', '.join(unknown)}")
    for name, value in values.items():
        if type(value) not in (kinds[name], int if kinds[name] is float else kinds[name]):
            kind = getattr(kinds[name], "__name__", "")
            raise InputError(f"recipe cannot be read: {name} = {value!r:.40} is no {kind}")
    try:
        return check_recipe(Recipe(**values))
    except TypeError as error:
        raise InputError(f"recipe cannot be read: {error}") from None


def field_types(settings: Any) -> dict[str, Any]:
    """Names and types of the fields that `--set` may change; others have an option of their own."""
    own = ("tier", "device_file")
    return {field.name: field.type for field in fields(settings) if field.name not in own}


def with_changes(
    settings: Settings, changes: Sequence[str], *, elsewhere: Sequence[str] = ()
) -> Settings:
    """The settings, a dataclass, with `field=value` changes; of one field the last one counts.

    Errors also name fields that the same option may change `elsewhere`.
    """
    types = field_types(settings)
    values = {}
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator or name not in types:
            known = [*types, *elsewhere]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"fields: {', '.join(known)}"
            came = as_given(f"--set {change}: expected field=value", f"settings: no field {name!r}")
            raise InputError(f"{came}; {hint}")
        values[name] = parse_change(change, types[name], text)
    return replace(settings, **values)  # type: ignore[type-var]


def parse_change(change: str, kind: Any, text: str) -> object:
    """The value of a change."""
    try:
        if kind in (int, float):
            return kind(text)
        if kind is bool:
            return BOOLEANS[text.lower()]
        words = [word.strip() for word in (text.split(",") if kind == tuple[str, ...] else [text])]
        if not all(words):
            raise ValueError
        return tuple(words) if kind == tuple[str, ...] else Path(text) if kind is Path else text
    except (KeyError, ValueError):
        names = {int: "a whole number", float: "a number", bool: "true or false"}
        expected = names.get(kind, "a value")
        given = as_given(f"--set {change}", f"settings: {change.partition('=')[0]}")
        raise InputError(f"{given}: expected {expected}, got {text!r}") from None


def check_values(
    settings: Any,
    ranges: Mapping[str, tuple[float, float]],
    choices: Mapping[str, Sequence[str]],
) -> None:
    """Refuse the first value out of a field's range (lowest, highest) or choices."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not low <= value <= high:  # NaN fails too
            raise InputError(f"{name} = {value}: allowed is {low} to {high}")
    for name, allowed in choices.items():
        value = getattr(settings, name)
        if value not in allowed:
            raise InputError(f"{name} = {value!r}: choose from {', '.join(allowed)}")
