"""The transformer that turns windows of raw readings into risk.

Legend: B batch, T steps (60), S sensors, C channels (6), P steps in a token, N tokens, D width.
Each sensor is scored alone. Normalisation lives here, so that an exported file takes raw
readings and cannot disagree with training.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saafe.recipes import Recipe
from saafe.sensors import CHANNELS, CO, CO2, FIRE, LABELS, PM25, TEMPERATURE, Channel
from saafe.windows import SEGMENTS, STEPS

# level, departure from the window's lower quartile, mask; particles at the window's top
FEATURES = 3 * len(CHANNELS) + 1
# six figures of each channel in each time scale
STATISTICS = 6 * len(SEGMENTS) * len(CHANNELS)
# what a window comes to: its last step, the onset features, the base, the statistics
WINDOW_SUMMARY = FEATURES + 2 * len(CHANNELS) + STATISTICS
# what a linear model sees: every step, and the rest of the summary
FLAT = STEPS * FEATURES + WINDOW_SUMMARY - FEATURES
ONSET_STEPS = 6  # of the window's steps, a minute
ONSET_SCALE = 2.0
BEYOND_LEVELS = 1e4  # beyond every level
assert len({count for count, _ in SEGMENTS}) == 1, "time scales of one length"
# channels that say little alone, each with those that would bear it out: particles without a gas,
# heat without particles or CO
LONE_CHANNELS = ((PM25, (CO2, CO)), (TEMPERATURE, (PM25, CO)))
ATTENDED = 16  # tokens; on a CPU windows whose tokens are fewer share a sequence of so many


def features(windows: Tensor) -> Tensor:
    """Levels, departures, masks of raw windows (B, T, C), NaN = missing. (B, T, 3 C + 1)"""
    return features_and_base(windows)[0]


def features_and_base(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Levels, departures, masks of raw windows, and the levels that they depart from.

    In memory the batch stands innermost: on a CPU whatever reads features then runs along it, many
    windows at a time. Of (B, T, C), NaN = missing; (B, T, 3 C + 1) and (B, C).
    """
    laid = windows.permute(1, 2, 0).contiguous()  # (T, C, B)
    mask = 1.0 + (0.0 * laid).nan_to_num(nan=-1.0)  # comparisons take a CPU several times as long
    filled = laid.nan_to_num(nan=20.0)
    level = torch.stack([level_of(filled[:, k], c) for k, c in enumerate(CHANNELS)], dim=1)
    base = lower_quartile(level.permute(2, 0, 1), mask.permute(2, 0, 1)).permute(1, 2, 0)
    departure = level - base
    for k, channel in enumerate(CHANNELS):
        if channel.scale.is_wide:
            departure[:, k] = asinh(departure[:, k] * channel.scale.spread)
    top = at_top(level[:, PM25 : PM25 + 1], mask[:, PM25 : PM25 + 1])
    seen = torch.cat([level * mask, departure * mask, mask, top], dim=1)
    return seen.permute(2, 0, 1), base[0].t()


def onset_features(seen: Tensor) -> Tensor:
    """How far each channel now stands above all that it showed until a minute ago. (B, C)

    A sensor that reports once a minute shows a fire's first minute by one step of the window. Of
    features (B, T, 3 C + 1); 0 where it does not, or where one of the two is missing.
    """
    C = len(CHANNELS)
    departure, mask = seen[..., C : 2 * C], seen[..., 2 * C : 3 * C]
    missing = BEYOND_LEVELS * (1.0 - mask[:, :-ONSET_STEPS])
    before = (departure[:, :-ONSET_STEPS] - missing).amax(dim=1)
    above = ONSET_SCALE * (departure[:, -1] - before).clamp(min=0.0)
    return torch.where((before > -1e3) & (mask[:, -1] > 0), above, 0.0)


def statistics(seen: Tensor) -> Tensor:
    """Mean, spread, lowest, highest, change and known share of each channel's departure.

    Over each time scale of the window; the change is the mean of its newer half less that of the
    older. Attention finds maxima and spreads within a token only after many windows.
    Of features (B, T, 3 C + 1); 0 where the channel is missing. (B, 3 x 6 x C)
    """
    C = len(CHANNELS)
    laid = seen.permute(1, 2, 0)  # as it is in memory: (T, 3 C + 1, B)
    # each (scale, half, step, C, B)
    departure, mask = (
        laid[:, k * C : (k + 1) * C].unflatten(0, (len(SEGMENTS), 2, -1)) for k in (1, 2)
    )
    sums, counts = departure.sum(dim=2), mask.sum(dim=2)
    number = counts.sum(dim=1)
    divisor, known = number.clamp(min=1.0), number.clamp(max=1.0)
    mean = sums.sum(dim=1) / divisor
    off = (departure - mean[:, None, None]) * mask
    spread = (off.square().sum(dim=(1, 2)) / divisor + 1e-6).sqrt() - 1e-3  # no slope at zero
    missing = BEYOND_LEVELS * (1.0 - mask)
    lowest = (departure + missing).amin(dim=(1, 2)) * known
    highest = (departure - missing).amax(dim=(1, 2)) * known
    older, newer = (sums / counts.clamp(min=1.0)).unbind(dim=1)
    change = (newer - older) * counts.amin(dim=1).clamp(max=1.0)
    share = number / SEGMENTS[0][0]
    figures = torch.stack([mean, spread, lowest, highest, change, share], dim=1)
    return figures.flatten(0, 2).t()


