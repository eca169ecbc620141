"""Laws of every schedule with every objective and every sampler: perfect estimates, Gaussian posteriors, orders."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from sepkit.diffusion import (
    ChurnedEuler,
    Complement,
    Ddim,
    Denoiser,
    DiscreteBetas,
    DpmSolver2M,
    Edm,
    GivenBetas,
    HalfCircle,
    Heun,
    Karras,
    Level,
    NoiseAtSigma,
    NoiseEstimate,
    Objective,
    Sampler,
    Schedule,
    SignalEstimate,
    Velocity,
    blend,
    renoise,
    step,
)
from sepkit.diffusion.level import Scale

SCHEDULES = {
    "linear": DiscreteBetas(start=1e-4, end=0.02, count=1000),
    "sqrt_linear": DiscreteBetas(kind="sqrt_linear", start=0.0015, end=0.0195, count=1000, counts_from=0),
    "leading": DiscreteBetas(start=1e-4, end=0.02, count=1000, spacing="leading", offset=1),
    "linspace": DiscreteBetas(start=1e-4, end=0.02, count=1000, spacing="linspace"),
    "cosine": DiscreteBetas(kind="cosine", count=1000),
    "given": GivenBetas(values=tuple(torch.linspace(1e-4, 0.2, 200).tolist())),
    "half_circle": HalfCircle(noisiest=0.99),
    "karras": Karras(sigma_min=1e-3, sigma_max=10.0),
    "even": Karras(sigma_min=1e-3, sigma_max=1.0, rho=1.0),
}
OBJECTIVES: dict[str, Objective] = {
    "signal": SignalEstimate(),
    "noise": NoiseEstimate(),
    "velocity": Velocity(),
    "edm": Edm(sigma_data=0.3),
    "complement": Complement(),
    "noise_at_sigma": NoiseAtSigma(trained=SCHEDULES["sqrt_linear"]),
}
SAMPLERS: dict[str, Sampler] = {
    "ddim": Ddim(steps=12),
    "stochastic": Ddim(steps=12, eta=0.6),
    "ancestral": Ddim(steps=12, eta=1.0),
    "cold": Ddim(steps=12, eta=1.0, fresh=False),
    "churned": ChurnedEuler(steps=12, churn=4.0, passes=2),
    "heun": Heun(steps=12),
    "churned_heun": Heun(steps=12, churn=2.0),
    "2m": DpmSolver2M(steps=12),
    "one_step": Ddim(steps=1),
}
MEAN, VARIANCE = 0.7, 0.3


def noise(draw: int, like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(draw), dtype=torch.float64).to(like)


def gaussian_denoiser(x: Tensor, level: Level) -> Tensor:
    """E[signal | x] where the signal is N(MEAN, VARIANCE)."""
    gain = level.alpha * VARIANCE / (level.alpha**2 * VARIANCE + level.sigma**2)
    return MEAN + gain * (x - level.alpha * MEAN)


def deviation(level: Level) -> float:
    return math.sqrt(float(level.alpha**2 * VARIANCE + level.sigma**2))


def gaussian_flow(x: Tensor, start: Level, end: Level) -> Tensor:
    """Where the probability flow takes `x`: it keeps its distance from the mean, in standard deviations."""
    return end.alpha * MEAN + deviation(end) / deviation(start) * (x - start.alpha * MEAN)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_perfect_network_returns_the_signal_whatever_the_sampler(schedule: str, objective: str) -> None:
    signal = noise(101, torch.empty(2, 3, 8, dtype=torch.float64))
    kind = OBJECTIVES[objective]

    def perfect(x: Tensor, level: Level) -> Tensor:
        residual = (x - level.alpha * signal) / level.sigma
        inputs, t = kind.inputs(x, level)
        assert inputs.shape == x.shape
        assert math.isfinite(t)
        return kind.signal(x, kind.target(signal, residual, level), level)

    for name, sampler in SAMPLERS.items():
        first = SCHEDULES[schedule].levels(sampler.model_dump()["steps"])[0]
        start = blend(first, signal, noise(100, signal))
        assert (sampler(perfect, start, SCHEDULES[schedule], noise) - signal).abs().max() < 1e-8, name


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if not name.startswith("noise")])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampling_may_begin_without_any_signal(objective: str, sampler: str) -> None:
    signal = noise(101, torch.empty(1, 8, dtype=torch.float64))
    kind = OBJECTIVES[objective]

    def perfect(x: Tensor, level: Level) -> Tensor:
        assert math.isfinite(kind.inputs(x, level)[1])
        return kind.signal(x, kind.target(signal, (x - level.alpha * signal) / level.sigma, level), level)

    result = SAMPLERS[sampler](perfect, noise(100, signal), HalfCircle(), noise)
    assert (result - signal).abs().max() < 1e-8


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", [Ddim(steps=200), ChurnedEuler(steps=200), Heun(steps=200), DpmSolver2M(steps=200)])
def test_a_gaussian_prior_is_reached_along_the_probability_flow(schedule: str, sampler: Sampler) -> None:
    levels = SCHEDULES[schedule].levels(200)
    start = noise(1, torch.empty(1, 50, dtype=torch.float64)) * deviation(levels[0]) + levels[0].alpha * MEAN
    result = sampler(gaussian_denoiser, start, SCHEDULES[schedule], noise)
    exact = gaussian_flow(start, levels[0], levels[-1])
    # 200 steps of first order keep some 5 % too much or too little deviation, where the last step is wide
    assert ((result - exact).abs() < 0.06 * (exact - MEAN).abs() + 1e-3).all()


def moments(sampler: Sampler, schedule: Schedule, first: Level, draws: int) -> tuple[float, float]:
    """Mean and variance of a sample where start and draws are Gaussian: exact, as all is affine in them.

    Example 0 of the batch has neither, example 1 a start one deviation off its mean, example k + 1 a unit k-th draw.
    """
    start = torch.full((draws + 2, 1), first.alpha * MEAN, dtype=torch.float64)
    start[1] += deviation(first)
    pulses = torch.eye(draws + 2, dtype=torch.float64)
    x = sampler(gaussian_denoiser, start, schedule, lambda draw, like: pulses[:, draw + 1 : draw + 2])
    return float(x[0]), float((x[1:] - x[0]).square().sum())


@pytest.mark.parametrize("schedule", ["sqrt_linear", "cosine", "half_circle", "karras"])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Ddim, {"eta": 0.5}),
        (Ddim, {"eta": 1.0}),
        (ChurnedEuler, {"churn": 20.0, "passes": 2}),
        (Heun, {"churn": 20.0}),
    ],
    ids=str,
)
def test_stochastic_samples_have_the_moments_of_a_gaussian_prior(schedule: str, kind: type, settings: dict) -> None:
    errors = []
    for steps in (100, 200):
        first = SCHEDULES[schedule].levels(steps)[0]
        mean, variance = moments(kind(steps=steps, **settings), SCHEDULES[schedule], first, 3 * steps)
        assert mean == pytest.approx(MEAN, abs=1e-9)
        errors.append(variance / VARIANCE - 1)
    assert abs(errors[1]) < max(0.65 * abs(errors[0]), 1e-3)  # first order at least
    assert abs(2 * errors[1] - errors[0]) < 0.04  # and no error in the limit, as far as two points tell


@pytest.mark.parametrize(
    "sampler",
    [Ddim(steps=100), Ddim(steps=100, eta=1.0), ChurnedEuler(steps=100, churn=20, passes=2), DpmSolver2M(steps=100)],
    ids=["ddim", "ancestral", "churned", "2m"],
)
def test_stems_of_a_mixture_have_the_exact_posterior(sampler: Sampler) -> None:
    """Stems N(0, v_s) that sum to y: mean v / sum(v) · y, covariance diag(v) - v v' / sum(v), of rank s - 1."""
    count = 10_000
    variances, y = torch.tensor([0.5, 0.2, 0.1], dtype=torch.float64), 0.8
    mean = (variances / variances.sum() * y)[:, None]
    covariance = torch.diag(variances) - torch.outer(variances, variances) / variances.sum()

    def posterior(x: Tensor, level: Level) -> Tensor:
        noisy = level.alpha**2 * covariance + level.sigma**2 * torch.eye(3, dtype=torch.float64)
        return mean + level.alpha * covariance @ torch.linalg.solve(noisy, x - level.alpha * mean)

    generator = torch.Generator().manual_seed(6)
    schedule = Karras(sigma_min=1e-3, sigma_max=20.0)
    start = 20.0 * torch.randn(3, count, generator=generator, dtype=torch.float64)
    x = sampler(posterior, start, schedule, lambda draw, like: torch.randn(like.shape, generator=generator))
    assert (x.sum(0) - y).abs().max() < 1e-3
    assert (x.mean(1, keepdim=True) - mean).abs().max() < 5 * math.sqrt(0.5 / count) + 0.01
    assert (torch.cov(x) - covariance).abs().max() < 5 * 0.5 * math.sqrt(2 / count) + 0.01


