"""`sepkit data`: list datasets, look at one, check it, render one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .band_cli import render_band_command, render_band_midi_command
from .check_cli import check_command

app = typer.Typer(help="Look at datasets of stems, and make some.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    """Look at datasets of stems, and make some."""


def render_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to fill: train/ and valid/ with a folder a track.")],
    count: Annotated[int, typer.Option(min=1, help="Number of tracks; finished ones are skipped.")] = 10,
    seconds: Annotated[float, typer.Option(min=1.0, help="Length of each track.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="Track i depends on the seed, i and the sources only.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes.")] = 1,
    soundfont: Annotated[
        list[Path] | None, typer.Option("--soundfonts", help="File or folder, may be repeated; default: the system's.")
    ] = None,
    midi: Annotated[Path | None, typer.Option(help="Folder of MIDI files with a manifest.csv.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="Default: manifest.csv in the MIDI folder.")] = None,
    licence: Annotated[
        list[str] | None, typer.Option("--licences", help="Use MIDI files whose licence contains this; default BSD-3.")
    ] = None,
    midi_chance: Annotated[float, typer.Option(min=0, max=1, help="Share of tracks played from MIDI files.")] = 0.2,
    made_chance: Annotated[
        float, typer.Option(min=0, max=1, help="Share of songs wholly of sepkit's own sound.")
    ] = 0.1,
    use_voices: Annotated[bool, typer.Option("--voices/--no-voices", help="Sung words; needs flite.")] = True,
    use_soundfonts: Annotated[
        bool, typer.Option("--with-soundfonts/--no-soundfonts", help="Needs fluidsynth or tinysoundfont.")
    ] = True,
) -> None:
    """Render songs with known stems whose licence is clear: composed by chance, played, sung and mixed like records."""
    from ..errors import SepkitError
    from .production import Ingredients
    from .render import RenderPlan, midi_files, render
    from .soundfonts import find_soundfonts

    try:
        ingredients = Ingredients(
            seconds=seconds,
            soundfonts=tuple(find_soundfonts(soundfont or ())) if use_soundfonts else (),
            midi=midi_files(midi, manifest, licence or ["BSD-3"]) if midi else (),
            midi_chance=midi_chance,
            made_chance=made_chance,
            voices=use_voices,
        )
        render(
            RenderPlan(out, ingredients, seed),
            count,
            jobs,
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except SepkitError as error:
        typer.echo(f"sepkit data render: {error}", err=True)
        raise typer.Exit(1) from error


app.command("render")(render_command)
app.command("render-band")(render_band_command)
app.command("render-band-midi")(render_band_midi_command)


app.command("check")(check_command)


@app.command("list")
def list_command() -> None:
    """List the kinds of datasets, built in and of plugins; nothing of a plugin is imported."""
    from .opening import KINDS

    for kind, text in KINDS.items():
        typer.echo(f"{kind:<14} {text}")


@app.command("show")
def show_command(
    dataset: Annotated[
        str, typer.Argument(help="A dataset (`sepkit data list`), or a folder, whose layout is detected.")
    ],
    split: Annotated[str | None, typer.Option(help="train, valid or test.")] = None,
) -> None:
    """List a dataset's tracks: length, rate, stems, and what was left aside."""
    from ..errors import SepkitError
    from .detection import dataset_spec
    from .opening import open_dataset

    try:
        tracks = open_dataset(dataset_spec(dataset) if Path(dataset).is_dir() else dataset, split)
    except SepkitError as error:
        typer.echo(f"sepkit data show: {error}", err=True)
        raise typer.Exit(1) from error
    for track in tracks:
        typer.echo(f"{track.name}  {track.seconds:.1f} s  {track.sample_rate} Hz  {', '.join(track.stems)}")
    for note in tracks.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{len(tracks)} tracks, {sum(t.seconds for t in tracks) / 60:.1f} minutes")
