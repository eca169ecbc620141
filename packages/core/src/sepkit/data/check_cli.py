"""`sepkit data check`: the report as a table and as JSON, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..cli import exit_codes
from ..cli.terminal import print_error, stderr, stdout

if TYPE_CHECKING:
    from .checking import DatasetReport, Finding, Watch
    from .song_facts import SongFacts

COLOURS = {"problem": "red", "warning": "yellow", "note": "dim"}
MOST_NOTES = 20


def check_command(
    dataset: Annotated[str, typer.Argument(help="A folder, whose layout is detected, or a dataset: musdb:PATH, ...")],
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be repeated. Default: all.")] = None,
    listen: Annotated[
        bool, typer.Option("--listen/--no-listen", help="Read all sound: silence, sums, duplicates.")
    ] = True,
    every_song: Annotated[
        bool, typer.Option("--songs", help="A row for every song, not only those with a finding.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the report here; - for standard output.")] = None,
) -> None:
    """Check a dataset before training: layout, counts, rates, lengths, silence, missing stems, sums, duplicates, leaks.

    Exit code 1 where something would spoil a training or its scores.
    """
    from ..errors import SepkitError
    from .checking import check_dataset
    from .detection import dataset_spec

    try:
        with _progress() as watch:
            report = check_dataset(dataset_spec(dataset), split or (), listen=listen, watch=watch)
    except SepkitError as error:
        print_error(f"sepkit data check: {error}")
        raise typer.Exit(exit_codes.FAILED) from error
    text = report.model_dump_json(indent=1)
    if json is not None and str(json) == "-":
        print(text)
    else:
        print_report(report, every_song=every_song)
        if json is not None:
            from ..partial_files import write_text

            write_text(json, text + "\n")
    if not report.ok:
        raise typer.Exit(exit_codes.FAILED)


def print_report(report: DatasetReport, *, every_song: bool = False) -> None:
    """The report for a reader: the dataset in a few lines, songs with a finding as a table, then every finding."""
    print(f"{report.dataset}: {report.layout}")
    counts = ", ".join(f"{count} {split}" for split, count in report.counts.items())
    rates = ", ".join(f"{rate} Hz" for rate in report.sample_rates)
    lengths = f"{report.shortest_seconds:.1f} to {report.longest_seconds:.1f} s, median {report.median_seconds:.1f} s"
    print(f"{len(report.songs)} songs ({counts}), {report.hours:.2f} hours, {lengths}, {rates}")
    print("stems: " + ", ".join(f"{stem} {count}" for stem, count in report.stems.items()))
    told = {finding.song for finding in report.findings if finding.severity != "note" and finding.song}
    shown = [song for song in report.songs if every_song or song.name in told or _with_split(song) in told]
    if shown:
        stdout().print(_table(shown))
    notes = 0
    for finding in report.findings:
        notes += finding.severity == "note"
        if finding.severity != "note" or notes <= MOST_NOTES:
            stdout().print(_line(finding), soft_wrap=True)
    if notes > MOST_NOTES:
        print(f"and {notes - MOST_NOTES} more notes, which --json has")
    problems, warnings = len(report.of("problem")), len(report.of("warning"))
    unheard = "" if report.listened else "; sound was not read (--no-listen)"
    print(
        f"{problems or 'no'} problem{'s' * (problems != 1)}, {warnings or 'no'} warning{'s' * (warnings != 1)}{unheard}"
    )


def _table(songs: list[SongFacts]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column, justify in (
        ("song", "left"),
        ("split", "left"),
        ("seconds", "right"),
        ("rate", "right"),
        ("channels", "right"),
        ("seconds silent", "left"),
        ("mixture - stems", "right"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left", overflow="fold")
    for song in songs:
        silent = [f"{stem} {100 * facts.silent_share:.0f} %" for stem, facts in song.stems.items()]
        error = "" if song.mixture_error_db is None else f"{song.mixture_error_db:.1f} dB"
        cells = (song.name, song.split or "", f"{song.seconds:.1f}", str(song.sample_rate), str(song.channels))
        table.add_row(*map(escape, (*cells, ", ".join(silent), error)))
    return table


def _line(finding: Finding) -> str:
    colour, song = COLOURS[finding.severity], f"{escape(finding.song)}: " if finding.song else ""
    return f"[{colour}]{finding.severity}:[/] {song}{escape(finding.text)}"


def _with_split(song: SongFacts) -> str:
    return f"{song.name} ({song.split})"


@contextmanager
def _progress() -> Iterator[Watch]:
    """A bar on a terminal; in a log, a line for every tenth of the songs."""
    from rich.progress import Progress

    console = stderr()
    with Progress(console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal) as progress:
        task = progress.add_task("checking", total=None)

        def watch(done: int, total: int, name: str) -> None:
            progress.update(task, completed=done, total=total, description=escape(name[:40]) or "comparing")
            if not console.is_terminal and total >= 20 and done and done % (total // 10) == 0:
                print(f"{done} of {total} songs checked", file=sys.stderr, flush=True)

        yield watch
