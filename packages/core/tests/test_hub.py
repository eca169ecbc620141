"""Laws of checkpoints by address: nothing unverified is used, nothing half written is left, every refusal says why.

No network: the fake hub answers huggingface_hub's own two calls, or a cache of its layout is read by the real ones.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch

from sepkit import Audio, get_separator
from sepkit.checkpoint import file_sha256, read_header, save_checkpoint
from sepkit.cli.main import main
from sepkit.config import Frozen
from sepkit.errors import CheckpointError, MissingExtraError, OptionError
from sepkit.evaluation.methods import Method, with_checkpoint
from sepkit.hub import (
    SUMS_FILE,
    HubAddress,
    checkpoint_folder,
    from_pretrained,
    parse_address,
    save_pretrained,
    verify_folder,
)
from sepkit.separator import SeparatorInfo
from sepkit.testing.signals import music

huggingface_hub = pytest.importorskip("huggingface_hub")

ADDRESS = "hf://someone/gains"
# A method with a weight: one gain, so that what was loaded can be heard.
METHOD = """
    from pathlib import Path
    import torch
    from sepkit import WindowSettings
    from sepkit.checkpoint import load_checkpoint
    from sepkit.config import Frozen

    class Gain:
        def __init__(self, loaded):
            self.info, self.gain = loaded.info, float(loaded.state["gain"])
            self.provenance = {"weights_sha256": loaded.sha256}

        def settings(self, quality):
            return WindowSettings()

        def separate_windows(self, windows, starts, *, seed, settings):
            return torch.stack((self.gain * windows, (1 - self.gain) * windows), dim=1)

    def build(*, checkpoint=None, untrained=False):
        folder = Path(__file__).parent / "checkpoints" / "gain" if checkpoint is None else checkpoint
        return Gain(load_checkpoint(folder, separator="gain", config_type=Frozen, config_version=1))
"""


def save(
    folder: Path, gain: float, *, licence: str = "CC0-1.0", separator: str = "gain", card: str = "# Gain\n"
) -> Path:
    info = SeparatorInfo(
        name=separator, stems=("one", "two"), sample_rate=8000, channels=1, window_samples=4000, licence=licence
    )
    return save_checkpoint(
        folder, separator=separator, config=Frozen(), config_version=1, info=info, state={"gain": torch.tensor(gain)},
        card=card,
    )  # fmt: skip


@dataclass
class FakeHub:
    """A repository as files in a folder; `download` copies the wanted ones into a cache, as huggingface_hub does."""

    source: Path
    cache: Path
    online: bool = True
    calls: list[dict[str, Any]] = field(default_factory=list)

    def list_repo_files(self, repo_id: str, **given: Any) -> list[str]:
        if not self.online:
            raise ConnectionError("no route")
        if repo_id != "someone/gains":
            raise huggingface_hub.errors.RepositoryNotFoundError("404", response=_Response())
        return [path.name for path in self.source.iterdir()]

    def snapshot_download(self, repo_id: str, **given: Any) -> str:
        self.calls.append(given)
        if given["local_files_only"] or not self.online:
            if not self.cache.exists():
                raise huggingface_hub.errors.LocalEntryNotFoundError("nothing cached")
            return str(self.cache)
        self.cache.mkdir(exist_ok=True)
        for path in self.source.iterdir():
            taken = any(fnmatch(path.name, pattern) for pattern in given["allow_patterns"])
            if taken and (given["force_download"] or not (self.cache / path.name).exists()):
                (self.cache / path.name).write_bytes(path.read_bytes())
        return str(self.cache)


class _Response:
    headers: dict[str, str] = {}  # noqa: RUF012
    request = None
    status_code = 404


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """`hf://someone/gains` holds a checkpoint with gain 0.25; a call that huggingface_hub would refuse fails here."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    fake = FakeHub(save_pretrained(save(tmp_path / "trained", 0.25), tmp_path / "repository"), tmp_path / "cache")
    listing = inspect.signature(huggingface_hub.HfApi.list_repo_files)
    downloading = inspect.signature(huggingface_hub.snapshot_download)

    def list_repo_files(self: Any, repo_id: str, **given: Any) -> list[str]:
        listing.bind(self, repo_id, **given)
        return fake.list_repo_files(repo_id, **given)

    def snapshot_download(repo_id: str, **given: Any) -> str:
        downloading.bind(repo_id, **given)
        return fake.snapshot_download(repo_id, **given)

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", list_repo_files)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return fake


@pytest.fixture
def gain(announce: Callable[..., Path]) -> Path:
    """The method `gain`, shipping a gain of 0.5; its package's folder."""
    package = announce("gain", METHOD)
    save(package / "checkpoints" / "gain", 0.5)
    return package


def heard(separator: Any) -> float:
    mixture = music(8000, 1, 6000)
    return float((separator.separate(mixture, sample_rate=8000)["one"].samples / mixture).nanmedian())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf://owner/name", HubAddress("owner/name")),
        ("hf://owner/na-me.2@v1.0", HubAddress("owner/na-me.2", "v1.0")),
        ("hf://owner/name@refs/pr/1", HubAddress("owner/name", "refs/pr/1")),
        (Path("hf://owner/name"), HubAddress("owner/name")),
    ],
)
def test_an_address_has_owner_name_and_revision(text: str | Path, address: HubAddress) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/../b", "hf://a/b c", "hf:///b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="wanted hf://owner/name"):
        checkpoint_folder(text)


