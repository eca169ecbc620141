"""BSS Eval v4 and v3 of a track: museval's numbers from one pass over the audio.

Vincent, Gribonval and Fevotte, "Performance measurement in blind audio source separation" (2006); Stoeter, Liutkus and
Ito, "The 2018 signal separation evaluation campaign" (2018), whose package museval defines v4.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import OptionError
from .condition import MEANINGLESS
from .direct import DirectEnergies
from .energies import energies
from .levels import Levels, SilenceRule, check_silence, checked_rule, stacked
from .passes import Material, Sums, in_order, summed, worker_count
from .permutation import best_order
from .projections import Projections, projections
from .result import BssEval, Evaluation, MeaninglessFilters
from .signals import Array, Blocks, as_pair
from .windows import Plan, frames, planned

KEPT_BYTES = 320_000_000
"""Correlations of all windows that are kept; more are computed a second time instead (four stereo stems: 10 min)."""
WINDOWS_AT_ONCE = 32
MEASURES = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked for, in samples; see bss_eval."""

    window: float
    hop: float
    filters_len: int = 512
    framewise_filters: bool = False
    compute_permutation: bool = False
    silent: SilenceRule = "museval"
    regularization: float | None = None
    threads: int | None = None


def bss_eval(
    references: Any,
    estimates: Any,
    *,
    window: float,
    hop: float,
    filters_len: int = 512,
    framewise_filters: bool = False,
    compute_permutation: bool = False,
    silent: SilenceRule = "museval",
    regularization: float | None = None,
    threads: int | None = None,
) -> BssEval:
    """museval.metrics.bss_eval in a fraction of its time: (sdr, isr, sir, sar, permutation), dB, s n.

    references, estimates: s t c (or s t), numpy, torch or memory-mapped, any real type, lists of sources, or Blocks;
    computed in float64. `window` and `hop` in samples, floored as museval does; infinity takes the track at once.
    `framewise_filters` fits filters anew in every window (BSS Eval v3), else they are fitted once on the track (v4).
    `compute_permutation` finds the order of estimates with the best mean SIR.

    `silent="museval"`: one silent source makes a window NaN for all, and a source without any sound is an error.
    `"nan"`: only a silent source's own values are NaN. `"raise"`: a silent source in any window is an error.
    `regularization` (about 1e-10; museval: none) bounds the filters on band-limited material.

    Warns MeaninglessFilters where the filters are made of round-off. Raises AudioError or OptionError (ValueErrors).
    """
    settings = Settings(
        window, hop, filters_len, framewise_filters, compute_permutation, silent, regularization, threads
    )
    found = _warned(evaluated(references, estimates, settings))
    return BssEval(found.sdr, found.isr, found.sir, found.sar, found.permutation)


def evaluate(
    references: Any,
    estimates: Any,
    *,
    window: float,
    hop: float,
    filters_len: int = 512,
    framewise_filters: bool = False,
    compute_permutation: bool = False,
    silent: SilenceRule = "nan",
    regularization: float | None = None,
    threads: int | None = None,
) -> Evaluation:
    """bss_eval with its windows and a verdict on the filters; a silent source alone is NaN unless told otherwise.

    Arguments, errors and the warning as for bss_eval.
    """
    settings = Settings(
        window, hop, filters_len, framewise_filters, compute_permutation, silent, regularization, threads
    )
    return _warned(evaluated(references, estimates, settings))


def evaluated(references: Any, estimates: Any, settings: Settings) -> Evaluation:
    """`evaluate` without the warning, for callers that pass the verdict on themselves."""
    if settings.regularization is not None and not settings.regularization > 0:
        raise OptionError(f"regularization={settings.regularization}: give a number above 0, or None for none.")
    r, e = as_pair(references, estimates, settings.filters_len)
    sources = range(r.shape[0])
    every = [(i, j) for i in sources for j in sources]
    pairs = every if settings.compute_permutation else [(i, i) for i in sources]
    material = Material(
        r, e, settings.filters_len, pairs, checked_rule(settings.silent), worker_count(settings.threads)
    )
    plan = planned(frames(settings.window, settings.hop, r.shape[1]), r.shape[1], settings.filters_len)
    values, condition = _pair_values(material, plan, settings)
    order = _orders(values, settings)
    chosen = [
        [pairs.index((i, int(order[i, min(n, order.shape[1] - 1)]))) for i in sources] for n in range(len(values[0]))
    ]
    sdr, isr, sir, sar = (np.stack([one[n, chosen[n]] for n in range(len(one))], axis=1) for one in values)
    return Evaluation(sdr, isr, sir, sar, order, plan.frames, condition, _verdict(condition, settings))


def _warned(found: Evaluation) -> Evaluation:
    if found.meaningless:
        warnings.warn(found.meaningless, MeaninglessFilters, stacklevel=3)
    return found


