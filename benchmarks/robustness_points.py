"""Scores of degraded songs to points of curves: a score with its interval for each method, stem and severity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sepkit.evaluation.recipe import Recipe
from sepkit.evaluation.score import Score
from sepkit.evaluation.statistics import difference_interval, mean_interval

from .degradations import DEGRADATIONS
from .degraded_songs import Truth, condition_of
from .score_points import ByStem, ScorePoint, matrix, numbers_of, stem_rows, stems_behind


class Point(ScorePoint):
    """One point of a curve: `severity` None is the clean mixture, the start of every curve.

    `drop` is from the score of the same songs clean, tracks paired. `songs` says which stems the mixture holds.
    """

    songs: str
    degradation: str
    truth: Truth
    severity: float | None


def points_of(rows: Sequence[Score], recipe: Recipe, songs: str, degradations: Sequence[str]) -> list[Point]:
    """Every point of the runs on one set of songs, curves in the order of methods, degradations, truths and stems."""
    points: list[Point] = []
    for (method, view), conditions in _by_condition(rows, recipe).items():
        clean = conditions.get((None, None, "original"), {})
        for name in degradations:
            kinds: list[Truth] = ["original", "matched"]
            for truth in kinds:
                severities = [s for s in DEGRADATIONS[name].severities if (name, s, truth) in conditions]
                steps = [(None, clean), *((s, conditions[(name, s, truth)]) for s in severities)]
                for stem in stem_rows(view, clean) if severities else []:
                    for severity, values in steps:
                        numbers = _numbers(values, clean, stem, recipe)
                        if numbers is not None:
                            points.append(
                                Point(
                                    method=method,
                                    stem=stem,
                                    songs=songs,
                                    degradation=name,
                                    truth=truth,
                                    severity=severity,
                                    **numbers,
                                )
                            )
    return points


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


def _numbers(values: ByStem, clean: ByStem, stem: str, recipe: Recipe) -> dict[str, Any] | None:
    """The score and its difference from the clean one, over the songs that have both."""
    stems = stems_behind(stem, list(clean))
    songs = sorted({song for name in stems for song in values.get(name, {}) if song in clean.get(name, {})})
    if not songs:
        return None
    here, there = matrix(values, stems, songs), matrix(clean, stems, songs)
    ones = np.ones_like(here)
    return numbers_of(
        mean_interval(here, ones, recipe.over_tracks), difference_interval(here, there, ones, recipe.over_tracks)
    )
