"""Signal-to-distortion ratios of whole signals and of windows, all without filters."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from einops import rearrange
from numpy.typing import NDArray

from ...errors import AudioError
from .signals import Array, checked, energy, inner, pair

MDX_EPSILON = 1e-7  # of the MDX 2021 and SDX 2023 evaluators; Music-Source-Separation-Training uses 1e-8
MSDM_EPSILON = 1e-8

SilenceRule = Literal["museval", "nan"]
"""Windows without a number: those in which any stem is silent, for all stems, or each stem's own silent ones only."""


def sdr_mdx(reference: Any, estimate: Any) -> Array:
    """SDR of the MDX and SDX challenges: one ratio in dB over all channels and samples of the whole track.

    10 log10((sum s^2 + 1e-7) / (sum (s - e)^2 + 1e-7)); reference and estimate: ... c t -> ...
    Higher is better. A silent estimate scores 0 dB and a perfect one a finite value, so a mean over tracks always
    exists. Source: Mitsufuji et al., Music Demixing Challenge 2021 (arXiv 2108.13559), equation 1; Fabbro et al.,
    SDX 2023 (arXiv 2308.06979).
    """
    s, e = pair(reference, estimate)
    signal = energy(s) + MDX_EPSILON
    error = energy(s - e) + MDX_EPSILON
    return np.asarray(10 * np.log10(signal / error))


def si_sdr(reference: Any, estimate: Any, *, epsilon: float = MSDM_EPSILON) -> Array:
    """Scale-invariant SDR in dB, without removing the mean: ... c t -> ...

    10 log10((|a s|^2 + epsilon) / (|a s - e|^2 + epsilon)) with a = (<s, e> + epsilon) / (|s|^2 + epsilon).
    Higher is better. One scale for all channels, so a stereo estimate cannot gain by rebalancing its channels; on mono
    material this is the definition of Le Roux et al., SDR - half-baked or well done? (2019), with MSDM's `epsilon` in
    all ratios. For a silent reference it falls back to 10 log10(epsilon / sum e^2), which is finite but says nothing
    of separation.
    """
    s, e = pair(reference, estimate)
    alpha = (inner(s, e) + epsilon) / (energy(s) + epsilon)
    target = alpha[..., None, None] * s
    return np.asarray(10 * np.log10((energy(target) + epsilon) / (energy(target - e) + epsilon)))


def sdr_bss4(
    references: Any, estimates: Any, *, window_samples: float, hop_samples: float, silent: SilenceRule = "museval"
) -> Array:
    """SDR of BSS Eval v4 in each window, in dB: s c t -> s n, arrays or sequences of s. Higher is better.

    10 log10(|s|^2 / |s - e|^2) over the window and all channels; no filter takes part in this one of the four
    measures, so it needs no other stem either. A perfect window is +inf. `silent="museval"` gives NaN for all stems
    where any reference or estimate is silent (its channels sum to zero at every sample), `silent="nan"` only for the
    stem that is (zero in all channels). The last, incomplete window is dropped; a signal of no more than a window is
    one window.
    Raises AudioError for unequal shapes, for integers as all metrics do, and under "museval" for a stem without any
    sound.
    Source: Vincent et al. (2006); museval 0.4 (Stoter, Liutkus, Ito 2018) for the windows and the silence rule.
    """
    from ..bsseval import sdr_windows  # brings scipy

    s, e = (
        [rearrange(_stem(one, what), "c t -> t c") for one in group]
        for what, group in (("reference", references), ("estimate", estimates))
    )
    return sdr_windows(s, e, window=window_samples, hop=hop_samples, silent=silent)


def _stem(value: Any, what: str) -> NDArray[Any]:
    found = checked(value, what)
    if found.ndim != 2:
        raise AudioError(f"The {what} has the shape {found.shape}; give each stem as channels and samples (c t).")
    return found
