"""Gaussian noise keyed by position: the same seed, key and sample give the same value wherever a window starts.

The generator is counter-based (Philox 4x64, Salmon et al. 2011), so any sample is reached without drawing those before
it. Values come from raw 64-bit words through the Box-Muller transform and not from numpy's `standard_normal`, whose
stream numpy may change between versions, while the raw words of a bit generator are promised to stay.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK_SAMPLES = 4096
"""Values are always computed in whole aligned blocks, so that no vector tail can round differently."""

_WORDS_PER_COUNT = 4
_ORIGIN_BLOCK = 2**50  # lets blocks before position 0 have positive counters


def gaussian(seed: int, key: str, start: int, length: int, channels: int) -> Tensor:
    """Standard normal noise (c t), float32, for the absolute positions [start, start + length).

    Each (seed, key, channel, position) has one value, so overlapping ranges agree in their overlap. `start` may be
    negative; `length` 0 gives an empty tensor. Reads and changes no random state.
    """
    if length < 0:
        raise ValueError(f"gaussian was asked for {length} samples; wanted 0 or more.")
    if not length or not channels:
        return torch.zeros(channels, length)
    first, last = start // BLOCK_SAMPLES, (start + length - 1) // BLOCK_SAMPLES
    offset = start - first * BLOCK_SAMPLES
    noise = np.empty((channels, length), dtype=np.float32)
    for channel in range(channels):
        philox_key = _philox_key(seed, key, channel)
        blocks = [_block(philox_key, block) for block in range(first, last + 1)]
        noise[channel] = np.concatenate(blocks)[offset : offset + length]
    return torch.from_numpy(noise)


def _philox_key(seed: int, key: str, channel: int) -> int:
    return int.from_bytes(blake2b(f"{seed}/{channel}/{key}".encode(), digest_size=16).digest(), "little")


def _block(philox_key: int, block: int) -> NDArray[np.float32]:
    counter = (block + _ORIGIN_BLOCK) * (BLOCK_SAMPLES // _WORDS_PER_COUNT)
    words = np.random.Philox(key=philox_key, counter=counter).random_raw(BLOCK_SAMPLES)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # inside (0, 1), never at its ends
    radius = np.sqrt(-2.0 * np.log(uniform[0::2]))
    angle = 2.0 * np.pi * uniform[1::2]
    normal = np.empty(BLOCK_SAMPLES, dtype=np.float32)
    normal[0::2] = radius * np.cos(angle)
    normal[1::2] = radius * np.sin(angle)
    return normal
