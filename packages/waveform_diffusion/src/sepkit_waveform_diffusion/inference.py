"""A trained WaveNet rebuilt for speed: the same function to 1e-6, as few passes over memory as it takes.

What never changes is worked out once: the projections of all T steps, and every bias, which between two layers is a
constant in time. A dilated convolution of x + constant is then three matrix products of shifted views of x alone, with
a bias that differs only next to the window's ends, where a tap falls into the padding. Residual and skip projections
add straight into their sums, and everything between two layers runs over stretches that stay in the cache.
"""

from __future__ import annotations

import copy
import math

import torch
from einops import einsum, rearrange
from torch import Tensor, nn

from .network import ColdNetwork
from .wavenet import ResidualLayer, WaveNet

STRETCH_SAMPLES = 4096
"""On a CPU: what one core's cache holds of a layer 64 channels wide."""


def fuse(network: ColdNetwork) -> ColdNetwork:
    """The network for inference alone, on batches of one common step; a U-Net is returned as it is."""
    if not isinstance(network.backbone, WaveNet):
        return network.eval()
    fused = copy.copy(network)
    fused._modules = dict(network._modules)
    fused.backbone = FusedWaveNet(network.backbone, network.model.betas.count)
    return fused.eval()


class FusedWaveNet(nn.Module):
    """`WaveNet` for steps 1..T, without gradients: state b c t and steps b, all the same number, -> b c t.

    In layer i the signal is r^i (u + c) with r = 1/sqrt(2) and c a constant in time: u grows by plain sums.
    """

    input_weight: Tensor
    input_bias: Tensor
    taps: Tensor
    biases: Tensor
    residual: Tensor
    skip: Tensor
    skip_bias: Tensor
    hidden_weight: Tensor
    hidden_bias: Tensor
    output_weight: Tensor
    output_bias: Tensor

    def __init__(self, network: WaveNet, steps: int):
        super().__init__()
        layers = [layer for layer in network.layers if isinstance(layer, ResidualLayer)]
        self.dilations = [int(layer.dilated_conv.dilation[0]) for layer in layers]
        self.width = network.config.channels
        exact = copy.deepcopy(network).double().requires_grad_(False)
        made = _Rebuilt(exact, [layer for layer in exact.layers if isinstance(layer, ResidualLayer)], steps)
        like = network.input_projection.weight
        for name, values in vars(made).items():
            # parameters and not buffers: the dtype and device of a network are those of its parameters
            self.register_parameter(name, nn.Parameter(values.to(like), requires_grad=False))

    def forward(self, state: Tensor, step: Tensor) -> Tensor:
        [number] = set(step.tolist())
        with torch.autocast(state.device.type, enabled=False), torch.no_grad():
            return torch.stack([self._one(item, int(number) - 1) for item in state.to(self.taps.dtype)])

    def _one(self, state: Tensor, step: int) -> Tensor:
        """c t -> c t for the step at that index. Inside, time comes first: a stretch is then one piece of memory."""
        length_samples = state.shape[-1]
        stretch = STRETCH_SAMPLES if state.device.type == "cpu" else length_samples
        u = torch.addmm(self.input_bias, rearrange(state, "c t -> t c"), self.input_weight).relu_()
        grown, total = torch.empty_like(u), torch.zeros_like(u)
        room = u.new_empty(min(stretch, length_samples), 2 * self.width)  # fresh pages cost more than they look
        for layer in range(len(self.dilations)):
            for begin in range(0, length_samples, stretch):
                end = min(begin + stretch, length_samples)
                gated = self._gated(u, layer, step, begin, end, room[: end - begin])
                total[begin:end].addmm_(gated, self.skip[layer])
                if layer < len(self.residual):
                    torch.addmm(u[begin:end], gated, self.residual[layer], out=grown[begin:end])
            u, grown = grown, u
        hidden = torch.addmm(self.hidden_bias, total.add_(self.skip_bias), self.hidden_weight).relu_()
        found = torch.addmm(self.output_bias, hidden, self.output_weight)
        return rearrange(found, "t c -> c t")

    def _gated(self, u: Tensor, layer: int, step: int, begin: int, end: int, y: Tensor) -> Tensor:
        """(tanh / 2) · sigmoid of the dilated convolution at begin..end, worked out in y: t w."""
        dilation, length_samples = self.dilations[layer], len(u)
        before, centre, after = self.taps[layer]
        bias_before, bias, bias_after = self.biases[step, layer]
        torch.addmm(bias, u[begin:end], centre, out=y)
        first = min(max(dilation, begin), end)  # the first sample whose tap before lies inside
        if first < end:
            y[first - begin :].addmm_(u[first - dilation : end - dilation], before)
        if first > begin:
            y[: first - begin].sub_(bias_before)
        stop = max(min(length_samples - dilation, end), begin)
        if stop > begin:
            y[: stop - begin].addmm_(u[begin + dilation : stop + dilation], after)
        if stop < end:
            y[stop - begin :].sub_(bias_after)
        y.sigmoid_()
        return y[:, : self.width].sub_(0.5).mul_(y[:, self.width :])  # tanh(x) = 2 sigmoid(2 x) - 1


