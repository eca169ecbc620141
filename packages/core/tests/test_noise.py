"""Laws of noise by position: one value for each (seed, key, channel, sample), standard normal, no global state."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sepkit.noise import BLOCK_SAMPLES, gaussian


@settings(max_examples=60)
@given(st.integers(-3 * BLOCK_SAMPLES, 3 * BLOCK_SAMPLES), st.integers(1, 2 * BLOCK_SAMPLES), st.data())
def test_overlapping_ranges_agree_bit_for_bit(start, length, data):
    whole = gaussian(3, "vocals", start, length, 2)
    first = data.draw(st.integers(0, length - 1))
    count = data.draw(st.integers(1, length - first))
    assert torch.equal(gaussian(3, "vocals", start + first, count, 2), whole[:, first : first + count])


@pytest.mark.parametrize(
    ("seed", "key", "start"), [(4, "vocals", 0), (3, "drums", 0), (3, "vocals", 1), (-3, "vocals", 0)]
)
def test_any_other_seed_key_or_position_gives_other_values(seed, key, start):
    assert not torch.equal(gaussian(seed, key, start, 100, 1), gaussian(3, "vocals", 0, 100, 1))


def test_the_number_of_channels_does_not_change_a_channel():
    assert torch.equal(gaussian(0, "x", 5, 99, 3)[:2], gaussian(0, "x", 5, 99, 2))
    assert not torch.equal(*gaussian(0, "x", 5, 99, 2))


def test_far_positions_are_reached_at_once():
    assert torch.isfinite(gaussian(0, "x", 10**12, 10, 1)).all()


def test_values_are_standard_normal_and_independent():
    n = 400_000
    x = gaussian(1, "statistics", -n // 2, n, 2).double()
    sigma = 1 / math.sqrt(n)
    for channel in x:
        assert abs(channel.mean()) < 5 * sigma
        assert abs(channel.var() - 1) < 5 * math.sqrt(2) * sigma
        assert abs((channel**4).mean() - 3) < 5 * math.sqrt(96) * sigma
        assert all(abs((channel[:-lag] * channel[lag:]).mean()) < 5 * sigma for lag in (1, 2, 3, 4, BLOCK_SAMPLES))
    assert abs((x[0] * x[1]).mean()) < 5 * sigma
    # Kolmogorov-Smirnov distance to the normal distribution, at a level of about one in a million.
    ordered = torch.sort(x[0]).values
    expected = torch.special.ndtr(ordered)
    assert (expected - torch.arange(n) / n).abs().max() < 2.7 * sigma


def test_values_are_those_of_the_first_release():
    """A stored result must stay repeatable: a change of these numbers breaks every recorded seed."""
    assert gaussian(0, "vocals", -1, 4, 1)[0].tolist() == pytest.approx(
        [0.6416306, 1.0781922, -0.9306554, 1.8027850], abs=1e-6
    )


def test_no_global_random_state_is_read_or_changed():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = gaussian(0, "x", 0, 10, 1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    torch.manual_seed(1)
    assert torch.equal(gaussian(0, "x", 0, 10, 1), first)


@pytest.mark.parametrize("shape", [(0, 2), (5, 0)])
def test_nothing_asked_nothing_given(shape):
    assert gaussian(0, "x", 7, *shape).shape == (shape[1], shape[0])


def test_negative_lengths_are_refused():
    with pytest.raises(ValueError, match="-1 samples"):
        gaussian(0, "x", 0, -1, 1)
