"""The published latent script against its loop written out from its formulas, and what its faults do."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from sepkit.diffusion import ChurnedEuler, DiscreteBetas, Karras, Level, NoiseAtSigma, denoiser
from sepkit.errors import OptionError
from sepkit_msdm_posterior.posteriors import Dirac, Gaussian, Posterior
from sepkit_msdm_posterior.published import LatentScript, LinearTimesteps, noise_network, separate_latent
from sepkit_msdm_posterior.sampling import separate

SHAPE = (2, 4, 3, 5)
Kind = Literal["dirac", "gaussian"]


def draw(number: int, like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)


Z_MIX = draw(999, torch.zeros(2, 1, 3, 5, dtype=torch.float64))


def network(x: Tensor, t: Tensor) -> Tensor:
    """Any bounded function of state and step that ties stems together."""
    return torch.tanh(0.7 * x.roll(1, 1) - 0.2 * x + 0.002 * t.double().reshape(-1, 1, 1, 1))


def transcribed(kind: Kind, n: int, passes: int, churn: float, k: int) -> Tensor:
    """The script: linear sigmas 1e-4..1, t = floor(999 sigma / sigma_max), the mean held, d = eps + likelihood."""
    sigmas = [1.0 + i / (n - 1) * (1e-4 - 1.0) for i in range(n)] + [0.0]
    number = iter(range(1, 10_000))
    z = sigmas[0] * draw(0, torch.zeros(SHAPE, dtype=torch.float64))
    for i in range(n):
        for r in range(passes):
            s = sigmas[i] * (1 + min(churn / n, 2**0.5 - 1))
            z = z + math.sqrt(s**2 - sigmas[i] ** 2) * draw(next(number), z)
            if kind == "dirac":
                z[:, k] = Z_MIX[:, 0] - (z.mean(1) - z[:, k])
            t = min(math.floor(999 * s / 1.0), 999)
            eps = network(z / math.sqrt(s**2 + 1), torch.full((2,), float(t)))
            if kind == "dirac":
                d = eps - eps[:, [k]]
            else:
                d = eps - s / (2 * (0.75 * s) ** 2) * (Z_MIX - z.mean(1, keepdim=True))
            z = z + d * (sigmas[i + 1] - s)
            if r < passes - 1:
                z = z + math.sqrt(sigmas[i] ** 2 - sigmas[i + 1] ** 2) * draw(next(number), z)
    return z


@pytest.mark.parametrize("kind", ["dirac", "gaussian"])
@pytest.mark.parametrize(("n", "passes", "churn", "k"), [(30, 1, 0.0, 0), (25, 2, 20.0, 2), (7, 3, 1.0, 3)])
def test_the_script_as_published(kind: Kind, n: int, passes: int, churn: float, k: int) -> None:
    script = LatentScript(posterior=kind, sampler=ChurnedEuler(steps=n, passes=passes, churn=churn), source=k)
    found = separate_latent(Z_MIX, network, script, stems=4, noise=draw)
    wanted = transcribed(kind, n, passes, churn, k)
    assert (found - wanted).abs().max() < 1e-10 * max(1, wanted.abs().max())


def test_the_published_settings_are_the_defaults() -> None:
    script = LatentScript()
    assert [level.sigma for level in script.schedule.levels(200)] == pytest.approx(
        [*torch.linspace(1.0, 1e-4, 200).tolist(), 0.0], abs=1e-6
    )
    assert (script.sampler.steps, script.sampler.passes, script.sampler.churn) == (200, 2, 20.0)
    assert (script.source, script.gamma, script.constraint, script.timesteps) == (0, 0.75, "mean", "linear")
    assert LatentScript.model_validate_json(script.model_dump_json()) == script


@pytest.mark.parametrize("posterior", [Dirac(source=1), Gaussian(gamma=0.75)], ids=repr)
def test_corrected_it_is_the_posterior_of_the_paper_on_the_right_steps(posterior: Posterior) -> None:
    """VE form: dz / dsigma = eps(z / sqrt(sigma² + 1), t(sigma)), with t by interpolation of ln sigma."""
    script = LatentScript(posterior=posterior.name, source=1).corrected(deviation=0.5)  # type: ignore[attr-defined]
    script = script.model_copy(update={"sampler": ChurnedEuler(steps=15, churn=3.0, passes=2)})
    assert script.schedule == Karras(sigma_min=1e-4, sigma_max=2.5, rho=7.0)
    known = denoiser(network, NoiseAtSigma(trained=script.trained))

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        s = float(sigma)
        t = float(script.trained.at_ratio(s).t)
        estimate = x - s * network(x / math.sqrt(s**2 + 1), torch.full((2,), t, dtype=torch.float64))
        assert torch.allclose(estimate, known(x, Level(1.0, s, s)), rtol=0, atol=1e-12)
        return estimate

    start = torch.zeros(SHAPE, dtype=torch.float64)
    wanted = separate(
        Z_MIX,
        denoise,
        [float(level.sigma) for level in script.schedule.levels(15)],
        initial_noise=draw(0, start),
        noise=(draw(number, start) for number in range(1, 1000)),
        posterior=posterior,
        churn=3.0,
        passes=2,
    )
    assert (separate_latent(Z_MIX, network, script, stems=4, noise=draw) - wanted).abs().max() < 1e-10


def test_the_published_steps_are_wrong_by_what_the_notes_say() -> None:
    """sigma = 1 is told as 999, a network's pure noise; the step that it was trained at is 255."""
    told = LinearTimesteps(last=999, sigma_max=1.0)
    x = torch.ones(1, 1)
    assert [told.inputs(x, Level(1.0, sigma, sigma))[1] for sigma in (1.0, 1.1, 0.5, 1e-4)] == [999, 999, 499, 0]
    assert told.inputs(x, Level(1.0, 1.0, 1.0))[0] == pytest.approx(0.5**0.5)
    trained = LatentScript().trained
    assert trained.at_ratio(1.0).t == pytest.approx(255, abs=1)
    assert [float(trained.level(t).ratio) for t in (0, 100, 999)] == pytest.approx([0.0388, 0.464, 83.8], rel=1e-2)


