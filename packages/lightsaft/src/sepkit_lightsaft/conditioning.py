"""GPoCM: gated point-wise convolutional modulation, whose weights a small network generates from the stem."""

from __future__ import annotations

from itertools import pairwise

import torch
from einops import einsum, rearrange
from torch import Tensor, nn


class ModulationGenerator(nn.Module):
    """Stem embedding -> one point-wise convolution (gamma, beta) per decoder.

    b d -> gamma b i c o (i decoder, c input channel, o output channel), beta b i o. Layers after the first have
    dropout and batch norm; the norms over conditions need different stems in a training batch.
    """

    def __init__(self, embedding_dim: int, layers: int, decoders: int, channels: int):
        super().__init__()
        self.decoders, self.channels = decoders, channels
        widths = [embedding_dim * 2**j for j in range(layers)]
        control: list[nn.Module] = [nn.Linear(widths[0], widths[1]), nn.ReLU()]
        for a, b in pairwise(widths[1:]):
            control += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(b)]
        self.control = nn.Sequential(*control)
        self.gamma = nn.Sequential(
            nn.Linear(widths[-1], decoders * channels**2), nn.BatchNorm1d(decoders * channels**2, affine=False)
        )
        self.beta = nn.Sequential(
            nn.Linear(widths[-1], decoders * channels), nn.BatchNorm1d(decoders * channels, affine=False)
        )

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        control = self.control(embedding)
        gamma = rearrange(self.gamma(control), "b (i c o) -> b i c o", i=self.decoders, c=self.channels)
        beta = rearrange(self.beta(control), "b (i o) -> b i o", i=self.decoders)
        return gamma, beta


def modulate(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Gate x by its point-wise convolution: sigmoid(x * gamma + beta) * x; x b c n f, gamma b c o, beta b o."""
    gate = einsum(x, gamma, "b c n f, b c o -> b o n f") + rearrange(beta, "b o -> b o 1 1")
    return torch.sigmoid(gate) * x
