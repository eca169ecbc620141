"""The conditioner: looks at the mixture's latent once, and tells every level of the generator what it found."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import LatentConfig

SMALLEST = 1e-4  # of a latent's number, of which a root is taken


class Condition(NamedTuple):
    """What is known of mixtures before any step.

    `mixture` b d n, their latents; `embeddings`, one b d n for each level of the generator; `guess` b (s d) n, an
    estimate of the targets' latents, zeros for a network that makes none.
    """

    mixture: Tensor
    embeddings: tuple[Tensor, ...]
    guess: Tensor


class Conditioner(nn.Module):
    """Latents of mixtures b d n, n a multiple of the generator's ratio -> `Condition`."""

    def __init__(self, config: LatentConfig, features: int):
        super().__init__()
        own, levels = config.conditioner, config.generator
        self.config = config
        states = features * len(config.targets)
        self.enter = nn.Conv1d(2 * features, own.width, 1)
        self.blocks = nn.Sequential(*(_DilatedBlock(own.width, own.kernel, d, own.groups) for d in own.dilations))
        widths = (own.width, *levels.widths[:-1])
        self.shorten = nn.ModuleList(
            nn.Conv1d(before, width, factor, stride=factor)
            for before, width, factor in zip(widths, levels.widths, levels.factors, strict=True)
        )
        self.leave = nn.Conv1d(own.width, 2 * states, 1) if own.guess else None
        for parameter in () if self.leave is None else self.leave.parameters():
            nn.init.zeros_(parameter)  # the first guess is silence
        self.hidden = nn.Parameter(torch.zeros(features, 1)) if config.guided else None

    def forward(self, mixture: Tensor, hide: Tensor | None = None) -> Condition:
        """`hide` b: examples whose mixture is not to be seen."""
        if hide is not None:
            assert self.hidden is not None
            mixture = torch.where(hide[:, None, None], self.hidden, mixture)
        size = mixture.abs().clamp(min=SMALLEST).pow(self.config.conditioner.compression)
        x = self.blocks(self.enter(torch.cat([size, size * mixture.sign()], dim=1)))
        embeddings, level = [], F.silu(x)
        for shorten in self.shorten:
            level = shorten(level)
            embeddings.append(level)
        return Condition(mixture, tuple(embeddings), self._guess(x, mixture))

    def _guess(self, x: Tensor, mixture: Tensor) -> Tensor:
        like = mixture.repeat(1, len(self.config.targets), 1)
        if self.leave is None:
            return torch.zeros_like(like)
        added, share = self.leave(F.silu(x)).chunk(2, dim=1)
        # a share of the mixture is learned sooner than a sound
        return added + share * like


class _DilatedBlock(nn.Module):
    """Residual: 1x1, frames apart channel by channel, 1x1, each after a GroupNorm and a SiLU but the middle one."""

    def __init__(self, width: int, kernel: int, dilation: int, groups: int):
        super().__init__()
        reach = dilation * (kernel // 2)
        self.layers = nn.Sequential(
            nn.GroupNorm(groups, width),
            nn.SiLU(),
            nn.Conv1d(width, width, 1),
            nn.SiLU(),
            nn.Conv1d(width, width, kernel, padding=reach, dilation=dilation, groups=width),
            nn.GroupNorm(groups, width),
            nn.SiLU(),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x)
        return x + found
