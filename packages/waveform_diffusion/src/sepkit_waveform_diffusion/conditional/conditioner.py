"""The conditioner: an autoencoder of the mixture whose decoder levels tell the generator what to look for."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .attention import SelfAttention, Transformer
from .config import ConditionalConfig


class Condition(NamedTuple):
    """What the conditioner makes of a mixture, computed once for a batch of windows.

    `mixture` b d n, its frames; `embeddings`, one b d n for each level of the generator (None above the deepest);
    `latent` and `decoded` b d n, what the two auxiliary losses compare with the target.
    """

    mixture: Tensor
    embeddings: tuple[Tensor | None, ...]
    latent: Tensor
    decoded: Tensor


class Block(nn.Module):
    """Residual block of three convolutions (1, 3, 1 frames; half as wide inside), each after GroupNorm and PReLU."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        inner = max(groups, channels // 2 // groups * groups)
        widths = (channels, inner, inner, channels)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.GroupNorm(groups, entry), nn.PReLU(), nn.Conv1d(entry, leave, kernel, padding=kernel // 2)
                )
                for entry, leave, kernel in zip(widths[:-1], widths[1:], (1, 3, 1), strict=True)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x)
        return x + found


class Auxiliary(nn.Module):
    """A shortcut from an encoder level into the bottleneck: GroupNorm, ReLU, in step with it in time, 1x1."""

    def __init__(self, channels: int, bottleneck: int, ratio: int, groups: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(groups, channels),
            nn.ReLU(),
            # channel by channel: dense kernels would alone have 23 million weights in the paper's network
            nn.Conv1d(channels, channels, ratio, stride=ratio, groups=channels) if ratio > 1 else nn.Identity(),
            nn.Conv1d(channels, bottleneck, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x)
        return found


class Conditioner(nn.Module):
    """Frames of the mixture b d n and what is shown of them b e n -> `Condition`; n is a multiple of the ratio."""

    def __init__(self, config: ConditionalConfig, shown: int):
        super().__init__()
        own, factors = config.conditioner, config.factors
        self.config = config
        entries = (own.entry_width, *own.widths[:-1])
        levels = list(enumerate(zip(entries, own.widths, factors, strict=True)))
        self.entry = nn.Conv1d(shown, own.entry_width, 3, padding=1)
        self.shorten = nn.ModuleList(nn.Conv1d(a, b, f, stride=f) for _, (a, b, f) in levels)
        self.encode = nn.ModuleList(self._blocks(i, width) for i, width in enumerate(own.widths))
        ratios = [math.prod(factors[i + 1 :]) for i in range(len(factors) - 1)]
        self.auxiliary = nn.ModuleList(
            Auxiliary(width, own.widths[-1], ratio, own.groups)
            for width, ratio in zip(own.widths[:-1], ratios, strict=True)
        )
        self.transformer = (
            Transformer(own.widths[-1], own.transformer_width, own.layers, own.attention.heads)
            if own.attention and own.layers
            else nn.Identity()
        )
        self.decode = nn.ModuleList(self._blocks(i, width) for i, width in enumerate(own.widths))
        self.lengthen = nn.ModuleList(nn.ConvTranspose1d(b, a, f, stride=f) for _, (a, b, f) in levels)
        self.match = nn.ModuleDict(
            {
                str(i): nn.Conv1d(width, to, 1)
                for i, (width, to) in enumerate(zip(own.widths, config.generator.widths, strict=True))
                if config.deep(i)
            }
        )
        outputs = config.state_features * (2 if config.gated else 1)
        self.latent_head = nn.Conv1d(own.widths[-1], config.state_features * config.ratio, 1)
        self.decoded_head = nn.Conv1d(own.entry_width, outputs, 1)

    def _blocks(self, level: int, width: int) -> nn.Sequential:
        own = self.config.conditioner
        block = nn.Sequential(Block(width, own.groups))
        if own.attention and self.config.deep(level):
            block.append(SelfAttention(width, own.attention.heads, own.attention.head_features))
        return block

    def forward(self, mixture: Tensor, shown: Tensor) -> Condition:
        x, skipped = self.entry(shown), []
        for shorten, encode in zip(self.shorten, self.encode, strict=True):
            x = encode(shorten(x))
            skipped.append(x)
        for auxiliary, level in zip(self.auxiliary, skipped, strict=False):
            x = x + auxiliary(level)
        x = self.transformer(x / math.sqrt(len(skipped)))
        latent = rearrange(self.latent_head(x), "b (d r) n -> b d (n r)", r=self.config.ratio)
        embeddings: list[Tensor | None] = [None] * len(skipped)
        for i in reversed(range(len(skipped))):
            x = self.decode[i](x)
            if str(i) in self.match:
                embeddings[i] = self.match[str(i)](x)
            x = self.lengthen[i](x)
        return Condition(mixture, tuple(embeddings), latent, self._decoded(x, mixture))

    def _decoded(self, x: Tensor, mixture: Tensor) -> Tensor:
        found: Tensor = self.decoded_head(F.silu(x) if self.config.gated else x)
        if not self.config.gated:
            return found
        added, of_mixture = found.chunk(2, dim=1)
        return added + of_mixture * mixture.repeat(1, len(self.config.targets), 1)
