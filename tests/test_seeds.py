"""Seeds trained at once come out as if trained one by one."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from saafe.recipes import changed, find_tier
from saafe.training import data, loop
from saafe.training.distributed import World

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from seeds import clip_each, fit_seeds

CPU = torch.device("cpu")
RECIPE = changed(
    find_tier("ultra-fast"),
    ("width=16", "layers=1", "heads=2", "batch=32", "windows=64", "epochs=2", "streams=16",
     "held_out=32", "dropout=0"),
)  # fmt: skip


def test_together_equals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "PART_STREAMS", 16)
    together = fit_seeds(RECIPE, [3, 5], CPU)
    assert len(together.held_out_loss) == 2
    assert together.train_s > 0.0
    for seed, model in zip((3, 5), together.models, strict=True):
        alone = replace(RECIPE, seed=seed)
        fit = loop.start_fit(alone, CPU)
        for epoch in range(2):
            loop.train_on(fit, alone, data.epoch_windows(alone, epoch, CPU, World()), World())
        for one, other in zip(model.parameters(), fit.model.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=2e-4)


def test_each_seed_is_clipped_by_itself() -> None:
    weights = [torch.zeros(2, 3, 4, requires_grad=True), torch.zeros(2, 5, requires_grad=True)]
    alone = [torch.zeros(3, 4, requires_grad=True), torch.zeros(5, requires_grad=True)]
    random = torch.Generator().manual_seed(0)
    for weight, single in zip(weights, alone, strict=True):
        weight.grad = torch.randn(weight.shape, generator=random)
        single.grad = weight.grad[1].clone()
        weight.grad[0] *= 1e-3
    small = [weight.grad[0].clone() for weight in weights if weight.grad is not None]
    clip_each(weights)
    torch.nn.utils.clip_grad_norm_(alone, 1.0)
    for weight, single, kept in zip(weights, alone, small, strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad[1], single.grad)
        torch.testing.assert_close(weight.grad[0], kept)
