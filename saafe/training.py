"""One visible training loop, and what it needs: windows, calibration, thresholds. Layer 4."""

import copy
import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saafe import simulation
from saafe.alarms import AlarmSettings
from saafe.distributed import World, joined, mean_gradients, share, total
from saafe.model import FireTransformer, RiskModel
from saafe.recipes import Recipe
from saafe.sensors import FIRE, LABELS, NORMAL, NUISANCE
from saafe.simulation import Mix, Streams
from saafe.windows import SPAN

# seeds of the data sets: what trains never validates, calibrates or sets a threshold
TRAIN, HELD_OUT, QUIET, DENSE, SHUFFLE, JUDGE, SHIFTED = range(7)
PART_STREAMS = 128  # scenarios simulated at once
TRAIN_HOURS = 2.25  # length of a training stream: a window and a little more
TRAIN_SENSORS = 4  # views of each scenario: twice as many cost a quarter more
DENSE_STREAMS, QUIET_STREAMS = 768, 128  # that set the thresholds
DENSE_SHARE = 0.01  # of the dense streams may alarm
CLASS_SHARES = {NORMAL: 0.35, NUISANCE: 0.35, FIRE: 0.30}  # of the training windows
SHORT_SHARE = 0.4  # of windows know less than their full history, whatever their class
SHORTEST_BINS, HALF_SPAN = 2, SPAN // 2
# the exam's reference mix: risk is the probability of fire under it
REFERENCE_MIX = {NORMAL: 0.5, NUISANCE: 0.3, FIRE: 0.2}


@dataclass(frozen=True)
class WindowSet:
    """Windows with their labels.

    Attributes:
        windows: (window, 60, 1, 6), NaN where missing.
        labels: int64 (window,)
        group: scenario of each window, which never straddles a split. int64 (window,)
    """

    windows: Tensor
    labels: Tensor
    group: Tensor


def seeded(seed: int, purpose: int, part: int, device: torch.device) -> torch.Generator:
    """A generator of its own for one part of one data set."""
    generator = torch.Generator(device=device)
    generator.manual_seed(((seed * 8 + purpose) * 1_000_003 + part) % 2**63)
    return generator


def sample_windows(
    streams: Streams,
    count: int,
    generator: torch.Generator,
    *,
    shares: dict[int, float] | None = None,
) -> WindowSet:
    """Draw labelled windows so that only the readings tell the classes apart.

    Every class gets the same mix of history lengths and of missing channels, else a model
    could read the class off them.

    Args:
        streams: simulated scenarios.
        count: windows.
        generator: source of randomness.
        shares: of the classes, moments drawn evenly in time; by default training's shares, and
            moments soon after something has become visible more often.

    Returns:
        The windows, classes mixed.
    """
    device = streams.readings.device
    lengths = torch.rand(count, generator=generator, device=device)
    short = int(SHORT_SHARE * count)
    log_length = math.log(SHORTEST_BINS) + lengths * math.log(HALF_SPAN / SHORTEST_BINS)
    length = log_length.exp().long()
    length[short:] = SPAN
    label = torch.empty(count, dtype=torch.int64, device=device)
    chosen = torch.empty(count, 3, dtype=torch.int64, device=device)
    for first, last, earliest in ((0, short, HALF_SPAN), (short, count, SPAN - 1)):
        label[first:last], chosen[first:last] = pick_windows(
            streams, last - first, earliest, generator, shares
        )
    stream, end, sensor = chosen.unbind(1)
    windows = simulation.gather(streams.readings, stream, end, sensor, end - length + 1)
    return WindowSet(windows, label, stream)


