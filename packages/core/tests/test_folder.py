"""Folders of stems: what counts as a track, whose names stems go by, and what happens where files disagree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sepkit.data import FolderDataset, open_dataset
from sepkit.data.musdb import VALIDATION_TRACKS, musdb_dataset
from sepkit.errors import DatasetError, UnknownNameError

RATE = 44100


def _write(path: Path, seed: int = 0, length: int = 4000, channels: int = 2, rate: int = RATE) -> torch.Tensor:
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(seed).uniform(-0.2, 0.2, (length, channels)).astype(np.float32)
    x = np.round(x * 32768) / 32768  # exact in 16 bits
    opus = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(path, x, rate, **opus)
    return torch.from_numpy(x.T.astype(np.float32))


@pytest.fixture
def musdb(tmp_path: Path) -> Path:
    for split, name in (("train", "A - B"), ("train", VALIDATION_TRACKS[0]), ("test", "C - D")):
        for i, stem in enumerate(("vocals", "drums", "bass", "other", "mixture")):
            _write(tmp_path / split / name / f"{stem}.wav", i)
    return tmp_path


def test_samples_come_back_exactly(tmp_path: Path) -> None:
    voice, rest = _write(tmp_path / "song" / "vocals.wav", 1), _write(tmp_path / "song" / "other.flac", 2)
    (track,) = FolderDataset(tmp_path)
    assert torch.equal(track.load("vocals"), voice)
    assert torch.equal(track.load("other", 100, 50), rest[:, 100:150])
    assert torch.equal(track.mixture, voice + rest)
    assert track.mixture_is_sum


@pytest.mark.parametrize("suffix", ["ogg", "opus", "mp3"])
def test_lossy_files_are_read(tmp_path: Path, suffix: str) -> None:
    _write(tmp_path / "song" / f"vocals.{suffix}", length=48000, rate=48000)
    (track,) = FolderDataset(tmp_path)
    assert track.load("vocals").shape == (2, track.length_samples)
    # Encoders disagree about their padding; what is there must be loud, and a part must be what the whole has there.
    assert track.load("vocals").std() > 0.02
    assert torch.equal(track.load("vocals", 20000, 300), track.load("vocals")[:, 20000:20300])


def test_names_in_other_words_are_understood(tmp_path: Path) -> None:
    for i, name in enumerate(("Lead Vocals.wav", "DRUM.wav", "bass_guitar.flac", "Keys.wav", "mix.wav")):
        _write(tmp_path / "song" / name, i)
    (track,) = FolderDataset(tmp_path)
    assert track.stems == ("vocals", "drums", "bass", "piano")
    assert not track.mixture_is_sum


def test_mixture_file_or_sum(musdb: Path) -> None:
    own, summed = FolderDataset(musdb, "test")[0], FolderDataset(musdb, "test", sum_mixture=True)[0]
    assert not torch.allclose(own.mixture, summed.mixture)
    assert torch.allclose(summed.mixture, sum(summed.load(s) for s in summed.stems))


def test_shorter_stems_end_in_silence(tmp_path: Path) -> None:
    short = _write(tmp_path / "song" / "vocals.wav", 1, length=1000)
    long = _write(tmp_path / "song" / "other.wav", 2, length=3000)
    (track,) = FolderDataset(tmp_path)
    assert track.length_samples == 3000
    assert torch.equal(track.mixture, long + torch.nn.functional.pad(short, (0, 2000)))
    assert torch.equal(track.load("vocals", 900, 500)[:, 100:], torch.zeros(2, 400))


def test_a_missing_stem_is_silent_and_not_among_the_stems(tmp_path: Path) -> None:
    _write(tmp_path / "song" / "vocals.wav")
    (track,) = FolderDataset(tmp_path)
    assert track.stems == ("vocals",)
    assert track.load("bass").abs().max() == 0


def test_mono_files_are_spread(tmp_path: Path) -> None:
    mono = _write(tmp_path / "song" / "bass.wav", channels=1)
    _write(tmp_path / "song" / "vocals.wav", channels=2)
    (track,) = FolderDataset(tmp_path)
    assert torch.equal(track.load("bass"), mono.expand(2, -1))


def test_rates_that_differ_are_made_one(tmp_path: Path) -> None:
    _write(tmp_path / "song" / "vocals.wav", length=4410, rate=44100)
    _write(tmp_path / "song" / "bass.wav", length=4800, rate=48000)
    for wanted, length in ((None, 4410), (48000, 4800), (22050, 2205)):
        (track,) = FolderDataset(tmp_path, sample_rate=wanted)
        assert track.length_samples == length
        assert track.load("vocals").shape == track.load("bass").shape == (2, length)
    assert torch.equal(track.load("vocals", 500, 100), track.load("vocals")[:, 500:600])


def test_splits_and_names(musdb: Path) -> None:
    assert [t.name for t in FolderDataset(musdb, "test")] == ["C - D"]
    assert len(FolderDataset(musdb)) == 3
    _write(musdb / "valid" / "C - D" / "vocals.wav")
    assert {"test/C - D", "valid/C - D"} <= {t.name for t in FolderDataset(musdb)}
    with pytest.raises(DatasetError, match="train, valid"):
        FolderDataset(musdb, "nosuch")


def test_one_song_is_a_dataset_too(musdb: Path) -> None:
    assert [t.name for t in FolderDataset(musdb / "test" / "C - D")] == ["C - D"]


def test_folders_that_begin_with_a_dot_are_not_tracks(tmp_path: Path) -> None:
    _write(tmp_path / "song" / "vocals.wav")
    _write(tmp_path / ".half.part" / "vocals.wav")
    assert len(FolderDataset(tmp_path)) == 1


def test_no_tracks_is_an_error_that_says_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(DatasetError, match=r"vocals\.wav.*notes\.txt"):
        FolderDataset(tmp_path)
    with pytest.raises(DatasetError, match="not a folder"):
        FolderDataset(tmp_path / "nosuch")


def test_two_files_for_one_stem_contradict(tmp_path: Path) -> None:
    _write(tmp_path / "song" / "vocals.wav")
    _write(tmp_path / "song" / "vox.flac")
    with pytest.raises(DatasetError, match="two files for vocals"):
        FolderDataset(tmp_path)


def test_what_is_left_aside_is_noted(tmp_path: Path) -> None:
    for name in ("vocals", "drums", "accompaniment", "click"):
        _write(tmp_path / "song" / f"{name}.wav")
    dataset = FolderDataset(tmp_path)
    assert dataset[0].stems == ("vocals", "drums")
    assert len(dataset.notes) == 2


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    _write(tmp_path / "song" / "vocals.wav")
    (tmp_path / "song" / "bass.wav").write_text("this is no sound")
    with pytest.raises(DatasetError, match=r"song.*bass\.wav"):
        FolderDataset(tmp_path)


def test_musdb_splits_are_disjoint_and_complete(musdb: Path) -> None:
    train, valid, test = (musdb_dataset(musdb, split) for split in ("train", "valid", "test"))
    assert [t.name for t in train] == ["A - B"]
    assert [t.name for t in valid] == [VALIDATION_TRACKS[0]]
    assert [t.name for t in test] == ["C - D"]
    assert len(set(VALIDATION_TRACKS)) == 14


def test_two_editions_of_musdb_in_one_folder_are_refused(musdb: Path) -> None:
    (musdb / "train" / "A - B.stem.mp4").touch()
    with pytest.raises(DatasetError, match="both stem files"):
        musdb_dataset(musdb, "train")


def test_datasets_open_by_name(musdb: Path) -> None:
    assert len(open_dataset(f"folder:{musdb}")) == 3
    assert [t.name for t in open_dataset(f"musdb:{musdb}")] == ["C - D"]
    assert open_dataset("demo").name == "demo"
    assert len(open_dataset("synthetic:5")) == 5
    with pytest.raises(UnknownNameError, match="did you mean 'folder'"):
        open_dataset("foldr:x")
    with pytest.raises(DatasetError, match="folder:PATH"):
        open_dataset("folder")
    with pytest.raises(DatasetError, match="number of songs"):
        open_dataset("synthetic:many")