@pytest.mark.parametrize("kind", ["dirac", "gaussian"])
def test_the_mean_is_not_the_sum(kind: Kind) -> None:
    """A prior that knows the stems gets them right when corrected; held by its mean, the script leaves the mixture."""
    stems = draw(1, torch.zeros(1, 4, 1, 2000, dtype=torch.float64))
    script = LatentScript(posterior=kind, sampler=ChurnedEuler(steps=50))
    sums = {}
    for name, chosen in {"published": script, "corrected": script.corrected()}.items():
        ideal = noise_network(lambda x, level: level.alpha * x / (level.alpha**2 + level.sigma**2))
        found = separate_latent(stems.sum(1, keepdim=True), ideal, chosen, stems=4, noise=draw)
        sums[name] = float((found.sum(1) - stems.sum(1)).square().mean() / stems.sum(1).square().mean())
    assert sums["corrected"] < 1e-3
    assert sums["published"] > 0.1


def test_a_prior_turned_into_a_network_is_the_same_prior() -> None:
    trained = DiscreteBetas(kind="sqrt_linear", start=0.0015, end=0.0195, count=1000, counts_from=0)

    def prior(x: Tensor, level: Level) -> Tensor:
        return level.alpha * 0.3 / (level.alpha**2 * 0.3 + level.sigma**2) * x

    again = denoiser(noise_network(prior, trained), NoiseAtSigma(trained=trained))
    x = draw(3, torch.zeros(2, 4, 6, dtype=torch.float64))
    for sigma in (0.03, 0.2, 1.0, 9.0):
        level = Level(1.0, sigma, sigma)
        assert (again(x, level) - prior(x, level)).abs().max() < 1e-9


def test_a_mixture_of_another_shape_is_named() -> None:
    for script in (LatentScript(), LatentScript(constraint="sum")):
        with pytest.raises(OptionError, match="the mixture"):
            separate_latent(Z_MIX.expand(2, 2, 3, 5), network, script, stems=4, noise=draw)
