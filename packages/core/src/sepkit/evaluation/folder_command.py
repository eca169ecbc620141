"""`sepkit evaluate ESTIMATES REFERENCES`: plan, score, write the run's folder, and show the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..cli import exit_codes
from ..cli.terminal import print_error, print_note
from ..config import Frozen
from ..data.opening import KINDS
from ..errors import DatasetError
from .command import (
    choose_recipes,
    dataset_folders,
    dataset_label,
    default_folder,
    interrupted,
    resolved_dataset,
    run_facts,
    unusable_recipes,
    write_all,
)
from .folder_run import FolderResult, FolderSettings, evaluate_folders
from .folder_scoring import PairResult, PairTask
from .folder_track import Tolerance
from .folders import FolderPlan, open_references, plan_folders
from .methods import Method
from .museval_export import BSS_ENGINES, export_museval, exported_recipe
from .out_guard import refuse_overlap
from .processes import Apply, apply_in_processes
from .progress import RunProgress
from .recipe import Recipe
from .run_file import write_run_file
from .score import now
from .stem_folders import TrackFiles, find_tracks, stem_of_name
from .stem_notes import mixture_notes, scoreless_stems, undefined_notes

LISTED = 20  # problems and notes on the terminal; run.json has all


class FolderRequest(Frozen):
    """Estimates and references as a command line names them; nothing is looked up yet."""

    estimates: Path
    references: str  # a folder, or a dataset such as musdb:PATH
    method_name: str | None = None
    split: str | None = None
    tracks: tuple[str, ...] = ()  # all of them when empty
    stems: tuple[str, ...] = ()  # all that the estimates have when empty
    recipes: tuple[str, ...] = ()  # the default ones when empty
    limit: int | None = None
    out: Path | None = None  # runs/<estimates> when None
    seed: int = 0
    quality: str = "balanced"
    allow: Tolerance = Tolerance()
    jobs: int = 1
    fresh: bool = False
    keep_audio: bool = True

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.out or default_folder(self.estimates.resolve().name)

    @property
    def settings(self) -> FolderSettings:
        is_folder = Path(self.references).is_dir() or self.references.partition(":")[0] not in KINDS
        dataset = f"folder:{self.references}" if is_folder else self.references
        dataset = resolved_dataset(dataset)
        return FolderSettings(
            dataset=dataset_label(dataset, self.split),
            seed=self.seed,
            quality=self.quality,
            allow=self.allow,
            jobs=self.jobs,
            fresh=self.fresh,
            keep_audio=self.keep_audio,
        )


def run_folders(
    request: FolderRequest,
    command: Sequence[str],
    museval_json: Path | None = None,
    apply: Apply[PairTask, PairResult] = apply_in_processes,
) -> int:
    """Score the estimates, print tables and whatever did not fit; the exit code: OK, FAILED or INTERRUPTED.

    FAILED also where a track or stem has no counterpart, or a stem no score; the rest is scored. `museval_json` gets
    museval's files too, and `command`, the words that were typed, go to run.json. Raises SepkitError before anything is
    written where nothing matches, a name is wrong, or results and inputs share a folder.
    """
    recipes = choose_recipes(request.recipes)
    plan, settings, out = plan_request(request), request.settings, request.folder
    refuse_overlap(out, _inputs(request, plan))
    exported = exported_recipe(recipes) if museval_json is not None else None
    unusable = unusable_recipes(recipes)
    _print_lines(plan.problems, print_error)
    started, clock = now(), time.monotonic()
    try:
        with RunProgress() as watch:
            result = evaluate_folders(plan, recipes, out, settings, watch, apply)
    except KeyboardInterrupt:
        return interrupted()
    seconds = time.monotonic() - clock
    own = [row for row in result.rows if (row.method, row.track) in {(pair.method, pair.track) for pair in plan.pairs}]
    own = [row for row in own if row.recipe in {recipe.name for recipe in recipes}]
    uncovered = plan.uncovered if any(recipe.engine in BSS_ENGINES for recipe in recipes) else ()
    notes = (*plan.notes, *uncovered, *mixture_notes(plan), *result.notes, *undefined_notes(own))
    scoreless = scoreless_stems(own)
    _print_lines(scoreless, print_error)
    write_run_file(
        out,
        command=command,
        started=started,
        seconds=seconds,
        settings=settings,
        methods=[Method(name=name) for name in plan.methods],
        recipes=recipes,
        tracks=list(dict.fromkeys(pair.track for pair in plan.pairs)),
        more={
            "estimates": str(request.estimates),
            "problems": [*plan.problems, *scoreless],
            "notes": list(notes),
        },
    )
    _show(request, result, recipes, seconds)
    _print_lines(notes, print_note)
    if museval_json is not None and exported is not None:
        tracks = [pair.track for pair in plan.pairs]
        names = list(dict.fromkeys(tracks))
        export_museval(out, museval_json, exported, result.rows, plan.methods, names, request.split)
    failed = plan.problems or result.failed or scoreless or unusable
    return exit_codes.FAILED if failed else exit_codes.OK


def plan_request(request: FolderRequest) -> FolderPlan:
    """What the request compares. Raises SepkitError where nothing matches or something has two meanings."""
    out = request.folder
    references = open_references(request.references, request.split, request.tracks, request.limit, skip=out)
    estimates = find_tracks(request.estimates, skip=out)
    if request.split is not None:
        estimates = _of_split(estimates, request)
    return plan_folders(
        estimates,
        references,
        folder_name=request.estimates.resolve().name,
        method_name=request.method_name,
        stems=tuple(stem_of_name(stem) for stem in request.stems),
        whole=not request.tracks and request.limit is None,
    )


def _of_split(estimates: list[TrackFiles], request: FolderRequest) -> list[TrackFiles]:
    """The estimates of a split, where the tool that made them has kept splits apart."""
    try:
        return find_tracks(request.estimates, request.split, skip=request.folder)
    except DatasetError:  # no folder of that split: they are all of it
        return estimates


def _inputs(request: FolderRequest, plan: FolderPlan) -> list[Path]:
    """What is read: the two folders, and every file, which may be a link to somewhere else."""
    references = Path(request.references)
    folders = [references] if references.is_dir() else dataset_folders(request.references)
    sides = [side for pair in plan.pairs for side in (pair.estimates, pair.reference) if isinstance(side, TrackFiles)]
    return [request.estimates, *folders, *(path for side in sides for path in side.stems.values())]


def _show(request: FolderRequest, result: FolderResult, recipes: Sequence[Recipe], seconds: float) -> None:
    facts = {
        "dataset": request.settings.dataset,
        "estimates": str(request.estimates),
        "tracks": len({row.track for row in result.rows}),
        **run_facts(f"{seconds:.0f} s, {result.skipped} track(s) were scored before"),
    }
    timed = any(row.cost.compute_seconds is not None for row in result.rows)  # of given estimates no cost is known
    write_all(request.folder, result.rows, recipes, facts, costs=timed)


def _print_lines(lines: Sequence[str], show: Callable[[str], None]) -> None:
    for line in lines[:LISTED]:
        show(line)
    if len(lines) > LISTED:
        show(f"and {len(lines) - LISTED} more, see run.json.")
