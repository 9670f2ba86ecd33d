"""Threads that make what will be wanted soon, while this one trains.

A fit on a CPU alternates between simulating and arithmetic, in operations too small to share
among cores. So each core gets work of its own; torch lets go of the interpreter in operations.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """A few threads; none at all is a valid number."""

    def __init__(self, threads: int) -> None:
        """Have the threads ready; each computes on one core."""
        self.threads = threads
        self.pool = (
            ThreadPoolExecutor(threads, "saafe", torch.set_num_threads, (1,)) if threads else None
        )

    def __bool__(self) -> bool:
        """Whether anything is made ahead."""
        return self.pool is not None

    def __enter__(self) -> "Workers":
        """Leave the threads their cores."""
        self.cores = torch.get_num_threads()
        torch.set_num_threads(max(1, self.cores - self.threads))
        return self

    def __exit__(self, *_: object) -> None:
        """Drop what has not begun, wait for what has, and take the cores back."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self.cores)

    def later(self, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Have something made.

        Args:
            make: makes it; must be deterministic and must not touch what others change.
            *args: for `make`.
            **kwargs: for `make`.

        Returns:
            A function that waits for it. What no thread has begun by then, the caller makes
            itself: so nobody idles, whoever is faster.
        """
        if self.pool is None:
            return lambda: make(*args, **kwargs)
        future = self.pool.submit(make, *args, **kwargs)
        return lambda: make(*args, **kwargs) if future.cancel() else future.result()

    def together(self, makes: Sequence[Callable[[], T]]) -> list[T]:
        """Have several things made at once, this thread helping; what they return, in order.

        This thread begins with the first and goes on from the last: so it waits for at most what
        another has begun. Like the others it computes on one core meanwhile, as sums on several
        have other last digits: no result tells who made what.
        """
        cores = torch.get_num_threads()
        if self.pool is not None and len(makes) > 1:
            torch.set_num_threads(1)
        try:
            waiting = [self.later(make) for make in makes[1:]]
            made = [make() for make in makes[:1]]
            return made + [wait() for wait in reversed(waiting)][::-1]
        finally:
            torch.set_num_threads(cores)


def spare_threads(device: torch.device) -> int:
    """How many of this process's threads should make things ahead: half of them, on a CPU.

    On a GPU everything happens there, in its own order.
    """
    return torch.get_num_threads() // 2 if device.type == "cpu" else 0


def all_threads(device: torch.device) -> int:
    """How many threads should share work that is all there is to do: none where one would do it."""
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    return threads if threads > 1 else 0
