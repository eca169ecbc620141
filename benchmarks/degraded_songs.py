"""Songs with their mixture spoilt: one track for each song, degradation, severity and truth, and the clean ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sepkit.data.track import Dataset, Track, track_in_memory
from sepkit.evaluation.views import view_of

from .degradations import DEGRADATIONS, Degradation, Samples

Truth = Literal["original", "matched"]
SEPARATOR = "@"
SILENT = 1e-6  # of the mixture's energy


class Condition(NamedTuple):
    """What a degraded track's name says; a clean one has no degradation."""

    song: str
    degradation: str | None = None
    severity: float | None = None
    truth: Truth = "original"

    @property
    def track(self) -> str:
        """The track's name: `song@noise=20`, `song@reverb=0.5@matched`."""
        if self.degradation is None:
            return self.song
        matched = f"{SEPARATOR}matched" if self.truth == "matched" else ""
        return f"{self.song}{SEPARATOR}{self.degradation}={self.severity:g}{matched}"


def condition_of(track: str) -> Condition:
    """The condition that a track's name was made from."""
    song, *parts = track.rsplit(SEPARATOR, 2 if track.endswith(f"{SEPARATOR}matched") else 1)
    name, equals, severity = parts[0].partition("=") if parts else ("", "", "")
    if not equals or name not in DEGRADATIONS:
        return Condition(track)
    return Condition(song, name, float(severity), "matched" if len(parts) == 2 else "original")


@dataclass(frozen=True, eq=False)
class DegradedSource:
    """Stems of a song beside a spoilt mixture; `matched` stems are spoilt along with it."""

    track: Track
    degradation: Degradation
    severity: float
    seed: int
    matched: bool

    @property
    def key(self) -> tuple[int, int]:
        """The song's own random numbers, whatever other songs there are."""
        return self.seed, zlib.crc32(self.track.name.encode())

    def read(self, stem: str, start: int, length: int) -> Tensor:
        if not self.matched or self.degradation.matched is None:
            return self.track.load(stem, start, length)
        return _matched_stem(self, stem)[:, start : start + length]

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        return _degraded_mixture(self)[:, start : start + length]

    def fingerprint(self, stem: str) -> str | None:
        return None


@lru_cache(maxsize=2)
def _degraded_mixture(source: DegradedSource) -> Tensor:
    """c t float32; kept for the moment, since a run asks twice for it."""
    track = source.track
    return _tensor(source.degradation.apply(_array(track.mixture), track.sample_rate, source.severity, source.key))


@lru_cache(maxsize=4)
def _matched_stem(source: DegradedSource, stem: str) -> Tensor:
    track, spoil = source.track, source.degradation.matched
    assert spoil is not None
    mixture = _array(track.mixture)
    return _tensor(spoil(_array(track.load(stem)), mixture, track.sample_rate, source.severity, source.key))


def _array(x: Tensor) -> Samples:
    return np.asarray(x.numpy(), np.float64)


def _tensor(x: Samples) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def degraded_track(track: Track, degradation: Degradation, severity: float, truth: Truth, seed: int) -> Track:
    """A song whose mixture is spoilt, and whose stems are the original or the matched ones."""
    source = DegradedSource(track, degradation, severity, seed, truth == "matched")
    name = Condition(track.name, degradation.name, severity, truth).track
    # a spoilt mixture is no sum of the stems any more, and that says nothing of whether they are all there
    return replace(track, name=name, source=source, mixture_is_sum=False, complete=track.is_complete())


def degraded_songs(songs: Dataset, degradations: Sequence[Degradation], truths: Sequence[Truth], seed: int) -> Dataset:
    """Every song clean, and under every degradation at every severity, against every truth that there is."""
    clean = [replace(song, complete=song.is_complete()) for song in songs]
    tracks = list(clean)
    for degradation in degradations:
        for severity in degradation.severities:
            for truth in truths_of(degradation, truths):
                tracks += [degraded_track(song, degradation, severity, truth, seed) for song in clean]
    return Dataset(f"{songs.name}+degraded", tracks, songs.split, songs.notes)


def truths_of(degradation: Degradation, wanted: Sequence[Truth]) -> list[Truth]:
    """The truths to score against: a degradation without matched stems is always held against the original ones."""
    if degradation.matched is None:
        return ["original"]
    return list(dict.fromkeys(wanted))


def excerpts(songs: Dataset, seconds: float | None) -> Dataset:
    """The middle of every song, or all of it."""
    if seconds is None:
        return songs
    tracks = []
    for song in songs:
        length = min(song.length_samples, round(seconds * song.sample_rate))
        start = (song.length_samples - length) // 2
        stems = {stem: song.load(stem, start, length) for stem in song.stems}
        mixture = None if song.mixture_is_sum else song.load_mixture(start, length)
        excerpt = track_in_memory(song.name, stems, song.sample_rate, mixture)
        tracks.append(replace(excerpt, complete=song.is_complete()))
    return Dataset(songs.name, tracks, songs.split, songs.notes)


def sounding(songs: Dataset) -> Dataset:
    """The songs without stems that lie 60 dB or more below their mixture, as if they had none.

    A score of a stem that is not there is some -90 dB and says nothing, and one of them rules a mean over songs.
    """
    tracks = []
    for song in songs:
        whole = float(song.mixture.square().sum())
        heard = [stem for stem in song.stems if float(song.load(stem).square().sum()) > SILENT * whole]
        complete = song.is_complete()
        tracks.append(replace(song, stems=tuple(heard), complete=complete) if heard else song)
    return Dataset(songs.name, tracks, songs.split, songs.notes)


def own_stems(stems: Sequence[str] | None, songs: Dataset) -> tuple[str, ...]:
    """The stems of the songs that a method can answer for where it leaves some out (no vocals, say), else none.

    Such a method is given the mixture of these alone, which therefore has to be spoilt in its own right.
    """
    if stems is None or not len(songs):
        return ()
    view = view_of(stems, songs.stems)
    named = {name for names in view.parts.values() for name in names}
    return () if view.mixture == "full" else tuple(name for name in songs.stems if name in named)


def only(songs: Dataset, stems: Sequence[str]) -> Dataset:
    """The songs without all other stems; their mixture is the sum of what is left."""
    kept = [song.view([stem for stem in stems if stem in song.stems]) for song in songs]
    return Dataset(f"{songs.name}, {'+'.join(stems)} only", kept, songs.split, songs.notes)
