"""A method's scores track by track, as the tables that statistics are taken of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .score import Score

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrackScores:
    """Value and number of windows for each stem and track; what is undefined is not there."""

    found: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)  # stem -> track -> both

    @staticmethod
    def of(rows: Iterable[Score]) -> TrackScores:
        """From the rows of one method, view and metric."""
        found: dict[str, dict[str, tuple[float, float]]] = {}
        for row in rows:
            if row.value is not None:
                found.setdefault(row.stem, {})[row.track] = (row.value, float(row.windows or 1))
        return TrackScores(found)

    def tracks(self, stems: Sequence[str]) -> list[str]:
        """The tracks that have a score of one of the stems, by name: results don't depend on the rows' order."""
        return sorted({track for stem in stems for track in self.found.get(stem, {})})

    def values(self, stem: str) -> dict[str, float]:
        """The stem's score of each track that has one, by name."""
        return {track: value for track, (value, _) in sorted(self.found.get(stem, {}).items())}

    def table(self, stems: Sequence[str], tracks: Sequence[str] | None = None) -> tuple[Array, Array]:
        """Values and weights of the tracks, or of all that have any score: t s, t s; NaN and 1 where there is none."""
        tracks = self.tracks(stems) if tracks is None else tracks
        nothing = (np.nan, 1.0)
        both = np.array([[self.found.get(stem, {}).get(track, nothing) for stem in stems] for track in tracks])
        return (both[..., 0], both[..., 1]) if both.size else (np.zeros((0, len(stems))), np.ones((0, len(stems))))
