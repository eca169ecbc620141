"""Settings of a LightSAFT or LaSAFT network: everything that its weights depend on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sepkit.config import Frozen


class LightSaftConfig(Frozen):
    """Architecture and audio format of one network. Defaults: the reference's `lightsaft_net` settings."""

    stems: tuple[str, ...] = ("vocals", "drums", "bass", "other")  # condition k asks for stem k
    sample_rate: int = Field(default=44_100, gt=0)  # Hz
    audio_channels: int = Field(default=2, ge=1)
    n_fft: int = Field(default=2048, ge=16)
    hop_samples: int = Field(default=1024, ge=1)
    window_frames: int = Field(default=128, ge=2)  # STFT frames per window, the reference's num_frame
    trim_samples: int = Field(default=5120, ge=0)  # dropped at each side of a window, where context is missing
    bins: int | None = None  # lowest STFT bins that the network sees, a multiple of 2**levels; None: n_fft // 2

    block: Literal["lightsaft", "lasaft"] = "lightsaft"
    blocks: int = Field(default=7, ge=3)  # encoders + middle + decoders, odd
    channels: int = Field(default=24, ge=1)  # C, internal channels
    tfc_layers: int = Field(default=5, ge=1)  # 3x3 convolutions per block
    latent_sources: int = Field(default=6, ge=1)  # L
    key_dim: int = Field(default=32, ge=1)  # d_k
    embedding_dim: int = Field(default=32, ge=1)  # E
    control_layers: int = Field(default=4, ge=2)  # widths E, 2E, 4E, ... of the modulation generator
    bottleneck_factor: int = Field(default=16, ge=1)
    bottleneck_min: int = Field(default=16, ge=1)
    time_levels: tuple[int, ...] | None = None  # encoders whose downsampling halves time too; None: all

    features: Literal["complex", "log_magnitude"] = "complex"
    output: Literal["mapping", "masking"] = "mapping"  # the stem's spectrogram itself, or a 0..1 gain on the mixture's

    @model_validator(mode="after")
    def _fits(self) -> LightSaftConfig:
        if self.blocks % 2 == 0:
            raise ValueError(
                f"blocks is {self.blocks}: it counts encoders, one middle block and as many decoders, so it is odd"
            )
        if self.frequencies % 2**self.levels:
            raise ValueError(
                f"{self.frequencies} bins cannot be halved {self.levels} times: use a multiple of {2**self.levels}"
            )
        if self.frequencies > self.n_fft // 2:
            raise ValueError(f"bins is {self.bins}, but n_fft {self.n_fft} has only {self.n_fft // 2} usable bins")
        if self.time_levels is not None and any(not 0 <= level < self.levels for level in self.time_levels):
            raise ValueError(f"time_levels {self.time_levels} must lie in 0..{self.levels - 1}")
        if self.output == "mapping" and (self.features != "complex" or self.bins is not None):
            raise ValueError(
                "output 'mapping' returns the spectrogram itself: it needs features 'complex' and bins None"
            )
        return self

    @property
    def levels(self) -> int:
        """Number of encoders, and of decoders."""
        return self.blocks // 2

    @property
    def frequencies(self) -> int:
        """Bins inside the U-Net, after the first convolution."""
        return self.n_fft // 2 if self.bins is None else self.bins

    @property
    def input_channels(self) -> int:
        """Channels of the network's input: re/im per audio channel, or log magnitudes (and mid, side for stereo)."""
        if self.features == "complex":
            return 2 * self.audio_channels
        return 4 if self.audio_channels == 2 else self.audio_channels

    @property
    def output_channels(self) -> int:
        """Channels of the network's output: re/im per audio channel, or one gain per audio channel."""
        return 2 * self.audio_channels if self.output == "mapping" else self.audio_channels

    @property
    def time_multiple(self) -> int:
        """Frames must be a multiple of this; the network pads by itself."""
        return 2 ** (self.levels if self.time_levels is None else len(set(self.time_levels)))

    @property
    def window_samples(self) -> int:
        """Samples of a window with `window_frames` centred STFT frames."""
        return self.hop_samples * (self.window_frames - 1)
