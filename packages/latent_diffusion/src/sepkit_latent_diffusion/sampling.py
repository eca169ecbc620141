"""From mixtures to their targets: into latents, down the diffusion core's sampler, and back to sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor

from sepkit.codecs import Codec, bound_to, recentred
from sepkit.diffusion import Ddim, Denoiser, HalfCircle, KeyedNoise, Level, Velocity, denoiser

from .mixture_phase import masked
from .network import LatentNetwork
from .settings import LatentSettings
from .windows_on_grid import OnGrid, frame_grid, on_grid

SCHEDULE = HalfCircle()
OBJECTIVE = Velocity()
SILENCE_RMS = 1e-6  # of a mixture: below, every target is silent


def iterate_targets(
    codec: Codec,
    network: LatentNetwork,
    mixture: Tensor,
    starts: Sequence[int],
    *,
    seed: int,
    settings: LatentSettings,
    every_step: bool = True,
) -> Iterator[Tensor]:
    """Estimates of the targets of b c t as b s c t: after every step of the first sample, then the mean so far.

    Without `every_step`, only what follows a whole sample. The conditioner is called once. Noise depends on seed,
    sample, stem and absolute latent frame; nothing else is random. A silent mixture has silent targets.
    """
    gain = level_gain(mixture, network.config.level_rms)
    grid = frame_grid(codec)
    placed = on_grid(gain * mixture, starts, grid)
    at_level = recentred(bound_to(codec, placed.sound))
    latent = padded(network.in_units(at_level.encode(placed.sound)), network.config.ratio)
    denoise = guided_denoiser(network, latent, settings.guidance)
    undo = torch.where(gain > 0, 1 / gain.clamp(min=1e-30), 0.0)[:, None]

    def sound(signal: Tensor) -> Tensor:
        frames = network.from_units(rearrange(signal, "b s d n -> (b s) d n"))
        length = placed.sound.shape[-1]
        decoded = at_level.decode(frames[..., : at_level.frames(length)], length)
        return undo * placed.cut(rearrange(decoded, "(b s) c t -> b s c t", b=len(mixture)))

    like = latent[:, None].expand(-1, len(network.config.targets), -1, -1)
    total = torch.zeros_like(mixture[:, None])
    for sample in range(settings.samples):
        noise = FrameNoise(seed, placed, f"latent_diffusion/{sample}", network.config.targets, settings.temperature)
        steps = Ddim(steps=settings.steps, eta=settings.eta).iterate(denoise, noise(0, like), SCHEDULE, noise)
        signal = like
        for step, iterate in enumerate(steps, start=1):
            signal = iterate.signal
            if every_step and sample == 0 and step < settings.steps:
                yield sound(signal)
        total = total + sound(signal)
        yield total / (sample + 1)


def guided_denoiser(network: LatentNetwork, latent: Tensor, guidance: float) -> Denoiser:
    """The network told the mixtures b d n; `guidance` g adds (g - 1) times what being told makes of the estimate.

    Ho and Salimans 2022, "Classifier-free diffusion guidance", with g = 1 + w; g = 0 is not told at all.
    """
    condition = network.condition(latent)
    told = denoiser(lambda x, t: network.velocity(x, t, condition), OBJECTIVE)
    if guidance == 1:
        return told
    hidden = network.condition(latent, hidden=True)
    untold = denoiser(lambda x, t: network.velocity(x, t, hidden), OBJECTIVE)

    def both(x: Tensor, level: Level, /) -> Tensor:
        alone = untold(x, level)
        return alone + guidance * (told(x, level) - alone)

    return both


@dataclass(frozen=True)
class FrameNoise:
    """Noise b s d n that depends on seed, key, draw, stem, absolute latent frame and feature alone."""

    seed: int
    placed: OnGrid
    key: str
    stems: tuple[str, ...]
    size: float = 1.0

    def __call__(self, draw: int, like: Tensor, /) -> Tensor:
        """Noise of the shape of `like`, drawn as one stream in which the features of a frame are neighbours."""
        features, frames = like.shape[-2:]
        starts = tuple(first * features for first in self.placed.frames)
        stream = KeyedNoise(self.seed, starts, self.key, self.stems)
        flat = stream(draw, like.new_empty(*like.shape[:2], frames * features))
        return self.size * rearrange(flat, "b s (n d) -> b s d n", d=features)


def padded(latent: Tensor, multiple: int) -> Tensor:
    """Latents ... n with zeros after their end up to a multiple of frames."""
    return F.pad(latent, (0, -latent.shape[-1] % multiple))


def level_gain(mixture: Tensor, level_rms: float | None) -> Tensor:
    """What to multiply mixtures b c t with before the codec sees them: b 1 1; 0 for silence."""
    rms = reduce(mixture.square(), "b c t -> b 1 1", "mean").sqrt()
    gain = torch.ones_like(rms) if level_rms is None else level_rms / rms.clamp(min=SILENCE_RMS)
    return torch.where(rms > SILENCE_RMS, gain, 0.0)


def as_stems(targets: Tensor, mixture: Tensor, settings: LatentSettings, sample_rate: int) -> Tensor:
    """Targets b s c t -> stems: a single one is followed by the mixture less it, and `phase` mixture masks the mixture.

    Several targets need not be all that the mixture has: for the masks, what they leave counts as one stem more.
    """
    rest = mixture[:, None] - targets.sum(dim=1, keepdim=True)
    count = targets.shape[1]
    if settings.phase == "mixture":
        parts = torch.cat([targets, rest], dim=1)
        targets = masked(parts, mixture, sample_rate, exponent=settings.mask_exponent)[:, :count]
    if count > 1:
        return targets
    return torch.cat([targets, mixture[:, None] - targets], dim=1)
