"""Random draws that stay the same for ever: NumPy promises this of its bit generators, not of its distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from scipy.special import ndtri


class Dice:
    """The draws of `numpy.random.Generator` that songs need, computed here from PCG64's raw integers."""

    def __init__(self, *seed: int):
        self._bits = np.random.PCG64(np.random.SeedSequence(seed))

    def random(self, size: int | tuple[int, ...] | None = None) -> Any:
        """Uniform in [0, 1)."""
        if size is None:
            return float(int(self._bits.random_raw()) >> 11) * 2.0**-53
        count = int(np.prod(size))
        raw = np.asarray(self._bits.random_raw(count), dtype=np.uint64) if count else np.zeros(0, np.uint64)
        return ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(size)

    def uniform(self, low: float = 0.0, high: float = 1.0, size: int | tuple[int, ...] | None = None) -> Any:
        """Uniform in [low, high)."""
        return low + (high - low) * self.random(size)

    def integers(self, low: int, high: int | None = None, size: int | tuple[int, ...] | None = None) -> Any:
        """Whole numbers from low to high - 1, or from 0 to low - 1."""
        first, last = (0, low) if high is None else (low, high)
        drawn = np.floor(np.asarray(self.random(size)) * (last - first)).astype(np.int64) + first
        return int(drawn) if size is None else drawn

    def standard_normal(self, size: int | tuple[int, ...] | None = None, dtype: Any = np.float64) -> Any:
        """Normal with mean 0 and variance 1."""
        drawn = ndtri(np.asarray(self.random(size)) + 2.0**-54)
        return float(drawn) if size is None else drawn.astype(dtype)

    def normal(self, mean: float = 0.0, deviation: float = 1.0, size: int | tuple[int, ...] | None = None) -> Any:
        """Normal with this mean and standard deviation."""
        return mean + deviation * self.standard_normal(size)

    def permutation(self, count: int) -> np.ndarray:
        """The numbers 0 to count - 1 in random order."""
        return np.argsort(self.random(count), kind="stable")

    def choice(
        self,
        a: Sequence[Any] | np.ndarray,
        size: int | None = None,
        replace: bool = True,
        p: Sequence[float] | None = None,
    ) -> Any:
        """One of `a`, or `size` of them; with the probabilities `p`; without repeats where `replace` is False."""
        pool = np.asarray(a)
        if size is not None and not replace:
            return pool[self.permutation(len(pool))[:size]]
        if p is None:
            return pool[self.integers(len(pool), size=size)]
        at = np.searchsorted(np.cumsum(p) / np.sum(p), self.random(size), side="right")
        return pool[np.minimum(at, len(pool) - 1)]


Random: TypeAlias = "np.random.Generator | Dice"
"""What makes a song: NumPy's generator where a rendering need not be repeated elsewhere, Dice where it must."""
