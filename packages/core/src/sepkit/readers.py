"""Sound files read block by block, in constant memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from .errors import AudioError
from .mp3 import Mp3Frames, count_frames, piped
from .ogg import count_streams
from .wav import missing_bytes

BLOCK_SAMPLES = 65_536
_AV_SUFFIXES = frozenset({"m4a", "mp4", "m4b", "m4v", "mov", "aac", "ac3", "wma", "webm", "mka", "mkv"})
_UNKNOWN_FRAMES = 2**62  # libsndfile reports 2**63 - 1
_EXACT_CODECS = ("PCM_", "FLOAT", "DOUBLE")


class Reader(ABC):
    """A sound file that can be read: its format, and its samples in blocks.

    `sample_rate` in Hz. `length_samples` is exactly what `blocks()` will deliver, or None where the file does not say.
    """

    path: Path
    sample_rate: int
    channels: int
    length_samples: int | None

    @abstractmethod
    def _pieces(self, start_samples: int) -> Iterator[np.ndarray]:
        """Samples from `start_samples` on as t c float32, in pieces of any size."""

    def blocks(
        self, block_samples: int = BLOCK_SAMPLES, *, start_samples: int = 0, length_samples: int | None = None
    ) -> Iterator[np.ndarray]:
        """The samples from `start_samples` on, at most `length_samples`, as t c float32 blocks.

        All blocks but the last have `block_samples` samples. Every call starts anew. Integers are scaled to ±1
        (16 and 24 bits exactly). Raises AudioError at damaged data and at NaN or infinity, naming the place.
        """
        if block_samples < 1 or start_samples < 0 or (length_samples is not None and length_samples < 0):
            raise AudioError(
                f"{self.path}: block_samples={block_samples}, start_samples={start_samples} and "
                f"length_samples={length_samples} were asked for: blocks hold at least 1 sample, the others at least 0."
            )
        pieces = self._checked(self._pieces(start_samples), start_samples)
        yield from _reblocked(_limited(pieces, length_samples), block_samples)

    def _checked(self, pieces: Iterable[np.ndarray], position: int) -> Iterator[np.ndarray]:
        for piece in pieces:
            refuse_non_finite(piece, str(self.path), position, self.sample_rate)
            position += len(piece)
            yield piece

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace  # nothing to close: `blocks` holds the file open only while it is being read


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """Read in one go: soundfile seeks after every read otherwise, which fails at the end of FLAC of unknown length."""

    def seekable(self) -> bool:
        return False


class _SndfileReader(Reader):
    """Everything that libsndfile reads."""

    def __init__(self, path: Path):
        self.path = path
        with soundfile.SoundFile(path) as file:
            self.sample_rate, self.channels = file.samplerate, file.channels
            self.length_samples = file.frames if file.frames < _UNKNOWN_FRAMES else None
            # Seeking in Vorbis, Opus and MP3 gives other samples than decoding from the start does.
            self._exact_seek = file.subtype.startswith(_EXACT_CODECS) and self.length_samples is not None
            container = file.format
        self._plain_stream: Mp3Frames | None = None
        if container in ("WAV", "WAVEX", "RF64") and (missing := missing_bytes(path)):
            raise AudioError(f"{path} is cut short ({missing} bytes of sound are missing): get a complete copy.")
        if container == "OGG" and count_streams(path) > 1:
            raise AudioError(f"{path} has several Ogg streams joined, of which only the first could be read: split it.")
        if container == "MP3":
            self._distrust(count_frames(path))

    def _distrust(self, frames: Mp3Frames) -> None:
        """Decode an MP3 whose header frame is missing or wrong as a plain stream; refuse one that is cut short."""
        if frames.truthful or not frames.found:  # none found: Layer I or II, which we do not walk over
            return
        if frames.promised is not None and frames.found < frames.promised - 1:
            raise AudioError(
                f"{self.path} is cut short (only {frames.found} of {frames.promised} MP3 frames): get a complete copy."
            )
        self._plain_stream = frames
        self.length_samples = None

    @contextmanager
    def _opened(self) -> Iterator[soundfile.SoundFile]:
        with ExitStack() as stack:
            source: Path | int = self.path
            if part := self._plain_stream:
                source = stack.enter_context(piped(self.path, part.first_byte, part.end_byte))
            yield stack.enter_context(_Forward(source, closefd=False))

    def _pieces(self, start_samples: int) -> Iterator[np.ndarray]:
        position = 0
        length = self.length_samples
        try:
            with self._opened() as file:
                if self._exact_seek and length is not None:
                    position = file.seek(min(start_samples, length))
                while len(piece := file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)):
                    skipped = max(0, start_samples - position)
                    position += len(piece)
                    if skipped < len(piece):
                        yield piece[skipped:]
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{self.path} is damaged after sample {position} ({_reason(error)}): get a complete copy."
            ) from error
        if length is not None and position < length:
            raise AudioError(f"{self.path} ends after {position} of its {length} samples: get a complete copy.")


def open_reader(path: str | Path) -> Reader:
    """Open a sound file for reading by blocks; m4a, mp4 and others that libsndfile lacks need the `av` extra.

    Raises AudioError that names the path, the reason and a next step; MissingExtraError where PyAV is needed.
    """
    path = Path(path)
    first_bytes = _first_bytes(path)
    if first_bytes[4:8] == b"ftyp" or path.suffix.lower().lstrip(".") in _AV_SUFFIXES:
        from .av_reader import AvReader

        return AvReader(path)
    try:
        return _SndfileReader(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a headerless .raw
        raise AudioError(
            f"{path} cannot be read as a sound file (it begins with {first_bytes!r}; libsndfile: {_reason(error)}): "
            "check that it is what its name says, or convert it to wav or flac."
        ) from error


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise AudioError(f"{path} is a folder, and a sound file was wanted: name a file inside it.")
    if not path.exists():
        raise AudioError(f"{path} does not exist (looked from {Path.cwd()}): check the path.")
    if not path.is_file():
        raise AudioError(f"{path} is a pipe or device, which cannot be read twice: save the sound to a file first.")
    try:
        with path.open("rb") as file:
            first_bytes = file.read(16)
    except OSError as error:
        raise AudioError(f"{path} cannot be opened ({error.strerror}): check its permissions.") from error
    if not first_bytes:
        raise AudioError(f"{path} is empty (0 bytes), not a sound file: get or export it again.")
    return first_bytes


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip(". ")


def refuse_non_finite(samples: np.ndarray, what: str, position: int, sample_rate: int) -> None:
    """Raise AudioError that names the first NaN or infinity of t c samples which begin at `position` of `what`."""
    if np.isfinite(samples).all():
        return
    t, c = (int(i) for i in np.argwhere(~np.isfinite(samples))[0])
    raise AudioError(
        f"{what} has {samples[t, c]} at sample {position + t} ({(position + t) / sample_rate:.3f} s) of channel {c}: "
        "finite samples are wanted; repair it or cut that place out."
    )


def _limited(pieces: Iterable[np.ndarray], length_samples: int | None) -> Iterator[np.ndarray]:
    if length_samples is None:
        yield from pieces
        return
    if length_samples == 0:
        return
    for piece in pieces:
        yield piece[:length_samples]
        length_samples -= len(piece)
        if length_samples <= 0:
            return


def _reblocked(pieces: Iterable[np.ndarray], block_samples: int) -> Iterator[np.ndarray]:
    """The same samples in blocks of `block_samples`; the last may be shorter, none is empty."""
    waiting: list[np.ndarray] = []
    held = 0
    for piece in pieces:
        waiting.append(piece)
        held += len(piece)
        if held < block_samples:
            continue
        joined = np.concatenate(waiting) if len(waiting) > 1 else piece
        whole = held - held % block_samples
        for start in range(0, whole, block_samples):
            yield joined[start : start + block_samples]
        waiting, held = [joined[whole:]], held - whole
    if held:
        yield np.concatenate(waiting)
