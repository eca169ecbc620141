"""Estimates in folders scored against references: what of the plan is still to do, and the run's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field

from ..audio import Audio
from ..config import Frozen
from ..data.track import Track
from ..errors import AudioError, OptionError
from ..soundfiles import open_reader
from .folder_scoring import PairResult, PairTask, failed_pair, score_pair, unscored
from .folder_track import Tolerance
from .folders import FolderPlan, Pair
from .harness import Watcher
from .out_folder import OutFolder, file_name
from .out_guard import alone_in, refuse_same_files
from .processes import Apply, apply_in_processes
from .recipe import Recipe
from .resume import check_same_label
from .rows import Label
from .score import Score, ScoreLog, read_scores
from .scored_inputs import NAME as INPUTS
from .scored_inputs import ScoredInputs, append_inputs, digest, read_inputs, state_of
from .stem_folders import TrackFiles

Inputs = dict[tuple[str, str], dict[str, ScoredInputs]]
"""By (method, track) and recipe."""


class FolderSettings(Frozen):
    """What holds for a whole run over folders.

    `seed` and `quality` say nothing of given estimates; they are those of the run whose folder these scores join.
    """

    dataset: str
    seed: int = 0
    quality: str = "balanced"
    allow: Tolerance = Tolerance()
    jobs: int = Field(default=1, ge=1)  # tracks at once, each in its own process
    fresh: bool = False
    keep_audio: bool = True

    @property
    def label(self) -> Label:
        return Label(dataset=self.dataset, seed=self.seed, quality=self.quality)


@dataclass(frozen=True)
class FolderResult:
    """Every row that OUT holds, the plan's tracks first and in its order; notes, and what failed."""

    rows: list[Score]
    notes: tuple[str, ...]
    failed: int  # tracks of a method that have no scores for a fault of theirs
    skipped: int  # tracks of a method that had all their scores before


def evaluate_folders(
    plan: FolderPlan,
    recipes: Sequence[Recipe],
    out: Path,
    settings: FolderSettings,
    watch: Watcher,
    apply: Apply[PairTask, PairResult] = apply_in_processes,
) -> FolderResult:
    """Score what the plan pairs and what is not yet scored from the same files; rows do not depend on `jobs`.

    Writes OUT/scores.jsonl and OUT/inputs.jsonl after every track, and links the sounds below OUT for the report.
    Raises OptionError where OUT holds scores of other settings or of estimates from another folder, where another run
    is at work, or where two names would have one file. Ctrl-C leaves a folder that the same call completes.
    """
    with alone_in(out):
        return _evaluate(plan, recipes, out, settings, watch, apply)


def _evaluate(
    plan: FolderPlan,
    recipes: Sequence[Recipe],
    out: Path,
    settings: FolderSettings,
    watch: Watcher,
    apply: Apply[PairTask, PairResult] = apply_in_processes,
) -> FolderResult:
    folder = OutFolder(out, save_stems=settings.keep_audio)
    if settings.fresh:
        folder.clear()
    earlier = read_scores(folder.scores) if folder.scores.exists() else []
    known = read_inputs(out / INPUTS)
    _check_fits(plan, out, settings, earlier, known)
    tasks = [_task(pair, recipes, out, settings) for pair in plan.pairs]
    inputs = {(task.method, task.track): _inputs(task) for task in tasks}  # before: what changes later is scored again
    unfinished = [left for task in tasks if (left := _unfinished(task, inputs, earlier, known)) is not None]
    failed = len(plan.missing)
    watch.planned(len(unfinished), sum(_seconds(task) for task in unfinished))
    with ScoreLog(folder.scores) as log, contextlib.ExitStack() as stack:
        for method, track, reason in plan.missing:
            said = {row.recipe for row in earlier if (row.method, row.track, row.reason) == (method, track, reason)}
            unsaid = tuple(recipe for recipe in recipes if recipe.name not in said)
            log.append(unscored(settings.label, method, track, reason, unsaid))
            folder.forget_windows(method, track, [recipe.name for recipe in recipes])
        done = apply(score_pair, unfinished, settings.jobs, _died)
        stack.callback(done.close)  # on any exception the processes end here, not when this is collected
        for task, result in done:
            if result.failed:
                folder.forget_windows(task.method, task.track, [recipe.name for recipe in task.recipes])
            log.append(_replacing(task, result.rows, earlier))
            if not result.failed:
                own = inputs[(task.method, task.track)]
                entries = [own[r.name].model_copy(update={"notes": result.notes}) for r in task.recipes]
                append_inputs(out / INPUTS, entries)
                known |= {entry.key: entry for entry in entries}
            failed += result.failed
            watch.finished(task.method, task.track, _seconds(task), result.rows)
    rows = _in_order(read_scores(folder.scores), plan, recipes)
    notes = {note: None for task in tasks for recipe in recipes for note in _notes(known, task, recipe)}
    return FolderResult(rows, tuple(notes), failed, len(tasks) - len(unfinished))


