"""Between waveforms and what the network reads and writes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .config import LightSaftConfig


def stft(x: Tensor, config: LightSaftConfig) -> Tensor:
    """Waveform b c t -> complex spectrogram b c f n: periodic Hann window, centred, reflected, not normalised."""
    window = torch.hann_window(config.n_fft, dtype=x.dtype, device=x.device)
    flat = rearrange(x, "b c t -> (b c) t")
    spec = torch.stft(flat, config.n_fft, config.hop_samples, window=window, center=True, return_complex=True)
    return rearrange(spec, "(b c) f n -> b c f n", b=x.shape[0])


def istft(spec: Tensor, length_samples: int, config: LightSaftConfig) -> Tensor:
    """Complex spectrogram b c f n -> waveform b c t, the inverse of `stft` up to float error."""
    window = torch.hann_window(config.n_fft, dtype=spec.real.dtype, device=spec.device)
    flat = rearrange(spec, "b c f n -> (b c) f n")
    x = torch.istft(flat, config.n_fft, config.hop_samples, window=window, center=True, length=length_samples)
    return rearrange(x, "(b c) t -> b c t", b=spec.shape[0])


def features(spec: Tensor, config: LightSaftConfig) -> Tensor:
    """Complex spectrogram b c f n -> what the network reads, b k n f.

    `complex`: channel order re_L, re_R, im_L, im_R as in the reference. `log_magnitude`: log of the magnitude of each
    channel and, for stereo, of mid and side, scaled to about unit range.
    """
    if config.features == "complex":
        return rearrange(torch.view_as_real(spec), "b c f n r -> b (r c) n f")
    if config.audio_channels == 2:
        left, right = spec[:, 0], spec[:, 1]
        spec = torch.stack([left, right, (left + right) / 2, (left - right) / 2], dim=1)
    spec = spec[:, :, : config.frequencies + 1]
    # |X| of full-scale music reaches some hundreds; 1e-3 sits near 16-bit noise. Squares avoid hypot's cost.
    power = spec.real.square() + spec.imag.square()
    return rearrange(torch.log10(power + 1e-6) / 4.0, "b k f n -> b k n f")


def estimate(output: Tensor, mixture: Tensor, config: LightSaftConfig) -> Tensor:
    """Network output b k n f and the mixture's spectrogram b c f n -> the stem's complex spectrogram b c f n.

    `masking`: bins above those the network saw take the mean gain of its top sixteenth, frame by frame.
    """
    if config.output == "mapping":
        return torch.view_as_complex(rearrange(output, "b (r c) n f -> b c f n r", r=2).contiguous())
    gain = rearrange(torch.sigmoid(output), "b c n f -> b c f n")
    missing = mixture.shape[2] - gain.shape[2]
    if missing:
        top = gain[:, :, -max(config.frequencies // 16, 1) :].mean(dim=2, keepdim=True)
        gain = torch.cat([gain, top.expand(-1, -1, missing, -1)], dim=2)
    return gain * mixture


def padded_for_stft(x: Tensor, config: LightSaftConfig) -> Tensor:
    """Zero-pad b c t so that reflection has enough samples: at least n_fft // 2 + 1."""
    return F.pad(x, (0, max(0, config.n_fft // 2 + 1 - x.shape[-1])))
