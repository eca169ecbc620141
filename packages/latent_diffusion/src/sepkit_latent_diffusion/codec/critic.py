"""The optional adversary of codec training: EnCodec's multi-scale STFT critic, and both sides' losses."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from sepkit.config import Frozen
from sepkit.training.draws import mean_over_batch


class CriticConfig(Frozen):
    """Weights of what the codec hears from the critic, and the critic's size; both weights 0: there is no critic."""

    adversarial: float = Field(default=0.0, ge=0)
    matching: float = Field(default=0.0, ge=0)  # of the critic's inner features
    filters: int = Field(default=8, ge=1)
    sizes: tuple[int, ...] = Field(default=(1024, 2048, 512), min_length=1)

    @property
    def used(self) -> bool:
        """Whether there is a critic."""
        return self.adversarial > 0 or self.matching > 0


class Verdict(NamedTuple):
    """Scalars: what the codec is to lower, twice, and what the critic is to lower."""

    adversarial: Tensor
    matching: Tensor
    critic: Tensor


def new_critic(config: CriticConfig, audio_channels: int, seed: int) -> nn.Module:
    """The critic of the package `encodec` at the configured size, its weights drawn from `seed`."""
    # loaded here: it brings torchaudio
    from encodec.msstftd import MultiScaleSTFTDiscriminator

    sizes = list(config.sizes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        critic: nn.Module = MultiScaleSTFTDiscriminator(
            config.filters,
            in_channels=audio_channels,
            n_ffts=sizes,
            win_lengths=sizes,
            hop_lengths=[size // 4 for size in sizes],
        )
    return critic


def verdict(critic: nn.Module, x: Tensor, y: Tensor) -> Verdict:
    """What the critic makes of sounds x and decoded ones y, b c t: hinge losses, and the distance of inner features.

    The codec's two have gradients to y alone, the critic's to the critic alone, so that their sum can be lowered in one
    step: each side then follows only its own.
    """
    fixed = {name: parameter.detach() for name, parameter in critic.named_parameters()}
    seen, features = functional_call(critic, fixed, (y,))
    real, wanted = critic(x)
    fake, _ = critic(y.detach())
    matching = [
        F.l1_loss(found, true.detach()) / mean_over_batch(true.detach().abs().mean()).clamp(min=1e-6)
        for one, other in zip(features, wanted, strict=True)
        for found, true in zip(one, other, strict=True)
    ]
    hinge = [F.relu(1 - a).mean() + F.relu(1 + b).mean() for a, b in zip(real, fake, strict=True)]
    return Verdict(_mean([F.relu(1 - score).mean() for score in seen]), _mean(matching), _mean(hinge))


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
