"""MUSDB18 and MUSDB18-HQ: 100 training and 50 test songs; the validation songs are 14 fixed ones of the training set.

MUSDB18 has one `.stem.mp4` for each song, with the streams mixture, drums, bass, other and vocals; MUSDB18-HQ has a
folder for each, with one wav file for each stem.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from ..errors import DatasetError
from .folder import FolderDataset
from .part_files import BadTrack, Part, built_tracks, track_of_parts
from .track import Dataset, Track

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
STEM_FILE = ".stem.mp4"
STREAMS = ("drums", "bass", "other", "vocals")
"""Streams 1 to 4 of a stem file; stream 0 is the mixture."""
ORDER = ("vocals", "drums", "bass", "other")


def musdb_dataset(
    root: str | Path, split: str = "test", *, sample_rate: int | None = None, bad: list[BadTrack] | None = None
) -> Dataset:
    """MUSDB's songs of a split: test, train (without the validation songs) or valid, of whichever edition is there.

    Raises DatasetError for another split, and for a folder that holds none of the songs, or both editions; a song that
    cannot be read is raised too, or put into `bad` where that is given.
    """
    root = Path(root).expanduser()
    if split not in ("train", "valid", "test"):
        raise DatasetError(f"MUSDB has no split {split!r}: ask for train, valid or test.")
    folder = root / ("test" if split == "test" else "train")
    notes: tuple[str, ...] = ()
    files = sorted(folder.glob(f"*{STEM_FILE}")) if folder.is_dir() else []
    if files and any(path.is_dir() for path in folder.iterdir()):
        raise DatasetError(
            f"{folder} holds both stem files (MUSDB18) and folders (MUSDB18-HQ), the same songs twice: "
            "keep the two editions in folders of their own."
        )
    if files:
        wanted = [path for path in files if _in_split(path.name.removesuffix(STEM_FILE), split)]
        builds = [(path.name.removesuffix(STEM_FILE), partial(stem_file_track, path, sample_rate)) for path in wanted]
        kept = built_tracks(builds, bad)
    else:
        songs = FolderDataset(root, "test" if split == "test" else "train", sample_rate=sample_rate, bad=bad)
        # its stems are all there is in a song, so nobody has to read whole mixtures to find that out
        kept = [replace(t, complete=True) for t in songs if _in_split(t.name, split)]
        notes = songs.notes
        if bad:
            bad[:] = [track for track in bad if _in_split(track.name, split)]
    if not kept and not bad:
        raise DatasetError(f"{root} has none of MUSDB's {split} songs: check that the download is complete.")
    return Dataset(f"musdb:{root}", kept, split, notes)


def stem_file_track(path: Path, sample_rate: int | None = None) -> Track:
    """A song of MUSDB18 from its `.stem.mp4`; the mixture is its own stream, encoded apart from the stems."""
    parts = {stem: (Part(path, 1 + STREAMS.index(stem)),) for stem in ORDER}
    name = path.name.removesuffix(STEM_FILE)
    return track_of_parts(name, parts, mixture=Part(path, 0), sample_rate=sample_rate, complete=True)


def _in_split(name: str, split: str) -> bool:
    return split == "test" or (name in VALIDATION_TRACKS) == (split == "valid")
