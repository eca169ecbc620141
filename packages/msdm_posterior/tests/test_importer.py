"""The old layout against what audio-diffusion-pytorch 0.0.43 itself gave, and published files as checkpoints.

`data/adp_0_0_43.npz`: names and shapes of that library's state dict for two small settings, and its outputs with
weights that the test makes again (`weights`); `data/adp_0_0_43_published_layout.json`: the same for the published size.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sepkit.checkpoint import load_checkpoint, load_state
from sepkit.diffusion import Level
from sepkit.errors import CheckpointError
from sepkit_msdm_posterior.config import LegacyConfig, MsdmConfig
from sepkit_msdm_posterior.importer import import_checkpoint, legacy_config, legacy_state
from sepkit_msdm_posterior.legacy_unet import LegacyUNet
from sepkit_msdm_posterior.network import new_network, prior_denoiser
from sepkit_msdm_posterior.presets import PRESETS
from sepkit_msdm_posterior.separator import CONFIG_VERSION, NAME

DATA = Path(__file__).with_name("data")


def arrays(case: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with np.load(DATA / "adp_0_0_43.npz") as file:
        layout = json.loads(str(file[f"{case}/layout"]))
        return layout, {n: torch.from_numpy(file[f"{case}/{n}"]) for n in ("x", "sigmas", "output", "denoised")}


def weights(layout: dict[str, Any]) -> dict[str, Tensor]:
    state = {}
    for j, (name, shape) in enumerate(layout["shapes"].items()):
        values = 0.3 * np.cos(np.arange(np.prod(shape, dtype=int)) * (0.7 + 0.01 * j) + j)
        state[name] = torch.from_numpy(values.astype(np.float32)).reshape(shape)
    return state


def settings_of(given: dict[str, Any]) -> LegacyConfig:
    """The library's settings under our names."""
    renamed = {
        "attention_bottleneck": "use_attention_bottleneck",
        "nearest_upsample": "use_nearest_upsample",
        "skip_scale": "use_skip_scale",
    }
    return LegacyConfig(
        **{name: given[renamed.get(name, name)] for name in LegacyConfig.model_fields if name != "kind"}
    )


@pytest.mark.parametrize("case", ["a", "b"])
def test_outputs_are_those_of_the_old_library(case: str) -> None:
    layout, found = arrays(case)
    published = PRESETS["msdm_published"]
    stems = published.stems[: found["x"].shape[1]]
    config = published.model_copy(update={"network": settings_of(layout["settings"]), "stems": stems})
    network = new_network(config, seed=0).eval()
    load_state(network, {f"backbones.0.{name}": v for name, v in legacy_state(weights(layout)).items()})
    with torch.no_grad():
        output = network(found["x"][:, :, None], found["sigmas"].log() / 4)[:, :, 0]
        torch.testing.assert_close(output, found["output"], atol=2e-5, rtol=1e-5)
        state = 0.3 * found["x"][:, :, None]
        sigmas = found["sigmas"].double()
        clean = prior_denoiser(network, config)(state, Level(torch.ones(2).double(), sigmas, sigmas))
    torch.testing.assert_close(clean[:, :, 0], found["denoised"], atol=2e-5, rtol=1e-5)


def test_the_published_layout_name_for_name() -> None:
    wanted = json.loads((DATA / "adp_0_0_43_published_layout.json").read_text())
    with torch.device("meta"):
        network = LegacyUNet(settings_of(wanted["settings"]), 4, 4)
    assert settings_of(wanted["settings"]) == LegacyConfig()
    assert {f"unet.{name}": list(value.shape) for name, value in network.state_dict().items()} == wanted["shapes"]


@pytest.mark.parametrize("case", ["a", "b", "published"])
def test_settings_are_read_off_a_state_dict(case: str) -> None:
    if case == "published":
        layout = json.loads((DATA / "adp_0_0_43_published_layout.json").read_text())
        state = {name: torch.empty(shape, device="meta") for name, shape in layout["shapes"].items()}
    else:
        layout, _ = arrays(case)
        state = weights(layout)
    found = legacy_config({name.split("unet.")[1]: value for name, value in state.items()})
    # shapes do not tell heads, groups and skip scaling; a head's size is told up to the number of heads
    told = {"attention_heads", "attention_features", "resnet_groups", "skip_scale"}
    if not any(settings_of(layout["settings"]).attentions):
        told |= {"attention_multiplier"}
    assert found.model_dump(exclude=told) == settings_of(layout["settings"]).model_dump(exclude=told)


