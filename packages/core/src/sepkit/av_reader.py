"""Sound from m4a, mp4 and other containers, decoded by PyAV (the `av` extra)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange

from .errors import AudioError, MissingExtraError
from .readers import Reader


class AvReader(Reader):
    """The first sound stream of a container (of a `.stem.mp4`: the mixture); its length is known only at the end."""

    def __init__(self, path: Path):
        self.path = path
        self.length_samples = None
        self._av = _import_av(path)
        frames = self._frames()
        # The header may name half the rate (HE-AAC), so the first decoded frame decides.
        first = next(frames, None)
        frames.close()
        if first is None:
            raise AudioError(f"{path} has a sound stream without any sound: check the file.")
        self.sample_rate, self.channels = first.sample_rate, first.layout.nb_channels

    def _frames(self) -> Generator[Any, None, None]:
        try:
            with self._av.open(str(self.path)) as container:
                if not container.streams.audio:
                    raise AudioError(f"{self.path} holds no sound stream: name a file with sound.")
                to_float: Any = None
                for frame in container.decode(container.streams.audio[0]):
                    if to_float is None:
                        to_float = self._av.AudioResampler("fltp", frame.layout, frame.sample_rate)
                    yield from to_float.resample(frame)
                if to_float is not None:
                    yield from to_float.resample(None)
        except self._av.FFmpegError as error:
            raise AudioError(
                f"{self.path} cannot be decoded ({error.strerror}): convert it to wav or flac, or get it again."
            ) from error

    def _pieces(self, start_samples: int) -> Iterator[np.ndarray]:
        position = 0
        for frame in self._frames():
            piece = rearrange(frame.to_ndarray(), "c t -> t c")
            skipped = max(0, start_samples - position)
            position += len(piece)
            if skipped < len(piece):
                yield piece[skipped:]


def _import_av(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "av", f"reading {path.name} ({path.suffix or 'an mp4 container'})") from error
    return av
