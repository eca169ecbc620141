"""The loops of the literature, written out as they were published, in float64: one `step` reproduces them all."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from sepkit.diffusion import (
    ChurnedEuler,
    Complement,
    Ddim,
    DiscreteBetas,
    DpmSolver2M,
    Edm,
    HalfCircle,
    Heun,
    Karras,
    Level,
    NoiseAtSigma,
    NoiseEstimate,
    Renewed,
    Velocity,
    denoiser,
)

TOLERANCE = 1e-10
SHAPE = (2, 3, 16)


def network(x: Tensor, t: Tensor) -> Tensor:
    """Any bounded function of state and time, the same for whoever calls it."""
    t = t.double().reshape(-1, 1, 1)
    return torch.tanh(0.7 * x.roll(1, -1) - 0.2 * x + 0.1 * torch.log1p(t.abs()))


class Draws:
    """Recorded noise: draw n is the n-th row, and which were asked for is remembered."""

    def __init__(self, count: int, seed: int = 0):
        self.rows = torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.asked: list[int] = []

    def __call__(self, draw: int, like: Tensor) -> Tensor:
        self.asked.append(draw)
        return self.rows[draw - 1].to(like)


def close(result: Tensor, wanted: Tensor) -> None:
    error = (result - wanted).abs().max() / wanted.abs().max()
    assert error < TOLERANCE, error


@pytest.mark.parametrize(("end", "count"), [(0.2, 20), (0.5, 8), (0.02, 100)])
def test_the_cold_chain(end: float, count: int) -> None:
    """ISMIR 2022, the reverse rule below equation 3: no noise, start from the mixture."""
    schedule = DiscreteBetas(start=1e-4, end=end, count=count)
    mixture = Draws(1).rows[0]
    alpha = 1 - torch.linspace(1e-4, end, count, dtype=torch.float64)
    alpha_bar = alpha.cumprod(0)
    x, chain = mixture, []
    for t in range(count, 0, -1):
        estimate = network(x, torch.full((2,), float(t)))
        x = (x - (1 - alpha[t - 1]) / torch.sqrt(1 - alpha_bar[t - 1]) * estimate) / torch.sqrt(alpha[t - 1])
        chain.append(x)

    sampler, denoise = Ddim(steps=count, eta=1.0, fresh=False), denoiser(network, NoiseEstimate())
    iterates = list(sampler.iterate(denoise, mixture, schedule, Draws(0)))
    close(torch.stack([iterate.x for iterate in iterates]), torch.stack(chain))
    close(sampler(denoise, mixture, schedule, Draws(0)), chain[-1])


def test_the_self_consistent_cold_chain() -> None:
    schedule = DiscreteBetas(start=1e-4, end=0.2, count=20)
    mixture = Draws(1).rows[0]
    alpha_bar = [1.0, *(1 - torch.linspace(1e-4, 0.2, 20, dtype=torch.float64)).cumprod(0).tolist()]
    x = mixture
    for t in range(20, 0, -1):
        rest = network(x, torch.full((2,), float(t)))
        a, s = math.sqrt(alpha_bar[t]), math.sqrt(1 - alpha_bar[t])
        voice = (x - s * rest) / (a + s)
        x = math.sqrt(alpha_bar[t - 1]) * voice + math.sqrt(1 - alpha_bar[t - 1]) * (voice + rest)
    close(Ddim(steps=20)(denoiser(network, Complement()), mixture, schedule, Draws(0)), x)


@pytest.mark.parametrize(("eta", "steps"), [(0.0, 20), (1.0, 20), (0.5, 7)])
def test_latent_diffusions_ddim(eta: float, steps: int) -> None:
    """sqrt-linear betas, leading time steps with offset 1, the last level that of the first beta."""
    count = 100
    schedule = DiscreteBetas(
        kind="sqrt_linear",
        start=0.0015,
        end=0.0195,
        count=count,
        spacing="leading",
        offset=1,
        ends="first",
        counts_from=0,
    )
    draws = Draws(steps)
    start = draws.rows.flip(0)[0] + 0.3
    betas = torch.linspace(0.0015**0.5, 0.0195**0.5, count, dtype=torch.float64) ** 2
    cumulative = (1 - betas).cumprod(0)
    times = [1 + i * (count // steps) for i in range(steps)]
    before = torch.stack([cumulative[0], *(cumulative[t] for t in times[:-1])])
    x = start
    for i, index in enumerate(reversed(range(steps))):
        a_t, a_prev = cumulative[times[index]], before[index]
        sigma_t = eta * torch.sqrt((1 - a_prev) / (1 - a_t) * (1 - a_t / a_prev))
        e_t = network(x, torch.full((2,), float(times[index])))
        pred_x0 = (x - torch.sqrt(1 - a_t) * e_t) / a_t.sqrt()
        x = a_prev.sqrt() * pred_x0 + (1.0 - a_prev - sigma_t**2).sqrt() * e_t + sigma_t * draws.rows[i]
    close(Ddim(steps=steps, eta=eta)(denoiser(network, NoiseEstimate()), start, schedule, draws), x)


@pytest.mark.parametrize("eta", [0.0, 0.4, 0.8])
def test_stochastic_v_ddim(eta: float) -> None:
    """arXiv 2511.21342, equations 8 and 9 with their time indices put right; the last step returns the estimate."""
    steps = 20
    draws = Draws(steps)
    start = draws.rows[-1]
    sigmas = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    x = start
    for i in range(steps):
        alpha, beta = torch.cos(math.pi / 2 * sigmas[i]), torch.sin(math.pi / 2 * sigmas[i])
        alpha_next, beta_next = torch.cos(math.pi / 2 * sigmas[i + 1]), torch.sin(math.pi / 2 * sigmas[i + 1])
        v = network(x, sigmas[i].expand(2))
        signal, noise = alpha * x - beta * v, beta * x + alpha * v
        if i == steps - 1:
            x = signal
            break
        delta = eta * (beta_next / beta) * torch.sqrt(1 - alpha**2 / alpha_next**2)
        x = alpha_next * signal + torch.sqrt(beta_next**2 - delta**2) * noise + delta * draws.rows[i]
    close(Ddim(steps=steps, eta=eta)(denoiser(network, Velocity()), start, HalfCircle(), draws), x)
    assert draws.asked == ([] if eta == 0 else list(range(1, steps)))


@pytest.mark.parametrize(("churn", "passes"), [(0.0, 1), (20.0, 2), (40.0, 3)])
def test_multi_source_diffusions_churned_euler(churn: float, passes: int) -> None:
    """Every draw is made in the reference's order: churn, then (but for the last pass) renoise."""
    steps, sigma_data = 20, 0.2
    sigmas = [*((1.0 + i / (steps - 1) * (1e-4 ** (1 / 7) - 1.0)) ** 7 for i in range(steps)), 0.0]
    draws = Draws(steps * (2 * passes - 1))
    order = iter(draws.rows)
    x = start = draws.rows[0] * sigmas[0]

    def clean(x: Tensor, s: float) -> Tensor:
        c_skip, c_out = sigma_data**2 / (s**2 + sigma_data**2), s * sigma_data / math.sqrt(s**2 + sigma_data**2)
        out = network(x / math.sqrt(s**2 + sigma_data**2), torch.full((2,), math.log(s) / 4, dtype=torch.float64))
        return (c_skip * x + c_out * out).clamp(-1, 1)

    for i in range(steps):
        for again in reversed(range(passes)):
            s_hat = sigmas[i] * (1 + min(churn / steps, math.sqrt(2) - 1))
            x = x + math.sqrt(s_hat**2 - sigmas[i] ** 2) * next(order)
            x = x + (x - clean(x, s_hat)) / s_hat * (sigmas[i + 1] - s_hat)
            if again:
                x = x + math.sqrt(sigmas[i] ** 2 - sigmas[i + 1] ** 2) * next(order)
    sampler = ChurnedEuler(steps=steps, churn=churn, passes=passes)
    schedule = Karras(sigma_min=1e-4, sigma_max=1.0)
    close(sampler(denoiser(network, Edm(sigma_data=0.2, clamp=1.0)), start, schedule, draws), x)


