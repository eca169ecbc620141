"""`sepkit data render-band` and `render-band-midi`: songs for bass, drums, guitar and piano."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to fill, with a folder a track in each split's folder.")]
Seconds = Annotated[float, typer.Option(min=1.0, help="Length of each track.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes.")]
Fonts = Annotated[list[Path] | None, typer.Option("--soundfonts", help="File or folder, may be repeated.")]
Manifest = Annotated[Path | None, typer.Option(help="Default: manifest.csv in the MIDI folder.")]
Licences = Annotated[
    list[str] | None, typer.Option("--licences", help="Use MIDI files whose licence contains this; default BSD-3.")
]


def render_band_command(
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="Number of tracks; finished ones are skipped.")] = 10,
    seconds: Seconds = 40.0,
    seed: Annotated[int, typer.Option(min=0, help="Track i depends on the seed, i and the sources only.")] = 0,
    jobs: Jobs = 1,
    soundfont: Fonts = None,
    midi: Annotated[
        Path | None, typer.Option(help="Folder of MIDI files; only rows of the split train are used.")
    ] = None,
    manifest: Manifest = None,
    licence: Licences = None,
    midi_chance: Annotated[float, typer.Option(min=0, max=1, help="Share of tracks played from MIDI files.")] = 0.3,
    made_chance: Annotated[float, typer.Option(min=0, max=1, help="Share of songs wholly of our own sound.")] = 0.1,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Test songs: styles and soundfonts that training songs never have.")
    ] = False,
    use_soundfonts: Annotated[
        bool, typer.Option("--with-soundfonts/--no-soundfonts", help="Needs fluidsynth or tinysoundfont.")
    ] = True,
) -> None:
    """Render songs for bass, drums, guitar and piano: composed by chance or from MIDI files of the split train."""

    def work(report: Callable[[str], object]) -> None:
        from .band_production import BandIngredients, band_fonts
        from .band_render import BandPlan, render_band
        from .render import midi_files

        files = midi_files(midi, manifest, licence or ["BSD-3"]) if midi and not held_out else ()
        ingredients = BandIngredients(
            seconds=seconds,
            soundfonts=band_fonts(soundfont or (), held_out=held_out) if use_soundfonts else (),
            midi=tuple((path, terms) for path, split, terms in files if split == "train"),
            midi_chance=midi_chance,
            made_chance=made_chance,
            own_chance=0.0 if held_out and use_soundfonts else 0.25,
            held_out=held_out,
        )
        render_band(BandPlan(out, ingredients, seed), count, jobs, report=report)

    _run("render-band", work)


def render_band_midi_command(
    midi: Annotated[Path, typer.Argument(help="Folder of MIDI files with a manifest.csv.")],
    out: Out,
    seconds: Seconds = 30.0,
    splits: Annotated[list[str] | None, typer.Option("--splits", help="The manifest's splits; default test.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="This many files, taking turns over the styles.")] = None,
    least_stems: Annotated[int, typer.Option(min=1, max=4, help="Files with fewer of the four are left aside.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="For levels and effects.")] = 0,
    jobs: Jobs = 1,
    soundfont: Fonts = None,
    manifest: Manifest = None,
    licence: Licences = None,
) -> None:
    """Render test tracks: of each MIDI file the excerpt in which most stems play, with held-out soundfonts."""

    def work(report: Callable[[str], object]) -> None:
        from .band_production import BandIngredients, band_fonts
        from .band_render import BandMidiPlan, chosen_files, render_band_midi
        from .render import manifest_rows

        rows = manifest_rows(midi, manifest, licence or ["BSD-3"])
        files = chosen_files(midi, rows, tuple(splits or ["test"]), least_stems, limit)
        ingredients = BandIngredients(seconds=seconds, soundfonts=band_fonts(soundfont or (), held_out=True))
        render_band_midi(BandMidiPlan(out, files, ingredients, least_stems, seed), jobs, report=report)

    _run("render-band-midi", work)


def _run(name: str, work: Callable[[Callable[[str], object]], None]) -> None:
    from ..errors import SepkitError

    try:
        work(lambda line: print(line, file=sys.stderr, flush=True))
    except SepkitError as error:
        typer.echo(f"sepkit data {name}: {error}", err=True)
        raise typer.Exit(1) from error
