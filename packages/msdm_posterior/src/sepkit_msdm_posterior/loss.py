"""Training losses of a multi-source prior: EDM's squared error, and the likelihood that a gain head can be held to."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from sepkit.config import Frozen
from sepkit.diffusion import LogNormalSigma, blend
from sepkit.errors import OptionError

from .config import MsdmConfig
from .latents import encode_stems, latent_codec

Batch = Mapping[str, Tensor]
"""`stems` b s c t sound, and where the prior is conditioned `embedding` b e."""

OUTLIER = 16.0  # squared errors beyond so many variances count by their logarithm


class LossWeights(Frozen):
    """The loss is the sum of these terms, each times its weight; terms of weight 0 are not computed.

    `edm`: the squared error under the weighting of Karras et al. 2022, as published. `likelihood` (head `gain`): the
    negative log-likelihood of the clean coefficients as Gaussian with mean g x and variance sigma² g, where g is the
    gain: what a Gaussian of variance v = sigma² g / (1 - g) leaves unknown. It asks for the right gain where it is
    small too, which squared errors hardly notice, and that is what decides how a mixture is shared out.
    """

    edm: float = Field(default=1.0, ge=0)
    likelihood: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _some(self) -> LossWeights:
        if not (self.edm or self.likelihood):
            raise ValueError("every weight is 0: give edm or likelihood a weight above 0")
        return self


class PriorLoss:
    """The loss on random levels of `sigmas`; levels and noise are drawn from torch's global random state.

    `resolution` is the error that counts as none in the likelihood, in units of a coefficient's spread, so that
    digital silence does not ask for infinite certainty. Raises OptionError for a likelihood without a gain head.
    """

    def __init__(self, config: MsdmConfig, weights: LossWeights, sigmas: LogNormalSigma, resolution: float = 0.01):
        if weights.likelihood and config.head != "gain":
            raise OptionError("The likelihood needs the variances of a head 'gain'; weigh edm alone for 'edm'.")
        self.config, self.weights, self.sigmas, self.resolution = config, weights, sigmas, resolution
        self.codec = latent_codec(config)

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        objective = self.config.objective
        with torch.no_grad(), torch.autocast(batch["stems"].device.type, enabled=False):
            z = encode_stems(self.codec, batch["stems"].float())
            level = self.sigmas.random(len(z), torch.default_generator).against(z)
            noise = torch.randn(z.shape).to(z)
            state = blend(level, z, noise)
            inputs, c_noise = objective.inputs(state, level)
            times = torch.as_tensor(c_noise, dtype=torch.float32, device=z.device).flatten()
            sigma = torch.as_tensor(level.sigma).to(z)
        if not self.weights.likelihood:
            found = network(inputs, times, batch.get("embedding")).float()
            return self.weights.edm * (found - objective.target(z, noise, level)).square().mean()
        logit = network(inputs, times, batch.get("embedding"), as_logit=True).float()
        with torch.autocast(z.device.type, enabled=False):
            return self._of_gain(logit, state, z, sigma)

    def _of_gain(self, logit: Tensor, state: Tensor, z: Tensor, sigma: Tensor) -> Tensor:
        gain = torch.sigmoid(logit)
        error = (z - gain * state).square()
        total = error.new_zeros(())
        if self.weights.edm:
            own = self.config.sigma_data
            total = total + self.weights.edm * (error * (sigma**-2 + own**-2)).mean()
        floor = (self.resolution * self.config.sigma_data) ** 2
        variance = sigma**2 * gain + floor
        surprise = bounded(error / variance) + (variance / (sigma**2 + floor)).log()
        return total + self.weights.likelihood * surprise.mean() / 2


def bounded(squares: Tensor) -> Tensor:
    """Squares as they are up to OUTLIER, from there on growing like a logarithm, with one slope where they meet."""
    beyond = OUTLIER * (1 + (squares.clamp(min=OUTLIER) / OUTLIER).log())
    return torch.where(squares < OUTLIER, squares, beyond)
