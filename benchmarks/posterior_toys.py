"""The two analytic toys of `benchmarks.posterior_toy`: priors without a network, whose best estimates are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sepkit.diffusion import Denoiser, Level

MIXTURE, MEAN, EXACT = "the mixture", "the posterior's mean", "an exact sample of the posterior"

STEMS = 4
DEVIATION = 0.2  # RMS of each stem: what multi-source diffusion calls sigma_data
SPREAD_OF_SPREADS = 1.6  # standard deviation of ln standard deviation: some 14 dB
KNOWN_SPREAD, UNKNOWN_SPREAD = 1.3, 1.0  # of the second toy: the part that the prior knows, and the part it does not
SCALES = 7  # of the second toy's unknown part


@dataclass(frozen=True)
class Toy:
    """Stems b s d, the exact denoiser of the prior they were drawn from, and what is known of its posterior."""

    stems: Tensor
    denoise: Denoiser
    known: dict[str, Tensor]
    error_variance: Callable[[float], Tensor] | None = None

    @property
    def mixture(self) -> Tensor:
        """b 1 d."""
        return self.stems.sum(1, keepdim=True)

    def scores(self, estimate: Tensor) -> dict[str, float]:
        """Mean over songs and stems of SDR and of SI-SDR improvement in dB; the largest error of the sum."""
        mixture = self.mixture.expand_as(self.stems)
        return {
            "sdr": _sdr(self.stems, estimate),
            "si_sdri": _si_sdr(self.stems, estimate) - _si_sdr(self.stems, mixture),
            "residual": float((estimate.sum(1, keepdim=True) - self.mixture).abs().max()),
        }


def gaussian_toy(songs: int, coefficients: int, seed: int) -> Toy:
    """Independent Gaussian coefficients of log-normal variance, all of which the prior knows."""
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.randn(songs, STEMS, coefficients, generator=generator, dtype=torch.float64)

    deviation = torch.exp(SPREAD_OF_SPREADS * draw())
    deviation = DEVIATION * deviation / deviation.square().mean(2, keepdim=True).sqrt()
    variance, stems, other = deviation**2, deviation * draw(), deviation * draw()
    share = variance / variance.sum(1, keepdim=True)
    mixture = stems.sum(1, keepdim=True)
    known = {
        MIXTURE: mixture.expand_as(stems),
        MEAN: share * mixture,
        EXACT: other + share * (mixture - other.sum(1, keepdim=True)),
    }

    def denoise(x: Tensor, level: Level, /) -> Tensor:
        return level.alpha * variance / (level.alpha**2 * variance + level.sigma**2) * x

    return Toy(stems, denoise, known, lambda sigma: variance * sigma**2 / (variance + sigma**2))


def mixture_toy(songs: int, coefficients: int, block: int, seed: int) -> Toy:
    """Blocks of coefficients share a variance that the prior knows only up to a log-normal factor, as music's does.

    The prior is a scale mixture of Gaussians, so its denoiser is not linear: it infers each block's level from the
    block. SDR is far from that of an estimate that is told the variances, which nothing here reaches.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (songs, STEMS, coefficients // block)
    offset = torch.exp(2 * KNOWN_SPREAD * torch.randn(*shape, 1, generator=generator, dtype=torch.float64))
    places = torch.linspace(-2.5, 2.5, SCALES, dtype=torch.float64)
    weights = torch.softmax(-places.square() / 2, 0)
    factors = torch.exp(2 * UNKNOWN_SPREAD * places)
    variances = DEVIATION**2 * offset / offset.mean((2, 3), keepdim=True) * factors / (weights * factors).sum()
    picked = torch.multinomial(weights, variances[..., 0].numel(), True, generator=generator).reshape(*shape, 1)
    deviation = variances.gather(-1, picked).sqrt()
    stems = deviation * torch.randn(*shape, block, generator=generator, dtype=torch.float64)

    def denoise(x: Tensor, level: Level, /) -> Tensor:
        blocks = x.reshape(*shape, block)
        total = level.alpha**2 * variances + level.sigma**2
        power = blocks.square().sum(-1, keepdim=True)
        likely = torch.softmax(weights.log() - block / 2 * total.log() - power / total / 2, -1)
        return ((likely * level.alpha * variances / total).sum(-1, keepdim=True) * blocks).reshape(x.shape)

    flat = stems.reshape(songs, STEMS, -1)
    told = deviation.square().expand(*shape, block).reshape(flat.shape)
    mixture = flat.sum(1, keepdim=True)
    known = {
        MIXTURE: mixture.expand_as(flat),
        "the mean, told the variances": told / told.sum(1, keepdim=True) * mixture,
    }
    return Toy(flat, denoise, known)


def _decibels(signal: Tensor, error: Tensor) -> float:
    return float((10 * torch.log10(signal.square().sum(-1) / error.square().sum(-1))).mean())


def _sdr(stems: Tensor, estimate: Tensor) -> float:
    return _decibels(stems, estimate - stems)


def _si_sdr(stems: Tensor, estimate: Tensor) -> float:
    share = (estimate * stems).sum(-1, keepdim=True) / stems.square().sum(-1, keepdim=True)
    return _decibels(share * stems, estimate - share * stems)
