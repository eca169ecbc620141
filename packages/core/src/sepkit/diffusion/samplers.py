"""Samplers: frozen values, each one short loop over the levels of a schedule that mirrors its paper."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import Field
from torch import Tensor

from ..config import Frozen
from ..errors import OptionError
from .level import Denoiser, Level, blend, renoise, scaled, step
from .noise_sources import NoiseSource
from .schedules import Schedule

MOST_CHURN = math.sqrt(2) - 1  # Karras et al. 2022, algorithm 2: a step never adds more noise than the state has


class Iterate(NamedTuple):
    """Where a sampler stands after a step: the level reached, the state there, and the signal it stepped towards."""

    level: Level
    x: Tensor
    signal: Tensor


@runtime_checkable
class Sampler(Protocol):
    """The way from a start to a sample.

    `start` is the state at `schedule.levels(steps)[first]`, such as its sigma times unit noise. `noise` is asked for
    draw 1, 2, ... in the order of the algorithm, so that a step's noise does not depend on where sampling began or on
    whether an earlier draw was needed; draw 0 is left to the start. `first` skips levels, to refine an estimate.
    """

    def __call__(
        self, denoise: Denoiser, start: Tensor, schedule: Schedule, noise: NoiseSource, *, first: int = 0
    ) -> Tensor:
        """The state at the schedule's last level."""
        ...

    def iterate(
        self, denoise: Denoiser, start: Tensor, schedule: Schedule, noise: NoiseSource, *, first: int = 0
    ) -> Iterator[Iterate]:
        """The same, step by step; `signal` is the estimate to show at that point."""
        ...


class _Stepwise(Frozen):
    """Calling a sampler is running it to its end."""

    steps: int = Field(gt=0)

    def __call__(
        self, denoise: Denoiser, start: Tensor, schedule: Schedule, noise: NoiseSource, *, first: int = 0
    ) -> Tensor:
        """The state at the schedule's last level."""
        x = start
        for iterate in self.iterate(denoise, start, schedule, noise, first=first):
            x = iterate.x
        return x

    def iterate(
        self, denoise: Denoiser, start: Tensor, schedule: Schedule, noise: NoiseSource, *, first: int = 0
    ) -> Iterator[Iterate]:
        """The same, step by step; `signal` is the estimate to show at that point."""
        raise NotImplementedError


class Ddim(_Stepwise):
    """Song et al. 2021, "Denoising diffusion implicit models": first order, one network call a step.

    `eta` 0 is deterministic, 1 ancestral (DDPM). `fresh` False drops the fresh noise where eta would add it: with
    eta = 1 this is the reverse process of cold diffusion.
    """

    name: Literal["ddim"] = "ddim"
    eta: float = Field(default=0.0, ge=0.0, le=1.0)
    fresh: bool = True

    def iterate(
        self, denoise: Denoiser, start: Tensor, schedule: Schedule, noise: NoiseSource, *, first: int = 0
    ) -> Iterator[Iterate]:
        """State and estimate after each of the steps."""
        x = start
        for i, now, nxt in _numbered_steps(schedule, self.steps, first):
            signal = denoise(x, now)
            draws = self.eta > 0 and self.fresh and nxt.sigma > 0
            x = step(x, signal, now, nxt, eta=self.eta, fresh=noise(i + 1, x) if draws else None)
            yield Iterate(nxt, x, signal)


class ChurnedEuler(_Stepwise):
    """Karras et al. 2022, algorithm 2 without its second order, each step made `passes` times.

    Noise is lifted by a factor 1 + min(churn / steps, sqrt(2) - 1) before each Euler step, and all the way back to the
    level before between passes (Mariani et al. 2024, "Multi-source diffusion models", algorithm 1, "corrector").
    steps · passes network calls. Draws are numbered churn, renoise, churn, ..., churn in each step, used or not.
    """

    name: Literal["churned_euler"] = "churned_euler"
    churn: float = Field(default=0.0, ge=0.0)
    passes: int = Field(default=1, gt=0)

    def iterate(
        self, denoise: Denoiser, start: Tensor, schedule: Schedule, noise: NoiseSource, *, first: int = 0
    ) -> Iterator[Iterate]:
        """State and estimate after the last pass of each of the steps."""
        x = start
        for i, now, nxt in _numbered_steps(schedule, self.steps, first):
            draw = count(1 + i * (2 * self.passes - 1))
            for again in reversed(range(self.passes)):
                x, churned = _lifted(x, now, schedule, self.churn / self.steps, noise, next(draw))
                signal = denoise(x, churned)
                x = step(x, signal, churned, nxt)
                if again:
                    x = renoise(x, nxt, now, noise(next(draw), x))
            yield Iterate(nxt, x, signal)


