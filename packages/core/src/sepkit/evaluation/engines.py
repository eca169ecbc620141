"""The engines of recipes: stems of one track to numbers, each by one family of metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import AudioError, SepkitError
from .bss_engine import BssWindows, bss_windows
from .measured import Frames, Material, Measured
from .metrics import (
    Array,
    bleed_fullness,
    compute_announced,
    l1_freq,
    log_wmse,
    mrstft,
    sdr_bss4,
    sdr_mdx,
    si_sdr,
    si_sdri_windows,
    windows,
)
from .museval_engine import bss_eval_v4
from .museval_json import median_over_windows

if TYPE_CHECKING:
    from .recipe import Recipe

Engine = Callable[["Recipe", Sequence[str], Material], list[Measured]]
WholeTrack = dict[tuple[str, ...], Callable[[Array, Array, Material], Sequence[Any]]]

NEEDS_ALL = "needs the reference and the estimate of every part of the mixture, and some are missing"
SILENT_REFERENCE = (
    "the reference is silent: the value says how much sound was left, by the formula's epsilon, and counts in the means"
)


def score_whole_track(recipe: Recipe, stems: Sequence[str], material: Material) -> list[Measured]:
    """One number for each stem and metric, over the whole track."""
    rows = []
    for stem in stems:
        reference = np.asarray(material.references[stem], dtype=np.float64)
        estimate = np.asarray(material.estimates[stem], dtype=np.float64)
        found: dict[str, Measured] = {}
        for names, compute in {**WHOLE_TRACK, **_of_plugins(recipe.metrics)}.items():
            wanted = [name for name in names if name in recipe.metrics]
            try:
                values = dict(zip(names, compute(reference, estimate, material), strict=True)) if wanted else {}
                found |= {name: measured(stem, name, float(values[name]), windows=1) for name in wanted}
            except SepkitError as error:
                found |= {name: Measured(stem, name, None, str(error)) for name in wanted}
        if "sdr_mdx" in found and found["sdr_mdx"].value is not None and not np.any(reference):
            found["sdr_mdx"] = found["sdr_mdx"]._replace(note=SILENT_REFERENCE)
        rows += [found[metric] for metric in recipe.metrics]
    return rows


def _of_plugins(metrics: Sequence[str]) -> WholeTrack:
    """The metrics of a recipe that are not sepkit's own; whatever is wrong with a plugin shows when it is computed."""
    own = {name for names in WHOLE_TRACK for name in names}

    def of(name: str) -> Callable[[Array, Array, Material], Sequence[Any]]:
        return lambda s, e, of: (compute_announced(name, s, e, np.asarray(of.mixture, np.float64), of.sample_rate),)

    return {(name,): of(name) for name in metrics if name not in own}


def score_si_sdri(recipe: Recipe, stems: Sequence[str], material: Material) -> list[Measured]:
    """Mean over windows, once over all kept windows and once over those where the stem itself sounds."""
    if not material.covered:  # the windows that count are those in which two stems sound, of all
        return [Measured(stem, metric, None, NEEDS_ALL) for stem in stems for metric in recipe.metrics]
    window_seconds, hop_seconds = recipe.framing
    rate, (s, e) = material.sample_rate, material.of(stems)
    scores = si_sdri_windows(s, e, material.mixture, rate, window_seconds=window_seconds, hop_seconds=hop_seconds)
    spans = list(windows(np.shape(material.mixture)[-1], round(window_seconds * rate), round(hop_seconds * rate)))
    starts = tuple(start / rate for start, _ in spans)
    durations = tuple((stop - start) / rate for start, stop in spans)

    def framed(values: Array, where: Any) -> Frames:
        every = np.full(len(spans), np.nan)
        every[scores.kept[where]] = values[where]
        return Frames(starts, durations, tuple(every.tolist()))

    every, sounding = recipe.metrics
    rows = []
    for stem, improvement, active in zip(stems, scores.improvement, scores.active, strict=True):
        always = np.ones_like(active)
        none = "no window in which two stems sound"
        rows.append(_mean(stem, every, improvement, none, framed(improvement, always)))
        silent = "the reference is silent in every window"
        rows.append(_mean(stem, sounding, improvement[active], silent, framed(improvement, active)))
    return rows


