"""Training states as a sampler meets them on its way through a mixture: stems still lie in each other's latents."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import reduce
from pydantic import Field
from torch import Tensor

from sepkit.config import Frozen

Logit = Callable[[Tensor, Tensor], Tensor]
"""ln(v / sigma²) b s d n of a state b s d n at sigma (b), v being the variance of each clean coefficient."""

NEIGHBOURS = 9  # bands over which a stem's spectrum is smoothed
LEAST = 1e-6  # of a band's power
FURTHEST = 1.0  # of ln sigma: how far down a step of the walk leads


class Walk(Frozen):
    """Which items are states of a walk, and how they are made.

    A prior trained on stems and noise alone has never met a guitar in the piano's latent, but a sampler holds the stems
    to their mixture from its first step on, and then they are full of each other: the network takes what it finds for
    the stem. So a `share` of the items begins like a sampler's state: the stems' sum, shared out by their spectra or
    evenly, and perhaps already partly sorted. `own`: of these, how many go one step on with the network's own estimate.
    """

    share: float = Field(default=0.0, ge=0, le=1)
    own: float = Field(default=0.6, ge=0, le=1)


def on_the_way(stems: Tensor, sigma: Tensor, walk: Walk, logit: Logit) -> tuple[Tensor, Tensor]:
    """What stands in the place of clean stems (b s d n) under the noise of sigma (b), and sigma, perhaps lower.

    It sums to the mixture of `stems` as they do. Randomness from torch's global random state.
    """
    mixture = reduce(stems, "b s d n -> b 1 d n", "sum")
    place = early(stems, mixture)
    going = torch.rand(len(stems), device=stems.device) < walk.own
    if not going.any():
        return place, sigma
    start, part = sigma[going], mixture[going]
    state = place[going] + trailing(start) * torch.randn(place[going].shape).to(part)
    found = logit(state, start)
    sorted_out = part * torch.softmax(found, dim=1)
    if torch.rand(()) < 0.5:
        gain = torch.sigmoid(found)
        clean = gain * state
        missing = part - reduce(clean, "b s d n -> b 1 d n", "sum")
        sorted_out = clean + gain / reduce(gain, "b s d n -> b 1 d n", "sum") * missing
    place, sigma = place.clone(), sigma.clone()
    place[going] = sorted_out.to(place)
    sigma[going] = start * torch.exp(-FURTHEST * torch.rand_like(start))
    return place, sigma


def early(stems: Tensor, mixture: Tensor) -> Tensor:
    """The mixture shared out by the stems' spectra, more or less, on the way to the stems or all of it: b s d n."""
    count, device = len(stems), stems.device
    spectrum = reduce(stems.square(), "b s d n -> b s d", "mean")
    reach = NEIGHBOURS if spectrum.shape[-1] >= NEIGHBOURS else 1
    smooth = F.avg_pool1d(spectrum, reach, stride=1, padding=reach // 2, count_include_pad=False) + LEAST
    shares = smooth[..., None] ** torch.rand(count, 1, 1, 1, device=device)
    shares = shares / reduce(shares, "b s d n -> b 1 d n", "sum")
    far = torch.rand(count, 1, 1, 1, device=device)
    far = torch.where(torch.rand(count, 1, 1, 1, device=device) < 0.5, 1.0, far)
    return stems + far * (shares * mixture - stems)


def trailing(sigma: Tensor) -> Tensor:
    """b -> b 1 1 1."""
    return sigma[:, None, None, None]
