"""What is measured of a codec's latents before training: how large each feature is, and how much it is heard."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from einops import reduce
from torch import Tensor

from sepkit.codecs import Codec, bound_to
from sepkit.errors import AudioError

SMALLEST = 1e-3  # of a feature's size, relative to the largest: a feature that hardly moves is not blown up
DISTURBANCE = 0.1  # of a feature's size, when asking how much it is heard
FEATURES_AT_ONCE = 16
HEARD_FRAMES = 24  # of the latent that is disturbed


def feature_sizes(latents: Iterable[Tensor]) -> Tensor:
    """The RMS of each feature over centred latents b d n, d; features that hardly move count as a thousandth.

    Targets and mixtures are to be measured alike: they share one unit, so that a share of a mixture can be a target.
    Raises AudioError for latents that are all zero.
    """
    total, count = torch.zeros(()), 0
    for latent in latents:
        total = total + reduce(latent.double().square(), "b d n -> d", "sum").cpu()
        count += latent.shape[0] * latent.shape[2]
    rms = (total / max(count, 1)).sqrt()
    if not rms.max() > 0:
        raise AudioError(f"The sizes of a codec's features cannot be measured on {count} frames of silence.")
    return rms.clamp(min=SMALLEST * float(rms.max())).float()


@torch.no_grad()
def feature_importance(codec: Codec, latent: Tensor, sizes: Tensor) -> Tensor:
    """How much each feature is heard, d, mean 1: the energy by which the sound changes when the feature is disturbed.

    `latent` 1 d n, the codec's own, is disturbed where it is loudest, one feature at a time, by noise of a tenth of the
    feature's size. The noise is the same for every feature. For an orthonormal codec this is the square of the size.
    """
    loudest = int(reduce(latent.square(), "1 d n -> n", "sum").argmax())
    first = max(0, min(loudest - HEARD_FRAMES // 2, latent.shape[-1] - HEARD_FRAMES))
    latent = latent[..., first : first + HEARD_FRAMES]
    length = _length_of(codec, latent.shape[-1])
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(latent.shape[-1], generator=generator).to(latent)
    level = torch.randn(1, codec.audio_channels, length, generator=generator).to(latent)
    bound = bound_to(codec, level)
    plain = bound.decode(latent, length)
    heard = []
    for begin in range(0, codec.features, FEATURES_AT_ONCE):
        chosen = torch.arange(begin, min(begin + FEATURES_AT_ONCE, codec.features))
        steps = DISTURBANCE * sizes[chosen].to(latent)
        disturbed = latent.repeat(len(chosen), 1, 1)
        disturbed[torch.arange(len(chosen)), chosen] += steps[:, None] * noise
        change = bound.decode(disturbed, length) - plain
        heard.append(reduce(change.square(), "b c t -> b", "mean"))
    found = torch.cat(heard).float().cpu()
    return found / found.mean().clamp(min=1e-30)


def _length_of(codec: Codec, frames: int) -> int:
    """A length in samples that has so many frames."""
    length = frames * codec.hop_samples
    while codec.frames(length) > frames:
        length -= 1
    return length
