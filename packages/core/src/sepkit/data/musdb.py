"""MUSDB18-HQ: 100 training and 50 test songs in folders; the validation songs are 14 fixed ones of the training set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import DatasetError
from .folder import FolderDataset
from .track import Dataset

# From the configuration of the `musdb` package (validation_tracks).
VALIDATION_TRACKS = (
    "Actions - One Minute Smile",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Johnny Lokke - Promises & Lies",
    "Patrick Talbot - A Reason To Leave",
    "Triviul - Angelsaint",
    "Alexander Ross - Goodbye Bolero",
    "Fergessen - Nos Palpitants",
    "Leaf - Summerghost",
    "Skelpolu - Human Mistakes",
    "Young Griffo - Pennies",
    "ANiMAL - Rockshow",
    "James May - On The Line",
    "Meaxic - Take A Step",
    "Traffic Experiment - Sirens",
)


def musdb_dataset(root: str | Path, split: str = "test", *, sample_rate: int | None = None) -> Dataset:
    """MUSDB18-HQ's songs of a split: test, train (without the validation songs) or valid.

    Raises DatasetError for another split, an empty folder, or the compressed edition (one .stem.mp4 for each song).
    """
    root = Path(root).expanduser()
    if split not in ("train", "valid", "test"):
        raise DatasetError(f"MUSDB has no split {split!r}: ask for train, valid or test.")
    if root.is_dir() and any(root.rglob("*.stem.mp4")):
        raise DatasetError(
            f"{root} holds MUSDB18 as .stem.mp4 files; wanted the folders of MUSDB18-HQ: "
            "decode it with `musdbconvert` of the package musdb, or download the HQ edition."
        )
    songs = FolderDataset(root, "test" if split == "test" else "train", sample_rate=sample_rate)
    # its stems are all there is in a song, so nobody has to read whole mixtures to find that out
    kept = [
        replace(t, complete=True)
        for t in songs
        if split == "test" or (t.name in VALIDATION_TRACKS) == (split == "valid")
    ]
    if not kept:
        raise DatasetError(f"{root} has none of MUSDB's {split} songs: check that the download is complete.")
    return Dataset(f"musdb:{root}", kept, split, songs.notes)
