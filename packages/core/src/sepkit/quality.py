"""Quality: a name, a number of steps or a budget of time, and the choice that a budget comes down to."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import OptionError, nearest
from .separator import Quality

NAMES = ("fast", "balanced", "best")
"""From cheapest to dearest."""

_UNIT_SECONDS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BUDGET = re.compile(r"(?P<amount>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>s|sec|m|min|h)")

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Budget:
    """The time that separating one track may take."""

    seconds: float


def parse_quality(quality: Quality) -> str | int | Budget:
    """A quality as given, told apart: `fast | balanced | best`, steps (`50`, also as text), a budget (`30s`, `2min`).

    Raises OptionError that lists what is allowed.
    """
    if isinstance(quality, bool) or not isinstance(quality, str | int):
        raise OptionError(f"quality is {quality!r}; {_ALLOWED}")
    text = str(quality).strip().lower()
    if re.fullmatch(r"[+-]?\d+", text):
        if int(text) < 1:
            raise OptionError(f"quality is {quality!r} steps; wanted at least 1.")
        return int(text)
    if text in NAMES:
        return text
    budget = _BUDGET.fullmatch(text)
    if budget is None:
        raise OptionError(f"quality is {quality!r}: {nearest(text, NAMES)} {_ALLOWED[0].upper()}{_ALLOWED[1:]}")
    seconds = float(budget["amount"]) * _UNIT_SECONDS[budget["unit"]]
    if seconds == 0:
        raise OptionError(f"quality is {quality!r}: a budget must be longer than no time at all.")
    return Budget(seconds)


_ALLOWED = "wanted fast, balanced, best, a number of steps, or a budget for each track such as '30s' or '2min'."


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one quality would cost for a track, by timing."""

    quality: str
    seconds: float


def fit_budget(
    budget_seconds: float, settings: Callable[[str], S], estimate_seconds: Callable[[S], float]
) -> tuple[str, list[Estimate]]:
    """The best named quality whose estimated cost fits, and all estimates made, cheapest first.

    Qualities are tried upwards and stop at the first over budget, so that a dear one isn't timed in vain. One whose
    settings equal the last one's costs the same and isn't timed again. `fast` is the answer when nothing fits.
    """
    chosen, estimates = NAMES[0], []
    last: tuple[S, float] | None = None
    for name in NAMES:
        wanted = settings(name)
        seconds = last[1] if last is not None and last[0] == wanted else estimate_seconds(wanted)
        last = (wanted, seconds)
        estimates.append(Estimate(name, round(seconds, 3) if math.isfinite(seconds) else seconds))
        if seconds > budget_seconds:
            break
        chosen = name
    return chosen, estimates
