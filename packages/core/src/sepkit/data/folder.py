"""Folders of stems, as MUSDB18-HQ lays them out, root/[split/]Track/vocals.wav, or in another usual layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from ..errors import DatasetError
from .layouts import MIXTURE, SongFiles, find_songs
from .layouts import SPLITS as SPLITS  # for those who look for splits in folders of their own
from .part_files import BadTrack, Part, PartFormat, built_tracks, part_format, part_identity, read_part
from .stem_names import STEMS
from .track import Dataset, Track


class FolderDataset(Dataset):
    """Songs read from a folder with one sound file for each stem; its layout is told from the names (`layout`).

    Tracks lie in `root` itself, in its folders, in its split folders (train, valid, test and the like), or, where
    there are no such, one folder deeper. Files may be wav, flac, ogg, opus, mp3 or m4a and bear any usual name of
    a stem. Or the folders are the stems (vocals/Song.wav), or the files name both (Song_vocals.wav). The song is as
    long as its longest file: shorter ones end in silence. A stem without a file is silent.
    Mono files are spread to the other files' channels. `sample_rate` resamples on reading; without it a track keeps
    the rate of its first stem. The mixture is the stems' sum unless there is a mixture file; `sum_mixture=True`
    takes the sum all the same.

    Raises DatasetError where no track is found, or a track has two files for one stem or one that cannot be read;
    with `bad` such tracks are put there instead.
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        *,
        sample_rate: int | None = None,
        sum_mixture: bool = False,
        bad: list[BadTrack] | None = None,
    ):
        self.root = Path(root).expanduser()
        self.layout, songs = find_songs(self.root, split)
        notes: list[str] = []
        builds = [(song.name, partial(_track, song, sample_rate, sum_mixture, notes)) for song in songs]
        super().__init__(f"folder:{self.root}", built_tracks(builds, bad), split, notes)


def _track(song: SongFiles, sample_rate: int | None, sum_mixture: bool, notes: list[str]) -> Track:
    name = song.name
    notes += [f"{path}: {path.stem!r} is no stem that is known, so it is left aside" for path in song.aside]
    for stem, paths in song.files.items():
        if len(paths) > 1:
            raise DatasetError(
                f"track {name!r} has two files for {stem}: {paths[0].name} and {paths[1].name}: keep one."
            )
    files = {stem: paths[0] for stem, paths in song.files.items()}
    if "accompaniment" in files and len(files.keys() - {MIXTURE, "vocals", "accompaniment"}) > 0:
        notes.append(f"{files.pop('accompaniment')}: left aside, as the track has the accompaniment's own stems")
    if sum_mixture:
        files.pop(MIXTURE, None)
    formats = {stem: part_format(Part(path), name) for stem, path in files.items()}
    stems = tuple(stem for stem in STEMS if stem in files)
    if not stems:
        raise DatasetError(f"track {name!r} has a mixture and no stem: add one, or take it away.")
    rate = sample_rate or formats[stems[0]].sample_rate
    from ..resampling import resampled_length

    length = max(resampled_length(count, file_rate, rate) for file_rate, _, count in formats.values())
    channels = max(count for _, count, _ in formats.values())
    source = FileSource(files, rate, channels)
    return Track(name, rate, channels, length, stems, source, MIXTURE not in files)


@dataclass(frozen=True, eq=False)
class FileSource:
    """Stems (and perhaps a mixture) that lie in files; samples come at `sample_rate` with `channels` channels."""

    files: dict[str, Path]
    sample_rate: int
    channels: int

    def read(self, stem: str, start: int, length: int) -> Tensor:
        return read_part(Part(self.files[stem]), self.sample_rate, self.channels, start, length)

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        return self.read(MIXTURE, start, length) if MIXTURE in self.files else None

    def fingerprint(self, stem: str) -> str | None:
        return part_identity(Part(self.files[stem]), self.sample_rate, self.channels)

    def formats(self) -> dict[str, Sequence[PartFormat]]:
        """What each file is, by stem, the mixture's among them."""
        return {stem: [part_format(Part(path), path.name)] for stem, path in self.files.items()}
