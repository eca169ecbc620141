"""Sample rate conversion with soxr: exact lengths, and the same bits however the input was cut."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any, TypeVar

import numpy as np
import soxr
import torch
from einops import rearrange
from torch import Tensor

from .errors import AudioError

Block = TypeVar("Block", np.ndarray, Tensor)

_QUALITY = "VHQ"
_PIECE_SAMPLES = 65_536  # soxr keeps what one call brings in several double-precision buffers


def resampled_length(length_samples: int, in_rate: int, out_rate: int) -> int:
    """`round(length_samples * out_rate / in_rate)` without float error; a half goes to the even neighbour."""
    return round(Fraction(length_samples * out_rate, in_rate))


class StreamResampler:
    """Converts a stream from `in_rate` to `out_rate` (Hz) block by block, aligned in time (no delay).

    Linear phase, soxr's very high quality, no dither. What lies above the lower of the two Nyquist frequencies is
    removed. A round trip returns what lies below half of it with an error under -110 dB of the peak, and up to 91 %
    of it under -60 dB (a passband ripple of a few thousandths of a dB, no phase error), except near the ends, beyond
    which silence is assumed. Equal rates pass the bits through.
    """

    def __init__(self, in_rate: int, out_rate: int, channels: int):
        if min(in_rate, out_rate, channels) < 1:
            raise AudioError(f"cannot resample {channels} channels from {in_rate} to {out_rate} Hz: all must be ≥ 1.")
        self.in_rate = in_rate
        self.out_rate = out_rate
        self.channels = channels
        self.received_samples = 0
        self.delivered_samples = 0
        self._stream = None
        if in_rate != out_rate:
            self._stream = soxr.ResampleStream(in_rate, out_rate, channels, dtype="float32", quality=_QUALITY)
        self._finished = False
        self._as_tensor = True

    def push(self, block: Block) -> Block:
        """Take the next c t samples; return those that are ready, c t, as the same kind of array (possibly empty)."""
        if self._finished:
            raise RuntimeError("this resampler has finished: make a new one for another stream")
        samples = self._taken(block)
        self.received_samples += len(samples)
        ready: Block = self._given(self._converted(samples))
        return ready

    def finish(self, length_samples: int | None = None) -> Any:
        """The rest, c t, which makes the whole output `length_samples` long (None: `resampled_length` of the input).

        The input is taken to be silent after its end. Raises AudioError for a length that is already exceeded.
        """
        if length_samples is None:
            length_samples = resampled_length(self.received_samples, self.in_rate, self.out_rate)
        wanted = length_samples - self.delivered_samples
        if wanted < 0:
            raise AudioError(
                f"{self.delivered_samples} samples are delivered already, and {length_samples} were wanted in all: "
                f"{self.received_samples} samples came in, so ask for about "
                f"{resampled_length(self.received_samples, self.in_rate, self.out_rate)}."
            )
        self._finished = True
        # soxr flushes to its own rounded length; enough silence makes that at least ours.
        missing = Fraction(length_samples * self.in_rate, self.out_rate) - self.received_samples
        silence_samples = max(0, ceil(missing)) + ceil(Fraction(self.in_rate, self.out_rate)) + 1
        silence = np.zeros((silence_samples, self.channels), np.float32)
        return self._given(self._converted(silence, last=True)[:wanted])

    def _converted(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        if self._stream is None:
            return samples
        starts = range(0, len(samples), _PIECE_SAMPLES)
        pieces = [
            self._stream.resample_chunk(
                samples[i : i + _PIECE_SAMPLES], last=last and i + _PIECE_SAMPLES >= len(samples)
            )
            for i in starts
        ]
        return np.concatenate(pieces) if pieces else np.zeros((0, self.channels), np.float32)

    def _taken(self, block: Block) -> np.ndarray:
        self._as_tensor = isinstance(block, Tensor)
        samples = block.detach().cpu().numpy() if isinstance(block, Tensor) else np.asarray(block)
        if samples.ndim != 2 or samples.shape[0] != self.channels:
            raise AudioError(f"a block of shape {samples.shape} was given: ({self.channels}, samples) is wanted.")
        # A copy in any case: equal rates hand it on, and must not share memory with the caller.
        return np.array(rearrange(samples, "c t -> t c"), dtype=np.float32, order="C")

    def _given(self, samples: np.ndarray) -> Any:
        self.delivered_samples += len(samples)
        block = np.ascontiguousarray(rearrange(samples, "t c -> c t"))
        return torch.from_numpy(block) if self._as_tensor else block


def resample(samples: Block, in_rate: int, out_rate: int, length_samples: int | None = None) -> Block:
    """Convert c t from `in_rate` to `out_rate` (Hz): the collected `StreamResampler`, equal to it bit for bit.

    The result has `length_samples` samples (None: `resampled_length`). The input is left as it was.
    """
    stream = StreamResampler(in_rate, out_rate, samples.shape[0])
    parts = [stream.push(samples), stream.finish(length_samples)]
    if isinstance(samples, Tensor):
        return torch.cat(parts, dim=-1)
    return np.concatenate(parts, axis=-1)
