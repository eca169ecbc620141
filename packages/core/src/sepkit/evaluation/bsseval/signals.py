"""References and estimates as the engine reads them: arrays of any kind, memory maps, or a function that reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AudioError, OptionError

Array = NDArray[np.float64]
FEW_CHANNELS, MOST_CHANNELS = 8, 256
"""So many channels may be longer than they are many; equations of more than so many in all would not fit in memory."""
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
        if array.ndim in (2, 3):  # before it is cut into what may be a million sources
            _check_shape((*array.shape, 1)[:3], what)
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
    _check_types(r, e)
    if r.shape != e.shape:
        advice = (
            "pad_estimates() brings the estimates to the references' length"
            if (r.shape[0], r.shape[2]) == (e.shape[0], e.shape[2])
            else "give an estimate for every reference, with the same channels"
        )
        raise AudioError(f"The references have the shape (s t c) {r.shape} and the estimates {e.shape}; {advice}.")
    if not isinstance(filters_len, Integral) or filters_len < 1:
        raise OptionError(f"filters_len is {filters_len!r}; give a whole number of taps, at least 1 (BSS Eval: 512).")
    return r, e


def _check_types(references: Signals, estimates: Signals) -> None:
    """Ratios do not see a common level, so integers will do; integers against floats are levels 90 dB apart."""
    types = [[x.dtype for x in side.sources] for side in (references, estimates) if isinstance(side, Stacked)]
    if len({one.kind == "f" for side in types for one in side}) > 1:
        given = " and ".join(", ".join(sorted({str(one) for one in side})) for side in types)
        raise AudioError(
            f"The references and estimates are of the types {given}; give all as floats with full scale at 1 (divide "
            "16-bit PCM by 32768), or all as integers."
        )


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
    sources, samples, channels = shape
    if channels > max(samples, FEW_CHANNELS) or sources * channels > MOST_CHANNELS:
        raise AudioError(
            f"The {what} have the shape {tuple(shape)}, which is {sources} sources of {samples} samples and {channels} "
            "channels; give (s t c), sources, samples, channels: of (s c t), swap the last two axes."
        )
