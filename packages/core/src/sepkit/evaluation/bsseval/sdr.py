"""SDR alone: it needs no filter, so it costs as much as reading the audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .levels import Levels, SilenceRule, check_silence, checked_rule, measured, stacked
from .passes import Material, in_order, worker_count
from .signals import Array, as_pair, gathered
from .windows import Piece, frames, planned


def sdr_windows(
    references: Any,
    estimates: Any,
    *,
    window: float,
    hop: float,
    silent: SilenceRule = "nan",
    threads: int | None = None,
) -> Array:
    """SDR of BSS Eval v4 in dB per source and window, s n: the energy of the reference over that of the error.

    Arguments, silence and errors as for bss_eval, whose first array it is; the filters of BSS Eval cancel in it.
    """
    r, e = as_pair(references, estimates, 1)
    pairs = [(i, i) for i in range(r.shape[0])]
    material = Material(r, e, 1, pairs, checked_rule(silent), worker_count(threads))
    plan = planned(frames(window, hop, r.shape[1]), r.shape[1], 1)
    found: dict[int, Levels] = {}
    for piece, level in in_order(_jobs(material, plan.pieces), material.threads):
        for owner in (*piece.windows, *([-1] if piece.of_track else [])):
            found[owner] = found[owner] + level if owner in found else level
    levels = stacked([found[k] for k in range(len(plan.frames))])
    check_silence(found[-1], levels, plan.frames, material.rule)
    energy = levels.references.reshape(len(plan.frames), material.sources, material.channels).sum(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(levels.errors == 0, np.inf, 10 * np.log10(energy / levels.errors))
    values[levels.silent_pairs(pairs, material.rule)] = np.nan
    return np.ascontiguousarray(values.T)


def _jobs(material: Material, pieces: tuple[Piece, ...]) -> Iterator[Callable[[], tuple[Piece, Levels]]]:
    def job(piece: Piece, blocks: tuple[Any, Any]) -> Callable[[], tuple[Piece, Levels]]:
        def work() -> tuple[Piece, Levels]:
            rows = np.empty((2 * material.rows, piece.stop - piece.start))
            gathered(blocks, rows)
            return piece, measured(rows, (material.sources, material.channels), material.pairs, material.rule)

        return work

    for piece in pieces:
        yield job(piece, material.read(piece.start, piece.stop))
