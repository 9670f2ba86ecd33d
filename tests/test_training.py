"""What trains a detector: nothing but readings tells the classes, and a fit can be repeated."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional as F

import saafe
from saafe import recipes
from saafe.detector.alarms import AlarmSettings
from saafe.errors import InputError
from saafe.exam.device_comparison import ComparisonPlan, compare_devices
from saafe.recipes import changed, find_tier
from saafe.sensors import CHANNEL_NAMES, CHANNELS, FIRE, LABELS, NORMAL, NUISANCE, UNKNOWN
from saafe.simulator import Mix, devices, simulation
from saafe.simulator.labels import VISIBLE, YOUNG_FIRE
from saafe.simulator.streams import gather
from saafe.threads import Workers
from saafe.training import data, loop, runs, thresholds
from saafe.training.checkpoints import CHECKPOINT_FILE, load_checkpoint, save_checkpoint
from saafe.training.data import (
    CLASS_SHARES,
    MOST_REPEATED,
    REFERENCE_MIX,
    TRAIN_HOURS,
    Purpose,
    WindowSet,
    blocks_ahead,
    blocks_of,
    epoch_windows,
    evened,
    freshness,
    held_out_windows,
    jumped,
    make_part,
    sample_windows,
    seeded_generator,
    steps_of,
)
from saafe.training.distributed import World, part_numbers
from saafe.training.loop import Fit, Progress
from saafe.training.model import LONE_CHANNELS, FireTransformer, RiskModel, features, levels
from saafe.training.thresholds import calibrate, logits_of
from saafe.training.weights import CHECKSUM, sealed
from saafe.windows import SPAN

CPU = torch.device("cpu")
TINY = changed(
    find_tier("ultra-fast"),
    (
        "width=16", "layers=1", "heads=2", "patch=10", "windows=128", "batch=64", "epochs=2",
        "streams=128", "held_out=32", "averaging=0.5", "dropout=0.1", "device=cpu",
        "learning_rate=0.003", "weight_decay=0.05", "warmup=0.2", "beta2=0.95", "patience=9",
    ),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums come out alike only in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def few_moments():
    """Thresholds of a few streams: enough to repeat, not to rely on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thresholds, "REFERENCE_STREAMS", 16)
        patch.setattr(thresholds, "DENSE_PARTS", 1)
        yield


@pytest.fixture(scope="module")
def drawn(one_thread: None) -> WindowSet:
    random = torch.Generator().manual_seed(0)
    streams = simulation.simulate_streams(256, generator=random, hours=TRAIN_HOURS)
    return sample_windows(streams, 6000, random)


@pytest.fixture(scope="module")
def fitted(one_thread: None, few_moments: None, tmp_path_factory: pytest.TempPathFactory):
    """Two epochs in one go, and the checkpoint after the first."""
    folder = tmp_path_factory.mktemp("fit")

    def on_checkpoint(fit: Fit) -> None:
        save_checkpoint(folder / str(fit.epoch), loop.state_of(fit), TINY)

    seen = []
    model, settings = loop.fit_detector(TINY, on_checkpoint=on_checkpoint, on_epoch=seen.append)
    return folder, model, settings, seen


# --- what is learnt from ----------------------------------------------------------------------


