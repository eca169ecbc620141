"""The prior's network: noisy latents of all stems and sigma in, what the EDM objective asks for out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from torch import Tensor, nn

from sepkit.diffusion import Denoiser, Level, denoiser
from sepkit.errors import OptionError
from sepkit.training.draws import batch_draws

from .adp_unet import AdpUNet
from .band_unet import BandUNet, level_embedding
from .config import AdpConfig, Backbone, BandUNetConfig, LegacyConfig, MsdmConfig
from .latents import latent_codec as latent_codec
from .legacy_unet import LegacyUNet

EMBEDDING_DROPOUT = 0.1  # Ho & Salimans 2022, "Classifier-free diffusion guidance": 0.1 or 0.2
NOISE_FLOOR = 0.3  # what is added to (x / sigma)² under the logarithm
LEVEL_BANDS = 8  # neighbouring bands that share an offset by level
LEVEL_SIZE = 64
STEEPEST = 18.0  # of ln(v / sigma²), either way: beyond it nothing is heard, and no gradient would lead back


class PriorNetwork(nn.Module):
    """Scaled noisy latents b s d n and c_noise = ln(sigma) / 4 (b) -> the network output of `MsdmConfig.objective`.

    An `embedding` (b e) conditions it where the config has one; None asks for the unconditional prior. In training
    every example goes without its embedding by a chance of 0.1, drawn from torch's global random state. `as_logit`
    asks a `gain` head for ln(v / sigma²) instead, v being the variance of each clean coefficient.
    """

    def __init__(self, config: MsdmConfig):
        super().__init__()
        self.config = config
        bands, stems = latent_codec(config).features, len(config.stems)
        found = 1 if config.independent else stems
        seen = found + config.sees_sum
        kinds = 1 if config.head == "edm" else 2
        count = stems if config.independent else 1
        self.backbones = nn.ModuleList(backbone(config.network, kinds * seen, found, bands) for _ in range(count))
        self.level_offset: nn.Module | None = None
        if config.head == "gain":
            self.level_offset = LevelOffset(stems, bands)
        self.project: nn.Module | None = None
        if config.embedding_features is not None:
            size = getattr(self.backbones[0], "hidden_size", None)
            if size is None:
                raise OptionError("The network 'legacy' takes no embedding; leave embedding_features out.")
            self.project = nn.Linear(config.embedding_features, size)
            self.unconditional = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, c_noise: Tensor, embedding: Tensor | None = None, *, as_logit: bool = False) -> Tensor:
        if self.config.head == "edm":
            if as_logit:
                raise OptionError("Only a prior with the head 'gain' estimates variances; this one has 'edm'.")
            return self._run(x[:, None], c_noise, embedding)
        sigma, own = spread(c_noise).mul(4).exp(), self.config.sigma_data
        norm = (sigma**2 + own**2).sqrt()
        logit = self._gain_logit(norm * x, sigma, c_noise, embedding)
        if as_logit:
            return logit
        # as an output F of EDM: c_skip X + c_out F = gain X, with X = norm x
        return (torch.sigmoid(logit) - own**2 / norm**2) * norm**2 / (sigma * own) * x

    def _gain_logit(self, x: Tensor, sigma: Tensor, c_noise: Tensor, embedding: Tensor | None) -> Tensor:
        """ln(v / sigma²), v the variance of each clean coefficient in the state x."""
        assert self.level_offset is not None
        x = x / sigma
        if self.config.sees_sum:
            x = torch.cat([x, reduce(x, "b s d n -> b 1 d n", "sum") / math.sqrt(x.shape[1])], dim=1)
        seen = torch.stack([local_power(x), neighbourhood_power(x)], dim=1)
        logit = self._run(seen, c_noise, embedding).float() + self.level_offset(c_noise)
        expected = F.softplus(2 * (4 * spread(c_noise) - math.log(self.config.sigma_data)))
        logit = logit - expected  # -ln(1 + (sigma / sigma_data)²): where training begins
        return STEEPEST * torch.tanh(logit / STEEPEST)

    def _run(self, seen: Tensor, c_noise: Tensor, embedding: Tensor | None) -> Tensor:
        """Features b k s d n -> b s d n."""
        extra = self._extra(len(seen), embedding)
        if not self.config.independent:
            return self.backbones[0](rearrange(seen, "b k s d n -> b (k s) d n"), c_noise, extra)
        found = [net(seen[:, :, i], c_noise, extra) for i, net in enumerate(self.backbones)]
        return torch.cat(found, dim=1)

    def _extra(self, count: int, embedding: Tensor | None) -> Tensor | None:
        if self.project is None:
            if embedding is not None:
                raise OptionError("This prior was made without embedding_features, and an embedding was given.")
            return None
        without = self.unconditional.expand(count, -1)
        if embedding is None:
            return without
        kept = self.project(embedding)
        if not self.training:
            return kept
        dropped = batch_draws(count).uniform((count, 1), kept.device) < EMBEDDING_DROPOUT
        return torch.where(dropped, without, kept)


class LevelOffset(nn.Module):
    """A number for each stem and band that depends on the level alone: the shape of the stems' spectra."""

    def __init__(self, stems: int, bands: int):
        super().__init__()
        self.stems, self.bands = stems, bands
        groups = -(-bands // LEVEL_BANDS)
        self.layers = nn.Sequential(
            nn.Linear(LEVEL_SIZE, 2 * LEVEL_SIZE), nn.SiLU(), nn.Linear(2 * LEVEL_SIZE, stems * groups)
        )

    def forward(self, c_noise: Tensor) -> Tensor:
        weight = next(self.parameters())
        found = self.layers(level_embedding(c_noise, LEVEL_SIZE).to(weight))
        return repeat(found, "b (s g) -> b s (g k) 1", s=self.stems, k=LEVEL_BANDS)[:, :, : self.bands]


def backbone(config: Backbone, inputs: int, outputs: int, bands: int) -> nn.Module:
    """The network that a config names: features b k d n, c_noise b, extra -> b m d n."""
    if isinstance(config, BandUNetConfig):
        return BandUNet(config, inputs, outputs, bands)
    if isinstance(config, AdpConfig):
        return AdpUNet(config, inputs, outputs, bands)
    assert isinstance(config, LegacyConfig)
    if bands != 1:
        raise OptionError(f"The network 'legacy' is for waveforms, and the codec has {bands} features; take another.")
    return LegacyUNet(config, inputs, outputs)


def local_power(x: Tensor) -> Tensor:
    """ln(x² + floor) / 2 of coefficients in units of sigma."""
    return (x.square() + NOISE_FLOOR).log() / 2


def neighbourhood_power(x: Tensor) -> Tensor:
    """The same of (x_k² + (x_{k+1} - x_{k-1})²) / 3, which for a lapped transform hardly depends on phase (b s d n).

    Daudet & Sandler 2004, "MDCT analysis of sinusoids": the difference stands in for the sine transform.
    """
    aside = F.pad(x, (0, 0, 1, 1))
    power = x.square() + (aside[..., 2:, :] - aside[..., :-2, :]).square()
    return (power / 3 + NOISE_FLOOR).log() / 2


def spread(c_noise: Tensor) -> Tensor:
    """b -> b 1 1 1."""
    return rearrange(c_noise, "b -> b 1 1 1")


def new_network(config: MsdmConfig, seed: int) -> PriorNetwork:
    """A network with random weights drawn from `seed`; the global random state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PriorNetwork(config)


def prior_denoiser(
    network: nn.Module, config: MsdmConfig, *, embedding: Tensor | None = None, guidance: float = 1.0
) -> Denoiser:
    """The clean latents b s d n, recentred and scaled, as the network estimates them from a state and its level.

    With an `embedding` (e, or b e for each example) the conditional estimate counts `guidance` times: D = D_without +
    guidance (D_with - D_without), in two calls of the network unless guidance is 1 (Ho & Salimans 2022, eq. 6). Raises
    OptionError for an embedding of another size than the config's.
    """
    if embedding is None:
        return denoiser(network, config.objective)
    if embedding.ndim not in (1, 2) or embedding.shape[-1] != config.embedding_features:
        raise OptionError(
            f"The embedding has the shape {tuple(embedding.shape)}; this prior wants {config.embedding_features} "
            "numbers, for all or for each example."
        )
    told = denoiser(Told(network, embedding), config.objective)
    return told if guidance == 1.0 else Guided(denoiser(network, config.objective), told, guidance)


class Told(nn.Module):
    """A network with its embedding bound in."""

    def __init__(self, network: nn.Module, embedding: Tensor):
        super().__init__()
        self.network, self.embedding = network, embedding

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        found: Tensor = self.network(x, c_noise, self.embedding.to(x).expand(len(x), -1))
        return found


@dataclass(frozen=True)
class Guided:
    """Classifier-free guidance: the unconditional estimate, and `weight` times what the condition changes about it."""

    without: Denoiser
    told: Denoiser
    weight: float

    def __call__(self, x: Tensor, level: Level, /) -> Tensor:
        """The estimate, of the shape and dtype of `x`."""
        plain = self.without(x, level)
        return plain + self.weight * (self.told(x, level) - plain)


@dataclass(frozen=True)
class OneByOne:
    """A denoiser that sees one example at a time.

    Networks round otherwise in batches of another size, and a walk of many steps makes a rounding audible.
    """

    denoise: Denoiser

    def __call__(self, x: Tensor, level: Level, /) -> Tensor:
        """The estimate, of the shape and dtype of `x`."""
        return torch.cat([self.denoise(one, level) for one in x.split(1)])  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class IndependentPriors:
    """One denoiser for each stem, each of which sees that stem alone, b 1 ...: ISDM, the weakly supervised prior."""

    denoisers: tuple[Denoiser, ...]

    def __call__(self, x: Tensor, level: Level, /) -> Tensor:
        """The estimate b s ...; raises OptionError where there are not as many stems as denoisers."""
        if x.shape[1] != len(self.denoisers):
            raise OptionError(f"A state of {x.shape[1]} stems met {len(self.denoisers)} independent priors.")
        return torch.cat([one(x[:, i : i + 1], level) for i, one in enumerate(self.denoisers)], dim=1)