@pytest.mark.parametrize("churn", [0.0, 5.0])
def test_karras_heun(churn: float) -> None:
    """Karras et al. 2022, algorithm 2 with S_noise = 1."""
    steps = 12
    sigmas = [*((3 ** (1 / 5) + i / (steps - 1) * (0.01 ** (1 / 5) - 3 ** (1 / 5))) ** 5 for i in range(steps)), 0.0]
    draws = Draws(steps)

    def clean(x: Tensor, s: float) -> Tensor:
        return x - s * network(x, torch.full((2,), s, dtype=torch.float64))

    x = start = 3.0 * draws.rows[0]
    for i in range(steps):
        s_hat = sigmas[i] * (1 + min(churn / steps, math.sqrt(2) - 1))
        x = x + math.sqrt(s_hat**2 - sigmas[i] ** 2) * draws.rows[i]
        slope = (x - clean(x, s_hat)) / s_hat
        x_next = x + (sigmas[i + 1] - s_hat) * slope
        if sigmas[i + 1] > 0:
            slope_next = (x_next - clean(x_next, sigmas[i + 1])) / sigmas[i + 1]
            x_next = x + (sigmas[i + 1] - s_hat) * (slope + slope_next) / 2
        x = x_next
    schedule = Karras(sigma_min=0.01, sigma_max=3.0, rho=5.0)
    close(Heun(steps=steps, churn=churn)(denoiser(network, NoiseEstimate()), start, schedule, draws), x)


