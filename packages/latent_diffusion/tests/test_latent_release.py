"""A release is what was trained, with its codec's ceiling, and no place of the machine that trained it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra [train]")
pytest.importorskip("audio_diffusion_pytorch", reason="the generator is its U-Net")

from sepkit_latent_diffusion.codec.checkpoints import build_codec
from sepkit_latent_diffusion.codec_train import TRAIN_DEFAULT as TRAIN_CODEC
from sepkit_latent_diffusion.network import new_network
from sepkit_latent_diffusion.presets import PRESETS
from sepkit_latent_diffusion.separator import build
from sepkit_latent_diffusion.train import TRAIN_DEFAULT, write_checkpoint


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", Path(__file__).parents[1] / "training/release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("validated", [True, False])
def test_the_release_is_what_was_trained(script: ModuleType, tmp_path: Path, validated: bool) -> None:
    data = TRAIN_DEFAULT.data.model_copy(
        update={"sources": (f"folder:{tmp_path}/songs",), "cache": str(tmp_path), "latent_cache": str(tmp_path)}
    )
    changes = {"model": PRESETS["tiny"], "data": data, "codec": str(tmp_path / "codec/best")}
    config = TRAIN_DEFAULT.model_copy(update=changes)
    codec = build_codec(config.model.codec)
    trained = new_network(config.model, codec.features, seed=3)
    codec_data = TRAIN_CODEC.model_copy(update={"data": data, "validation": (f"folder:{tmp_path}/songs",)})
    heard = {"sdr/mixture": 17.126, "spectrogram/mixture": 0.25, "sdr/vocals": 12.0, "spectrogram/vocals": 0.5}
    facts = {"training": {"config": codec_data.model_dump(mode="json"), "step": 5, "validation": heard}}
    write_checkpoint(
        tmp_path / "run/best", codec, trained, config, {"step": 7}, codec_facts=facts if validated else None
    )
    folder = script.release(tmp_path / "run", tmp_path / "released", script.TEXT.read_text(encoding="utf-8"))
    found = build(checkpoint=folder)
    card = (folder / "README.md").read_text()
    assert f"{found.parameters:,} parameters in all" in card.replace("\n", " ")
    assert ("| mixture | 17.13 | 0.25 |" in card) == validated
    assert ("Not measured" in card) != validated
    assert card.count("{{") == card.count("{{scores}}") == 1  # which the command fills
    assert str(tmp_path) not in (folder / "config.json").read_text()
    assert found.info.licence == "CC0-1.0"
    for (name, values), wanted in zip(found.network.state_dict().items(), trained.state_dict().values(), strict=True):
        torch.testing.assert_close(values, wanted, atol=1e-3, rtol=1e-3, msg=name)  # half precision
