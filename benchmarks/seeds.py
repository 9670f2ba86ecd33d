"""Many seeds of one recipe trained at once, for statistics.

A model this small leaves a GPU idle: as many seeds as fit are trained as one batched model, each
with weights, windows, gradients and clipping of its own.
"""

import copy
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from saafe.recipes import Recipe
from saafe.training.data import WindowSet, epoch_windows, held_out_windows
from saafe.training.distributed import World
from saafe.training.loop import (
    autocast,
    class_loss,
    data_device,
    start_fit,
    start_schedule,
)
from saafe.training.model import FireTransformer
from saafe.training.optimizers import make_optimizer
from saafe.training.thresholds import logits_of


@dataclass(frozen=True)
class SeedFits:
    """What came out of many seeds.

    Attributes:
        models: one a seed, uncalibrated.
        held_out_loss: each on the held-out windows of its own seed. (seed,)
        train_s: time in optimizer steps, without simulation. [s]
    """

    models: list[FireTransformer]
    held_out_loss: list[float]
    train_s: float


def fit_seeds(recipe: Recipe, seeds: list[int], device: torch.device) -> SeedFits:
    """Train one recipe with several seeds at once.

    Dropout differs in its draws from a single fit's; all else is as in `training.train_on`,
    but for the running mean of the weights and loss scaling, which are left out.

    Args:
        recipe: of every fit; its own seed is ignored.
        seeds: at least one.
        device: where to train.
    """
    each = [replace(recipe, seed=seed) for seed in seeds]
    models = [start_fit(one, device).model.train() for one in each]
    skeleton = copy.deepcopy(models[0]).to("meta")
    weights, buffers = stack_module_state(models)  # (seed, ...)
    optimizer = make_optimizer(recipe, weights)
    schedule = start_schedule(optimizer, recipe, recipe.epochs)

    def loss_of(weights: dict, buffers: dict, windows: Tensor, labels: Tensor) -> Tensor:
        # the plain formula: fused kernels of attention have no batching rule on CPUs
        with autocast(recipe, device), sdpa_kernel(SDPBackend.MATH):
            logits = functional_call(skeleton, (weights, buffers), (windows,))[:, 0]
        return class_loss(logits, labels, recipe) / len(labels)

    losses_of = vmap(loss_of, randomness="different")
    source, train_s = data_device(device), 0.0
    for epoch in range(recipe.epochs):
        data = stacked([epoch_windows(one, epoch, source, World()) for one in each]).to(device)
        began = time.perf_counter()
        for k in range(recipe.windows // recipe.batch):
            here = slice(k * recipe.batch, (k + 1) * recipe.batch)
            losses = losses_of(weights, buffers, data.windows[:, here], data.labels[:, here])
            losses.sum().backward()  # seeds share no weight, so each gets its own gradient
            clip_each(list(weights.values()))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        train_s += time.perf_counter() - began
    for k, model in enumerate(models):
        state = {n: w[k].detach() for n, w in (weights | buffers).items()}
        model.load_state_dict(state)
    held_out = [held_out_windows(one, source).to(device) for one in each]
    loss = [
        F.cross_entropy(logits_of(model, held.windows), held.labels).item()
        for model, held in zip(models, held_out, strict=True)
    ]
    return SeedFits(models, loss, train_s)


def stacked(parts: list[WindowSet]) -> WindowSet:
    """Sets of one size, with the seed as first dimension."""
    return WindowSet(
        *(torch.stack([getattr(p, name) for p in parts]) for name in ("windows", "labels", "group"))
    )


def clip_each(weights: list[Tensor], most: float = 1.0) -> None:
    """Clip the gradient norm of every seed by itself; see `torch.nn.utils.clip_grad_norm_`."""
    gradients = [w.grad for w in weights if w.grad is not None]
    norms = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients]).sum(dim=0).sqrt()
    factor = (most / (norms + 1e-6)).clamp(max=1.0)  # (seed,)
    for gradient in gradients:
        gradient *= factor.view(-1, *[1] * (gradient.ndim - 1))
