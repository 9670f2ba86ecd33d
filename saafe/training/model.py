"""The transformer that turns windows of raw readings into risk.

Legend: B batch, T steps (60), S sensors, C channels (6), P steps in a token, N tokens, D width.
Each sensor is scored alone. Normalisation lives here, so that an exported file takes raw
readings and cannot disagree with training.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saafe.recipes import Recipe
from saafe.sensors import CHANNELS, FIRE, LABELS, PM25, Channel
from saafe.windows import SEGMENTS, STEPS

# level, departure from the window's lower quartile, mask; particles at the window's top
FEATURES = 3 * len(CHANNELS) + 1
# six figures of each channel in each time scale
STATISTICS = 6 * len(SEGMENTS) * len(CHANNELS)
# what a linear model sees: every step, the onset features, the statistics
FLAT = STEPS * FEATURES + len(CHANNELS) + STATISTICS
ONSET_STEPS = 6  # of the window's steps, a minute
ONSET_SCALE = 2.0


def features(windows: Tensor) -> Tensor:
    """Levels, departures, masks of raw windows (B, T, C), NaN or 0 = missing. (B, T, 3 C + 1)"""
    known = ~torch.isnan(windows)
    level = levels(torch.where(known, windows, 20.0))
    base = lower_quartile(level, known)
    departure = level - base
    for k, channel in enumerate(CHANNELS):
        if channel.scale.is_wide:
            departure[..., k] = torch.asinh(departure[..., k] * channel.scale.spread)
    mask = known.to(windows.dtype)
    return torch.cat([level * mask, departure * mask, mask, at_top(level, mask)], dim=-1)


def onset_features(seen: Tensor) -> Tensor:
    """How far each channel now stands above all that it showed until a minute ago. (B, C)

    A sensor that reports once a minute shows a fire's first minute by one step of the window. Of
    features (B, T, 3 C + 1); 0 where it does not, or where one of the two is missing.
    """
    C = len(CHANNELS)
    departure, mask = seen[..., C : 2 * C], seen[..., 2 * C : 3 * C]
    before = torch.where(mask[:, :-ONSET_STEPS] > 0, departure[:, :-ONSET_STEPS], -1e4).amax(dim=1)
    above = ONSET_SCALE * (departure[:, -1] - before).clamp(min=0.0)
    return torch.where((before > -1e3) & (mask[:, -1] > 0), above, 0.0)


def statistics(seen: Tensor) -> Tensor:
    """Mean, spread, lowest, highest, change and known share of each channel's departure.

    Over each time scale of the window; the change is the mean of its newer half less that of the
    older. Attention finds maxima and spreads within a token only after many windows.
    Of features (B, T, 3 C + 1); 0 where the channel is missing. (B, 6 x 3 x C)
    """
    C, counts = len(CHANNELS), [count for count, _ in SEGMENTS]
    departures = seen[..., C : 2 * C].split(counts, dim=1)
    masks = seen[..., 2 * C : 3 * C].split(counts, dim=1)
    out = []
    for departure, mask in zip(departures, masks, strict=True):
        mean, share = known_mean(departure, mask), mask.mean(dim=1)
        variance = known_mean((departure - mean.unsqueeze(1)).square() * mask, mask)
        spread = (variance + 1e-6).sqrt() - 1e-3  # a root has no slope at zero
        lowest = torch.where(mask > 0, departure, 1e4).amin(dim=1)
        highest = torch.where(mask > 0, departure, -1e4).amax(dim=1)
        halves = zip(departure.chunk(2, dim=1), mask.chunk(2, dim=1), strict=True)
        older, newer = (known_mean(*half) for half in halves)
        both = torch.stack([half.amax(dim=1) for half in mask.chunk(2, dim=1)]).amin(dim=0)
        out += [mean, spread, lowest.where(share > 0, 0.0), highest.where(share > 0, 0.0)]
        out += [(newer - older) * both, share]
    return torch.cat(out, dim=1)


def known_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the known steps of values that are zero elsewhere; 0 where none is. (B, C)"""
    return values.sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)


def flat(seen: Tensor, onset: Tensor, figures: Tensor) -> Tensor:
    """What a linear model sees: features, onset features and statistics. (B, FLAT)"""
    return torch.cat([seen.flatten(1), onset, figures], dim=1)