def window_summary(seen: Tensor, base: Tensor) -> Tensor:
    """What a window comes to: last step, onset features, base, statistics. (B, WINDOW_SUMMARY)

    Of features (B, T, 3 C + 1) and the levels that they depart from (B, C).
    """
    return torch.cat([seen[:, -1], onset_features(seen), base, statistics(seen)], dim=1)


def flat(windows: Tensor) -> Tensor:
    """What a linear model sees of raw windows (B, T, C), NaN = missing. (B, FLAT)"""
    seen, base = features_and_base(windows)
    return torch.cat([seen.flatten(1), window_summary(seen, base)[:, FEATURES:]], dim=1)


def stand_alone(seen: Tensor) -> Tensor:
    """1 where a window knows one of `LONE_CHANNELS`, but none of those beside it; else 0. (B, 2)

    Of features (B, T, 3 C + 1).
    """
    known = seen[..., 2 * len(CHANNELS) : 3 * len(CHANNELS)].amax(dim=1)
    return torch.stack(
        [
            known[:, one] * (1.0 - known[:, list(others)].amax(dim=1))
            for one, others in LONE_CHANNELS
        ],
        dim=1,
    )


def at_top(particles: Tensor, known: Tensor) -> Tensor:
    """How near particles stay to the highest level of the window: 1 at it, as at a meter's end.

    A meter at the end of its range reads one value, whatever grows beyond it. Of levels and their
    mask, time first. (T, ...)
    """
    top = (particles - BEYOND_LEVELS * (1.0 - known)).amax(dim=0)
    return torch.exp(-30.0 * (top - particles).clamp(0.0, 10.0)) * known


def levels(readings: Tensor) -> Tensor:
    """Channels on scales of order one: linear for temperature, logarithmic for gases. (..., C)"""
    return torch.stack([level_of(readings[..., k], c) for k, c in enumerate(CHANNELS)], dim=-1)


def level_of(reading: Tensor, channel: Channel) -> Tensor:
    """One channel on its scale; see `sensors.Scale`."""
    scale = channel.scale
    if scale.kind == "linear":
        return (reading - scale.centre) / scale.spread
    if scale.kind == "log":
        return torch.log(reading.clamp(min=channel.lowest) / scale.centre) / scale.spread
    return torch.log1p(reading.clamp(min=0.0) / scale.spread) - scale.centre


def asinh(x: Tensor) -> Tensor:
    """The inverse hyperbolic sine, by operations that are vectorised on every device."""
    size = x.abs()
    return x.sign() * torch.log1p(size + size * size / (1.0 + (size * size + 1.0).sqrt()))


def lower_quartile(values: Tensor, known: Tensor) -> Tensor:
    """The lower quartile over the known steps, by rank; 0 where none is known. (B, 1, C)

    Of values and their mask (B, T, C). No gradient goes through it.
    """
    mask = known.to(values.dtype)
    ordered = InOrder.apply(
        (values * mask + BEYOND_LEVELS * (1.0 - mask)).transpose(1, 2).contiguous()
    )
    count = mask.sum(dim=1)  # (B, C)
    rank = torch.floor((count - 1.0).clamp(min=0.0) / 4.0)
    quartile = ordered.gather(2, rank.long().unsqueeze(2)).squeeze(2)
    return (quartile * count.clamp(max=1.0)).unsqueeze(1)


