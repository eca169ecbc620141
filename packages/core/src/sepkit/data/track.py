"""A song with known stems, and a sequence of such songs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, overload

import torch
from torch import Tensor

from ..errors import DatasetError, UnknownNameError, nearest
from .mixture_fit import MixtureFit, mixture_fit
from .stem_names import STEMS, parts_of, without_overlap


class StemSource(Protocol):
    """Where a track's samples come from."""

    def read(self, stem: str, start: int, length: int) -> Tensor:
        """`length` samples of one stem from sample `start` on, c t; the range lies within the track."""
        ...

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        """The mixture's own recording, c t, or None where the mixture is the sum of the stems."""
        ...

    def fingerprint(self, stem: str) -> str | None:
        """A text that changes whenever the stem's samples may have changed; None for audio that lies in memory."""
        ...


@dataclass(frozen=True, eq=False)
class Track:
    """A song: its name, its stems, and their samples on demand.

    `stems` are those that the song has. Asking for another canonical stem, or one of the dataset's, gives silence.
    `complete` says whether they are all that sounds in the mixture; None where nobody said, see `is_complete`.
    """

    name: str
    sample_rate: int
    channels: int
    length_samples: int
    stems: tuple[str, ...]
    source: StemSource
    mixture_is_sum: bool = True
    known: tuple[str, ...] = STEMS
    facts: Mapping[str, object] = field(default_factory=dict)
    complete: bool | None = None

    @property
    def seconds(self) -> float:
        """Length of the song."""
        return self.length_samples / self.sample_rate

    def load(self, stem: str, start: int = 0, length: int | None = None) -> Tensor:
        """Samples of one stem, c t float32; beyond the song's ends lies silence.

        Raises UnknownNameError for a name that is no stem, and DatasetError for a negative length.
        """
        if stem not in self.stems and stem not in self.known:
            raise UnknownNameError(f"track {self.name!r} has no stem {stem!r}: {nearest(stem, self.stems)}")
        present = stem in self.stems
        return self._framed(lambda a, n: self.source.read(stem, a, n) if present else None, start, length)

    def load_mixture(self, start: int = 0, length: int | None = None) -> Tensor:
        """The mixture, c t: its own recording where there is one, the sum of the stems elsewhere."""
        if not self.mixture_is_sum:
            return self._framed(self.source.read_mixture, start, length)
        total = self._framed(lambda a, n: None, start, length)
        for stem in self.stems:
            total = total + self.load(stem, start, length)
        return total

    @property
    def mixture(self) -> Tensor:
        """The whole mixture, c t."""
        return self.load_mixture()

    def is_complete(self) -> bool:
        """Whether the stems are all that sounds in the mixture, so that what is none of them is silent.

        The dataset's word counts first, `complete`. Else yes where the mixture is the stems' sum; where it has a
        recording of its own, yes where the stems, at the level that fits best, leave no more than 1 % of its energy
        unexplained, whatever they are called: the song is read for that, once. A song with a mixture and vocals alone
        is not complete: its accompaniment is not known, and the mixture less the vocals is no truth, because recordings
        bleed and masters are limited.
        """
        if self.complete is not None:
            return self.complete
        return self.mixture_is_sum or self.mixture_fit.complete

    @cached_property
    def mixture_fit(self) -> MixtureFit:
        """The mixture held against the sum of the stems: what they leave unexplained, and the difference of levels."""
        if self.mixture_is_sum:
            return MixtureFit(0.0, 0.0)
        first, *rest = without_overlap(self.stems)
        return mixture_fit(self.mixture, sum((self.load(stem) for stem in rest), self.load(first)))

    def view(self, stems: Sequence[str]) -> Track:
        """The same song seen as other stems: `accompaniment` sums all but the vocals, `other` all that is not named.

        Stems that the song lacks are left out, and these two where the song is not complete. The view's mixture is the
        song's mixture where the view covers every stem or asks for the rest, and else the sum of the view's stems.
        """
        complete = self.is_complete()
        parts = {stem: found for stem in stems if (found := parts_of(stem, stems, self.stems, complete=complete))}
        if not parts:
            raise DatasetError(f"track {self.name!r} ({', '.join(self.stems)}) has none of {', '.join(stems)}.")
        used = [name for found in parts.values() for name in found]
        whole = set(used) == set(self.stems) or (not complete and bool({"other", "accompaniment"} & set(stems)))
        return Track(
            name=self.name,
            sample_rate=self.sample_rate,
            channels=self.channels,
            length_samples=self.length_samples,
            stems=tuple(parts),
            source=_SummedSource(self, parts, whole),
            mixture_is_sum=len(used) == len(set(used)) and (self.mixture_is_sum or not whole),
            known=tuple(dict.fromkeys((*self.known, *stems))),
            facts=self.facts,
            complete=complete and set(used) == set(self.stems) if whole else None,
        )

    def _framed(self, read: Callable[[int, int], Tensor | None], start: int, length: int | None) -> Tensor:
        length = self.length_samples - start if length is None else length
        if length < 0:
            raise DatasetError(
                f"track {self.name!r}: {length} samples from {start} on were asked for; ask for 0 or more."
            )
        first, last = max(0, start), min(self.length_samples, start + length)
        inside = read(first, last - first) if last > first else None
        if inside is not None and inside.shape[1] == length:
            return inside
        out = torch.zeros(self.channels, length)
        if inside is not None:
            out[:, first - start : first - start + inside.shape[1]] = inside
        return out


