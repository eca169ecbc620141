"""Ranks that refuse to order methods within noise: a method is ahead of another only where a corrected test says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Any, Literal

import numpy as np

from ...errors import OptionError
from ..recipe import Aggregate
from .intervals import LEVEL, checked_level, checked_statistic
from .paired import FLIPS, holm, sign_flip_p, smallest_p, wilcoxon_p
from .resampling import Array, over_tracks

Verdict = Literal["better", "worse", "within noise", "underpowered", "no difference", "not comparable"]


@dataclass(frozen=True)
class Comparison:
    """Two methods on the tracks that both have scores of; `verdict` is about the first.

    `difference` is first minus second, in the metric's unit. `corrected_p` is the deciding test's p after Holm's
    correction over all pairs of the ranking.
    """

    first: str
    second: str
    difference: float
    tracks: int
    differing: int
    wilcoxon_p: float
    sign_flip_p: float
    corrected_p: float
    verdict: Verdict
    explanation: str

    def swapped(self) -> Comparison:
        """The same seen from the second method."""
        turned: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
        verdict = turned.get(self.verdict, self.verdict)
        numbers = (self.tracks, self.differing, self.wilcoxon_p, self.sign_flip_p, self.corrected_p)
        why = verdict if self.verdict in turned else self.explanation
        return Comparison(self.second, self.first, -self.difference, *numbers, verdict, why)


@dataclass(frozen=True)
class Place:
    """The ranks that a method may have: 1 + the number that are better, up to all but those that are worse."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}–{self.last}"


@dataclass(frozen=True)
class Ranking:
    """Methods in the order of their numbers, and the places that the tests allow them."""

    methods: tuple[str, ...]
    places: dict[str, Place]
    comparisons: tuple[Comparison, ...]  # every pair once
    test: str
    level: float

    def compare(self, first: str, second: str) -> Comparison:
        """The comparison of two methods, seen from the first."""
        for comparison in self.comparisons:
            if (comparison.first, comparison.second) == (first, second):
                return comparison
            if (comparison.first, comparison.second) == (second, first):
                return comparison.swapped()
        raise OptionError(f"{first!r} and {second!r} are not two methods of this ranking: {', '.join(self.methods)}.")

    def notes(self) -> list[str]:
        """How to read the places, and what kept methods from being told apart."""
        if not self.comparisons:
            return []
        counts = sorted({comparison.tracks for comparison in self.comparisons})
        tracks = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        pairs = len(self.comparisons)
        lines = [
            f"rank: 1 + the number of methods that are better, by {self.test} on the {tracks} track(s) that a pair has "
            f"in common, corrected by Holm for {pairs} pair(s), at {100 * self.level:g} %; a range where noise decides"
        ]
        weak = [comparison for comparison in self.comparisons if comparison.verdict == "underpowered"]
        for explanation in dict.fromkeys(comparison.explanation for comparison in weak):
            count = sum(comparison.explanation == explanation for comparison in weak)
            lines.append(f"{explanation} ({count} of {pairs} pairs)")
        return lines


def rank(
    scores: Mapping[str, Any],
    statistic: Aggregate = "mean",
    *,
    weights: Mapping[str, Any] | None = None,
    higher_is_better: bool = True,
    level: float = 1 - LEVEL,
    seed: int = 0,
) -> Ranking:
    """Rank methods by paired tests over tracks: method -> t or t s, the same tracks (and stems) in the same order.

    NaN is a track or stem without a score: a pair is compared on what both have. The differences of a track's stems
    are averaged first, because they are not independent. Rule: a method is better than another where their numbers on
    common tracks say so and the test's p, corrected by Holm over all pairs, is at most `level`; its rank is 1 + the
    number of methods better than it. The test is sign flips of the statistic itself for `mean` and `window_mean`
    (whole tracks, times `weights`), Wilcoxon's signed ranks for `median`.
    A pair whose tracks could not reach the level however they fell is underpowered, which is not equal.
    Raises OptionError where shapes differ, for an unknown statistic, for `window_mean` without weights and for a level
    outside 0 to 1; `level` is the chance of a false verdict (0.05), not that of an interval.
    """
    checked_statistic(statistic, weighted=weights is not None)
    checked_level(level)
    tables = {name: _table(values) for name, values in sorted(scores.items())}
    weighted = {
        name: _table(weights[name]) if weights is not None else np.ones_like(table) for name, table in tables.items()
    }
    if len({table.shape for table in (*tables.values(), *weighted.values())}) > 1:
        shapes = ", ".join(f"{name} {table.shape}" for name, table in tables.items())
        raise OptionError(f"Scores have different shapes: {shapes}; give all methods the same tracks, NaN for none.")
    numbers = {name: _number(table, weighted[name], statistic) for name, table in tables.items()}
    sign = 1.0 if higher_is_better else -1.0
    methods = sorted(tables, key=lambda name: (np.isnan(numbers[name]), -sign * np.nan_to_num(numbers[name]), name))
    pairs = list(combinations(methods, 2))
    comparisons = _compare(pairs, tables, weighted, statistic, sign, level, seed) if pairs else ()
    test = "Wilcoxon's signed ranks" if statistic == "median" else "a sign-flip test"
    return Ranking(tuple(methods), _places(methods, comparisons), comparisons, test, level)


