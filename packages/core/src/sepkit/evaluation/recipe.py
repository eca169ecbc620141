"""Recipes: everything about a score that papers leave unsaid, fixed under one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from ..config import Frozen
from ..errors import AudioError, OptionError, SepkitError, UnknownNameError, nearest
from .metrics import Array, sdr_mdx, si_sdri_windows
from .museval_engine import MEASURES, bss_eval_v4

Aggregate = Literal["mean", "median", "window_mean"]
"""Over tracks: plain mean or median of the track scores, or their mean weighted by each track's number of windows."""


class Measured(NamedTuple):
    """One number of one stem of one track; `value` None has its `reason`, `windows` counts what went into it."""

    stem: str
    metric: str
    value: float | None
    reason: str | None = None
    windows: int | None = None


class Recipe(Frozen):
    """A way to score a track: engine, windows, and how windows and tracks are put together.

    `metrics[0]` is the one that tables show first. `window_seconds` None means the whole track.
    """

    name: str
    engine: Literal["museval", "sdr_mdx", "si_sdri"]
    metrics: tuple[str, ...]
    window_seconds: float | None = None
    hop_seconds: float | None = None
    over_tracks: Aggregate = "mean"
    source: str

    @property
    def framing(self) -> tuple[float, float]:
        """Window and hop in seconds; raises OptionError for a recipe of whole tracks."""
        if self.window_seconds is None or self.hop_seconds is None:
            raise OptionError(f"The recipe {self.name!r} has no windows; give window_seconds and hop_seconds.")
        return self.window_seconds, self.hop_seconds

    def score(
        self, references: Mapping[str, Any], estimates: Mapping[str, Any], mixture: Any, sample_rate: int
    ) -> list[Measured]:
        """Score the stems that `estimates` and `references` share, in the estimates' order.

        Each is c t, the mixture too, all at `sample_rate` Hz and of one length. `accompaniment` beside finer stems is
        the same sound twice, so it is scored against vocals alone, as museval does.
        What cannot be computed is a value of None with its reason, never an exception.
        Raises AudioError where shapes differ.
        """
        stems = [stem for stem in estimates if stem in references]
        _check_shapes(references, estimates, mixture, stems)
        parts, whole = split_overlapping(stems)
        measured = self._score_partition(parts, references, estimates, mixture, sample_rate)
        if whole:
            scored = self._score_partition(whole, references, estimates, mixture, sample_rate)
            measured += [row for row in scored if row.stem == "accompaniment"]
        return measured

    def _score_partition(
        self,
        stems: list[str],
        references: Mapping[str, Any],
        estimates: Mapping[str, Any],
        mixture: Any,
        sample_rate: int,
    ) -> list[Measured]:
        if not stems:
            return []
        s = np.stack([np.asarray(references[stem], dtype=np.float64) for stem in stems])
        e = np.stack([np.asarray(estimates[stem], dtype=np.float64) for stem in stems])
        try:
            return _ENGINES[self.engine](self, stems, s, e, np.asarray(mixture, dtype=np.float64), sample_rate)
        except SepkitError as error:
            return [Measured(stem, metric, None, str(error)) for stem in stems for metric in self.metrics]


