"""One method on one track: separated by the method's process, and scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..audio import Audio
from ..data.track import Track
from ..errors import SepkitError
from .child import OVER_BUDGET, Child
from .measured import Measured
from .methods import Method
from .museval_json import write_windows
from .out_folder import OutFolder, TrackFolders
from .recipe import Recipe
from .rows import Label, Separation, cost_of
from .score import Cost, MethodFacts, Score
from .views import View, view_on
from .worker import Task


class Item(NamedTuple):
    """One separation to be made; `view` None is the method's own stems."""

    track: Track
    view: tuple[str, ...] | None

    @property
    def seconds(self) -> float:
        return self.track.length_samples / self.track.sample_rate


@dataclass(frozen=True)
class ItemEvaluation:
    """How the items of a run are evaluated; `progress` is told method, track and seconds of its audio."""

    recipes: Sequence[Recipe]
    label: Label
    budget_seconds: float | None
    folder: OutFolder
    progress: Callable[[str, str, float], None]

    def rows(self, child: Child, method: Method, facts: MethodFacts, item: Item, stems: tuple[str, ...]) -> list[Score]:
        """Separate and score one track; every outcome is rows."""
        budget = self.budget_seconds
        separation = Separation(self.label, method.name, item.track, facts, Cost(budget_seconds=budget))
        try:
            view = view_on(stems, item.track)
            if method.is_oracle and not view.complete:
                reason = "an oracle needs the references of everything in the mixture, and some are missing"
                return separation.undefined(view, reason, self.recipes)
            with self.folder.of(method, item.track, view) as folders:
                task = self.task(method, item.track, view, folders)
                answer = child.separate(
                    task, budget, lambda part: self.progress(method.name, item.track.name, part * item.seconds)
                )
                cost = cost_of(answer, budget, over_budget=answer is OVER_BUDGET)
                separation = Separation(self.label, method.name, item.track, facts, cost)
                if answer is OVER_BUDGET:
                    return separation.fail(f"over budget (> {budget:g} s)", self.recipes)
                if answer.event == "failed":
                    return separation.fail(answer.reason or "failed", self.recipes)
                estimates = {
                    stem: Audio.read(folders.estimates / f"{stem}.wav").numpy()
                    for stem in view.stems
                    if stem in view.parts and stem in answer.stems
                }

                def keep_windows(recipe: Recipe, found: Sequence[Measured]) -> None:
                    write_windows(self.folder.windows(recipe.name, method, item.track, view), found)

                for recipe in self.recipes:  # a recipe that now has none must not keep those of before
                    self.folder.windows(recipe.name, method, item.track, view).unlink(missing_ok=True)
                return separation.score(view, estimates, self.recipes, keep_windows)
        except (SepkitError, OSError) as error:
            return separation.fail(str(error), self.recipes)

    def task(self, method: Method, track: Track, view: View, folders: TrackFolders) -> Task:
        """Write what the worker reads: the mixture, and the truths, which only reference points are told."""
        write, references = self.folder.write_once, folders.references
        mixture = write(
            references / f"{view.mixture_name(track)}.wav", lambda: view.mixture_of(track), track.sample_rate
        )
        truths = {}
        if method.is_reference_point or self.folder.save_stems:
            for stem in view.parts:
                path = references / f"{view.truth_name(stem)}.wav"
                truths[stem] = write(path, lambda stem=stem: view.truth(stem, track), track.sample_rate)  # type: ignore[misc]
        told = truths if method.is_reference_point else {}
        return Task(track=track.name, mixture=mixture, out=str(folders.estimates), truths=told)
