"""logWMSE: the error as loud as it is heard, defined for silent references too."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from . import signals
from .signals import Array, check_rate, pair

HEARING_SAMPLE_RATE = 44_100  # everything is brought to this rate, for which the filter was made
HEARING_DESIGN_SAMPLES, HEARING_TAPS = 8192, 4000
SCALE, EPSILON = -4.0, 1e-8
INAUDIBLE = 10 ** (-68 / 20)  # error samples below this, relative to the mixture's RMS, count as none


def log_wmse(reference: Any, estimate: Any, mixture: Any, sample_rate: int) -> Array:
    """logWMSE, -4 ln(mean of d^2 + 1e-8), mean over channels: ... c t -> ..., at most 73.68, higher is better.

    d is the error filtered as ears hear it, over the RMS of the equally filtered mixture of that channel, with samples
    below -68 dB set to zero; other rates are resampled to 44,100 Hz (soxr, HQ). A silent reference is fine: silence
    scores the maximum, and so does any estimate of a silent mixture. mixture: c t, or ... c t. Values are no decibels.
    Source: log-wmse-audio-quality 0.2 (Nomono 2023), whose definition this follows; the filter is `hearing_filter`.
    torch-log-wmse agrees but for the -68 dB, which it dropped in 1.0.
    """
    check_rate(sample_rate)
    s, e = pair(reference, estimate)
    heard = _heard(_at_hearing_rate(signals.signal(mixture, "mixture"), sample_rate))
    level = np.sqrt(np.mean(heard**2, axis=-1))
    difference = _heard(_at_hearing_rate(e - s, sample_rate))
    level = np.broadcast_to(level, difference.shape[:-1])
    loud = level > 0
    difference = difference / np.where(loud, level, 1.0)[..., None]
    difference[np.abs(difference) < INAUDIBLE] = 0.0
    error = np.where(loud, np.mean(difference**2, axis=-1), 0.0)
    return np.asarray(np.mean(SCALE * np.log(error + EPSILON), axis=-1))


@cache
def hearing_filter() -> Array:
    """The 4000 taps that stand for the ear's sensitivity at 44,100 Hz, without a shift in phase.

    Their magnitude is that of four filters in a row: a shelf of +5 dB above 1500 Hz (Q 1/sqrt 2), a Butterworth high
    pass at 120 Hz of second order, a peak of +2.5 dB at 500 Hz (Q 1.5/sqrt 2), and a Butterworth low pass at 10 kHz of
    first order, forwards and backwards (shelf and peak after the Audio EQ Cookbook). The response is taken of an
    impulse in the middle of 8192 samples, at 4097 frequencies from 0 up to but without half the rate, and used as if
    they reached it: that is how the published filter was made, and this equals it to 1e-8. After Fenton and Lee (2017).
    """
    from scipy import signal

    n = HEARING_DESIGN_SAMPLES
    x = np.zeros(n)
    x[n // 2] = 1.0
    x = signal.sosfilt(_cookbook(1500.0, 5.0, 1 / np.sqrt(2), shelf=True), x)
    x = signal.sosfilt(signal.butter(2, 120.0, "highpass", fs=HEARING_SAMPLE_RATE, output="sos"), x)
    x = signal.sosfilt(_cookbook(500.0, 2.5, 1.5 / np.sqrt(2), shelf=False), x)
    x = signal.sosfiltfilt(signal.butter(1, 10_000.0, "lowpass", fs=HEARING_SAMPLE_RATE, output="sos"), x)
    _, response = signal.freqz(x, worN=n // 2 + 1)
    taps = np.fft.fftshift(np.fft.irfft(np.abs(response), n))
    middle = n // 2 + 1
    taps = np.ascontiguousarray(taps[middle - HEARING_TAPS // 2 : middle + HEARING_TAPS // 2])
    taps.setflags(write=False)
    return taps


def _cookbook(hertz: float, gain_db: float, q: float, *, shelf: bool) -> Array:
    """A second-order section of the Audio EQ Cookbook: a high shelf, or a peak."""
    a = 10 ** (gain_db / 40)
    omega = 2 * np.pi * hertz / HEARING_SAMPLE_RATE
    alpha, c = np.sin(omega) / (2 * q), np.cos(omega)
    if shelf:
        root = 2 * np.sqrt(a) * alpha
        b = [a * ((a + 1) + (a - 1) * c + root), -2 * a * ((a - 1) + (a + 1) * c), a * ((a + 1) + (a - 1) * c - root)]
        d = [(a + 1) - (a - 1) * c + root, 2 * ((a - 1) - (a + 1) * c), (a + 1) - (a - 1) * c - root]
    else:
        b = [1 + alpha * a, -2 * c, 1 - alpha * a]
        d = [1 + alpha / a, -2 * c, 1 - alpha / a]
    return np.array([b + d]) / d[0]


def _heard(x: Array) -> Array:
    from scipy.signal import oaconvolve

    taps = hearing_filter().reshape((1,) * (x.ndim - 1) + (-1,))
    return np.asarray(oaconvolve(x, taps, mode="same", axes=-1))


def _at_hearing_rate(x: Array, sample_rate: int) -> Array:
    if sample_rate == HEARING_SAMPLE_RATE:
        return x
    import soxr

    rows = x.reshape(-1, x.shape[-1])  # soxr takes time first and at most one more axis
    resampled = soxr.resample(rows.T, sample_rate, HEARING_SAMPLE_RATE, quality="HQ").T
    return np.asarray(resampled).reshape(*x.shape[:-1], -1)
