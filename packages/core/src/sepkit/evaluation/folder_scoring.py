"""One track of given estimates: its rows under every recipe, or why there are none; in whichever process."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..audio import Audio
from ..cli.terminal import debugging
from ..data.track import MemorySource, Track
from ..errors import DatasetError, SepkitError
from .file_links import link_file
from .folder_track import LoadedTrack, Tolerance, load_track
from .folders import no_estimate
from .measured import Measured
from .methods import Method
from .museval_json import write_windows
from .name_matching import near
from .out_folder import OutFolder, file_name, stems_folder
from .recipe import Recipe
from .rows import Label, Separation
from .score import Cost, MethodFacts, Score
from .stem_folders import TrackFiles
from .views import View, view_on


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

    rows = separation.score(view, estimates, task.recipes, keep_windows)
    reasons = {
        stem: view.why_absent(stem) if view.partial else f"no reference of {stem}. {near(stem, list(track.stems))}"
        for stem in view.absent
    }
    reasons |= {stem: no_estimate(stem, task.estimates) for stem in view.stems if stem not in loaded.estimates}
    return [row.model_copy(update={"reason": reasons[row.stem]}) if row.stem in reasons else row for row in rows]


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
            truth = Audio(view.truth(stem, loaded.track), loaded.track.sample_rate)
            truth.write(folder / f"{view.truth_name(stem)}.wav", bits="float", overwrite=True)
    if task.references.mixture is not None:
        link_file(task.references.mixture, folder, "mixture")
    else:
        mixture = Audio(loaded.track.mixture, loaded.track.sample_rate)
        mixture.write(folder / "mixture.wav", bits="float", overwrite=True)
