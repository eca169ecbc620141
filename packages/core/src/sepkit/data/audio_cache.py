"""Decoded stems in memory-mapped files of 16-bit integers, so that a random crop costs one small read."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import DatasetError
from ..partial_files import partial_path
from .track import Track

_HEADER = struct.Struct("<4sIfI")  # magic, channels, full scale, samples
_MAGIC = b"sep1"


def default_cache_folder() -> Path:
    """$SEPKIT_CACHE, or sepkit's folder in the platform's cache folder."""
    if given := os.environ.get("SEPKIT_CACHE"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sepkit"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "sepkit" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sepkit"


@dataclass(frozen=True, eq=False)
class CachedStem:
    """A decoded stem: a read-only map (t c) of int16, and the level that 32767 stands for."""

    samples: np.memmap
    full_scale: float

    def read(self, start: int, length: int) -> np.ndarray:
        """c t float32; the range must lie within the stem."""
        piece = self.samples[start : start + length].T.astype(np.float32)
        piece *= np.float32(self.full_scale / 32767)
        return piece


def cached_stem(track: Track, stem: str, folder: Path) -> CachedStem:
    """The stem from the cache in `folder`, decoded into it first where need be.

    A file is keyed by what identifies the audio (path, time, size, rate, channels), so changed audio is decoded anew.
    Values beyond ±1 are kept: the scale is then the peak. Raises DatasetError where the cache cannot be written.
    """
    path = cache_file(track, stem, folder)
    wanted = _HEADER.size + 2 * track.channels * track.length_samples
    if not path.is_file() or path.stat().st_size != wanted:
        _write(path, track.load(stem))
    with path.open("rb") as file:
        magic, channels, scale, samples = _HEADER.unpack(file.read(_HEADER.size))
    if magic != _MAGIC:
        raise DatasetError(f"{path} is not a cache of sepkit's: delete it.")
    return CachedStem(np.memmap(path, dtype="<i2", mode="r", offset=_HEADER.size, shape=(samples, channels)), scale)


def cache_file(track: Track, stem: str, folder: Path) -> Path:
    """Where the cache of a stem lies, whether it is there yet or not. DatasetError for a track in memory."""
    identity = track.source.fingerprint(stem)
    if identity is None:
        raise DatasetError(f"track {track.name!r} lies in memory and needs no cache.")
    text = f"{identity}|{track.sample_rate}|{track.channels}|{track.length_samples}"
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.i16"


def _write(path: Path, x: Tensor) -> None:
    scale = max(1.0, float(x.abs().max()) if x.numel() else 1.0)
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(_HEADER.pack(_MAGIC, x.shape[0], scale, x.shape[1]))
            file.write(np.round(x.numpy().T * (32767 / scale)).astype("<i2").tobytes())
        os.replace(partial, path)  # two processes may make the same file: either one will do
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DatasetError(
            f"the audio cache {path.parent} cannot be written ({error}): give another folder, or set SEPKIT_CACHE."
        ) from error
