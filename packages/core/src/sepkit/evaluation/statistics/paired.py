"""Tests of two methods on the same tracks: Wilcoxon's signed ranks, sign flips, and Holm's correction for many of them.

Both tests ask whether the differences could as well have had the other sign, and are two-sided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import OptionError
from ..recipe import Aggregate
from .intervals import LEVEL, Interval, checked_columns, difference_interval
from .resampling import RESAMPLES, Array

EXACT_TRACKS = 16
"""Up to so many differing tracks all sign patterns are counted, 32,768 of them and their mirror images."""
EXACT_RANKS = 50
"""Up to so many tracks without ties the distribution of signed ranks is counted."""
FLIPS = 9999
"""Random sign patterns for more tracks; the smallest p is then 1 / 10,000."""
PIECE = 2048
"""Sign patterns that are summed at a time."""

Signs = NDArray[np.int8]


@dataclass(frozen=True)
class PairedDifference:
    """How two methods differ on the tracks that both were scored on.

    `difference` is the statistic of the first less that of the second. `smallest_p` is what the tests give when every
    differing track favours the same method: a level below it cannot be reached with so few.
    """

    difference: Interval
    tracks: int
    differing: int
    wilcoxon_p: float
    sign_flip_p: float
    smallest_p: float


def paired_difference(
    first: Any,
    second: Any,
    statistic: Aggregate = "mean",
    *,
    weights: Any = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    flips: int = FLIPS,
    seed: int = 0,
) -> PairedDifference:
    """Compare two methods by their scores on the same tracks, in the same order: t, t -> PairedDifference.

    The interval is a paired bootstrap: the same tracks are drawn for both. The sign-flip test flips the differences of
    whole tracks, times `weights` for `window_mean`. Raises OptionError for unequal lengths, NaN or infinity.
    """
    a, w = checked_columns(first, weights, statistic)
    b, _ = checked_columns(second, weights, statistic)
    if a.shape != b.shape:
        raise OptionError(
            f"The first method has {len(a)} track scores and the second {len(b)}; give the tracks that both have."
        )
    order = np.lexsort((w, b, a))
    a, b, w = (x[order, None] for x in (a, b, w))
    differences = a - b
    differing = int(np.count_nonzero(differences))
    return PairedDifference(
        difference=difference_interval(a, b, w, statistic, level=level, resamples=resamples, seed=seed),
        tracks=len(a),
        differing=differing,
        wilcoxon_p=float(wilcoxon_p(differences)[0]),
        sign_flip_p=float(sign_flip_p(w * differences if statistic == "window_mean" else differences, flips, seed)[0]),
        smallest_p=smallest_p(differing),
    )


def sign_flip_p(differences: Array, flips: int = FLIPS, seed: int = 0) -> Array:
    """Two-sided p of the mean difference when each track's sign is flipped at will: t k -> k.

    Exact for up to 16 tracks that differ; beyond, `flips` random patterns and the observed one (Phipson and Smyth
    2010), drawn from `seed`. NaN and zero are tracks that say nothing. The order of the tracks does not matter.
    """
    if flips < 1:
        raise OptionError(f"flips={flips}: give at least 1 random pattern of signs, such as {FLIPS}.")
    d = np.nan_to_num(np.asarray(differences, dtype=np.float64))
    order = np.lexsort((d, -np.abs(d)), axis=0)
    d = np.take_along_axis(d, order, axis=0)
    differing = np.count_nonzero(d, axis=0)
    p = np.ones(d.shape[1])
    for count in np.unique(differing[(differing > 0) & (differing <= EXACT_TRACKS)]):
        columns = differing == count
        p[columns] = _share_as_large(d[:count, columns], _all_signs(int(count)))
    if (many := differing > EXACT_TRACKS).any():
        signs = _random_signs(int(differing.max()), flips, seed)
        drawn = d[: len(signs), many]
        p[many] = (1 + flips * _share_as_large(drawn, signs)) / (1 + flips)
    return p


def wilcoxon_p(differences: Array) -> Array:
    """Two-sided p of Wilcoxon's signed-rank test: t k -> k; 1 where no track differs.

    NaN is a track that both were not scored on, and zeros are dropped. Counted exactly for up to 50 tracks without ties
    (scipy) and for up to 16 with ties (all sign patterns of the mean ranks); beyond, scipy's normal approximation with
    the correction for ties.
    """
    from scipy.stats import rankdata, wilcoxon

    d = np.nan_to_num(np.asarray(differences, dtype=np.float64))
    sizes = np.where(d == 0, np.nan, np.abs(d))  # NaN sorts last and equals nothing
    tied = (np.diff(np.sort(sizes, axis=0), axis=0) == 0).any(axis=0)
    differing = np.count_nonzero(d, axis=0)
    p = np.ones(d.shape[1])
    if (counted := tied & (differing <= EXACT_TRACKS)).any():
        ranks = rankdata(sizes[:, counted], axis=0, nan_policy="omit")
        p[counted] = sign_flip_p(np.sign(d[:, counted]) * np.nan_to_num(ranks))
    for count in np.unique(differing[(differing > 0) & ~counted]):
        for ties in (False, True):
            columns = np.flatnonzero((differing == count) & (tied == ties) & ~counted)
            if columns.size:
                kept = np.stack([d[d[:, column] != 0, column] for column in columns], axis=1)
                # said here, because scipy's own choice has changed: few tied ones are permuted now, in a second
                method = "asymptotic" if ties or count > EXACT_RANKS else "exact"
                p[columns] = wilcoxon(kept, axis=0, method=method).pvalue
    return p


def smallest_p(differing: int) -> float:
    """The smallest two-sided p that either test can give for that many differing tracks: 0.25 for 3, 0.03 for 6."""
    return min(1.0, 2.0 ** (1 - differing))


def holm(p_values: Any) -> Array:
    """Holm's step-down correction: p values that may be held against the level as if each were the only one: k -> k.

    The smallest is multiplied by k, the next by k - 1, and none may be below one before it (Holm 1979). Holds whatever
    the tests have in common. Raises OptionError for numbers outside 0 to 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise OptionError(f"p values are {p}; give a list of numbers from 0 to 1.")
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _share_as_large(d: Array, signs: Signs) -> Array:
    """Share of sign patterns (t r) whose sum is as large as the observed one, round-off forgiven: t k -> k."""
    bound = np.abs(d.sum(axis=0)) - 1e-12 * np.abs(d).sum(axis=0)
    found = np.zeros(d.shape[1])
    for start in range(0, signs.shape[1], PIECE):  # all at once would be hundreds of megabytes for many pairs
        sums = signs[:, start : start + PIECE].T.astype(np.float64) @ d
        found += np.count_nonzero(np.abs(sums) >= bound, axis=0)
    return found / signs.shape[1]


@lru_cache(maxsize=EXACT_TRACKS)
def _all_signs(tracks: int) -> Signs:
    """All patterns with a plus first, since the mirror images have the same absolute sum: t r."""
    patterns = np.arange(2 ** (tracks - 1))
    return np.stack([1 - 2 * (patterns >> track & 1) for track in range(tracks)][::-1]).astype(np.int8)


@lru_cache(maxsize=4)
def _random_signs(tracks: int, flips: int, seed: int) -> Signs:
    return np.random.default_rng(seed).integers(2, size=(tracks, flips), dtype=np.int8) * 2 - 1
