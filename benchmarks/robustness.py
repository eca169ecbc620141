"""How scores fall as mixtures get worse: `python -m benchmarks.robustness --methods all`.

Every song is separated clean and under MP3, clipping, band limit, reverb, noise and loud mastering at rising severity.
Writes scores, tables with intervals over songs, and a plot for each degradation. A run that was interrupted goes on
where it stopped. Exit codes as of benchmarks.run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sepkit.cli import evaluation_options as options
from sepkit.cli import exit_codes
from sepkit.cli.terminal import print_error, print_note
from sepkit.config import Frozen
from sepkit.data.opening import open_dataset
from sepkit.data.track import Dataset
from sepkit.errors import OptionError, SepkitError
from sepkit.evaluation.command import asked_names, choose_methods, dataset_label, failures, interrupted
from sepkit.evaluation.harness import RunSettings, evaluate
from sepkit.evaluation.machine import machine_facts
from sepkit.evaluation.methods import Method
from sepkit.evaluation.out_folder import file_name
from sepkit.evaluation.peers import with_weights
from sepkit.evaluation.progress import RunProgress
from sepkit.evaluation.recipe import Recipe, find_recipe
from sepkit.evaluation.run_file import write_run_file
from sepkit.evaluation.score import Score, now
from sepkit.partial_files import replacing, write_text
from sepkit.registry import list_separators

from .degradations import VERSION, Degradation, find_degradations
from .degraded_songs import Truth, degraded_songs, excerpts, only, own_stems, sounding
from .robustness_page import draw, markdown
from .robustness_points import Point, points_of
from .score_points import notes_of

ALL_STEMS = "all stems"
TRUTHS: dict[str, list[Truth]] = {
    "both": ["matched", "original"],
    "matched": ["matched"],
    "original": ["original"],
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Report(Frozen):
    """What a run of this benchmark found, as it is saved."""

    command: str
    settings: dict[str, Any]
    machine: dict[str, Any]
    degradations: dict[str, dict[str, Any]]  # title, unit, severities, truth
    points: tuple[Point, ...]
    notes: tuple[str, ...]


@app.command(help=__doc__, no_args_is_help=True)
def run(
    methods: Annotated[
        str, typer.Option("--methods", "-m", help="all, a group, or names with commas between them.")
    ] = "all",
    data: Annotated[str, typer.Option(help=options.DATASETS)] = "synthetic:4",
    split: options.Split = None,
    seconds: Annotated[float | None, typer.Option(min=0.5, help="Only the middle of each song.")] = None,
    limit: options.Limit = None,
    degradation: Annotated[
        str, typer.Option("--degradations", help="all, or names with commas: mp3, clip, lowpass, reverb, noise, loud.")
    ] = "all",
    truths: Annotated[
        str, typer.Option(help="both, matched or original; both separates what has two truths twice.")
    ] = "both",
    recipe: Annotated[str, typer.Option(help="How to score.")] = "sdx23",
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/robustness"),
    report: Annotated[Path | None, typer.Option(help="Path of the report without suffix; OUT/robustness.")] = None,
    seed: options.Seed = 0,
    quality: options.Quality = "balanced",
    device: options.Device = "auto",
    checkpoint: options.Checkpoints = None,
    budget_per_track: options.Budget = None,
    fresh: options.Fresh = False,
    save_stems: Annotated[bool, typer.Option(help="Keep all separated stems: some 20 songs for each song.")] = False,
) -> None:
    try:
        if truths not in TRUTHS:
            raise OptionError(f"--truths {truths!r} is none of {', '.join(TRUTHS)}.")
        chosen, without = with_weights(choose_methods(methods, checkpoint or ()), asked_names(methods))
        how = find_recipe(recipe)
        kinds = find_degradations(degradation)
        songs = open_dataset(data, split)
        songs = sounding(excerpts(songs[: limit or len(songs)], seconds))
        settings = RunSettings(
            dataset=f"{dataset_label(data, split)}{f', {seconds:g} s' if seconds else ''}, degraded, v{VERSION}",
            seed=seed,
            quality=quality,
            device=device,
            budget_seconds=budget_per_track,
            fresh=fresh,
            save_stems=save_stems,
        )
        for note in without:
            print_note(note)
        rows, found = _separate(chosen, songs, kinds, TRUTHS[truths], how, out, settings)
    except SepkitError as error:
        print_error(str(error))
        raise typer.Exit(exit_codes.USAGE) from error
    except KeyboardInterrupt:
        raise typer.Exit(interrupted()) from None
    whole = Report(
        command=" ".join(["python -m benchmarks.robustness", *sys.argv[1:]]),
        settings={**settings.model_dump(mode="json"), "recipe": recipe, "songs": [song.name for song in songs]},
        machine=machine_facts(),
        degradations={k.name: {"title": k.title, "unit": k.unit, "truth": k.truth} for k in kinds},
        points=tuple(found),
        notes=tuple(notes_of(rows, how)),
    )
    _write(whole, report or out / "robustness")
    raise typer.Exit(exit_codes.FAILED if failures(rows, chosen) else exit_codes.OK)


def _separate(
    methods: Sequence[Method],
    songs: Dataset,
    kinds: Sequence[Degradation],
    truths: Sequence[Truth],
    recipe: Recipe,
    out: Path,
    settings: RunSettings,
) -> tuple[list[Score], list[Point]]:
    """Run the methods, those that leave stems out on mixtures of their own stems, and gather rows and points."""
    stems_of = {summary.name: summary.stems for summary in list_separators()}
    groups: dict[tuple[str, ...], list[Method]] = {}
    for method in methods:
        own = () if method.is_reference_point else own_stems(stems_of.get(method.name), songs)
        groups.setdefault(own, []).append(method)
    every, points = [], []
    for own, members in groups.items():
        here = only(songs, own) if own else songs
        tracks = degraded_songs(here, kinds, truths, settings.seed)
        folder = out / file_name("+".join(own) or "all")
        started = now()
        with RunProgress() as watch:
            rows = evaluate(members, tracks, [recipe], folder, settings, watch)
        write_run_file(
            folder,
            command=["python", "-m", "benchmarks.robustness", *sys.argv[1:]],
            started=started,
            seconds=0.0,
            settings=settings,
            methods=members,
            recipes=[recipe],
            tracks=[track.name for track in tracks],
        )
        chosen = {method.name for method in members}
        rows = [row for row in rows if row.method in chosen]
        every += rows
        points += points_of(rows, recipe, f"only {', '.join(own)}" if own else ALL_STEMS, [k.name for k in kinds])
    return every, points


def _write(report: Report, path: Path) -> None:
    """PATH.json, PATH.md and PATH-DEGRADATION.svg; says where a plot is missing and why."""
    drawn: dict[str, str] = {}
    for name in report.degradations:
        target = path.with_name(f"{path.name}-{name}.svg")
        try:
            with replacing(target, overwrite=True) as partial:
                draw(report.points, name, report.degradations[name], partial)
            drawn[name] = target.name
        except ImportError:
            print_note("no plots: matplotlib is not installed (pip install 'sepkit[eval]')")
            break
    text = json.dumps(report.model_dump(mode="json"), indent=1, ensure_ascii=False)
    write_text(path.with_suffix(".json"), text + "\n")
    page = markdown(report.points, report.degradations, report.notes, drawn, report.command, report.settings)
    write_text(path.with_suffix(".md"), page)
    print(page)
    print_note(f"Results: {path.with_suffix('.md')}, {path.with_suffix('.json')}")


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m benchmarks.robustness")


if __name__ == "__main__":
    main()