def _pair_values(material: Material, plan: Plan, settings: Settings) -> tuple[Array, float]:
    """Measures of all pairs in all windows, 4 n p, and the worst condition."""
    count = len(plan.frames)
    bytes_each = 16 * material.rows**2 * material.lags
    keep = count * bytes_each <= KEPT_BYTES
    sums = summed(material, plan, 0, count, keep=keep, track=True)
    levels = stacked(sums.window_levels)
    assert sums.track_levels is not None
    check_silence(sums.track_levels, levels, plan.frames, material.rule)
    silent = levels.silent_pairs(material.pairs, material.rule)
    found = None
    if not settings.framewise_filters:
        found = _fitted(material, sums.track, settings)
    conditions = [found.condition] if found else [1.0]
    parts = np.empty((count, len(material.pairs), 5))
    at_once = WINDOWS_AT_ONCE if keep else max(1, min(WINDOWS_AT_ONCE, KEPT_BYTES // 2 // bytes_each))
    for first, last, correlations in _batches(material, plan, sums, keep, at_once):
        chosen = slice(first, last)
        if found is None:
            parts[chosen], worst = _framewise(material, plan, settings, correlations, first, levels, silent)
            conditions.append(worst)
        else:
            parts[chosen] = _accurate(material, plan, correlations, found, first, levels, silent)
    return _decibels(material, levels, parts, silent), max(conditions)


def _batches(material: Material, plan: Plan, sums: Sums, keep: bool, at_once: int) -> Iterator[tuple[int, int, Array]]:
    """First and last window and their correlations n y x k: those kept, or computed again."""
    for first in range(0, len(plan.frames), at_once):
        last = min(first + at_once, len(plan.frames))
        if keep:
            yield first, last, sums.windows[first:last]
        else:
            again = summed(material, plan.of_windows(first, last), first, last, keep=True, track=False)
            yield first, last, again.windows


def _fitted(material: Material, correlations: Array, settings: Settings) -> Projections:
    return projections(correlations, material.pairs, material.channels, regularization=settings.regularization)


def _accurate(
    material: Material,
    plan: Plan,
    correlations: Array,
    found: Projections,
    first: int,
    levels: Levels,
    silent: NDArray[np.bool_],
) -> Array:
    """Energies of windows from their correlations, and from the signals where that would not be exact: n p 5."""
    chosen = slice(first, first + len(correlations))
    values, doubtful = energies(correlations, levels.of(chosen), found, material.pairs)
    doubtful &= ~silent[chosen][..., None]
    windows = np.flatnonzero(doubtful.any((1, 2)))
    one_reader = isinstance(material.references, Blocks) or isinstance(material.estimates, Blocks)
    exactly = DirectEnergies(material, found)
    jobs = [partial(exactly, plan.frames[first + n], doubtful[n]) for n in windows]
    for n, exact in zip(windows, in_order(jobs, 1 if one_reader else material.threads), strict=True):
        values[n] = np.where(doubtful[n], exact, values[n])
    return values


def _framewise(
    material: Material,
    plan: Plan,
    settings: Settings,
    correlations: Array,
    first: int,
    levels: Levels,
    silent: NDArray[np.bool_],
) -> tuple[Array, float]:
    """BSS Eval v3: every window is a track of its own, with filters of its own."""
    parts = np.full((len(correlations), len(material.pairs), 5), np.nan)
    sounding = [n for n in range(len(correlations)) if not silent[first + n].all()]
    fits = in_order((partial(_fitted, material, correlations[n], settings) for n in sounding), material.threads)
    worst = 1.0
    for n, found in zip(sounding, fits, strict=True):
        parts[n] = _accurate(material, plan, correlations[n : n + 1], found, first + n, levels, silent)[0]
        worst = max(worst, found.condition)
    return parts, worst


def _decibels(material: Material, levels: Levels, parts: Array, silent: NDArray[np.bool_]) -> Array:
    """SDR, ISR, SIR and SAR of pairs: 4 n p, with museval's infinity where a denominator is zero."""
    energy = levels.references.reshape(len(parts), material.sources, material.channels).sum(2)
    target = energy[:, [reference for reference, _ in material.pairs]]
    distortion, own, interference, everything, artefacts = np.moveaxis(parts, 2, 0)
    ratios = [(target, levels.errors), (target, distortion), (own, interference), (everything, artefacts)]
    values = np.empty((MEASURES, *target.shape))
    with np.errstate(divide="ignore", invalid="ignore"):
        for value, (above, below) in zip(values, ratios, strict=True):
            value[...] = np.where(below == 0, np.inf, 10 * np.log10(above / below))
    values[:, silent] = np.nan
    return values


def _orders(values: Array, settings: Settings) -> NDArray[np.int64]:
    """The estimate for each reference: s 1, or s n where filters are framewise."""
    count = values.shape[1]
    pairs = values.shape[2]
    columns = count if settings.framewise_filters else 1
    if not settings.compute_permutation:
        return np.repeat(np.arange(pairs)[:, None], columns, axis=1)
    sources = round(pairs**0.5)
    sir = values[2].T.reshape(sources, sources, count)
    skip = settings.silent == "nan"
    if not settings.framewise_filters:
        return best_order(sir, skip_undefined=skip)[:, None]
    return np.stack([best_order(sir[:, :, n : n + 1], skip_undefined=skip) for n in range(count)], axis=1)


def _verdict(condition: float, settings: Settings) -> str | None:
    if condition < MEANINGLESS or settings.regularization is not None:
        return None
    return (
        f"The references are silent or alike in some band (condition number above {condition:.0e}), so the distortion "
        "filters are made of round-off there, and ISR, SIR and SAR mean little, museval's too; SDR is right. Evaluate "
        "at a sample rate that the material fills, or take regularization=1e-10 and say so."
    )
