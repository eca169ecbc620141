"""Audio fingerprints that find the same recording again: at another level, shifted, coded anew.

Words of 32 bits, one every 23 ms: each bit says whether the energy difference of two neighbouring bands has risen.
After J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002, with 0.37 s frames, but a
coarser hop, and differences over four hops, so that what rounding and codecs add stays below what the music changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

RATE = 5512  # Hz, of the signal that is looked at
FRAME_SAMPLES, HOP_SAMPLES, LAG_FRAMES = 2048, 128, 4
BANDS_HZ = np.geomspace(300, 2000, 34)  # the edges of 33 bands, whose differences are 32 bits
LONGEST_SECONDS = 120.0
"""Only so much of a song is looked at, from its first sound on: copies of whole songs agree there."""
QUIET = 1e-6  # of the loudest frame's energy: such frames say nothing
COMMON = 32  # a word that more frames have tells songs apart no more
MOST_DIFFERENT = 0.35
"""The share of bits in which two copies may differ; unrelated songs differ in half of them."""
LEAST_FRAMES = 16


class Fingerprint(NamedTuple):
    """The words of a song's frames, and which of them have sound."""

    words: NDArray[np.uint32]
    sounding: NDArray[np.bool_]


class Match(NamedTuple):
    """Songs `first` and `second` (numbers) are the same recording; the second begins `offset_seconds` later."""

    first: int
    second: int
    offset_seconds: float
    different_bits: float


def fingerprint(samples: NDArray[np.float32], sample_rate: int) -> Fingerprint:
    """The fingerprint of c t samples; of fewer than 0.8 s, and of silence, it is empty of sounding frames."""
    mono = samples.mean(axis=0, dtype=np.float32) if samples.shape[0] > 1 else samples[0]
    loud = np.flatnonzero(np.abs(mono) > 1e-4 * max(float(np.abs(mono).max(initial=0.0)), 1e-9))
    first = int(loud[0]) if len(loud) else 0
    mono = mono[first : first + round(LONGEST_SECONDS * sample_rate)]
    low = soxr.resample(np.ascontiguousarray(mono, np.float32), sample_rate, RATE, quality="MQ")
    energy = _band_energies(low)
    if len(energy) <= LAG_FRAMES:
        return Fingerprint(np.zeros(0, np.uint32), np.zeros(0, np.bool_))
    across = energy[:, :-1] - energy[:, 1:]
    bits = across[LAG_FRAMES:] > across[:-LAG_FRAMES]
    words = (bits.astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(axis=1, dtype=np.uint32)
    total = energy.sum(axis=1)
    sounding = total > max(QUIET * float(total.max()), 1e-12)
    return Fingerprint(words, sounding[LAG_FRAMES:] & sounding[:-LAG_FRAMES])


def same_recordings(prints: Sequence[Fingerprint]) -> list[Match]:
    """Every pair of songs that are the same recording: words they share propose an offset, all bits there decide."""
    matches = []
    for (first, second), offset in _proposals(prints).items():
        share, frames = _different_bits(prints[first], prints[second], offset)
        if frames >= LEAST_FRAMES and share <= _threshold(frames):
            matches.append(Match(first, second, offset * HOP_SAMPLES / RATE, share))
    return sorted(matches)


def _band_energies(low: NDArray[np.float32]) -> NDArray[np.float64]:
    """Frames by bands; in pieces, so that the frames never lie in memory all at once."""
    if len(low) < FRAME_SAMPLES:
        return np.zeros((0, len(BANDS_HZ) - 1))
    frames = np.lib.stride_tricks.sliding_window_view(low, FRAME_SAMPLES)[::HOP_SAMPLES]
    window = np.hanning(FRAME_SAMPLES).astype(np.float32)
    edges = np.round(BANDS_HZ / RATE * FRAME_SAMPLES).astype(int)
    found = []
    for start in range(0, len(frames), 1024):
        power = np.abs(np.fft.rfft(frames[start : start + 1024] * window)) ** 2
        sums = np.concatenate([np.zeros((len(power), 1)), power.cumsum(axis=1)], axis=1)
        found.append(sums[:, edges[1:]] - sums[:, edges[:-1]])
    return np.concatenate(found)


def _proposals(prints: Sequence[Fingerprint]) -> dict[tuple[int, int], int]:
    """(first, second) -> the offset in frames that most of the words they share agree on, at least two of them."""
    if not prints:
        return {}
    songs = np.concatenate([np.full(int(p.sounding.sum()), i, np.int64) for i, p in enumerate(prints)])
    places = np.concatenate([np.flatnonzero(p.sounding) for p in prints])
    words = np.concatenate([p.words[p.sounding] for p in prints])
    order = np.argsort(words, kind="stable")
    songs, places, words = songs[order], places[order], words[order]
    keys = []
    for gap in range(1, COMMON):
        same = np.flatnonzero((words[gap:] == words[:-gap]) & (songs[gap:] != songs[:-gap]))
        if len(same) == 0 and not np.any(words[gap:] == words[:-gap]):
            break
        pair = songs[same] * len(prints) + songs[same + gap]  # the order is stable: the first has the lower number
        keys.append((pair << 24) + (places[same] - places[same + gap] + (1 << 23)))
    if not keys:
        return {}
    found, votes = np.unique(np.concatenate(keys), return_counts=True)
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for key, count in zip(found[votes > 1].tolist(), votes[votes > 1].tolist(), strict=True):
        pair, offset = divmod(key, 1 << 24)
        song_pair = divmod(pair, len(prints))
        if count > best.get(song_pair, (0, 0))[0]:
            best[song_pair] = (count, offset - (1 << 23))
    return {pair: offset for pair, (_, offset) in best.items()}


def _different_bits(a: Fingerprint, b: Fingerprint, offset: int) -> tuple[float, int]:
    """The share of bits that differ where frame i of `a` meets frame i - offset of `b`, and how many frames meet."""
    start, stop = max(0, offset), min(len(a.words), len(b.words) + offset)
    if stop <= start:
        return 1.0, 0
    both = a.sounding[start:stop] & b.sounding[start - offset : stop - offset]
    different = (a.words[start:stop] ^ b.words[start - offset : stop - offset])[both]
    shorter = min(int(a.sounding.sum()), int(b.sounding.sum()))
    if 2 * len(different) < shorter:  # a few bars in common make no copy
        return 1.0, 0
    return float(np.unpackbits(different.view(np.uint8)).mean()), len(different)


def _threshold(frames: int) -> float:
    """For short songs a stricter one: frames overlap, so that a second has few independent bits, and chance is wide."""
    independent = 32 * (1 + frames * HOP_SAMPLES / FRAME_SAMPLES)
    return min(MOST_DIFFERENT, 0.5 - 2.5 / float(np.sqrt(independent)))
