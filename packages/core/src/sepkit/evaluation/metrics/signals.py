"""What every metric starts from: reference and estimate of one shape, in float64, and their energies."""

from __future__ import annotations

from typing import Any

import numpy as np
from einops import reduce
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


def total(x: Array) -> Array:
    """Sum over channels and samples: ... c t -> ..."""
    return np.asarray(reduce(x, "... c t -> ...", "sum"))