class _Rebuilt:
    """The weights of a float64 `WaveNet` as `FusedWaveNet` wants them; its attributes are that class's parameters."""

    def __init__(self, network: WaveNet, layers: list[ResidualLayer], steps: int):
        first, second = network.output_projection
        assert isinstance(first, nn.Conv1d)
        assert isinstance(second, nn.Conv1d)
        self.input_weight, self.input_bias = _matrix(network.input_projection)
        self.hidden_weight, self.hidden_bias = _matrix(first)
        self.output_weight, self.output_bias = _matrix(second)
        shrink = [math.sqrt(0.5) ** i for i in range(len(layers))]
        # the gate's first half is asked for sigmoid(2 x), and gives half of its tanh
        doubled = torch.cat([torch.full((network.config.channels,), 2.0), torch.ones(network.config.channels)])
        doubled = doubled.double()
        kernels = [doubled * rearrange(layer.dilated_conv.weight, "o i k -> k i o") for layer in layers]
        self.taps = torch.stack([scale * kernel for scale, kernel in zip(shrink, kernels, strict=True)])
        self.biases = torch.stack(
            [_biases(layer, kernel, doubled, constant) for layer, kernel, constant in
             zip(layers, kernels, _constants(network, layers, shrink, steps), strict=True)], dim=1,
        )  # fmt: skip
        residuals = [layer.residual_projection for layer in layers if layer.residual_projection is not None]
        grown = [2.0 / scale * _matrix(conv)[0] for scale, conv in zip(shrink, residuals, strict=False)]
        width = network.config.channels
        self.residual = torch.stack(grown) if grown else torch.zeros(0, width, width, dtype=torch.float64)
        part = 1.0 / math.sqrt(len(layers))
        self.skip = torch.stack([2.0 * part * _matrix(layer.skip_projection)[0] for layer in layers])
        self.skip_bias = part * torch.stack([_matrix(layer.skip_projection)[1] for layer in layers]).sum(dim=0)


def _constants(network: WaveNet, layers: list[ResidualLayer], shrink: list[float], steps: int) -> list[Tensor]:
    """What is constant in time in each layer's input: the step's projection and the biases so far, T w each."""
    projections = network.step_projections(torch.arange(1, steps + 1))
    bias = torch.zeros_like(projections[0][0])
    constants = []
    for layer, projection, scale in zip(layers, projections, shrink, strict=True):
        constants.append(projection + scale * bias)
        if layer.residual_projection is not None:
            bias = bias + _matrix(layer.residual_projection)[1] / scale
    return constants


def _biases(layer: ResidualLayer, kernel: Tensor, doubled: Tensor, constant: Tensor) -> Tensor:
    """Of the tap before, of the whole convolution, and of the tap after: T 3 o."""
    assert layer.dilated_conv.bias is not None
    before, centre, after = einsum(kernel, constant, "k i o, t i -> k t o")
    whole = doubled * layer.dilated_conv.bias + before + centre + after
    return rearrange([before, whole, after], "k t o -> t k o")


def _matrix(conv: nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Weight (i o) and bias (o) of a convolution of kernel size 1, for states with time first."""
    assert conv.bias is not None
    return rearrange(conv.weight, "o i 1 -> i o").contiguous(), conv.bias
