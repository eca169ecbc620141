"""Magnitude spectrograms in blocks of frames, so that a long song needs little more memory; and mel filters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Literal

import numpy as np

from ...errors import AudioError
from .signals import Array

BLOCK_FRAMES = 512


def hann(length: int) -> Array:
    """The periodic Hann window."""
    return np.hanning(length + 1)[:-1]


def powers(x: Array, window: Array, hop: int, *, pad: Literal["reflect", "constant"]) -> Iterator[Array]:
    """|STFT|^2 in blocks of frames: ... t -> ... n f each, centred as torch.stft centres them.

    The transform is as long as `window`; the signal is extended by half of that at both ends.
    Raises AudioError for a signal that is too short to be reflected.
    """
    size = len(window)
    if pad == "reflect" and x.shape[-1] <= size // 2:
        raise AudioError(f"{x.shape[-1]} samples are too few for frames of {size}: more than {size // 2} are needed.")
    sides = [(0, 0)] * (x.ndim - 1) + [(size // 2, size // 2)]
    padded = np.pad(x, sides, mode=pad)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[..., ::hop, :]
    for start in range(0, frames.shape[-2], BLOCK_FRAMES):
        spectrum = np.fft.rfft(frames[..., start : start + BLOCK_FRAMES, :] * window)
        yield spectrum.real**2 + spectrum.imag**2


@cache
def mel_filters(sample_rate: int, size: int, bands: int) -> Array:
    """Triangles of equal area, evenly spaced on Slaney's mel scale from 0 Hz to half the rate: bands f.

    Linear below 1 kHz (200/3 Hz to a mel), logarithmic above (27 mels to a factor of 6.4): librosa's defaults.
    """
    top = _mel(sample_rate / 2)
    corners = _hertz(np.linspace(0.0, top, bands + 2))
    bins = np.fft.rfftfreq(size, 1 / sample_rate)
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters = np.asarray(triangles * (2.0 / (corners[2:] - corners[:-2]))[:, None])
    filters.setflags(write=False)
    return filters


def _mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def _hertz(mels: Array) -> Array:
    return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
