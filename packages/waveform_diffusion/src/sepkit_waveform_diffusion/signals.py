"""From mixtures to stems with trained networks, on tensors: the way back, levels, silence and the post-filter."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from torch import Tensor

from sepkit.diffusion import blend
from sepkit.diffusion.noise_sources import NoiseSource

from .cold import in_own_dtype, restart, way_back
from .network import ColdNetwork
from .post_filter import two_stem_wiener
from .settings import ColdSettings

REACH_SAMPLES = 1024
"""An estimate sounds no farther than this from the nearest sample of the mixture that isn't exactly 0."""


def separate_signals(networks: Sequence[ColdNetwork], mixture: Tensor, settings: ColdSettings) -> Tensor:
    """Mixture b c t -> stems b s c t with the first network, the second serving the Wiener filter."""
    return last(iterate_signals(networks, mixture, settings))


def iterate_signals(networks: Sequence[ColdNetwork], mixture: Tensor, settings: ColdSettings) -> Iterator[Tensor]:
    """Stems b s c t after every step; where a filter follows, the last ones are its result."""
    estimate = None
    for estimate in target_estimates(networks[0], mixture, settings):
        yield with_complement(estimate, mixture, networks[0])
    if settings.wiener == "none":
        return
    assert estimate is not None
    others = mixture - estimate
    if settings.wiener == "two_models":
        others = last(target_estimates(networks[1], mixture, of_second(networks, settings)))
    yield two_stem_wiener(torch.stack([estimate, others], dim=1), mixture)


def of_second(networks: Sequence[ColdNetwork], settings: ColdSettings) -> ColdSettings:
    """The settings of the second network: the same share of its own steps, and never stopped early."""
    share = 1.0 if settings.steps is None else settings.steps / networks[0].model.betas.count
    steps = math.ceil(share * networks[1].model.betas.count)
    return settings.model_copy(update={"steps": steps, "stop_after": None})


def calls_of(network: ColdNetwork, settings: ColdSettings) -> int:
    """How often a network runs on a window."""
    return min(settings.steps or network.model.betas.count, settings.stop_after or network.model.betas.count)


def target_estimates(
    network: ColdNetwork,
    mixture: Tensor,
    settings: ColdSettings,
    *,
    known: Tensor | None = None,
    from_level: int = 0,
    deviation: NoiseSource | None = None,
) -> Iterator[Tensor]:
    """The targets b (k c) t after each step, at their own level; updates in float64 as in the reference.

    With the estimate `known`, of the same shape, the way begins at step `from_level`, at the state that training would
    have made of it: sqrt(alpha_bar) known + sqrt(1 - alpha_bar) mixture. `deviation`: see `cold.way_back`.
    """
    model = network.model
    mixtures = repeat(mixture.double(), "b c t -> b (k c) t", k=len(model.targets))
    start, first, gain = mixtures, 0, 1.0
    if known is not None:
        first, level = restart(model.betas, settings.steps, from_level)
        start = blend(level, known.to(mixtures), mixtures)
        gain = float(level.alpha) + float(level.sigma)  # the mixture holds the target too
    ways = way_back(
        in_own_dtype(network, mixture),
        start,
        model.betas,
        process=settings.process,
        predicts=model.predicts,
        steps=settings.steps,
        first=first,
        gain=gain,
        deviation=deviation,
    )
    heard = where_heard(mixture)
    for estimate, gained in islice(ways, settings.stop_after):
        yield (at_level(estimate, gained, mixtures, settings) * heard).to(mixture.dtype)


def at_level(estimate: Tensor, gain: float, mixture: Tensor, settings: ColdSettings) -> Tensor:
    """Undo the gain of the target, by the rule that was asked for; the consistent way has none."""
    if settings.process == "consistent" or settings.level == "alpha_bar":
        return estimate / gain
    if settings.level == "peak":
        loudest = reduce(estimate.abs(), "b c t -> b 1 1", "max")
        wanted = reduce(mixture.abs(), "b c t -> b 1 1", "max")
        return estimate * torch.where(loudest > 0, wanted / loudest, 0.0)
    if settings.level == "clamp":
        limit = reduce(mixture.abs(), "b c t -> b 1 1", "max")
        return estimate.clamp(-limit, limit)
    return estimate


def where_heard(mixture: Tensor) -> Tensor:
    """1 within REACH_SAMPLES of anything in b c t, else 0: b 1 t. The biases of a network must not sound in silence."""
    sounding = reduce((mixture != 0).float(), "b c t -> b 1 t", "max")
    return F.max_pool1d(sounding, 2 * REACH_SAMPLES + 1, stride=1, padding=REACH_SAMPLES)


def with_complement(estimate: Tensor, mixture: Tensor, network: ColdNetwork) -> Tensor:
    """b (k c) t -> b s c t: the targets, and what a single one leaves of the mixture."""
    if len(network.model.targets) == 1:
        return torch.stack([estimate, mixture - estimate], dim=1)
    return rearrange(estimate, "b (k c) t -> b k c t", k=len(network.model.targets))


def last(estimates: Iterator[Tensor]) -> Tensor:
    """What an iterator yields in the end."""
    [found] = deque(estimates, maxlen=1)
    return found
