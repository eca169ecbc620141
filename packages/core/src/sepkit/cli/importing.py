"""`sepkit import`: published reference checkpoints become sepkit checkpoints, by whichever plugin knows the format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import CheckpointError, UnknownNameError, nearest
from ..plugins import announced, load

GROUP = "sepkit.importers"


def import_checkpoint(
    kind: Annotated[str, typer.Argument(metavar="NAME", help="What the file is, for example lasaft.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The published checkpoint.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The checkpoint folder to write.")],
) -> None:
    """Turn a published checkpoint into a sepkit checkpoint folder. Nothing in it is executed."""
    importers = announced(GROUP)
    if kind not in importers:
        raise UnknownNameError(f"No importer is named {kind!r}: {nearest(kind, importers)}")
    if not file.is_file():
        raise CheckpointError(f"{file} is no file; give the checkpoint that was downloaded.")
    convert = load(f"The importer {kind!r}", importers[kind])
    print(convert(file, out))
