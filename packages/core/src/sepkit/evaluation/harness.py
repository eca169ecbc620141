"""Method x track x recipe: separates in processes of the methods' own, scores, and writes a row for everything.

A failure is a row with its reason. Whatever is finished in OUT is not done again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import Field

from ..audio import Audio
from ..config import Frozen
from ..data.track import Track
from ..errors import DatasetError, SepkitError
from .child import OVER_BUDGET, Child
from .measured import Measured
from .methods import Method
from .museval_json import write_windows
from .out_folder import OutFolder, TrackFolders
from .out_guard import alone_in, refuse_same_files
from .recipe import Recipe
from .resume import check_same_label, is_finished, views_in_use
from .rows import Label, Separation, cost_of
from .score import Cost, MethodFacts, Score, ScoreLog, read_scores
from .views import View, view_on
from .worker import Job, Task


class RunSettings(Frozen):
    """What holds for a whole run; scores of other datasets, seeds or qualities never share a folder."""

    dataset: str
    seed: int = 0
    quality: str = "balanced"
    device: str = "auto"
    budget_seconds: float | None = Field(default=None, gt=0)  # of compute for each track
    jobs: int = Field(default=1, ge=1)  # methods at once; with more than one they compete for time
    fresh: bool = False
    save_stems: bool = True
    uncertainty: int = Field(default=0, ge=0)  # draws of random methods for the map of their spread; needs save_stems

    @property
    def label(self) -> Label:
        return Label(dataset=self.dataset, seed=self.seed, quality=self.quality)


class Watcher(Protocol):
    """Told how a run goes; calls may come from several threads."""

    def planned(self, items: int, seconds: float) -> None:
        """So many more separations are to be made, of so many seconds of audio together."""

    def progress(self, method: str, track: str, seconds: float) -> None:
        """`method` is `seconds` into the audio of this track."""

    def finished(self, method: str, track: str, seconds: float, rows: Sequence[Score]) -> None:
        """The track, `seconds` long, is done, one way or the other."""


class Item(NamedTuple):
    """One separation to be made; `view` None is the method's own stems."""

    track: Track
    view: tuple[str, ...] | None

    @property
    def seconds(self) -> float:
        return self.track.length_samples / self.track.sample_rate


def evaluate(
    methods: Sequence[Method],
    tracks: Sequence[Track],
    recipes: Sequence[Recipe],
    out: str | Path,
    settings: RunSettings,
    watch: Watcher,
) -> list[Score]:
    """Evaluate, and return every row that OUT now holds for these tracks and recipes, also those of earlier runs.

    Writes OUT/scores.jsonl, OUT/logs/, OUT/windows/<recipe>/<method>/<track>.json for recipes with windows and, with
    `save_stems`, OUT/stems/<method>/<track>/<stem>.wav and OUT/references/<track>/. Raises OptionError where OUT holds
    scores of other settings, another run is at work, or two names would have one file, DatasetError without tracks.
    """
    if not tracks:
        raise DatasetError(f"The dataset {settings.dataset} has no track; check its folder, or --limit.")
    folder = OutFolder(Path(out), save_stems=settings.save_stems)
    with alone_in(folder.root):
        return _evaluate(methods, tracks, recipes, folder, settings, watch)


def _evaluate(
    methods: Sequence[Method],
    tracks: Sequence[Track],
    recipes: Sequence[Recipe],
    folder: OutFolder,
    settings: RunSettings,
    watch: Watcher,
) -> list[Score]:
    if settings.fresh:
        folder.clear()
    earlier = read_scores(folder.scores) if folder.scores.exists() else []
    check_same_label(earlier, settings.label, folder.root)
    refuse_same_files([*(row.track for row in earlier), *(track.name for track in tracks)], "tracks")
    refuse_same_files([*(row.method for row in earlier), *(method.name for method in methods)], "methods")
    with ScoreLog(folder.scores) as log:
        run = _Run(tracks, recipes, settings, watch, folder, log, earlier)
        try:
            run.evaluate_all([method for method in methods if not method.is_reference_point])
            # last, because they are scored on the views that the separators turned out to have
            run.evaluate_all([method for method in methods if method.is_reference_point])
        finally:
            run.close()
    names, used = {track.name for track in tracks}, {recipe.name for recipe in recipes}
    return [row for row in read_scores(folder.scores) if row.track in names and row.recipe in used]


