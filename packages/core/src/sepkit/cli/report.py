"""`sepkit report`: one or several runs as one HTML file to look at and listen to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import print_note

OPTIONS = {"excerpt_seconds": "excerpt", "budget_megabytes": "max-megabytes"}
"""Fields of the page's options that are called otherwise on the command line."""


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders that benchmarks.run or evaluate wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file; RUN/report.html, for several runs report.html here.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The page's title; the names of the datasets by default.")] = None,
    excerpt: Annotated[float, typer.Option(metavar="SECONDS", help="At most so much of each track to hear.")] = 30.0,
    tracks: Annotated[
        str | None, typer.Option(help="Only these tracks get a page of their own; names with commas between them.")
    ] = None,
    audio: Annotated[str, typer.Option(help="flac: exact; ogg: lossy, an eighth of the size; or none.")] = "flac",
    max_megabytes: Annotated[
        float, typer.Option(help="Size of the file, for which excerpts are shortened and then players left out.")
    ] = 120.0,
) -> None:
    """Write a report: score tables, charts, and players that switch between methods without losing the position.

    One HTML file that needs no network and no other file, so it can be sent or kept as it is.
    """
    from pydantic import ValidationError

    from ..errors import OptionError
    from ..evaluation.report import PageOptions, write_report

    names = [name.strip() for name in (tracks or "").split(",") if name.strip()]
    given = {"title": title, "excerpt_seconds": excerpt, "tracks": names, "audio": audio}
    try:
        options = PageOptions.model_validate({**given, "budget_megabytes": max_megabytes})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise OptionError(f"--{OPTIONS.get(name, name)}: {first['msg']}, and {first['input']!r} was given.") from error
    path = out or (runs[0] / "report.html" if len(runs) == 1 else Path("report.html"))
    written = write_report(runs, path, options, print_note)
    for note in written.notes:
        print_note(note)
    print(f"{written.path} ({written.bytes / 1e6:.1f} MB, players for {written.audible} of {written.tracks} tracks)")
