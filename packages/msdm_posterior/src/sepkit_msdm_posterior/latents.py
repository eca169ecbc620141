"""The latents that a prior lives in: a codec's, recentred, with every band or feature at unit RMS over the stems."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from einops import rearrange, reduce
from torch import Tensor

from sepkit.codecs import Codec, bound_to, recentred

from .config import MsdmConfig

QUIETEST_DB = -60.0
"""Features further below the loudest are scaled as if they were at this level."""


@dataclass(frozen=True)
class Scaled:
    """A recentred codec whose latents are divided by `scales`, one for each feature; all else is the codec's."""

    codec: Codec
    scales: tuple[float, ...]

    @property
    def sample_rate(self) -> int:
        """Hz that it works at."""
        return self.codec.sample_rate

    @property
    def audio_channels(self) -> int:
        """Channels of the sound."""
        return self.codec.audio_channels

    @property
    def hop_samples(self) -> int:
        """Samples per latent frame."""
        return self.codec.hop_samples

    @property
    def features(self) -> int:
        """Values per latent frame."""
        return self.codec.features

    @property
    def additive(self) -> bool:
        """Whether encode(a + b) == encode(a) + encode(b), up to rounding."""
        return self.codec.additive

    @property
    def frame_rate(self) -> float:
        """Latent frames per second."""
        return self.codec.frame_rate

    @property
    def origin(self) -> Tensor:
        """The frame of silence, d 1."""
        return self.codec.origin / self._column(self.codec.origin)

    def encode(self, x: Tensor, /) -> Tensor:
        """Scaled latents: b c t -> b d n."""
        z = self.codec.encode(x)
        return z / self._column(z)

    def decode(self, z: Tensor, length_samples: int, /) -> Tensor:
        """Sound of scaled latents: b d n -> b c t."""
        return self.codec.decode(z * self._column(z), length_samples)

    def frames(self, length_samples: int, /) -> int:
        """Latent frames of a sound of that length."""
        return self.codec.frames(length_samples)

    def bound_to(self, x: Tensor, /) -> Codec:
        """The same scales on the codec bound to `x`."""
        return Scaled(bound_to(self.codec, x), self.scales)

    def _column(self, like: Tensor) -> Tensor:
        return torch.tensor(self.scales, dtype=torch.float64).to(like)[:, None]


def latent_codec(config: MsdmConfig) -> Codec:
    """The codec of a prior, with silence at zero and its features scaled."""
    codec: Codec = recentred(config.codec.build())
    return codec if config.latent_scales is None else Scaled(codec, config.latent_scales)


def encode_stems(codec: Codec, stems: Tensor) -> Tensor:
    """Sound b s c t -> latents b s d n."""
    z = codec.encode(rearrange(stems, "b s c t -> (b s) c t"))
    return rearrange(z, "(b s) d n -> b s d n", b=len(stems))


def with_fitted_scales(config: MsdmConfig, sounds: Iterable[Tensor]) -> MsdmConfig:
    """The config with its latents scaled to unit RMS over `sounds` (each s c t).

    A codec that can be fitted (`fit_scales`) keeps the scales itself, others get `latent_scales`. What has scales
    already is left as it is, and so is the waveform, whose published prior knows its level by `sigma_data`.
    """
    settings = config.codec.settings
    if config.codec.name == "waveform" or config.latent_scales is not None or settings.get("scales") is not None:
        return config
    fit: Callable[..., Codec] | None = getattr(config.codec.build(), "fit_scales", None)
    if fit is not None:
        fitted: tuple[float, ...] = getattr(fit(sounds, quietest_db=QUIETEST_DB), "scales")  # noqa: B009
        codec = config.codec.model_copy(update={"settings": {**settings, "scales": [rounded(v) for v in fitted]}})
        return config.model_copy(update={"codec": codec})
    codec_now = latent_codec(config)
    power, count = torch.zeros(codec_now.features, dtype=torch.float64), 0
    for sound in sounds:
        z = bound_to(codec_now, sound).encode(sound).double()
        power, count = power + reduce(z.square(), "s d n -> d", "sum"), count + z.shape[0] * z.shape[2]
    rms = (power / max(count, 1)).sqrt()
    scales = rms.clamp(min=float(rms.max()) * 10 ** (QUIETEST_DB / 20)).tolist()
    return config.model_copy(update={"latent_scales": tuple(rounded(value) for value in scales)})


def rounded(value: float) -> float:
    """Five digits, as configs store them."""
    return float(f"{value:.5g}")


def energy_of_features(config: MsdmConfig) -> Tensor:
    """What a squared error of each latent feature is worth in squared sound, up to a factor, d 1: its scale squared."""
    stored = config.latent_scales or config.codec.settings.get("scales")
    features = config.codec.build().features
    if stored is None:
        return torch.ones(features, 1)
    scales = torch.tensor(stored).square()
    return scales.repeat(features // len(scales))[:, None]
