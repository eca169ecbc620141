"""References and estimates as the engine reads them: arrays of any kind, memory maps, or a function that reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AudioError

Array = NDArray[np.float64]
Read = Callable[[int, int], Any]
"""Samples start to stop of all sources: -> s t c, any real type."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Signals that are read in pieces, so that a track need not fit in memory: shape s t c, and a function.

    `read(start, stop)` returns these samples of all sources (s t c). It is called from one thread, in time order except
    for some hundred samples around each cut, once or twice for a track.
    """

    shape: tuple[int, int, int]
    read: Read


@dataclass(frozen=True, slots=True)
class Stacked:
    """Arrays that are there already, one for each source (t c); slices of them are views until they are used."""

    sources: tuple[NDArray[Any], ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        samples, channels = self.sources[0].shape
        return len(self.sources), samples, channels

    def read(self, start: int, stop: int) -> list[NDArray[Any]]:
        return [source[start:stop] for source in self.sources]


Signals = Blocks | Stacked


def as_signals(value: Any, what: str) -> Signals:
    """Arrays or tensors s t c, or s t, a list of sources t c, or Blocks, without copying them.

    Raises AudioError for what is not real audio of these shapes.
    """
    if isinstance(value, Blocks):
        _check_shape(value.shape, what)
        return value
    if isinstance(value, (list, tuple)):
        sources = [_array(one, what) for one in value]
        if sources and all(one.ndim == 0 for one in sources):
            sources = [np.asarray(value)]
    else:
        array = _array(value, what)
        sources = list(array) if array.ndim > 1 else [array]
    if not sources or len({one.shape for one in sources}) > 1:
        raise AudioError(
            f"The {what} have the shapes {[one.shape for one in sources]}; give at least one source, all of one shape."
        )
    sources = [one[:, None] if one.ndim == 1 else one for one in sources]
    _check_shape((len(sources), *sources[0].shape), what)
    return Stacked(tuple(sources))


def as_pair(references: Any, estimates: Any, filters_len: int) -> tuple[Signals, Signals]:
    """Both, of one shape. Raises AudioError with what to do about unequal ones."""
    r, e = as_signals(references, "references"), as_signals(estimates, "estimates")
    if r.shape != e.shape:
        advice = (
            "pad_estimates() brings the estimates to the references' length"
            if (r.shape[0], r.shape[2]) == (e.shape[0], e.shape[2])
            else "give an estimate for every reference, with the same channels"
        )
        raise AudioError(f"The references have the shape (s t c) {r.shape} and the estimates {e.shape}; {advice}.")
    if filters_len < 1:
        raise AudioError(f"filters_len is {filters_len}; give at least 1 tap (BSS Eval takes 512).")
    return r, e


def pad_estimates(references: Any, estimates: Any) -> NDArray[Any]:
    """Estimates cut or filled with zeros to the references' length, as museval.evaluate does: s t c -> s t c."""
    length = as_signals(references, "references").shape[1]
    e = as_signals(estimates, "estimates")
    found = np.stack([np.asarray(source) for source in e.read(0, min(length, e.shape[1]))])
    return np.pad(found, [(0, 0), (0, length - found.shape[1]), (0, 0)])


def gathered(blocks: Sequence[Sequence[NDArray[Any]]], rows: Array) -> None:
    """Write sources t c of references and estimates into channel-major rows, (s c) t, as float64."""
    row = 0
    for block in blocks:
        for source in block:
            for channel in range(source.shape[1]):
                rows[row, : len(source)] = source[:, channel]
                row += 1


def _array(value: Any, what: str) -> NDArray[Any]:
    if type(value).__module__.partition(".")[0] == "torch":
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise AudioError(f"The {what} are of the type {array.dtype}; give real numbers.")
    return array


def _check_shape(shape: Sequence[int], what: str) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise AudioError(f"The {what} have the shape {tuple(shape)}; give (s t c) or (s t), none of them empty.")
