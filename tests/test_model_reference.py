"""The model's fast forward gives what the plain one gives, whose every line says what it means."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from saafe.recipes import find_tier
from saafe.sensors import CHANNELS, CO, CO2, FIRE, PM25, TEMPERATURE
from saafe.training import model as models
from saafe.training.model import Block, FireTransformer
from saafe.windows import SEGMENTS

C = len(CHANNELS)


def plain_features(windows: Tensor) -> Tensor:
    """Features of one window after the other, as they were first written. (B, T, 3 C + 1)"""
    known = ~torch.isnan(windows)
    level = models.levels(torch.where(known, windows, 20.0))
    departure = level - plain_base(windows).unsqueeze(1)
    for k, channel in enumerate(CHANNELS):
        if channel.scale.is_wide:
            departure[..., k] = torch.asinh(departure[..., k] * channel.scale.spread)
    mask = known.to(windows.dtype)
    particles = level[..., PM25 : PM25 + 1] * mask[..., PM25 : PM25 + 1]
    is_there = mask[..., PM25 : PM25 + 1] > 0
    top = torch.where(is_there, particles, -1e4).amax(dim=1, keepdim=True)
    at_top = torch.exp(-30.0 * (top - particles).clamp(0.0, 10.0)) * is_there
    return torch.cat([level * mask, departure * mask, mask, at_top], dim=-1)


def plain_base(windows: Tensor) -> Tensor:
    """The lower quartile of each channel's level, by rank; 0 where it is missing. (B, C)"""
    known = ~torch.isnan(windows)
    level = models.levels(torch.where(known, windows, 20.0))
    ordered = torch.where(known, level, 1e4).sort(dim=1).values
    count = known.sum(dim=1, keepdim=True)
    quartile = ordered.gather(1, ((count - 1) // 4).clamp(min=0))
    return torch.where(count > 0, quartile, 0.0).squeeze(1)


def plain_onset(seen: Tensor) -> Tensor:
    """See `onset_features`."""
    departure, mask = seen[..., C : 2 * C], seen[..., 2 * C : 3 * C]
    before = torch.where(mask[:, :-6] > 0, departure[:, :-6], -1e4).amax(dim=1)
    above = models.ONSET_SCALE * (departure[:, -1] - before).clamp(min=0.0)
    return torch.where((before > -1e3) & (mask[:, -1] > 0), above, 0.0)


def plain_statistics(seen: Tensor) -> Tensor:
    """See `statistics`, of one time scale after the other."""
    counts = [count for count, _ in SEGMENTS]
    out = []
    for departure, mask in zip(
        seen[..., C : 2 * C].split(counts, dim=1), seen[..., 2 * C : 3 * C].split(counts, dim=1),
        strict=True,
    ):  # fmt: skip
        mean, share = known_mean(departure, mask), mask.mean(dim=1)
        spread = known_mean((departure - mean.unsqueeze(1)).square() * mask, mask)
        low = torch.where(mask > 0, departure, 1e4).amin(dim=1)
        high = torch.where(mask > 0, departure, -1e4).amax(dim=1)
        older, newer = (
            known_mean(*half)
            for half in zip(departure.chunk(2, dim=1), mask.chunk(2, dim=1), strict=True)
        )
        both = torch.stack([half.amax(dim=1) for half in mask.chunk(2, dim=1)]).amin(dim=0)
        out += [mean, (spread + 1e-6).sqrt() - 1e-3]
        out += [low.where(share > 0, 0.0), high.where(share > 0, 0.0)]
        out += [(newer - older) * both, share]
    return torch.cat(out, dim=1)


def known_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the known steps."""
    return values.sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)


def plain_risk(model: FireTransformer, windows: Tensor) -> Tensor:
    """Risk, with each window's tokens a sequence of their own. (B, T, 1, C) to (B,)"""
    B = len(windows)
    seen = plain_features(windows[:, :, 0])
    base = plain_base(windows[:, :, 0])
    summary = torch.cat([seen[:, -1], plain_onset(seen), base, plain_statistics(seen)], dim=1)
    x = model.embed(seen.reshape(B, 60 // model.patch, -1))
    now = model.now_narrow(F.gelu(model.now_widen(summary)))
    x = torch.cat([x, now.unsqueeze(1)], dim=1) + model.position
    for block in model.blocks:
        assert isinstance(block, Block)
        N, D = x.shape[1:]
        qkv = block.qkv(block.norm_attention(x)).view(B, N, 3, block.heads, D // block.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        shares = (q @ k.transpose(-1, -2) / math.sqrt(D // block.heads)).softmax(dim=-1)
        x = x + block.project((shares @ v).transpose(1, 2).reshape(B, N, D))
        x = x + block.narrow(F.gelu(block.widen(block.norm_mlp(x))))
    logits = model.head(model.norm(x.mean(dim=1)))
    known = ~torch.isnan(windows[:, :, 0]).all(dim=1)
    particles = known[:, PM25] & ~known[:, CO2] & ~known[:, CO]
    heat = known[:, TEMPERATURE] & ~known[:, PM25] & ~known[:, CO]
    logits[:, FIRE] -= particles * model.lone_excess[0] + heat * model.lone_excess[1]
    return model.risk_logit(logits).sigmoid()


def odd_windows(count: int) -> Tensor:
    """Windows of every sort: whole, with holes, at their ends. (count, 60, 1, C)"""
    random = np.random.default_rng(count)
    middle = np.array([22.0, 10.0, 600.0, 45.0, 2.0, 50.0])
    out = middle * np.exp(0.3 * random.normal(size=(count, 60, 1, C)))
    out[::5] *= np.exp(random.normal(size=out[::5].shape))
    out[random.random(out.shape) < 0.1] = np.nan
    out[1::7, :, :, random.integers(0, C, 3)] = np.nan
    out[2::7, :50] = np.nan
    out[3::11] = np.nan
    out[6::9, :, :, [CO2, CO]] = np.nan
    out[7::9, :, :, [PM25, CO]] = np.nan
    out[4::11, :-1] = np.nan
    out[5::13, 20:, 0, PM25] = 100_000.0
    return torch.from_numpy(out.astype(np.float32))


@pytest.mark.parametrize("count", [1, 3, 4, 7, 64])
@pytest.mark.parametrize("tier", ["tiny", "ultra-fast", "standard"])
def test_the_forward_is_the_plain_one(tier: str, count: int) -> None:
    torch.manual_seed(0)
    model = FireTransformer(find_tier(tier)).eval()
    with torch.inference_mode():
        for parameter in model.parameters():
            parameter.mul_(1.5)  # so that risks spread
        model.lone_excess.copy_(torch.tensor([0.7, 0.4]))
        windows = odd_windows(count)
        risk = model.risk_logit(model(windows))[:, 0].sigmoid()
        torch.testing.assert_close(risk, plain_risk(model, windows), rtol=0.0, atol=1e-5)


def test_the_parts_are_the_plain_ones() -> None:
    windows = odd_windows(200)[:, :, 0]
    (seen, base), plain = models.features_and_base(windows), plain_features(windows)
    torch.testing.assert_close(base, plain_base(windows), rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(seen, plain, rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(models.onset_features(seen), plain_onset(plain), rtol=0, atol=1e-5)
    torch.testing.assert_close(models.statistics(seen), plain_statistics(plain), rtol=0, atol=1e-5)


def test_the_forward_is_the_plain_one_in_training_too() -> None:
    torch.manual_seed(0)
    model, windows = FireTransformer(find_tier("tiny")), odd_windows(10)
    fast = torch.autograd.grad(model.risk_logit(model(windows)).sum(), model.embed.weight)[0]
    logits = plain_risk(model, windows)
    plain = torch.autograd.grad(torch.logit(logits).sum(), model.embed.weight)[0]
    torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-3)
