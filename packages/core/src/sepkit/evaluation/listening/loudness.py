"""Integrated loudness after ITU-R BS.1770-4: K-weighting, blocks of 400 ms, two gates."""

from __future__ import annotations

from math import inf, log10, pi, tan

import numpy as np
from numpy.typing import NDArray
from scipy.signal import sosfilt

from ...errors import AudioError

Samples = NDArray[np.float64]

BLOCK_SECONDS, HOP_SECONDS = 0.4, 0.1
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
OFFSET_LU = -0.691  # so that the K-weighting's gain at 997 Hz drops out


def k_weighting(sample_rate: int) -> Samples:
    """The two second-order sections of K-weighting at any rate (Hz): a shelf for the head, a high-pass.

    BS.1770-4 tabulates them at 48 kHz only; these are the analogue prototypes behind the table, mapped by the bilinear
    transform (the same derivation as in libebur128), and equal the table at 48 kHz.
    """
    k, q, gain = tan(pi * 1681.974450955533 / sample_rate), 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle = gain**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [gain + middle * k / q + k * k, 2 * (k * k - gain), gain - middle * k / q + k * k]
    shelf = [b / a0 for b in shelf] + [1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    k, q = tan(pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    return np.array([shelf, [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]])


def integrated_loudness(samples: NDArray[np.floating], sample_rate: int) -> float:
    """Gated loudness of c t in LUFS, every channel with weight 1 (mono and stereo); -inf where all is below -70 LUFS.

    Raises AudioError for less than one block of 400 ms.
    """
    block, hop = round(BLOCK_SECONDS * sample_rate), round(HOP_SECONDS * sample_rate)
    length = samples.shape[-1]
    if length < block:
        raise AudioError(f"{length / sample_rate:.3f} s were given to measure loudness: at least 0.4 s are wanted.")
    weighted = sosfilt(k_weighting(sample_rate), np.asarray(samples, np.float64), axis=-1)
    energy = np.concatenate([[0.0], np.cumsum((weighted**2).sum(axis=0))])
    starts = np.arange(0, length - block + 1, hop)
    power = (energy[starts + block] - energy[starts]) / block
    power = power[power > _power(ABSOLUTE_GATE_LUFS)]
    if power.size == 0:
        return -inf
    return _loudness(power[power > power.mean() * 10 ** (RELATIVE_GATE_LU / 10)].mean())


def _loudness(power: float) -> float:
    return OFFSET_LU + 10 * log10(power)


def _power(loudness_lufs: float) -> float:
    return float(10 ** ((loudness_lufs - OFFSET_LU) / 10))