def probe(inputs: torch.Tensor, drawn: WindowSet) -> float:
    """Balanced accuracy of logistic regression on scenarios that it was not fitted on."""
    inputs = (inputs - inputs.mean(dim=0)) / (inputs.std(dim=0) + 1e-6)
    apart = drawn.group % 3 == 0
    weight = 1.0 / torch.bincount(drawn.labels[~apart], minlength=3)
    linear = torch.nn.Linear(inputs.shape[1], len(LABELS))
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    solver = torch.optim.LBFGS(linear.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(linear(inputs[~apart]), drawn.labels[~apart], weight=weight)
        loss = loss + 1e-3 * linear.weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    guess, truth = linear(inputs[apart]).argmax(dim=1), drawn.labels[apart]
    return sum((guess[truth == k] == k).float().mean().item() for k in range(3)) / 3


def history_and_presence(drawn: WindowSet) -> torch.Tensor:
    """Length of the known history, and which channels are present. (window, 8)"""
    known = ~torch.isnan(drawn.windows[:, :, 0])
    length = known.any(dim=2).sum(dim=1, keepdim=True).float()
    return torch.cat([length, (length + 1.0).log(), known.any(dim=1).float()], dim=1)


def test_history_and_missing_channels_do_not_reveal_the_class(drawn: WindowSet) -> None:
    told = history_and_presence(drawn)
    assert probe(told, drawn) <= 0.45
    present = told[:, 2:]
    pairs = (present.unsqueeze(1) * present.unsqueeze(2)).flatten(1)
    assert probe(torch.cat([told, pairs], dim=1), drawn) <= 0.45
    share = (~torch.isnan(drawn.windows[:, :, 0])).float().mean(dim=1)
    assert probe(torch.cat([told, share], dim=1), drawn) <= 0.45
    # the probe itself can see: readings do reveal the class
    assert probe(features(drawn.windows[:, :, 0]).flatten(1), drawn) > 0.55


def test_first_step_does_not_reveal_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what became visible lately; an event that lasts for hours fills the window, and may."""
    monkeypatch.setattr(data, "FRESH_SHARE", 1.0)
    random = torch.Generator().manual_seed(0)
    streams = simulation.simulate_streams(256, generator=random, hours=TRAIN_HOURS)
    began_before = streams.labels[:, SPAN - 1 : SPAN] != NORMAL
    streams = replace(streams, labels=streams.labels.masked_fill(began_before, UNKNOWN))
    drawn = sample_windows(streams, 6000, random)
    full = ~torch.isnan(drawn.windows[:, 0, 0]).all(dim=1)
    first = drawn.windows[full, 0, 0]
    known = ~torch.isnan(first)
    values = torch.where(known, levels(first.nan_to_num(20.0)), 0.0)
    some = WindowSet(drawn.windows[full], drawn.labels[full], drawn.group[full])
    assert len(some.labels) > 2500
    assert probe(torch.cat([values, known.float()], dim=1), some) <= 0.45


def test_windows_are_short_alike_in_every_class(drawn: WindowSet) -> None:
    short = torch.isnan(drawn.windows[:, 0, 0]).all(dim=1)
    for kind in (NORMAL, NUISANCE, FIRE):
        here = short[drawn.labels == kind]
        assert len(here) == pytest.approx(6000 * CLASS_SHARES[kind], abs=3)
        assert here.float().mean().item() == pytest.approx(0.7, abs=0.06)


def test_groups_are_evened_and_none_is_shown_over_and_over() -> None:
    weight, group = torch.tensor([1.0, 3.0, 2.0, 2.0]), torch.tensor([0, 0, 1, 1])
    some = evened(weight, group, torch.tensor([3.0, 1.0]))
    assert torch.bincount(group, some).tolist() == pytest.approx([6.0, 2.0])
    assert (some / weight)[0] == (some / weight)[1]
    rare = evened(torch.tensor([1.0, 99.0]), torch.tensor([0, 1]), torch.tensor([1.0, 1.0, 5.0]))
    assert rare[0] == MOST_REPEATED


def test_windows_come_from_labelled_moments() -> None:
    random = torch.Generator().manual_seed(1)
    streams = simulation.simulate_streams(48, generator=random, hours=TRAIN_HOURS)
    drawn = sample_windows(streams, 300, random)
    assert drawn.windows.shape == (300, 60, 1, len(CHANNELS))
    newest = drawn.windows[:, -1, 0]
    for window, label, group in zip(newest, drawn.labels, drawn.group, strict=True):
        known = ~torch.isnan(window)
        same = (streams.readings[group] == window)[..., known].all(dim=-1)  # (time, sensor)
        assert same.any(), "no such moment in its scenario"
        assert (streams.labels[group][same] == label).any()
    assert ((streams.fire[drawn.group] >= 0) | (drawn.labels != FIRE)).all()


def test_no_window_is_shown_over_and_over(drawn: WindowSet) -> None:
    # a class that a pattern of channels hardly shows must not show its few windows all the time
    flat = drawn.windows.nan_to_num(-1.0).flatten(1)
    _, count = torch.unique(flat, dim=0, return_counts=True)
    assert count.max() < 0.01 * len(flat)


def test_a_first_report_has_no_age_whatever_the_period() -> None:
    is_kind = torch.zeros(1, 40, 2, dtype=torch.bool)
    is_kind[0, 10:] = True
    often = torch.tensor([[1.0, 1 / 6]])  # every 10 s, every minute
    places = torch.tensor([[0, 10, 0], [0, 10, 1], [0, 15, 0], [0, 15, 1], [0, 16, 1]])
    weight = freshness(is_kind, places, often)
    assert weight.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 8, 1 / 3, 1 / 9])


def test_half_of_the_moments_are_of_any_age() -> None:
    """A nuisance that lasts raises false alarms at any age: the window must show its plateau."""
    n, steps = 64, 1080
    labels = torch.full((n, steps, 1), NORMAL, dtype=torch.int8)
    labels[:, 800:] = NUISANCE  # for 47 min, after the span of a window
    readings = torch.arange(float(steps)).view(1, steps, 1, 1).expand(n, steps, 1, len(CHANNELS))
    blank = simulation.simulate_streams(8, generator=torch.Generator().manual_seed(0), sensors=1)
    streams = replace(
        blank, readings=readings, labels=labels, reported=torch.ones(n, steps, 1, dtype=torch.bool)
    )
    random = torch.Generator().manual_seed(1)
    drawn = sample_windows(streams, 4000, random, shares={NUISANCE: 1.0})
    age = drawn.windows[:, -1, 0, 0] - 800.0
    young = (age < 24).float().mean().item()  # of 280
    alone = sum(1 / (3 + a) for a in range(24)) / sum(1 / (3 + a) for a in range(280))
    assert young == pytest.approx(0.5 * alone + 0.5 * 24 / 280, abs=0.03)


def test_events_count_alike_however_long_they_last() -> None:
    """An hour of smoke is one event, as a minute of it is, at ten seconds or at a minute."""
    n, steps = 64, 1080
    labels = torch.full((n, steps, 1), NORMAL, dtype=torch.int8)
    labels[: n // 2, 740:] = NUISANCE  # 57 min
    labels[n // 2 :, 1074:] = NUISANCE  # a minute
    reported = torch.ones(n, steps, 1, dtype=torch.bool)
    reported[::2] = (torch.arange(steps) % 6 == 5).unsqueeze(1)
    blank = simulation.simulate_streams(8, generator=torch.Generator().manual_seed(0), sensors=1)
    readings = torch.full((n, steps, 1, len(CHANNELS)), 20.0)
    streams = replace(blank, readings=readings, labels=labels, reported=reported)
    drawn = sample_windows(streams, 6400, torch.Generator().manual_seed(1), shares={NUISANCE: 1.0})
    count = torch.bincount(drawn.group, minlength=n).float()
    for some in (count[: n // 2], count[n // 2 :], count[::2], count[1::2]):
        assert some.mean().item() == pytest.approx(100.0, abs=5.0)


def test_training_shows_no_fire_for_which_no_alarm_would_sound() -> None:
    random = torch.Generator().manual_seed(3)
    mix = Mix(1.0, balance=1.0)
    told, untold = (
        simulation.simulate_streams(
            48, generator=torch.Generator().manual_seed(3), hours=TRAIN_HOURS, mix=mix,
            alarms=True, young=young,
        )
        for young in (True, False)
    )  # fmt: skip
    fire, young = untold.labels == FIRE, told.labels == YOUNG_FIRE
    time_s = 10.0 * torch.arange(fire.shape[1]).view(1, -1, 1)
    sounds_s = untold.alarms_s.amin(dim=-1).unsqueeze(1)
    assert torch.equal(young, fire & (time_s < sounds_s))
    assert torch.equal(told.labels.masked_fill(young, FIRE), untold.labels)
    assert 0.1 < young.sum() / fire.sum() < 0.9
    drawn = sample_windows(told, 600, random)
    assert set(drawn.labels.tolist()) == {NORMAL, NUISANCE, FIRE}
    late = drawn.windows[drawn.labels == FIRE][:, -1, 0]
    group = drawn.group[drawn.labels == FIRE]
    for newest, scenario in zip(late, group, strict=True):
        known = ~torch.isnan(newest)
        same = (told.readings[scenario] == newest)[..., known].all(dim=-1)  # (time, sensor)
        assert (told.labels[scenario][same] == FIRE).any()


def test_a_jump_is_what_would_make_an_event_visible_within_a_minute() -> None:
    readings = torch.full((1, 30, 3, len(CHANNELS)), 20.0)
    readings[0, 20:, 0, 0] = 23.6  # K
    readings[0, 20:, 1, 1] = 119.0  # ug/m3, too little
    readings[0, 10:, 1, 2] = 900.0  # ppm, long ago
    readings[0, :20, 2, 4] = torch.nan  # not known before
    places = torch.tensor([[0, 20, 0], [0, 21, 0], [0, 27, 0], [0, 20, 1], [0, 23, 2]])
    assert jumped(readings, places).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_held_out_windows_are_of_the_reference_mix() -> None:
    held = held_out_windows(changed(TINY, ("held_out=128",)), CPU)
    share = torch.bincount(held.labels, minlength=3) / len(held.labels)
    assert share.tolist() == pytest.approx([REFERENCE_MIX[k] for k in range(3)], abs=0.01)


def test_shares_can_be_set() -> None:
    random = torch.Generator().manual_seed(2)
    streams = simulation.simulate_streams(48, generator=random, hours=TRAIN_HOURS)
    drawn = sample_windows(streams, 200, random, shares=REFERENCE_MIX, evenly=True)
    assert torch.bincount(drawn.labels).tolist() == pytest.approx([100, 60, 40], abs=2)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few scenarios, enough to tell them apart."""
    monkeypatch.setattr(data, "PART_STREAMS", 16)


def test_epochs_are_repeatable_and_new(small_parts: None) -> None:
    recipe = changed(TINY, ("streams=32",))
    first, again, second = (epoch_windows(recipe, k, CPU, World()) for k in (0, 0, 1))
    assert len(first.labels) == 128
    for name in ("windows", "labels", "group"):
        a, b, c = (getattr(part, name) for part in (first, again, second))
        assert a.numpy().tobytes() == b.numpy().tobytes()
        assert a.numpy().tobytes() != c.numpy().tobytes()
    other = epoch_windows(changed(recipe, ("seed=1",)), 0, CPU, World())
    assert not torch.equal(first.labels, other.labels)


def test_made_ahead_is_the_same(small_parts: None) -> None:
    recipe = changed(TINY, ("streams=32", "epochs=3", "passes=1"))
    with Workers(1) as workers:
        ahead = list(blocks_ahead(recipe, 1, CPU, World(), workers))
    assert len(ahead) == 2
    for epoch, block in enumerate(ahead, start=1):
        alone = epoch_windows(recipe, epoch, CPU, World())
        assert block.windows.numpy().tobytes() == alone.windows.numpy().tobytes()
        assert torch.equal(block.labels, alone.labels)


def test_ranks_make_parts_without_duplicates(small_parts: None) -> None:
    world = [World(rank, 2) for rank in range(2)]
    made = {
        part: make_part(0, Purpose.TRAIN, part, 64, CPU)
        for one in world
        for part in part_numbers(3, one)
    }
    assert sorted(made) == [0, 1, 2, 3], "each part by one rank; the fourth is dropped"
    groups = [set(part.group.tolist()) for part in made.values()]
    assert len(set.union(*groups)) == sum(map(len, groups)), "a scenario belongs to one part"
    readings = [{window.numpy().tobytes() for window in part.windows} for part in made.values()]
    unseen = (
        torch.full((60, 1, len(CHANNELS)), torch.nan).numpy().tobytes()
    )  # a sensor that was silent
    assert len(set.union(*readings) - {unseen}) == sum(len(part - {unseen}) for part in readings)


def test_large_epochs_are_made_in_blocks(
    small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(blocks_of(recipe) == 1 for recipe in recipes.TIERS.values())
    monkeypatch.setattr(data, "BLOCK", 512)
    recipe = changed(TINY, ("windows=1100", "streams=48", "epochs=1"))
    assert (blocks_of(recipe), steps_of(recipe)) == (3, 15)
    blocks = list(blocks_ahead(recipe, 0, CPU, World(), Workers(0)))
    assert [len(block.labels) for block in blocks] == [366] * 3
    groups = [set(block.group.tolist()) for block in blocks]
    assert len(set.union(*groups)) == sum(map(len, groups))
    whole = epoch_windows(recipe, 0, CPU, World())
    assert torch.equal(whole.labels, torch.cat([block.labels for block in blocks]))


def marks_of(windows: WindowSet) -> torch.Tensor:
    """A window is known by the sum of its bits. (window,)"""
    return windows.windows.nan_to_num(-7.0).double().sum(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        (("fresh=false", "epochs=3"), 1),
        (("passes=3", "epochs=6"), 2),
        (("passes=2", "epochs=5"), 3),
        (("passes=1", "epochs=3"), 3),
        (("passes=9", "epochs=2"), 1),
    ],
)
@pytest.mark.parametrize("ahead", [0, 1])
def test_each_pass_shows_every_window_once_in_another_order(
    small_parts: None, changes: tuple[str, ...], new: int, ahead: int
) -> None:
    recipe = changed(TINY, ("streams=32", *changes))
    assert recipe.new_epochs == new
    with Workers(ahead) as workers:
        blocks = list(blocks_ahead(recipe, 0, CPU, World(), workers))
    assert len(blocks) == recipe.epochs
    marks = [marks_of(block) for block in blocks]
    first = torch.cat(marks[:new])
    for k in range(new):
        assert torch.equal(marks[k], marks_of(epoch_windows(recipe, k, CPU, World())))
    for start in range(new, recipe.epochs - new + 1, new):
        again = torch.cat(marks[start : start + new])
        assert not torch.equal(again, first)
        assert torch.equal(again.sort().values, first.sort().values)
    rest = torch.cat([first.new_empty(0), *marks[recipe.epochs // new * new :]])
    assert len(rest.unique()) <= len(first.unique())
    assert torch.isin(rest, first).all()


@pytest.mark.parametrize("epoch", range(1, 6))
def test_a_resumed_fit_sees_the_windows_that_it_would_have_seen(
    small_parts: None, epoch: int
) -> None:
    recipe = changed(TINY, ("streams=32", "passes=3", "epochs=6"))
    whole = list(blocks_ahead(recipe, 0, CPU, World(), Workers(0)))
    rest = list(blocks_ahead(recipe, epoch, CPU, World(), Workers(0)))
    assert len(rest) == 6 - epoch
    for one, other in zip(whole[epoch:], rest, strict=True):
        assert torch.equal(marks_of(one), marks_of(other))


def test_purposes_never_share_a_seed() -> None:
    seeds = {
        seeded_generator(seed, purpose, part, CPU).initial_seed()
        for seed in range(8)
        for purpose in range(7)
        for part in range(50)
    }
    assert len(seeds) == 8 * 7 * 50


# --- the loop ---------------------------------------------------------------------------------


def made_up(count: int) -> WindowSet:
    """Windows in which fires are warmer at the end; no simulator behind them."""
    random = torch.Generator().manual_seed(5)
    labels = torch.arange(count) % 3
    middle = torch.tensor([22.0, 10.0, 600.0, 45.0, 2.0, 50.0])
    windows = middle * (0.2 * torch.randn(count, 60, 1, 6, generator=random)).exp()
    windows[:, 40:, :, 0] += 20.0 * (labels == FIRE).float().view(-1, 1, 1)
    windows[:, 40:, :, 1] += 50.0 * (labels != NORMAL).float().view(-1, 1, 1)
    windows[torch.rand(windows.shape, generator=random) < 0.1] = torch.nan
    return WindowSet(windows, labels, torch.arange(count))


def losses_of(*changes: str) -> torch.Tensor:
    recipe = changed(TINY, ("windows=320", "dropout=0", *changes))
    fit = loop.start_fit(recipe, CPU)
    return loop.train_on(fit, recipe, made_up(320), World())


# from torch 2.13 on one x86 thread; a change of the model, the loss, the optimizer or the
# schedule moves them, and must be meant: then print losses_of() and write it here
GOLDEN = {
    "adamw": [1.2349, 1.1756, 1.18, 1.1038, 1.0194],
    "muon": [1.2349, 1.1783, 1.1373, 1.0666, 0.9974],
}


def test_a_checkpoint_of_other_layers_is_refused_in_a_line() -> None:
    fit = loop.start_fit(TINY, CPU)
    state = loop.state_of(fit)
    state["model"] = {**state["model"], "linear.weight": torch.zeros(3, 3)}
    with pytest.raises(InputError, match="start afresh with another name"):
        loop.load_state(fit, state)


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_schedule_of_a_few_steps(steps: int) -> None:
    recipe = changed(TINY, ("windows=64", "batch=64", "warmup=0.2", f"epochs={steps}"))
    fit = loop.start_fit(recipe, CPU)
    rates = []
    for _ in range(steps):
        rates.append(fit.optimizer.param_groups[0]["lr"])
        fit.optimizer.step()
        fit.schedule.step()
    assert min(rates) > 0.0
    assert max(rates) <= recipe.learning_rate * (1 + 1e-9)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_losses(name: str) -> None:
    losses = losses_of(f"optimizer={name}").tolist()
    assert losses == pytest.approx(GOLDEN[name], abs=1e-3)


@pytest.mark.parametrize("batch", [64, 160])  # computed whole, and in halves
@pytest.mark.parametrize("parts", [2, 4, 32])
def test_accumulating_changes_nothing(parts: int, batch: int) -> None:
    one = f"batch={batch}"
    in_parts = losses_of(one, f"accumulate={parts}")
    torch.testing.assert_close(in_parts, losses_of(one), rtol=0, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("parts", [1, 4])
def test_threads_that_share_an_update_change_no_bit(
    optimizer: str, threads: int, parts: int
) -> None:
    recipe = changed(
        TINY,
        ("windows=320", "batch=160", "dropout=0", f"optimizer={optimizer}", f"accumulate={parts}"),
    )
    weights = []
    for number in (0, threads):
        with Workers(number) as workers:
            fit = loop.start_fit(recipe, CPU, workers)
            losses = loop.train_on(fit, recipe, made_up(320), World())
            weights.append([losses, *fit.model.state_dict().values()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_the_bits_of_a_fit_tell_neither_the_cores_nor_who_was_busy() -> None:
    # of the size that torch would share among its own threads
    recipe = changed(find_tier("tiny"), ("windows=960",))
    weights, before = [], torch.get_num_threads()
    try:
        for cores, busy in [(1, False), (2, False), (2, True), (4, False), (4, True)]:
            torch.set_num_threads(cores)
            gate = threading.Event()
            with Workers(cores // 2) as workers:
                fit = loop.start_fit(recipe, CPU, workers)
                for _ in range(workers.threads if busy else 0):
                    workers.later(gate.wait, 60.0)
                losses = loop.train_on(fit, recipe, made_up(960), World())
                gate.set()
            weights.append([losses, *fit.model.state_dict().values()])
    finally:
        torch.set_num_threads(before)
    for other in weights[1:]:
        assert all(torch.equal(a, b) for a, b in zip(weights[0], other, strict=True))


@pytest.mark.parametrize(
    ("changes", "ranks", "expected"),
    [
        (("batch=160",), 1, [[[(0, 80)], [(80, 160)]]]),
        (("batch=64",), 1, [[[(0, 64)]]]),  # too few to share
        (("batch=160", "dropout=0.1"), 1, [[[(0, 160)]]]),
        (("batch=160", "accumulate=4"), 1,
         [[[(0, 40), (80, 120)], [(40, 80), (120, 160)]]]),
        (("batch=160",), 2, [[[(0, 80)]], [[(80, 160)]]]),
        (("batch=160", "accumulate=2"), 2, [[[(0, 40)], [(80, 120)]], [[(40, 80)], [(120, 160)]]]),
    ],
)  # fmt: skip
def test_how_a_batch_is_shared(changes: tuple[str, ...], ranks: int, expected: object) -> None:
    recipe = changed(TINY, ("windows=320", "dropout=0", *changes))
    batch = made_up(recipe.batch)
    shared = [
        [[(piece.start, piece.stop) for piece in share]
         for share in loop.shares_of(recipe, batch, World(rank, ranks))]
        for rank in range(ranks)
    ]  # fmt: skip
    assert shared == expected


def test_gradients_of_parts_add_up() -> None:
    fit, data = loop.start_fit(changed(TINY, ("dropout=0",)), CPU), made_up(64)
    added = []
    for parts in (1, 2, 8):
        fit.model.zero_grad()
        for piece in torch.arange(64).chunk(parts):
            logits = fit.model(data.windows[piece])[:, 0]
            loop.class_loss(logits, data.labels[piece], TINY).div(64).backward()
        added.append(torch.cat([p.grad.flatten() for p in fit.model.parameters()]))  # type: ignore[union-attr]
    for other in added[1:]:
        torch.testing.assert_close(other, added[0], rtol=1e-5, atol=1e-7)


def test_half_precision_follows_full() -> None:
    for name in ("fp16", "bf16"):
        torch.testing.assert_close(losses_of(f"precision={name}"), losses_of(), rtol=0, atol=0.02)


def test_overflowing_gradients_skip_their_step() -> None:
    recipe = changed(TINY, ("precision=fp16", "windows=64"))
    fit = loop.start_fit(recipe, CPU)
    fit.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**80)
    before = {name: t.clone() for name, t in fit.model.state_dict().items()}
    loop.update_weights(fit, recipe, made_up(64), World())
    assert fit.scaler.get_scale() == 2.0**79
    for name, weight in fit.model.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
    for _ in range(100):
        loop.update_weights(fit, recipe, made_up(64), World())
    assert fit.scaler.get_scale() < 2.0**40, "it is lowered until steps count"
    assert not torch.equal(fit.model.head.weight, before["head.weight"])


def test_precision_follows_the_device() -> None:
    assert loop.precision(TINY, CPU) == "fp32"
    assert loop.precision(changed(TINY, ("precision=bf16",)), CPU) == "bf16"
    assert loop.data_device(torch.device("mps")) == CPU, "MPS lacks double precision"


def test_loss_falls() -> None:
    recipe = changed(TINY, ("windows=320", "epochs=6"))
    fit = loop.start_fit(recipe, CPU)
    losses = [loop.train_on(fit, recipe, made_up(320), World()).mean() for _ in range(6)]
    assert losses[-1] < 0.7 * losses[0]


def test_averaged_weights_follow_the_model() -> None:
    recipe = changed(TINY, ("windows=64", "averaging=0.9"))
    fit = loop.start_fit(recipe, CPU)
    before = [p.detach().clone() for p in fit.model.parameters()]
    loop.train_on(fit, recipe, made_up(64), World())
    for old, new, mean in zip(
        before, fit.model.parameters(), fit.averaged.parameters(), strict=True
    ):
        kept = 2 / 11  # (1 + k) / (10 + k) after the first step, and 0.9 from the 81st on
        torch.testing.assert_close(mean, kept * old + (1 - kept) * new)


def test_trains_and_tells(fitted) -> None:
    _, model, settings, told = fitted
    assert [(p.epoch, p.epochs, p.step, p.steps) for p in told] == [(1, 2, 2, 4), (2, 2, 4, 4)]
    assert told[-1].left_s == 0.0
    assert all(np.isfinite([p.loss, p.held_out_loss, p.samples_per_s]).all() for p in told)
    assert settings.leave < settings.warn < settings.steady <= settings.slow <= settings.fast
    assert model.risk_scale > 0.0


def test_time_left_goes_by_the_last_epoch_and_speed_by_all() -> None:
    """Epochs that show windows again are quicker; jobs are planned by the speed of a whole fit."""
    fit = loop.start_fit(TINY, CPU)
    fit.epoch, none = 1, torch.zeros(1)
    told = loop.progress_of(fit, TINY, none, none, 4.0, 1.0)
    assert told.samples_per_s == TINY.windows / 4.0
    assert told.left_s == 1.0 * (TINY.epochs - 1)


def test_risk_is_not_constant(fitted, drawn: WindowSet) -> None:
    model = fitted[1]
    odds = model.risk_logit(logits_of(model, drawn.windows[:600]))
    assert odds.std() > 0.01
    fire = drawn.labels[:600] == FIRE
    assert odds[fire].mean() > odds[~fire].mean()


def test_resumed_fit_is_the_same(fitted) -> None:
    folder, model, settings, _ = fitted
    state = load_checkpoint(folder / "1", TINY)
    assert state is not None
    assert state["epoch"] == 1
    seen = []
    again, settings_again = loop.fit_detector(TINY, resumed=state, on_epoch=seen.append)
    assert [p.epoch for p in seen] == [2]
    for (name, a), b in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes(), name
    assert settings == settings_again


@pytest.mark.parametrize("k", range(len(LONE_CHANNELS)))
def test_channels_alone_alarm_no_more_than_others(
    k: int, fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thresholds, "LONE_PARTS", 1)
    model = loop.start_fit(TINY, CPU).model.eval()
    model.load_state_dict(fitted[1].state_dict())
    random = torch.Generator().manual_seed(5)
    mix = thresholds.DENSE_MIX
    streams = simulation.simulate_streams(192, generator=random, sensors=1, mix=mix)
    told = thresholds.peaks_alone(model, streams, k)
    high = thresholds.share_alarms(told[told[:, 0] > -np.inf], thresholds.ANYTHING_SHARE)
    for below, found in ((-1.0, 0.0), (0.8, 0.8)):
        settings = thresholds.settings_of(high - below)
        with Workers(0) as none:
            shares: list[float] = []
            thresholds.set_lone_excess(
                model, settings, [streams] * 2, World(), none, on_share=shares.append
            )
            assert shares == sorted(shares)
            assert shares[-1] == 1.0
        assert float(model.lone_excess[k] * model.risk_scale) == pytest.approx(found, abs=1e-5)
        lower = thresholds.peaks_alone(model, streams, k)
        closely = torch.isfinite(lower).all(dim=1) & torch.isfinite(told).all(dim=1)
        assert closely.sum() >= 5
        torch.testing.assert_close(lower[closely], told[closely] - found, rtol=0, atol=1e-4)
    present = ~torch.isnan(streams.readings[:, :, 0]).all(dim=1)
    channel, others = LONE_CHANNELS[k]
    is_lone = present[:, channel] & ~present[:, list(others)].any(dim=1)
    ends = torch.full((192, 1), streams.readings.shape[1] - 1)
    now = thresholds.score_ends(model, streams.readings, ends)[:, 0]
    model.lone_excess[k] = 0.0
    before = thresholds.score_ends(model, streams.readings, ends)[:, 0]
    known = torch.isfinite(before)
    torch.testing.assert_close(now[known], (before - 0.8 * is_lone)[known], rtol=0, atol=1e-4)
    assert 0 < is_lone[known].sum() < known.sum()


def test_the_second_look_finds_the_loudest(fitted) -> None:
    random = torch.Generator().manual_seed(3)
    mix = thresholds.DENSE_MIX
    streams = simulation.simulate_streams(48, generator=random, sensors=1, mix=mix)
    index = torch.arange(streams.readings.shape[1])
    ends = torch.where(streams.reported[:, :, 0], index, 0).cummax(dim=1).values
    every = thresholds.LOUD_STRIDE
    ends = ends[:, every - 1 :: every]
    odds = thresholds.score_ends(fitted[1], streams.readings, ends)
    fast, slow, steady = thresholds.peak_odds(fitted[1], streams).unbind(1)
    most = odds.amax(dim=1).topk(2)
    torch.testing.assert_close(fast[most.indices], most.values, rtol=0, atol=1e-5)
    held = odds.unfold(1, 4, 1).amin(dim=2).amax(dim=1).topk(2)  # four moments make a minute
    torch.testing.assert_close(slow[held.indices], held.values, rtol=0, atol=1e-5)
    lasting = odds.unfold(1, 16, 1).amin(dim=2)  # sixteen make five minutes
    lasted = lasting.amax(dim=1).topk(1)
    torch.testing.assert_close(steady[lasted.indices], lasted.values, rtol=0, atol=1e-5)
    assert (fast <= odds.amax(dim=1) + 1e-5).all()


def test_thresholds_share_what_may_alarm() -> None:
    random = torch.Generator().manual_seed(5)
    loud = torch.randn(1000, 3, generator=random).sort(dim=1, descending=True).values
    enter = thresholds.share_alarms(loud, 0.01)
    assert (loud > enter).any(dim=1).sum() <= 10
    assert (loud > enter - 0.2).any(dim=1).sum() > 10  # and hardly could be lower
    alone = thresholds.share_alarms(loud[:, :1], 0.01)
    assert (enter[:1] >= alone).all()  # more tiers, less for each


def test_scores_are_those_of_the_windows(fitted) -> None:
    random = torch.Generator().manual_seed(4)
    streams = simulation.simulate_streams(8, generator=random, sensors=1)
    odds = thresholds.score_ends(fitted[1], streams.readings, torch.tensor([[800, 1000]] * 8))
    at = torch.tensor([3])
    window = gather(streams.readings, at, torch.tensor([1000]), at * 0, at * 0)
    alone = fitted[1].risk_logit(logits_of(fitted[1], window)).item()
    silent = torch.isnan(streams.readings[3, 1000, 0]).all()
    assert odds[3, 1].item() == (-np.inf if silent else pytest.approx(alone, abs=1e-5))


def test_calibration_brings_odds_to_the_reference_mix() -> None:
    class Told(RiskModel):
        """Gives the odds that stand in its windows, far too sure of itself."""

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            fire = 8.0 * windows[:, -1, :, 0]
            return torch.stack([torch.zeros_like(fire), torch.full_like(fire, -1e3), fire], dim=-1)

    random = torch.Generator().manual_seed(0)
    labels = torch.tensor([NORMAL, FIRE]).repeat(4000)
    place = torch.randn(8000, generator=random) + 2.0 * (labels == FIRE)
    held_out = WindowSet(
        place.view(-1, 1, 1, 1).expand(-1, 60, 1, 6), labels, torch.arange(len(labels))
    )
    model = Told()
    calibrate(model, held_out)
    # two unit normals 2 apart: log-odds 2 x - 2, and the mix's prior of 0.2 fires to 0.5 normal
    assert 8.0 * model.risk_scale.item() == pytest.approx(2.0, rel=0.1)
    assert model.risk_shift.item() == pytest.approx(-2.0 + np.log(0.2 / 0.5), abs=0.2)


# --- checkpoints and run folders --------------------------------------------------------------


def damage(kind: str, file: Path) -> None:
    data = file.read_bytes()
    if kind == "truncated":
        file.write_bytes(data[: len(data) // 2])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "foreign":
        from safetensors.torch import save_file

        save_file({"x": torch.zeros(2)}, file, {"format": "other"})
    else:
        file.write_bytes(b"\x80\x04pickle" * 100)


@pytest.mark.parametrize("kind", ["truncated", "empty", "foreign", "pickle"])
def test_damaged_checkpoint_is_refused(fitted, tmp_path: Path, kind: str) -> None:
    whole = (fitted[0] / "1" / CHECKPOINT_FILE).read_bytes()
    (tmp_path / CHECKPOINT_FILE).write_bytes(whole)
    damage(kind, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(InputError, match=CHECKPOINT_FILE):
        load_checkpoint(tmp_path, TINY)


def test_checkpoint_of_another_recipe_is_refused(fitted) -> None:
    other = changed(TINY, ("width=32",))
    with pytest.raises(InputError, match="another recipe"):
        load_checkpoint(fitted[0] / "1", other)


def rewritten(file: Path, change) -> None:
    """Change a safetensors file's metadata, which `change` gets as a dict of texts."""
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    del metadata[CHECKSUM]  # older versions wrote none
    change(metadata)
    save_file(tensors, file, metadata)


def forget_newer_fields(metadata: dict[str, str]) -> None:
    """What a version wrote that knew neither `hours` nor channels."""
    recipe = json.loads(metadata["recipe"])
    del recipe["hours"]
    metadata["recipe"] = json.dumps(recipe)
    metadata.pop("channels", None)


def test_checkpoints_and_runs_of_an_older_version_load(fitted, saved: Path, tmp_path) -> None:
    shutil.copytree(fitted[0] / "1", tmp_path / "1")
    rewritten(tmp_path / "1" / CHECKPOINT_FILE, forget_newer_fields)
    assert load_checkpoint(tmp_path / "1", TINY) is not None
    shutil.copytree(saved, tmp_path / "run", ignore=shutil.ignore_patterns("run", "1"))
    rewritten(tmp_path / "run" / runs.MODEL, forget_newer_fields)
    assert runs.load(tmp_path / "run").recipe == runs.load(saved).recipe


DEEP = "[" * 10**5


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("format", "saafe-0", "was not written by this saafe"),
        ("channels", "temperature,pm25", "was trained for the channels temperature,pm25"),
        ("recipe", '{"tier": "tiny", "depth": 3}', "unknown fields: depth"),
        ("recipe", '{"tier": "tiny", "width": 16.0}', r"safetensors: .* width = 16.0 is no int"),
        ("recipe", '{"tier": "tiny", "device_file": "a = ["}', "safetensors: device: is no TOML"),
        ("recipe", "5", "safetensors: recipe cannot be read"),
        pytest.param("recipe", DEEP, "safetensors: recipe cannot be read", id="deep recipe"),
        pytest.param("alarms", DEEP, "is damaged", id="deep alarms"),
        ("alarms", '{"sentinels": 5}', "is damaged"),
    ],
)
def test_runs_of_other_versions_are_refused_in_one_line(
    saved: Path, tmp_path: Path, field: str, value: str, said: str
) -> None:
    shutil.copytree(saved, tmp_path / "run", ignore=shutil.ignore_patterns("run", "1"))
    rewritten(tmp_path / "run" / runs.MODEL, lambda metadata: metadata.update({field: value}))
    with pytest.raises(InputError, match=said) as raised:
        runs.load(tmp_path / "run")
    assert "\n" not in str(raised.value)


def test_no_number_of_the_seeds_serves_two_purposes() -> None:
    purposes = [*range(24), 63]  # more than there are: the next one must not meet an old one
    numbers = [
        seeded_generator(seed, purpose, part, CPU).initial_seed()  # type: ignore[arg-type]
        for seed in (0, 1, 2, 7, 8, 2**31 - 1)
        for purpose in purposes
        for part in (0, 1, 5_000, 59_999, 1_000_002)
    ]
    assert len(set(numbers)) == len(numbers) == 6 * len(purposes) * 5


@pytest.mark.parametrize(("seed", "part"), [(-1, 0), (2**31, 0), (0, -1), (0, 1_000_003)])
def test_numbers_that_two_purposes_would_share_are_not_drawn(seed: int, part: int) -> None:
    """Part 1,000,003 of the training windows was part 0 of those held out."""
    with pytest.raises(AssertionError, match="would share"):
        seeded_generator(seed, Purpose.TRAIN, part, CPU)


@pytest.mark.parametrize("name", [None, "anything", *devices.device_names()])
def test_a_device_on_which_no_fire_shows_is_not_trained_for(
    name: str | None, tmp_path: Path
) -> None:
    """A microphone's model had no window of a fire, and thresholds of -10: it alarmed by chance."""
    known = {CHANNEL_NAMES[channel] for channel in VISIBLE}
    if name in (None, "anything") or known & devices.load_device(name).channels.keys():
        assert data.to_train_for(TINY, name) == data.for_device(TINY, name)
        return
    with pytest.raises(
        InputError, match=f"device {name}: no fire shows on what it measures .sound.; a"
    ):
        saafe.train("tiny", device=name, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(InputError, match="no fire shows on"):
        compare_devices(["saafe-6", name], ComparisonPlan(recipe=TINY))


@pytest.mark.parametrize(
    ("changes", "are_enough"),
    [
        (("epochs=10000", "streams=12600", "passes=1"), True),  # 98 parts
        (("epochs=10000", "streams=13000", "passes=1"), False),
        (("epochs=10000", "streams=13000", "passes=2"), True),
        (("epochs=10", "streams=10000000"), True),
        (("epochs=26", "streams=10000000", "passes=2"), False),
        (("epochs=10000", "windows=3000000", "streams=128", "passes=10000"), False),  # its blocks
    ],
)
def test_a_training_that_would_run_out_of_seeds_is_refused_first(
    changes: tuple[str, ...], are_enough: bool, tmp_path: Path
) -> None:
    """Its numbers were another purpose's; then an assertion ended it after days."""
    recipe = changed(find_tier("ultra-fast"), changes)
    if are_enough:
        assert data.to_train_for(recipe, None) == recipe
        return
    settings = dict(change.split("=") for change in changes)
    with pytest.raises(InputError, match=r"^epochs = .* in all, allowed are 990,000; lower one"):
        saafe.train("ultra-fast", settings=settings, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("tier", recipes.TIERS)
def test_every_tier_has_seeds_enough(tier: str) -> None:
    assert data.parts_of_training(find_tier(tier)) < data.MOST_PARTS / 2


def test_hours_shorten_a_fit_and_its_schedule(small_parts: None) -> None:
    recipe = changed(TINY, ("epochs=50", "hours=1"))
    fit = loop.start_fit(recipe, CPU)
    data = epoch_windows(recipe, 0, CPU, World())
    loop.train_on(fit, recipe, data, World())
    loop.shorten_to_hours(fit, recipe, 3600.0 / 4.5, World())
    assert fit.epochs == 4
    steps = steps_of(recipe)
    assert fit.schedule.last_epoch == steps  # the first epoch counts
    planned = loop.start_fit(replace(recipe, epochs=4), CPU)
    loop.train_on(planned, recipe, data, World())
    assert fit.schedule.get_last_lr() == planned.schedule.get_last_lr()
    assert fit.schedule.state_dict()["total_steps"] == 4 * steps
    again = loop.start_fit(recipe, CPU)
    loop.load_state(again, loop.state_of(fit))
    assert again.epochs == 4
    loop.shorten_to_hours(fit, recipe, 10 * 3600.0, World())
    assert fit.epochs == 1


def test_a_fit_keeps_to_its_hours(small_parts: None) -> None:
    seen: list[Progress] = []
    recipe = changed(TINY, ("epochs=400", "hours=0.0005", "windows=64", "batch=64", "streams=32"))
    loop.fit_detector(recipe, on_epoch=seen.append)
    assert seen[-1].epoch == seen[-1].epochs < 400


def test_no_checkpoint_yet(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, TINY) is None


@pytest.fixture
def saved(fitted, tmp_path: Path) -> Path:
    runs.save_model(tmp_path, TINY, fitted[1], fitted[2])
    return tmp_path


def test_equal_models_are_equal_files() -> None:
    from safetensors.torch import load

    tensors = {"a": torch.arange(3.0), "b": torch.zeros(2, 2), "ü": torch.ones(())}
    keys = ["format", "recipe", "alarms", "x"]
    files = [
        sealed(tensors, {key: f'{{"{key}": 1}}' for key in order})
        for order in (keys, keys[::-1], sorted(keys))
    ]
    assert len(set(files)) == 1
    for name, tensor in load(files[0]).items():
        assert torch.equal(tensor, tensors[name])


LOAD = """
import sys
import threading
import numpy as np, torch
torch.set_num_threads(1)
from saafe.training.runs import load
run = load(sys.argv[1])
np.save(sys.argv[1] + "/risk.npy", run.score(np.load(sys.argv[1] + "/windows.npy")))
print(run.settings)
"""


def test_saved_run_gives_the_same_numbers_in_a_fresh_process(
    fitted, saved: Path, drawn: WindowSet
) -> None:
    windows = drawn.windows[:64].numpy()
    np.save(saved / "windows.npy", windows)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD, str(saved)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(fitted[2])
    risk = np.load(saved / "risk.npy")
    assert risk.dtype == np.float64
    np.testing.assert_array_equal(risk, runs.score_with(fitted[1])(windows))
    assert ((risk > 0.0) & (risk < 100.0)).all()
    # and it is the risk that training saw
    odds = fitted[1].risk_logit(logits_of(fitted[1], drawn.windows[:64]))
    np.testing.assert_allclose(risk, 100.0 * odds.double().sigmoid().numpy(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["truncated", "empty", "foreign", "pickle"])
def test_damaged_run_is_refused(saved: Path, kind: str) -> None:
    damage(kind, saved / runs.MODEL)
    with pytest.raises(InputError, match=runs.MODEL):
        runs.load(saved)


def test_run_that_does_not_fit_its_recipe_is_refused(tmp_path: Path) -> None:
    other = FireTransformer(changed(TINY, ("width=32",)))
    runs.save_model(tmp_path, TINY, other, AlarmSettings())
    with pytest.raises(InputError, match="none of this version"):
        runs.load(tmp_path)


# --- ranks ------------------------------------------------------------------------------------

RANK = """
import sys
import threading
import torch
torch.set_num_threads(1)
from saafe import recipes
from saafe.training import data, loop
from saafe.training.distributed import joined
recipe = recipes.changed(recipes.find_tier("ultra-fast"), sys.argv[1:])
with joined(torch.device("cpu")) as world:
    fit = loop.start_fit(recipe, torch.device("cpu"))
    data = data.epoch_windows(recipe, 0, torch.device("cpu"), world)
    losses = loop.train_on(fit, recipe, data, world)
    print(*losses.tolist(), fit.model.head.weight.sum().item())
"""


@pytest.mark.slow
def test_two_ranks_equal_one() -> None:
    changes = [
        f"{name}={value}"
        for name, value in recipes.to_dict(changed(TINY, ("dropout=0", "streams=384"))).items()
        if name in recipes.field_types(TINY)
    ]
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        port = str(probe_socket.getsockname()[1])

    def start(rank: int, size: int) -> subprocess.Popen:
        world = {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-c", RANK, *changes], env={**os.environ, **world},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    ranks = [start(0, 2), start(1, 2), start(0, 1)]
    two, second, one = ([float(x) for x in p.communicate(timeout=300)[0].split()] for p in ranks)
    assert len(one) == 3
    assert second == two
    # a weight whose gradient cancels (as many normal as other windows know a channel) takes
    # Adam's step on its rounding error; gradients themselves agree, see below
    assert two == pytest.approx(one, abs=1e-5)
    assert two[0] == pytest.approx(one[0], abs=1e-6)


def test_a_process_does_not_count_the_memory_of_the_one_that_started_it() -> None:
    held = b"x" * 700_000_000
    code = ("import torch; from saafe.training_run import peak_mb; "
            "print(peak_mb(torch.device('cpu')))")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 50 < float(done.stdout) < len(held) / 1e6
