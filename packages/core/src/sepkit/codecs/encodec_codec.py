"""EnCodec's continuous embeddings as latents: its encoder and decoder with no quantiser between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from os import PathLike
from typing import Any

import torch
from einops import rearrange, reduce, repeat
from torch import Tensor, nn

from ..errors import AudioError, OptionError
from .encodec_settings import EncodecSettings, encodec_settings
from .encodec_weights import encodec_module, file_state, load_coder, published_state, save_coder
from .protocol import Codec, CodecView, check_latent, check_sound
from .segments import Segment, Segmenting

EPSILON = 1e-8  # what encodec adds to a segment's level
SILENT_FRAMES = 300  # of which the last shows the steady state; the LSTM has long forgotten its start
SEGMENTS_AT_ONCE = 8  # bounds the memory that a long sound takes


@dataclass(frozen=True)
class SegmentScales:
    """The levels by which segments were divided, b k: one for each segment, in the sound's own unit."""

    values: Tensor

    def of(self, like: Tensor, segments: int) -> Tensor:
        """The levels for a batch, b k; a batch of m sounds for each of these takes each level m times, side by side."""
        copies, rest = divmod(like.shape[0], max(1, self.values.shape[0]))
        if rest or self.values.shape[1] != segments:
            raise AudioError(
                f"Scales of {self.values.shape[0]} sounds of {self.values.shape[1]} segments were given for "
                f"{like.shape[0]} sounds of {segments}; take them from the mixture of these very sounds."
            )
        return repeat(self.values.to(like), "b k -> (b copies) k", copies=copies)


