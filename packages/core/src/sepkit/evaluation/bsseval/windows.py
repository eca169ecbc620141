"""Where the windows of a track lie, and into which pieces it is cut so that every sample is transformed once.

A *piece* is a run of samples whose correlations are computed together; a *seam* is a cut between two pieces, where
samples on its left meet samples on its right at short lags. A window is the sum of its pieces and inner seams; the
track is the sum of all of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, isfinite, isnan

from ...errors import OptionError

PIECE_SAMPLES = 1 << 16
"""The longest piece: what is in memory for one of them must not grow with the window."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples start to stop, the windows they belong to, and whether they count for the whole track."""

    start: int
    stop: int
    windows: tuple[int, ...] = ()
    of_track: bool = True


@dataclass(frozen=True, slots=True)
class Seam:
    """A cut inside low to high; as a piece, it belongs to windows and perhaps to the track."""

    cut: int
    low: int
    high: int
    windows: tuple[int, ...] = ()
    of_track: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """All pieces and seams of a track, in time order."""

    frames: tuple[tuple[int, int], ...]
    pieces: tuple[Piece, ...]
    seams: tuple[Seam, ...]

    def of_windows(self, first: int, last: int) -> Plan:
        """What windows first to last - 1 are made of, without the track."""
        chosen = range(first, last)

        def ours(part: Piece | Seam) -> tuple[int, ...]:
            return tuple(k for k in part.windows if k in chosen)

        pieces = tuple(Piece(p.start, p.stop, ours(p), False) for p in self.pieces if ours(p))
        seams = tuple(Seam(s.cut, s.low, s.high, ours(s), False) for s in self.seams if ours(s))
        return Plan(self.frames, pieces, seams)


def frames(window_samples: float, hop_samples: float, length_samples: int) -> list[tuple[int, int]]:
    """Start and stop of every window, floored as museval does; a partial last window is left out.

    A window of the track's length or longer gives one. Raises OptionError for a window or hop that cannot be.
    """
    window_samples, hop_samples = _number(window_samples, "window"), _number(hop_samples, "hop")
    if isnan(window_samples) or window_samples < 1:
        raise OptionError(f"The window is {window_samples} samples long; give at least 1, or infinity for the track.")
    if isnan(hop_samples) or hop_samples <= 0:
        raise OptionError(f"The hop is {hop_samples} samples; give more than 0.")
    if window_samples >= length_samples:
        return [(0, length_samples)]
    if not isfinite(hop_samples):
        raise OptionError(
            f"The hop is infinite, but the window of {window_samples} samples is shorter than the track of "
            f"{length_samples}; give a finite hop, or an infinite window."
        )
    count = floor((length_samples - window_samples + hop_samples) / hop_samples)
    return [
        (floor(k * hop_samples), floor(min(k * hop_samples + window_samples, length_samples))) for k in range(count)
    ]


def _number(value: float, what: str) -> float:
    try:
        if not isinstance(value, (str, bytes)):
            float(value)
            return value
    except (TypeError, ValueError):
        pass
    raise OptionError(f"The {what} is {value!r}; give a number of samples, or infinity for the whole track.")


def planned(windows: Sequence[tuple[int, int]], length_samples: int, lags: int) -> Plan:
    """Cut the track at the edges of all windows, and long pieces into equal parts.

    Seams see only their two neighbours, so inner pieces shorter than the lags will not do; where the edges lie so
    close, the windows are computed each on its own, beside a track cut without regard to them.
    """
    edges = sorted({0, length_samples, *(edge for window in windows for edge in window)})
    if any(b - a < lags - 1 for a, b in pairwise(edges[1:-1])):
        return _separate(windows, length_samples, lags)
    cuts = _refined(edges, lags)
    starts, stops = [start for start, _ in windows], [stop for _, stop in windows]

    def owners(low: int, high: int) -> tuple[int, ...]:
        return tuple(k for k in _near(starts, stops, low, high) if starts[k] <= low and high <= stops[k])

    pieces = tuple(Piece(a, b, owners(a, b)) for a, b in pairwise(cuts))
    seams = tuple(Seam(c, 0, length_samples, owners(c - 1, c + 1)) for c in cuts[1:-1])
    return Plan(tuple(windows), pieces, seams)


def _near(starts: list[int], stops: list[int], low: int, high: int) -> range:
    """Windows that may hold low to high; both lists rise, so the rest is never looked at."""
    return range(bisect_left(stops, high), bisect_right(starts, low))


def _separate(windows: Sequence[tuple[int, int]], length_samples: int, lags: int) -> Plan:
    cuts = _refined([0, length_samples], lags)
    pieces = [Piece(a, b) for a, b in pairwise(cuts)]
    seams = [Seam(c, 0, length_samples) for c in cuts[1:-1]]
    for k, window in enumerate(windows):
        cuts = _refined(list(window), lags)
        pieces += [Piece(a, b, (k,), False) for a, b in pairwise(cuts)]
        seams += [Seam(c, *window, (k,), False) for c in cuts[1:-1]]
    return Plan(tuple(windows), tuple(pieces), tuple(seams))


def _refined(edges: list[int], lags: int) -> list[int]:
    longest = max(PIECE_SAMPLES, 4 * lags)
    cuts = [edges[0]]
    for a, b in pairwise(edges):
        parts = max(1, ceil((b - a) / longest))
        cuts += [a + (b - a) * part // parts for part in range(1, parts + 1)]
    return cuts
