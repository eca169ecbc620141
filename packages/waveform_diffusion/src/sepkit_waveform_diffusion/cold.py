"""Cold diffusion on the diffusion core: the mixture is the noise. What is particular to it: gains, and T = 1.

The published way back is `Ddim(steps, eta=1.0, fresh=False)` with `NoiseEstimate`, the self-consistent one
`Ddim(steps)` with `Complement`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sepkit.diffusion import Complement, Ddim, GivenBetas, HalfCircle, Level, NoiseEstimate, denoiser
from sepkit.diffusion.noise_sources import NoiseSource
from sepkit.diffusion.objectives import Objective
from sepkit.diffusion.schedules import Schedule

from .config import Betas

Predict = Callable[[Tensor, Tensor], Tensor]
"""The network's estimate of the perturbation in a state b c t, given the number of its step 1..T for each item (b)."""

Process = Literal["published", "consistent"]
Predicts = Literal["complement", "mixture"]


def schedule_of(betas: Betas) -> Schedule:
    """The schedule of T steps; for T = 1 the direct estimate, whose one step begins at alpha = 0, the mixture."""
    if betas.count == 1:
        return HalfCircle()  # in one step: (alpha, sigma, t) = (0, 1, 1), then (1, 0, 0)
    return GivenBetas(values=tuple(betas.betas.tolist()))


def reverse_process(network: nn.Module, mixture: Tensor, betas: Any) -> Tensor:
    """The published iterates from the mixture, T of them from step T down to 1: b t -> T b t, float64.

    x_{t-1} = (x_t - (1 - alpha_t) / sqrt(1 - alpha_bar_t) eps(x_t, t)) / sqrt(alpha_t), without noise and without any
    fix of the level: the target comes out 1 / sqrt(alpha_bar_T) too loud. `betas` (T) are beta_1 ... beta_T. The
    network is called in its own dtype with integer steps (b), the update is in float64.
    """
    schedule = GivenBetas(values=tuple(torch.as_tensor(betas).to(torch.float64).tolist()))
    denoise = denoiser(in_own_dtype(network), NoiseEstimate())
    way = Ddim(steps=len(schedule.values), eta=1.0, fresh=False)
    with torch.no_grad():
        iterates = way.iterate(denoise, mixture.to(torch.float64), schedule, no_noise)
        return torch.stack([iterate.x for iterate in iterates])


def in_own_dtype(network: nn.Module, *more: Tensor) -> Predict:
    """The network as samplers call it: t become integer steps, and a float64 state meets it in its weights' dtype."""

    def predict(state: Tensor, t: Tensor) -> Tensor:
        found: Tensor = network(state.to(next(network.parameters())), t.round().long(), *more)
        return found.to(state)

    return predict


def way_back(
    predict: Predict,
    start: Tensor,
    betas: Betas,
    *,
    process: Process = "published",
    predicts: Predicts = "complement",
    steps: int | None = None,
    first: int = 0,
    gain: float = 1.0,
    deviation: NoiseSource | None = None,
) -> Iterator[tuple[Tensor, float]]:
    """Estimates of the target after each step, each with the gain that the target has in it by the rule.

    `steps` of the T are visited, evenly spread (None: all); `start` stands at the `first`-th of them with the target
    at `gain`: from the mixture 1. The published rule multiplies the target by sqrt(alpha_bar_next / alpha_bar) in each
    step, since the part of it that the perturbation holds is never taken out: dividing by the gain restores the level
    without an oracle. The consistent rule knows of that part, so its estimates are at their own level, as are those of
    a network that predicts the mixture. `deviation` gives the z of the term sigma_t z, which the paper leaves out.
    """
    schedule, count = schedule_of(betas), steps or betas.count
    grows = process == "published" and predicts == "complement" and betas.count > 1
    objective: Objective = NoiseEstimate() if grows or predicts == "mixture" else Complement()
    eta = 1.0 if process == "published" else 0.0
    way = Ddim(steps=count, eta=eta, fresh=deviation is not None)
    began = schedule.levels(count)[first]
    denoise = denoiser(predict, objective)
    for level, state, signal in way.iterate(denoise, start, schedule, deviation or no_noise, first=first):
        if grows:
            yield state, gain * float(level.alpha) / float(began.alpha)
        else:
            yield signal, 1.0


def restart(betas: Betas, steps: int | None, from_level: int) -> tuple[int, Level]:
    """Where a way back of `steps` of the T begins if no earlier than step `from_level`: its position and its level."""
    levels = schedule_of(betas).levels(steps or betas.count)
    first = next(i for i, level in enumerate(levels) if float(level.t) <= from_level)
    return first, levels[first]


def no_noise(draw: int, like: Tensor) -> Tensor:
    """The fresh noise of samplers that want none."""
    raise AssertionError(f"draw {draw} was asked for: cold diffusion draws nothing")
