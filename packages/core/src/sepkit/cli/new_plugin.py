"""`sepkit new-plugin`: a package with a method that separates, to begin one's own from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..plugin_writer import LICENCES, write_plugin
from .terminal import print_note


def new_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The method's name: small letters, digits, underscores.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="The folder to make; sepkit-NAME by default.")
    ] = None,
    licence: Annotated[
        str, typer.Option("--license", "--licence", help=f"Of the package: {', '.join(LICENCES)}.")
    ] = LICENCES[0],
    author: Annotated[str | None, typer.Option(help="Who the licence names.")] = None,
) -> None:
    """Write a package with a new method: it separates, is tested by the conformance kit, and passes `sepkit check`."""
    folder = write_plugin(name, out, licence=licence, author=author)
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    print(shown)
    print_note(
        f"Next: pip install -e {shlex.quote(str(shown))}, then sepkit check {name}; its README.md says the rest."
    )
