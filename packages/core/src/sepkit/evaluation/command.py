"""What every evaluating command shares: choosing methods, recipes and tracks, running them, and showing the result.

`python -m benchmarks.run` and `sepkit evaluate --method` are both thin over `run_methods`.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ..cli import exit_codes
from ..cli.terminal import print_error, print_note
from ..config import Frozen
from ..data.opening import FOLDER_KINDS, open_dataset
from ..data.track import Dataset
from ..errors import OptionError, SepkitError
from ..quality import parse_quality
from .fitting import fitting
from .harness import Elsewhere, RunSettings, evaluate
from .machine import machine_facts
from .methods import BY_NAME_ONLY, Method, available_methods, find_methods, with_checkpoint, without_training
from .museval_engine import load_museval
from .museval_export import export_museval, exported_recipe
from .name_matching import pick_names
from .out_guard import refuse_overlap
from .peers import DISTRIBUTION as PEERS
from .peers import installed_peers, with_weights
from .progress import RunProgress
from .recipe import Recipe, find_recipe, recipe_names
from .reference_points import REFERENCE_POINTS
from .report import write_results
from .run_file import write_run_file
from .score import Score, now, read_scores

DEFAULT_RECIPES = ("sdx23", "musdb18")
ORACLES = ["ideal_ratio_mask", "wiener_oracle"]


class MethodRun(Frozen):
    """Methods on a dataset under recipes, as a command line names them; nothing is looked up yet."""

    methods: str = "all"  # names or groups with commas between them
    dataset: str = "demo"
    split: str | None = None
    tracks: tuple[str, ...] = ()  # all of them when empty
    recipes: tuple[str, ...] = ()  # DEFAULT_RECIPES when empty
    limit: int | None = None
    out: Path | None = None  # runs/<dataset> when None
    seed: int = 0
    quality: str = "balanced"
    device: str = "auto"
    checkpoints: tuple[str, ...] = ()  # NAME=FOLDER
    untrained: tuple[str, ...] = ()  # names of methods that are to have random weights
    budget_seconds: float | None = None
    jobs: int = 1
    fresh: bool = False
    save_stems: bool = True
    uncertainty: int = 0

    @property
    def settings(self) -> RunSettings:
        return RunSettings(
            dataset=dataset_label(resolved_dataset(self.dataset), self.split),
            seed=self.seed,
            quality=self.quality,
            device=self.device,
            budget_seconds=self.budget_seconds,
            jobs=self.jobs,
            fresh=self.fresh,
            save_stems=self.save_stems,
            uncertainty=self.uncertainty,
        )


def run_methods(
    run: MethodRun, command: Sequence[str], museval_json: Path | None = None, elsewhere: Elsewhere | None = None
) -> int:
    """Separate, score, write the run's folder, print its tables; the exit code: OK, FAILED or INTERRUPTED.

    `command` are the words that were typed, for run.json. `museval_json` gets museval's files too. `elsewhere`
    are others who do the work. Raises SepkitError before anything is started for a wrong option, name or dataset.
    """
    parse_quality(run.quality)
    chosen = choose_methods(run.methods, run.checkpoints, run.untrained)
    methods, without = with_weights(chosen, asked_names(run.methods))
    recipes = choose_recipes(run.recipes)
    tracks = choose_tracks(run.dataset, run.split, run.tracks, run.limit)
    methods, left_out = fitting(methods, asked_names(run.methods), tracks)
    for note in without + left_out:
        print_note(note)
    if not methods:
        raise OptionError(f"--methods {run.methods}: none fits {run.dataset}; name those to have all the same.")
    out, settings = run.out or default_folder(run.dataset), run.settings
    exported = exported_recipe(recipes) if museval_json is not None else None
    refuse_overlap(out, dataset_folders(run.dataset))
    unusable = unusable_recipes(recipes)
    started, clock = now(), time.monotonic()
    try:
        with RunProgress() as watch:
            rows = evaluate(methods, tracks, recipes, out, settings, watch, elsewhere)
    except KeyboardInterrupt:
        return interrupted()
    seconds = time.monotonic() - clock
    write_run_file(
        out,
        command=command,
        started=started,
        seconds=seconds,
        settings=settings,
        methods=methods,
        recipes=recipes,
        tracks=[track.name for track in tracks],
    )
    everything = read_scores(out / "scores.jsonl")
    facts = _facts(settings, len({row.track for row in everything}), seconds)
    write_all(out, everything, recipes, facts, budget_seconds=run.budget_seconds)
    if museval_json is not None and exported is not None:
        names = [method.name for method in methods]
        export_museval(out, museval_json, exported, rows, names, [track.name for track in tracks], run.split)
    return exit_codes.FAILED if unusable or failures(rows, methods) else exit_codes.OK


def _facts(settings: RunSettings, tracks: int, seconds: float) -> dict[str, Any]:
    return {
        "dataset": settings.dataset,
        "tracks": tracks,
        "quality": settings.quality,
        "seed": settings.seed,
        **run_facts(f"{seconds:.0f} s, {settings.jobs} method(s) at once"),
    }


def choose_methods(names: str, checkpoints: Sequence[str] = (), untrained: Sequence[str] = ()) -> list[Method]:
    """Methods by names or groups with commas between them, some with other weights (NAME=FOLDER) or random ones.

    Raises UnknownNameError for a name that is not known, OptionError where no method is named or no weights fit.
    """
    chosen = find_methods(asked_names(names), method_groups())
    if not chosen:
        raise OptionError(f"--methods {names!r} names no method; write all, or names with commas between them.")
    folders = {}
    for given in checkpoints:
        name, equals, path = given.partition("=")
        if not equals or name not in {method.name for method in chosen}:
            raise OptionError(f"--checkpoint {given!r} fits no chosen method; write NAME=FOLDER.")
        folders[name] = path
    for name in untrained:
        if name in folders or name not in {method.name for method in chosen if not method.is_reference_point}:
            raise OptionError(f"--untrained {name!r} fits no chosen method without --checkpoint; write its name.")
    chosen = [without_training(method) if method.name in untrained else method for method in chosen]
    return [with_checkpoint(method, folders[method.name]) if method.name in folders else method for method in chosen]


def asked_names(names: str) -> list[str]:
    """The words between commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def method_groups() -> dict[str, list[str]]:
    """Group name -> method names: `all`, `methods` (installed ones), `references` (points of reference), `oracles`.

    `peers` are those of others, in no group but their own: their weights are the user's to bring.
    """
    own = [name for name, method in available_methods().items() if method.facts.distribution != PEERS]
    methods = [name for name in own if name not in REFERENCE_POINTS and name not in BY_NAME_ONLY]
    references = [name for name in REFERENCE_POINTS if name not in BY_NAME_ONLY]
    groups = {"all": methods + references, "methods": methods, "references": references, "oracles": ORACLES}
    return groups | {"peers": installed_peers()}


