"""Channel counts made to fit: changing an audio's own, and sharing any number out to a model of fixed width."""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor

from .errors import AudioError


def remix(samples: Tensor, channels: int) -> Tensor:
    """c t -> `channels` t: one channel is copied to all, several are averaged into one, equal counts are kept.

    Raises AudioError for anything between, which has no single right answer.
    """
    given = len(samples)
    if channels == given:
        return samples
    if channels == 1:
        return samples.mean(dim=0, keepdim=True)
    if given == 1 and channels > 1:
        return repeat(samples, "1 t -> c t", c=channels)
    raise AudioError(
        f"{given} channels cannot be remixed to {channels}: only to 1 (their mean), or from 1 (copies). "
        "Pick or weight the channels yourself: Audio(weights @ audio.samples, audio.sample_rate)."
    )


def group_channels(samples: Tensor, model_channels: int) -> Tensor:
    """Share channels out to a model of `model_channels`: c t -> g m t, in order.

    The last group, if incomplete, is filled with copies of its last channel: six channels become three stereo
    pairs, one channel becomes a stereo pair of twins, and a mono model gets every channel on its own.
    """
    missing = -len(samples) % model_channels
    copies = repeat(samples[-1], "t -> k t", k=missing)
    return rearrange(torch.cat([samples, copies]), "(g m) t -> g m t", m=model_channels)


def ungroup(groups: Tensor, channels: int) -> Tensor:
    """Undo `group_channels` on a model's output: g ... m t -> ... c t; the copies of a channel are averaged."""
    joined = rearrange(groups, "g ... m t -> ... (g m) t")
    kept, copies = joined[..., : channels - 1, :], joined[..., channels - 1 :, :]
    return torch.cat([kept, copies.mean(dim=-2, keepdim=True)], dim=-2)
