"""BSS Eval v4 windows by sepkit's own evaluator, as recipes ask for them."""

from __future__ import annotations

from typing import Any, NamedTuple

from einops import rearrange

from .metrics import Array, SilenceRule


class BssWindows(NamedTuple):
    """SDR, ISR, SIR and SAR per stem and window in dB (s n), and what a reader must know of them."""

    sdr: Array
    isr: Array
    sir: Array
    sar: Array
    note: str | None = None


def bss_windows(
    references: Any, estimates: Any, *, window_samples: int, hop_samples: int, silent: SilenceRule
) -> BssWindows:
    """Score windows: references and estimates s c t. Raises SepkitError where the material has no score."""
    from .bsseval import bss_eval  # brings scipy

    found = bss_eval(
        rearrange(references, "s c t -> s t c"),
        rearrange(estimates, "s c t -> s t c"),
        window=window_samples,
        hop=hop_samples,
        silent=silent,
    )
    return BssWindows(found.sdr, found.isr, found.sir, found.sar)
