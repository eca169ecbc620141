"""The least-squares filters of BSS Eval from correlations: one factorisation for all estimates, and its residual.

Singular systems (two equal channels, an empty band) keep the equations as they are and only soften the preconditioner,
so their solution still is a least-squares one; a dense solution as museval's is the last resort.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from .signals import Array
from .toeplitz import GOOD_ENOUGH, JITTERS, TOLERANCE, Inverse, Operator, Predictors, levinson

EPSILON = float(np.finfo(float).eps)
MOST_STEPS = 8


def solved(r: Array, d: Array) -> Array:
    """X of several block Toeplitz systems: r g l m m, d g l m q -> g l m q.

    museval adds 2.2e-16 to the diagonal, and so do we; then channels are brought to one level by powers of two, which
    is exact and makes the softening relative to each channel.
    """
    m = r.shape[2]
    r = r.copy()
    r[:, 0] += EPSILON * np.eye(m)
    gain = np.exp2(-np.round(np.log2(np.einsum("gaa->ga", r[:, 0])) / 2))
    r *= gain[:, None, :, None] * gain[:, None, None, :]
    d = d * gain[:, None, :, None]
    found = np.stack([_solved_one(*one) for one in zip(r, d, _predicted(r), strict=True)])
    return np.asarray(found * gain[:, None, :, None])


def _predicted(r: Array) -> list[Predictors | None]:
    """Predictors of each system, None for a singular one; side by side where all are regular."""
    try:
        together = levinson(r)
    except np.linalg.LinAlgError:
        return [None] if len(r) == 1 else [_predicted(one[None])[0] for one in r]
    return [together.only(k) if together.definite[k] else None for k in range(len(r))]


def _solved_one(r: Array, d: Array, predictors: Predictors | None) -> Array:
    operator = Operator(r)
    for jitter in JITTERS:
        if jitter:
            softened = r.copy()
            softened[0] += jitter * np.eye(r.shape[1])
            predictors = _predicted(softened[None])[0]
        if predictors is not None:
            steps = 3 * MOST_STEPS if jitter else MOST_STEPS
            x, residual = conjugate_gradient(operator, Inverse(predictors), d, steps)
            if residual < GOOD_ENOUGH:
                return x
    return dense_solution(r, d)


def conjugate_gradient(operator: Operator, inverse: Inverse, d: Array, steps: int) -> tuple[Array, float]:
    """Preconditioned conjugate gradients, one for each column: the best X, and its largest relative residual."""
    size = np.maximum(np.sqrt((d * d).sum((0, 1))), 1e-300)

    def relative(residual: Array) -> float:
        return float((np.sqrt((residual * residual).sum((0, 1))) / size).max())

    x = inverse(d)
    rest = d - operator(x)
    best, history = x, [relative(rest)]
    direction, before = np.zeros_like(d), np.ones(d.shape[2])
    for step in range(steps):
        if history[-1] < TOLERANCE or not np.isfinite(history[-1]) or history[-1] > 1e3 * min(history):
            break
        z = inverse(rest)
        now = (rest * z).sum((0, 1))
        direction = z + (now / _nonzero(before) if step else 0.0) * direction
        image = operator(direction)
        along = now / _nonzero((direction * image).sum((0, 1)))
        x, rest, before = x + along * direction, rest - along * image, now
        history.append(relative(rest))
        if history[-1] <= min(history):
            best = x
    return best, relative(d - operator(best))


def dense_solution(r: Array, d: Array) -> Array:
    """By Cholesky factors of the whole matrix, else by museval's own way: LU factors, then least squares."""
    order, m, q = d.shape
    lags = np.concatenate([r[::-1], r[1:].transpose(0, 2, 1)])
    matrix = np.empty((order, m, order, m))
    for row in range(order):
        matrix[row] = lags[order - 1 - row : 2 * order - 1 - row].transpose(1, 0, 2)
    whole = matrix.reshape(order * m, order * m)
    right = d.reshape(order * m, q)
    try:
        found = linalg.solve(whole, right, assume_a="pos", check_finite=False)
    except np.linalg.LinAlgError:
        try:
            found = np.linalg.solve(whole, right)
        except np.linalg.LinAlgError:
            found = np.linalg.lstsq(whole, right, rcond=None)[0]
    return np.asarray(found).reshape(order, m, q)


def _nonzero(x: Array) -> Array:
    return np.where(x == 0, 1.0, x)
