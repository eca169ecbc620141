"""A run as one page to look at and listen to: one HTML file that needs no network and no file beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .grid import Grid, cost_grid, score_grid
from .page.runs import ReportRun, load_run
from .page.writing import PageOptions, Progress, Written, write_page
from .recipe import Recipe
from .score import Score

__all__ = ["PageOptions", "Written", "write_report", "write_results"]


def write_report(
    folders: Sequence[str | Path],
    path: str | Path,
    options: PageOptions | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write one self-contained HTML file about the runs in `folders`, and say what had to be left out of it.

    Runs of one dataset and quality share their tables; a method that several of them have carries its run's name.
    Raises DatasetError where a folder holds no run, UnknownNameError for a track that is not there.
    """
    runs = [load_run(folder) for folder in folders]
    return write_page(Path(path), runs, options or PageOptions(), progress)


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

    The files have every metric of every recipe, the returned tables only each recipe's first. `facts` is shown as is.
    The page also has the sound and the windows' scores that the run left in OUT, as much as its size allows.
    """
    every = {(recipe.name, m): score_grid(rows, recipe, m) for recipe in recipes for m in recipe.metrics}
    costs = cost_grid(rows, recipes[0], budget_seconds)
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    sources = [f"- `{', '.join(recipe.metrics)}`: {recipe.source}" for recipe in recipes]
    parts = ["# Evaluation", "\n".join(lines), *(grid.markdown() for grid in (*every.values(), costs))]
    text = "\n\n".join([*parts, "## Definitions", "\n".join(sources)])
    (out / "summary.md").write_text(text + "\n", encoding="utf-8")
    run = ReportRun(out.resolve().name, out, rows, recipes, facts, budget_seconds=budget_seconds)
    write_page(out / "index.html", [run], options or PageOptions())
    return [*(every[(recipe.name, recipe.metrics[0])] for recipe in recipes), costs]
