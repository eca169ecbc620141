"""Settings of the package's own codec."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sepkit.config import Frozen

Bands = Annotated[int, Field(ge=1)]


class LappedAutoencoderSettings(Frozen):
    """A lapped transform, a linear encoder of its frames, and a network that decodes them.

    `kept` is how many numbers a frame has for each channel of the transform: for mono sound, or for mid and side of
    stereo. They begin as the lowest bands. `weights` is "random" (drawn from `seed`: to train from) or the path of a
    safetensors file.
    """

    name: Literal["lapped_autoencoder"] = "lapped_autoencoder"
    weights: str
    seed: int = Field(default=0, ge=0)
    sample_rate: int = Field(gt=0)  # Hz
    audio_channels: int = Field(default=2, ge=1, le=2)
    hop_samples: int = Field(default=512, ge=4, multiple_of=2)
    kept: tuple[Bands, ...] = (256, 128)
    width: int = Field(default=192, ge=1)  # of the decoder's network
    layers: int = Field(default=2, ge=1)  # residual blocks in it
    compression: float = Field(default=0.3, gt=0, le=1)  # exponent on the size of what that network is shown

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(self.kept) != self.audio_channels:
            raise ValueError(f"kept has {len(self.kept)} numbers for {self.audio_channels} channels; give one for each")
        if max(self.kept) > self.hop_samples:
            raise ValueError(f"kept is {self.kept}, and a channel has only {self.hop_samples} bands")
        return self
