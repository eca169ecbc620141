"""The lists that ship with the adapters, and the one error that is worth the most: no song at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sepkit.data import open_dataset
from sepkit.data.medleydb_lists import BY_MUSDB_ARTISTS, IN_MUSDB
from sepkit.data.musdb import VALIDATION_TRACKS
from sepkit.data.own_split import SPLITS, own_split
from sepkit.data.saraga_list import MULTITRACK
from sepkit.errors import DatasetError


def test_the_two_lists_of_medleydb_are_disjoint_and_share_their_artists() -> None:
    assert (len(IN_MUSDB), len(BY_MUSDB_ARTISTS)) == (46, 32)
    artists = {title.partition("_")[0] for title in IN_MUSDB}
    assert not set(IN_MUSDB) & set(BY_MUSDB_ARTISTS)
    assert {title.partition("_")[0] for title in BY_MUSDB_ARTISTS} <= artists
    medley = {name for name in VALIDATION_TRACKS if name.replace(" ", "").replace("-", "_") in IN_MUSDB}
    assert medley == {
        "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Meaxic - Take A Step",
    }


def test_saragas_songs_are_named_once_by_concert() -> None:
    pairs = [(concert, song) for concert, songs in MULTITRACK.items() for song in songs]
    assert len(set(pairs)) == len(pairs) == 168  # as the dataset's own description counts them
    assert all(concert.strip() == concert and song.strip() == song for concert, song in pairs)
    assert {own_split(concert) for concert in MULTITRACK} >= {"train", "valid"}


def test_splits_by_artist_are_fixed_and_about_eight_to_one_to_one() -> None:
    splits = [own_split(f"artist {number}") for number in range(1000)]
    assert {split: round(splits.count(split), -2) for split in SPLITS} == {"train": 800, "valid": 100, "test": 100}
    assert own_split(" Liz Nelson") == own_split("liz nelson ")


@pytest.mark.parametrize("kind", ["musdb", "slakh", "slakh-band", "moisesdb", "medleydb", "saraga", "folder"])
def test_no_song_is_an_error_before_anything_starts(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="training needs the extra [train]")
    from sepkit.training.items import StemData, StemItems

    with pytest.raises(DatasetError):
        open_dataset(f"{kind}:{tmp_path}")
    data = StemData(sources=(f"{kind}:{tmp_path}",))
    with pytest.raises(DatasetError):
        StemItems(data, stems=("vocals",), length_samples=10, sample_rate=44100, channels=2, seed=0)
