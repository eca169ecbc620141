"""The one equation, x = alpha · signal + sigma · noise, and the three moves along it.

"Noise" is Gaussian, or the mixture itself in cold diffusion; nothing here depends on which. Scales are worked out in
float64 and only then meet the state, so a float32 state loses nothing to the schedule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Scale = float | Tensor
"""A number, or a float64 tensor that broadcasts against the state: one level per example in training."""


@dataclass(frozen=True, slots=True)
class Level:
    """How much of a state is signal (`alpha`) and how much noise (`sigma`); `t` is what networks are told.

    `t` is the schedule's own coordinate: a step number, a fraction of the half circle, or sigma.
    """

    alpha: Scale
    sigma: Scale
    t: Scale

    @property
    def ratio(self) -> Scale:
        """sigma / alpha: the noise level of the same state scaled to alpha = 1; infinite for pure noise."""
        return divided(self.sigma, self.alpha, otherwise=math.inf)

    def against(self, x: Tensor) -> Level:
        """This level with one value per example, (b) or anything else up to x's axes, made to broadcast over `x`."""
        return Level(*(_trailing_axes(scale, x) for scale in (self.alpha, self.sigma, self.t)))


class Denoiser(Protocol):
    """The currency of every sampler: the clean signal as estimated from a state and its level."""

    def __call__(self, x: Tensor, level: Level, /) -> Tensor:
        """The estimate, of the shape and dtype of `x`."""
        ...


def blend(level: Level, signal: Tensor, noise: Tensor) -> Tensor:
    """The state at `level`: alpha · signal + sigma · noise."""
    return scaled(level.alpha, signal) + scaled(level.sigma, noise)


def step(x: Tensor, signal: Tensor, now: Level, nxt: Level, *, eta: float = 0.0, fresh: Tensor | None = None) -> Tensor:
    """Move a state from `now` to the less noisy `nxt`, trusting the estimate `signal`.

    The noise that `signal` leaves in `x` is kept in its direction; `eta` (0 to 1) trades a part tau of it for `fresh`
    unit noise, at 1 as much as the reverse of the forward process does (ancestral sampling, DDPM). With `fresh` None
    that part is dropped. Song et al. 2021, "Denoising diffusion implicit models", eq. 12 and 16; with alpha = 1 it is
    the Euler step of Karras et al. 2022, and with eta = 1 and no fresh noise the cold-diffusion step.
    """
    remaining = divided(nxt.sigma, now.sigma, otherwise=0.0)
    kept = divided(now.alpha, nxt.alpha, otherwise=0.0)
    tau = eta * remaining * root(now.sigma**2 - (kept * nxt.sigma) ** 2)
    of_x = divided(root(nxt.sigma**2 - tau**2), now.sigma, otherwise=0.0)
    x_next = scaled(nxt.alpha - now.alpha * of_x, signal) + scaled(of_x, x)
    return x_next if fresh is None else x_next + scaled(tau, fresh)


def renoise(x: Tensor, now: Level, noisier: Level, fresh: Tensor) -> Tensor:
    """Take a state back up from `now` to a `noisier` level by adding `fresh` unit noise (the forward process)."""
    kept = divided(noisier.alpha, now.alpha, otherwise=1.0)
    return scaled(kept, x) + scaled(root(noisier.sigma**2 - (kept * now.sigma) ** 2), fresh)


def scaled(scale: Scale, x: Tensor) -> Tensor:
    """scale · x, in the dtype and on the device of `x`."""
    return (scale.to(x) if isinstance(scale, Tensor) else scale) * x


def root(square: Scale) -> Scale:
    """Square root, with the tiny negatives that rounding leaves taken as 0."""
    return square.clamp(min=0).sqrt() if isinstance(square, Tensor) else math.sqrt(max(0.0, square))


def divided(over: Scale, under: Scale, *, otherwise: float) -> Scale:
    """over / under, or `otherwise` where `under` is 0: at the clean level, or where no signal is left."""
    if isinstance(under, Tensor):
        return torch.where(under == 0, otherwise, over / torch.where(under == 0, 1.0, under))
    return over / under if under else over * 0.0 + otherwise


def _trailing_axes(scale: Scale, x: Tensor) -> Scale:
    if not isinstance(scale, Tensor) or scale.ndim in (0, x.ndim):
        return scale
    return scale.reshape(*scale.shape, *(1 for _ in range(x.ndim - scale.ndim)))
