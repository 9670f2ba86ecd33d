"""What a trained model's risk means, and when it alarms: calibration and thresholds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from saafe.detector import AlarmSettings
from saafe.recipes import Recipe
from saafe.sensors import FIRE, LABELS
from saafe.simulator import Mix, Streams, gather, simulation, sources
from saafe.threads import Workers, all_threads
from saafe.training.data import (
    REFERENCE_MIX,
    Purpose,
    WindowSet,
    device_of,
    longest_pause_of,
    seeded_generator,
)
from saafe.training.distributed import World, part_numbers, share
from saafe.training.model import LONE_CHANNELS, GuardedModel, RiskModel
from saafe.windows import BIN_S

REFERENCE_STREAMS = 128  # in each of the parts that set the thresholds
# seeds differ by how many of so few streams are loud: at 0.2 % nine of these may alarm
DENSE_PARTS, QUIET_PARTS = 36, 1
LONE_PARTS = 8  # of the dense ones, are scored with a channel of `LONE_CHANNELS` alone too
LONE_TIME = 0.3  # of the time that thresholds take, that of channels alone, which comes last
# Of the dense streams these may alarm. Chosen by simulation: twice as many on a known device would
# bring a point of fires in time, and more than a third of a photoelectric alarm's false alarms;
# half as many on instruments of any kind would cost some six points
DEVICE_SHARE, ANYTHING_SHARE = 0.002, 0.01
# what dwellings have and see: healthy instruments, no laboratory's analysers
QUIET_MIX = Mix(
    fire_share=0.0,
    nuisance_counts=(1.0, 0.0, 0.0),
    balance=1.0,
    fault_share=0.0,
    analyser_share=0.0,
)
DENSE_MIX = replace(QUIET_MIX, nuisance_counts=(0.0, 0.5, 0.5))
STRIDE = 36  # steps of 10 s between the first look's scores of a stream
LOUD_SHARE, LOUD_STRIDE = 0.05, 2  # of the streams get a second look, at every second step
TIER_S = (0, 60, 300)  # how long each tier's threshold is held
# Chosen: a warning opens a little below the lowest threshold, an alarm is left lower still
WARN_BELOW, LEAVE_BELOW = 0.5, 1.0
SCORE_CHUNK = 512  # windows scored at once: what fits the caches

OnShare = Callable[[float], None]  # takes the share of a long step that is done


def unheard(_share: float) -> None:
    """Take a share that nobody asked for."""


def logits_of(model: RiskModel, windows: Tensor, workers: Workers | None = None) -> Tensor:
    """Class logits of many windows, without gradients; workers share them. (window, class)"""
    model.eval()

    @torch.inference_mode()  # here: each thread has a mode of its own
    def score(part: Tensor) -> Tensor:
        return model(part)[:, 0].float()

    parts = [partial(score, part) for part in windows.split(SCORE_CHUNK)]
    return torch.cat((workers or Workers(0)).together(parts)).clone()


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


def set_thresholds(
    model: RiskModel, recipe: Recipe, *, on_share: OnShare = unheard
) -> AlarmSettings:
    """Alarm thresholds from simulated streams alone; see `thresholds_on`.

    Each part is simulated and scored at one go: so parts take alike, and their share tells from
    the first on how long the rest takes.
    """
    device = model.risk_scale.device

    def peaks(part: Callable[[], Streams]) -> Tensor:
        return peak_odds(model, part())

    with Workers(all_threads(device)) as workers:
        parts = reference_streams(recipe, device, World(), Workers(0))
        mine = [workers.later(peaks, part) for part in parts]
        return thresholds_of(*gathered(mine, World(), on_share), most=dense_share(recipe))


def set_own_thresholds(
    model: GuardedModel, recipe: Recipe, *, on_share: OnShare = unheard
) -> AlarmSettings:
    """What training ends with, for a model that was calibrated elsewhere; see `own_thresholds`."""
    device = model.risk_scale.device
    with Workers(all_threads(device)) as workers:
        streams = [part() for part in reference_streams(recipe, device, World(), workers)]
        return own_thresholds(model, recipe, streams, World(), workers, on_share=on_share)


def dense_share(recipe: Recipe) -> float:
    """Of the dense streams this share may alarm."""
    return DEVICE_SHARE if recipe.device_file else ANYTHING_SHARE


def thresholds_on(
    model: RiskModel, streams: Sequence[Streams], world: World, workers: Workers,
    *, most: float, on_share: OnShare = unheard,
) -> AlarmSettings:  # fmt: skip
    """Alarm thresholds, in log-odds, from `reference_streams`.

    At most a share `most` of three-hour streams with one or two nuisances each, drawn as often as
    dwellings see them, and none of the quiet ones may alarm.
    """
    peaks = reference_peaks(model, streams, world, workers, on_share=on_share)
    return thresholds_of(*peaks, most=most)


def thresholds_of(dense: Tensor, quiet: Tensor, *, most: float) -> AlarmSettings:
    """The thresholds of `thresholds_on` from peaks of the dense and the quiet streams (n, tier)."""
    enter = share_alarms(dense, most).maximum(quiet.amax(dim=0))
    return settings_of(enter)


def own_thresholds(
    model: GuardedModel, recipe: Recipe, streams: Sequence[Streams], world: World,
    workers: Workers, *, on_share: OnShare = unheard,
) -> AlarmSettings:  # fmt: skip
    """The alarm settings that a calibrated model of a recipe ends with; see `thresholds_on`.

    A general model's lone channels are guarded, in place; see `set_lone_excess`.
    """
    alone = 0.0 if recipe.device_file else LONE_TIME
    settings = thresholds_on(
        model, streams, world, workers, most=dense_share(recipe),
        on_share=lambda part: on_share(part * (1.0 - alone)),
    )  # fmt: skip
    if not recipe.device_file:
        set_lone_excess(
            model, settings, streams, world, workers,
            on_share=lambda part: on_share(1.0 - alone * (1.0 - part)),
        )  # fmt: skip
    return replace(settings, longest_interval_s=longest_pause_of(recipe))


def set_lone_excess(
    model: GuardedModel, settings: AlarmSettings, streams: Sequence[Streams], world: World,
    workers: Workers, *, on_share: OnShare = unheard,
) -> None:  # fmt: skip
    """Lower a general model's odds of fire where one of `LONE_CHANNELS` stands alone, in place.

    By what the three thresholds of `settings` would have to rise there, on average, for
    `ANYTHING_SHARE` of the dense streams to alarm; never below 0. To particles without a gas
    cooking looks like a fire, and so does a heater to a thermometer.

    Args:
        model: a trained and calibrated one.
        settings: its general thresholds.
        streams: this rank's part of the `reference_streams`.
        world: the ranks.
        workers: score the streams.
        on_share: takes the share of it that is done.
    """
    model.lone_excess.zero_()
    parts = part_numbers(DENSE_PARTS + QUIET_PARTS, world)
    mine = [
        [
            workers.later(peaks_alone, model, one, k)
            for part, one in zip(parts, streams, strict=True)
            if part // world.size * world.size < LONE_PARTS  # every rank makes as many
        ]
        for k in range(len(LONE_CHANNELS))
    ]
    excess = []
    for k, each in enumerate(mine):
        found = []
        for part in each:
            found.append(part())
            on_share((k + len(found) / len(each)) / len(mine))
        excess.append(excess_alone(torch.cat(share(found, world)[:LONE_PARTS]), settings))
    model.lone_excess.copy_(torch.stack(excess) / model.risk_scale)


def excess_alone(peaks: Tensor, settings: AlarmSettings) -> Tensor:
    """By how much thresholds would have to rise for few enough of `peaks_alone`; 0 or more.

    In log-odds, of peaks (n, tier).
    """
    peaks = peaks[peaks[:, 0] > -math.inf]
    if not len(peaks):
        return peaks.new_zeros(())
    enter = peaks.new_tensor([settings.fast, settings.slow, settings.steady])
    return (share_alarms(peaks, ANYTHING_SHARE) - enter).mean().clamp(min=0.0)


def peaks_alone(model: RiskModel, streams: Streams, k: int) -> Tensor:
    """`peak_odds` of streams as if a channel of `LONE_CHANNELS` stood alone. (n, tier)

    -inf for sensors without the channel.
    """
    channel, others = LONE_CHANNELS[k]
    readings = streams.readings.clone()
    readings[..., list(others)] = math.nan
    is_there = ~torch.isnan(readings[:, :, 0, channel]).all(dim=1)
    reported = streams.reported & ~torch.isnan(readings).all(dim=-1)
    peaks = peak_odds(model, replace(streams, readings=readings, reported=reported))
    return peaks.masked_fill(~is_there.unsqueeze(1), -math.inf)


def reference_peaks(
    model: RiskModel, streams: Sequence[Streams], world: World, workers: Workers,
    *, on_share: OnShare = unheard,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Peaks of the dense and of the quiet streams of `reference_streams`. Two of (n, tier)"""
    return gathered([workers.later(peak_odds, model, one) for one in streams], world, on_share)


