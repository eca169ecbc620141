"""One stream of sound of a container that has several, such as the stems of an `.stem.mp4`, decoded by PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AudioError, MissingExtraError
from ..readers import Reader


class StreamReader(Reader):
    """Stream number `stream` of the streams of sound in a container, counted from 0.

    Its length is that of the container's header, so that a song opens without being decoded: samples beyond it are
    cut, and what a stream lacks of it is silence. Raises AudioError where there is no such stream.
    """

    def __init__(self, path: Path, stream: int):
        self.path, self.stream = path, stream
        self._av = _import_av(path)
        found = stream_formats(path)
        if stream >= len(found):
            raise AudioError(f"{path} has {len(found)} streams of sound, and number {stream} was wanted: get it again.")
        self.sample_rate, self.channels, self.length_samples = found[stream]

    def _decoded(self) -> Iterator[np.ndarray]:
        """t c float32 pieces, as they are decoded."""
        try:
            with _opened(self.path) as container:
                to_float: Any = None
                for frame in container.decode(container.streams.audio[self.stream]):
                    if to_float is None:
                        to_float = self._av.AudioResampler("fltp", frame.layout, frame.sample_rate)
                    yield from (piece.to_ndarray().T for piece in to_float.resample(frame))
                if to_float is not None:
                    yield from (piece.to_ndarray().T for piece in to_float.resample(None))
        except self._av.FFmpegError as error:
            raise AudioError(
                f"{self.path}: stream {self.stream} cannot be decoded ({error.strerror}): get the file again."
            ) from error

    def _pieces(self, start_samples: int) -> Iterator[np.ndarray]:
        position, length = 0, self.length_samples or 0
        for piece in self._decoded():
            skipped = max(0, start_samples - position)
            kept = piece[skipped : max(skipped, length - position)]
            position += len(piece)
            if len(kept):
                yield np.ascontiguousarray(kept)
            if position >= length:
                return
        missing = length - max(position, start_samples)
        if missing > 0:
            yield np.zeros((missing, self.channels), np.float32)


def stream_formats(path: Path) -> list[tuple[int, int, int]]:
    """Rate (Hz), channels and length of every stream of sound, by the container's header.

    Raises AudioError where it cannot be opened or does not say.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise AudioError(f"{path} cannot be opened ({error.strerror}): check the path.") from error
    return list(_formats(path, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=64)  # a song's five streams are asked for one after the other
def _formats(path: Path, modified_ns: int, size: int) -> tuple[tuple[int, int, int], ...]:
    del modified_ns, size  # they tell one state of the file from another
    with _opened(path) as container:
        return tuple((int(s.rate), int(s.channels), _length(path, container, s)) for s in container.streams.audio)


def _length(path: Path, container: Any, sound: Any) -> int:
    if sound.duration is not None:
        return round(sound.duration * sound.time_base * sound.rate)
    if container.duration is not None:  # in microseconds
        return round(container.duration * sound.rate / 1_000_000)
    raise AudioError(f"{path} does not say how long it is: convert it to wav or flac, or get it again.")


def _opened(path: Path) -> Any:
    av = _import_av(path)
    try:
        return av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise AudioError(
            f"{path} cannot be opened ({error.strerror or error}): it is damaged or no mp4; get it again."
        ) from error


def _import_av(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "data", f"reading the stems of {path.name}") from error
    return av