def pick_windows(
    streams: Streams,
    count: int,
    earliest: int,
    generator: torch.Generator,
    shares: dict[int, float] | None,
) -> tuple[Tensor, Tensor]:
    """Labels (count,) and (stream, end, sensor) (count, 3) of windows that end late enough."""
    labels = streams.labels.where(simulation.reporting(streams), -1)[:, earliest:]
    present = ~torch.isnan(streams.readings).all(dim=1)  # (n, sensor, channel)
    bits = 2 ** torch.arange(present.shape[-1], device=labels.device)
    pattern = (present * bits).sum(dim=-1)  # (n, sensor)
    patterns = 2 ** present.shape[-1]
    everywhere = torch.bincount(pattern.flatten(), minlength=patterns).float()
    out_labels, out_places = [], []
    found = {kind: (labels == kind).nonzero() for kind in shares or CLASS_SHARES}
    # a handful of scenarios may lack a class: the others take its share
    wanted = {k: p for k, p in (shares or CLASS_SHARES).items() if len(found[k])}
    assert wanted, "no scenario shows anything: simulate more"
    left, whole = count, sum(wanted.values())
    for kind, portion in wanted.items():
        places = found[kind]
        number = left if kind == list(wanted)[-1] else round(portion / whole * count)
        left -= number
        which = pattern[places[:, 0], places[:, 2]]
        here = torch.bincount(which, minlength=patterns).float()
        weight = (everywhere / here.clamp(min=1.0))[which]
        weight = weight * streams.hold_steps[places[:, 0], places[:, 2]]  # all sensors alike
        if kind != NORMAL and shares is None:
            weight = weight * freshness(streams.labels == kind, places, earliest)
        # multinomial takes at most 2^24 categories; cumulative search takes any number
        total = weight.double().cumsum(0)
        at = torch.rand(number, generator=generator, device=labels.device, dtype=torch.float64)
        index = torch.searchsorted(total, at * total[-1]).clamp(max=len(places) - 1)
        out_places.append(places[index])
        out_labels.append(torch.full((number,), kind, device=labels.device))
    places = torch.cat(out_places)
    places[:, 1] += earliest
    order = torch.randperm(count, generator=generator, device=labels.device)
    return torch.cat(out_labels)[order], places[order]


def freshness(is_kind: Tensor, places: Tensor, earliest: int) -> Tensor:
    """Weight of windows by how lately what they show became visible: early ones decide.

    Fires and nuisances are weighted alike, so that age alone says nothing.

    Args:
        is_kind: whether the label is this kind. bool (n, time, sensor)
        places: stream, end after `earliest`, and sensor. int64 (place, 3)
        earliest: first end considered.

    Returns:
        (age + 60 s)^-1 of the unbroken run, up to a constant. (place,)
    """
    index = torch.arange(is_kind.shape[1], device=is_kind.device).view(1, -1, 1)
    began = torch.where(is_kind, -1, index).cummax(dim=1).values  # last step before the run
    stream, end, sensor = places.unbind(1)
    age = end + earliest - began[stream, end + earliest, sensor]
    return 1.0 / (6.0 + age.float())


def epoch_windows(recipe: Recipe, epoch: int, device: torch.device, world: World) -> WindowSet:
    """The training windows of an epoch: new ones, or the one fixed set.

    The set is made of parts with seeds of their own. Ranks share the making of them, and all get
    the same set, so that it does not depend on how many ranks there are.
    """
    parts = max(1, round(recipe.streams / PART_STREAMS))
    count = math.ceil(recipe.windows / parts)
    mine = []
    # every rank makes as many parts; what goes beyond `parts` is dropped again
    for part in range(world.rank, math.ceil(parts / world.size) * world.size, world.size):
        number = parts * (epoch if recipe.fresh else 0) + part
        generator = seeded(recipe.seed, TRAIN, number, device)
        streams = simulation.simulate(
            PART_STREAMS, generator=generator, hours=TRAIN_HOURS, sensors=TRAIN_SENSORS
        )
        mine.append(sample_windows(streams, count, generator))
    windows = torch.cat(share([part.windows for part in mine], world)[:parts])
    labels = torch.cat(share([part.labels for part in mine], world)[:parts])
    group = torch.cat(share([part.group for part in mine], world)[:parts])
    # a batch mixes the parts
    order = torch.randperm(
        len(labels), generator=seeded(recipe.seed, SHUFFLE, epoch, device), device=device
    )[: recipe.windows]
    return WindowSet(windows[order], labels[order], group[order])


def held_out_windows(recipe: Recipe, device: torch.device) -> WindowSet:
    """Windows of scenarios that training never sees."""
    generator = seeded(recipe.seed, HELD_OUT, 0, device)
    streams = simulation.simulate(
        recipe.held_out, generator=generator, hours=TRAIN_HOURS, sensors=TRAIN_SENSORS
    )
    return sample_windows(streams, 12 * recipe.held_out, generator)


