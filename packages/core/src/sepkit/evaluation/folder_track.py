"""One track's estimates and references read from files and made comparable, or refused with the file's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..audio import Audio
from ..config import Frozen
from ..data.track import Track, track_in_memory
from ..errors import AudioError
from .stem_folders import TrackFiles

if TYPE_CHECKING:
    from torch import Tensor

SLACK_SECONDS = 1.0
"""Estimates and references may differ by so much in length without a word from the user, as encoders pad."""


class Tolerance(Frozen):
    """What the user allows: `resample` other sample rates, `pad` lengths that differ by more than a second."""

    resample: bool = False
    pad: bool = False


@dataclass(frozen=True)
class LoadedTrack:
    """References as a track in memory, estimates c t of its shape, and what was done to make them so."""

    track: Track
    estimates: dict[str, Tensor]
    notes: tuple[str, ...]


def load_track(name: str, estimates: Mapping[str, Path], truth: TrackFiles, allow: Tolerance) -> LoadedTrack:
    """Read them all. The references' rate and channels hold, and the longest of them is the track's length.

    Estimates are cut or filled with silence to it, as museval does; a mixture file too.
    Raises AudioError that names the files for other rates, other channel counts, lengths more than a second apart,
    and for NaN or infinity with its first place.
    """
    notes: list[str] = []
    references, mixture = truth.stems, truth.mixture
    truths = {stem: Audio.read(path) for stem, path in references.items()}
    first_stem, first = next(iter(truths.items()))
    like = _Format(references[first_stem], first.sample_rate, first.channels, 0)
    same = {stem: _same_format(audio, references[stem], like, allow) for stem, audio in truths.items()}
    longest = max(same, key=lambda stem: same[stem].shape[1])
    like = _Format(references[longest], like.sample_rate, like.channels, same[longest].shape[1])
    stems = {stem: _fitted(x, references[stem], like, allow, notes) for stem, x in same.items()}
    whole = None
    if mixture is not None:
        whole = _fitted(_same_format(Audio.read(mixture), mixture, like, allow), mixture, like, allow, notes)
    track = replace(track_in_memory(name, stems, like.sample_rate, whole), complete=truth.complete)
    if mixture is not None and len(stems) > 1 and (differs := track.mixture_fit.note):
        notes.append(f"{mixture}: {differs}. Is a reference missing, or is it another mixture?")
    found = {}
    for stem, path in estimates.items():
        against = like if stem not in references else replace(like, path=references[stem])
        found[stem] = _fitted(_same_format(Audio.read(path), path, against, allow), path, against, allow, notes)
    return LoadedTrack(track, found, tuple(notes))


@dataclass(frozen=True)
class _Format:
    """What a file is measured against: another one, and its format."""

    path: Path
    sample_rate: int
    channels: int
    length_samples: int


def _same_format(audio: Audio, path: Path, like: _Format, allow: Tolerance) -> Tensor:
    """The samples c t at the rate that is wanted."""
    if audio.channels != like.channels:
        raise AudioError(
            f"{path} has {_channels(audio.channels)} and {like.path} has {_channels(like.channels)}: "
            "scores of one against the other mean nothing; convert one of them."
        )
    if audio.sample_rate == like.sample_rate:
        return audio.samples
    if not allow.resample:
        raise AudioError(
            f"{path} has {audio.sample_rate} Hz and {like.path} has {like.sample_rate} Hz: "
            f"add --resample to convert to {like.sample_rate} Hz, which costs some of the score."
        )
    return audio.resampled(like.sample_rate).samples


def _fitted(x: Tensor, path: Path, like: _Format, allow: Tolerance, notes: list[str]) -> Tensor:
    """x (c t) cut, or filled with silence, to the wanted length, with a note of how much."""
    more = x.shape[1] - like.length_samples
    if more == 0:
        return x
    what = f"{path} is {abs(more)} samples ({abs(more) / like.sample_rate:.3f} s) {'longer' if more > 0 else 'shorter'}"
    if abs(more) > SLACK_SECONDS * like.sample_rate and not allow.pad:
        raise AudioError(
            f"{what} than {like.path} ({like.length_samples} samples): is it the same song? "
            "--pad cuts it, or fills it with silence."
        )
    if more > 0:
        notes.append(f"{what} than {like.path}: cut.")
        return x[:, : like.length_samples]
    notes.append(f"{what} than {like.path}: filled with silence.")
    return torch.nn.functional.pad(x, (0, -more))


def _channels(count: int) -> str:
    return {1: "1 channel (mono)", 2: "2 channels (stereo)"}.get(count, f"{count} channels")
