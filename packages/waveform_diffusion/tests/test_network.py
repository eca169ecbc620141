"""The networks equal the reference, forget nothing about odd sizes, and say what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sepkit.errors import CheckpointError
from sepkit_waveform_diffusion.cold import reverse_process
from sepkit_waveform_diffusion.config import Betas, ColdModel, UNetConfig, WaveNetConfig
from sepkit_waveform_diffusion.importer import betas_from_reference, network_from_reference
from sepkit_waveform_diffusion.network import new_network
from sepkit_waveform_diffusion.presets import PRESETS
from sepkit_waveform_diffusion.wavenet import WaveNet, step_embedding


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_network_gives_what_the_reference_gave(oracle: dict[str, Any]) -> None:
    network = network_from_reference(oracle["weights"], oracle["config"])
    mixture = torch.from_numpy(oracle["mixture"])
    for step, wanted in zip(oracle["steps"], oracle["predicted_perturbation"], strict=True):
        with torch.no_grad():
            found = network(mixture, torch.full((len(mixture),), int(step)))
        torch.testing.assert_close(found, torch.from_numpy(wanted), atol=1e-5, rtol=0)


def test_the_way_back_visits_the_reference_s_states(oracle: dict[str, Any]) -> None:
    network = network_from_reference(oracle["weights"], oracle["config"])
    found = reverse_process(network, torch.from_numpy(oracle["mixture"]), oracle["betas"])
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.from_numpy(oracle["trajectory"]), atol=1e-4, rtol=0)


def test_the_schedule_is_the_reference_s(oracle: dict[str, Any]) -> None:
    found = betas_from_reference(oracle["config"])
    np.testing.assert_array_equal(found.betas.astype(np.float32), oracle["betas"])


def test_reference_weights_that_do_not_fit_are_named(oracle: dict[str, Any]) -> None:
    weights = dict(oracle["weights"])
    weights["layers.99.dilated_conv.kernel"] = weights.pop("layers.0.dilated_conv.kernel")
    with pytest.raises(CheckpointError, match=r"missing: layers\.0\.dilated_conv\.weight; unexpected: layers\.99"):
        network_from_reference(weights, oracle["config"])


def test_the_published_size_is_the_code_s_and_not_the_paper_s() -> None:
    assert parameters(WaveNet(WaveNetConfig())) == 2_304_577


def test_published_alpha_bars() -> None:
    published = [0.9999, 0.98928, 0.96836, 0.9377, 0.89815, 0.85081, 0.79702, 0.73824, 0.67603, 0.61195]
    published += [0.5475, 0.48409, 0.42292, 0.36503, 0.31123, 0.26208, 0.21794, 0.17894, 0.14503, 0.11602]
    np.testing.assert_allclose(Betas().alpha_bars, published, atol=6e-6)
    gains = {name: Betas(end=end, count=count).alpha_bars[-1] ** -0.5 for name, end, count in
             (("beta_20", 0.2, 20), ("beta_8", 0.5, 8), ("beta_100", 0.2, 100))}  # fmt: skip
    assert gains == pytest.approx({"beta_20": 2.936, "beta_8": 3.492, "beta_100": 216.2}, rel=1e-3)


def test_step_embeddings_are_sines_then_cosines_of_falling_periods() -> None:
    found = step_embedding(torch.tensor([1, 7]), 8)
    angles = np.float32([1, 7])[:, None] * (10.0 ** (np.arange(4) * 4 / 3)).astype(np.float32)
    np.testing.assert_allclose(found.numpy(), np.concatenate([np.sin(angles), np.cos(angles)], axis=1), atol=2e-3)


SMALL_NETS = {
    "wavenet": ColdModel(backbone=WaveNetConfig(channels=4, num_layers=4, num_cycles=2, embedding_proj=8)),
    "unet": ColdModel(backbone=UNetConfig(n_fft=64, hop_samples=16, widths=(2, 3, 4))),
}


@pytest.mark.parametrize("kind", SMALL_NETS)
@pytest.mark.parametrize(
    "changes", [{}, {"audio_channels": 2}, {"targets": ("vocals", "drums")}, {"conditioned": True}]
)
@pytest.mark.parametrize("length_samples", [1, 63, 400])
def test_outputs_have_the_state_s_shape_and_depend_on_the_step(
    kind: str, changes: dict[str, Any], length_samples: int
) -> None:
    model = SMALL_NETS[kind].model_copy(update=changes)
    network = new_network(model, 0).eval()
    state = torch.randn(2, model.state_channels, length_samples, generator=torch.Generator().manual_seed(1))
    mixture = torch.randn(2, model.audio_channels, length_samples, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        early, late = (network(state, torch.tensor([step, step]), mixture) for step in (3, 20))
        other = network(state, torch.tensor([3, 3]), mixture + 1.0)
        apart = torch.cat([network(state[i : i + 1], torch.tensor([3]), mixture[i : i + 1]) for i in range(2)])
    assert early.shape == state.shape
    assert not torch.allclose(early, late)
    assert torch.equal(early, other) != model.conditioned
    torch.testing.assert_close(apart, early, atol=1e-5, rtol=1e-5)


def test_the_unet_never_finds_more_than_the_state_holds() -> None:
    model = SMALL_NETS["unet"]
    network = new_network(model, 0).eval()
    with torch.no_grad():
        silent = network(torch.zeros(1, 1, 200), torch.tensor([20]))
    assert not silent.any()


def test_every_preset_builds() -> None:
    with torch.device("meta"):
        sizes = {name: parameters(WaveNet(m.backbone)) for name, m in PRESETS.items() if m.backbone.kind == "wavenet"}
    assert sizes["diffwave"] == 2_304_577
    assert sizes["diffwave_small"] < 250_000 < sizes["diffwave"] < sizes["diffwave_large"]
    assert parameters(new_network(PRESETS["cold_unet"], 0)) < 700_000
