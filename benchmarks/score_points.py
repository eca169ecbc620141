"""A score with its interval and its difference from another score: what the curves and tables are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepkit.config import Frozen
from sepkit.evaluation.recipe import Recipe, split_overlapping
from sepkit.evaluation.reference_points import REFERENCE_POINTS
from sepkit.evaluation.score import Score
from sepkit.evaluation.statistics import Interval

MEAN = "mean"
ByStem = Mapping[str, Mapping[str, float]]  # stem -> song -> value


class ScorePoint(Frozen):
    """One number over tracks; `drop` is the score less the one it is held against, and None bounds are unknown."""

    method: str
    stem: str
    score: float
    low: float | None
    high: float | None
    drop: float
    drop_low: float | None
    drop_high: float | None
    tracks: int


def numbers_of(score: Interval, difference: Interval) -> dict[str, Any]:
    """The fields of a point that are numbers."""
    return {
        "score": score.estimate,
        "low": score.low,
        "high": score.high,
        "drop": difference.estimate,
        "drop_low": difference.low,
        "drop_high": difference.high,
        "tracks": score.tracks,
    }


def interval_text(value: float, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """`2.92 (1.90 to 3.90)`, without brackets where there is no interval."""
    sign = "+" if signed else ""
    bounds = "" if low is None or high is None else f" ({low:{sign}.2f} to {high:{sign}.2f})"
    return f"{value:{sign}.2f}{bounds}"


def stem_rows(view: Sequence[str], present: Mapping[str, Any]) -> list[str]:
    """The stems of a view that have scores, and their mean where there are several."""
    stems = [stem for stem in view if stem in present]
    return [*stems, MEAN] if len(stems_behind(MEAN, stems)) > 1 else stems


def stems_behind(stem: str, stems: Sequence[str]) -> list[str]:
    """What a stem's row is computed from: itself, or for the mean every one that is not the same sound twice."""
    return split_overlapping(list(stems))[0] if stem == MEAN else [stem]


def drawn_stems(points: Sequence[ScorePoint]) -> list[str]:
    """The stems worth a panel: those of methods, the mean last; what only reference points have stays in the tables."""
    asked = [point for point in points if point.method not in REFERENCE_POINTS] or points
    stems = dict.fromkeys(point.stem for point in asked)
    return [*(stem for stem in stems if stem != MEAN), *(stem for stem in stems if stem == MEAN)]


def matrix(values: ByStem, stems: Sequence[str], songs: Sequence[str]) -> NDArray[np.float64]:
    """Values as t s, NaN where there is none."""
    rows = [[values.get(stem, {}).get(song, np.nan) for stem in stems] for song in songs]
    return np.array(rows, dtype=np.float64).reshape(len(songs), len(stems))


def notes_of(rows: Sequence[Score], recipe: Recipe) -> list[str]:
    """What has no score, with the reason and how many tracks, one line for each method, stem and reason."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        if row.recipe == recipe.name and row.reason is not None and row.metric == recipe.metrics[0]:
            what = "no score" if row.failed else f"{row.stem} undefined"
            found.setdefault((row.method, what, row.reason), set()).add(row.track)
    return [f"{method}: {what} on {len(tracks)} track(s): {reason}" for (method, what, reason), tracks in found.items()]
