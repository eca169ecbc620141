"""What a reader must know of values that a table shows: the rows' notes, each said once."""

from __future__ import annotations

from collections.abc import Sequence

from .recipe import Recipe
from .score import Score


def value_notes(rows: Sequence[Score], recipe: Recipe, metric: str | None = None) -> list[str]:
    """One line for each note under a recipe (of one metric, or of all), with metrics, tracks and methods concerned."""
    found: dict[str, list[Score]] = {}
    for row in rows:
        if row.note is not None and row.recipe == recipe.name and metric in (None, row.metric):
            found.setdefault(_kind(row.note), []).append(row)
    notes = []
    for noted in found.values():
        tracks = {row.track for row in noted}
        metrics = ", ".join(name for name in recipe.metrics if any(row.metric == name for row in noted))
        methods = ", ".join(dict.fromkeys(row.method for row in noted))
        notes.append(f"{metrics} on {len(tracks)} track(s) for {methods}: {noted[0].note}")
    return notes


def _kind(note: str) -> str:
    """The note without what differs from track to track: numbers in brackets."""
    before, bracket, after = note.partition(" (")
    return before + after.partition(")")[2] if bracket else note
