"""One pass over a track: pieces are read in order, worked on by threads and summed in order.

Sums are made in the plan's order, whatever the number of threads, so results do not depend on it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from .correlations import piece_correlations, piece_rows, seam_correlations
from .levels import Levels, SilenceRule, measured
from .signals import Array, Signals, gathered
from .windows import Piece, Plan, Seam

SEAMS_AT_ONCE = 32
MOST_THREADS = 8
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Material:
    """What is evaluated, and how: the signals, the taps of the filters, the pairs (reference, estimate), the rule."""

    references: Signals
    estimates: Signals
    lags: int
    pairs: list[tuple[int, int]]
    rule: SilenceRule
    threads: int

    @property
    def sources(self) -> int:
        return self.references.shape[0]

    @property
    def channels(self) -> int:
        return self.references.shape[2]

    @property
    def rows(self) -> int:
        """Channels of all references, and so of all estimates."""
        return self.sources * self.channels

    def read(self, start: int, stop: int) -> tuple[Any, Any]:
        return self.references.read(start, stop), self.estimates.read(start, stop)


@dataclass(slots=True)
class Sums:
    """Correlations (y x k) and levels of the track and of some windows."""

    track: Array
    windows: Array  # n y x k
    track_levels: Levels | None
    window_levels: list[Levels]


def worker_count(threads: int | None) -> int:
    """As many as asked for, else as cores this process may use, eight at most."""
    if threads is not None:
        return max(1, threads)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_THREADS)


def in_order(jobs: Iterable[Callable[[], Result]], threads: int) -> Iterator[Result]:
    """Results of jobs, in their order; at most two per thread are under way, which bounds memory."""
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Result]] = deque()
        for job in jobs:
            pending.append(pool.submit(job))
            while len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def summed(material: Material, plan: Plan, first: int, last: int, *, keep: bool, track: bool) -> Sums:
    """Correlations and levels of windows first to last - 1 (where `keep`) and of the track (where `track`)."""
    shape = (2 * material.rows, material.rows, material.lags)
    windows = np.zeros((last - first if keep else 0, *shape))
    whole = np.zeros(shape if track else (0, 0, 0))
    levels: dict[int, Levels] = {}  # -1 is the track's
    for part, correlations, level in in_order(_jobs(material, plan), material.threads):
        for window in part.windows if keep else ():
            windows[window - first] += correlations
        if part.of_track and track:
            whole += correlations
        if level is not None:
            for owner in (*part.windows, *([-1] if part.of_track else [])):
                levels[owner] = levels[owner] + level if owner in levels else level
    return Sums(whole, windows, levels.get(-1), [levels[k] for k in range(first, last)])


Part = tuple[Piece | Seam, Array, Levels | None]


def _jobs(material: Material, plan: Plan) -> Iterator[Callable[[], Part]]:
    for piece in plan.pieces:
        yield _piece_job(material, piece, material.read(piece.start, piece.stop))
    for _, seams in groupby(plan.seams, key=lambda seam: (seam.windows, seam.of_track)):
        same = list(seams)
        for start in range(0, len(same), SEAMS_AT_ONCE):
            yield _seam_job(material, same[start : start + SEAMS_AT_ONCE])


def _piece_job(material: Material, piece: Piece, blocks: tuple[Any, Any]) -> Callable[[], Part]:
    def work() -> Part:
        length, x = piece.stop - piece.start, material.rows
        rows = piece_rows(blocks, length, material.lags, x, 2 * x)
        shape = (material.sources, material.channels)
        level = measured(rows[:, :length], shape, material.pairs, material.rule)
        return piece, piece_correlations(rows, length, material.lags, x), level

    return work


def _seam_job(material: Material, seams: list[Seam]) -> Callable[[], Part]:
    reach, x = material.lags - 1, material.rows
    around = np.zeros((len(seams), 2 * x, 2 * reach))
    for rows, seam in zip(around, seams, strict=True):
        low, high = max(seam.low, seam.cut - reach), min(seam.high, seam.cut + reach)
        gathered(material.read(low, high), rows[:, low - seam.cut + reach :])

    def work() -> Part:
        tails, heads = around[:, :x, :reach], around[:, :, reach:]
        return seams[0], seam_correlations(tails, heads, material.lags), None

    return work
