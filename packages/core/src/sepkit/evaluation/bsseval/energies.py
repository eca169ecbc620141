"""Energies of the parts of an estimate in every window, from correlations alone.

A window is cut first and filtered then, with its tail of lags - 1 samples, as museval does. So |sum_a f_a * x_a|^2 is
the sum over a, b, k of rho_ab[k] r_ab[k], with r the window's correlations and rho those of the filters: all windows
at once are one matrix product. Differences are taken between filters (Cj - delta, C - Cj), where nothing cancels.
Parts: spatial distortion Pj - s, target Pj, interference P - Pj, projection P, artefacts e - P.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from .levels import Flags, Levels
from .projections import Projections
from .signals import Array
from .toeplitz import SINGLE_THREAD

PARTS = 5
ACCURACY = 1e-8
"""Relative error that an energy may have by cancellation; what may have more is computed from the signals."""
ROUND_OFF = 20 * float(np.finfo(float).eps)


def energies(
    correlations: Array, levels: Levels, found: Projections, pairs: list[tuple[int, int]]
) -> tuple[Array, Flags]:
    """Energies of the five parts, and which of them need more accuracy than this: n p 5 both.

    correlations: n y x k of windows.
    """
    n, _, x, lags = correlations.shape
    channels = found.own.shape[3]
    filters = [part_filters(found, pairs, p) for p in range(len(pairs))]
    weights = np.stack([autocorrelation_weights(one) for four in filters for one in four], axis=-1)
    values = np.empty((n, len(pairs), PARTS))
    own_part = correlations[:, :x].reshape(n, x * x * lags)
    values[:, :, :4] = chunked_product(own_part, weights.reshape(x * x * lags, -1)).reshape(n, len(pairs), 4)
    level = np.sqrt(levels.references)
    scale = np.empty_like(values)
    for p, (_, estimate) in enumerate(pairs):
        columns = slice(estimate * channels, (estimate + 1) * channels)
        taps = np.ascontiguousarray(filters[p][3].transpose(2, 1, 0))  # c a l
        with_estimate = correlations[:, x + columns.start : x + columns.stop].reshape(n, -1)
        crossed = chunked_product(with_estimate, taps.reshape(-1, 1))[:, 0]
        of_estimate = levels.estimates[:, columns].sum(1)
        values[:, p, 4] = of_estimate - 2 * crossed + values[:, p, 3]
        for part, one in enumerate(filters[p]):
            scale[:, p, part] = (level @ np.sqrt((one * one).sum(0)).sum(1)) ** 2
        scale[:, p, 4] = scale[:, p, 3] + of_estimate
    doubtful = (values < ROUND_OFF / ACCURACY * scale) & (scale > 0)
    return values, np.asarray(doubtful)


def part_filters(found: Projections, pairs: list[tuple[int, int]], pair: int) -> list[Array]:
    """Filters (l a c) whose outputs are Pj - s, Pj, P - Pj and P for a pair."""
    reference, estimate = pairs[pair]
    channels = found.own.shape[3]
    own = found.own[pair]
    everything = found.everything[:, :, estimate * channels : (estimate + 1) * channels]
    distortion = own.copy()
    distortion[0, np.arange(reference * channels, (reference + 1) * channels), np.arange(channels)] -= 1
    return [distortion, own, everything - own, everything]


def autocorrelation_weights(filters: Array) -> Array:
    """What r_ab[k] weighs in the energy of filters l a c: b a k, with both signs of the lag in one."""
    lags = len(filters)
    spectrum = fft.rfft(filters, n=2 * lags, axis=0)
    products = spectrum @ np.conjugate(spectrum.transpose(0, 2, 1))
    weights = 2 * fft.irfft(products, n=2 * lags, axis=0)[:lags]
    weights[0] /= 2
    return np.asarray(weights.transpose(2, 1, 0))


def chunked_product(left: Array, right: Array) -> Array:
    """left @ right, n k and k p, as a sum of products that BLAS leaves to this thread."""
    n, inner = left.shape
    columns = right.shape[1]
    limit = 8192 // n if columns == 1 else SINGLE_THREAD // (n * columns)
    divisors = [size for size in (4096, 2048, 1024, 512, 256, 128, 64, 32, 16) if size <= limit and not inner % size]
    if not divisors:
        return left @ right
    size = divisors[0]
    parts = left.reshape(n, -1, size).swapaxes(0, 1) @ right.reshape(-1, size, columns)
    return np.asarray(parts.sum(axis=0))
