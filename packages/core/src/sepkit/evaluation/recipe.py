"""Recipes: everything about a score that papers leave unsaid, fixed under one name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ..config import Frozen
from ..errors import AudioError, OptionError, PluginError, SepkitError, UnknownNameError, nearest
from ..plugins import announced, sources, visible_fault
from .engines import ENGINES
from .measured import PAIR, Material, Measured
from .metrics import LEVEL_FREE, METRICS, SilenceRule, list_metrics
from .metrics.plugins import GROUP as METRICS_GROUP

Aggregate = Literal["mean", "median", "window_mean"]
"""Over tracks: plain mean or median of the track scores, or their mean weighted by each track's number of windows."""


class Recipe(Frozen):
    """A way to score a track: engine, windows, and how windows and tracks are put together.

    `metrics[0]` is the one that tables show first. `window_seconds` None means the whole track. `silent` says which
    windows have no number: those in which any stem is silent, for all stems (museval), or each stem's own silent ones
    (nan). `stems` are those that the recipe scores, None all; accompaniment is then the sum of all but the vocals.
    """

    name: str
    engine: Literal["bsseval", "museval", "whole_track", "si_sdri"]
    metrics: tuple[str, ...]
    window_seconds: float | None = None
    hop_seconds: float | None = None
    over_tracks: Aggregate = "mean"
    silent: SilenceRule = "museval"
    stems: tuple[str, ...] | None = None
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
        """Score the stems that `estimates` and `references` share, which are all that sounds in the mixture.

        Each is c t, the mixture too, all at `sample_rate` Hz and of one length. See `measure`. Raises AudioError where
        shapes differ or are no c t, and where the two have no stem in common.
        """
        material = Material(references, estimates, mixture, sample_rate)
        if not material.stems:
            given, wanted = (", ".join(group) or "none" for group in (estimates, references))
            raise AudioError(
                f"The references ({wanted}) and the estimates ({given}) have no stem in common; give them equal names."
            )
        return self.measure(material)

    def measure(self, material: Material) -> list[Measured]:
        """Every metric of every stem of the material, in the estimates' order.

        `accompaniment` beside finer stems is the same sound twice, so it is scored against vocals alone, and under BSS
        Eval so are the vocals, as museval does. What cannot be computed is a value of None with its reason, never an
        exception.
        """
        chosen = material if self.stems is None else material.as_pair()
        parts, pair = split_overlapping(chosen.stems)
        found = self._of_each(parts, chosen)
        if pair:
            scored = self._of_each(pair, chosen)
            taken = pair if self.engine in ("bsseval", "museval") else ["accompaniment"]
            found.update({stem: scored[stem] for stem in taken})
        reason = f"the recipe {self.name} scores {' and '.join(self.stems or ())} only"
        left_out = [Measured("", metric, None, reason) for metric in self.metrics]
        rows = [
            row for stem in material.stems for row in found.get(stem) or [one._replace(stem=stem) for one in left_out]
        ]
        return [self._with_level_note(row, material) for row in rows]

    def _with_level_note(self, row: Measured, material: Material) -> Measured:
        if row.value is None or row.metric in LEVEL_FREE or material.level_note is None:
            return row
        return row._replace(note="; ".join(note for note in (row.note, material.level_note) if note))

    def _of_each(self, stems: Sequence[str], material: Material) -> dict[str, list[Measured]]:
        if not stems:
            return {}
        try:
            rows = ENGINES[self.engine](self, stems, material)
        except SepkitError as error:
            rows = [Measured(stem, metric, None, str(error)) for stem in stems for metric in self.metrics]
        return {stem: [row for row in rows if row.stem == stem] for stem in stems}


