"""BSS Eval v4 and v3, exact and fast: museval's numbers, without museval, ffmpeg or its memory. See docs/bsseval.md."""

from .engine import bss_eval, evaluate
from .levels import SilenceRule
from .result import BssEval, Evaluation, MeaninglessFilters
from .sdr import sdr_windows
from .signals import Blocks, pad_estimates

__all__ = [
    "Blocks",
    "BssEval",
    "Evaluation",
    "MeaninglessFilters",
    "SilenceRule",
    "bss_eval",
    "evaluate",
    "pad_estimates",
    "sdr_windows",
]
