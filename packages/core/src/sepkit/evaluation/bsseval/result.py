"""What the engine returns: museval's five arrays, or the same with how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .signals import Array


class BssEval(NamedTuple):
    """SDR, ISR, SIR and SAR in dB per source and window (s n), and the estimate for each reference (s 1, v3: s n)."""

    sdr: Array
    isr: Array
    sir: Array
    sar: Array
    permutation: NDArray[np.int64]


class MeaninglessFilters(UserWarning):
    """The references leave the distortion filters open, so ISR, SIR and SAR are made of round-off; SDR is not."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """BSS Eval of a track: dB per source and window (s n), NaN where undefined.

    `windows`: start and stop samples of each window. `condition`: a lower bound of the condition number of the filters'
    equations. `meaningless`: why ISR, SIR and SAR say nothing here, or None.
    """

    sdr: Array
    isr: Array
    sir: Array
    sar: Array
    permutation: NDArray[np.int64]
    windows: tuple[tuple[int, int], ...]
    condition: float
    meaningless: str | None
