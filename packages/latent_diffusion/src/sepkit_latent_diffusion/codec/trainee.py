"""What codec training runs: a codec, perhaps with a critic beside it, the sounds that it hears, and its loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from sepkit.codecs import Codec, bound_to

from ..items import CropItems, Item
from .critic import CriticConfig, Verdict, new_critic, verdict
from .spectral_loss import SpectralLossConfig, distances

SILENCE_RMS = 1e-6
KINDS = 3


class Trainee(nn.Module):
    """A codec and its critic as one network: sound b c t -> decoded b c t, and the verdict of a critic, if any."""

    def __init__(self, codec: Codec, config: CriticConfig, seed: int):
        super().__init__()
        assert isinstance(codec, nn.Module)
        self.codec, self.config, self.seed = codec, config, seed
        self.critic = new_critic(config, codec.audio_channels, seed) if config.used else None

    def __deepcopy__(self, memo: dict[int, Any]) -> Trainee:
        """A twin built anew, for PyTorch cannot copy the normalised weights of EnCodec's class."""
        kind, own = type(self.codec), next(self.parameters())
        twin = Trainee(kind(self.codec.settings), self.config, self.seed)
        twin.load_state_dict(self.state_dict())
        memo[id(self)] = twin.to(own.device, own.dtype).train(self.training)
        return twin

    def forward(self, x: Tensor) -> tuple[Tensor, Verdict | None]:
        y = round_trip(self.codec, x)
        return y, None if self.critic is None else verdict(self.critic, x, y)


class SoundItems(Dataset[dict[str, Tensor]]):
    """Single sounds out of pairs, at the level that they have in a mixture of RMS 1: `sound` c t.

    Item i is the mixture, a target, or what the targets leave, in turn, for the codec must tell all of them.
    """

    def __init__(self, items: CropItems):
        self.items = items
        self._last: tuple[int, Item] | None = None  # neighbours are of one item

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        place = index // KINDS
        if self._last is None or self._last[0] != place:
            self._last = place, self.items[place]
        item = self._last[1]
        mixture, targets = item["mixture"], item["targets"]
        choices = (mixture, targets[place % len(targets)], mixture - targets.sum(dim=0))
        rms = mixture.square().mean().sqrt()
        return {"sound": choices[index % KINDS] / rms.clamp(min=SILENCE_RMS)}


class CodecLoss:
    """The error in samples and in spectrograms, and the critic's part."""

    def __init__(self, spectral: SpectralLossConfig, critic: CriticConfig):
        self.spectral, self.critic = spectral, critic

    def __call__(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        x = batch["sound"]
        y, heard = network(x)
        total = distances(x, y, self.spectral.sizes).total(self.spectral).mean()
        if heard is not None:
            total = total + self.critic.adversarial * heard.adversarial + self.critic.matching * heard.matching
            total = total + heard.critic
        return total


def round_trip(codec: Codec, x: Tensor) -> Tensor:
    """Encode and decode, b c t, with gradients."""
    bound = bound_to(codec, x)
    return bound.decode(bound.encode(x), x.shape[-1])


def frozen_trip(codec: Codec, x: Tensor) -> Tensor:
    """Encode and decode, b c t, without gradients."""
    with torch.no_grad():
        return round_trip(codec, x)
