"""Schedules: falling lists of levels, each a frozen value that is its own JSON."""

from __future__ import annotations

import math
from typing import Literal, Protocol, Self, runtime_checkable

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from ..config import Frozen
from ..errors import OptionError
from .level import Level, Scale


@runtime_checkable
class Schedule(Protocol):
    """A path from noise to signal, and the levels at which a sampler stops along it."""

    def level(self, t: Scale, /) -> Level:
        """The level at the schedule's own coordinate, a number or a tensor."""
        ...

    def levels(self, steps: int, /) -> list[Level]:
        """steps + 1 levels, the noisiest first; the last one is where sampling ends."""
        ...

    def at_ratio(self, ratio: float, /) -> Level:
        """The level whose sigma / alpha is `ratio`, on or off the grid: where churn lifts a state to."""
        ...

    def random(self, count: int, generator: Generator, /) -> Level:
        """`count` levels (b) drawn for training, evenly over the schedule's coordinate."""
        ...


class HalfCircle(Frozen):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2): variance-preserving, evenly spaced in t from `noisiest` to 0.

    Salimans & Ho 2022 with the linear spacing of `audio-diffusion-pytorch`. t = 1 is pure noise.
    """

    name: Literal["half_circle"] = "half_circle"
    noisiest: float = Field(default=1.0, gt=0.0, le=1.0)  # t of the first level

    def level(self, t: Scale, /) -> Level:
        """The level at t, 0 (clean) to 1 (pure noise)."""
        # sin of the complement, because cos(pi / 2) rounds to 6e-17 and not to 0
        if isinstance(t, Tensor):
            return Level(torch.sin(math.pi / 2 * (1 - t)), torch.sin(math.pi / 2 * t), t)
        return Level(math.sin(math.pi / 2 * (1 - t)), math.sin(math.pi / 2 * t), t)

    def levels(self, steps: int, /) -> list[Level]:
        """t falls evenly from `noisiest` to 0."""
        return [self.level(self.noisiest * (1 - i / steps)) for i in range(check_steps(steps) + 1)]

    def at_ratio(self, ratio: float, /) -> Level:
        """t = 2/pi · atan(ratio); an infinite ratio is pure noise."""
        return self.level(2 / math.pi * math.atan(ratio))

    def random(self, count: int, generator: Generator, /) -> Level:
        """t uniform in (0, noisiest)."""
        return self.level(self.noisiest * torch.rand(count, generator=generator, dtype=torch.float64))


class Karras(Frozen):
    """alpha = 1 and sigma falling as a power curve, then exactly 0: t is sigma.

    Karras et al. 2022, eq. 5. `sigma_min` is the last level before 0; rho = 1 spaces evenly.
    """

    name: Literal["karras"] = "karras"
    sigma_min: float = Field(gt=0.0)
    sigma_max: float = Field(gt=0.0)
    rho: float = Field(default=7.0, gt=0.0)

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min is {self.sigma_min}; wanted less than sigma_max, {self.sigma_max}")
        return self

    def level(self, t: Scale, /) -> Level:
        """The level with sigma = t."""
        return Level(torch.ones_like(t) if isinstance(t, Tensor) else 1.0, t, t)

    def levels(self, steps: int, /) -> list[Level]:
        """`steps` levels from sigma_max to sigma_min, then 0; a single step starts at sigma_max."""
        high, low = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        last = max(check_steps(steps) - 1, 1)
        return [self.level((high + i / last * (low - high)) ** self.rho) for i in range(steps)] + [self.level(0.0)]

    def at_ratio(self, ratio: float, /) -> Level:
        """The level with sigma = ratio."""
        return self.level(ratio)

    def random(self, count: int, generator: Generator, /) -> Level:
        """ln sigma uniform between its ends; LogNormalSigma is what Karras et al. train with."""
        u = torch.rand(count, generator=generator, dtype=torch.float64)
        return self.level(torch.exp(math.log(self.sigma_min) + u * math.log(self.sigma_max / self.sigma_min)))


class LogNormalSigma(Frozen):
    """Training levels with ln sigma normal, the `random` half of a schedule (Karras et al. 2022, table 1)."""

    mean: float = -1.2  # of ln sigma
    std: float = Field(default=1.2, ge=0.0)

    def random(self, count: int, generator: Generator, /) -> Level:
        """`count` levels (b) with alpha = 1."""
        z = torch.randn(count, generator=generator, dtype=torch.float64)
        sigma = torch.exp(self.mean + self.std * z)
        return Level(torch.ones_like(sigma), sigma, sigma)


def check_steps(steps: int) -> int:
    """`steps` itself; raises OptionError below 1."""
    if steps < 1:
        raise OptionError(f"A schedule was asked for {steps} steps; wanted 1 or more.")
    return steps
