"""What samples and sample rates must be to become an `Audio`, checked where it is built."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from .errors import AudioError

_LIKELY_CHANNELS = 64  # more than this, and more channels than samples: the axes are probably swapped


def checked_rate(sample_rate: Any) -> int:
    """A sample rate as an int of Hz; raises AudioError for anything but a whole number of at least 1."""
    if isinstance(sample_rate, float) and sample_rate.is_integer():
        sample_rate = int(sample_rate)
    if not isinstance(sample_rate, Integral) or isinstance(sample_rate, bool) or sample_rate < 1:
        raise AudioError(f"sample_rate={sample_rate!r} was given: a whole number of Hz, at least 1, is wanted.")
    return int(sample_rate)


def checked_samples(samples: Any, sample_rate: int) -> Tensor:
    """A copy of c t or t floats as a finite c t float32 tensor on the CPU; raises AudioError for anything else."""
    if not isinstance(samples, Tensor):
        samples = _tensor_of(samples)
    if not samples.is_floating_point():
        raise AudioError(
            f"samples of type {samples.dtype} were given: floats with full scale ±1 are wanted, so divide by the "
            "type's full scale (int16: samples / 32768)."
        )
    if samples.ndim == 1:
        samples = rearrange(samples, "t -> 1 t")
    if samples.ndim != 2 or samples.shape[0] == 0:
        raise AudioError(
            f"samples of shape {tuple(samples.shape)} were given: (channels, samples) or (samples,) is wanted."
        )
    channels, length = samples.shape
    if channels > _LIKELY_CHANNELS and channels > length:
        raise AudioError(
            f"samples of shape ({channels}, {length}) were given, which looks like (samples, channels): "
            "(channels, samples) is wanted, so pass the transpose, samples.T."
        )
    copied: Tensor = samples.detach().to("cpu", torch.float32, copy=True).contiguous()
    _refuse_non_finite(copied, sample_rate)
    return copied


def _tensor_of(samples: Any) -> Tensor:
    array = np.asarray(samples)
    if array.dtype.kind not in "fiub":
        raise AudioError(f"samples of type {array.dtype} were given: an array of real floats is wanted.")
    if array.dtype.kind == "f":
        array = array.astype(np.float32)  # a native, writable copy, as torch wants it
    tensor: Tensor = torch.from_numpy(array.copy()) if array.ndim else torch.as_tensor(array[()])
    return tensor


def _refuse_non_finite(samples: Tensor, sample_rate: int) -> None:
    # aminmax passes NaN on and, unlike isfinite over everything, needs no memory.
    if samples.numel() == 0 or all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(samples)):
        return
    bad = ~torch.isfinite(samples)
    t = int(bad.any(dim=0).nonzero()[0])
    c = int(bad[:, t].nonzero()[0])
    raise AudioError(
        f"samples hold {samples[c, t].item()} at sample {t} ({t / sample_rate:.3f} s) of channel {c}: finite samples "
        "are wanted; repair them, or cut that place out."
    )
