"""What a model learns from homes without a fire: windows, their loss, their loudest moments.

Nobody knows what is normal and what is nuisance in a home, so only "not fire" is asked there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from saafe.recipes import Recipe
from saafe.sensors import FIRE, NORMAL
from saafe.simulator import (
    YOUNG_FIRE,
    Background,
    EventsAlone,
    Mix,
    gather,
    simulate_over,
    simulation,
)
from saafe.training.data import (
    CLASS_SHARES,
    HALF_SPAN,
    SHORT_SHARE,
    SHORTEST_BINS,
    WindowSet,
    join_windows,
    sample_windows,
)
from saafe.training.loop import class_loss
from saafe.training.model import RiskModel
from saafe.training.thresholds import (
    LOUD_SHARE,
    LOUD_STRIDE,
    STRIDE,
    TIER_S,
    held_peaks,
    logits_of,
)
from saafe.windows import BIN_S, SPAN

NOT_FIRE = YOUNG_FIRE + 1  # the label of a window of which only that is known
# Chosen: of the windows from homes a sixth are the homes as they are, the others with events
PLAIN_SHARE = 1 / 6
# of the latter, so that fires are as frequent in homes as in simulations: where they were rarer,
# the model learnt that a recorded room means no fire
OVER_SHARES = {
    kind: (share - PLAIN_SHARE * (kind == NORMAL)) / (1.0 - PLAIN_SHARE)
    for kind, share in CLASS_SHARES.items()
}
LOUD_POOL = 4  # windows looked at for each that is drawn by how loud the model finds it
WINDOWS_A_STRETCH, MOST_EVENTS = 12, simulation.SIMULATION_CHUNK
EVENTS_MIX = Mix(fire_share=0.5)
SHORT_DAYS = 56  # chunks of a week, which are all looked at every minute
# the homes' own days are judged three hours at a time, as streams are
CHUNK_MOMENTS = round(3 * 3600.0 / (BIN_S * LOUD_STRIDE))


@dataclass(frozen=True)
class Days:
    """Backgrounds end to end as one stream, with nothing known between two of them."""

    readings: Tensor  # (1, bin, 1, channel)
    reported: Tensor  # bool (bin,)

    @property
    def years(self) -> float:
        """How long they watched; silence beyond what a reading is held for does not count."""
        known = ~torch.isnan(self.readings[0, :, 0]).all(dim=-1)
        return known.sum().item() * BIN_S / (365.25 * 86_400.0)


def lay_end_to_end(backgrounds: Sequence[Background]) -> Days:
    """Backgrounds as one stream: a window's span lies between two, so no window sees both."""
    readings, reported = [], []
    for one in backgrounds:
        blank = torch.full((SPAN, one.readings.shape[1]), torch.nan)
        readings += [blank, one.readings]
        reported += [torch.zeros(SPAN, dtype=torch.bool), one.reported]
    return Days(torch.cat(readings)[None, :, None], torch.cat(reported))


