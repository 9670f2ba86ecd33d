"""Homes without a fire as training data: their windows, their loss, events over them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from saafe.detector import AlarmSettings
from saafe.own_rooms.tuned_run import MOST_BUDGET
from saafe.recipes import changed, find_tier
from saafe.sensors import CHANNELS, CO, FIRE, LABELS, NORMAL, PM25, SOUND, TEMPERATURE, UNKNOWN
from saafe.simulator import simulation, sources
from saafe.simulator.labels import VISIBLE
from saafe.simulator.over_recordings import (
    backgrounds_of,
    own_range,
    simulate_events,
    simulate_over,
    with_events,
)
from saafe.simulator.scenarios import Mix
from saafe.simulator.streams import Streams
from saafe.training import backgrounds, thresholds
from saafe.training.backgrounds import NOT_FIRE, lay_end_to_end, not_fire_loss, quiet_windows
from saafe.training.data import CLASS_SHARES
from saafe.training.loop import class_loss
from saafe.training.model import FireTransformer
from saafe.training.thresholds import Pool, dense_years, thresholds_within
from saafe.training.tuning import KEPT_SHARE, keep_share
from saafe.windows import SPAN, cut_windows
from tests.test_own_rooms import make_recording

RECIPE = changed(find_tier("tiny"), ("width=16", "layers=1", "heads=2"))
PLAN = simulation.StreamSettings(3.0, 1, Mix(fire_share=0.5))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def over(background, n: int, plan: simulation.StreamSettings, seed=0) -> Streams:
    generator = seeded(seed)
    return simulate_over([background], simulate_events(n, plan, generator), generator)


def seeded(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_loss_is_its_formula() -> None:
    logits = torch.randn(7, len(LABELS), generator=seeded(), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, NOT_FIRE, NOT_FIRE, 2, NOT_FIRE])
    wanted = 0.0
    for each, label in zip(logits, labels.tolist(), strict=True):
        p = each.exp() / each.exp().sum()
        wanted -= torch.log(1.0 - p[FIRE]) if label == NOT_FIRE else torch.log(p[label])
    assert not_fire_loss(logits, labels, RECIPE).item() == pytest.approx(float(wanted), rel=1e-12)


def test_the_loss_is_trainings_where_all_is_known() -> None:
    logits = torch.randn(5, len(LABELS), generator=seeded())
    labels = torch.tensor([0, 1, 2, 0, 1])
    assert torch.equal(not_fire_loss(logits, labels, RECIPE), class_loss(logits, labels, RECIPE))
    alone = not_fire_loss(logits, torch.full((5,), NOT_FIRE), RECIPE)
    assert alone.isfinite()


def test_a_sure_wrong_model_still_has_a_slope() -> None:
    logits = torch.tensor([[-200.0, -200.0, 200.0]], requires_grad=True)
    not_fire_loss(logits, torch.tensor([NOT_FIRE]), RECIPE).backward()
    assert logits.grad is not None
    assert logits.grad[0, FIRE].item() == pytest.approx(1.0, rel=1e-4)


def test_windows_of_homes_are_the_detectors() -> None:
    (one,) = backgrounds_of(make_recording(hours=6.0))
    days = lay_end_to_end([one, one])
    ends = days.reported.nonzero()[:, 0]
    drawn = quiet_windows(days, ends[-5:], seeded())
    grid = one.readings.numpy()
    wanted = cut_windows(grid, ends[-5:].numpy() - 2 * SPAN - len(grid))
    whole = ~torch.isnan(drawn.windows[:, 0]).all(dim=-1)[:, 0]  # not cut short
    assert whole.any()
    np.testing.assert_allclose(drawn.windows[whole], wanted[whole.numpy()], rtol=1e-5)
    assert (drawn.labels == NOT_FIRE).all()


def test_no_window_sees_two_homes() -> None:
    cold, warm = (backgrounds_of(make_recording(hours=4.0, base=b))[0] for b in (0.0, 30.0))
    days = lay_end_to_end([cold, warm])
    drawn = quiet_windows(days, days.reported.nonzero()[:, 0], seeded())
    temperature = drawn.windows[..., TEMPERATURE].nan_to_num(torch.nan)
    is_cold = (temperature < 15.0).flatten(1).any(dim=1)
    is_warm = (temperature > 15.0).flatten(1).any(dim=1)
    assert is_cold.any()
    assert is_warm.any()
    assert not (is_cold & is_warm).any()


def test_events_are_added_at_the_sensors_period_in_its_steps_and_up_to_its_end() -> None:
    (one,) = backgrounds_of(make_recording(hours=12.0))
    streams = over(one, 64, PLAN)
    assert streams.readings.shape == (64, 1080, 1, len(CHANNELS))
    assert torch.isnan(streams.readings[..., CO]).all()  # what the home lacks stays missing
    between = ~streams.reported[:, 1:, 0] & ~torch.isnan(streams.readings[:, 1:, 0, TEMPERATURE])
    moved = streams.readings[:, 1:, 0] != streams.readings[:, :-1, 0]
    assert not (moved[..., TEMPERATURE] & between).any()
    tenths = streams.readings[..., TEMPERATURE].nan_to_num(0.0) * 10.0
    assert (tenths - tenths.round()).abs().max() < 2e-2
    burning = streams.labels == FIRE
    assert burning.any()
    assert streams.readings[burning][:, PM25].nan_to_num(0.0).max() <= one.highest[PM25]


def test_without_events_the_background_stands() -> None:
    (one,) = backgrounds_of(make_recording(hours=12.0))
    nothing = simulation.StreamSettings(3.0, 1, Mix(0.0, nuisance_counts=(1.0, 0.0, 0.0)))
    streams = over(one, 8, nothing)
    assert (streams.labels == NORMAL).all()
    known = streams.readings[~torch.isnan(streams.readings)]
    originals = set(one.readings[~torch.isnan(one.readings)].tolist())
    assert set(known.tolist()) <= originals


def test_a_fire_is_labelled_where_it_shows_in_the_homes_own_channels() -> None:
    recording = make_recording(hours=12.0)
    readings = recording.readings.copy()
    readings[..., [c for c in range(len(CHANNELS)) if c != TEMPERATURE]] = np.nan
    (one,) = backgrounds_of(replace(recording, readings=readings))
    fires = simulation.StreamSettings(3.0, 1, Mix(1.0, nuisance_counts=(1.0, 0.0, 0.0)))
    streams = over(one, 64, fires)
    burning = streams.labels[..., 0] == FIRE
    hottest = streams.readings[..., 0, TEMPERATURE][burning]
    assert hottest.min() > 20.0 - 0.45 + VISIBLE[TEMPERATURE] - 0.1
    assert (streams.labels == UNKNOWN).any()  # it burns and does not show


def test_a_background_shorter_than_the_stream_begins_with_nothing_known() -> None:
    (one,) = backgrounds_of(make_recording(hours=1.5))
    streams = over(one, 4, PLAN)
    assert torch.isnan(streams.readings[:, :500]).all()
    assert not streams.reported[:, :500].any()
    assert streams.reported[:, 600:].any()


def test_a_clock_that_was_wrong_for_years_fills_no_memory() -> None:
    recording = make_recording(hours=4.0)
    times = recording.times_s + np.where(recording.times_s > 7200.0, 1.7e9, 0.0)
    first, second = backgrounds_of(replace(recording, times_s=times))
    assert len(first.fresh) + len(second.fresh) < 1500


def test_events_over_homes_are_the_seeds() -> None:
    (home,) = backgrounds_of(make_recording(hours=12.0))
    one, two, other = (over(home, 8, PLAN, s) for s in (0, 0, 1))
    assert torch.equal(one.readings.nan_to_num(0.0), two.readings.nan_to_num(0.0))
    assert not torch.equal(one.readings.nan_to_num(0.0), other.readings.nan_to_num(0.0))


def test_where_a_meter_ends() -> None:
    calm = make_recording(hours=12.0)
    step, highest = own_range(calm, 0)
    assert highest[PM25] >= 500.0  # a quiet home says nothing of it
    assert step[TEMPERATURE].item() == pytest.approx(0.1)
    step, highest = own_range(
        replace(calm, times_s=calm.times_s[:5], readings=calm.readings[:5]), 0
    )
    assert highest[PM25] == CHANNELS[PM25].highest


def test_sound_stays_the_backgrounds() -> None:
    bare = torch.full((6, 1, 1, len(CHANNELS)), 40.0)
    added = torch.full_like(bare, 7.0)
    full = with_events(
        bare, added, torch.ones(6, 1, 1, len(CHANNELS), dtype=torch.bool),
        step=torch.zeros(1, 1, len(CHANNELS)),
        highest=torch.full((1, 1, len(CHANNELS)), 45.0),
    )  # fmt: skip
    assert (full[..., SOUND] == 40.0).all()
    assert (full[..., TEMPERATURE] == 45.0).all()


def test_a_recorded_room_says_nothing_of_a_fire() -> None:
    # were fires rarer in homes than in simulations, a model would learn the room, not the fire
    class Quiet(torch.nn.Module):
        risk_scale = torch.ones(())

        def forward(self, windows):
            return torch.zeros(len(windows), 1, len(LABELS))

        def risk_logit(self, logits):
            return logits[..., FIRE]

    homes = backgrounds_of(make_recording(hours=12.0))
    generator = torch.Generator().manual_seed(0)
    mix = replace(backgrounds.EVENTS_MIX, fire_share=1.0)
    events = simulate_events(16, simulation.StreamSettings(3.0, 1, mix), generator)
    drawn = backgrounds.home_windows(Quiet(), homes, events, 600, generator)  # pyright: ignore
    assert set(drawn.labels.tolist()) == {FIRE, NOT_FIRE}
    share = (drawn.labels == FIRE).float().mean().item()
    assert share == pytest.approx(CLASS_SHARES[FIRE], abs=0.01)


# thresholds


def test_a_budget_allows_what_a_years_share_holds() -> None:
    peaks = torch.arange(100.0).unsqueeze(1).expand(100, 3).contiguous()
    for per_year, above in ((0.0, 0), (1.0, 0), (8.0, 4), (400.0, 100)):
        settings = thresholds_within([Pool(peaks, 0.5, 0.01)], per_year)
        assert (peaks[:, 0] >= settings.fast).sum().item() <= min(per_year * 0.5, 100)
        if above < 99:
            assert (peaks[:, 0] >= settings.fast).sum().item() == above


@pytest.mark.parametrize("per_year", [0.0, 1.0, 100.0, 300.0, 500.0, MOST_BUDGET])
@pytest.mark.parametrize("looked_at", [1, 7, 128])
def test_every_budget_that_is_allowed_gives_settings_that_can_be_kept(
    per_year: float, looked_at: int
) -> None:
    """Above 400 a year they were -inf where streams had no second look, and no run could load."""
    generator = torch.Generator().manual_seed(0)
    peaks = torch.randn(128, 3, generator=generator).sort(dim=1, descending=True).values
    first_look = peaks[:, 0].argsort(descending=True)
    peaks[first_look[looked_at:], 1:] = -math.inf
    pool = Pool(peaks, 128 * 3.0 / 8766.0, 0.0)
    settings = thresholds_within([pool], per_year)
    assert AlarmSettings.from_dict(settings.to_dict()) == settings
    assert pool.alarms_at(settings) <= per_year * pool.years


def test_without_a_budget_a_share_of_each_pool_may_alarm() -> None:
    peaks = torch.arange(100.0).unsqueeze(1).expand(100, 3).contiguous()
    pools = [Pool(peaks, 0.5, 0.05), Pool(torch.full((10, 3), 90.0), 0.5, 0.0)]
    settings = thresholds_within(pools, None)
    assert [pool.alarms_at(settings) for pool in pools] == [5, 0]


def test_every_pool_keeps_the_budget() -> None:
    low, high = Pool(torch.zeros(10, 3), 0.1, 0.0), Pool(torch.full((10, 3), 5.0), 0.1, 0.0)
    assert thresholds_within([low, high], 1.0).fast == pytest.approx(5.001)
    blank = Pool(torch.full((10, 3), -math.inf), 0.1, 0.0)
    assert thresholds_within([low, blank], 1.0).fast == pytest.approx(0.001)


def test_a_tuned_model_keeps_a_share_of_the_one_before() -> None:
    torch.manual_seed(0)
    before, tuned = (FireTransformer(find_tier("tiny")) for _ in range(2))
    kept = {name: value.clone() for name, value in before.state_dict().items()}
    moved = {name: value.clone() for name, value in tuned.state_dict().items()}
    keep_share(tuned, before)
    for name, value in tuned.named_parameters():
        expected = KEPT_SHARE * kept[name] + (1.0 - KEPT_SHARE) * moved[name]
        torch.testing.assert_close(value.detach(), expected)
    for name, value in before.state_dict().items():
        assert torch.equal(value, kept[name]), "the model before stays as it is"


def test_dense_streams_stand_for_their_nuisances() -> None:
    a_year = sum(source.per_year for source in sources.OTHERS)
    assert dense_years(768) == pytest.approx(768 * 1.5 / a_year)
    assert thresholds.DENSE_MIX.balance == 1.0  # drawn as often as dwellings see them


def test_own_peaks_look_at_every_minute_where_it_is_loud() -> None:
    class Warmth(torch.nn.Module):
        risk_scale = torch.ones(())

        def forward(self, windows):
            logits = torch.zeros(len(windows), 1, len(LABELS))
            logits[:, 0, FIRE] = windows[:, -1, 0, TEMPERATURE]
            return logits

        def risk_logit(self, logits):
            return logits[..., FIRE]

    recording = make_recording(hours=9.0)
    readings = recording.readings.copy()
    readings[100:102, 0, TEMPERATURE] = 50.0  # two minutes
    readings[400, 0, TEMPERATURE] = 90.0  # one
    days = lay_end_to_end(backgrounds_of(replace(recording, readings=readings)))
    peaks = backgrounds.own_peaks(Warmth(), days)  # pyright: ignore
    instant, minute, five = peaks.amax(dim=0).tolist()
    assert instant == 90.0
    assert minute == 50.0
    assert five < 25.0
    assert days.years == pytest.approx(9.0 / (365.25 * 24.0), rel=0.02)
