"""Posteriors: what is known of the stems of one mixture, as denoisers that wrap the prior's denoiser.

A state has the stems on its second axis (b s ...), a mixture has one entry there (b 1 ...), and the law is that the
stems sum to the mixture. Everything is stated for z = x / alpha at sigma / alpha, so that it holds on every schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Literal, Protocol, Self, runtime_checkable

import torch
from pydantic import Field, model_validator
from torch import Tensor

from sepkit.config import Frozen
from sepkit.diffusion.level import Denoiser, Level, scaled
from sepkit.diffusion.samplers import MOST_CHURN
from sepkit.errors import OptionError

from .error_variances import ErrorVariance, gain_variance, power_variance, shares, signal_variance


@runtime_checkable
class Posterior(Protocol):
    """A way to hold the stems to their mixture while a sampler walks."""

    def bind(self, denoise: Denoiser, mixture: Tensor, /) -> Denoiser:
        """The denoiser of stems (b s ...) that knows their mixture (b 1 ...); raises OptionError for another shape."""
        ...

    def finished(self, stems: Tensor, mixture: Tensor, /) -> Tensor:
        """The stems that a sampler ended with, held to the mixture once more where the posterior promises it."""
        ...

    def largest_step(self, stems: int, /) -> float:
        """The share of sigma that one Euler step may take off before sampling diverges; infinite for no bound."""
        ...


class Dirac(Frozen):
    """The stems sum to the mixture exactly: stem `source` is what the others leave of it.

    D'_m = D_m + (z_k - D_k) for the free stems, with z_k = y - the sum of the others (Mariani et al. 2024,
    "Multi-source diffusion models", eq. 13 to 15). The constrained stem of the estimate is the rest, so that estimates,
    and what a sampler ends with at sigma 0, sum to the mixture. In the reference it lags one step behind the others.
    """

    name: Literal["dirac"] = "dirac"
    source: int = Field(default=0, ge=0)

    def bind(self, denoise: Denoiser, mixture: Tensor, /) -> Denoiser:
        """The posterior's denoiser; raises OptionError for a mixture or `source` that does not fit the state."""

        def posterior(x: Tensor, level: Level, /) -> Tensor:
            self._check(x, mixture)
            level = level.against(x)
            z = self.finished(scaled(1 / _some_signal(level).alpha, x), mixture)
            clean = denoise(scaled(level.alpha, z), level)
            k = slice(self.source, self.source + 1)
            return self.finished(clean + (z - clean)[:, k], mixture)

        return posterior

    def finished(self, stems: Tensor, mixture: Tensor, /) -> Tensor:
        """The stems with stem `source` set to what the others leave."""
        before, _, after = stems.tensor_split((self.source, self.source + 1), dim=1)
        rest = mixture - before.sum(1, keepdim=True) - after.sum(1, keepdim=True)
        return torch.cat([before, rest, after], dim=1)

    def largest_step(self, stems: int, /) -> float:
        """No bound."""
        return math.inf

    def _check(self, x: Tensor, mixture: Tensor) -> None:
        check_mixture(x, mixture)
        if self.source >= x.shape[1]:
            raise OptionError(
                f"Dirac's constrained stem is {self.source}, and there are {x.shape[1]} stems; "
                f"wanted 0 to {x.shape[1] - 1}."
            )


class Gaussian(Frozen):
    """The stems sum to the mixture up to Gaussian noise of width gamma · sigma.

    D'_m = D_m + (y - sum of z) / (2 gamma²). The 2 is the reference code's; the gradient of the Gaussian has none, so
    its true width is sqrt(2) · gamma · sigma. `gamma` None is a width of sigma, the reference's default.
    """

    name: Literal["gaussian"] = "gaussian"
    gamma: float | None = Field(default=0.75, gt=0.0)

    def bind(self, denoise: Denoiser, mixture: Tensor, /) -> Denoiser:
        """The posterior's denoiser; raises OptionError for a mixture that does not fit the state."""

        def posterior(x: Tensor, level: Level, /) -> Tensor:
            check_mixture(x, mixture)
            level = _some_signal(level.against(x))
            missing = mixture - scaled(1 / level.alpha, x.sum(1, keepdim=True))
            return denoise(x, level) + missing / (2 * self._gamma**2)

        return posterior

    def finished(self, stems: Tensor, mixture: Tensor, /) -> Tensor:
        """The stems as they are."""
        return stems

    def largest_step(self, stems: int, /) -> float:
        """4 gamma² / stems: the sum's error is multiplied by 1 - step · stems / (2 gamma²)."""
        return 4 * self._gamma**2 / stems

    @property
    def _gamma(self) -> float:
        return 1.0 if self.gamma is None else self.gamma


