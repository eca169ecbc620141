"""`sepkit listening-test`: a run's stems as a listening test for webMUSHRA, and its answers read back."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .terminal import print_json, print_note, stdout

if TYPE_CHECKING:
    from ..evaluation.listening.outcome import Outcome

app = typer.Typer(help="Make a listening test of a run, and read its answers.", no_args_is_help=True)


class PresetName(StrEnum):
    """The kinds of test."""

    ismir22 = "ismir22"
    mushra = "mushra"


@app.callback()
def _listening_test() -> None:
    """Make a listening test of a run, and read its answers."""


@app.command("export")
def export_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Output folder of a run that kept its stems.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the test into.")],
    preset: Annotated[
        PresetName, typer.Option(help="ismir22: 1 to 5, hidden reference. mushra: 0 to 100, anchors, equal loudness.")
    ] = PresetName.ismir22,
    methods: Annotated[
        str | None, typer.Option(help="Comma-separated; default: all of the run but reference points.")
    ] = None,
    stem: Annotated[str, typer.Option(help="The stem that is judged.")] = "vocals",
    tracks: Annotated[str | None, typer.Option(help="Comma-separated; default: all of the run.")] = None,
    excerpts: Annotated[int | None, typer.Option(min=1, max=100, help="How many; default 5.")] = None,
    seconds: Annotated[float | None, typer.Option(min=1.0, max=60.0, help="Length of each; default 10.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the excerpts and the anonymous names.")] = 0,
    bits: Annotated[int, typer.Option(help="16 or 24 bits a sample.")] = 16,
    mid_anchor: Annotated[bool, typer.Option("--mid-anchor", help="mushra: the 7 kHz anchor as well.")] = False,
    name: Annotated[str | None, typer.Option(help="Small letters, digits and hyphens; default: PRESET-STEM.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> None:
    """Write a complete experiment for webMUSHRA: anonymous sounds, its configuration, and the key to them."""
    from ..config import validated
    from ..evaluation.listening.export import export
    from ..evaluation.listening.settings import ExportSettings

    settings = {
        "preset": preset.value,
        "name": name,
        "stem": stem,
        "methods": _split(methods),
        "tracks": _split(tracks),
        "seed": seed,
        "excerpts": excerpts,
        "seconds": seconds,
        "bits": bits,
        "mid_anchor": mid_anchor,
    }
    manifest = export(run, out, validated(ExportSettings, settings, "listening-test export"), overwrite=overwrite)
    for note in manifest.notes:
        print_note(note)
    print_note(
        f"{out}: {len(manifest.pages)} excerpts of {manifest.seconds:g} s, {len(manifest.methods)} method(s); "
        "README.md says how to serve it. Keep manifest.json off the server."
    )


@app.command("read")
def read_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that export wrote.")],
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS…", help="lms.csv or mushra.csv of webMUSHRA.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the outcome; default: DIR/results.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier outcome.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as one line of JSON.")] = False,
) -> None:
    """Say what the listeners heard: mean scores with intervals, ranks where they are decided, and who was excluded."""
    from ..evaluation.listening.reading import read_results, write_outcome

    outcome = read_results(folder, results)
    written = write_outcome(outcome, out or folder / "results", overwrite=overwrite)
    if json:
        print_json(outcome.model_dump(mode="json"))
    else:
        _show(outcome)
    print_note(f"written: {', '.join(str(path) for path in written.values())}")


def _show(outcome: Outcome) -> None:
    from ..evaluation.listening.outcome_tables import raters_line, reading_lines, score_columns, score_rows

    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(score_columns(outcome)):
        table.add_column(escape(column), justify="left" if index == 0 else "right")
    for row in score_rows(outcome):
        table.add_row(*(escape(cell) for cell in row))
    stdout().print(table)
    print(f"\n{raters_line(outcome)}")
    for excluded in outcome.excluded:
        print(f"  {excluded.rater}: {excluded.reason}")
    print()
    for line in [*reading_lines(outcome), *outcome.notes]:
        print(line)


def _split(names: str | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(name.strip() for name in names.split(",") if name.strip()) or None
