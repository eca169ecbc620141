"""Averages of samples: what statistics says they are, however they come."""

from __future__ import annotations

import pytest
import torch

from sepkit.errors import OptionError
from sepkit_msdm_posterior.averaging import average


@pytest.mark.parametrize("count", [1, 2, 7])
def test_mean_and_spread_are_those_of_statistics(count: int) -> None:
    samples = 1e4 + torch.randn(count, 2, 3, 50, generator=torch.Generator().manual_seed(0))
    for given in (samples, list(samples), iter(samples)):
        found = average(given)
        assert found.samples == count
        assert torch.allclose(found.mean, samples.double().mean(0).float(), rtol=1e-6)
        wanted = samples.double().std(0).float() if count > 1 else torch.zeros(2, 3, 50)
        assert torch.allclose(found.spread, wanted, atol=5e-3)  # a float32 near 1e4 is exact to 1e-3


def test_equal_samples_have_no_spread_and_sum_as_each_does() -> None:
    one = torch.randn(1, 4, 9, generator=torch.Generator().manual_seed(0))
    found = average([one] * 5)
    assert torch.equal(found.mean, one)
    assert (found.spread == 0).all()


def test_no_samples_are_an_error() -> None:
    with pytest.raises(OptionError, match="no samples"):
        average([])
