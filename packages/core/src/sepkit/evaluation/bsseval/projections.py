"""The filters of a track: for each estimate all references' (C), and for each pair the reference's own (Cj)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .condition import condition_bound
from .filters import solved
from .signals import Array

Rows = NDArray[np.intp]


class Projections(NamedTuple):
    """C: l a q over references' channels a and estimates' channels q; Cj: p l a c, zero but for the pair's reference.

    `condition` is a lower bound of the condition number of the equations for C.
    """

    everything: Array
    own: Array
    condition: float


def projections(
    correlations: Array, pairs: list[tuple[int, int]], channels: int, *, regularization: float | None
) -> Projections:
    """Fit the filters to correlations y x k of a whole track (or of a window, as BSS Eval v3 does).

    Channels that are zero throughout take no part. `regularization` r adds r times each channel's energy to the
    diagonal (Tikhonov), which bounds the filters where the material leaves them free.
    """
    x = correlations.shape[1]
    r = np.ascontiguousarray(correlations[:x].transpose(2, 1, 0))  # l a b
    d = np.ascontiguousarray(correlations[x:].transpose(2, 1, 0))  # l a q
    sounding = np.flatnonzero(np.diagonal(r[0]) > 0)
    own = np.zeros((len(pairs), *d.shape[:2], channels))
    everything = np.zeros_like(d)
    if not len(sounding):
        return Projections(everything, own, 1.0)
    if regularization is not None:
        r[0] += regularization * np.diag(np.diagonal(r[0]))
    everything[:, sounding] = solved(_part(r, sounding)[None], d[None, :, sounding])[0]
    _fit_own(r, d, pairs, channels, sounding, everything, own)
    return Projections(everything, own, condition_bound(_part(r, sounding)))


def _fit_own(
    r: Array, d: Array, pairs: list[tuple[int, int]], channels: int, sounding: Rows, everything: Array, own: Array
) -> None:
    """Fill `own`: systems of references with equally many sounding channels are solved side by side."""
    groups: dict[int, list[int]] = {}
    rows_of: dict[int, Rows] = {}
    for reference in sorted({reference for reference, _ in pairs}):
        of_reference = np.arange(reference * channels, (reference + 1) * channels)
        rows_of[reference] = of_reference[np.isin(of_reference, sounding)]
        groups.setdefault(len(rows_of[reference]), []).append(reference)
    for size, references in groups.items():
        if not size:
            continue
        estimates = {j: [q for q in range(len(pairs)) if pairs[q][0] == j] for j in references}
        columns = [[pairs[q][1] * channels + c for q in estimates[j] for c in range(channels)] for j in references]
        chosen = [rows_of[j] for j in references]
        if size == len(sounding):  # nothing else sounds: the two projections are one, and the SIR is infinite
            found = np.stack([everything[:, chosen[0]][:, :, columns[0]]])
        else:
            left = np.stack([_part(r, one) for one in chosen])
            found = solved(left, np.stack([d[:, one][:, :, to] for one, to in zip(chosen, columns, strict=True)]))
        for index, j in enumerate(references):
            for position, pair in enumerate(estimates[j]):
                part = found[index, :, :, position * channels : (position + 1) * channels]
                own[pair][:, rows_of[j]] = part


def _part(r: Array, rows: Rows) -> Array:
    return np.ascontiguousarray(r[:, rows][:, :, rows])
