"""Metrics as pure functions on arrays; a name carries the definition, because "SDR" alone means four things.

Axes: s stem, c channel, t time, n window. Leading axes `...` are batched over. Everything is computed in float64.
"""

from .msdm_windows import WindowScores, si_sdri_windows, windows
from .ratios import SilenceRule, bss4_windows, sdr_bss4, sdr_mdx, si_sdr
from .signals import Array

__all__ = [
    "Array",
    "SilenceRule",
    "WindowScores",
    "bss4_windows",
    "sdr_bss4",
    "sdr_mdx",
    "si_sdr",
    "si_sdri_windows",
    "windows",
]
