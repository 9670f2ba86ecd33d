"""One visible training loop."""

import copy
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from saafe.detector import AlarmSettings
from saafe.errors import InputError, as_given
from saafe.recipes import Recipe
from saafe.threads import Workers, spare_threads
from saafe.training.data import (
    WindowSet,
    blocks_ahead,
    blocks_of,
    held_out_windows,
    steps_of,
)
from saafe.training.distributed import World, joined, mean_gradients, total
from saafe.training.graphs import Graphed
from saafe.training.model import FireTransformer
from saafe.training.optimizers import make_optimizer, peak_rates
from saafe.training.thresholds import (
    OnShare,
    calibrate,
    logits_of,
    own_thresholds,
    reference_streams,
    unheard,
)

# On a CPU a batch of this many windows is computed in so many pieces, however many cores there are.
# Four would take two cores 8 % longer (17 % of a tiny model)
LEAST_SHARED, PIECES = 128, 2
WATCHED = 3  # every third held-out window tells when to stop; all of them calibrate

# from logits (window, class) and labels int64 (window,), summed over windows
Loss = Callable[[Tensor, Tensor, Recipe], Tensor]


@dataclass
class Fit:
    """What a fit consists of while it runs; a checkpoint holds all of it."""

    model: FireTransformer
    averaged: FireTransformer  # running mean of the weights
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    epochs: int  # to train, at most
    workers: Workers  # they share an update on a CPU
    epoch: int = 0
    best_loss: float = math.inf
    best: dict[str, Tensor] | None = None
    stale: int = 0  # epochs since the best
    last_loss: float = math.inf  # on the watched windows
    graphed: Graphed | None = None  # the whole update as one launch
    loss: Loss | None = None  # of a part of a batch; `class_loss` for None


@dataclass(frozen=True)
class Progress:
    """Where a fit stands, for those who watch."""

    epoch: int  # counts from 1
    epochs: int
    step: int  # optimizer steps so far
    steps: int
    loss: float  # mean of the epoch's training windows
    accuracy: float  # on the held-out scenarios
    held_out_loss: float  # on the held-out scenarios
    samples_per_s: float  # training windows a second since it began, simulation included
    left_s: float  # estimated time to the last epoch


def start_fit(recipe: Recipe, device: torch.device, workers: Workers | None = None) -> Fit:
    """A model with fresh weights, its optimizer and its schedule."""
    workers = workers or Workers(0)
    torch.manual_seed(recipe.seed)  # weights and dropout
    model = FireTransformer(recipe).to(device)
    optimizer = make_optimizer(recipe, dict(model.named_parameters()), workers)
    schedule = start_schedule(optimizer, recipe, recipe.epochs)
    scaler = torch.amp.GradScaler(device.type, enabled=precision(recipe, device) == "fp16")
    return Fit(model, copy.deepcopy(model), optimizer, schedule, scaler, recipe.epochs, workers)


def start_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, epochs: int, *, done: int = 0
) -> torch.optim.lr_scheduler.LRScheduler:
    """One cycle over so many epochs, of which some steps are done."""
    steps, warmup = max(2, epochs * steps_of(recipe)), recipe.warmup
    if math.isclose(warmup * steps, 1.0):  # a peak at the first step would be divided by zero
        warmup = 1.5 / steps
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak_rates(optimizer, recipe), total_steps=steps,
        pct_start=warmup, last_epoch=done - 1,
        cycle_momentum=False,  # else it would replace beta1
    )  # fmt: skip


def shorten_to_hours(fit: Fit, recipe: Recipe, epoch_s: float, world: World) -> None:
    """Train no more epochs than the recipe's hours hold, by the time [s] of the first one here."""
    device = next(fit.model.parameters()).device
    mean_s = total(torch.tensor(epoch_s, device=device), world).item() / world.size
    fit.epochs = max(1, min(recipe.epochs, int(3600.0 * recipe.hours / mean_s)))
    done = fit.schedule.last_epoch
    fit.schedule = start_schedule(fit.optimizer, recipe, fit.epochs, done=done)


def precision(recipe: Recipe, device: torch.device) -> str:
    """The number format that "auto" means on this device."""
    if recipe.precision != "auto":
        return recipe.precision
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def autocast(recipe: Recipe, device: torch.device):
    """The context that a forward pass runs in."""
    formats = {"bf16": torch.bfloat16, "fp16": torch.float16}
    name = precision(recipe, device)
    return torch.autocast(device.type, formats[name]) if name in formats else nullcontext()


def find_device(recipe: Recipe) -> torch.device:
    """The device that a recipe trains on."""
    if recipe.device != "auto":
        return torch.device(recipe.device)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def data_device(device: torch.device) -> torch.device:
    """Where scenarios are simulated: where the model is, but MPS lacks double precision."""
    return torch.device("cpu") if device.type == "mps" else device


