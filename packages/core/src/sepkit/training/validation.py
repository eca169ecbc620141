"""Validation while training: whole tracks, scored by a recipe of the evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from ..data.opening import open_dataset
from ..errors import OptionError, nearest
from ..evaluation.recipe import find_recipe

SeparateTrack = Callable[[nn.Module, Tensor], Mapping[str, Tensor]]
"""Called with (averaged network in evaluation mode, mixture c t); returns stems by name, c t each."""


class Validation:
    """Scores an averaged network on whole tracks: the mean by stem, and the mean over stems under its metric's name.

    `specs` name datasets, of which the valid split is read at `sample_rate` Hz. The network's own stems are scored.
    """

    def __init__(
        self, specs: Sequence[str], stems: Sequence[str], sample_rate: int, recipe: str, separate: SeparateTrack
    ):
        self.stems, self.separate, self.recipe = tuple(stems), separate, find_recipe(recipe)
        self.datasets = [open_dataset(spec, split="valid", sample_rate=sample_rate) for spec in specs]

    def __call__(self, network: nn.Module) -> dict[str, float]:
        began, network = time.monotonic(), network.eval()
        by_stem: dict[str, list[float]] = {}
        for track in (track for dataset in self.datasets for track in dataset):
            view = track.view(self.stems)
            mixture = view.mixture
            estimates = self.separate(network, mixture)
            references = {stem: view.load(stem).numpy() for stem in view.stems}
            found = {stem: estimates[stem].numpy() for stem in view.stems}
            for row in self.recipe.score(references, found, mixture.numpy(), track.sample_rate):
                if row.value is not None and row.metric == self.recipe.metrics[0]:
                    by_stem.setdefault(row.stem, []).append(row.value)
        metric = self.recipe.metrics[0]
        scores = {f"{metric}/{stem}": float(np.mean(values)) for stem, values in by_stem.items()}
        scores[metric] = float(np.mean(list(scores.values())))
        return {**scores, "seconds": time.monotonic() - began}


def check_choice(specs: Sequence[str], recipe: str, metric: str | None, stems: Sequence[str]) -> None:
    """Refuse a run that could never choose a checkpoint: now, and not at its first validation or after its end.

    Raises OptionError where there is no validation data, or `metric` is no score of the recipe.
    """
    name = find_recipe(recipe).metrics[0]
    if not specs:
        raise OptionError(
            "No validation data was given, so no checkpoint would ever be chosen: add for example --valid folder:PATH."
        )
    metrics = (name, *(f"{name}/{stem}" for stem in stems))
    if metric not in metrics:
        raise OptionError(f"fit.metric is {metric!r}: {nearest(str(metric), metrics)}")
