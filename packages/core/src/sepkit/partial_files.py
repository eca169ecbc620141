"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from .errors import AudioError, OutputExistsError

_serial = itertools.count()  # two threads may write the same name at once


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise OutputExistsError where `path` is taken and may not be replaced; a folder never may."""
    if path.is_dir():
        raise OutputExistsError(f"{path} is a folder, and a file should be written there: choose another name.")
    if not overwrite and path.exists():
        raise OutputExistsError(f"{path} is already there: pass overwrite=True (--overwrite), or choose another name.")


def partial_path(path: Path) -> Path:
    """A hidden, unused name in the folder of `path`, so that renaming never crosses a file system."""
    # 50 characters are at most 200 bytes: the whole stays under the 255 that file systems allow.
    return path.with_name(f".{path.stem[:50]}.partial-{os.getpid()}-{next(_serial)}{path.suffix}")


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file that is there in full or not at all; an older one is replaced, missing folders are made.

    Raises what `replacing` does.
    """
    with replacing(path, overwrite=True) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a hidden name to write to; rename it to `path` on a clean exit, remove it on any exception.

    Missing folders are made. Raises OutputExistsError for a name that is taken, AudioError where the folder cannot
    be made or the file cannot be renamed.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"cannot write {path}: {error.strerror}: choose a folder that can be made.") from error
    partial = partial_path(path)
    try:
        yield partial
        refuse_existing(path, overwrite)  # someone else may have finished it meanwhile
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove the hidden files that a process which was killed has left of `path`; nobody may be writing it now."""
    if len(path.stem) > 40:
        return  # its hidden name is cut, and may be that of another file
    for dots in (".", ".."):  # what writes a hidden file may hide it once more until it is complete
        for left in path.parent.glob(f"{escape(dots + path.stem)}.partial-*{escape(path.suffix)}"):
            left.unlink(missing_ok=True)