@dataclass
class _Run:
    """One run: what was there before, and who is at work."""

    tracks: Sequence[Track]
    recipes: Sequence[Recipe]
    settings: RunSettings
    watch: Watcher
    folder: OutFolder
    log: ScoreLog
    earlier: Sequence[Score]
    children: set[Child] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def evaluate_all(self, methods: Sequence[Method]) -> None:
        """Evaluate what is not finished, `jobs` methods at once."""
        plans = [(method, self.unfinished(method)) for method in methods]
        every = [item for _, items in plans for item in items]
        self.watch.planned(len(every), sum(item.seconds for item in every))
        if self.settings.jobs == 1:
            for method, items in plans:
                self.evaluate_method(method, items)
            return
        with ThreadPoolExecutor(self.settings.jobs) as pool:
            try:
                list(pool.map(lambda plan: self.evaluate_method(*plan), plans))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.close()  # or the pool would wait for separations that nobody wants any more
                raise

    def close(self) -> None:
        """End whatever still runs and remove what was there only in passing."""
        for child in list(self.children):
            child.close()
        self.folder.remove_passing()

    def unfinished(self, method: Method) -> list[Item]:
        views: Sequence[tuple[str, ...] | None] = [None]
        if method.is_reference_point:
            views = views_in_use(read_scores(self.folder.scores))
        items = [Item(track, view) for track in self.tracks for view in views]
        budget = self.settings.budget_seconds
        return [
            item
            for item in items
            if not is_finished(
                self.earlier, method, item.track.name, self.recipes, view=item.view, budget_seconds=budget
            )
        ]

    def evaluate_method(self, method: Method, items: Sequence[Item]) -> None:
        """Separate and score in one process; once that is gone, the remaining items are rows with the reason."""
        if not items:
            return
        settings = self.settings
        job = Job(
            method=method,
            device=settings.device,
            quality=settings.quality,
            seed=settings.seed,
            uncertainty=settings.uncertainty if settings.save_stems else 0,
        )
        with self.child(job) as child:
            built = child.built()
            facts = built.facts or method.facts
            stopped, cost = built.reason, Cost(budget_seconds=settings.budget_seconds)
            for item in items:
                if stopped is None:
                    rows = self.evaluate_item(child, method, facts, item, item.view or built.stems)
                    if rows[0].cost.over_budget:
                        stopped, cost = f"not run: over budget on {item.track.name}", rows[0].cost
                    elif not child.alive:
                        stopped = f"not run: its process ended on {item.track.name}"
                else:
                    rows = Separation(settings.label, method.name, item.track, facts, cost).fail(stopped, self.recipes)
                self.record(item, rows)

    def evaluate_item(
        self, child: Child, method: Method, facts: MethodFacts, item: Item, stems: tuple[str, ...]
    ) -> list[Score]:
        """Separate and score one track; every outcome is rows."""
        budget = self.settings.budget_seconds
        separation = Separation(self.settings.label, method.name, item.track, facts, Cost(budget_seconds=budget))
        try:
            view = view_on(stems, item.track)
            if method.is_oracle and not view.complete:
                reason = "an oracle needs the references of everything in the mixture, and some are missing"
                return separation.undefined(view, reason, self.recipes)
            with self.folder.of(method, item.track, view) as folders:
                task = self.task(method, item.track, view, folders)
                answer = child.separate(
                    task, budget, lambda part: self.watch.progress(method.name, item.track.name, part * item.seconds)
                )
                cost = cost_of(answer, budget, over_budget=answer is OVER_BUDGET)
                separation = Separation(self.settings.label, method.name, item.track, facts, cost)
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
        if method.is_reference_point or self.settings.save_stems:
            for stem in view.parts:
                path = references / f"{view.truth_name(stem)}.wav"
                truths[stem] = write(path, lambda stem=stem: view.truth(stem, track), track.sample_rate)  # type: ignore[misc]
        told = truths if method.is_reference_point else {}
        return Task(track=track.name, mixture=mixture, out=str(folders.estimates), truths=told)

    def record(self, item: Item, rows: Sequence[Score]) -> None:
        with self.lock:
            if rows[0].failed:
                self.folder.forget_windows(rows[0].method, item.track.name, [recipe.name for recipe in self.recipes])
            self.log.append(rows)
        self.watch.finished(rows[0].method, item.track.name, item.seconds, rows)

    @contextmanager
    def child(self, job: Job) -> Iterator[Child]:
        child = Child(job, self.folder.log(job.method.name))
        self.children.add(child)
        try:
            yield child
        finally:
            child.close()
            self.children.discard(child)
