"""What each posterior promises of its estimates, on any schedule and for any shape of state."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from sepkit.diffusion import ChurnedEuler, Ddim, DiscreteBetas, DpmSolver2M, HalfCircle, Heun, Karras, Level
from sepkit.errors import OptionError
from sepkit_msdm_posterior.error_variances import ErrorVariance, gain_variance, power_variance, shares
from sepkit_msdm_posterior.posteriors import Dirac, Gaussian, Posterior, PosteriorSetting, Projected, check_stable
from sepkit_msdm_posterior.sampling import iterate_posterior, sample_posterior

VARIANCE = torch.tensor([0.5, 2.0, 0.01], dtype=torch.float64)
KARRAS = Karras(sigma_min=0.01, sigma_max=5.0)
CHURNED = ChurnedEuler(steps=6, churn=3.0, passes=2)
MEASURED = (((0.01, 0.3, 0.5),), ((0.01, 0.7, 2.0),), ((0.001, 0.01, 0.01),))
TABLE = ErrorVariance(sigmas=(0.1, 1.0, 10.0), values=MEASURED)
PROJECTED = [
    Projected(),
    Projected(smooth=(3,)),
    Projected(by="power", smooth=(1, 5)),
    Projected(weights="uniform"),
    Projected(weights="calibrated", error_variance=TABLE),
]


def values(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def prior(x: Tensor, level: Level) -> Tensor:
    """Exact for independent Gaussian stems on every schedule."""
    v = VARIANCE.to(x).reshape(-1, *(1 for _ in x.shape[2:]))
    return level.alpha * v / (level.alpha**2 * v + level.sigma**2) * x


def noise_source(draw: int, like: Tensor) -> Tensor:
    return values(*like.shape, seed=draw, dtype=like.dtype)


def wiener(y: Tensor) -> Tensor:
    v = VARIANCE.to(y).reshape(-1, *(1 for _ in y.shape[2:]))
    return v / v.sum(0) * y


@pytest.mark.parametrize("posterior", PROJECTED, ids=repr)
@pytest.mark.parametrize("shape", [(2, 3, 7), (1, 3, 6, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_projected_estimates_sum_to_the_mixture_at_every_step(
    posterior: Projected, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    y = values(shape[0], 1, *shape[2:], dtype=dtype)
    for _, _, signal in iterate_posterior(
        prior, y, stems=3, schedule=KARRAS, sampler=CHURNED, posterior=posterior, noise=noise_source
    ):
        assert signal.dtype == dtype
        error = (signal.sum(1, keepdim=True) - y).abs().max() / max(y.abs().max(), signal.abs().max())
        assert error < 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("posterior", [*PROJECTED, Dirac(), Dirac(source=2)], ids=repr)
@pytest.mark.parametrize("sampler", [Ddim(steps=5), Heun(steps=5), DpmSolver2M(steps=5), CHURNED])
def test_what_any_sampler_ends_with_sums_to_the_mixture(posterior: Posterior, sampler: Ddim) -> None:
    y = values(1, 1, 10)
    stems = sample_posterior(
        prior, y, stems=3, schedule=KARRAS, sampler=sampler, posterior=posterior, noise=noise_source
    )
    assert (stems.sum(1, keepdim=True) - y).abs().max() < 1e-14


@pytest.mark.parametrize("posterior", [*PROJECTED, Dirac(), Dirac(source=2)], ids=repr)
def test_a_single_estimate_sums_to_the_mixture(posterior: Posterior) -> None:
    y = values(1, 1, 10)
    found = posterior.bind(prior, y)(values(1, 3, 10, seed=1), Level(0.8, 0.5, 0.5))
    assert (found.sum(1, keepdim=True) - y).abs().max() < 1e-14


@pytest.mark.parametrize(("weights", "given"), [("empirical", None), ("calibrated", "exact")])
def test_projected_is_the_exact_posterior_mean_of_a_gaussian_prior(weights: str, given: str | None) -> None:
    """E[x | state, mixture] of jointly Gaussian variables, from their covariance."""

    def exact(sigma: float) -> Tensor:
        return (VARIANCE * sigma**2 / (VARIANCE + sigma**2))[:, None]

    posterior = Projected.model_validate({"weights": weights, "error_variance": exact if given else None})
    sigma, x, y = 0.8, values(1, 3, 50), values(1, 1, 50, seed=1)
    found = posterior.bind(prior, y)(x, Level(1.0, sigma, sigma))
    seen = torch.cat([torch.eye(3), torch.ones(1, 3)]).double()  # state and mixture, of the stems
    noisy = torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64))
    covariance = seen @ torch.diag(VARIANCE) @ seen.T + sigma**2 * noisy
    wanted = torch.diag(VARIANCE) @ seen.T @ torch.linalg.solve(covariance, torch.cat([x, y], dim=1)[0])
    assert (found[0] - wanted).abs().max() < 1e-12


@pytest.mark.parametrize("schedule", [KARRAS, HalfCircle(noisiest=0.9), DiscreteBetas(start=1e-4, end=0.05, count=40)])
@pytest.mark.parametrize("posterior", [Dirac(source=1), Gaussian(), Projected(), Projected(by="power")], ids=repr)
def test_only_the_ratio_of_noise_to_signal_matters(posterior: Posterior, schedule: Karras) -> None:
    """A scaled state has the same estimate: D(alpha · z, alpha, sigma) = D(z, 1, sigma / alpha)."""
    level = schedule.levels(10)[4]
    z, y = values(1, 3, 8), values(1, 1, 8, seed=1)
    bound = posterior.bind(prior, y)
    found = bound(level.alpha * z, level)
    assert (found - bound(z, Level(1.0, level.ratio, level.ratio))).abs().max() < 1e-12


def test_projected_starts_from_pure_noise_and_the_others_say_why_they_cannot() -> None:
    y = values(1, 1, 2000)

    def sampled(posterior: Posterior) -> Tensor:
        return sample_posterior(
            prior, y, stems=3, schedule=HalfCircle(), sampler=Ddim(steps=20), posterior=posterior, noise=noise_source
        )

    for weights in (Projected(), Projected(by="power"), Projected(weights="uniform")):
        assert sampled(weights).isfinite().all()
    assert (sampled(Projected()) - wiener(y)).square().mean() < 2 * (VARIANCE.sum() / 9)
    for other in (Dirac(), Gaussian()):
        with pytest.raises(OptionError, match="cannot start where alpha is 0"):
            sampled(other)


def test_nothing_is_uncertain_in_silence() -> None:
    """A mixture of silence with a prior that says silence: even shares of nothing, and no NaN."""
    for posterior in PROJECTED:
        found = posterior.bind(lambda x, level: torch.zeros_like(x), torch.zeros(1, 1, 8))(
            torch.zeros(1, 3, 8), Level(1.0, 0.5, 0.5)
        )
        assert (found == 0).all()
    assert torch.equal(shares(torch.zeros(1, 4, 2)), torch.full((1, 4, 2), 0.25))


def test_weights_are_local() -> None:
    """Where only one stem has anything, it alone gets what is missing, whatever the others do elsewhere."""
    clean = torch.tensor([[[5.0, 0.0], [0.0, 3.0]]]).double()
    bound = Projected(by="power").bind(lambda x, level: clean, torch.tensor([[[7.0, 1.0]]]).double())
    found = bound(clean, Level(1.0, 1.0, 1.0))
    assert torch.equal(found, torch.tensor([[[7.0, 0.0], [0.0, 1.0]]]).double())


def test_the_empirical_error_variance_is_exact_for_a_gaussian_prior() -> None:
    x, level = values(1, 3, 40), Level(1.0, 0.7, 0.7)
    exact = (VARIANCE / (VARIANCE + 0.7**2))[:, None].expand(1, 3, 40)
    assert (gain_variance(x, prior(x, level), level) - exact).abs().max() < 1e-12
    assert (gain_variance(x, prior(x, level), level, (5,)) - exact).abs().max() < 1e-12


def test_smoothing_averages_over_neighbours_and_fewer_at_the_edges() -> None:
    clean, level = torch.zeros(1, 1, 3, 4).double(), Level(1.0, 1e-9, 0.0)
    clean[0, 0, 1, 0] = 6.0
    power = power_variance(clean, Level(1.0, 1.0, 1.0), (3, 3))
    means = torch.zeros(3, 4).double()
    means[:, :2] = 36 / torch.tensor([[4.0, 6.0], [6.0, 9.0], [4.0, 6.0]])
    assert (power[0, 0] - means / (means + 1)).abs().max() < 1e-12
    assert torch.equal(power_variance(clean, level)[0, 0] > 0, clean[0, 0] > 0)


def test_a_table_runs_straight_in_logarithms_and_stays_beyond_its_ends() -> None:
    for sigma, wanted in [(0.1, 0.01), (1.0, 0.3), (math.sqrt(0.1), math.sqrt(0.003)), (1e-5, 0.01), (99.0, 0.5)]:
        assert TABLE(sigma)[0, 0] == pytest.approx(wanted)
    one = ErrorVariance(sigmas=(1.0,), values=(((2.0,),), ((3.0,),)))
    assert one(0.2).flatten().tolist() == one(7.0).flatten().tolist() == [pytest.approx(2.0), pytest.approx(3.0)]


def test_bands_of_a_table_share_out_the_axis() -> None:
    table = ErrorVariance(sigmas=(1.0,), values=(((1.0,), (2.0,)), ((3.0,), (4.0,))))
    found = table.over(torch.zeros(5, 2, 5, 7), 1.0)
    assert found.shape == (2, 5, 1)
    assert [round(value) for value in found[0, :, 0].tolist()] == [1, 1, 1, 2, 2]
    with pytest.raises(OptionError, match="2 stems and 2 bands, and the state has 3 stems and 5"):
        table.over(torch.zeros(1, 3, 5), 1.0)
    for wrong in ({"sigmas": (1.0, 0.5)}, {"sigmas": (0.5, 1.0)}, {"values": (((1.0,),), ((1.0,), (2.0,)))}):
        with pytest.raises(ValidationError):
            ErrorVariance.model_validate({"sigmas": table.sigmas, "values": table.values, **wrong})


@pytest.mark.parametrize("posterior", [Dirac(source=2), Gaussian(gamma=1.0), *PROJECTED], ids=repr)
def test_a_posterior_is_its_own_json(posterior: Posterior) -> None:
    adapter: TypeAdapter[Posterior] = TypeAdapter(PosteriorSetting)
    assert adapter.validate_json(adapter.dump_json(posterior)) == posterior


@pytest.mark.parametrize(
    "given",
    [{"weights": "calibrated"}, {"error_variance": TABLE}, {"smooth": (2,)}, {"smooth": (0,)}, {"weights": "x"}],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Projected.model_validate(given)


def steps_off(share: float, steps: int) -> list[float]:
    """Levels that fall by the same share each time, then 0."""
    return [(1 - share) ** i for i in range(steps)] + [0.0]


@pytest.mark.parametrize(("gamma", "stems"), [(0.75, 4), (0.5, 4), (0.4, 2), (1.0, 8)])
def test_the_bound_is_where_the_sum_begins_to_grow(gamma: float, stems: int) -> None:
    """A prior that believes the state whole leaves the posterior alone: its sum's error grows just beyond the bound."""

    def error_after(share: float) -> float:
        bound = Gaussian(gamma=gamma).bind(lambda x, level: x, torch.zeros(1, 1, 1).double())
        levels = [Level(1.0, sigma, sigma) for sigma in steps_off(share, 40)[:-1]]
        x = torch.ones(1, stems, 1).double()
        for now, nxt in pairwise(levels):
            x = x + (x - bound(x, now)) / now.sigma * (nxt.sigma - now.sigma)
        return float(x.sum().abs() / stems)

    bound = Gaussian(gamma=gamma).largest_step(stems)
    assert bound == pytest.approx(4 * gamma**2 / stems)
    assert error_after(0.99 * bound) < 1 < error_after(1.01 * bound)
    check_stable(Gaussian(gamma=gamma), steps_off(0.99 * bound, 40), 0.0, stems)
    with pytest.raises(OptionError, match="diverges"):
        check_stable(Gaussian(gamma=gamma), steps_off(1.01 * bound, 40), 0.0, stems)


