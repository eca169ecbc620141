"""One track of given estimates: its rows under every recipe, or why there are none; in whichever process."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..audio import Audio
from ..cli.terminal import debugging
from ..data.track import MemorySource, Track
from ..errors import DatasetError, SepkitError
from .file_links import is_made, link_file, note_made, remove_made
from .folder_track import LoadedTrack, Tolerance, load_track
from .folders import no_estimate
from .measured import Measured
from .methods import Method
from .museval_json import write_windows
from .name_matching import with_near
from .out_folder import OutFolder, file_name, stems_folder
from .recipe import Recipe
from .rows import Label, Separation
from .score import Cost, MethodFacts, Score
from .stem_folders import TrackFiles
from .views import View, view_on

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PairTask:
    """One track of one method to be scored, with all that a process needs to do it."""

    method: str
    track: str
    estimates: TrackFiles
    references: TrackFiles
    stems: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    label: Label
    allow: Tolerance
    out: Path
    keep_audio: bool
    only: tuple[str, ...] = ()  # the stems that rows are wanted for; all when empty

    @property
    def paths(self) -> list[Path]:
        """Every file that the scores depend on."""
        mixture = [] if self.references.mixture is None else [self.references.mixture]
        used = [path for stem, path in self.estimates.stems.items() if stem in self.stems]
        return [*used, *self.references.stems.values(), *mixture]


@dataclass(frozen=True)
class PairResult:
    """The rows of a track, what was done to make its files comparable, and whether it failed."""

    rows: list[Score]
    notes: tuple[str, ...] = ()
    failed: bool = False


def score_pair(task: PairTask) -> PairResult:
    """Score one track; whatever goes wrong with it becomes rows with the reason. Only an interruption passes through.

    With `keep_audio` the estimates and references get a second name in the run's folder, for its report.
    """
    try:
        for side in (task.estimates, task.references):
            if side.problem is not None:
                raise DatasetError(side.problem)
        used = {stem: path for stem, path in task.estimates.stems.items() if stem in task.stems}
        references = task.references
        loaded = load_track(task.track, used, references, task.allow)
        view = _view(task.stems, loaded.track)
        rows = _scored(task, loaded, view)
        if task.keep_audio:
            _keep(task, loaded, view)
        return PairResult(rows, loaded.notes)
    except (SepkitError, OSError) as error:
        return failed_pair(task, str(error))
    except Exception as error:
        if debugging():
            traceback.print_exc()
        return failed_pair(task, f"{type(error).__name__}: {error}")


def failed_pair(task: PairTask, reason: str) -> PairResult:
    """The rows of a track that could not be scored at all."""
    return PairResult(unscored(task.label, task.method, task.track, reason, task.recipes), failed=True)


def unscored(label: Label, method: str, track: str, reason: str, recipes: tuple[Recipe, ...]) -> list[Score]:
    """One row for each recipe that says why a track has no scores."""
    unread = Track(track, 0, 0, 0, (), MemorySource({}))
    return Separation(label, method, unread, MethodFacts(), Cost()).fail(reason, recipes)


def _view(stems: tuple[str, ...], track: Track) -> View:
    """The estimates' stems as sums of the references; made from the whole mixture, whatever stems there are of it."""
    view = view_on(stems, track)
    rest = {"accompaniment", "other"} & set(view.absent)  # estimated, and no reference holds any of it
    return replace(view, mixture="full", covers=view.covers and len(track.stems) > 1 and not rest)


def _scored(task: PairTask, loaded: LoadedTrack, view: View) -> list[Score]:
    track = loaded.track
    estimates = {stem: x.numpy() for stem, x in loaded.estimates.items() if stem in view.parts}
    separation = Separation(task.label, task.method, track, MethodFacts(), Cost(audio_seconds=track.seconds))
    folder = OutFolder(task.out, save_stems=True)

    def keep_windows(recipe: Recipe, found: Sequence[Measured]) -> None:
        write_windows(folder.windows(recipe.name, Method(name=task.method), track, view), found)

    folder.forget_windows(task.method, task.track, [recipe.name for recipe in task.recipes])
    rows = separation.score(view, estimates, task.recipes, keep_windows)
    reasons = {
        stem: view.why_absent(stem) if view.partial else with_near(f"no reference of {stem}", stem, track.stems)
        for stem in view.absent
    }
    reasons |= {stem: no_estimate(stem, task.estimates) for stem in view.stems if stem not in loaded.estimates}
    absent = [stem for stem in task.only if stem not in view.stems]
    reasons |= {stem: no_estimate(stem, task.estimates) for stem in absent}
    unasked = replace(view, stems=tuple(absent))
    for row in separation.undefined(unasked, "no estimate", task.recipes):  # in one batch with the others
        at = next(other.at for other in rows if other.recipe == row.recipe)
        rows.append(row.model_copy(update={"view": view.stems, "at": at}))
    silence = silent_sounds(view, loaded)
    rows = [row.model_copy(update={"reason": _reason(row, reasons, silence)}) for row in rows]
    return [row for row in rows if not task.only or row.stem in task.only]


def silent_sounds(view: View, loaded: LoadedTrack) -> list[tuple[str, str]]:
    """What is silent from end to end: (reference or estimate, stem)."""
    truths = [("reference", stem) for stem in view.parts if not view.truth(stem, loaded.track).any()]
    scored = {stem: x for stem, x in loaded.estimates.items() if stem in view.parts}
    return truths + [("estimate", stem) for stem, x in scored.items() if not x.any()]


def _reason(row: Score, reasons: Mapping[str, str], silence: Sequence[tuple[str, str]]) -> str | None:
    """Why there is no value: what is missing, or whose silence it is."""
    if row.value is not None or row.stem in reasons:
        return reasons.get(row.stem, row.reason) if row.value is None else None
    reason = str(row.reason)
    if "silent" not in reason or not silence:
        return reason
    own = [what for what, stem in silence if stem == row.stem]
    if not own and not reason.startswith("every window"):
        return reason  # it says itself what is silent
    if own:
        return f"the {own[0]} is silent" if reason.startswith("every window") else f"the {own[0]} is silent: {reason}"
    return f"{reason}: the {' and the '.join(f'{what} of {stem}' for what, stem in silence)}"


def _keep(task: PairTask, loaded: LoadedTrack, view: View) -> None:
    """Link what was compared into the run's folder; truths that are sums, and a mixture that is one, are written."""
    folder = task.out / "references" / file_name(task.track)
    for stem, path in task.estimates.stems.items():
        if stem in view.parts:
            stems = task.out / "stems" / stems_folder(task.method, view.stems, False) / file_name(task.track)
            link_file(path, stems, file_name(stem))
    for stem, parts in view.parts.items():
        if len(parts) == 1:
            link_file(task.references.stems[parts[0]], folder, view.truth_name(stem))
        else:
            _write(folder, view.truth_name(stem), view.truth(stem, loaded.track), loaded.track.sample_rate)
    if task.references.mixture is not None:
        link_file(task.references.mixture, folder, "mixture")
    else:
        _write(folder, "mixture", loaded.track.mixture, loaded.track.sample_rate)


def _write(folder: Path, name: str, samples: Tensor, sample_rate: int) -> None:
    """Write a sum (c t) under that name, unless a file of the user's has it."""
    path = folder / f"{name}.wav"
    if path.exists() and not is_made(path):
        return
    note_made(folder, [path.name])
    remove_made(folder, name, path)
    Audio(samples, sample_rate).write(path, bits="float", overwrite=True)
