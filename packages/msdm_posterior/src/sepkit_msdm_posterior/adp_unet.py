"""The U-Net of audio-diffusion-pytorch 0.1 as a backbone, over frames or over bands and frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .config import AdpConfig


class AdpUNet(nn.Module):
    """Features b k d n of a noisy latent and ln(sigma) / 4 (b) -> b m d n, for any number of bands and frames.

    `extra` (b h, h as of `hidden_size`) is added to what the level is turned into. Needs audio-diffusion-pytorch.
    """

    def __init__(self, config: AdpConfig, inputs: int, outputs: int, bands: int):
        super().__init__()
        # loaded here: it brings torchaudio, for which reading a config must not wait
        from audio_diffusion_pytorch import UNetV0

        self.config, self.hidden_size = config, config.modulation_features
        self.bands = bands if config.dim == 1 else 1
        self.unet: nn.Module = UNetV0(
            dim=config.dim,
            in_channels=inputs * self.bands,
            out_channels=outputs * self.bands,
            channels=config.channels,
            factors=config.factors,
            items=config.items,
            attentions=config.attentions,
            attention_heads=config.attention_heads,
            attention_features=config.attention_features,
            resnet_groups=config.resnet_groups,
            modulation_features=config.modulation_features,
        )

    def forward(self, seen: Tensor, c_noise: Tensor, extra: Tensor | None = None) -> Tensor:
        bands, frames = seen.shape[2:]
        multiple = self.config.frames_multiple
        x = F.pad(seen, (0, -frames % multiple, 0, -bands % multiple if self.config.dim == 2 else 0))
        if self.config.dim == 1:
            x = rearrange(x, "b k d n -> b (k d) n")
        found: Tensor = self.unet(x, c_noise.to(torch.promote_types(x.dtype, torch.float32)), features=extra)
        if self.config.dim == 1:
            found = rearrange(found, "b (m d) n -> b m d n", d=bands)
        return found[:, :, :bands, :frames]
