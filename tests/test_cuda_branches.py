"""What runs only on a GPU, as far as a CPU shows it: torch's own calls stand in, none of ours."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from saafe.recipes import changed, find_tier
from saafe.training import loop
from saafe.training.graphs import WARM_CALLS, Graphed

RECIPE = find_tier("tiny")
CUDA = torch.device("cuda")


class OnCard(torch.Tensor):
    """A tensor of the CPU that says it is on a GPU."""

    is_cuda = True


@dataclass
class Pair:
    """A batch."""

    x: torch.Tensor
    y: torch.Tensor


@dataclass
class FakeGraph:
    """Does again what was done while it was recorded, into the same memory."""

    calls: list[tuple[Any, Any, Any, Any]] = field(default_factory=list)
    replays: int = 0

    def replay(self) -> None:
        self.replays += 1
        for made, args, kwargs, out in self.calls:
            out.copy_(made(*args, **kwargs))


class Recorder(TorchDispatchMode):
    """Notes each operation in a graph."""

    def __init__(self, graph: FakeGraph) -> None:
        super().__init__()
        self.graph = graph

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.graph.calls.append((func, args, kwargs or {}, out))
        return out


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """torch.cuda without a GPU; what waits for what."""
    said: list[str] = []

    def stream(name: str) -> SimpleNamespace:
        return SimpleNamespace(
            name=name, wait_stream=lambda other: said.append(f"{name} waits for {other.name}")
        )

    @contextmanager
    def graph(one: FakeGraph) -> Iterator[None]:
        with Recorder(one):
            yield

    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream("side"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream("main"))
    monkeypatch.setattr(torch.cuda, "stream", lambda _side: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    return said


def test_a_step_is_recorded_once_and_replayed_on_each_batch(streams: list[str]) -> None:
    bodies = []

    def body(pair: Pair) -> torch.Tensor:
        bodies.append(pair)
        return (pair.x * pair.y).sum()

    step = Graphed(body)
    count = WARM_CALLS + 4
    results = [
        step(Pair(torch.full((4,), float(k)).as_subclass(OnCard), torch.ones(4)))
        for k in range(count)
    ]
    assert [float(one) for one in results] == [4.0 * k for k in range(count)], "none overwritten"
    assert len(bodies) == WARM_CALLS + 1, "warm, then recorded"
    assert streams == ["side waits for main", "main waits for side"] * WARM_CALLS
    assert isinstance(step.graph, FakeGraph)
    assert step.graph.replays == count - WARM_CALLS


@pytest.mark.parametrize(("has_bf16", "auto"), [(True, "bf16"), (False, "fp16")])
def test_the_precision_of_a_gpu(monkeypatch: pytest.MonkeyPatch, has_bf16: bool, auto: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    assert loop.precision(RECIPE, CUDA) == auto
    for asked in ("fp32", "bf16", "fp16"):
        assert loop.precision(changed(RECIPE, (f"precision={asked}",)), CUDA) == asked


def test_each_local_rank_has_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert loop.find_device(RECIPE) == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    found = loop.find_device(RECIPE)
    assert found == torch.device("cuda", 3)
    assert loop.data_device(found) == found
    assert loop.find_device(changed(RECIPE, ("device=cpu",))) == torch.device("cpu")


def test_without_double_precision_scenarios_are_made_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    found = loop.find_device(RECIPE)
    assert (found.type, loop.data_device(found).type) == ("mps", "cpu")
