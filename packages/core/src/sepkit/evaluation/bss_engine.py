"""BSS Eval v4 windows by sepkit's own evaluator, as recipes ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from einops import rearrange

from .metrics import Array, SilenceRule


class BssWindows(NamedTuple):
    """SDR, ISR, SIR and SAR per stem and window in dB (s n), None where they need what is missing.

    `note` says what a reader must know of ISR, SIR and SAR.
    """

    sdr: Array
    isr: Array | None
    sir: Array | None
    sar: Array | None
    note: str | None = None


def bss_windows(
    references: Sequence[Any],
    estimates: Sequence[Any],
    *,
    window_samples: int,
    hop_samples: int,
    silent: SilenceRule,
) -> BssWindows:
    """Score windows: references and estimates c t each. Raises SepkitError where the material has no score."""
    from .bsseval.engine import Settings, evaluated  # brings scipy

    s, e = ([rearrange(np.asarray(one), "c t -> t c") for one in group] for group in (references, estimates))
    # the verdict goes into the rows, and from there into every table; a warning would only disturb the progress
    found = evaluated(s, e, Settings(window_samples, hop_samples, silent=silent))
    return BssWindows(found.sdr, found.isr, found.sir, found.sar, found.meaningless)
