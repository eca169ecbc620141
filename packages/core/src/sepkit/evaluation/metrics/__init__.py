"""Metrics as pure functions on arrays; a name carries the definition, because "SDR" alone means four things.

Axes: s stem, c channel, t time, n window. Leading axes `...` are batched over. Everything is computed in float64.
Samples are floats with full scale at 1: integers, NaN, infinity, empty arrays and axes in another order are refused.
"""

from .msdm_windows import WindowScores, si_sdri_windows, windows
from .plugins import TrackMetric, compute_announced, find_metric, list_metrics
from .ratios import SilenceRule, sdr_bss4, sdr_mdx, si_sdr
from .registry import LEVEL_FREE, METRICS, Metric
from .signals import Array
from .spectral import BleedFullness, bleed_fullness, bleedless, fullness, l1_freq, mrstft
from .weighted_error import hearing_filter, log_wmse

__all__ = [
    "LEVEL_FREE",
    "METRICS",
    "Array",
    "BleedFullness",
    "Metric",
    "SilenceRule",
    "TrackMetric",
    "WindowScores",
    "bleed_fullness",
    "bleedless",
    "compute_announced",
    "find_metric",
    "fullness",
    "hearing_filter",
    "l1_freq",
    "list_metrics",
    "log_wmse",
    "mrstft",
    "sdr_bss4",
    "sdr_mdx",
    "si_sdr",
    "si_sdri_windows",
    "windows",
]
