"""The separation script of the published latent version, with its faults as settings, for any latent.

Karchkhadze et al. 2024, "Multi-Track MusicLDM", arXiv 2409.02845; the script is in the history of its repository. A
network that predicts noise on the numbered steps of latent diffusion is run on sigmas. Its auto-encoder and vocoder are
not here: what this gives is the published sampler on another latent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count, pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from sepkit.config import Frozen
from sepkit.diffusion.betas import DiscreteBetas
from sepkit.diffusion.level import Denoiser, Level, Scale, renoise, scaled
from sepkit.diffusion.noise_sources import NoiseSource
from sepkit.diffusion.objectives import NoiseAtSigma, NoiseEstimate, denoiser
from sepkit.diffusion.samplers import MOST_CHURN, ChurnedEuler
from sepkit.diffusion.schedules import Karras, Schedule

from .posteriors import Dirac, Gaussian, check_mixture
from .sampling import sample_posterior, start_of

NoiseNetwork = Callable[[Tensor, Tensor], Tensor]
"""network(x, t): the noise in a state of unit variance at step t (b), counted from 0."""

LATENT_BETAS = DiscreteBetas(kind="sqrt_linear", start=0.0015, end=0.0195, count=1000, counts_from=0)
LARGEST_SIGMA = 5.0  # of the corrected sampler, in standard deviations of the latent


class LinearTimesteps(Frozen):
    """A noise-predicting network told step floor(last · sigma / sigma_max), as the script does, and never beyond it.

    The published network's own step for sigma = 1 is 255 of 0..999; the script tells it 999. `NoiseAtSigma` is right.
    """

    name: Literal["linear_timesteps"] = "linear_timesteps"
    last: int = Field(gt=0)
    sigma_max: float = Field(gt=0.0)

    def inputs(self, x: Tensor, level: Level, /) -> tuple[Tensor, Scale]:
        """The state in unit norm, and the wrong step."""
        sigma = float(level.ratio)
        step = min(math.floor(self.last * sigma / self.sigma_max), self.last)
        return scaled(1 / (level.alpha * math.hypot(1.0, sigma)), x), float(step)

    def signal(self, x: Tensor, output: Tensor, level: Level, /) -> Tensor:
        """(x - sigma · output) / alpha."""
        return NoiseEstimate().signal(x, output, level)

    def target(self, signal: Tensor, noise: Tensor, level: Level, /) -> Tensor:
        """The noise."""
        return noise


class LatentScript(Frozen):
    """The script's settings; as they stand here, they are the published ones.

    `constraint` `mean` holds the mean of the stems, and not their sum, to the mixture; in Dirac it is also no
    projection, because only stem `source` moves, by the whole of what the mean misses. `timesteps` `linear` is
    LinearTimesteps, `matched` the fractional step of `trained` at which sigma / alpha is sigma.
    """

    posterior: Literal["dirac", "gaussian"] = "dirac"
    constraint: Literal["mean", "sum"] = "mean"
    timesteps: Literal["linear", "matched"] = "linear"
    schedule: Karras = Karras(sigma_min=1e-4, sigma_max=1.0, rho=1.0)
    sampler: ChurnedEuler = ChurnedEuler(steps=200, churn=20.0, passes=2)
    source: int = Field(default=0, ge=0)
    gamma: float = Field(default=0.75, gt=0.0)
    trained: DiscreteBetas = LATENT_BETAS

    def corrected(self, deviation: float = 1.0) -> LatentScript:
        """The same posterior with the sum held, the steps matched, and sigmas evenly spread for latents so scaled.

        `deviation` is the standard deviation of the latents without their origin.
        """
        schedule = Karras(sigma_min=self.schedule.sigma_min, sigma_max=LARGEST_SIGMA * deviation, rho=7.0)
        return self.model_copy(update={"constraint": "sum", "timesteps": "matched", "schedule": schedule})

    def denoiser(self, network: NoiseNetwork) -> Denoiser:
        """The network as this script understands it."""
        if self.timesteps == "matched":
            return denoiser(network, NoiseAtSigma(trained=self.trained))
        return denoiser(network, LinearTimesteps(last=self.trained.count - 1, sigma_max=self.schedule.sigma_max))


def separate_latent(
    mixture: Tensor, network: NoiseNetwork, script: LatentScript, *, stems: int, noise: NoiseSource
) -> Tensor:
    """The latents of the stems (b s ...) of a mixture's latent (b 1 ...), as `script` says.

    For the sum to mean anything, latents have to add up: take off the codec's origin before. Raises OptionError for
    shapes that do not fit.
    """
    denoise = script.denoiser(network)
    if script.constraint == "mean":
        return _held_by_the_mean(denoise, mixture, script, stems, noise)
    posterior = Dirac(source=script.source) if script.posterior == "dirac" else Gaussian(gamma=script.gamma)
    return sample_posterior(
        denoise,
        mixture,
        stems=stems,
        schedule=script.schedule,
        sampler=script.sampler,
        posterior=posterior,
        noise=noise,
    )


def noise_network(denoise: Denoiser, trained: Schedule = LATENT_BETAS) -> NoiseNetwork:
    """Any prior as a network that predicts noise on numbered steps, so that the script runs on its latent.

    It believes the step that it is told: a wrong one makes it take out the wrong amount of noise.
    """

    def network(x: Tensor, t: Tensor) -> Tensor:
        level = trained.level(t.double()).against(x)
        return scaled(1 / level.sigma, x - scaled(level.alpha, denoise(x, level)))

    return network


def _held_by_the_mean(
    denoise: Denoiser, mixture: Tensor, script: LatentScript, stems: int, noise: NoiseSource
) -> Tensor:
    """The script's own loop; ChurnedEuler can't be it, because Dirac's change to stem `source` stays in the state."""
    x = start_of(mixture, stems, script.schedule, script.sampler, noise)
    check_mixture(x, mixture)
    steps, passes, k = script.sampler.steps, script.sampler.passes, slice(script.source, script.source + 1)
    lift = 1 + min(script.sampler.churn / steps, MOST_CHURN)
    for i, (now, nxt) in enumerate(pairwise(script.schedule.levels(steps))):
        churned = script.schedule.at_ratio(float(now.ratio) * lift)
        draw = count(1 + i * (2 * passes - 1))
        for again in reversed(range(passes)):
            x = renoise(x, now, churned, noise(next(draw), x))
            missing = mixture - x.mean(1, keepdim=True)
            if script.posterior == "dirac":
                x = torch.cat([x[:, : script.source], x[:, k] + missing, x[:, script.source + 1 :]], dim=1)
            slope = scaled(1 / churned.sigma, x - denoise(x, churned))
            if script.posterior == "dirac":
                slope = slope - slope[:, k]
            else:
                slope = slope - scaled(1 / (2 * script.gamma**2 * churned.sigma), missing)
            x = x + scaled(nxt.sigma - churned.sigma, slope)
            if again:
                x = renoise(x, nxt, now, noise(next(draw), x))
    return x
