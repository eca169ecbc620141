"""A U-Net with the layout of audio-diffusion-pytorch 0.0.43, so that checkpoints of that version can be loaded.

Written anew (the library's later versions have other networks); names of parameters, and only they, are its own.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .config import LegacyConfig
from .legacy_attention import Attention, Transformer, Wrapped


class LegacyUNet(nn.Module):
    """Waveforms b k 1 t and ln(sigma) / 4 (b) -> b m 1 t; any length, padded with zeros inside."""

    def __init__(self, config: LegacyConfig, inputs: int, outputs: int):
        super().__init__()
        self.config = config
        widths = [config.channels * multiplier for multiplier in config.multipliers]
        hidden = 4 * config.channels
        self.to_mapping = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        time = nn.Sequential(TimeFeatures(config.channels), nn.Linear(config.channels + 1, hidden))
        self.to_time = nn.Sequential(time, nn.GELU())
        blocks, factor = config.patch_blocks, config.patch_factor
        entry = [*(inputs * factor**i for i in range(blocks)), config.channels]
        leave = [config.channels, *(outputs * factor**i for i in reversed(range(blocks)))]
        self.to_in = Patches([Patch(a, b, hidden, factor) for a, b in pairwise(entry)])
        levels = list(zip(pairwise(widths), config.factors, config.num_blocks, config.attentions, strict=True))
        self.downsamples = nn.ModuleList(Down(config, a, b, f, n, attends) for (a, b), f, n, attends in levels)
        self.bottleneck = Bottleneck(config, widths[-1])
        self.upsamples = nn.ModuleList(Up(config, b, a, f, n, attends) for (a, b), f, n, attends in reversed(levels))
        self.to_out = Patches([Unpatch(a, b, hidden, factor) for a, b in pairwise(leave)])

    def forward(self, seen: Tensor, c_noise: Tensor, extra: Tensor | None = None) -> Tensor:
        length_samples = seen.shape[-1]
        x = F.pad(seen[:, :, 0], (0, -length_samples % self.config.frames_multiple))
        mapping = self.to_mapping(self.to_time(c_noise.to(x)))
        x = self.to_in(x, mapping)
        skips = [[x]]
        for down in self.downsamples:
            x, found = down(x, mapping)
            skips.append(found)
        x = self.bottleneck(x, mapping)
        for up in self.upsamples:
            x = up(x, skips.pop(), mapping)
        [first] = skips.pop()
        found_all: Tensor = self.to_out(x + first, mapping)
        return found_all[:, :, None, :length_samples]


class TimeFeatures(nn.Module):
    """b -> b d+1: the number itself, and sines and cosines at learnt frequencies."""

    def __init__(self, size: int):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(size // 2))

    def forward(self, t: Tensor) -> Tensor:
        phase = 2 * math.pi * t[:, None] * self.weights
        return torch.cat([t[:, None], phase.sin(), phase.cos()], dim=-1)


class Resnet(nn.Module):
    """Norm, SiLU, convolution, twice; the level scales and shifts the second norm."""

    def __init__(self, inputs: int, outputs: int, hidden: int, groups: int):
        super().__init__()
        self.block1 = NormConv(inputs, outputs, groups)
        self.to_scale_shift = ScaleShift(hidden, outputs)
        self.block2 = NormConv(outputs, outputs, groups)
        self.to_out = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        found: Tensor = self.block2(self.block1(x), self.to_scale_shift(mapping))
        return found + self.to_out(x)


class NormConv(nn.Module):
    """Group norm, an optional (scale, shift), SiLU, convolution over three frames."""

    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__()
        self.groupnorm = nn.GroupNorm(groups, inputs)
        self.project = nn.Conv1d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, scale_shift: tuple[Tensor, Tensor] | None = None) -> Tensor:
        x = self.groupnorm(x)
        if scale_shift is not None:
            scale, shift = scale_shift
            x = x * (scale + 1) + shift
        found: Tensor = self.project(F.silu(x))
        return found


class ScaleShift(nn.Module):
    """b h -> a scale and a shift, b c 1 each."""

    def __init__(self, hidden: int, channels: int):
        super().__init__()
        self.to_scale_shift = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * channels))

    def forward(self, mapping: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = rearrange(self.to_scale_shift(mapping), "b c -> b c 1").chunk(2, dim=1)
        return scale, shift


class Patches(nn.Module):
    """Blocks one after another, each told the level."""

    def __init__(self, blocks: list[nn.Module]):
        super().__init__()
        self.module_list = nn.ModuleList(blocks)

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        for block in self.module_list:
            x = block(x, mapping)
        return x


class Patch(nn.Module):
    """Neighbouring samples become channels."""

    def __init__(self, inputs: int, outputs: int, hidden: int, factor: int):
        super().__init__()
        self.factor = factor
        self.block = Resnet(inputs, outputs // factor, hidden, min(factor, inputs))

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        return rearrange(self.block(x, mapping), "b c (n p) -> b (c p) n", p=self.factor)


class Unpatch(nn.Module):
    """Channels become neighbouring samples."""

    def __init__(self, inputs: int, outputs: int, hidden: int, factor: int):
        super().__init__()
        self.factor = factor
        self.block = Resnet(inputs // factor, outputs, hidden, min(factor, outputs))

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        found: Tensor = self.block(rearrange(x, "b (c p) n -> b c (n p)", p=self.factor), mapping)
        return found


class Down(nn.Module):
    """A level on the way down: fewer frames, residual blocks, perhaps attention; every block's output is a skip."""

    def __init__(self, config: LegacyConfig, inputs: int, outputs: int, factor: int, blocks: int, attends: bool):
        super().__init__()
        reach = factor * (config.kernel_multiplier_downsample // 2)
        kernel = factor * config.kernel_multiplier_downsample + 1
        self.downsample = nn.Conv1d(inputs, outputs, kernel, stride=factor, padding=reach)
        self.blocks = nn.ModuleList(_resnet(config, outputs, outputs) for _ in range(blocks))
        self.transformer = _transformer(config, outputs) if attends else None

    def forward(self, x: Tensor, mapping: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, skips = self.downsample(x), []
        for block in self.blocks:
            x = block(x, mapping)
            skips.append(x)
        if self.transformer is not None:
            x = self.transformer(x)
            skips.append(x)
        return x, skips


class Up(nn.Module):
    """A level on the way up: a residual block for each skip, perhaps attention, more frames."""

    def __init__(self, config: LegacyConfig, inputs: int, outputs: int, factor: int, blocks: int, attends: bool):
        super().__init__()
        self.skip_scale = 2**-0.5 if config.skip_scale else 1.0
        count = blocks + attends
        self.blocks = nn.ModuleList(_resnet(config, 2 * inputs, inputs) for _ in range(count))
        self.transformer = _transformer(config, inputs) if attends else None
        self.upsample = _longer(inputs, outputs, factor, config.nearest_upsample)

    def forward(self, x: Tensor, skips: list[Tensor], mapping: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(torch.cat([x, skips.pop() * self.skip_scale], dim=1), mapping)
        if self.transformer is not None:
            x = self.transformer(x)
        found: Tensor = self.upsample(x)
        return found


class Bottleneck(nn.Module):
    """Two residual blocks with attention between them; here the attention replaces what it looks at."""

    def __init__(self, config: LegacyConfig, width: int):
        super().__init__()
        self.pre_block, self.post_block = _resnet(config, width, width), _resnet(config, width, width)
        heads, features = config.attention_heads, config.attention_features
        self.attention = Wrapped(Attention(width, heads, features)) if config.attention_bottleneck else None

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        x = self.pre_block(x, mapping)
        if self.attention is not None:
            x = self.attention(x)
        found: Tensor = self.post_block(x, mapping)
        return found


def _resnet(config: LegacyConfig, inputs: int, outputs: int) -> Resnet:
    return Resnet(inputs, outputs, 4 * config.channels, config.resnet_groups)


def _transformer(config: LegacyConfig, width: int) -> Transformer:
    return Transformer(width, config.attention_heads, config.attention_features, config.attention_multiplier)


def _longer(inputs: int, outputs: int, factor: int, nearest: bool) -> nn.Module:
    if factor == 1:
        return nn.Conv1d(inputs, outputs, 3, padding=1)
    if nearest:
        return nn.Sequential(nn.Upsample(scale_factor=factor), nn.Conv1d(inputs, outputs, 3, padding=1))
    odd = factor % 2
    return nn.ConvTranspose1d(inputs, outputs, 2 * factor, stride=factor, padding=factor // 2 + odd, output_padding=odd)
