"""A trained model goes on learning on homes without a fire, beside new simulations.

Half of every batch is simulated as in training; the other half comes from the homes.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from saafe.detector import AlarmSettings
from saafe.recipes import Recipe
from saafe.simulator import (
    Background,
    EventsAlone,
    Mix,
    Streams,
    simulate_events,
    simulate_over,
    simulation,
)  # fmt: skip
from saafe.threads import Workers
from saafe.training import data
from saafe.training.backgrounds import (
    EVENTS_MIX,
    events_needed,
    home_windows,
    lay_end_to_end,
    not_fire_loss,
    own_peaks,
)
from saafe.training.data import (
    Purpose,
    WindowSet,
    held_out_windows,
    join_windows,
    seeded_generator,
)
from saafe.training.distributed import World
from saafe.training.loop import (
    WATCHED,
    Fit,
    Progress,
    data_device,
    find_device,
    load_state,
    progress_of,
    start_fit,
    train_on,
)
from saafe.training.model import FireTransformer
from saafe.training.thresholds import (
    DENSE_MIX,
    REFERENCE_STREAMS,
    Pool,
    calibrate,
    dense_share,
    dense_years,
    logits_of,
    peak_odds,
    reference_peaks,
    reference_streams,
    thresholds_within,
)

# Chosen: half of what the small tiers train, a minute or two
TUNING_EPOCHS, TUNING_WINDOWS = 8, 6_000
TUNING_BATCH = 120
SIMULATED_SHARE = 0.5  # of every batch
KEPT_SHARE = 0.5  # of the weights of the model before, see `keep_share`: the source's middle
NUISANCE_POOL, QUIET_POOL = "simulated nuisances", "simulated quiet"
ON_DAYS_POOL, DAYS_POOL = "simulated nuisances on your days", "your days"
OVER_PARTS = 3  # of streams over the homes that set the thresholds
OVER_LOUD_SHARE = 0.1  # of them get a second look: a model may have alarmed over more before
HOURS_A_STREAM = 3.0
EVENTS_FROM, HOMES_FROM = 900_000, 950_000  # numbers of seeds apart from the simulated windows'
YEAR_HOURS = 365.25 * 24.0


def tuning_recipe(recipe: Recipe) -> Recipe:
    """What a model of a recipe is tuned with: shorter, the schedule fitted to it.

    By AdamW in small batches, whatever trained it: Muon was not tried over homes.
    """
    if recipe.optimizer == "muon":
        recipe = replace(
            recipe,
            optimizer="adamw",
            learning_rate=recipe.learning_rate / 2.0,
            batch=min(recipe.batch, TUNING_BATCH),
            accumulate=1,
        )
    return replace(
        recipe,
        epochs=min(recipe.epochs, TUNING_EPOCHS),
        windows=min(recipe.windows, TUNING_WINDOWS),
        hours=0.0,
    )


@dataclass
class Simulated:
    """What every tuning of one model shares, made when it is first asked for.

    The windows of the simulated half of each epoch, those that calibrate, and the streams that set
    thresholds: the homes of a fold change none of them.
    """

    recipe: Recipe  # of `tuning_recipe`
    device: torch.device
    workers: Workers
    epochs: dict[int, WindowSet] = field(default_factory=dict)  # that have been asked for
    events: dict[tuple[Purpose, int], EventsAlone] = field(default_factory=dict)

    def epoch(self, epoch: int) -> WindowSet:
        """Simulated windows of an epoch, counted from 0."""
        if epoch not in self.epochs:
            wanted = round(SIMULATED_SHARE * self.recipe.windows)
            parts = data.parts_of(SIMULATED_SHARE * self.recipe.streams)
            mix = data.training_mix(self.recipe)
            count = math.ceil(wanted / parts)
            made = [
                self.workers.later(
                    data.make_part, self.recipe.seed, Purpose.TUNE, parts * epoch + part, count,
                    torch.device("cpu"), mix=mix,
                )
                for part in range(parts)
            ]  # fmt: skip
            self.epochs[epoch] = join_windows([part() for part in made]).rows(slice(0, wanted))
        return self.epochs[epoch]

    def events_of(self, purpose: Purpose, part: int, n: int, mix: Mix) -> EventsAlone:
        """Events to be put over homes: training's of an epoch, or a part of the thresholds'."""
        if (purpose, part) not in self.events:
            # their numbers lie beyond those of the simulated windows
            generator = seeded_generator(
                self.recipe.seed, purpose, EVENTS_FROM + part, torch.device("cpu")
            )
            young = purpose == Purpose.TUNE  # no window that trains shows a young fire
            plan = simulation.StreamSettings(HOURS_A_STREAM, 1, mix, young=young)
            self.events[purpose, part] = simulate_events(n, plan, generator)
        return self.events[purpose, part]

    @cached_property
    def held_out(self) -> WindowSet:
        """Windows of scenarios that no training sees."""
        return held_out_windows(self.recipe, torch.device("cpu"), self.workers).to(self.device)

    @cached_property
    def reference(self) -> list[Streams]:
        """The streams that set thresholds, simulated once."""
        source = data_device(self.device)
        return [part() for part in reference_streams(self.recipe, source, World(), self.workers)]


@dataclass(frozen=True)
class Tuned:
    """A tuned model, its alarm settings, and the life without a fire that those rest on."""

    model: FireTransformer
    settings: AlarmSettings
    pools: dict[str, Pool]  # of `false_alarm_pools`


def epoch_windows_beside(
    fit: Fit, simulated: Simulated, backgrounds: Sequence[Background]
) -> WindowSet:
    """The windows of an epoch: simulated and from homes, shuffled together."""
    recipe = simulated.recipe
    generator = seeded_generator(
        recipe.seed, Purpose.TUNE, HOMES_FROM + fit.epoch, torch.device("cpu")
    )
    first = simulated.epoch(fit.epoch)
    count = recipe.windows - len(first.labels)
    events = simulated.events_of(Purpose.TUNE, fit.epoch, events_needed(count), EVENTS_MIX)
    homes = home_windows(fit.averaged, backgrounds, events, count, generator)
    whole = join_windows([first, homes])
    return whole.rows(torch.randperm(len(whole.labels), generator=generator))


def tune_detector(
    general: FireTransformer,
    backgrounds: Sequence[Background],
    simulated: Simulated,
    per_year: float | None,
    *,
    before: AlarmSettings,
    on_epoch: Callable[[Progress], None] = lambda _: None,
    on_checkpoint: Callable[[Fit], None] = lambda _: None,
    resumed: dict[str, Any] | None = None,
) -> Tuned:
    """Tune a trained model on homes; calibrate it, and set thresholds by a budget.

    Args:
        general: the trained model; it stays as it is.
        backgrounds: the homes.
        simulated: what tunings of this model share.
        per_year: false alarms that simulation, simulation over the homes, and the homes may each
            have in a year. None: as training's thresholds, `dense_share` of the simulated streams
            with nuisances may alarm, and none without; over the homes no more than of the model
            before, where that is more.
        before: the thresholds of the model that is tuned.
        on_epoch: called after every epoch.
        on_checkpoint: called with the fit after every epoch, to write a checkpoint.
        resumed: a checkpoint's contents.
    """
    recipe, device = simulated.recipe, simulated.device
    fit = start_fit(recipe, device, simulated.workers if device.type == "cpu" else None)
    fit.loss = not_fire_loss
    fit.model.load_state_dict(general.state_dict())
    fit.averaged.load_state_dict(general.state_dict())
    for one in (fit.model, fit.averaged):
        one.lone_excess.zero_()  # thresholds over the homes' own sensors take its place
    if resumed is not None:
        load_state(fit, resumed)
    began, first = time.perf_counter(), fit.epoch
    held_out = simulated.held_out
    watched = held_out.rows(slice(None, None, WATCHED))
    while fit.epoch < fit.epochs:
        windows = epoch_windows_beside(fit, simulated, backgrounds).to(device)
        losses = train_on(fit, recipe, windows, World())
        fit.epoch += 1
        right = logits_of(fit.averaged, watched.windows).argmax(1) == watched.labels
        spent = time.perf_counter() - began
        mean_s = spent / (fit.epoch - first)
        on_epoch(progress_of(fit, recipe, losses, right, mean_s, mean_s))
        on_checkpoint(fit)
    keep_share(fit.averaged, general)
    calibrate(fit.averaged, held_out)
    model = fit.averaged.eval()
    return with_thresholds(model, general, backgrounds, simulated, per_year, before=before)


def with_thresholds(
    model: FireTransformer, general: FireTransformer, backgrounds: Sequence[Background],
    simulated: Simulated, per_year: float | None, *, before: AlarmSettings,
) -> Tuned:  # fmt: skip
    """A model with thresholds over homes, by a budget; see `tune_detector`."""
    over = over_pool(general, backgrounds, simulated)
    share = over.alarms_at(before) / len(over.peaks)
    pools = false_alarm_pools(model, backgrounds, simulated, share)
    settings = thresholds_within(list(pools.values()), per_year)
    pause_s = data.longest_pause_of(simulated.recipe)
    return Tuned(model, replace(settings, longest_interval_s=pause_s), pools)


def keep_share(tuned: FireTransformer, general: FireTransformer) -> None:
    """Move a tuned model's weights back towards those it began with, in place.

    What the homes taught stays in part, and so does what they do not show.

    Source:
        M. Wortsman et al., "Robust fine-tuning of zero-shot models," Conference on Computer Vision
        and Pattern Recognition, 2022.
    """
    with torch.no_grad():
        for mine, before in zip(tuned.parameters(), general.parameters(), strict=True):
            mine.lerp_(before, KEPT_SHARE)


def false_alarm_pools(
    model: FireTransformer, backgrounds: Sequence[Background], simulated: Simulated, share: float
) -> dict[str, Pool]:
    """What may hold no more than the budget: simulated life, nuisances over homes, the homes.

    Of the streams with nuisances over homes `share` may alarm, where that is more than the usual.
    """
    dense, quiet = reference_peaks(model, simulated.reference, World(), simulated.workers)
    over = over_pool(model, backgrounds, simulated)
    days = lay_end_to_end(backgrounds)
    most = dense_share(simulated.recipe)
    return {
        NUISANCE_POOL: Pool(dense, dense_years(len(dense)), most),
        QUIET_POOL: Pool(quiet, len(quiet) * HOURS_A_STREAM / YEAR_HOURS, 0.0),
        ON_DAYS_POOL: replace(over, share=max(share, most)),
        DAYS_POOL: Pool(own_peaks(model, days), days.years, 0.0),
    }


def over_pool(
    model: FireTransformer, backgrounds: Sequence[Background], simulated: Simulated
) -> Pool:
    """All streams with nuisances over homes; none may alarm."""
    parts = [over_peaks(model, backgrounds, simulated, part) for part in range(OVER_PARTS)]
    peaks = torch.cat(parts)
    return Pool(peaks, dense_years(len(peaks)), 0.0)


def over_peaks(
    model: FireTransformer, backgrounds: Sequence[Background], simulated: Simulated, part: int
) -> Tensor:
    """Peaks of streams with nuisances over homes, as of the dense ones alone. (n, tier)"""
    seed = simulated.recipe.seed
    generator = seeded_generator(seed, Purpose.OVER_DAYS, part, torch.device("cpu"))
    events = simulated.events_of(Purpose.OVER_DAYS, part, REFERENCE_STREAMS, DENSE_MIX)
    streams = simulate_over(backgrounds, events, generator)
    there = data_device(simulated.device)
    moved = {name: getattr(streams, name).to(there) for name in ("readings", "reported")}
    return peak_odds(model, replace(streams, **moved), loud_share=OVER_LOUD_SHARE)


def simulated_for(recipe: Recipe, workers: Workers) -> Simulated:
    """What the tunings of a model of this recipe share."""
    return Simulated(tuning_recipe(recipe), find_device(recipe), workers)
