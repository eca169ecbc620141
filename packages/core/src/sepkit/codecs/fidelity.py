"""How well a codec can do at all: the score of encode and decode, to be told with every score in its latents."""

from __future__ import annotations

import torch
from torch import Tensor

from .protocol import Codec, bound_to


def round_trip(codec: Codec, x: Tensor, *, like: Tensor | None = None) -> Tensor:
    """Encode and decode sound (b c t) without gradients, at the levels of `like` (b c t), or else at its own."""
    with torch.no_grad():
        bound = bound_to(codec, x if like is None else like)
        return bound.decode(bound.encode(x), x.shape[-1])


def ceiling(codec: Codec, x: Tensor, *, like: Tensor | None = None) -> Tensor:
    """SI-SDR in dB of encode and decode: b c t -> b, float64; no separation in these latents is expected to beat it.

    Any method that ends in `decode` is bounded by what decode can say; a codec that loses nothing gives the metric's
    own limit, some 100 dB and more. `like` is the mixture where a normalising codec encodes stems at the mixture's
    levels. The metric is `sepkit.evaluation.metrics.si_sdr`; raises AudioError for what it refuses.
    """
    from ..evaluation.metrics import si_sdr

    decoded = round_trip(codec, x, like=like)
    return torch.from_numpy(si_sdr(x.detach().double().cpu().numpy(), decoded.double().cpu().numpy()))
