"""The air of scenarios, worked out once for several devices that meet the same ones."""

from collections.abc import Callable

import torch
from torch import Tensor

from saafe.simulator.air import Supply, carry
from saafe.simulator.buildings import Building

Carry = Callable[[Building, Supply, list[float]], tuple[Tensor, Tensor]]  # as `air.carry`


class SharedAir:
    """Keeps what `carry` gave of each generator's scenarios: two thirds of a simulation's time.

    Under one seed all devices meet the same buildings and events. It holds some ten MB for a batch
    of forty: clear it before others come.
    """

    def __init__(self) -> None:
        """Start with nothing known."""
        self.kept: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def clear(self) -> None:
        """Forget all."""
        self.kept.clear()

    def carrying(self, n: int, generator: torch.Generator) -> Carry:
        """`carry` for `n` scenarios of a generator that draws nothing else before them."""
        key = (generator.initial_seed(), n)

        def carried(building: Building, supply: Supply, steps_s: list[float]) -> tuple:
            if key not in self.kept:
                self.kept[key] = carry(building, supply, steps_s)
            return self.kept[key]

        return carried
