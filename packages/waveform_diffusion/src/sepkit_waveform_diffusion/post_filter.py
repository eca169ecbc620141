"""The paper's post-filter: one Wiener step over two sources, recombined with the estimates' own phases."""

from __future__ import annotations

import norbert
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

N_FFT, HOP_SAMPLES = 2048, 512


def two_stem_wiener(stems: Tensor, mixture: Tensor) -> Tensor:
    """Stems b s c t and mixture b c t -> filtered stems b s c t, channel by channel.

    norbert's EM filter, one iteration from a soft mask, on a 2048-sample Hann STFT with hop 512; only its magnitudes
    are kept, with the phases of the estimates themselves (ISMIR 2022 paper and code). Writes into no argument.
    """
    length_samples = mixture.shape[-1]
    if length_samples <= N_FFT // 2:  # too short to be reflected
        return stems
    window = torch.hann_window(N_FFT, dtype=torch.float64, device=mixture.device)

    def spectra(x: Tensor) -> Tensor:
        return torch.stft(x.double(), N_FFT, HOP_SAMPLES, window=window, return_complex=True)

    count, channels = stems.shape[1], stems.shape[2]
    of_stems = spectra(rearrange(stems, "b s c t -> (b s c) t"))
    of_mixture = spectra(rearrange(mixture, "b c t -> (b c) t"))
    grouped = rearrange(of_stems, "(b s c) f n -> (b c) n f 1 s", s=count, c=channels)
    magnitudes = np.stack(
        [
            _filtered(np.ascontiguousarray(v.abs().cpu().numpy()), np.ascontiguousarray(x.T[..., None].cpu().numpy()))
            for v, x in zip(grouped, of_mixture, strict=True)
        ]
    )  # (b c) n f 1 s
    found = rearrange(torch.from_numpy(magnitudes), "(b c) n f 1 s -> (b s c) f n", c=channels).to(mixture.device)
    signals = torch.istft(
        torch.polar(found, of_stems.angle()), N_FFT, HOP_SAMPLES, window=window, length=length_samples
    )
    return rearrange(signals, "(b s c) t -> b s c t", s=count, c=channels).to(stems.dtype)


def _filtered(magnitudes: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """|filtered| n f 1 s; a silent mixture stays silent. norbert rescales the mixture in place: it is our own copy."""
    if not np.abs(mixture).max() > 0:
        return np.zeros_like(magnitudes)
    return np.abs(norbert.wiener(magnitudes, mixture.astype(np.complex128), iterations=1, use_softmask=True))
