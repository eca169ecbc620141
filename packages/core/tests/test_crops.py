"""Random crops: item i depends on (seed, i) alone, and holds what the settings say."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from sepkit.data import Dataset, FolderDataset, RandomCrops
from sepkit.data.audio_cache import cache_file, default_cache_folder
from sepkit.data.track import MemorySource, Track, track_in_memory
from sepkit.errors import DatasetError, OptionError

STEMS = ("vocals", "drums", "bass", "other")
LENGTH = 5000


@pytest.fixture
def ramps() -> Dataset:
    """Three songs in which every sample tells its song, stem, channel and place: song + 0.1 stem, sign by channel."""
    place = torch.arange(LENGTH) / 1e6

    def stem(song: int, s: int) -> torch.Tensor:
        return torch.stack([song + 0.1 * s + place, -(song + 0.1 * s + place)])

    songs = [{name: stem(song, s) for s, name in enumerate(STEMS)} for song in (1, 2, 3)]
    return Dataset("ramps", [track_in_memory(f"song{i}", stems, 44100) for i, stems in enumerate(songs, 1)])


def _crops(dataset: Dataset, **settings: object) -> RandomCrops:
    return RandomCrops(dataset, length_samples=100, **settings)  # type: ignore[arg-type]


def _song(item: torch.Tensor) -> list[int]:
    return [int(x) for x in item[:, 0, 0].abs()]


def test_an_item_depends_on_seed_and_index_only(ramps: Dataset) -> None:
    settings = {"gain_db": (-6.0, 6.0), "flip_sign": 0.5, "swap_channels": 0.5, "absent_probability": 0.2}
    a, b = _crops(ramps, seed=7, **settings), _crops(ramps, seed=7, **settings)
    backwards = {i: b[i] for i in reversed(range(20))}
    assert all(torch.equal(a[i], backwards[i]) for i in range(20))
    assert not torch.equal(a[0], _crops(ramps, seed=8, **settings)[0])
    assert len({a[i].numpy().tobytes() for i in range(20)}) == 20


def test_workers_change_nothing_and_global_random_state_is_untouched(ramps: Dataset) -> None:
    crops = _crops(ramps, seed=3, count=12)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    alone = [crops[i] for i in range(12)]
    assert torch.equal(before, torch.get_rng_state())
    shared = [item for batch in DataLoader(crops, batch_size=3, num_workers=2) for item in batch]
    assert all(torch.equal(x, y) for x, y in zip(alone, shared, strict=True))


def test_an_aligned_item_is_one_place_of_one_song(ramps: Dataset) -> None:
    crops = _crops(ramps, remix_probability=0.0)
    for i in range(30):
        item = crops[i]
        assert item.shape == (4, 2, 100)
        assert len(set(_song(item))) == 1
        places = item[:, 0, 0] - item[:, 0, 0].floor() - torch.arange(4) * 0.1
        assert places.max() - places.min() < 1e-6


def test_remixing_uses_several_songs_and_keeps_stems_in_their_rows(ramps: Dataset) -> None:
    crops = _crops(ramps, remix_probability=1.0)
    items = [crops[i] for i in range(30)]
    assert max(len(set(_song(item))) for item in items) == 3
    for item in items:
        assert torch.equal((item[:, 0, 0] * 10 % 10).floor().int(), torch.arange(4, dtype=torch.int32))


def test_gain_sign_and_channels_stay_in_their_ranges(ramps: Dataset) -> None:
    plain, varied = _crops(ramps, seed=1), _crops(ramps, seed=1, gain_db=(-6.0, 6.0), flip_sign=0.5, swap_channels=0.5)
    ratios = torch.stack([varied[i].abs().amax((1, 2)) / plain[i].abs().amax((1, 2)) for i in range(40)])
    assert ratios.min() >= 10 ** (-6 / 20) - 1e-4
    assert ratios.max() <= 10 ** (6 / 20) + 1e-4
    assert ratios.std() > 0.2
    signs = torch.stack([torch.sign(varied[i][:, 0, 0]) for i in range(40)])
    assert {-1.0, 1.0} == set(signs.flatten().tolist())
    assert torch.equal(_crops(ramps, swap_channels=1.0)[0], _crops(ramps)[0].flip(1))
    assert torch.equal(_crops(ramps, flip_sign=1.0)[0], -_crops(ramps)[0])


def test_stems_go_absent_but_never_all(ramps: Dataset) -> None:
    present = torch.stack([_crops(ramps, absent_probability=0.9)[i].abs().amax((1, 2)) > 0 for i in range(60)])
    assert present.any(dim=1).all()
    assert present.float().mean() < 0.5


def test_weights_choose_the_songs(ramps: Dataset) -> None:
    crops = _crops(ramps, weights=(0, 1, 3))
    songs = [song for i in range(100) for song in _song(crops[i])]
    assert songs.count(1) == 0
    assert 1.5 < songs.count(3) / songs.count(2) < 6


def test_excluded_audio_never_appears(ramps: Dataset) -> None:
    crops = _crops(ramps, excluded=[("song1", "other")], remix_probability=0.5)
    songs = [_song(crops[i]) for i in range(60)]
    assert all(row[3] != 1 for row in songs)
    assert any(1 in row for row in songs)
    with pytest.raises(DatasetError, match="nosuch"):
        _crops(ramps, excluded=[("nosuch", "other")])


def test_what_a_song_lacks_is_silent_and_other_takes_what_is_not_named() -> None:
    x = torch.ones(2, 500)
    duo = Dataset("duo", [track_in_memory("duo", {"vocals": x, "guitar": 2 * x, "piano": 3 * x}, 44100)])
    item = _crops(duo, remix_probability=0.0)[0]
    assert item.amax((1, 2)).tolist() == [1.0, 0.0, 0.0, 5.0]


def test_songs_with_stems_missing_are_no_mixtures_but_lend_their_stems(ramps: Dataset) -> None:
    """Saraga has the voice and the concert: a voice alone would be learnt as a mixture that is to be copied."""
    voice, concert = torch.full((2, LENGTH), 9.0), torch.full((2, LENGTH), 20.0)
    partial = track_in_memory("song9", {"vocals": voice}, 44100, concert)
    some = track_in_memory("song8", {"vocals": voice - 1, "violin": voice}, 44100, concert)
    lent = {9: 0, 8: 0}
    for remix_probability in (0.0, 0.5, 1.0):
        songs = Dataset("x", [*ramps, replace(partial, complete=False), replace(some, complete=False), partial])
        crops = _crops(songs, remix_probability=remix_probability)
        items = [crops[i] for i in range(40)]
        assert all(item[3, 0, 0] < 8 for item in items), "a violin is not all the rest"
        for row in map(_song, items):
            assert row[0] < 8 or remix_probability
            assert row[0] < 8 or all(row[1:]), "the others come from songs that have them"
            lent[row[0]] = lent.get(row[0], 0) + 1
    assert lent[9] > lent[8] > 0
    pair = Track("pair", 44100, 2, LENGTH, ("mixture", "vocals"), MemorySource({"mixture": concert, "vocals": voice}),
                 mixture_is_sum=False)  # fmt: skip
    item = _crops(Dataset("pairs", [pair]), stems=("mixture", "vocals"), remix_probability=0.0)[0]
    assert item[:, 0, 0].tolist() == [20.0, 9.0]


def test_songs_shorter_than_the_crop_end_in_silence() -> None:
    tiny = Dataset("tiny", [track_in_memory("tiny", {"vocals": torch.ones(2, 30)}, 44100)])
    item = _crops(tiny, stems=("vocals",))[5]
    assert torch.equal(item[0, :, :30], torch.ones(2, 30))
    assert item[0, :, 30:].abs().max() == 0


def test_speed_changes_the_pitch_and_not_the_length() -> None:
    t = torch.arange(44100) / 44100
    tone = Dataset("tone", [track_in_memory("tone", {"bass": torch.sin(2 * torch.pi * 1000 * t).repeat(2, 1)}, 44100)])
    item = RandomCrops(tone, 0.5, stems=("bass",), speed=(1.2, 1.2))[0]
    assert item.shape == (1, 2, 22050)
    assert abs(int(torch.fft.rfft(item[0, 0] * torch.hann_window(22050)).abs().argmax()) * 2 - 1200) <= 2


def test_silent_places_are_drawn_again() -> None:
    x = torch.zeros(2, 100_000)
    x[:, 90_000:] = 1
    mostly = Dataset("mostly silent", [track_in_memory("t", {"vocals": x, "other": x}, 44100)])

    def heard(**settings: float) -> float:
        crops = _crops(mostly, stems=("vocals",), **settings)
        return float(np.mean([crops[i].abs().max() > 0 for i in range(100)]))

    for remix_probability in (0.0, 1.0):
        assert heard(remix_probability=remix_probability) < 0.3
        assert heard(remix_probability=remix_probability, silence_tries=20) > 0.7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, stem in enumerate(("vocals", "other")):
        x = np.random.default_rng(i).uniform(-0.9, 0.9, (9000, 2))
        (tmp_path / "data" / "song").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "data" / "song" / f"{stem}.wav", x, 48000, subtype="FLOAT")
    return tmp_path / "data"


def test_the_cache_holds_what_the_files_hold(folder: Path, tmp_path: Path) -> None:
    dataset = FolderDataset(folder)
    crops = RandomCrops(
        dataset, length_samples=9000, sample_rate=48000, stems=("vocals", "other"), cache=tmp_path / "c", count=1
    )
    seen: list[tuple[int, int]] = []
    crops.prepare(lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert len(list((tmp_path / "c").iterdir())) == 2
    for s, stem in enumerate(("vocals", "other")):
        assert (crops[0][s] - dataset[0].load(stem)).abs().max() <= 0.5 / 32767 * 1.01


def test_a_changed_file_is_decoded_anew(folder: Path, tmp_path: Path) -> None:
    path, cache = folder / "song" / "vocals.wav", tmp_path / "c"
    settings = {"length_samples": 100, "sample_rate": 48000, "stems": ("vocals",), "cache": cache}
    first, place = (
        RandomCrops(FolderDataset(folder), **settings)[0],
        cache_file(FolderDataset(folder)[0], "vocals", cache),
    )
    soundfile.write(path, np.full((9001, 2), 3.0), 48000, subtype="FLOAT")
    second = RandomCrops(FolderDataset(folder), **settings)[0]
    assert not torch.equal(first, second)
    assert torch.allclose(second, torch.tensor(3.0), atol=1e-3)  # beyond full scale: kept, not clipped
    assert cache_file(FolderDataset(folder)[0], "vocals", cache) != place


def test_other_rates_and_channels(folder: Path, tmp_path: Path) -> None:
    crops = RandomCrops(FolderDataset(folder), 0.1, sample_rate=22050, channels=1, stems=("vocals",), cache=tmp_path)
    assert crops[0].shape == (1, 1, 2205)
    # Above 11 kHz nothing is left, so white noise loses about half of its power, and again by averaging channels.
    assert 0.05 < crops[0].std() < 0.5


def test_crops_travel_to_other_processes(folder: Path, tmp_path: Path) -> None:
    crops = RandomCrops(FolderDataset(folder), length_samples=50, stems=("vocals",), cache=tmp_path)
    first = crops[0]
    assert torch.equal(pickle.loads(pickle.dumps(crops))[0], first)


def test_the_default_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPKIT_CACHE", "/somewhere/else")
    assert default_cache_folder() == Path("/somewhere/else")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flip_sign": 1.5}, "flip_sign"),
        ({"gain_db": (3.0, -3.0)}, "gain_db"),
        ({"speed": (0.0, 1.0)}, "speed"),
        ({"seconds": 1.0}, "either"),
        ({"weights": (1, 2)}, "3 numbers"),
        ({"stems": ()}, "empty"),
    ],
)
def test_settings_out_of_range_are_named(ramps: Dataset, settings: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        _crops(ramps, **settings)


def test_a_dataset_with_nothing_to_crop_is_an_error(ramps: Dataset) -> None:
    with pytest.raises(DatasetError, match="piano"):
        _crops(ramps, stems=("piano",))


def test_the_end_of_the_items_is_an_index_error(ramps: Dataset) -> None:
    crops = _crops(ramps, count=3)
    assert len(list(crops)) == len(crops) == 3  # type: ignore[call-overload]
