"""Weights of EnCodec's class of codecs: as asked for and never otherwise, and never by running what is in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sepkit.codecs import CodecSettings, EncodecCodec, codec_settings, get_codec
from sepkit.errors import CheckpointError, MissingExtraError, OptionError, PluginError

pytest.importorskip("encodec")

TINY = {"weights": "random", "n_filters": 2, "dimension": 6}
SHORT = {**TINY, "ratios": (4, 2), "lstm_layers": 1}


def sound(length: int) -> Tensor:
    return 0.3 * torch.randn(2, 1, length, generator=torch.Generator().manual_seed(0))


def built(name: str, **settings: object) -> EncodecCodec:
    codec = get_codec(name, **settings)
    assert isinstance(codec, EncodecCodec)
    return codec


@pytest.fixture(autouse=True)
def _nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were to be downloaded though nobody asked")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)


def test_random_weights_are_the_seeds_and_no_draw_is_felt() -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, again, other = (built("seanet", **SHORT, sample_rate=1000, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    x = sound(100)
    assert torch.equal(first.encode(x), again.encode(x))
    assert not torch.equal(first.encode(x), other.encode(x))


def test_saved_weights_are_loaded_again_and_a_codec_is_stored_with_its_settings(tmp_path: Path) -> None:
    codec = built("seanet", **SHORT, sample_rate=1000, seed=4)
    path = tmp_path / "codec.safetensors"
    codec.save_weights(path)
    assert set(load_file(path)) == set(codec.state_dict())
    again = built("seanet", **{**SHORT, "weights": path}, sample_rate=1000)
    stored = CodecSettings.model_validate_json(codec_settings(again).model_dump_json()).build()
    x = sound(200)
    for loaded in (again, stored):
        assert torch.equal(loaded.encode(x), codec.encode(x))
        assert torch.equal(loaded.decode(codec.encode(x), 200), codec.decode(codec.encode(x), 200))


def test_a_state_dict_of_encodecs_own_model_is_loaded_without_its_quantiser(tmp_path: Path) -> None:
    codec = built("seanet", **SHORT, sample_rate=1000, seed=4)
    torch.save({**codec.state_dict(), "quantizer.vq.layers.0._codebook.inited": torch.ones(1)}, tmp_path / "codec.th")
    again = built("seanet", **{**SHORT, "weights": tmp_path / "codec.th"}, sample_rate=1000)
    assert torch.equal(again.encode(sound(200)), codec.encode(sound(200)))


class Trap:
    """What an untrusted file could hold: unpickling it would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise AssertionError('the file ran code')",)


def unusable_files(folder: Path) -> Iterator[tuple[Path, str]]:
    trap, text, other, list_, small = (
        folder / name for name in ("trap.th", "text.th", "o.safetensors", "l.th", "s.th")
    )
    torch.save({"encoder.model.0": Trap()}, trap)
    text.write_text("no weights")
    other.write_bytes(b"no weights")
    torch.save([torch.zeros(1)], list_)
    torch.save(built("seanet", **{**SHORT, "dimension": 3}, sample_rate=1000).state_dict(), small)
    yield trap, "cannot be read as weights only"
    yield text, "cannot be read as weights only"
    yield other, "cannot be read as weights only"
    yield list_, "is no state dict"
    yield small, "do not fit the codec's settings"
    yield folder / "missing.safetensors", "does not exist"


def test_files_that_are_no_weights_of_this_codec_are_refused(tmp_path: Path) -> None:
    for path, says in unusable_files(tmp_path):
        with pytest.raises(CheckpointError, match=says):
            built("seanet", **{**SHORT, "weights": path}, sample_rate=1000)


def test_published_weights_come_only_when_asked_for_and_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, object]]] = []
    tiny = built("encodec_24khz", **TINY, seed=9)

    def download(url: str, **options: object) -> dict[str, Tensor]:
        asked.append((url, options))
        return {**tiny.state_dict(), "quantizer.x": torch.zeros(1)}

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    codec = built("encodec_24khz", **{**TINY, "weights": "hub"})
    [(url, options)] = asked
    assert url.endswith("/encodec_24khz-d7cc33bc.th")
    assert options == {"map_location": "cpu", "check_hash": True, "weights_only": True}
    assert torch.equal(codec.encode(sound(1000)), tiny.encode(sound(1000)))
    with pytest.raises(OptionError, match="'seanet' has no published weights"):
        built("seanet", **{**SHORT, "weights": "hub"}, sample_rate=1000)

    def fail(url: str, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(CheckpointError, match=r"no network\. Get encodec_48khz-7e698e3e\.th another way"):
        built("encodec_48khz", **{**TINY, "weights": "hub"})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "needs weights=: the path of a file, 'hub'"),
        ({**TINY, "n_filter": 4}, "did you mean 'n_filters'"),
        ({**TINY, "norm": "time_group_norm"}, "causal=False"),
        ({**TINY, "n_filters": 1}, "compress is 2"),
        ({**TINY, "ratios": (4, 0)}, "ratios"),
        ({**TINY, "segment_seconds": 1e-6}, "less than one sample"),
    ],
)
def test_settings_that_make_no_codec_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        get_codec("encodec_24khz", **settings)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "encodec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "encodec", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sepkit\[codecs\]'"):
        get_codec("encodec_24khz", **TINY)


def test_a_package_that_cannot_be_imported_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "encodec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(PluginError, match="torchaudio of exactly the version of torch"):
        get_codec("encodec_24khz", **TINY)
