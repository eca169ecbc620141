"""Training items: pairs that stay together, songs that lack what a mode needs, and latents that are cached once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from sepkit.codecs import Codec, CodecSettings
from sepkit.data.opening import open_dataset
from sepkit.data.resampled import resampled_track
from sepkit.data.track import track_in_memory
from sepkit.errors import DatasetError, OptionError
from sepkit_latent_diffusion import latent_cache
from sepkit_latent_diffusion.codec.checkpoints import build_codec
from sepkit_latent_diffusion.items import STRIDE, CropItems, Item, PairData, SoundingItems, crop_items
from sepkit_latent_diffusion.latent_cache import LatentCache, read_crop, shape_of
from sepkit_latent_diffusion.latent_items import LatentItems
from sepkit_latent_diffusion.loss import Encoding
from sepkit_latent_diffusion.pairs import pair_dataset, pair_track
from sepkit_latent_diffusion.presets import PRESETS

RATE = 8000


def items_of(folder: Path, cache: Path, targets: tuple[str, ...] = ("vocals",), **settings: Any) -> CropItems:
    data = PairData(sources=(f"folder:{folder}",), cache=str(cache), **settings)
    stems = ("vocals", "drums", "bass", "other")
    return crop_items(data, targets=targets, stems=stems, length_samples=1000, sample_rate=RATE, channels=2, seed=3)


def test_a_song_of_mixture_and_vocals_is_a_pair(pairs: Path, songs: Path) -> None:
    song = pair_dataset(open_dataset(f"folder:{pairs}", "train"), ("vocals",))[0]
    assert song.stems == ("mixture", "vocals")
    x, _ = soundfile.read(pairs / "train/one/mixture.wav", dtype="float32")
    assert np.array_equal(song.load("mixture", 5, 100).numpy(), x.T[:, 5:105])
    assert song.source.fingerprint("mixture") != song.source.fingerprint("vocals")
    whole = pair_dataset(open_dataset(f"folder:{songs}", "train"), ("accompaniment", "vocals"))[0]
    torch.testing.assert_close(whole.load("mixture"), whole.load("vocals") + whole.load("accompaniment"))
    torch.testing.assert_close(whole.mixture, song.load("mixture"), atol=1e-4, rtol=0)
    with pytest.raises(DatasetError, match="has no drums"):
        pair_track(open_dataset(f"folder:{pairs}", "train")[0], ("vocals", "drums"))


def test_pairs_vary_together(pairs: Path, tmp_path: Path) -> None:
    plain = items_of(pairs, tmp_path, mode="pairs")
    varied = items_of(pairs, tmp_path, mode="pairs", flip_sign=0.5, swap_channels=0.5, gain_db=(-6.0, 6.0))
    changes = set()
    for index in range(12):
        before, after = plain[index], varied[index]
        loudest = before["mixture"].abs().argmax()
        for swapped in (False, True):
            turned = before["mixture"].flip(0) if swapped else before["mixture"]
            gain = float(after["mixture"].flatten()[loudest] / turned.flatten()[loudest])
            if torch.allclose(after["mixture"], gain * turned, atol=1e-5):
                target = before["targets"].flip(1) if swapped else before["targets"]
                torch.testing.assert_close(after["targets"], gain * target, atol=1e-5, rtol=1e-4)
                changes.add((swapped, gain > 0))
                assert 0.5 < abs(gain) < 2
    assert len(changes) == 4
    assert torch.equal(varied[7]["mixture"], varied[7]["mixture"])


def test_stems_make_mixtures_and_songs_without_others_are_refused(songs: Path, pairs: Path, tmp_path: Path) -> None:
    item = items_of(songs, tmp_path, targets=("accompaniment", "drums"))[0]
    assert item["targets"].shape == (2, 2, 1000)
    vocals = items_of(songs, tmp_path)[0]
    torch.testing.assert_close(item["targets"][0] + vocals["targets"][0], item["mixture"], atol=1e-6, rtol=0)
    with pytest.raises(DatasetError, match=r"data\.mode=pairs"):
        items_of(pairs, tmp_path)
    with pytest.raises(OptionError, match="the target 'guitar' is none of the training stems"):
        items_of(songs, tmp_path, targets=("guitar",))


def test_an_equaliser_changes_stems_and_their_sum_alike(songs: Path, tmp_path: Path) -> None:
    targets = ("vocals", "accompaniment")
    plain, varied = (items_of(songs, tmp_path, targets, equaliser_db=db)[0] for db in (0.0, 6.0))
    torch.testing.assert_close(varied["mixture"], varied["targets"].sum(dim=0), atol=1e-6, rtol=0)
    assert not torch.allclose(varied["mixture"], plain["mixture"], atol=1e-3)
    again = items_of(songs, tmp_path, targets, equaliser_db=6.0)[0]
    assert torch.equal(again["mixture"], varied["mixture"])


class TwoHalves:
    """Items whose target is silent in every second."""

    seed = 3

    def __getitem__(self, index: int) -> Item:
        target = torch.full((1, 1, 4), float((index // STRIDE + index) % 2))
        return {"mixture": torch.ones(1, 4), "targets": target, "index": torch.tensor(index)}

    def prepare(self) -> None: ...


@pytest.mark.parametrize("keep", [0.0, 0.25, 1.0])
def test_crops_without_the_target_are_kept_by_their_share(keep: float) -> None:
    items = SoundingItems(TwoHalves(), keep)
    found = [items[i] for i in range(0, 800, 2)]  # all of them silent at first
    assert np.mean([not item["targets"].any() for item in found]) == pytest.approx(keep, abs=0.08)
    assert all(int(items[i]["index"]) == i for i in (1, 3, 5))


def tiny_codec(seed: int = 0, preset: str = "tiny") -> tuple[Codec, CodecSettings]:
    settings = PRESETS[preset].codec
    return build_codec(settings.model_copy(update={"settings": {**settings.settings, "seed": seed}})), settings


def pair_in_memory(seconds: float = 1.0, gain: float = 1.0) -> Any:
    x = torch.randn(2, 2, round(RATE * seconds), generator=torch.Generator().manual_seed(0))
    return pair_track(track_in_memory("song", {"vocals": gain * x[0], "other": gain * x[1]}, RATE), ("vocals",))


@pytest.mark.parametrize("preset", ["tiny", "tiny_seanet"])
def test_cached_latents_are_those_of_the_sounds(preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_cache, "PIECE_SECONDS", 0.4)
    codec, settings = tiny_codec(preset=preset)
    pair = pair_in_memory(gain=0.1)
    path = LatentCache(tmp_path, codec, settings, 1.0).file(pair)
    groups, frames = shape_of(path)
    assert groups == 2  # a mono codec takes the channels one by one
    rms = pair.load("mixture").square().mean().sqrt()
    for group in range(2):
        found = read_crop(path, group, 0, frames + 3, codec.features)
        assert not found["latents"][..., frames:].any()
        for row, stem in enumerate(pair.stems):
            pieces = torch.split(pair.load(stem)[None, group : group + 1] / rms, 3200, dim=-1)
            with torch.no_grad():
                wanted = torch.cat([codec.encode(piece) - codec.origin for piece in pieces], dim=-1)[0]
            torch.testing.assert_close(found["latents"][row, :, :frames].float(), wanted, atol=2e-3, rtol=2e-3)
        power = (pair.load("mixture")[group] / rms).square().mean()
        assert float(found["power"][:frames].mean()) == pytest.approx(float(power), rel=0.02)


def test_a_crop_of_an_additive_codec_is_brought_to_the_level_of_a_window(tmp_path: Path) -> None:
    codec, settings = tiny_codec()
    path = LatentCache(tmp_path, codec, settings, 1.0).file(pair_in_memory(gain=0.03))
    crop = read_crop(path, 1, 10, 40, codec.features)
    latents = Encoding(codec, 1.0).of({name: tensor[None] for name, tensor in crop.items()})
    samples = slice(10 * codec.hop_samples, 50 * codec.hop_samples)
    pair = pair_in_memory(gain=5.0)
    sounds = {
        "mixture": pair.load("mixture")[1:, samples][None],
        "targets": pair.load("vocals")[1:, samples][None, None],
    }
    direct = Encoding(codec, 1.0).of(sounds)
    for one, other in zip(latents, direct, strict=True):
        torch.testing.assert_close(one[..., 1:-1], other[..., 1:-1], atol=5e-3, rtol=5e-3)  # ends are not lapped


def test_the_cache_is_found_again_and_only_for_the_same_audio_codec_and_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, settings = tiny_codec()
    cache, pair = LatentCache(tmp_path, codec, settings, 1.0), pair_in_memory()
    path = cache.file(pair)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with monkeypatch.context() as patch:
        patch.setattr(latent_cache, "_write", lambda *given: pytest.fail("written again"))
        assert cache.file(pair_in_memory()) == path
    other, _ = tiny_codec(seed=1)
    different = {
        path,
        cache.path(pair_in_memory(gain=0.9)),
        cache.path(pair_in_memory(seconds=0.9)),
        LatentCache(tmp_path, codec, settings, 0.5).path(pair),
        LatentCache(tmp_path, other, settings, 1.0).path(pair),
        LatentCache(tmp_path, codec, settings.model_copy(update={"name": "x"}), 1.0).path(pair),
    }
    assert len(different) == 6


def test_an_interrupted_file_is_not_taken_for_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    codec, settings = tiny_codec()
    cache, pair = LatentCache(tmp_path, codec, settings, 1.0), pair_in_memory()

    def torn(tensors: Any, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", torn)
        with pytest.raises(KeyboardInterrupt):
            cache.file(pair)
    assert not list(tmp_path.iterdir())
    assert shape_of(cache.file(pair))[1] == codec.frames(RATE)


def test_latent_items_depend_on_seed_and_number_alone(pairs: Path, tmp_path: Path) -> None:
    codec, settings = tiny_codec()
    data = PairData(sources=(f"folder:{pairs}",), mode="latents", flip_sign=0.5)

    def made(seed: int) -> LatentItems:
        cache = LatentCache(tmp_path, codec, settings, 1.0)
        return LatentItems(data, ("vocals",), cache, crop_frames=20, seed=seed)

    one, same, other = made(1), made(1), made(2)
    assert len(one.songs) == 2
    for index in (0, 5):
        assert torch.equal(one[index]["latents"], same[index]["latents"])
        assert one[index]["latents"].shape == (2, codec.features, 20)
        assert one[index]["power"].shape == (20,)
    assert not torch.equal(one[0]["latents"], other[0]["latents"])
    song = open_dataset(f"folder:{pairs}", "train")[0]
    at_rate = resampled_track(pair_track(song, ("vocals",)), 4000)
    assert at_rate.load("mixture").shape[-1] == 8000
