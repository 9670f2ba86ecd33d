"""A whole training step as one launch on a GPU.

A small model's step is hundreds of kernels of a few microseconds each, and launching them takes
longer than running them. A CUDA graph records them once and launches them together.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WARM_CALLS = 3  # real steps before the recording: they make the optimizer's state


class Graphed:
    """A function of a batch of one shape that is recorded at its fourth call and replayed after.

    Off the GPU it is the function. The batch must be a dataclass of tensors.
    """

    def __init__(self, body: Callable[[Any], Tensor]) -> None:
        """Take the function; it must not wait for the GPU, nor depend on changing Python values."""
        self.body = body
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.fixed: Any = None  # where replays read their batch
        self.result: Tensor | None = None  # where they leave their result

    def __call__(self, batch: Any) -> Tensor:
        """The function's result for a batch."""
        self.calls += 1
        first = next(iter(vars(batch).values()))
        if not first.is_cuda:
            return self.body(batch)
        if self.calls <= WARM_CALLS:
            return self.run_aside(batch)
        if self.fixed is None:
            self.record(batch)
        assert self.graph is not None
        assert self.result is not None
        for name, value in vars(self.fixed).items():
            value.copy_(getattr(batch, name))
        self.graph.replay()
        return self.result.clone()  # the next replay overwrites it

    def run_aside(self, batch: Any) -> Tensor:
        """Run once on a stream of its own, as recording wants it beforehand."""
        side, main = torch.cuda.Stream(), torch.cuda.current_stream()
        side.wait_stream(main)
        with torch.cuda.stream(side):
            result = self.body(batch)
        main.wait_stream(side)
        return result

    def record(self, batch: Any) -> None:
        """Record the function; nothing is computed yet."""
        self.fixed = type(batch)(**{name: value.clone() for name, value in vars(batch).items()})
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.result = self.body(self.fixed)
