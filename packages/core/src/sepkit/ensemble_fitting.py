"""Weights of an ensemble by least squares: those with which its members' estimates come nearest to known stems."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .data.track import Track
from .ensemble import EnsembleSeparator
from .ensemble_config import EnsembleConfig
from .errors import DatasetError, OptionError
from .inputs import SLICE_SAMPLES
from .separator import Quality

Array = NDArray[np.float64]
SMALLEST_SHARE = 1e-6  # of the largest eigenvalue: below it two estimates are one, and share its weight


@dataclass(frozen=True)
class Products:
    """One track's stem: inner products of its m estimates (m m), and with the truth (m), over the truth's energy."""

    estimates: Array
    with_truth: Array

    def sdr(self, weights: Sequence[float]) -> float:
        """10 log10 of the truth's energy over the error's, of the estimates times these weights, in dB."""
        w = np.asarray(weights, dtype=np.float64)
        error = float(1.0 - 2.0 * w @ self.with_truth + w @ self.estimates @ w)
        return -10 * math.log10(max(error, 1e-10))


@dataclass(frozen=True)
class FittedStem:
    """A stem's weights, and mean SDRs in dB on the tracks that they were fitted on."""

    stem: str
    members: tuple[str, ...]
    weights: tuple[float, ...]
    tracks: int
    alone_db: tuple[float, ...]
    before_db: float
    after_db: float


def fit_weights(
    separator: EnsembleSeparator,
    tracks: Iterable[Track],
    *,
    seed: int = 0,
    quality: Quality = "balanced",
    facts: dict[str, Any] | None = None,
    report: Callable[[str], None] | None = None,
) -> tuple[EnsembleConfig, list[FittedStem]]:
    """The ensemble with weights that minimise the mean over tracks of error energy over the true stem's energy.

    Weights are neither held above 0 nor to a sum of 1. Stems with one member keep the weight they have, and so do those
    of which no track has a reference that sounds. `report` gets each track's name. Takes constant memory beside one
    track. Raises OptionError where no stem has two members, DatasetError where nothing could be learnt.
    """
    config = separator.config
    several = [stem for stem, route in config.routes.items() if len(route.parts) > 1]
    if not several:
        raise OptionError("No stem of this ensemble has two members, so there are no weights to fit.")
    products: dict[str, list[Products]] = defaultdict(list)
    names = []
    for track in tracks:
        if report is not None:
            report(track.name)
        names.append(track.name)
        for stem, found in products_of(separator, track, several, seed=seed, quality=quality).items():
            products[stem].append(found)
    if not any(products.values()):
        raise DatasetError(
            f"None of the {len(names)} tracks has a reference of {', '.join(several)} that sounds; give tracks that do."
        )
    fitted = [_fitted(config, stem, products[stem]) for stem in several if products[stem]]
    routes = dict(config.routes)
    for one in fitted:
        routes[one.stem] = routes[one.stem].model_copy(update={"weights": one.weights})
    stems = {one.stem: {"tracks": one.tracks, "before_db": one.before_db, "after_db": one.after_db} for one in fitted}
    record = {**(facts or {}), "quality": quality, "seed": seed, "tracks": names, "stems": stems}
    return EnsembleConfig(routes=routes, fitted=record), fitted


def products_of(
    separator: EnsembleSeparator, track: Track, stems: Sequence[str], *, seed: int = 0, quality: Quality = "balanced"
) -> dict[str, Products]:
    """The inner products of one track's stems; those without a reference, or with a silent one, are left out."""
    view = track.view(separator.info.stems)
    truths = {stem: view.load(stem) for stem in stems if stem in view.stems}
    truths = {stem: truth for stem, truth in truths.items() if truth.abs().max() > 0}
    if not truths:
        return {}
    mixture = view.mixture
    blocks = (mixture[:, first : first + SLICE_SAMPLES] for first in range(0, mixture.shape[-1], SLICE_SAMPLES))
    among: dict[str, Any] = defaultdict(float)
    across: dict[str, Any] = defaultdict(float)
    position = 0
    for heard, parts in separator.separate_parts(blocks, view.sample_rate, view.channels, seed=seed, quality=quality):
        for stem, truth in truths.items():
            estimates = torch.stack(parts[stem]).flatten(1).double()  # m (c t)
            known = truth[:, position : position + heard.shape[-1]].flatten().double()
            among[stem] += (estimates @ estimates.T).numpy()
            across[stem] += (estimates @ known).numpy()
        position += heard.shape[-1]
    return {stem: _over_energy(among[stem], across[stem], truth) for stem, truth in truths.items()}


def _over_energy(among: Array, across: Array, truth: Tensor) -> Products:
    energy = float(truth.double().square().sum())
    return Products(among / energy, across / energy)


def least_squares(products: Sequence[Products], count: int | None = None) -> tuple[float, ...]:
    """The weights of the first `count` estimates (None: all) with the least mean error over tracks.

    Estimates that are one and the same share a weight equally.
    """
    among = np.sum([one.estimates[:count, :count] for one in products], axis=0)
    across = np.sum([one.with_truth[:count] for one in products], axis=0)
    solution = np.linalg.lstsq(among, across, rcond=SMALLEST_SHARE)[0]
    return tuple(float(round(weight, 6)) for weight in solution)


def _fitted(config: EnsembleConfig, stem: str, products: Sequence[Products]) -> FittedStem:
    route = config.routes[stem]
    weights = least_squares(products)

    def mean(used: Sequence[float]) -> float:
        return round(float(np.mean([one.sdr(used) for one in products])), 3)

    alone = tuple(mean(tuple(row)) for row in np.eye(len(weights)))
    labels = tuple(part.label for part in route.parts)
    return FittedStem(stem, labels, weights, len(products), alone, mean(route.weights), mean(weights))
