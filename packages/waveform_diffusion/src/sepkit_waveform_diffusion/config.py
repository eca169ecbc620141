"""Settings of cold diffusion: the schedule, the two backbones, and which stems a network restores."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sepkit.config import Frozen


class Betas(Frozen):
    """A linear schedule of T = `count` steps; one step is the direct estimate, from the mixture itself.

    With one step the published formula would leave the state almost clean (beta_1 = 1e-4) and so be of no use;
    alpha_bar is 0 there instead: the state is the mixture, and the stem is the mixture less the network's output.
    `cold.schedule_of` makes of it a schedule of the diffusion core.
    """

    start: float = Field(default=1e-4, gt=0, lt=1)
    end: float = Field(default=0.2, gt=0, lt=1)
    count: int = Field(default=20, ge=1)

    @property
    def betas(self) -> NDArray[np.float64]:
        """beta_1 ... beta_T, rounded to float32 as the reference does: (T)."""
        rounded = np.linspace(self.start, self.end, self.count, dtype=np.float32)
        return rounded.astype(np.float64)

    @property
    def alpha_bars(self) -> NDArray[np.float64]:
        """alpha_bar_1 ... alpha_bar_T, falling: (T)."""
        return np.zeros(1) if self.count == 1 else np.cumprod(1.0 - self.betas, dtype=np.float64)


# The schedules of the paper by its names; beta_100 there is described as the others "adjusted", so both readings.
SCHEDULES = {
    "beta_1": Betas(count=1),
    "beta_8": Betas(end=0.5, count=8),
    "beta_20": Betas(end=0.2, count=20),
    "beta_100": Betas(end=0.2, count=100),
    "beta_100_low": Betas(end=0.02, count=100),
}


class WaveNetConfig(Frozen):
    """The published DiffWave: dilations 1, 2, 4, ... in cycles, not causal; widths in channels."""

    kind: Literal["wavenet"] = "wavenet"
    channels: int = Field(default=64, ge=1)
    num_layers: int = Field(default=30, ge=1)
    num_cycles: int = Field(default=3, ge=1)
    embedding_size: int = Field(default=128, ge=4)  # sines and cosines of the step
    embedding_proj: int = Field(default=512, ge=1)

    @model_validator(mode="after")
    def _whole_cycles(self) -> WaveNetConfig:
        if self.num_layers % self.num_cycles or self.embedding_size % 2:
            raise ValueError("num_layers must be a multiple of num_cycles, and embedding_size even")
        return self

    @property
    def context_samples(self) -> int:
        """Samples on either side that an output sample depends on."""
        return self.num_cycles * (2 ** (self.num_layers // self.num_cycles) - 1)


class UNetConfig(Frozen):
    """A U-Net over the spectrogram of the state that says which part of every bin is perturbation."""

    kind: Literal["unet"] = "unet"
    n_fft: int = Field(default=2048, ge=16)
    hop_samples: int = Field(default=512, ge=4)
    widths: tuple[int, ...] = Field(default=(8, 16, 32, 64), min_length=2)  # channels at each level
    squeeze: int = Field(default=8, ge=1)  # width of the dense layers over frequency: bins / squeeze
    embedding_size: int = Field(default=64, ge=4)

    @property
    def frequencies(self) -> int:
        """Bins that the network sees; the one at Nyquist takes the value of its neighbour."""
        return self.n_fft // 2

    @property
    def context_samples(self) -> int:
        """Samples on either side that the network may use: where windows are cross-faded."""
        return 8 * self.hop_samples + self.n_fft // 2

    @model_validator(mode="after")
    def _divisible(self) -> UNetConfig:
        if self.n_fft % 2 ** (len(self.widths) + 1):
            raise ValueError(f"n_fft must be a multiple of {2 ** (len(self.widths) + 1)} for {len(self.widths)} levels")
        return self


Backbone = Annotated[WaveNetConfig | UNetConfig, Field(discriminator="kind")]


class ColdModel(Frozen):
    """One network: which stems it restores, from what state, by which schedule.

    With several `targets` the state holds all of them at once, each perturbed by the mixture. `audio_channels` are
    processed jointly; a mono network serves a stereo file channel by channel. `predicts`: `complement` is everything
    in the mixture but the target (the paper's choice), `mixture` the perturbation itself. `conditioned` lets the
    network see the mixture beside the state.
    """

    targets: tuple[str, ...] = Field(default=("vocals",), min_length=1)
    sample_rate: int = Field(default=22_050, gt=0)  # Hz
    audio_channels: int = Field(default=1, ge=1)
    backbone: Backbone = WaveNetConfig()
    betas: Betas = SCHEDULES["beta_20"]
    predicts: Literal["complement", "mixture"] = "complement"
    conditioned: bool = False

    @property
    def state_channels(self) -> int:
        return len(self.targets) * self.audio_channels

    @model_validator(mode="after")
    def _direct_needs_complement(self) -> ColdModel:
        if self.betas.count == 1 and self.predicts == "mixture":
            raise ValueError("with one step the mixture is what the network is given: predict the complement")
        if len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets name a stem twice: {', '.join(self.targets)}")
        return self


class ColdConfig(Frozen):
    """What a checkpoint holds: the network that separates, and perhaps one for the accompaniment.

    `window_seconds` are cut for one pass; neighbouring windows overlap by half, as published, or less.
    """

    models: tuple[ColdModel, ...] = Field(min_length=1)
    window_seconds: float = Field(default=20.0, gt=0)

    @model_validator(mode="after")
    def _one_format(self) -> ColdConfig:
        if len({(model.sample_rate, model.audio_channels) for model in self.models}) > 1:
            raise ValueError("all models of a checkpoint must share sample_rate and audio_channels")
        return self

    @property
    def main(self) -> ColdModel:
        return self.models[0]

    @property
    def stems(self) -> tuple[str, ...]:
        """What comes out: the targets, and for a single one its complement."""
        targets = self.main.targets
        return targets if len(targets) > 1 else (targets[0], complement_of(targets[0]))


def complement_of(stem: str) -> str:
    """The name of everything but `stem`."""
    known = {"vocals": "accompaniment", "accompaniment": "vocals"}
    return known.get(stem, f"no_{stem}")
