"""The transformer sees time, misses nothing it should see, and survives what is missing."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from saafe.recipes import Recipe, changed, find_tier
from saafe.sensors import CHANNELS, CO, CO2, FIRE, HUMIDITY, PM25, SOUND, TEMPERATURE
from saafe.training import model as models
from saafe.training.model import FireTransformer

TINY = changed(find_tier("ultra-fast"), ("width=16", "layers=2", "heads=2", "patch=10"))
MIDDLE = torch.tensor([22.0, 10.0, 600.0, 45.0, 2.0, 50.0])


def made(recipe: Recipe = TINY, seed: int = 0) -> FireTransformer:
    torch.manual_seed(seed)
    return FireTransformer(recipe).eval()


def raw_windows(count: int, seed: int = 0, sensors: int = 1) -> torch.Tensor:
    """Plausible readings, a tenth of them missing. (count, 60, sensors, 6)"""
    random = torch.Generator().manual_seed(seed)
    shape = (count, 60, sensors, len(CHANNELS))
    out = MIDDLE * (0.3 * torch.randn(shape, generator=random)).exp()
    return out.masked_fill(torch.rand(shape, generator=random) < 0.1, torch.nan)


@pytest.mark.parametrize("sensors", [1, 3])
@pytest.mark.parametrize("patch", [1, 4, 10, 60])
def test_shapes(patch: int, sensors: int) -> None:
    model = made(changed(TINY, (f"patch={patch}",)))
    logits = model(raw_windows(5, sensors=sensors))
    assert logits.shape == (5, sensors, 3)
    assert model.risk_logit(logits).shape == (5, sensors)
    assert model.position.shape == (60 // patch + 1, 16)  # and one token of news


def test_tiers_have_the_documented_size() -> None:
    fast, standard = (FireTransformer(find_tier(name)) for name in ("ultra-fast", "standard"))
    assert (fast.head.in_features, len(fast.blocks)) == (128, 4)
    assert (standard.head.in_features, len(standard.blocks)) == (256, 6)
    assert 4 * sum(p.numel() for p in fast.parameters()) < 15_000_000
    assert 4 * sum(p.numel() for p in standard.parameters()) < 29_000_000


@pytest.mark.parametrize("tier", ["ultra-fast", "standard", "local"])
def test_every_parameter_gets_a_gradient_at_initialisation(tier: str) -> None:
    model = made(find_tier(tier))
    labels = torch.arange(32) % 3
    F.cross_entropy(model(raw_windows(32))[:, 0], labels).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 1e-8, name
        if name.endswith("weight") and parameter.ndim == 2 and not name.startswith("embed"):
            assert (parameter.grad.abs().amax(dim=1) > 0.0).all(), f"{name}: a dead row"


def test_shuffling_time_changes_the_output() -> None:
    model, windows = made(), raw_windows(4)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    assert (model(windows) - model(windows[:, order])).abs().amax(dim=(1, 2)).min() > 1e-3
    # whole tokens too: the position embedding is used
    tokens = windows.view(4, 6, 10, 1, 6).flip(1).reshape(4, 60, 1, 6)
    assert (model(windows) - model(tokens)).abs().amax(dim=(1, 2)).min() > 1e-4


def test_every_step_and_channel_matters() -> None:
    model, windows = made(), raw_windows(1, seed=3).nan_to_num(20.0).requires_grad_()
    model(windows)[..., FIRE].sum().backward()
    assert windows.grad is not None
    assert (windows.grad.abs() > 0.0).float().mean() > 0.95


def test_missing_readings() -> None:
    model, windows = made(), raw_windows(3)
    windows[0] = torch.nan
    windows[1, :, :, 1:] = torch.nan
    logits = model(windows)
    assert torch.isfinite(logits).all()
    # what is missing is not the same as any value
    filled = model(windows.nan_to_num(20.0))
    assert ((logits - filled).abs().amax(dim=(1, 2)) > 1e-3).all()


def test_extreme_readings_stay_finite() -> None:
    limits = torch.tensor([[-40.0, 0.0, 100.0, 0.0, 0.0, 0.0], [1200, 1e5, 2e5, 150, 2e4, 100]])
    windows = limits[:, None, None, :].expand(-1, 60, 1, -1)
    assert torch.isfinite(made()(windows)).all()
    assert models.features(windows[:, :, 0]).abs().max() < 300.0


def test_a_window_does_not_depend_on_its_batch() -> None:
    model, windows = made(), raw_windows(9, sensors=2)
    together = model(windows)
    for k in range(9):
        torch.testing.assert_close(model(windows[k : k + 1])[0], together[k], rtol=0, atol=1e-5)
    for s in range(2):  # nor a sensor on the others
        alone = model(windows[:, :, s : s + 1])[:, 0]
        torch.testing.assert_close(alone, together[:, s], rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5, 59, 60])
def test_lower_quartile_agrees_with_numpy(count: int) -> None:
    values = torch.randn(4, count, 6, generator=torch.Generator().manual_seed(count))
    got = models.lower_quartile(values, torch.ones_like(values, dtype=torch.bool))
    expected = np.quantile(values.numpy(), 0.25, axis=1, keepdims=True, method="lower")
    np.testing.assert_array_equal(got.numpy(), expected)


def test_lower_quartile_leaves_out_what_is_missing() -> None:
    values = torch.arange(12.0).view(1, 12, 1).expand(1, 12, 2).clone()
    known = torch.zeros(1, 12, 2, dtype=torch.bool)
    known[0, [11, 3, 7, 5, 9], 0] = True
    assert models.lower_quartile(values, known).flatten().tolist() == [5.0, 0.0]


def test_features_mark_what_is_missing() -> None:
    window = raw_windows(2)[:, :, 0]
    out = models.features(window)
    assert out.shape == (2, 60, models.FEATURES)
    level, departure, mask, top = out.split([6, 6, 6, 1], dim=-1)
    assert torch.equal(mask, (~torch.isnan(window)).float())
    assert (level[mask == 0] == 0).all()
    assert (departure[mask == 0] == 0).all()
    assert (top[mask[..., [PM25]] == 0] == 0).all()


def test_a_meter_at_its_end_is_at_the_top_of_its_window() -> None:
    window = torch.full((1, 60, len(CHANNELS)), 20.0)
    window[0, 30:, PM25] = 200.0
    assert models.features(window)[0, :, -1].tolist() == pytest.approx([0.0] * 30 + [1.0] * 30)


def test_risk_is_the_calibrated_share_of_fire() -> None:
    model = made()
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    share = logits.softmax(dim=1)[0, FIRE]
    torch.testing.assert_close(model.risk_logit(logits).sigmoid()[0], share)
    model.risk_scale.fill_(2.0)
    model.risk_shift.fill_(-1.0)
    torch.testing.assert_close(model.risk_logit(logits)[0], 2.0 * share.logit() - 1.0)


def test_news_is_what_was_not_seen_before_the_last_minute() -> None:
    window = torch.full((1, 60, len(CHANNELS)), 20.0)
    window[0, 40:, CO] = 30.0  # old by now
    window[0, -1, TEMPERATURE] = 27.0
    window[0, -6:, PM25] = 90.0
    window[0, :-1, HUMIDITY] = torch.nan
    told = models.onset_features(models.features(window))[0]
    assert told[TEMPERATURE].item() == pytest.approx(models.ONSET_SCALE * math.asinh(7.0), abs=1e-4)
    assert told[PM25].item() == pytest.approx(models.ONSET_SCALE * math.log(10 / 3), abs=1e-4)
    assert (told[[CO, CO2, SOUND]] == 0.0).all()
    assert told[HUMIDITY] < 1e3  # one reading, compared with none


def test_statistics_are_those_of_numpy_over_known_steps() -> None:
    windows = raw_windows(5)
    windows[0, :, 0, CO] = torch.nan
    seen = models.features(windows[:, :, 0])
    told = models.statistics(seen).view(5, 3, 6, 6)  # window, time scale, figure, channel
    departure = seen[..., 6:12].masked_fill(seen[..., 12:18] == 0, torch.nan).numpy()
    for scale in range(3):
        part = departure[:, 20 * scale : 20 * scale + 20]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of channels that are missing
            newer, older = np.nanmean(part[:, 10:], axis=1), np.nanmean(part[:, :10], axis=1)
            expected = [
                np.nanmean(part, axis=1), np.nanstd(part, axis=1), np.nanmin(part, axis=1),
                np.nanmax(part, axis=1), newer - older, (~np.isnan(part)).mean(axis=1),
            ]  # fmt: skip
        for figure, value in enumerate(expected):
            np.testing.assert_allclose(
                told[:, scale, figure].numpy(), np.nan_to_num(value), atol=2e-3
            )


def test_statistics_of_nothing_known_are_zero() -> None:
    windows = torch.full((2, 60, len(CHANNELS)), torch.nan)
    windows[:, 45:, TEMPERATURE] = 21.0
    told = models.statistics(models.features(windows))
    assert torch.isfinite(told).all()
    assert (told.view(2, 3, 6, 6)[:, :2] == 0.0).all(), "older scales hold nothing"
    assert told.view(2, 3, 6, 6)[:, 2, 5, TEMPERATURE].tolist() == [0.75, 0.75]