def split_overlapping(stems: list[str]) -> tuple[list[str], list[str]]:
    """Stems that partition the mixture, and the pair (vocals, accompaniment) where that overlaps the finer ones."""
    finer = [stem for stem in stems if stem != "accompaniment"]
    if "accompaniment" not in stems or finer in ([], ["vocals"]):
        return stems, []
    return finer, [stem for stem in ("vocals", "accompaniment") if stem in stems]


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; raises UnknownNameError with the nearest one."""
    if name not in RECIPES:
        raise UnknownNameError(f"No recipe is named {name!r}: {nearest(name, RECIPES)}")
    return RECIPES[name]


def aggregate(values: list[float], windows: list[int | None], how: Aggregate) -> float | None:
    """Track scores to one number; None where there is none."""
    if not values:
        return None
    if how == "median":
        return float(np.median(values))
    weights = [float(count or 1) for count in windows] if how == "window_mean" else None
    return float(np.average(values, weights=weights))


def _score_sdr_mdx(
    recipe: Recipe, stems: list[str], s: Array, e: Array, mixture: Array, sample_rate: int
) -> list[Measured]:
    del mixture, sample_rate
    return [
        _measured(stem, recipe.metrics[0], value, windows=1)
        for stem, value in zip(stems, sdr_mdx(s, e).tolist(), strict=True)
    ]


def _score_si_sdri(
    recipe: Recipe, stems: list[str], s: Array, e: Array, mixture: Array, sample_rate: int
) -> list[Measured]:
    """Mean over windows, once over all kept windows and once over those where the stem itself sounds."""
    window_seconds, hop_seconds = recipe.framing
    scores = si_sdri_windows(s, e, mixture, sample_rate, window_seconds=window_seconds, hop_seconds=hop_seconds)
    every, sounding = recipe.metrics
    rows = []
    for stem, improvement, active in zip(stems, scores.improvement, scores.active, strict=True):
        rows.append(_mean(stem, every, improvement, "no window in which two stems sound"))
        rows.append(_mean(stem, sounding, improvement[active], "the reference is silent in every window"))
    return rows


def _score_museval(
    recipe: Recipe, stems: list[str], s: Array, e: Array, mixture: Array, sample_rate: int
) -> list[Measured]:
    """Median over windows; infinite windows (a perfect estimate) are dropped, as museval's own store does."""
    del mixture
    window_seconds, hop_seconds = recipe.framing
    silent = [stem for stem, x in zip(stems, s, strict=True) if not np.any(x)]
    if silent:
        raise AudioError(f"museval takes no track with a silent reference: {', '.join(silent)}")
    scores = bss_eval_v4(
        s,
        e,
        window_samples=round(window_seconds * sample_rate),
        hop_samples=round(hop_seconds * sample_rate),
    )
    rows = []
    for index, stem in enumerate(stems):
        for metric, measure in zip(recipe.metrics, MEASURES, strict=True):
            values = scores[measure][index]
            finite = values[np.isfinite(values)]
            reason = "every window is infinite" if np.any(np.isinf(values)) else "every window has a silent stem"
            rows.append(_measured(stem, metric, float(np.median(finite)) if finite.size else None, reason, finite.size))
    return rows


def _mean(stem: str, metric: str, values: Array, reason: str) -> Measured:
    return _measured(stem, metric, float(values.mean()) if values.size else None, reason, values.size)


def _measured(stem: str, metric: str, value: float | None, reason: str = "not finite", windows: int = 0) -> Measured:
    if value is None or not np.isfinite(value):
        return Measured(stem, metric, None, reason, windows)
    return Measured(stem, metric, value, None, windows)


def _check_shapes(references: Mapping[str, Any], estimates: Mapping[str, Any], mixture: Any, stems: list[str]) -> None:
    wanted = tuple(np.shape(mixture))
    for what, group in (("reference", references), ("estimate", estimates)):
        for stem in stems:
            if tuple(np.shape(group[stem])) != wanted:
                raise AudioError(
                    f"The {what} of {stem} has the shape {tuple(np.shape(group[stem]))} and the mixture {wanted} "
                    "(c t); they must be equal."
                )


_ENGINES = {"museval": _score_museval, "sdr_mdx": _score_sdr_mdx, "si_sdri": _score_si_sdri}

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="sdr_mdx",
            engine="sdr_mdx",
            metrics=("sdr_mdx",),
            source="MDX 2021 and SDX 2023 challenges: whole track over channels, epsilon 1e-7, mean over tracks",
        ),
        Recipe(
            name="museval_v4",
            engine="museval",
            metrics=("sdr_bss4_median", "isr_bss4_median", "sir_bss4_median", "sar_bss4_median"),
            window_seconds=1.0,
            hop_seconds=1.0,
            over_tracks="median",
            source="SiSEC 2018, museval: BSS Eval v4 (images), 1 s windows, median over windows, median over tracks",
        ),
        Recipe(
            name="si_sdri_4s",
            engine="si_sdri",
            metrics=("si_sdri_4s", "si_sdri_4s_active"),
            window_seconds=4.0,
            hop_seconds=2.0,
            over_tracks="window_mean",
            source="MSDM (arXiv 2302.02257): SI-SDR improvement on 4 s windows, hop 2 s, with at least two stems "
            "sounding, mean over all windows; the _active variant drops windows in which the stem itself is silent. "
            "The protocol's epsilon gives a silent estimate 0 dB SI-SDR, so silence improves on a mixture below 0 dB",
        ),
    )
}
