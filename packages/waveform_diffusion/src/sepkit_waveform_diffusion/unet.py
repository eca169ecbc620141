"""A U-Net over spectrograms as cold diffusion's backbone: it parts every bin of the state, so it never invents sound.

Not the published network: dense layers over frequency (as in TFC-TDF nets) see a voice's harmonics together, which a
dilated convolution has to learn sample by sample, so it learns in a small part of the time.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .config import UNetConfig
from .wavenet import step_embedding


class UNet(nn.Module):
    """Which part of every bin is perturbation: logits b c n f from a state b c t, its step b, and perhaps the mixture.

    `channels` of the state are seen together; `inputs` counts them and those of the mixture where it is shown. With
    `stereo` they are pairs, left and right, of which the network sees mid and side too.
    """

    def __init__(self, config: UNetConfig, inputs: int, channels: int, *, stereo: bool):
        super().__init__()
        self.config, self.stereo = config, stereo
        widths, bins = config.widths, config.frequencies // 2
        seen = 2 * inputs if stereo else inputs
        hidden = 2 * config.embedding_size
        self.step_mlp = nn.Sequential(
            nn.Linear(config.embedding_size, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.entry = nn.Conv2d(seen, widths[0], (3, 4), stride=(1, 2), padding=1)
        self.encoder, self.downs = nn.ModuleList(), nn.ModuleList()
        for level, (width, deeper) in enumerate(pairwise(widths)):
            self.encoder.append(Block(width, width, bins >> level, hidden, config.squeeze))
            stride = (1 if level == 0 else 2, 2)
            self.downs.append(nn.Conv2d(width, deeper, (stride[0] + 2, 4), stride=stride, padding=1))
        last = len(widths) - 1
        self.middle = Block(widths[-1], widths[-1], bins >> last, hidden, config.squeeze)
        self.ups, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(last)):
            stride = (1 if level == 0 else 2, 2)
            self.ups.append(nn.ConvTranspose2d(widths[level + 1], widths[level], stride, stride=stride))
            self.decoder.append(Block(2 * widths[level], widths[level], bins >> level, hidden, config.squeeze))
        self.exit = nn.ConvTranspose2d(widths[0], 2 * channels, (1, 2), stride=(1, 2))
        self.last = nn.Conv2d(2 * channels + seen, channels, 3, padding=1)

    @property
    def frames_multiple(self) -> int:
        return int(2 ** (len(self.config.widths) - 2))

    def forward(self, spectra: Tensor, step: Tensor) -> Tensor:
        """Spectra b c f n (of state and perhaps mixture) -> logits b c n f, for the bins below Nyquist's."""
        seen = self.features(spectra)
        frames = seen.shape[2]
        seen = F.pad(seen, (0, 0, 0, -frames % self.frames_multiple))
        hidden = self.step_mlp(step_embedding(step, self.config.embedding_size).to(seen.dtype))
        x, skips = self.entry(seen), []
        for block, down in zip(self.encoder, self.downs, strict=True):
            x = block(x, hidden)
            skips.append(x)
            x = down(x)
        x = self.middle(x, hidden)
        for up, block in zip(self.ups, self.decoder, strict=True):
            x = block(torch.cat([up(x), skips.pop()], dim=1), hidden)
        return self.last(torch.cat([self.exit(x), seen], dim=1))[:, :, :frames]

    def features(self, spectra: Tensor) -> Tensor:
        """Log magnitudes in about unit range, after them mid and side of every stereo pair: b c f n -> b k n f."""
        if self.stereo:
            left, right = spectra[:, 0::2], spectra[:, 1::2]
            spectra = torch.cat([spectra, (left + right) / 2, (left - right) / 2], dim=1)
        spectra = spectra[:, :, : self.config.frequencies]
        power = spectra.real.square() + spectra.imag.square()
        seen = torch.log10(power + 1e-6) / 4.0
        return rearrange(seen, "b k f n -> b k n f").contiguous(memory_format=torch.channels_last)


class Block(nn.Module):
    """Two convolutions with the step added between them, then a dense layer over frequency, both with a way around."""

    def __init__(self, inputs: int, width: int, bins: int, hidden: int, squeeze: int):
        super().__init__()
        narrow = max(bins // squeeze, 4)
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.SiLU(), nn.Conv2d(inputs, width, 3, padding=1))
        self.step = nn.Linear(hidden, width)
        self.second = nn.Sequential(nn.BatchNorm2d(width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
        self.around = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()
        self.squeeze = nn.Sequential(nn.BatchNorm2d(width), nn.SiLU(), nn.Linear(bins, narrow))
        self.spread = nn.Sequential(nn.BatchNorm2d(width), nn.SiLU(), nn.Linear(narrow, bins))

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        y = self.first(x) + rearrange(self.step(hidden), "b w -> b w 1 1")
        x = self.around(x) + self.second(y)
        return x + self.spread(self.squeeze(x))
