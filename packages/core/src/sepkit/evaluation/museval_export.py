"""The windows of a run under a second name, where museval's own tools look for them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import OptionError
from ..partial_files import replacing
from .out_folder import file_name
from .recipe import Recipe
from .score import Score

BSS_ENGINES = ("bsseval", "museval")


def exported_recipe(recipes: Sequence[Recipe]) -> Recipe:
    """The first recipe whose windows museval's files can hold; raises OptionError where none is."""
    for recipe in recipes:
        if recipe.engine in BSS_ENGINES and (recipe.window_seconds, recipe.hop_seconds) == (1.0, 1.0):
            return recipe
    names = ", ".join(recipe.name for recipe in recipes)
    raise OptionError(f"--json wants windows of BSS Eval, which {names} does not make: add --recipe musdb18.")


def export_museval(
    out: Path,
    target: Path,
    recipe: Recipe,
    rows: Sequence[Score],
    methods: Sequence[str],
    tracks: Sequence[str],
    split: str | None,
) -> list[Path]:
    """Copy the windows of these methods and tracks to TARGET/<method>/<split>/<track>.json; those that were written.

    Only of what has scores under the recipe in `rows` now. `split` is test by default, because museval aggregates
    folders of that name only.
    """
    scored = {(row.method, row.track) for row in rows if row.recipe == recipe.name and not row.failed}
    written = []
    for method in methods:
        for track in tracks:
            source = out / "windows" / file_name(recipe.name) / file_name(method) / f"{file_name(track)}.json"
            if (method, track) in scored and source.exists():
                path = target / file_name(method) / (split or "test") / source.name
                with replacing(path, overwrite=True) as partial:
                    shutil.copyfile(source, partial)
                written.append(path)
    return written
