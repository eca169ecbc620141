"""Saraga Carnatic: concerts with a microphone for each musician; vocals and mixture of the songs that have them.

root/[saraga1.5_carnatic/]CONCERT/SONG/{SONG.mp3.mp3, SONG.multitrack-vocal.mp3, SONG.multitrack-violin.mp3, ...}
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..errors import DatasetError
from .own_split import check_split, own_split
from .part_files import BadTrack, Part, built_tracks, track_of_parts
from .saraga_list import MULTITRACK
from .track import Dataset, Track

MIXTURES = (".mp3.mp3", ".mp3")
SINGERS = (".multitrack-vocal.mp3", ".multitrack-vocal-s.mp3")
"""The singer, and the supporting one where there is one: both are vocals."""


def saraga_dataset(
    root: str | Path,
    split: str | None = None,
    *,
    sample_rate: int | None = None,
    bad: list[BadTrack] | None = None,
) -> Dataset:
    """The songs of `MULTITRACK`, with the stem vocals and their own mixture; no accompaniment is known.

    The microphones hear each other, and the mixture was mastered, so what a song is beside its vocals is not what its
    other tracks sum to, nor the mixture without the vocals: `complete` is False, and neither accompaniment nor other
    can be asked of a view. Songs that are not on the list are left aside. The splits are sepkit's own, by concert.
    Raises DatasetError where no song is there, or, unless `bad` is given, one that cannot be read.
    """
    root = Path(root).expanduser()
    check_split(split, "Saraga")
    listed = {(concert, song) for concert, songs in MULTITRACK.items() for song in songs}
    here = list(_songs(root))
    others = [folder for folder in here if (folder.parent.name, folder.name) not in listed]
    songs = [folder for folder in here if folder not in others]
    builds = [
        (f"{folder.parent.name} - {folder.name}", partial(_track, folder, sample_rate))
        for folder in songs
        if split in (None, own_split(folder.parent.name))
    ]
    tracks = built_tracks(builds, bad)
    if not tracks and not bad:
        raise DatasetError(
            f"{root} has no song of Saraga Carnatic's split {split or 'any'}: wanted CONCERT/SONG/SONG.mp3.mp3 with "
            f"SONG{SINGERS[0]}, of the {len(listed)} songs in sepkit.data.saraga_list"
            + (f"; {len(others)} other songs are there." if others else ".")
        )
    notes = [f"{folder}: left aside, it is not on the list of multitrack songs" for folder in others]
    if len(songs) < len(listed):
        notes.append(f"{len(songs)} of the {len(listed)} multitrack songs are there")
    return Dataset(f"saraga:{root}", tracks, split, notes)


def _songs(root: Path) -> Iterator[Path]:
    for depth in ("*/*", "*/*/*"):
        for file in sorted(root.glob(f"{depth}/*{SINGERS[0]}")):
            yield file.parent


def _track(folder: Path, sample_rate: int | None) -> Track:
    name = f"{folder.parent.name} - {folder.name}"
    mixture = next((file for end in MIXTURES if (file := _named(folder, end)).is_file()), None)
    if mixture is None:
        raise DatasetError(f"track {name!r} has no mixture {_named(folder, MIXTURES[0])}: get the song again.")
    singers = [Part(file) for end in SINGERS if (file := _named(folder, end)).is_file()]
    if not singers:
        raise DatasetError(f"track {name!r} has no {_named(folder, SINGERS[0])}: get the song again.")
    return track_of_parts(name, {"vocals": singers}, mixture=Part(mixture), sample_rate=sample_rate, complete=False)


def _named(folder: Path, end: str) -> Path:
    return folder / f"{folder.name}{end}"
