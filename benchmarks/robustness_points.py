"""Scores of degraded songs to points of curves: a score with its interval for each method, stem and severity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepkit.config import Frozen
from sepkit.evaluation.recipe import Recipe, split_overlapping
from sepkit.evaluation.score import Score
from sepkit.evaluation.statistics import Interval, difference_interval, mean_interval

from .degradations import DEGRADATIONS
from .degraded_songs import Condition, Truth, condition_of

MEAN = "mean"
ByStem = Mapping[str, Mapping[str, float]]  # stem -> song -> value


class Point(Frozen):
    """One point of a curve: `severity` None is the clean mixture, the start of every curve.

    `drop` is the score less that of the same songs clean, tracks paired. `songs` says which stems the mixture holds.
    """

    method: str
    songs: str
    stem: str
    degradation: str
    truth: Truth
    severity: float | None
    score: float
    low: float | None
    high: float | None
    drop: float
    drop_low: float | None
    drop_high: float | None
    tracks: int


def points_of(rows: Sequence[Score], recipe: Recipe, songs: str, degradations: Sequence[str]) -> list[Point]:
    """Every point of the runs on one set of songs, curves in the order of methods, degradations, truths and stems."""
    points: list[Point] = []
    for (method, view), conditions in _by_condition(rows, recipe).items():
        clean = conditions.get((None, None, "original"), {})
        for name in degradations:
            kinds: list[Truth] = ["original", "matched"]
            for truth in kinds:
                severities = [s for s in DEGRADATIONS[name].severities if (name, s, truth) in conditions]
                for stem in _stems(view, clean) if severities else []:
                    steps = [(None, clean), *((s, conditions[(name, s, truth)]) for s in severities)]
                    for severity, values in steps:
                        found = _point(values, clean, stem, recipe)
                        if found is not None:
                            common = Condition("", name, severity, truth)
                            points.append(_as_point(method, songs, stem, common, *found))
    return points


def notes_of(rows: Sequence[Score], recipe: Recipe) -> list[str]:
    """What has no score, with the reason and how many tracks, one line for each method, stem and reason."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        if row.recipe == recipe.name and row.reason is not None and row.metric == recipe.metrics[0]:
            what = "no score" if row.failed else f"{row.stem} undefined"
            found.setdefault((row.method, what, row.reason), set()).add(row.track)
    return [f"{method}: {what} on {len(tracks)} track(s): {reason}" for (method, what, reason), tracks in found.items()]


def _by_condition(rows: Sequence[Score], recipe: Recipe) -> dict[tuple[str, tuple[str, ...]], dict[Any, Any]]:
    """(method, view) -> (degradation, severity, truth) -> stem -> song -> value."""
    grouped: dict[tuple[str, tuple[str, ...]], dict[Any, Any]] = {}
    for row in rows:
        if row.recipe == recipe.name and row.metric == recipe.metrics[0] and row.value is not None:
            condition = condition_of(row.track)
            key = condition.degradation, condition.severity, condition.truth
            stems = grouped.setdefault((row.method, row.view), {}).setdefault(key, {})
            stems.setdefault(row.stem, {})[condition.song] = row.value
    return grouped


def _stems(view: Sequence[str], clean: ByStem) -> Iterator[str]:
    stems = [stem for stem in view if stem in clean]
    yield from stems
    if len(split_overlapping(stems)[0]) > 1:
        yield MEAN


def _point(values: ByStem, clean: ByStem, stem: str, recipe: Recipe) -> tuple[Interval, Interval] | None:
    """The score and its difference from the clean one, over the songs that have both."""
    stems = split_overlapping(list(clean))[0] if stem == MEAN else [stem]
    songs = sorted({song for name in stems for song in values.get(name, {}) if song in clean.get(name, {})})
    if not songs:
        return None
    here, there = _matrix(values, stems, songs), _matrix(clean, stems, songs)
    ones = np.ones_like(here)
    return (
        mean_interval(here, ones, recipe.over_tracks),
        difference_interval(here, there, ones, recipe.over_tracks),
    )


def _matrix(values: ByStem, stems: Sequence[str], songs: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[values.get(stem, {}).get(song, np.nan) for stem in stems] for song in songs])


def _as_point(method: str, songs: str, stem: str, condition: Condition, score: Interval, difference: Interval) -> Point:
    return Point(
        method=method,
        songs=songs,
        stem=stem,
        degradation=str(condition.degradation),
        truth=condition.truth,
        severity=condition.severity,
        score=score.estimate,
        low=score.low,
        high=score.high,
        drop=difference.estimate,
        drop_low=difference.low,
        drop_high=difference.high,
        tracks=score.tracks,
    )