def not_fire_loss(logits: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """The loss where labels may be `NOT_FIRE`: there -log(1 - p_fire), elsewhere `class_loss`.

    Summed over windows; from logits (window, class) and labels int64 (window,).
    """
    unknown = labels == NOT_FIRE
    harmless = logits[unknown].log_softmax(dim=-1)[..., :FIRE].logsumexp(dim=-1)
    return class_loss(logits[~unknown], labels[~unknown], recipe) - harmless.sum()


def events_needed(count: int) -> int:
    """How many simulated scenarios stand behind so many windows of homes."""
    return min(max(8, math.ceil((1.0 - PLAIN_SHARE) * count / WINDOWS_A_STRETCH)), MOST_EVENTS)


def home_windows(
    model: RiskModel,
    backgrounds: Sequence[Background],
    events: EventsAlone,
    count: int,
    generator: torch.Generator,
) -> WindowSet:
    """Windows of homes without a fire: as they are, and with simulated events on them.

    Where an event's fire shows they are labelled FIRE, all others `NOT_FIRE`.
    """
    plain = round(PLAIN_SHARE * count)
    days = lay_end_to_end(backgrounds)
    even = draw_ends(days, plain - plain // 2, generator)
    loud = draw_loud_ends(model, days, plain // 2, generator)
    parts = [
        quiet_windows(days, torch.cat([even, loud]), generator),
        sample_windows(
            simulate_over(backgrounds, events, generator),
            count - plain,
            generator,
            shares=OVER_SHARES,
        ),
    ]
    whole = join_windows(parts)
    return replace(whole, labels=torch.where(whole.labels == FIRE, FIRE, NOT_FIRE))


def draw_ends(days: Days, count: int, generator: torch.Generator) -> Tensor:
    """Bins in which a reading came, drawn evenly. int64 (count,)"""
    places = days.reported.nonzero()[:, 0]
    return places[torch.randint(len(places), (count,), generator=generator)]


def draw_loud_ends(model: RiskModel, days: Days, count: int, generator: torch.Generator) -> Tensor:
    """The same, drawn by the risk that the model sees in them. int64 (count,)

    The slope of -log(1 - p) in the model's log-odds is p: what teaches most is drawn most.
    """
    if count == 0:
        return torch.empty(0, dtype=torch.int64)
    pool = draw_ends(days, LOUD_POOL * count, generator)
    risk = score_days(model, days, pool).double().sigmoid() + 1e-12
    return pool[torch.multinomial(risk, count, generator=generator)]


def quiet_windows(days: Days, ends: Tensor, generator: torch.Generator) -> WindowSet:
    """Windows that end in these bins, labelled `NOT_FIRE`; some know less than their history."""
    lengths = torch.rand(len(ends), generator=generator)
    log_length = math.log(SHORTEST_BINS) + lengths * math.log(HALF_SPAN / SHORTEST_BINS)
    is_short = torch.rand(len(ends), generator=generator) < SHORT_SHARE
    length = torch.where(is_short, log_length.exp().long(), SPAN)
    zero = torch.zeros_like(ends)
    windows = gather(days.readings, zero, ends, zero, ends - length + 1)
    return WindowSet(windows, torch.full_like(ends, NOT_FIRE), zero)


def score_days(model: RiskModel, days: Days, ends: Tensor) -> Tensor:
    """Log-odds of windows that end in these bins; -inf where nothing is known there. (end,)"""
    odds = []
    for part in ends.split(8192):  # a window is 1.4 kB
        zero = torch.zeros_like(part)
        windows = gather(days.readings, zero, part, zero, zero)
        logits = logits_of(model, windows.to(model.risk_scale.device))
        odds.append(model.risk_logit(logits).cpu())
    blank = torch.isnan(days.readings[0, ends, 0]).all(dim=-1)
    return torch.cat(odds).masked_fill(blank, -math.inf)


def own_peaks(model: RiskModel, days: Days) -> Tensor:
    """Highest log-odds of every three hours, held for an instant, a minute and five. (n, 3)

    As `thresholds.peak_odds` looks at streams: seldom at first, the loudest often.
    """
    index = torch.arange(len(days.reported))
    latest = torch.where(days.reported, index, 0).cummax(dim=0).values
    moments = latest[LOUD_STRIDE - 1 :: LOUD_STRIDE]
    # what fills the last three hours is the first bin, in which nothing is known
    ends = F.pad(moments, (0, -len(moments) % CHUNK_MOMENTS)).view(-1, CHUNK_MOMENTS)
    seldom = ends[:, :: STRIDE // LOUD_STRIDE]
    first_look = score_days(model, days, seldom.flatten()).view(seldom.shape).amax(dim=1)
    second = min(max(math.ceil(LOUD_SHARE * len(ends)), SHORT_DAYS), len(ends))
    loud = first_look.topk(second).indices
    peaks = torch.full((len(ends), len(TIER_S)), -math.inf)
    peaks[:, 0] = first_look
    peaks[loud] = held_peaks(score_days(model, days, ends[loud].flatten()).view(-1, CHUNK_MOMENTS))
    return peaks
