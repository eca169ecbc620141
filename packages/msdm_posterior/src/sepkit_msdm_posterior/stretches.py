"""Windows on the grid of latent frames, and the level that the prior knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor

LEVEL_STEPS = 4  # to an octave of amplitude: gains are rounded to 1.5 dB


@dataclass(frozen=True)
class Stretch:
    """Windows whose latents have equally many frames: their places in the batch, and where they lie among the frames.

    `offsets` are the samples by which each window begins after its first frame does.
    """

    places: tuple[int, ...]
    first_frames: tuple[int, ...]
    offsets: tuple[int, ...]
    frames: int

    def cut(self, windows: Tensor, hop_samples: int) -> Tensor:
        """Those of the windows b c t, zeros before and after them up to whole frames: k c t."""
        whole = self.frames * hop_samples
        parts = [
            F.pad(windows[place], (offset, whole - offset - windows.shape[-1]))
            for place, offset in zip(self.places, self.offsets, strict=True)
        ]
        return torch.stack(parts)

    def put_back(self, sound: Tensor, into: Tensor) -> None:
        """Write k ... t into the places of b ... t, without what `cut` had added."""
        length_samples = into.shape[-1]
        for one, place, offset in zip(sound, self.places, self.offsets, strict=True):
            into[place] = one[..., offset : offset + length_samples]


def stretches(starts: Sequence[int], length_samples: int, hop_samples: int) -> list[Stretch]:
    """How windows of one length lie among latent frames, so that frame n always begins at sample n * hop_samples.

    So windows that overlap share frames, and the noise of frames, wherever they begin. Windows are grouped by their
    number of frames, which depends on each one's own start alone: none changes by what else is in the batch.
    """
    groups: dict[int, list[int]] = {}
    for place, start in enumerate(starts):
        offset = int(start) % hop_samples
        groups.setdefault(max(1, -(-(offset + length_samples) // hop_samples)), []).append(place)
    return [
        Stretch(
            places=tuple(places),
            first_frames=tuple(int(starts[place]) // hop_samples for place in places),
            offsets=tuple(int(starts[place]) % hop_samples for place in places),
            frames=frames,
        )
        for frames, places in groups.items()
    ]


def level_gain(windows: Tensor, level_rms: float | None) -> Tensor:
    """What brings each window b c t to the prior's level: b 1 1, 0 for silence; 1 where the prior has no level.

    Rounded to steps of 1.5 dB, so that neighbouring windows of about one level get the same gain, and with the same
    noise draw the same sample where they overlap. It depends on the window alone, so a stream has it too.
    """
    rms = reduce(windows.double().square(), "b c t -> b 1 1", "mean").sqrt()
    if level_rms is None:
        return (rms > 0).to(windows)
    octaves = torch.log2(level_rms / rms.clamp(min=1e-30))
    gain = torch.exp2((octaves * LEVEL_STEPS).round() / LEVEL_STEPS)
    return torch.where(rms > 0, gain, 0.0).to(windows)


def undone(gain: Tensor) -> Tensor:
    """1 / gain for sounds of several stems, b 1 1 -> b 1 1 1; 0 where the gain is."""
    inverse = torch.where(gain > 0, 1 / torch.where(gain > 0, gain, 1.0), 0.0)
    return rearrange(inverse, "b c t -> b 1 c t")


def frames_of(seconds: float, sample_rate: int, hop_samples: int) -> int:
    """The number of latent frames that cover so many seconds."""
    return math.ceil(round(seconds * sample_rate) / hop_samples)
