"""Random equalisers of training: what they do to a tone, and to nothing else."""

from __future__ import annotations

import pytest
import torch

from sepkit.training.equaliser import equalised, equaliser_gains

RATE = 8000


def tone(hertz: float) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hertz * torch.arange(RATE) / RATE)[None, None]


def test_gains_go_through_their_points_and_straight_between_them() -> None:
    points = torch.tensor([0.0, 6.0, -6.0])
    middle = (40.0 * 4000.0) ** 0.5
    hertz = torch.tensor([10.0, 40.0, (40.0 * middle) ** 0.5, middle, 4000.0])
    decibels = 20 * equaliser_gains(points, hertz).log10()
    torch.testing.assert_close(decibels, torch.tensor([0.0, 0.0, 3.0, 6.0, -6.0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("hertz", "gain_db"), [(40.0, 6.0), (400.0, 0.0), (1600.0, -3.61)])
def test_a_tone_gets_the_gain_of_its_frequency(hertz: float, gain_db: float) -> None:
    found = equalised(tone(hertz), torch.tensor([[6.0, 0.0, -6.0]]), RATE)
    torch.testing.assert_close(found, 10 ** (gain_db / 20) * tone(hertz), atol=2e-3, rtol=0)


def test_a_flat_equaliser_changes_nothing_at_any_length() -> None:
    for length in (999, 1000):
        x = torch.randn(2, 2, length, generator=torch.Generator().manual_seed(length))
        torch.testing.assert_close(equalised(x, torch.zeros(2, 9), RATE), x, atol=1e-5, rtol=1e-5)
