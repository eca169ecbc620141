"""The orthonormal lapped transform (MDCT): a latent of music that is exactly linear and loses nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Literal, Self

import torch
from einops import rearrange
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from ..config import Frozen
from ..errors import AudioError
from .protocol import check_latent, check_sound

QUIETEST_DB = -80.0
"""Bands further below the loudest are scaled as if they were at this level: what is hardly there is not blown up."""


class Lapped(Frozen):
    """MDCT frames centred on blocks of `hop_samples`: frame k is block k, and laps over half of each neighbour.

    Every block boundary inside the sound is folded by a rotation and every block goes through an orthonormal DCT-IV
    (Princen & Bradley 1986; Malvar 1990); nothing is folded at the sound's ends. So a sound of whole blocks has as many
    coefficients as samples, the transform is orthogonal, and any length comes back. Away from the ends, a frame is
    sqrt(2/N) sum_n w_n x_n cos(pi/N (n + 1/2 - N/2)(k + 1/2)) over its 2N samples n: the MDCT whose aliases are even at
    the left and odd at the right (the other common convention has + N/2).
    Coefficients are divided by `scales`, one for each band, the same for all channels. Features are channel by channel,
    d = (c f), f rising. `window_samples`, one hop (no overlap) to two (the default), sets how far blocks lap.
    """

    name: Literal["lapped"] = "lapped"
    sample_rate: int = Field(gt=0)  # Hz
    hop_samples: int = Field(default=512, ge=2, multiple_of=2)
    window_samples: int = Field(default=0, ge=0, multiple_of=2)  # 0 stands for 2 * hop_samples, and becomes that
    window: Literal["sine", "kbd"] = "sine"
    kbd_alpha: float = Field(default=4.0, gt=0.0)  # of the Kaiser-Bessel-derived window
    scales: tuple[Annotated[float, Field(gt=0.0)], ...] | None = None
    audio_channels: int = Field(default=1, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _two_hops(cls, values: object) -> object:
        if not isinstance(values, dict) or values.get("window_samples"):
            return values
        hop = values.get("hop_samples", cls.model_fields["hop_samples"].default)
        return {**values, "window_samples": 2 * hop} if isinstance(hop, int) else values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.hop_samples <= self.window_samples <= 2 * self.hop_samples:
            raise ValueError(
                f"window_samples is {self.window_samples}; wanted one to two hops, "
                f"{self.hop_samples} to {2 * self.hop_samples}"
            )
        if self.scales is not None and len(self.scales) != self.hop_samples:
            raise ValueError(f"{len(self.scales)} scales were given; wanted one for each of {self.hop_samples} bands")
        return self

    @property
    def features(self) -> int:
        """Bands times channels."""
        return self.hop_samples * self.audio_channels

    @property
    def additive(self) -> bool:
        """True."""
        return True

    @property
    def frame_rate(self) -> float:
        """Blocks per second."""
        return self.sample_rate / self.hop_samples

    @property
    def origin(self) -> Tensor:
        """Zeros, d 1."""
        return torch.zeros(self.features, 1)

    def frames(self, length_samples: int, /) -> int:
        """Blocks that cover the sound."""
        return -(-length_samples // self.hop_samples)

    def encode(self, x: Tensor, /) -> Tensor:
        """Scaled coefficients: b c t -> b (c f) n; raises AudioError for another number of channels."""
        check_sound(x, self, self.name)
        coefficients = dct_iv(self._rotated(self._blocks(x), 1.0))
        return rearrange(coefficients / self._scales(x), "b c n f -> b (c f) n")

    def decode(self, z: Tensor, length_samples: int, /) -> Tensor:
        """Sound from scaled coefficients: b (c f) n -> b c t; raises AudioError where the shape does not fit."""
        check_latent(z, length_samples, self, self.name)
        coefficients = rearrange(z, "b (c f) n -> b c n f", c=self.audio_channels) * self._scales(z)
        blocks = self._rotated(dct_iv(coefficients), -1.0)
        return rearrange(blocks, "b c n h -> b c (n h)")[..., :length_samples]

    def fit_scales(self, signals: Iterable[Tensor], *, quietest_db: float = QUIETEST_DB) -> Lapped:
        """The codec with scales under which every band of `signals` (each b c t or c t) has unit RMS.

        Bands more than `quietest_db` below the loudest get the scale of that level. Raises AudioError where there is no
        sound at all.
        """
        plain = self.model_copy(update={"scales": None})
        energy, count = torch.zeros(self.hop_samples, dtype=torch.float64), 0
        for signal in signals:
            x = signal.double() if signal.ndim == 3 else signal.double()[None]
            coefficients = rearrange(plain.encode(x), "b (c f) n -> f (b c n)", c=self.audio_channels)
            energy += coefficients.square().sum(dim=1).cpu()
            count += coefficients.shape[1]
        if not count or not energy.max() > 0 or not torch.isfinite(energy).all():
            raise AudioError(f"The codec 'lapped' cannot measure its scales on {count} frames without finite sound.")
        rms = (energy / count).sqrt()
        floor = rms.max() * 10 ** (quietest_db / 20)
        return self.model_copy(update={"scales": tuple(rms.clamp(min=floor.item()).tolist())})

    def _scales(self, like: Tensor) -> Tensor:
        return like.new_ones(()) if self.scales is None else _tensor(self.scales, like.dtype, like.device)

    def _blocks(self, x: Tensor) -> Tensor:
        length = x.shape[-1]
        padded = functional.pad(x, (0, self.frames(length) * self.hop_samples - length))
        return rearrange(padded, "b c (n h) -> b c n h", h=self.hop_samples)

    def _rotated(self, blocks: Tensor, direction: float) -> Tensor:
        """Mix each boundary's mirror pairs of samples: direction 1 folds, -1 undoes it."""
        reach = (self.window_samples - self.hop_samples) // 2  # samples on each side of a boundary
        if not reach or blocks.shape[-2] < 2:
            return blocks
        slope = _slope(reach, self.window, self.kbd_alpha, blocks.dtype, blocks.device)
        far, near = slope[:reach].flip(0), slope[reach:]  # weights of the mirrored sample and of the sample itself
        left = blocks[..., :-1, -reach:].flip(-1)  # before each boundary, nearest to it first
        right = blocks[..., 1:, :reach]
        # DCT-IV continues evenly over a block's left end and oddly over its right one: hence the signs
        ends = (near * left - direction * far * right).flip(-1)
        starts = near * right + direction * far * left
        starts = torch.cat([blocks[..., :1, :reach], starts], dim=-2)
        ends = torch.cat([ends, blocks[..., -1:, -reach:]], dim=-2)
        return torch.cat([starts, blocks[..., reach : self.hop_samples - reach], ends], dim=-1)


