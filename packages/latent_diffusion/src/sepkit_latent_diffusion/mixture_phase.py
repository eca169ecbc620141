"""Back to the mixture's phase: decoded stems as the shares of a mask on the mixture's spectrogram."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

FFT_SECONDS = 0.093  # 2048 samples at 22,050 Hz
SMALLEST = 1e-12  # of all stems' power together, relative to the loudest cell


def masked(stems: Tensor, mixture: Tensor, sample_rate: int, *, exponent: float = 1.0) -> Tensor:
    """The mixture b c t under masks |S_s|^p / sum |S|^p of decoded stems b s c t; the stems sum to the mixture.

    A generated voice need not be in phase with the real one, and a codec changes phases by itself; the mask keeps what
    the decoder says about how much there is of every stem in every cell, and takes all else from the mixture. A cell in
    which no stem sounds is shared equally. Spectrograms have windows of about 93 ms that overlap by three quarters.
    """
    size = _fft_samples(mixture.shape[-1], sample_rate)
    power = _stft(rearrange(stems, "b s c t -> (b s c) t"), size).abs().pow(exponent)
    power = rearrange(power, "(b s c) f n -> b s c f n", b=stems.shape[0], s=stems.shape[1])
    # relative to the loudest: a quiet mixture has no smaller cells than a loud one
    peak = power.amax(dim=(1, 2, 3, 4), keepdim=True)
    power = power + peak * SMALLEST
    total = power.sum(dim=1, keepdim=True)
    mask = torch.where(total > 0, power / torch.where(total > 0, total, 1.0), 1.0 / stems.shape[1])
    spectrum = rearrange(_stft(rearrange(mixture, "b c t -> (b c) t"), size), "(b c) f n -> b 1 c f n", b=len(mixture))
    sounds = _istft(rearrange(mask * spectrum, "b s c f n -> (b s c) f n"), size, mixture.shape[-1])
    return rearrange(sounds, "(b s c) t -> b s c t", b=stems.shape[0], s=stems.shape[1]).to(mixture.dtype)


def _fft_samples(length_samples: int, sample_rate: int) -> int:
    """The power of two nearest to the window's seconds, or less for a sound that is shorter."""
    usual = 2 ** round(torch.log2(torch.tensor(FFT_SECONDS * sample_rate)).item())
    return int(min(usual, max(16, 2 ** (length_samples.bit_length() - 1))))


def _stft(x: Tensor, size: int) -> Tensor:
    window = torch.hann_window(size, dtype=x.dtype, device=x.device)
    return torch.stft(x, size, size // 4, window=window, pad_mode="constant", return_complex=True)


def _istft(spectrum: Tensor, size: int, length_samples: int) -> Tensor:
    window = torch.hann_window(size, dtype=spectrum.real.dtype, device=spectrum.device)
    return torch.istft(spectrum, size, size // 4, window=window, length=length_samples)
