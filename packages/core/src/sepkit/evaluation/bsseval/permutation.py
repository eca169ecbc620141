"""Which estimate belongs to which reference: the order with the greatest mean SIR, museval's choice.

museval tries all orders, n! of them. The mean over a fixed set of windows is a sum over pairs, so the best order is an
assignment (Hungarian method, n^3); among equally good ones the first in the order of permutations is taken, as argmax
does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .signals import Array

TIE_DB = 1e-7
FAR_DB = 1e5  # stands for infinity


def best_order(sir: Array, *, skip_undefined: bool) -> NDArray[np.int64]:
    """The estimate for each reference, from SIR of all pairs and windows: i j n -> i.

    One undefined window leaves museval with the given order; `skip_undefined` takes the mean over the others.
    """
    sources = len(sir)
    given = np.arange(sources)
    if not skip_undefined and np.isnan(sir).any():
        return given
    finite = np.clip(sir, -FAR_DB, FAR_DB)
    counts = np.maximum((~np.isnan(finite)).sum(axis=2), 1)
    score = np.nansum(finite, axis=2) / counts
    best = _total(score, given, given)
    order: list[int] = []
    left = list(range(sources))
    for i in range(sources):
        for j in left:  # the first that still allows the best total
            rest = [k for k in left if k != j]
            total = sum(score[a, b] for a, b in enumerate([*order, j])) + _total(score, given[i + 1 :], np.array(rest))
            if total >= best - TIE_DB:
                order.append(j)
                left = rest
                break
    return np.array(order)


def _total(score: Array, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> float:
    if not len(rows):
        return 0.0
    from scipy.optimize import linear_sum_assignment  # slow to import, and most evaluations ask for no order

    part = score[np.ix_(rows, columns.astype(int))]
    chosen = linear_sum_assignment(part, maximize=True)
    return float(part[chosen].sum())
