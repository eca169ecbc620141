"""Segments of equal length that overlap: where they stand, and how their sounds are joined again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """One segment of a sound: samples [start, stop), the last of which may be shorter than the others."""

    start: int
    stop: int

    @property
    def samples(self) -> int:
        """Its length."""
        return self.stop - self.start


@dataclass(frozen=True)
class Segmenting:
    """Segments of `length_samples`, one every `stride_samples`; a segment starts wherever sound is left."""

    length_samples: int
    stride_samples: int

    def segments(self, length_samples: int) -> list[Segment]:
        """The segments of a sound of that length, in order; none of an empty one."""
        starts = range(0, length_samples, self.stride_samples)
        return [Segment(start, min(start + self.length_samples, length_samples)) for start in starts]

    def join(self, sounds: Sequence[Tensor], length_samples: int) -> Tensor:
        """Overlap-add with triangular weights that are normalised where segments meet: each ... t' -> ... t.

        Sounds may be longer than their segments. As in `encodec`: the triangle is as long as the first sound, and later
        ones take its beginning. In an overlap of two this is a linear cross-fade if both are of full length.
        """
        first = sounds[0]
        ramp = torch.linspace(0, 1, first.shape[-1] + 2, dtype=first.dtype, device=first.device)[1:-1]
        triangle = 0.5 - (ramp - 0.5).abs()
        joined, weights = first.new_zeros(*first.shape[:-1], length_samples), triangle.new_zeros(length_samples)
        for segment, sound in zip(self.segments(length_samples), sounds, strict=True):
            stop = min(segment.start + sound.shape[-1], length_samples)
            count = stop - segment.start
            place = slice(segment.start, stop)
            joined[..., place] = joined[..., place] + triangle[:count] * sound[..., :count]
            weights[place] += triangle[:count]
        return joined / weights
