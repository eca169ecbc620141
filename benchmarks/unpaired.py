"""The interval of a difference between two sets of tracks that have nothing to do with each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sepkit.evaluation.recipe import Aggregate
from sepkit.evaluation.statistics import LEVEL, Interval
from sepkit.evaluation.statistics.intervals import LEAST_TRACKS, expanded_tail
from sepkit.evaluation.statistics.resampling import RESAMPLES, draws_of, over_tracks, resampled


def unpaired_interval(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    statistic: Aggregate,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """First minus second, each the mean over stems of a statistic over tracks: t s, t s -> Interval.

    Both sets are drawn with replacement by themselves. The same table twice is no difference, exactly. As in the other
    intervals there is none below 3 tracks, and for few tracks the percentiles are widened.
    """
    tables = [np.asarray(table, dtype=np.float64) for table in (first, second)]
    a, b = (float(over_tracks(table, np.ones_like(table), statistic).mean()) for table in tables)
    tracks = min(len(table) for table in tables)
    if first is second:
        return Interval(0.0, 0.0, 0.0, level, tracks)
    if tracks < LEAST_TRACKS:
        reason = f"{tracks} track(s) say nothing of the spread; {LEAST_TRACKS} are needed"
        return Interval(a - b, None, None, level, tracks, reason)
    drawn = [
        resampled(table, np.ones_like(table), statistic, draws_of(len(table), resamples, seed + index)).mean(axis=0)
        for index, table in enumerate(tables)
    ]
    outside = expanded_tail(level, tracks)
    low, high = np.nanquantile(drawn[0] - drawn[1], [outside, 1 - outside])
    return Interval(a - b, float(low), float(high), level, tracks)
