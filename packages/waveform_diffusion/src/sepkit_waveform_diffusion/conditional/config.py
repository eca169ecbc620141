"""Settings of mixture-conditioned diffusion: the two networks, the signal they work on, and what comes out."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from sepkit.config import Frozen

from ..config import complement_of


class AttentionConfig(Frozen):
    """Self-attention over time, where a level has it."""

    heads: int = Field(default=4, ge=1)
    head_features: int = Field(default=64, ge=2, multiple_of=2)


class GeneratorConfig(Frozen):
    """The U-Net that estimates the velocity; `blocks` are residual blocks per level and direction."""

    entry_width: int = Field(default=32, ge=1)
    widths: tuple[int, ...] = (32, 64, 128, 128, 256, 256, 512)
    blocks: tuple[int, ...] = (1, 1, 1, 2, 2, 2, 2)
    attention: AttentionConfig = AttentionConfig(head_features=32)
    fourier_features: int = Field(default=1024, ge=2, multiple_of=2)  # of the level's t, with learned frequencies
    time_features: int = Field(default=128, ge=2)
    groups: int = Field(default=8, ge=1)  # of the norms


class ConditionerConfig(Frozen):
    """The autoencoder that looks at the mixture; `layers` are those of the transformer at its bottleneck.

    Without `attention` there is neither attention nor transformer.
    """

    entry_width: int = Field(default=128, ge=1)
    widths: tuple[int, ...] = (128, 256, 512, 512, 1024, 1024, 2048)
    attention: AttentionConfig | None = AttentionConfig(heads=2)
    layers: int = Field(default=6, ge=0)
    transformer_width: int = Field(default=512, ge=2)
    groups: int = Field(default=8, ge=1)


class ConditionalConfig(Frozen):
    """What a checkpoint holds. The defaults are the paper's network.

    `factors` shorten time level by level; the `deepest` levels have attention and conditioning. `bands`: None, the
    networks see the waveform; else its lapped transform of so many bands, which keeps white noise white. `gated`: the
    output may hold the mixture and the state, weighed number by number. `compression` (exponent) evens out what is
    shown of the mixture. `level`: `mixture` brings every window to an RMS of 1, `none` leaves it as it is.
    """

    targets: tuple[str, ...] = Field(default=("vocals",), min_length=1)
    sample_rate: int = Field(default=44_100, gt=0)  # Hz
    audio_channels: int = Field(default=2, ge=1)
    factors: tuple[int, ...] = Field(default=(1, 2, 4, 1, 4, 1, 4), min_length=1)
    deepest: int = Field(default=4, ge=1)
    generator: GeneratorConfig = GeneratorConfig()
    conditioner: ConditionerConfig = ConditionerConfig()
    bands: int | None = Field(default=None, ge=2)
    gated: bool = False
    compression: float = Field(default=1.0, gt=0, le=1)
    level: Literal["none", "mixture"] = "none"
    window_seconds: float = Field(default=3.0, gt=0)
    overlap: float = Field(default=0.2, ge=0, lt=1)  # of the window

    @model_validator(mode="after")
    def _fitting(self) -> ConditionalConfig:
        levels = len(self.factors)
        for name, values in (
            ("generator.widths", self.generator.widths),
            ("generator.blocks", self.generator.blocks),
            ("conditioner.widths", self.conditioner.widths),
        ):
            if len(values) != levels:
                raise ValueError(f"{name} has {len(values)} levels and factors {levels}; give as many of both")
        if self.deepest > levels:
            raise ValueError(f"deepest is {self.deepest}, of {levels} levels")
        for part in (self.generator, self.conditioner):
            uneven = [width for width in (part.entry_width, *part.widths) if width % part.groups]
            if uneven:
                raise ValueError(f"the width {uneven[0]} is no multiple of groups, {part.groups}")
        if self.conditioner.attention and self.conditioner.transformer_width % (2 * self.conditioner.attention.heads):
            raise ValueError("transformer_width must be a multiple of twice the conditioner's heads")
        if len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets name a stem twice: {', '.join(self.targets)}")
        return self

    @property
    def stems(self) -> tuple[str, ...]:
        """What comes out: the targets, and for a single one its complement."""
        return self.targets if len(self.targets) > 1 else (self.targets[0], complement_of(self.targets[0]))

    @property
    def ratio(self) -> int:
        """Frames that are one at the bottleneck."""
        return math.prod(self.factors)

    @property
    def mixture_features(self) -> int:
        """Numbers that a frame of the mixture has."""
        return self.audio_channels * (self.bands or 1)

    @property
    def state_features(self) -> int:
        """Numbers that a frame of the state has."""
        return len(self.targets) * self.mixture_features

    def deep(self, level: int) -> bool:
        """Whether a level (0: the longest) has attention and conditioning."""
        return level >= len(self.factors) - self.deepest