def split_overlapping(stems: Sequence[str]) -> tuple[list[str], list[str]]:
    """Stems that partition the mixture, and the pair (vocals, accompaniment) where that overlaps the finer ones."""
    finer = [stem for stem in stems if stem != "accompaniment"]
    if "accompaniment" not in stems or finer in ([], ["vocals"]):
        return list(stems), []
    return finer, [stem for stem in PAIR if stem in stems]


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; raises UnknownNameError with the nearest one, or with the new name of an old one.

    The metric of a plugin is a recipe of its own name, which is not imported before it scores: over the whole track,
    mean over tracks. Raises PluginError for one that is visibly broken.
    """
    if name in RENAMED:
        raise UnknownNameError(
            f"The recipe {name!r} is now called {RENAMED[name]}; its metric keeps the name {name!r}."
        )
    if name in RECIPES:
        return RECIPES[name]
    points = announced(METRICS_GROUP).get(name, []) if name not in METRICS else []
    if points:
        if fault := visible_fault(name, points):
            raise PluginError(f"The metric {name!r} of {sources(points)} is broken: {fault}. Repair or uninstall it.")
        where = f"the metric {name} of {sources(points)}, over the whole track; mean over tracks"
        return Recipe(name=name, engine="whole_track", metrics=(name,), source=where)
    raise UnknownNameError(f"No recipe is named {name!r}: {nearest(name, recipe_names())}")


def recipe_names() -> list[str]:
    """The names that `find_recipe` takes: sepkit's recipes, then the metrics of plugins; imports no plugin."""
    return [*RECIPES, *(name for name in list_metrics() if name not in METRICS and name not in RECIPES)]


def aggregate(values: list[float], windows: list[int | None], how: Aggregate) -> float | None:
    """Track scores to one number; None where there is none."""
    if not values:
        return None
    if how == "median":
        return float(np.median(values))
    weights = [float(count or 1) for count in windows] if how == "window_mean" else None
    return float(np.average(values, weights=weights))


BSS4 = ("sdr_bss4_median", "isr_bss4_median", "sir_bss4_median", "sar_bss4_median")
_SECONDS: dict[str, Any] = {"window_seconds": 1.0, "hop_seconds": 1.0, "over_tracks": "median"}

RENAMED = {"sdr_mdx": "'sdx23' (or 'mdx21')", "si_sdri_4s": "'msdm_slakh'"}
"""Recipes that went by the name of their metric."""

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="sdx23",
            engine="whole_track",
            metrics=("sdr_mdx",),
            source="SDX 2023 challenge (arXiv 2308.06979): SDR of the whole track over channels, epsilon 1e-7, mean "
            "over tracks",
        ),
        Recipe(
            name="mdx21",
            engine="whole_track",
            metrics=("sdr_mdx",),
            source="MDX 2021 challenge (arXiv 2108.13559): SDR of the whole track over channels, epsilon 1e-7, mean "
            "over tracks; the same number as sdx23",
        ),
        Recipe(
            name="musdb18",
            engine="bsseval",
            metrics=BSS4,
            **_SECONDS,
            source="MUSDB18 tables, as museval 0.4 computes them: BSS Eval v4 (images, filters of 512 taps fitted once "
            "on the track), 1 s windows, median over windows, median over tracks",
        ),
        Recipe(
            name="sisec18",
            engine="bsseval",
            metrics=BSS4,
            **_SECONDS,
            source="SiSEC 2018 (arXiv 1804.06267) and its published analysis: BSS Eval v4, 1 s windows, median over a "
            "track's windows, median over tracks; the same numbers as musdb18",
        ),
        Recipe(
            name="ismir22_1s",
            engine="bsseval",
            metrics=BSS4,
            **_SECONDS,
            stems=PAIR,
            source="Plaja-Roglans et al., ISMIR 2022: BSS Eval v4 of vocals against accompaniment, 1 s windows and "
            "hop, median over windows, median over tracks",
        ),
        Recipe(
            name="msdm_slakh",
            engine="si_sdri",
            metrics=("si_sdri_4s", "si_sdri_4s_active"),
            window_seconds=4.0,
            hop_seconds=2.0,
            over_tracks="window_mean",
            silent="nan",
            source="MSDM (arXiv 2302.02257): SI-SDR improvement on 4 s windows, hop 2 s, with at least two stems "
            "sounding, mean over all windows; the _active variant drops windows in which the stem itself is silent. "
            "The protocol's epsilon gives a silent estimate 0 dB SI-SDR, so silence improves on a mixture below 0 dB",
        ),
        Recipe(
            name="beyond_sdr",
            engine="whole_track",
            metrics=("log_wmse", "si_sdr", "bleedless", "fullness", "l1_freq", "mrstft"),
            source="what community trainers (Music-Source-Separation-Training) and studies of generative separators "
            "(arXiv 2507.11427) report beside SDR, over the whole track: logWMSE, SI-SDR, bleedless, fullness, L1Freq, "
            "multi-resolution STFT loss (lower is better); mean over tracks",
        ),
        Recipe(
            name="museval_v4",
            engine="museval",
            metrics=BSS4,
            **_SECONDS,
            source="the museval package itself, the reference for musdb18: the same numbers, 20 to 30 times slower",
        ),
    )
}
