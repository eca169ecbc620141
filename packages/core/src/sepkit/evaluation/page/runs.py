"""Runs to sections: what may stand in one table, and what a method is called that several runs have."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import DatasetError
from ..grid import costs_known
from ..out_folder import stems_folder
from ..recipe import RECIPES, Recipe
from ..reference_points import REFERENCE_POINTS
from ..score import Score, read_scores

NUMBERS_AGREE = 1e-6  # dB: the same reference point, scored twice


@dataclass(frozen=True)
class ReportRun:
    """One run's folder, its rows, and what is said of it above the tables."""

    name: str
    folder: Path
    rows: Sequence[Score]
    recipes: Sequence[Recipe]
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    budget_seconds: float | None = None


@dataclass(frozen=True)
class SectionRow:
    """A row under the name that it has on the page, with the run whose folder holds its sound."""

    row: Score
    run: ReportRun
    method: str  # as in the run, and so in its folder names

    @property
    def folder(self) -> tuple[str, str]:
        """The run's name, and the method's folder in its stems/ and windows/."""
        return self.run.name, stems_folder(self.method, self.row.view, self.method in REFERENCE_POINTS)


@dataclass(frozen=True)
class Section:
    """Rows of one dataset and quality: what may share a table."""

    title: str
    rows: Sequence[SectionRow]
    recipes: Sequence[Recipe]
    runs: Sequence[ReportRun]
    notes: Sequence[str]

    @property
    def scores(self) -> list[Score]:
        """The rows with the names of the page."""
        return [row.row for row in self.rows]

    @property
    def tracks(self) -> list[str]:
        """Names as people sort them: capitals count for nothing, and 2 comes before 10."""
        return sorted({row.row.track for row in self.rows}, key=natural_order)


def load_run(folder: str | Path) -> ReportRun:
    """Read a run's scores.jsonl and, where it is there, run.json; raises DatasetError where the folder holds no run."""
    folder = Path(folder)
    path = folder / "scores.jsonl"
    if not path.is_file():
        raise DatasetError(
            f"{folder} holds no run: there is no scores.jsonl in it. Give the --out folder of benchmarks.run or "
            "sepkit evaluate."
        )
    rows = read_scores(path)
    if not rows:
        raise DatasetError(f"{path} has no score: let the run finish at least one track.")
    content = _run_file(folder / "run.json")
    recipes, notes = _recipes(rows, content)
    settings = content.get("settings") or {}
    return ReportRun(
        name=folder.resolve().name or str(folder),
        folder=folder,
        rows=[row for row in rows if row.recipe in {recipe.name for recipe in recipes}],
        recipes=recipes,
        facts=_facts(rows, content),
        notes=notes,
        budget_seconds=settings.get("budget_seconds"),
    )


