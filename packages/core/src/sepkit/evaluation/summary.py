"""Scores to tables, from rows alone: per-stem scores of a metric with their intervals, and what each method costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .metric_facts import higher_is_better
from .recipe import Aggregate, Recipe, aggregate, split_overlapping
from .reference_points import REFERENCE_POINTS
from .score import MethodFacts, Score
from .statistics import Interval, stem_intervals
from .track_scores import TrackScores
from .views import FULL_VIEW

STEM_ORDER = ("vocals", "drums", "bass", "other", "guitar", "piano")


@dataclass(frozen=True)
class Entry:
    """One method on one view: what it scored over all tracks, and what that took."""

    method: str
    view: tuple[str, ...]
    mixture: str
    facts: MethodFacts
    scores: dict[str, float]  # stem -> number over tracks; a stem without any score is not there
    mean: float | None  # over stems, without counting the same sound twice
    tracks_scored: int  # that have a value of any stem
    tracks: int
    seconds_per_second: float | None
    slowest_seconds: float | None
    peak_megabytes: float | None  # above the baseline
    over_budget: bool
    reasons: Counter[str] = field(default_factory=Counter)  # why a track has no scores -> on how many
    over_tracks: Aggregate = "mean"
    track_scores: TrackScores = field(default_factory=TrackScores)

    @property
    def is_reference(self) -> bool:
        return self.method in REFERENCE_POINTS

    @property
    def label(self) -> str:
        """The name to show, with the method's own mixture marked."""
        return self.method if self.mixture == "full" else f"{self.method} (own mixture)"

    @property
    def parts(self) -> tuple[str, ...]:
        """The scored stems that the mean is over: a partition of the mixture."""
        return tuple(split_overlapping(list(self.scores))[0])

    @property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % interval of each stem's number; `low` is None where there are too few tracks."""
        return self._intervals[0]

    @property
    def mean_interval(self) -> Interval | None:
        """The 95 % interval of `mean`, drawing whole tracks: a track's stems are not independent."""
        return self._intervals[1]

    @cached_property
    def _intervals(self) -> tuple[dict[str, Interval], Interval | None]:
        if not self.scores:
            return {}, None
        parts, mean = self._drawn(self.parts)
        others = [stem for stem in self.scores if stem not in parts]
        return {**parts, **(self._drawn(others)[0] if others else {})}, mean

    def _drawn(self, stems: Sequence[str]) -> tuple[dict[str, Interval], Interval]:
        single, mean = stem_intervals(*self.track_scores.table(stems), self.over_tracks)
        return dict(zip(stems, single, strict=True)), mean


def entries_of(rows: Sequence[Score], recipe: Recipe, metric: str) -> list[Entry]:
    """One entry for each method and view, best mean first, those without a score last."""
    groups: dict[tuple[str, tuple[str, ...]], list[Score]] = {}
    for row in rows:
        if row.recipe == recipe.name and (row.metric == metric or row.failed):
            groups.setdefault((row.method, row.view), []).append(row)
    for method, view in [key for key in groups if key[1] == ()]:
        # failed tracks have no view: they belong to the entry of the tracks that went well, where there are any
        hosts = [key for key in groups if key[0] == method and key[1]]
        for host in hosts:
            groups[host] += groups[(method, view)]
        if hosts:
            del groups[(method, view)]
    entries = [_entry(method, view, group, recipe.over_tracks) for (method, view), group in groups.items()]
    sign = 1.0 if higher_is_better(metric) else -1.0
    return sorted(entries, key=lambda entry: (entry.mean is None, -sign * (entry.mean or 0.0), entry.method))