def gathered(
    mine: Sequence[Callable[[], Tensor]], world: World, on_share: OnShare
) -> tuple[Tensor, Tensor]:
    """Peaks of all ranks' dense and quiet streams, of which each makes its own parts."""
    found = []
    for part in mine:
        found.append(part())
        on_share(len(found) / len(mine))
    peaks = torch.cat(share(found, world)[: DENSE_PARTS + QUIET_PARTS])
    dense = DENSE_PARTS * REFERENCE_STREAMS
    return peaks[:dense], peaks[dense:]


def settings_of(enter: Tensor) -> AlarmSettings:
    """Alarm settings from the thresholds of the three tiers (tier,)."""
    fast, slow, steady = enter.tolist()
    return AlarmSettings(
        fast=fast, slow=slow, steady=steady, warn=steady - WARN_BELOW, leave=steady - LEAVE_BELOW
    )


@dataclass(frozen=True)
class Pool:
    """Streams in which every alarm is false, and the life that they stand for."""

    peaks: Tensor  # of each stream, by `peak_odds` (n, tier)
    years: float
    share: float  # of the streams that may alarm where no budget is given

    def alarms_at(self, settings: AlarmSettings) -> int:
        """How many of the streams alarm."""
        enter = self.peaks.new_tensor([settings.fast, settings.slow, settings.steady])
        return int((self.peaks >= enter).any(dim=1).sum())


