"""The training loss: the velocity's error, and what the conditioner alone knows of the target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange, reduce
from pydantic import Field
from torch import Tensor, nn

from sepkit.config import Frozen
from sepkit.diffusion import diffusion_loss
from sepkit.errors import OptionError
from sepkit.training.draws import batch_draws

from .conditioner import Condition
from .config import ConditionalConfig
from .lapped import to_frames
from .sampling import OBJECTIVE, SCHEDULE, level_gain

Batch = dict[str, Tensor]
"""`stems` b s c t waveforms, whose sum is the mixture."""


class LossWeights(Frozen):
    """L = diffusion · L_diff + latent · L_lat + decoded · L_rec; the paper does not give weights: 1 each is ours."""

    diffusion: float = Field(default=1.0, ge=0)
    latent: float = Field(default=1.0, ge=0)
    decoded: float = Field(default=1.0, ge=0)


class ConditionalLoss:
    """Loss over t ~ U(0, 1) and Gaussian noise, both drawn by `batch_draws`.

    L_lat and L_rec are squared errors between the target and a 1x1 head on the conditioner's bottleneck (folded in time
    to the target's rate) and on its decoder's output, in the frames that the networks work on.
    """

    def __init__(self, config: ConditionalConfig, weights: LossWeights, stems: Sequence[str]):
        missing = [target for target in config.targets if target not in stems and target != "accompaniment"]
        if missing:
            raise OptionError(f"the target {missing[0]!r} is none of the training stems: {', '.join(stems)}.")
        self.config, self.weights, self.stems = config, weights, tuple(stems)

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            mixture, signal = self.mixture_and_signal(batch["stems"])
            gain = level_gain(mixture, self.config)
            mixture, signal = gain * mixture, gain[:, None] * signal
            draws = batch_draws(len(signal))
            generator = draws.generator()
            noise = draws.normal(signal.shape, generator).to(signal)
        conditions: list[Condition] = []

        def run(state: Tensor, t: Tensor) -> Tensor:
            velocity, condition = network(state, t.to(state.dtype), mixture)
            conditions.append(condition)
            return velocity

        total = self.weights.diffusion * diffusion_loss(
            run, OBJECTIVE, draws.random(SCHEDULE), signal, noise, generator
        )
        wanted = to_frames(rearrange(signal, "b s c t -> b (s c) t"), self.config.bands, self.config.ratio)
        for weight, found in (
            (self.weights.latent, conditions[0].latent),
            (self.weights.decoded, conditions[0].decoded),
        ):
            total = total + weight * (found - wanted).square().mean()
        return total

    def mixture_and_signal(self, stems: Tensor) -> tuple[Tensor, Tensor]:
        """b s c t -> the mixture b c t and the targets b k c t, `accompaniment` being all but the vocals."""
        mixture = reduce(stems, "b s c t -> b c t", "sum")
        found = [
            stems[:, self.stems.index(target)]
            if target in self.stems
            else mixture - stems[:, self.stems.index("vocals")]
            for target in self.config.targets
        ]
        return mixture, torch.stack(found, dim=1)
