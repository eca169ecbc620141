"""The sounds that a test adds to a run's own: tone bursts, anchors, a poor example; and fades."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin, kaiserord

from .loudness import Samples, integrated_loudness

LOW_ANCHOR_HZ, MID_ANCHOR_HZ = 3500.0, 7000.0
TRANSITION_HZ, STOPBAND_DB = 500.0, 65.0
FADE_SECONDS = 0.01
BURST_HZ, BURST_SECONDS, BURSTS = 1000.0, 0.5, 5


def faded(samples: NDArray[np.floating], sample_rate: int) -> Samples:
    """A copy of c t that rises from and falls to silence along 10 ms of a raised cosine, so that no cut clicks."""
    length = min(round(FADE_SECONDS * sample_rate), samples.shape[-1] // 2)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)
    out = np.array(samples, np.float64)
    out[:, :length] *= rise
    out[:, out.shape[-1] - length :] *= rise[::-1]
    return out


def low_passed(samples: Samples, sample_rate: int, cutoff_hz: float) -> Samples:
    """c t without what lies above `cutoff_hz`: flat up to it, 60 dB down from 500 Hz above it on, no delay.

    The anchors of ITU-R BS.1534 are such low-passes of the reference at 3.5 kHz (low) and 7 kHz (mid).
    """
    taps, beta = kaiserord(STOPBAND_DB, TRANSITION_HZ / (sample_rate / 2))
    taps |= 1  # odd: a whole number of samples of delay, which `same` takes away
    kernel = firwin(taps, cutoff_hz + TRANSITION_HZ / 2, window=("kaiser", beta), fs=sample_rate)
    return fftconvolve(samples, kernel[np.newaxis], mode="same", axes=-1)


def interference(reference: Samples, mixture: Samples, sample_rate: int) -> Samples:
    """The reference with everything else of the mixture as loud as itself: a separation that left half of it in.

    Emiya et al. (2011) have such an anchor in their test of separated sources. c t, as the inputs. Where either part
    is silent, nothing can be made equally loud, and the sum is the mixture.
    """
    others = mixture - reference
    ratio_db = integrated_loudness(reference, sample_rate) - integrated_loudness(others, sample_rate)
    return reference + (10 ** (ratio_db / 20) if np.isfinite(ratio_db) else 1.0) * others


def poor_example(reference: Samples, mixture: Samples, sample_rate: int) -> Samples:
    """What a low score sounds like, for training: as much interference as target, all of it low-passed at 3.5 kHz."""
    return low_passed(interference(reference, mixture, sample_rate), sample_rate, LOW_ANCHOR_HZ)


def tone_burst(sample_rate: int, channels: int, loudness_lufs: float) -> Samples:
    """Five bursts of 1 kHz, half a second each with as much silence between: c t at the given integrated loudness."""
    length = round(BURST_SECONDS * sample_rate)
    tone = np.sin(2 * np.pi * BURST_HZ * np.arange(length) / sample_rate)
    burst = np.concatenate([faded(tone[np.newaxis], sample_rate)[0], np.zeros(length)])
    samples = np.tile(burst, (channels, BURSTS))
    return samples * 10 ** ((loudness_lufs - integrated_loudness(samples, sample_rate)) / 20)
