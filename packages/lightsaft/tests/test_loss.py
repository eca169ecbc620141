"""Laws of the training losses and of the random equaliser."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sepkit.errors import OptionError
from sepkit_lightsaft.config import LightSaftConfig
from sepkit_lightsaft.loss import LossWeights, SpectrogramLoss, equaliser, gain_cross_entropy

SMALL = {"n_fft": 64, "hop_samples": 32, "blocks": 3, "channels": 4, "embedding_dim": 8, "bottleneck_min": 4}
MASK = LightSaftConfig(**SMALL, features="log_magnitude", output="masking")
MAP = LightSaftConfig(**SMALL)


class Answers(nn.Module):
    """A network that always gives the same logit."""

    def __init__(self, logit: float, channels: int = 2):
        super().__init__()
        self.logit, self.channels = logit, channels

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        return torch.full((features.shape[0], self.channels, *features.shape[2:]), self.logit)


def batch(gains: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)) -> dict[str, Tensor]:
    noise = torch.randn(4, 4, 2, 640, generator=torch.Generator().manual_seed(3))
    return {"stems": noise * torch.tensor(gains).view(1, 4, 1, 1), "target": torch.arange(4)}


def test_silence_costs_nothing_in_decibels_and_the_stems_energy_in_mse() -> None:
    assert abs(SpectrogramLoss(MASK, LossWeights(decibel=1.0))(Answers(-1e4), batch())) < 1e-5
    data = batch()
    wanted = torch.stack([data["stems"][i, i] for i in range(4)])
    from sepkit_lightsaft.spectrum import stft

    expected = torch.view_as_real(stft(wanted, MASK)).square().mean()
    torch.testing.assert_close(SpectrogramLoss(MASK, LossWeights(mse=1.0))(Answers(-1e4), data), expected)


def test_perfect_estimate_reaches_the_floor() -> None:
    """Only one stem sounds, so the mixture itself is the perfect estimate; the floor bounds the gain at 30 dB."""
    data = {"stems": torch.zeros(1, 4, 2, 640), "target": torch.tensor([2])}
    data["stems"][:, 2] = batch()["stems"][:1, 2]
    loss = SpectrogramLoss(MASK, LossWeights(decibel=1.0, floor=1e-3))(Answers(1e4), data)
    assert loss.item() == pytest.approx(-30.0, abs=0.05)


def test_absent_stem_asks_for_silence() -> None:
    data = batch((0.0, 1.0, 1.0, 1.0))
    data = {"stems": data["stems"][:1], "target": torch.tensor([0])}
    loss = SpectrogramLoss(MASK, LossWeights(decibel=1.0))
    assert loss(Answers(-1e4), data).item() == pytest.approx(0.0, abs=1e-4)
    assert loss(Answers(1e4), data) > loss(Answers(-2.0), data) > 0


@pytest.mark.parametrize("gain", [0.1, 1.0, 7.0])
def test_decibel_loss_does_not_depend_on_level(gain: float) -> None:
    data = batch()
    scaled = {**data, "stems": data["stems"] * gain}
    loss = SpectrogramLoss(MASK, LossWeights(decibel=1.0))
    torch.testing.assert_close(loss(Answers(-0.5), scaled), loss(Answers(-0.5), data), atol=1e-3, rtol=0)


def test_mapping_returns_the_spectrogram_itself() -> None:
    data = {"stems": torch.zeros(1, 4, 2, 640), "target": torch.tensor([1])}
    assert SpectrogramLoss(MAP, LossWeights(mse=1.0))(Answers(0.0, channels=4), data) == 0
    assert SpectrogramLoss(MAP, LossWeights(mse=1.0))(Answers(0.5, channels=4), data).item() == pytest.approx(0.25)


def test_flat_equaliser_is_one_gain_and_points_are_met() -> None:
    flat = equaliser(torch.full((2, 9), 6.0206), MASK)
    torch.testing.assert_close(flat, torch.full((2, 33), 2.0), atol=1e-4, rtol=0)
    ramp = equaliser(torch.linspace(-12, 12, 9), LightSaftConfig())
    decibels = 20 * torch.log10(ramp)
    assert decibels[-1].item() == pytest.approx(12.0, abs=1e-3)
    assert decibels[0].item() == pytest.approx(-12.0, abs=1e-3)
    assert (decibels.diff() >= -1e-4).all()


def test_equalised_stems_change_mixture_and_target_alike() -> None:
    """With 6 dB on every point of every stem, the whole example is twice as loud: the loss in decibels stays."""
    data = batch()
    louder = {**data, "equaliser_db": torch.full((4, 4, 9), 6.0)}
    loss = SpectrogramLoss(MASK, LossWeights(decibel=1.0))
    torch.testing.assert_close(loss(Answers(0.3), louder), loss(Answers(0.3), data), atol=1e-3, rtol=0)


def test_cross_entropy_is_least_at_the_best_real_gain() -> None:
    """Every bin of the stem is 0.3 of the mixture, so the constant gain 0.3 beats its neighbours."""
    generator = torch.Generator().manual_seed(4)
    mixture = torch.randn(2, 2, 33, 20, dtype=torch.complex64, generator=generator)

    def loss(gain: float) -> float:
        logits = torch.full((2, 2, 20, 33), gain).logit()
        return gain_cross_entropy(logits, mixture, 0.3 * mixture).item()

    assert loss(0.3) < min(loss(0.25), loss(0.35))


def test_cross_entropy_keeps_its_slope_where_the_gain_is_saturated() -> None:
    mixture = torch.ones(1, 2, 33, 20, dtype=torch.complex64)
    logits = torch.full((1, 2, 20, 33), -30.0, requires_grad=True)
    gain_cross_entropy(logits, mixture, mixture).backward()
    assert logits.grad is not None
    assert logits.grad.sum().item() == pytest.approx(-1.0, abs=1e-4)


def test_cross_entropy_is_refused_for_mapping() -> None:
    with pytest.raises(OptionError, match="compares gains"):
        SpectrogramLoss(MAP, LossWeights(cross_entropy=1.0))


def test_relative_error_of_silence_is_the_stems_share_of_the_energy() -> None:
    """Four equal independent stems: each holds about a quarter of the mixture's energy."""
    loss = SpectrogramLoss(MASK, LossWeights(relative=1.0))(Answers(-1e4), batch())
    assert loss.item() == pytest.approx(0.25, abs=0.05)


def test_terms_add_up_by_their_weights() -> None:
    data = batch()

    def loss(**weights: float) -> float:
        return SpectrogramLoss(MASK, LossWeights(**weights))(Answers(0.2), data).item()

    total = 0.5 * loss(decibel=1.0) + 2 * loss(relative=1.0) + loss(cross_entropy=1.0)
    assert loss(decibel=0.5, relative=2.0, cross_entropy=1.0) == pytest.approx(total, rel=1e-5)


def test_no_loss_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="every weight is 0"):
        LossWeights()
