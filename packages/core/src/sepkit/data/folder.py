"""Folders of stems, as MUSDB18-HQ lays them out: root/[split/]Track/{mixture,vocals,drums,bass,other}.wav."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import AudioError, DatasetError
from .stem_names import STEMS, canonical_stem, is_mixture
from .track import Dataset, Track

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aif", ".aiff")
SPLITS = {"train": ("train", "training"), "valid": ("valid", "validation", "val", "dev"), "test": ("test", "testing")}
MIXTURE = "mixture"


class FolderDataset(Dataset):
    """Songs read from a folder of track folders, each with one sound file for each stem.

    Tracks lie in `root` itself, in its folders, in its split folders (train, valid, test and the like), or, where
    there are no such, one folder deeper. Files may be wav, flac, ogg, opus, mp3 or m4a and bear any usual name of
    a stem. The song is as long as its longest file: shorter ones end in silence. A stem without a file is silent.
    Mono files are spread to the other files' channels. `sample_rate` resamples on reading; without it a track keeps
    the rate of its first stem. The mixture is the stems' sum unless there is a mixture file; `sum_mixture=True`
    takes the sum all the same.

    Raises DatasetError where no track is found, or a track has two files for one stem.
    """

    def __init__(
        self, root: str | Path, split: str | None = None, *, sample_rate: int | None = None, sum_mixture: bool = False
    ):
        self.root = Path(root).expanduser()
        folders = _track_folders(self.root, split)
        names = _names(self.root, folders)
        notes: list[str] = []
        tracks = [
            _track(folder, name, sample_rate, sum_mixture, notes) for folder, name in zip(folders, names, strict=True)
        ]
        super().__init__(f"folder:{self.root}", tracks, split, notes)


def _track_folders(root: Path, split: str | None) -> list[Path]:
    if not root.is_dir():
        raise DatasetError(
            f"{root} is not a folder: a dataset is a folder of track folders with one file for each stem."
        )
    starts = [root]
    if split is not None:
        wanted = SPLITS.get(split, (split,))
        starts = [child for child in _folders(root) if child.name.lower() in wanted]
        if not starts:
            have = ", ".join(child.name for child in _folders(root)[:8]) or "none"
            raise DatasetError(
                f"{root} has no folder for the split {split!r} ({' or '.join(wanted)}); its folders: {have}."
            )
    found = [track for start in starts for track in _tracks_below(start)]
    if not found:
        seen = ", ".join(sorted(p.name for p in starts[0].iterdir())[:6]) or "nothing"
        raise DatasetError(
            f"{starts[0]} holds no tracks: wanted folders with vocals.wav, drums.wav, bass.wav, other.wav "
            f"({', '.join(SUFFIXES)}), and found {seen}."
        )
    return found


def _tracks_below(root: Path) -> list[Path]:
    if _stem_files(root):
        return [root]
    children = _folders(root)
    here = [child for child in children if _stem_files(child)]
    split_names = {name for names in SPLITS.values() for name in names}
    deeper = [child for child in children if child not in here and (not here or child.name.lower() in split_names)]
    return here + [folder for child in deeper for folder in _folders(child) if _stem_files(folder)]


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _sound_files(folder: Path) -> list[Path]:
    files = (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in files if p.is_file())


def _stem_files(folder: Path) -> list[Path]:
    return [path for path in _sound_files(folder) if canonical_stem(path.stem)]


def _names(root: Path, folders: Iterable[Path]) -> list[str]:
    """Folder names, or paths below the root where two tracks have the same name."""
    folders = list(folders)
    plain = [folder.name for folder in folders]
    return [f.relative_to(root).as_posix() if plain.count(f.name) > 1 else f.name for f in folders]


def _track(folder: Path, name: str, sample_rate: int | None, sum_mixture: bool, notes: list[str]) -> Track:
    files: dict[str, Path] = {}
    for path in _sound_files(folder):
        stem = MIXTURE if is_mixture(path.stem) else canonical_stem(path.stem)
        if stem is None:
            notes.append(f"{path}: {path.stem!r} is no stem that is known, so it is left aside")
        elif stem in files:
            raise DatasetError(
                f"track {name!r} has two files for {stem}: {files[stem].name} and {path.name}: keep one."
            )
        else:
            files[stem] = path
    if "accompaniment" in files and len(files.keys() - {MIXTURE, "vocals", "accompaniment"}) > 0:
        notes.append(f"{files.pop('accompaniment')}: left aside, as the track has the accompaniment's own stems")
    if sum_mixture:
        files.pop(MIXTURE, None)
    formats = {stem: _format(path, name) for stem, path in files.items()}
    stems = tuple(stem for stem in STEMS if stem in files)
    rate = sample_rate or formats[stems[0]][0]
    from ..resampling import resampled_length

    length = max(resampled_length(count, file_rate, rate) for file_rate, _, count in formats.values())
    channels = max(count for _, count, _ in formats.values())
    source = FileSource(files, rate, channels)
    return Track(name, rate, channels, length, stems, source, MIXTURE not in files)


def _format(path: Path, track: str) -> tuple[int, int, int]:
    """Sample rate, channels and length of a file; counted by decoding where the file does not say its length."""
    from ..soundfiles import open_reader

    try:
        with open_reader(path) as reader:
            length = reader.length_samples
            if length is None:
                length = sum(len(block) for block in reader.blocks())
            return reader.sample_rate, reader.channels, length
    except AudioError as error:
        raise DatasetError(f"track {track!r}: {error}") from error


@dataclass(frozen=True, eq=False)
class FileSource:
    """Stems (and perhaps a mixture) that lie in files; samples come at `sample_rate` with `channels` channels."""

    files: dict[str, Path]
    sample_rate: int
    channels: int

    def read(self, stem: str, start: int, length: int) -> Tensor:
        from ..resampling import resample
        from ..soundfiles import open_reader

        out = torch.zeros(self.channels, length)
        with open_reader(self.files[stem]) as reader:
            if reader.sample_rate == self.sample_rate:
                blocks = list(reader.blocks(start_samples=start, length_samples=length))
                x = torch.from_numpy(
                    np.concatenate(blocks).T.copy() if blocks else np.zeros((reader.channels, 0), np.float32)
                )
            else:  # a resampler's output depends on all that came before: decode all, then cut
                blocks = list(reader.blocks())
                whole = torch.from_numpy(
                    np.concatenate(blocks).T.copy() if blocks else np.zeros((reader.channels, 0), np.float32)
                )
                x = torch.as_tensor(resample(whole, reader.sample_rate, self.sample_rate))[:, start : start + length]
        out[:, : x.shape[1]] = with_channels(x, self.channels, self.files[stem])
        return out

    def read_mixture(self, start: int, length: int) -> Tensor | None:
        return self.read(MIXTURE, start, length) if MIXTURE in self.files else None

    def fingerprint(self, stem: str) -> str | None:
        path = self.files[stem]
        state = path.stat()
        return f"{path.resolve()}|{state.st_mtime_ns}|{state.st_size}|{self.sample_rate}|{self.channels}"


def with_channels(x: Tensor, channels: int, what: object) -> Tensor:
    """x: c t with another number of channels: mono is repeated, anything is averaged to mono; else DatasetError."""
    if x.shape[0] == channels:
        return x
    if x.shape[0] == 1:
        return x.expand(channels, -1)
    if channels == 1:
        return x.mean(dim=0, keepdim=True)
    raise DatasetError(
        f"{what} has {x.shape[0]} channels and {channels} are wanted: convert it to mono or {channels} channels."
    )