@pytest.mark.parametrize("schedule", [Karras(sigma_min=0.01, sigma_max=10.0), HalfCircle(noisiest=0.9)])
@pytest.mark.parametrize(
    ("kind", "order"), [(Ddim, 1), (ChurnedEuler, 1), (Heun, 2), (DpmSolver2M, 2)], ids=lambda value: str(value)[-20:]
)
def test_the_order_of_convergence(schedule: Schedule, kind: type, order: int) -> None:
    """The error halfway falls by 2^order when the steps double."""
    start = torch.tensor([1.3, -0.4], dtype=torch.float64)
    errors = []
    for steps in (64, 128, 256):
        halfway = list(kind(steps=steps).iterate(gaussian_denoiser, start, schedule, noise))[steps // 2 - 1]
        exact = gaussian_flow(start, schedule.levels(steps)[0], halfway.level)
        errors.append(float((halfway.x - exact).abs().max()))
    slopes = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert slopes == pytest.approx([order, order], abs=0.15)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_iterating_is_sampling_seen_step_by_step(sampler: str) -> None:
    schedule, value = SCHEDULES["karras"], SAMPLERS[sampler]
    start = 10 * noise(0, torch.empty(1, 6, dtype=torch.float64))
    iterates = list(value.iterate(gaussian_denoiser, start, schedule, noise))
    levels = schedule.levels(len(iterates))
    assert [iterate.level for iterate in iterates] == levels[1:]
    assert torch.equal(iterates[-1].x, value(gaussian_denoiser, start, schedule, noise))
    assert (iterates[-1].signal - iterates[-1].x).abs().max() < 1e-12  # the last level is clean


@pytest.mark.parametrize("sampler", ["ddim", "stochastic", "churned", "heun", "churned_heun"])
def test_sampling_taken_up_again_ends_in_the_same_place(sampler: str) -> None:
    """Draws are numbered by step, so that a chain broken off and begun again at its level gives the same result."""
    schedule, value = SCHEDULES["half_circle"], SAMPLERS[sampler]
    start = noise(0, torch.empty(1, 6, dtype=torch.float64))
    iterates = list(value.iterate(gaussian_denoiser, start, schedule, noise))
    again = value(gaussian_denoiser, iterates[4].x, schedule, noise, first=5)
    assert torch.equal(again, iterates[-1].x)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_levels_fall_to_the_clean_one(schedule: str) -> None:
    for steps in (1, 2, 7, 40):
        levels = SCHEDULES[schedule].levels(steps)
        ratios = [float(level.ratio) for level in levels]
        assert len(levels) == steps + 1
        assert ratios == sorted(ratios, reverse=True)
        assert len(set(ratios)) == steps + 1
        assert (levels[-1].alpha, levels[-1].sigma) == (1.0, 0.0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_ratio_leads_back_to_its_level(schedule: str) -> None:
    for level in SCHEDULES[schedule].levels(9)[:-1]:
        back = SCHEDULES[schedule].at_ratio(float(level.ratio))
        assert (back.alpha, back.sigma, back.t) == pytest.approx((level.alpha, level.sigma, level.t), rel=1e-9)
        tensors = SCHEDULES[schedule].level(torch.tensor([level.t, level.t], dtype=torch.float64))
        assert (
            torch.stack([tensors.alpha, tensors.sigma]).T.tolist()
            == [pytest.approx([level.alpha, level.sigma], rel=1e-12)] * 2
        )


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if "karras" not in name and name != "even"])
def test_variance_preserving_schedules_preserve_variance(schedule: str) -> None:
    levels = [*SCHEDULES[schedule].levels(30), SCHEDULES[schedule].at_ratio(1.234), SCHEDULES[schedule].at_ratio(1e-4)]
    assert [level.alpha**2 + level.sigma**2 for level in levels] == pytest.approx([1.0] * len(levels), abs=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "karras", "half_circle"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_step_with_the_truth_lands_on_the_next_marginal(schedule: str, eta: float) -> None:
    """And with eta = 1, stepping down and renoising up again is the forward process: the variance comes back."""
    now, nxt = SCHEDULES[schedule].levels(8)[3:5]
    signal, residual, fresh = (noise(seed, torch.empty(1, 100_000, dtype=torch.float64)) for seed in (1, 2, 3))
    down = step(blend(now, signal, residual), signal, now, nxt, eta=eta, fresh=fresh)
    assert abs((down - nxt.alpha * signal).var() / nxt.sigma**2 - 1) < 5 * math.sqrt(2 / 100_000)
    up = renoise(blend(nxt, signal, residual), nxt, now, fresh)
    assert abs((up - now.alpha * signal).var() / now.sigma**2 - 1) < 5 * math.sqrt(2 / 100_000)
    if eta == 0:
        assert (down - blend(nxt, signal, residual)).abs().max() < 1e-12


def test_levels_per_example_equal_levels_one_by_one() -> None:
    x, signal = (noise(seed, torch.empty(3, 2, 5, dtype=torch.float64)) for seed in (1, 2))
    falling = HalfCircle().levels(4)
    columns = zip(*((level.alpha, level.sigma, level.t) for level in falling[:3]), strict=True)
    now = Level(*(torch.tensor(column, dtype=torch.float64) for column in columns)).against(x)
    nxt = Level(*(torch.tensor([value] * 3, dtype=torch.float64) for value in (1.0, 0.0, 0.0))).against(x)
    together = step(x, signal, now, falling[3], eta=0.5), step(x, signal, now, nxt), renoise(signal, nxt, now, x)
    clean = falling[-1]
    for i, level in enumerate(falling[:3]):
        alone = step(x[i], signal[i], level, falling[3], eta=0.5), signal[i], renoise(signal[i], clean, level, x[i])
        for whole, part in zip(together, alone, strict=True):
            assert (whole[i] - part).abs().max() < 1e-14


@pytest.mark.parametrize("kind", [float, torch.tensor])
def test_rounding_below_zero_and_nothing_to_divide_by_are_harmless(kind: Callable[[float], Scale]) -> None:
    """A level with itself, and the ends of a schedule, where no noise or no signal can be told."""

    def level(alpha: float, sigma: float) -> Level:
        return Level(kind(alpha), kind(sigma), kind(0.5))

    x, fresh = noise(1, torch.empty(1, 4, dtype=torch.float64)), noise(2, torch.empty(1, 4, dtype=torch.float64))
    rounded = level(0.6, math.nextafter(0.8, 0) if kind is float else 0.8 - 1e-7)  # one float below, as kind has them
    assert (renoise(x, level(0.6, 0.8), rounded, fresh) - x).abs().max() < 1e-6
    assert (step(x, fresh, rounded, level(0.6, 0.8), eta=1.0, fresh=fresh) - x).abs().max() < 1e-6
    assert torch.equal(step(x, fresh, level(1.0, 0.0), level(1.0, 0.0)), fresh)
    assert torch.equal(renoise(x, level(0.0, 1.0), level(0.0, 1.0), fresh), x)


def test_the_denoiser_protocol_is_a_plain_function() -> None:
    plain: Denoiser = gaussian_denoiser
    assert Ddim(steps=2)(plain, torch.zeros(1, 4), Karras(sigma_min=0.1, sigma_max=1), noise).dtype == torch.float32
