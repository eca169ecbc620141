"""Settings of a multi-source prior: the stems, the latent they live in, and the network that denoises it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sepkit.codecs import CodecSettings
from sepkit.config import Frozen
from sepkit.diffusion import Edm, Karras

from .error_variances import ErrorVariance

BAND = ("bass", "drums", "guitar", "piano")
"""The stems of the published models, in their order."""


class BandUNetConfig(Frozen):
    """A U-Net over bands and frames whose blocks have dense layers over the bands; `widths` are channels by level.

    `patch` neighbouring bands are taken together at its entrance.
    """

    kind: Literal["bands"] = "bands"
    widths: tuple[int, ...] = Field(default=(8, 16, 32, 64), min_length=2)
    patch: int = Field(default=2, ge=2, multiple_of=2)
    squeeze: int = Field(default=8, ge=1)  # width of the dense layers: bands / squeeze
    embedding_size: int = Field(default=64, ge=4, multiple_of=2)  # of sigma

    @property
    def frames_multiple(self) -> int:
        return int(2 ** (len(self.widths) - 2))


class AdpConfig(Frozen):
    """The U-Net of audio-diffusion-pytorch 0.1 (UNetV0), over frames (`dim` 1) or over bands and frames (2).

    With `dim` 1 stems and bands are channels, with 2 the stems alone. `items` are blocks per level and direction.
    """

    kind: Literal["adp"] = "adp"
    dim: Literal[1, 2] = 1
    channels: tuple[int, ...] = Field(min_length=1)
    factors: tuple[int, ...] = Field(min_length=1)
    items: tuple[int, ...] = Field(min_length=1)
    attentions: tuple[int, ...] | None = None  # per item of a level
    attention_heads: int = Field(default=8, ge=1)
    attention_features: int = Field(default=64, ge=1)
    resnet_groups: int = Field(default=8, ge=1)
    modulation_features: int = Field(default=1024, ge=2, multiple_of=2)

    @property
    def frames_multiple(self) -> int:
        return math.prod(self.factors)

    @model_validator(mode="after")
    def _levels(self) -> AdpConfig:
        given = {"factors": self.factors, "items": self.items, "attentions": self.attentions}
        for name, values in given.items():
            if values is not None and len(values) != len(self.channels):
                raise ValueError(f"{name} has {len(values)} levels and channels {len(self.channels)}; give as many")
        uneven = [width for width in self.channels if width % self.resnet_groups]
        if uneven:
            raise ValueError(f"the width {uneven[0]} is no multiple of resnet_groups, {self.resnet_groups}")
        return self


class LegacyConfig(Frozen):
    """The U-Net of audio-diffusion-pytorch 0.0.43, which published checkpoints are of; the defaults are theirs."""

    kind: Literal["legacy"] = "legacy"
    channels: int = Field(default=256, ge=2, multiple_of=2)
    patch_blocks: int = Field(default=1, ge=1)
    patch_factor: int = Field(default=16, ge=1)
    multipliers: tuple[int, ...] = Field(default=(1, 2, 4, 4, 4, 4, 4), min_length=2)
    factors: tuple[int, ...] = (4, 4, 4, 2, 2, 2)
    num_blocks: tuple[int, ...] = (2, 2, 2, 2, 2, 2)
    attentions: tuple[bool, ...] = (False, False, False, True, True, True)
    attention_heads: int = Field(default=8, ge=1)
    attention_features: int = Field(default=128, ge=1)
    attention_multiplier: int = Field(default=2, ge=1)
    attention_bottleneck: bool = True
    resnet_groups: int = Field(default=8, ge=1)
    kernel_multiplier_downsample: int = Field(default=2, ge=2, multiple_of=2)
    nearest_upsample: bool = False
    skip_scale: bool = True

    @property
    def frames_multiple(self) -> int:
        return self.patch_factor**self.patch_blocks * math.prod(self.factors)

    @model_validator(mode="after")
    def _levels(self) -> LegacyConfig:
        levels = len(self.multipliers) - 1
        for name in ("factors", "num_blocks", "attentions"):
            if len(getattr(self, name)) != levels:
                raise ValueError(f"{name} has {len(getattr(self, name))} levels; multipliers leave room for {levels}")
        return self


Finish = Literal["sample", "mean", "means"]

Backbone = Annotated[BandUNetConfig | AdpConfig | LegacyConfig, Field(discriminator="kind")]


class MsdmConfig(Frozen):
    """What a checkpoint holds.

    A state is the recentred latents of all stems, b s d n, at sigma. `head`: with `edm` the network outputs what EDM
    asks for, a signed number for each coefficient; with `gain` it estimates the variance v of each coefficient, and
    the clean signal is v / (v + sigma²) of the state, so that it need not learn signs, which of a lapped transform are
    as good as random. `independent`: one network for each stem (ISDM) instead of one for all. `level_rms`: mixtures
    are brought to this RMS before anything else (None: taken as they are). `sees_sum` (head `gain`): the network is
    also shown the power of the sum of all stems' states, which it could not tell from the powers of each; where a
    sampler holds the stems to their mixture, that is the mixture in noise. `embedding_features`: size of an optional
    embedding that conditions the network. `separation` and `generation` are the sigmas to sample over, and `finish` is
    what `msdm_projected` ends with: a sample of the posterior, the mean under the variances of the last estimates, or
    that mean at every step (`means`), which is what training on states of a walk prepares a network for.
    """

    stems: tuple[str, ...] = Field(default=BAND, min_length=1)
    sample_rate: int = Field(default=22_050, gt=0)  # Hz
    codec: CodecSettings = CodecSettings(name="lapped", settings={"sample_rate": 22_050, "hop_samples": 512})
    latent_scales: tuple[float, ...] | None = None  # for a codec without its own: latents are divided by them
    network: Backbone = BandUNetConfig()
    head: Literal["edm", "gain"] = "gain"
    independent: bool = False
    sees_sum: bool = False
    sigma_data: float = Field(default=1.0, gt=0)
    clamp: float | None = Field(default=None, gt=0)  # of the clean estimate; the published models: 1
    level_rms: float | None = Field(default=0.1, gt=0)
    embedding_features: int | None = Field(default=None, ge=1)
    window_seconds: float = Field(default=12.0, gt=0)
    separation: Karras = Karras(sigma_min=0.01, sigma_max=10.0, rho=7.0)
    generation: Karras = Karras(sigma_min=0.01, sigma_max=20.0, rho=7.0)
    finish: Finish = "sample"
    calibration: ErrorVariance | None = None  # mean squared error of the estimates on validation songs

    @property
    def objective(self) -> Edm:
        """What the network's output means."""
        return Edm(sigma_data=self.sigma_data, clamp=self.clamp)

    @model_validator(mode="after")
    def _fitting(self) -> MsdmConfig:
        if len(set(self.stems)) != len(self.stems):
            raise ValueError(f"stems name one twice: {', '.join(self.stems)}")
        if self.sees_sum and (self.independent or self.head != "gain"):
            raise ValueError("sees_sum is for a head 'gain' that sees all stems: leave it, or independent, out")
        rate = self.codec.settings.get("sample_rate")
        if rate is not None and rate != self.sample_rate:
            raise ValueError(f"the codec works at {rate} Hz and the prior at {self.sample_rate} Hz; give one rate")
        if self.calibration is not None and len(self.calibration.values) != len(self.stems):
            raise ValueError(f"calibration is of {len(self.calibration.values)} stems, and there are {len(self.stems)}")
        return self
