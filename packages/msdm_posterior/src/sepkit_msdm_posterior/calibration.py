"""How far a prior's estimates are off, by stem, band and sigma: measured on songs that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from einops import rearrange, reduce
from torch import Tensor

from sepkit.diffusion import Denoiser, Level

from .config import MsdmConfig
from .error_variances import ErrorVariance

BANDS = 32
LEAST = 1e-10  # of a variance: a table holds positive numbers


def measure_errors(
    denoise: Denoiser, latents: Sequence[Tensor], *, sigmas: Sequence[float], bands: int = BANDS, seed: int = 0
) -> ErrorVariance:
    """The mean squared error of the clean estimates of noisy `latents` (each b s d n), for `calibrated` weights.

    `bands` groups of neighbouring features, fewer where there are not as many. One draw of noise, from `seed`, for each
    latent and sigma.
    """
    stems, features = latents[0].shape[1:3]
    count = min(bands, features)
    band = torch.arange(features) * count // features
    generator = torch.Generator().manual_seed(seed)
    columns = []
    for sigma in sigmas:
        total = torch.zeros(stems, features, dtype=torch.float64)
        for z in latents:
            noise = torch.randn(z.shape, generator=generator).to(z)
            error = denoise(z + sigma * noise, Level(1.0, sigma, sigma)) - z
            total += reduce(error.double().square(), "b s d n -> s d", "sum").cpu()
        grouped = torch.zeros(stems, count, dtype=torch.float64).index_add_(1, band, total)
        size = torch.bincount(band, minlength=count) * sum(len(z) * z.shape[3] for z in latents)
        columns.append(grouped / size)
    table = rearrange(torch.stack(columns), "m s f -> s f m").clamp(min=LEAST)
    values = tuple(tuple(tuple(float(f"{v:.4g}") for v in row) for row in rows) for rows in table.tolist())
    return ErrorVariance(sigmas=tuple(sigmas), values=values)


def sigmas_of(config: MsdmConfig, count: int = 7) -> tuple[float, ...]:
    """`count` sigmas over those of the config's separation, rising, evenly in their logarithm."""
    low, high = math.log(config.separation.sigma_min), math.log(config.separation.sigma_max)
    return tuple(float(f"{math.exp(low + i * (high - low) / (count - 1)):.4g}") for i in range(count))
