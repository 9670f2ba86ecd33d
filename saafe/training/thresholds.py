"""What a trained model's risk means, and when it alarms: calibration and thresholds."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from saafe.detector import AlarmSettings
from saafe.recipes import Recipe
from saafe.sensors import FIRE, LABELS
from saafe.simulator import Mix, Streams, gather, simulation
from saafe.threads import Workers
from saafe.training.data import REFERENCE_MIX, Purpose, WindowSet, device_of, seeded_generator
from saafe.training.distributed import World, part_numbers, share
from saafe.training.model import RiskModel

REFERENCE_STREAMS = 128  # in each of the parts that set the thresholds
DENSE_PARTS, QUIET_PARTS = 6, 1
DENSE_SHARE = 0.01  # of the dense streams may alarm
# what dwellings have and see: healthy instruments, no laboratory's analysers
QUIET_MIX = Mix(
    fire_share=0.0,
    nuisance_counts=(1.0, 0.0, 0.0),
    balance=1.0,
    fault_share=0.0,
    analyser_share=0.0,
)
DENSE_MIX = replace(QUIET_MIX, nuisance_counts=(0.0, 0.5, 0.5))
STRIDE = 3  # minutes between the first look's scores of a stream
LOUD_SHARE = 0.25  # of the streams get a second look, every minute
TIER_MINUTES = (0, 1, 5)  # how long each tier's threshold is held
# Chosen: a warning opens a little below the lowest threshold, an alarm is left lower still
WARN_BELOW, LEAVE_BELOW = 0.5, 1.0
SCORE_CHUNK = 512  # windows scored at once: what fits the caches


def logits_of(model: RiskModel, windows: Tensor) -> Tensor:
    """Class logits of many windows, without gradients. (window, class)"""
    model.eval()
    with torch.inference_mode():
        parts = [model(part)[:, 0].float() for part in windows.split(SCORE_CHUNK)]
    return torch.cat(parts).clone()


def calibrate(model: RiskModel, held_out: WindowSet) -> None:
    """Make risk a probability under the reference mix: Platt scaling on held-out scenarios.

    Source:
        J. Platt, "Probabilistic outputs for support vector machines," Advances in Large Margin
        Classifiers, 1999; weights bring the held-out classes to `REFERENCE_MIX`.
    """
    model.risk_scale.fill_(1.0)
    model.risk_shift.zero_()
    # MPS has no double precision
    odds = model.risk_logit(logits_of(model, held_out.windows)).cpu().double()
    labels = held_out.labels.cpu()
    is_fire = (labels == FIRE).double()
    shares = torch.tensor([REFERENCE_MIX[k] for k in range(len(LABELS))])
    counts = torch.bincount(labels, minlength=len(LABELS)).clamp(min=1)
    weight = (shares / counts)[labels].double()
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
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


def reference_streams(
    recipe: Recipe, device: torch.device, world: World, workers: Workers
) -> list[Callable[[], Streams]]:
    """Have the streams simulated that set the thresholds: this rank's parts.

    Returns a function a part, which gives streams of one sensor; dense ones first, quiet ones last.
    """
    dense, quiet = (replace(mix, device=device_of(recipe)) for mix in (DENSE_MIX, QUIET_MIX))
    kinds = [(Purpose.DENSE, dense, part) for part in range(DENSE_PARTS)]
    kinds += [(Purpose.QUIET, quiet, part) for part in range(QUIET_PARTS)]

    def simulated(purpose: Purpose, mix: Mix, part: int) -> Streams:
        generator = seeded_generator(recipe.seed, purpose, part, device)
        return simulation.simulate_streams(
            REFERENCE_STREAMS, generator=generator, sensors=1, mix=mix
        )

    return [
        workers.later(simulated, *kinds[min(part, len(kinds) - 1)])
        for part in part_numbers(len(kinds), world)
    ]


def set_thresholds(model: RiskModel, recipe: Recipe) -> AlarmSettings:
    """Alarm thresholds from simulated streams alone; see `thresholds_on`."""
    device = model.risk_scale.device
    with Workers(0) as workers:
        streams = reference_streams(recipe, device, World(), workers)
        return thresholds_on(model, streams, World(), workers)


def thresholds_on(
    model: RiskModel, streams: list[Callable[[], Streams]], world: World, workers: Workers
) -> AlarmSettings:
    """Alarm thresholds, in log-odds, from `reference_streams`.

    At most 1 % of three-hour streams with one or two nuisances each, drawn as often as dwellings
    see them, and none of the quiet ones may alarm.
    """
    mine = [workers.later(peak_odds, model, part()) for part in streams]
    peaks = torch.cat(share([part() for part in mine], world)[: DENSE_PARTS + QUIET_PARTS])
    dense = DENSE_PARTS * REFERENCE_STREAMS
    enter = share_alarms(peaks[:dense], DENSE_SHARE).maximum(peaks[dense:].amax(dim=0))
    fast, slow, steady = enter.tolist()
    return AlarmSettings(
        fast=fast, slow=slow, steady=steady, warn=steady - WARN_BELOW, leave=steady - LEAVE_BELOW
    )


def share_alarms(loud: Tensor, most: float) -> Tensor:
    """The lowest thresholds, all of one quantile, that few enough streams reach. (tier,)

    Just above what the first stream too many reaches: `loud` is the loudest moment of each stream
    by each tier's persistence (n, tier), `most` the share that may reach any of the thresholds.
    """
    ordered = loud.sort(dim=0, descending=True).values
    best = ordered[0]
    for candidate in ordered[1:]:
        if (loud > candidate).any(dim=1).sum().item() > most * len(loud):
            break
        best = candidate
    return best + 1e-3


def peak_odds(model: RiskModel, streams: Streams) -> Tensor:
    """Highest log-odds of each stream of one sensor, for an instant, a minute and five. (n, 3)

    Every stream is scored every `STRIDE` minutes, and those that come out loudest every minute:
    only they decide where the loudest hundredth begins; the others are -inf but for the instant.
    What is scored is what the detector would decide on: the latest reading.
    """
    reported = streams.reported[:, :, 0]
    n, time = reported.shape
    index = torch.arange(time, device=reported.device)
    latest = torch.where(reported, index, 0).cummax(dim=1).values
    ends = latest[:, 5::6]  # (n, minute)
    odds = torch.full(ends.shape, -math.inf, device=ends.device)
    odds[:, ::STRIDE] = score_ends(model, streams.readings, ends[:, ::STRIDE])
    loud = odds.amax(dim=1).topk(math.ceil(LOUD_SHARE * n)).indices
    odds[loud] = score_ends(model, streams.readings[loud], ends[loud])
    held = [odds.unfold(1, 1 + minutes, 1).amin(dim=2) for minutes in TIER_MINUTES]
    return torch.stack([each.amax(dim=1) for each in held], dim=1)


def score_ends(model: RiskModel, readings: Tensor, ends: Tensor) -> Tensor:
    """Log-odds of windows that end at given steps of each stream. (n, end)

    Readings are of one sensor, (n, time, 1, channel); ends, steps, int64 (n, end).
    """
    stream = torch.arange(len(readings), device=ends.device).unsqueeze(1).expand_as(ends)
    first = torch.zeros(ends.numel(), dtype=torch.int64, device=ends.device)
    windows = gather(readings, stream.flatten(), ends.flatten(), first, first)
    odds = model.risk_logit(logits_of(model, windows)).view(ends.shape)
    # the detector decides on readings only, never in a silence
    return odds.masked_fill(torch.isnan(readings[stream, ends, 0]).all(dim=-1), -math.inf)
