"""The user's files under a second name in a run's folder, so that its report can play them without a copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..partial_files import partial_path


def link_file(source: Path, folder: Path, name: str) -> Path:
    """Make `folder`/`name`.<source's suffix> the same sound as `source`: a hard link, else a symbolic one, else a copy.

    Replaces what lies there under that name with any suffix, and never writes into it: that may be a link too.
    """
    real, target = source.resolve(), folder / f"{name}{source.suffix.lower()}"
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.iterdir():
        if other.stem == name and other != target and other.resolve() != real:
            other.unlink()
    if target.exists() and not target.is_symlink() and os.path.samefile(real, target):
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
    os.replace(partial, target)
    return target
