"""Generation around what is given: the published loops, and given stems that stay as they are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sepkit.diffusion import ChurnedEuler, Ddim, DiscreteBetas, Karras, Level, NoiseEstimate, denoiser
from sepkit.errors import OptionError
from sepkit_msdm_posterior.imputation import impute, keep_outside, keep_stems

SHAPE = (2, 4, 12)
KARRAS = Karras(sigma_min=1e-3, sigma_max=20.0)


def draw(number: int, like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)


def clean(x: Tensor, sigma: float) -> Tensor:
    """Ties stems and neighbours together."""
    return torch.tanh(0.4 * x.roll(1, 1) + 0.3 * x.roll(1, 2) + x / (1 + sigma))


def prior(x: Tensor, level: Level) -> Tensor:
    return clean(x / level.alpha, level.ratio)


GIVEN = draw(999, torch.zeros(SHAPE, dtype=torch.float64))
MASKS = {
    "no stem": keep_stems(GIVEN, []),
    "two stems": keep_stems(GIVEN, [1, 3]),
    "all stems": keep_stems(GIVEN, range(4)),
    "a span": keep_outside(GIVEN, 3, 7),
    "a span of one stem": keep_outside(GIVEN, 3, 7) | keep_stems(GIVEN, [0, 1, 2]),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("churn", "passes"), [(0.0, 1), (10.0, 1), (4.0, 3)])
def test_the_published_loop(mask: str, churn: float, passes: int) -> None:
    """Multi-source diffusion's: the kept part's noise is drawn once a step, and serves all its passes."""
    steps, kept = 12, MASKS[mask].double()
    sigmas = [*((20 ** (1 / 7) + i / (steps - 1) * (1e-3 ** (1 / 7) - 20 ** (1 / 7))) ** 7 for i in range(steps)), 0.0]
    number = iter(range(1, 1000))
    x = sigmas[0] * draw(0, GIVEN)
    for i in range(steps):
        known = GIVEN + sigmas[i] * draw(next(number), GIVEN)
        for r in range(passes):
            x = kept * known + (1 - kept) * x
            s_hat = sigmas[i] * (1 + min(churn / steps, 2**0.5 - 1))
            x = x + math.sqrt(s_hat**2 - sigmas[i] ** 2) * draw(next(number), GIVEN)
            x = x + (x - clean(x, s_hat)) / s_hat * (sigmas[i + 1] - s_hat)
            if r < passes - 1:
                x = x + math.sqrt(sigmas[i] ** 2 - sigmas[i + 1] ** 2) * draw(next(number), GIVEN)
    wanted = kept * GIVEN + (1 - kept) * x
    sampler = ChurnedEuler(steps=steps, churn=churn, passes=passes)
    found = impute(prior, GIVEN, MASKS[mask], schedule=KARRAS, sampler=sampler, noise=draw)
    assert (found - wanted).abs().max() < 1e-10


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_latent_diffusions_loop(eta: float) -> None:
    """z <- mask · q_sample(z_given, t) + (1 - mask) · z before each call of the network, with noise of its own."""
    count, steps = 100, 20
    schedule = DiscreteBetas(kind="sqrt_linear", start=0.0015, end=0.0195, count=count, counts_from=0, ends="first")
    levels, kept = schedule.levels(steps), MASKS["two stems"]
    ab = (1 - torch.linspace(0.0015**0.5, 0.0195**0.5, count, dtype=torch.float64) ** 2).cumprod(0)

    def network(x: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(0.4 * x.roll(1, 1) + 0.3 * x.roll(1, 2) + 0.01 * t.reshape(-1, 1, 1))

    z = float(levels[0].sigma) * draw(0, GIVEN)
    for i in range(steps):
        a, a_prev = ab[round(float(levels[i].t))], ab[round(float(levels[i + 1].t))]
        known = a.sqrt() * GIVEN + (1 - a).sqrt() * draw(1 + 2 * i, GIVEN)
        z = torch.where(kept, known, z)
        e = network(z, torch.full((2,), float(levels[i].t), dtype=torch.float64))
        tau = eta * torch.sqrt((1 - a_prev) / (1 - a) * (1 - a / a_prev))
        signal = (z - (1 - a).sqrt() * e) / a.sqrt()
        z = a_prev.sqrt() * signal + (1 - a_prev - tau**2).sqrt() * e + tau * draw(2 + 2 * i, GIVEN)
    sampler = Ddim(steps=steps, eta=eta)
    found = impute(denoiser(network, NoiseEstimate()), GIVEN, kept, schedule=schedule, sampler=sampler, noise=draw)
    wanted = z / ab[0].sqrt()  # the latent at the first beta, which is all but clean
    assert (found - wanted)[:, [0, 2]].abs().max() < 1e-10


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_kept_comes_back_bit_for_bit(mask: str, dtype: torch.dtype) -> None:
    given, kept = GIVEN.to(dtype), MASKS[mask].expand(SHAPE)
    found = impute(prior, given, MASKS[mask], schedule=KARRAS, sampler=ChurnedEuler(steps=4, churn=2), noise=draw)
    assert found.dtype == dtype
    assert torch.equal(found[kept], given[kept])
    assert (found != given)[~kept].all()


def test_with_nothing_kept_it_is_generation() -> None:
    sampler = ChurnedEuler(steps=9, churn=3.0, passes=2)

    def without_the_kept(number: int, like: Tensor) -> Tensor:
        step, within = divmod(number - 1, 3)  # churn, renoise, churn of a step
        return draw(4 * step + 2 + within, like)

    wanted = sampler(prior, 20.0 * draw(0, GIVEN), KARRAS, without_the_kept)
    found = impute(prior, GIVEN, MASKS["no stem"], schedule=KARRAS, sampler=sampler, noise=draw)
    assert (found - wanted).abs().max() < 1e-12


def test_what_is_generated_goes_with_what_is_given() -> None:
    """Two stems that are nearly equal in the prior: the one that is made up follows the one that is known."""
    covariance = torch.tensor([[1.0, 0.95], [0.95, 1.0]], dtype=torch.float64)
    given = torch.linalg.cholesky(covariance) @ draw(5, torch.zeros(1, 2, 3000, dtype=torch.float64))

    def joint(x: Tensor, level: Level) -> Tensor:
        return covariance @ torch.linalg.inv(covariance + level.sigma**2 * torch.eye(2).double()) @ x

    sampler = ChurnedEuler(steps=64, churn=64, passes=2)
    schedule = Karras(sigma_min=0.01, sigma_max=20.0)
    found = impute(joint, given, keep_stems(given, [0]), schedule=schedule, sampler=sampler, noise=draw)
    assert torch.corrcoef(found[0])[0, 1] == pytest.approx(0.95, abs=0.05)
    assert found[0, 1].var() == pytest.approx(1.0, abs=0.15)


def test_masks_that_do_not_fit_are_named() -> None:
    given = {"schedule": KARRAS, "sampler": Ddim(steps=2), "noise": draw}
    with pytest.raises(OptionError, match=r"torch.float64 of the shape \(1, 4, 1\); wanted a boolean"):
        impute(prior, GIVEN, MASKS["two stems"].double(), **given)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"of the shape \(3, 1\); wanted .* \(2, 4, 12\)"):
        impute(prior, GIVEN, torch.ones(3, 1, dtype=torch.bool), **given)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="Stem 4 was to be kept, and there are 4, counted from 0"):
        keep_stems(GIVEN, [4])
    for start, stop in [(5, 5), (-1, 3), (0, 13)]:
        with pytest.raises(OptionError, match="wanted a part of 0 to 12"):
            keep_outside(GIVEN, start, stop)
