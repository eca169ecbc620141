"""A projected walk may end with the posterior's mean, told by the variances of the last estimates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sepkit.diffusion import ChurnedEuler, Karras, Level
from sepkit_msdm_posterior.config import MsdmConfig
from sepkit_msdm_posterior.error_variances import signal_variance
from sepkit_msdm_posterior.posteriors import Projected
from sepkit_msdm_posterior.presets import PRESETS
from sepkit_msdm_posterior.sampling import sample_posterior
from sepkit_msdm_posterior.settings import settings_for

VARIANCE = torch.rand(1, 4, 30, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 0.01


def denoise(x: Tensor, level: Level, /) -> Tensor:
    return VARIANCE / (VARIANCE + level.sigma**2) * x  # type: ignore[operator]


@pytest.mark.parametrize("churn", [0.0, 40.0])
def test_the_end_is_the_wiener_estimate_whatever_the_noise(churn: float) -> None:
    mixture = torch.randn(1, 1, 30, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted = VARIANCE / VARIANCE.sum(1, keepdim=True) * mixture
    schedule, sampler = Karras(sigma_min=0.2, sigma_max=5.0), ChurnedEuler(steps=6, churn=churn)
    found = []
    for mean_below in (None, 1.5 * schedule.sigma_min):
        generator = torch.Generator().manual_seed(2)
        found.append(
            sample_posterior(
                denoise,
                mixture,
                stems=4,
                schedule=schedule,
                sampler=sampler,
                posterior=Projected(mean_below=mean_below),
                noise=lambda draw, like, generator=generator: torch.randn(
                    like.shape, generator=generator, dtype=like.dtype
                ),
            )
        )
    sample, mean = found
    torch.testing.assert_close(mean, wanted, atol=1e-9, rtol=1e-9)
    assert float((sample - wanted).abs().max()) > 0.1
    torch.testing.assert_close(sample.sum(1, keepdim=True), mixture)


def test_variances_are_told_by_gains() -> None:
    x = torch.randn(1, 4, 30, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    level = Level(1.0, 0.3, 0.3)
    found = signal_variance(x, denoise(x, level), level)
    torch.testing.assert_close(found, (VARIANCE / 0.09).expand_as(x), atol=0, rtol=1e-9)
    assert torch.isfinite(signal_variance(x, x, level)).all()


def test_settings_take_the_prior_s_finish_unless_told_otherwise() -> None:
    config = PRESETS["tiny"].model_copy(update={"finish": "mean"})

    def posterior(config: MsdmConfig, **fixed: str) -> Projected:
        made = settings_for("projected", "balanced", fixed, config, additive=True).made_posterior(config)
        assert isinstance(made, Projected)
        return made

    assert posterior(config).mean_below == 1.5 * config.separation.sigma_min
    assert posterior(config, finish="sample").mean_below is None
    assert posterior(PRESETS["tiny"].model_copy(update={"finish": "sample"})).mean_below is None


def test_a_prior_that_was_walked_in_training_takes_the_mean_at_every_step_and_new_noise() -> None:
    config = PRESETS["tiny"].model_copy(update={"finish": "means"})
    settings = settings_for("projected", "balanced", {}, config, additive=True)
    assert settings.sampler == "renewed"
    posterior = settings.made_posterior(config)
    mixture = torch.randn(1, 1, 30, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted = VARIANCE / VARIANCE.sum(1, keepdim=True) * mixture
    x = 9.0 * torch.randn(1, 4, 30, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for sigma in (9.0, 0.1):
        torch.testing.assert_close(posterior.bind(denoise, mixture)(x, Level(1.0, sigma, sigma)), wanted)
    assert settings_for("projected", "balanced", {"sampler": "heun"}, config, additive=True).sampler == "heun"
    assert settings_for("dirac", "balanced", {}, config, additive=True).sampler == "churned_euler"