def lightning(state: dict[str, Tensor]) -> dict[str, Any]:
    """As Lightning saves it: the network stands under two names, and beside it what we don't want."""
    twice = {name.replace("model.unet.", "model.diffusion.net."): value for name, value in state.items()}
    return {"epoch": 3, "state_dict": {**state, **twice}, "optimizer_states": [{"state": {0: torch.zeros(2)}}]}


def published_like(folder: Path) -> dict[str, Tensor]:
    """A small checkpoint with the settings that shapes do not tell as published."""
    config = LegacyConfig(
        channels=16, patch_factor=4, multipliers=(1, 2, 2), factors=(2, 4), num_blocks=(1, 2), attentions=(False, True),
        attention_features=2,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = LegacyUNet(config, 4, 4)
    state = {f"model.unet.{name}": value for name, value in network.state_dict().items()}
    torch.save(lightning(state), folder / "avid.ckpt")
    return state


def test_a_published_file_becomes_a_checkpoint(tmp_path: Path) -> None:
    state = published_like(tmp_path)
    folder = import_checkpoint(tmp_path / "avid.ckpt", tmp_path / "out")
    found = load_checkpoint(folder, separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION)
    assert found.config.stems == ("bass", "drums", "guitar", "piano")
    assert (found.config.sigma_data, found.config.clamp, found.config.codec.name) == (0.2, 1.0, "waveform")
    assert found.info.window_samples == 262_144
    assert len(found.state) == len(state)
    for name, value in state.items():
        assert torch.equal(found.state[name.replace("model.unet.", "backbones.0.")], value)
    from sepkit_msdm_posterior.separator import build_dirac

    separator = build_dirac(checkpoint=folder, steps=2, passes=1)
    with torch.inference_mode():
        x = 0.1 * torch.randn(1, 1, 1000, generator=torch.Generator().manual_seed(0))
        stems = separator.separate_windows(x, [0], seed=0, settings=separator.settings("balanced"))
    torch.testing.assert_close(stems.sum(dim=1), x, atol=1e-5, rtol=0)


def test_single_stem_files_in_a_folder_become_independent_priors(tmp_path: Path) -> None:
    layout, _ = arrays("b")
    state = weights(layout)
    (tmp_path / "weak").mkdir()
    for i, stem in enumerate(("piano", "bass")):
        torch.save(lightning({name: value + i for name, value in state.items()}), tmp_path / f"weak/{stem}.ckpt")
    folder = import_checkpoint(tmp_path / "weak", tmp_path / "out")
    found = load_checkpoint(folder, separator=NAME, config_type=MsdmConfig, config_version=CONFIG_VERSION)
    assert found.config.stems == ("bass", "piano")
    assert found.config.independent
    for name, value in state.items():
        own = name.removeprefix("model.unet.")
        assert torch.equal(found.state[f"backbones.0.{own}"], value + 1)
        assert torch.equal(found.state[f"backbones.1.{own}"], value)


def test_files_that_are_no_such_checkpoint_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"model.other.weight": torch.zeros(2)}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="No network of audio-diffusion-pytorch"):
        import_checkpoint(tmp_path / "other.ckpt", tmp_path / "out")
    torch.save({"state_dict": Path("x")}, tmp_path / "pickled.ckpt")
    with pytest.raises(CheckpointError, match="tensors alone"):
        import_checkpoint(tmp_path / "pickled.ckpt", tmp_path / "out")
    (tmp_path / "text.ckpt").write_text("no torch file")
    with pytest.raises(CheckpointError, match="cannot be read"):
        import_checkpoint(tmp_path / "text.ckpt", tmp_path / "out")
    layout, _ = arrays("b")
    torch.save(weights(layout), tmp_path / "one.ckpt")
    with pytest.raises(CheckpointError, match="a folder of files"):
        import_checkpoint(tmp_path / "one.ckpt", tmp_path / "out")
    assert not (tmp_path / "out").exists()
