"""The user's files under a second name in a run's folder, so that its report can play them without a copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..partial_files import partial_path

MADE = ".made-by-sepkit"
"""In every folder of sounds: the names of the files that are ours to replace."""


def link_file(source: Path, folder: Path, name: str) -> Path:
    """Make `folder`/`name`.<source's suffix> the same sound as `source`: a hard link, else a symbolic one, else a copy.

    Replaces what a run has put there under that name with any suffix, and never writes into it: that may be a link
    too. A file of the user's stays as it is, whatever it is called.
    """
    real, target = source.resolve(), folder / f"{name}{source.suffix.lower()}"
    folder.mkdir(parents=True, exist_ok=True)
    remove_made(folder, name, target)
    if target.exists() and not target.is_symlink() and os.path.samefile(real, target):
        note_made(folder, [target.name])
        return target
    if os.path.lexists(target) and not is_made(target):
        return target
    partial = partial_path(target)
    for make in (os.link, os.symlink, shutil.copy2):
        try:
            make(real, partial)
            break
        except OSError:
            partial.unlink(missing_ok=True)
            if make is shutil.copy2:
                raise
    note_made(folder, [target.name])
    os.replace(partial, target)
    return target


def remove_made(folder: Path, name: str, target: Path) -> None:
    """Remove what runs have put into the folder under `name` with another suffix than the target's."""
    for other in folder.iterdir():
        if other.stem == name and other != target and is_made(other):
            other.unlink()


def note_made(folder: Path, names: Iterable[str]) -> None:
    """Remember files of these names as ours; before they are made, so that a kill leaves none unknown."""
    known = _made(folder)
    new = [name for name in dict.fromkeys(names) if name not in known]
    if new:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / MADE).open("a", encoding="utf-8") as file:  # one write: several processes may add at once
            file.write("".join(f"{name}\n" for name in new))


def is_made(path: Path) -> bool:
    """Whether a run has made the file: it is noted, or a link as earlier versions made them without a note."""
    return path.name in _made(path.parent) or path.is_symlink() or (path.is_file() and path.stat().st_nlink > 1)


def _made(folder: Path) -> set[str]:
    try:
        return set((folder / MADE).read_text(encoding="utf-8").split("\n"))
    except OSError:
        return set()
