"""Published weights: parity with the reference, every spelling of its files, and refusals that say what differs."""

from __future__ import annotations

import argparse
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sepkit import get_separator
from sepkit.errors import CheckpointError
from sepkit_lightsaft.importer import config_from_reference, import_checkpoint, network_from_reference
from sepkit_lightsaft.lightning import read_lightning
from sepkit_lightsaft.network import LightSaft


def test_parity_with_the_reference(oracle: dict[str, Any]) -> None:
    network = network_from_reference(oracle["state"], oracle["settings"])
    assert not network.training
    with torch.no_grad():
        found = network(oracle["spec"], oracle["condition"])
    torch.testing.assert_close(found, oracle["estimate"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("prefix", ["", "spec2spec.", "conditional_spec2spec."])
def test_names_with_and_without_prefix_and_with_what_holds_no_weights(oracle: dict[str, Any], prefix: str) -> None:
    state = {prefix + name: tensor for name, tensor in oracle["state"].items()}
    state["stft.stft.window"] = torch.hann_window(256)
    state[f"{prefix}first_conv.1.num_batches_tracked"] = torch.tensor(7)
    network = network_from_reference(state, oracle["settings"])
    with torch.no_grad():
        found = network(oracle["spec"], oracle["condition"])
    torch.testing.assert_close(found, oracle["estimate"], atol=1e-5, rtol=0)


def reference_state(network: LightSaft) -> dict[str, Tensor]:
    from sepkit_lightsaft.importer import IGNORED, reference_name

    block = network.config.block
    return {reference_name(k, block): v for k, v in network.state_dict().items() if not IGNORED.search(k)}


@pytest.mark.parametrize("block", ["lightsaft", "lasaft"])
def test_missing_settings_take_the_reference_defaults(block: Any) -> None:
    from sepkit_lightsaft.config import LightSaftConfig

    config = LightSaftConfig(block=block)
    with torch.device("meta"):
        network = LightSaft(config)
    assert config_from_reference(reference_state(network), {}) == config


@pytest.mark.parametrize(
    ("given", "levels"), [(None, None), ([0], (0,)), ("[0, 1]", (0, 1)), ([], ()), (("1",), (1,)), ("None", None)]
)
def test_every_spelling_of_t_down_layers(make_network: Any, given: Any, levels: tuple[int, ...] | None) -> None:
    network = make_network(time_levels=levels)
    settings: dict[str, Any] = {"n_blocks": 5, "internal_channels": 6, "n_internal_layers": 3, "num_tdfs": 4, "dk": 8}
    settings |= {"embedding_dim": 8, "min_bn_units": 4, "t_down_layers": given}
    again = network_from_reference(reference_state(network), settings)
    features = torch.randn(2, 4, 8, 65, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again(features, torch.tensor([0, 3])), network(features, torch.tensor([0, 3])))


def test_an_even_number_of_blocks_is_the_next_odd_one_and_null_is_the_default(make_network: Any) -> None:
    network = make_network()
    settings = {"n_blocks": 4, "internal_channels": 6, "n_internal_layers": 3, "num_tdfs": 4, "dk": 8}
    settings |= {"embedding_dim": 8, "min_bn_units": 4, "hop_length": None, "pocm_type": None}
    again = network_from_reference(reference_state(network), settings)
    assert (again.config.blocks, again.config.hop_samples) == (5, 1024)
    features = torch.randn(1, 4, 8, 65, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again(features, torch.tensor([2])), network(features, torch.tensor([2])))


def test_an_fft_that_is_no_power_of_two(make_network: Any) -> None:
    network = make_network(n_fft=120, audio_channels=1)
    settings = {"n_blocks": 5, "internal_channels": 6, "n_internal_layers": 3, "num_tdfs": 4, "dk": 8, "n_fft": 120}
    settings |= {"embedding_dim": 8, "min_bn_units": 4, "input_channels": 2, "hop_length": 60, "num_frame": 9}
    again = network_from_reference(reference_state(network), settings)
    spec = torch.randn(1, 2, 9, 61, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = again(spec, torch.tensor([1]))
    assert found.shape == spec.shape
    assert (again.config.n_fft, again.config.hop_samples, again.config.window_samples) == (120, 60, 480)


def test_what_does_not_fit_is_named(light_oracle: dict[str, Any]) -> None:
    state, settings = light_oracle["state"], light_oracle["settings"]
    lacking = {name: tensor for name, tensor in state.items() if name != "mid_block.keys"}
    with pytest.raises(CheckpointError, match=r"missing: mid_block\.keys"):
        network_from_reference(lacking, settings)
    with pytest.raises(CheckpointError, match=r"unexpected: surplus"):
        network_from_reference({**state, "surplus": torch.zeros(1)}, settings)
    with pytest.raises(CheckpointError, match=r"decoders\.0\.keys is 8x4, wanted 5x4"):
        network_from_reference(state, {**settings, "dk": 5})
    with pytest.raises(CheckpointError, match=r"LaSAFT_bn_layer .* or with tdfs"):
        network_from_reference({"weight": torch.zeros(1)}, settings)
    with pytest.raises(CheckpointError, match="v2"):
        network_from_reference({**state, "decoders.0.pocm_generator.0.bias": torch.zeros(1)}, settings)


@pytest.mark.parametrize(
    ("name", "value"), [("last_activation", "sigmoid"), ("condition_to", "full"), ("pocm_type", "naive")]
)
def test_another_kind_of_network_is_refused(light_oracle: dict[str, Any], name: str, value: str) -> None:
    with pytest.raises(CheckpointError, match=rf"{name} is '{value}'"):
        network_from_reference(light_oracle["state"], {**light_oracle["settings"], name: value})


@pytest.fixture
def lightning_file(light_oracle: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As Lightning wrote them: settings in its own dict class, callbacks keyed by class, optimiser state."""
    module = types.ModuleType("pytorch_lightning.fake")
    hparams_class = type("AttributeDict", (dict,), {"__module__": module.__name__})
    callback_class = type("ModelCheckpoint", (), {"__module__": module.__name__})
    module.AttributeDict, module.ModelCheckpoint = hparams_class, callback_class  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pytorch_lightning", types.ModuleType("pytorch_lightning"))
        patch.setitem(sys.modules, module.__name__, module)
        content = {
            "epoch": 694,
            "pytorch-lightning_version": "1.2.0",
            "callbacks": {callback_class: {"best_model_score": torch.tensor(0.5)}},
            "optimizer_states": [
                {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 5e-4}]}
            ],
            "state_dict": {
                **{f"spec2spec.{name}": tensor for name, tensor in light_oracle["state"].items()},
                "stft.stft.window": torch.hann_window(256),
            },
            "hyper_parameters": hparams_class(light_oracle["settings"], train_loss="spec_mse", lr=5e-4),
            "arguments": argparse.Namespace(gpus=4),
        }
        file = tmp_path / "epoch=694.ckpt"
        torch.save(content, file)
    return file


def test_a_lightning_checkpoint_becomes_a_method_that_separates(
    lightning_file: Path, light_oracle: dict[str, Any], tmp_path: Path
) -> None:
    assert "pytorch_lightning" not in sys.modules
    folder = import_checkpoint(lightning_file, tmp_path / "imported")
    separator = get_separator("lightsaft", checkpoint=folder, device="cpu")
    assert separator.info.channels == 2
    assert separator.info.window_samples == 128 * 15
    mixture = 0.1 * torch.randn(2, 5000, generator=torch.Generator().manual_seed(0))
    stems = separator.separate(mixture)
    assert list(stems) == ["vocals", "drums", "bass", "other"]
    assert stems["bass"].samples.shape == mixture.shape
    # the weights that were saved are those of the file
    model = separator.model  # type: ignore[attr-defined]
    found = model.network(light_oracle["spec"], light_oracle["condition"])
    torch.testing.assert_close(found, light_oracle["estimate"], atol=1e-5, rtol=0)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('ran code')",)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    file = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, file)
    with pytest.raises(CheckpointError, match=r"exec.*trusts the file"):
        import_checkpoint(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 cut short"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "song.ckpt"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"song\.ckpt"):
        import_checkpoint(file, tmp_path / "out")


@pytest.mark.parametrize("kind", ["namespace", "omegaconf"])
def test_settings_in_other_containers_are_found(light_oracle: dict[str, Any], tmp_path: Path, kind: str) -> None:
    module = types.ModuleType("omegaconf.fake")
    for name in ("DictConfig", "AnyNode"):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))
    settings = light_oracle["settings"]
    if kind == "namespace":
        container: Any = argparse.Namespace(**settings)
    else:
        container = module.DictConfig()
        container._content = {}
        for key, value in settings.items():
            node = module.AnyNode()
            node._val = value
            container._content[key] = node
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
        patch.setitem(sys.modules, module.__name__, module)
        torch.save({"state_dict": light_oracle["state"], "hparams": container}, tmp_path / "file.ckpt")
    state, found = read_lightning(tmp_path / "file.ckpt")
    assert found == settings
    assert state.keys() == light_oracle["state"].keys()
