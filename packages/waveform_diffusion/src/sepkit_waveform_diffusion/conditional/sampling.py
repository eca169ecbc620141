"""From a mixture to its stems: the sampler of the diffusion core around both networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from einops import reduce
from torch import Tensor

from sepkit.diffusion import Ddim, HalfCircle, KeyedNoise, NoiseSource, Velocity, denoiser, highpass

from .config import ConditionalConfig
from .network import ConditionalNetwork
from .settings import ConditionalSettings

SCHEDULE = HalfCircle()
OBJECTIVE = Velocity()
SILENCE_RMS = 1e-6  # of a mixture: below, every target is silent


def iterate_targets(
    network: ConditionalNetwork, mixture: Tensor, starts: Sequence[int], *, seed: int, settings: ConditionalSettings
) -> Iterator[Tensor]:
    """Estimates of the targets of b c t as b s c t: after every step of the first sample, then the mean so far.

    The conditioner is called once. Noise depends on seed, sample, stem and absolute position; nothing else is random.
    A silent mixture has silent targets.
    """
    gain = level_gain(mixture, network.config)
    condition = network.condition(gain * mixture)
    denoise = denoiser(lambda x, t: network.velocity(x, t, condition), OBJECTIVE)
    sampler = Ddim(steps=settings.steps, eta=settings.eta)
    undo = torch.where(gain > 0, 1 / gain.clamp(min=1e-30), 0.0)[:, None]
    like = mixture[:, None].expand(-1, len(network.config.targets), -1, -1)
    total = torch.zeros_like(like)
    for sample in range(settings.samples):
        white, refining = noise_sources(network.config, starts, seed=seed, sample=sample, settings=settings)
        for iterate in sampler.iterate(denoise, white(0, like), SCHEDULE, refining):
            if sample == 0:
                yield undo * iterate.signal
        total = total + iterate.signal
        if sample > 0:
            yield undo * (total / (sample + 1))


def noise_sources(
    config: ConditionalConfig, starts: Sequence[int], *, seed: int, sample: int, settings: ConditionalSettings
) -> tuple[NoiseSource, NoiseSource]:
    """The noise to start from, and that of the steps: high-passed unless `cutoff_hz` is 0."""
    key = f"conditional_diffusion/{sample}"
    white = KeyedNoise(seed, tuple(int(start) for start in starts), key, config.targets)
    return white, highpass(white, settings.cutoff_hz, config.sample_rate) if settings.cutoff_hz else white


def level_gain(mixture: Tensor, config: ConditionalConfig) -> Tensor:
    """What to multiply mixtures b c t with before the networks see them: b 1 1; 0 for silence."""
    rms = reduce(mixture.square(), "b c t -> b 1 1", "mean").sqrt()
    gain = 1 / rms.clamp(min=SILENCE_RMS) if config.level == "mixture" else torch.ones_like(rms)
    return torch.where(rms > SILENCE_RMS, gain, 0.0)


def with_complement(targets: Tensor, mixture: Tensor) -> Tensor:
    """Targets b s c t -> stems: a single target is followed by the mixture less it."""
    return torch.cat([targets, mixture[:, None] - targets], dim=1) if targets.shape[1] == 1 else targets
