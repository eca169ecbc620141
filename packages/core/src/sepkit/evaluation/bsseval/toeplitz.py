"""Block Toeplitz equations: sum over l' of R[l - l'] X[l'] = D[l], with R[-k] = R[k]^T, k = 0 .. L - 1.

The filters of BSS Eval obey them, with m channels per block: a system of L m unknowns (4096 for four stereo stems)
that is described by L blocks. Block Levinson recursion (Whittle 1963, Wiggins and Robinson 1965) finds the forward and
backward predictors, which *are* the inverse in the formula of Gohberg and Semencul (Gohberg and Heinig 1974); applied
by FFT, it is the preconditioner of a conjugate gradient, which is done at once where the material is sane.
Arrays: R l m m (R[l][a, b]), D and X l m q.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .correlations import Complex
from .signals import Array

SINGLE_THREAD = 1 << 18
"""OpenBLAS wakes a second thread for products of more multiplications; its spinning costs more than it brings."""
TOLERANCE = 1e-13
GOOD_ENOUGH = 1e-10
JITTERS = (0.0, 1e-14, 1e-12, 1e-10)


class Predictors(NamedTuple):
    """Forward and backward prediction polynomials (g l m m), their error covariances (g m m), and whether all leading
    systems were positive definite (g)."""

    forward: Array
    backward: Array
    forward_error: Array
    backward_error: Array
    definite: NDArray[np.bool_]

    def only(self, system: int) -> Predictors:
        """Those of one system, without the axis g."""
        return Predictors(*(one[system] for one in self))


def levinson(r: Array) -> Predictors:
    """Predictors of several block Toeplitz systems at once: g l m m.

    They are kept transposed and side by side, [S | A] with S the backward one delayed by a block, so that a step of the
    recursion is one short wide product: A' = A - S Kb, B' = S - A Kf. Raises LinAlgError where one is singular.
    """
    g, order, m, _ = r.shape
    state, following = (np.zeros((g, 2 * m, (order + 1) * m)) for _ in range(2))
    state[:, :m, m : 2 * m] = state[:, m:, :m] = np.eye(m)
    past = np.ascontiguousarray(r[:, :0:-1].swapaxes(2, 3).reshape(g, (order - 1) * m, m))  # R[L-1]^T .. R[1]^T
    ef, eb = r[:, 0].copy(), r[:, 0].copy()
    errors = np.empty_like(r)
    errors[:, 0] = eb
    step = np.zeros((g, 2 * m, 2 * m))
    step[:] = np.eye(2 * m)
    columns = max(m, SINGLE_THREAD // (2 * m * m))
    for n in range(1, order):
        width = n * m
        table = past[:, (order - 1 - n) * m :]
        delta = np.matmul(state[:, m:, :width], table).swapaxes(1, 2)
        kb, kf = np.linalg.solve(eb, delta), np.linalg.solve(ef, delta.swapaxes(1, 2))
        ef = _symmetric(ef - delta.swapaxes(1, 2) @ kb)
        eb = errors[:, n] = _symmetric(eb - delta @ kf)
        step[:, :m, m:], step[:, m:, :m] = -kf.swapaxes(1, 2), -kb.swapaxes(1, 2)
        width += m
        for low in range(0, width, columns):
            high = min(low + columns, width)
            np.matmul(step[:, :m], state[:, :, low:high], out=following[:, :m, low + m : high + m])
            np.matmul(step[:, m:], state[:, :, low:high], out=following[:, m:, low:high])
        state, following = following, state
    polynomials = [
        np.ascontiguousarray(rows.reshape(g, m, order, m).transpose(0, 2, 3, 1))
        for rows in (state[:, m:, :-m], state[:, :m, m:])
    ]
    finite = np.asarray(np.isfinite(errors).all((1, 2, 3)))
    smallest = np.linalg.eigvalsh(np.where(finite[:, None, None, None], errors, 0)).min((1, 2))
    return Predictors(polynomials[0], polynomials[1], ef, eb, finite & (smallest > 0))


class Operator:
    """The block Toeplitz matrix times X, by FFT."""

    def __init__(self, r: Array) -> None:
        self.order, m, _ = r.shape
        circulant = np.zeros((2 * self.order, m, m))
        circulant[: self.order] = r
        circulant[self.order + 1 :] = r[:0:-1].transpose(0, 2, 1)
        self.spectrum = forward(circulant, self.order)

    def __call__(self, x: Array) -> Array:
        return backward(self.spectrum @ forward(x, self.order), self.order)


class Inverse:
    """The inverse of a block Toeplitz matrix times X, by FFT, from predictors of one system (Gohberg and Semencul)."""

    def __init__(self, predictors: Predictors) -> None:
        a, b = predictors.forward, predictors.backward
        self.order = len(a)
        delayed = np.zeros_like(b)
        delayed[1:] = b[:-1]
        self.a, self.b = forward(a, self.order), forward(delayed, self.order)
        self.a_adjoint, self.b_adjoint = (np.conjugate(one.transpose(0, 2, 1)).copy() for one in (self.a, self.b))
        self.a_error = np.linalg.inv(predictors.forward_error)
        self.b_error = np.linalg.inv(predictors.backward_error)

    def __call__(self, x: Array) -> Array:
        spectrum = forward(x, self.order)
        u = self.a_error @ backward(self.a_adjoint @ spectrum, self.order)
        v = self.b_error @ backward(self.b_adjoint @ spectrum, self.order)
        return backward(self.a @ forward(u, self.order) - self.b @ forward(v, self.order), self.order)


def forward(x: Array, order: int) -> Complex:
    """Spectra of polynomials l m q, long enough for products of two."""
    return np.asarray(fft.rfft(x, n=2 * order, axis=0))


def backward(spectrum: Complex, order: int) -> Array:
    """Its first coefficients: l m q."""
    return np.asarray(fft.irfft(spectrum, n=2 * order, axis=0)[:order])


def _symmetric(x: Array) -> Array:
    return (x + x.swapaxes(1, 2)) / 2
