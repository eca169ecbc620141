"""A release is what was trained, and tells no place of the machine that trained it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

pytest.importorskip("accelerate", reason="training needs the extra [train]")

from sepkit_msdm_posterior.network import new_network
from sepkit_msdm_posterior.presets import PRESETS
from sepkit_msdm_posterior.separator import build_projected
from sepkit_msdm_posterior.train import TRAIN_PRESETS, write_checkpoint


def test_the_release_is_what_was_trained(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("release", Path(__file__).parents[1] / "training/release.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    preset = TRAIN_PRESETS["train_default"]
    data = preset.data.model_copy(update={"sources": (f"folder:{tmp_path}/songs",), "cache": str(tmp_path)})
    config = preset.model_copy(update={"model": PRESETS["tiny"], "data": data})
    trained = new_network(config.model, seed=3)
    write_checkpoint(tmp_path / "run/best", trained, config, {"step": 7})
    folder = script.release(tmp_path / "run", tmp_path / "released", script.TEXT.read_text(encoding="utf-8"))
    assert f"{sum(p.numel() for p in trained.parameters()):,} parameters" in (folder / "README.md").read_text()
    assert "for 7 steps as it is now" in (folder / "README.md").read_text()
    again = script.release(tmp_path / "run", tmp_path / "again", "card", finish="means", sigma_min=0.2)
    settings = build_projected(checkpoint=again).settings("balanced")
    assert (settings.finish, settings.sampler, settings.sigma_min) == ("means", "renewed", 0.2)
    assert str(tmp_path) not in (folder / "config.json").read_text()
    found = build_projected(checkpoint=folder)
    assert found.info.licence == "CC0-1.0"
    for (name, values), wanted in zip(found.network.state_dict().items(), trained.state_dict().values(), strict=True):
        torch.testing.assert_close(values, wanted, atol=1e-3, rtol=1e-3, msg=name)  # half precision
