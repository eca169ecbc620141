"""Noise for samplers: keyed by position, so that windows that overlap see the same noise, and filtered where wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import torch
from einops import rearrange
from scipy.integrate import quad
from scipy.signal import butter, sos2zpk, sosfilt
from torch import Tensor

from ..errors import OptionError
from ..noise import gaussian

BUTTERWORTH_ORDER = 4
SETTLED = 1e-12  # what may be left of the filter's response to whatever came before its run-in


class NoiseSource(Protocol):
    """Unit-variance noise for the numbered draws of a sampler."""

    def __call__(self, draw: int, like: Tensor, /) -> Tensor:
        """Draw number `draw`, of the shape, dtype and device of `like`; the same number gives the same noise."""
        ...


class PositionedNoise(NoiseSource, Protocol):
    """A noise source that knows where its windows stand, and so what the noise is before them."""

    def __call__(self, draw: int, like: Tensor, /, *, before: int = 0) -> Tensor:
        """As NoiseSource, with `before` more samples in front: b ... t -> b ... (before + t)."""
        ...


@dataclass(frozen=True)
class KeyedNoise:
    """White Gaussian noise (b ... t) that depends on seed, key, draw, channel and absolute position alone.

    `starts` holds the position of each window's first sample (or latent frame), one for each example of the batch. With
    `stems` the second axis of the state is the stem, and each stem has the noise of its name whichever others are
    there; all axes between are channels. Drawn in float32 on the CPU.
    """

    seed: int
    starts: tuple[int, ...]
    key: str = "diffusion"
    stems: tuple[str, ...] = field(default=())

    def __call__(self, draw: int, like: Tensor, /, *, before: int = 0) -> Tensor:
        """Noise of the shape of `like`, `before` samples longer at the left; raises ValueError if starts don't fit."""
        batch, *middle, length = like.shape
        if batch != len(self.starts) or (self.stems and (not middle or middle[0] != len(self.stems))):
            raise ValueError(
                f"Noise for {len(self.starts)} windows of stems {self.stems or 'unnamed'} was asked to fill a state of "
                f"shape {tuple(like.shape)}; wanted one start for each example and one name for each stem."
            )
        channels = math.prod(middle[1:] if self.stems else middle)
        keys = [f"{self.key}/{draw}/{stem}" for stem in self.stems] or [f"{self.key}/{draw}"]
        windows = [
            torch.cat([gaussian(self.seed, key, start - before, before + length, channels) for key in keys])
            for start in self.starts
        ]
        return torch.stack(windows).reshape(batch, *middle, before + length).to(like)


@dataclass(frozen=True)
class HighpassNoise:
    """Noise of another source after a causal 4th-order Butterworth high-pass, scaled back to unit variance."""

    source: PositionedNoise
    cutoff_hz: float
    sample_rate: int

    def __call__(self, draw: int, like: Tensor, /, *, before: int = 0) -> Tensor:
        """Noise of the shape of `like`: the filter has settled before the window (and `before`) begins."""
        sections, gain, run_in = _butterworth(self.cutoff_hz, self.sample_rate)
        white = self.source(draw, like, before=before + run_in)
        flat = rearrange(white.double().cpu(), "... t -> (...) t").numpy()
        filtered = torch.from_numpy(gain * sosfilt(sections, flat)[:, run_in:])
        return filtered.reshape(*white.shape[:-1], -1).to(like)


def highpass(source: PositionedNoise, cutoff_hz: float, sample_rate: int) -> HighpassNoise:
    """`source` without what lies below `cutoff_hz`, at the power it had (arXiv 2511.21342, the refinement noise).

    The paper doesn't say whether its filter is causal; this one is. Windows that overlap agree to 1e-6, because every
    window's filter runs in over the noise before it. Raises OptionError unless 0 < cutoff_hz < sample_rate / 2.
    """
    if not 0 < cutoff_hz < sample_rate / 2:
        raise OptionError(
            f"cutoff_hz is {cutoff_hz}; wanted above 0 and below half the sample rate, {sample_rate / 2:g} Hz."
        )
    return HighpassNoise(source, cutoff_hz, sample_rate)


@lru_cache(maxsize=32)
def _butterworth(cutoff_hz: float, sample_rate: int) -> tuple[object, float, int]:
    """Second-order sections, the gain that restores unit variance, and the run-in in samples."""
    sections = butter(BUTTERWORTH_ORDER, cutoff_hz, "highpass", fs=sample_rate, output="sos")
    _, poles, _ = sos2zpk(sections)
    run_in = math.ceil(math.log(SETTLED) / math.log(max(abs(poles))))
    return sections, 1 / math.sqrt(_power(cutoff_hz, sample_rate)), run_in


def _power(cutoff_hz: float, sample_rate: int) -> float:
    """The share of white noise's power that passes: the mean over frequency of 1 / (1 + (tan(c/2) / tan(w/2))^8)."""
    corner = math.pi * cutoff_hz / sample_rate  # half the corner frequency in radians, as the bilinear transform has it

    def response(half: float) -> float:
        return 1 / (1 + (math.tan(corner) / math.tan(half)) ** (2 * BUTTERWORTH_ORDER)) if half > 0 else 0.0

    below, _ = quad(response, 0, corner)
    above, _ = quad(response, corner, math.pi / 2)
    return (below + above) / (math.pi / 2)
