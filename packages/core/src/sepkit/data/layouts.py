"""Which files of a folder are which stems of which songs: the usual layouts, told from the names alone.

track folders: Song/vocals.wav   stem folders: vocals/Song.wav   flat files: Song_vocals.wav
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import DatasetError
from .stem_names import canonical_stem, is_mixture

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aif", ".aiff")
SPLITS = {"train": ("train", "training"), "valid": ("valid", "validation", "val", "dev"), "test": ("test", "testing")}
SPLIT_NAMES = {name for names in SPLITS.values() for name in names}
MIXTURE = "mixture"
TRACK_FOLDERS, STEM_FOLDERS, FLAT_FILES = "track folders", "stem folders", "flat files"
_IN_BRACKETS = re.compile(r"[\s_\-.]*[(\[]([^()\[\]]+)[)\]]")
_BETWEEN = re.compile(r"[\s_\-.]+")


class SongFiles(NamedTuple):
    """The files of one song by stem (and `mixture`), several where two claim one stem, and what is none of them."""

    name: str
    files: Mapping[str, tuple[Path, ...]]
    aside: tuple[Path, ...] = ()


def find_songs(root: Path, split: str | None) -> tuple[str, list[SongFiles]]:
    """The layout's name and the songs of a split (None: of all), in the order of their folders.

    Raises DatasetError where there is no folder, no such split, or no song.
    """
    if not root.is_dir():
        raise DatasetError(
            f"{root} is not a folder: a dataset is a folder of track folders with one file for each stem."
        )
    starts = [root]
    if split is not None:
        wanted = SPLITS.get(split, (split,))
        starts = [child for child in folders(root) if child.name.lower() in wanted]
        if not starts:
            have = ", ".join(child.name for child in folders(root)[:8]) or "none"
            raise DatasetError(
                f"{root} has no folder for the split {split!r} ({' or '.join(wanted)}); its folders: {have}."
            )
    for layout, find in ((TRACK_FOLDERS, _in_track_folders), (STEM_FOLDERS, _in_stem_folders), (FLAT_FILES, _in_flat)):
        found = [song for start in starts for song in find(start)]
        if found:
            return layout, _unique(found, root) if layout == TRACK_FOLDERS else found
    seen = ", ".join(sorted(p.name for p in starts[0].iterdir())[:6]) or "nothing"
    raise DatasetError(
        f"{starts[0]} holds no tracks: wanted folders with vocals.wav, drums.wav, bass.wav, other.wav "
        f"({', '.join(SUFFIXES)}), or vocals/Song.wav, or Song_vocals.wav, and found {seen}."
    )


def folders(root: Path) -> list[Path]:
    """The folders in a folder, hidden ones aside, by name."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def sound_files(folder: Path) -> list[Path]:
    """The sound files in a folder, hidden ones aside, by name."""
    files = (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in files if p.is_file())


def stem_of(name: str) -> str | None:
    """The stem that a name (without its ending) means, `mixture` for the mixture's, None for any other."""
    return MIXTURE if is_mixture(name) else canonical_stem(name)


def song_and_stem(name: str) -> tuple[str, str] | None:
    """`Song_lead vocals`, `Song - Bass` and `1_Song_(Vocals)` as song and stem; None where no stem is named."""
    for match in _IN_BRACKETS.finditer(name):
        stem = stem_of(match[1])
        if stem and match.start():
            return name[: match.start()], stem
    for match in _BETWEEN.finditer(name):  # from the left: the longest name of a stem wins
        stem = stem_of(name[match.end() :])
        if stem and match.start():
            return name[: match.start()], stem
    return None


def _in_track_folders(root: Path) -> list[SongFiles]:
    return [
        _song(folder.name, ((stem_of(path.stem), path) for path in sound_files(folder)))
        for folder in _tracks_below(root)
    ]


def _tracks_below(root: Path) -> list[Path]:
    if _has_stems(root):
        return [root]
    children = folders(root)
    here = [child for child in children if _has_stems(child)]
    deeper = [child for child in children if child not in here and (not here or child.name.lower() in SPLIT_NAMES)]
    return here + [folder for child in deeper for folder in folders(child) if _has_stems(folder)]


def _has_stems(folder: Path) -> bool:
    return any(canonical_stem(path.stem) for path in sound_files(folder))


def _in_stem_folders(root: Path) -> list[SongFiles]:
    named = [(stem, folder) for folder in folders(root) if (stem := stem_of(folder.name)) and sound_files(folder)]
    if not any(stem != MIXTURE for stem, _ in named):
        return [song for child in _split_folders(root) for song in _in_stem_folders(child)]
    pairs = [(path.stem, stem, path) for stem, folder in named for path in sound_files(folder)]
    songs = dict.fromkeys(sorted(name for name, _, _ in pairs))
    return [_song(name, ((stem, path) for n, stem, path in pairs if n == name)) for name in songs]


def _in_flat(root: Path) -> list[SongFiles]:
    """Of the folder itself, or of each folder in it: `separated/Song/Song_(Vocals).wav`."""
    found = list(_flat(root))
    return found or [song for child in folders(root) for song in (*_flat(child), *_flat_in_split(child))]


def _flat_in_split(folder: Path) -> Iterator[SongFiles]:
    if folder.name.lower() in SPLIT_NAMES:
        for child in folders(folder):
            yield from _flat(child)


def _flat(folder: Path) -> Iterator[SongFiles]:
    pairs = [(song_and_stem(path.stem), path) for path in sound_files(folder)]
    named = [(*found, path) for found, path in pairs if found]
    unnamed = tuple(path for found, path in pairs if not found)
    songs = {song for song, stem, _ in named if stem != MIXTURE}
    for number, song in enumerate(sorted(songs)):
        # a file with the song's bare name is what the stems were made from
        own = [(stem, path) for s, stem, path in named if s == song]
        own += [(MIXTURE, path) for path in unnamed if path.stem == song]
        aside = [path for path in unnamed if path.stem not in songs] if number == 0 else []
        yield _song(song, [*own, *((None, path) for path in aside)])


def _split_folders(root: Path) -> list[Path]:
    return [child for child in folders(root) if child.name.lower() in SPLIT_NAMES]


def _song(name: str, files: Iterable[tuple[str | None, Path]]) -> SongFiles:
    by_stem: dict[str, tuple[Path, ...]] = {}
    aside = []
    for stem, path in files:
        if stem is None:
            aside.append(path)
        else:
            by_stem[stem] = (*by_stem.get(stem, ()), path)
    return SongFiles(name, by_stem, tuple(aside))


def _unique(songs: list[SongFiles], root: Path) -> list[SongFiles]:
    """Folder names, or paths below the root where two tracks have the same name."""
    plain = [song.name for song in songs]
    return [
        song._replace(name=_folder(song).relative_to(root).as_posix()) if plain.count(song.name) > 1 else song
        for song in songs
    ]


def _folder(song: SongFiles) -> Path:
    return next(iter(song.files.values()))[0].parent