class Heun(_Stepwise):
    """Karras et al. 2022, algorithm 2: second order in sigma / alpha, two network calls a step, one in the last.

    From a level without any signal (alpha = 0) the first step is an Euler step.
    """

    name: Literal["heun"] = "heun"
    churn: float = Field(default=0.0, ge=0.0)

    def iterate(
        self, denoise: Denoiser, start: Tensor, schedule: Schedule, noise: NoiseSource, *, first: int = 0
    ) -> Iterator[Iterate]:
        """State and estimate after each of the steps."""
        x = start
        for i, now, nxt in _numbered_steps(schedule, self.steps, first):
            x, now = _lifted(x, now, schedule, self.churn / self.steps, noise, i + 1)
            signal = denoise(x, now)
            euler = step(x, signal, now, nxt)
            if nxt.sigma > 0 and now.alpha > 0:
                # the mean of both slopes (x - D) / sigma, written as one estimate that an Euler step trusts
                signal_next = denoise(euler, nxt)
                signal = signal + (now.ratio / nxt.ratio / 2) * (signal_next - signal)
                x = step(x, signal, now, nxt)
                signal = signal_next
            else:
                x = euler
            yield Iterate(nxt, x, signal)


class DpmSolver2M(_Stepwise):
    """Lu et al. 2022, "DPM-Solver++", algorithm 2: second order in ln(alpha / sigma) with one network call a step.

    The estimate is extrapolated from the step before; the first step, and one to or from an end of the logarithm, is
    of first order.
    """

    name: Literal["dpm_solver_2m"] = "dpm_solver_2m"

    def iterate(
        self, denoise: Denoiser, start: Tensor, schedule: Schedule, noise: NoiseSource, *, first: int = 0
    ) -> Iterator[Iterate]:
        """State and estimate after each of the steps."""
        x, before, h_before = start, None, math.inf
        for _, now, nxt in _numbered_steps(schedule, self.steps, first):
            signal = denoise(x, now)
            h = _log_ratio(now) - _log_ratio(nxt)
            ahead = signal
            if before is not None and math.isfinite(h) and math.isfinite(h_before):
                ahead = signal + (h / h_before / 2) * (signal - before)
            x = step(x, ahead, now, nxt)
            before, h_before = signal, h
            yield Iterate(nxt, x, signal)


class Renewed(_Stepwise):
    """Song et al. 2023, "Consistency models", algorithm 1: every step puts new noise to the last estimate.

    A state then holds nothing but that estimate, so errors of earlier states are forgotten and those of the estimate
    are not. Its result is the last estimate, which for a denoiser is a mean and not a sample.
    """

    name: Literal["renewed"] = "renewed"

    def iterate(
        self, denoise: Denoiser, start: Tensor, schedule: Schedule, noise: NoiseSource, *, first: int = 0
    ) -> Iterator[Iterate]:
        """State and estimate after each of the steps."""
        x = start
        for i, now, nxt in _numbered_steps(schedule, self.steps, first):
            signal = denoise(x, now)
            x = blend(nxt, signal, noise(i + 1, x)) if nxt.sigma > 0 else scaled(nxt.alpha, signal)
            yield Iterate(nxt, x, signal)


def _numbered_steps(schedule: Schedule, steps: int, first: int) -> Iterator[tuple[int, Level, Level]]:
    """(i, level i, level i + 1) for the steps from `first` on; raises OptionError where there is none left."""
    if not 0 <= first < steps:
        raise OptionError(f"Sampling of {steps} steps was to begin at level {first}; wanted 0 to {steps - 1}.")
    levels = schedule.levels(steps)
    for i in range(first, steps):
        yield i, levels[i], levels[i + 1]


def _lifted(
    x: Tensor, now: Level, schedule: Schedule, churn: float, noise: NoiseSource, draw: int
) -> tuple[Tensor, Level]:
    """The state and its level after sigma / alpha has grown by a factor 1 + min(churn, sqrt(2) - 1)."""
    gain = min(churn, MOST_CHURN)
    if gain == 0:
        return x, now
    churned = schedule.at_ratio(float(now.ratio) * (1 + gain))
    return renoise(x, now, churned, noise(draw, x)), churned


def _log_ratio(level: Level) -> float:
    """ln(sigma / alpha): -inf at the clean level, inf for pure noise."""
    ratio = float(level.ratio)
    return math.log(ratio) if ratio > 0 else -math.inf
