"""LightSAFT as a method: the conformance kit on small networks, options, qualities, silence, levels, attention."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sepkit import get_separator
from sepkit.errors import CheckpointError, OptionError, UnknownNameError
from sepkit.testing import SeparatorConformance
from sepkit_lightsaft.attention_plot import plot_latent_attention
from sepkit_lightsaft.config import LightSaftConfig
from sepkit_lightsaft.network import LightSaft
from sepkit_lightsaft.separator import LightSaftSeparator, build, new_network, separator_info

Make = Callable[..., LightSaft]

SMALL = {"sample_rate": 8000, "n_fft": 128, "hop_samples": 64, "blocks": 5, "channels": 4, "tfc_layers": 2}
SMALL |= {"latent_sources": 3, "key_dim": 4, "embedding_dim": 4, "window_frames": 65, "trim_samples": 256}


def small_separator(**settings: Any) -> LightSaftSeparator:
    config = LightSaftConfig(**{**SMALL, **settings})
    return LightSaftSeparator(new_network(config, 0), separator_info(config, licence="MIT"), {})


class TestMapping(SeparatorConformance):
    def make(self) -> LightSaftSeparator:
        return small_separator()


class TestMasking(SeparatorConformance):
    def make(self) -> LightSaftSeparator:
        return small_separator(features="log_magnitude", output="masking", bins=32, audio_channels=1)


def separator_of(network: LightSaft, **options: Any) -> LightSaftSeparator:
    return LightSaftSeparator(network, separator_info(network.config, licence="MIT"), {}, **options)


def windows_of(network: LightSaft, batch: int = 2, samples: int = 1000) -> torch.Tensor:
    shape = (batch, network.config.audio_channels, samples)
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("block", ["lightsaft", "lasaft"])
def test_fused_and_plain_give_the_same_stems(make_network: Make, block: str) -> None:
    network = make_network(block=block)
    windows = windows_of(network)
    fused, plain = separator_of(network), separator_of(network, fused=False)
    settings = fused.settings("fast")
    with torch.inference_mode():
        found = fused.separate_windows(windows, [0, 1000], seed=0, settings=settings)
        wanted = plain.separate_windows(windows, [0, 1000], seed=0, settings=settings)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert wanted.abs().max() > 1e-3


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 128, 1000, 5000])
def test_windows_of_any_length(make_network: Make, samples: int) -> None:
    network = make_network()
    separator = separator_of(network)
    found = separator.separate_windows(
        windows_of(network, samples=samples), [0, 0], seed=0, settings=separator.settings("best")
    )
    assert found.shape == (2, 4, 2, samples)
    assert torch.isfinite(found).all()


def test_silence_gives_silence_and_only_silence(make_network: Make) -> None:
    network = make_network()  # its norms have shifts, so the bare network answers zeros with sound
    separator = separator_of(network)
    windows = windows_of(network, samples=4096)
    windows[0] = 0.0
    windows[1, :, 2048:] = 0.0
    found = separator.separate_windows(windows, [0, 0], seed=0, settings=separator.settings("fast"))
    assert (found[0] == 0).all()
    assert found[1, :, :, :2048].abs().max() > 0
    assert (found[1, :, :, 2048 + 128 :] == 0).all()  # beyond the last frame that hears something


def test_masking_is_bounded_by_the_mixture(make_network: Make) -> None:
    network = make_network(features="log_magnitude", output="masking")
    separator = separator_of(network)
    windows = windows_of(network)
    found = separator.separate_windows(windows, [0, 0], seed=0, settings=separator.settings("fast"))
    energy = found.square().sum(dim=(2, 3))
    assert (energy <= 1.01 * windows.square().sum(dim=(1, 2))[:, None]).all()
    assert (energy > 0).all()


def test_best_is_the_mean_over_mirror_images(make_network: Make) -> None:
    network = make_network()
    separator = separator_of(network)
    windows = windows_of(network)
    best = separator.settings("best")
    assert separator.network_calls(best) == 4
    assert separator.network_calls(separator.settings("balanced")) == 1

    def separate(x: torch.Tensor) -> torch.Tensor:
        return separator.separate_windows(x, [0, 0], seed=0, settings=best)

    found = separate(windows)
    assert not torch.allclose(
        found, separator.separate_windows(windows, [0, 0], seed=0, settings=separator.settings("fast"))
    )
    torch.testing.assert_close(separate(-windows), -found, atol=1e-6, rtol=0)
    torch.testing.assert_close(separate(windows.flip(1)), found.flip(2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("settings", [{"features": "log_magnitude", "output": "masking"}, {"audio_channels": 1}])
def test_mirror_images_that_the_network_cannot_tell_apart_cost_nothing(
    make_network: Make, settings: dict[str, Any]
) -> None:
    separator = separator_of(make_network(**settings))
    assert separator.network_calls(separator.settings("best")) == 2


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="did you mean 'preset'"):
        build(untrained=True, presett="lightsaft_7")
    with pytest.raises(OptionError, match="did you mean 'lightsaft_mdx'"):
        build(untrained=True, preset="lightsaft_mdz")
    with pytest.raises(OptionError, match=r"preset='lightsaft_7' is for untrained=True"):
        build(preset="lightsaft_7")
    with pytest.raises(OptionError, match="leave one of them out"):
        build(untrained=True, checkpoint="somewhere")
    with pytest.raises(OptionError, match="no steps"):
        small_separator().settings(50)
    with pytest.raises(CheckpointError, match="nowhere"):
        build(checkpoint="nowhere")


def test_untrained_weights_are_a_function_of_the_seed() -> None:
    one, same, other = (build(untrained=True, preset="lightsaft_default", seed=seed) for seed in (1, 1, 2))
    state, again, different = (separator.network.state_dict() for separator in (one, same, other))
    assert all(torch.equal(tensor, again[name]) for name, tensor in state.items())
    assert not torch.equal(state["embedding.weight"], different["embedding.weight"])
    assert one.parameters == 2_374_236
    assert one.info.trained is False


def test_the_public_sentence_takes_a_preset() -> None:
    separator = get_separator("lightsaft", preset="lasaft_default", untrained=True, device="cpu")
    assert separator.info.name == "lasaft"
    assert separator.info.stems == ("vocals", "drums", "bass", "other")


def test_bf16_is_allowed_where_it_is_close(make_network: Make) -> None:
    from sepkit.host import HostedSeparator

    network = make_network(features="log_magnitude", output="masking")
    with HostedSeparator(separator_of(network), device="cpu", precision="bf16") as hosted:
        stems = hosted.separate(windows_of(network)[0], sample_rate=44_100)
    assert stems.provenance["precision_error_db"] <= -40


def test_attention_by_name_and_by_weights() -> None:
    separator = small_separator()
    by_name = separator.latent_attention("drums")
    by_weights = separator.latent_attention([0, 1, 0, 0])
    assert list(by_name) == ["encoder 0", "encoder 1", "middle", "decoder 0", "decoder 1"]
    for block, weights in by_name.items():
        assert weights.shape == (3,)
        torch.testing.assert_close(weights, by_weights[block])
    with pytest.raises(UnknownNameError, match="did you mean 'drums'"):
        separator.latent_attention("drum")
    with pytest.raises(OptionError, match="2 weights"):
        separator.latent_attention([0.5, 0.5])


def test_attention_plot_has_a_panel_per_block(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is an optional extra")
    figure = plot_latent_attention(small_separator(), tmp_path / "attention.png")
    assert len(figure.axes) == 5 + 1  # and the colour scale
    assert (tmp_path / "attention.png").stat().st_size > 1000