class Projected(Frozen):
    """The prior's estimates with what they miss of the mixture shared out among them, so that they sum to it exactly.

    D'_i = D_i + w_i (y - sum of D), w_i = r_i² / sum of r², with r_i² the error variance of estimate i, coefficient by
    coefficient: the exact posterior where the prior is a Gaussian with a diagonal covariance. Weights:
    `empirical`: r² from the estimates themselves, `by` their gain or their power; `calibrated`: `error_variance`, a
    table, or a function of sigma that returns r² (s ...); `uniform`: the same for each stem, which loses several dB
    with few steps. `smooth` averages the empirical r² over that many neighbours (odd) along the last axes.
    `mean_below`: at this sigma / alpha and under it the estimate is instead the posterior's mean for the variances v
    that the estimates' gains tell, y v_i / sum of v, which no longer depends on the noise of the state. A walk that
    ends there gives a mean and not a sample: less squared error, less variety. It needs a prior whose gains mean that.
    """

    name: Literal["projected"] = "projected"
    weights: Literal["empirical", "calibrated", "uniform"] = "empirical"
    by: Literal["gain", "power"] = "gain"
    smooth: tuple[int, ...] = ()
    error_variance: ErrorVariance | Callable[[float], Tensor] | None = None
    mean_below: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.weights == "calibrated") != (self.error_variance is not None):
            raise ValueError("weights 'calibrated' and an error_variance need each other; give both or neither")
        if any(size < 1 or size % 2 == 0 for size in self.smooth):
            raise ValueError(f"smooth is {self.smooth}; wanted odd numbers of neighbours")
        return self

    def bind(self, denoise: Denoiser, mixture: Tensor, /) -> Denoiser:
        """The posterior's denoiser; raises OptionError for a mixture or a table that does not fit the state."""

        def posterior(x: Tensor, level: Level, /) -> Tensor:
            check_mixture(x, mixture)
            level = level.against(x)
            clean = denoise(x, level)
            if self.mean_below is not None and float(level.ratio) <= self.mean_below:
                return shares(signal_variance(x, clean, level, self.smooth)) * mixture
            missing = mixture - clean.sum(1, keepdim=True)
            return clean + shares(self._variance(x, clean, level)) * missing

        return posterior

    def finished(self, stems: Tensor, mixture: Tensor, /) -> Tensor:
        """The stems as they are: at sigma 0 they are the last estimate."""
        return stems

    def largest_step(self, stems: int, /) -> float:
        """No bound."""
        return math.inf

    def _variance(self, x: Tensor, clean: Tensor, level: Level) -> Tensor:
        """r² up to a factor that all stems share, b s ...."""
        if self.weights == "uniform":
            return torch.ones_like(clean)
        if isinstance(self.error_variance, ErrorVariance):
            return self.error_variance.over(clean, float(level.ratio)).expand_as(clean)
        if self.error_variance is not None:
            return self.error_variance(float(level.ratio)).to(clean).expand_as(clean)
        if self.by == "power":
            return power_variance(clean, level, self.smooth)
        return gain_variance(x, clean, level, self.smooth)


PosteriorSetting = Annotated[Dirac | Gaussian | Projected, Field(discriminator="name")]
"""The type of a config's posterior field: each is its own JSON."""


def check_stable(posterior: Posterior, sigmas: Sequence[float] | Tensor, churn: float, stems: int) -> None:
    """Refuse a walk over `sigmas` (falling; sigma / alpha of a schedule's levels) on which the posterior diverges.

    Every step but the last into 0 is looked at, from where `churn` (of the whole walk, as in ChurnedEuler) lifts it to.
    Raises OptionError with the numbers and with what would do.
    """
    levels = [float(sigma) for sigma in sigmas]
    lift = 1 + min(churn / max(len(levels) - 1, 1), MOST_CHURN)
    steps = [1 - nxt / (lift * now) for now, nxt in pairwise(levels) if now > 0 and nxt > 0]
    bound, widest = posterior.largest_step(stems), max(steps, default=0.0)
    if widest < bound:
        return
    place = steps.index(widest)
    raise OptionError(
        f"{posterior!r} diverges with {stems} stems: step {place + 1} of {len(levels) - 1}, from sigma "
        f"{levels[place] * lift:.3g} (churn {churn:g}) to {levels[place + 1]:.3g}, takes off {widest:.3f} of it; "
        f"wanted less than 4 gamma² / stems = {bound:.3f}. Take a gamma above {math.sqrt(widest * stems / 4):.3f}, "
        f"less churn, or more steps."
    )


def check_mixture(x: Tensor, mixture: Tensor) -> None:
    """Raise OptionError unless `mixture` is b 1 ... for a state b s ...."""
    wanted = (len(x), 1, *x.shape[2:])
    if mixture.shape != wanted:
        raise OptionError(
            f"A state of stems has the shape {tuple(x.shape)} and the mixture {tuple(mixture.shape)}; wanted {wanted} "
            "for the mixture: the same axes, with one entry where the state has the stems."
        )


def _some_signal(level: Level) -> Level:
    """The level itself; raises OptionError where no signal is left to hold to a mixture."""
    if (level.alpha == 0).any() if isinstance(level.alpha, Tensor) else level.alpha == 0:
        raise OptionError(
            "Dirac and Gaussian hold the noisy stems to the mixture and cannot start where alpha is 0. "
            "Start lower, for instance with HalfCircle(noisiest=0.99), or take Projected."
        )
    return level
