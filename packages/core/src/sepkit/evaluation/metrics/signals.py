"""What every metric starts from: reference and estimate of one shape, in float64, and their energies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AudioError, OptionError

Array = NDArray[np.float64]

FEW_CHANNELS, MOST_CHANNELS = 8, 64
"""So many channels may be longer than they are many, and more than so many are samples in the wrong place."""


def pair(reference: Any, estimate: Any) -> tuple[Array, Array]:
    """Both in float64, ... c t; raises AudioError where their shapes differ, and for what `signal` refuses."""
    shapes = np.shape(reference), np.shape(estimate)
    if shapes[0] != shapes[1]:
        raise AudioError(
            f"The reference has the shape {shapes[0]} and the estimate {shapes[1]}; give equal shapes, c t last."
        )
    return signal(reference, "reference"), signal(estimate, "estimate")


def signal(value: Any, what: str) -> Array:
    """One sound in float64, ... c t; raises AudioError for what `checked` refuses."""
    return np.asarray(checked(value, what), dtype=np.float64)


def checked(value: Any, what: str) -> NDArray[np.floating[Any]]:
    """One sound as it is, ... c t. One rule for all metrics: samples are floats with full scale at 1.

    Raises AudioError for integers, since most metrics depend on the level, for anything but numbers, NaN or infinity,
    nothing at all, and for axes that are not channels and samples.
    """
    given = np.asarray(value)
    check_floats(given, what)
    if given.ndim < 2 or not given.size:
        raise AudioError(
            f"The {what} has the shape {given.shape}; give channels and samples last (c t), x[None] of mono, and at "
            "least one of each."
        )
    check_layout(given.shape, what)
    with np.errstate(invalid="ignore", over="ignore"):
        finite = np.isfinite(given.sum(dtype=np.float64))
    if not finite:
        raise AudioError(f"The {what} holds NaN, infinite or absurdly large samples; metrics of it would be too.")
    return given


def check_floats(given: NDArray[Any], what: str) -> None:
    """Raise AudioError for integers, whose full scale is not 1, and for what is no number."""
    if given.dtype.kind in "iub":
        raise AudioError(
            f"The {what} is of the type {given.dtype}; metrics take floats with full scale at 1: divide 16-bit PCM by "
            "32768, and others by half their range."
        )
    if given.dtype.kind != "f":
        raise AudioError(f"The {what} is of the type {given.dtype}; give floats with full scale at 1.")


def check_layout(shape: Sequence[int], what: str) -> None:
    """Raise AudioError where the last two axes can hardly be channels and samples."""
    channels, samples = shape[-2:]
    if channels > MOST_CHANNELS or channels > max(samples, FEW_CHANNELS):
        raise AudioError(
            f"The {what} has the shape {tuple(shape)}, so {channels} channels of {samples} samples; "
            "give channels before samples (c t): transpose it."
        )


def check_rate(sample_rate: float) -> None:
    """Raise OptionError for what is no sample rate."""
    if not sample_rate > 0:
        raise OptionError(f"The sample rate is {sample_rate}; give that of the audio in Hz, such as 44100.")


def inner(x: Array, y: Array) -> Array:
    """Sum of products over channels and samples, without an array of them: ... c t -> ..."""
    return np.asarray(np.einsum("...ct,...ct->...", x, y))


def energy(x: Array) -> Array:
    """Sum of squares over channels and samples: ... c t -> ..."""
    return inner(x, x)