def dct_iv(x: Tensor) -> Tensor:
    """Orthonormal DCT-IV of the last axis, of even size: its own inverse.

    X_k = sqrt(2/N) sum_n x_n cos(pi/N (n + 1/2)(k + 1/2)), by one complex FFT of half the size.
    """
    size = x.shape[-1]
    if not x.numel():
        return x
    turn = _turn(size, x.dtype, x.device)
    packed = torch.complex(x[..., 0::2], x[..., 1::2].flip(-1)) * turn
    y = torch.fft.fft(packed) * turn
    interleaved = torch.stack([y.real, -y.imag.flip(-1)], dim=-1)
    return rearrange(interleaved, "... half two -> ... (half two)") * math.sqrt(2 / size)


@lru_cache(maxsize=16)
def _turn(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """exp(-i pi (n + 1/8) / N) for n < N / 2."""
    with torch.inference_mode(False):  # what is kept must serve training, whoever asked first
        phase = -math.pi / size * (torch.arange(size // 2, dtype=torch.float64) + 1 / 8)
        return torch.polar(torch.ones_like(phase), phase).to(device=device, dtype=dtype.to_complex())


@lru_cache(maxsize=16)
def _slope(reach: int, window: str, kbd_alpha: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The rising half of the window, 2 * reach long, whose squares and their mirror images sum to 1."""
    with torch.inference_mode(False):
        if window == "sine":
            slope = torch.sin(math.pi / (4 * reach) * (torch.arange(2 * reach, dtype=torch.float64) + 0.5))
        else:
            kaiser = torch.kaiser_window(2 * reach + 1, periodic=False, beta=math.pi * kbd_alpha, dtype=torch.float64)
            slope = torch.sqrt(kaiser.cumsum(0)[:-1] / kaiser.sum())
        return slope.to(device=device, dtype=dtype)


@lru_cache(maxsize=16)
def _tensor(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)
