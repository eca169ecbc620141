"""A run as one page to look at and listen to: one HTML file that needs no network and no file beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..partial_files import write_text
from .grid import Grid, compare_grid, cost_grid, costs_known, has_rivals, score_grid
from .page.runs import ReportRun, load_run
from .page.takes import is_take, load_take
from .page.writing import PageOptions, Progress, Written, write_page
from .recipe import Recipe
from .score import Score

__all__ = ["PageOptions", "Written", "write_report", "write_results"]

BRIEF = ("method", "against", "difference", "p Holm", "tracks", "verdict")  # of the differences, on a terminal


def write_report(
    folders: Sequence[str | Path],
    path: str | Path,
    options: PageOptions | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write one self-contained HTML file about the runs in `folders`, and say what had to be left out of it.

    Runs of one dataset and quality share their tables; a method that several of them have carries its run's name.
    Folders of generated music get a list, and a page each. Raises DatasetError where a folder holds neither,
    UnknownNameError for a track that is not there.
    """
    takes = [load_take(folder) for folder in folders if is_take(folder)]
    runs = [load_run(folder) for folder in folders if not is_take(folder)]
    return write_page(Path(path), runs, options or PageOptions(), progress, takes)


def write_results(
    out: Path,
    rows: Sequence[Score],
    recipes: Sequence[Recipe],
    facts: Mapping[str, Any],
    *,
    budget_seconds: float | None = None,
    options: PageOptions | None = None,
) -> list[Grid]:
    """Write OUT/summary.md and OUT/index.html from rows, and return the tables to print, costs last.

    The files have every metric of every recipe, the returned tables only each recipe's first; where several methods
    were scored, the differences between them follow its scores. Costs are returned even where none are known, and the
    files then leave them out. `facts` is shown as is. The page also has the sound and the windows' scores that the run
    left in OUT, as much as its size allows.
    """
    every = {(recipe.name, m): _grids(rows, recipe, m) for recipe in recipes for m in recipe.metrics}
    costs = cost_grid(rows, recipes[0], budget_seconds)
    shown = [grid for grids in every.values() for grid in grids] + ([costs] if costs_known(rows) else [])
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    sources = [f"- `{', '.join(recipe.metrics)}`: {recipe.source}" for recipe in recipes]
    parts = ["# Evaluation", "\n".join(lines), *(grid.markdown() for grid in shown)]
    write_text(out / "summary.md", "\n\n".join([*parts, "## Definitions", "\n".join(sources)]) + "\n")
    run = ReportRun(out.resolve().name, out, rows, recipes, facts, budget_seconds=budget_seconds)
    write_page(out / "index.html", [run], options or PageOptions())
    printed = []
    for recipe in recipes:
        scores, *differences = every[(recipe.name, recipe.metrics[0])]
        printed += [scores, *(grid.briefly(BRIEF) for grid in differences)]
    return [*printed, costs]


def _grids(rows: Sequence[Score], recipe: Recipe, metric: str) -> list[Grid]:
    """Scores, and differences where there is something to compare."""
    found = [score_grid(rows, recipe, metric)]
    return [*found, compare_grid(rows, recipe, metric)] if has_rivals(rows, recipe, metric) else found
