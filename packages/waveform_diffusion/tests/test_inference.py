"""The WaveNet rebuilt for speed is the same function, at every length, dilation and step."""

from __future__ import annotations

import pytest
import torch

from sepkit_waveform_diffusion import inference
from sepkit_waveform_diffusion.config import ColdModel, UNetConfig, WaveNetConfig
from sepkit_waveform_diffusion.inference import fuse
from sepkit_waveform_diffusion.network import ColdNetwork, new_network


def uneven(model: ColdModel) -> ColdNetwork:
    """A random network with biases."""
    network, generator = new_network(model, 0).eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, values in network.named_parameters():
            if name.endswith("bias"):
                values.copy_(0.2 * torch.randn(values.shape, generator=generator))
    return network


@pytest.mark.parametrize("stretch_samples", [16, 4096])
@pytest.mark.parametrize("length_samples", [1, 2, 15, 16, 17, 100])
@pytest.mark.parametrize(
    "model",
    [
        ColdModel(backbone=WaveNetConfig(channels=4, num_layers=1, num_cycles=1, embedding_proj=8)),
        ColdModel(
            backbone=WaveNetConfig(channels=6, num_layers=12, num_cycles=2, embedding_proj=8),
            targets=("vocals", "drums"),
            audio_channels=2,
            conditioned=True,
        ),
    ],
)
def test_it_is_the_same_function(
    model: ColdModel, length_samples: int, stretch_samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "STRETCH_SAMPLES", stretch_samples)
    network = uneven(model)
    fused, generator = fuse(network), torch.Generator().manual_seed(2)
    state = torch.randn(2, model.state_channels, length_samples, generator=generator)
    mixture = torch.randn(2, model.audio_channels, length_samples, generator=generator)
    for step in (1, 7, 20):
        with torch.inference_mode():
            wanted = network(state, torch.tensor([step, step]), mixture)
            found = fused(state, torch.tensor([step, step]), mixture)
        # the state is of order 1, so rounding is of that order too where the output nearly cancels
        torch.testing.assert_close(found, wanted, atol=2e-6 * max(1.0, float(wanted.abs().max())), rtol=0)


def test_the_reference_s_size_in_double_precision_is_equal_to_the_last_digits() -> None:
    network = uneven(ColdModel()).double()
    fused = fuse(network)
    state = torch.randn(1, 1, 3000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.inference_mode():
        wanted, found = network(state, torch.tensor([9])), fused(state, torch.tensor([9]))
    torch.testing.assert_close(found, wanted, atol=1e-12 * float(wanted.abs().max()), rtol=0)


def test_the_trained_network_is_left_as_it_was_and_a_unet_is_not_rebuilt() -> None:
    network = uneven(ColdModel(backbone=WaveNetConfig(channels=4, num_layers=2, num_cycles=1, embedding_proj=8)))
    before = {name: values.clone() for name, values in network.state_dict().items()}
    fuse(network)
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    unet = new_network(ColdModel(backbone=UNetConfig(n_fft=64, hop_samples=16, widths=(2, 3, 4))), 0)
    assert fuse(unet) is unet
