"""Sound files written block by block, converted by our own rules and never left half-written."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import soundfile

from .errors import AudioError
from .formats import Bits, FileFormat, check_writable, format_of
from .partial_files import refuse_existing, replacing
from .readers import refuse_non_finite
from .wav import WavSink

_CODEC_BLOCK_SAMPLES = 4096  # one huge write overflows libsndfile's stack in the Vorbis encoder


class ClippingWarning(UserWarning):
    """Samples beyond full scale were saturated on the way into an integer format."""


def quantised(samples: np.ndarray, bits: int) -> tuple[np.ndarray, int]:
    """Floats (full scale ±1) as integers of `bits`, rounded to nearest and saturated, with the count of the saturated.

    The largest integer stands for 1 - 2**(1 - bits), so a sample of exactly 1.0 counts as saturated too.
    """
    full_scale = 2.0 ** (bits - 1)
    nearest = np.rint(samples.astype(np.float64) * full_scale)
    saturated = np.clip(nearest, -full_scale, full_scale - 1)
    return saturated.astype(np.int32), int(np.count_nonzero(saturated != nearest))


class _Sink(AbstractContextManager[Any], Protocol):
    def write(self, samples: np.ndarray, /) -> None: ...


class _SndfileSink:
    """Samples into any other format; blocks of one size, so that lossy bytes do not depend on how they were cut."""

    def __init__(self, path: Path, kind: FileFormat, sample_rate: int, channels: int, bits: Bits | None):
        self._bits = bits
        self._waiting: list[np.ndarray] = []
        self._held_samples = 0
        self._file = soundfile.SoundFile(
            path,
            "w",
            sample_rate,
            channels,
            subtype=kind.codec or f"PCM_{bits}",
            format=kind.container,
            compression_level=kind.compression,
        )

    def write(self, samples: np.ndarray) -> None:
        """Append t c: float32 for lossy formats, else int32 in the range of the file's bits."""
        if self._bits == 16:
            samples = samples.astype(np.int16)
        elif self._bits == 24:
            samples = samples << 8  # libsndfile takes the top 24 of 32 bits
        self._waiting.append(samples)
        self._held_samples += len(samples)
        if self._held_samples >= _CODEC_BLOCK_SAMPLES:
            self._pass_on(self._held_samples - self._held_samples % _CODEC_BLOCK_SAMPLES)

    def _pass_on(self, length_samples: int) -> None:
        joined = np.concatenate(self._waiting)
        for start in range(0, length_samples, _CODEC_BLOCK_SAMPLES):
            self._file.write(joined[start : min(start + _CODEC_BLOCK_SAMPLES, length_samples)])
        self._waiting = [joined[length_samples:]]
        self._held_samples -= length_samples

    def __enter__(self) -> _SndfileSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None and self._held_samples:
                self._pass_on(self._held_samples)


class Writer:
    """A sound file being written: it gets its final name when the `with` block ends without an exception, else none.

    `clipped_samples` counts the values that an integer format had to saturate; `length_samples` what was written.
    """

    def __init__(
        self, path: Path, kind: FileFormat, sample_rate: int, channels: int, bits: Bits | None, overwrite: bool
    ):
        self.path = path
        self.format = kind.name
        self.sample_rate = sample_rate
        self.channels = channels
        self.bits = bits
        self.clipped_samples = 0
        self.length_samples = 0
        self._kind = kind
        self._overwrite = overwrite

    def __enter__(self) -> Writer:
        with ExitStack() as stack, _named(self.path):
            self._partial = stack.enter_context(replacing(self.path, overwrite=self._overwrite))
            stack.push(self._check_complete)  # runs after the sink has closed and before the renaming
            self._sink: _Sink = stack.enter_context(self._open_sink())
            self._stack = stack.pop_all()
        return self

    def _open_sink(self) -> Any:
        if self._kind.name == "wav":
            return WavSink(self._partial, self.sample_rate, self.channels, self.bits or "float")
        return _SndfileSink(self._partial, self._kind, self.sample_rate, self.channels, self.bits)

    def write(self, samples: np.ndarray) -> None:
        """Append a block, t c (or t for one channel), finite floats with full scale ±1; the block is left as it was.

        Raises AudioError for a wrong shape or type, NaN or infinity, and where the system cannot write.
        """
        samples = self._accepted(samples)
        self.length_samples += len(samples)
        if isinstance(self.bits, int):
            samples, clipped = quantised(samples, self.bits)
            self.clipped_samples += clipped
        with _named(self.path):
            self._sink.write(samples)

    def _accepted(self, samples: np.ndarray) -> np.ndarray:
        samples = np.asarray(samples)
        if samples.ndim == 1 and self.channels == 1:
            samples = samples[:, np.newaxis]
        if samples.ndim != 2 or samples.shape[1] != self.channels or samples.dtype.kind != "f":
            raise AudioError(
                f"{self.path}: a block of shape {samples.shape} and type {samples.dtype} was given: floats of shape "
                f"(samples, {self.channels}) are wanted."
            )
        samples = samples.astype(np.float32)  # a copy: sinks may hold blocks back while the caller reuses its buffer
        refuse_non_finite(samples, f"the audio for {self.path}", self.length_samples, self.sample_rate)
        return samples

    def _check_complete(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        check_writable(self.format, self.sample_rate, self.channels, self.length_samples, self.bits)
        # libsndfile does not report every failed write (a full disk), but the header then tells.
        written = soundfile.info(str(self._partial)).frames
        if written != self.length_samples:
            raise AudioError(
                f"{self.path}: only {written} of {self.length_samples} samples were written: is the disk full?"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _named(self.path):
            self._stack.__exit__(kind, error, trace)


class _named:
    """Turns what the system and libsndfile raise into AudioError with the path; other exceptions pass."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (OSError, soundfile.LibsndfileError, AssertionError)) and not isinstance(
            error, FileExistsError
        ):
            reason = getattr(error, "strerror", None) or getattr(error, "error_string", None) or "a short write"
            raise AudioError(
                f"cannot write {self.path} ({reason}): check the folder's permissions and free space."
            ) from error


def open_writer(
    path: str | Path, sample_rate: int, channels: int, *, bits: Bits | None = None, overwrite: bool = False
) -> Writer:
    """A context manager that writes a sound file by blocks; the suffix of `path` chooses the format.

    `bits` is `"float"` (32-bit, bit-exact, never clipped), 16 or 24; None takes the format's best: float for wav,
    24 for flac, nothing for lossy formats. A wav that passes 4 GiB becomes RF64 by itself. Raises AudioError for what
    the format cannot hold and OutputExistsError for a taken name, both before anything is written.
    """
    path = Path(path)
    kind = format_of(path)
    check_writable(kind.name, sample_rate, channels, None, bits)
    refuse_existing(path, overwrite)
    if bits is None and kind.bits:
        bits = kind.bits[0]
    return Writer(path, kind, sample_rate, channels, bits, overwrite)
