"""The training loss: the velocity's error in latents, and the guess's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange, reduce
from pydantic import Field
from torch import Generator, Tensor, nn

from sepkit.codecs import Codec, bound_to, recentred
from sepkit.config import Frozen
from sepkit.diffusion import diffusion_loss
from sepkit.training.draws import Draws, batch_draws

from .conditioner import Condition
from .network import LatentNetwork
from .sampling import OBJECTIVE, SCHEDULE, SILENCE_RMS, level_gain, padded

Batch = dict[str, Tensor]
"""`mixture` b c t and `targets` b k c t; or, of cached latents, `latents` b (1+k) d n and `power` b n."""


class LossConfig(Frozen):
    """Weights of the parts. `emphasis`: features count by how much they are heard to this power; 0: all alike."""

    diffusion: float = Field(default=1.0, ge=0)
    guess: float = Field(default=1.0, ge=0)
    emphasis: float = Field(default=0.5, ge=0, le=1)


class Latents(NamedTuple):
    """Centred latents in the codec's unit: `mixture` b d n and `targets` b k d n."""

    mixture: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Encoding:
    """How training sounds become latents: as the separator does it, at the same level."""

    codec: Codec
    level_rms: float | None

    @torch.no_grad()
    def of(self, batch: Batch) -> Latents:
        """Latents of a batch of either kind."""
        return self._cached(batch) if "latents" in batch else self._encoded(batch["mixture"], batch["targets"])

    def _encoded(self, mixture: Tensor, targets: Tensor) -> Latents:
        gain = level_gain(mixture, self.level_rms)
        mixture, targets = gain * mixture, gain[:, None] * targets
        bound = recentred(bound_to(self.codec, mixture))
        found = bound.encode(rearrange(targets, "b k c t -> (b k) c t"))
        return Latents(bound.encode(mixture), rearrange(found, "(b k) d n -> b k d n", b=len(mixture)))

    def _cached(self, batch: Batch) -> Latents:
        """Cached at the level of their song; latents that scale as the sound does are brought to the window's."""
        latents = batch["latents"].float()
        if self.codec.additive and self.level_rms is not None:
            rms = reduce(batch["power"], "b n -> b 1 1 1", "mean").sqrt()
            latents = latents * torch.where(rms > SILENCE_RMS, self.level_rms / rms.clamp(min=SILENCE_RMS), 0.0)
        return Latents(latents[:, 0], latents[:, 1:])


class LatentLoss:
    """Loss over t ~ U(0, 1) and Gaussian noise, both drawn by `batch_draws`.

    Errors are squared, of latents in the network's unit, weighed feature by feature.
    """

    def __init__(self, encoding: Encoding, config: LossConfig):
        self.encoding, self.config = encoding, config

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(network, LatentNetwork)
        draws = batch_draws(len(next(iter(batch.values()))))
        generator = draws.generator()
        with torch.no_grad():
            latents = self.encoding.of(batch)
            ratio = network.config.ratio
            mixture = padded(network.in_units(latents.mixture), ratio)
            signal = padded(network.in_units(latents.targets), ratio)
            noise = draws.normal(signal.shape, generator).to(signal)
            hide = self._hidden(network, draws, generator)
            weight = network.importance.pow(self.config.emphasis)
            weight = rearrange(weight / weight.mean(), "d -> d 1")
        conditions: list[Condition] = []

        def run(state: Tensor, t: Tensor) -> Tensor:
            velocity, condition = network(state, t.to(state.dtype), mixture, hide)
            conditions.append(condition)
            return velocity

        total = self.config.diffusion * diffusion_loss(
            run, OBJECTIVE, draws.random(SCHEDULE), signal, noise, generator, weight=lambda _: weight
        )
        if network.config.conditioner.guess:
            wanted = rearrange(signal, "b k d n -> b (k d) n")
            weights = weight.repeat(signal.shape[1], 1)
            total = total + self.config.guess * (weights * (conditions[0].guess - wanted).square()).mean()
        return total

    def _hidden(self, network: LatentNetwork, draws: Draws, generator: Generator) -> Tensor | None:
        """Which examples hide their mixture, b; None for a network that never does."""
        if not network.config.guided:
            return None
        device = network.scale.device
        chance = draws.uniform((draws.count,), generator=generator)
        return (chance < network.config.condition_dropout).to(device)
