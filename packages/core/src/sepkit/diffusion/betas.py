"""Schedules of a finite number of betas, as diffusion models with numbered steps were trained with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from torch import Generator, Tensor

from ..config import Frozen
from ..errors import OptionError
from .level import Level, Scale
from .schedules import check_steps

Floats = NDArray[np.float64]
Spacing = Literal["trailing", "leading", "linspace"]

COSINE_OFFSET = 0.008
LARGEST_COSINE_BETA = 0.999


class _NumberedSteps(Frozen):
    """alpha = sqrt(alpha_bar), sigma = sqrt(1 - alpha_bar) at steps 1..T, with alpha_bar_i = prod of 1 - beta to i."""

    spacing: Spacing = "trailing"
    offset: int = Field(default=0, ge=0)
    ends: Literal["clean", "first"] = "clean"
    counts_from: Literal[0, 1] = 1

    def betas(self) -> tuple[float, ...]:
        """beta_1 .. beta_T."""
        raise NotImplementedError

    def level(self, t: Scale, /) -> Level:
        """The level at step t, counted from `counts_from`; between steps ln(sigma / alpha) runs straight.

        Raises OptionError outside the schedule.
        """
        table = _table(self.betas())
        step = np.asarray(t.detach().cpu() if isinstance(t, Tensor) else t, dtype=np.float64) + 1 - self.counts_from
        if not ((step >= 0) & (step <= table.count)).all():
            raise OptionError(f"A schedule of {table.count} steps was asked for t = {t}, which lies outside it.")
        alpha, sigma = table.scales(step)
        if isinstance(t, Tensor):
            return Level(torch.as_tensor(alpha, device=t.device), torch.as_tensor(sigma, device=t.device), t)
        return Level(float(alpha), float(sigma), float(t))

    def levels(self, steps: int, /) -> list[Level]:
        """The levels at `steps` of the numbered steps, noisiest first, then the one that `ends` names.

        Raises OptionError for more steps than there are, or if `offset` leads beyond them.
        """
        count = len(self.betas())
        if check_steps(steps) > count:
            raise OptionError(f"This schedule has {count} steps and was asked for {steps}; ask for at most {count}.")
        visited = _visited(count, steps, self.spacing, self.offset)
        if visited[0] > count:
            raise OptionError(
                f"Leading spacing of {steps} of {count} steps with offset {self.offset} begins at step {visited[0]}; "
                "take fewer steps, or trailing spacing."
            )
        last = 0 if self.ends == "clean" else 1
        return [self.level(step - 1 + self.counts_from) for step in [*visited, last]]

    def at_ratio(self, ratio: float, /) -> Level:
        """The level with that sigma / alpha; its t is interpolated, and stays within the schedule."""
        t = float(_table(self.betas()).step_at(np.float64(ratio))) - 1 + self.counts_from
        return Level(1 / math.hypot(1.0, ratio), ratio / math.hypot(1.0, ratio) if math.isfinite(ratio) else 1.0, t)

    def random(self, count: int, generator: Generator, /) -> Level:
        """Whole steps, each as likely as any other."""
        step = torch.randint(len(self.betas()), (count,), generator=generator)
        return self.level(step.double() + self.counts_from)


class DiscreteBetas(_NumberedSteps):
    """`count` betas from `start` to `end`: `linear` (Ho et al. 2020), `sqrt_linear` or `cosine`.

    `sqrt_linear` is even in sqrt(beta) (latent diffusion); `cosine` (Nichol & Dhariwal 2021, eq. 17) has no start or
    end. Fewer steps than `count` visit a subset, by `spacing`: `trailing` (evenly, always from the noisiest),
    `leading` (1, 1 + stride, ... each plus `offset`; latent diffusion has offset 1) or `linspace` (count to 1,
    rounded). `ends` is the last level: `clean`, or the `first` step's, where latent diffusion's own sampler stops.
    `t` counts the steps as the network does, from `counts_from` (0 in DDPM and latent diffusion).
    """

    name: Literal["discrete_betas"] = "discrete_betas"
    kind: Literal["linear", "sqrt_linear", "cosine"] = "linear"
    start: float | None = Field(default=None, gt=0.0, lt=1.0)
    end: float | None = Field(default=None, gt=0.0, lt=1.0)
    count: int = Field(gt=0)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = [value for value in (self.start, self.end) if value is not None]
        if len(given) != (0 if self.kind == "cosine" else 2):
            wanted = "neither start nor end" if self.kind == "cosine" else "both start and end"
            raise ValueError(f"kind {self.kind!r} has start {self.start} and end {self.end}; wanted {wanted}")
        return self

    def betas(self) -> tuple[float, ...]:
        """beta_1 .. beta_count."""
        return _betas(self.kind, self.start or 0.0, self.end or 0.0, self.count)


class GivenBetas(_NumberedSteps):
    """Betas as they stand, such as those stored with a published checkpoint; the rest as in DiscreteBetas."""

    name: Literal["given_betas"] = "given_betas"
    values: tuple[float, ...] = Field(min_length=1)

    @field_validator("values")
    @classmethod
    def _fractions(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        outside = [value for value in values if not 0.0 < value < 1.0]
        if outside:
            raise ValueError(f"beta {outside[0]}; wanted every beta between 0 and 1")
        return values

    def betas(self) -> tuple[float, ...]:
        """The values given."""
        return self.values


@dataclass(frozen=True)
class _Table:
    """What one list of betas comes to; index 0 is the clean level."""

    alpha_bar: Floats
    ratio: Floats  # sigma / alpha

    @property
    def count(self) -> int:
        return len(self.ratio) - 1

    def scales(self, step: Floats) -> tuple[Floats, Floats]:
        """(alpha, sigma) at whole steps from the table, between them by interpolation of ln ratio."""
        whole = np.round(step).astype(int)
        ratio = self._ratio_at(step)
        alpha_bar = np.where(step == whole, self.alpha_bar[whole], 1 / (1 + ratio**2))
        one_minus = np.where(step == whole, 1 - self.alpha_bar[whole], ratio**2 / (1 + ratio**2))
        return np.sqrt(alpha_bar), np.sqrt(one_minus)

    def _ratio_at(self, step: Floats) -> Floats:
        straight = np.exp(np.interp(step, np.arange(1, self.count + 1), np.log(self.ratio[1:])))
        return np.where(step < 1, step * self.ratio[1], straight)  # ln ratio has no end at the clean level

    def step_at(self, ratio: Floats | np.float64) -> Floats:
        with np.errstate(divide="ignore"):
            inside = np.interp(np.log(ratio), np.log(self.ratio[1:]), np.arange(1, self.count + 1))
        return np.where(ratio < self.ratio[1], ratio / self.ratio[1], inside)


@lru_cache(maxsize=32)
def _table(betas: tuple[float, ...]) -> _Table:
    alpha_bar = np.concatenate([[1.0], np.cumprod(1 - np.asarray(betas))])
    return _Table(alpha_bar, np.sqrt((1 - alpha_bar) / alpha_bar))


@lru_cache(maxsize=32)
def _betas(kind: str, start: float, end: float, count: int) -> tuple[float, ...]:
    if kind == "linear":
        return tuple(np.linspace(start, end, count).tolist())
    if kind == "sqrt_linear":
        return tuple((np.linspace(math.sqrt(start), math.sqrt(end), count) ** 2).tolist())
    angle = (np.arange(count + 1) / count + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2
    kept = np.cos(angle) ** 2
    return tuple(np.minimum(1 - kept[1:] / kept[:-1], LARGEST_COSINE_BETA).tolist())


def _visited(count: int, steps: int, spacing: Spacing, offset: int) -> list[int]:
    """Step numbers, counted from 1, noisiest first."""
    if spacing == "leading":
        return [1 + offset + i * (count // steps) for i in reversed(range(steps))]
    if spacing == "linspace":
        return [round(value) for value in np.linspace(count, 1, steps).tolist()]
    return [round(count * (1 - i / steps)) for i in range(steps)]
