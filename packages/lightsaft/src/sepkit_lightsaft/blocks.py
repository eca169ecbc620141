"""The blocks of LightSAFT-Net: time-frequency convolutions and source-attentive frequency transforms."""

from __future__ import annotations

import torch
from einops import einsum, rearrange
from torch import Tensor, nn


class Tfc(nn.Module):
    """Densely connected 3x3 convolutions (time-frequency convolutions): b c_in n f -> b c n f.

    Layer j reads the previous output and all earlier inputs, newest first in the concatenation, as the reference does.
    """

    def __init__(self, in_channels: int, channels: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(in_channels + j * channels, channels, kernel_size=3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            )
            for j in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.layers[0](x)
        for layer in self.layers[1:]:
            x = torch.cat([out, x], dim=1)
            out = layer(x)
        return out


class SourceAttention(nn.Module):
    """How much each latent source serves the stem that is asked for: b d -> b l, rows sum to one."""

    def __init__(self, embedding_dim: int, key_dim: int, latent_sources: int):
        super().__init__()
        self.query = nn.Linear(embedding_dim, key_dim)
        self.keys = nn.Parameter(torch.empty(key_dim, latent_sources))

    def forward(self, embedding: Tensor) -> Tensor:
        scores = self.query(embedding) @ self.keys / self.keys.shape[0] ** 0.5
        return torch.softmax(scores.float(), dim=-1).to(scores.dtype)


class LightSaftTransform(nn.Module):
    """Light-weight source-attentive frequency transform: mixes latent sources in the bottleneck.

    Phase 1 (`latent`) does not depend on the stem, so its result can serve every stem of the same input.
    Phase 2 is shared by all latent sources. b c n f -> b c n f; the caller adds the input.
    """

    def __init__(self, channels: int, frequencies: int, bottleneck: int, latent_sources: int):
        super().__init__()
        self.latent_sources = latent_sources
        self.compress = nn.Linear(frequencies, latent_sources * bottleneck, bias=False)
        self.compress_norm = nn.BatchNorm2d(channels)
        self.expand = nn.Linear(bottleneck, frequencies, bias=False)
        self.expand_norm = nn.BatchNorm2d(channels)

    def latent(self, x: Tensor) -> Tensor:
        """Phase 1: b c n f -> b c n (l k), source-major."""
        return torch.relu(self.compress_norm(self.compress(x)))

    def select(self, latent: Tensor, attention: Tensor) -> Tensor:
        """Mix the latent sources by attention (b l) and expand: b c n (l k) -> b c n f."""
        latent = rearrange(latent, "b c n (l k) -> b c n l k", l=self.latent_sources)
        mixed = einsum(latent, attention, "b c n l k, b l -> b c n k")
        return torch.relu(self.expand_norm(self.expand(mixed)))

    def forward(self, x: Tensor, attention: Tensor) -> Tensor:
        return self.select(self.latent(x), attention)


class LaSaftTransform(nn.Module):
    """The original source-attentive frequency transform: one full spectrum per latent source, then the mix.

    b c n f -> b c n f; the caller adds the input. Values are feature-major (f l), unlike LightSAFT's.
    """

    def __init__(self, channels: int, frequencies: int, bottleneck: int, latent_sources: int):
        super().__init__()
        self.latent_sources = latent_sources
        self.compress = nn.Linear(frequencies, bottleneck, bias=False)
        self.compress_norm = nn.BatchNorm2d(channels)
        self.expand = nn.Linear(bottleneck, frequencies * latent_sources, bias=False)
        self.expand_norm = nn.BatchNorm2d(channels)

    def latent(self, x: Tensor) -> Tensor:
        """All that does not depend on the stem: b c n f -> b c n (f l)."""
        x = torch.relu(self.compress_norm(self.compress(x)))
        return torch.relu(self.expand_norm(self.expand(x)))

    def select(self, latent: Tensor, attention: Tensor) -> Tensor:
        """Mix the latent sources by attention (b l): b c n (f l) -> b c n f."""
        latent = rearrange(latent, "b c n (f l) -> b c n f l", l=self.latent_sources)
        return einsum(latent, attention, "b c n f l, b l -> b c n f")

    def forward(self, x: Tensor, attention: Tensor) -> Tensor:
        return self.select(self.latent(x), attention)
