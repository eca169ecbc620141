"""What a folder of scores already answers, so that a run only does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import OptionError
from .methods import Method
from .recipe import Recipe
from .reference_points import REFERENCE_POINTS
from .rows import Label
from .score import Score
from .views import FULL_VIEW


def check_same_label(rows: Sequence[Score], label: Label, folder: Path) -> None:
    """Raise OptionError where the folder has scores of another dataset, seed or quality: they make no one table."""
    for row in rows:
        for name, wanted in label.model_dump().items():
            found = getattr(row, name)
            if found != wanted:
                raise OptionError(
                    f"{folder} holds scores with {name} {found!r} and this run asks for {wanted!r}: "
                    "give another folder (--out), or --fresh to discard them."
                )


def views_in_use(rows: Sequence[Score]) -> list[tuple[str, ...]]:
    """The views that reference points are scored on: the full one, and each of a separator that it leaves open."""
    used = {row.view: row.mixture for row in rows if row.view and row.method not in REFERENCE_POINTS}
    others = [view for view, mixture in used.items() if mixture == "own" or not set(view) <= set(FULL_VIEW)]
    return [FULL_VIEW, *sorted(others)]


def is_finished(
    rows: Sequence[Score],
    method: Method,
    track: str,
    recipes: Sequence[Recipe],
    *,
    view: tuple[str, ...] | None,
    budget_seconds: float | None,
) -> bool:
    """Whether `rows` hold every score of this separation, made by this version with these weights.

    `view` None accepts any. A failure is tried again, except one for a budget that was no smaller than this one.
    """
    wanted = (method.facts.version, method.facts.weights_sha256)
    own = [
        row
        for row in rows
        if (row.method, row.track) == (method.name, track)
        and (row.facts.version, row.facts.weights_sha256) == wanted
        and (view is None or row.failed or row.view == view)
    ]
    return all(
        _has_all([row for row in own if row.recipe == recipe.name], recipe, budget_seconds) for recipe in recipes
    )


def _has_all(rows: Sequence[Score], recipe: Recipe, budget_seconds: float | None) -> bool:
    if not rows:
        return False
    first = rows[0]
    if first.failed:
        limit = first.cost.budget_seconds
        return first.cost.over_budget and None not in (budget_seconds, limit) and budget_seconds <= limit  # type: ignore[operator]
    every = {(stem, metric) for stem in first.view for metric in recipe.metrics}
    return {(row.stem, row.metric) for row in rows} == every
