"""`sepkit import`: published reference checkpoints become sepkit checkpoints, by whichever plugin knows the format."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CheckpointError, PluginError, UnknownNameError, nearest

GROUP = "sepkit.importers"


def import_checkpoint(
    kind: Annotated[str, typer.Argument(metavar="NAME", help="What the file is, for example lasaft.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The published checkpoint.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The checkpoint folder to write.")],
) -> None:
    """Turn a published checkpoint into a sepkit checkpoint folder. Nothing in it is executed."""
    importers = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in importers:
        raise UnknownNameError(f"No importer is named {kind!r}: {nearest(kind, importers)}")
    if not file.is_file():
        raise CheckpointError(f"{file} is no file; give the checkpoint that was downloaded.")
    try:
        convert = importers[kind].load()
    except Exception as error:
        raise PluginError(
            f"The importer {kind!r} cannot be imported from {importers[kind].value!r}: {type(error).__name__}: {error}"
        ) from error
    print(convert(file, out))
