"""What a codec promises, and the views of one that separators work with: recentred, and bound to a mixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..errors import AudioError


class Codec(Protocol):
    """Sound to latent frames and back; float32 or float64, on any device, differentiable."""

    @property
    def sample_rate(self) -> int:
        """Hz that it works at."""
        ...

    @property
    def audio_channels(self) -> int:
        """Channels of the sound."""
        ...

    @property
    def hop_samples(self) -> int:
        """Samples per latent frame."""
        ...

    @property
    def features(self) -> int:
        """Values per latent frame."""
        ...

    @property
    def additive(self) -> bool:
        """Whether encode(a + b) - origin == (encode(a) - origin) + (encode(b) - origin), up to rounding."""
        ...

    @property
    def frame_rate(self) -> float:
        """Latent frames per second."""
        ...

    @property
    def origin(self) -> Tensor:
        """The frame of silence, d 1: zeros for a linear codec."""
        ...

    def encode(self, x: Tensor, /) -> Tensor:
        """Latent of sound at `sample_rate`: b c t -> b d n with n = frames(t)."""
        ...

    def decode(self, z: Tensor, length_samples: int, /) -> Tensor:
        """Sound of a latent, `length_samples` long: b d n -> b c t."""
        ...

    def frames(self, length_samples: int, /) -> int:
        """Latent frames of a sound of that length."""
        ...


class ScalingCodec(Codec, Protocol):
    """A codec that divides sound by its own level before it encodes, and so has to be told the level to decode."""

    def bound_to(self, x: Tensor, /) -> Codec:
        """The codec with the levels of `x` (b c t) fixed, in which encode and decode need nothing more."""
        ...


def bound_to(codec: Codec, x: Tensor) -> Codec:
    """`codec` as it encodes and decodes sounds beside `x` (b c t): with the levels of `x` where it normalises levels.

    A latent of a stem and of its mixture are comparable only at one level, so separators bind to the mixture. Codecs
    without levels are returned as they are. Batches may be k times that of `x`, examples of one sound side by side.
    """
    bind: Callable[[Tensor], Codec] | None = getattr(codec, "bound_to", None)
    return codec if bind is None else bind(x)


@dataclass(frozen=True)
class CodecView:
    """A codec seen in another way: all facts are those of `codec`; encode and decode are the view's."""

    codec: Codec

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
        """Whether stems' recentred latents sum to the mixture's, up to rounding."""
        return self.codec.additive

    @property
    def frame_rate(self) -> float:
        """Latent frames per second."""
        return self.codec.frame_rate

    @property
    def origin(self) -> Tensor:
        """The frame of silence, d 1."""
        return self.codec.origin

    def frames(self, length_samples: int, /) -> int:
        """Latent frames of a sound of that length."""
        return self.codec.frames(length_samples)


@dataclass(frozen=True)
class Recentred(CodecView):
    """`codec` with silence at zero: encode(x) - origin, so that latents of stems can sum to the mixture's.

    For stems that sum to x and an (approximately) affine encoder, sum_i z_i = z + (N - 1) origin in the codec's own
    latents; here sum_i z_i = z.
    """

    @property
    def origin(self) -> Tensor:
        """Zeros, d 1."""
        return self.codec.origin * 0

    def encode(self, x: Tensor, /) -> Tensor:
        """The codec's latent less its origin: b c t -> b d n."""
        z = self.codec.encode(x)
        return z - self.codec.origin.to(z)

    def decode(self, z: Tensor, length_samples: int, /) -> Tensor:
        """Sound of a recentred latent: b d n -> b c t."""
        return self.codec.decode(z + self.codec.origin.to(z), length_samples)

    def bound_to(self, x: Tensor, /) -> Codec:
        """The same view of the codec bound to `x`."""
        return Recentred(bound_to(self.codec, x))


def recentred(codec: Codec) -> Recentred:
    """`codec` with silence at zero; a codec that is recentred already is returned as it is."""
    return codec if isinstance(codec, Recentred) else Recentred(codec)


def check_sound(x: Tensor, codec: Codec, name: str) -> None:
    """Raise AudioError unless `x` is float32 or float64 sound b c t of the codec's channels."""
    if x.ndim != 3 or x.shape[1] != codec.audio_channels or x.dtype not in (torch.float32, torch.float64):
        raise AudioError(
            f"The codec {name!r} was given {x.dtype} sound of shape {tuple(x.shape)} to encode; wanted float32 or "
            f"float64 b c t with {codec.audio_channels} channels at {codec.sample_rate} Hz."
        )


def check_latent(z: Tensor, length_samples: int, codec: Codec, name: str) -> None:
    """Raise AudioError unless `z` is a latent b d n of as many frames as `length_samples` has."""
    wanted = (codec.features, codec.frames(length_samples))
    if z.ndim != 3 or tuple(z.shape[1:]) != wanted:
        raise AudioError(
            f"The codec {name!r} was given a latent of shape {tuple(z.shape)} to decode into {length_samples} samples; "
            f"wanted b d n with {wanted[0]} features and {wanted[1]} frames."
        )
