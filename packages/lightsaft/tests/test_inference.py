"""The rebuilt network is the same function: whatever the block, the sizes, the condition and the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sepkit_lightsaft.inference as inference
from sepkit_lightsaft.folding import clamped, fold_conv
from sepkit_lightsaft.importer import network_from_reference
from sepkit_lightsaft.inference import fuse
from sepkit_lightsaft.network import LightSaft

VARIANTS: dict[str, dict[str, Any]] = {
    "light": {},
    "original": {"block": "lasaft"},
    "mask_from_some_bins": {"features": "log_magnitude", "output": "masking", "bins": 32, "n_fft": 96},
    "mono": {"audio_channels": 1, "channels": 5},
    "one_layer": {"tfc_layers": 1, "blocks": 3},
    "time_kept": {"time_levels": ()},
    "time_halved_once": {"time_levels": (1,), "block": "lasaft"},
    "two_stems": {"stems": ("vocals", "accompaniment")},
}

Make = Callable[..., LightSaft]


@pytest.fixture(params=VARIANTS)
def network(request: pytest.FixtureRequest, make_network: Make) -> LightSaft:
    return make_network(**VARIANTS[request.param])


def inputs(network: LightSaft, batch: int = 3, frames: int = 19) -> Tensor:
    shape = (batch, network.config.input_channels, frames, network.config.frequencies + 1)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def plain(network: LightSaft, features: Tensor) -> Tensor:
    """b s o n f, stem by stem."""
    with torch.no_grad():
        stems = range(len(network.config.stems))
        return torch.stack([network(features, torch.full((len(features),), stem)) for stem in stems], dim=1)


def test_fused_equals_plain_for_every_stem(network: LightSaft) -> None:
    features = inputs(network)
    wanted, fused = plain(network, features), fuse(network)
    stems = torch.arange(len(network.config.stems))
    torch.testing.assert_close(fused.stems(features, stems), wanted, atol=1e-5, rtol=0)
    mixed = torch.arange(len(features)) % len(stems)
    rows = torch.arange(len(features))
    torch.testing.assert_close(fused(features, mixed), wanted[rows, mixed], atol=1e-5, rtol=0)


def test_however_much_passes_at_once(network: LightSaft, monkeypatch: pytest.MonkeyPatch) -> None:
    features, stems = inputs(network), torch.arange(len(network.config.stems))
    fused = fuse(network)
    together = fused.stems(features, stems)
    monkeypatch.setattr(inference, "CPU_MAP_ELEMENTS", 1)  # one map at a time
    monkeypatch.setattr(inference, "CPU_STRETCH_ELEMENTS", 1)  # the shortest stretches of a dense block
    monkeypatch.setattr(inference, "CPU_TILE_ELEMENTS", 1)  # one frame of a transform at a time
    torch.testing.assert_close(fused.stems(features, stems), together, atol=1e-5, rtol=0)
    maps = network.config.channels * network.config.frequencies * features.shape[2]
    monkeypatch.setattr(inference, "CPU_MAP_ELEMENTS", 2 * maps)  # two at a time, which does not divide three
    torch.testing.assert_close(fused.stems(features, stems), together, atol=1e-5, rtol=0)


def test_soft_conditions_pass_too(make_network: Make) -> None:
    network = make_network()
    features, weights = inputs(network, batch=2), torch.tensor([[0.2, 0.8, 0, 0], [0, 0, 0, 1.0]])
    with torch.no_grad():
        torch.testing.assert_close(fuse(network)(features, weights), network(features, weights), atol=1e-5, rtol=0)


def test_fused_equals_the_reference(oracle: dict[str, Any]) -> None:
    fused = fuse(network_from_reference(oracle["state"], oracle["settings"]))
    torch.testing.assert_close(fused(oracle["spec"], oracle["condition"]), oracle["estimate"], atol=1e-5, rtol=0)


def test_fusing_copies_and_never_trains(make_network: Make) -> None:
    network = make_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fused = fuse(network.train())
    features = inputs(network)
    first = fused.train()(features, torch.tensor([0, 1, 2]))
    assert torch.equal(fused(features, torch.tensor([0, 1, 2])), first)  # no dropout, no statistics of the batch
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(fused(features, torch.tensor([0, 1, 2])), first)
    network.load_state_dict(before)


def test_the_input_is_left_alone(make_network: Make) -> None:
    network = make_network()
    features = inputs(network, frames=16)  # needs no padding, so no copy hides a write
    given = features.clone()
    fuse(network).stems(features, torch.arange(4))
    assert torch.equal(features, given)


@pytest.mark.parametrize("scale", [1.5, -0.7, 0.0, 1e-30])
def test_a_norm_and_relu_are_a_clamp_between_affine_maps(scale: float) -> None:
    norm = nn.BatchNorm2d(1).double().eval()
    with torch.no_grad():
        norm.weight.fill_(scale)
        norm.bias.fill_(0.25)
    assert norm.running_mean is not None
    norm.running_mean.fill_(0.4)
    x = torch.linspace(-3, 3, 101, dtype=torch.float64).view(1, 1, 1, -1)
    form = clamped(norm)
    found = form.scale * torch.clamp(x, form.low, form.high) + form.shift
    torch.testing.assert_close(found, torch.relu(norm(x)), atol=1e-12, rtol=0)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_folded_convolution_is_the_convolution_and_its_norm(transposed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    conv: nn.Conv2d | nn.ConvTranspose2d = (nn.ConvTranspose2d if transposed else nn.Conv2d)(3, 5, 2, stride=2)
    norm = nn.BatchNorm2d(5).eval()
    with torch.no_grad():
        for tensor in (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean):
            assert tensor is not None
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    weight, bias = fold_conv(conv, norm)
    x = torch.randn(2, 3, 4, 6, generator=generator)
    convolve = nn.functional.conv_transpose2d if transposed else nn.functional.conv2d
    found = convolve(x.double(), weight, bias, stride=2)
    torch.testing.assert_close(found.float(), norm(conv(x)), atol=1e-5, rtol=0)
