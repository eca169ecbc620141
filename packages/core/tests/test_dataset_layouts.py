"""The layouts that folders of stems come in, told from names; and datasets that other packages announce."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sepkit.cli.main import main
from sepkit.data import FolderDataset, open_dataset
from sepkit.data.layouts import song_and_stem
from sepkit.data.stem_names import canonical_stem, is_mixture
from sepkit.errors import DatasetError, PluginError, UnknownNameError

RATE = 8000


def write(path: Path, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.round(np.random.default_rng(seed).uniform(-0.1, 0.1, 900) * 32768) / 32768
    soundfile.write(path, x, RATE)
    return x.astype(np.float32)


def layouts(root: Path) -> dict[str, FolderDataset]:
    """Two songs, the second without drums, in each layout with and without split folders."""
    made = {}
    places = {
        "track folders": "{song}/{stem}.wav",
        "stem folders": "{stem}/{song}.wav",
        "flat files": "{song}_{stem}.wav",
    }
    for split in ("", "train"):
        for layout, place in places.items():
            home = root / f"{layout}{split}"
            for seed, (song, stem) in enumerate(
                (s, k) for s in ("One", "Two") for k in ("vocals", "drums", "mixture") if (s, k) != ("Two", "drums")
            ):
                write(home / split / place.format(song=song, stem=stem), seed)
            made[f"{layout}{split}"] = FolderDataset(home, split or None)
    return made


def test_every_layout_holds_the_same_songs(tmp_path: Path) -> None:
    found = layouts(tmp_path)
    for name, dataset in found.items():
        assert dataset.layout == name.removesuffix("train")
        assert [(track.name, track.stems) for track in dataset] == [("One", ("vocals", "drums")), ("Two", ("vocals",))]
        assert [track.mixture_is_sum for track in dataset] == [False, False]
        assert np.array_equal(dataset[0].load("drums")[0], found["track folders"][0].load("drums")[0])
    assert len(FolderDataset(tmp_path / "stem folderstrain")) == 2  # all splits
    assert len(FolderDataset(tmp_path / "flat filestrain")) == 2


@pytest.mark.parametrize(
    ("name", "song", "stem"),
    [
        ("Song_vocals", "Song", "vocals"),
        ("My Song - Lead Vocals", "My Song", "vocals"),
        ("1_Song_(Instrumental)", "1_Song", "accompaniment"),
        ("1_A (live)_(Vocals)_model", "1_A (live)", "vocals"),
        ("song.bass", "song", "bass"),
        ("Song_no_vocals", "Song", "accompaniment"),
        ("Lied Schlagzeug", "Lied", "drums"),
        ("Song mix", "Song", "mixture"),
    ],
)
def test_files_that_name_song_and_stem(name: str, song: str, stem: str) -> None:
    assert song_and_stem(name) == (song, stem)


@pytest.mark.parametrize("name", ["vocals", "Just a song", "(Vocals)", "bass_solo_take"])
def test_files_that_do_not(name: str) -> None:
    assert song_and_stem(name) is None


def test_stems_are_known_in_other_languages_however_accents_are_written() -> None:
    words = {"Gesang": "vocals", "BATERÍA": "drums", "acompan\u0303amiento": "accompaniment", "violão": "guitar"}
    words |= {"人声": "vocals", "ボーカル": "vocals", "ホ\u3099ーカル": "vocals", "ピアノ": "piano"}
    assert {word: canonical_stem(word) for word in words} == words
    assert is_mixture("Mélange")
    assert canonical_stem("ナ") is None


def test_what_a_stem_file_was_made_from_is_its_mixture(tmp_path: Path) -> None:
    mixture = write(tmp_path / "Song.wav", 1)
    write(tmp_path / "Song_(Vocals).wav", 2)
    write(tmp_path / "other thing.wav", 3)
    dataset = FolderDataset(tmp_path)
    (track,) = dataset
    assert np.array_equal(track.mixture[0], mixture)
    assert "other thing" in dataset.notes[0]


def test_two_files_for_one_stem_are_refused_in_every_layout(tmp_path: Path) -> None:
    write(tmp_path / "Song_vocals.wav")
    write(tmp_path / "Song_vox.wav")
    with pytest.raises(DatasetError, match="two files for vocals"):
        FolderDataset(tmp_path)


PLUGIN = """
    from sepkit.data import Dataset, FolderDataset, synthetic_set

    def opened(rest, split, sample_rate):
        if rest == "broken":
            raise OSError("no disk")
        return None if rest == "nothing" else Dataset("mine", synthetic_set(2, seconds=1.0)[: int(rest)], split)
"""


@pytest.fixture
def plugin(announce) -> None:
    announce("mine", PLUGIN, target="songs:opened", group="sepkit.datasets")


def test_a_plugins_dataset_opens_like_any_other(plugin) -> None:
    assert len(open_dataset("mine:2", "train")) == 2
    with pytest.raises(UnknownNameError, match="did you mean 'mine'"):
        open_dataset("mines:2")
    with pytest.raises(PluginError, match="'mine' failed on 'broken': OSError: no disk"):
        open_dataset("mine:broken")
    with pytest.raises(PluginError, match="opened a NoneType"):
        open_dataset("mine:nothing")
    with pytest.raises(DatasetError, match="has no song"):
        open_dataset("mine:0")


def test_datasets_are_listed_without_importing_a_plugin(announce, capsys) -> None:
    announce("costly", "raise RuntimeError('imported')", target="songs:opened", group="sepkit.datasets")
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out
    assert "musdb:PATH" in lines
    assert "costly:..., from sepkit-costly" in lines
    with pytest.raises(PluginError, match="cannot be imported"):
        open_dataset("costly:1")


def test_listing_is_light() -> None:
    script = (
        "import sys; from sepkit.cli.main import main; code = main(['data', 'list'])\n"
        "heavy = {'torch', 'yaml', 'av', 'soundfile', 'scipy'} & set(sys.modules)\n"
        "assert code == 0 and not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
