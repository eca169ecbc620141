"""Training losses on spectrograms: the published mean squared error, the error in dB, and the gain's cross-entropy."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from pydantic import Field, model_validator
from torch import Tensor, nn

from sepkit.config import Frozen
from sepkit.errors import OptionError
from sepkit.training.equaliser import equaliser_gains

from .config import LightSaftConfig
from .spectrum import estimate, features, stft

Batch = dict[str, Tensor]
"""`stems` b s c t waveforms; `target` b, the index of the stem asked for; `equaliser_db` b s k, gains on a log axis."""


def equaliser(points_db: Tensor, config: LightSaftConfig) -> Tensor:
    """Gains in dB at k frequencies evenly spaced in octaves, 40 Hz to Nyquist: ... k -> linear gain per bin ... f."""
    hertz = torch.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1, device=points_db.device)
    return equaliser_gains(points_db, hertz)


class LossWeights(Frozen):
    """The loss is the sum of these terms, each times its weight; terms of weight 0 are not computed.

    `mse`: mean squared error of the complex spectrogram (the published loss).
    `decibel`: 10 log10 of the error energy over the stem's energy, per example, both raised by `floor` times the
    mixture's energy: every example weighs alike however quiet its stem is, and a silent stem asks for silence. Alone
    it drives a fresh masking net into silence, where the sigmoid has no slope.
    `relative`: error energy over the mixture's energy, per example: loud stems weigh more, as they do in a score of
    whole songs, which keeps levels right.
    `cross_entropy`: see `gain_cross_entropy`; masking only.
    """

    mse: float = Field(default=0.0, ge=0)
    decibel: float = Field(default=0.0, ge=0)
    relative: float = Field(default=0.0, ge=0)
    cross_entropy: float = Field(default=0.0, ge=0)
    floor: float = Field(default=1e-3, gt=0)

    @model_validator(mode="after")
    def _some(self) -> LossWeights:
        if not (self.mse or self.decibel or self.relative or self.cross_entropy):
            raise ValueError("every weight is 0: give mse, decibel, relative or cross_entropy a weight above 0")
        return self


class SpectrogramLoss:
    """Loss of one stem per example, the batch's `target`; the mixture is the sum of the example's stems."""

    def __init__(self, config: LightSaftConfig, weights: LossWeights):
        if weights.cross_entropy and config.output != "masking":
            raise OptionError(
                "cross_entropy compares gains, and this network maps: weigh mse, decibel or relative instead."
            )
        self.config, self.weights = config, weights

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        stems, target = batch["stems"], batch["target"]
        with torch.no_grad(), torch.autocast(stems.device.type, enabled=False):
            specs = rearrange(
                stft(rearrange(stems, "b s c t -> (b s) c t"), self.config), "(b s) c f n -> b s c f n", b=len(stems)
            )
            if "equaliser_db" in batch:
                specs = specs * rearrange(equaliser(batch["equaliser_db"], self.config), "b s f -> b s 1 f 1")
            mixture = reduce(specs, "b s c f n -> b c f n", "sum")
            seen = features(mixture, self.config).contiguous(memory_format=torch.channels_last)
            wanted = self.wanted(specs, mixture, seen, target)
        output = network(seen, target)
        with torch.autocast(stems.device.type, enabled=False):
            return self._terms(output.float(), mixture, wanted)

    def wanted(self, specs: Tensor, mixture: Tensor, seen: Tensor, target: Tensor) -> Tensor:
        """What the network should find: the target's spectrogram b c f n, out of those of all stems b s c f n."""
        del mixture, seen
        return specs[torch.arange(len(specs), device=target.device), target]

    def _terms(self, output: Tensor, mixture: Tensor, wanted: Tensor) -> Tensor:
        weights, total = self.weights, output.new_zeros(())
        if weights.mse or weights.decibel or weights.relative:
            error, whole = energy(estimate(output, mixture, self.config) - wanted), energy(mixture)
            total = total + weights.mse * error.sum() / (2 * wanted.numel())
            total = total + weights.relative * (error / (whole + 1e-6)).mean()
            floor = weights.floor * whole + 1e-6
            total = total + weights.decibel * (10 * torch.log10((error + floor) / (energy(wanted) + floor))).mean()
        if weights.cross_entropy:
            total = total + weights.cross_entropy * gain_cross_entropy(output, mixture, wanted)
        return total


def gain_cross_entropy(logits: Tensor, mixture: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy between the gain and the best real gain, weighted by the mixture's magnitude per example.

    The best real gain of a bin, Re(wanted * conj(mixture)) / |mixture|^2, minimises |gain * mixture - wanted|; it is
    clipped to 0..1. The gradient in the logits is a plain difference, so it does not vanish where the gain saturates.
    logits b c n f (the lowest bins of) mixture and wanted b c f n.
    """
    count = logits.shape[3]
    mixture, wanted = (rearrange(spec[:, :, :count], "b c f n -> b c n f") for spec in (mixture, wanted))
    power = mixture.real.square() + mixture.imag.square()
    best = ((mixture.real * wanted.real + mixture.imag * wanted.imag) / (power + 1e-12)).clamp(0, 1)
    weight = power.sqrt()
    weight = weight / (reduce(weight, "b c n f -> b 1 1 1", "mean") + 1e-6)
    return (F.binary_cross_entropy_with_logits(logits, best, reduction="none") * weight).mean()


def energy(spec: Tensor) -> Tensor:
    """Sum of squared magnitudes per example: b c f n -> b."""
    return reduce(spec.real.square() + spec.imag.square(), "b c f n -> b", "sum")
