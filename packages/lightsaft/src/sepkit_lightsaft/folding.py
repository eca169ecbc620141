"""Batch norm folded away for inference: into kernels where both act on channels, into bounds where they do not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Affine:
    """An evaluated batch norm: x -> scale * x + shift per channel, both (c) in float64."""

    scale: Tensor
    shift: Tensor


def affine(norm: nn.BatchNorm2d) -> Affine:
    """The affine map that a batch norm is in evaluation mode."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight.double() / torch.sqrt(variance.double() + norm.eps)
    return Affine(scale, norm.bias.double() - mean.double() * scale)


def fold_conv(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias of the convolution that equals `norm(conv(x))`, in float64.

    The output channel is axis 0 of a convolution's kernel and axis 1 of a transposed one's.
    """
    assert conv.bias is not None
    folded = affine(norm)
    shape = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    return conv.weight.double() * folded.scale.view(shape), conv.bias.double() * folded.scale + folded.shift


@dataclass(frozen=True)
class ClampedNorm:
    """relu(scale * x + shift) written as scale * clamp(x, low, high) + shift, with one bound per channel.

    A linear layer over frequency followed by a norm over channels cannot swallow the norm: they act on different axes.
    In this form the affine part moves past everything that is linear over channels and sums to one, such as the
    attention over latent sources, to where the tensor is small; what stays on the large tensor is one clamp.
    """

    low: Tensor
    high: Tensor
    scale: Tensor
    shift: Tensor


def clamped(norm: nn.BatchNorm2d) -> ClampedNorm:
    """The clamp form of `relu(norm(x))`, all (c) in float64."""
    folded = affine(norm)
    # a scale of exactly zero leaves relu(shift); the tiny stand-in gives the same without dividing by zero
    tiny = torch.full_like(folded.scale, 1e-20)
    scale = torch.where(folded.scale.abs() < tiny, tiny, folded.scale)
    threshold = -folded.shift / scale
    infinity = torch.full_like(scale, torch.inf)
    low = torch.where(scale > 0, threshold, -infinity)
    high = torch.where(scale > 0, infinity, threshold)
    return ClampedNorm(low, high, scale, folded.shift)
