"""Metrics as pure functions on arrays; a name carries the definition, because "SDR" alone means four things.

Axes: s stem, c channel, t time, n window. Leading axes `...` are batched over. Everything is computed in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt
from typing import Any, NamedTuple

import numpy as np
from einops import reduce
from numpy.typing import NDArray

from ..errors import AudioError

Array = NDArray[np.float64]

MDX_EPSILON = 1e-7  # of the MDX 2021 and SDX 2023 evaluators; Music-Source-Separation-Training uses 1e-8
MSDM_EPSILON = 1e-8
MSDM_SILENCE = 1.5e-5  # of norm / samples, at the rate below: the reference code's test, which depends on the length
MSDM_SAMPLE_RATE = 22_050


def sdr_mdx(reference: Any, estimate: Any) -> Array:
    """SDR of the MDX and SDX challenges: one ratio in dB over all channels and samples of the whole track.

    10 log10((sum s^2 + 1e-7) / (sum (s - e)^2 + 1e-7)); reference and estimate: ... c t -> ...
    A silent estimate scores 0 dB and a perfect one a finite value, so a mean over tracks always exists.
    """
    s, e = _pair(reference, estimate)
    signal = reduce(s**2, "... c t -> ...", "sum") + MDX_EPSILON
    error = reduce((s - e) ** 2, "... c t -> ...", "sum") + MDX_EPSILON
    return np.asarray(10 * np.log10(signal / error))


def si_sdr(reference: Any, estimate: Any, *, epsilon: float = MSDM_EPSILON) -> Array:
    """Scale-invariant SDR in dB, without removing the mean: ... c t -> ...

    One scale for all channels, so a stereo estimate cannot gain by rebalancing its channels; on mono material this is
    the definition of Le Roux et al. (2019) with MSDM's `epsilon` in both ratios. For a silent reference it falls back
    to 10 log10(epsilon / sum e^2), which is finite but says nothing of separation.
    """
    s, e = _pair(reference, estimate)
    alpha = (_sum(s * e) + epsilon) / (_sum(s**2) + epsilon)
    target = alpha[..., None, None] * s
    return np.asarray(10 * np.log10((_sum(target**2) + epsilon) / (_sum((target - e) ** 2) + epsilon)))


class WindowScores(NamedTuple):
    """SI-SDR improvement per stem and window (s n), and where each reference is active (s n)."""

    improvement: Array
    active: NDArray[np.bool_]


def si_sdri_windows(
    references: Any, estimates: Any, mixture: Any, sample_rate: int, *, window_seconds: float, hop_seconds: float
) -> WindowScores:
    """SI-SDR improvement over the mixture on windows, by the protocol of MSDM (arXiv 2302.02257, reference code).

    references, estimates: s c t; mixture: c t. Windows in which at most one reference is active are left out; the last
    window may be shorter. A reference is silent where norm / samples < 1.5e-5 at 22,050 Hz; here the same RMS is asked
    of any rate, so that a threshold does not move with it.
    """
    s, e = _pair(references, estimates)
    m = np.asarray(mixture, dtype=np.float64)
    window, hop = round(window_seconds * sample_rate), round(hop_seconds * sample_rate)
    improvement, active = [], []
    for start, stop in windows(s.shape[-1], window, hop):
        reference = s[..., start:stop]
        sounding = _active(reference, (stop - start) / sample_rate)
        if sounding.sum() <= 1:
            continue
        before = si_sdr(reference, np.broadcast_to(m[:, start:stop], reference.shape))
        improvement.append(si_sdr(reference, e[..., start:stop]) - before)
        active.append(sounding)
    if not improvement:
        return WindowScores(np.zeros((len(s), 0)), np.zeros((len(s), 0), dtype=bool))
    return WindowScores(np.stack(improvement, axis=1), np.stack(active, axis=1))


def windows(length_samples: int, window_samples: int, hop_samples: int) -> Iterator[tuple[int, int]]:
    """Start and stop of each window; the last may be cut short, and a short signal gives one window of its own."""
    overlap = window_samples - hop_samples
    count = max(1, ceil((length_samples - overlap) / hop_samples))
    for index in range(count):
        start = index * hop_samples
        yield start, min(start + window_samples, length_samples)


def _active(reference: Array, seconds: float) -> NDArray[np.bool_]:
    threshold = MSDM_SILENCE * sqrt(seconds * MSDM_SAMPLE_RATE)  # the RMS that norm / samples = 1.5e-5 stands for
    rms = np.sqrt(reduce(reference**2, "s c t -> s", "mean"))
    return np.asarray(rms >= threshold)


def _sum(x: Array) -> Array:
    return np.asarray(reduce(x, "... c t -> ...", "sum"))


def _pair(reference: Any, estimate: Any) -> tuple[Array, Array]:
    s, e = np.asarray(reference, dtype=np.float64), np.asarray(estimate, dtype=np.float64)
    if s.shape != e.shape:
        raise AudioError(
            f"The reference has the shape {s.shape} and the estimate {e.shape}; give equal shapes, c t last."
        )
    return s, e