def choose_recipes(names: Sequence[str]) -> list[Recipe]:
    """Recipes by name, each once; the default ones for no name. Raises UnknownNameError with the nearest."""
    return [find_recipe(name) for name in dict.fromkeys(names or DEFAULT_RECIPES)]


def choose_tracks(dataset: str, split: str | None, names: Sequence[str], limit: int | None) -> Dataset:
    """The dataset's tracks, only those named, at most `limit`. Raises UnknownNameError and DatasetError."""
    tracks = open_dataset(dataset, split)
    tracks = tracks.named(*pick_names(names, [track.name for track in tracks])) if names else tracks
    return tracks[: limit or len(tracks)]


def dataset_label(dataset: str, split: str | None) -> str:
    """How rows name a dataset and its split."""
    return f"{dataset}:{split}" if split else dataset


def resolved_dataset(dataset: str) -> str:
    """The dataset with its path written out, so that one folder is one dataset wherever it is named from."""
    kind, _, path = dataset.partition(":")
    return f"{kind}:{Path(path).resolve()}" if dataset_folders(dataset) else dataset


def dataset_folders(dataset: str) -> list[Path]:
    """The folder that a dataset is read from; none for one that is made."""
    kind, _, path = dataset.partition(":")
    return [Path(path)] if kind in FOLDER_KINDS and path else []


def default_folder(name: str) -> Path:
    """runs/<name>, without the characters that paths stumble over."""
    return Path("runs", re.sub(r"[^\w\-+.]+", "-", name).strip("-"))


def unusable_recipes(recipes: Sequence[Recipe]) -> list[str]:
    """Recipes whose engine is missing here: said at once, and then once more in every row."""
    unusable = []
    for recipe in recipes:
        if recipe.engine == "museval":
            try:
                load_museval()
            except SepkitError as error:
                print_error(f"{recipe.name} will be undefined: {error}")
                unusable.append(recipe.name)
    return unusable


def failures(rows: Sequence[Score], methods: Sequence[Method]) -> list[Score]:
    """Rows of these methods that stand for a failure; being over budget is an answer, not a failure."""
    names = {method.name for method in methods}
    return [row for row in rows if row.failed and row.method in names and not row.cost.over_budget]


def interrupted() -> int:
    """Say what Ctrl-C left, and the exit code for it."""
    print_error("interrupted; the same command goes on where it stopped.")
    return exit_codes.INTERRUPTED


def run_facts(took: str) -> dict[str, Any]:
    """The machine and how long it took, for the head of a report."""
    machine = machine_facts()
    return {"processor": f"{machine['processor']}, {machine['cores']} cores", "this run": took}


def write_all(
    out: Path,
    rows: Sequence[Score],
    recipes: Sequence[Recipe],
    facts: dict[str, Any],
    *,
    budget_seconds: float | None = None,
    costs: bool = True,
) -> None:
    """Write the summary and the page of all rows, under these recipes and any others of theirs; print these tables."""
    used = {row.recipe for row in rows}
    others = [find_recipe(name) for name in sorted(used & set(recipe_names()) - {recipe.name for recipe in recipes})]
    grids = write_results(out, rows, [*recipes, *others], facts, budget_seconds=budget_seconds)
    print_results([*grids[: len(recipes)], *(grids[-1:] if costs else ())], out)


def print_results(grids: Sequence[Any], folder: Path) -> None:
    """Print tables on stdout, and where the rest lies on stderr."""
    print_grids(grids)
    print_note(f"Results: {folder / 'summary.md'}, {folder / 'scores.jsonl'}; look and listen: {folder / 'index.html'}")


def print_grids(grids: Sequence[Any]) -> None:
    """Print tables with their notes on stdout; what several of them say, once."""
    said = set()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    for grid in grids:
        console.print()
        console.print(grid.rich())
        for note in grid.notes:
            if note in said:
                continue
            said.add(note)
            console.print(f"  {note}", style="dim", markup=False, soft_wrap=True)


def print_choices() -> None:
    """Print every method, group and recipe that can be named."""
    for name, method in available_methods().items():
        print(f"{name:24} {method.facts.kind or 'method':12} {method.facts.distribution} {method.facts.version}")
    for name, members in method_groups().items():
        print(f"{name:24} {'group':12} {', '.join(members)}")
    for name in recipe_names():
        print(f"{name:24} {'recipe':12} {find_recipe(name).source}")
