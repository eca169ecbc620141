"""Laws of networks in the diffusion core: dtypes, the time they are told, and the loss they are trained with."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sepkit.diffusion import (
    Complement,
    Ddim,
    DiscreteBetas,
    Edm,
    HalfCircle,
    Karras,
    Level,
    LogNormalSigma,
    NoiseAtSigma,
    NoiseEstimate,
    SignalEstimate,
    Velocity,
    blend,
    denoiser,
    diffusion_loss,
)
from sepkit.errors import OptionError

BETAS = DiscreteBetas(start=1e-4, end=0.02, count=1000)
OBJECTIVES = [
    SignalEstimate(),
    NoiseEstimate(),
    Velocity(),
    Edm(sigma_data=0.5),
    Complement(),
    NoiseAtSigma(trained=BETAS),
]


class Recorder(nn.Module):
    """A network with one weight that remembers what it was called with."""

    def __init__(self, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5, dtype=dtype))
        self.calls: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.calls.append((x, t))
        return self.weight * x


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(
    ("weights", "times"),
    [
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
)
@pytest.mark.parametrize("state", [torch.float32, torch.float64])
def test_a_network_runs_in_its_dtype_and_the_chain_in_the_states(
    weights: torch.dtype, times: torch.dtype, state: torch.dtype
) -> None:
    network = Recorder(weights)
    with torch.no_grad():
        result = Ddim(steps=3)(denoiser(network, Velocity()), normal(0, 2, 1, 9, dtype=state), HalfCircle(), None)
    assert result.dtype == state
    assert {(x.dtype, t.dtype, t.shape) for x, t in network.calls} == {(weights, times, (2,))}
    assert [float(t[0]) for _, t in network.calls] == pytest.approx([1, 2 / 3, 1 / 3])


def test_a_half_precision_network_is_told_whole_time_steps_exactly() -> None:
    network = Recorder(torch.bfloat16)
    denoiser(network, NoiseEstimate())(torch.zeros(1, 4), BETAS.level(999))
    assert network.calls[0][1].tolist() == [999.0]


def test_any_function_is_a_network() -> None:
    estimate = denoiser(lambda x, t: x * 0 + t[:, None], SignalEstimate())(torch.zeros(3, 4), HalfCircle().level(0.25))
    assert torch.equal(estimate, torch.full((3, 4), 0.25))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda value: value.name)
@pytest.mark.parametrize("schedule", [BETAS, HalfCircle(), Karras(sigma_min=1e-3, sigma_max=5.0)], ids=lambda v: v.name)
def test_signal_undoes_target_for_every_example(objective: object, schedule: object) -> None:
    signal, noise = normal(1, 5, 2, 7), normal(2, 5, 2, 7)
    level = schedule.random(5, generator()).against(signal)
    x = blend(level, signal, noise)
    inputs, t = objective.inputs(x, level)
    assert (inputs.shape, t.shape) == (x.shape, (5, 1, 1))
    assert (objective.signal(x, objective.target(signal, noise, level), level) - signal).abs().max() < 1e-8


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda value: value.name)
def test_a_batch_of_levels_is_each_level_alone(objective: object) -> None:
    x, output = normal(1, 3, 7), normal(2, 3, 7)
    levels = Karras(sigma_min=0.1, sigma_max=5.0).levels(3)[:3]
    columns = zip(*((one.alpha, one.sigma, one.t) for one in levels), strict=True)
    together = Level(*(torch.tensor(column, dtype=torch.float64) for column in columns)).against(x)
    inputs, t = objective.inputs(x, together)
    signal, target = objective.signal(x, output, together), objective.target(x, output, together)
    for i, level in enumerate(levels):
        alone, alone_t = objective.inputs(x[i], level)
        assert float(t[i]) == pytest.approx(alone_t, abs=1e-9)
        for whole, part in [
            (inputs, alone),
            (signal, objective.signal(x[i], output[i], level)),
            (target, objective.target(x[i], output[i], level)),
        ]:
            assert (whole[i] - part).abs().max() < 1e-12


def test_edm_inputs_have_unit_variance_and_its_targets_too() -> None:
    sigma_data, count = 0.2, 200_000
    signal, noise = sigma_data * normal(1, 1, count), normal(2, 1, count)
    for level in [*Karras(sigma_min=1e-2, sigma_max=80.0).levels(5)[:-1], HalfCircle().level(0.3), BETAS.level(500)]:
        objective = Edm(sigma_data=sigma_data)
        inputs, c_noise = objective.inputs(blend(level, signal, noise), level)
        assert inputs.var() == pytest.approx(1, abs=0.02)
        assert objective.target(signal, noise, level).var() == pytest.approx(1, abs=0.02)
        assert c_noise == pytest.approx(math.log(level.sigma / level.alpha) / 4)


def test_a_noise_network_cannot_start_where_no_signal_is() -> None:
    for objective in (NoiseEstimate(), NoiseAtSigma(trained=BETAS)):
        with pytest.raises(OptionError, match="HalfCircle"):
            denoiser(Recorder(), objective)(torch.zeros(1, 4), HalfCircle().level(1.0))


def test_levels_drawn_for_training_cover_the_schedule() -> None:
    count = 20_000
    steps = BETAS.random(count, generator()).t
    assert torch.equal(steps, steps.round())
    assert (int(steps.min()), int(steps.max())) == (1, 1000)
    assert float(steps.mean()) == pytest.approx(500.5, abs=5 * 289 / count**0.5)
    t = HalfCircle(noisiest=0.8).random(count, generator()).t
    assert 0 <= float(t.min()) < 1e-3
    assert 0.799 < float(t.max()) < 0.8
    sigma = Karras(sigma_min=0.01, sigma_max=1.0).random(count, generator()).sigma
    assert float(sigma.log10().mean()) == pytest.approx(-1, abs=0.03)
    sigma = LogNormalSigma(mean=-3.0, std=1.0).random(count, generator()).sigma
    assert float(sigma.log().mean()) == pytest.approx(-3, abs=0.05)
    assert float(sigma.log().std()) == pytest.approx(1, abs=0.05)
    assert torch.equal(sigma, LogNormalSigma(mean=-3.0, std=1.0).random(count, generator()).sigma)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda value: value.name)
@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_the_loss_is_the_mean_error_of_the_output(objective: object, distance: str) -> None:
    signal, noise = normal(1, 4, 2, 9, dtype=torch.float32), normal(2, 4, 2, 9, dtype=torch.float32)
    levels = BETAS
    level = levels.random(4, generator(3)).against(signal)
    target = objective.target(signal, noise, level)
    loss = diffusion_loss(lambda x, t: target + 0.3, objective, levels, signal, noise, generator(3), distance=distance)
    assert float(loss) == pytest.approx(0.3 if distance == "l1" else 0.09, rel=1e-3)
    weighted = diffusion_loss(
        lambda x, t: target + 1, objective, levels, signal, noise, generator(3), weight=lambda level: level.sigma
    )
    assert float(weighted) == pytest.approx(float(level.sigma.mean()), rel=1e-3)


def test_the_edm_loss_is_the_papers_weighted_error_of_the_estimate() -> None:
    signal, noise, sigma_data = 0.2 * normal(1, 6, 50), normal(2, 6, 50), 0.2
    network, objective, levels = Recorder(torch.float64), Edm(sigma_data=sigma_data), LogNormalSigma(mean=-3.0, std=1.0)
    loss = diffusion_loss(network, objective, levels, signal, noise, generator(1))
    level = levels.random(6, generator(1)).against(signal)
    estimate = denoiser(network, objective)(blend(level, signal, noise), level)
    weight = (level.sigma**2 + sigma_data**2) / (level.sigma * sigma_data) ** 2
    assert loss.item() == pytest.approx((weight * (estimate - signal) ** 2).mean().item(), rel=1e-9)
    loss.backward()
    assert network.weight.grad is not None


def test_training_by_the_loss_finds_the_optimal_denoiser() -> None:
    """For a signal N(0, 1) the best v-network is linear: its least squares, at one level, has the known gain."""
    count, half = 200_000, HalfCircle()
    signal, noise = normal(1, count, 1), normal(2, count, 1)

    class OneLevel:
        def random(self, count: int, generator: torch.Generator) -> Level:
            return half.level(torch.full((count,), 0.4, dtype=torch.float64))

    weight = torch.zeros((), dtype=torch.float64, requires_grad=True)
    loss = diffusion_loss(lambda x, t: weight * x, Velocity(), OneLevel(), 0.5 * signal, noise, generator())
    (slope,) = torch.autograd.grad(loss, weight, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, weight)
    level = half.level(0.4)
    power = level.alpha**2 * 0.25 + level.sigma**2
    assert (-slope / curvature).item() == pytest.approx(level.alpha * level.sigma * (1 - 0.25) / power, abs=0.01)


def test_an_unknown_distance_gets_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean 'l1'"):
        diffusion_loss(Recorder(), Velocity(), HalfCircle(), *[torch.zeros(1, 4)] * 2, generator(), distance="l11")
