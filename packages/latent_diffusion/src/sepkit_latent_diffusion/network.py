"""Conditioner and generator as one network on latents: how the output becomes a velocity, and in which units."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from .conditioner import Condition, Conditioner
from .config import LatentConfig
from .generator import Generator

FIRST_ERROR = 0.5
"""How far the guess is taken to be off before anything was learned, in the latents' unit."""


class LatentNetwork(nn.Module):
    """States b s d n, their level's t (b) and mixtures b d n -> velocities b s d n, and the `Condition` used.

    Latents are centred on silence and divided by `scale`, the usual size of each feature; `importance` is how much a
    feature is heard, for the loss. Both are measured before training and kept with the weights.

    A state is x = alpha z + sigma noise. If the latent z lies about the guess q with a standard deviation e (learned,
    one for each feature), the best linear estimate of the velocity is

        v = (alpha sigma (1 - e²) x - sigma q) / (alpha² e² + sigma²),

    and what it is off by has the size e / sqrt(alpha² e² + sigma²). The generator's output, multiplied by that, is
    added. So at t = 1, where the state knows nothing, z = q, and an untrained generator does no harm. Without a guess
    q = 0 and e = 1: the output is the velocity, as published.
    """

    def __init__(self, config: LatentConfig, features: int):
        super().__init__()
        self.config, self.features = config, features
        self.conditioner = Conditioner(config, features)
        self.generator = Generator(config, features)
        states = features * len(config.targets)
        guessing = config.conditioner.guess
        self.log_error = nn.Parameter(torch.full((states, 1), math.log(FIRST_ERROR))) if guessing else None
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("importance", torch.ones(features))
        self.scale: Tensor
        self.importance: Tensor

    def forward(
        self, state: Tensor, t: Tensor, mixture: Tensor, hide: Tensor | None = None
    ) -> tuple[Tensor, Condition]:
        condition = self.conditioner(mixture, hide)
        return self.velocity(state, t, condition), condition

    def condition(self, mixture: Tensor, *, hidden: bool = False) -> Condition:
        """What the generator is told about mixtures b d n, the same for every step; `hidden`: that it is not told."""
        hide = torch.ones(len(mixture), dtype=torch.bool, device=mixture.device) if hidden else None
        found: Condition = self.conditioner(mixture, hide)
        return found

    def velocity(self, state: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """States b s d n -> velocities b s d n, on the half circle alpha = cos(pi t / 2), sigma = sin(pi t / 2)."""
        x = rearrange(state, "b s d n -> b (s d) n")
        found = self.generator(x, t, condition)
        if self.log_error is not None:
            angle = rearrange(t.double() * math.pi / 2, "b -> b 1 1")
            alpha, sigma = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
            power = (2 * self.log_error).exp()
            spread = alpha**2 * power + sigma**2
            # the guess has its own loss: through here it would also learn to make the noise easy
            straight = (alpha * sigma * (1 - power) * x - sigma * condition.guess.detach()) / spread
            found = straight + (power / spread).sqrt() * found
        return rearrange(found, "b (s d) n -> b s d n", s=state.shape[1])

    def in_units(self, latent: Tensor) -> Tensor:
        """Centred latents ... d n divided by the features' usual sizes."""
        return latent / self.scale[:, None]

    def from_units(self, latent: Tensor) -> Tensor:
        """The inverse of `in_units`."""
        return latent * self.scale[:, None]


def new_network(config: LatentConfig, features: int, seed: int) -> LatentNetwork:
    """A network with random weights drawn from `seed`; the global random state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LatentNetwork(config, features)
