"""The waveform as its own latent: what MSDM diffuses."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..config import Frozen
from .protocol import check_latent, check_sound


class Waveform(Frozen):
    """The identity: a frame is a sample, the features are the channels."""

    name: Literal["waveform"] = "waveform"
    sample_rate: int = Field(gt=0)  # Hz
    audio_channels: int = Field(default=1, ge=1)

    @property
    def hop_samples(self) -> int:
        """1."""
        return 1

    @property
    def features(self) -> int:
        """As many as channels."""
        return self.audio_channels

    @property
    def additive(self) -> bool:
        """True."""
        return True

    @property
    def frame_rate(self) -> float:
        """The sample rate."""
        return float(self.sample_rate)

    @property
    def origin(self) -> Tensor:
        """Zeros, d 1."""
        return torch.zeros(self.features, 1)

    def encode(self, x: Tensor, /) -> Tensor:
        """`x` itself: b c t -> b d n; raises AudioError for another number of channels."""
        check_sound(x, self, self.name)
        return x

    def decode(self, z: Tensor, length_samples: int, /) -> Tensor:
        """`z` itself: b d n -> b c t; raises AudioError where its length is not `length_samples`."""
        check_latent(z, length_samples, self, self.name)
        return z

    def frames(self, length_samples: int, /) -> int:
        """`length_samples`."""
        return length_samples