def with_distinct_names(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """The runs, those whose folders have one name called after their parents too, and numbered where that is equal."""
    names = [run.name for run in runs]
    found: list[ReportRun] = []
    for index, run in enumerate(runs):
        name = run.name
        if names.count(name) > 1:
            name = f"{run.folder.resolve().parent.name}/{name}"
        if name in {other.name for other in found}:
            name = f"{name} #{index + 1}"
        found.append(
            ReportRun(name, run.folder, run.rows, run.recipes, run.facts, run.notes, run.budget_seconds)
            if name != run.name
            else run
        )
    return found


def sections_of(runs: Sequence[ReportRun]) -> list[Section]:
    """One section for each dataset and quality; a method that several runs scored there carries its run's name.

    Reference points have no settings of their own: where runs agree on their numbers they are shown once.
    """
    runs = with_distinct_names(runs)
    groups: dict[tuple[str, str], dict[str, list[Score]]] = {}
    for run in runs:
        for row in run.rows:
            groups.setdefault((row.dataset, row.quality), {}).setdefault(run.name, []).append(row)
    named = {run.name: run for run in runs}
    datasets = [dataset for dataset, _ in groups]
    sections = []
    for (dataset, quality), own in groups.items():
        title = dataset or "no dataset named"
        if datasets.count(dataset) > 1:
            title = f"{title}, quality {quality}"
        sections.append(_section(title, [(named[name], rows) for name, rows in own.items()]))
    return sections


def _section(title: str, parts: Sequence[tuple[ReportRun, list[Score]]]) -> Section:
    owners: dict[str, list[ReportRun]] = {}
    for run, rows in parts:
        for method in dict.fromkeys(row.method for row in rows):
            owners.setdefault(method, []).append(run)
    once = {m for m, runs in owners.items() if len(runs) > 1 and m in REFERENCE_POINTS and _agree(m, parts)}
    shared = {method for method, runs in owners.items() if len(runs) > 1 and method not in once}
    named: list[SectionRow] = []
    seen: set[tuple[Any, ...]] = set()
    for run, own in parts:
        for row in own:
            if row.method in once:
                if _place(row) in seen:
                    continue
                seen.add(_place(row))
            name = f"{row.method} ({run.name})" if row.method in shared else row.method
            named.append(SectionRow(row.model_copy(update={"method": name}), run, row.method))
    recipes = {recipe.name: recipe for run, _ in parts for recipe in run.recipes}
    used = {row.row.recipe for row in named}
    notes = [note for run, _ in parts for note in run.notes]
    if once:
        notes.append(f"equal in all runs, shown once: {', '.join(sorted(once))}")
    kept = [recipe for name, recipe in recipes.items() if name in used]
    return Section(title, named, kept, [run for run, _ in parts], notes)


def _agree(method: str, parts: Sequence[tuple[ReportRun, list[Score]]]) -> bool:
    values: dict[tuple[Any, ...], float | None] = {}
    for _, rows in parts:
        for row in rows:
            if row.method != method:
                continue
            known = values.setdefault(_place(row), row.value)
            if (known is None) != (row.value is None):
                return False
            if known is not None and row.value is not None and abs(known - row.value) > NUMBERS_AGREE:
                return False
    return True


def natural_order(name: str) -> tuple[list[str | int], str]:
    """What names are sorted by: runs of digits as numbers, the rest without case; then the name itself."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def _place(row: Score) -> tuple[Any, ...]:
    return row.method, row.track, row.recipe, row.view, row.stem, row.metric


def _run_file(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a run that was interrupted has none; the rows say enough
        return {}
    return content if isinstance(content, dict) else {}


def _recipes(rows: Sequence[Score], content: Mapping[str, Any]) -> tuple[list[Recipe], list[str]]:
    """The recipes of the rows, as this version has them or else as the run recorded them."""
    recorded = {one.get("name"): one for one in content.get("recipes") or () if isinstance(one, dict)}
    found, notes = [], []
    for name in dict.fromkeys(row.recipe for row in rows):
        if name in RECIPES:
            found.append(RECIPES[name])
        elif {"name", "metrics", "over_tracks", "source"} <= set(recorded.get(name, ())):
            # of another version of sepkit: enough to show its numbers, though not to score with it
            fields = {**recorded[name], "metrics": tuple(recorded[name]["metrics"])}
            found.append(Recipe.model_construct(**fields))
        else:
            notes.append(f"the recipe {name} is not known to this version of sepkit: its rows are left out")
    return found, notes


def _facts(rows: Sequence[Score], content: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "dataset": ", ".join(dict.fromkeys(row.dataset for row in rows)),
        "tracks": len({row.track for row in rows}),
    }
    if costs_known(rows):  # stems that were only given were made by nobody knows what settings
        facts["quality"] = ", ".join(dict.fromkeys(row.quality for row in rows))
        facts["seed"] = ", ".join(dict.fromkeys(str(row.seed) for row in rows))
    machine, versions = content.get("machine") or {}, content.get("versions") or {}
    if machine.get("processor"):
        facts["processor"] = f"{machine['processor']}, {machine.get('cores')} cores"
    if versions.get("sepkit"):
        facts["sepkit"] = versions["sepkit"]
    if content.get("started"):
        facts["started"] = str(content["started"])[:16].replace("T", " ")
    if content.get("command"):
        facts["command"] = content["command"]
    return facts