def dense_years(streams: int) -> float:
    """The life that so many dense streams hold the nuisances of. [years]"""
    each = sum(count * share for count, share in enumerate(DENSE_MIX.nuisance_counts))
    return streams * each / sum(source.per_year for source in sources.OTHERS)


def thresholds_within(pools: Sequence[Pool], per_year: float | None) -> AlarmSettings:
    """The lowest thresholds with at most so many false alarms a year in each of the pools.

    By each pool's own share where no budget is given. A pool may have none where one would be
    more than the budget.
    """
    enter = []
    for pool in pools:
        share = pool.share if per_year is None else per_year * pool.years / len(pool.peaks)
        enter.append(share_alarms(pool.peaks, share))
    return settings_of(torch.stack(enter).amax(dim=0))


def share_alarms(loud: Tensor, most: float) -> Tensor:
    """The lowest thresholds, all of one quantile, that few enough streams reach. (tier,)

    Just above what the first stream too many reaches: `loud` is the loudest moment of each stream
    by each tier's persistence (n, tier), `most` the share that may reach any of the thresholds.
    A tier goes no lower than what is known of it: -inf is a stream that it was not asked of.
    """
    ordered = loud.sort(dim=0, descending=True).values
    best = ordered[0]
    for row in ordered[1:]:
        candidate = torch.where(row.isfinite(), row, best)
        if (loud > candidate).any(dim=1).sum().item() > most * len(loud):
            break
        best = candidate
    return best + 1e-3


def peak_odds(model: RiskModel, streams: Streams, *, loud_share: float = LOUD_SHARE) -> Tensor:
    """Highest log-odds of each stream of one sensor, for an instant, a minute and five. (n, 3)

    Every stream is scored at every `STRIDE` steps, and the share that comes out loudest at every
    `LOUD_STRIDE`: only they decide where the loudest few begin; the others are -inf.
    What is scored is what the detector would decide on: the latest reading.
    """
    reported = streams.reported[:, :, 0]
    n, time = reported.shape
    index = torch.arange(time, device=reported.device)
    latest = torch.where(reported, index, 0).cummax(dim=1).values
    seldom = latest[:, STRIDE - 1 :: STRIDE]
    first_look = score_ends(model, streams.readings, seldom).amax(dim=1)
    loud = first_look.topk(math.ceil(loud_share * n)).indices
    often = latest[loud, LOUD_STRIDE - 1 :: LOUD_STRIDE]
    peaks = torch.full((n, len(TIER_S)), -math.inf, device=first_look.device)
    peaks[:, 0] = first_look
    peaks[loud] = held_peaks(score_ends(model, streams.readings[loud], often))
    return peaks


def held_peaks(odds: Tensor) -> Tensor:
    """Highest log-odds that each tier would have held, of odds at every `LOUD_STRIDE`. (n, tier)"""
    steps = [1 + round(held_s / (BIN_S * LOUD_STRIDE)) for held_s in TIER_S]
    held = [odds.unfold(1, each, 1).amin(dim=2).amax(dim=1) for each in steps]
    return torch.stack(held, dim=1)


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
