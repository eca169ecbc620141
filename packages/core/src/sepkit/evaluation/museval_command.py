"""`sepkit evaluate --museval-json`: folders of museval's results aggregated anew, beside each other and beside runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cli import exit_codes
from ..cli.terminal import print_error, print_note
from ..config import Frozen
from ..errors import DatasetError, OptionError
from .command import print_grids, print_results
from .grid import score_grid
from .museval_export import BSS_ENGINES
from .museval_json import SPLIT_FOLDERS, read_results
from .recipe import Recipe, find_recipe
from .report import write_results
from .score import Score, ScoreLog, now, read_scores


class MusevalRequest(Frozen):
    """Folders of museval's JSON files, and run folders to set beside them."""

    folders: tuple[Path, ...]
    runs: tuple[Path, ...] = ()
    recipe: str = "musdb18"  # how they are aggregated, and which rows of the runs they are comparable with
    split: str | None = None
    out: Path | None = None  # a run folder for the rows, its summary and page; only tables on stdout when None


def run_museval_json(request: MusevalRequest) -> int:
    """Print a table for each metric, and with `out` write them as a run; the exit code: OK, or FAILED where a method
    has none of museval's values.

    Raises DatasetError where a folder has no results or two of them have a method of the same name, OptionError for a
    recipe without museval's numbers.
    """
    recipe = find_recipe(request.recipe)
    if recipe.engine not in BSS_ENGINES:
        raise OptionError(
            f"--recipe {recipe.name!r} is none of BSS Eval, which is what museval's files hold; "
            "take musdb18, sisec18 or ismir22_1s."
        )
    gathered = gather(request, recipe)
    rows = [row for row in gathered if row.metric in recipe.metrics or row.failed]
    empty = _without_values(gathered, recipe)
    for line in empty:
        print_error(line)
    if not rows:
        return exit_codes.FAILED
    if request.out is not None:
        print_results(_written(request.out, rows, recipe)[:-1], request.out)
    else:
        print_grids([score_grid(rows, recipe, metric) for metric in recipe.metrics])
    for note in uneven_tracks(rows):
        print_note(note)
    return exit_codes.FAILED if empty else exit_codes.OK


def gather(request: MusevalRequest, recipe: Recipe) -> list[Score]:
    """The rows of all folders and runs under one recipe; every method comes from one place only."""
    at, sources = now(), []
    for folder in request.folders:
        if request.split is None:
            _refuse_mixed_splits(folder)
        root = folder.resolve()
        name = root.parent.name if root.name in SPLIT_FOLDERS else root.name
        read = read_results(folder, method=name, split=request.split, recipe=recipe.name)
        sources.append((folder, [row.model_copy(update={"at": at}) for row in read]))
    for run in request.runs:
        path = run / "scores.jsonl"
        if not path.exists():
            raise DatasetError(f"{run} is no folder of a run: it has no scores.jsonl.")
        own = [row for row in read_scores(path) if row.recipe == recipe.name]
        if not own:
            raise DatasetError(f"{run} has no scores under the recipe {recipe.name!r}; score it with that one first.")
        sources.append((run, own))
    homes: dict[str, Path] = {}
    for place, found in sources:
        for method in dict.fromkeys(row.method for row in found):
            if homes.setdefault(method, place) != place:
                raise DatasetError(f"{homes[method]} and {place} both have a method {method!r}: rename one folder.")
    return [row for _, found in sources for row in found]


def _without_values(rows: Sequence[Score], recipe: Recipe) -> list[str]:
    """A line for each method whose files hold other numbers than museval's."""
    metrics: dict[str, set[str]] = {}
    for row in rows:
        metrics.setdefault(row.method, set()).add(row.metric)
    return [
        f"{method} has no values of BSS Eval (SDR, ISR, SIR, SAR): its files hold {', '.join(sorted(found))}."
        for method, found in metrics.items()
        if not found & set(recipe.metrics)
    ]


def uneven_tracks(rows: Sequence[Score]) -> list[str]:
    """A warning where methods were scored on different tracks, whose numbers are then no fair comparison."""
    tracks: dict[str, set[str]] = {}
    for row in rows:
        tracks.setdefault(row.method, set()).add(row.track)
    common, every = set.intersection(*tracks.values()), set.union(*tracks.values())
    if common == every:
        return []
    counts = ", ".join(f"{method} {len(names)}" for method, names in tracks.items())
    return [f"The methods were scored on different tracks ({counts}; {len(common)} in common): compare with care."]


def _refuse_mixed_splits(folder: Path) -> None:
    """Raise DatasetError where results of training and test songs would be put into one number."""
    found = {part for path in folder.rglob("*.json") for part in path.relative_to(folder).parts} & set(SPLIT_FOLDERS)
    if len(found) > 1:
        raise DatasetError(f"{folder} has results of {' and '.join(sorted(found))}: choose one, as --split test.")


def _written(out: Path, rows: Sequence[Score], recipe: Recipe) -> list[object]:
    scores = out / "scores.jsonl"
    if scores.exists():
        raise OptionError(f"{scores} is there already; give a new folder with --out.")
    with ScoreLog(scores) as log:
        log.append(rows)
    return list(write_results(out, rows, [recipe], {"dataset": "museval results", "recipe": recipe.name}))
