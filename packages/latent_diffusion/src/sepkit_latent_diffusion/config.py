"""Settings of latent diffusion: the codec, the networks in its latents, the signal's level, and what comes out."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from sepkit.codecs import CodecSettings
from sepkit.config import Frozen

OWN_CODEC = CodecSettings(name="lapped_autoencoder", settings={"sample_rate": 22_050})


class AttentionConfig(Frozen):
    """Self-attention over frames."""

    heads: int = Field(default=4, ge=1)
    head_features: int = Field(default=32, ge=1)


class GeneratorConfig(Frozen):
    """The U-Net that estimates the velocity; `blocks` are residual blocks per level and direction."""

    widths: tuple[int, ...] = Field(default=(160, 192, 192), min_length=1)
    factors: tuple[int, ...] = Field(default=(1, 2, 2), min_length=1)
    blocks: tuple[int, ...] = (1, 1, 1)
    attended: int = Field(default=1, ge=0)  # so many of the deepest levels have attention
    attention: AttentionConfig = AttentionConfig()
    fourier_features: int = Field(default=256, ge=2, multiple_of=2)  # of the level's t, with learned frequencies
    time_features: int = Field(default=128, ge=2)
    groups: int = Field(default=8, ge=1)  # of the norms

    @model_validator(mode="after")
    def _fitting(self) -> GeneratorConfig:
        if not len(self.widths) == len(self.factors) == len(self.blocks):
            raise ValueError("widths, factors and blocks need one number for each level")
        uneven = [width for width in self.widths if width % self.groups]
        if uneven:
            raise ValueError(f"the width {uneven[0]} is no multiple of groups, {self.groups}")
        if self.attended > len(self.widths):
            raise ValueError(f"attended is {self.attended}, of {len(self.widths)} levels")
        return self


class ConditionerConfig(Frozen):
    """The network that looks at the mixture's latent, once for all steps; `dilations` has one block each.

    `guess`: it also estimates the targets by itself, and the diffusion begins from there. `compression` (exponent)
    evens out what it is shown.
    """

    width: int = Field(default=224, ge=1)
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    kernel: int = Field(default=3, ge=1)
    groups: int = Field(default=8, ge=1)
    guess: bool = True
    compression: float = Field(default=0.3, gt=0, le=1)

    @model_validator(mode="after")
    def _fitting(self) -> ConditionerConfig:
        if self.width % self.groups or self.kernel % 2 == 0:
            raise ValueError(f"width ({self.width}) must be a multiple of groups ({self.groups}), and kernel odd")
        return self


class LatentConfig(Frozen):
    """What a checkpoint holds.

    `level_rms`: windows of a mixture are brought to this RMS and back; None leaves them as they are.
    `condition_dropout`: the chance, in training, that the mixture is hidden, without which there can be no guidance.
    """

    targets: tuple[str, ...] = Field(default=("vocals",), min_length=1)
    codec: CodecSettings = OWN_CODEC
    generator: GeneratorConfig = GeneratorConfig()
    conditioner: ConditionerConfig = ConditionerConfig()
    level_rms: float | None = Field(default=1.0, gt=0)
    condition_dropout: float = Field(default=0.0, ge=0, lt=1)
    window_seconds: float = Field(default=6.0, gt=0)
    overlap: float = Field(default=0.2, ge=0, lt=1)  # of the window

    @model_validator(mode="after")
    def _different(self) -> LatentConfig:
        if len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets name a stem twice: {', '.join(self.targets)}")
        return self

    @property
    def stems(self) -> tuple[str, ...]:
        """What comes out: the targets, and for a single one its complement."""
        return self.targets if len(self.targets) > 1 else (self.targets[0], complement_of(self.targets[0]))

    @property
    def ratio(self) -> int:
        """Latent frames that are one at the U-Net's bottom."""
        return math.prod(self.generator.factors)

    @property
    def guided(self) -> bool:
        """Whether the network knows what a hidden mixture is."""
        return self.condition_dropout > 0


def complement_of(target: str) -> str:
    """The name of what the mixture holds besides: accompaniment for vocals, no_drums for drums."""
    return {"vocals": "accompaniment", "accompaniment": "vocals"}.get(target, f"no_{target}")
