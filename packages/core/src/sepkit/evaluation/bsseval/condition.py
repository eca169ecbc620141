"""How well the references determine the filters: a rigorous lower bound of the condition number, from spectra.

A vector that is v in the channels and a tapered cosine of one frequency in the lags has, as its Rayleigh quotient, the
energy that the references have around that frequency in the direction v. The taper's side lobes lie 190 dB below, so
that an empty band is seen to the last digit; with a rectangle, as in the plain spectrum, leakage would fill it.
Levinson's prediction error comes for free but is no such measure: it follows the *mean* of the logarithmic spectrum.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from .signals import Array

KAISER_BETA = 20.0
ROUND_OFF = 1e-13
"""Directions that are below this at *every* frequency are not missing but doubled: two equal channels."""
MEANINGLESS = 1e11
"""Above this bound, filters are made of round-off; see docs/bsseval.md for where it was measured."""


def condition_bound(r: Array) -> float:
    """Lower bound of the condition number of block Toeplitz equations l m m, channels brought to one level.

    Channels that are copies or sums of others are left out: they make the equations singular and harm nobody, because
    what they leave free has no effect in any window.
    """
    order, m, _ = r.shape
    level = np.sqrt(np.diagonal(r[0]))
    taper = np.kaiser(order, KAISER_BETA) if order > 1 else np.ones(1)
    lag_window = np.correlate(taper, taper, "full")[order - 1 :]
    weighted = r / (level[:, None] * level) * (lag_window / lag_window[0])[:, None, None]
    size = max(2, 2 * order)
    circular = np.zeros((size, m, m))
    circular[:order] = weighted
    circular[size - order + 1 :] = weighted[:0:-1].transpose(0, 2, 1)
    spectrum = fft.fft(circular, axis=0)[: order + 1]
    powers = np.linalg.eigvalsh((spectrum + np.conjugate(spectrum.transpose(0, 2, 1))) / 2)  # f m, rising
    top = float(powers.max())
    present = powers.max(axis=0) > ROUND_OFF * top
    lowest = float(powers[:, present].min())
    return top / max(lowest, np.finfo(float).tiny * top) if lowest > 0 else float("inf")
