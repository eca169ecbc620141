"""Views: which of a track's fine stems make up each stem that a method outputs, and which mixture it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from ..errors import DatasetError

FULL_VIEW = ("vocals", "drums", "bass", "other", "accompaniment")
"""What reference points are scored on: every stem that methods of the full mixture commonly output."""

COMPLEMENTS = {"accompaniment": "vocals", "no_vocals": "vocals", "instrumental": "vocals"}


class TrackLike(Protocol):
    """What scoring needs of a track; `sepkit.data.Track` has it."""

    name: str
    sample_rate: int
    stems: tuple[str, ...]

    @property
    def mixture(self) -> Tensor: ...

    def load(self, stem: str) -> Tensor: ...


@dataclass(frozen=True)
class View:
    """The stems of a method as sums of a track's stems; `absent` ones the track cannot be asked for."""

    stems: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    absent: tuple[str, ...]
    mixture: Literal["full", "own"]

    def references(self, track: TrackLike) -> dict[str, Tensor]:
        """The truth for each stem that is not absent: name -> c t."""
        return {stem: _sum_of(track, names) for stem, names in self.parts.items()}

    def mixture_of(self, track: TrackLike) -> Tensor:
        """What the method is given: the track's mixture, or the sum of the method's own stems only: c t."""
        if self.mixture == "full":
            return track.mixture
        names = sorted({name for names in self.parts.values() for name in names}, key=track.stems.index)
        return _sum_of(track, names)


def view_of(stems: Sequence[str], track_stems: Sequence[str]) -> View:
    """How a method that outputs `stems` is scored on a track that has `track_stems`.

    A complement (accompaniment) is everything but vocals; `other` is everything that no further stem of the method
    names (guitar, piano and the rest). A method that leaves some of the track unnamed (no vocals, say) could not but
    fail on the full mixture: it is given the mixture of its own stems, and the view says so.
    Raises DatasetError where the track has none of the method's stems.
    """
    parts = {stem: names for stem in stems if (names := _names(stem, stems, track_stems))}
    if not parts:
        raise DatasetError(f"none of its stems ({', '.join(stems)}) is in this track ({', '.join(track_stems)})")
    named = {name for names in parts.values() for name in names}
    everything = "other" in stems or named == set(track_stems)
    absent = tuple(stem for stem in stems if stem not in parts)
    return View(tuple(stems), parts, absent, "full" if everything else "own")


def _names(stem: str, stems: Sequence[str], track_stems: Sequence[str]) -> tuple[str, ...]:
    if stem in COMPLEMENTS:
        return tuple(name for name in track_stems if name != COMPLEMENTS[stem])
    if stem != "other":
        return (stem,) if stem in track_stems else ()
    if any(name in COMPLEMENTS for name in track_stems):
        return ()  # a track of vocals and accompaniment has no truth for less than its accompaniment
    named = {name for name in stems if name != "other" and name not in COMPLEMENTS}
    return tuple(name for name in track_stems if name not in named)


def _sum_of(track: TrackLike, names: Sequence[str]) -> Tensor:
    first, *rest = names
    total = track.load(first)
    for name in rest:
        total = total + track.load(name)
    return total
