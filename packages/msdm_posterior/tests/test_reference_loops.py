"""`separate` against multi-source diffusion's loop, written out from its algorithm, for all kinds of settings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sepkit.diffusion import Level
from sepkit.errors import OptionError
from sepkit_msdm_posterior.network import IndependentPriors
from sepkit_msdm_posterior.posteriors import Dirac, Gaussian, Posterior, Projected
from sepkit_msdm_posterior.sampling import separate

TOLERANCE = 1e-11


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def denoise(x: Tensor, sigma: Tensor) -> Tensor:
    """Any smooth function that ties stems and neighbours together."""
    return torch.tanh(x.roll(1, 1) * 0.2 + x.roll(1, -1) * 0.3 + x / (1 + sigma))


def reference(
    y: Tensor, sigmas: list[float], start: Tensor, draws: Iterator[Tensor], kind: str, **given: float
) -> Tensor:
    """Algorithm 1 of the paper with the constants of its code; Dirac writes into the state, as there."""
    n, passes, k = len(sigmas) - 1, int(given["passes"]), int(given.get("source", 0))
    x = sigmas[0] * start
    for i in range(n):
        for r in range(passes):
            s_hat = sigmas[i] * (1 + min(given["churn"] / n, 2**0.5 - 1))
            x = x + math.sqrt(max(s_hat**2 - sigmas[i] ** 2, 0)) * next(draws)
            if kind == "dirac":
                x[:, [k]] = y - (x.sum(1, keepdim=True) - x[:, [k]])
            slope = (x - denoise(x, torch.tensor(s_hat, dtype=torch.float64))) / s_hat
            if kind == "dirac":
                slope = slope - slope[:, [k]]
            else:
                slope = slope - s_hat / (2 * (given["gamma"] * s_hat) ** 2) * (y - x.sum(1, keepdim=True))
            x = x + slope * (sigmas[i + 1] - s_hat)
            if r < passes - 1:
                x = x + math.sqrt(max(sigmas[i] ** 2 - sigmas[i + 1] ** 2, 0)) * next(draws)
    return x


SIGMAS = {
    "karras": [(1 + i / 11 * (1e-3 ** (1 / 7) - 1)) ** 7 for i in range(12)] + [0.0],
    "linear": [*torch.linspace(3.0, 0.01, 9).tolist(), 0.0],
    "halving": [8.0 / 2**i for i in range(10)] + [0.0],
    "one step": [0.7, 0.0],
    "a level twice": [1.0, 0.5, 0.5, 0.1, 0.0],
    "without 0": [1.0, 0.5, 0.25],
}
CASES = [
    ("karras", 1, 2, 17, 0.0, 1),
    ("karras", 3, 4, 5, 20.0, 2),
    ("linear", 2, 5, 1, 3.0, 3),
    ("halving", 1, 3, 8, 0.0, 2),
    ("one step", 1, 4, 6, 0.2, 1),
    ("a level twice", 2, 3, 4, 1.0, 2),
    ("without 0", 1, 2, 9, 0.5, 2),
]


Case = tuple[str, int, int, int, float, int]


def both(case: Case, posterior: Posterior, kind: str, **given: float) -> tuple[Tensor, Tensor]:
    name, b, s, t, churn, passes = case
    sigmas = SIGMAS[name]
    y, start = noise(b, 1, t, seed=1), noise(b, s, t, seed=2)
    draws = list(noise((len(sigmas) - 1) * (2 * passes - 1), b, s, t, seed=3))
    found = separate(
        y, denoise, sigmas, initial_noise=start, noise=iter(draws), posterior=posterior, churn=churn, passes=passes
    )
    return found, reference(y, sigmas, start, iter(draws), kind, churn=churn, passes=passes, **given)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_dirac(case: Case, last: bool) -> None:
    source = case[2] - 1 if last else 0
    found, wanted = both(case, Dirac(source=source), "dirac", source=source)
    free = [stem for stem in range(case[2]) if stem != source]
    assert (found - wanted)[:, free].abs().max() < TOLERANCE * wanted.abs().max()
    rest = found.sum(1, keepdim=True) - noise(case[1], 1, case[3], seed=1)
    assert rest.abs().max() < 1e-15 * max(10, found.abs().max())


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("gamma", [0.75, None, 2.5])
def test_gaussian(case: Case, gamma: float | None) -> None:
    """gamma None is a width of sigma, the reference's own default."""
    found, wanted = both(case, Gaussian(gamma=gamma), "gaussian", gamma=gamma or 1.0)
    assert (found - wanted).abs().max() < TOLERANCE * wanted.abs().max()


def test_independent_priors_are_one_prior() -> None:
    """A denoiser that treats every stem alone is the same as one denoiser for each stem."""
    means = (0.3, -0.2, 0.1)

    def single(mean: float, x: Tensor, sigma: Tensor) -> Tensor:
        assert x.shape[1] == 1
        return mean + (x - mean) / (1 + sigma**2)

    def joint(x: Tensor, sigma: Tensor) -> Tensor:
        mean = torch.tensor(means, dtype=torch.float64)[:, None]
        return mean + (x - mean) / (1 + sigma**2)

    apart = IndependentPriors(tuple(lambda x, sigma, mean=mean: single(mean, x, sigma) for mean in means))  # type: ignore[misc]
    results = [
        separate(
            noise(2, 1, 8, seed=1),
            prior,
            SIGMAS["karras"],
            initial_noise=noise(2, 3, 8, seed=2),
            noise=itertools.cycle([noise(2, 3, 8, seed=3)]),
            posterior=Projected(),
            churn=2.0,
            passes=2,
        )
        for prior in (joint, apart)
    ]
    assert torch.allclose(*results, rtol=0, atol=1e-14)
    with pytest.raises(OptionError, match="2 stems met 3 independent priors"):
        apart(noise(1, 2, 8, seed=1), Level(1.0, 1.0, 1.0))


def test_too_few_draws_and_wrong_shapes_are_named() -> None:
    y, start = noise(1, 1, 4, seed=1), noise(1, 3, 4, seed=2)
    few = {"posterior": Dirac(), "churn": 1.0, "passes": 2}
    with pytest.raises(OptionError, match="noise has 5 draws, and sampling asked for draw 6"):
        separate(y, denoise, [1.0, 0.5, 0.2, 0.0], initial_noise=start, noise=iter([start] * 5), **few)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"draw 1 of the shape \(1, 3, 4\) and gave one of the shape \(3, 4\)"):
        separate(y, denoise, [1.0, 0.0], initial_noise=start, noise=iter([start[0]] * 5), **few)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"the mixture \(1, 4\); wanted \(1, 1, 4\)"):
        separate(y[0], denoise, [1.0, 0.0], initial_noise=start, noise=iter([start] * 5), **few)  # type: ignore[arg-type]
    few["posterior"] = Dirac(source=3)
    with pytest.raises(OptionError, match="constrained stem is 3, and there are 3 stems; wanted 0 to 2"):
        separate(y, denoise, [1.0, 0.0], initial_noise=start, noise=iter([start] * 5), **few)  # type: ignore[arg-type]
