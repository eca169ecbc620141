"""How many raters it takes to tell two methods apart, given how much raters differ."""

from __future__ import annotations

from math import sqrt

from ...errors import OptionError

POWER = 0.8
MOST_RATERS = 100_000


def raters_needed(
    spread: float, difference: float, pairs: int = 1, *, level: float = 0.05, power: float = POWER
) -> int:
    """The least number of raters with whom a paired, two-sided t test finds `difference` with `power`.

    `spread` is the standard deviation over raters of the difference of their own means of two methods. `level` is
    shared by `pairs` comparisons (Bonferroni, which Holm's correction never falls behind). At least 2. Raises
    OptionError for numbers out of range.
    """
    if spread < 0 or difference <= 0 or pairs < 1 or not 0 < level < 1 or not 0 < power < 1:
        raise OptionError(
            f"spread={spread}, difference={difference}, pairs={pairs}, level={level} and power={power} were given: a "
            "spread of at least 0, a difference above 0, 1 pair and shares between 0 and 1 are wanted."
        )
    low, high = 1, 2
    while _power(high, spread, difference, level / pairs) < power:
        if high > MOST_RATERS:
            return high
        low, high = high, 2 * high
    while high - low > 1:  # the power grows with the number of raters
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, spread, difference, level / pairs) >= power else (middle, high)
    return high


def _power(raters: int, spread: float, difference: float, level: float) -> float:
    """The chance that n raters show the difference: both tails of the noncentral t distribution."""
    from scipy.stats import nct, t

    if spread == 0:
        return 1.0
    freedom, shift = raters - 1, difference / spread * sqrt(raters)
    if shift > 30:
        return 1.0  # beyond what the noncentral t is computed for, and certain
    threshold = t.ppf(1 - level / 2, freedom)
    return float(nct.sf(threshold, freedom, shift) + nct.cdf(-threshold, freedom, shift))
