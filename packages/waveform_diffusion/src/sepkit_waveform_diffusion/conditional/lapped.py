"""Frames: the waveform itself, or a lapped orthogonal transform of it, in which white noise stays white."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def to_frames(x: Tensor, bands: int | None, multiple: int) -> Tensor:
    """Waveforms b c t -> frames b (c k) n, n a multiple of `multiple`; zeros follow the end. `bands` None: k = 1.

    The transform is the modified discrete cosine transform with a sine window (Princen, Johnson & Bradley 1987): its
    rows are orthonormal, so Gaussian noise of unit variance stays just that, and squared errors keep their size.
    """
    length_samples = x.shape[-1]
    if bands is None:
        return F.pad(x, (0, -length_samples % multiple))
    count = math.ceil(length_samples / bands) + 1
    count += -count % multiple
    padded = F.pad(x, (bands, count * bands - length_samples))
    with torch.autocast(x.device.type, enabled=False):  # signals keep their digits where networks may lose them
        frames = F.conv1d(rearrange(padded, "b c t -> (b c) 1 t"), _basis(bands).to(padded), stride=bands)
    return rearrange(frames, "(b c) k n -> b (c k) n", b=len(x))


def to_waveform(frames: Tensor, bands: int | None, length_samples: int) -> Tensor:
    """The inverse of `to_frames`: b (c k) n -> b c t, of `length_samples`."""
    if bands is None:
        return frames[..., :length_samples]
    flat = rearrange(frames, "b (c k) n -> (b c) k n", k=bands)
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
    with torch.autocast(frames.device.type, enabled=False):
        x = F.conv_transpose1d(flat, _basis(bands).to(flat), stride=bands)
    return rearrange(x, "(b c) 1 t -> b c t", b=len(frames))[..., bands : bands + length_samples]


@lru_cache(maxsize=8)
def _basis(bands: int) -> Tensor:
    """Rows of the transform, k 1 2k."""
    place = torch.arange(2 * bands, dtype=torch.float64) + 0.5
    band = rearrange(torch.arange(bands, dtype=torch.float64) + 0.5, "k -> k 1 1")
    window = torch.sin(math.pi / (2 * bands) * place)
    return math.sqrt(2 / bands) * window * torch.cos(math.pi / bands * (place + bands / 2) * band)
