"""A recorded step is the step."""

from dataclasses import dataclass

import pytest
import torch

from saafe.recipes import changed, find_tier
from saafe.training import loop
from saafe.training.data import epoch_windows
from saafe.training.distributed import World
from saafe.training.graphs import WARM_CALLS, Graphed

RECIPE = changed(
    find_tier("ultra-fast"), ("width=16", "layers=1", "heads=2", "batch=64", "windows=512")
)


@dataclass
class Pair:
    """A batch."""

    x: torch.Tensor
    y: torch.Tensor


def test_off_the_gpu_it_is_the_function() -> None:
    step = Graphed(lambda pair: (pair.x * pair.y).sum())
    for k in range(WARM_CALLS + 3):
        assert step(Pair(torch.full((4,), float(k)), torch.ones(4))).item() == 4.0 * k
    assert step.graph is None


def losses(recipe, data, *, graphed: bool) -> torch.Tensor:
    fit = loop.start_fit(recipe, data.labels.device)
    if not graphed:
        fit.graphed = Graphed(lambda batch: loop.update_weights(fit, recipe, batch, World()))
        fit.graphed.calls = -(10**9)  # for ever in the steps before the recording
    return torch.cat([loop.train_on(fit, recipe, data, World()) for _ in range(3)])


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_graphed_losses_equal_eager_ones(precision: str) -> None:
    device = torch.device("cuda")
    recipe = changed(RECIPE, (f"precision={precision}", "dropout=0"))
    data = epoch_windows(recipe, 0, device, World())
    one, two = (losses(recipe, data, graphed=graphed) for graphed in (True, False))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-3)
    assert one[-1] < one[0]


@pytest.mark.gpu
def test_no_word_between_cpu_and_gpu_within_an_epoch() -> None:
    device = torch.device("cuda")
    data = epoch_windows(RECIPE, 0, device, World())
    fit = loop.start_fit(RECIPE, device)
    loop.train_on(fit, RECIPE, data, World())
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = loop.train_on(fit, RECIPE, data, World())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert fit.graphed is not None
    assert fit.graphed.graph is not None, "these steps were replays"
    assert loss.isfinite().all()
