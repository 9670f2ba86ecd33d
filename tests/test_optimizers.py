"""Muon, and AdamW beside it."""

import copy
from dataclasses import replace

import pytest
import torch

from saafe.recipes import TIERS, find_tier
from saafe.training.loop import start_schedule
from saafe.training.model import FireTransformer
from saafe.training.optimizers import (
    Muon,
    Together,
    is_inner,
    make_optimizer,
    orthogonal,
    peak_rates,
)

SHAPES = [(8, 8), (24, 8), (8, 24), (8, 24), (1, 5), (7, 1)]


def matrices(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_singular_values_come_near_one(size: float) -> None:
    for matrix in matrices():
        was = torch.linalg.svdvals(matrix)
        now = torch.linalg.svdvals(orthogonal(size * matrix))
        # the smallest ones take more rounds
        assert now[was > 0.2 * was[0]].min() > 0.5
        assert now.max() < 1.3


def test_a_matrix_of_zeros_stays_one() -> None:
    assert orthogonal(torch.zeros(3, 4, 6)).abs().max() == 0.0


def test_a_stack_is_each_of_its_matrices() -> None:
    stack = torch.randn(5, 24, 8, generator=torch.Generator().manual_seed(0))
    each = torch.stack([orthogonal(matrix) for matrix in stack])
    torch.testing.assert_close(orthogonal(stack), each)


def test_muon_is_that_of_torch() -> None:
    ours, theirs = matrices(), matrices()
    mine = Muon(ours, 0.01, 0.1)
    reference = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        for a, b, gradient in zip(ours, theirs, matrices(step + 1), strict=True):
            a.grad, b.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    for a, b, start in zip(ours, theirs, matrices(), strict=True):
        moved = (b - start).norm()
        assert (a - b).norm() < 0.02 * moved, "torch rounds to 8 bits of mantissa in each round"


def test_a_rate_may_be_a_tensor_as_on_a_gpu() -> None:
    by_float, by_tensor = matrices(), matrices()
    for chosen, rate in ((by_float, 0.01), (by_tensor, torch.tensor(0.01))):
        optimizer = Muon(chosen, rate, 0.1)
        for matrix, gradient in zip(chosen, matrices(1), strict=True):
            matrix.grad = gradient
        optimizer.step()
    for a, b in zip(by_float, by_tensor, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_weight_is_updated_once_and_vectors_do_not_decay(tier: str, name: str) -> None:
    recipe = replace(find_tier(tier), optimizer=name)
    weights = dict(FireTransformer(recipe).named_parameters())
    optimizer = make_optimizer(recipe, weights)
    known = [id(w) for group in optimizer.param_groups for w in group["params"]]
    assert sorted(known) == sorted(id(w) for w in weights.values())
    decay = {id(w): g["weight_decay"] for g in optimizer.param_groups for w in g["params"]}
    for label, weight in weights.items():
        expected = recipe.weight_decay if weight.ndim > 1 else 0.0
        assert decay[id(weight)] == expected, label
    muon = [p for p in getattr(optimizer, "parts", []) if isinstance(p, Muon)]
    inner = {id(w) for label, w in weights.items() if w.ndim == 2 and is_inner(label)}
    assert {id(w) for p in muon for g in p.param_groups for w in g["params"]} == (
        inner if name == "muon" else set()
    )


def test_a_schedule_sets_the_rates_of_all() -> None:
    recipe = replace(find_tier("tiny"), optimizer="muon", epochs=1, windows=640, batch=64)
    optimizer = make_optimizer(recipe, dict(FireTransformer(recipe).named_parameters()))
    schedule = start_schedule(optimizer, recipe, 1)
    seen = []
    for _ in range(10):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    highest = [max(rates) for rates in zip(*seen, strict=True)]
    assert highest == pytest.approx(peak_rates(optimizer, recipe), rel=0.2)
    assert isinstance(optimizer, Together)
    assert [group["lr"] for group in optimizer.parts[1].param_groups] == [
        optimizer.param_groups[2]["lr"]
    ]


def test_a_state_that_is_taken_up_goes_on_as_it_would_have() -> None:
    recipe = replace(find_tier("tiny"), optimizer="muon")
    torch.manual_seed(0)
    model = FireTransformer(recipe)
    optimizer = make_optimizer(recipe, dict(model.named_parameters()))

    def step(model: FireTransformer, optimizer: torch.optim.Optimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for weight in model.parameters():
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()

    step(model, optimizer, 1)
    other = copy.deepcopy(model)
    again = make_optimizer(recipe, dict(other.named_parameters()))
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    again.param_groups[0]["lr"] = optimizer.param_groups[0]["lr"] = 0.1  # a schedule's
    for one, optimizer_of in ((model, optimizer), (other, again)):
        step(one, optimizer_of, 2)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
