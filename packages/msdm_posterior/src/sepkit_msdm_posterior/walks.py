"""Training states as a sampler meets them on its way through a mixture: stems still lie in each other's latents."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import reduce
from pydantic import Field
from torch import Tensor

from sepkit.config import Frozen
from sepkit.training.draws import Draws, batch_draws

Logit = Callable[[Tensor, Tensor], Tensor]
"""ln(v / sigma²) b s d n of a state b s d n at sigma (b), v being the variance of each clean coefficient."""

START = 5.0  # sigma at which a walk begins: nothing of a latent of unit RMS is heard there


class Walk(Frozen):
    """Which items are states of a walk, and how they are made.

    A prior trained on stems and noise alone has never met a guitar in the piano's latent, but a sampler holds the stems
    to their mixture from its first step on, and then they are full of each other: the network takes what it finds for
    the stem. So a `share` of the items begins like a sampler: with noise, and goes down to the item's sigma in up to
    `steps` steps of the network's own. What stands there is what the network made of the mixture so far, with all its
    mistakes, and it learns to mend them.
    """

    share: float = Field(default=0.0, ge=0, le=1)
    steps: int = Field(default=3, ge=1)


def on_the_way(stems: Tensor, sigma: Tensor, walk: Walk, logit: Logit, draws: Draws | None = None) -> Tensor:
    """What stands in the place of clean stems (b s d n) under the noise of sigma (b); it sums to the mixture too.

    Randomness from `draws`; without it, from torch's global random state.
    """
    draws = draws or batch_draws(len(stems))
    mixture = reduce(stems, "b s d n -> b 1 d n", "sum")
    place = (mixture / stems.shape[1]).expand(stems.shape)
    start, steps = sigma.clamp(min=START), draws.integer(1, walk.steps + 1)
    for step in range(steps):
        at = start * (sigma / start) ** (step / steps)
        state = place + trailing(at) * draws.normal(stems.shape).to(mixture)
        place = sorted_out(mixture, state, logit(state, at), shared=draws.chance() < 0.5)
    return place


def sorted_out(mixture: Tensor, state: Tensor, found: Tensor, *, shared: bool) -> Tensor:
    """The mixture `shared` out by the variances found, or the clean estimates held to it: b s d n."""
    if shared:
        return mixture * torch.softmax(found, dim=1)
    gain = torch.sigmoid(found)
    missing = mixture - reduce(gain * state, "b s d n -> b 1 d n", "sum")
    return gain * state + gain / reduce(gain, "b s d n -> b 1 d n", "sum") * missing


def trailing(sigma: Tensor) -> Tensor:
    """b -> b 1 1 1."""
    return sigma[:, None, None, None]
