"""What `saafe launch --set` says of the job and its machines, beside the recipe's fields."""

from dataclasses import dataclass
from pathlib import Path

from saafe.recipes import Recipe, field_types, with_changes


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


def split_settings(changes: tuple[str, ...]) -> tuple[tuple[str, ...], Machine]:
    """Split `field=value` settings into those of the recipe, as they are, and the machine.

    Raises:
        InputError: there is no such field, or a machine's value is none.
    """
    recipe = [change for change in changes if change.partition("=")[0] in field_types(Recipe)]
    others = [change for change in changes if change not in recipe]
    return tuple(recipe), with_changes(Machine(), others, elsewhere=tuple(field_types(Recipe)))