def _compare(
    pairs: list[tuple[str, str]],
    tables: Mapping[str, Array],
    weights: Mapping[str, Array],
    statistic: Aggregate,
    sign: float,
    level: float,
    seed: int,
) -> tuple[Comparison, ...]:
    paired = [Pair.of(tables[a], tables[b], (weights[a] + weights[b]) / 2, statistic) for a, b in pairs]
    known = [index for index, pair in enumerate(paired) if pair.tracks]
    differing = [int(np.count_nonzero(np.nan_to_num(pair.mean_over_stems))) for pair in paired]
    flips = max(FLIPS, ceil(4 * len(known) / level))  # enough for the smallest p to survive the correction
    by_flips, by_ranks = np.ones(len(pairs)), np.ones(len(pairs))
    corrected, lowest = np.ones(len(pairs)), np.ones(len(pairs))
    if known:
        by_flips[known] = sign_flip_p(np.stack([paired[i].parts for i in known], axis=1), flips, seed)
        by_ranks[known] = wilcoxon_p(np.stack([paired[i].mean_over_stems for i in known], axis=1))
        corrected[known] = holm((by_ranks if statistic == "median" else by_flips)[known])
        # Holm's correction grows with every p, so this bounds what each pair could reach had all fallen one way
        lowest[known] = holm([smallest_p(differing[i]) for i in known])
    found = []
    for i, ((first, second), pair) in enumerate(zip(pairs, paired, strict=True)):
        verdict = _verdict(pair, sign, corrected[i], lowest[i], level)
        why = _explanation(verdict, pair.tracks, differing[i], len(known), level)
        p = (float(by_ranks[i]), float(by_flips[i]), float(corrected[i]))
        found.append(Comparison(first, second, pair.difference, pair.tracks, differing[i], *p, verdict, why))
    return tuple(found)


@dataclass(frozen=True)
class Pair:
    """The differences of two methods on what both have; NaN for tracks that they have not in common.

    `parts` (t) sum to the difference of their numbers where that is a mean; `mean_over_stems` (t) is what is ranked.
    """

    difference: float
    tracks: int
    parts: Array
    mean_over_stems: Array
    agrees: bool  # the median difference and the difference of medians have one sign

    @staticmethod
    def of(first: Array, second: Array, weights: Array, statistic: Aggregate) -> Pair:
        d = first - second
        present = ~np.isnan(d)
        rows, columns = present.any(axis=1), present.any(axis=0)
        if not rows.any():
            nothing = np.full(len(d), np.nan)
            return Pair(np.nan, 0, nothing, nothing, False)
        factors = np.where(present, weights if statistic == "window_mean" else 1.0, 0.0)
        shares = factors / np.where(columns, factors.sum(axis=0), 1.0) / columns.sum()
        parts = (shares * np.where(present, d, 0.0)).sum(axis=1)
        mean = np.where(present, d, 0.0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
        if statistic == "median":
            a, b = (np.where(present, x, np.nan)[:, columns] for x in (first, second))
            difference = float((over_tracks(a, weights, statistic) - over_tracks(b, weights, statistic)).mean())
        else:
            difference = float(parts.sum())
        tilt = difference if statistic != "median" else _signed_ranks(mean[rows])
        mean = np.where(rows, mean, np.nan)
        return Pair(difference, int(rows.sum()), np.where(rows, parts, np.nan), mean, tilt * difference > 0)


def _signed_ranks(differences: Array) -> float:
    from scipy.stats import rankdata

    return float((np.sign(differences) * rankdata(np.abs(differences))).sum())


def _verdict(pair: Pair, sign: float, corrected_p: float, lowest_p: float, level: float) -> Verdict:
    if not pair.tracks:
        return "not comparable"
    if not np.nan_to_num(pair.mean_over_stems).any():
        return "no difference"
    if lowest_p > level:
        return "underpowered"
    if corrected_p > level or not pair.agrees:
        return "within noise"
    return "better" if sign * pair.difference > 0 else "worse"


def _explanation(verdict: Verdict, tracks: int, differing: int, pairs: int, level: float) -> str:
    if verdict == "not comparable":
        return "no track has a score of both"
    if verdict == "no difference":
        return f"the same on all {tracks} track(s)"
    if verdict == "underpowered":
        every = f"{tracks} track{'s' * (tracks != 1)}"
        which = every if differing == tracks else f"{differing} differing of {every}"
        among = f" among {pairs} pairs" if pairs > 1 else ""
        return f"underpowered: {which} cannot show a difference at {100 * level:g} %{among}"
    return verdict


def _places(methods: list[str], comparisons: tuple[Comparison, ...]) -> dict[str, Place]:
    above = dict.fromkeys(methods, 0)
    below = dict.fromkeys(methods, 0)
    for comparison in comparisons:
        better, worse = comparison.first, comparison.second
        if comparison.verdict == "worse":
            better, worse = worse, better
        if comparison.verdict in ("better", "worse"):
            above[worse] += 1
            below[better] += 1
    return {name: Place(1 + above[name], len(methods) - below[name]) for name in methods}


def _number(table: Array, weights: Array, statistic: Aggregate) -> float:
    numbers = over_tracks(table, weights, statistic)
    kept = ~np.isnan(numbers)
    return float(numbers[kept].mean()) if kept.any() else float("nan")


def _table(values: Any) -> Array:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim not in (1, 2) or np.isinf(table).any():
        raise OptionError(f"Scores of a method are t or t s, finite or NaN; given the shape {table.shape}.")
    return table if table.ndim == 2 else table[:, None]