def _check_fits(
    plan: FolderPlan,
    out: Path,
    settings: FolderSettings,
    earlier: Sequence[Score],
    known: Mapping[tuple[str, str, str], ScoredInputs],
) -> None:
    """Raise OptionError where these scores cannot stand beside those of before."""
    check_same_label(earlier, settings.label, out)
    tracks = [*(pair.track for pair in plan.pairs), *(track for _, track, _ in plan.missing)]
    refuse_same_files([*(row.track for row in earlier), *tracks], "tracks")
    refuse_same_files([*(row.method for row in earlier), *plan.methods], "methods")
    for method in plan.methods:
        before = {entry.home for entry in known.values() if entry.method == method} - {""}
        here = {_home(pair.estimates) for pair in plan.pairs if pair.method == method} - {""}
        if before and here and not before & here:
            raise OptionError(
                f"{out} holds scores of the estimates in {min(before)} as {method!r}, and these are in {min(here)}: "
                "give another --method-name or another --out, or --fresh to discard them."
            )


def _home(estimates: TrackFiles) -> str:
    return str(estimates.home) if estimates.home is not None else ""


def _task(pair: Pair, recipes: Sequence[Recipe], out: Path, settings: FolderSettings) -> PairTask:
    reference = pair.reference
    return PairTask(
        method=pair.method,
        track=pair.track,
        estimates=pair.estimates,
        references=_written(reference, out) if isinstance(reference, Track) else reference,
        stems=pair.stems,
        recipes=tuple(recipes),
        label=settings.label,
        allow=settings.allow,
        out=out,
        keep_audio=settings.keep_audio,
        only=pair.only,
    )


def _written(track: Track, out: Path) -> TrackFiles:
    """The files of a song that is made when it is asked for; once written they stay."""

    folder = out / "references" / file_name(track.name)
    for name in (*track.stems, "mixture"):
        path = folder / f"{name}.wav"
        if not path.exists():
            samples = track.mixture if name == "mixture" else track.load(name)
            Audio(samples, track.sample_rate).write(path, bits="float")
    stems = {stem: folder / f"{stem}.wav" for stem in track.stems}
    return TrackFiles(track.name, folder, "", stems, folder / "mixture.wav", complete=track.is_complete())


def _unfinished(
    task: PairTask, inputs: Inputs, earlier: Sequence[Score], known: dict[tuple[str, str, str], ScoredInputs]
) -> PairTask | None:
    """The task with only the recipes whose scores are not there, or were made from files that have changed since."""
    own = inputs[(task.method, task.track)]
    before = [row for row in earlier if (row.method, row.track) == (task.method, task.track) and not row.failed]
    scored = {(row.recipe, row.stem) for row in before}
    wanted = task.only or task.stems
    left = tuple(
        recipe
        for recipe in task.recipes
        if not scored.issuperset((recipe.name, stem) for stem in wanted)
        or not own[recipe.name].same_inputs(known.get(own[recipe.name].key))
    )
    # the new rows replace those of before, so that what was asked for then is made again with what is asked for now
    more = {stem for recipe in left for name, stem in scored if name == recipe.name and stem in task.stems}
    only = (*task.only, *(stem for stem in task.stems if stem in more - set(task.only))) if task.only else ()
    return replace(task, recipes=left, only=only) if left else None


def _inputs(task: PairTask) -> dict[str, ScoredInputs]:
    """What the scores under each recipe are made from."""
    files = state_of(task.paths)
    home = _home(task.estimates)
    return {
        recipe.name: ScoredInputs(
            method=task.method,
            track=task.track,
            recipe=recipe.name,
            files=files,
            home=home,
            asked=digest(recipe, task.stems, task.allow),
        )
        for recipe in task.recipes
    }


def _replacing(task: PairTask, rows: list[Score], earlier: Sequence[Score]) -> list[Score]:
    """The rows, after failures that make those of earlier estimates of other stems count no longer."""
    others = {
        row.recipe
        for row in earlier
        if (row.method, row.track) == (task.method, task.track) and row.view and row.view != rows[0].view
    }
    stale = tuple(recipe for recipe in task.recipes if recipe.name in others)
    return [*unscored(task.label, task.method, task.track, "replaced by other estimates", stale), *rows]


def _in_order(rows: Sequence[Score], plan: FolderPlan, recipes: Sequence[Recipe]) -> list[Score]:
    """All rows in one order for every `jobs`: tracks as in the plan, then those of before; recipes likewise."""
    tracks = [pair.track for pair in plan.pairs] + [track for _, track, _ in plan.missing]
    tracks = list(dict.fromkeys([*tracks, *(row.track for row in rows)]))
    names = list(dict.fromkeys([*(recipe.name for recipe in recipes), *(row.recipe for row in rows)]))
    place = {name: index for index, name in enumerate(tracks)}
    return sorted(rows, key=lambda row: (row.method, place[row.track], names.index(row.recipe)))


def _notes(known: dict[tuple[str, str, str], ScoredInputs], task: PairTask, recipe: Recipe) -> tuple[str, ...]:
    entry = known.get((task.method, task.track, recipe.name))
    return entry.notes if entry is not None else ()


def _died(task: PairTask, cause: str) -> PairResult:
    return failed_pair(task, f"its process died ({cause})")


def _seconds(task: PairTask) -> float:
    """How long the track is, as far as its first file says, for the time left."""
    try:
        with open_reader(next(iter(task.references.stems.values()))) as reader:
            return (reader.length_samples or 0) / reader.sample_rate
    except (AudioError, OSError):
        return 0.0
