"""After decoding: the mixture's phase where a codec invents its own, and what the stems leave given back to them."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from sepkit.filters.consistency import total, uniform

from .settings import Phase, Rest

WINDOW_SAMPLES = 2048
TINY = 1e-20  # of a power, beside which nothing counts


def hold_to_mixture(stems: Tensor, mixture: Tensor, *, phase: Phase, rest: Rest) -> Tensor:
    """Decoded stems b s c t as they are handed out for the mixture b c t.

    `phase` "mixture" keeps their magnitudes only, as a ratio mask on the mixture. `rest` "local" shares out what they
    leave of it by their power at each time and frequency, "equal" evenly, "leave" not at all; after the first two the
    stems sum to the mixture to float precision.
    """
    if phase == "mixture":
        stems = masked(stems, mixture)
    if rest == "local":
        left = mixture - total(stems)
        stems = stems + shared_out(left, stems)
    return uniform(stems, mixture) if rest != "leave" else stems


def masked(stems: Tensor, mixture: Tensor) -> Tensor:
    """The mixture b c t through the ratio mask of the stems' magnitudes: b s c t."""
    return _through(_spectrum(stems).abs(), mixture)


def shared_out(left: Tensor, stems: Tensor) -> Tensor:
    """`left` b c t by the stems' share of the power at each time and frequency: b s c t."""
    return _through(_spectrum(stems).abs().square(), left)


def _through(weights: Tensor, sound: Tensor) -> Tensor:
    """Sound b c t times weights / their sum over the stems (b s c f n): b s c t; even shares where there are none."""
    whole = weights.sum(dim=1, keepdim=True)
    shares = torch.where(whole > TINY, weights / whole.clamp(min=TINY), 1.0 / weights.shape[1])
    return _sound(shares * _spectrum(sound[:, None]), sound.shape[-1])


def _spectrum(sound: Tensor) -> Tensor:
    """b s c t -> b s c f n."""
    window = torch.hann_window(WINDOW_SAMPLES, dtype=sound.dtype, device=sound.device)
    found = torch.stft(
        rearrange(sound, "b s c t -> (b s c) t"), WINDOW_SAMPLES, WINDOW_SAMPLES // 4, window=window,
        pad_mode="constant", return_complex=True,
    )  # fmt: skip
    return rearrange(found, "(b s c) f n -> b s c f n", b=sound.shape[0], s=sound.shape[1])


def _sound(spectrum: Tensor, length_samples: int) -> Tensor:
    window = torch.hann_window(WINDOW_SAMPLES, dtype=spectrum.real.dtype, device=spectrum.device)
    flat = rearrange(spectrum, "b s c f n -> (b s c) f n")
    found = torch.istft(flat, WINDOW_SAMPLES, WINDOW_SAMPLES // 4, window=window, length=length_samples)
    return rearrange(found, "(b s c) t -> b s c t", b=spectrum.shape[0], s=spectrum.shape[1])
