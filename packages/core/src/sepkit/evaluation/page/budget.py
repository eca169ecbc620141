"""How much sound fits on the page: excerpts are shortened first, then the last tracks lose their players."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SHORTEST_SECONDS = 4.0
MARGIN = 0.97  # of a share: a shorter excerpt of the same music may need more bytes for each second


class Share(NamedTuple):
    """What the budget leaves to one track: seconds of excerpt, 0 for no players."""

    seconds: float
    bytes: int


def shares(
    bytes_per_second: Sequence[float], lengths_seconds: Sequence[float], fixed_bytes: Sequence[int], budget_bytes: int
) -> list[Share]:
    """Seconds for each track, from what a second of all its files together takes and from what it takes anyway.

    The excerpts (`lengths_seconds` as asked) are shortened alike until they fit, but not below 4 s; where that is not
    enough, the last tracks get nothing. Tracks that are shorter anyway leave their share to the others.
    """
    kept = len(bytes_per_second)
    while kept:
        rates, lengths = bytes_per_second[:kept], lengths_seconds[:kept]
        seconds = _common_length(rates, lengths, budget_bytes * MARGIN - sum(fixed_bytes[:kept]))
        if seconds >= min(SHORTEST_SECONDS, max(lengths)) - 1e-9:
            chosen = [min(seconds, length) for length in lengths]
            expected = sum(s * rate for s, rate in zip(chosen, rates, strict=True))
            factor = (budget_bytes - sum(fixed_bytes[:kept])) / expected if expected else 1.0  # all that is there
            found = [Share(s, int(s * rate * factor)) for s, rate in zip(chosen, rates, strict=True)]
            return found + [Share(0.0, 0)] * (len(bytes_per_second) - kept)
        kept -= 1
    return [Share(0.0, 0)] * len(bytes_per_second)


def _common_length(rates: Sequence[float], lengths: Sequence[float], left_bytes: float) -> float:
    """The longest length, the same for all, whose bytes fit; excerpts that are shorter anyway stay as they are."""
    rate = float(sum(rates))
    for length, own in sorted(zip(lengths, rates, strict=True)):
        longest = left_bytes / rate if rate > 0 else float("inf") if left_bytes >= 0 else 0.0
        if length >= longest:
            return longest
        left_bytes -= length * own
        rate -= own
    return max(lengths, default=0.0)
