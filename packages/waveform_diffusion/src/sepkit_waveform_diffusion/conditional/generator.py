"""The generator: the 1-D U-Net of audio-diffusion-pytorch, with the conditioner's embeddings at its deepest levels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .attention import SelfAttention
from .conditioner import Condition
from .config import ConditionalConfig


class Generator(nn.Module):
    """Frames of the state b d n, the level's t (b) and a `Condition` -> frames of the velocity b d n."""

    def __init__(self, config: ConditionalConfig):
        super().__init__()
        self.config = config
        shown = config.state_features + (config.mixture_features if config.gated else 0)
        outputs = config.state_features * (3 if config.gated else 1)
        kernel = 1 if config.bands else 3  # a lapped frame has its neighbours in it
        self.entry = nn.Conv1d(shown, config.generator.entry_width, kernel, padding=kernel // 2)
        self.time = _time_features(config)
        self.unet = _unet(config)
        self.leave = nn.Conv1d(config.generator.entry_width, outputs, kernel, padding=kernel // 2)

    def forward(self, state: Tensor, t: Tensor, condition: Condition) -> Tensor:
        shown = torch.cat([state, condition.mixture], dim=1) if self.config.gated else state
        hidden = self.unet(self.entry(shown), features=self.time(t), channels=condition.embeddings)
        found: Tensor = self.leave(hidden)
        if not self.config.gated:
            return found
        added, of_state, of_mixture = found.chunk(3, dim=1)
        return added + of_state * state + of_mixture * condition.mixture.repeat(1, len(self.config.targets), 1)


def _time_features(config: ConditionalConfig) -> nn.Module:
    """t (b) -> b d: random Fourier features, then three layers; the library's own two share one set of weights."""
    from a_unet import NumberEmbedder

    own = config.generator
    layers = [nn.Sequential(nn.GELU(), nn.Linear(own.time_features, own.time_features)) for _ in range(2)]
    return nn.Sequential(NumberEmbedder(own.time_features, own.fourier_features), *layers, nn.GELU())


def _unet(config: ConditionalConfig) -> nn.Module:
    """UNetV0 of audio-diffusion-pytorch piece by piece, with other resampling and attention.

    Time is lengthened by transposed convolutions with kernel = stride, as the paper has it, and attention is PyTorch's
    fused one: the library's keeps all pairs of frames in memory.
    """
    # loaded here: it brings torchaudio, for which reading a config must not wait
    from a_unet.apex import InjectChannelsItem, ModulationItem, ResnetItem, SkipModulate, XBlock
    from audio_diffusion_pytorch import XUNet

    own = config.generator

    def attention_item(channels: int, **_: Any) -> nn.Module:
        return SelfAttention(channels, own.attention.heads, own.attention.head_features)

    def items(level: int) -> list[Any]:
        once = [InjectChannelsItem, attention_item] if config.deep(level) else []
        return [ResnetItem, ModulationItem, *once, *(own.blocks[level] - 1) * [ResnetItem, ModulationItem]]

    blocks = [
        XBlock(channels=width, factor=factor, context_channels=width, items=items(i))
        for i, (width, factor) in enumerate(zip(own.widths, config.factors, strict=True))
    ]
    built: nn.Module = XUNet(
        dim=1,
        in_channels=own.entry_width,
        out_channels=own.entry_width,
        blocks=blocks,
        skip_t=SkipModulate,
        upsample_mode="transpose",
        modulation_features=own.time_features,
        resnet_groups=own.groups,
    )
    return built
