"""Multichannel Wiener filtering of stem estimates with norbert (Liutkus and Stöter)."""

from __future__ import annotations

import norbert
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

MAX_FFT_SAMPLES = 4096


def wiener_filter(stems: Tensor, mixture: Tensor, *, iterations: int = 1) -> Tensor:
    """Stems b s c t re-estimated from the mixture b c t with their spectrograms as source models.

    Each item is brought to a peak of one first and scaled back after, so the result does not depend on the level
    (norbert's regularisation is absolute). A silent mixture gives silent stems. Writes into neither argument.
    """
    pairs = zip(stems, mixture, strict=True)
    return torch.stack([_filtered(estimate, signal, iterations) for estimate, signal in pairs])


def _filtered(stems: Tensor, mixture: Tensor, iterations: int) -> Tensor:
    peak = mixture.abs().max().double()
    if not peak > 0:
        return torch.zeros_like(stems)
    length_samples = mixture.shape[-1]
    spectrum = _stft(mixture.double() / peak)  # c f n
    estimates = _stft(rearrange(stems.double() / peak, "s c t -> (s c) t"))
    magnitudes = rearrange(estimates.abs(), "(s c) f n -> n f c s", c=mixture.shape[0])
    # norbert rescales the mixture in place on loud signals: these arrays are ours, and nobody reads them after it.
    filtered = norbert.wiener(
        np.ascontiguousarray(magnitudes.numpy()),
        np.ascontiguousarray(rearrange(spectrum, "c f n -> n f c").numpy()),
        iterations=iterations,
        use_softmask=True,
    )
    wanted = torch.from_numpy(np.ascontiguousarray(np.transpose(filtered, (3, 2, 1, 0))))  # s c f n
    signals = _istft(rearrange(wanted, "s c f n -> (s c) f n"), length_samples)
    return rearrange(signals * peak, "(s c) t -> s c t", c=mixture.shape[0]).to(stems.dtype)


def _fft_samples(length_samples: int) -> int:
    """4096, or for a short window the power of two that it fills."""
    return int(min(MAX_FFT_SAMPLES, max(16, 2 ** (length_samples.bit_length() - 1))))


def _stft(signal: Tensor) -> Tensor:
    size = _fft_samples(signal.shape[-1])
    window = torch.hann_window(size, dtype=signal.dtype)
    return torch.stft(signal, size, size // 4, window=window, pad_mode="constant", return_complex=True)


def _istft(spectrum: Tensor, length_samples: int) -> Tensor:
    size = _fft_samples(length_samples)
    window = torch.hann_window(size, dtype=torch.float64)
    return torch.istft(spectrum, size, size // 4, window=window, length=length_samples)
