"""Noise for latents, keyed by absolute frame: windows that overlap see the same, wherever they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from sepkit.noise import gaussian


@dataclass(frozen=True)
class FrameNoise:
    """White Gaussian noise (b s d n) that depends on seed, key, draw, stem, feature and absolute frame alone.

    `first_frames` has one entry for each example. A frame's features lie side by side in the keyed stream: as channels
    of `KeyedNoise` each of them would be drawn in blocks of 4096 frames, of which a window needs a few hundred.
    """

    seed: int
    first_frames: tuple[int, ...]
    key: str
    stems: tuple[str, ...]

    def __call__(self, draw: int, like: Tensor, /) -> Tensor:
        """Draw number `draw`, of the shape, dtype and device of `like`; raises ValueError if its shape does not fit."""
        batch, stems, features, frames = like.shape
        if (batch, stems) != (len(self.first_frames), len(self.stems)):
            raise ValueError(
                f"Noise for {len(self.first_frames)} windows of {len(self.stems)} stems was asked to fill a state of "
                f"shape {tuple(like.shape)}; wanted b s d n with one first frame for each b and one name for each s."
            )
        drawn = {first: self._window(draw, first, features, frames) for first in set(self.first_frames)}
        return torch.stack([drawn[first] for first in self.first_frames]).to(like)

    def _window(self, draw: int, first_frame: int, features: int, frames: int) -> Tensor:
        keys: Sequence[str] = [f"{self.key}/{draw}/{stem}" for stem in self.stems]
        rows = [gaussian(self.seed, key, first_frame * features, frames * features, 1) for key in keys]
        return rearrange(torch.cat(rows), "s (n d) -> s d n", d=features)