@dataclass
class Fit:
    """What a fit consists of while it runs; a checkpoint holds all of it."""

    model: FireTransformer
    averaged: FireTransformer  # running mean of the weights
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    epoch: int = 0
    best_loss: float = math.inf
    best: dict[str, Tensor] | None = None
    stale: int = 0  # epochs since the best


@dataclass(frozen=True)
class Progress:
    """Where a fit stands, for those who watch.

    Attributes:
        epoch, epochs: of the fit; epoch counts from 1.
        step, steps: optimizer steps so far and in all.
        loss: mean of the epoch's training windows.
        accuracy: on the held-out scenarios.
        held_out_loss: on the held-out scenarios.
        samples_per_s: training windows a second, their simulation included.
        left_s: estimated time to the last epoch.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    held_out_loss: float
    samples_per_s: float
    left_s: float


def start_fit(recipe: Recipe, device: torch.device) -> Fit:
    """A model with fresh weights, its optimizer and its schedule."""
    torch.manual_seed(recipe.seed)  # weights and dropout
    model = FireTransformer(recipe).to(device)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay},
         {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), fused=True,
    )  # fmt: skip
    steps = recipe.epochs * (recipe.windows // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=max(2, steps), pct_start=recipe.warmup,
        cycle_momentum=False,  # else it would replace beta1
    )  # fmt: skip
    scaler = torch.amp.GradScaler(device.type, enabled=precision(recipe, device) == "fp16")
    return Fit(model, copy.deepcopy(model), optimizer, schedule, scaler)


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


def train_step(fit: Fit, recipe: Recipe, batch: WindowSet, world: World) -> Tensor:
    """Take one optimizer step; returns the mean loss of this rank's share, on the device."""
    size = len(batch.labels)
    loss = torch.zeros((), device=batch.labels.device)
    # each rank computes its share of the global batch, in `accumulate` parts
    pieces = world.size * recipe.accumulate
    for k in range(world.rank, pieces, world.size):
        piece = slice(k * size // pieces, (k + 1) * size // pieces)
        with autocast(recipe, batch.labels.device):
            logits = fit.model(batch.windows[piece])[:, 0]  # (piece, class)
        part = F.cross_entropy(
            logits.float(), batch.labels[piece], label_smoothing=recipe.label_smoothing,
            reduction="sum",
        ) * (world.size / size)  # fmt: skip
        fit.scaler.scale(part).backward()
        loss += part.detach()  # .item() here would make the CPU wait on every step
    mean_gradients(fit.model, world)
    fit.scaler.unscale_(fit.optimizer)
    nn.utils.clip_grad_norm_(fit.model.parameters(), max_norm=1.0)
    fit.scaler.step(fit.optimizer)
    fit.scaler.update()
    fit.schedule.step()
    fit.optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        step = fit.schedule.last_epoch
        kept = min(recipe.averaging, (1 + step) / (10 + step))  # early means are short
        for mean, weight in zip(fit.averaged.parameters(), fit.model.parameters(), strict=True):
            mean.lerp_(weight, 1.0 - kept)
    return loss


def train_epoch(fit: Fit, recipe: Recipe, data: WindowSet, world: World) -> Tensor:
    """One pass over an epoch's windows; returns the mean loss of every step. (step,)"""
    fit.model.train()
    losses = []
    for k in range(recipe.windows // recipe.batch):
        here = slice(k * recipe.batch, (k + 1) * recipe.batch)
        batch = WindowSet(data.windows[here], data.labels[here], data.group[here])
        losses.append(train_step(fit, recipe, batch, world))
    return total(torch.stack(losses), world) / world.size


def logits_of(model: RiskModel, windows: Tensor) -> Tensor:
    """Class logits of many windows, without gradients. (window, class)"""
    model.eval()
    with torch.inference_mode():
        parts = [model(part)[:, 0].float() for part in windows.split(4096)]
    return torch.cat(parts).clone()


def train(
    recipe: Recipe,
    *,
    tell: Callable[[Progress], None] = lambda _: None,
    keep: Callable[[Fit], None] = lambda _: None,
    resumed: dict | None = None,
) -> tuple[FireTransformer, AlarmSettings]:
    """Fit, calibrate and set the thresholds of one detector.

    Args:
        recipe: what to do.
        tell: is told after every epoch.
        keep: is given the fit after every epoch, to write a checkpoint.
        resumed: a checkpoint's contents.

    Returns:
        The model with its calibrated risk, and the alarm settings.
    """
    device = find_device(recipe)
    with joined(device) as world:
        fit = start_fit(recipe, device)
        if resumed is not None:
            load_state(fit, resumed)
        held_out = held_out_windows(recipe, device)
        steps = recipe.windows // recipe.batch
        began, first = time.perf_counter(), fit.epoch
        while fit.epoch < recipe.epochs and fit.stale < recipe.patience:
            data = epoch_windows(recipe, fit.epoch, device, world)
            losses = train_epoch(fit, recipe, data, world)
            logits = logits_of(fit.averaged, held_out.windows)
            note_epoch(fit, F.cross_entropy(logits, held_out.labels).item())
            spent = time.perf_counter() - began
            done = fit.epoch - first
            if world.leads:
                keep(fit)
                tell(
                    Progress(
                        epoch=fit.epoch,
                        epochs=recipe.epochs,
                        step=fit.epoch * steps,
                        steps=recipe.epochs * steps,
                        loss=losses.mean().item(),
                        accuracy=(logits.argmax(1) == held_out.labels).float().mean().item(),
                        held_out_loss=F.cross_entropy(logits, held_out.labels).item(),
                        samples_per_s=done * recipe.windows / spent,
                        left_s=spent / done * (recipe.epochs - fit.epoch),
                    )
                )
        if fit.best is not None:
            fit.averaged.load_state_dict(fit.best)
        calibrate(fit.averaged, held_out)
        return fit.averaged.eval(), set_thresholds(fit.averaged, recipe)


def note_epoch(fit: Fit, loss: float) -> None:
    """Count an epoch, and remember its weights if they are the best so far."""
    fit.epoch += 1
    fit.stale += 1
    if loss < fit.best_loss:
        fit.best_loss, fit.stale = loss, 0
        fit.best = {name: t.detach().clone() for name, t in fit.averaged.state_dict().items()}


def state_of(fit: Fit) -> dict:
    """Everything a fit needs to go on, as tensors and plain values."""
    return {
        "model": fit.model.state_dict(),
        "averaged": fit.averaged.state_dict(),
        "best": fit.best or {},
        "optimizer": fit.optimizer.state_dict(),
        "schedule": fit.schedule.state_dict(),
        "scaler": fit.scaler.state_dict(),
        "random": torch.get_rng_state(),
        "epoch": fit.epoch,
        "best_loss": fit.best_loss,
        "stale": fit.stale,
    }


def load_state(fit: Fit, state: dict) -> None:
    """Take up a fit where `state_of` left it."""
    fit.model.load_state_dict(state["model"])
    fit.averaged.load_state_dict(state["averaged"])
    fit.optimizer.load_state_dict(state["optimizer"])
    fit.schedule.load_state_dict(state["schedule"])
    fit.scaler.load_state_dict(state["scaler"])
    fit.best = state["best"] or None
    fit.epoch, fit.best_loss, fit.stale = state["epoch"], state["best_loss"], state["stale"]
    torch.set_rng_state(state["random"])


def calibrate(model: RiskModel, held_out: WindowSet) -> None:
    """Make risk a probability under the reference mix: Platt scaling on held-out scenarios.

    Source:
        J. Platt, "Probabilistic outputs for support vector machines," Advances in Large Margin
        Classifiers, 1999; weights bring the held-out classes to `REFERENCE_MIX`.
    """
    model.risk_scale.fill_(1.0)
    model.risk_shift.zero_()
    odds = model.risk_logit(logits_of(model, held_out.windows)).double()
    is_fire = (held_out.labels == FIRE).double()
    shares = torch.tensor([REFERENCE_MIX[k] for k in range(len(LABELS))], device=odds.device)
    counts = torch.bincount(held_out.labels, minlength=len(LABELS)).clamp(min=1)
    weight = (shares / counts)[held_out.labels].double()
    scale = torch.ones((), dtype=torch.float64, device=odds.device, requires_grad=True)
    shift = torch.zeros((), dtype=torch.float64, device=odds.device, requires_grad=True)
    solver = torch.optim.LBFGS([scale, shift], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> float:
        solver.zero_grad()
        loss = F.binary_cross_entropy_with_logits(
            scale * odds + shift, is_fire, weight=weight, reduction="sum"
        )
        loss.backward()
        return loss.item()

    solver.step(closure)
    model.risk_scale.copy_(scale.detach().clamp(min=0.05))
    model.risk_shift.copy_(shift.detach())


def set_thresholds(model: RiskModel, recipe: Recipe) -> AlarmSettings:
    """Alarm thresholds from simulated streams alone.

    At most 1 % of three-hour streams with one or two nuisances each, drawn as often as dwellings
    see them, and none of the quiet ones may alarm.

    Returns:
        The settings; every threshold in log-odds.
    """
    device = next(model.parameters()).device
    dense = Mix(fire_share=0.0, nuisance_counts=(0.0, 0.5, 0.5), balance=1.0)
    quiet = Mix(fire_share=0.0, nuisance_counts=(1.0, 0.0, 0.0))
    fast, slow = zip(
        *(
            loudest(model, count, mix, seeded(recipe.seed, purpose, 0, device))
            for purpose, count, mix in (
                (DENSE, DENSE_STREAMS, dense),
                (QUIET, QUIET_STREAMS, quiet),
            )
        ),
        strict=True,
    )
    enter_fast, enter_slow = share_alarms(fast[0], slow[0], DENSE_SHARE)
    enter_slow = max(enter_slow, slow[1].max().item())
    enter_fast = max(enter_fast, enter_slow, fast[1].max().item())
    return AlarmSettings(
        fast=enter_fast,
        slow=enter_slow,
        warn=enter_slow - 1.5,
        leave=enter_slow - 2.0,
    )


def share_alarms(fast: Tensor, slow: Tensor, most: float) -> tuple[float, float]:
    """The lowest pair of thresholds, of one quantile, that few enough streams reach.

    Args:
        fast: loudest instant of each stream. (n,)
        slow: loudest minute of each stream. (n,)
        most: share of the streams that may reach either threshold.

    Returns:
        Thresholds just above what the first stream too many reaches.
    """
    n = len(fast)
    high, low = fast.sort(descending=True).values, slow.sort(descending=True).values
    best = (high[0].item(), low[0].item())
    for k in range(1, n):
        reached = ((fast > high[k]) | (slow > low[k])).sum().item()
        if reached > most * n:
            break
        best = (high[k].item(), low[k].item())
    return best[0] + 1e-3, best[1] + 1e-3


def loudest(
    model: RiskModel, count: int, mix: Mix, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Highest log-odds of each simulated stream, held for an instant and for a minute. (n,)

    Streams are scored every minute, where the detector would: at the latest reading.
    """
    streams = simulation.simulate(count, generator=generator, sensors=1, mix=mix)
    minutes = torch.arange(5, streams.readings.shape[1], 6, device=streams.readings.device)
    phase = streams.hold_phase  # (n, 1)
    since = (minutes - phase) % streams.hold_steps
    odds = score_ends(model, streams, (minutes - since).clamp(min=0))
    held = torch.minimum(odds[:, 1:], odds[:, :-1]).amax(dim=1)
    return odds.amax(dim=1), held


def score_ends(model: RiskModel, streams: Streams, ends: Tensor) -> Tensor:
    """Log-odds of windows that end at given steps (n, end) of the first sensors. (n, end)"""
    n, count = ends.shape
    stream = torch.arange(n, device=ends.device).repeat_interleave(count)
    end, sensor = ends.flatten(), torch.zeros_like(stream)
    parts = []
    for at in range(0, len(stream), 4096):
        here = slice(at, at + 4096)
        start = torch.zeros_like(end[here])
        windows = simulation.gather(streams.readings, stream[here], end[here], sensor[here], start)
        parts.append(model.risk_logit(logits_of(model, windows)))
    # the detector decides on readings only, never in a silence
    silent = torch.isnan(streams.readings[stream, end, 0]).all(dim=-1).view(n, count)
    return torch.cat(parts).view(n, count).masked_fill(silent, -math.inf)