def update_weights(fit: Fit, recipe: Recipe, batch: WindowSet, world: World) -> Tensor:
    """Forward, backward, and an update of the weights; no word between the CPU and a GPU.

    Returns the mean loss of this rank's share, a scalar left on the device.
    """
    fit.scaler.scale(torch.ones((), device=batch.labels.device))  # ready before threads share it
    made = fit.workers.together(
        [partial(gradients_of, fit, recipe, batch, pieces, world)
         for pieces in shares_of(recipe, batch, world)]
    )  # fmt: skip
    # added in order, whoever made them; .item() here would make the CPU wait on every step
    loss = sum((part for part, _ in made), torch.zeros((), device=batch.labels.device))
    for weight, *parts in zip(fit.model.parameters(), *(each for _, each in made), strict=True):
        weight.grad = reduce(torch.add, parts)
    mean_gradients(fit.model, world)
    fit.scaler.unscale_(fit.optimizer)
    nn.utils.clip_grad_norm_(fit.model.parameters(), max_norm=1.0)
    fit.scaler.step(fit.optimizer)  # skips the step where a scaled gradient overflowed
    fit.scaler.update()
    fit.optimizer.zero_grad(set_to_none=True)
    return loss


def shares_of(recipe: Recipe, batch: WindowSet, world: World) -> list[list[slice]]:
    """The pieces of a global batch that this rank computes: its share, in `accumulate` parts.

    On a CPU in several lists, so that cores share them. Dropout draws in order: one list.
    """
    size, pieces = len(batch.labels), world.size * recipe.accumulate
    apart = batch.labels.device.type == "cpu" and recipe.dropout == 0.0
    if apart and pieces == 1 and size >= LEAST_SHARED:
        pieces = PIECES
    mine = [
        slice(k * size // pieces, (k + 1) * size // pieces)
        for k in range(world.rank, pieces, world.size)
    ]
    return [mine[k::PIECES] for k in range(min(PIECES, len(mine)))] if apart else [mine]


def gradients_of(
    fit: Fit, recipe: Recipe, batch: WindowSet, pieces: Sequence[slice], world: World
) -> tuple[Tensor, list[Tensor]]:
    """What pieces add to a batch's mean loss (), and to its gradient of each of the weights."""
    loss_of, weights = fit.loss or class_loss, list(fit.model.parameters())
    loss = torch.zeros((), device=batch.labels.device)
    gradients: list[Tensor] = []
    for piece in pieces:
        with autocast(recipe, batch.labels.device):
            logits = fit.model(batch.windows[piece])[:, 0]  # (piece, class)
        part = loss_of(logits, batch.labels[piece], recipe) * (world.size / len(batch.labels))
        each = torch.autograd.grad(fit.scaler.scale(part), weights)
        if gradients:
            for total_so_far, more in zip(gradients, each, strict=True):
                total_so_far += more
        else:
            gradients = list(each)
        loss += part.detach()
    return loss, gradients


def class_loss(logits: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Cross entropy summed over windows, of logits (window, class) and labels int64 (window,)."""
    return F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing, reduction="sum")


def average_weights(fit: Fit, recipe: Recipe) -> None:
    """Move the running mean towards the weights."""
    step = fit.schedule.last_epoch
    kept = min(recipe.averaging, (1 + step) / (10 + step))  # early means are short
    average = get_ema_multi_avg_fn(kept)  # all weights in one launch
    average(list(fit.averaged.parameters()), list(fit.model.parameters()), step)


def train_on(fit: Fit, recipe: Recipe, data: WindowSet, world: World) -> Tensor:
    """One pass over windows in batches; returns the mean loss of every step. (step,)"""
    fit.model.train()
    if fit.graphed is None:
        fit.graphed = Graphed(lambda batch: update_weights(fit, recipe, batch, world))
    # NCCL and loss scaling decide at every step: they are left out of graphs
    alone = world.size == 1 and not fit.scaler.is_enabled()
    step = fit.graphed if alone and data.labels.is_cuda else fit.graphed.body
    losses = []
    for k in range(len(data.labels) // recipe.batch):
        batch = data.rows(slice(k * recipe.batch, (k + 1) * recipe.batch))
        losses.append(step(batch))
        fit.schedule.step()
        average_weights(fit, recipe)
    return total(torch.stack(losses), world) / world.size


def fit_detector(
    recipe: Recipe,
    *,
    on_epoch: Callable[[Progress], None] = lambda _: None,
    on_checkpoint: Callable[[Fit], None] = lambda _: None,
    on_thresholds: OnShare = unheard,
    resumed: dict[str, Any] | None = None,
) -> tuple[FireTransformer, AlarmSettings]:
    """Fit, calibrate and set the thresholds of one detector.

    Args:
        recipe: what to do.
        on_epoch: called after every epoch.
        on_checkpoint: called with the fit after every epoch, to write a checkpoint.
        on_thresholds: takes the share of the thresholds' time that is over.
        resumed: a checkpoint's contents.
    """
    device = find_device(recipe)
    source = data_device(device)
    with joined(device) as world, Workers(spare_threads(source)) as workers:
        # an MPS model's work is one queue, though the CPU simulates beside it
        sharing = workers if device.type == "cpu" else None
        fit = start_fit(recipe, device, sharing)
        if resumed is not None:
            load_state(fit, resumed)
        held_out = held_out_windows(recipe, source, workers).to(device)
        watched = held_out.rows(slice(None, None, WATCHED))
        reference = reference_streams(recipe, source, world, workers)
        feed = blocks_ahead(recipe, fit.epoch, source, world, workers)
        first, began = fit.epoch, time.perf_counter()
        last = began
        while fit.epoch < fit.epochs and (recipe.fresh or fit.stale < recipe.patience):
            blocks = (next(feed).to(device) for _ in range(blocks_of(recipe)))
            losses = torch.cat([train_on(fit, recipe, block, world) for block in blocks])
            logits = logits_of(fit.averaged, watched.windows, sharing)
            loss = F.cross_entropy(logits, watched.labels).item()
            note_epoch(fit, loss, keep_best=not recipe.fresh)
            now = time.perf_counter()
            epoch_s, last = now - last, now
            if recipe.hours and fit.epoch == 1:
                shorten_to_hours(fit, recipe, epoch_s, world)
            if world.leads:
                right = logits.argmax(1) == watched.labels
                mean_s = (now - began) / (fit.epoch - first)
                on_epoch(progress_of(fit, recipe, losses, right, mean_s, epoch_s))
                on_checkpoint(fit)
        if fit.best is not None:
            fit.averaged.load_state_dict(fit.best)
        calibrate(fit.averaged, held_out)
        model, streams = fit.averaged.eval(), [part() for part in reference]
        settings = own_thresholds(model, recipe, streams, world, workers, on_share=on_thresholds)
        return model, settings


def progress_of(
    fit: Fit, recipe: Recipe, losses: Tensor, right: Tensor, mean_s: float, last_s: float
) -> Progress:
    """Where a fit stands after an epoch that took `last_s` [s], as those to come will.

    `losses` are of the epoch's steps (step,); `right`, which watched windows were right (window,).
    Epochs took `mean_s` [s] so far: later ones, that show windows again, simulate nothing.
    """
    steps = steps_of(recipe)
    return Progress(
        epoch=fit.epoch,
        epochs=fit.epochs,
        step=fit.epoch * steps,
        steps=fit.epochs * steps,
        loss=losses.mean().item(),
        accuracy=right.float().mean().item(),
        held_out_loss=fit.last_loss,
        samples_per_s=recipe.windows / mean_s,
        left_s=last_s * (fit.epochs - fit.epoch),
    )


def note_epoch(fit: Fit, loss: float, *, keep_best: bool) -> None:
    """Count an epoch, and remember its weights if they are to be kept and the best so far.

    New windows every epoch cannot be learnt by heart: there the schedule runs to its end, and its
    last weights are the model. Their held-out loss moves by chance: to keep the lowest one keeps
    weights of any epoch, at a learning rate that has not come down.
    """
    fit.epoch += 1
    fit.stale += 1
    fit.last_loss = loss
    if loss < fit.best_loss:
        fit.best_loss, fit.stale = loss, 0
        if keep_best:
            fit.best = {name: t.detach().clone() for name, t in fit.averaged.state_dict().items()}


def on_gpu(fit: Fit) -> bool:
    """Whether a fit runs on a CUDA device."""
    return next(fit.model.parameters()).is_cuda


def state_of(fit: Fit) -> dict[str, Any]:
    """Everything a fit needs to go on, as tensors and plain values."""
    return {
        "model": fit.model.state_dict(),
        "averaged": fit.averaged.state_dict(),
        "best": fit.best or {},
        "optimizer": fit.optimizer.state_dict(),
        "schedule": fit.schedule.state_dict(),
        "scaler": fit.scaler.state_dict(),
        "random": torch.get_rng_state(),
        "random_gpu": torch.cuda.get_rng_state() if on_gpu(fit) else torch.empty(0),
        "epochs": fit.epochs,
        "epoch": fit.epoch,
        "best_loss": fit.best_loss,
        "stale": fit.stale,
    }


def load_state(fit: Fit, state: dict[str, Any]) -> None:
    """Take up a fit where `state_of` left it.

    Raises:
        InputError: it is a fit of a model of other layers, as of another version.
    """
    try:
        fit.model.load_state_dict(state["model"])
        fit.averaged.load_state_dict(state["averaged"])
    except RuntimeError:
        raise InputError(
            "the checkpoint is of another version's model; start afresh with another "
            + as_given("--name", "name")
        ) from None
    fit.optimizer.load_state_dict(state["optimizer"])
    fit.schedule.load_state_dict(state["schedule"])
    fit.scaler.load_state_dict(state["scaler"])
    fit.best = state["best"] or None
    fit.epochs = state.get("epochs", fit.epochs)  # absent in checkpoints of version 0.1.0
    fit.epoch, fit.best_loss, fit.stale = state["epoch"], state["best_loss"], state["stale"]
    torch.set_rng_state(state["random"])
    if on_gpu(fit):
        if len(state["random_gpu"]):  # none, where a CPU began the fit
            torch.cuda.set_rng_state(state["random_gpu"])
        for group in fit.optimizer.param_groups:
            group["lr"] = torch.as_tensor(group["lr"]).cuda()  # where a CUDA graph reads it