@pytest.mark.usefixtures("gain")
def test_one_door_for_python_command_line_and_evaluation(hub: FakeHub, tmp_path: Path) -> None:
    assert heard(get_separator("gain")) == pytest.approx(0.5)
    assert heard(get_separator("gain", checkpoint=ADDRESS)) == pytest.approx(0.25)
    assert heard(from_pretrained(f"{ADDRESS}@v1", device="cpu")) == pytest.approx(0.25)
    assert hub.calls[-1]["revision"] == "v1"
    assert heard(from_pretrained(hub.source)) == pytest.approx(0.25)
    evaluated = with_checkpoint(Method(name="gain"), ADDRESS)
    assert evaluated.facts.weights_sha256 == read_header(hub.source).weights.sha256
    assert heard(get_separator("gain", checkpoint=evaluated.checkpoint)) == pytest.approx(0.25)
    Audio(music(8000, 1, 6000), 8000).write(tmp_path / "song.wav")
    arguments = ["separate", str(tmp_path / "song.wav"), "-m", "gain", "-o", str(tmp_path / "out"), "-q"]
    assert main([*arguments, "--checkpoint", ADDRESS]) == 0
    one, mixture = (Audio.read(next(tmp_path.rglob(name))).samples for name in ("one.wav", "song.wav"))
    assert float(one.norm() / mixture.norm()) == pytest.approx(0.25, abs=1e-3)


def test_nothing_but_checkpoint_files_is_downloaded(hub: FakeHub) -> None:
    for name in ("model.py", "pytorch_model.bin", "handler.sh"):
        (hub.source / name).write_text("anything")
    folder = checkpoint_folder(ADDRESS)
    assert {path.name for path in folder.iterdir()} == {"config.json", "README.md", "model.safetensors", SUMS_FILE}


@pytest.mark.parametrize("name", ["config.json", "README.md", "model.safetensors", SUMS_FILE])
def test_a_file_that_decayed_here_is_fetched_again_and_refused_offline(hub: FakeHub, name: str) -> None:
    good = (checkpoint_folder(ADDRESS) / name).read_bytes()
    spoilt = bytearray(good)
    spoilt[len(good) // 2] ^= 1
    (hub.cache / name).write_bytes(spoilt)
    with pytest.raises(CheckpointError, match=name):
        checkpoint_folder(ADDRESS, offline=True)
    assert (checkpoint_folder(ADDRESS) / name).read_bytes() == good


@pytest.mark.parametrize("name", ["config.json", "README.md", "model.safetensors"])
def test_a_repository_that_differs_from_its_own_checksums_is_refused(hub: FakeHub, name: str) -> None:
    (hub.source / name).write_bytes((hub.source / name).read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=rf"{ADDRESS}: {name} is corrupted or was changed: its sha256 is"):
        checkpoint_folder(ADDRESS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda source: (source / "README.md").unlink(), "README.md"),
        (lambda source: (source / SUMS_FILE).unlink(), "has no SHA256SUMS"),
        (lambda source: (source / SUMS_FILE).write_text("0" * 64 + "  ../config.json\n"), "two spaces"),
        (lambda source: (source / SUMS_FILE).write_text(""), "does not vouch for config.json"),
        (lambda source: (source / "config.json").unlink(), r"no config\.json\. Found: README\.md, SHA256SUMS, model"),
        (
            lambda source: (source / "model.safetensors").rename(source / "pytorch_model.bin"),
            r"no safetensors file.*Found: README\.md, SHA256SUMS, config\.json, pytorch_model\.bin",
        ),
    ],
)
def test_an_incomplete_repository_is_refused_by_name(hub: FakeHub, change: Callable, message: str) -> None:
    change(hub.source)
    with pytest.raises(CheckpointError, match=message):
        checkpoint_folder(ADDRESS)


def test_a_pickle_behind_a_config_is_never_loaded(hub: FakeHub) -> None:
    header = (hub.source / "config.json").read_text().replace("model.safetensors", "model.pickle")
    (hub.source / "config.json").write_text(header)
    (hub.source / "model.pickle").write_bytes((hub.source / "model.safetensors").read_bytes())
    sums = "".join(f"{file_sha256(path)}  {path.name}\n" for path in hub.source.iterdir() if path.name != SUMS_FILE)
    (hub.source / SUMS_FILE).write_text(sums)
    with pytest.raises(CheckpointError, match=r"model\.pickle"):
        checkpoint_folder(ADDRESS)
    with pytest.raises(CheckpointError, match="is no safetensors file"):
        verify_folder(hub.source, "the repository")