def test_what_published_settings_the_bound_refuses() -> None:
    """Multi-source diffusion's own: gamma 0.75 holds at churn 40; 0.5 is known to diverge there."""
    sigmas = [float(level.sigma) for level in Karras(sigma_min=1e-4, sigma_max=1.0).levels(150)]
    check_stable(Gaussian(gamma=0.75), sigmas, 40.0, 4)
    check_stable(Gaussian(gamma=0.5), sigmas, 0.0, 4)
    with pytest.raises(OptionError) as caught:
        check_stable(Gaussian(gamma=0.5), sigmas, 40.0, 4)
    message = str(caught.value)
    for part in ("gamma=0.5", "4 stems", "churn 40", "4 gamma² / stems = 0.250", "takes off 0.3", "gamma above 0.55"):
        assert part in message
    for unbounded in (Dirac(), Projected()):
        check_stable(unbounded, torch.tensor([1.0, 1e-6, 0.0]), 40.0, 4)


def test_the_suggested_gamma_is_enough() -> None:
    sigmas = [float(level.sigma) for level in Karras(sigma_min=1e-4, sigma_max=1.0).levels(20)]
    with pytest.raises(OptionError) as caught:
        check_stable(Gaussian(gamma=0.2), sigmas, 20.0, 3)
    enough = float(str(caught.value).split("gamma above ")[1].split(",")[0]) + 0.001
    check_stable(Gaussian(gamma=enough), sigmas, 20.0, 3)


def test_the_last_step_into_0_and_only_that_may_be_as_wide_as_it_is() -> None:
    check_stable(Gaussian(), [1.0, 0.9, 0.0], 0.0, 4)
    with pytest.raises(OptionError, match="step 1 of 2"):
        check_stable(Gaussian(), [1.0, 0.1, 0.0], 0.0, 4)
    with pytest.raises(OptionError, match="step 2 of 2"):
        check_stable(Gaussian(), [1.0, 0.9, 0.1], 0.0, 4)


def test_nothing_given_is_written_into() -> None:
    x, y = values(1, 3, 6), values(1, 1, 6, seed=1)
    kept: list[Tensor] = [x.clone(), y.clone()]
    every: list[Callable[[Tensor, Level], Tensor]] = [
        posterior.bind(prior, y) for posterior in (Dirac(), Gaussian(), *PROJECTED)
    ]
    for bound in every:
        bound(x, Level(1.0, 0.5, 0.5))
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])
