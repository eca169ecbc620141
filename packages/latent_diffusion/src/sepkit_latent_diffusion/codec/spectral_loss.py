"""How far a decoded sound is from the original: in its samples, and in spectrograms of several resolutions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange, reduce
from pydantic import Field
from torch import Tensor

from sepkit.config import Frozen

LEAST_POWER = 1e-6  # of a spectrogram's cell, in sounds that are near an RMS of 1
LEAST_ENERGY = 1e-4  # of a sample or a cell, in the mean: what is quieter counts as little quieter than this
BEST_RATIO = 1e-4  # 40 dB: what is better counts no more


class SpectralLossConfig(Frozen):
    """Weights of the parts, and the sizes of the spectrograms in samples; hops are quarters of them."""

    waveform: float = Field(default=2.0, ge=0)
    spectrogram: float = Field(default=1.0, ge=0)
    sizes: tuple[int, ...] = Field(default=(2048, 1024, 512, 256), min_length=1)


class Distances(NamedTuple):
    """Each b: the error's energy to the sound's in units of 10 dB, and the error of magnitudes (0: none)."""

    waveform: Tensor
    spectrogram: Tensor

    def total(self, config: SpectralLossConfig) -> Tensor:
        """The weighted sum, b."""
        return config.waveform * self.waveform + config.spectrogram * self.spectrogram


def distances(x: Tensor, y: Tensor, sizes: tuple[int, ...]) -> Distances:
    """Between sounds x and their estimates y, b c t.

    `waveform` is log10(error energy / energy), in which the worst sound of a batch counts no more than the best.
    `spectrogram` is the mean over sizes of spectral convergence plus the mean distance of log magnitudes (Yamamoto et
    al. 2020, "Parallel WaveGAN", equations 4 and 5).
    """
    floor = LEAST_ENERGY * x[0].numel()
    energy = reduce(x.square(), "b c t -> b", "sum") + floor
    error = reduce((x - y).square(), "b c t -> b", "sum")
    spectral = [_magnitude_distance(x, y, size) for size in sizes if size <= x.shape[-1]]
    found = torch.stack(spectral).mean(dim=0) if spectral else torch.zeros_like(energy)
    return Distances((error / energy + BEST_RATIO).log10(), found)


def _magnitude_distance(x: Tensor, y: Tensor, size: int) -> Tensor:
    power_x, power_y = _power(x, size), _power(y, size)
    size_x, size_y = power_x.sqrt(), power_y.sqrt()
    difference = reduce((size_x - size_y).square(), "b ... -> b", "sum").sqrt()
    energy = reduce(power_x, "b ... -> b", "sum") + LEAST_ENERGY * power_x[0].numel()
    convergence = difference / energy.sqrt()
    logs = reduce((power_x.log() - power_y.log()).abs() / 2, "b ... -> b", "mean")
    return convergence + logs


def _power(x: Tensor, size: int) -> Tensor:
    window = torch.hann_window(size, dtype=x.dtype, device=x.device)
    spectrum = torch.stft(rearrange(x, "b c t -> (b c) t"), size, size // 4, window=window, return_complex=True)
    power = (spectrum.real.square() + spectrum.imag.square()) / size
    return rearrange(power, "(b c) f n -> b c f n", b=len(x)).clamp(min=LEAST_POWER)