@dataclass(frozen=True, eq=False)
class _SummedSource:
    track: Track
    parts: Mapping[str, tuple[str, ...]]
    whole: bool  # the mixture is the track's own

    def read(self, stem: str, start: int, length: int) -> Tensor:
        first, *rest = (self.track.source.read(name, start, length) for name in self.parts[stem])
        return sum(rest, first)

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        if self.whole:
            return self.track.load_mixture(start, length)
        first, *rest = dict.fromkeys(name for found in self.parts.values() for name in found)
        return sum((self.track.load(name, start, length) for name in rest), self.track.load(first, start, length))

    def fingerprint(self, stem: str) -> str | None:
        found = [self.track.source.fingerprint(name) for name in self.parts[stem]]
        return None if None in found else " + ".join(str(text) for text in found)


@dataclass(frozen=True, eq=False)
class MemorySource:
    """Stems that lie in memory: name -> c t, all of one shape. A mixture given here is one that is not their sum."""

    stems: Mapping[str, Tensor]
    mixture: Tensor | None = None

    def read(self, stem: str, start: int, length: int) -> Tensor:
        return self.stems[stem][:, start : start + length]

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        return None if self.mixture is None else self.mixture[:, start : start + length]

    def fingerprint(self, stem: str) -> str | None:
        return None


def track_in_memory(
    name: str, stems: Mapping[str, Tensor], sample_rate: int, mixture: Tensor | None = None, **facts: object
) -> Track:
    """A track of tensors c t. Raises DatasetError where their shapes differ or there is none."""
    shapes = {stem: tuple(x.shape) for stem, x in stems.items()} | (
        {} if mixture is None else {"mixture": mixture.shape}
    )
    if not stems or len(set(shapes.values())) != 1:
        raise DatasetError(f"track {name!r} wants stems of one shape (channels, samples), and got {shapes or 'none'}.")
    channels, length = next(iter(stems.values())).shape
    source = MemorySource(dict(stems), mixture)
    return Track(name, sample_rate, channels, length, tuple(stems), source, mixture is None, facts=facts)


class Dataset(Sequence[Track]):
    """Songs in a fixed order, under a name and, where there is one, a split.

    `notes` says what was left aside and why. Two datasets add up to one.
    """

    def __init__(self, name: str, tracks: Iterable[Track], split: str | None = None, notes: Sequence[str] = ()):
        self.name, self.split, self.notes = name, split, tuple(notes)
        self.tracks = tuple(tracks)

    @overload
    def __getitem__(self, index: int) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Track | Dataset:
        if isinstance(index, slice):
            return Dataset(self.name, self.tracks[index], self.split, self.notes)
        return self.tracks[index]

    def __len__(self) -> int:
        return len(self.tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self.tracks)

    def __add__(self, other: Dataset) -> Dataset:
        split = self.split if self.split == other.split else None
        return Dataset(f"{self.name}+{other.name}", (*self.tracks, *other.tracks), split, (*self.notes, *other.notes))

    @property
    def stems(self) -> tuple[str, ...]:
        """Every stem that any song has, canonical names first."""
        found = {stem: None for track in self.tracks for stem in track.stems}
        return tuple(sorted(found, key=lambda stem: STEMS.index(stem) if stem in STEMS else len(STEMS)))

    def named(self, *names: str) -> Dataset:
        """Only the songs with these names, in this order. Raises UnknownNameError for one that is not there."""
        by_name = {track.name: track for track in self.tracks}
        for name in names:
            if name not in by_name:
                raise UnknownNameError(f"dataset {self.name} has no track {name!r}: {nearest(name, by_name)}")
        return Dataset(self.name, (by_name[name] for name in names), self.split, self.notes)

    def without(self, *names: str) -> Dataset:
        """All songs but these. Raises UnknownNameError for one that is not there."""
        self.named(*names)
        return Dataset(self.name, (t for t in self.tracks if t.name not in names), self.split, self.notes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} tracks, split={self.split!r})"
