"""What `saafe launch --set` says of the job and its machines, beside the recipe's fields."""

import difflib
from dataclasses import dataclass, fields, replace
from pathlib import Path

from saafe.errors import InputError
from saafe.recipes import Recipe

RECIPE_FIELDS = tuple(field.name for field in fields(Recipe) if field.name != "tier")
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Machine:
    """A job's place and machines.

    Attributes:
        instance: instance types, tried in order; given with commas between them.
        instances: machines.
        spot: cheaper machines that may be taken away meanwhile.
        region: AWS region; None takes the configured one.
        name: of job and run; None makes one.
        out: folder of runs and ledger.
    """

    instance: tuple[str, ...] = ()
    instances: int = 1
    spot: bool = False
    region: str | None = None
    name: str | None = None
    out: Path = Path("runs")

    def rented_only(self) -> list[str]:
        """Fields that were set and mean nothing to a training on this machine."""
        names = ("instance", "instances", "spot", "region")
        return [name for name in names if getattr(self, name) != getattr(Machine(), name)]


MACHINE_FIELDS = tuple(field.name for field in fields(Machine))


def split_settings(settings: tuple[str, ...]) -> tuple[tuple[str, ...], Machine]:
    """Split `field=value` settings into those of the recipe, as they are, and the machine.

    Raises:
        InputError: there is no such field, or a machine's value is none; of one field the last
            setting counts.
    """
    recipe, machine = [], Machine()
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator or name not in RECIPE_FIELDS + MACHINE_FIELDS:
            raise _unknown(setting, name)
        if name in RECIPE_FIELDS:
            recipe.append(setting)
        else:
            machine = replace(machine, **{name: _parse(name, text)})
    return tuple(recipe), machine


def _unknown(setting: str, name: str) -> InputError:
    near = difflib.get_close_matches(name, MACHINE_FIELDS + RECIPE_FIELDS, n=1)
    known = f"{', '.join(MACHINE_FIELDS)}, and of the recipe {', '.join(RECIPE_FIELDS)}"
    hint = f"did you mean {near[0]}?" if near else f"fields: {known}"
    return InputError(f"--set {setting}: expected field=value; {hint}")


def _parse(name: str, text: str) -> object:
    """Read one value of a machine's field."""
    words = {"instances": "a whole number", "spot": "true or false"}
    try:
        if name == "instances":
            return int(text)
        if name == "spot":
            return BOOLEANS[text.lower()]
        parts = text.split(",") if name == "instance" else [text]
        if not all(part.strip() for part in parts):
            raise ValueError
    except (KeyError, ValueError):
        expected = words.get(name, "a value")
        raise InputError(f"--set {name}={text}: expected {expected}, got {text!r}") from None
    if name == "instance":
        return tuple(part.strip() for part in parts)
    return Path(text) if name == "out" else text