class InOrder(torch.autograd.Function):
    """Values in order along the last axis.

    By numpy on a CPU, where torch takes ten times as long for rows as short as a window.
    """

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        """Sort. (..., T) to (..., T)"""
        if values.device.type != "cpu":
            return values.sort(dim=-1).values
        return torch.from_numpy(np.sort(values.detach().numpy(), axis=-1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Keep nothing."""
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(_ctx: Any, *_: Tensor) -> None:
        """No gradient."""

    @staticmethod
    def vmap(_info: Any, in_dims: tuple[int], values: Tensor) -> tuple[Tensor, int]:
        """Several models at once, as `benchmarks/seeds.py` trains them."""
        return InOrder.apply(values.movedim(in_dims[0], 0)), 0


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width: int, heads: int, expansion: int, dropout: float) -> None:
        """Make the layer."""
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor, apart: Tensor | None = None) -> Tensor:
        """Attend, then transform. (B, N, D) to (B, N, D)

        Where the sequences of several windows are one, `apart` keeps each to its own tokens; bool
        (N, N).
        """
        B, N, D = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(B, N, 3, self.heads, D // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=apart)
        attended = self.project(attended.transpose(1, 2).reshape(B, N, D))
        x = x + F.dropout(attended, self.dropout, self.training)
        hidden = self.narrow(F.gelu(self.widen(self.norm_mlp(x))))
        return x + F.dropout(hidden, self.dropout, self.training)


class RiskModel(nn.Module):
    """What every model here shares: class logits, and a calibrated risk made of them.

    A model's `forward` turns raw windows (B, T, S, C) into logits (B, S, class).
    """

    risk_scale: Tensor
    risk_shift: Tensor

    def __init__(self) -> None:
        """Start uncalibrated."""
        super().__init__()
        self.register_buffer("risk_scale", torch.ones(()))
        self.register_buffer("risk_shift", torch.zeros(()))

    def risk_logit(self, logits: Tensor) -> Tensor:
        """Calibrated log-odds of fire. (..., class) to (...)"""
        others = torch.logsumexp(logits[..., :FIRE], dim=-1)
        return self.risk_scale * (logits[..., FIRE] - others) + self.risk_shift


class GuardedModel(RiskModel):
    """A risk model that asks more of fire where a channel of `LONE_CHANNELS` stands alone.

    `lone_excess` is by how much its logit is lowered there. (lone channel,)
    """

    lone_excess: Tensor

    def __init__(self) -> None:
        """Start without: it is set with the thresholds."""
        super().__init__()
        self.register_buffer("lone_excess", torch.zeros(len(LONE_CHANNELS)))

    def guarded(self, logits: Tensor, seen: Tensor) -> Tensor:
        """Logits (B, class) with fire's lowered, of features (B, T, 3 C + 1)."""
        lower = (self.lone_excess * stand_alone(seen)).sum(dim=1, keepdim=True)
        return torch.cat([logits[:, :FIRE], logits[:, FIRE:] - lower], dim=1)


class FireTransformer(GuardedModel):
    """A small encoder over tokens of several steps each, of one sensor at a time.

    One token more holds the window's summary, which two layers have read: figures of a window
    tell by where they lie, as a tree would ask, and one layer only weighs them.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Make the model of a recipe, with fresh weights from the global generator."""
        super().__init__()
        self.patch = recipe.patch
        tokens = STEPS // recipe.patch
        self.embed = nn.Linear(FEATURES * recipe.patch, recipe.width)
        self.now_widen = nn.Linear(WINDOW_SUMMARY, recipe.expansion * recipe.width)
        self.now_narrow = nn.Linear(recipe.expansion * recipe.width, recipe.width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens + 1, recipe.width))
        self.blocks = nn.ModuleList(
            Block(recipe.width, recipe.heads, recipe.expansion, recipe.dropout)
            for _ in range(recipe.layers)
        )
        self.together = max(1, ATTENDED // (tokens + 1))  # windows in one sequence
        own = torch.eye(self.together, dtype=torch.bool)
        self.apart = own.repeat_interleave(tokens + 1, 0).repeat_interleave(tokens + 1, 1)
        self.norm = nn.LayerNorm(recipe.width)
        self.head = nn.Linear(recipe.width, len(LABELS))

    def forward(self, windows: Tensor) -> Tensor:
        """Logits of normal, nuisance and fire for each sensor of each window.

        From raw readings, NaN where missing. (B, T, S, C) to (B, S, class)
        """
        B, T, S, C = windows.shape
        seen, base = features_and_base(windows.transpose(1, 2).reshape(B * S, T, C))
        laid = seen.permute(1, 2, 0)  # as it is in memory: (T, 3 C + 1, B S)
        patches = laid.reshape(T // self.patch, self.patch * FEATURES, B * S)
        x = torch.matmul(self.embed.weight, patches).permute(2, 0, 1) + self.embed.bias
        now = self.now_narrow(F.gelu(self.now_widen(window_summary(seen, base))))
        x = torch.cat([x, now.unsqueeze(1)], dim=1) + self.position
        logits = self.guarded(self.head(self.norm(self.encode(x).mean(dim=1))), seen)
        return logits.float().view(B, S, len(LABELS))  # half precision would round the risk

    def encode(self, x: Tensor) -> Tensor:
        """The encoder's layers. (B, N, D) to (B, N, D)

        On a CPU several windows share a sequence: attention over four tokens at a time costs more
        than the arithmetic of sixteen.
        """
        B, N, D = x.shape
        if x.device.type != "cpu" or self.together > B:
            for block in self.blocks:
                x = block(x)
            return x
        spare = -B % self.together
        x = torch.cat([x, x[:spare]]) if spare else x
        x = x.view(-1, self.together * N, D)
        for block in self.blocks:
            x = block(x, self.apart)
        return x.reshape(-1, N, D)[:B]
