"""Songs whose files are named by stems of one's own, `Song/tabla.wav`: the dataset `own-stems:tabla,violin:PATH`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .data.layouts import MIXTURE, SPLITS, folders, sound_files, stem_of
from .data.part_files import Part, built_tracks, track_of_parts
from .data.track import Dataset, Track
from .errors import DatasetError

KIND = "own-stems"
REST = "other"


def own_stems_spec(stems: tuple[str, ...], folder: str | Path) -> str:
    """The dataset's spec for `open_dataset`."""
    return f"{KIND}:{','.join(stems)}:{Path(folder).resolve()}"


def open_own_stems(rest: str, split: str | None, sample_rate: int | None) -> Dataset:
    """Open `STEMS:PATH`: songs are the folders in PATH, or in PATH/train and PATH/valid, and hold a file for each stem.

    A file is the stem that it is named after, or, for stems that everybody knows, by any usual name. Every other sound
    file of a song belongs to its `other` where that is among STEMS. Without folders for splits the last song by name
    is `valid`, and the others are `train`. Raises DatasetError where nothing is found.
    """
    names, colon, path = rest.partition(":")
    stems = tuple(name for name in names.split(",") if name)
    if not colon or not stems or not path:
        raise DatasetError(f"{KIND}:{rest} names no stems or no folder: write {KIND}:tabla,violin:PATH.")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DatasetError(f"{root} is no folder; give one that holds a folder for each song.")
    found = list(_songs(root, split, stems))
    if not found:
        wanted = ", ".join(f"{stem}.wav" for stem in stems)
        where = f" in the split {split}" if split else ""
        raise DatasetError(f"{root} has no song{where}: wanted folders with sound files of such names as {wanted}.")
    notes: list[str] = []
    builds = [(folder.name, partial(_track, folder, stems, sample_rate, notes)) for folder in found]
    return Dataset(f"{KIND}:{path}", built_tracks(builds), split, notes)


def _songs(root: Path, split: str | None, stems: tuple[str, ...]) -> Iterator[Path]:
    """The folders of the songs of a split."""
    by_split = {
        name: [folder for folder in folders(root) if folder.name.lower() in words] for name, words in SPLITS.items()
    }
    if any(by_split.values()):
        chosen = [one for name, found in by_split.items() if split in (None, name) for one in found]
        yield from (folder for one in chosen for folder in folders(one) if _is_song(folder, stems))
        return
    songs = [folder for folder in folders(root) if _is_song(folder, stems)]
    yield from {None: songs, "train": songs[:-1], "valid": songs[-1:]}.get(split, [])


def _is_song(folder: Path, stems: tuple[str, ...]) -> bool:
    return any(_stem(path, stems) in stems for path in sound_files(folder))


def _stem(path: Path, stems: tuple[str, ...]) -> str | None:
    """Which of the stems a file is, `mixture` for the mixture, or None for any other."""
    own = path.stem.strip().lower()
    if own in stems:
        return own
    known = stem_of(path.stem)
    return known if known in (*stems, MIXTURE) else None


def _track(folder: Path, stems: tuple[str, ...], sample_rate: int | None, notes: list[str]) -> Track:
    parts: dict[str, list[Part]] = {stem: [] for stem in stems}
    mixture = None
    for path in sound_files(folder):
        stem = _stem(path, stems)
        if stem == MIXTURE:
            mixture = Part(path)
        elif stem is not None and parts[stem] and stem != REST:
            raise DatasetError(f"track {folder.name!r} has two files for {stem}: {path.name} is one; keep one.")
        elif stem is not None or REST in parts:
            parts[stem or REST].append(Part(path))
            if stem is None:
                notes.append(f"{path} is none of the stems, so it belongs to {REST!r}")
        else:
            notes.append(f"{path} is none of the stems, so it is left aside")
    return track_of_parts(folder.name, parts, mixture=mixture, sample_rate=sample_rate, known=stems)
