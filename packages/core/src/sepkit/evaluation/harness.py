"""Method x track x recipe: separates in processes of the methods' own, scores, and writes a row for everything.

A failure is a row with its reason. Whatever is finished in OUT is not done again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import Field

from ..config import Frozen
from ..data.track import Track
from ..errors import DatasetError
from .child import Child
from .item import Item, ItemEvaluation
from .methods import Method
from .out_folder import OutFolder
from .out_guard import alone_in, refuse_same_files
from .recipe import Recipe
from .resume import check_same_label, is_finished, views_in_use
from .rows import Label, Separation
from .score import Cost, Score, ScoreLog, read_scores
from .worker import Job


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


Elsewhere = Callable[
    [Sequence[tuple[Method, Item]], Sequence[Recipe], OutFolder, RunSettings],
    Iterator[tuple[Method, Item, list[Score], str]],
]
"""Others that separate and score: for each pair, in any order, its rows, and what the method printed meanwhile."""


def job_of(method: Method, settings: RunSettings) -> Job:
    """What the method's process is told."""
    return Job(
        method=method,
        device=settings.device,
        quality=settings.quality,
        seed=settings.seed,
        uncertainty=settings.uncertainty if settings.save_stems else 0,
    )


class Watcher(Protocol):
    """Told how a run goes; calls may come from several threads."""

    def planned(self, items: int, seconds: float) -> None:
        """So many more separations are to be made, of so many seconds of audio together."""

    def progress(self, method: str, track: str, seconds: float) -> None:
        """`method` is `seconds` into the audio of this track."""

    def finished(self, method: str, track: str, seconds: float, rows: Sequence[Score]) -> None:
        """The track, `seconds` long, is done, one way or the other."""


def evaluate(
    methods: Sequence[Method],
    tracks: Sequence[Track],
    recipes: Sequence[Recipe],
    out: str | Path,
    settings: RunSettings,
    watch: Watcher,
    elsewhere: Elsewhere | None = None,
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
        return _evaluate(methods, tracks, recipes, folder, settings, watch, elsewhere)


def _evaluate(
    methods: Sequence[Method],
    tracks: Sequence[Track],
    recipes: Sequence[Recipe],
    folder: OutFolder,
    settings: RunSettings,
    watch: Watcher,
    elsewhere: Elsewhere | None,
) -> list[Score]:
    if settings.fresh:
        folder.clear()
    earlier = read_scores(folder.scores) if folder.scores.exists() else []
    check_same_label(earlier, settings.label, folder.root)
    refuse_same_files([*(row.track for row in earlier), *(track.name for track in tracks)], "tracks")
    refuse_same_files([*(row.method for row in earlier), *(method.name for method in methods)], "methods")
    with ScoreLog(folder.scores) as log:
        run = _Run(tracks, recipes, settings, watch, folder, log, earlier, elsewhere)
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
    elsewhere: Elsewhere | None = None
    children: set[Child] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def evaluate_all(self, methods: Sequence[Method]) -> None:
        """Evaluate what is not finished, `jobs` methods at once."""
        plans = [(method, self.unfinished(method)) for method in methods]
        every = [item for _, items in plans for item in items]
        self.watch.planned(len(every), sum(item.seconds for item in every))
        if self.elsewhere is not None:
            self.evaluate_elsewhere([(method, item) for method, items in plans for item in items])
            return
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

    def evaluate_elsewhere(self, pairs: Sequence[tuple[Method, Item]]) -> None:
        """Have others separate and score; what they print goes to the methods' logs here."""
        assert self.elsewhere is not None
        begun: set[Path] = set()
        for method, item, rows, printed in self.elsewhere(pairs, self.recipes, self.folder, self.settings):
            log = self.folder.log(method.name)
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a" if log in begun else "w", encoding="utf-8") as file:
                file.write(printed)
            begun.add(log)
            self.record(item, rows)

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

    @property
    def item_evaluation(self) -> ItemEvaluation:
        settings = self.settings
        return ItemEvaluation(self.recipes, settings.label, settings.budget_seconds, self.folder, self.watch.progress)

    def evaluate_method(self, method: Method, items: Sequence[Item]) -> None:
        """Separate and score in one process; once that is gone, the remaining items are rows with the reason."""
        if not items:
            return
        settings, one = self.settings, self.item_evaluation
        with self.child(job_of(method, settings)) as child:
            built = child.built()
            facts = built.facts or method.facts
            stopped, cost = built.reason, Cost(budget_seconds=settings.budget_seconds)
            for item in items:
                if stopped is None:
                    rows = one.rows(child, method, facts, item, item.view or built.stems)
                    if rows[0].cost.over_budget:
                        stopped, cost = f"not run: over budget on {item.track.name}", rows[0].cost
                    elif not child.alive:
                        stopped = f"not run: its process ended on {item.track.name}"
                else:
                    rows = Separation(settings.label, method.name, item.track, facts, cost).fail(stopped, self.recipes)
                self.record(item, rows)

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
