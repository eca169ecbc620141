"""LightSAFT-Net: a U-Net over the complex spectrogram, conditioned on the stem that is asked for."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import LaSaftTransform, LightSaftTransform, SourceAttention, Tfc
from .conditioning import ModulationGenerator, modulate
from .config import LightSaftConfig


class SaftBlock(nn.Module):
    """TFC, then (in decoders) the stem's gate, then the stem's frequency transform as a residual."""

    def __init__(self, in_channels: int, frequencies: int, config: LightSaftConfig):
        super().__init__()
        self.tfc = Tfc(in_channels, config.channels, config.tfc_layers)
        self.attention = SourceAttention(config.embedding_dim, config.key_dim, config.latent_sources)
        light = config.block == "lightsaft"
        width = frequencies if light else frequencies * config.latent_sources
        bottleneck = max(width // config.bottleneck_factor, config.bottleneck_min)
        transform = LightSaftTransform if light else LaSaftTransform
        self.transform = transform(config.channels, frequencies, bottleneck, config.latent_sources)

    def forward(self, x: Tensor, embedding: Tensor, gate: tuple[Tensor, Tensor] | None = None) -> Tensor:
        x = self.tfc(x)
        if gate is not None:
            x = modulate(x, *gate)
        return x + self.transform(x, self.attention(embedding))


class LightSaft(nn.Module):
    """The network of LightSAFT-Net (MDX 2021) and, with `block="lasaft"`, of LaSAFT-Net.

    forward(features b c n f, condition b) -> b o n f, where f = n_fft/2 + 1 (or config.bins + 1), any number of
    frames n, c = config.input_channels, o = config.output_channels. A condition is a stem index, or a soft vector of
    weights over stems (b s). Raw output: a spectrogram for `mapping`, logits of the gain for `masking`.
    """

    def __init__(self, config: LightSaftConfig):
        super().__init__()
        self.config = config
        channels, levels, frequencies = config.channels, config.levels, config.frequencies
        timed = range(levels) if config.time_levels is None else config.time_levels
        scales = [(2 if level in timed else 1, 2) for level in range(levels)]
        self.embedding = nn.Embedding(len(config.stems), config.embedding_dim)
        self.generator = ModulationGenerator(config.embedding_dim, config.control_layers, levels, channels)
        self.first = nn.Sequential(
            nn.Conv2d(config.input_channels, channels, kernel_size=(1, 2)),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.encoders = nn.ModuleList(SaftBlock(channels, frequencies >> i, config) for i in range(levels))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, scale, stride=scale), nn.BatchNorm2d(channels))
            for scale in scales
        )
        self.middle = SaftBlock(channels, frequencies >> levels, config)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(channels, channels, scale, stride=scale), nn.BatchNorm2d(channels))
            for scale in reversed(scales)
        )
        self.decoders = nn.ModuleList(
            SaftBlock(2 * channels, frequencies >> (levels - 1 - i), config) for i in range(levels)
        )
        self.last = nn.Conv2d(channels, config.output_channels, kernel_size=(1, 2), padding=(0, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-normal for every matrix and kernel, as the reference does for an identity output."""
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)

    def embed(self, condition: Tensor) -> Tensor:
        """Stem indices (b) or soft stem weights (b s) -> embeddings (b d)."""
        if condition.dim() == 1:
            return self.embedding(condition.long())
        return condition.to(self.embedding.weight.dtype) @ self.embedding.weight

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        frames = features.shape[2]
        features = F.pad(features, (0, 0, 0, -frames % self.config.time_multiple))
        embedding = self.embed(condition)
        gamma, beta = self.generator(embedding)
        x = self.first(features)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x, embedding)
            skips.append(x)
            x = down(x)
        x = self.middle(x, embedding)
        for i, (decoder, up) in enumerate(zip(self.decoders, self.ups, strict=True)):
            x = torch.cat([up(x), skips.pop()], dim=1)
            x = decoder(x, embedding, (gamma[:, i], beta[:, i]))
        return self.last(x)[:, :, :frames]


def latent_attention(network: LightSaft, condition: Tensor) -> dict[str, Tensor]:
    """Attention over latent sources in every block: block name -> (b l), rows sum to one."""
    embedding = network.embed(condition)
    named: dict[str, Any] = {f"encoder {i}": block for i, block in enumerate(network.encoders)}
    named["middle"] = network.middle
    named |= {f"decoder {i}": block for i, block in enumerate(network.decoders)}
    return {name: block.attention(embedding) for name, block in named.items()}
