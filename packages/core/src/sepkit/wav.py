"""Our own WAV writer (the same bytes every time, RF64 without knowing the length beforehand), and a check of others.

libsndfile must be told at the start whether a file will pass 4 GiB, and it stamps float files with the time of day.
Here a `JUNK` chunk reserves room, which becomes the `ds64` chunk of RF64 (EBU Tech 3306) only if the file grew that
large; every smaller file is a plain WAV.
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType

import numpy as np

from .formats import Bits

RIFF_LIMIT_BYTES = 2**32 - 1
_UNKNOWN = 0xFFFFFFFF  # "see ds64"
_PCM, _IEEE_FLOAT = 1, 3
_PLACEHOLDER = 0x7FFF0000  # programs that write to a pipe put 0 or about 2 or 4 GiB
_TOLERANCE_BYTES = 4096  # headers are often wrong by their own size


def wav_header(sample_rate: int, channels: int, bits: Bits, length_samples: int) -> bytes:
    """Everything before the samples; its size does not depend on the length, so it can be rewritten in place."""
    sample_bytes = 4 if bits == "float" else bits // 8
    frame_bytes = channels * sample_bytes
    data_bytes = length_samples * frame_bytes
    rate_bytes = min(sample_rate * frame_bytes, _UNKNOWN)
    tag = _IEEE_FLOAT if bits == "float" else _PCM
    layout = struct.pack("<HHIIHH", tag, channels, sample_rate, rate_bytes, frame_bytes, 8 * sample_bytes)
    if bits == "float":
        layout += struct.pack("<H", 0)  # formats other than PCM carry the size of an (empty) extension, and `fact`
    fixed_bytes = 12 + 36 + 8 + len(layout) + (12 if bits == "float" else 0) + 8
    riff_bytes = fixed_bytes - 8 + data_bytes + data_bytes % 2
    large = riff_bytes > RIFF_LIMIT_BYTES
    if large:
        sizes = b"ds64" + struct.pack("<IQQQI", 28, riff_bytes, data_bytes, length_samples, 0)
    else:
        sizes = b"JUNK" + struct.pack("<I28x", 28)
    fact = b"fact" + struct.pack("<II", 4, _UNKNOWN if large else length_samples) if bits == "float" else b""
    start = struct.pack("<4sI4s", b"RF64" if large else b"RIFF", _UNKNOWN if large else riff_bytes, b"WAVE")
    data = struct.pack("<4sI", b"data", _UNKNOWN if large else data_bytes)
    return start + sizes + b"fmt " + struct.pack("<I", len(layout)) + layout + fact + data


class WavSink:
    """Samples into a WAV or RF64 file of any length; a context manager that completes the header."""

    def __init__(self, path: Path, sample_rate: int, channels: int, bits: Bits):
        self._settings = (sample_rate, channels, bits)
        self._bits = bits
        self._length_samples = 0
        self._file = path.open("wb")
        self._file.write(wav_header(*self._settings, 0))

    def write(self, samples: np.ndarray) -> None:
        """Append t c: float32, or int32 in the range of the file's bits."""
        self._length_samples += len(samples)
        if self._bits == "float":
            packed = samples.astype("<f4", copy=False).tobytes()
        elif self._bits == 16:
            packed = samples.astype("<i2").tobytes()
        else:
            bytes_of_sample = np.ascontiguousarray(samples, dtype="<i4").view(np.uint8).reshape(-1, 4)
            packed = bytes_of_sample[:, :3].tobytes()  # little-endian: the top byte is only the sign
        self._file.write(packed)

    def __enter__(self) -> WavSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                if self._file.tell() % 2:
                    self._file.write(b"\0")  # chunks start at even offsets
                self._file.seek(0)
                self._file.write(wav_header(*self._settings, self._length_samples))


def missing_bytes(path: Path) -> int:
    """How many bytes of samples a WAV or RF64 header promises beyond what the file holds; 0 for a complete file.

    libsndfile reads a file that was cut short as a shorter song, without a word.
    """
    file_bytes = path.stat().st_size
    large_bytes = 0
    with path.open("rb") as file:
        place = 12
        while place + 8 <= file_bytes:
            file.seek(place)
            name, size = struct.unpack("<4sI", file.read(8))
            if name == b"ds64":
                large_bytes = int.from_bytes(file.read(16)[8:], "little")
            if name == b"data":
                promised = large_bytes if size == _UNKNOWN else size if size < _PLACEHOLDER else 0
                missing = place + 8 + promised - file_bytes
                return missing if missing > _TOLERANCE_BYTES else 0
            place += 8 + size + size % 2
    return 0