def stem_columns(entries: Iterable[Entry]) -> list[str]:
    """The stems of a table; a stem that only reference points have (their accompaniment) is left out."""
    entries = list(entries)
    asked = [entry for entry in entries if not entry.is_reference] or entries
    found = {stem for entry in asked for stem in (entry.scores or entry.view)}
    if not found:
        found = set(FULL_VIEW) - {"accompaniment"}
    if asked is entries and "other" in found:
        found.discard("accompaniment")
    known = [stem for stem in STEM_ORDER if stem in found]
    return known + sorted(found - set(known) - {"accompaniment"}) + sorted(found & {"accompaniment"})


def undefined_notes(rows: Sequence[Score], recipe: Recipe, metric: str | None = None) -> list[str]:
    """One line for each reason why a stem has no number, with the count of tracks and the methods concerned.

    Of one metric, or of all of the recipe's; those that are undefined on the same tracks share a line, and are named
    unless they are all there are.
    """
    found: dict[tuple[str, str], dict[str, list[Score]]] = {}
    for row in rows:
        if row.recipe == recipe.name and row.reason is not None and not row.failed and metric in (None, row.metric):
            found.setdefault((row.stem, row.reason), {}).setdefault(row.metric, []).append(row)
    notes = []
    for (stem, reason), by_metric in found.items():
        alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for name in sorted(by_metric, key=_position(recipe)):
            alike.setdefault(tuple(sorted({(row.method, row.track) for row in by_metric[name]})), []).append(name)
        for concerned, names in alike.items():
            which = "" if metric is not None or set(names) == set(recipe.metrics) else f"{', '.join(names)} of "
            methods, tracks = sorted({method for method, _ in concerned}), {track for _, track in concerned}
            notes.append(f"{which}{stem} undefined on {len(tracks)} track(s) for {', '.join(methods)}: {reason}")
    return notes


def _position(recipe: Recipe) -> Callable[[str], int]:
    return lambda metric: recipe.metrics.index(metric) if metric in recipe.metrics else len(recipe.metrics)


def runnable(entry: Entry, budget_seconds: float) -> str:
    """The *Runnable?* column: whether every track stayed within the budget of compute seconds."""
    if entry.over_budget:
        return f"no (> {budget_seconds:g} s)"
    if entry.slowest_seconds is None:
        return "no (failed)"
    if entry.slowest_seconds > budget_seconds:
        return f"no ({entry.slowest_seconds:.1f} s)"
    return "yes"


def _entry(method: str, view: tuple[str, ...], rows: list[Score], over_tracks: Aggregate) -> Entry:
    scores = {}
    for stem in dict.fromkeys(row.stem for row in rows if not row.failed):
        own = [row for row in rows if row.stem == stem and row.value is not None]
        number = aggregate(
            [row.value for row in own if row.value is not None], [row.windows for row in own], over_tracks
        )
        if number is not None:
            scores[stem] = number
    parts, _ = split_overlapping(list(scores))
    costs = {row.track: row.cost for row in rows if row.cost.compute_seconds is not None}
    compute = [cost.compute_seconds for cost in costs.values() if cost.compute_seconds is not None]
    audio = sum(cost.audio_seconds or 0.0 for cost in costs.values())
    peaks = [
        cost.peak_memory_megabytes - (cost.baseline_megabytes or 0.0)
        for cost in costs.values()
        if cost.peak_memory_megabytes is not None
    ]
    return Entry(
        method=method,
        view=view,
        mixture=next((row.mixture for row in rows if not row.failed), "full"),
        facts=rows[0].facts,
        scores=scores,
        mean=float(np.mean([scores[stem] for stem in parts])) if parts else None,
        tracks_scored=len({row.track for row in rows if row.value is not None}),
        tracks=len({row.track for row in rows}),
        seconds_per_second=sum(compute) / audio if audio else None,
        slowest_seconds=max(compute, default=None),
        peak_megabytes=max(peaks, default=None),
        over_budget=any(row.cost.over_budget for row in rows),
        reasons=Counter(row.reason for row in rows if row.failed and row.reason is not None),
        over_tracks=over_tracks,
        track_scores=TrackScores.of(rows),
    )
