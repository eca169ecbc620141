"""How far a mixture is the sum of the stems that are said to be in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

UNEXPLAINED = 0.01
"""The share of a mixture's energy that complete stems may leave to coding and mastering."""
LEVEL_DB = 0.1
"""Levels further apart than this are worth a word: they cap SDR at 39 dB, and 1 dB at 18 dB."""


class MixtureFit(NamedTuple):
    """The mixture held against `gain` times the sum of its stems, at the gain that fits best.

    `unexplained` is the share of the mixture's energy that is then left; `level_db` is that gain, None where there is
    none because one of them is silent or the mixture has the opposite sign.
    """

    unexplained: float
    level_db: float | None

    @property
    def complete(self) -> bool:
        """Whether the stems are all that sounds in the mixture, at whatever level."""
        return self.unexplained <= UNEXPLAINED

    @property
    def note(self) -> str | None:
        """What a reader of scores must know where the mixture is not the stems' sum; None where it is."""
        if self.level_db is None:
            return None if self.complete else "the mixture has nothing of the sum of its references"
        if self.complete and abs(self.level_db) <= LEVEL_DB:
            return None
        return (
            f"the mixture is not the sum of its references ({_level(self.level_db)}, "
            f"{100 * self.unexplained:.1f} % of its energy in none of them), so perfect stems of it differ from them"
        )


def mixture_fit(mixture: Any, total: Any) -> MixtureFit:
    """Hold a mixture against the sum of its stems: arrays or tensors of one shape."""
    m, s = (_floats(x).reshape(-1) for x in (mixture, total))
    energy, sounding = float(np.vdot(m, m)), float(np.vdot(s, s))
    if not energy or not sounding:
        return MixtureFit(0.0 if energy == sounding else 1.0, None)
    gain = float(np.vdot(m, s)) / sounding
    if gain <= 0:
        return MixtureFit(1.0, None)
    rest = m - m.dtype.type(gain) * s
    return MixtureFit(float(np.vdot(rest, rest)) / energy, float(20 * np.log10(gain)))


def _level(level_db: float) -> str:
    if abs(level_db) <= LEVEL_DB:
        return "at their level"
    return f"{abs(level_db):.1f} dB {'louder' if level_db > 0 else 'quieter'}"


def _floats(x: Any) -> NDArray[Any]:
    given = np.asarray(x)
    return given.astype(np.result_type(given.dtype, np.float32), copy=False)
