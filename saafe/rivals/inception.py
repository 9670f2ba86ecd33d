"""InceptionTime, a convolutional rival of the transformer on the same windows.

One network instead of the paper's ensemble of five, and narrower, so that it trains in minutes
on one CPU thread; the report says so.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saafe.recipes import Recipe
from saafe.sensors import LABELS
from saafe.training import FEATURES, RiskModel, WindowSet, features, logits_of

FILTERS = 16  # of each branch. Chosen: half the paper's 32, a quarter of the arithmetic
KERNELS = (9, 19, 39)  # the paper's 10, 20 and 40, made odd so that they pad alike
BLOCKS = 6
TRAIN_BATCH = 64
LEARNING_RATE = 1e-3
CHECKS = 8  # how often a fit looks at the held-out scenarios


class Inception(nn.Module):
    """Three convolutions of different reach and a pooled branch, side by side."""

    def __init__(self, channels: int) -> None:
        """Take the number of incoming channels."""
        super().__init__()
        self.bottleneck = nn.Conv1d(channels, FILTERS, 1, bias=False)
        self.branches = nn.ModuleList(
            nn.Conv1d(FILTERS, FILTERS, size, padding=size // 2, bias=False) for size in KERNELS
        )
        self.pooled = nn.Conv1d(channels, FILTERS, 1, bias=False)
        self.norm = nn.BatchNorm1d(FILTERS * (len(KERNELS) + 1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, time) to (batch, 64, time)."""
        narrow = self.bottleneck(x)
        pooled = self.pooled(F.max_pool1d(x, 3, stride=1, padding=1))
        return F.relu(self.norm(torch.cat([*(b(narrow) for b in self.branches), pooled], dim=1)))


class InceptionTime(RiskModel):
    """Six inception blocks with a shortcut over every three.

    Source:
        H. Ismail Fawaz et al., "InceptionTime: Finding AlexNet for time series classification,"
        Data Mining and Knowledge Discovery, vol. 34, pp. 1936-1962, 2020.
    """

    def __init__(self) -> None:
        """Start with fresh weights from the global generator."""
        super().__init__()
        width = FILTERS * (len(KERNELS) + 1)
        self.blocks = nn.ModuleList(Inception(FEATURES if k == 0 else width) for k in range(BLOCKS))
        self.shortcuts = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(FEATURES if k == 0 else width, width, 1, bias=False),
                nn.BatchNorm1d(width),
            )
            for k in range(0, BLOCKS, 3)
        )
        self.head = nn.Linear(width, len(LABELS))

    def forward(self, windows: Tensor) -> Tensor:
        """Class logits. (batch, 60, 1, channel) to (batch, 1, class)"""
        x = features(windows[:, :, 0]).transpose(1, 2)
        start = x
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k % 3 == 2:
                x = F.relu(x + self.shortcuts[k // 3](start))
                start = x
        return self.head(x.mean(dim=2)).unsqueeze(1)


def fit_inception(recipe: Recipe, training: WindowSet, held_out: WindowSet) -> InceptionTime:
    """Fit in one pass over the windows; the weights that were best on held-out scenarios stay."""
    torch.manual_seed(recipe.seed)
    model = InceptionTime()
    steps = max(1, len(training.labels) // TRAIN_BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=max(2, steps), pct_start=0.2, cycle_momentum=False
    )
    best_loss, best = math.inf, copy.deepcopy(model.state_dict())
    for step in range(steps):
        model.train()
        here = slice(step * TRAIN_BATCH, (step + 1) * TRAIN_BATCH)
        logits = model(training.windows[here])[:, 0]
        F.cross_entropy(logits, training.labels[here]).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if (step + 1) % max(1, steps // CHECKS) == 0:
            loss = F.cross_entropy(logits_of(model, held_out.windows), held_out.labels).item()
            if loss < best_loss:
                best_loss, best = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return model.eval()
