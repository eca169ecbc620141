"""Training losses of a multi-source prior: EDM's squared error, and the likelihoods that a gain head can be held to."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import reduce
from pydantic import Field, model_validator
from torch import Tensor, nn

from sepkit.config import Frozen
from sepkit.diffusion import Level, LogNormalSigma, blend
from sepkit.errors import OptionError
from sepkit.training.draws import Draws, batch_draws

from .config import MsdmConfig
from .latents import encode_stems, energy_of_features, latent_codec
from .walks import Walk, on_the_way, trailing

Batch = Mapping[str, Tensor]
"""`stems` b s c t sound, and where the prior is conditioned `embedding` b e."""

OUTLIER = 16.0  # squared errors beyond so many variances count by their logarithm


class LossWeights(Frozen):
    """The loss is the sum of these terms, each times its weight; terms of weight 0 are not computed.

    `edm`: the squared error under the weighting of Karras et al. 2022, as published. `likelihood` (head `gain`): the
    negative log-likelihood of the clean coefficients as Gaussian with mean g x and variance sigma² g, where g is the
    gain: what a Gaussian of variance v = sigma² g / (1 - g) leaves unknown. It asks for the right gain where it is
    small too, which squared errors hardly notice, and that is what decides how a mixture is shared out. On states of a
    walk (see Walk) it is that of the stems given their sum y, mean y v / sum v. `error`, on a walk only: the energy by
    which these means miss the stems, over the mixture's.
    """

    edm: float = Field(default=1.0, ge=0)
    likelihood: float = Field(default=0.0, ge=0)
    error: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _some(self) -> LossWeights:
        if not (self.edm or self.likelihood):
            raise ValueError("every weight is 0: give edm or likelihood a weight above 0")
        return self


class PriorLoss:
    """The loss on random levels of `sigmas`; levels, noise and walks are drawn by `batch_draws`.

    `resolution` is the error that counts as none in the likelihoods, in units of a coefficient's spread, so that
    digital silence does not ask for infinite certainty. Raises OptionError for a likelihood without a gain head.
    """

    def __init__(
        self,
        config: MsdmConfig,
        weights: LossWeights,
        sigmas: LogNormalSigma,
        walk: Walk = Walk(),  # noqa: B008 - a frozen value
        resolution: float = 0.01,
    ):
        if weights.likelihood and config.head != "gain":
            raise OptionError("The likelihood needs the variances of a head 'gain'; weigh edm alone for 'edm'.")
        if walk.share and not weights.likelihood:
            raise OptionError("States of a walk are learnt by their likelihood: give it a weight, or walk.share=0.")
        self.config, self.weights, self.sigmas, self.walk = config, weights, sigmas, walk
        self.floor = (resolution * config.sigma_data) ** 2
        self.codec = latent_codec(config)
        self.energy = energy_of_features(config)

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad(), torch.autocast(batch["stems"].device.type, enabled=False):
            z = encode_stems(self.codec, batch["stems"].float())
            draws = batch_draws(len(z))
            sigma = torch.as_tensor(draws.levels(self.sigmas).sigma).to(z.device)
        if not self.weights.likelihood:
            return self._edm(network, z, sigma, draws, batch.get("embedding"))
        return self._of_gain(network, z, sigma.to(z), draws, batch.get("embedding"))

    def _edm(self, network: nn.Module, z: Tensor, sigma: Tensor, draws: Draws, embedding: Tensor | None) -> Tensor:
        objective = self.config.objective
        level = Level(torch.ones_like(sigma), sigma, sigma).against(z)
        noise = draws.normal(z.shape).to(z)
        inputs, c_noise = objective.inputs(blend(level, z, noise), level)
        found = network(inputs, torch.as_tensor(c_noise).to(z).flatten(), embedding).float()
        return self.weights.edm * (found - objective.target(z, noise, level)).square().mean()

    def _of_gain(self, network: nn.Module, z: Tensor, sigma: Tensor, draws: Draws, embedding: Tensor | None) -> Tensor:
        def logit(state: Tensor, at: Tensor, prompt: Tensor | None = None) -> Tensor:
            if not len(state):  # the walking items of a batch may all be those of other processes
                return state
            norm = (trailing(at) ** 2 + self.config.sigma_data**2).sqrt()
            found: Tensor = network(state / norm, at.log() / 4, prompt, as_logit=True)
            return found.float()

        walking, place = torch.zeros(len(z), dtype=torch.bool, device=z.device), z
        if self.walk.share:
            chosen = draws.uniform_of_all((len(z),), z.device) < self.walk.share
            walking = chosen[draws.own]
            if chosen.any():
                with torch.no_grad():
                    place = z.clone()
                    place[walking] = on_the_way(z[walking], sigma[walking], self.walk, logit, draws.among(chosen))
        state = place + trailing(sigma) * draws.normal(z.shape).to(z)
        found = logit(state, sigma, embedding)
        terms = torch.where(walking, self._of_walk(found, z, sigma), self._of_noise(found, state, z, sigma))
        return terms.mean()

    def _of_noise(self, logit: Tensor, state: Tensor, z: Tensor, sigma: Tensor) -> Tensor:
        """Stems in noise alone: the loss of each example, b."""
        gain, sigma = torch.sigmoid(logit), trailing(sigma)
        error = (z - gain * state).square()
        total = self.weights.likelihood * self._surprise(error, sigma**2 * gain, sigma)
        if self.weights.edm:
            total = total + self.weights.edm * mean_of_each(error * (sigma**-2 + self.config.sigma_data**-2))
        return total

    def _of_walk(self, logit: Tensor, z: Tensor, sigma: Tensor) -> Tensor:
        """Stems given their sum: the loss of each example, b."""
        shares, mixture = torch.softmax(logit, dim=1), reduce(z, "b s d n -> b 1 d n", "sum")
        error = (z - shares * mixture).square()
        variance = (logit.clamp(max=20.0).exp() * trailing(sigma) ** 2) * (1 - shares)
        total = self.weights.likelihood * self._surprise(error, variance, trailing(sigma))
        if self.weights.error:
            energy = self.energy.to(z)
            whole = reduce(energy * mixture.square(), "b s d n -> b", "sum")
            missed = reduce(energy * error, "b s d n -> b", "sum")
            total = total + self.weights.error * missed / (whole + self.floor)
        return total

    def _surprise(self, error: Tensor, variance: Tensor, sigma: Tensor) -> Tensor:
        """-ln of a Gaussian, up to a constant that depends on sigma alone: b."""
        own = variance + self.floor
        return mean_of_each(bounded(error / own) + (own / (sigma**2 + self.floor)).log()) / 2


def bounded(squares: Tensor) -> Tensor:
    """Squares as they are up to OUTLIER, from there on growing like a logarithm, with one slope where they meet."""
    beyond = OUTLIER * (1 + (squares.clamp(min=OUTLIER) / OUTLIER).log())
    return torch.where(squares < OUTLIER, squares, beyond)


def mean_of_each(x: Tensor) -> Tensor:
    """b s d n -> b."""
    return reduce(x, "b s d n -> b", "mean")
