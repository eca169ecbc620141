"""What a user may hand to a separator, checked at the door: audio of any kind, blocks of a stream, names of stems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from .audio import Audio, Stems
from .errors import AudioError, OptionError, UnknownNameError, nearest

SLICE_SAMPLES = 65_536
"""Blocks are copied and worked on in slices of at most this length, so a huge block needs no second huge one."""


def as_audio(mixture: Any, sample_rate: int | None, default_sample_rate: int) -> Audio:
    """A path, Audio, numpy or torch array (c t) or (t) as Audio; arrays are at `sample_rate`, or else at the default.

    Raises AudioError for anything else, and for a `sample_rate` that contradicts a file or Audio, which know their own.
    """
    if isinstance(mixture, str | Path):
        return _at_own_rate(Audio.read(mixture), sample_rate, str(mixture))
    if isinstance(mixture, Audio):
        return _at_own_rate(mixture, sample_rate, "the Audio")
    if isinstance(mixture, Stems):
        raise AudioError("separate was given Stems; wanted one mixture. Pass one of them, e.g. stems['vocals'].")
    if isinstance(mixture, Tensor | np.ndarray):
        rate = default_sample_rate if sample_rate is None else sample_rate
        return Audio(cast(Tensor, mixture), rate)  # which takes numpy arrays too
    raise AudioError(
        f"separate was given a {type(mixture).__name__}; wanted a path, a sepkit.Audio, or a numpy or torch array of "
        "shape (channels, samples) or (samples,) with its sample_rate."
    )


def _at_own_rate(audio: Audio, sample_rate: int | None, what: str) -> Audio:
    if sample_rate not in (None, audio.sample_rate):
        raise AudioError(
            f"{what} has a sample rate of {audio.sample_rate} Hz, but sample_rate={sample_rate} was given. Leave "
            "sample_rate out; to change the rate use Audio.resampled."
        )
    return audio


def as_blocks(audio: Audio) -> Iterator[Tensor]:
    """The samples of an Audio as blocks (c t)."""
    for first in range(0, audio.length_samples, SLICE_SAMPLES):
        yield audio.samples[:, first : first + SLICE_SAMPLES]


def checked_slices(blocks: Iterable[Any], channels: int) -> Iterator[Tensor]:
    """Blocks (c t) of a stream as float32 copies of bounded length: a reader may reuse its buffer for the next block.

    Raises AudioError that names the block for a wrong shape, for integers, and for NaN or infinity.
    """
    for index, block in enumerate(blocks):
        what = f"Block {index} of the stream"
        if not isinstance(block, Tensor | np.ndarray):
            raise AudioError(f"{what} is a {type(block).__name__}; wanted a numpy or torch array (c t).")
        if block.ndim == 1 and channels == 1:
            block = block[None]
        if block.ndim != 2 or block.shape[0] != channels:
            raise AudioError(f"{what} has the shape {tuple(block.shape)}; wanted ({channels}, samples).")
        floats = block.is_floating_point() if isinstance(block, Tensor) else block.dtype.kind == "f"
        if not floats:
            raise AudioError(f"{what} holds {block.dtype}; wanted floats with full scale ±1: divide by full scale.")
        for first in range(0, block.shape[1], SLICE_SAMPLES):
            part = _float32_copy(block[:, first : first + SLICE_SAMPLES])
            if not torch.isfinite(part).all():
                raise AudioError(f"{what} holds NaN or infinity; wanted finite samples. Repair the source first.")
            yield part


def _float32_copy(samples: Tensor | np.ndarray) -> Tensor:
    if isinstance(samples, Tensor):
        return samples.detach().to("cpu", torch.float32, copy=True)
    return torch.from_numpy(np.array(samples, dtype=np.float32))


def whole_number(name: str, value: Any, at_least: int | None = None) -> int:
    """`value` as an int; raises OptionError naming it unless it is a whole number of at least `at_least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or (at_least is not None and value < at_least):
        bound = "" if at_least is None else f" of at least {at_least}"
        raise OptionError(f"{name} is {value!r}; wanted a whole number{bound}.")
    return int(value)


def check_stems(stems: Sequence[str] | str | None, known: Sequence[str], method: str) -> tuple[str, ...]:
    """The stems asked for, in the order asked; all of them for None. Raises UnknownNameError naming the nearest."""
    if stems is None:
        return tuple(known)
    wanted = (stems,) if isinstance(stems, str) else tuple(stems)
    if not wanted:
        raise OptionError(f"No stems were asked for. Leave `stems` out for all of {', '.join(known)}.")
    for stem in wanted:
        if stem not in known:
            raise UnknownNameError(f"{method} has no stem {stem!r}: {nearest(str(stem), known)}")
    return tuple(dict.fromkeys(wanted))