def test_offline_takes_what_is_cached_and_asks_nobody(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="not in the local cache, and the network is not asked"):
        checkpoint_folder(ADDRESS, offline=True)
    checkpoint_folder(ADDRESS)
    hub.online = False
    assert checkpoint_folder(ADDRESS, offline=True) == hub.cache
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert checkpoint_folder(ADDRESS) == hub.cache
    assert hub.calls[-1]["local_files_only"] is True
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert checkpoint_folder(ADDRESS) == hub.cache  # no network, though nobody said so


def test_what_cannot_be_had_says_why(hub: FakeHub) -> None:
    with pytest.raises(CheckpointError, match=r"hf://someone/else is not there, or is private"):
        checkpoint_folder("hf://someone/else")
    hub.online = False
    with pytest.raises(CheckpointError, match=r"cannot be downloaded and is not in the local cache \(LocalEntry"):
        checkpoint_folder(ADDRESS)


def test_without_the_extra_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sepkit\[hub\]'"):
        get_separator("lightsaft", checkpoint=ADDRESS)


def test_the_librarys_own_cache_is_read_without_network(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real huggingface_hub, on a cache as it lays it out
    repository, commit = tmp_path / "hub" / "models--someone--gains", "0123456789" * 4
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    hub.source.rename(repository / "snapshots" / commit)
    for module in [name for name in sys.modules if name.startswith("huggingface_hub.")]:
        for constant in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
            if hasattr(sys.modules[module], constant):
                monkeypatch.setattr(sys.modules[module], constant, str(tmp_path / "hub"))
    found = checkpoint_folder(ADDRESS, offline=True)
    assert found.name == commit
    assert checkpoint_folder(f"{ADDRESS}@{commit}", offline=True) == found
    with pytest.raises(CheckpointError, match="not in the local cache"):
        checkpoint_folder("hf://someone/else", offline=True)


def test_saving_carries_card_licence_and_texts_along(tmp_path: Path) -> None:
    trained = save(tmp_path / "trained", 0.25, card="# Gain\n\nNever trained.\n")
    (trained / "LICENSE").write_text("No rights reserved.")
    saved = save_pretrained(trained, tmp_path / "saved")
    assert {path.name for path in saved.iterdir()} == {
        "config.json", "README.md", "model.safetensors", "LICENSE", SUMS_FILE
    }  # fmt: skip
    card = (saved / "README.md").read_text()
    assert card.startswith("---\nlicense: cc0-1.0\nlibrary_name: sepkit\npipeline_tag: audio-to-audio\n")
    assert card.endswith("# Gain\n\nNever trained.\n")
    before, after = read_header(trained), read_header(saved)
    assert after.weights.file == "model.safetensors"
    assert after == before.model_copy(update={"weights": after.weights})
    again = save_pretrained(saved, tmp_path / "again")
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in saved.iterdir()
    }


def test_an_unlisted_licence_is_named_and_a_contradiction_refused(tmp_path: Path) -> None:
    odd = save_pretrained(save(tmp_path / "odd", 0.1, licence='as "they" say: ask'), tmp_path / "saved")
    assert 'license: other\nlicense_name: "as \\"they\\" say: ask"\n' in (odd / "README.md").read_text()
    save_pretrained(odd, tmp_path / "twice")
    wrong = save(tmp_path / "wrong", 0.1, card="---\nlicense: mit\n---\n# Gain\n")
    with pytest.raises(CheckpointError, match=r"states the licence 'mit', and config\.json 'CC0-1\.0'"):
        save_pretrained(wrong, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


@pytest.mark.usefixtures("gain")
def test_what_was_loaded_can_be_saved(hub: FakeHub, tmp_path: Path) -> None:
    for number, (given, gain) in enumerate(
        [(get_separator("gain"), 0.5), ("gain", 0.5), (from_pretrained(ADDRESS), 0.25), (ADDRESS, 0.25)]
    ):
        assert heard(from_pretrained(save_pretrained(given, tmp_path / str(number)))) == pytest.approx(gain)
    with pytest.raises(CheckpointError, match="neither a checkpoint folder nor an address nor a method"):
        save_pretrained("gian", tmp_path / "none")
    with pytest.raises(CheckpointError, match="was not made by get_separator"):
        save_pretrained(get_separator("gain").hosting(get_separator("gain").model), tmp_path / "none")


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = save_pretrained(save(tmp_path / "trained", 0.25), tmp_path / "saved")
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def fail(*given: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("sepkit.hub.shutil.copyfile", fail)
    with pytest.raises(OSError, match="disk is full"):
        save_pretrained(save(tmp_path / "better", 0.75), saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"trained", "better", "saved"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        save_pretrained(tmp_path / "trained", tmp_path / "mine")


def test_weights_of_a_family_want_a_method(hub: FakeHub, announce: Callable[..., Path], tmp_path: Path) -> None:
    folder = save(tmp_path / "family", 0.3, separator="kin")
    with pytest.raises(CheckpointError, match="'kin', which no installed package announces"):
        from_pretrained(folder)
    for name in ("kin_a", "kin_b"):
        announce(name, METHOD.replace('separator="gain"', 'separator="kin"'))
    with pytest.raises(OptionError, match=r"give method= one of kin_a, kin_b"):
        from_pretrained(folder)
    assert heard(from_pretrained(folder, method="kin_b")) == pytest.approx(0.3)
