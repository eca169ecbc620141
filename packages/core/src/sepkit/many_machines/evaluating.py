"""`sepkit evaluate --engine ray`: songs separated and scored by the workers of a cluster, into one run's folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..errors import OptionError
from ..evaluation.child import Child
from ..evaluation.harness import RunSettings, job_of
from ..evaluation.item import Item, ItemEvaluation
from ..evaluation.methods import Method
from ..evaluation.out_folder import OutFolder
from ..evaluation.recipe import Recipe
from ..evaluation.rows import Separation
from ..evaluation.score import Cost, Score
from .cluster import connected, hire, nodes_of
from .spreading import RETRIES, spread

Value = TypeVar("Value")
Result = TypeVar("Result")
Pair = tuple[Method, Item]
DIED = f"its worker died {RETRIES + 1} times, killed or out of memory"


class Evaluators:
    """Workers for runs; a context manager. The cluster is connected to at the first thing that there is to do.

    `jobs` None: as many workers as there is room for.
    """

    def __init__(self, address: str | None, jobs: int | None, device: str = "auto"):
        if device.startswith("cuda:"):
            raise OptionError(f"--device {device}: Ray deals out the GPUs; write --device cuda.")
        self._address, self._jobs, self._device = address, jobs, device
        self._stack = ExitStack()
        self._ray: Any = None

    def __enter__(self) -> Evaluators:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def evaluate(
        self, pairs: Sequence[Pair], recipes: Sequence[Recipe], folder: OutFolder, settings: RunSettings
    ) -> Iterator[tuple[Method, Item, list[Score], str]]:
        """Separate and score each pair, fitting `sepkit.evaluation.harness.Elsewhere`."""
        about = ItemSettings(settings, tuple(recipes), folder.root.absolute(), folder.save_stems)
        asked = {"cpu": False, "mps": False, "cuda": True}
        on_points = all(method.is_reference_point for method, _ in pairs)  # these never use a GPU
        gpus = False if on_points else asked.get(self._device)
        for (method, item), answer in self._spread(partial(ItemWorker, about), pairs, gpus):
            if answer is None:
                cost = Cost(budget_seconds=settings.budget_seconds)
                separation = Separation(settings.label, method.name, item.track, method.facts, cost)
                answer = separation.fail(DIED, recipes), ""
            rows, printed = answer
            yield method, item, rows, printed

    def apply(
        self,
        function: Callable[[Value], Result],
        values: Sequence[Value],
        processes: int,
        died: Callable[[Value, str], Result],
    ) -> Generator[tuple[Value, Result], None, None]:
        """As `apply_in_processes`, where this object knows how many processes there are."""
        for value, answer in self._spread(partial(_Applied, function), values, False):
            yield value, died(value, DIED) if answer is None else answer

    def _spread(self, work: Any, values: Sequence[Any], gpus: bool | None) -> Iterator[tuple[Any, Any]]:
        if values:
            if self._ray is None:
                self._ray = self._stack.enter_context(connected(self._address, self._jobs))
            crew = hire(nodes_of(self._ray), self._jobs, len(values), gpus=gpus)
            yield from spread(self._ray, work, values, crew)


@dataclass(frozen=True)
class ItemSettings:
    """What a worker needs to know of a run; its folder is one that all of them see."""

    settings: RunSettings
    recipes: tuple[Recipe, ...]
    root: Path
    save_stems: bool


class ItemWorker:
    """Evaluates items with a process for the method that it is at, as the harness does on one machine."""

    def __init__(self, about: ItemSettings):
        self._about = about
        self._folder = OutFolder(about.root, save_stems=about.save_stems)
        self._method: Method | None = None
        self._child: Child | None = None
        self._log = Path()
        self._read = 0
        settings = about.settings
        self._item = ItemEvaluation(
            about.recipes, settings.label, settings.budget_seconds, self._folder, lambda method, track, seconds: None
        )

    def __call__(self, pair: Pair) -> tuple[list[Score], str]:
        """The rows of one method on one track, and what the method printed."""
        method, item = pair
        rows = self._rows(method, item)
        printed = self._log.read_text(encoding="utf-8", errors="replace")
        new, self._read = printed[self._read :], len(printed)
        log = str(self._folder.log(method.name))
        return [_with_log(row, str(self._log), log) for row in rows], new

    def _rows(self, method: Method, item: Item) -> list[Score]:
        child = self._child_of(method)
        if not self._built.stems and self._built.reason is not None:
            settings = self._about.settings
            cost = Cost(budget_seconds=settings.budget_seconds)
            separation = Separation(settings.label, method.name, item.track, method.facts, cost)
            return separation.fail(self._built.reason, self._about.recipes)
        facts = self._built.facts or method.facts
        return self._item.rows(child, method, facts, item, item.view or self._built.stems)

    def _child_of(self, method: Method) -> Child:
        """The process of this method, a new one where another method's runs or this one's has ended."""
        if self._child is not None and self._child.alive and self._method == method:
            return self._child
        if self._child is not None:
            self._child.close()
            self._log.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(prefix="sepkit-", suffix=".log", delete=False) as file:
            self._log, self._read = Path(file.name), 0
        self._method = method
        self._child = Child(job_of(method, self._about.settings), self._log)
        self._built = self._child.built()
        return self._child


class _Applied:
    """A function as a worker."""

    def __init__(self, function: Callable[[Any], Any]):
        self._function = function

    def __call__(self, value: Any) -> Any:
        return self._function(value)


def _with_log(row: Score, own: str, final: str) -> Score:
    """A row whose reason names the log where it will be found."""
    return row if row.reason is None else row.model_copy(update={"reason": row.reason.replace(own, final)})
