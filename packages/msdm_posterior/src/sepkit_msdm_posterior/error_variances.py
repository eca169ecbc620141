"""How wrong a prior's estimate of each stem is, coefficient by coefficient: measured in a table, or read off itself."""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from sepkit.config import Frozen
from sepkit.diffusion.level import Level, scaled
from sepkit.errors import OptionError


class ErrorVariance(Frozen):
    """The mean squared error of the estimates by stem, band and sigma, as measured on validation songs.

    `values` has stem, band, sigma; between the `sigmas` (rising) ln r² runs straight over ln sigma, and beyond them it
    stays. The bands share out the axis after the stems evenly: one band is any length of it.
    """

    sigmas: tuple[float, ...] = Field(min_length=1)
    values: tuple[tuple[tuple[float, ...], ...], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if any(low >= high for low, high in zip((0.0, *self.sigmas), self.sigmas, strict=False)):
            raise ValueError(f"sigmas are {self.sigmas}; wanted positive and rising")
        if len({len(bands) for bands in self.values}) != 1 or not self.values[0]:
            raise ValueError("values have different numbers of bands; wanted the same, 1 or more, for each stem")
        if any(len(row) != len(self.sigmas) or min(row) <= 0 for bands in self.values for row in bands):
            raise ValueError(f"values need a positive number for each of the {len(self.sigmas)} sigmas")
        return self

    def __call__(self, sigma: float) -> Tensor:
        """r² at `sigma`: s f, with f the bands, float64."""
        known = torch.tensor(self.sigmas, dtype=torch.float64).log()
        table = torch.tensor(self.values, dtype=torch.float64).log()  # s f sigmas
        wanted = torch.tensor(max(sigma, self.sigmas[0]), dtype=torch.float64).log()
        above = int(torch.searchsorted(known, wanted).clamp(max=len(known) - 1))
        below = max(above - 1, 0)
        width = known[above] - known[below]
        share = ((wanted - known[below]) / width).clamp(max=1.0) if width > 0 else torch.zeros(())
        return torch.lerp(table[..., below], table[..., above], share.to(table)).exp()

    def over(self, like: Tensor, sigma: float) -> Tensor:
        """r² at `sigma` for a state b s ...: s d 1 ...; raises OptionError where stems or bands do not fit."""
        stems, length = like.shape[1], like.shape[2]
        measured = self(sigma)
        if len(measured) != stems or measured.shape[1] > length:
            raise OptionError(
                f"The error variances are of {len(measured)} stems and {measured.shape[1]} bands, and the state has "
                f"{stems} stems and {length} coefficients on the axis of bands; calibrate again for this prior."
            )
        band = torch.arange(length) * measured.shape[1] // length
        return measured[:, band].reshape(stems, length, *(1 for _ in like.shape[3:])).to(like)


def gain_variance(x: Tensor, clean: Tensor, level: Level, smooth: tuple[int, ...] = ()) -> Tensor:
    """r² / sigma² of the estimates `clean` (b s ...) of a state, from the share of it that they keep.

    The error variance is sigma² times the derivative of the estimate (Tweedie's formula, second order), and for a
    Gaussian prior of mean 0 the derivative is the gain, sqrt(alpha² clean² / x²), between 0 and 1. Both squares are
    averaged over `smooth` neighbours before they are divided.
    """
    kept, state = _smoothed(scaled(level.alpha, clean) ** 2, smooth), _smoothed(x**2, smooth)
    return torch.where(kept < state, kept / torch.where(state > 0, state, 1.0), (kept > 0).to(kept)).sqrt()


def signal_variance(x: Tensor, clean: Tensor, level: Level, smooth: tuple[int, ...] = ()) -> Tensor:
    """v / sigma² of a prior that holds coefficients to be Gaussian of variance v: g / (1 - g), with its gain g."""
    gain = gain_variance(x, clean, level, smooth)
    return gain / (1 - gain).clamp(min=torch.finfo(gain.dtype).eps)


def power_variance(clean: Tensor, level: Level, smooth: tuple[int, ...] = ()) -> Tensor:
    """r² / sigma² = p / (p + sigma²), with p the estimates' own power `clean`² (b s ...), over `smooth` neighbours."""
    power = _smoothed(clean**2, smooth)
    noise = torch.as_tensor(level.ratio).to(clean) ** 2
    return torch.where(power > 0, power / (power + noise), 0.0)


def shares(variance: Tensor) -> Tensor:
    """variance / its sum over the stems (b s ...); even shares where nothing is uncertain."""
    total = variance.sum(1, keepdim=True)
    return torch.where(total > 0, variance / torch.where(total > 0, total, 1.0), 1 / variance.shape[1])


def _smoothed(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Means over that many neighbours along the last axes, fewer at the edges."""
    for back, size in enumerate(reversed(sizes), start=1):
        if size > 1:
            rows = x.movedim(-back, -1)
            flat = rows.reshape(-1, 1, rows.shape[-1])
            means = functional.avg_pool1d(flat, size, stride=1, padding=size // 2, count_include_pad=False)
            x = means.reshape(rows.shape).movedim(-1, -back)
    return x
