"""Laws of checkpoints: what was saved comes back, and whatever does not fit is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from sepkit.checkpoint import (
    CARD_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    load_checkpoint,
    load_state,
    read_header,
    save_checkpoint,
)
from sepkit.config import Frozen
from sepkit.errors import CheckpointError
from sepkit.separator import SeparatorInfo

INFO = SeparatorInfo(name="toy", stems=("vocals", "other"), sample_rate=8000, channels=1, licence="MIT")


class ToyConfig(Frozen):
    width: int = 3
    names: tuple[str, ...] = ("a", "b")


def toy_network(seed: int = 0) -> nn.Module:
    network = nn.Sequential(nn.Conv1d(1, 3, 5), nn.BatchNorm1d(3), nn.Conv1d(3, 2, 1))
    generator = torch.Generator().manual_seed(seed)
    for tensor in network.parameters():
        tensor.data = torch.randn(tensor.shape, generator=generator)
    return network


def save_toy(folder: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {
        "separator": "toy",
        "config": ToyConfig(width=3),
        "config_version": 2,
        "info": INFO,
        "state": toy_network().state_dict(),
        "card": "# Toy\n",
    }
    return save_checkpoint(folder, **(settings | changes))


def load_toy(folder: Path, **changes: Any) -> Checkpoint[ToyConfig]:
    settings: dict[str, Any] = {"separator": "toy", "config_type": ToyConfig, "config_version": 2}
    return load_checkpoint(folder, **(settings | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_toy(tmp_path / "toy")


def edit(folder: Path, **fields: Any) -> None:
    path = folder / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_was_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    folder = save_toy(tmp_path / "deep" / "toy", config=ToyConfig(names=("x",)), extra={"epoch": 3})
    loaded = load_toy(folder)
    expected = toy_network().state_dict()
    assert loaded.config == ToyConfig(names=("x",))
    assert loaded.info == INFO
    assert loaded.extra == {"epoch": 3}
    assert loaded.state.keys() == expected.keys()
    assert all(torch.equal(loaded.state[name], expected[name]) for name in expected)
    assert loaded.parameters == sum(tensor.numel() for tensor in toy_network().parameters())
    assert sorted(path.name for path in folder.iterdir()) == sorted([CONFIG_FILE, WEIGHTS_FILE, CARD_FILE])
    assert [path.name for path in folder.parent.iterdir()] == ["toy"], "a temporary folder was left"


def test_half_precision_is_lossy_only_in_matrices_and_never_overflows(tmp_path: Path) -> None:
    state = {
        "kernel": torch.randn(4, 4),
        "bias": torch.randn(4),
        "loud": torch.full((2, 2), 1e5),
        "count": torch.tensor(7),
    }
    folder = save_toy(tmp_path / "half", state=state, half=True)
    stored = load_file(folder / WEIGHTS_FILE)
    assert {name: tensor.dtype for name, tensor in stored.items()} == {
        "kernel": torch.float16,
        "bias": torch.float32,
        "loud": torch.float32,
        "count": torch.int64,
    }
    loaded = load_toy(folder).state
    assert torch.equal(loaded["kernel"], state["kernel"].half().float())
    assert all(torch.equal(loaded[name], state[name]) for name in ("bias", "loud", "count"))


def test_tied_weights_can_be_saved(tmp_path: Path) -> None:
    tensor = torch.randn(3, 3)
    state = load_toy(save_toy(tmp_path / "tied", state={"a": tensor, "b": tensor, "c": tensor.T})).state
    assert torch.equal(state["a"], state["b"])
    assert torch.equal(state["c"], tensor.T)


def test_saving_again_replaces_the_checkpoint_whole(folder: Path) -> None:
    (folder / "stale.txt").write_text("from an earlier run")
    save_toy(folder, state={"only": torch.ones(2)})
    assert load_toy(folder).state.keys() == {"only"}
    assert not (folder / "stale.txt").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]


def test_a_failed_save_leaves_the_earlier_checkpoint(folder: Path) -> None:
    before = read_header(folder)
    with pytest.raises(CheckpointError, match=r"'bad' holds NaN"):
        save_toy(folder, state={"bad": torch.tensor([1.0, float("nan")])})
    with pytest.raises(TypeError):
        save_toy(folder, state={"a": torch.ones(1)}, card=3)
    assert read_header(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]


def test_saving_into_someone_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("dear")
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        save_toy(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "dear"


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_truncated_weights_are_refused(folder: Path, kept: int) -> None:
    weights = folder / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=rf"has {kept} bytes.*cut short"):
        load_toy(folder)


@pytest.mark.parametrize("position", [0, 9, 100, -1])
def test_one_flipped_bit_is_refused(folder: Path, position: int) -> None:
    weights = folder / WEIGHTS_FILE
    content = bytearray(weights.read_bytes())
    content[position] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match="sha256"):
        load_toy(folder)


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"weights\.safetensors is missing"):
        load_toy(folder)
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load_toy(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as JSON"),
        ("[]", "has the format None"),
        ('{"format": "pickle"}', "'pickle'"),
        ('{"format": "sepkit-checkpoint-1"}', "separator: Field required"),
    ],
)
def test_a_damaged_config_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / CONFIG_FILE).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load_toy(folder)


def test_weights_outside_the_folder_are_refused(folder: Path) -> None:
    weights = json.loads((folder / CONFIG_FILE).read_text())["weights"]
    edit(folder, weights=weights | {"file": "../secret.safetensors"})
    with pytest.raises(CheckpointError, match="outside"):
        load_toy(folder)


def test_a_checkpoint_of_another_method_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'toy'.*'spleen'"):
        load_toy(folder, separator="spleen")


def test_a_config_that_does_not_fit_names_the_setting(folder: Path) -> None:
    edit(folder, config={"widht": 3})
    with pytest.raises(CheckpointError, match=r"'widht': did you mean 'width'"):
        load_toy(folder)


def test_a_newer_config_version_asks_for_an_update(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config_version 2 .*newer than the 1 .*update"):
        load_toy(folder, config_version=1)


def test_older_configs_are_migrated_step_by_step(folder: Path) -> None:
    edit(folder, config_version=1, config={"size": 4})
    steps = {1: lambda old: {"breadth": old["size"] * 2}, 2: lambda old: {"width": old["breadth"] + 1}}
    assert load_toy(folder, config_version=3, migrations=steps).config == ToyConfig(width=9)
    with pytest.raises(CheckpointError, match="no migration from 2 to 3"):
        load_toy(folder, config_version=3, migrations={1: steps[1]})


def test_state_loads_exactly_or_not_at_all() -> None:
    network = toy_network(seed=1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = toy_network(seed=0).state_dict()
    del state["2.bias"]
    state["0.weight"] = torch.zeros(3, 2, 5)
    state["head.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        load_state(network, state)
    for clause in ("missing: 2.bias", "unexpected: head.weight", "0.weight is 3x2x5, wanted 3x1x5"):
        assert clause in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    load_state(network, toy_network(seed=0).state_dict())
    assert torch.equal(network.state_dict()["0.weight"], toy_network(seed=0).state_dict()["0.weight"])


def test_reading_a_header_does_not_import_torch(folder: Path) -> None:
    code = (
        "import sys; from sepkit.checkpoint import read_header; "
        f"print(read_header({str(folder)!r}).weights.parameters); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == read_header(folder).weights.parameters
