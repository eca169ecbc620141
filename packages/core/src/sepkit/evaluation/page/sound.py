"""Sound for the page: which seconds to take, one gain for all of a track, and bytes that a browser decodes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from ...formats import FORMATS
from ...readers import open_reader

Samples = NDArray[np.float32]
AudioKind = Literal["flac", "ogg", "none"]

SILENT_DB = -50.0  # a second this far below a stem's loudest one does not count as sounding
DITHER_SEED = 0
HIGHEST_PEAK = 0.999  # of full scale; a track that exceeds it is turned down as a whole


class Excerpt(NamedTuple):
    """A stretch of a track, the same for every file of it."""

    start_samples: int
    length_samples: int


class SoundFile(NamedTuple):
    """What a file holds, read from its header."""

    path: Path
    sample_rate: int
    channels: int
    length_samples: int


def look_at(path: Path) -> SoundFile:
    """The format of a file; raises AudioError where it cannot be read. A file of unknown length is counted."""
    with open_reader(path) as reader:
        length = reader.length_samples
        if length is None:
            length = sum(len(block) for block in reader.blocks())
        return SoundFile(path, reader.sample_rate, reader.channels, length)


def read_excerpt(path: Path, excerpt: Excerpt) -> Samples:
    """That part of a file, t c float32; shorter where the file ends before."""
    with open_reader(path) as reader:
        blocks = list(reader.blocks(start_samples=excerpt.start_samples, length_samples=excerpt.length_samples))
        return np.concatenate(blocks) if blocks else np.zeros((0, reader.channels), np.float32)


def liveliest_excerpt(paths: Iterable[Path], seconds: float, sample_rate: int, length_samples: int) -> Excerpt:
    """The excerpt in which the most stems sound, counted in whole seconds; the first of several equal ones."""
    wanted = min(length_samples, max(1, round(seconds * sample_rate)))
    if wanted == length_samples:
        return Excerpt(0, length_samples)
    counts = np.zeros(-(-length_samples // sample_rate))
    for path in paths:
        levels = np.array(list(_seconds_rms(path, sample_rate)))[: len(counts)]
        if levels.size and levels.max() > 0:
            counts[: len(levels)] += levels > levels.max() * 10 ** (SILENT_DB / 20)
    window = max(1, min(len(counts), round(wanted / sample_rate)))
    sums = np.convolve(counts, np.ones(window), "valid")
    start = int(np.argmax(sums)) * sample_rate
    return Excerpt(min(start, length_samples - wanted), wanted)


def common_gain(peaks: Iterable[float]) -> float:
    """The factor that keeps every file of a track below full scale; 1 where none exceeds it."""
    return min(1.0, HIGHEST_PEAK / max([*peaks, 1e-9]))


def quantised(samples: Samples, gain: float) -> NDArray[np.int16]:
    """16 bits with triangular dither of ±1 step, the same dither for every file: equal signals stay equal.

    So the difference of two equal signals is digital silence, and of others it is right to a step of 16 bits.
    """
    rng = np.random.default_rng(DITHER_SEED)
    dither = rng.random(samples.shape, np.float32) - rng.random(samples.shape, np.float32)
    return np.clip(np.rint(samples * np.float32(gain * 32768.0) + dither), -32768, 32767).astype(np.int16)


def encoded(samples: Samples, sample_rate: int, gain: float, kind: Literal["flac", "ogg"]) -> bytes:
    """A FLAC (16 bits) or Vorbis file in memory of `samples` (t c) times `gain`."""
    file = io.BytesIO()
    if kind == "flac":
        soundfile.write(file, quantised(samples, gain), sample_rate, format="FLAC", subtype="PCM_16")
    else:
        compression = FORMATS["ogg"].compression
        with soundfile.SoundFile(
            file, "w", sample_rate, samples.shape[1], "VORBIS", format="OGG", compression_level=compression
        ) as out:
            for block in _blocks(samples * np.float32(gain)):  # libsndfile's encoder overflows its stack on long ones
                out.write(block)
    return file.getvalue()


def _blocks(samples: Samples, block_samples: int = 4096) -> Iterator[Samples]:
    for start in range(0, len(samples), block_samples):
        yield samples[start : start + block_samples]


def _seconds_rms(path: Path, sample_rate: int) -> Iterator[float]:
    with open_reader(path) as reader:
        for block in reader.blocks(sample_rate):
            yield float(np.sqrt(np.mean(np.square(block, dtype=np.float64)))) if block.size else 0.0
