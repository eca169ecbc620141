"""Training losses of cold diffusion: the published error of the perturbation, and terms that small budgets need."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from pydantic import Field, model_validator
from torch import Tensor, nn

from sepkit.config import Frozen
from sepkit.diffusion import Level, blend
from sepkit.errors import OptionError
from sepkit.training.draws import batch_draws

from .config import ColdModel, UNetConfig
from .network import ColdNetwork, padded_samples, whole_band

Batch = dict[str, Tensor]
"""`stems` b s c t waveforms, whose sum is the mixture, and `target` b, which only serves to draw steps evenly."""


class LossWeights(Frozen):
    """The loss is the sum of these terms, each times its weight; terms of weight 0 are not computed.

    `l1`: mean absolute error of the perturbation, what the reference code was trained with; `l2`: its square, the
    paper's Eq. 4. `relative`: error energy of the perturbation *as present in the state* over the state's energy, so
    that steps and quiet passages weigh alike. `cross_entropy` (U-Net): between the fraction of perturbation in each
    bin and the best real one, weighted by the state's magnitude.
    """

    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)
    relative: float = Field(default=0.0, ge=0)
    cross_entropy: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _some(self) -> LossWeights:
        if not (self.l1 or self.l2 or self.relative or self.cross_entropy):
            raise ValueError("every weight is 0: give l1, l2, relative or cross_entropy a weight above 0")
        return self


class ColdLoss:
    """Loss over random steps t ~ U{1..T}, drawn by `batch_draws`; the stems are those of the batch."""

    def __init__(self, model: ColdModel, weights: LossWeights, stems: Sequence[str]):
        if weights.cross_entropy and not isinstance(model.backbone, UNetConfig):
            raise OptionError("cross_entropy compares fractions of bins, which only the U-Net has: weigh l1 instead.")
        missing = [target for target in model.targets if target not in stems and target != "accompaniment"]
        if missing:
            raise OptionError(f"the target {missing[0]!r} is none of the training stems: {', '.join(stems)}.")
        self.model, self.weights, self.stems = model, weights, tuple(stems)

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            mixture, signal = self.mixture_and_signal(batch["stems"])
            mixtures = mixture.repeat(1, len(self.model.targets), 1)
            noise = mixtures - signal if self.model.predicts == "complement" else mixtures
            step = batch_draws(len(mixture)).integers(1, self.model.betas.count + 1, mixture.device)
            alpha_bars = torch.from_numpy(self.model.betas.alpha_bars).float().to(mixture.device)
            alpha_bar = rearrange(alpha_bars[step - 1], "b -> b 1 1")
            noise_scale = (1.0 - alpha_bar).sqrt()
            state = blend(Level(alpha_bar.sqrt(), noise_scale, step), signal, mixtures)  # paper Eq. 2
        if isinstance(self.model.backbone, UNetConfig):
            return self._unet_terms(network, state, mixture, noise, step)
        predicted = network(state, step, mixture)
        with torch.autocast(state.device.type, enabled=False):
            return self._terms(predicted.float(), noise, state, noise_scale)

    def mixture_and_signal(self, stems: Tensor) -> tuple[Tensor, Tensor]:
        """b s c t -> the mixture b c t and the targets b (k c) t, `accompaniment` being all but the vocals."""
        mixture = reduce(stems, "b s c t -> b c t", "sum")
        found = [
            stems[:, self.stems.index(target)]
            if target in self.stems
            else mixture - stems[:, self.stems.index("vocals")]
            for target in self.model.targets
        ]
        return mixture, torch.cat(found, dim=1)

    def _terms(self, predicted: Tensor, noise: Tensor, state: Tensor, level: Tensor) -> Tensor:
        weights, total = self.weights, predicted.new_zeros(())
        error = predicted - noise
        total = total + weights.l1 * error.abs().mean() + weights.l2 * error.square().mean()
        if weights.relative:
            total = total + weights.relative * (energy(level * error) / (energy(state) + 1e-6)).mean()
        return total

    def _unet_terms(self, network: nn.Module, state: Tensor, mixture: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """The same terms on spectrograms, where the U-Net's output is at hand; by Parseval nearly the same numbers."""
        assert isinstance(network, ColdNetwork)
        channels = state.shape[1]
        with torch.no_grad(), torch.autocast(state.device.type, enabled=False):
            shown = torch.cat([state, mixture], dim=1) if self.model.conditioned else state
            padded = padded_samples(state.shape[-1], network.backbone_config) - state.shape[-1]
            spectra = network.spectra(F.pad(torch.cat([shown, noise], dim=1), (0, padded)))
            level = network.noise_of(step)
            shown, wanted = spectra[:, :-channels], level * spectra[:, -channels:]
        logits = network.logits(shown, step)
        with torch.autocast(state.device.type, enabled=False):
            return self._fraction_terms(logits.float(), shown[:, :channels], wanted, level)

    def _fraction_terms(self, logits: Tensor, state: Tensor, wanted: Tensor, level: Tensor) -> Tensor:
        weights, total = self.weights, logits.new_zeros(())
        if weights.l1 or weights.l2 or weights.relative:
            error = whole_band(torch.sigmoid(logits)) * state - wanted
            power = error.real.square() + error.imag.square()
            # per sample of the waveform: a bin of a Hann window has 3/8 n_fft of the energy of white noise
            scale = (0.375 * self.model.backbone.n_fft) ** 0.5  # type: ignore[union-attr]
            total = total + weights.l1 * ((power + 1e-12).sqrt() / level).mean() / scale
            total = total + weights.l2 * (power / level.square()).mean() / scale**2
            whole = reduce(state.real.square() + state.imag.square(), "b c f n -> b", "sum")
            total = total + weights.relative * (reduce(power, "b c f n -> b", "sum") / (whole + 1e-6)).mean()
        if weights.cross_entropy:
            total = total + weights.cross_entropy * fraction_cross_entropy(logits, state, wanted)
        return total


def fraction_cross_entropy(logits: Tensor, state: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy between the fraction and the best real one, weighted by the state's magnitude per item.

    The best fraction of a bin, Re(wanted conj(state)) / |state|^2 clipped to 0..1, minimises |fraction state - wanted|.
    logits b c n f; state and wanted b c f n, with one bin more.
    """
    state, wanted = (rearrange(spec[:, :, :-1], "b c f n -> b c n f") for spec in (state, wanted))
    power = state.real.square() + state.imag.square()
    best = ((state.real * wanted.real + state.imag * wanted.imag) / (power + 1e-12)).clamp(0, 1)
    weight = power.sqrt()
    weight = weight / (reduce(weight, "b c n f -> b 1 1 1", "mean") + 1e-6)
    return (F.binary_cross_entropy_with_logits(logits, best, reduction="none") * weight).mean()


def energy(x: Tensor) -> Tensor:
    """Sum of squares per item: b c t -> b."""
    return reduce(x.square(), "b c t -> b", "sum")
