"""A track at another sample rate."""

from __future__ import annotations

import torch
from torch import Tensor

from ..resampling import resample, resampled_length
from .track import Track


def resampled_track(track: Track, sample_rate: int) -> Track:
    """The same song at another rate, resampled whole when a stem is first read."""
    source = _Resampled(track, sample_rate)
    length = resampled_length(track.length_samples, track.sample_rate, sample_rate)
    return Track(
        track.name,
        sample_rate,
        track.channels,
        length,
        track.stems,
        source,
        track.mixture_is_sum,
        track.known,
        track.facts,
        track.complete,
    )


class _Resampled:
    """A track's stems at another rate: kept where they lie in memory, left to the cache where they lie in files."""

    def __init__(self, track: Track, sample_rate: int):
        self.track, self.sample_rate = track, sample_rate
        self._kept: dict[str, Tensor] = {}

    def read(self, stem: str, start: int, length: int) -> Tensor:
        if stem in self._kept:
            return self._kept[stem][:, start : start + length]
        whole = self._resample(self.track.load(stem))
        if self.fingerprint(stem) is None:
            self._kept[stem] = whole
        return whole[:, start : start + length]

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        if self.track.mixture_is_sum:
            return None
        return self._resample(self.track.mixture)[:, start : start + length]

    def fingerprint(self, stem: str) -> str | None:
        identity = self.track.source.fingerprint(stem)
        return None if identity is None else f"{identity}>{self.sample_rate}"

    def _resample(self, x: Tensor) -> Tensor:
        return torch.as_tensor(resample(x, self.track.sample_rate, self.sample_rate))
