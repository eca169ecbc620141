"""Metrics on magnitude spectrograms, which forgive wrong phases: what trainers report beside SDR."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from einops import rearrange, reduce

from .signals import Array, check_rate, pair
from .spectra import hann, mel_filters, powers

MRSTFT_RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # transform, hop and window in samples
MRSTFT_LEAST_POWER = 1e-8
BLEED_SIZE, BLEED_HOP, BLEED_BANDS = 4096, 1024, 512
BLEED_LEAST_MAGNITUDE, BLEED_RANGE_DB = 1e-10, 80.0


def l1_freq(reference: Any, estimate: Any) -> Array:
    """L1Freq, 100 / (1 + 10 mean | |S| - |E| |): ... c t -> ..., in (0, 100], higher is better.

    S and E are STFTs of 2048 samples, hop 1024, without a window (rectangular), reflected at the ends; the mean is over
    channels, frames and bins, so the value depends on the level of the audio. A perfect estimate scores 100.
    Source: L1Freq of Music-Source-Separation-Training (ZFTurbo), utils/metrics.py.
    """
    s, e = pair(reference, estimate)
    window = np.ones(2048)
    total, count = np.zeros(s.shape[:-2]), 0
    for power_s, power_e in zip(
        powers(s, window, 1024, pad="reflect"), powers(e, window, 1024, pad="reflect"), strict=True
    ):
        total = total + reduce(np.abs(np.sqrt(power_s) - np.sqrt(power_e)), "... c n f -> ...", "sum")
        count += power_s.shape[-3] * power_s.shape[-2] * power_s.shape[-1]
    return np.asarray(100 / (1 + 10 * total / count))


def mrstft(reference: Any, estimate: Any) -> Array:
    """Multi-resolution STFT loss: ... c t -> ..., from 0 (perfect) upwards, LOWER is better.

    The mean over three resolutions (transform/hop/Hann window: 1024/120/600, 2048/240/1200, 512/50/240 samples) of
    spectral convergence ||S| - |E||_F / ||S||_F plus the mean of |ln |S| - ln |E||, with |.|^2 at least 1e-8, signals
    reflected at the ends; norms and means run over channels, frames and bins.
    Source: Yamamoto et al. (arXiv 1910.11480), Arik et al. (arXiv 1808.06719), with the defaults of
    MultiResolutionSTFTLoss of auraloss 0.4 (Steinmetz and Reiss 2020).
    """
    s, e = pair(reference, estimate)
    return np.asarray(np.mean([_stft_loss(s, e, *resolution) for resolution in MRSTFT_RESOLUTIONS], axis=0))


class BleedFullness(NamedTuple):
    """How free of added sound, and how complete an estimate is; each in (0, 100], higher is better."""

    bleedless: Array
    fullness: Array


def bleed_fullness(reference: Any, estimate: Any, sample_rate: int) -> BleedFullness:
    """Bleedless and fullness from one pair of mel spectrograms: ... c t -> ... each; see `bleedless` and `fullness`."""
    check_rate(sample_rate)
    s, e = pair(reference, estimate)
    more = _mel_db(e, sample_rate) - _mel_db(s, sample_rate)
    return BleedFullness(*(100 / (1 + _mean_positive(d)) for d in (more, -more)))


def bleedless(reference: Any, estimate: Any, sample_rate: int) -> Array:
    """Bleedless, 100 / (1 + mean of what is too much, in dB): ... c t -> ..., in (0, 100], higher is better.

    Mel spectrograms in dB (STFT of 4096 samples, hop 1024, Hann window, zeros beyond the ends, 512 bands of Slaney's
    scale, 20 log10 of magnitudes of at least 1e-10, down to 80 dB below the loudest value of all channels); the mean is
    over those cells in which the estimate is louder than the reference, 100 where none is. Because the mean is over
    these cells only, a little more in many cells may raise it: read it together with fullness.
    Source: `bleed_full` of Music-Source-Separation-Training (ZFTurbo), utils/metrics.py, which takes 44,100 Hz for
    granted; here the mel bands follow `sample_rate` in Hz.
    """
    return bleed_fullness(reference, estimate, sample_rate).bleedless


def fullness(reference: Any, estimate: Any, sample_rate: int) -> Array:
    """Fullness, 100 / (1 + mean of what is missing, in dB): ... c t -> ..., in (0, 100], higher is better.

    As `bleedless`, with the mean over those cells in which the estimate is quieter than the reference.
    """
    return bleed_fullness(reference, estimate, sample_rate).fullness


def _stft_loss(s: Array, e: Array, size: int, hop: int, window_samples: int) -> Array:
    window = np.zeros(size)
    begin = (size - window_samples) // 2
    window[begin : begin + window_samples] = hann(window_samples)
    error = norm = log_error = np.zeros(s.shape[:-2])
    count = 0
    for power_s, power_e in zip(
        powers(s, window, hop, pad="reflect"), powers(e, window, hop, pad="reflect"), strict=True
    ):
        ps, pe = np.maximum(power_s, MRSTFT_LEAST_POWER), np.maximum(power_e, MRSTFT_LEAST_POWER)
        error = error + reduce((np.sqrt(ps) - np.sqrt(pe)) ** 2, "... c n f -> ...", "sum")
        norm = norm + reduce(ps, "... c n f -> ...", "sum")
        log_error = log_error + reduce(np.abs(np.log(ps / pe)) / 2, "... c n f -> ...", "sum")
        count += ps.shape[-3] * ps.shape[-2] * ps.shape[-1]
    return np.asarray(np.sqrt(error / norm) + log_error / count)


def _mel_db(x: Array, sample_rate: int) -> Array:
    """... c t -> ... (c n mel)."""
    filters = mel_filters(sample_rate, BLEED_SIZE, BLEED_BANDS).T
    blocks = [np.sqrt(power) @ filters for power in powers(x, hann(BLEED_SIZE), BLEED_HOP, pad="constant")]
    mel = rearrange(np.concatenate(blocks, axis=-2), "... c n m -> ... (c n m)")
    db = 20 * np.log10(np.maximum(mel, BLEED_LEAST_MAGNITUDE))
    return np.asarray(np.maximum(db, db.max(axis=-1, keepdims=True) - BLEED_RANGE_DB))


def _mean_positive(d: Array) -> Array:
    positive = d > 0
    return np.asarray(np.where(positive, d, 0.0).sum(axis=-1) / np.maximum(positive.sum(axis=-1), 1))
