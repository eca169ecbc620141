"""A release holds all its networks, and no place of the machine that trained them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from sepkit.errors import OptionError
from sepkit_waveform_diffusion.config import SCHEDULES, ColdModel, UNetConfig
from sepkit_waveform_diffusion.network import ColdNetwork, new_network
from sepkit_waveform_diffusion.separator import build
from sepkit_waveform_diffusion.train import TRAIN_DEFAULT, write_checkpoint

UNET = UNetConfig(n_fft=64, hop_samples=16, widths=(2, 3, 4))


def loaded(name: str) -> ModuleType:
    """A script of the training folder as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / f"training/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return loaded("release")


def run(folder: Path, target: str, schedule: str, seed: int) -> tuple[Path, ColdNetwork]:
    model = ColdModel(targets=(target,), betas=SCHEDULES[schedule], backbone=UNET, sample_rate=8000)
    data = TRAIN_DEFAULT.data.model_copy(update={"sources": (f"folder:{folder}/songs",), "cache": str(folder)})
    config = TRAIN_DEFAULT.model_copy(update={"model": model, "data": data, "licence": "unknown"})
    network = new_network(model, seed)
    write_checkpoint(folder / target / "best", network, config, {"step": 7})
    return folder / target, network


def test_both_networks_are_in_one_checkpoint(script: ModuleType, tmp_path: Path) -> None:
    vocals, first = run(tmp_path, "vocals", "beta_8", 1)
    accompaniment, second = run(tmp_path, "accompaniment", "beta_20", 2)
    text = script.TEXT.read_text(encoding="utf-8")
    folder = script.release([vocals, accompaniment], tmp_path / "released", text)
    card = (folder / "README.md").read_text()
    assert f"{sum(p.numel() for p in first.parameters()):,} + " in card
    assert "{{parameters}}" not in card
    assert str(tmp_path) not in (folder / "config.json").read_text()
    separator = build(checkpoint=folder, wiener="two_models")
    assert separator.info.licence == "CC0-1.0"
    assert [network.model.targets for network in separator.networks] == [("vocals",), ("accompaniment",)]
    for found, trained in zip(separator.networks, (first, second), strict=True):
        for (name, values), wanted in zip(found.state_dict().items(), trained.state_dict().values(), strict=True):
            if "num_batches" not in name:
                torch.testing.assert_close(values, wanted, atol=1e-3, rtol=1e-3)  # half precision
    with torch.inference_mode():
        windows = torch.randn(1, 1, 3000, generator=torch.Generator().manual_seed(0))
        stems = separator.separate_windows(windows, [0], seed=0, settings=separator.settings("fast"))
    assert stems.shape == (1, 2, 1, 3000)


def test_runs_in_the_wrong_order_are_refused(script: ModuleType, tmp_path: Path) -> None:
    vocals, _ = run(tmp_path, "vocals", "beta_8", 1)
    accompaniment, _ = run(tmp_path, "accompaniment", "beta_20", 2)
    with pytest.raises(OptionError, match="restores accompaniment; wanted one for vocals"):
        script.release([accompaniment, vocals], tmp_path / "released", "")


def test_the_conditional_release_is_what_was_trained(tmp_path: Path) -> None:
    pytest.importorskip("audio_diffusion_pytorch", reason="the generator is its U-Net")
    from sepkit_waveform_diffusion.conditional import network, presets, separator, train

    script, preset = loaded("release_conditional"), train.TRAIN_PRESETS["train_default"]
    data = preset.data.model_copy(update={"sources": (f"folder:{tmp_path}/songs",), "cache": str(tmp_path)})
    config = preset.model_copy(update={"model": presets.PRESETS["tiny"], "data": data})
    trained = network.new_network(config.model, seed=3)
    train.write_checkpoint(tmp_path / "run/best", trained, config, {"step": 7})
    folder = script.release(tmp_path / "run", tmp_path / "released", script.TEXT.read_text(encoding="utf-8"))
    assert f"{sum(p.numel() for p in trained.parameters()):,} parameters" in (folder / "README.md").read_text()
    assert str(tmp_path) not in (folder / "config.json").read_text()
    found = separator.build(checkpoint=folder)
    assert found.info.licence == "CC0-1.0"
    for (name, values), wanted in zip(found.network.state_dict().items(), trained.state_dict().values(), strict=True):
        torch.testing.assert_close(values, wanted, atol=1e-3, rtol=1e-3, msg=name)  # half precision