def score_bss4(recipe: Recipe, stems: Sequence[str], material: Material) -> list[Measured]:
    """Median over windows as museval's store takes it: 5 decimals, infinite windows (a perfect estimate) dropped."""
    window_seconds, hop_seconds = recipe.framing
    found = _bss4_once(recipe, stems, material)
    rows = []
    for index, stem in enumerate(stems):
        for metric, values in ((metric, getattr(found, metric.partition("_")[0])) for metric in recipe.metrics):
            if values is None:
                rows.append(Measured(stem, metric, None, NEEDS_ALL))
                continue
            one = values[index]
            value, count = median_over_windows(one.tolist())
            reason = "every window is infinite" if np.any(np.isinf(one)) else "every window has a silent stem"
            starts = tuple(number * hop_seconds for number in range(one.size))
            frames = Frames(starts, (window_seconds,) * one.size, tuple(one.tolist()))
            note = found.note if value is not None and not metric.startswith("sdr") else None  # SDR has no filter
            rows.append(measured(stem, metric, value, reason, count)._replace(frames=frames, note=note))
    return rows


def _bss4_once(recipe: Recipe, stems: Sequence[str], material: Material) -> BssWindows:
    """The windows of these stems, computed once for all recipes that ask for the same."""
    rate = material.sample_rate
    window_samples, hop_samples = (round(seconds * rate) for seconds in recipe.framing)
    key = (recipe.engine, tuple(stems), window_samples, hop_samples, recipe.silent, material.covered)
    if key not in material.results:
        s, e = material.of(stems)
        if recipe.silent == "museval":
            _check_sounds(stems, s, "reference")
            _check_sounds(stems, e, "estimate")
        framing = {"window_samples": window_samples, "hop_samples": hop_samples}
        if not material.covered:
            material.results[key] = BssWindows(sdr_bss4(s, e, silent=recipe.silent, **framing), None, None, None)
        elif recipe.engine == "museval":
            material.results[key] = bss_eval_v4(s, e, **framing)
        else:
            material.results[key] = bss_windows(s, e, silent=recipe.silent, **framing)
    found: BssWindows = material.results[key]
    return found


def _check_sounds(stems: Sequence[str], sounds: Sequence[Array], what: str) -> None:
    silent = [stem for stem, one in zip(stems, sounds, strict=True) if not np.any(one)]
    if silent:
        raise AudioError(f"museval refuses a track with a silent {what}: {', '.join(silent)}")


def _si_sdr(s: Array, e: Array, material: Material) -> Sequence[Any]:
    if not np.any(s):
        raise AudioError("the reference is silent")
    return (si_sdr(s, e),)


def _mean(stem: str, metric: str, values: Array, reason: str, frames: Frames) -> Measured:
    value = float(values.mean()) if values.size else None
    return measured(stem, metric, value, reason, values.size)._replace(frames=frames)


def measured(stem: str, metric: str, value: float | None, reason: str = "not finite", windows: int = 0) -> Measured:
    """A number, or its reason where it is none."""
    if value is None or not np.isfinite(value):
        return Measured(stem, metric, None, reason, windows)
    return Measured(stem, metric, value, None, windows)


WHOLE_TRACK: WholeTrack = {
    ("sdr_mdx",): lambda s, e, _: (sdr_mdx(s, e),),
    ("si_sdr",): _si_sdr,
    ("log_wmse",): lambda s, e, of: (log_wmse(s, e, of.mixture, of.sample_rate),),
    ("l1_freq",): lambda s, e, _: (l1_freq(s, e),),
    ("bleedless", "fullness"): lambda s, e, of: bleed_fullness(s, e, of.sample_rate),
    ("mrstft",): lambda s, e, _: (mrstft(s, e),),
}
"""Metrics that one computation yields, and that computation: (reference c t, estimate c t, material) -> numbers."""

ENGINES: dict[str, Engine] = {
    "whole_track": score_whole_track,
    "si_sdri": score_si_sdri,
    "bsseval": score_bss4,
    "museval": score_bss4,
}
