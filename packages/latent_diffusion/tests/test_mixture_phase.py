"""Masks from decoded stems on the mixture: sums, levels, lengths, and what they repair."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sepkit_latent_diffusion.mixture_phase import masked

RATE = 8000


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("length_samples", [1, 2, 17, 700, 3001])
def test_stems_sum_to_the_mixture_at_any_length_and_level(length_samples: int) -> None:
    stems, mixture = noise(2, 3, 2, length_samples), noise(2, 2, length_samples, seed=1)
    found = masked(stems, mixture, RATE)
    assert found.shape == stems.shape
    torch.testing.assert_close(found.sum(dim=1), mixture, atol=1e-5, rtol=1e-5)
    for gain in (1e-3, 1e3):
        torch.testing.assert_close(
            masked(gain * stems, gain * mixture, RATE), gain * found, rtol=1e-3, atol=gain * 1e-4
        )
    assert not masked(0 * stems, 0 * mixture, RATE).any()


def test_stems_of_the_right_size_but_out_of_phase_are_repaired() -> None:
    t = torch.arange(2 * RATE) / RATE
    low, high = (0.5 * torch.sin(2 * math.pi * hertz * t)[None, None] for hertz in (300.0, 1500.0))
    shifted = torch.stack([-low, high.roll(3, dims=-1)], dim=1)
    found = masked(shifted, low + high, RATE, exponent=2.0)
    error = (found - torch.stack([low, high], dim=1))[..., RATE // 2 : -RATE // 2]
    assert float(error.abs().max()) < 1e-3
    # the share grows with the exponent: half as large is 1 to 4 in power
    for exponent, wanted in ((1.0, 1 / 3), (2.0, 1 / 5)):
        share = masked(torch.stack([low, 2 * low], dim=1), low, RATE, exponent=exponent)[:, 0]
        torch.testing.assert_close(share, wanted * low, atol=1e-4, rtol=1e-3)
