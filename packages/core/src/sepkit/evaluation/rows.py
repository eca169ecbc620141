"""The rows of one separation: its scores under every recipe, or why there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import Frozen
from ..data.track import Track
from .measured import Material, Measured
from .recipe import Recipe
from .score import EVERY_STEM, Cost, MethodFacts, Score, now
from .views import View
from .worker import Answer


class Label(Frozen):
    """What all rows of one run share."""

    dataset: str
    seed: int = 0
    quality: str = "balanced"


KeepWindows = Callable[[Recipe, Sequence[Measured]], None]


@dataclass(frozen=True)
class Separation:
    """What was separated by whom: the part of a row that does not depend on the recipe."""

    label: Label
    method: str
    track: Track
    facts: MethodFacts
    cost: Cost

    def score(
        self,
        view: View,
        estimates: Mapping[str, Any],
        recipes: Sequence[Recipe],
        keep_windows: KeepWindows | None = None,
    ) -> list[Score]:
        """A row for every stem of the view and metric of every recipe; estimates: name -> c t.

        `keep_windows` is told what each recipe with windows measured. Raises AudioError where an estimate has not the
        mixture's shape.
        """
        truths = {stem: np.asarray(view.truth(stem, self.track)) for stem in view.parts}
        mixture = np.asarray(view.mixture_of(self.track))
        material = Material(truths, estimates, mixture, self.track.sample_rate, complete=view.complete)
        rows = []
        for recipe in recipes:
            common = {**self._common(recipe), "mixture": view.mixture, "view": view.stems}
            found = recipe.measure(material)
            if keep_windows is not None and any(one.frames is not None for one in found):
                keep_windows(recipe, found)
            for one in found:
                rows.append(Score(**common, truth=view.truth_name(one.stem), **_columns(one)))
            for stem in view.stems:
                if stem not in estimates:
                    reason = view.why_absent(stem) if stem in view.absent else f"the method returned no {stem}"
                    rows += [Score(**common, stem=stem, metric=m, value=None, reason=reason) for m in recipe.metrics]
        return rows

    def undefined(self, view: View, reason: str, recipes: Sequence[Recipe]) -> list[Score]:
        """A row for every stem of the view and metric of every recipe that says why there is no value."""
        rows = []
        for recipe in recipes:
            common = {**self._common(recipe), "mixture": view.mixture, "view": view.stems}
            for stem in view.stems:
                rows += [Score(**common, stem=stem, metric=m, value=None, reason=reason) for m in recipe.metrics]
        return rows

    def fail(self, reason: str, recipes: Sequence[Recipe]) -> list[Score]:
        """One row for each recipe that says why there are no others."""
        return [
            Score(**self._common(recipe), stem=EVERY_STEM, metric=recipe.metrics[0], value=None, reason=reason)
            for recipe in recipes
        ]

    def _common(self, recipe: Recipe) -> dict[str, Any]:
        return {
            **self.label.model_dump(),
            "method": self.method,
            "track": self.track.name,
            "recipe": recipe.name,
            "facts": self.facts,
            "cost": self.cost,
            "at": now(),
        }


def _columns(one: Measured) -> dict[str, Any]:
    columns = one._asdict()
    del columns["frames"]
    return columns


def cost_of(answer: Answer, budget_seconds: float | None, *, over_budget: bool) -> Cost:
    """What the worker measured, as the rows carry it."""
    return Cost(
        audio_seconds=answer.audio_seconds,
        compute_seconds=answer.compute_seconds,
        peak_memory_megabytes=answer.peak_memory_megabytes,
        baseline_megabytes=answer.baseline_megabytes,
        peak_device_megabytes=answer.peak_device_megabytes,
        device=answer.device,
        threads=answer.threads,
        budget_seconds=budget_seconds,
        over_budget=over_budget,
    )
