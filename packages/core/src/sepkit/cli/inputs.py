"""Which sound files the user meant: files as named, folders searched for known suffixes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..formats import FORMATS

AUDIO_SUFFIXES = frozenset(
    {f".{suffix}" for kind in FORMATS.values() for suffix in kind.suffixes}
    | {".aif", ".aiff", ".aifc", ".au", ".caf", ".rf64", ".w64"}
    | {".aac", ".m4a", ".mp4"}  # read through the `av` extra
)


@dataclass(frozen=True)
class Source:
    """One input file. `folder` leads to it from the argument that named it: `album/disc1` for album/disc1/song.wav."""

    path: Path
    folder: str

    @property
    def track(self) -> str:
        """The name of the track: the file's name without its suffix."""
        return self.path.stem


@dataclass(frozen=True)
class Sources:
    """The files to separate, each once, and the arguments that led to none, with the reason."""

    found: tuple[Source, ...]
    refused: tuple[tuple[Path, str], ...]


def find_sources(arguments: Sequence[Path], *, recursive: bool, out: Path) -> Sources:
    """Resolve arguments in their order; folders in name order, without hidden files and without what lies in `out`."""
    found: dict[Path, Source] = {}
    refused: list[tuple[Path, str]] = []
    for argument in arguments:
        if argument.is_dir():
            sources = list(_search(argument, recursive, out.resolve()))
            if not sources:
                refused.append((argument, _why_none(argument, recursive)))
        elif argument.exists():
            sources = [Source(argument, argument.resolve().parent.name)]
        else:
            sources = []
            refused.append((argument, "there is no such file or folder; check the spelling of the path"))
        for source in sources:
            found.setdefault(source.path.resolve(), source)
    return Sources(tuple(found.values()), tuple(refused))


def _search(folder: Path, recursive: bool, out: Path) -> Iterator[Source]:
    top = folder.resolve().name
    for path in _walk(folder, recursive):
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.resolve().is_relative_to(out):
            yield Source(path, str(Path(top, path.parent.relative_to(folder))))


def _walk(folder: Path, recursive: bool) -> Iterable[Path]:
    for current, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        yield from (Path(current, name) for name in sorted(files) if not name.startswith("."))


def _why_none(folder: Path, recursive: bool) -> str:
    suffixes = ", ".join(sorted(suffix.lstrip(".") for suffix in AUDIO_SUFFIXES))
    deeper = "" if recursive else "; add -r to search its folders too"
    return f"the folder has no sound file (known suffixes: {suffixes}){deeper}"
