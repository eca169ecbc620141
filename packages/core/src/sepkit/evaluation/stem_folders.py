"""Folders of stems, separated or true, as every tool lays them out: the tracks, and which file is which stem."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..cli.inputs import AUDIO_SUFFIXES
from ..data.folder import SPLITS
from ..data.stem_names import STEMS, canonical_stem, is_mixture
from ..errors import DatasetError
from .name_matching import name_key

SPLIT_NAMES = {name for names in SPLITS.values() for name in names}


@dataclass(frozen=True)
class TrackFiles:
    """The sound files of one track; `problem` says why they cannot be told apart, `aside` what was left out and why.

    `group` is what lies between the root and the track apart from splits: the model, in `separated/<model>/<track>`.
    """

    name: str
    folder: Path
    group: str
    stems: dict[str, Path]
    mixture: Path | None = None
    problem: str | None = None
    aside: tuple[str, ...] = ()
    is_root: bool = False
    complete: bool | None = None  # whether the stems are all that sounds in the mixture, where the dataset says so
    home: Path | None = None  # the folder of the method's tracks, resolved: without the track's name and its split


def find_tracks(root: Path, split: str | None = None, *, skip: Path | None = None) -> list[TrackFiles]:
    """Every folder at or below `root` that holds sound files is a track, named by its folder; in path order.

    Folders of splits (train, valid, test and the like) and, at the end of a path, of a mixture's name do not count as
    names. `split` keeps only what lies in that split's folder. Nothing below `skip` is searched. A file's stem is its
    canonical name, or its own name where that is none that is known.
    Raises DatasetError where `root` is no folder, has no such split or no sound.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; give the folder that holds <track>/<stem>.wav, or one track's.")
    skipped = skip.resolve() if skip is not None else None
    found = _of_tracks(dict(_folders_with_sound(root, skipped)))
    if split is not None:
        wanted = SPLITS.get(split, (split,))
        found = {f: files for f, files in found.items() if {p.lower() for p in f.relative_to(root).parts} & set(wanted)}
        if not found:
            raise DatasetError(f"{root} has no sound in a folder {' or '.join(wanted)}, for the split {split!r}.")
    if not found:
        suffixes = ", ".join(sorted(suffix.lstrip(".") for suffix in AUDIO_SUFFIXES))
        raise DatasetError(f"{root} has no sound file of a stem at any depth (known suffixes: {suffixes}).")
    return [_track(root, folder, files) for folder, files in found.items()]


def _folders_with_sound(root: Path, skip: Path | None) -> Iterator[tuple[Path, list[Path]]]:
    seen = {root.resolve(), skip}
    for current, folders, files in os.walk(root, followlinks=True):
        here = Path(current)
        places = {name: (here / name).resolve() for name in sorted(folders) if not name.startswith(".")}
        folders[:] = [name for name, place in places.items() if place not in seen]  # links may lead in a circle
        seen |= set(places.values())
        sound = [here / n for n in sorted(files) if Path(n).suffix.lower() in AUDIO_SUFFIXES and not n.startswith(".")]
        if sound:
            yield here, sound


def _of_tracks(found: dict[Path, list[Path]]) -> dict[Path, list[Path]]:
    """Without folders of mixtures alone, and without those above tracks that hold some sound but no known stem."""
    above = {parent for folder in found for parent in folder.parents}
    return {
        folder: files
        for folder, files in found.items()
        if not all(is_mixture(path.stem) for path in files)
        and (folder not in above or any(canonical_stem(path.stem) for path in files))
    }


def _track(root: Path, folder: Path, files: list[Path]) -> TrackFiles:
    parts = list(folder.relative_to(root).parts)
    if len(parts) > 1 and is_mixture(parts[-1]):  # separated/<model>/<track>/mixture/, from <track>/mixture.wav
        parts.pop()
    name = parts[-1] if parts else root.resolve().name
    group = "/".join(part for part in parts[:-1] if part.lower() not in SPLIT_NAMES)
    stems: dict[str, Path] = {}
    files, aside, problem = without_sums(files)
    mixture = None
    for path in files:
        if is_mixture(path.stem):
            if mixture is not None:
                problem = problem or _two("the mixture", mixture, path)
            mixture = path
            continue
        stem = stem_of(path)
        if stem in stems and "residual" in (name_key(path.stem), name_key(stems[stem].stem)):
            kept, left = (stems[stem], path) if name_key(path.stem) == "residual" else (path, stems[stem])
            stems[stem] = kept
            aside.append(f"{left}: left aside, as there is {kept.name} too")
        elif stem in stems:
            problem = problem or _two(stem, stems[stem], path)
        else:
            stems[stem] = path
    stems = {stem: stems[stem] for stem in in_order(stems)}
    home = _home(folder, len(parts))
    return TrackFiles(name, folder, group, stems, mixture, problem, tuple(aside), not parts, home=home)


def _home(folder: Path, depth: int) -> Path:
    """The folder above the track's, without those of splits: where all tracks of one method lie."""
    home = folder.resolve()
    if depth and is_mixture(home.name):
        home = home.parent
    home = home.parent
    return home.parent if home.name.lower() in SPLIT_NAMES else home


def without_sums(files: list[Path]) -> tuple[list[Path], list[str], str | None]:
    """The files without those that are sums of others (`drums+bass+other.wav`, as runs write truths); why; a problem.

    A sum of stems that are not there on their own is a stem. One that overlaps with others is a problem.
    """
    parts = {path: {stem_of_name(part) for part in path.stem.split("+")} for path in files if "+" in path.stem}
    single = {stem_of(path) for path in files if path not in parts}
    sums = [path for path, own in parts.items() if own <= single]
    rest = [path for path in parts if path not in sums]
    problem = None
    for index, path in enumerate(rest):
        taken = single.union(*(parts[other] for other in rest[:index]))
        if parts[path] & taken:
            shared = ", ".join(sorted(parts[path] & taken))
            problem = f"{path.parent}: {path.name} contains {shared}, which another file has too; keep one"
            break
    aside = [f"{path}: left aside, as it is the sum of other files there" for path in sums]
    return [path for path in files if path not in sums], aside, problem


def stem_of(path: Path) -> str:
    """The stem that a file holds, by its name."""
    return stem_of_name(path.stem)


def stem_of_name(name: str) -> str:
    """The stem that a name stands for: a known one, or one of that name."""
    return canonical_stem(name) or name_key(name)


def in_order(stems: Iterable[str]) -> tuple[str, ...]:
    """Known stems as they are always listed, then the others by name: file names do not decide the order."""
    return tuple(sorted(stems, key=lambda stem: (STEMS.index(stem) if stem in STEMS else len(STEMS), stem)))


def _two(what: str, first: Path, second: Path) -> str:
    return f"{first.parent} has two files for {what}: {first.name} and {second.name}; keep one"
