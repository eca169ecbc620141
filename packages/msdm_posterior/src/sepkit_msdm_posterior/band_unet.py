"""A U-Net over bands and frames of a latent: convolutions for what is near, dense layers for what is harmonic."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .config import BandUNetConfig


class BandUNet(nn.Module):
    """Features b k d n of a noisy latent and ln(sigma) / 4 (b) -> b m d n, for any number of bands and frames.

    The dense layers over the bands see a note's harmonics together, which convolutions learn slowly (the idea of
    TFC-TDF nets, Choi et al. 2020). `extra` (b h, h as of `hidden_size`) is added to what the level is turned into.
    """

    def __init__(self, config: BandUNetConfig, inputs: int, outputs: int, bands: int):
        super().__init__()
        self.config = config
        widths, last = config.widths, len(config.widths) - 1
        self.hidden_size = 2 * config.embedding_size
        size = self.hidden_size
        self.level = nn.Sequential(nn.Linear(config.embedding_size, size), nn.SiLU(), nn.Linear(size, size))
        self.padded_bands = bands + -bands % (config.patch * 2**last)
        half, patch = self.padded_bands // config.patch, config.patch
        self.entry = nn.Conv2d(inputs, widths[0], (3, 2 * patch), stride=(1, patch), padding=(1, patch // 2))
        self.encoder, self.downs = nn.ModuleList(), nn.ModuleList()
        for depth, (width, deeper) in enumerate(pairwise(widths)):
            self.encoder.append(Block(width, width, half >> depth, size, config.squeeze))
            stride = (1 if depth == 0 else 2, 2)
            self.downs.append(nn.Conv2d(width, deeper, (stride[0] + 2, 4), stride=stride, padding=1))
        self.middle = Block(widths[-1], widths[-1], half >> last, size, config.squeeze)
        self.ups, self.decoder = nn.ModuleList(), nn.ModuleList()
        for depth in reversed(range(last)):
            stride = (1 if depth == 0 else 2, 2)
            self.ups.append(nn.ConvTranspose2d(widths[depth + 1], widths[depth], stride, stride=stride))
            self.decoder.append(Block(2 * widths[depth], widths[depth], half >> depth, size, config.squeeze))
        self.exit = nn.ConvTranspose2d(widths[0], 2 * outputs, (1, patch), stride=(1, patch))
        self.last = nn.Conv2d(2 * outputs + inputs, outputs, 3, padding=1)

    def forward(self, seen: Tensor, c_noise: Tensor, extra: Tensor | None = None) -> Tensor:
        bands, frames = seen.shape[2:]
        hidden = self.level(level_embedding(c_noise, self.config.embedding_size).to(seen))
        hidden = F.silu(hidden if extra is None else hidden + extra)
        seen = rearrange(seen, "b k d n -> b k n d")
        seen = F.pad(seen, (0, self.padded_bands - bands, 0, -frames % self.config.frames_multiple))
        seen = seen.contiguous(memory_format=torch.channels_last)
        x, skips = self.entry(seen), []
        for block, down in zip(self.encoder, self.downs, strict=True):
            x = block(x, hidden)
            skips.append(x)
            x = down(x)
        x = self.middle(x, hidden)
        for up, block in zip(self.ups, self.decoder, strict=True):
            x = block(torch.cat([up(x), skips.pop()], dim=1), hidden)
        found = self.last(torch.cat([self.exit(x), seen], dim=1))
        return rearrange(found[:, :, :frames, :bands], "b m n d -> b m d n")


class Block(nn.Module):
    """Two convolutions with the level added between them, then a dense layer over bands, both with a way around."""

    def __init__(self, inputs: int, width: int, bands: int, hidden: int, squeeze: int):
        super().__init__()
        narrow = max(bands // squeeze, 4)
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.SiLU(), nn.Conv2d(inputs, width, 3, padding=1))
        self.level = nn.Linear(hidden, width)
        self.second = nn.Sequential(nn.BatchNorm2d(width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
        self.around = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()
        self.squeeze = nn.Sequential(nn.BatchNorm2d(width), nn.SiLU(), nn.Linear(bands, narrow))
        self.spread = nn.Sequential(nn.BatchNorm2d(width), nn.SiLU(), nn.Linear(narrow, bands))

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        y = self.first(x) + rearrange(self.level(hidden), "b w -> b w 1 1")
        x = self.around(x) + self.second(y)
        return x + self.spread(self.squeeze(x))


def level_embedding(c_noise: Tensor, size: int) -> Tensor:
    """Sines and cosines of ln(sigma): b -> b size, from one turn in e^60 to two turns in a factor e."""
    turns = torch.logspace(math.log10(1 / 60), math.log10(2), size // 2, dtype=torch.float32, device=c_noise.device)
    phase = 2 * math.pi * 4 * c_noise.float()[:, None] * turns
    return torch.cat([phase.sin(), phase.cos()], dim=-1)
