"""Views: which of a track's fine stems make up each stem that a method outputs, and which mixture it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Literal

from ..data.stem_names import parts_of
from ..errors import DatasetError

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.track import Track

FULL_VIEW = ("vocals", "drums", "bass", "other", "accompaniment")
"""What reference points are scored on: every stem that methods of the full mixture commonly output."""


@dataclass(frozen=True)
class View:
    """The stems of a method as sums of a track's stems; `absent` ones the track cannot be asked for.

    `covers` says whether the truths are all that sounds in the track's full mixture, `partial` whether not even all
    stems of the track are, because it lacks references.
    """

    stems: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    absent: tuple[str, ...]
    mixture: Literal["full", "own"]
    covers: bool = True
    partial: bool = False

    def truth(self, stem: str, track: Track) -> Tensor:
        """What `stem` should be, as a sum of the track's stems: c t."""
        return reduce(add, map(track.load, self.parts[stem]))

    def mixture_of(self, track: Track) -> Tensor:
        """What the method is given: the track's mixture, or the sum of the method's own stems only: c t."""
        return track.mixture if self.mixture == "full" else reduce(add, map(track.load, self._own(track.stems)))

    @property
    def complete(self) -> bool:
        """Whether the truths are all that sounds in the mixture that the method is given."""
        return self.covers or self.mixture == "own"

    def why_absent(self, stem: str) -> str:
        """The reason why there is no truth for a stem."""
        if self.partial and stem == "other":
            return "the track has no reference of all that is other, because its references are not all of its mixture"
        if self.partial:
            return f"the track has no reference of {stem}, and its other references are not all of its mixture"
        return f"the track has no {stem}"

    def truth_name(self, stem: str) -> str:
        """A file name for the truth that says what is in it, since `other` means something else in each view."""
        return "+".join(self.parts[stem])

    def mixture_name(self, track: Track) -> str:
        """A file name for what the method is given."""
        return "mixture" if self.mixture == "full" else "+".join(self._own(track.stems))

    def _own(self, track_stems: Sequence[str]) -> list[str]:
        return [name for name in track_stems if any(name in names for names in self.parts.values())]


def view_on(stems: Sequence[str], track: Track) -> View:
    """How a method that outputs `stems` is scored on a track; see `view_of`. Raises DatasetError as that."""
    return view_of(stems, track.stems, complete=track.is_complete())


def view_of(stems: Sequence[str], track_stems: Sequence[str], *, complete: bool = True) -> View:
    """How a method that outputs `stems` is scored on a track that has `track_stems`.

    A complement (accompaniment) is everything but vocals; `other` is everything that no further stem of the method
    names (guitar, piano and the rest). A method that leaves some of the track unnamed (no vocals, say) could not but
    fail on the full mixture: it is given the mixture of its own stems, and the view says so. Where the track's stems
    are not `complete`, nobody knows the rest, so that accompaniment and other have no truth.
    Raises DatasetError where the track has none of the method's stems.
    """
    parts = {stem: parts_of(stem, stems, track_stems, complete=complete) for stem in stems}
    absent = tuple(stem for stem, names in parts.items() if not names)
    if len(absent) == len(parts):
        raise DatasetError(f"none of its stems ({', '.join(stems)}) is in this track ({', '.join(track_stems)})")
    parts = {stem: names for stem, names in parts.items() if names}
    named = {name for names in parts.values() for name in names}
    # a method with `other` answers for everything, also on a track that has no truth for it (vocals, accompaniment)
    everything = "other" in stems or {"vocals", "accompaniment"} <= set(stems) or named == set(track_stems)
    covers = complete and named == set(track_stems)
    return View(tuple(stems), parts, absent, "full" if everything else "own", covers, not complete)
