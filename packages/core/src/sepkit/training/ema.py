"""Exponential moving average of a network's weights: what validation sees and what ships."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Ema:
    """A shadow copy of `network` that follows its weights slowly.

    The decay grows with the step as (1 + step) / (10 + step) up to `decay`, so that early averages are not dominated
    by the initial weights. Buffers that are not floats (counters) are copied.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the shadow towards `network` after optimiser step `step` (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for shadow, current in zip(self._tensors(self.network), self._tensors(network), strict=True):
            if shadow.is_floating_point():
                shadow.lerp_(current.to(shadow.dtype), 1 - decay)
            else:
                shadow.copy_(current)

    @staticmethod
    def _tensors(network: nn.Module) -> list[Tensor]:
        return [*network.parameters(), *network.buffers()]
