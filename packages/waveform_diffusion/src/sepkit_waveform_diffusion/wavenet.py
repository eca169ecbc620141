"""The DiffWave network of the cold-diffusion paper: dilated gated convolutions conditioned on the step."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .config import WaveNetConfig


def step_embedding(step: Tensor, size: int) -> Tensor:
    """Sines, then cosines, of the step times 10^(4 i / (size/2 - 1)): integer b (1..T) -> b d (paper Eq. 5).

    The largest angles are some 1e5 rad, where float32 is coarse and trained weights know it that way: exponents and
    frequencies are rounded to float32 just as the reference's are, whatever a machine's float32 power function does.
    """
    half = size // 2
    exponents = np.arange(half, dtype=np.float32) * np.float32(4.0 / (half - 1))
    frequencies = torch.from_numpy((10.0 ** exponents.astype(np.float64)).astype(np.float32)).to(step.device)
    angles = step.to(torch.float32)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class WaveNet(nn.Module):
    """Estimates the perturbation in a waveform: state b c t and integer steps b (1..T) -> b c t, not causal.

    Kernels begin Glorot-uniform and biases zero, the output's too, as in the reference (Keras' defaults).
    """

    def __init__(self, config: WaveNetConfig, inputs: int = 1, outputs: int = 1):
        super().__init__()
        self.config = config
        width, hidden = config.channels, config.embedding_proj
        self.input_projection = nn.Conv1d(inputs, width, 1)
        self.step_mlp = nn.ModuleList([nn.Linear(config.embedding_size, hidden), nn.Linear(hidden, hidden)])
        cycle = config.num_layers // config.num_cycles
        last = config.num_layers - 1
        self.layers = nn.ModuleList(
            ResidualLayer(width, hidden, 2 ** (i % cycle), residual=i < last) for i in range(config.num_layers)
        )
        self.output_projection = nn.ModuleList([nn.Conv1d(width, width, 1), nn.Conv1d(width, outputs, 1)])
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, state: Tensor, step: Tensor) -> Tensor:
        if state.ndim == 2:  # b t, the reference's own shape
            return rearrange(self(rearrange(state, "b t -> b 1 t"), step), "b 1 t -> b t")
        x, total = F.relu(self.input_projection(state)), 0.0
        for layer, projection in zip(self.layers, self.step_projections(step), strict=True):
            x, skip = layer(x, projection)
            total = total + skip
        first, second = self.output_projection
        return second(F.relu(first(total / math.sqrt(len(self.layers)))))

    def step_projections(self, step: Tensor) -> list[Tensor]:
        """What each layer adds to its input for these steps, b d each."""
        hidden = step_embedding(step, self.config.embedding_size).to(self.input_projection.weight.dtype)
        for layer in self.step_mlp:
            hidden = F.silu(layer(hidden))
        return [layer.step_projection(hidden) for layer in self.layers]  # type: ignore[operator]


class ResidualLayer(nn.Module):
    """One gated dilated convolution with a skip output; the residual is of the input without the step."""

    def __init__(self, width: int, hidden: int, dilation: int, *, residual: bool):
        super().__init__()
        self.step_projection = nn.Linear(hidden, width)
        self.dilated_conv = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.residual_projection = nn.Conv1d(width, width, 1) if residual else None
        self.skip_projection = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
        gate, filtered = self.dilated_conv(x + projection[:, :, None]).chunk(2, dim=1)
        y = torch.tanh(gate) * torch.sigmoid(filtered)
        skip = self.skip_projection(y)
        if self.residual_projection is None:
            return x, skip
        return (self.residual_projection(y) + x) / math.sqrt(2.0), skip
