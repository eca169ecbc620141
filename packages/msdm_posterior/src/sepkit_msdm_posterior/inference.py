"""From windows of a mixture to windows of stems: latents, one walk of the sampler for each draw, and back to sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from einops import rearrange
from torch import Tensor

from sepkit.codecs import Codec, bound_to
from sepkit.diffusion import Denoiser

from .config import MsdmConfig
from .frame_noise import FrameNoise
from .held_to_mixture import hold_to_mixture
from .sampling import iterate_posterior, sample_posterior
from .settings import MsdmSettings
from .stretches import Stretch, level_gain, stretches, undone

NOISE_KEY = "msdm"


@dataclass(frozen=True)
class Prior:
    """A multi-source prior ready to be sampled: the denoiser of its latents b s d n, and the codec they come from."""

    config: MsdmConfig
    codec: Codec  # with silence at zero
    denoise: Denoiser

    def noise(self, seed: int, first_frames: Sequence[int], draw: int | str) -> FrameNoise:
        """Noise for a sample (its number, or what else it is called) of windows that begin at these frames."""
        return FrameNoise(seed, tuple(first_frames), f"{NOISE_KEY}/{draw}", self.config.stems)


@dataclass(frozen=True)
class Task:
    """Windows b c t with the absolute first sample of each, to be separated with these settings."""

    windows: Tensor
    starts: Sequence[int]
    seed: int
    settings: MsdmSettings

    def parts(self, prior: Prior) -> list[_Part]:
        """The windows as latents, those of equally many frames together."""
        gain = level_gain(self.windows, prior.config.level_rms)
        levelled = gain * self.windows
        hop_samples = prior.codec.hop_samples
        found = []
        for stretch in stretches(self.starts, self.windows.shape[-1], hop_samples):
            sound = stretch.cut(levelled, hop_samples)
            codec = bound_to(prior.codec, sound)
            found.append(_Part(stretch, codec, rearrange(codec.encode(sound), "b d n -> b 1 d n"), sound.shape[-1]))
        return found

    def finished(self, prior: Prior, latents: Sequence[Tensor], parts: Sequence[_Part]) -> Tensor:
        """Latents of stems, k s d n for each part, as the stems b s c t of the windows."""
        windows, stems = self.windows, len(prior.config.stems)
        gain = level_gain(windows, prior.config.level_rms)
        decoded = windows.new_zeros(len(windows), stems, *windows.shape[1:])
        for z, part in zip(latents, parts, strict=True):
            sound = part.codec.decode(rearrange(z, "b s d n -> (b s) d n"), part.length_samples)
            part.stretch.put_back(rearrange(sound, "(b s) c t -> b s c t", s=stems), decoded)
        held = hold_to_mixture(decoded, gain * windows, phase=self.settings.phase, rest=self.settings.rest)
        return undone(gain) * held


@dataclass(frozen=True)
class _Part:
    """A stretch of windows with its codec and the latent k 1 d n of its mixtures."""

    stretch: Stretch
    codec: Codec
    mixture: Tensor
    length_samples: int


def separate_draw(prior: Prior, task: Task, draw: int) -> Tensor:
    """One sample of the posterior: b s c t."""
    parts = task.parts(prior)
    latents = [
        sample_posterior(
            prior.denoise,
            part.mixture,
            stems=len(prior.config.stems),
            schedule=task.settings.schedule,
            sampler=task.settings.made_sampler(),
            posterior=task.settings.made_posterior(prior.config),
            noise=prior.noise(task.seed, part.stretch.first_frames, draw),
        )
        for part in parts
    ]
    return task.finished(prior, latents, parts)


def iterate_draw(prior: Prior, task: Task, draw: int) -> Iterator[Tensor]:
    """The same sample as it is estimated after each step, b s c t; the last one is that of `separate_draw`."""
    parts = task.parts(prior)
    walks = [
        iterate_posterior(
            prior.denoise,
            part.mixture,
            stems=len(prior.config.stems),
            schedule=task.settings.schedule,
            sampler=task.settings.made_sampler(),
            posterior=task.settings.made_posterior(prior.config),
            noise=prior.noise(task.seed, part.stretch.first_frames, draw),
        )
        for part in parts
    ]
    for iterates in zip(*walks, strict=True):
        yield task.finished(prior, [iterate.signal for iterate in iterates], parts)
