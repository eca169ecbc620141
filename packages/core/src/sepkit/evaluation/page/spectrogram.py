"""Spectrograms as small PNG files: log frequency, one colour scale for all of a track."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import numpy as np
from einops import rearrange
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft  # keeps float32, which numpy before 2.0 does not

from ...uncertainty import SpreadMap
from .sound import Excerpt

LOWEST_HZ, HIGHEST_HZ = 40.0, 16_000.0
RANGE_DB = 72.0  # from the mixture's loudest point down to black
LEVELS = 49  # steps of 1.5 dB: finer ones cannot be seen and cost bytes
WINDOW_SECONDS = 0.0929  # 4096 samples at 44.1 kHz
ANCHORS = ("#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60", "#cf4446", "#ed6925", "#fb9b06", "#f7d13d", "#fcffa4")
"""Matplotlib's `inferno` at equal steps: perceptually uniform, readable in grey too."""

Decibels = NDArray[np.floating]


def log_spectrogram(samples: NDArray[np.float32], sample_rate: int, columns: int, rows: int) -> Decibels:
    """Power in dB over log frequency, highest row first: `samples` (t c), mean over channels -> (rows, columns).

    Hann windows of 93 ms, one in the middle of each column's share of time; a row takes the strongest bin in its band.
    """
    window_samples = max(64, 1 << round(np.log2(WINDOW_SECONDS * sample_rate)))
    half = window_samples // 2
    padded = np.pad(rearrange(samples, "t c -> c t"), ((0, 0), (half, half)))  # a copy with whole channels in a row
    centres = ((np.arange(columns) + 0.5) * len(samples) / columns).astype(int)
    window = np.hanning(window_samples + 1)[:-1].astype(np.float32)
    power = np.zeros((columns, half + 1), np.float32)
    for channel in padded:
        framed = sliding_window_view(channel, window_samples)
        for first in range(0, columns, 64):  # a few at a time: all windows at once would be many times the excerpt
            spectrum = rfft(framed[centres[first : first + 64]] * window)
            power[first : first + 64] += spectrum.real**2 + spectrum.imag**2
    power /= len(padded) * np.sum(window) ** 2
    return rearrange(10 * np.log10(_bands(power, sample_rate, window_samples, rows) + 1e-14), "n f -> f n")[::-1]


def spread_picture(one: SpreadMap, excerpt: Excerpt, columns: int, rows: int) -> Decibels:
    """A map of uncertainty over an excerpt, on the scale of `log_spectrogram`: (rows, columns)."""
    centres = excerpt.start_samples + (np.arange(columns) + 0.5) * excerpt.length_samples / columns
    frames = np.clip(np.rint(centres / one.hop_samples).astype(int), 0, one.spread.shape[1] - 1)
    power = rearrange(np.square(one.spread), "f n -> n f")[frames]
    bands = _bands(power, one.sample_rate, one.window_samples, rows)
    return rearrange(10 * np.log10(bands + 1e-14), "n f -> f n")[::-1]


def frequency_range(sample_rate: int) -> tuple[float, float]:
    """The lowest and highest frequency of the picture in Hz."""
    return LOWEST_HZ, min(HIGHEST_HZ, sample_rate / 2)


def png(levels_db: Decibels, top_db: float) -> bytes:
    """An indexed-colour PNG of `levels_db` (rows, columns): `top_db` and louder is brightest, 72 dB below it black."""
    scaled = (levels_db - (top_db - RANGE_DB)) / RANGE_DB * (LEVELS - 1)
    pixels = np.clip(np.rint(scaled), 0, LEVELS - 1).astype(np.uint8)
    rows, columns = pixels.shape
    raw = np.pad(pixels, ((0, 0), (1, 0))).tobytes()  # every line begins with its filter: none
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"PLTE", palette().tobytes()), _chunk(b"IDAT", zlib.compress(raw, 9)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def palette() -> NDArray[np.uint8]:
    """The colours from quiet to loud, (levels, 3)."""
    anchors = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in ANCHORS], dtype=np.float64)
    place = np.linspace(0, len(anchors) - 1, LEVELS)
    channels = [np.interp(place, np.arange(len(anchors)), anchors[:, i]) for i in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def _bands(power: Decibels, sample_rate: int, window_samples: int, rows: int) -> Decibels:
    """The strongest of the bins in each band; between the bins, where bands are narrower, an interpolation."""
    edges = np.geomspace(*frequency_range(sample_rate), rows + 1) * window_samples / sample_rate  # in bins
    bins = np.arange(power.shape[1])
    columns = []
    for low, high in pairwise(edges):
        inside = power[:, int(np.ceil(low)) : int(np.floor(high)) + 1]
        middle = np.clip((low * high) ** 0.5, 0, bins[-1])
        below = int(middle)
        above, share = min(below + 1, bins[-1]), middle - below
        between = (1 - share) * power[:, below] + share * power[:, above]
        columns.append(np.maximum(inside.max(axis=1), between) if inside.shape[1] else between)
    return np.stack(columns, axis=1)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
