"""The generator: the 1-D U-Net of audio-diffusion-pytorch over latent frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .conditioner import Condition
from .config import LatentConfig


class Generator(nn.Module):
    """States b (s d) n, their level's t (b) and a `Condition` -> b (s d) n, zeros from random weights.

    The mixture and the guess enter beside the state, and the mixture's embeddings at every level. The output is
    a + g · state + h · mixture, number by number: a, g and h are the U-Net's.
    """

    def __init__(self, config: LatentConfig, features: int):
        super().__init__()
        own, states = config.generator, features * len(config.targets)
        self.config, self.features = config, features
        shown = states + features + (states if config.conditioner.guess else 0)
        self.enter = nn.Conv1d(shown, own.widths[0], 1)
        self.time = _time_features(config)
        self.unet = _unet(config)
        self.leave = nn.Conv1d(own.widths[0], 3 * states, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, state: Tensor, t: Tensor, condition: Condition) -> Tensor:
        shown = [state, condition.mixture, *([condition.guess] if self.config.conditioner.guess else [])]
        x = self.unet(self.enter(torch.cat(shown, dim=1)), features=self.time(t), channels=list(condition.embeddings))
        added, of_state, of_mixture = self.leave(x).chunk(3, dim=1)
        return added + of_state * state + of_mixture * condition.mixture.repeat(1, len(self.config.targets), 1)

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        """A twin of its own: the U-Net's modules are closures, whose plain copies would go on using our weights."""
        with torch.random.fork_rng():
            twin = Generator(self.config, self.features)
        twin.load_state_dict(self.state_dict())
        own = next(self.parameters())
        twin.to(own.device, own.dtype).train(self.training).requires_grad_(own.requires_grad)
        memo[id(self)] = twin
        return twin


def _time_features(config: LatentConfig) -> nn.Module:
    """t (b) -> b d: random Fourier features, then three layers."""
    from a_unet import NumberEmbedder

    own = config.generator
    layers = [nn.Sequential(nn.GELU(), nn.Linear(own.time_features, own.time_features)) for _ in range(2)]
    return nn.Sequential(NumberEmbedder(own.time_features, own.fourier_features), *layers, nn.GELU())


def _unet(config: LatentConfig) -> nn.Module:
    """UNetV0 of audio-diffusion-pytorch piece by piece: its items, with attention and injection where we want them."""
    # loaded here: it brings torchaudio, for which reading a config must not wait
    from a_unet.apex import (
        AttentionItem,
        InjectChannelsItem,
        ModulationItem,
        ResnetItem,
        SkipModulate,
        XBlock,
    )
    from audio_diffusion_pytorch import XUNet

    own = config.generator

    def items(level: int) -> list[Any]:
        attention = [AttentionItem] if level >= len(own.widths) - own.attended else []
        again = (own.blocks[level] - 1) * [ResnetItem, ModulationItem]
        return [ResnetItem, ModulationItem, InjectChannelsItem, *attention, *again]

    blocks = [
        XBlock(channels=width, factor=factor, context_channels=width, items=items(i))
        for i, (width, factor) in enumerate(zip(own.widths, own.factors, strict=True))
    ]
    built: nn.Module = XUNet(
        dim=1,
        in_channels=own.widths[0],
        out_channels=own.widths[0],
        blocks=blocks,
        skip_t=SkipModulate,
        upsample_mode="transpose",
        modulation_features=own.time_features,
        attention_heads=own.attention.heads,
        attention_features=own.attention.head_features,
        resnet_groups=own.groups,
    )
    return built
