"""Laws of quality: what is understood, and that a budget chooses the best that fits and times no more than it must."""

from __future__ import annotations

import pytest

from sepkit.errors import OptionError
from sepkit.quality import NAMES, Budget, fit_budget, parse_quality


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        *((name, name) for name in NAMES),
        ("BEST", "best"),
        (50, 50),
        ("50", 50),
        ("30s", Budget(30.0)),
        ("1.5 s", Budget(1.5)),
        ("2min", Budget(120.0)),
        ("2m", Budget(120.0)),
        ("1h", Budget(3600.0)),
    ],
)
def test_names_steps_and_budgets_are_told_apart(given, understood):
    assert parse_quality(given) == understood


@pytest.mark.parametrize("given", ["bset", "", "30x", "s", "-5s", 0, -3, "0", "0s", True, 2.5, None])
def test_anything_else_is_refused_with_what_is_allowed(given):
    with pytest.raises(OptionError, match=r"fast|at least 1|longer"):
        parse_quality(given)


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(OptionError, match="did you mean 'balanced'"):
        parse_quality("balancd")


COSTS = {"fast": 1.0, "balanced": 5.0, "best": 20.0}


@pytest.mark.parametrize(
    ("seconds", "chosen", "timed"),
    [
        (0.5, "fast", ["fast"]),
        (1.0, "fast", ["fast", "balanced"]),
        (7.0, "balanced", ["fast", "balanced", "best"]),
        (99.0, "best", ["fast", "balanced", "best"]),
    ],
)
def test_the_best_that_fits_is_chosen_and_dearer_ones_are_not_tried_in_vain(seconds, chosen, timed):
    name, estimates = fit_budget(seconds, lambda quality: quality, COSTS.__getitem__)
    assert name == chosen
    assert [estimate.quality for estimate in estimates] == timed


def test_equal_settings_are_timed_once():
    asked = []
    name, estimates = fit_budget(10.0, lambda quality: "same", lambda settings: asked.append(settings) or 2.0)
    assert (name, len(estimates), asked) == ("best", 3, ["same"])
