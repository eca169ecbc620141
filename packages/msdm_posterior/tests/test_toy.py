"""The analytic toy: four stems of independent Gaussian coefficients, whose posterior is known exactly.

Variances are log-normal, so that in most places one stem outweighs the rest, as in music. The level to reach is that of
an exact sample of the posterior; the posterior's mean is 3 dB better (half the squared error).
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sepkit.diffusion import Karras
from sepkit_msdm_posterior.averaging import average
from sepkit_msdm_posterior.posteriors import Dirac, Gaussian, Posterior, Projected
from sepkit_msdm_posterior.sampling import separate

SONGS, STEMS, COEFFICIENTS = 3, 4, 4000


def draw(generator: torch.Generator) -> Tensor:
    return torch.randn(SONGS, STEMS, COEFFICIENTS, generator=generator, dtype=torch.float64)


def made() -> tuple[Tensor, Tensor, Tensor]:
    """Variances, stems, and an exact sample of what the stems may be given their sum (Matheron's rule): b s d each."""
    generator = torch.Generator().manual_seed(0)
    deviation = torch.exp(1.6 * draw(generator))
    deviation = 0.2 * deviation / deviation.square().mean(2, keepdim=True).sqrt()
    variance, stems, other = deviation**2, deviation * draw(generator), deviation * draw(generator)
    share = variance / variance.sum(1, keepdim=True)
    return variance, stems, other + share * (stems - other).sum(1, keepdim=True)


VARIANCE, STEMS_OF_SONGS, EXACT_SAMPLE = made()
MIXTURE = STEMS_OF_SONGS.sum(1, keepdim=True)
POSTERIOR_MEAN = VARIANCE / VARIANCE.sum(1, keepdim=True) * MIXTURE


def sampled(posterior: Posterior, steps: int, churn: float, passes: int, seed: int = 1) -> Tensor:
    sigmas = [float(level.sigma) for level in Karras(sigma_min=1e-4, sigma_max=1.0).levels(steps)]
    generator = torch.Generator().manual_seed(1000 + seed)  # not the stems' own, or the noise would tell them
    noise = (draw(generator) for _ in itertools.count())
    return separate(
        MIXTURE,
        lambda x, sigma: VARIANCE / (VARIANCE + sigma**2) * x,
        sigmas,
        initial_noise=next(noise),
        noise=noise,
        posterior=posterior,
        churn=churn,
        passes=passes,
    )


def decibels(signal: Tensor, error: Tensor) -> float:
    """Mean over songs and stems."""
    return float((10 * torch.log10(signal.square().sum(2) / error.square().sum(2))).mean())


def sdr(estimate: Tensor) -> float:
    return decibels(STEMS_OF_SONGS, estimate - STEMS_OF_SONGS)


def si_sdr(estimate: Tensor) -> float:
    share = (estimate * STEMS_OF_SONGS).sum(2, keepdim=True) / STEMS_OF_SONGS.square().sum(2, keepdim=True)
    return decibels(share * STEMS_OF_SONGS, estimate - share * STEMS_OF_SONGS)


@pytest.fixture(scope="module")
def dirac() -> Tensor:
    """As published: 150 steps, churn 20, 2 passes."""
    return sampled(Dirac(), 150, 20, 2)


def test_the_toy_is_that_of_the_notes() -> None:
    assert sdr(MIXTURE.expand_as(STEMS_OF_SONGS)) == pytest.approx(-5.0, abs=0.4)
    assert sdr(POSTERIOR_MEAN) == pytest.approx(12.1, abs=0.8)
    assert sdr(EXACT_SAMPLE) == pytest.approx(9.2, abs=0.5)


@pytest.mark.parametrize(("posterior", "churn"), [(Gaussian(gamma=0.75), 40), (Projected(), 20)], ids=repr)
def test_each_posterior_reaches_the_exact_sample_with_300_calls(posterior: Posterior, churn: float) -> None:
    assert sdr(sampled(posterior, 150, churn, 2)) == pytest.approx(sdr(EXACT_SAMPLE), abs=1.0)


def test_dirac_reaches_the_exact_sample_with_300_calls(dirac: Tensor) -> None:
    assert sdr(dirac) == pytest.approx(sdr(EXACT_SAMPLE), abs=1.0)


def test_dirac_needs_its_churn_and_its_passes() -> None:
    """Without them the constrained stem keeps the noise of all others: 5.3 dB in the notes."""
    assert sdr(sampled(Dirac(), 150, 0, 1)) < sdr(EXACT_SAMPLE) - 2.5


def test_projected_with_20_calls_is_as_good_as_dirac_with_300(dirac: Tensor) -> None:
    churned = sampled(Projected(), 20, 20, 1)
    assert si_sdr(churned) > si_sdr(dirac)
    assert sdr(churned) > sdr(dirac) - 0.3
    assert sdr(sampled(Projected(), 20, 0, 1)) > sdr(dirac) - 0.3


def test_the_prior_s_gain_tells_its_error_better_than_the_power_of_its_estimate() -> None:
    gain, power, uniform = (
        sdr(sampled(posterior, 20, 0, 1))
        for posterior in (Projected(), Projected(by="power"), Projected(weights="uniform"))
    )
    assert gain > power + 0.4
    assert power > uniform + 3


def test_calibrated_by_the_truth_is_the_gain() -> None:
    def exact(sigma: float) -> Tensor:
        return VARIANCE * sigma**2 / (VARIANCE + sigma**2)

    calibrated = Projected(weights="calibrated", error_variance=exact)
    assert torch.allclose(sampled(calibrated, 10, 0, 1), sampled(Projected(), 10, 0, 1), atol=1e-9)


def test_the_mean_of_8_samples_gains_what_it_must() -> None:
    """Exact samples would gain 2.5 dB, 1 + 1/K against 2; with 20 calls each they lie closer together than they should,
    so that the first is better, and their spread a little smaller than the posterior's."""
    samples = [sampled(Projected(), 20, 20, 1, seed=seed) for seed in range(8)]
    found = average(samples)
    assert sdr(found.mean) - sum(map(sdr, samples)) / len(samples) == pytest.approx(2.0, abs=0.3)
    assert sdr(POSTERIOR_MEAN) - 0.8 < sdr(found.mean) < sdr(POSTERIOR_MEAN)
    true = VARIANCE - VARIANCE**2 / VARIANCE.sum(1, keepdim=True)  # of a stem, given the mixture
    ratio = found.spread.square().sum(2) / true.sum(2)
    assert ((ratio > 0.55) & (ratio < 1.1)).all()
