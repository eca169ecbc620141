"""How loud each stimulus of a page is played: one gain for all, or every stimulus as loud as the others."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np

from .loudness import Samples, integrated_loudness

CEILING_DBFS = -1.0  # room for what a browser's resampling puts between the samples
TARGET_LUFS = -23.0  # EBU R 128
MAX_BOOST_DB = 20.0  # more would only lift the noise floor of an almost empty estimate


class Levels(NamedTuple):
    """Gains of a page's stimuli in dB, in their order, and the loudness they were matched to (None: not matched)."""

    gains_db: list[float]
    target_lufs: float | None


def common_gain(stimuli: Sequence[Samples]) -> Levels:
    """One gain for all, at most 0 dB, under which no stimulus (c t) passes -1 dBFS: differences in level remain."""
    peak_db = max(peak_dbfs(samples) for samples in stimuli)
    return Levels([min(0.0, CEILING_DBFS - peak_db)] * len(stimuli), None)


def matched_gains(stimuli: Sequence[Samples], sample_rate: int) -> Levels:
    """Gains that make every stimulus (c t) equally loud: -23 LUFS, or as near below as keeps all under -1 dBFS.

    A stimulus that would need more than 20 dB more than the loudest one gets those 20 dB only, and a silent one the
    loudest one's gain.
    """
    loudness = [integrated_loudness(samples, sample_rate) for samples in stimuli]
    loudest = max(loudness)
    if not isfinite(loudest):
        return Levels([0.0] * len(stimuli), None)
    relative_db = [min(loudest - one, MAX_BOOST_DB) if isfinite(one) else 0.0 for one in loudness]
    peaks = [peak_dbfs(samples) + gain for samples, gain in zip(stimuli, relative_db, strict=True)]
    common_db = min(TARGET_LUFS - loudest, CEILING_DBFS - max(peaks))
    return Levels([gain + common_db for gain in relative_db], loudest + common_db)


def peak_dbfs(samples: Samples) -> float:
    """The largest sample in dB of full scale, -inf for silence."""
    peak = float(np.abs(samples).max(initial=0.0))
    return 20 * float(np.log10(peak)) if peak > 0 else -float("inf")
