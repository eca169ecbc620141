"""Cold diffusion as a method: the conformance kit on small networks, options, levels, steps, silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sepkit.errors import CheckpointError, OptionError
from sepkit.testing import SeparatorConformance
from sepkit_waveform_diffusion.config import SCHEDULES, ColdConfig, ColdModel, UNetConfig, WaveNetConfig
from sepkit_waveform_diffusion.importer import import_checkpoint
from sepkit_waveform_diffusion.network import new_network
from sepkit_waveform_diffusion.separator import ColdSeparator, build, separator_info
from sepkit_waveform_diffusion.signals import REACH_SAMPLES

WAVENET = WaveNetConfig(channels=4, num_layers=4, num_cycles=2, embedding_proj=8)
UNET = UNetConfig(n_fft=64, hop_samples=16, widths=(2, 3, 4))


def small(*models: ColdModel, seconds: float = 0.4, **fixed: Any) -> ColdSeparator:
    """A separator of random networks whose biases, too, are what they are after training: not 0."""
    config = ColdConfig(models=models, window_seconds=seconds)
    networks = [new_network(model, seed) for seed, model in enumerate(models)]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, values in (pair for network in networks for pair in network.named_parameters()):
            if name.endswith("bias"):
                values.copy_(0.05 * torch.randn(values.shape, generator=generator))
    return ColdSeparator(config, networks, separator_info(config, licence="MIT"), {}, fixed)


def model_of(backbone: Any, **changes: Any) -> ColdModel:
    return ColdModel(**{"sample_rate": 8000, "backbone": backbone, "betas": SCHEDULES["beta_8"], **changes})


class TestWaveNet(SeparatorConformance):
    def make(self) -> ColdSeparator:
        return small(model_of(WAVENET))


class TestUNetWithTwoModels(SeparatorConformance):
    def make(self) -> ColdSeparator:
        vocals, others = (model_of(UNET, targets=(stem,), audio_channels=2) for stem in ("vocals", "accompaniment"))
        return small(vocals, others, wiener="two_models", steps=2)


def noise(samples: int = 3000, channels: int = 1) -> torch.Tensor:
    return 0.3 * torch.randn(2, channels, samples, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize("backbone", [WAVENET, UNET])
def test_estimates_improve_step_by_step_to_the_result(backbone: Any) -> None:
    separator = small(model_of(backbone))
    with torch.inference_mode():
        every = list(separator.iterate_windows(noise(), [0, 0], seed=0, settings=separator.settings("balanced")))
        result = separator.separate_windows(noise(), [0, 0], seed=0, settings=separator.settings("balanced"))
        early = separator.separate_windows(
            noise(), [0, 0], seed=0, settings=separator.settings("balanced").model_copy(update={"stop_after": 3})
        )
    assert len(every) == 8
    assert torch.equal(every[-1], result)
    assert torch.equal(every[2], early)
    for stems in every:
        torch.testing.assert_close(stems.sum(dim=1), noise(), atol=1e-5, rtol=0)


def test_level_fixes_differ_by_a_factor_only() -> None:
    found = {}
    for level in ("none", "alpha_bar", "peak", "clamp"):
        separator = small(model_of(WAVENET), level=level)
        with torch.inference_mode():
            stems = separator.separate_windows(noise(), [0, 0], seed=0, settings=separator.settings("balanced"))
        found[level] = stems[:, 0]
    root = SCHEDULES["beta_8"].alpha_bars[-1] ** 0.5
    torch.testing.assert_close(found["alpha_bar"], found["none"] * root, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found["peak"].abs().amax(dim=(1, 2)), noise().abs().amax(dim=(1, 2)))
    limit = noise().abs().amax(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(found["clamp"], found["none"].clamp(-limit, limit))


def test_the_shortest_way_of_a_direct_network_is_one_call() -> None:
    separator = small(model_of(UNET, betas=SCHEDULES["beta_1"]))
    assert separator.network_calls(separator.settings("fast")) == 1
    with pytest.raises(OptionError, match="5 steps were asked of cold_diffusion, whose schedule has 1"):
        separator.settings(5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "cold_unet"}, "is for untrained=True"),
        ({"untrained": True, "preset": "cold_unit"}, "did you mean 'cold_unet'"),
        ({"untrained": True, "schedule": "beta_9"}, "beta_8"),
        ({"untrained": True, "wiener": "two_models"}, "needs a checkpoint with a second network"),
        ({"untrained": True, "steps": 9}, "9 steps were asked"),
        ({"untrained": True, "levels": "peak"}, "did you mean 'level'"),
        ({"untrained": True, "checkpoint": "x"}, "leave one of them out"),
    ],
)
def test_contradictions_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build(**options)


def test_a_reference_s_weights_come_in_as_a_checkpoint(tmp_path: Path) -> None:
    folder = import_checkpoint(Path(__file__).parent / "data/beta8.npz", tmp_path / "imported")
    separator = build(checkpoint=folder, level="none")
    oracle = np.load(Path(__file__).parent / "data/beta8.npz")
    mixture = torch.from_numpy(oracle["mixture"])[:, None]
    with torch.inference_mode():
        stems = separator.separate_windows(mixture, [0, 0], seed=0, settings=separator.settings("balanced"))
    np.testing.assert_allclose(stems[:, 0, 0].numpy(), oracle["trajectory"][-1], atol=1e-4)
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(CheckpointError, match=r"is no \.npz"):
        import_checkpoint(tmp_path / "text.npz", tmp_path / "out")


@pytest.mark.parametrize("backbone", [WAVENET, UNET])
@pytest.mark.parametrize(("channels", "conditioned"), [(1, False), (1, True), (2, True)])
def test_several_targets_of_any_channel_count_come_out_as_stems(
    backbone: Any, channels: int, conditioned: bool
) -> None:
    targets = ("vocals", "drums", "other")
    model = model_of(backbone, targets=targets, audio_channels=channels, conditioned=conditioned)
    separator = small(model, process="consistent")
    assert separator.info.stems == targets
    assert not separator.info.sums_to_mixture
    settings = separator.settings("fast")
    for length_samples in (1, 2, 777):
        windows = noise(length_samples, channels)
        with torch.inference_mode():
            stems = separator.separate_windows(windows, [0, 0], seed=0, settings=settings)
            apart = [separator.separate_windows(x[None], [0], seed=0, settings=settings) for x in windows]
        assert stems.shape == (2, 3, channels, length_samples)
        torch.testing.assert_close(torch.cat(apart), stems, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("backbone", [WAVENET, UNET])
def test_silence_stays_silent_whatever_the_biases(backbone: Any) -> None:
    separator = small(model_of(backbone))
    windows = noise(6000)
    windows[:, :, 1500:] = 0.0
    with torch.inference_mode():
        stems = separator.separate_windows(windows, [0, 0], seed=0, settings=separator.settings("fast"))
        silent = separator.separate_windows(0 * windows, [0, 0], seed=0, settings=separator.settings("fast"))
    assert not stems[..., 1500 + REACH_SAMPLES :].any()
    assert stems[..., :1500].any()
    assert not silent.any()


def test_the_second_network_takes_the_same_share_of_its_own_steps() -> None:
    models = [model_of(UNET), model_of(UNET, targets=("accompaniment",), betas=SCHEDULES["beta_100"])]
    separator = small(*models, wiener="two_models", stop_after=1)
    assert separator.network_calls(separator.settings("fast")) == 1 + 25
    assert separator.network_calls(separator.settings("balanced")) == 1 + 100
    assert not separator.info.sums_to_mixture
    assert small(*models).info.sums_to_mixture
