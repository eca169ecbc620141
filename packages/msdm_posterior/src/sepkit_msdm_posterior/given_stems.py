"""Given stems on their way into the prior's latents and back, and the stretch of time that is made anew in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sepkit.audio import Audio
from sepkit.channels import remix
from sepkit.codecs import Codec, bound_to

from .inference import Prior


@dataclass(frozen=True)
class Gap:
    """The stretch of time that is made anew, with a cross-fade before and after it."""

    start_seconds: float
    end_seconds: float
    fade_seconds: float

    def emptied(self, sound: Audio) -> Audio:
        """The sound with silence there: what it held must not leak into the frames around."""
        samples = sound.samples.clone()
        samples[:, self._sample(self.start_seconds, sound) : self._sample(self.end_seconds, sound)] = 0
        return Audio(samples, sound.sample_rate)

    def frames(self, frame_rate: float) -> slice:
        """The frames that are unknown: those that touch the stretch or a fade."""
        first = math.floor((self.start_seconds - self.fade_seconds) * frame_rate)
        return slice(max(0, first), math.ceil((self.end_seconds + self.fade_seconds) * frame_rate))

    def filled(self, sound: Audio, made: Audio) -> Audio:
        """`sound` outside, `made` inside, both over the fades."""
        time = torch.arange(sound.length_samples, dtype=torch.float64) / sound.sample_rate
        rise = (time - self.start_seconds) / self.fade_seconds + 1
        fall = (self.end_seconds - time) / self.fade_seconds + 1
        weight = torch.minimum(rise, fall).clamp(0, 1).float()
        between = sound.samples + weight * (made.samples - sound.samples)
        samples = torch.where(weight == 0, sound.samples, torch.where(weight == 1, made.samples, between))
        return Audio(samples, sound.sample_rate)

    @staticmethod
    def _sample(seconds: float, sound: Audio) -> int:
        return round(seconds * sound.sample_rate)


class KnownStems:
    """Given stems as latents of the prior, and the way from latents back to their format.

    `wanted` are stems still to be made: the level leaves room for them, as if all stems had equal power.
    """

    def __init__(self, prior: Prior, known: Mapping[str, Audio], wanted: Sequence[str]):
        self.stems, self.sample_rate = prior.config.stems, prior.config.sample_rate
        self.first = next(iter(known.values()))
        self.seconds = self.first.seconds
        self.sounds = {stem: at_prior(sound, prior.codec) for stem, sound in known.items()}
        whole = torch.stack(list(self.sounds.values())).sum(dim=0)
        self.length_samples = whole.shape[-1]
        rms = float(whole.double().square().mean().sqrt())
        share = math.sqrt(len(known) / (len(known) + len(wanted)))
        level = prior.config.level_rms
        self.gain = level * share / rms if level is not None and rms > 0 else 1.0
        self.codec = bound_to(prior.codec, self.gain * whole[None])
        self.frames = self.codec.frames(self.length_samples)
        self.latents = torch.zeros(1, len(self.stems), self.codec.features, self.frames)
        for stem, sound in self.sounds.items():
            self.latents[0, self.stems.index(stem)] = self.codec.encode(self.gain * sound[None])[0]

    def decoded(self, latents: Tensor) -> dict[str, Audio]:
        """Every stem of latents 1 s d n, as long as the given ones and in their format."""
        sounds = self.codec.decode(latents[0], self.length_samples) / self.gain
        return {stem: self._fitted(sound) for stem, sound in zip(self.stems, sounds, strict=True)}

    def _fitted(self, sound: Tensor) -> Audio:
        rate, length = self.first.sample_rate, self.first.length_samples
        samples = Audio(sound, self.sample_rate).resampled(rate).samples
        samples = torch.nn.functional.pad(samples, (0, max(0, length - samples.shape[-1])))[:, :length]
        channels = self.first.channels
        return Audio(remix(remix(samples, 1) if len(samples) != channels else samples, channels), rate)


def at_prior(sound: Audio, codec: Codec) -> Tensor:
    """A sound at the codec's rate, in its channels: c t."""
    resampled = sound.resampled(codec.sample_rate).samples
    mono = remix(resampled, 1) if len(resampled) != codec.audio_channels else resampled
    return remix(mono, codec.audio_channels)
