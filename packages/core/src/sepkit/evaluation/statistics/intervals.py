"""Bootstrap intervals of a statistic over tracks, and of the difference of two methods on the same tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import OptionError, nearest
from ..recipe import Aggregate
from .resampling import RESAMPLES, Array, draws_of, over_tracks, resampled

LEVEL = 0.95
LEAST_TRACKS = 3
STATISTICS = ("mean", "median", "window_mean")


@dataclass(frozen=True)
class Interval:
    """A number over tracks with the range that other tracks of the same kind would plausibly have given.

    `low` and `high` are None where there is no interval, with the `reason`.
    """

    estimate: float
    low: float | None
    high: float | None
    level: float
    tracks: int
    reason: str | None = None


def bootstrap_interval(
    values: Any,
    statistic: Aggregate = "mean",
    *,
    weights: Any = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The expanded percentile interval of a statistic of independent track scores: t -> Interval.

    Percentiles of the bootstrap are too narrow for few tracks; they are taken at the levels that give normal data the
    t interval (Hesterberg 2014, arXiv 1411.5279, section 5.3.2). BCa corrects skewness but not that, and covers less at
    these sizes. Fewer than 3 tracks have no interval; with 3 to 6 it ends at the lowest and the highest resample, which
    for 3 is the range of the tracks. Equal values give an interval of no width: nothing in them varies.
    `window_mean` weights the tracks by `weights`. The order of the tracks does not matter; a seed gives one result.
    Raises OptionError for no values, NaN or infinity, an unknown statistic or a level outside 0 to 1,
    `window_mean` without weights, or no resamples.
    """
    x, w = checked_columns(values, weights, statistic)
    order = np.lexsort((w, x))
    return mean_interval(x[order, None], w[order, None], statistic, level=level, resamples=resamples, seed=seed)


def mean_interval(
    values: Array,
    weights: Array,
    statistic: Aggregate,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of the mean over stems of a statistic over tracks, drawing whole tracks: t s -> Interval.

    NaN marks a stem without a score; a stem that has none on any track is left out. The order of tracks chooses the
    draws, so callers sort them by name.
    """
    kept = ~np.isnan(values).all(axis=0)
    tracks = int((~np.isnan(values)).any(axis=1).sum())
    if not kept.any():
        raise OptionError("There is no score to take an interval of; give at least one track that has one.")
    estimate = float(over_tracks(values[:, kept], weights[:, kept], statistic).mean())
    if (reason := _too_few(tracks)) is not None:
        return Interval(estimate, None, None, level, tracks, reason)
    draws = draws_of(len(values), resamples, seed)
    drawn = resampled(values[:, kept], weights[:, kept], statistic, draws).mean(axis=0)
    return _interval(estimate, drawn, level, tracks)


def stem_intervals(values: Array, weights: Array, statistic: Aggregate) -> tuple[list[Interval], Interval]:
    """The interval of each stem on its own tracks, and of their mean: t s -> s intervals, one.

    The same as `bootstrap_interval` and `mean_interval` give for tracks in this order, drawn once where no score is
    missing. Every stem needs a score.
    """
    tracks = len(values)
    if np.isnan(values).any() or tracks < LEAST_TRACKS:
        kept = ~np.isnan(values)
        columns = range(values.shape[1])
        parts = [(values[kept[:, s], s, None], weights[kept[:, s], s, None]) for s in columns]
        return [mean_interval(x, w, statistic) for x, w in parts], mean_interval(values, weights, statistic)
    drawn = resampled(values, weights, statistic, draws_of(tracks, RESAMPLES, 0))
    numbers = over_tracks(values, weights, statistic)
    single = [_interval(float(x), draw, LEVEL, tracks) for x, draw in zip(numbers, drawn, strict=True)]
    return single, _interval(float(numbers.mean()), drawn.mean(axis=0), LEVEL, tracks)


def difference_interval(
    first: Array,
    second: Array,
    weights: Array,
    statistic: Aggregate,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of first minus second, each the mean over stems of a statistic over tracks: t s, t s -> Interval.

    Paired: a resample holds the same tracks for both, and only tracks and stems that both have a score of.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    rows, columns = both.any(axis=1), both.any(axis=0)
    tracks = int(rows.sum())
    if not tracks:
        raise OptionError("The two have no score in common; compare methods that were run on the same tracks.")
    pair = [np.where(both, x, np.nan)[rows][:, columns] for x in (first, second)]
    w = weights[rows][:, columns]
    a, b = (over_tracks(x, w, statistic).mean() for x in pair)
    if (reason := _too_few(tracks)) is not None:
        return Interval(float(a - b), None, None, level, tracks, reason)
    draws = draws_of(tracks, resamples, seed)
    drawn = resampled(pair[0], w, statistic, draws) - resampled(pair[1], w, statistic, draws)
    return _interval(float(a - b), drawn.mean(axis=0), level, tracks)


def checked_statistic(statistic: str, *, weighted: bool) -> None:
    """Raise OptionError for an unknown statistic, and for a weighted one without weights."""
    if statistic not in STATISTICS:
        raise OptionError(f"No statistic over tracks is named {statistic!r}: {nearest(statistic, STATISTICS)}")
    if statistic == "window_mean" and not weighted:
        raise OptionError("window_mean wants `weights`, each track's number of windows; give them, or take 'mean'.")


def checked_level(level: float) -> None:
    """Raise OptionError for a level that is not between 0 and 1."""
    if not 0 < level < 1:
        raise OptionError(f"The level is {level}; give one between 0 and 1, such as {LEVEL} for an interval.")


def checked_columns(values: Any, weights: Any, statistic: str) -> tuple[Array, Array]:
    """Track scores and their weights as arrays: t, t; raises OptionError for what no statistic can be taken of."""
    checked_statistic(statistic, weighted=weights is not None)
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.ndim != 1 or not x.size or w.shape != x.shape:
        raise OptionError(
            f"Track scores have the shape {x.shape} and their weights {w.shape}; give one of each for every track, "
            "and at least one track."
        )
    if not np.isfinite(x).all() or not (np.isfinite(w) & (w > 0)).all():
        raise OptionError(
            "Track scores hold NaN or infinity, or weights are not above zero; leave tracks without a score out "
            "(of both methods, in a comparison) and say how many there were."
        )
    return x, w


def _interval(estimate: float, drawn: Array, level: float, tracks: int) -> Interval:
    finite = drawn[np.isfinite(drawn)]
    outside = expanded_tail(level, tracks)
    low, high = np.quantile(finite, [outside, 1 - outside])
    return Interval(estimate, float(low), float(high), level, tracks)


def expanded_tail(level: float, tracks: int) -> float:
    """The share of resamples to leave out on each side, less than (1 - level) / 2 for few tracks (Hesterberg 2014)."""
    from scipy.special import ndtr, stdtrit

    checked_level(level)
    return float(ndtr(np.sqrt(tracks / (tracks - 1)) * stdtrit(tracks - 1, (1 - level) / 2)))


def _too_few(tracks: int) -> str | None:
    return None if tracks >= LEAST_TRACKS else f"{tracks} track(s) say nothing of the spread; {LEAST_TRACKS} are needed"
