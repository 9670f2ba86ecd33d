"""What updates the weights: AdamW, or Muon for the matrices and AdamW for the rest."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from saafe.recipes import Recipe
from saafe.threads import Workers

MOMENTUM = 0.95
# Chosen on simulation: Muon's peak rate, in learning rates of the recipe
MUON_RATE = 2.0
# Jordan's quintic, which takes singular values of 0 to 1 to about 1 within five rounds
COEFFICIENTS, ROUNDS = (3.4445, -4.7750, 2.0315), 5
EPS = 1e-7


def make_optimizer(
    recipe: Recipe, weights: Mapping[str, Tensor], workers: Workers | None = None
) -> torch.optim.Optimizer:
    """The recipe's optimizer of named weights; each has the dimensions of one model, or of several.

    Weights of several models are stacked: (seed, ...). Weights of one dimension do not decay.
    Workers share Muon's arithmetic.
    """
    first = next(iter(weights.values()))
    stacked = int(weights["head.weight"].ndim > 2)
    decayed = {name: w for name, w in weights.items() if w.ndim - stacked > 1}
    others = [w for name, w in weights.items() if name not in decayed]
    is_muon = recipe.optimizer == "muon"
    matrices = [w for name, w in decayed.items() if is_muon and is_inner(name)]
    rest = [w for name, w in decayed.items() if not (is_muon and is_inner(name))]
    adamw = torch.optim.AdamW(
        [{"params": rest, "weight_decay": recipe.weight_decay},
         {"params": others, "weight_decay": 0.0}],
        lr=rate_of(recipe.learning_rate, first), betas=(recipe.beta1, recipe.beta2),
        fused=True, capturable=first.is_cuda,
    )  # fmt: skip
    if not matrices:
        return adamw
    rate = rate_of(MUON_RATE * recipe.learning_rate, first)
    return Together([adamw, Muon(matrices, rate, recipe.weight_decay, workers)])


def peak_rates(optimizer: torch.optim.Optimizer, recipe: Recipe) -> list[float]:
    """The peak learning rate of each of the optimizer's groups."""
    if not isinstance(optimizer, Together):
        return [recipe.learning_rate] * len(optimizer.param_groups)
    return [
        recipe.learning_rate * (MUON_RATE if isinstance(part, Muon) else 1.0)
        for part in optimizer.parts
        for _ in part.param_groups
    ]


def rate_of(value: float, like: Tensor) -> float | Tensor:
    """A learning rate; a CUDA graph reads it from the device at every replay."""
    return torch.tensor(value, device=like.device) if like.is_cuda else value


def is_inner(name: str) -> bool:
    """Whether a matrix lies between layers: neither the first that readings meet nor the last."""
    return name.startswith(("blocks.", "now_"))


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are made orthogonal before they are applied.

    Steps are as large as AdamW's, in the root mean square. No step waits for a GPU, so that a
    CUDA graph can record it: `torch.optim.Muon` reads its rate on the CPU.

    Source:
        K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks," 2024; J. Liu et
        al., "Muon is scalable for LLM training," arXiv:2502.16982, 2025.
    """

    def __init__(
        self, matrices: Sequence[Tensor], lr: float | Tensor, weight_decay: float,
        workers: Workers | None = None,
    ) -> None:  # fmt: skip
        """Take matrices, or stacks of them: (..., m, n)."""
        self.workers = workers or Workers(0)
        super().__init__(list(matrices), {"lr": lr, "weight_decay": weight_decay})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix; those of one shape together, several shapes at once."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            largest_first = sorted(alike.values(), key=work_of, reverse=True)
            self.workers.together([partial(self.move, group, some) for some in largest_first])

    @torch.no_grad()  # here: each thread has a grad mode of its own
    def move(self, group: dict[str, Any], matrices: Sequence[Tensor]) -> None:
        """Update matrices of one shape."""
        steps = orthogonal(torch.stack([self.momentum(matrix) for matrix in matrices]))
        steps *= 0.2 * max(matrices[0].shape[-2:]) ** 0.5 * group["lr"]
        for matrix, step in zip(matrices, steps.unbind(), strict=True):
            matrix.mul_(1.0 - group["lr"] * group["weight_decay"]).sub_(step)

    def momentum(self, matrix: Tensor) -> Tensor:
        """The matrix's mean gradient so far, a step ahead (Nesterov)."""
        gradient = matrix.grad if matrix.grad is not None else torch.zeros_like(matrix)
        mean = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
        return gradient.lerp(mean.lerp_(gradient, 1.0 - MOMENTUM), MOMENTUM)


def work_of(matrices: Sequence[Tensor]) -> int:
    """How much `orthogonal` has to do for matrices of one shape, in products."""
    return sum(matrix.numel() for matrix in matrices) * min(matrices[0].shape[-2:])


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices of the same singular vectors whose singular values are about 1. (..., m, n)

    By Newton-Schulz rounds; values come out between 0.7 and 1.2, which is near enough (Jordan).
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=EPS)
    a, b, c = COEFFICIENTS
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if is_tall else x


class Together(torch.optim.Optimizer):
    """Several optimizers that step as one; a schedule sets the rates of all."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        """Take optimizers of different weights."""
        self.parts = list(parts)
        super().__init__([group for part in parts for group in part.param_groups], {})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Step each."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of all, by number."""
        return {str(k): part.state_dict() for k, part in enumerate(self.parts)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up states that `state_dict` gave."""
        for k, part in enumerate(self.parts):
            part.load_state_dict(state_dict[str(k)])
        self.param_groups = [group for part in self.parts for group in part.param_groups]
