"""Weights come from where the user says, as data and nothing else, or the method says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sepkit import get_separator
from sepkit.errors import CheckpointError, OptionError
from sepkit_peers import published
from sepkit_peers.missing import MissingPeerError
from sepkit_peers.published import PUBLISHED, Published, PublishedFile
from sepkit_peers.weights import origin, read_weights

MODULES = dict.fromkeys(("htdemucs", "htdemucs_ft", "hdemucs", "demucs_v2"), "demucs.apply")
MODULES |= {"umxhq": "openunmix.model", "umxl": "openunmix.model", "conv_tasnet": "torchaudio.models"}


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("method", MODULES)
def test_without_weights_it_says_what_to_do(method: str) -> None:
    pytest.importorskip(MODULES[method])
    with pytest.raises(CheckpointError, match="untrained=True") as failure:
        get_separator(method)
    assert method in str(failure.value)
    if method in PUBLISHED:
        assert all(word in str(failure.value) for word in ("'download'", PUBLISHED[method].licence, "checkpoint=PATH"))


@pytest.mark.parametrize("method", MODULES)
def test_without_the_package_it_says_how_to_install_it(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULES[method], None)
    with pytest.raises(MissingPeerError, match=r"pip install 'sepkit-peers\[\w+\]'"):
        get_separator(method, untrained=True)


@pytest.mark.parametrize("method", MODULES)
def test_contradictions_and_unknown_options_are_refused(method: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="leave one of them out"):
        get_separator(method, untrained=True, checkpoint=tmp_path)
    with pytest.raises(OptionError, match="nonsense"):
        get_separator(method, untrained=True, nonsense=1)


@pytest.mark.parametrize("nested", [False, True])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tiny: Any, nested: bool, tmp_path: Path) -> None:
    folder = tmp_path / "made by the attack"
    network = tiny.demucs("demucs_v2")
    attack: Any = Attack(folder)
    package = {
        "klass": type(network),
        "args": (tiny.stems,),
        "kwargs": {"channels": attack},
        "state": network.state_dict(),
    }
    torch.save(package if nested else attack, tmp_path / "bad.th")
    with pytest.raises(CheckpointError, match="could run code: refused"):
        read_weights(tmp_path / "bad.th")
    assert not folder.exists()


def test_a_package_names_networks_and_makes_none(tiny: Any, tmp_path: Path) -> None:
    network = tiny.demucs("demucs_v2")

    class Made:
        def __reduce__(self) -> Any:
            return type(network), (tiny.stems,)

    torch.save({"x": Made()}, tmp_path / "bad.th")
    with pytest.raises(CheckpointError, match="refused"):
        read_weights(tmp_path / "bad.th")


def test_what_is_no_weights_is_refused_by_name(tiny: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.th"
    for content, said in (
        ({"klass": torch.nn.Linear, "args": (), "kwargs": {}, "state": {}}, "could run code"),
        ({"state": {"__quantized": True}, "klass": type(tiny.demucs("demucs_v2")), "args": (), "kwargs": {}}, "_q"),
        ({"a": 1}, "holds no weights"),
        ([], "holds no weights"),
    ):
        torch.save(content, bad)
        with pytest.raises(CheckpointError, match=said):
            read_weights(bad)
    for name in ("bad.th", "bad.safetensors"):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(CheckpointError, match=name):
            read_weights(tmp_path / name)
    with pytest.raises(CheckpointError, match="is no file"):
        read_weights(tmp_path / "not there.th")


def test_safetensors_name_only_known_networks(tmp_path: Path) -> None:
    metadata = {"klass": "os.system", "args": json.dumps(["true"]), "kwargs": "{}"}
    save_file({"x": torch.zeros(1)}, tmp_path / "bad.safetensors", metadata)
    with pytest.raises(CheckpointError, match=r"os\.system"):
        read_weights(tmp_path / "bad.safetensors")
    metadata |= {"klass": "demucs.demucs.Demucs", "structure": "{}"}
    save_file({"x": torch.zeros(1)}, tmp_path / "bad.safetensors", metadata)
    with pytest.raises(CheckpointError, match="quantised"):
        read_weights(tmp_path / "bad.safetensors")


def test_weights_of_another_network_are_refused(tiny: Any, tmp_path: Path) -> None:
    network = tiny.demucs("demucs_v2")
    file = tiny.save_package(network, tmp_path, "tiny")
    with pytest.raises(CheckpointError, match=r"holds a demucs\.demucs\.Demucs"):
        get_separator("htdemucs", checkpoint=file)
    state = network.state_dict()
    state.pop("lstm.linear.weight")
    torch.save(state, tmp_path / "cut.th")
    with pytest.raises(CheckpointError, match=r"missing: lstm\.linear\.weight"):
        get_separator("demucs_v2", checkpoint=tmp_path / "cut.th")
    with pytest.raises(CheckpointError, match="4 networks"):
        get_separator("htdemucs_ft", checkpoint=file)
    with pytest.raises(CheckpointError, match="one file 955717e8"):
        get_separator("htdemucs", checkpoint=tmp_path)


def test_open_unmix_wants_a_network_for_each_stem(tmp_path: Path) -> None:
    pytest.importorskip("openunmix.model")
    torch.save({"fc1.weight": torch.zeros(2, 2)}, tmp_path / "vocals.pth")
    with pytest.raises(CheckpointError, match="one for each stem"):
        get_separator("umxhq", checkpoint=tmp_path / "vocals.pth")
    with pytest.raises(CheckpointError, match=r"one file drums\.pth"):
        get_separator("umxhq", checkpoint=tmp_path)
    torch.save({"target_models.vocals.fc1.weight": torch.zeros(2, 2)}, tmp_path / "all.pth")
    with pytest.raises(CheckpointError, match="no weights of Open-Unmix"):
        get_separator("umxl", checkpoint=tmp_path / "all.pth")


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place to fetch from, on this disk, and an empty cache of torch's."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


def test_published_files_are_fetched_once_and_known_by_their_hash(
    tiny: Any, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tiny.save_package(tiny.demucs("htdemucs"), mirror, "955717e8")
    made = Published((PublishedFile(file.name, mirror.as_uri()),), "research use only", True)
    monkeypatch.setitem(PUBLISHED, "htdemucs", made)
    info = get_separator("htdemucs", checkpoint="download", device="cpu").info
    assert (info.licence, info.extra_training_data, info.trained) == ("research use only", True, True)
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)  # the second time nothing is fetched
    assert published.download("htdemucs")[0].parent.name == "checkpoints"


def test_a_download_with_another_hash_leaves_nothing(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mirror / "tiny-01234567.th").write_bytes(b"something else")
    made = Published((PublishedFile("tiny-01234567.th", mirror.as_uri()),), "MIT", False)
    monkeypatch.setitem(PUBLISHED, "htdemucs", made)
    with pytest.raises(CheckpointError, match="could not be fetched"):
        published.download("htdemucs")
    assert [path for path in mirror.parent.rglob("*") if path.is_file() and path.parent != mirror] == []


def test_a_licence_is_known_only_when_every_file_is(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors")
    file = read_weights(tmp_path / "a.safetensors")
    assert file.sha256 == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    known = [type(file)(file.path, f"{one.sha256_start}ff", {}) for one in PUBLISHED["umxl"].files]
    assert origin(known).licence == "CC-BY-NC-SA-4.0"
    assert origin([*known[:3], file]).licence == "unknown"
    assert origin([known[0], type(file)(file.path, "b62c91ceff", {})]).licence == "unknown"  # two licences at once


def test_untrained_says_so_and_depends_on_its_seed_alone() -> None:
    pytest.importorskip("torchaudio.models")
    one, two, other = (
        get_separator("conv_tasnet", untrained=True, seed=seed, network={"enc_num_feats": 8, "msk_num_stacks": 1})
        for seed in (1, 1, 2)
    )
    assert (one.info.trained, one.info.licence) == (False, "none: random weights")
    states = [each.model.network.state_dict() for each in (one, two, other)]  # type: ignore[attr-defined]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["encoder.weight"], states[2]["encoder.weight"])
