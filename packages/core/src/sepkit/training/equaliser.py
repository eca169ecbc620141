"""Random equalisers for training: gains at a few frequencies, and sounds under them."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

LOWEST_HZ = 40.0


def equaliser_gains(points_db: Tensor, hertz: Tensor) -> Tensor:
    """Gains in dB at k frequencies evenly spaced in octaves, 40 Hz to the last of `hertz` (f): ... k -> linear ... f.

    Straight lines between them in dB over octaves; below 40 Hz the first one holds.
    """
    top = float(hertz[-1])
    hertz = hertz.to(points_db.device).clamp(min=LOWEST_HZ)
    place = torch.log2(hertz / LOWEST_HZ) / torch.log2(torch.tensor(top / LOWEST_HZ)) * (points_db.shape[-1] - 1)
    low = place.long().clamp(max=points_db.shape[-1] - 2)
    part = place - low
    return 10 ** ((points_db[..., low] * (1 - part) + points_db[..., low + 1] * part) / 20)


def equalised(sounds: Tensor, points_db: Tensor, sample_rate: int) -> Tensor:
    """Sounds s c t under an equaliser of zero phase each, s k: the crop is taken for a circle, so lengths stay."""
    length = sounds.shape[-1]
    hertz = torch.linspace(0, sample_rate / 2, length // 2 + 1)
    gains = rearrange(equaliser_gains(points_db, hertz), "s f -> s 1 f")
    return torch.fft.irfft(torch.fft.rfft(sounds) * gains, n=length)
