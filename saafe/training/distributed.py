"""One process or many: ranks under torchrun."""

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed
from torch.distributed.rendezvous import rendezvous


@dataclass(frozen=True)
class World:
    """This process among the ranks of a job."""

    rank: int = 0
    size: int = 1  # how many processes train together

    @property
    def leads(self) -> bool:
        """Whether this process writes files and progress."""
        return self.rank == 0


@contextmanager
def joined(device: torch.device):
    """Join the job that torchrun started, if any; yields the World.

    gloo carries CPU tensors, NCCL those of GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, size = next(rendezvous("env://"))
    # torchrun keeps its store over restarts: a rank must not read where a dead one listened
    store = distributed.PrefixStore(f"attempt-{attempt()}", store)  # pyright: ignore
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield World(rank, size)
    finally:
        distributed.destroy_process_group()


def part_numbers(parts: int, world: World) -> range:
    """The parts of a shared piece of work that this rank makes.

    Every rank makes as many; `share` brings them together, in order, and what goes beyond `parts`
    is to be dropped.
    """
    return range(world.rank, math.ceil(parts / world.size) * world.size, world.size)


def share(parts: list[Tensor], world: World) -> list[Tensor]:
    """Every rank's parts, of equal shapes, in one order on every rank.

    Part k of rank r becomes number k x size + r.
    """
    if world.size == 1:
        return parts
    everyone = []
    for part in parts:
        gathered = [torch.empty_like(part) for _ in range(world.size)]
        distributed.all_gather(gathered, part.contiguous())
        everyone += gathered
    return everyone


def mean_gradients(model: torch.nn.Module, world: World) -> None:
    """Average the gradients over the ranks in one message: the model is small."""
    if world.size == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(flat)
    flat /= world.size
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()


def total(value: Tensor, world: World) -> Tensor:
    """Sum of a tensor over the ranks."""
    if world.size > 1:
        distributed.all_reduce(value)
    return value


def leads() -> bool:
    """Whether this process writes the run's files: rank 0, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def attempt() -> int:
    """How often torchrun has started this node's ranks again after one died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