class EncodecCodec(nn.Module):
    """Encoder and decoder of EnCodec as a codec; parameters can be trained, moved and saved like any module's.

    Build one with `get_codec("encodec_24khz", weights=...)`, "encodec_48khz" or "seanet" (any size, any rate).
    Sound and latents are of the parameters' dtype and device. `train` and `eval` make no difference to the result, but
    cuDNN wants `train` for gradients through the LSTMs. Raises MissingExtraError without the package `encodec`.
    """

    def __init__(self, settings: EncodecSettings) -> None:
        super().__init__()
        self.settings = settings
        seanet = encodec_module("encodec.modules")
        shared: dict[str, Any] = {
            "channels": settings.audio_channels,
            "dimension": settings.dimension,
            "n_filters": settings.n_filters,
            "n_residual_layers": settings.n_residual_layers,
            "ratios": list(settings.ratios),
            "compress": settings.compress,
            "lstm": settings.lstm_layers,
            "causal": settings.causal,
            "norm": settings.norm,
        }
        with torch.inference_mode(False), torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.encoder: nn.Module = seanet.SEANetEncoder(**shared)
            self.decoder: nn.Module = seanet.SEANetDecoder(**shared)
        self._origin: tuple[object, Tensor] | None = None
        if settings.weights == "hub":
            load_coder(self, published_state(settings.name), "the published codec")
        elif settings.weights != "random":
            load_coder(self, file_state(settings.weights), settings.weights)

    @property
    def sample_rate(self) -> int:
        """Hz that it works at."""
        return self.settings.sample_rate

    @property
    def audio_channels(self) -> int:
        """Channels of the sound."""
        return self.settings.audio_channels

    @property
    def hop_samples(self) -> int:
        """Samples per frame: the product of the ratios."""
        return math.prod(self.settings.ratios)

    @property
    def features(self) -> int:
        """The dimension of the embedding."""
        return self.settings.dimension

    @property
    def additive(self) -> bool:
        """False: the encoder is a network."""
        return False

    @property
    def frame_rate(self) -> float:
        """Frames per second within a segment."""
        return self.sample_rate / self.hop_samples

    @property
    def segmenting(self) -> Segmenting | None:
        """How sound is cut, None if it is not; in whole samples as `encodec` rounds them."""
        seconds = self.settings.segment_seconds
        if seconds is None:
            return None
        length = int(seconds * self.sample_rate)
        return Segmenting(length, max(1, int((1 - self.settings.overlap) * length)))

    @property
    def origin(self) -> Tensor:
        """The frame of silence, d 1, without gradients: what the encoder settles to; kept until the weights change."""
        state = tuple((p.data_ptr(), p._version, p.device, p.dtype) for p in self.encoder.parameters())
        if self._origin is None or self._origin[0] != state:
            segmenting = self.segmenting
            samples = SILENT_FRAMES * self.hop_samples if segmenting is None else segmenting.length_samples
            with torch.inference_mode(False), torch.no_grad():
                silence = next(self.encoder.parameters()).new_zeros(1, self.audio_channels, samples)
                self._origin = state, self.encoder(silence)[0, :, -1:].clone()
        return self._origin[1]

    def frames(self, length_samples: int, /) -> int:
        """Frames of all segments together; adjacent segments overlap, so 48 kHz sound has 1 % more than its rate."""
        return sum(self._frames_of(segment) for segment in self._segments(length_samples))

    def scales(self, x: Tensor, /) -> SegmentScales:
        """The level of each segment, the RMS of its channels' mean: b c t -> b k; ones if the codec normalises none."""
        check_sound(x, self, self.settings.name)
        segments = self._segments(x.shape[-1])
        if not self.settings.normalise or not segments:
            return SegmentScales(x.new_ones(x.shape[0], len(segments)))
        mono = reduce(x, "b c t -> b t", "mean")
        powers = [mono[:, segment.start : segment.stop].square().mean(dim=1) for segment in segments]
        return SegmentScales(EPSILON + torch.stack(powers, dim=1).sqrt())

    def encode(self, x: Tensor, /, *, scale_of: Tensor | SegmentScales | None = None) -> Tensor:
        """Embeddings of all segments, one after another: b c t -> b d n.

        Segments are divided by their own levels, or by those of `scale_of`: the mixture (b c t) of which `x` is a stem,
        or its scales; then the level of a stem against its mixture is kept. Raises AudioError for what does not fit.
        """
        check_sound(x, self, self.settings.name)
        self._check_place(x)
        segments = self._segments(x.shape[-1])
        scales = scale_of if isinstance(scale_of, SegmentScales) else self.scales(x if scale_of is None else scale_of)
        levels = scales.of(x, len(segments))
        pieces = [x[..., segment.start : segment.stop] / levels[:, k, None, None] for k, segment in enumerate(segments)]
        if not pieces:
            return x.new_zeros(x.shape[0], self.features, 0)
        return torch.cat(_each(self.encoder, pieces), dim=-1)

    def decode(self, z: Tensor, length_samples: int, /, *, scales: SegmentScales | None = None) -> Tensor:
        """Sound of the embeddings of all segments, joined by overlap-add: b d n -> b c t.

        A codec that normalises needs the `scales` by which the sound was divided (OptionError without); `bound_to` is
        the way to give them once.
        """
        check_latent(z, length_samples, self, self.settings.name)
        self._check_place(z)
        segments = self._segments(length_samples)
        if scales is None and self.settings.normalise:
            raise OptionError(
                f"The codec {self.settings.name!r} divided each segment by its level and cannot undo it without: give "
                "scales=codec.scales(mixture), or use sepkit.codecs.bound_to(codec, mixture)."
            )
        if not segments:
            return z.new_zeros(z.shape[0], self.audio_channels, 0)
        latents = torch.split(z, [self._frames_of(segment) for segment in segments], dim=-1)
        pieces = _each(self.decoder, list(latents))
        if scales is not None and self.settings.normalise:
            levels = scales.of(z, len(segments))
            pieces = [piece * levels[:, k, None, None] for k, piece in enumerate(pieces)]
        segmenting = self.segmenting
        return pieces[0][..., :length_samples] if segmenting is None else segmenting.join(pieces, length_samples)

    def bound_to(self, x: Tensor, /) -> Codec:
        """The codec with the levels of `x` (b c t), for sounds of its length; itself if it normalises nothing."""
        return BoundEncodec(self, self.scales(x)) if self.settings.normalise else self

    def save_weights(self, path: str | PathLike[str]) -> None:
        """Write the weights as safetensors, for `weights=path`; an older file is replaced."""
        save_coder(self, path)

    def _check_place(self, given: Tensor) -> None:
        own = next(self.parameters())
        if (given.dtype, given.device) != (own.dtype, own.device):
            raise AudioError(
                f"The codec {self.settings.name!r} is {own.dtype} on {own.device} and was given {given.dtype} on "
                f"{given.device}; move one of them: codec.to(x), or x.to(...)."
            )

    def _segments(self, length_samples: int) -> list[Segment]:
        if self.segmenting is not None:
            return self.segmenting.segments(length_samples)
        return [Segment(0, length_samples)] if length_samples else []

    def _frames_of(self, segment: Segment) -> int:
        return -(-segment.samples // self.hop_samples)


@dataclass(frozen=True)
class BoundEncodec(CodecView):
    """A normalising EnCodec with the levels of one batch of sounds fixed."""

    codec: EncodecCodec
    scales: SegmentScales

    def encode(self, x: Tensor, /) -> Tensor:
        """Embeddings at the fixed levels: b c t -> b d n."""
        return self.codec.encode(x, scale_of=self.scales)

    def decode(self, z: Tensor, length_samples: int, /) -> Tensor:
        """Sound at the fixed levels: b d n -> b c t."""
        return self.codec.decode(z, length_samples, scales=self.scales)


def encodec_24khz(**settings: Any) -> EncodecCodec:
    """The 24 kHz mono codec, causal, 75 frames/s of 128 features; `weights` must be given."""
    return EncodecCodec(encodec_settings("encodec_24khz", settings))


def encodec_48khz(**settings: Any) -> EncodecCodec:
    """The 48 kHz stereo codec, 1 s segments of 150 frames of 128 features, each normalised; `weights` must be given."""
    return EncodecCodec(encodec_settings("encodec_48khz", settings))


def seanet(**settings: Any) -> EncodecCodec:
    """A codec of the same class of any size and rate; `weights` and `sample_rate` must be given."""
    return EncodecCodec(encodec_settings("seanet", settings))


def _each(network: nn.Module, pieces: list[Tensor]) -> list[Tensor]:
    """`network` of each piece (b d t); equally long neighbours go through together, a few at a time."""
    done: list[Tensor] = []
    for _, group in groupby(pieces, key=lambda piece: piece.shape[-1]):
        alike = list(group)
        for first in range(0, len(alike), SEGMENTS_AT_ONCE):
            batch = torch.stack(alike[first : first + SEGMENTS_AT_ONCE])
            out = network(rearrange(batch, "k b d t -> (k b) d t"))
            done += rearrange(out, "(k b) d t -> k b d t", k=len(batch)).unbind()
    return done
