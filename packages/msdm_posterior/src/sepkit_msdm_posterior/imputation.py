"""Generation around what is given: stems to go with given stems, or a span of time within them."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count, pairwise

import torch
from torch import Tensor

from sepkit.diffusion.level import Denoiser, Level, blend, renoise, scaled, step
from sepkit.diffusion.noise_sources import NoiseSource
from sepkit.diffusion.samplers import MOST_CHURN, ChurnedEuler, Ddim
from sepkit.diffusion.schedules import Schedule
from sepkit.errors import OptionError


def impute(
    denoise: Denoiser,
    given: Tensor,
    kept: Tensor,
    *,
    schedule: Schedule,
    sampler: ChurnedEuler | Ddim,
    noise: NoiseSource,
) -> Tensor:
    """`given` (b s ...) where `kept` (boolean, broadcasting) is true, untouched, and what the prior adds elsewhere.

    Before each network call the kept part of the state becomes `given` at the state's noise level. ChurnedEuler: the
    loop of Mariani et al. 2024, in which one draw for the kept part serves all passes of a step. Ddim: that of latent
    diffusion. With nothing kept it is generation. Draw 0 of `noise` is the start; then come, in each step, the draw for
    the kept part and those of the sampler. Raises OptionError if `kept` is not boolean or does not fit.
    """
    _check(given, kept)
    levels = schedule.levels(sampler.steps)
    passes = sampler.passes if isinstance(sampler, ChurnedEuler) else 1
    x = scaled(levels[0].sigma, noise(0, given))
    for i, (now, nxt) in enumerate(pairwise(levels)):
        draw = count(1 + i * 2 * passes)
        known = blend(now, given, noise(next(draw), x))
        for again in reversed(range(passes)):
            x = _moved(denoise, torch.where(kept, known, x), now, nxt, schedule, sampler, noise, next(draw))
            if again:
                x = renoise(x, nxt, now, noise(next(draw), x))
    return torch.where(kept, given, scaled(1 / levels[-1].alpha, x))


def keep_stems(like: Tensor, stems: Collection[int]) -> Tensor:
    """A mask for `impute` (1 s 1 ...) that keeps the stems with these numbers; raises OptionError for one not there."""
    outside = [stem for stem in stems if not 0 <= stem < like.shape[1]]
    if outside:
        raise OptionError(f"Stem {outside[0]} was to be kept, and there are {like.shape[1]}, counted from 0.")
    mask = torch.tensor([stem in stems for stem in range(like.shape[1])], device=like.device)
    return mask.reshape(1, -1, *(1 for _ in like.shape[2:]))


def keep_outside(like: Tensor, start: int, stop: int) -> Tensor:
    """A mask for `impute` (t, the last axis) that keeps all but [start, stop); OptionError for a span outside it."""
    length = like.shape[-1]
    if not 0 <= start < stop <= length:
        raise OptionError(f"The span {start} to {stop} was to be made anew; wanted a part of 0 to {length}.")
    place = torch.arange(length, device=like.device)
    return (place < start) | (place >= stop)


def _moved(
    denoise: Denoiser,
    x: Tensor,
    now: Level,
    nxt: Level,
    schedule: Schedule,
    sampler: ChurnedEuler | Ddim,
    noise: NoiseSource,
    draw: int,
) -> Tensor:
    """One pass of one step; its draw is churn for the one sampler and fresh noise for the other."""
    if isinstance(sampler, Ddim):
        signal = denoise(x, now)
        draws = sampler.eta > 0 and sampler.fresh and nxt.sigma > 0
        return step(x, signal, now, nxt, eta=sampler.eta, fresh=noise(draw, x) if draws else None)
    gain = min(sampler.churn / sampler.steps, MOST_CHURN)
    if gain > 0:
        churned = schedule.at_ratio(float(now.ratio) * (1 + gain))
        x, now = renoise(x, now, churned, noise(draw, x)), churned
    return step(x, denoise(x, now), now, nxt)


def _check(given: Tensor, kept: Tensor) -> None:
    axes = zip(reversed(kept.shape), reversed(given.shape), strict=False)
    if kept.dtype != torch.bool or kept.ndim > given.ndim or any(own not in (1, whole) for own, whole in axes):
        raise OptionError(
            f"kept is {kept.dtype} of the shape {tuple(kept.shape)}; wanted a boolean tensor that broadcasts to "
            f"{tuple(given.shape)}, true where the given signal stays. keep_stems and keep_outside make them."
        )
