"""Short-lag correlations of pieces of a track: the engine's one costly step.

corr[y, x, k] = sum over n of x[n] y[n + k], k = 0 .. lags - 1, x over the references' channels, y over the references'
and then the estimates' channels, both zero outside the piece. The piece is cut into blocks; the spectrum of a
zero-padded block of x meets that of the same block of y extended by what follows it, so that one circular correlation
of the blocks' length holds all short lags. Rows: channels x or y, b blocks, f bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from threading import local
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from scipy import fft

from .signals import Array, gathered

Complex = NDArray[np.complex128]
_workspace = local()


class Grid(NamedTuple):
    """Blocks of hop samples in transforms of fft_size."""

    fft_size: int
    blocks: int
    hop: int


@lru_cache
def block_grid(length_samples: int, lags: int, x: int, y: int) -> Grid:
    """The transform size with the least work for a piece, by counted operations."""
    best: tuple[float, Grid] | None = None
    for exponent in range(max(5, (2 * lags - 1).bit_length()), max(16, (2 * lags - 1).bit_length() + 2)):
        size = 1 << exponent
        blocks = max(1, -(-length_samples // (size - lags + 1)))
        transforms = (blocks * (x + y) + x * y) * 2.5 * size * exponent / 5
        products = size / 2 * blocks * (x * y * 8 / 14 + (x + y) * 4)
        if best is None or transforms + products < best[0]:
            best = transforms + products, Grid(size, blocks, -(-length_samples // blocks))
    assert best is not None
    return best[1]


def piece_rows(blocks: Sequence[Sequence[NDArray[Any]]], length_samples: int, lags: int, x: int, y: int) -> Array:
    """The piece as channel-major float64 rows (y t), with the zeros that its last block needs; a reused workspace."""
    size, count, hop = block_grid(length_samples, lags, x, y)
    rows = workspace("rows", (y, (count - 1) * hop + size))
    gathered(blocks, rows)
    rows[:, length_samples:] = 0
    return rows


def piece_correlations(rows: Array, length_samples: int, lags: int, x: int) -> Array:
    """corr (y x k) of a piece in the form of piece_rows, whose first x rows are the references."""
    y = len(rows)
    size, count, hop = block_grid(length_samples, lags, x, y)
    bins = size // 2 + 1
    step = rows.strides[1]
    extended = as_strided(rows, (y, count, size), (rows.strides[0], hop * step, step))
    padded = workspace("padded", (count, size))
    padded[:, hop:] = 0
    left, right = workspace("left", (bins, y, count), complex), workspace("right", (bins, x, count), complex)
    for row in range(y):  # one channel at a time: its spectra are still in cache when they are turned
        left[:, row] = fft.rfft(extended[row]).T
    for row in range(x):
        padded[:, :hop] = extended[row, :, :hop]
        np.conjugate(fft.rfft(padded).T, out=right[:, row])
    products = workspace("products", (bins, y, x), complex)
    np.matmul(left, right.swapaxes(1, 2), out=products)
    return inverse(products, size, lags)


def seam_correlations(tails: Array, heads: Array, lags: int) -> Array:
    """Sum over cuts of what crosses them: tails (cuts x t) end and heads (cuts y t) begin at a cut, t = lags - 1."""
    _, y, reach = heads.shape
    x = tails.shape[1]
    if not reach:
        return np.zeros((y, x, lags))
    size = fft.next_fast_len(2 * reach, real=True)
    before, after = fft.rfft(tails, n=size), fft.rfft(heads, n=size)
    left, right = after.transpose(2, 1, 0), np.conjugate(before.transpose(2, 0, 1))
    products = np.ascontiguousarray(left) @ np.ascontiguousarray(right)
    # a lag k is the distance k - reach of the two arrays; circularly, all of -reach + 1 .. 0 are unambiguous
    circular = fft.irfft(np.ascontiguousarray(products.reshape(len(products), -1).T), n=size)
    found = np.zeros((y * x, lags))
    found[:, 1:] = np.concatenate([circular[:, size - reach + 1 :], circular[:, :1]], axis=1)
    return found.reshape(y, x, lags)


def inverse(products: Complex, size: int, lags: int) -> Array:
    """Lags 0 .. lags - 1 of cross spectra f y x: -> y x k."""
    bins, y, x = products.shape
    turned = workspace("turned", (y * x, bins), complex)
    turned[...] = products.reshape(bins, y * x).T
    return np.asarray(fft.irfft(turned, n=size)[:, :lags]).reshape(y, x, lags)


def workspace(name: str, shape: tuple[int, ...], kind: type = float) -> NDArray[Any]:
    """An array that this thread used before under that name, where it is large enough: fresh pages cost much time."""
    size = int(np.prod(shape))
    known: dict[str, NDArray[Any]] = _workspace.__dict__
    if name not in known or known[name].size < size:
        known[name] = np.empty(size, kind)
    return known[name][:size].reshape(shape)