def at_top(level: Tensor, mask: Tensor) -> Tensor:
    """How near particles stay to the highest level of the window: 1 at it, as at a meter's end.

    A meter at the end of its range reads one value, whatever grows beyond it. (B, T, 1)
    """
    particles, known = level[..., PM25 : PM25 + 1], mask[..., PM25 : PM25 + 1]
    top = torch.where(known > 0, particles, -1e4).amax(dim=1, keepdim=True)
    return torch.exp(-30.0 * (top - particles).clamp(0.0, 10.0)) * known


def levels(readings: Tensor) -> Tensor:
    """Channels on scales of order one: linear for temperature, logarithmic for gases. (..., C)"""
    return torch.stack([level(readings[..., k], c) for k, c in enumerate(CHANNELS)], dim=-1)


def level(reading: Tensor, channel: Channel) -> Tensor:
    """One channel on its scale; see `sensors.Scale`."""
    scale = channel.scale
    if scale.kind == "linear":
        return (reading - scale.centre) / scale.spread
    if scale.kind == "log":
        return torch.log(reading.clamp(min=channel.lowest) / scale.centre) / scale.spread
    return torch.log1p(reading.clamp(min=0.0) / scale.spread) - scale.centre


def lower_quartile(values: Tensor, known: Tensor) -> Tensor:
    """The lower quartile over the known steps, by rank; 0 where none is known. (B, 1, C)"""
    ordered = torch.where(known, values, 1e4).sort(dim=1).values
    count = known.sum(dim=1, keepdim=True)
    rank = ((count - 1) // 4).clamp(min=0)
    quartile = ordered.gather(1, rank)
    return torch.where(count > 0, quartile, 0.0)


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

    def forward(self, x: Tensor) -> Tensor:
        """Attend, then transform. (B, N, D) to (B, N, D)"""
        B, N, D = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(B, N, 3, self.heads, D // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v)
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


class FireTransformer(RiskModel):
    """A small encoder over tokens of several steps each, and a linear head beside it.

    One token more holds the window's last step, its onset features and statistics. Both heads
    see the same features of one sensor at a time, both are trained on a loss of their own, and
    their probabilities are averaged: a linear opinion pool (M. Stone, "The opinion pool," Annals
    of Mathematical Statistics, vol. 32, pp. 1339-1342, 1961). Where the encoder has seen little,
    the linear head keeps it from being sure.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Make the model of a recipe, with fresh weights from the global generator."""
        super().__init__()
        self.patch = recipe.patch
        tokens = STEPS // recipe.patch
        self.embed = nn.Linear(FEATURES * recipe.patch, recipe.width)
        self.now = nn.Linear(FEATURES + len(CHANNELS) + STATISTICS, recipe.width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens + 1, recipe.width))
        self.blocks = nn.ModuleList(
            Block(recipe.width, recipe.heads, recipe.expansion, recipe.dropout)
            for _ in range(recipe.layers)
        )
        self.norm = nn.LayerNorm(recipe.width)
        self.head = nn.Linear(recipe.width, len(LABELS))
        self.linear = nn.Linear(FLAT, len(LABELS))

    def forward(self, windows: Tensor) -> Tensor:
        """Logits of normal, nuisance and fire for each sensor of each window.

        From raw readings, NaN where missing. (B, T, S, C) to (B, S, class)
        """
        return self.head_logits(windows).log_softmax(dim=-1).logsumexp(dim=2) - math.log(2.0)

    def head_logits(self, windows: Tensor) -> Tensor:
        """Logits of the encoder's head, then of the linear one. (B, T, S, C) to (B, S, 2, class)

        In single precision even under autocast: the pool must not round.
        """
        B, T, S, C = windows.shape
        seen = features(windows.transpose(1, 2).reshape(B * S, T, C))
        x = self.embed(seen.view(B * S, T // self.patch, self.patch * FEATURES))
        onset, figures = onset_features(seen), statistics(seen)
        now = self.now(torch.cat([seen[:, -1], onset, figures], dim=1)).unsqueeze(1)
        x = torch.cat([x, now], dim=1) + self.position
        for block in self.blocks:
            x = block(x)
        deep = self.head(self.norm(x.mean(dim=1)))
        logits = torch.stack([deep, self.linear(flat(seen, onset, figures))], dim=1)
        return logits.float().view(B, S, 2, len(LABELS))
