"""Windows of sound set on the codec's grid of frames, so that latents of windows that overlap stand at equal places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sepkit.codecs import Codec


@dataclass(frozen=True)
class FrameGrid:
    """Every `step_samples` of sound another `step_frames` of latents begin, wherever encoding began on the grid."""

    step_samples: int
    step_frames: int

    def whole(self, length_samples: float, steps: int = 1) -> int:
        """The multiple of `steps` steps that is nearest to a length, at least one, in samples."""
        unit = self.step_samples * steps
        return max(1, round(length_samples / unit)) * unit


def frame_grid(codec: Codec) -> FrameGrid:
    """The codec's own grid: its hop, or for one that cuts sound into segments the way from one to the next."""
    segmenting = getattr(codec, "segmenting", None)
    if segmenting is None:
        return FrameGrid(codec.hop_samples, 1)
    return FrameGrid(segmenting.stride_samples, -(-segmenting.length_samples // codec.hop_samples))


@dataclass(frozen=True)
class OnGrid:
    """Windows with silence before them up to the grid, b c t; `offsets` are its samples, `frames` the first frames."""

    sound: Tensor
    offsets: tuple[int, ...]
    frames: tuple[int, ...]
    length_samples: int

    def cut(self, sound: Tensor) -> Tensor:
        """The windows' own samples of b ... t that is as long as `sound`."""
        if not any(self.offsets):
            return sound[..., : self.length_samples]
        pairs = zip(sound, self.offsets, strict=True)
        return torch.stack([one[..., offset : offset + self.length_samples] for one, offset in pairs])


def on_grid(windows: Tensor, starts: Sequence[int], grid: FrameGrid) -> OnGrid:
    """Windows b c t that start at absolute samples `starts`, as seen from the grid's points before these."""
    offsets = tuple(int(start) % grid.step_samples for start in starts)
    frames = tuple(int(start) // grid.step_samples * grid.step_frames for start in starts)
    longest = max(offsets, default=0)
    pairs = zip(windows, offsets, strict=True)
    sound = torch.stack([F.pad(one, (offset, longest - offset)) for one, offset in pairs]) if longest else windows
    return OnGrid(sound, offsets, frames, windows.shape[-1])
