"""With weights from a file, each peer gives what its own programming interface gives on the same input."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sepkit import Audio, Stems, get_separator
from sepkit.testing.signals import global_random_states, music

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def mixture() -> Audio:
    """An odd length of stereo music, off centre: the peers take the mean away and put it back."""
    return Audio(music(44_100, 2, 9_001) + 0.05, 44_100)


def check_same(found: Stems, wanted: dict[str, torch.Tensor]) -> None:
    assert set(found) == set(wanted)
    for name, stem in wanted.items():
        assert stem.abs().max() > 100 * TOLERANCE, "the peer gave silence, which would compare nothing"
        torch.testing.assert_close(found[name].samples, stem, atol=TOLERANCE, rtol=0)


def by_their_own_api(name: str, repo: Path, mixture: Audio, **settings: Any) -> dict[str, torch.Tensor]:
    """Stems by `demucs.api.Separator` on a folder of models; its draws of shifts start from the seed that ours have."""
    api = pytest.importorskip("demucs.api")
    separator = api.Separator(model=name, repo=repo, device="cpu", **{"shifts": 0, **settings})
    before = random.getstate()
    random.seed(0)
    with torch.no_grad():
        found = separator.separate_tensor(mixture.samples.clone(), 44_100)[1]
    random.setstate(before)
    return found


@pytest.mark.filterwarnings("ignore:Dropping inexistant parameter")
@pytest.mark.parametrize("method", ["htdemucs", "hdemucs", "demucs_v2"])
def test_demucs_equals_its_own_api(tiny: Any, method: str, tmp_path: Path, mixture: Audio) -> None:
    file = tiny.save_package(tiny.demucs(method), tmp_path, "tiny")
    separator = get_separator(method, checkpoint=file, device="cpu")
    assert (separator.info.trained, separator.info.licence) == (True, "unknown")
    before = global_random_states()
    found = separator.separate(mixture)
    assert global_random_states() == before
    assert found["drums"].length_samples == mixture.length_samples
    check_same(found, by_their_own_api("tiny", tmp_path, mixture, overlap=0.25))


def test_qualities_are_the_settings_of_its_own_api(tiny: Any, tmp_path: Path, mixture: Audio) -> None:
    file = tiny.save_package(tiny.demucs("demucs_v2"), tmp_path, "tiny")
    separator = get_separator("demucs_v2", checkpoint=file, device="cpu")
    fast, best = (separator.separate(mixture, quality=quality, seed=5) for quality in ("fast", "best"))
    check_same(fast, by_their_own_api("tiny", tmp_path, mixture, overlap=0.1))
    check_same(best, by_their_own_api("tiny", tmp_path, mixture, overlap=0.25, shifts=2))
    assert (best["bass"].samples - fast["bass"].samples).abs().max() > TOLERANCE


@pytest.mark.filterwarnings("ignore:Dropping inexistant parameter")
def test_a_bag_of_fine_tuned_networks_equals_its_own_api(tiny: Any, tmp_path: Path, mixture: Audio) -> None:
    signatures = ["f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"]
    for seed, signature in enumerate(signatures):
        tiny.save_package(tiny.demucs("htdemucs", seed), tmp_path, signature)
    weights = [[float(row == column) for column in range(4)] for row in range(4)]
    (tmp_path / "bag.yaml").write_text(json.dumps({"models": signatures, "weights": weights}))
    found = get_separator("htdemucs_ft", checkpoint=tmp_path, device="cpu").separate(mixture)
    check_same(found, by_their_own_api("bag", tmp_path, mixture))


def test_safetensors_of_the_hub_are_read_as_the_peer_reads_them(tiny: Any, tmp_path: Path, mixture: Audio) -> None:
    hf = pytest.importorskip("demucs.hf")
    save_file = pytest.importorskip("safetensors.torch").save_file
    network = tiny.demucs("htdemucs")
    keywords = tiny.networks["htdemucs"][1] | {"segment": {"_type": "fraction", "numerator": 1, "denominator": 10}}
    metadata = {"klass": tiny.networks["htdemucs"][0], "args": json.dumps([tiny.stems]), "kwargs": json.dumps(keywords)}
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()
    }
    save_file(state, tmp_path / "955717e8.safetensors", metadata)
    separator = get_separator("htdemucs", checkpoint=tmp_path, device="cpu")
    theirs = hf.load_safetensors_model(tmp_path / "955717e8.safetensors").eval()
    ours: Any = separator.model.network  # type: ignore[attr-defined]
    assert ours.segment == theirs.segment
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())


def test_weights_of_demucs_v2_keep_their_old_names(tiny: Any, tmp_path: Path) -> None:
    network = tiny.demucs("demucs_v2")
    old = {
        re.sub(r"^((?:en|de)coder\.\d)\.3\.", r"\1.2.", name): tensor for name, tensor in network.state_dict().items()
    }
    assert old.keys() != network.state_dict().keys()
    torch.save(old, tmp_path / "demucs.th")
    ours: Any = get_separator("demucs_v2", checkpoint=tmp_path / "demucs.th", device="cpu").model.network  # type: ignore[attr-defined]
    network.segment = ours.segment
    x = torch.randn(1, 2, 3000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(x), network(x))


@pytest.mark.parametrize("form", ["folder", "file"])
def test_open_unmix_equals_its_own_api(tiny: Any, form: str, tmp_path: Path, mixture: Audio) -> None:
    networks = tiny.openunmix()
    utils, predict = pytest.importorskip("openunmix.utils"), pytest.importorskip("openunmix.predict")
    for stem, network in networks.items():
        leftovers = {"stft.window": torch.hann_window(4096), "transform.0.window": torch.ones(1)}
        torch.save({**network.state_dict(), **leftovers}, tmp_path / f"{stem}-0123abcd.pth")
        arguments = {"args": {"nfft": 4096, "nb_channels": 2, "hidden_size": 8}}
        (tmp_path / f"{stem}.json").write_text(json.dumps(arguments))
    their_settings = {"sample_rate": 44_100, "nfft": 4096, "nhop": 1024, "nb_channels": 2}
    (tmp_path / "separator.json").write_text(json.dumps(their_settings))
    checkpoint = tmp_path
    theirs = pytest.importorskip("openunmix.model").Separator(networks, niter=1, n_fft=4096, n_hop=1024).eval()
    if form == "file":
        checkpoint = tmp_path / "separator.pth"
        torch.save(theirs.state_dict(), checkpoint)
    del utils
    with torch.no_grad():
        wanted = predict.separate(mixture.samples.clone(), rate=44_100, separator=theirs)
    found = get_separator("umxhq", checkpoint=checkpoint, device="cpu").separate(mixture)
    check_same(found, {stem: samples[0] for stem, samples in wanted.items()})


def test_conv_tasnet_equals_its_own_network_on_a_window(tiny: Any, tmp_path: Path) -> None:
    models = pytest.importorskip("torchaudio.models")
    sizes = {"enc_num_feats": 16, "msk_num_feats": 8, "msk_num_hidden_feats": 12, "msk_num_layers": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = models.ConvTasNet(num_sources=4, msk_num_stacks=2, msk_activate="relu", **sizes).eval()
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    options: dict[str, Any] = {"window_seconds": 0.5, "network": {"msk_num_layers": 2, "msk_num_stacks": 2}}
    separator = get_separator("conv_tasnet", checkpoint=tmp_path / "mine.pth", device="cpu", **options)
    samples = music(44_100, 2, 22_050)
    found = separator.separate(samples, sample_rate=44_100)
    with torch.no_grad():
        wanted = network(samples[:, None])  # a channel each
    check_same(found, {stem: wanted[:, index] for index, stem in enumerate(tiny.stems)})
