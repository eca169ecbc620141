"""Sampling the stems of a mixture: as multi-source diffusion does, draw for draw, and with the core's samplers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from sepkit.diffusion.level import Denoiser, Level, scaled
from sepkit.diffusion.noise_sources import NoiseSource
from sepkit.diffusion.samplers import ChurnedEuler, Iterate, Sampler
from sepkit.diffusion.schedules import Schedule
from sepkit.errors import OptionError

from .posteriors import Posterior, check_mixture

SigmaDenoiser = Callable[[Tensor, Tensor], Tensor]
"""denoise(x, sigma): the clean stems (b s ...) in x = stems + sigma · noise; sigma is a tensor without axes."""


class StepwiseSampler(Sampler, Protocol):
    """A sampler that knows its number of steps, as the core's do."""

    @property
    def steps(self) -> int:
        """Steps of the walk."""
        ...


def separate(
    mixture: Tensor,
    denoise: SigmaDenoiser,
    sigmas: Sequence[float] | Tensor,
    *,
    initial_noise: Tensor,
    noise: Iterator[Tensor],
    posterior: Posterior,
    churn: float,
    passes: int,
) -> Tensor:
    """The stems (b s t) of a mixture (b 1 t), one sample of the posterior (Mariani et al. 2024, algorithm 1).

    `sigmas` are the n + 1 levels, the last one 0; `initial_noise` (b s t) has unit variance. `noise` yields the draws
    b s t in the reference's order: in each step and pass the churn draw, whether or not `churn` is 0, then, but for
    the last pass, the draw that climbs back. All in float64. Stability is not checked: `check_stable` does that.
    Raises OptionError for shapes that do not fit, or where `noise` ends too soon.
    """
    levels = torch.as_tensor(sigmas, dtype=torch.float64).tolist()
    y, start = mixture.double(), levels[0] * initial_noise.double()
    check_mixture(start, y)

    def prior(x: Tensor, level: Level, /) -> Tensor:
        return denoise(x, torch.as_tensor(level.sigma, dtype=torch.float64, device=x.device)).to(x)

    sampler = ChurnedEuler(steps=len(levels) - 1, churn=float(churn), passes=int(passes))
    stems = sampler(posterior.bind(prior, y), start, ListedSigmas(tuple(levels)), DrawnInOrder(noise))
    return posterior.finished(stems, y)


def sample_posterior(
    denoise: Denoiser,
    mixture: Tensor,
    *,
    stems: int,
    schedule: Schedule,
    sampler: StepwiseSampler,
    posterior: Posterior,
    noise: NoiseSource,
) -> Tensor:
    """The stems (b s ...) of a mixture (b 1 ...), one sample of the posterior, in the mixture's dtype.

    Any schedule and sampler of the core; `denoise` is the prior. Draw 0 of `noise` is the start.
    """
    start = start_of(mixture, stems, schedule, sampler, noise)
    x = sampler(posterior.bind(denoise, mixture), start, schedule, noise)
    return posterior.finished(_signal_of(x, schedule, sampler), mixture)


def iterate_posterior(
    denoise: Denoiser,
    mixture: Tensor,
    *,
    stems: int,
    schedule: Schedule,
    sampler: StepwiseSampler,
    posterior: Posterior,
    noise: NoiseSource,
) -> Iterator[Iterate]:
    """The same step by step; an iterate's `signal` (b s ...) is the estimate to show, held to the mixture."""
    start = start_of(mixture, stems, schedule, sampler, noise)
    for level, x, signal in sampler.iterate(posterior.bind(denoise, mixture), start, schedule, noise):
        yield Iterate(level, x, posterior.finished(signal, mixture))


def start_of(mixture: Tensor, stems: int, schedule: Schedule, sampler: StepwiseSampler, noise: NoiseSource) -> Tensor:
    """The state (b s ...) that sampling begins with: the first level's sigma times draw 0."""
    if stems < 1:
        raise OptionError(f"{stems} stems were to be sampled; wanted 1 or more.")
    shape = (len(mixture), stems, *mixture.shape[2:])
    return scaled(schedule.levels(sampler.steps)[0].sigma, noise(0, mixture.new_empty(shape)))


def _signal_of(x: Tensor, schedule: Schedule, sampler: StepwiseSampler) -> Tensor:
    """A state at the last level as a signal: x / alpha, where the schedule does not end at alpha = 1."""
    return scaled(1 / schedule.levels(sampler.steps)[-1].alpha, x)


@dataclass(frozen=True)
class ListedSigmas:
    """A schedule of the sigmas as they stand, the noisiest first; alpha is 1 and t is sigma."""

    sigmas: tuple[float, ...]

    def level(self, t: float | Tensor, /) -> Level:
        """The level with sigma = t."""
        return Level(1.0, t, t)

    def levels(self, steps: int, /) -> list[Level]:
        """All of them; raises OptionError for another number of steps than they are."""
        if steps != len(self.sigmas) - 1:
            raise OptionError(f"{len(self.sigmas)} sigmas make one step less, and {steps} steps were asked for.")
        return [self.level(sigma) for sigma in self.sigmas]

    def at_ratio(self, ratio: float, /) -> Level:
        """The level with sigma = ratio."""
        return self.level(ratio)

    def random(self, count: int, generator: torch.Generator, /) -> Level:
        """`count` of the sigmas but the last, each as likely as any other."""
        picked = torch.randint(len(self.sigmas) - 1, (count,), generator=generator)
        return self.level(torch.tensor(self.sigmas, dtype=torch.float64)[picked])


@dataclass
class DrawnInOrder:
    """A noise source over an iterator of draws: draw k is the k-th it yields, and those not asked for are passed by."""

    draws: Iterator[Tensor]
    made: int = field(default=0, init=False)

    def __call__(self, draw: int, like: Tensor, /) -> Tensor:
        """Draw number `draw`, which must lie ahead; raises OptionError where there is none or its shape is another."""
        value = None
        while self.made < draw:
            value = next(self.draws, None)
            if value is None:
                raise OptionError(f"noise has {self.made} draws, and sampling asked for draw {draw}; yield more.")
            self.made += 1
        if value is None or value.shape != like.shape:
            found = "none, because it has gone by" if value is None else f"one of the shape {tuple(value.shape)}"
            raise OptionError(f"noise was asked for draw {draw} of the shape {tuple(like.shape)} and gave {found}.")
        return value.to(like)
