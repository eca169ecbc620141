"""The result of a test: mean scores with intervals over raters, ranks that refuse to order within noise, and power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ...config import Frozen
from ..statistics import LEVEL, Ranking, bootstrap_interval, rank
from .manifest import Manifest, Role
from .power import POWER, raters_needed
from .presets import PRESETS
from .screening import Exclusion, Scores, Screened

ORDER: tuple[Role, ...] = ("reference", "method", "mid_anchor", "low_anchor", "interference_anchor")


class Condition(Frozen):
    """One method, the hidden reference or an anchor: its mean over the raters' own means.

    `low` and `high` are the t interval, `bootstrap_low` and `bootstrap_high` that of drawing whole raters; None for too
    few raters. `rank` is a range where noise may decide the order; None for what is no method.
    """

    label: str
    role: Role
    mean: float
    low: float | None
    high: float | None
    bootstrap_low: float | None
    bootstrap_high: float | None
    spread: float | None  # standard deviation over raters
    excerpts: dict[str, float]  # page id -> mean over raters
    rank: tuple[int, int] | None


class Pair(Frozen):
    """Two methods, rated by the same listeners: first minus second, and what the corrected test says of the first."""

    first: str
    second: str
    difference: float
    corrected_p: float
    verdict: str


class PowerNote(Frozen):
    """How many raters would tell methods apart that differ by `difference`, at the spread that was observed."""

    difference: float
    power: float
    level: float
    pairs: int
    spread: float  # root mean square over the pairs of methods
    raters: int
    largest_spread: float
    raters_for_largest: int


class Outcome(Frozen):
    """All that a test found out; best method first, after the hidden reference."""

    test: str
    preset: str
    stem: str
    score: str
    lowest: int
    highest: int
    level: float
    raters_kept: int
    raters_excluded: int
    excluded: tuple[Exclusion, ...]
    excerpts: dict[str, str]  # page id -> track and where it begins
    conditions: tuple[Condition, ...]
    pairs: tuple[Pair, ...]
    power: PowerNote | None
    notes: tuple[str, ...]


def outcome_of(screened: Screened, manifest: Manifest, notes: Sequence[str] = ()) -> Outcome:
    """The outcome for the raters who count; without any, it has no conditions and says so in its notes.

    Intervals and ranks are about other raters of the same excerpts, not about other songs.
    """
    preset = PRESETS[manifest.preset]
    raters = sorted(screened.kept)
    tables = {label: _table(screened.kept, raters, cells) for label, (_, cells) in _cells(manifest).items()}
    means = {label: table.mean(axis=1) for label, table in tables.items()} if raters else {}
    methods = {label: values for label, values in means.items() if _cells(manifest)[label][0] == "method"}
    ranking = rank(methods) if methods and len(raters) > 1 else None
    found = (
        [_condition(label, role, tables[label], ranking, manifest) for label, (role, _) in _cells(manifest).items()]
        if raters
        else []
    )
    found.sort(key=lambda one: (min(ORDER.index(one.role), 2), -one.mean, one.label))
    return Outcome(
        test=manifest.name,
        preset=preset.name,
        stem=manifest.stem,
        score=preset.score,
        lowest=preset.lowest,
        highest=preset.highest,
        level=LEVEL,
        raters_kept=len(raters),
        raters_excluded=len(screened.excluded),
        excluded=screened.excluded,
        excerpts={page.id: f"{page.track}, {page.start_seconds:g} s" for page in manifest.pages},
        conditions=tuple(found),
        pairs=_pairs(ranking),
        power=power_note(methods, preset.separation) if len(raters) > 1 else None,
        notes=(*notes, *_few(len(raters))),
    )


def _few(raters: int) -> list[str]:
    if raters > 1:
        return []
    return ["no rater is left, so there is no score" if raters == 0 else "one rater has no interval and orders nothing"]


def power_note(methods: Mapping[str, NDArray[np.float64]], difference: float) -> PowerNote | None:
    """How many raters would have been needed, from the raters' means of each method; None for a single method."""
    spreads = [float(np.std(methods[a] - methods[b], ddof=1)) for a, b in combinations(sorted(methods), 2)]
    if not spreads:
        return None
    typical, largest = float(np.sqrt(np.mean(np.square(spreads)))), max(spreads)
    return PowerNote(
        difference=difference,
        power=POWER,
        level=1 - LEVEL,
        pairs=len(spreads),
        spread=typical,
        raters=raters_needed(typical, difference, len(spreads), level=1 - LEVEL),
        largest_spread=largest,
        raters_for_largest=raters_needed(largest, difference, len(spreads), level=1 - LEVEL),
    )


def t_interval(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float] | None:
    """Student's interval of the mean of independent values; None for fewer than 2."""
    from scipy.stats import t

    if values.size < 2:
        return None
    half = float(t.ppf(0.5 + level / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return float(values.mean()) - half, float(values.mean()) + half


def _cells(manifest: Manifest) -> dict[str, tuple[Role, list[tuple[str, str]]]]:
    """For each condition its role and where it is on the pages, in the pages' order."""
    found: dict[str, tuple[Role, list[tuple[str, str]]]] = {}
    for page in manifest.pages:
        for stimulus in page.stimuli:
            found.setdefault(stimulus.label, (stimulus.role, []))[1].append((page.id, stimulus.key))
    return found


def _table(kept: Mapping[str, Scores], raters: Sequence[str], cells: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Scores of one condition: raters by pages."""
    return np.array([[kept[rater][cell] for cell in cells] for rater in raters], np.float64)


def _condition(
    label: str, role: Role, table: NDArray[np.float64], ranking: Ranking | None, manifest: Manifest
) -> Condition:
    own = table.mean(axis=1)
    low, high = t_interval(own) or (None, None)
    drawn = bootstrap_interval(own)
    place = ranking.places[label] if ranking is not None and role == "method" else None
    return Condition(
        label=label,
        role=role,
        mean=float(own.mean()),
        low=low,
        high=high,
        bootstrap_low=drawn.low,
        bootstrap_high=drawn.high,
        spread=float(own.std(ddof=1)) if own.size > 1 else None,
        excerpts={page.id: float(mean) for page, mean in zip(manifest.pages, table.mean(axis=0), strict=True)},
        rank=None if place is None else (place.first, place.last),
    )


def _pairs(ranking: Ranking | None) -> tuple[Pair, ...]:
    return tuple(
        Pair(
            first=one.first,
            second=one.second,
            difference=one.difference,
            corrected_p=one.corrected_p,
            verdict=one.verdict,
        )
        for one in (ranking.comparisons if ranking is not None else ())
    )
