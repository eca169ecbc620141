"""Which dataset a folder holds, told from its names alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import DatasetError
from .opening import KINDS
from .saraga import SINGERS

PATTERNS = {
    "musdb": ("*.stem.mp4", "*/*.stem.mp4"),
    "slakh": ("Track*/metadata.yaml", "*/Track*/metadata.yaml"),
    "moisesdb": ("data.json", "*/data.json", "*/*/data.json"),
    "medleydb": ("*_METADATA.yaml", "*_STEMS", "*/*_STEMS", "*/*/*_STEMS"),
    "saraga": (f"*/*/*{SINGERS[0]}", f"*/*/*/*{SINGERS[0]}"),
}


def dataset_spec(text: str) -> str:
    """A spec as it is, and a folder as the spec of the dataset it seems to hold: `songs` -> `folder:songs`.

    Raises DatasetError for what is neither.
    """
    kind, colon, _ = text.partition(":")
    folder = Path(text).expanduser()
    if folder.is_dir() and not (colon and kind in KINDS):
        return f"{dataset_kind(folder)}:{text}"
    if kind in KINDS:
        return text
    known = ", ".join(KINDS)
    raise DatasetError(f"{text} is neither a folder nor a dataset: give a folder, or one of {known}.")


def dataset_kind(folder: Path) -> str:
    """The kind that `open_dataset` should read a folder as; `folder` where it looks like no dataset of its own."""
    for kind, patterns in PATTERNS.items():
        if _any(path for pattern in patterns for path in folder.glob(pattern)):
            return kind
    return "musdb" if _is_musdb_hq(folder) else "folder"


def _is_musdb_hq(folder: Path) -> bool:
    """By its validation songs: the layout alone is everybody's."""
    from .musdb import VALIDATION_TRACKS

    return (folder / "test").is_dir() and any((folder / "train" / name).is_dir() for name in VALIDATION_TRACKS)


def _any(found: Iterable[Path]) -> bool:
    iterator: Iterator[Path] = iter(found)
    return next(iterator, None) is not None
