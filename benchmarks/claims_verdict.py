"""The rules by which a published number is held, not held, or not decided; nothing here reads a file.

Intervals are of 95 % over tracks. A verdict is never given on an estimate alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from sepkit.evaluation.statistics import Interval

Verdict = Literal["held", "not held", "underpowered", "data missing"]

TOLERANCE: Mapping[str, float] = {"dB": 0.25}
"""How far below the published number still counts as reaching it, in the number's own unit."""
WIDEST: Mapping[str, float] = {"dB": 1.5}
"""An interval wider than this decides only where it lies wholly on one side."""
LEAST_TRACKS = 10
"""Fewer tracks than this never decide about an absolute number."""
LEAST_PAIRS = 6
"""Fewer tracks than this never decide about a difference: with 6 a sign test reaches p < 0.05 at all."""
SIMILAR = 0.3
"""Two systems are similar, in dB, where the interval of their difference lies within this either way."""
COUNT_TOLERANCE = 0.05
"""Counts such as parameters agree to within this fraction: papers print two digits."""


class Decision(NamedTuple):
    """A verdict with the rule that gave it."""

    verdict: Verdict
    reason: str


def judge_number(
    published: float, ours: Interval, *, unit: str = "dB", better: Literal["higher", "lower"] = "higher"
) -> Decision:
    """Whether ours reaches a published score, on the paper's own data.

    `held`: the whole interval reaches published - tolerance, or a narrow one does in part; to exceed is to hold.
    `not held`: the whole interval stays below. `underpowered`: too few tracks, or a wide interval across.
    """
    if ours.tracks < LEAST_TRACKS or ours.low is None or ours.high is None:
        return Decision("underpowered", f"{ours.tracks} track(s); {LEAST_TRACKS} are wanted")
    sign = 1.0 if better == "higher" else -1.0
    tolerance, widest = TOLERANCE.get(unit, 0.0), WIDEST.get(unit, float("inf"))
    low, high = sorted((sign * ours.low, sign * ours.high))
    reach = sign * published - tolerance
    if high < reach:
        return Decision(
            "not held", f"the interval ends short of the published number by more than {tolerance:g} {unit}"
        )
    if low >= reach:
        return Decision("held", f"the whole interval reaches the published number less {tolerance:g} {unit}")
    if high - low > widest:
        return Decision("underpowered", f"the interval is {high - low:.2f} {unit} wide; {widest:g} decides")
    return Decision("held", f"the interval holds the published number less {tolerance:g} {unit}")


def judge_difference(
    published: float, ours: Interval, *, kind: Literal["greater", "similar"], own_data: bool
) -> Decision:
    """Whether a published difference in dB shows in ours, tracks paired.

    `greater`: held where the whole interval is above zero and, on the paper's own data, reaches the published size less
    the tolerance; not held where it is wholly below zero or, on own data, wholly short of that size. On other data a
    size says nothing, so only the sign is tested. `similar`: held within ±0.3 dB (or the published size, where that is
    larger), not held wholly outside. Anything between is underpowered.
    """
    if ours.tracks < LEAST_PAIRS or ours.low is None or ours.high is None:
        return Decision("underpowered", f"{ours.tracks} track(s); {LEAST_PAIRS} are wanted")
    if kind == "similar":
        return _judge_similar(max(SIMILAR, abs(published)), ours.low, ours.high)
    short = published - TOLERANCE["dB"]
    if ours.high < 0:
        return Decision("not held", "the whole interval has the other sign")
    if own_data and ours.high < short:
        return Decision("not held", f"the whole interval is short of the published size by more than {TOLERANCE['dB']}")
    if ours.low > 0:
        return Decision("held", "the whole interval has the published sign")
    return Decision("underpowered", "the interval holds zero")


def _judge_similar(margin: float, low: float, high: float) -> Decision:
    if -margin <= low and high <= margin:
        return Decision("held", f"the whole interval lies within {margin:g} dB of zero")
    if high < -margin or low > margin:
        return Decision("not held", f"the whole interval lies beyond {margin:g} dB")
    return Decision("underpowered", f"the interval reaches across {margin:g} dB")


def judge_count(published: float, ours: float) -> Decision:
    """Whether a count (parameters in millions) is the published one; needs no data."""
    off = abs(ours - published) / abs(published)
    verdict: Verdict = "held" if off <= COUNT_TOLERANCE else "not held"
    return Decision(verdict, f"off by {100 * off:.0f} %; {100 * COUNT_TOLERANCE:.0f} % is allowed")
