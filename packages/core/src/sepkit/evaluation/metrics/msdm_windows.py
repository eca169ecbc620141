"""SI-SDR improvement on windows: the protocol of MSDM, with both ways to treat a silent stem."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt
from typing import Any, NamedTuple

import numpy as np
from einops import reduce
from numpy.typing import NDArray

from ...errors import AudioError, OptionError
from .ratios import si_sdr
from .signals import Array, check_rate, checked

MSDM_SILENCE = 1.5e-5  # of norm / samples, at the rate below: the reference code's test, which depends on the length
MSDM_SAMPLE_RATE = 22_050


class WindowScores(NamedTuple):
    """SI-SDR improvement (s n), where each reference is active (s n), and the numbers of the kept windows (n)."""

    improvement: Array
    active: NDArray[np.bool_]
    kept: NDArray[np.int64]


def si_sdri_windows(
    references: Any, estimates: Any, mixture: Any, sample_rate: int, *, window_seconds: float, hop_seconds: float
) -> WindowScores:
    """SI-SDR improvement over the mixture on windows in dB, by the protocol of MSDM (arXiv 2302.02257, reference code).

    references, estimates: s c t, arrays or sequences of s; mixture: c t; higher is better. Windows in which at most one
    reference is active are left out; the last window may be shorter. A reference is silent where norm / samples is
    below 1.5e-5 at 22,050 Hz; here the same RMS is asked of any rate, so that a threshold does not move with it. The
    mean of `improvement` over all windows is the paper's number (`si_sdri_4s`), the mean over the `active` ones leaves
    out windows in which the stem itself is silent (`si_sdri_4s_active`).
    Raises AudioError for shapes that differ and for what no metric takes, OptionError for windows with gaps.
    """
    check_rate(sample_rate)
    window, hop = round(window_seconds * sample_rate), round(hop_seconds * sample_rate)
    if not window >= hop >= 1:
        raise OptionError(
            f"Windows of {window_seconds} s every {hop_seconds} s at {sample_rate} Hz leave gaps or are empty; give a "
            "hop of at least a sample and at most the window."
        )
    mixture = np.asarray(mixture)
    if len(references) != len(estimates) or any(np.shape(x) != mixture.shape for x in (*references, *estimates)):
        shapes = [[np.shape(x) for x in group] for group in (references, estimates)]
        raise AudioError(
            f"The references have the shapes {shapes[0]}, the estimates {shapes[1]} and the mixture {mixture.shape}; "
            "give an estimate for each reference, all of the mixture's shape (c t)."
        )
    for what, sounds in (("mixture", [mixture]), ("reference", references), ("estimate", estimates)):
        for sound in sounds:
            checked(sound, what)
    improvement, active, kept = [], [], []
    for index, (start, stop) in enumerate(windows(mixture.shape[-1], window, hop)):
        s, e = (np.stack([x[:, start:stop] for x in stems]).astype(np.float64) for stems in (references, estimates))
        sounding = _active(s, (stop - start) / sample_rate)
        if sounding.sum() <= 1:
            continue
        before = si_sdr(s, np.stack([mixture[:, start:stop]] * len(s)))
        improvement.append(si_sdr(s, e) - before)
        active.append(sounding)
        kept.append(index)
    shape = (len(references), len(kept))
    return WindowScores(
        np.array(improvement, dtype=np.float64).reshape(shape[::-1]).T,
        np.array(active, dtype=bool).reshape(shape[::-1]).T,
        np.array(kept, dtype=np.int64),
    )


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