def test_dpm_solver_2m() -> None:
    """Lu et al. 2022, algorithm 2, data prediction, in their terms: alpha, sigma, lambda = ln(alpha / sigma)."""
    steps = 15
    schedule, denoise = HalfCircle(noisiest=0.95), denoiser(network, Velocity())
    levels = schedule.levels(steps)
    start = Draws(1).rows[0]
    x, before, h_before = start, None, None
    for now, nxt in itertools.pairwise(levels):
        signal = denoise(x, now)
        if nxt.sigma == 0:
            x = signal
            break
        h = math.log(nxt.alpha / nxt.sigma) - math.log(now.alpha / now.sigma)
        r = None if h_before is None else h_before / h
        ahead = signal if r is None else (1 + 1 / (2 * r)) * signal - 1 / (2 * r) * before
        x = nxt.sigma / now.sigma * x - nxt.alpha * math.expm1(-h) * ahead
        before, h_before = signal, h
    close(DpmSolver2M(steps=steps)(denoise, start, schedule, Draws(0)), x)


def test_a_numbered_step_network_on_sigmas() -> None:
    """dz / dsigma = epsilon(z / sqrt(sigma² + 1), t(sigma)), Euler, with t by interpolation of ln sigma."""
    trained = DiscreteBetas(kind="sqrt_linear", start=0.0015, end=0.0195, count=1000, counts_from=0)
    betas = torch.linspace(0.0015**0.5, 0.0195**0.5, 1000, dtype=torch.float64) ** 2
    ab = (1 - betas).cumprod(0)
    known = torch.log(torch.sqrt((1 - ab) / ab)).tolist()

    def t_of(sigma: float) -> float:
        above = next(i for i, value in enumerate(known) if value > math.log(sigma))
        return above - 1 + (math.log(sigma) - known[above - 1]) / (known[above] - known[above - 1])

    schedule = Karras(sigma_min=0.05, sigma_max=5.0)
    sigmas = [float(level.sigma) for level in schedule.levels(10)]
    z = start = 5.0 * Draws(1).rows[0]
    for now, nxt in itertools.pairwise(sigmas):
        z = z + network(z / math.sqrt(now**2 + 1), torch.full((2,), t_of(now), dtype=torch.float64)) * (nxt - now)
    close(ChurnedEuler(steps=10)(denoiser(network, NoiseAtSigma(trained=trained)), start, schedule, Draws(0)), z)


def test_multistep_consistency_sampling() -> None:
    """Song et al. 2023, "Consistency models", algorithm 1: x = f(x_T); for each tau: x = f(x + tau z)."""
    steps, schedule = 5, Karras(sigma_min=0.1, sigma_max=3.0)
    sigmas = [float(level.sigma) for level in schedule.levels(steps)]
    draws = Draws(steps)
    start = 3.0 * Draws(1, seed=1).rows[0]

    def denoise(x: Tensor, level: Level, /) -> Tensor:
        return network(x, torch.as_tensor(level.sigma))

    x = denoise(start, Level(1.0, sigmas[0], sigmas[0]))
    for row, sigma in zip(draws.rows, sigmas[1:-1], strict=False):
        x = denoise(x + sigma * row, Level(1.0, sigma, sigma))
    close(Renewed(steps=steps)(denoise, start, schedule, draws), x)
    assert draws.asked == [1, 2, 3, 4]
