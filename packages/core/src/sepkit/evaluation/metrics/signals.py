"""What every metric starts from: reference and estimate of one shape, in float64, and their energies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AudioError

Array = NDArray[np.float64]


def pair(reference: Any, estimate: Any) -> tuple[Array, Array]:
    """Both in float64, ... c t; raises AudioError where their shapes differ."""
    s, e = np.asarray(reference, dtype=np.float64), np.asarray(estimate, dtype=np.float64)
    if s.shape != e.shape:
        raise AudioError(
            f"The reference has the shape {s.shape} and the estimate {e.shape}; give equal shapes, c t last."
        )
    return s, e


def inner(x: Array, y: Array) -> Array:
    """Sum of products over channels and samples, without an array of them: ... c t -> ..."""
    return np.asarray(np.einsum("...ct,...ct->...", x, y))


def energy(x: Array) -> Array:
    """Sum of squares over channels and samples: ... c t -> ..."""
    return inner(x, x)
